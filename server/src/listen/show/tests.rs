use std::time::Duration;

use serde_json::json;

use super::super::backend::Backend;
use super::*;

fn exchange(path: &str, query: &[(&str, &str)], body: &str) -> Exchange {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let call = Call {
        method: "POST".to_owned(),
        path: path.to_owned(),
        query: pairs(query),
        headers: pairs(&[("content-type", "application/json"), ("x", "1"), ("x", "2")]),
        body: body.to_owned(),
    };
    let answer = Backend::default().answer(&call, 0.0);
    Exchange { time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_670_574_414_123), call, answer }
}

#[test]
fn a_line_of_json_has_what_the_contract_says() {
    let body = "{\n \"CallbackCommand\": \"C2C.CallbackBeforeSendMsg\"\n}";
    let line = exchange("/callback", &[("CallbackCommand", "C2C.CallbackBeforeSendMsg")], body).to_json();
    assert!(line.starts_with("{\"time\":") && !line.contains('\n'), "{line}");
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap(),
        json!({
            "time": "2022-12-09T08:26:54.123Z",
            "method": "POST",
            "path": "/callback",
            "query": {"CallbackCommand": "C2C.CallbackBeforeSendMsg"},
            "headers": {"content-type": "application/json", "x": "1, 2"},
            "body": {"CallbackCommand": "C2C.CallbackBeforeSendMsg"},
            "status": 200,
            "answer": {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0},
        })
    );
    let line: Value = serde_json::from_str(&exchange("/", &[], "<html>").to_json()).unwrap();
    assert_eq!((&line["body"], &line["status"]), (&json!("<html>"), &json!(404)));
}

#[test]
fn a_person_sees_who_whom_and_what() {
    let body = r#"{"CallbackCommand":"C2C.CallbackBeforeSendMsg","From_Account":"jared","To_Account":"Jonh","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"red packet"}}]}"#;
    let shown = exchange("/callback", &[("CallbackCommand", "C2C.CallbackBeforeSendMsg")], body).for_person(false);
    assert_eq!(
        shown,
        "08:26:54.123Z ⇄ asked C2C.CallbackBeforeSendMsg  jared → Jonh  “red packet”\n    \
         {\"CallbackCommand\": \"C2C.CallbackBeforeSendMsg\", \"From_Account\": \"jared\", \"To_Account\": \"Jonh\",\n    \
         \"MsgBody\": [{\"MsgType\": \"TIMTextElem\", \"MsgContent\": {\"Text\": \"red packet\"}}]}\n  \
         200 ok {\"ActionStatus\":\"OK\",\"ErrorInfo\":\"\",\"ErrorCode\":0}\n"
    );
    let profile = r#"{"GroupId":"@TGS#2J4","Operator_Account":"leckie","Notification":"New"}"#;
    let shown = exchange("/", &[("CallbackCommand", "Group.CallbackAfterGroupInfoChanged")], profile).for_person(false);
    assert!(shown.contains("→ told  Group.CallbackAfterGroupInfoChanged  leckie → @TGS#2J4  “New”"), "{shown}");
}

#[test]
fn the_standard_dialects_calls_are_shown_alike() {
    let shown = |name: &str, data: &str| {
        let body = format!(r#"{{"type":"{name}","timestamp":"2025-10-09T08:53:20.123Z","data":{data}}}"#);
        let shown = exchange("/events", &[], &body).for_person(false);
        let mut lines = shown.lines();
        let headline = lines.next().unwrap().split_once(' ').unwrap().1.to_owned();
        (headline, lines.last().unwrap().to_owned())
    };
    let direct = r#"{"message":{"sender":"jared","recipient":"Jonh","conversation":{"kind":"direct"},"elements":[{"type":"text","text":"red packet"}]}}"#;
    let allowed = r#"  200 ok {"verdict":"allow"}"#.to_owned();
    assert_eq!(
        shown("message.sending", direct),
        ("⇄ asked message.sending  jared → Jonh  “red packet”".to_owned(), allowed)
    );
    let heard = r#"  200 ok {"ok":true}"#.to_owned();
    let told = |headline: &str| (headline.to_owned(), heard.clone());
    let group = r#"{"message":{"sender":"jared","conversation":{"kind":"group","group":"g"},"elements":[]}}"#;
    assert_eq!(shown("message.sent", group), told("→ told  message.sent  jared → g"));
    let change = r#"{"group":"g","actor":{"kind":"app","account":"leckie"},"changes":{"announcement":"New"}}"#;
    assert_eq!(shown("group.changed", change), told("→ told  group.changed  leckie → g  “New”"));
    let pause = r#"{"endpoint":"app","detail":"410 Gone"}"#;
    assert_eq!(shown("endpoint.paused", pause), told("→ told  endpoint.paused  app  “410 Gone”"));
}

#[test]
fn colours_are_only_added() {
    let exchange = exchange("/a/callbackAfterSendGroupMsgCommand", &[], r#"{"sendID":"a","groupID":"g"}"#);
    let mut coloured = exchange.for_person(true);
    for code in ["0", "1", "2", "31", "32", "33"] {
        coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(coloured, exchange.for_person(false));
}

#[test]
fn pretty_json_is_still_the_same_json() {
    let body = r#"{ "a,b" : "c: \"d\", {e} \\", "list": [1, 2,
        3], "empty": {}, "long": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" }"#;
    let lines = pretty(body);
    assert!(lines.len() > 1 && lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
    let again: Value = serde_json::from_str(&lines.join("\n")).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(body).unwrap());
}

#[test]
fn long_bodies_are_short_on_screen() {
    let many = format!("[{}]", vec!["\"0123456789\""; 1000].join(","));
    let lines = pretty(&many);
    assert_eq!(lines.len(), MOST_LINES + 1);
    assert!(lines[MOST_LINES].contains("more lines"), "{lines:?}");
    let long = format!("{{\"text\":\"{}\"}}", "é".repeat(5000));
    assert!(pretty(&long)[0].chars().count() < LONGEST_LINE + 20);
    assert!(pretty("").is_empty());
}

#[test]
fn a_body_cannot_steer_the_terminal() {
    let shown = exchange("/\u{1b}[2J", &[], "\u{1b}[2J\u{7}\u{202e}hi\n").for_person(false);
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    let body = r#"{"sendID":"a\u001b[2J\nb","content":"x\ny"}"#;
    let shown = exchange("/callbackAfterSendSingleMsgCommand", &[], body).for_person(false);
    assert!(!shown.contains('\u{1b}') && shown.lines().count() == 3, "{shown:?}");
}
