//! The standard dialect: plain JSON events, whatever dialect a message entered in (`docs/STANDARD.md`).

use std::process::Stdio;

use serde_json::{Value, json};
use tests::cli::ringback;
use tests::openim::{group, single};
use tests::tencent::{text_of, with};
use tests::wait::within;
use tests::{Answer, Call, Endpoint, Setup, Stage, c2c, group_text};
use tokio::io::{AsyncBufReadExt, BufReader};

const SENDING: &str = "message.sending";
const SENT: &str = "message.sent";
const NOT_SENT: &str = "message.not_sent";
const CHANGED: &str = "group.changed";

const TENCENT_SEND: &str = "openim/sendmsg";
const TENCENT_SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const OPENIM_SEND: &str = "/msg/send_msg";

/// alice's group, with bob.
async fn climbers() -> Stage {
    let stage = Stage::standard().await;
    stage.openim.create_group("climbers", "alice", &["bob"]).await;
    stage
}

fn texts(elements: &Value) -> Vec<&str> {
    elements.as_array().expect("elements").iter().filter_map(|element| element["text"].as_str()).collect()
}

/// The message of a call, after what differs from run to run has been looked at.
fn message_of(call: &Call) -> Value {
    let timestamp = call.body["timestamp"].as_str().expect("a timestamp");
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z') && timestamp.as_bytes()[10] == b'T', "{timestamp}");
    let mut message = call.body["data"]["message"].clone();
    for name in ["time", "created"] {
        assert!(message[name].as_i64().is_some_and(|millis| millis > 1_600_000_000_000), "{name}: {message}");
        message[name] = "<milliseconds>".into();
    }
    for name in ["id", "client_id"] {
        assert!(message[name].as_str().is_some_and(|id| !id.is_empty()), "{name}: {message}");
        message[name] = "<id>".into();
    }
    message
}

#[tokio::test]
async fn a_message_of_a_tencent_sender_is_asked_about_and_told() {
    let stage = Stage::with(Setup::new(), |url| vec![Endpoint::standard(format!("{url}/events?tenant=7"))]).await;
    let body = with(
        c2c("alice", "bob", "lunch?"),
        json!({"MsgSeq": 90210, "MsgRandom": 7654321, "CloudCustomData": "{\"thread\":7}"}),
    );
    stage.tencent.ok(TENCENT_SEND, body).await;

    let asked = stage.backend.first(SENDING).await;
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str(), asked.query_text.as_str()),
        ("POST", "/events", "tenant=7")
    );
    assert!(asked.headers["content-type"].starts_with("application/json"), "{:?}", asked.headers);
    let expected = json!({
        "id": "<id>",
        "conversation": {"kind": "direct", "accounts": ["alice", "bob"]},
        "sender": "alice",
        "sender_name": "Alice",
        "sender_face": "https://cdn.example.com/alice.png",
        "recipient": "bob",
        "actor": {"kind": "app", "account": "administrator"},
        "origin": {"platform": "rest", "ip": "127.0.0.1"},
        "client_id": "<id>",
        "time": "<milliseconds>",
        "created": "<milliseconds>",
        "elements": [{"type": "text", "text": "lunch?"}],
        "custom_data": "{\"thread\":7}",
        "carried": {"dialect": "tencent", "fields": {"MsgSeq": 90210, "MsgRandom": 7654321}},
    });
    assert_eq!(message_of(&asked), expected);

    let told = stage.backend.first(SENT).await;
    let expected = with(expected, json!({"seq": 1}));
    assert_eq!(message_of(&told), expected);
    assert_eq!(told.body["data"]["unread"], 1);
    assert_eq!(told.body["data"]["message"]["id"], asked.body["data"]["message"]["id"]);
}

#[tokio::test]
async fn a_message_of_an_openim_sender_is_asked_about_and_told() {
    let stage = climbers().await;
    stage.openim.ok(OPENIM_SEND, with(group("alice", "climbers", "rope?"), json!({"ex": "{\"a\":1}"}))).await;
    let (asked, told) = (stage.backend.first(SENDING).await, stage.backend.first(SENT).await);
    for (call, seq) in [(&asked, None), (&told, Some(1))] {
        let message = message_of(call);
        assert_eq!(message["conversation"], json!({"kind": "group", "group": "climbers", "group_kind": "public"}));
        assert_eq!((&message["sender"], message.get("recipient")), (&json!("alice"), None));
        assert_eq!(message["actor"], json!({"kind": "app", "account": "imAdmin"}));
        assert!(message["origin"]["operation"].as_str().is_some_and(|id| id.starts_with("op-")), "{message}");
        assert_eq!((texts(&message["elements"]), &message["custom_data"]), (vec!["rope?"], &json!("{\"a\":1}")));
        assert_eq!(message.get("seq").and_then(Value::as_i64), seq);
    }
    assert_eq!(told.body["data"].get("unread"), None, "of one-to-one messages only");
}

