//! The five message webhooks of OpenIM: seed document 4 and `spec/openim/webhooks.jsonl`.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tests::openim::{content_of, group, single};
use tests::tencent::with;
use tests::wire::{sample, shape, steady};
use tests::{Call, Endpoint, Setup, Stage};

const BEFORE_SINGLE: &str = "callbackBeforeSendSingleMsgCommand";
const AFTER_SINGLE: &str = "callbackAfterSendSingleMsgCommand";
const BEFORE_GROUP: &str = "callbackBeforeSendGroupMsgCommand";
const AFTER_GROUP: &str = "callbackAfterSendGroupMsgCommand";
const MODIFY: &str = "callbackBeforeMsgModifyCommand";
const SEND: &str = "/msg/send_msg";

fn answer(action: i64, next: Value, code: i64) -> Value {
    json!({"actionCode": action, "nextCode": next, "errCode": code, "errMsg": "not today", "errDlt": "sender limited"})
}

/// The climbers: alice owns, bob and carol are members.
async fn climbers() -> Stage {
    let stage = Stage::openim().await;
    stage.openim.create_group("climbers", "alice", &["bob", "carol"]).await;
    stage
}

/// What was called about messages, in order. (Making the stage's accounts and groups is asked about, too.)
fn commands_about_messages(stage: &Stage) -> Vec<String> {
    let commands = stage.backend.calls().into_iter().map(|call| call.command);
    commands.filter(|command| command.contains("Msg")).collect()
}

/// What is said the same way on every call: where it goes and under which operation.
fn assert_addressed(call: &Call, operation: &str, key: Option<Value>) {
    assert_eq!(call.method, "POST");
    assert_eq!(call.path, format!("/webhook/{}", call.body["callbackCommand"].as_str().expect("a command")));
    assert!(call.headers["content-type"].starts_with("application/json"), "{:?}", call.headers);
    assert_eq!(call.headers["operationid"], operation);
    assert_eq!(call.body["operationID"], operation);
    assert_eq!(call.query["contenttype"], "json");
    let got = call.query.get("key").map(|key| STANDARD.decode(key).expect("a key in base64"));
    let got: Option<Value> = got.map(|key| serde_json::from_slice(&key).expect("a key in JSON"));
    assert_eq!(got, key);
    assert!(call.query_text.starts_with("contenttype=json"), "{}", call.query_text);
}

