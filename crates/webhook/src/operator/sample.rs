//! Trying an endpoint: a call of any of its commands, about something that nobody did, sent at once.

use std::time::Instant;

use chat::account::import::NewAccount;
use chat::command::Origin;
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::event::{EndpointPause, Event, GroupChange, LogEntry, NotSent, Position, Shard};
use chat::group::update::{Naming, UpdateGroup};
use chat::group::{Group, GroupKind, GroupProfile, GroupRules, GroupStatus, Topic};
use chat::id::{AccountId, EventId, GroupId, Timestamp};
use chat::member::{Member, Role};
use chat::message::{Delivery, Message};
use chat::port::Clock;
use chat::question::account::{Registration, WantedBlock};
use chat::question::group::{GroupCreation, GroupUpdate, TopicCreation};
use chat::question::member::MemberAddition;
use chat::question::{Occasion, Question, Verdict};
use chat::refusal::Refusal;
use chat::{Actor, Fault};
use serde::Serialize;

use super::show::{ShownRequest, shown};
use super::{Operator, OperatorError};
use crate::codec::{Call, Codec};
use crate::deliver::telling;
use crate::endpoint::Endpoint;
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
    pub took_millis: f64,
    /// How long it may have taken: what the endpoint, or the command of its own, has as `timeout`.
    pub deadline_millis: u64,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The first bytes of the answer.
    pub answer: String,
    /// `told`, `allow`, `modify`, `reject`, `discard`, `pending`, or the class of the failure.
    pub outcome: &'static str,
    /// Whether it is what a working endpoint answers: anything but a failure.
    pub is_fine: bool,
    /// The outcome in words.
    pub detail: String,
}

/// One of everything that can be asked about.
fn questions(id: EventId, now: Timestamp) -> Vec<Question> {
    let occasion = Occasion { id, actor: Actor::Account(ALICE.into()), origin: Origin::default(), time: now };
    let bob = || Member::new(BOB.into(), Role::Member, now);
    let alice = Member::new(ALICE.into(), Role::Owner, now);
    let update = |naming| {
        let name = Some("Another name".to_owned());
        let update = UpdateGroup { group: Some(GROUP.into()), name, naming, ..UpdateGroup::default() };
        let group = group(GroupKind::Public, now);
        Question::BeforeUpdateGroup(Box::new(GroupUpdate { occasion: occasion.clone(), group, update }))
    };
    vec![
        Question::BeforeSend(Box::new(direct_message(id, now))),
        Question::BeforeSend(Box::new(group_message(id, now))),
        Question::BeforeCreateGroup(Box::new(GroupCreation {
            occasion: occasion.clone(),
            group: group(GroupKind::Public, now),
            id_is_made_up: false,
            members: vec![alice, bob()],
            owned: 0,
        })),
        Question::BeforeCreateTopic(Box::new(TopicCreation {
            occasion: occasion.clone(),
            group: Group { has_topics: true, ..group(GroupKind::Community, now) },
            topic: Topic {
                id: "sample-topic".into(),
                group: GROUP.into(),
                profile: GroupProfile { name: "A test".to_owned(), ..GroupProfile::default() },
                creator: Some(ALICE.into()),
                created: now,
            },
        })),
        Question::BeforeAddMembers(Box::new(MemberAddition {
            occasion: occasion.clone(),
            group: group(GroupKind::Public, now),
            members: vec![Member { inviter: Some(ALICE.into()), ..bob() }],
            reason: TEXT.to_owned(),
        })),
        update(Naming::Filled),
        update(Naming::Named),
        Question::BeforeBlock(Box::new(WantedBlock {
            occasion: occasion.clone(),
            owner: ALICE.into(),
            target: BOB.into(),
        })),
        Question::BeforeRegister(Box::new(Registration {
            occasion: occasion.clone(),
            accounts: vec![NewAccount { name: Some("Bob".to_owned()), ..NewAccount::bare(BOB.into()) }],
        })),
    ]
}

