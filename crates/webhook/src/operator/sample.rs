//! Trying an endpoint: a call of any of its commands, about something that nobody did, sent at once.

use std::time::Instant;

use chat::command::Origin;
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::event::{EndpointPause, Event, GroupChange, LogEntry, NotSent, Position, Shard};
use chat::group::GroupKind;
use chat::id::{AccountId, EventId, GroupId, Timestamp};
use chat::message::{Delivery, Message};
use chat::question::{Question, Verdict};
use chat::refusal::Refusal;
use chat::{Actor, Fault};
use serde::Serialize;

use super::show::{ShownRequest, shown};
use super::{Operator, OperatorError};
use crate::codec::{Call, Codec};
use crate::deliver::telling;
use crate::request::{self, Envelope};

const ALICE: &str = "sample-alice";
const BOB: &str = "sample-bob";
const GROUP: &str = "sample-group";
const TEXT: &str = "This is a test. Nobody has written it.";

/// What a callback could be about.
#[derive(Clone, Debug)]
pub enum Sample {
    /// Something to ask about.
    Question(Box<Question>),
    /// Something to tell of.
    Event(Box<LogEntry>),
}

/// What an endpoint made of a test.
#[derive(Clone, Debug, Serialize)]
pub struct Tested {
    /// The endpoint's name.
    pub endpoint: String,
    /// The callback command.
    pub command: &'static str,
    /// The call's `webhook-id`: no event has it.
    pub id: String,
    /// What was sent.
    pub request: ShownRequest,
    /// How long it took, in milliseconds.
    pub took_millis: u64,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The first bytes of the answer.
    pub answer: String,
    /// `told`, `allow`, `modify`, `reject`, `discard`, or the class of the failure.
    pub outcome: &'static str,
    /// Whether it is what a working endpoint answers: anything but a failure.
    pub is_fine: bool,
    /// The outcome in words.
    pub detail: String,
}

/// One of everything that can be asked about.
fn questions(id: EventId, now: Timestamp) -> Vec<Question> {
    vec![
        Question::BeforeSend(Box::new(direct_message(id, now))),
        Question::BeforeSend(Box::new(group_message(id, now))),
    ]
}

/// One of everything that can be told of.
fn events(id: EventId, now: Timestamp) -> Vec<Event> {
    let changed = GroupChange {
        id,
        group: GroupId::from(GROUP),
        kind: GroupKind::Public,
        actor: Actor::Account(ALICE.into()),
        origin: Origin::default(),
        time: now,
        name: Some("A test".to_owned()),
        introduction: Some(TEXT.to_owned()),
        announcement: None,
        face_url: None,
    };
    let paused = EndpointPause {
        id,
        endpoint: "sample-endpoint".to_owned(),
        time: now,
        reason: "operator".to_owned(),
        detail: TEXT.to_owned(),
    };
    vec![
        Event::MessageSent(Message { seq: 1, ..direct_message(id, now) }),
        Event::MessageSent(Message { seq: 1, ..group_message(id, now) }),
        Event::MessageNotSent { message: direct_message(id, now), reason: NotSent::Blocked },
        Event::GroupChanged(changed),
        Event::EndpointPaused(paused),
    ]
}

fn direct_message(id: EventId, now: Timestamp) -> Message {
    Message {
        id,
        conversation: ConversationId::direct(ALICE.into(), BOB.into()),
        group_kind: None,
        seq: 0,
        sender: AccountId::from(ALICE),
        actor: Actor::Account(ALICE.into()),
        origin: Origin::default(),
        client_id: id.to_string().as_str().into(),
        time: now,
        created: now,
        sender_name: "Alice".to_owned(),
        sender_face: String::new(),
        elements: vec![Element::text(TEXT)],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
    }
}

fn group_message(id: EventId, now: Timestamp) -> Message {
    let (conversation, group_kind) = (ConversationId::Group(GROUP.into()), Some(GroupKind::Public));
    Message { conversation, group_kind, ..direct_message(id, now) }
}

/// What a command of a dialect would be about; none if nothing in this version leads to it.
pub fn sample(codec: &dyn Codec, command: &str, id: EventId, now: Timestamp) -> Option<(&'static str, Sample)> {
    for question in questions(id, now) {
        if let Some(command) = codec.asks(&question).iter().copied().find(|own| *own == command) {
            return Some((command, Sample::Question(Box::new(question))));
        }
    }
    for event in events(id, now) {
        if let Some(command) = codec.tells(&event).filter(|own| *own == command) {
            let entry = LogEntry { shard: Shard(0), position: Position(0), event, unread: Some(1) };
            return Some((command, Sample::Event(Box::new(entry))));
        }
    }
    None
}

