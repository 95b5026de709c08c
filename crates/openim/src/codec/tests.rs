pub(crate) mod consent;

use chat::conversation::ConversationId;
use chat::element::{Carried, Content, Element, Face};
use chat::event::NotSent;
use chat::id::{ClientMessageId, GroupId, MessageId};
use chat::message::{Delivery, Mention};
use chat::{Actor, Origin, Platform, Refusal};
use serde_json::{Value, json};

use super::*;
use crate::content::{Shown, decode};

fn element(content_type: i32, value: Value) -> Element {
    let Value::Object(object) = value else { panic!("{value}") };
    decode(Shown { content_type, object }, &[])
}

fn message(conversation: ConversationId, sender: &str) -> Message {
    let time = Timestamp::from_millis(1_760_000_000_123);
    Message {
        id: MessageId::new(time, 7),
        conversation,
        group_kind: None,
        seq: 0,
        sender: AccountId::from(sender),
        actor: Actor::Account(AccountId::from(sender)),
        origin: Origin { platform: Platform::Web, ip: None, operation: "op-77".into() },
        client_id: ClientMessageId::new("b7d2a6f0c1e84b3f9a0e5d6c7b8a9f10"),
        time,
        created: Timestamp::from_millis(1_760_000_000_100),
        sender_name: "Alice".into(),
        sender_face: "http://faces/alice".into(),
        elements: vec![Element::text("lunch?")],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
    }
}

fn direct() -> Message {
    message(ConversationId::direct("alice".into(), "bob".into()), "alice")
}

fn group() -> Message {
    message(ConversationId::Group(GroupId::new("g100")), "alice")
}

fn codec() -> OpenImCodec {
    OpenImCodec::new("http://app:9000/hook", BTreeSet::from([AccountId::new("imAdmin")]))
}

fn ask(message: Message) -> Question {
    Question::BeforeSend(Box::new(message))
}

fn json_of(call: &Call) -> Value {
    serde_json::from_slice(&call.body).unwrap()
}

#[test]
fn a_question_is_worded_like_openims() {
    let call = codec().question(BEFORE_SEND_SINGLE, &ask(direct()));
    let body = String::from_utf8(call.body.to_vec()).unwrap();
    let expected = concat!(
        r#"{"sendID":"alice","callbackCommand":"callbackBeforeSendSingleMsgCommand","#,
        r#""serverMsgID":"0199c82cc07b00000000000000000007","clientMsgID":"b7d2a6f0c1e84b3f9a0e5d6c7b8a9f10","#,
        r#""operationID":"op-77","senderPlatformID":5,"senderNickname":"Alice","sessionType":1,"msgFrom":100,"#,
        r#""contentType":101,"status":1,"sendTime":1760000000123,"createTime":1760000000100,"#,
        r#""content":"{\"content\":\"lunch?\"}","seq":0,"atUserList":null,"faceURL":"http://faces/alice","#,
        r#""senderFaceURL":"http://faces/alice","ex":"","recvID":"bob"}"#,
    );
    let id = direct().id.to_string();
    assert_eq!(body, expected.replace("0199c82cc07b00000000000000000007", &id));
    assert_eq!(call.headers, [("operationID", "op-77".to_owned())]);
    let url = codec().url(&call, Timestamp::default());
    assert_eq!(url, "http://app:9000/hook/callbackBeforeSendSingleMsgCommand?contenttype=json");
}

#[test]
fn the_question_whether_to_modify_names_no_receiver() {
    let body = json_of(&codec().question(BEFORE_MSG_MODIFY, &ask(group())));
    assert_eq!((body.get("recvID"), body.get("groupID")), (None, None));
    let body = json_of(&codec().question(BEFORE_SEND_GROUP, &ask(group())));
    assert_eq!((body.get("recvID"), &body["groupID"], &body["sessionType"]), (None, &json!("g100"), &json!(3)));
}

