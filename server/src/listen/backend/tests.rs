use super::*;

const DIRECT: &str = "C2C.CallbackBeforeSendMsg";
const GROUP: &str = "Group.CallbackBeforeSendMsg";
const MODIFY: &str = "callbackBeforeMsgModifyCommand";

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

fn rules() -> Rules {
    let replacement = |from: &str, to: &str| Replacement { from: from.to_owned(), to: to.to_owned() };
    Rules {
        reject: texts(&["red packet"]),
        discard: texts(&["psst"]),
        replace: vec![replacement("lunch", "dinner"), replacement("dinner?", "dinner!")],
        fail_rate: 0.0,
    }
}

fn tencent(command: &str, text: &str) -> Call {
    let body = json!({"CallbackCommand": command, "MsgBody": [
        {"MsgType": "TIMFaceElem", "MsgContent": {"Index": 1}},
        {"MsgType": "TIMTextElem", "MsgContent": {"Text": text}},
    ]});
    let query = vec![("CallbackCommand".to_owned(), command.to_owned())];
    Call { path: "/callback".to_owned(), query, body: body.to_string(), ..Call::default() }
}

fn openim(command: &str, content: &str) -> Call {
    let body = json!({"callbackCommand": command, "content": content}).to_string();
    Call { path: format!("/callback/{command}"), body, ..Call::default() }
}

fn standard(command: &str, kind: &str, text: &str) -> Call {
    let elements =
        json!([{"type": "face", "index": 1}, {"type": "text", "text": text, "carried": {"dialect": "tencent"}}]);
    let body = json!({
        "type": command, "timestamp": "2025-10-09T08:53:20.123Z",
        "data": {"message": {"conversation": {"kind": kind}, "elements": elements}},
    });
    Call { path: "/events".to_owned(), body: body.to_string(), ..Call::default() }
}

fn answer(call: &Call) -> (Decision, Value) {
    let answer = Backend::new(rules()).answer(call, 0.0);
    assert_eq!(answer.status, 200);
    (answer.decision, serde_json::from_str(&answer.body).unwrap())
}