#[tokio::test]
async fn a_rejection_reaches_the_sender_of_either_dialect() {
    let stage = climbers().await;
    // A code that both dialects pass on, each for its own kind of message.
    stage
        .backend
        .answers(SENDING, json!({"verdict": "reject", "code": 120_001, "info": "be kind", "detail": "rule 7"}));
    let refused = stage.tencent.call(TENCENT_SEND, c2c("alice", "bob", "you fool")).await;
    assert_eq!((&refused["ErrorCode"], &refused["ErrorInfo"]), (&json!(120_001), &json!("be kind")));
    let refused = stage.openim.call(OPENIM_SEND, single("alice", "bob", "you fool")).await;
    let shown = (&refused["errCode"], &refused["errMsg"], &refused["errDlt"]);
    assert_eq!(shown, (&json!(120_001), &json!("be kind"), &json!("rule 7")));
    // Out of a Tencent group's range: the general code.
    assert_eq!(stage.tencent.refused(TENCENT_SEND_GROUP, group_text("climbers", "alice", "you fools")).await, 10_016);
    stage.backend.answers(SENDING, json!({"verdict": "reject", "code": 10_100, "info": "be kind"}));
    assert_eq!(stage.tencent.refused(TENCENT_SEND_GROUP, group_text("climbers", "alice", "you fools")).await, 10_100);
    // Without a code: the general one of each.
    stage.backend.answers(SENDING, json!({"verdict": "reject"}));
    assert_eq!(stage.tencent.refused(TENCENT_SEND, c2c("alice", "bob", "you fool")).await, 20_006);
    assert_eq!(stage.openim.refused(OPENIM_SEND, single("alice", "bob", "you fool")).await, 80_000);

    // Nothing of it was sent: the marker is all that is told.
    stage.backend.answers(SENDING, json!({}));
    stage.tencent.ok(TENCENT_SEND, c2c("alice", "bob", "marker")).await;
    stage.tencent.ok(TENCENT_SEND_GROUP, group_text("climbers", "alice", "marker")).await;
    let told = stage.backend.wait_for(SENT, 2).await;
    assert!(told.iter().all(|call| texts(&call.body["data"]["message"]["elements"]) == ["marker"]), "{told:?}");
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["marker"]);
}

#[tokio::test]
async fn a_discarded_message_looks_sent_and_is_not() {
    let stage = climbers().await;
    stage.backend.answers(SENDING, json!({"verdict": "discard"}));
    stage.tencent.ok(TENCENT_SEND, c2c("alice", "bob", "psst")).await;
    stage.openim.ok(OPENIM_SEND, group("alice", "climbers", "psst")).await;
    stage.backend.answers(SENDING, Answer::text("text/plain", ""));
    stage.tencent.ok(TENCENT_SEND, c2c("alice", "bob", "marker")).await;
    stage.openim.ok(OPENIM_SEND, group("alice", "climbers", "marker")).await;
    let told = stage.backend.wait_for(SENT, 2).await;
    assert!(told.iter().all(|call| texts(&call.body["data"]["message"]["elements"]) == ["marker"]), "{told:?}");
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["marker"]);
    assert_eq!(stage.openim.pull("bob", "sg_climbers").await.len(), 1);
}

/// What a backend answers in plain JSON reaches the readers of both dialects.
#[tokio::test]
async fn a_modified_message_is_what_everybody_gets() {
    let stage = climbers().await;
    stage.backend.answers_with(SENDING, |call| {
        let mut elements = call.body["data"]["message"]["elements"].clone();
        elements[0]["text"] = "dinner?".into();
        json!({"verdict": "modify", "elements": elements, "custom_data": "moderated", "sender_name": "A."}).into()
    });
    stage.tencent.ok(TENCENT_SEND, c2c("alice", "bob", "lunch?")).await;
    stage.openim.ok(OPENIM_SEND, group("alice", "climbers", "lunch?")).await;
    for call in stage.backend.wait_for(SENT, 2).await {
        let message = &call.body["data"]["message"];
        assert_eq!((texts(&message["elements"]), &message["custom_data"]), (vec!["dinner?"], &json!("moderated")));
        assert_eq!(message["sender_name"], "A.");
    }
    let history = stage.tencent.history("bob", "alice").await;
    assert_eq!((text_of(&history[0]).as_str(), &history[0]["CloudCustomData"]), ("dinner?", &json!("moderated")));
    let history = stage.openim.pull("bob", "sg_climbers").await;
    assert_eq!(history[0]["content"], json!({"content": "dinner?"}));
    assert_eq!((&history[0]["ex"], &history[0]["senderNickname"]), (&json!("moderated"), &json!("A.")));
}

