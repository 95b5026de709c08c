//! A dialect that is as plain as it can be: a call says where its event is in the log, and which event it is.

use bytes::Bytes;
use chat::Fault;
use chat::event::{Event, LogEntry, Position, Shard};
use chat::id::{EventId, Timestamp};
use chat::question::{Question, Verdict};
use serde::{Deserialize, Serialize};
use webhook::codec::{BatchItem, Call, Codec, Unreadable};

/// All commands. Messages that were not sent have none: no endpoint is told of them.
pub(crate) const COMMANDS: [&str; 3] = ["Sent", "Changed", "Paused"];

/// What an answer says that acknowledges, for endpoints that look at the body.
pub(crate) const OK_BODY: &[u8] = b"ok";

/// The body of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) shard: Shard,
    pub(crate) position: Position,
    pub(crate) event: EventId,
}

/// One event of a call, with what is said about it beside the body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) told: Told,
    pub(crate) id: Option<String>,
    pub(crate) sequence: Option<String>,
    pub(crate) previous: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PlainCodec {
    /// Events whose number is divisible by this cannot be worded.
    pub(crate) unwordable: Option<usize>,
}

/// The number of an event: events are numbered as they are committed, and the number is in the id.
pub(crate) fn number_of(event: EventId) -> usize {
    usize::try_from(event.random_bits()).unwrap_or_default()
}

pub(crate) fn is_every(divisor: Option<usize>, number: usize) -> bool {
    divisor.is_some_and(|divisor| number.is_multiple_of(divisor))
}

impl Codec for PlainCodec {
    fn knows(&self, command: &str) -> bool {
        COMMANDS.contains(&command)
    }

    fn is_question(&self, _: &str) -> bool {
        false
    }

    fn asks(&self, _: &Question) -> &'static [&'static str] {
        &[]
    }

    fn question(&self, command: &'static str, _: &Question) -> Call {
        Call { command, query: String::new(), headers: Vec::new(), body: Bytes::new() }
    }

    fn verdict(&self, _: &'static str, _: &Question, _: &[u8]) -> Result<Verdict, Unreadable> {
        Ok(Verdict::Allow)
    }

    fn tells(&self, event: &Event) -> Option<&'static str> {
        command_of(event)
    }

    fn telling(&self, command: &'static str, entry: &LogEntry) -> Result<Call, Fault> {
        if is_every(self.unwordable, number_of(entry.event.id())) {
            return Err(Fault::new("there are no words for that"));
        }
        let told = Told { shard: entry.shard, position: entry.position, event: entry.event.id() };
        let body = serde_json::to_vec(&told).map_err(Fault::new)?;
        Ok(Call { command, query: String::new(), headers: Vec::new(), body: body.into() })
    }

    fn batch(&self, items: &[BatchItem<'_>], _: Timestamp) -> Option<Call> {
        let said = |BatchItem { envelope, call }: &BatchItem<'_>| {
            let header = |wanted: &str| {
                envelope.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone())
            };
            let told = serde_json::from_slice(&call.body).ok()?;
            let (sequence, previous) = (header("ringback-sequence"), header("ringback-previous"));
            Some(Said { told, id: Some(envelope.id.clone()), sequence, previous })
        };
        let all: Option<Vec<Said>> = items.iter().map(said).collect();
        let body = serde_json::to_vec(&all?).ok()?;
        Some(Call { command: "Batch", query: String::new(), headers: Vec::new(), body: body.into() })
    }

    fn url(&self, _: &Call, _: Timestamp) -> String {
        "http://receiver.test/".into()
    }

    fn acknowledges(&self, body: &[u8]) -> bool {
        body == OK_BODY
    }
}

/// The command that tells of an event.
pub(crate) fn command_of(event: &Event) -> Option<&'static str> {
    match event {
        Event::MessageSent(_) => Some("Sent"),
        Event::GroupChanged(_) => Some("Changed"),
        Event::EndpointPaused(_) => Some("Paused"),
        Event::MessageNotSent { .. } => None,
    }
}