#[test]
fn fine_answers_are_the_ones_of_the_documents() {
    let backend = Backend::default();
    let tencent = backend.answer(&tencent(DIRECT, "hi"), 0.5);
    assert_eq!((tencent.status, tencent.body.as_str()), (200, r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#));
    let openim = backend.answer(&openim(MODIFY, r#"{"content":"hi"}"#), 0.5);
    assert_eq!(openim.body, r#"{"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":0}"#);
    assert_eq!(openim.decision, Decision::Ok);
}

#[test]
fn reject() {
    let reason = "the message contains \"red packet\"";
    for (command, code) in [(DIRECT, 120_001), (GROUP, 10_100)] {
        let (decision, body) = answer(&tencent(command, "a red packet for lunch"));
        assert_eq!(decision, Decision::Reject(code));
        assert_eq!(body, json!({"ActionStatus": "OK", "ErrorInfo": reason, "ErrorCode": code}));
    }
    for command in ["callbackBeforeSendSingleMsgCommand", "callbackBeforeSendGroupMsgCommand", MODIFY] {
        let (_, body) = answer(&openim(command, r#"{"content":"a red packet"}"#));
        assert_eq!(body, json!({"actionCode": 0, "errCode": 5001, "errMsg": reason, "errDlt": "", "nextCode": 1}));
    }
}

#[test]
fn standard_verdicts() {
    let asked = |kind, text| answer(&standard("message.sending", kind, text));
    assert_eq!(asked("direct", "hi"), (Decision::Ok, json!({"verdict": "allow"})));
    let reason = "the message contains \"red packet\"";
    for (kind, code) in [("direct", 120_001), ("group", 10_100), ("topic", 10_100)] {
        let rejected = json!({"verdict": "reject", "code": code, "info": reason});
        assert_eq!(asked(kind, "a red packet for lunch"), (Decision::Reject(code), rejected));
    }
    assert_eq!(asked("group", "psst, lunch"), (Decision::Discard, json!({"verdict": "discard"})));
    let text = json!({"type": "text", "text": "dinner!", "carried": {"dialect": "tencent"}});
    let modified = json!({"verdict": "modify", "elements": [{"type": "face", "index": 1}, text]});
    assert_eq!(asked("direct", "lunch?"), (Decision::Replace, modified));
    for text in ["red packet", "psst", "lunch"] {
        assert_eq!(answer(&standard("message.sent", "direct", text)), (Decision::Ok, json!({"ok": true})));
    }
}

#[test]
fn discard_is_not_openims() {
    let (decision, body) = answer(&tencent(GROUP, "psst, lunch"));
    assert_eq!((decision, &body["ErrorCode"]), (Decision::Discard, &json!(2)));
    let (decision, _) = answer(&openim("callbackBeforeSendSingleMsgCommand", r#"{"content":"psst"}"#));
    assert_eq!(decision, Decision::Ok);
}

#[test]
fn replace_changes_texts_and_nothing_else() {
    let (decision, body) = answer(&tencent(DIRECT, "lunch? lunch!"));
    assert_eq!(decision, Decision::Replace);
    assert_eq!(body["ErrorCode"], 0, "a modified message is allowed");
    assert_eq!(
        body["MsgBody"],
        json!([
            {"MsgType": "TIMFaceElem", "MsgContent": {"Index": 1}},
            {"MsgType": "TIMTextElem", "MsgContent": {"Text": "dinner! dinner!"}},
        ])
    );
    let (_, body) = answer(&openim(MODIFY, r#"{"content":"lunch","other":1}"#));
    let content: Value = serde_json::from_str(body["content"].as_str().unwrap()).unwrap();
    assert_eq!(content, json!({"content": "dinner", "other": 1}));
}

#[test]
fn replace_is_answered_only_where_something_changes_and_can() {
    assert_eq!(answer(&tencent(DIRECT, "hi")).0, Decision::Ok);
    assert_eq!(answer(&openim("callbackBeforeSendSingleMsgCommand", r#"{"content":"lunch"}"#)).0, Decision::Ok);
    assert_eq!(answer(&openim(MODIFY, "lunch, as bare text")).0, Decision::Ok);
}

#[test]
fn what_is_told_is_never_judged() {
    for text in ["red packet", "psst", "lunch"] {
        assert_eq!(answer(&tencent("Group.CallbackAfterSendMsg", text)).0, Decision::Ok);
        let content = json!({"content": text}).to_string();
        assert_eq!(answer(&openim("callbackAfterSendGroupMsgCommand", &content)).0, Decision::Ok);
    }
}

#[test]
fn fails_as_often_as_asked() {
    let backend = Backend::new(Rules { fail_rate: 0.25, ..Rules::default() });
    let call = tencent(DIRECT, "hi");
    assert_eq!(backend.answer(&call, 0.249).status, 500);
    assert_eq!(backend.answer(&call, 0.25).status, 200);
    let always = Backend::new(Rules { fail_rate: 1.0, ..Rules::default() });
    assert_eq!(always.answer(&call, 0.999).decision, Decision::Fail);
}

#[test]
fn strange_calls_get_words() {
    let backend = Backend::default();
    let strange = backend.answer(&Call { path: "/".to_owned(), ..Call::default() }, 0.0);
    assert_eq!((strange.status, strange.decision), (404, Decision::Strange));
    let broken = Call { body: "{\"MsgBody\": [".to_owned(), ..tencent(DIRECT, "") };
    assert_eq!(backend.answer(&broken, 0.0).status, 400);
    for body in ["7", "[]", "null", "{\"MsgBody\":{\"MsgType\":7}}"] {
        let odd = Call { body: body.to_owned(), ..tencent(DIRECT, "") };
        assert_eq!(Backend::new(rules()).answer(&odd, 0.0).decision, Decision::Ok, "{body}");
    }
}

/// What somebody else's backend answers is shown as what the server makes of it.
#[test]
fn verdicts_of_other_backends() {
    let of = |call: &Call, body: &str| Decision::of_answer(call, 200, body.as_bytes());
    let asked = standard("message.sending", "direct", "hi");
    for (body, expected) in [
        (r#"{"verdict":"allow"}"#, Decision::Ok),
        ("{}", Decision::Ok),
        ("", Decision::Ok),
        (r#"{"verdict":"pending","seconds":60}"#, Decision::Wait),
        (r#"{"verdict":"modify","elements":[]}"#, Decision::Replace),
        (r#"{"verdict":"discard"}"#, Decision::Discard),
        (r#"{"verdict":"reject","code":7}"#, Decision::Reject(7)),
        (r#"{"verdict":"alow"}"#, Decision::Strange),
        (r#"{"verdict":7}"#, Decision::Strange),
        (r#"{"verdic":"reject"}"#, Decision::Strange),
        ("[]", Decision::Strange),
        ("yes", Decision::Strange),
    ] {
        assert_eq!(of(&asked, body), expected, "{body}");
    }
    assert_eq!(of(&standard("message.sent", "direct", "hi"), "whatever"), Decision::Ok, "nothing was asked");
    assert_eq!(of(&tencent(DIRECT, "hi"), r#"{"ErrorCode":"2"}"#), Decision::Discard);
    assert_eq!(of(&tencent(DIRECT, "hi"), ""), Decision::Strange);
    assert_eq!(of(&openim(MODIFY, "{}"), r#"{"actionCode":0,"nextCode":1,"errCode":5}"#), Decision::Reject(5));
}
