//! For tests: what a deliverer and an operator need of the outside, as plain as it can be.

use async_trait::async_trait;
use bytes::Bytes;
use chat::Fault;
use chat::conversation::ConversationId;
use chat::event::{Event, LogEntry};
use chat::id::Timestamp;
use chat::port::Clock;
use chat::question::{Question, Verdict};
use chat::refusal::AskFailure;
use http_body_util::Full;
use hyper::Request;

use crate::codec::{Call, Codec, Unreadable};
use crate::transport::{Answer, CallFailure, Transport};

/// The time of [`Noon`].
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_255_200_000);

/// It stands still.
#[derive(Debug)]
pub(crate) struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn random(&self) -> u128 {
        7
    }
}

/// Tells of everything but of endpoints, and asks nothing.
#[derive(Debug)]
pub(crate) struct Plain;

impl Codec for Plain {
    fn knows(&self, command: &str) -> bool {
        self.commands().contains(&command)
    }

    fn commands(&self) -> Vec<&'static str> {
        vec!["Sent", "Other"]
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

    fn conversation(&self, id: &ConversationId) -> Option<String> {
        id.group().map(|group| format!("of {group}"))
    }

    fn tells(&self, event: &Event) -> Option<&'static str> {
        (!matches!(event, Event::EndpointPaused(_))).then_some("Sent")
    }

    fn telling(&self, command: &'static str, _: &LogEntry) -> Result<Call, Fault> {
        Ok(Call { command, query: String::new(), headers: Vec::new(), body: Bytes::from_static(b"{\"a\":1}") })
    }

    fn url(&self, _: &Call, _: Timestamp) -> String {
        "http://receiver.test/?token=hush".to_owned()
    }

    fn acknowledges(&self, _: &[u8]) -> bool {
        true
    }
}

/// Whom nobody reaches.
#[derive(Debug)]
pub(crate) struct Nobody;

#[async_trait]
impl Transport for Nobody {
    async fn exchange(&self, _: Request<Full<Bytes>>) -> Result<Answer, CallFailure> {
        Err(CallFailure::new(AskFailure::Unreachable, "nobody is there"))
    }
}
