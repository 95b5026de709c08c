//! `ReadHistory`: the stored messages of a conversation, as one party sees them.

use async_trait::async_trait;

use super::Message;
use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::conversation::ConversationId;
use crate::id::{AccountId, GroupId};
use crate::port::{ConversationState, MessageQuery};
use crate::refusal::{Error, Refusal};

/// At most this many messages are answered at once: 1,000 messages of the default size limit are 12 MB.
pub const MAX_PAGE: usize = 1000;

/// Reads messages.
#[derive(Clone, Debug)]
pub struct ReadHistory {
    /// Of which conversation.
    pub conversation: ConversationId,
    /// Who reads. Messages that were kept from them are left out; `None`: the app, which sees all.
    pub viewer: Option<AccountId>,
    /// Which of them.
    pub query: MessageQuery,
}

/// Messages and where the conversation stands.
#[derive(Clone, Debug)]
pub struct History {
    /// The messages, in the order asked for.
    pub messages: Vec<Message>,
    /// The state of the conversation.
    pub state: ConversationState,
    /// Whether the store had more than `limit`.
    pub has_more: bool,
}

#[async_trait]
impl Command for ReadHistory {
    type Reply = History;
    const NAME: &'static str = "read_history";

    async fn run(self, cx: &Context<'_>) -> Result<History, Error> {
        check_may_read(cx, &self.conversation).await?;
        if let ConversationId::Topic(group, topic) = &self.conversation
            && cx.store().topic(group, topic).await?.is_none()
        {
            return Err(Refusal::NoTopic(topic.clone()).into());
        }
        if self.query.limit > MAX_PAGE {
            return Err(Refusal::TooMany { what: "messages", limit: MAX_PAGE }.into());
        }
        let state = cx.store().conversation(&self.conversation).await?;
        // One more than asked for tells whether there are more.
        let query = MessageQuery { limit: self.query.limit + 1, ..self.query };
        let mut messages = cx.store().messages(&self.conversation, query).await?;
        let has_more = messages.len() > self.query.limit;
        messages.truncate(self.query.limit);
        if let Some(viewer) = &self.viewer {
            messages.retain(|message| message.is_visible_to(viewer));
        }
        Ok(History { messages, state, has_more })
    }
}

/// The app reads everything, an account its own conversations.
async fn check_may_read(cx: &Context<'_>, conversation: &ConversationId) -> Result<(), Error> {
    let Actor::Account(reader) = cx.actor else { return Ok(()) };
    let may = match conversation {
        ConversationId::Direct(..) => conversation.peer_of(reader).is_some(),
        ConversationId::Group(group) | ConversationId::Topic(group, _) => is_member(cx, group, reader).await?,
    };
    if may { Ok(()) } else { Err(Refusal::NotPermitted.into()) }
}

async fn is_member(cx: &Context<'_>, group: &GroupId, account: &AccountId) -> Result<bool, Error> {
    Ok(cx.store().member(group, account).await?.is_some())
}