#[test]
fn what_is_asked_in_which_order() {
    let codec = codec();
    assert_eq!(codec.asks(&ask(direct())), [BEFORE_SEND_SINGLE, BEFORE_MSG_MODIFY]);
    assert_eq!(codec.asks(&ask(group())), [BEFORE_SEND_GROUP, BEFORE_MSG_MODIFY]);
    let by_admin = message(ConversationId::direct("imAdmin".into(), "bob".into()), "imAdmin");
    assert_eq!(codec.asks(&ask(by_admin)), [BEFORE_MSG_MODIFY]);
    let by_admin = message(ConversationId::Group("g100".into()), "imAdmin");
    assert_eq!(codec.asks(&ask(by_admin)), [BEFORE_SEND_GROUP, BEFORE_MSG_MODIFY]);
    for content_type in [113, 1000, 1501, 5000] {
        let silent = Message { elements: vec![element(content_type, json!({"detail": "{}"}))], ..direct() };
        assert!(codec.asks(&ask(silent.clone())).is_empty());
        assert_eq!(codec.tells(&Event::MessageSent(silent)), None);
    }
}

#[test]
fn what_is_told() {
    let codec = codec();
    assert_eq!(codec.tells(&Event::MessageSent(direct())), Some(AFTER_SEND_SINGLE));
    assert_eq!(codec.tells(&Event::MessageSent(group())), Some(AFTER_SEND_GROUP));
    let delivery = Delivery { no_after_callback: true, ..Delivery::default() };
    assert_eq!(codec.tells(&Event::MessageSent(Message { delivery, ..group() })), None);
    assert_eq!(codec.tells(&Event::MessageNotSent { message: direct(), reason: NotSent::Blocked }), None);
    assert!(ALL.iter().all(|command| codec.knows(command)) && !codec.knows("C2C.CallbackBeforeSendMsg"));
    let mut unique: Vec<_> = ALL.to_vec();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), 52);
}

/// A group message of a backend, as `callbackAfterSendGroupMsgCommand` tells it.
#[test]
fn an_after_callback_has_the_real_seq_and_a_key() {
    let message = Message {
        seq: 41,
        origin: Origin::default(),
        mentions: vec![Mention::Account("bob".into()), Mention::All],
        custom_data: Some("Extra data".into()),
        carried: Carried::of("openim", json!({"senderPlatformID": 1}).as_object().unwrap().clone()),
        ..group()
    };
    let shown = MsgData::of(&message);
    let call = call(AFTER_SEND_GROUP, &message, &shown, format!("{}&{}", url::CONTENT_TYPE, url::key(&shown)));
    let body = json_of(&call);
    assert_eq!(body["seq"], 41);
    assert_eq!((&body["msgFrom"], &body["senderPlatformID"]), (&json!(200), &json!(1)));
    assert_eq!(body["contentType"], 106);
    assert_eq!(body["atUserList"], json!(["bob", "AtAllTag"]));
    assert_eq!(body["ex"], "Extra data");
    // Nobody named the operation: the message's id stands in.
    assert_eq!(body["operationID"], message.id.to_string());
    assert_eq!(call.headers, [("operationID", message.id.to_string())]);
    let url = codec().url(&call, Timestamp::default());
    // {"sendID":"alice","recvID":"","groupID":"g100"}
    let key = "eyJzZW5kSUQiOiJhbGljZSIsInJlY3ZJRCI6IiIsImdyb3VwSUQiOiJnMTAwIn0%3D";
    assert_eq!(url, format!("http://app:9000/hook/callbackAfterSendGroupMsgCommand?contenttype=json&key={key}"));
}

#[test]
fn a_hostile_operation_breaks_no_header() {
    let origin = Origin { operation: "a\r\nx: y".into(), ..Origin::default() };
    let message = Message { origin, ..direct() };
    assert_eq!(request::operation(&message.origin, message.id), message.id.to_string());
}

#[test]
fn several_elements_of_the_other_dialect_are_told_as_one_custom_content() {
    let face = Content::Face(Face { index: Some(1), data: None }).into();
    let message = Message { elements: vec![Element::text("look"), face], ..group() };
    let body = json_of(&codec().question(BEFORE_SEND_GROUP, &ask(message)));
    assert_eq!(body["contentType"], 110);
    let content: Value = serde_json::from_str(body["content"].as_str().unwrap()).unwrap();
    assert_eq!(content["description"], "look");
}

fn verdict(command: &'static str, message: Message, answer: &Value) -> Result<Verdict, Unreadable> {
    codec().verdict(command, &ask(message), answer.to_string().as_bytes())
}

