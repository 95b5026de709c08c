//! `docs/schemas/tencent`: what goes out and what may be answered.
//!
//! Bodies are described by the types that are sent. Elements and answers are written and read field by field, so they are
//! described here; the tests hold that against what is really sent, and against what is really read.

use std::path::Path;

use ::schema::{Callback, Dialect, Moment, Shape};
use chat::Actor;
use chat::conversation::ConversationId;
use chat::element::{
    Carried, Content, Custom, Element, Face, File, Foreign, Image, Location, Merged, Picture, Sound, Video,
};
use chat::event::{GroupChange, NotSent, Position, Shard};
use chat::group::GroupKind;
use chat::id::MessageId;
use chat::message::Delivery;
use schemars::JsonSchema;
use serde_json::{Map, json};
use webhook::codec::sample_calls;

use super::bodies::{
    AfterC2c, AfterGroup, BeforeC2c, BeforeCreateGroup, BeforeCreateTopic, BeforeGroup, BeforeInvite, GroupChanged,
};
use super::tests::consent;
use super::*;

/// An element of a message. A field that the sender left out is left out; fields that are not named here are passed on.
#[derive(JsonSchema)]
#[serde(tag = "MsgType", content = "MsgContent")]
#[expect(dead_code, clippy::enum_variant_names, reason = "only its schema is of interest; the names are the wire's")]
pub(super) enum MsgElement {
    TIMTextElem(MsgText),
    TIMFaceElem(MsgFace),
    TIMLocationElem(MsgLocation),
    TIMCustomElem(MsgCustom),
    TIMSoundElem(MsgSound),
    TIMImageElem(MsgImage),
    TIMFileElem(MsgFile),
    TIMVideoFileElem(Box<MsgVideo>),
    TIMRelayElem(MsgRelay),
}

/// Text.
#[derive(JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
pub(super) struct MsgText {
    text: String,
}

/// Contents whose fields may all be left out, or null if the sender had it so.
macro_rules! contents {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $wire:literal $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is of interest")]
        pub(super) struct $name {$(
            $(#[$field_doc])*
            #[serde(rename = $wire)]
            #[schemars(skip_serializing_if = "Option::is_none")]
            $field: Option<$type>,
        )*}
    )*};
}

contents! {
    /// A sticker.
    MsgFace { "Index" index: i64, "Data" data: String, }
    /// A place.
    MsgLocation { "Desc" description: String, "Latitude" latitude: f64, "Longitude" longitude: f64, }
    /// The app's own content; also what stands for an element that only another dialect knows, as JSON in `Data`.
    MsgCustom { "Data" data: String, "Desc" description: String, "Ext" extension: String, "Sound" sound: String, }
    /// A voice message.
    MsgSound {
        "Url" url: String,
        "UUID" id: String,
        "Size" size: i64,
        "Second" seconds: i64,
        /// 2, unless the sender said otherwise.
        "Download_Flag" flag: Value,
    }
    /// A picture.
    MsgImage {
        "UUID" id: String,
        /// 1 JPG, 2 GIF, 3 PNG, 4 BMP, 255 other.
        "ImageFormat" format: i64,
        "ImageInfoArray" sizes: Vec<MsgImageSize>,
    }
    /// One size of a picture.
    MsgImageSize {
        /// 1 the whole picture, 2 a large preview, 3 a thumbnail.
        "Type" kind: i64,
        "Size" size: i64,
        "Width" width: i64,
        "Height" height: i64,
        "URL" url: String,
    }
    /// A file.
    MsgFile {
        "Url" url: String,
        "UUID" id: String,
        "FileSize" size: i64,
        "FileName" name: String,
        /// 2, unless the sender said otherwise.
        "Download_Flag" flag: Value,
    }
    /// A video.
    MsgVideo {
        "VideoUrl" url: String,
        "VideoUUID" id: String,
        "VideoSize" size: i64,
        "VideoSecond" seconds: i64,
        "VideoFormat" format: String,
        /// 2, unless the sender said otherwise.
        "VideoDownloadFlag" flag: Value,
        "ThumbUrl" snapshot_url: String,
        "ThumbUUID" snapshot_id: String,
        "ThumbSize" snapshot_size: i64,
        "ThumbWidth" snapshot_width: i64,
        "ThumbHeight" snapshot_height: i64,
        "ThumbFormat" snapshot_format: String,
        /// 2, unless the sender said otherwise.
        "ThumbDownloadFlag" snapshot_flag: Value,
    }
    /// Several messages, forwarded as one.
    MsgRelay {
        "Title" title: String,
        "MsgNum" count: i64,
        "CompatibleText" fallback: String,
        "AbstractList" digest: Vec<String>,
    }
}

