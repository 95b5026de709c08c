//! `docs/schemas/openim`: what goes out and what may be answered.
//!
//! Bodies are described by the type that is sent. Answers are read field by field, so they are described here; a test
//! holds that against what is really read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ::schema::{Callback, Dialect, Moment, Shape};
use chat::conversation::ConversationId;
use chat::element::{Carried, Content, Custom, Element, Face, File, Image, Location, Merged, Picture, Sound, Video};
use chat::event::{Event, LogEntry, Position, Shard};
use chat::group::update::{Naming, UpdateGroup};
use chat::id::{MessageId, Timestamp};
use chat::message::{Delivery, Mention, Message};
use chat::question::Question;
use chat::{Actor, Origin, Platform};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use webhook::codec::{Call, Codec, sample_calls};

use super::commands::{
    AFTER_SEND_GROUP, AFTER_SEND_SINGLE, BEFORE_ADD_BLACK, BEFORE_CREATE_GROUP, BEFORE_INVITE, BEFORE_MEMBERS_JOIN,
    BEFORE_MSG_MODIFY, BEFORE_SEND_GROUP, BEFORE_SEND_SINGLE, BEFORE_SET_GROUP_INFO, BEFORE_SET_GROUP_INFO_EX,
    BEFORE_USER_REGISTER,
};
use super::request::Body;
use super::{account, group, member, update};
use crate::codec::OpenImCodec;
use crate::codec::tests::consent;

/// The answer to a question. It refuses if `actionCode` is 0 and `nextCode` is 1; the caller then gets `errCode`, `errMsg`
/// and `errDlt`. Anything else allows. Letter case of names does not matter, and what is null or not there is the zero
/// value.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Verdict {
    action_code: Option<Number>,
    err_code: Option<Number>,
    err_msg: Option<String>,
    err_dlt: Option<String>,
    next_code: Option<Number>,
}

/// The answer to the question whether to modify a message: as every answer to a question, and what is given beyond that
/// replaces the message's own.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Modification {
    #[schemars(flatten)]
    verdict: Verdict,
    /// A JSON object as text, of `contentType` or, without that, of the message's own.
    #[schemars(extend("contentMediaType" = "application/json"))]
    content: Option<String>,
    content_type: Option<Number>,
    /// Who is called by name; `AtAllTag` is everybody.
    #[schemars(rename = "atUserIDList")]
    at_user_id_list: Option<Vec<String>>,
    sender_nickname: Option<String>,
    #[schemars(rename = "senderFaceURL")]
    sender_face_url: Option<String>,
    options: Option<Map<String, Value>>,
    attached_info: Option<String>,
    /// Replaces only what is there.
    offline_push_info: Option<Map<String, Value>>,
    ex: Option<String>,
}

/// The answer to the question about a new group: as every answer to a question, and what is given beyond that replaces what
/// the group would be.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct GroupAnswer {
    #[schemars(flatten)]
    verdict: Verdict,
    #[schemars(rename = "groupID")]
    group_id: Option<String>,
    group_name: Option<String>,
    introduction: Option<String>,
    notification: Option<String>,
    #[schemars(rename = "faceURL")]
    face_url: Option<String>,
    ex: Option<String>,
    need_verification: Option<Number>,
    look_member_info: Option<Number>,
}

/// The answer to the question about a change of a group, as to one about a new group. `notification` is never taken.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct UpdateAnswer {
    #[schemars(flatten)]
    verdict: Verdict,
    /// The group that was asked about, if it is there.
    #[schemars(rename = "groupID")]
    group_id: Option<String>,
    group_name: Option<String>,
    introduction: Option<String>,
    #[schemars(rename = "faceURL")]
    face_url: Option<String>,
    ex: Option<String>,
    need_verification: Option<Number>,
    look_member_info: Option<Number>,
    apply_member_friend: Option<Number>,
}

/// The answer to the question about an invitation: those who are named do not become members.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct InviteAnswer {
    #[schemars(flatten)]
    verdict: Verdict,
    refused_members_account: Option<Vec<String>>,
}