/// Elements that are answered as they were asked about are the same message, in the dialect it came in.
#[tokio::test]
async fn what_only_a_dialect_knows_survives_a_modification() {
    let stage = climbers().await;
    stage.backend.answers_with(SENDING, |call| {
        let elements = &call.body["data"]["message"]["elements"];
        json!({"verdict": "modify", "elements": elements, "custom_data": "seen"}).into()
    });
    let odd = json!([
        {"MsgType": "TIMTextElem", "MsgContent": {"Text": "look", "Loud": true}},
        {"MsgType": "TIMSoundElem", "MsgContent": {"UUID": "s1", "Url": "https://x/s", "Size": 7, "Second": 3, "Download_Flag": 1}},
        {"MsgType": "TIMRelayElem", "MsgContent": {"Title": "Chat", "MsgNum": 2, "AbstractList": ["a"], "MsgList": [{"x": 1}]}},
    ]);
    stage.tencent.ok(TENCENT_SEND, with(c2c("alice", "bob", ""), json!({"MsgBody": odd}))).await;
    let history = stage.tencent.history("bob", "alice").await;
    assert_eq!((&history[0]["MsgBody"], &history[0]["CloudCustomData"]), (&odd, &json!("seen")));

    let content = json!({"text": "so true", "quoteMessage": {"seq": 3}});
    let quote = with(group("alice", "climbers", ""), json!({"contentType": 114, "content": content}));
    stage.openim.ok(OPENIM_SEND, quote).await;
    let history = stage.openim.pull("bob", "sg_climbers").await;
    assert_eq!((&history[0]["contentType"], &history[0]["ex"]), (&json!(114), &json!("seen")));
    assert_eq!(history[0]["content"]["quoteMessage"], content["quoteMessage"]);
}

/// An answer that is not understood is a failure of the backend, and what that means is declared.
#[tokio::test]
async fn an_answer_that_is_not_understood_is_a_failure() {
    for on_failure in ["allow", "reject"] {
        let stage = Stage::with(Setup::new(), |url| vec![Endpoint::standard(url).on_failure(on_failure)]).await;
        let answers: [Answer; 5] = [
            json!({"verdict": "maybe"}).into(),
            json!({"ok": true}).into(),
            json!({"verdict": "modify", "elements": [{"type": "text", "txt": "x"}]}).into(),
            json!({"verdict": "modify", "elements": []}).into(),
            Answer::text("text/html", "<html>"),
        ];
        for answer in answers {
            stage.backend.answers(SENDING, answer);
            let reply = stage.tencent.call(TENCENT_SEND, c2c("alice", "bob", "hi")).await;
            assert_eq!(reply["ErrorCode"], if on_failure == "reject" { 80_003 } else { 0 }, "{reply}");
        }
    }
}

#[tokio::test]
async fn a_message_that_could_not_be_delivered_is_told_with_the_reason() {
    let setup = Setup::new().restricted_words(["roulette"]);
    let stage = Stage::with(setup, |url| vec![Endpoint::standard(url).hears([NOT_SENT])]).await;
    stage.openim.create_group("climbers", "alice", &["bob"]).await;
    assert_eq!(stage.tencent.refused(TENCENT_SEND, c2c("alice", "bob", "roulette tonight")).await, 80_001);
    stage.openim.refused(OPENIM_SEND, group("alice", "climbers", "roulette tonight")).await;
    let told = stage.backend.wait_for(NOT_SENT, 2).await;
    for call in &told {
        let data = &call.body["data"];
        assert_eq!((&data["reason"], data["message"].get("seq")), (&json!("restricted_word"), None));
        assert_eq!(texts(&data["message"]["elements"]), ["roulette tonight"]);
    }
    assert_eq!(stage.backend.calls().len(), 2, "nothing else was subscribed to");
}

