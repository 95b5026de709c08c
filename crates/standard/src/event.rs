//! What is told: the `data` of each event.

use chat::event::{EndpointPause, GroupChange, NotSent};
use chat::message::Message as CoreMessage;
use serde::Serialize;

use crate::message::{Actor, Kind, Message, Origin};

/// A message was sent.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MessageSent<'a> {
    message: Message<'a>,
    /// Of a one-to-one message: how many unread one-to-one messages its recipient had right after it, in all conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<u64>,
}

/// A message was accepted from its sender and then could not be delivered. The sender was told so.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MessageNotSent<'a> {
    message: Message<'a>,
    /// Why.
    reason: Reason,
}

/// Why a message was not delivered.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// The recipient blocks the sender.
    Blocked,
    /// It contains a restricted word.
    RestrictedWord,
}

/// A group's profile changed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GroupChanged<'a> {
    /// The event's id: 32 hex digits that sort by time.
    id: String,
    /// The group's id.
    group: &'a str,
    /// The group's kind.
    group_kind: Kind,
    /// Who changed it.
    actor: Actor<'a>,
    /// From where.
    origin: Origin<'a>,
    /// When, in milliseconds since 1970.
    time: i64,
    /// What it is now, where that changed.
    changes: Changes<'a>,
}

/// What a group's profile is now. What is left out is as it was.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Changes<'a> {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    introduction: Option<&'a str>,
    /// Its announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    announcement: Option<&'a str>,
    /// The URL of its avatar.
    #[serde(skip_serializing_if = "Option::is_none")]
    face_url: Option<&'a str>,
}

/// An endpoint is not called any more until an operator has it resumed. For whoever watches over the endpoints, by way of
/// another one.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EndpointPaused<'a> {
    /// The event's id: 32 hex digits that sort by time.
    id: String,
    /// The endpoint's name.
    endpoint: &'a str,
    /// Since when, in milliseconds since 1970.
    time: i64,
    /// Why: a stable name.
    reason: &'a str,
    /// Why: in words.
    detail: &'a str,
}

impl<'a> MessageSent<'a> {
    pub(crate) fn of(message: &'a CoreMessage, unread: Option<u64>) -> Self {
        Self { message: message.into(), unread }
    }
}

impl<'a> MessageNotSent<'a> {
    pub(crate) fn of(message: &'a CoreMessage, reason: NotSent) -> Self {
        let reason = match reason {
            NotSent::Blocked => Reason::Blocked,
            NotSent::RestrictedWord => Reason::RestrictedWord,
        };
        Self { message: message.into(), reason }
    }
}

impl<'a> From<&'a GroupChange> for GroupChanged<'a> {
    fn from(change: &'a GroupChange) -> Self {
        let GroupChange { id, group, kind, actor, origin, time, name, introduction, announcement, face_url } = change;
        Self {
            id: id.to_string(),
            group: group.as_str(),
            group_kind: (*kind).into(),
            actor: actor.into(),
            origin: origin.into(),
            time: time.millis(),
            changes: Changes {
                name: name.as_deref(),
                introduction: introduction.as_deref(),
                announcement: announcement.as_deref(),
                face_url: face_url.as_deref(),
            },
        }
    }
}

impl<'a> From<&'a EndpointPause> for EndpointPaused<'a> {
    fn from(pause: &'a EndpointPause) -> Self {
        let EndpointPause { id, endpoint, time, reason, detail } = pause;
        Self { id: id.to_string(), endpoint, time: time.millis(), reason, detail }
    }
}
