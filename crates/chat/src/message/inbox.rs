//! `ListInbox`: the conversations of an account, and how it stands in each.

use async_trait::async_trait;

use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::id::AccountId;
use crate::port::InboxEntry;
use crate::refusal::{Error, Refusal};

/// Lists the conversations of this account that have a message.
#[derive(Clone, Debug)]
pub struct ListInbox(pub AccountId);

#[async_trait]
impl Command for ListInbox {
    type Reply = Vec<InboxEntry>;
    const NAME: &'static str = "list_inbox";

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply, Error> {
        if let Actor::Account(reader) = cx.actor
            && *reader != self.0
        {
            return Err(Refusal::NotPermitted.into());
        }
        Ok(cx.store().inbox(&self.0).await?)
    }
}
