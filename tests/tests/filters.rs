//! What an endpoint wants beside its commands: `only` and `except`, of what it is told and of what it is asked.

use serde_json::{Value, json};
use tests::tencent::{text_of, with};
use tests::{Call, Endpoint, Follower, Setup, Stage, group_text};

const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const CREATE: &str = "group_open_http_svc/create_group";
const ADD: &str = "group_open_http_svc/add_group_member";
const ASKED: &str = "Group.CallbackBeforeSendMsg";
const TOLD: &str = "Group.CallbackAfterSendMsg";

/// `{criterion = [values]}`.
fn criteria<const N: usize>(criterion: &str, values: [&str; N]) -> toml::Table {
    toml::Table::from_iter([(criterion.to_owned(), values.map(toml::Value::from).to_vec().into())])
}

fn at<'a>(calls: &'a [Call], path: &str, command: &str) -> Vec<&'a Call> {
    calls.iter().filter(|call| call.path == path && call.command == command).collect()
}

fn texts(calls: &[Call], path: &str, command: &str) -> Vec<String> {
    at(calls, path, command).into_iter().map(|call| text_of(&call.body)).collect()
}

fn elements(calls: &[Call], path: &str) -> Vec<Value> {
    let told = at(calls, path, "message.sent").into_iter();
    told.map(|call| {
        let element = &call.body["data"]["message"]["elements"][0];
        element.get("text").unwrap_or(&element["type"]).clone()
    })
    .collect()
}

#[tokio::test]
async fn messages_go_to_those_who_want_them() {
    let stage = Stage::with(Setup::new(), |url| {
        let tencent = |name: &str| Endpoint::tencent(format!("{url}/{name}")).named(name).hears([ASKED, TOLD]);
        let standard = |name: &str| Endpoint::standard(format!("{url}/{name}")).named(name).hears(["message.sent"]);
        vec![
            tencent("climbers").also("only", criteria("groups", ["climbers"])),
            tencent("others").also("except", criteria("senders", ["alice"])),
            standard("texts").also("only", criteria("content_types", ["text"])),
            standard("serious").also("except", criteria("content_types", ["face"])),
        ]
    })
    .await;
    for group in ["climbers", "lobby"] {
        stage.tencent.create_group(group, "alice", &["bob"]).await;
    }
    let face = json!([{"MsgType": "TIMFaceElem", "MsgContent": {"Index": 1, "Data": "smile"}}]);
    for body in [
        group_text("climbers", "alice", "hers"),
        group_text("lobby", "alice", "hers too"),
        with(group_text("lobby", "alice", ""), json!({ "MsgBody": face })),
        group_text("lobby", "bob", "his"),
        // The last of each group: all but `climbers` want both.
        group_text("climbers", "bob", "end"),
        group_text("lobby", "bob", "end"),
    ] {
        stage.tencent.ok(SEND_GROUP, body).await;
    }
    let is_end = |call: &&Call| call.bytes.windows(5).any(|part| part == b"\"end\"") && call.command != ASKED;
    let calls = stage.backend.wait_until("the last messages", |calls| calls.iter().filter(is_end).count() == 7).await;

    assert_eq!(texts(&calls, "/climbers", ASKED), ["hers", "end"]);
    assert_eq!(texts(&calls, "/climbers", TOLD), ["hers", "end"]);
    assert_eq!(texts(&calls, "/others", ASKED), ["his", "end", "end"]);
    let sorted = |mut texts: Vec<String>| {
        texts.sort();
        texts
    };
    assert_eq!(sorted(texts(&calls, "/others", TOLD)), ["end", "end", "his"]);
    for path in ["/texts", "/serious"] {
        let told = elements(&calls, path).iter().map(|text| text.as_str().expect("a text").to_owned()).collect();
        assert_eq!(sorted(told), ["end", "end", "hers", "hers too", "his"], "{path}");
    }
    // What is not wanted leaves no hole in what is.
    let told: Vec<&Call> = calls.iter().filter(|call| call.command != ASKED).collect();
    assert_eq!(Follower::of(told).lengths(), [1, 2, 2, 2, 2, 3, 3]);
}

#[tokio::test]
async fn questions_go_to_those_who_want_them() {
    let stage = Stage::with(Setup::new(), |url| {
        let endpoint = Endpoint::standard(format!("{url}/events")).hears(["group.creating", "members.adding"]);
        let public = criteria("group_types", ["public"]);
        vec![endpoint.also("only", public).also("except", criteria("groups", ["secret"]))]
    })
    .await;
    for command in ["group.creating", "members.adding"] {
        stage.backend.answers(command, json!({"verdict": "reject", "code": 10_101, "info": "no"}));
    }
    let group = |id: &str, kind: &str| json!({"Type": kind, "GroupId": id, "Name": id, "Owner_Account": "alice"});
    let bob = |group: &str| json!({"GroupId": group, "MemberList": [{"Member_Account": "bob"}]});
    // It would say no to all: who gets through was not asked about.
    for (id, kind) in [("secret", "Public"), ("office", "Work")] {
        stage.tencent.ok(CREATE, group(id, kind)).await;
        assert_eq!(stage.tencent.ok(ADD, bob(id)).await["MemberList"][0]["Result"], 1, "{id}");
    }
    assert_eq!(stage.backend.count(), 0);
    assert_eq!(stage.tencent.refused(CREATE, group("climbers", "Public")).await, 10_101);
    stage.backend.answers("group.creating", json!({"verdict": "allow"}));
    stage.tencent.ok(CREATE, group("climbers", "Public")).await;
    assert_eq!(stage.tencent.refused(ADD, bob("climbers")).await, 10_101);
    let asked: Vec<_> = stage.backend.calls().into_iter().map(|call| call.command).collect();
    assert_eq!(asked, ["group.creating", "group.creating", "members.adding"]);
}
