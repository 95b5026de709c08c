//! Events: what has happened, in the past tense, and the log that they stand in.
//!
//! The log is the one source of everything that follows a commit: fan-out, after-callbacks, push, search. A reader has a
//! position of its own and can start in the past.

use serde::{Deserialize, Serialize};

use crate::command::{Actor, Origin};
use crate::conversation::ConversationId;
use crate::group::GroupKind;
use crate::id::{AccountId, EventId, GroupId, Timestamp};
use crate::message::Message;
use crate::refusal::Refusal;

/// A committed fact. Closed: whoever handles events handles them all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A message was sent.
    MessageSent(Message),
    /// A message was accepted from its sender and then could not be delivered.
    MessageNotSent {
        /// The message.
        message: Message,
        /// Why.
        reason: NotSent,
    },
    /// A group's profile or rules changed.
    GroupChanged(GroupChange),
    /// An endpoint is not called any more until somebody has it resumed. For the operator, not for the app: whoever watches
    /// over the endpoints is told by way of another one.
    EndpointPaused(EndpointPause),
}

/// What an event is about. Events of one subject are in one shard, and are told in order; those of different ones do not
/// wait for each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An account, outside its conversations.
    Account(AccountId),
    /// The app as a whole.
    App,
    /// A conversation, or the group that has it.
    #[serde(untagged)]
    Conversation(ConversationId),
}

impl From<ConversationId> for Subject {
    fn from(conversation: ConversationId) -> Self {
        Self::Conversation(conversation)
    }
}

/// See [`Event::EndpointPaused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointPause {
    /// The event's id.
    pub id: EventId,
    /// Which endpoint.
    pub endpoint: String,
    /// When.
    pub time: Timestamp,
    /// A stable name of the reason.
    pub reason: String,
    /// The reason in words.
    pub detail: String,
}

/// Why an accepted message was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotSent {
    /// The recipient blocks the sender.
    Blocked,
    /// It contains a restricted word.
    RestrictedWord,
}

impl From<NotSent> for Refusal {
    fn from(reason: NotSent) -> Self {
        match reason {
            NotSent::Blocked => Self::Blocked,
            NotSent::RestrictedWord => Self::RestrictedWord,
        }
    }
}

/// See [`Event::GroupChanged`]. A field is present only if it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChange {
    /// The event's id.
    pub id: EventId,
    /// Which group.
    pub group: GroupId,
    /// Its kind.
    pub kind: GroupKind,
    /// Who changed it.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
    /// When.
    pub time: Timestamp,
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new introduction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introduction: Option<String>,
    /// The new announcement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<String>,
    /// The new avatar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face_url: Option<String>,
}

impl Event {
    /// Its id, the same for ever: what callbacks of it are recognised by.
    pub fn id(&self) -> EventId {
        match self {
            Self::MessageSent(message) | Self::MessageNotSent { message, .. } => message.id,
            Self::GroupChanged(change) => change.id,
            Self::EndpointPaused(pause) => pause.id,
        }
    }

    /// What it is about, and so ordered by: after-callbacks of one subject keep their order.
    pub fn subject(&self) -> Subject {
        match self {
            Self::MessageSent(message) | Self::MessageNotSent { message, .. } => {
                Subject::Conversation(message.conversation.clone())
            }
            Self::GroupChanged(change) => Subject::Conversation(ConversationId::Group(change.group.clone())),
            Self::EndpointPaused(_) => Subject::App,
        }
    }

    /// When it happened.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::MessageSent(message) | Self::MessageNotSent { message, .. } => message.time,
            Self::GroupChanged(change) => change.time,
            Self::EndpointPaused(pause) => pause.time,
        }
    }

    /// A stable name for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MessageSent(_) => "message_sent",
            Self::MessageNotSent { .. } => "message_not_sent",
            Self::GroupChanged(_) => "group_changed",
            Self::EndpointPaused(_) => "endpoint_paused",
        }
    }
}

/// The unit of log reading and of delivery work. SQLite has one, PostgreSQL many. All events of a
/// subject are in the same shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(pub u16);

/// A place in one shard of the log. Grows with each event; never skips backwards, never is reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

/// An event in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// Which part of the log.
    pub shard: Shard,
    /// Where in it.
    pub position: Position,
    /// What happened. `MessageSent` carries its seq.
    pub event: Event,
    /// Of a one-to-one message: how many unread one-to-one messages its recipient had right after it, in all
    /// conversations. Events of other kinds have none.
    pub unread: Option<u64>,
}