/// The answer to a question about a message. `ErrorCode` decides: 0 go on, with what is given here in place of the message's
/// own; 2 drop it, and let it look sent; any other refuses it. 120001 to 130000 (one-to-one) and 10100 to 10200 (group)
/// reach the sender with `ErrorInfo`, any other as the general code of a refusal.
#[derive(JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct MessageVerdict {
    /// Not looked at.
    action_status: Option<String>,
    error_info: Option<String>,
    error_code: Code,
    msg_body: Option<Vec<MsgElement>>,
    cloud_custom_data: Option<String>,
}

/// The answer to a question about a group or a topic. `ErrorCode` decides: 0 go on; any other refuses it. 10100 to 10200
/// reach the caller with `ErrorInfo`, any other as the general code of a refusal.
#[derive(JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Consent {
    /// Not looked at.
    action_status: Option<String>,
    error_info: Option<String>,
    error_code: Code,
}

/// The answer to a question about new members, as to one about a group; with `ErrorCode` 0, those who are named do not
/// become members.
#[derive(JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct MembersConsent {
    /// Not looked at.
    action_status: Option<String>,
    error_info: Option<String>,
    error_code: Code,
    #[serde(rename = "RefusedMembers_Account")]
    refused: Option<Vec<String>>,
}

/// The answer to an event. Not looked at, unless the endpoint has `acknowledge = "body"`: then it was heard if `ErrorCode`
/// is 0.
#[derive(JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Acknowledgement {
    action_status: Option<String>,
    error_info: Option<String>,
    error_code: Code,
}

