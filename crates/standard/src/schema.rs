//! `docs/schemas/standard`: what goes out and what may be answered, made of the types in this crate.

use std::path::Path;

use chat::event::{Event, NotSent};
use chat::id::{EventId, Timestamp};
use chat::message::Message;
use chat::question::Question;
use schema::{Callback, Dialect, Moment, Shape};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use webhook::codec::{BatchItem, Codec};
use webhook::request::Envelope;

use crate::answer::{Acknowledgement, Answer, Consent, Decision};
use crate::commands::{
    ACCOUNTS_REGISTERING, BATCH, ENDPOINT_PAUSED, EVENTS, GROUP_CHANGED, GROUP_CHANGING, GROUP_CREATING,
    MEMBERS_ADDING, MESSAGE_NOT_SENT, MESSAGE_SENDING, MESSAGE_SENT, QUESTIONS,
};
use crate::edit::{AccountsEdit, GroupChangingEdit, GroupCreatingEdit, MembersAddingEdit};
use crate::event::{EndpointPaused, GroupChanged, MessageNotSent, MessageSent};
use crate::payload::Payload;
use crate::question::{
    AccountBlocking, AccountsRegistering, GroupChanging, GroupCreating, MembersAdding, MessageSending, TopicCreating,
};
use crate::{StandardCodec, answer, sample};