#[tokio::test]
async fn a_groups_change_is_told_by_what_changed() {
    let stage = climbers().await;
    let change = json!({"GroupId": "climbers", "Notification": "Tuesday at six"});
    stage.tencent.ok("group_open_http_svc/modify_group_base_info", change).await;
    let told = stage.backend.first(CHANGED).await.body;
    let mut data = told["data"].clone();
    assert!(data["id"].as_str().is_some_and(|id| id.len() == 32) && data["time"].is_i64(), "{data}");
    data.as_object_mut().expect("data").retain(|name, _| name != "id" && name != "time");
    let expected = json!({
        "group": "climbers", "group_kind": "public", "actor": {"kind": "app", "account": "administrator"},
        "origin": {"platform": "rest", "ip": "127.0.0.1"}, "changes": {"announcement": "Tuesday at six"},
    });
    assert_eq!(data, expected);
}

#[tokio::test]
async fn members_are_let_in_one_by_one() {
    let stage = climbers().await;
    let member = |account: &str| json!({"Member_Account": account});
    stage.backend.answers("members.adding", json!({"verdict": "modify", "refused": ["dave"]}));
    let add = json!({"GroupId": "climbers", "MemberList": [member("carol"), member("dave")]});
    stage.tencent.call("group_open_http_svc/add_group_member", add).await;
    let asked = stage.backend.first("members.adding").await.body;
    let data = &asked["data"];
    assert_eq!((&data["group"]["id"], &data["group"]["owner"]), (&json!("climbers"), &json!("alice")));
    let wanted: Vec<_> = data["members"].as_array().expect("members").iter().map(|member| &member["account"]).collect();
    assert_eq!(wanted, ["carol", "dave"]);
    let list = json!({"groupID": "climbers", "pagination": {"pageNumber": 1, "showNumber": 10}});
    let members = stage.openim.ok("/group/get_group_member_list", list).await;
    let mut members: Vec<_> =
        members["members"].as_array().expect("members").iter().map(|member| &member["userID"]).collect();
    members.sort_by_key(|id| id.to_string());
    assert_eq!(members, ["alice", "bob", "carol"]);
}

#[tokio::test]
async fn groups_blocks_and_accounts_are_asked_about() {
    let stage = climbers().await;
    let created = stage.backend.first("group.creating").await.body;
    assert_eq!(created["data"]["group"]["name"], "climbers");
    stage.backend.answers("group.changing", json!({"verdict": "modify", "announcement": "at seven"}));
    let change = json!({"GroupId": "climbers", "Notification": "at six"});
    stage.tencent.ok("group_open_http_svc/modify_group_base_info", change).await;
    assert_eq!(stage.backend.first("group.changing").await.body["data"]["changes"], json!({"announcement": "at six"}));
    assert_eq!(stage.backend.first(CHANGED).await.body["data"]["changes"], json!({"announcement": "at seven"}));

    let no = json!({"verdict": "reject", "code": 5001, "info": "no", "detail": "at all"});
    stage.backend.answers("accounts.registering", no.clone());
    let users = json!({"users": [{"userID": "erin", "nickname": "Erin", "faceURL": ""}]});
    assert_eq!(stage.openim.refused("/user/user_register", users.clone()).await, 5001);
    stage.backend.answers("accounts.registering", json!({"verdict": "modify", "accounts": []}));
    assert_eq!(stage.openim.refused("/user/user_register", users.clone()).await, 80_000, "nobody is left");
    stage
        .backend
        .answers("accounts.registering", json!({"verdict": "modify", "accounts": [{"account": "erin", "name": "E."}]}));
    stage.openim.ok("/user/user_register", users).await;
    let found = stage.openim.ok("/user/get_users_info", json!({"userIDs": ["erin"]})).await;
    assert_eq!(found["usersInfo"][0]["nickname"], "E.");

    stage.backend.answers("account.blocking", no);
    let block = json!({"From_Account": "alice", "To_Account": ["bob"]});
    stage.tencent.call("sns/black_list_add", block).await;
    let asked = stage.backend.first("account.blocking").await.body;
    assert_eq!((&asked["data"]["account"], &asked["data"]["blocked"]), (&json!("alice"), &json!("bob")));
    stage.openim.ok(OPENIM_SEND, single("bob", "alice", "not blocked")).await;
}