fn group(kind: GroupKind, now: Timestamp) -> Group {
    Group {
        id: GROUP.into(),
        kind,
        owner: Some(ALICE.into()),
        creator: Some(ALICE.into()),
        profile: GroupProfile { name: "A test".to_owned(), introduction: TEXT.to_owned(), ..GroupProfile::default() },
        rules: GroupRules {
            joining: kind.default_joining(),
            muted: false,
            member_limit: kind.default_member_limit(),
            hides_members: false,
            forbids_befriending: false,
            approves_invitations: false,
        },
        status: GroupStatus::Open,
        has_topics: false,
        created: now,
        updated: now,
        version: 1,
        member_count: 2,
        announced: None,
    }
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
        test(&endpoint, &*self.parts.clock, command).await
    }
}

/// The same, without a server that knows the endpoint.
pub async fn test(endpoint: &Endpoint, clock: &dyn Clock, command: &str) -> Result<Tested, OperatorError> {
    let (now, name) = (clock.now(), endpoint.name.clone());
    let event = EventId::new(now, clock.random());
    let Some((command, sample)) = sample(&*endpoint.codec, command, event, now) else {
        let known = endpoint.codec.commands().into_iter();
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
    let headers = vec![("traceparent", request::traceparent(event))];
    let envelope = Envelope { id: id.clone(), headers };
    let unbuilt = |failure: crate::transport::CallFailure| OperatorError::Invalid(failure.detail);
    let request = shown(&request::build(endpoint, &call, &envelope, now).map_err(unbuilt)?, &call.body);
    let deadline = endpoint.asking.policy(command).timeout;
    let started = Instant::now();
    let result = request::post(endpoint, &call, &envelope, now, deadline).await;
    let took_millis = started.elapsed().as_secs_f64() * 1000.0;
    let deadline_millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
    let (status, answer, outcome, is_fine, detail) = match result {
        Err(failure) => (None, String::new(), failure.kind.name(), false, failure.detail),
        Ok(answer) => {
            let (outcome, is_fine, detail) = match &sample {
                Sample::Question(question) if answer.status.is_success() => {
                    verdict(endpoint.codec.verdict(command, question, &answer.body))
                }
                Sample::Question(_) => ("bad_status", false, format!("HTTP {}", answer.status)),
                Sample::Event(_) => told(telling::judge(endpoint, &answer)),
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
    Ok(Tested {
        endpoint: name,
        command,
        id,
        request,
        took_millis,
        deadline_millis,
        status,
        answer,
        outcome,
        is_fine,
        detail,
    })
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_255_200_000);

    /// Whoever adds a kind is made to add a number here, and then a sample.
    #[test]
    fn there_is_a_sample_of_every_kind() {
        let id = EventId::new(NOW, 7);
        let question = |question: &Question| match question {
            Question::BeforeSend(_) => 0,
            Question::BeforeCreateGroup(_) => 1,
            Question::BeforeCreateTopic(_) => 2,
            Question::BeforeAddMembers(_) => 3,
            Question::BeforeUpdateGroup(_) => 4,
            Question::BeforeBlock(_) => 5,
            Question::BeforeRegister(_) => 6,
        };
        let kinds: BTreeSet<_> = questions(id, NOW).iter().map(question).collect();
        assert_eq!(kinds, (0..=6).collect());
        assert!(
            questions(id, NOW).iter().all(|question| question.id() == id && question.origin() == &Origin::default())
        );
        let event = |event: &Event| match event {
            Event::MessageSent(_) => 0,
            Event::MessageNotSent { .. } => 1,
            Event::GroupChanged(_) => 2,
            Event::EndpointPaused(_) => 3,
        };
        let kinds: BTreeSet<_> = events(id, NOW).iter().map(event).collect();
        assert_eq!(kinds, (0..=3).collect());
        assert!(events(id, NOW).iter().all(|event| event.id() == id && event.time() == NOW));
    }
}