impl Sample {
    /// It in an endpoint's words.
    pub fn call(&self, codec: &dyn Codec, command: &'static str) -> Result<Call, Fault> {
        match self {
            Self::Question(question) => Ok(codec.question(command, question)),
            Self::Event(entry) => codec.telling(command, entry),
        }
    }
}

impl Operator {
    /// Calls an endpoint with a sample of a command, whether or not it subscribes to that, and says what it answered. Its
    /// state is not looked at and not changed.
    pub async fn test(&self, endpoint: &str, command: &str) -> Result<Tested, OperatorError> {
        let endpoint = self.handle(endpoint)?.endpoint().clone();
        let clock = &*self.parts.clock;
        let (now, name) = (clock.now(), endpoint.name.clone());
        let event = EventId::new(now, clock.random());
        let Some((command, sample)) = sample(&*endpoint.codec, command, event, now) else {
            let known = endpoint.codec.commands().iter().copied();
            let can = known.filter(|command| self::sample(&*endpoint.codec, command, event, now).is_some());
            let can = can.collect::<Vec<_>>().join(", ");
            let why = match endpoint.codec.knows(command) {
                true => "nothing in this version leads to it",
                false => "its dialect has no such command",
            };
            return Err(OperatorError::Invalid(format!(
                "command: {name} is never called with {command:?}: {why}; right would be one of {can}"
            )));
        };
        let call = sample.call(&*endpoint.codec, command)?;
        let id = format!("test-{event}.{name}");
        let headers = vec![("traceparent", format!("00-{event}-{:016x}-01", event.random_bits().max(1)))];
        let envelope = Envelope { id: id.clone(), headers };
        let unbuilt = |failure: crate::transport::CallFailure| OperatorError::Invalid(failure.detail);
        let request = shown(&request::build(&endpoint, &call, &envelope, now).map_err(unbuilt)?, &call.body);
        let started = Instant::now();
        let result = request::post(&endpoint, &call, &envelope, now, endpoint.timeout).await;
        let took_millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (status, answer, outcome, is_fine, detail) = match result {
            Err(failure) => (None, String::new(), failure.kind.name(), false, failure.detail),
            Ok(answer) => {
                let (outcome, is_fine, detail) = match &sample {
                    Sample::Question(question) if answer.status.is_success() => {
                        verdict(endpoint.codec.verdict(command, question, &answer.body))
                    }
                    Sample::Question(_) => ("bad_status", false, format!("HTTP {}", answer.status)),
                    Sample::Event(_) => told(telling::judge(&endpoint, &answer)),
                };
                (Some(answer.status.as_u16()), telling::excerpt(&answer.body), outcome, is_fine, detail)
            }
        };
        tracing::info!(
            endpoint = name,
            command,
            webhook.id = id,
            trace.id = %event,
            outcome,
            status,
            took.ms = took_millis,
            "tested by the operator"
        );
        Ok(Tested { endpoint: name, command, id, request, took_millis, status, answer, outcome, is_fine, detail })
    }
}

fn verdict(verdict: Result<Verdict, crate::codec::Unreadable>) -> (&'static str, bool, String) {
    match verdict {
        Ok(Verdict::Allow) => ("allow", true, "it goes on".to_owned()),
        Ok(Verdict::Modify(_)) => ("modify", true, "it goes on, changed".to_owned()),
        Ok(Verdict::Discard) => ("discard", true, "it is dropped, and looks sent".to_owned()),
        Ok(Verdict::Park(_)) => ("pending", true, "it waits for a verdict that comes later".to_owned()),
        Ok(Verdict::Reject(Refusal::Rejected { code, info, .. })) => {
            let code = code.map_or_else(|| "the usual code".to_owned(), |code| format!("code {code}"));
            ("reject", true, format!("it is refused with {code}: {info:?}"))
        }
        Ok(Verdict::Reject(refusal)) => ("reject", true, format!("it is refused: {refusal}")),
        Err(unreadable) => ("unreadable", false, format!("the answer was not understood: {unreadable}")),
    }
}

fn told((outcome, name, status, _): telling::Judgement) -> (&'static str, bool, String) {
    let status = status.map(|status| format!("HTTP {status}")).unwrap_or_default();
    match outcome {
        telling::Outcome::Told => (name, true, "it would count as told".to_owned()),
        telling::Outcome::Gone => (name, false, format!("{status}: the endpoint would be paused")),
        _ if name == "not_acknowledged" => {
            (name, false, "the body does not say OK in the dialect's words (acknowledge)".to_owned())
        }
        _ => (name, false, format!("{status}: it would be told again")),
    }
}
