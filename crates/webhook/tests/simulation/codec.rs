//! A dialect that is as plain as it can be: a call says where its event is in the log, and which event it is.

use bytes::Bytes;
use chat::Fault;
use chat::event::{Event, LogEntry, Position, Shard};
use chat::id::{EventId, Timestamp};
use chat::question::{Question, Verdict};
use serde::{Deserialize, Serialize};
use webhook::codec::{Call, Codec, Unreadable};

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

/// See the module.
#[derive(Debug)]
pub(crate) struct PlainCodec;

impl Codec for PlainCodec {
    fn knows(&self, command: &str) -> bool {
        COMMANDS.contains(&command)
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
        let told = Told { shard: entry.shard, position: entry.position, event: entry.event.id() };
        let body = serde_json::to_vec(&told).map_err(Fault::new)?;
        Ok(Call { command, query: String::new(), headers: Vec::new(), body: body.into() })
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