fn modified(message: Message, answer: Value) -> Message {
    let mut changed = message.clone();
    match verdict(BEFORE_MSG_MODIFY, message, &answer) {
        Ok(Verdict::Modify(Edit::Message(edit))) => edit.apply_to(&mut changed),
        other => panic!("{answer}: {other:?}"),
    }
    changed
}

#[test]
fn a_rejection_is_one_in_every_question() {
    let no =
        json!({"actionCode": 0, "errCode": 5001, "errMsg": "not today", "errDlt": "sender limited", "nextCode": 1});
    let refusal = Refusal::Rejected { code: Some(5001), info: "not today".into(), detail: "sender limited".into() };
    for command in [BEFORE_SEND_SINGLE, BEFORE_MSG_MODIFY] {
        assert_eq!(verdict(command, direct(), &no), Ok(Verdict::Reject(refusal.clone())));
    }
}

#[test]
fn only_the_modify_question_modifies() {
    let answer = json!({"nextCode": 0, "content": r#"{"content":"lunch? ***"}"#, "ex": "moderated"});
    assert_eq!(verdict(BEFORE_SEND_SINGLE, direct(), &answer), Ok(Verdict::Allow));
    let changed = modified(direct(), answer);
    assert_eq!(changed.elements, [Element::text("lunch? ***")]);
    assert_eq!(changed.custom_data.as_deref(), Some("moderated"));
    assert_eq!(changed.sender_name, "Alice");
}

#[test]
fn every_field_that_may_be_modified() {
    let answer = json!({
        "content": r#"{"data":"d","description":"x","extension":""}"#, "contentType": 110, "atUserIDList": ["bob"],
        "senderNickname": "A.", "senderFaceURL": "", "options": {"unreadCount": false}, "attachedInfo": "info",
        "offlinePushInfo": {"title": "t"}, "recvID": "eve", "groupID": "g9", "sessionType": 3, "clientMsgID": "c",
    });
    let changed = modified(direct(), answer);
    let shown = MsgData::of(&changed);
    assert_eq!((shown.content_type, shown.session_type, &*shown.recv_id), (110, 1, "bob"));
    assert_eq!(shown.client_msg_id, direct().client_id.to_string());
    assert_eq!((&*shown.sender_nickname, &*shown.sender_face_url), ("A.", ""));
    assert_eq!(shown.at_user_id_list, ["bob"]);
    assert_eq!(shown.options.get("unreadCount"), Some(&false));
    assert_eq!(shown.attached_info, "info");
    assert_eq!(shown.offline_push_info, None, "only replaces what is there");
}

#[test]
fn calling_somebody_keeps_the_content_type() {
    let shown = MsgData::of(&modified(direct(), json!({"atUserIDList": ["bob"]})));
    assert_eq!((shown.content_type, shown.content.as_str()), (101, r#"{"content":"lunch?"}"#));
}

#[test]
fn an_answer_that_changes_nothing_allows() {
    let same =
        json!({"content": r#"{ "content" : "lunch?" }"#, "ex": "", "senderNickname": "Alice", "atUserIDList": []});
    assert_eq!(verdict(BEFORE_MSG_MODIFY, direct(), &same), Ok(Verdict::Allow));
    assert_eq!(verdict(BEFORE_MSG_MODIFY, direct(), &json!({})), Ok(Verdict::Allow));
}

#[test]
fn content_must_hold_an_object() {
    for content in [json!("plain text"), json!("[]"), json!(""), json!({"content": "x"})] {
        assert!(verdict(BEFORE_MSG_MODIFY, direct(), &json!({"content": content})).is_err());
    }
}

#[test]
fn fields_of_the_other_dialect_stay() {
    let carried = Carried::of("tencent", json!({"OfflinePushInfo": {}}).as_object().unwrap().clone());
    let message = Message { carried: carried.clone(), ..direct() };
    assert_eq!(verdict(BEFORE_MSG_MODIFY, message, &json!({"attachedInfo": "x"})), Ok(Verdict::Allow));
}

#[test]
fn what_acknowledges() {
    let codec = codec();
    assert!(codec.acknowledges(br#"{"errCode":0}"#) && codec.acknowledges(b"{}"));
    assert!(!codec.acknowledges(br#"{"errCode":1}"#) && !codec.acknowledges(b"ok"));
}
