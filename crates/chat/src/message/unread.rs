//! `CountUnread`: how many one-to-one messages an account has not read.

use async_trait::async_trait;

use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::id::AccountId;
use crate::refusal::{Error, Refusal};

/// Counts unread one-to-one messages.
#[derive(Clone, Debug)]
pub struct CountUnread {
    /// Whose.
    pub account: AccountId,
    /// In the conversation with this peer; `None`: in all of them.
    pub peer: Option<AccountId>,
}

#[async_trait]
impl Command for CountUnread {
    type Reply = u64;
    const NAME: &'static str = "count_unread";

    async fn run(self, cx: &Context<'_>) -> Result<u64, Error> {
        if let Actor::Account(reader) = cx.actor
            && *reader != self.account
        {
            return Err(Refusal::NotPermitted.into());
        }
        cx.account(&self.account).await?;
        if let Some(peer) = &self.peer {
            cx.account(peer).await?;
        }
        Ok(cx.store().unread_direct(&self.account, self.peer.as_ref()).await?)
    }
}