/// The answer to the question about new members: what is different about some of them.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct JoinAnswer {
    #[schemars(flatten)]
    verdict: Verdict,
    member_callback_list: Option<Vec<ChangedMember>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct ChangedMember {
    #[schemars(rename = "userID")]
    user_id: String,
    nickname: Option<String>,
    #[schemars(rename = "faceURL")]
    face_url: Option<String>,
    role_level: Option<Number>,
    mute_end_time: Option<Number>,
    ex: Option<String>,
}

/// The answer to the question about new accounts: those that are named are registered in place of all that were asked about.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct RegisterAnswer {
    #[schemars(flatten)]
    verdict: Verdict,
    users: Option<Vec<RegisteredUser>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct RegisteredUser {
    #[schemars(rename = "userID")]
    user_id: String,
    nickname: Option<String>,
    #[schemars(rename = "faceURL")]
    face_url: Option<String>,
    ex: Option<String>,
}

/// The answer to an event. Not looked at, unless the endpoint has `acknowledge = "body"`: then it was heard if `errCode` is
/// 0 or not there.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Acknowledgement {
    action_code: Option<Number>,
    err_code: Option<Number>,
    err_msg: Option<String>,
    err_dlt: Option<String>,
    next_code: Option<Number>,
}

/// A number, or its digits; an empty text is 0.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is of interest")]
enum Number {
    Number(i64),
    Digits(#[schemars(regex(pattern = r"^\s*([+-]?[0-9]+)?\s*$"))] String),
}

const TIME: Timestamp = Timestamp::from_millis(1_760_000_000_123);

fn codec() -> OpenImCodec {
    OpenImCodec::new("http://127.0.0.1:9000/callback", BTreeSet::new())
}

fn message(conversation: ConversationId, content: Content) -> Message {
    Message {
        id: MessageId::new(TIME, 7),
        conversation,
        group_kind: None,
        seq: 0,
        sender: "alice".into(),
        actor: Actor::Account("alice".into()),
        origin: Origin { platform: Platform::Web, ip: None, operation: "op-77".into() },
        client_id: "b7d2a6f0c1e84b3f9a0e5d6c7b8a9f10".into(),
        time: TIME,
        created: Timestamp::from_millis(1_760_000_000_100),
        sender_name: "Alice".into(),
        sender_face: "https://cdn.example.com/alice.png".into(),
        elements: vec![content.into()],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
    }
}

/// A message of each kind.
fn messages(conversation: &ConversationId) -> Vec<Message> {
    let text = |text: &str| Some(text.to_owned());
    let picture = Picture { url: text("https://x/p"), size: Some(9000), width: Some(640), height: Some(480) };
    let contents = [
        Element::text("lunch?").content,
        Content::Face(Face { index: Some(1), data: text("smile") }),
        Content::Location(Location { description: text("square"), latitude: Some(52.5), longitude: Some(13.0) }),
        Content::Custom(Custom { data: text("d"), description: text("x"), ..Custom::default() }),
        Content::Image(Image { id: text("i1"), format: Some(1), original: Some(picture), ..Image::default() }),
        Content::Sound(Sound { url: text("https://x/s"), seconds: Some(4), ..Sound::default() }),
        Content::Video(Video { url: text("https://x/v"), seconds: Some(12), ..Video::default() }),
        Content::File(File { name: text("menu.pdf"), size: Some(77), ..File::default() }),
        Content::Merged(Merged { title: text("Chat"), digest: Some(vec!["a: lunch?".into()]), ..Merged::default() }),
    ];
    let mut messages: Vec<_> = contents.into_iter().map(|content| message(conversation.clone(), content)).collect();
    let fields = object(json!({"contentType": 114, "content": {"text": "so true", "quoteMessage": {"seq": 3}}}));
    let quote = Content::Foreign(chat::element::Foreign { kind: "114".into(), text: String::new() });
    let quote = Element { content: quote, carried: Carried::of("openim", fields) };
    let calling = Message {
        seq: 41,
        elements: vec![quote],
        mentions: vec![Mention::All, Mention::Account("bob".into())],
        custom_data: Some("Extra data".into()),
        ..message(conversation.clone(), Element::text("").content)
    };
    messages.push(calling);
    messages
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn asked(command: &'static str, message: Message) -> Call {
    codec().question(command, &Question::BeforeSend(Box::new(message)))
}

fn told(command: &'static str, message: Message) -> Call {
    let entry = LogEntry { shard: Shard(0), position: Position(1), event: Event::MessageSent(message), unread: None };
    codec().telling(command, &entry).expect("a call")
}

fn direct() -> Vec<Message> {
    messages(&ConversationId::direct("alice".into(), "bob".into()))
}

fn in_group() -> Vec<Message> {
    messages(&ConversationId::Group("g100".into()))
}

fn called(calls: Vec<Call>) -> Shape {
    let command = calls.first().map(|call| call.command).expect("an example");
    let shape = calls.iter().fold(Shape::sent::<Body<'_>>(), |shape, call| shape.example(&call.body));
    shape.without_nulls().always("callbackCommand", command)
}

fn answered(shape: Shape, answers: &[Value]) -> Shape {
    answers.iter().fold(shape, |shape, answer| shape.example(answer.to_string().as_bytes()))
}

fn dialect() -> Dialect {
    let to_one = |calls| called(calls).requires("recvID").lacks("groupID");
    let to_group = |calls| called(calls).requires("groupID").lacks("recvID");
    let asked = |command, messages: Vec<Message>| -> Vec<Call> {
        messages.into_iter().map(|message| self::asked(command, message)).collect()
    };
    let told = |command, messages: Vec<Message>| -> Vec<Call> {
        messages.into_iter().map(|message| self::told(command, message)).collect()
    };
    let question = |command, summary, call| Callback {
        command,
        moment: Moment::Asked,
        summary,
        call,
        answer: answered(Shape::read::<Verdict>(), &verdicts()),
    };
    let event = |command, summary, call| Callback {
        command,
        moment: Moment::Told,
        summary,
        call,
        answer: answered(Shape::read::<Acknowledgement>(), &verdicts()[..1]),
    };
    let mut callbacks = vec![
        question(
            BEFORE_SEND_SINGLE,
            "May this one-to-one message be sent?",
            to_one(asked(BEFORE_SEND_SINGLE, direct())),
        ),
        event(AFTER_SEND_SINGLE, "A one-to-one message was sent.", to_one(told(AFTER_SEND_SINGLE, direct()))),
        question(BEFORE_SEND_GROUP, "May this group message be sent?", to_group(asked(BEFORE_SEND_GROUP, in_group()))),
        event(AFTER_SEND_GROUP, "A group message was sent.", to_group(told(AFTER_SEND_GROUP, in_group()))),
        Callback {
            command: BEFORE_MSG_MODIFY,
            moment: Moment::Asked,
            summary: "Is this message to be changed? It names neither receiver nor group.",
            call: called(asked(BEFORE_MSG_MODIFY, direct())).lacks("recvID").lacks("groupID"),
            answer: answered(answered(Shape::read::<Modification>(), &verdicts()), &modifications()),
        },
    ];
    for (command, summary, asked, shape, answer) in consents() {
        let call = shape.example(&codec().question(command, &asked).body).always("callbackCommand", command);
        let answer = answered(answered(answer, &verdicts()), &consent_answers(command));
        callbacks.push(Callback { command, moment: Moment::Asked, summary, call, answer });
    }
    Dialect {
        name: "openim",
        title: "Ringback callbacks: OpenIM",
        description: "Each call is a POST to the endpoint's URL, a slash and the command, with `contenttype=json` in the query \
            (and `key`, the conversation, in that of an event) and the header `operationID`.",
        callbacks,
    }
}

/// The questions that are not about messages.
fn consents() -> Vec<(&'static str, &'static str, Question, Shape, Shape)> {
    let naming = |naming| {
        let texts = |text: &str| Some(text.to_owned());
        consent::changing(UpdateGroup {
            name: texts("Dinner"),
            hides_members: Some(true),
            naming,
            ..Default::default()
        })
    };
    let making = || consent::making(consent::creation());
    vec![
        (
            BEFORE_CREATE_GROUP,
            "May this group be made?",
            making(),
            Shape::sent::<group::Body<'_>>(),
            Shape::read::<GroupAnswer>(),
        ),
        (
            BEFORE_MEMBERS_JOIN,
            "What is different about these new members?",
            making(),
            Shape::sent::<member::Joining<'_>>(),
            Shape::read::<JoinAnswer>(),
        ),
        (
            BEFORE_INVITE,
            "May these users become members? Answered per user.",
            consent::adding(),
            Shape::sent::<member::Invitation<'_>>(),
            Shape::read::<InviteAnswer>(),
        ),
        (
            BEFORE_SET_GROUP_INFO,
            "May this group be changed so? What does not change is empty or 0.",
            naming(Naming::Filled),
            Shape::sent::<update::Body<'_, &str, i32>>(),
            Shape::read::<UpdateAnswer>(),
        ),
        (
            BEFORE_SET_GROUP_INFO_EX,
            "May this group be changed so? What does not change is null.",
            naming(Naming::Named),
            Shape::sent::<update::Body<'_, Option<&str>, Option<i32>>>(),
            Shape::read::<UpdateAnswer>(),
        ),
        (
            BEFORE_ADD_BLACK,
            "May this user block that one?",
            Question::BeforeBlock(Box::new(consent::block())),
            Shape::sent::<account::Blocking<'_>>(),
            Shape::read::<Verdict>(),
        ),
        (
            BEFORE_USER_REGISTER,
            "May these users be registered?",
            consent::registering(vec![consent::zoe()]),
            Shape::sent::<account::Registering<'_>>(),
            Shape::read::<RegisterAnswer>(),
        ),
    ]
}

/// More answers to them, all of which are read.
fn consent_answers(command: &str) -> Vec<Value> {
    let profile = json!({
        "groupID": "g100", "groupName": "Dinner", "introduction": "", "faceURL": "", "ex": "x", "needVerification": 2,
        "lookMemberInfo": "1",
    });
    match command {
        BEFORE_CREATE_GROUP => vec![profile, json!({"notification": "at six"})],
        BEFORE_SET_GROUP_INFO | BEFORE_SET_GROUP_INFO_EX => vec![profile, json!({"applyMemberFriend": 1})],
        BEFORE_MEMBERS_JOIN => vec![json!({"memberCallbackList": [{
            "userID": "bob", "nickname": "B.", "faceURL": "", "roleLevel": 60, "muteEndTime": 7, "ex": null,
        }]})],
        BEFORE_INVITE => vec![json!({"refusedMembersAccount": ["dave"]})],
        BEFORE_USER_REGISTER => {
            vec![json!({"users": [{"userID": "zoe", "nickname": "Z.", "faceURL": "", "ex": ""}]})]
        }
        _ => Vec::new(),
    }
}

/// What is answered to these, too, fits if and only if it is read.
#[test]
fn an_answer_about_others_fits_if_and_only_if_it_is_read() {
    for (command, _, question, ..) in consents() {
        let described = find(command).answer;
        let is_read = |answer: &Value| codec().verdict(command, &question, answer.to_string().as_bytes()).is_ok();
        for answer in verdicts().iter().chain(&consent_answers(command)) {
            assert!(described.fits(answer) && is_read(answer), "{command}: {answer}");
        }
        for (name, wrong) in [
            ("errMsg", json!(1)),
            ("groupName", json!(1)),
            ("needVerification", json!("x")),
            ("refusedMembersAccount", json!("dave")),
            ("memberCallbackList", json!([{"nickname": "nobody"}])),
            ("users", json!([7])),
        ] {
            let wrong = json!({ name: wrong });
            assert_eq!(described.fits(&wrong), is_read(&wrong), "{command}: {wrong}");
        }
    }
}

/// Answers to a question, all of which are read.
fn verdicts() -> [Value; 4] {
    [
        json!({"actionCode": 0, "errCode": 0, "errMsg": "", "errDlt": "", "nextCode": 0}),
        json!({"actionCode": 0, "errCode": 5001, "errMsg": "not today", "errDlt": "sender limited", "nextCode": 1}),
        json!({"actionCode": 0, "errCode": "0", "nextCode": "", "errMsg": null}),
        json!({}),
    ]
}

/// Answers to the question whether to modify, all of which are read.
fn modifications() -> [Value; 2] {
    let content = json!({"data": "d", "description": "x", "extension": ""}).to_string();
    [
        json!({"nextCode": 0, "content": r#"{"content":"lunch? ***"}"#, "ex": "moderated"}),
        json!({
            "content": content, "contentType": 110, "atUserIDList": ["bob"], "senderNickname": "A.", "senderFaceURL": "",
            "options": {"unreadCount": false}, "attachedInfo": "info", "offlinePushInfo": {"title": "t"}, "ex": null,
        }),
    ]
}

/// Whatever is asked or told has a schema, and fits it.
#[test]
fn every_question_and_every_event_is_described() {
    let callbacks = dialect().callbacks;
    for Call { command, body, .. } in sample_calls(&codec()) {
        let described = callbacks.iter().find(|callback| callback.command == command);
        let described = described.unwrap_or_else(|| panic!("{command} is called, and not described"));
        let body = serde_json::from_slice(&body).unwrap();
        assert!(described.call.fits(&body), "{command}: {body}");
    }
}

#[test]
fn bodies_are_what_their_schemas_say() {
    dialect().check();
}

#[test]
fn the_documents_are_up_to_date() {
    dialect().keep(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas"));
}

fn find(command: &str) -> Callback {
    dialect().callbacks.into_iter().find(|callback| callback.command == command).expect("a callback")
}

#[test]
fn a_broken_body_is_refused() {
    let described = find(AFTER_SEND_SINGLE).call;
    let [.., message] = &direct()[..] else { panic!("no message") };
    let body: Value = serde_json::from_slice(&told(AFTER_SEND_SINGLE, message.clone()).body).unwrap();
    assert!(described.fits(&body));
    let whole: BTreeMap<String, Value> = object(body.clone()).into_iter().collect();
    for name in whole.keys() {
        let mut less = body.clone();
        less.as_object_mut().unwrap().remove(name);
        assert!(!described.fits(&less), "without {name}");
        let mut broken = body.clone();
        broken[name] = json!({"of": "another type"});
        assert!(!described.fits(&broken), "a strange {name}");
    }
    let other = serde_json::from_slice(&told(AFTER_SEND_GROUP, in_group().remove(0)).body).unwrap();
    assert!(!described.fits(&other));
}

/// The schemas of answers and the code that reads them say the same.
#[test]
fn an_answer_fits_if_and_only_if_it_is_read() {
    let is_read = |command, answer: &Value| {
        let question = Question::BeforeSend(Box::new(direct().remove(0)));
        codec().verdict(command, &question, answer.to_string().as_bytes()).is_ok()
    };
    let (single, modify) = (find(BEFORE_SEND_SINGLE).answer, find(BEFORE_MSG_MODIFY).answer);
    for answer in verdicts() {
        assert!(single.fits(&answer) && is_read(BEFORE_SEND_SINGLE, &answer), "{answer}");
    }
    for answer in verdicts().iter().chain(&modifications()) {
        assert!(modify.fits(answer) && is_read(BEFORE_MSG_MODIFY, answer), "{answer}");
    }
    for wrong in [
        json!([]),
        json!("ok"),
        json!({"nextCode": "x"}),
        json!({"nextCode": []}),
        json!({"errMsg": 1}),
        json!({"actionCode": 0.5}),
        json!({"errDlt": {}}),
    ] {
        assert!(!single.fits(&wrong) && !is_read(BEFORE_SEND_SINGLE, &wrong), "{wrong}");
        assert!(!modify.fits(&wrong) && !is_read(BEFORE_MSG_MODIFY, &wrong), "{wrong}");
    }
    for wrong in [
        json!({"content": {"content": "x"}}),
        json!({"contentType": "text"}),
        json!({"atUserIDList": "bob"}),
        json!({"atUserIDList": [1]}),
        json!({"senderNickname": 1}),
        json!({"options": []}),
        json!({"attachedInfo": {}}),
        json!({"offlinePushInfo": "x"}),
        json!({"ex": 1}),
    ] {
        assert!(!modify.fits(&wrong) && !is_read(BEFORE_MSG_MODIFY, &wrong), "{wrong}");
    }
}