/// With `acknowledge = "body"`, only an answer that says so is a refusal of the event: it comes again, the same.
#[tokio::test]
async fn an_event_that_was_not_heard_comes_again() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let stage =
        Stage::with(Setup::new(), |url| vec![Endpoint::standard(url).hears([SENT]).acknowledge("body").secret(secret)])
            .await;
    stage.backend.answers_in_turn(SENT, [json!({"ok": false}).into(), json!({"ok": true}).into()]);
    stage.tencent.ok(TENCENT_SEND, c2c("alice", "bob", "one")).await;
    stage.tencent.ok(TENCENT_SEND, c2c("alice", "bob", "two")).await;
    let told = stage.backend.wait_for(SENT, 3).await;
    let shown: Vec<_> = told.iter().flat_map(|call| texts(&call.body["data"]["message"]["elements"])).collect();
    assert_eq!(shown, ["one", "one", "two"]);
    assert_eq!((&told[0].bytes, &told[0].headers["webhook-id"]), (&told[1].bytes, &told[1].headers["webhook-id"]));
}

#[tokio::test]
async fn a_command_of_another_dialect_is_a_mistake_in_the_configuration() {
    let home = tempfile::TempDir::new().expect("a directory");
    for (command, words) in [
        ("message.read", "its dialect has no command \"message.read\""),
        ("callbackAfterSendGroupMsgCommand", "not a command of this dialect"),
    ] {
        let file = home.path().join("ringback.toml");
        let endpoint = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ngateway = \"127.0.0.1:0\"\n\
             [[endpoint]]\nname = \"app\"\ndialect = \"standard\"\nurl = \"http://127.0.0.1:9\"\ncommands = [\"{command}\"]\n"
        );
        std::fs::write(&file, endpoint).expect("a file");
        let mut serve = ringback();
        serve.arg("serve").arg("--config").arg(&file).arg("--data-dir").arg(home.path().join("data"));
        let ended = tests::cli::finish(serve).await;
        assert_eq!(ended.code, Some(2), "{}", ended.err);
        assert!(ended.err.contains(words), "{}", ended.err);
    }
}

/// `ringback listen` is a backend of this dialect, too.
#[tokio::test]
async fn the_sample_backend_answers_and_prints_events() {
    let mut listen = ringback();
    listen.args(["listen", "--addr", "127.0.0.1:0", "--json"]);
    listen.args(["--reject", "red packet", "--discard", "psst", "--replace", "lunch=dinner"]);
    let mut listen = tokio::process::Command::from(listen)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let mut words = BufReader::new(listen.stderr.take().expect("standard error")).lines();
    let url = within("the listener's address", async {
        loop {
            let line = words.next_line().await.expect("standard error").expect("the listener ended");
            if let Some((_, rest)) = line.split_once("http://") {
                break format!("http://{}", rest.split([';', '/']).next().expect("an address"));
            }
        }
    })
    .await;
    let mut lines = BufReader::new(listen.stdout.take().expect("standard output")).lines();
    let stage =
        Stage::with(Setup::new().endpoint(Endpoint::standard(format!("{url}/events")).hears([SENDING, SENT])), |_| {
            Vec::new()
        })
        .await;
    stage.openim.create_group("climbers", "alice", &["bob"]).await;

    assert_eq!(stage.tencent.refused(TENCENT_SEND, c2c("alice", "bob", "a red packet")).await, 120_001);
    assert_eq!(
        stage.tencent.refused(TENCENT_SEND_GROUP, group_text("climbers", "alice", "a red packet")).await,
        10_100
    );
    stage.tencent.ok(TENCENT_SEND, c2c("alice", "bob", "psst")).await;
    stage.openim.ok(OPENIM_SEND, single("alice", "bob", "lunch?")).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["dinner?"]);

    let mut printed = Vec::new();
    while printed.last().is_none_or(|(command, _)| command != SENT) {
        let line =
            within("a line of the listener", lines.next_line()).await.expect("a line").expect("the listener ended");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&line["path"], &line["status"]), (&json!("/events"), &json!(200)));
        printed.push((line["body"]["type"].as_str().expect("a type").to_owned(), line["answer"].clone()));
    }
    let verdicts: Vec<_> = printed.iter().map(|(command, answer)| (command.as_str(), &answer["verdict"])).collect();
    let (reject, discard, modify) = (json!("reject"), json!("discard"), json!("modify"));
    let expected =
        [(SENDING, &reject), (SENDING, &reject), (SENDING, &discard), (SENDING, &modify), (SENT, &Value::Null)];
    assert_eq!(verdicts, expected);
    assert_eq!(printed[4].1, json!({"ok": true}));
}
