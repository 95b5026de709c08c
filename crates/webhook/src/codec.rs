//! What a dialect must be able to say: the port between calling and wording.

use bytes::Bytes;
use chat::Fault;
use chat::conversation::ConversationId;
use chat::event::{Event, LogEntry};
use chat::group::GroupKind;
use chat::id::Timestamp;
use chat::message::Message;
use chat::question::{Question, Verdict};

use crate::request::Envelope;

/// A dialect's wording of callbacks, for one endpoint.
pub trait Codec: Send + Sync {
    /// Whether the dialect has this command; an endpoint that subscribes to another is a mistake in the configuration.
    fn knows(&self, command: &str) -> bool;

    /// All the commands that the dialect has, for whoever wants to list them.
    fn commands(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Whether something is asked by this command, and not told.
    fn is_question(&self, command: &str) -> bool;

    /// The commands that put this question, in the order in which they are asked; none if the dialect never asks it.
    fn asks(&self, question: &Question) -> &'static [&'static str];

    /// Words the question.
    fn question(&self, command: &'static str, question: &Question) -> Call;

    /// Reads the answer. An edit without any field set is the same as [`Verdict::Allow`].
    fn verdict(&self, command: &'static str, question: &Question, body: &[u8]) -> Result<Verdict, Unreadable>;

    /// The command that tells of this event; none if the dialect never does.
    fn tells(&self, event: &Event) -> Option<&'static str>;

    /// Words the event.
    fn telling(&self, command: &'static str, entry: &LogEntry) -> Result<Call, Fault>;

    /// A group's type in the dialect's words, for filters.
    fn group_type(&self, _kind: GroupKind) -> Option<&'static str> {
        None
    }

    /// What a message contains, in the dialect's words, for filters.
    fn content_types(&self, _message: &Message) -> Vec<String> {
        Vec::new()
    }

    /// A conversation's id, for filters; none if the dialect has none.
    fn conversation(&self, _id: &ConversationId) -> Option<String> {
        None
    }

    /// Where the call goes. Asked for again at each attempt, because it may contain the time and a signature of it.
    fn url(&self, call: &Call, now: Timestamp) -> String;

    /// Whether the body of an after-callback's answer says OK, for endpoints with `acknowledge = "body"`.
    fn acknowledges(&self, body: &[u8]) -> bool;

    /// Joins worded tellings into one call, made now; none, if the dialect has no form for that. The caller bounds how many,
    /// and how much; an answer is to all of them.
    fn batch(&self, _: &[BatchItem<'_>], _: Timestamp) -> Option<Call> {
        None
    }
}

/// A worded callback: all that does not change between attempts.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its command.
    pub command: &'static str,
    /// Query parameters that belong to this call, percent-encoded already: `A=1&B=2`.
    pub query: String,
    /// Headers beside `content-type`.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON body.
    pub body: Bytes,
}

/// One of several calls that are to be joined, and what would be said beside it if it went alone.
#[derive(Clone, Copy, Debug)]
pub struct BatchItem<'a> {
    /// Its id and headers.
    pub envelope: &'a Envelope,
    /// The call.
    pub call: &'a Call,
}

/// An answer that the dialect does not understand, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// One call of each kind that a codec words: of every question, and of every event that it tells. For tests that none is
/// forgotten. Panics if it cannot word an event.
#[cfg(feature = "samples")]
pub fn sample_calls(codec: &dyn Codec) -> Vec<Call> {
    let mut calls = Vec::new();
    for question in chat::sample::questions() {
        calls.extend(codec.asks(&question).iter().map(|command| codec.question(command, &question)));
    }
    for event in chat::sample::events() {
        if let Some(command) = codec.tells(&event) {
            let (shard, position) = (chat::event::Shard(0), chat::event::Position(1));
            let entry = LogEntry { shard, position, event, unread: Some(3) };
            calls.push(codec.telling(command, &entry).expect("words for an event that it tells"));
        }
    }
    calls
}