/// The answer to a question. An empty body is the same as an empty object.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is of interest: it is read in two steps, for better words")]
enum Reply<A> {
    Answer(Box<A>),
    /// Allows, too.
    Nothing(Nothing),
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Several events in one call, for endpoints that ask for it. The answer is to all of them: unless they all were heard,
/// they come again, perhaps joined otherwise.
#[derive(Serialize, schemars::JsonSchema)]
struct Batch {
    /// In the order in which they happened, as far as they are about the same conversation; at least one.
    events: Vec<Joined>,
}

/// An event in a batch: what it would have been alone, and what then would have been headers.
#[derive(Serialize, schemars::JsonSchema)]
struct Joined {
    /// Its `webhook-id`.
    id: String,
    /// More headers that it would have had alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// The event; see the schema of its type.
    #[serde(flatten)]
    payload: Payload<serde_json::Map<String, Value>>,
}

fn codec() -> StandardCodec {
    StandardCodec::new("http://127.0.0.1:9000/events")
}

/// What is told of an event.
fn told(event: Event, unread: Option<u64>) -> webhook::codec::Call {
    let command = codec().tells(&event).expect("it is told");
    codec().telling(command, &sample::entry(event, unread)).expect("a call")
}

fn sent() -> [webhook::codec::Call; 3] {
    // Told whatever it says, so that the example shows all that a message can have.
    let full = |seq| {
        codec().telling(MESSAGE_SENT, &sample::entry(Event::MessageSent(Message { seq, ..sample::full() }), None))
    };
    let group = chat::conversation::ConversationId::Group("climbers".into());
    let in_group = Message { conversation: group, group_kind: Some(chat::group::GroupKind::Public), ..sample::plain() };
    [
        told(Event::MessageSent(Message { seq: 41, ..sample::plain() }), Some(3)),
        told(Event::MessageSent(Message { seq: 7, ..in_group }), None),
        full(0).expect("a call"),
    ]
}

fn not_sent() -> [webhook::codec::Call; 2] {
    let unsent = |message, reason| {
        codec().telling(MESSAGE_NOT_SENT, &sample::entry(Event::MessageNotSent { message, reason }, None))
    };
    [unsent(sample::plain(), NotSent::Blocked), unsent(Message { seq: 1, ..sample::full() }, NotSent::RestrictedWord)]
        .map(|call| call.expect("a call"))
}

fn dialect() -> Dialect {
    let told_of = |command, summary, call: Shape| Callback {
        command,
        moment: Moment::Told,
        summary,
        call: call.without_nulls().always("type", command),
        answer: Shape::read::<Acknowledgement>().example(br#"{"ok":true}"#).example(b"{}"),
    };
    let shape = |shape: Shape, examples: &[webhook::codec::Call]| {
        examples.iter().fold(shape, |shape, call| shape.example(&call.body))
    };
    let asked = |message| codec().question(MESSAGE_SENDING, &Question::BeforeSend(Box::new(message)));
    let [_, create_group, create_topic, add_members, update_group, block, register] = sample::questions();
    let question = |question: Question, summary, shape: Shape, answer: Shape| {
        let command = codec().asks(&question)[0];
        let call = shape.example(&codec().question(command, &question).body);
        let answer =
            answers_to(command).iter().fold(answer, |shape, answer| shape.example(answer.to_string().as_bytes()));
        let call = call.without_nulls().always("type", command);
        Callback { command, moment: Moment::Asked, summary, call, answer }
    };
    let callbacks = vec![
        Callback {
            command: MESSAGE_SENDING,
            moment: Moment::Asked,
            summary: "May this message be sent?",
            call: shape(
                Shape::sent::<Payload<MessageSending<'_>>>(),
                &[asked(sample::plain()), asked(Message { seq: 1, ..sample::full() })],
            )
            .without_nulls()
            .always("type", MESSAGE_SENDING),
            answer: verdicts()
                .into_iter()
                .fold(Shape::read::<Reply<Answer>>(), |shape, answer| shape.example(answer.to_string().as_bytes())),
        },
        question(
            create_group,
            "May this group be made, with these first members?",
            Shape::sent::<Payload<GroupCreating<'_>>>(),
            Shape::read::<Reply<Decision<GroupCreatingEdit>>>(),
        ),
        question(
            create_topic,
            "May this community get this topic?",
            Shape::sent::<Payload<TopicCreating<'_>>>(),
            Shape::read::<Reply<Consent>>(),
        ),
        question(
            add_members,
            "May these accounts become members of this group? Answered per account.",
            Shape::sent::<Payload<MembersAdding<'_>>>(),
            Shape::read::<Reply<Decision<MembersAddingEdit>>>(),
        ),
        question(
            update_group,
            "May this group's profile and rules be changed so?",
            Shape::sent::<Payload<GroupChanging<'_>>>(),
            Shape::read::<Reply<Decision<GroupChangingEdit>>>(),
        ),
        question(
            block,
            "May this account block that one? A command about several is asked about one by one.",
            Shape::sent::<Payload<AccountBlocking<'_>>>(),
            Shape::read::<Reply<Consent>>(),
        ),
        question(
            register,
            "May these accounts be made known? Answered per account.",
            Shape::sent::<Payload<AccountsRegistering<'_>>>(),
            Shape::read::<Reply<Decision<AccountsEdit>>>(),
        ),
        told_of(MESSAGE_SENT, "A message was sent.", shape(Shape::sent::<Payload<MessageSent<'_>>>(), &sent())),
        told_of(
            MESSAGE_NOT_SENT,
            "A message was accepted and could not be delivered; its sender was told so.",
            shape(Shape::sent::<Payload<MessageNotSent<'_>>>(), &not_sent()),
        ),
        told_of(
            GROUP_CHANGED,
            "A group's profile changed.",
            shape(
                Shape::sent::<Payload<GroupChanged<'_>>>(),
                &[told(Event::GroupChanged(sample::group_change()), None)],
            ),
        ),
        told_of(
            ENDPOINT_PAUSED,
            "An endpoint is not called any more until an operator has it resumed.",
            shape(Shape::sent::<Payload<EndpointPaused<'_>>>(), &[told(Event::EndpointPaused(sample::pause()), None)]),
        ),
        told_of(BATCH, "Several events in one call.", shape(Shape::sent::<Payload<Batch>>(), &[batch()])),
    ];
    Dialect {
        name: "standard",
        title: "Ringback callbacks: standard",
        description: "Each call is a POST to the endpoint's URL as it is configured. Each call has `webhook-id`; with a \
            secret, also `webhook-timestamp` and `webhook-signature`, as in Standard Webhooks. The `webhook-id` of an event \
            is the same on every attempt.",
        callbacks,
    }
}

/// Answers to a question, all of which are read.
fn verdicts() -> Vec<Value> {
    let question = codec().question(MESSAGE_SENDING, &Question::BeforeSend(Box::new(sample::full())));
    let question: Value = serde_json::from_slice(&question.body).expect("a body");
    let message = &question["data"]["message"];
    vec![
        json!({}),
        json!({"verdict": "allow"}),
        json!({"verdict": "reject", "code": 120_001, "info": "be kind", "detail": "rule 7"}),
        json!({"verdict": "discard"}),
        json!({"verdict": "modify", "elements": [{"type": "text", "text": "l***h?"}]}),
        json!({
            "verdict": "modify", "elements": message["elements"], "custom_data": "", "mentions": message["mentions"],
            "sender_name": "A.", "sender_face": "", "carried": message["carried"],
        }),
        json!({"verdict": "pending", "deadline": 3600, "default": "reject"}),
        json!({"verdict": "pending", "deadline": 604_800}),
    ]
}

/// Answers to each of the other questions, all of which are read.
fn answers_to(command: &str) -> Vec<Value> {
    let member = json!({
        "account": "bob", "role": "admin", "name_card": "B.", "face_url": "", "muted_until": 0, "custom_data": "{}",
    });
    let modified = match command {
        GROUP_CREATING => Some(json!({
            "verdict": "modify", "id": "climbers-2", "name": "C.", "introduction": "", "announcement": "",
            "face_url": "", "custom_data": "{}", "joining": "closed", "approves_invitations": true,
            "hides_members": true, "refused": ["carol"], "members": [member],
        })),
        MEMBERS_ADDING => Some(json!({"verdict": "modify", "refused": ["carol"], "members": [member]})),
        GROUP_CHANGING => Some(json!({
            "verdict": "modify", "name": "C.", "introduction": "", "announcement": "", "face_url": "",
            "custom_data": "{}", "custom_fields": {"level": "4"}, "joining": "free", "muted": false,
            "member_limit": 10, "hides_members": true, "forbids_befriending": true, "approves_invitations": true,
        })),
        ACCOUNTS_REGISTERING => {
            let account = json!({"account": "carol", "name": "C.", "face_url": "", "custom_data": "{}"});
            Some(json!({"verdict": "modify", "accounts": [account]}))
        }
        _ => None,
    };
    let plain = [
        json!({}),
        json!({"verdict": "allow"}),
        json!({"verdict": "reject", "code": 10_100, "info": "not today", "detail": "rule 8"}),
    ];
    plain.into_iter().chain(modified).collect()
}

fn batch() -> webhook::codec::Call {
    let calls = [sent()[0].clone(), told(Event::GroupChanged(sample::group_change()), None)];
    // What a deliverer says of each: one that follows another of its conversation, and one that is its group's first.
    let envelope = |id: EventId, sequence: &str, previous: &str| Envelope {
        id: format!("{id}.app"),
        headers: vec![
            ("ringback-sequence", sequence.to_owned()),
            ("ringback-previous", previous.to_owned()),
            ("traceparent", format!("00-{id}-{:016x}-01", id.random_bits())),
        ],
    };
    let envelopes = [
        envelope(sample::plain().id, "41", "0199c82cbcf800000000000000000006.app"),
        envelope(sample::group_change().id, "42", ""),
    ];
    let items: Vec<_> = calls.iter().zip(&envelopes).map(|(call, envelope)| BatchItem { envelope, call }).collect();
    codec().batch(&items, Timestamp::from_millis(1_760_000_000_200)).expect("a batch")
}

fn find(command: &str) -> Callback {
    dialect().callbacks.into_iter().find(|callback| callback.command == command).expect("a callback")
}

#[test]
fn bodies_are_what_their_schemas_say() {
    dialect().check();
    let described: Vec<_> = dialect().callbacks.iter().map(|callback| callback.command).collect();
    assert!(EVENTS.iter().chain(&QUESTIONS).all(|command| described.contains(command)), "{described:?}");
}

#[test]
fn the_documents_are_up_to_date() {
    dialect().keep(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas"));
}

#[test]
fn a_broken_body_is_refused() {
    let sent = find(MESSAGE_SENT).call;
    let body: Value = serde_json::from_slice(&self::sent()[2].body).unwrap();
    assert!(sent.fits(&body));
    for (place, wrong) in [
        ("/type", json!("message.sending")),
        ("/timestamp", json!(1_760_000_000_123_i64)),
        ("/data", json!({})),
        ("/data/message/conversation", json!({"kind": "direct"})),
        ("/data/message/conversation/kind", json!("room")),
        ("/data/message/actor/kind", json!("nobody")),
        ("/data/message/time", json!("2025-10-09T08:53:20.123Z")),
        ("/data/message/elements/0", json!({"type": "text"})),
        ("/data/message/elements/0/type", json!("dance")),
        ("/data/message/elements/4/large/width", json!("640")),
        ("/data/message/mentions/1", json!("bob")),
        ("/data/message/carried/fields", json!([])),
    ] {
        let mut broken = body.clone();
        *broken.pointer_mut(place).unwrap() = wrong;
        assert!(!sent.fits(&broken), "{place}");
    }
}

/// The schema of answers and the code that reads them say the same.
#[test]
fn an_answer_fits_if_and_only_if_it_is_read() {
    let answers = find(MESSAGE_SENDING).answer;
    let is_read = |answer: &Value| answer::verdict(&sample::questions()[0], answer.to_string().as_bytes()).is_ok();
    for answer in verdicts() {
        assert!(answers.fits(&answer) && is_read(&answer), "{answer}");
    }
    for wrong in [
        json!({"ok": true}),
        json!({"verdict": "maybe"}),
        json!({"verdict": "allow", "code": 1}),
        json!({"verdict": "discard", "elements": []}),
        json!({"verdict": "reject", "code": "1"}),
        json!({"verdict": "reject", "reason": "no"}),
        json!({"verdict": "modify", "elements": []}),
        json!({"verdict": "modify", "elements": [{"type": "text"}]}),
        json!({"verdict": "modify", "elements": [{"type": "text", "text": "", "more": 1}]}),
        json!({"verdict": "modify", "mentions": [{"kind": "all", "account": "a"}]}),
        json!({"verdict": "modify", "text": "hi"}),
        json!({"verdict": "pending", "default": "discard"}),
        json!({"verdict": "pending", "deadline": -1}),
        json!({"verdict": "pending", "deadline": 0}),
        json!({"verdict": "pending", "deadline": 604_801}),
    ] {
        assert!(!answers.fits(&wrong) && !is_read(&wrong), "{wrong}");
    }
}

/// The same of all other questions.
#[test]
fn other_answers_fit_if_and_only_if_they_are_read() {
    for question in &sample::questions()[1..] {
        let command = codec().asks(question)[0];
        let described = find(command).answer;
        let is_read = |answer: &Value| codec().verdict(command, question, answer.to_string().as_bytes()).is_ok();
        let good = answers_to(command);
        for answer in &good {
            assert!(described.fits(answer) && is_read(answer), "{command}: {answer}");
        }
        // What one question takes, most others do not.
        for other in QUESTIONS.iter().filter(|other| **other != command).flat_map(|other| answers_to(other)) {
            assert_eq!(described.fits(&other), is_read(&other), "{command}: {other}");
        }
        for wrong in [
            json!({"verdict": "discard"}),
            json!({"verdict": "pending"}),
            json!({"verdict": "allow", "members": []}),
            json!({"verdict": "modify", "elements": []}),
            json!({"verdict": "modify", "members": [{"role": "admin"}]}),
            json!({"verdict": "modify", "members": [{"account": "bob", "role": "king"}]}),
            json!({"verdict": "modify", "accounts": [{"name": "nobody"}]}),
            json!({"verdict": "modify", "joining": "later"}),
            json!({"verdict": "modify", "members": [{"account": "bob", "role": "owner"}]}),
            json!({"verdict": "modify", "members": [{"account": "b\0"}]}),
            json!({"verdict": "modify", "refused": [""]}),
            json!({"verdict": "modify", "accounts": [{"account": "a\u{1f}"}]}),
            json!({"verdict": "modify", "id": "клуб"}),
            json!({"verdict": "modify", "id": "a\0b"}),
            json!({"verdict": "modify", "member_limit": 0}),
            json!({"verdict": "modify", "member_limit": -1}),
            json!({"verdict": "reject", "code": "1"}),
        ] {
            assert!(!described.fits(&wrong) && !is_read(&wrong), "{command}: {wrong}");
        }
    }
}

#[test]
fn each_event_of_a_batch_is_what_it_would_be_alone() {
    let batch: Value = serde_json::from_slice(&batch().body).unwrap();
    let events = batch["data"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    for event in events {
        assert!(find(event["type"].as_str().unwrap()).call.fits(event), "{event}");
    }
}