#[tokio::test]
async fn alice_writes_to_bob_and_the_backend_is_asked_twice_and_told() {
    let stage = Stage::openim().await;
    let message = with(
        single("alice", "bob", "lunch?"),
        json!({
            "senderNickname": "Alice", "senderFaceURL": "https://cdn.example.com/a.png", "ex": "extra",
            "clientMsgID": "c-1",
        }),
    );
    let reply = stage.openim.call_as("op-77", SEND, message).await;
    let mut data = reply["data"].clone();
    assert!(data["modify"].is_null(), "nothing was modified: {reply}");
    data.as_object_mut().expect("data").remove("modify");
    insta::assert_json_snapshot!(steady(&data), @r#"
    {
      "clientMsgID": "<id>",
      "sendTime": "<milliseconds>",
      "serverMsgID": "<id>"
    }
    "#);
    assert_eq!(data["clientMsgID"], "c-1");

    let asked = stage.backend.first(BEFORE_SINGLE).await;
    insta::assert_json_snapshot!(steady(&asked.body), @r#"
    {
      "atUserList": null,
      "callbackCommand": "callbackBeforeSendSingleMsgCommand",
      "clientMsgID": "<id>",
      "content": "{\"content\":\"lunch?\"}",
      "contentType": 101,
      "createTime": "<milliseconds>",
      "ex": "extra",
      "faceURL": "https://cdn.example.com/a.png",
      "msgFrom": 200,
      "operationID": "<id>",
      "recvID": "bob",
      "sendID": "alice",
      "sendTime": "<milliseconds>",
      "senderFaceURL": "https://cdn.example.com/a.png",
      "senderNickname": "Alice",
      "senderPlatformID": 5,
      "seq": 0,
      "serverMsgID": "<id>",
      "sessionType": 1,
      "status": 1
    }
    "#);
    assert_addressed(&asked, "op-77", None);

    let modify = stage.backend.first(MODIFY).await;
    let mut expected = asked.body.clone();
    expected["callbackCommand"] = MODIFY.into();
    expected.as_object_mut().expect("a body").remove("recvID");
    assert_eq!(modify.body, expected, "the same, without the recipient");
    assert_addressed(&modify, "op-77", None);

    let told = stage.backend.first(AFTER_SINGLE).await;
    let mut expected = asked.body.clone();
    expected["callbackCommand"] = AFTER_SINGLE.into();
    expected["seq"] = 1.into();
    assert_eq!(told.body, expected, "the same, with the real seq");
    assert_addressed(&told, "op-77", Some(json!({"sendID": "alice", "recvID": "bob", "groupID": ""})));
    for field in ["serverMsgID", "clientMsgID", "sendTime"] {
        assert_eq!(told.body[field], data[field], "{field}");
    }

    assert_eq!(commands_about_messages(&stage), [BEFORE_SINGLE, MODIFY, AFTER_SINGLE]);
}

#[tokio::test]
async fn alice_writes_to_her_group_and_the_backend_is_asked_twice_and_told() {
    let stage = climbers().await;
    stage.openim.ok(SEND, group("bob", "climbers", "warming up")).await;
    stage.backend.first(AFTER_GROUP).await;
    // She names neither herself nor her face: they are those of her profile.
    let reply = stage.openim.call_as("op-78", SEND, group("alice", "climbers", "rope?")).await;
    assert_eq!(reply["errCode"], 0, "{reply}");

    let told = stage.backend.wait_for(AFTER_GROUP, 2).await.remove(1);
    insta::assert_json_snapshot!(steady(&told.body), @r#"
    {
      "atUserList": null,
      "callbackCommand": "callbackAfterSendGroupMsgCommand",
      "clientMsgID": "<id>",
      "content": "{\"content\":\"rope?\"}",
      "contentType": 101,
      "createTime": "<milliseconds>",
      "ex": "",
      "faceURL": "https://cdn.example.com/alice.png",
      "groupID": "climbers",
      "msgFrom": 200,
      "operationID": "<id>",
      "sendID": "alice",
      "sendTime": "<milliseconds>",
      "senderFaceURL": "https://cdn.example.com/alice.png",
      "senderNickname": "Alice",
      "senderPlatformID": 5,
      "seq": 2,
      "serverMsgID": "<id>",
      "sessionType": 3,
      "status": 1
    }
    "#);
    assert_addressed(&told, "op-78", Some(json!({"sendID": "alice", "recvID": "", "groupID": "climbers"})));

    let asked = stage.backend.wait_for(BEFORE_GROUP, 2).await.remove(1);
    let expected = with(told.body.clone(), json!({"callbackCommand": BEFORE_GROUP, "seq": 0}));
    assert_eq!(asked.body, expected);
    assert_addressed(&asked, "op-78", None);

    let modify = stage.backend.wait_for(MODIFY, 2).await.remove(1);
    let mut expected = with(told.body.clone(), json!({"callbackCommand": MODIFY, "seq": 0}));
    expected.as_object_mut().expect("a body").remove("groupID");
    assert_eq!(modify.body, expected, "the same, without the group");
    assert_addressed(&modify, "op-78", None);

    assert_eq!(commands_about_messages(&stage)[3..], [BEFORE_GROUP, MODIFY, AFTER_GROUP]);
}

/// The document's own sample: same names, same types, and its answer (`"nextCode": ""`) is taken as it stands.
#[tokio::test]
async fn the_body_has_the_shape_of_the_document() {
    let stage = climbers().await;
    for command in [BEFORE_GROUP, MODIFY, AFTER_GROUP] {
        stage.backend.answers(command, sample("openim_answer"));
    }
    let at = json!({"text": "@bob @carol up!", "atUserList": ["bob", "carol"], "atUsersInfo": [], "isAtSelf": false});
    let message =
        json!({"contentType": 106, "content": at, "ex": "wrapped", "senderNickname": "Alice", "senderPlatformID": 1});
    stage.openim.ok(SEND, with(group("alice", "climbers", ""), message)).await;

    let told = stage.backend.first(AFTER_GROUP).await.body;
    let expected =
        with(sample("openim_after_send_group"), json!({"senderFaceURL": "in the field table, not in the sample"}));
    assert_eq!(shape(&told), shape(&expected));
    assert_eq!(told["atUserList"], json!(["bob", "carol"]));
    assert_eq!(content_of(&told)["text"], "@bob @carol up!");
    assert_eq!(told["seq"], 1);
}

/// After a rejection nothing may come. A marker in the same conversation proves that nothing does.
async fn the_group_has_only_the_marker(stage: &Stage) {
    for command in [BEFORE_GROUP, MODIFY] {
        stage.backend.answers(command, answer(0, json!(0), 0));
    }
    stage.openim.ok(SEND, group("alice", "climbers", "marker")).await;
    let told = stage.backend.first(AFTER_GROUP).await.body;
    assert_eq!((content_of(&told)["content"].as_str(), &told["seq"]), (Some("marker"), &json!(1)));
    let history = stage.openim.pull("bob", "sg_climbers").await;
    assert_eq!(history.iter().map(|message| &message["content"]["content"]).collect::<Vec<_>>(), ["marker"]);
}

#[tokio::test]
async fn a_rejection_reaches_the_caller_in_the_backends_words() {
    let stage = climbers().await;
    for command in [BEFORE_GROUP, MODIFY] {
        stage.backend.answers(command, answer(0, json!(1), 5001));
        let reply = stage.openim.call(SEND, group("alice", "climbers", "no")).await;
        assert_eq!(reply, json!({"errCode": 5001, "errMsg": "not today", "errDlt": "sender limited"}), "by {command}");
        stage.backend.answers(command, answer(0, json!(1), 0));
        assert_eq!(stage.openim.refused(SEND, group("alice", "climbers", "no")).await, 80000, "by {command}");
        stage.backend.answers(command, answer(0, json!(0), 0));
    }
    the_group_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn a_single_message_is_rejected_too() {
    let stage = Stage::openim().await;
    for command in [BEFORE_SINGLE, MODIFY] {
        stage.backend.answers(command, answer(0, json!(1), 5001));
        assert_eq!(stage.openim.refused(SEND, single("alice", "bob", "no")).await, 5001, "by {command}");
        stage.backend.answers(command, answer(0, json!(0), 0));
    }
    stage.openim.ok(SEND, single("alice", "bob", "marker")).await;
    let told = stage.backend.first(AFTER_SINGLE).await.body;
    assert_eq!((content_of(&told)["content"].as_str(), &told["seq"]), (Some("marker"), &json!(1)));
}

#[tokio::test]
async fn anything_but_action_0_with_next_1_lets_it_pass() {
    let stage = climbers().await;
    let answers = [
        json!({}),
        answer(1, json!(1), 5001),
        answer(0, json!(0), 5001),
        answer(0, json!(2), 5001),
        answer(0, json!(""), 0),
        json!({"actionCode": 0, "errCode": 0, "errMsg": null, "errDlt": null, "nextCode": null}),
    ];
    for (n, answer) in answers.iter().enumerate() {
        stage.backend.answers(BEFORE_GROUP, answer.clone());
        stage.backend.answers(MODIFY, answer.clone());
        stage.openim.ok(SEND, group("alice", "climbers", &format!("{n}"))).await;
    }
    let told = stage.backend.wait_for(AFTER_GROUP, answers.len()).await;
    let seqs: Vec<_> = told.iter().map(|call| call.body["seq"].as_i64().expect("seq")).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn the_backend_rewrites_a_message_and_everyone_gets_what_it_wrote() {
    let stage = climbers().await;
    let rewrite = json!({
        "actionCode": 0, "errCode": 0, "errMsg": "", "errDlt": "", "nextCode": 0, "content": "{\"content\":\"***\"}",
        "ex": "moderated", "senderNickname": null,
    });
    stage.backend.answers(MODIFY, rewrite);
    let reply = stage
        .openim
        .ok(SEND, with(group("alice", "climbers", "rude"), json!({"senderNickname": "Alice", "ex": "raw"})))
        .await;
    assert_eq!(reply["modify"]["content"], "{\"content\":\"***\"}");
    assert_eq!(reply["modify"]["ex"], "moderated");

    let told = stage.backend.first(AFTER_GROUP).await.body;
    assert_eq!(content_of(&told), json!({"content": "***"}));
    assert_eq!((&told["ex"], &told["senderNickname"]), (&json!("moderated"), &json!("Alice")));
    let history = stage.openim.pull("bob", "sg_climbers").await;
    assert_eq!((&history[0]["content"], &history[0]["ex"]), (&json!({"content": "***"}), &json!("moderated")));
}

#[tokio::test]
async fn the_backend_may_change_what_kind_of_message_it_is() {
    let stage = Stage::openim().await;
    let custom = json!({"data": "{}", "description": "a card instead", "extension": ""});
    stage.backend.answers(
        MODIFY,
        with(
            answer(0, json!(0), 0),
            json!({"contentType": 110, "content": custom.to_string(), "atUserIDList": ["bob"]}),
        ),
    );
    stage.openim.ok(SEND, single("alice", "bob", "my number is ..")).await;
    let told = stage.backend.first(AFTER_SINGLE).await.body;
    assert_eq!(
        (&told["contentType"], content_of(&told), &told["atUserList"]),
        (&json!(110), custom.clone(), &json!(["bob"]))
    );
    let history = stage.openim.pull("bob", "si_alice_bob").await;
    assert_eq!((&history[0]["contentType"], &history[0]["content"]), (&json!(110), &custom));
}

/// An answer that cannot be carried out is a failure of the backend, and what that means is declared.
#[tokio::test]
async fn content_that_is_no_json_object_in_a_string_is_a_failure_of_the_backend() {
    for on_failure in ["allow", "reject"] {
        let stage = Stage::with(Setup::new(), |url| vec![Endpoint::openim(url).on_failure(on_failure)]).await;
        stage.openim.create_group("climbers", "alice", &["bob", "carol"]).await;
        for content in ["not json", "[1]", "\"text\""] {
            stage.backend.answers(MODIFY, with(answer(0, json!(0), 0), json!({ "content": content })));
            let reply = stage.openim.call(SEND, group("alice", "climbers", "as it was")).await;
            let code = reply["errCode"].as_i64().expect("a code");
            assert_eq!([1001, 90007].contains(&code), on_failure == "reject", "for {content}: {reply}");
        }
        let texts = stage.openim.pull("bob", "sg_climbers").await;
        let texts: Vec<_> = texts.iter().map(|message| &message["content"]["content"]).collect();
        assert_eq!(texts, vec!["as it was"; if on_failure == "allow" { 3 } else { 0 }]);
    }
}

#[tokio::test]
async fn an_admin_as_the_sender_is_not_asked_about_to_one_but_is_to_a_group() {
    let stage = climbers().await;
    stage.backend.answers(BEFORE_SINGLE, answer(0, json!(1), 5001));
    stage.backend.answers(BEFORE_GROUP, answer(0, json!(1), 5002));
    stage.openim.ok(SEND, single("imAdmin", "bob", "from the house")).await;
    stage.backend.first(AFTER_SINGLE).await;
    assert_eq!(stage.backend.calls_of(BEFORE_SINGLE).len(), 0);
    assert_eq!(stage.openim.refused(SEND, group("imAdmin", "climbers", "from the house")).await, 5002);
}

#[tokio::test]
async fn a_typing_message_is_not_for_rest_and_nobody_hears_of_it() {
    let stage = Stage::openim().await;
    let typing = with(single("alice", "bob", ""), json!({"contentType": 113, "content": {"msgTips": "yes"}}));
    assert_eq!(stage.openim.refused(SEND, typing).await, 1001);
    stage.openim.ok(SEND, single("alice", "bob", "marker")).await;
    stage.backend.first(AFTER_SINGLE).await;
    assert_eq!(commands_about_messages(&stage), [BEFORE_SINGLE, MODIFY, AFTER_SINGLE]);
}

#[tokio::test]
async fn an_online_only_message_is_told_without_a_seq_and_kept_nowhere() {
    let stage = climbers().await;
    stage.openim.ok(SEND, with(group("alice", "climbers", "now or never"), json!({"isOnlineOnly": true}))).await;
    stage.openim.ok(SEND, group("alice", "climbers", "kept")).await;
    let told = stage.backend.wait_for(AFTER_GROUP, 2).await;
    let told: Vec<_> =
        told.iter().map(|call| (content_of(&call.body)["content"].clone(), call.body["seq"].clone())).collect();
    assert_eq!(told, [(json!("now or never"), json!(0)), (json!("kept"), json!(1))]);
    assert_eq!(stage.openim.pull("bob", "sg_climbers").await.len(), 1);
}

#[tokio::test]
async fn a_restricted_word_is_refused_and_not_told() {
    let stage = Stage::with(Setup::new().restricted_words(["roulette"]), |url| {
        vec![Endpoint::openim(format!("{url}/webhook"))]
    })
    .await;
    stage.openim.create_group("climbers", "alice", &["bob"]).await;
    assert_eq!(stage.openim.refused(SEND, group("alice", "climbers", "roulette tonight")).await, 1001);
    the_group_has_only_the_marker(&stage).await;
}
