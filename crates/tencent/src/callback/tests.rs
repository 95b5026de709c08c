pub(super) mod consent;

use chat::Actor;
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::id::{AccountId, ClientMessageId, MessageId};
use chat::message::Delivery;
use serde_json::json;

use super::*;

fn message() -> Message {
    let time = Timestamp::from_millis(1_557_481_126_000);
    Message {
        id: MessageId::new(time, 7),
        conversation: ConversationId::direct(AccountId::new("jared"), AccountId::new("Jonh")),
        group_kind: None,
        seq: 0,
        sender: AccountId::new("jared"),
        actor: Actor::App(AccountId::new("administrator")),
        origin: Origin { platform: Platform::Rest, ip: Some([127, 0, 0, 1].into()), operation: String::new() },
        client_id: ClientMessageId::new("x"),
        time,
        created: time,
        sender_name: String::new(),
        sender_face: String::new(),
        elements: vec![Element::text("red packet")],
        custom_data: Some("your cloud custom data".into()),
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: chat::element::Carried::of(
            crate::DIALECT,
            json!({ "MsgSeq": 48374, "MsgRandom": 2_837_546 }).as_object().cloned().unwrap_or_default(),
        ),
    }
}

fn codec() -> TencentCodec {
    TencentCodec::new("https://www.example.com/cb?a=1".into(), 1_400_000_000, Some("hook-token-7".into()))
}

fn verdict(answer: &Value) -> Result<Verdict, Unreadable> {
    codec().verdict(BEFORE_C2C, &Question::BeforeSend(Box::new(message())), answer.to_string().as_bytes())
}

#[test]
fn asks_as_documented() {
    let call = codec().question(BEFORE_C2C, &Question::BeforeSend(Box::new(message())));
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let expected = json!({
        "CallbackCommand": "C2C.CallbackBeforeSendMsg",
        "From_Account": "jared",
        "To_Account": "Jonh",
        "MsgSeq": 48374,
        "MsgRandom": 2_837_546,
        "MsgTime": 1_557_481_126,
        "MsgKey": "48374_2837546_1557481126",
        "OnlineOnlyFlag": 0,
        "MsgBody": [{ "MsgType": "TIMTextElem", "MsgContent": { "Text": "red packet" } }],
        "CloudCustomData": "your cloud custom data"
    });
    assert_eq!(body, expected);
    assert!(call.body.starts_with(br#"{"CallbackCommand":"C2C.CallbackBeforeSendMsg","From_Account":"jared""#));
}

#[test]
fn the_query_follows_the_configured_url_and_is_signed_anew() {
    let call = codec().question(BEFORE_C2C, &Question::BeforeSend(Box::new(message())));
    let url = codec().url(&call, Timestamp::from_millis(1_700_000_000_000));
    assert_eq!(
        url,
        "https://www.example.com/cb?a=1&SdkAppid=1400000000&CallbackCommand=C2C.CallbackBeforeSendMsg\
         &contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI\
         &Sign=4c0c000aa734911622f9152c8cb8b01ac80c6f238131749c7fde2f9d2c38de00&RequestTime=1700000000"
    );
}

#[test]
fn verdicts_are_in_the_error_code() {
    let rejected =
        |code, info: &str| Ok(Verdict::Reject(Refusal::Rejected { code, info: info.into(), detail: String::new() }));
    let answer = |code: Value| json!({ "ActionStatus": "OK", "ErrorInfo": "no", "ErrorCode": code });
    assert_eq!(verdict(&answer(json!(0))), Ok(Verdict::Allow));
    assert_eq!(verdict(&answer(json!("0"))), Ok(Verdict::Allow));
    assert_eq!(verdict(&answer(json!(1))), rejected(None, "no"));
    assert_eq!(verdict(&answer(json!(2))), Ok(Verdict::Discard));
    assert_eq!(verdict(&answer(json!(120_001))), rejected(Some(120_001), "no"));
    assert_eq!(verdict(&answer(json!(10_100))), rejected(None, "no"), "that range is the groups'");
    assert!(verdict(&json!({})).is_err());
    assert!(verdict(&json!([])).is_err());
    assert!(verdict(&answer(json!(true))).is_err());
}

#[test]
fn a_changed_message_needs_code_0_and_a_readable_body() {
    let changed = json!([{ "MsgType": "TIMTextElem", "MsgContent": { "Text": "red packet" } }]);
    let answer = json!({ "ErrorCode": 0, "MsgBody": changed, "CloudCustomData": "new" });
    let edit = MessageEdit {
        elements: Some(vec![Element::text("red packet")]),
        custom_data: Some("new".into()),
        ..MessageEdit::default()
    };
    assert_eq!(verdict(&answer), Ok(Verdict::Modify(edit.into())));
    assert!(matches!(verdict(&json!({ "ErrorCode": 1, "MsgBody": changed })), Ok(Verdict::Reject(_))));
    assert!(verdict(&json!({ "ErrorCode": 0, "MsgBody": "x" })).is_err());
    assert!(verdict(&json!({ "ErrorCode": 0, "CloudCustomData": 1 })).is_err());
}
