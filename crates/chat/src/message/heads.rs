//! `ListHeads`: the conversations of an account and their highest seqs.

use async_trait::async_trait;

use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::conversation::ConversationId;
use crate::id::{AccountId, Seq};
use crate::refusal::{Error, Refusal};

/// Lists the conversations of this account that have a message.
#[derive(Clone, Debug)]
pub struct ListHeads(pub AccountId);

#[async_trait]
impl Command for ListHeads {
    type Reply = Vec<(ConversationId, Seq)>;
    const NAME: &'static str = "list_heads";

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply, Error> {
        if let Actor::Account(reader) = cx.actor
            && *reader != self.0
        {
            return Err(Refusal::NotPermitted.into());
        }
        Ok(cx.store().conversations_of(&self.0).await?)
    }
}