/// A code: a number, or its digits.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is of interest")]
enum Code {
    Number(i64),
    Digits(#[schemars(regex(pattern = r"^[+-]?[0-9]+$"))] String),
}

const TIME: Timestamp = Timestamp::from_millis(1_557_481_126_000);

fn codec() -> TencentCodec {
    TencentCodec::new("http://127.0.0.1:9000/callback".into(), 1_400_000_000, None)
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn message(conversation: ConversationId) -> Message {
    Message {
        id: MessageId::new(TIME, 7),
        conversation,
        group_kind: None,
        seq: 41,
        sender: "jared".into(),
        actor: Actor::App("administrator".into()),
        origin: Origin::default(),
        client_id: "x".into(),
        time: TIME,
        created: TIME,
        sender_name: String::new(),
        sender_face: String::new(),
        elements: vec![Element::text("red packet")],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: Carried::of(crate::DIALECT, object(json!({ "MsgSeq": 48374, "MsgRandom": 2_837_546 }))),
    }
}

/// A text, and a message of everything.
fn direct() -> [Message; 2] {
    let plain = message(ConversationId::direct("jared".into(), "Jonh".into()));
    [plain.clone(), full(plain)]
}

fn in_group() -> [Message; 2] {
    let plain = message(ConversationId::Group("@TGS#2J4SZEAEL".into()));
    let topic = ConversationId::Topic("@TGS#_@TGS#c9Z".into(), "@TGS#_@TGS#c9Z@TOPIC#_routes".into());
    let topic = Message { group_kind: Some(GroupKind::Community), ..message(topic) };
    [Message { group_kind: Some(GroupKind::Public), ..plain }, full(topic)]
}

fn full(message: Message) -> Message {
    Message { custom_data: Some("your cloud custom data".into()), elements: every_element(), ..message }
}

/// One element of each kind, with every field.
fn every_element() -> Vec<Element> {
    let text = |text: &str| Some(text.to_owned());
    let picture = |size: i64| {
        Some(Picture { url: Some("https://x/p".into()), size: Some(size), width: Some(640), height: Some(480) })
    };
    let contents = [
        Content::Face(Face { index: Some(1), data: text("smile") }),
        Content::Location(Location { description: text("square"), latitude: Some(52.5), longitude: Some(13.0) }),
        Content::Custom(Custom { data: text("d"), description: text("x"), extension: text("e"), sound: text("s") }),
        Content::Image(Image {
            id: text("i1"),
            format: Some(1),
            original: picture(9000),
            large: picture(3000),
            thumbnail: picture(300),
        }),
        Content::Sound(Sound { id: text("s1"), url: text("https://x/s"), size: Some(6000), seconds: Some(4) }),
        Content::Video(Video {
            id: text("v1"),
            url: text("https://x/v"),
            size: Some(900_000),
            seconds: Some(12),
            format: text("mp4"),
            snapshot_id: text("v1s"),
            snapshot_url: text("https://x/vs"),
            snapshot_size: Some(800),
            snapshot_width: Some(640),
            snapshot_height: Some(480),
            snapshot_format: text("jpg"),
        }),
        Content::File(File { id: text("f1"), url: text("https://x/f"), size: Some(77), name: text("menu.pdf") }),
        Content::Merged(Merged {
            title: text("Chat"),
            digest: Some(vec!["a: lunch?".into(), "b: yes".into()]),
            count: Some(2),
            fallback: text("[merged]"),
        }),
        Content::Foreign(Foreign { kind: "114".into(), text: "so true".into() }),
    ];
    contents.map(Element::from).into_iter().chain([Element::text("hi")]).collect()
}

fn told(event: Event) -> Call {
    let command = codec().tells(&event).expect("it is told");
    let entry = LogEntry { shard: Shard(0), position: Position(1), event, unread: Some(3) };
    codec().telling(command, &entry).expect("a call")
}

fn asked(command: &'static str, message: Message) -> Call {
    codec().question(command, &Question::BeforeSend(Box::new(message)))
}

fn group_change() -> GroupChange {
    let text = |text: &str| Some(text.to_owned());
    GroupChange {
        id: MessageId::new(TIME, 8),
        group: "@TGS#2J4SZEAEL".into(),
        kind: GroupKind::Public,
        actor: Actor::App("administrator".into()),
        origin: Origin::default(),
        time: TIME,
        name: text("MyFirstGroup"),
        introduction: text("TestGroup"),
        announcement: text("TestGroup"),
        face_url: text("http://this.is.face.url"),
    }
}

fn with(shape: Shape, calls: &[Call]) -> Shape {
    let command = calls.first().map(|call| call.command).expect("an example");
    calls.iter().fold(shape, |shape, call| shape.example(&call.body)).always("CallbackCommand", command)
}

fn dialect() -> Dialect {
    let asked = |command, summary, shape, messages: [Message; 2], own_code: i64| Callback {
        command,
        moment: Moment::Asked,
        summary,
        call: with(shape, &messages.map(|message| self::asked(command, message))),
        answer: verdicts(own_code)
            .iter()
            .fold(Shape::read::<MessageVerdict>(), |shape, answer| shape.example(answer.to_string().as_bytes())),
    };
    let told = |command, summary, shape, calls: &[Call]| Callback {
        command,
        moment: Moment::Told,
        summary,
        call: with(shape, calls),
        answer: Shape::read::<Acknowledgement>().example(br#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#),
    };
    let consent = |summary, question: &Question, call: Shape, answer: Shape, answers: &[Value]| {
        let command = codec().asks(question)[0];
        let answer = answers.iter().fold(answer, |shape, answer| shape.example(answer.to_string().as_bytes()));
        let call = with(call, &[codec().question(command, question)]);
        Callback { command, moment: Moment::Asked, summary, call, answer }
    };
    let ([create_group, create_topic, invite], answers) = (consents(), consent_answers());
    let [text, full] = direct();
    let unsent = Event::MessageNotSent { message: text.clone(), reason: NotSent::Blocked };
    let sent = Event::MessageSent;
    let after_c2c = [self::told(sent(text)), self::told(sent(full)), self::told(unsent)];
    let callbacks = vec![
        asked(BEFORE_C2C, "May this one-to-one message be sent?", Shape::sent::<BeforeC2c<'_>>(), direct(), 120_001),
        told(
            AFTER_C2C,
            "A one-to-one message was sent, or could not be delivered.",
            Shape::sent::<AfterC2c<'_>>(),
            &after_c2c,
        ),
        asked(BEFORE_GROUP, "May this group message be sent?", Shape::sent::<BeforeGroup<'_>>(), in_group(), 10_100),
        told(
            AFTER_GROUP,
            "A group message was sent.",
            Shape::sent::<AfterGroup<'_>>(),
            &in_group().map(|message| self::told(sent(message))),
        ),
        consent(
            "May this group be made?",
            &create_group,
            Shape::sent::<BeforeCreateGroup<'_>>(),
            Shape::read::<Consent>(),
            &answers[..2],
        ),
        consent(
            "May this community get this topic?",
            &create_topic,
            Shape::sent::<BeforeCreateTopic<'_>>(),
            Shape::read::<Consent>(),
            &answers[..2],
        ),
        consent(
            "May these accounts become members? Answered per account.",
            &invite,
            Shape::sent::<BeforeInvite<'_>>(),
            Shape::read::<MembersConsent>(),
            &answers,
        ),
        told(
            GROUP_CHANGED,
            "A group's profile changed: only what changed is there.",
            Shape::sent::<GroupChanged<'_>>(),
            &[self::told(Event::GroupChanged(group_change()))],
        ),
    ];
    Dialect {
        name: "tencent",
        title: "Ringback callbacks: Tencent Cloud Chat",
        description: "Each call is a POST to the endpoint's URL with the query `SdkAppid`, `CallbackCommand`, \
            `contenttype=json`, `ClientIP` and `OptPlatform`, and, if the endpoint has a `token`, `Sign` and `RequestTime`.",
        callbacks,
    }
}

/// Answers to a question, all of which are read.
fn verdicts(own_code: i64) -> [Value; 5] {
    let elements = encode(&every_element());
    [
        json!({ "ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0 }),
        json!({ "ActionStatus": "OK", "ErrorInfo": "be kind", "ErrorCode": own_code }),
        json!({ "ErrorCode": 2 }),
        json!({ "ErrorCode": "0", "CloudCustomData": null }),
        json!({ "ErrorCode": 0, "MsgBody": elements, "CloudCustomData": "new" }),
    ]
}

/// The questions that are not about messages.
fn consents() -> [Question; 3] {
    let members = consent::members(&[("ines", chat::member::Role::Owner), ("yuki", chat::member::Role::Member)]);
    [consent::creation(members), consent::topic(), consent::addition()]
}

/// Answers to them, all of which are read; the last is to the one about members.
fn consent_answers() -> [Value; 3] {
    [
        json!({ "ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0 }),
        json!({ "ActionStatus": "OK", "ErrorInfo": "not today", "ErrorCode": 10_100 }),
        json!({ "ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "RefusedMembers_Account": ["pavel"] }),
    ]
}

/// A body may have one custom element; the one that stands for what another dialect knows is another.
fn encode(elements: &[Element]) -> Vec<Value> {
    let is_foreign = |element: &&Element| matches!(element.content, Content::Foreign(_));
    let own: Vec<_> = elements.iter().filter(|element| !is_foreign(element)).cloned().collect();
    crate::element::encode_body(&own)
}

#[test]
fn an_answer_about_members_fits_if_and_only_if_it_is_read() {
    let [_, _, invite] = consents();
    let command = codec().asks(&invite)[0];
    let described = dialect().callbacks.into_iter().find(|callback| callback.command == command).unwrap().answer;
    let is_read = |answer: &Value| codec().verdict(command, &invite, answer.to_string().as_bytes()).is_ok();
    for answer in consent_answers() {
        assert!(described.fits(&answer) && is_read(&answer), "{answer}");
    }
    for wrong in [
        json!({ "ErrorInfo": "" }),
        json!({ "ErrorCode": 0, "RefusedMembers_Account": "pavel" }),
        json!({ "ErrorCode": 0, "RefusedMembers_Account": [1] }),
    ] {
        assert!(!described.fits(&wrong) && !is_read(&wrong), "{wrong}");
    }
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

#[test]
fn a_broken_body_is_refused() {
    let described = dialect().callbacks.into_iter().find(|callback| callback.command == BEFORE_C2C).unwrap().call;
    let [_, message] = direct();
    let body: Value = serde_json::from_slice(&asked(BEFORE_C2C, message).body).unwrap();
    assert!(described.fits(&body));
    for (place, wrong) in [
        ("/CallbackCommand", json!(AFTER_C2C)),
        ("/From_Account", json!(null)),
        ("/MsgSeq", json!("48374")),
        ("/MsgBody", json!({})),
        ("/MsgBody/0/MsgType", json!("TIMDanceElem")),
        ("/MsgBody/0/MsgContent/Index", json!("1")),
        ("/MsgBody/3/MsgContent/ImageInfoArray/0/Width", json!("640")),
        ("/CloudCustomData", json!(7)),
    ] {
        let mut broken = body.clone();
        *broken.pointer_mut(place).unwrap() = wrong;
        assert!(!described.fits(&broken), "{place}");
    }
}

/// What a sender said beyond the documents is passed on, and is not against the schema.
#[test]
fn odd_elements_fit_too() {
    let odd = json!([
        { "MsgType": "TIMCustomElem", "MsgContent": { "Data": null, "More": { "x": 1 } } },
        { "MsgType": "TIMSoundElem", "MsgContent": { "Download_Flag": "no", "Second": 3 } },
        { "MsgType": "TIMImageElem", "MsgContent": { "ImageInfoArray": [{ "Type": 9, "Blur": true }] } },
    ]);
    let message = Message { elements: decode_body(odd.clone()).unwrap(), ..direct()[0].clone() };
    let body: Value = serde_json::from_slice(&asked(BEFORE_C2C, message).body).unwrap();
    assert_eq!(body["MsgBody"], odd);
    assert!(dialect().callbacks[0].call.fits(&body), "{body}");
}

/// The schema of answers and the code that reads them say the same.
#[test]
fn an_answer_fits_if_and_only_if_it_is_read() {
    let described = dialect().callbacks.into_iter().find(|callback| callback.command == BEFORE_C2C).unwrap().answer;
    let question = Question::BeforeSend(Box::new(direct()[0].clone()));
    let is_read = |answer: &Value| codec().verdict(BEFORE_C2C, &question, answer.to_string().as_bytes()).is_ok();
    for answer in verdicts(120_001) {
        assert!(described.fits(&answer) && is_read(&answer), "{answer}");
    }
    let element =
        |kind: &str, content: Value| json!({ "ErrorCode": 0, "MsgBody": [{ "MsgType": kind, "MsgContent": content }] });
    for wrong in [
        json!([]),
        json!({}),
        json!({ "ErrorCode": true }),
        json!({ "ErrorCode": "no" }),
        json!({ "ErrorCode": 0, "CloudCustomData": 1 }),
        json!({ "ErrorCode": 0, "MsgBody": "x" }),
        element("TIMDanceElem", json!({})),
        element("TIMTextElem", json!({})),
        element("TIMFaceElem", json!({ "Index": "1" })),
        element("TIMRelayElem", json!({ "AbstractList": [1] })),
    ] {
        assert!(!described.fits(&wrong) && !is_read(&wrong), "{wrong}");
    }
}
