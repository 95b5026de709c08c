//! Events: what has happened, in the past tense, and the log that they stand in.
//!
//! The log is the one source of everything that follows a commit: fan-out, after-callbacks, push, search. A reader has a
//! position of its own and can start in the past.

use serde::{Deserialize, Serialize};

use crate::command::{Actor, Origin};
use crate::conversation::ConversationId;
use crate::group::GroupKind;
use crate::id::{EventId, GroupId, Timestamp};
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
        }
    }

    /// The conversation that it is ordered in: after-callbacks of one conversation keep their order.
    pub fn conversation(&self) -> ConversationId {
        match self {
            Self::MessageSent(message) | Self::MessageNotSent { message, .. } => message.conversation.clone(),
            Self::GroupChanged(change) => ConversationId::Group(change.group.clone()),
        }
    }

    /// When it happened.
    pub fn time(&self) -> Timestamp {
        match self {
            Self::MessageSent(message) | Self::MessageNotSent { message, .. } => message.time,
            Self::GroupChanged(change) => change.time,
        }
    }

    /// A stable name for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MessageSent(_) => "message_sent",
            Self::MessageNotSent { .. } => "message_not_sent",
            Self::GroupChanged(_) => "group_changed",
        }
    }
}

/// The unit of log reading and of delivery work. SQLite has one; PostgreSQL will have many. All events of a
/// conversation are in the same shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(pub u16);

/// A place in one shard of the log. Grows with each event; never skips backwards, never is reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
