//! `C2C.CallbackBeforeSendMsg` asks, `C2C.CallbackAfterSendMsg` tells: seed documents 2 and 3.

use serde_json::{Value, json};
use tests::openim::single;
use tests::tencent::{text_of, with};
use tests::wire::{keys, sample, shape, steady};
use tests::{Answer, Endpoint, Gate, Receiver, Setup, Stage, c2c, text};

const BEFORE: &str = "C2C.CallbackBeforeSendMsg";
const AFTER: &str = "C2C.CallbackAfterSendMsg";
const SEND: &str = "openim/sendmsg";

fn verdict(code: i64, info: &str) -> Value {
    json!({"ActionStatus": "OK", "ErrorInfo": info, "ErrorCode": code})
}

#[tokio::test]
async fn alice_writes_to_bob_and_the_backend_is_asked_and_told() {
    let stage = Stage::tencent().await;
    let message = with(
        c2c("alice", "bob", "lunch?"),
        json!({"MsgSeq": 90210, "MsgRandom": 7654321, "CloudCustomData": "{\"thread\":7}"}),
    );
    let answer = stage.tencent.ok(SEND, message).await;
    insta::assert_json_snapshot!(steady(&answer), @r#"
    {
      "ActionStatus": "OK",
      "ErrorCode": 0,
      "ErrorInfo": "",
      "MsgKey": "<MsgSeq_MsgRandom_MsgTime>",
      "MsgTime": "<seconds>"
    }
    "#);

    let asked = stage.backend.first(BEFORE).await;
    insta::assert_json_snapshot!(steady(&asked.body), @r#"
    {
      "CallbackCommand": "C2C.CallbackBeforeSendMsg",
      "CloudCustomData": "{\"thread\":7}",
      "From_Account": "alice",
      "MsgBody": [
        {
          "MsgContent": {
            "Text": "lunch?"
          },
          "MsgType": "TIMTextElem"
        }
      ],
      "MsgKey": "<MsgSeq_MsgRandom_MsgTime>",
      "MsgRandom": 7654321,
      "MsgSeq": 90210,
      "MsgTime": "<seconds>",
      "OnlineOnlyFlag": 0,
      "To_Account": "bob"
    }
    "#);

    let told = stage.backend.first(AFTER).await;
    insta::assert_json_snapshot!(steady(&told.body), @r#"
    {
      "CallbackCommand": "C2C.CallbackAfterSendMsg",
      "CloudCustomData": "{\"thread\":7}",
      "ErrorInfo": "send msg succeed",
      "From_Account": "alice",
      "MsgBody": [
        {
          "MsgContent": {
            "Text": "lunch?"
          },
          "MsgType": "TIMTextElem"
        }
      ],
      "MsgId": "<id>",
      "MsgKey": "<MsgSeq_MsgRandom_MsgTime>",
      "MsgRandom": 7654321,
      "MsgSeq": 90210,
      "MsgTime": "<seconds>",
      "OnlineOnlyFlag": 0,
      "SendMsgResult": 0,
      "To_Account": "bob",
      "UnreadMsgNum": 1
    }
    "#);

    // One message has one key and one time, wherever they are shown.
    for body in [&asked.body, &told.body] {
        assert_eq!(body["MsgKey"], answer["MsgKey"]);
        assert_eq!(body["MsgTime"], answer["MsgTime"]);
    }
    assert_eq!(answer["MsgKey"], format!("90210_7654321_{}", answer["MsgTime"]));
    let history = stage.tencent.history("bob", "alice").await;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["MsgKey"], answer["MsgKey"]);
}

#[tokio::test]
async fn the_url_says_who_calls_about_what() {
    let stage =
        Stage::with(Setup::new(), |url| vec![Endpoint::tencent(format!("{url}/im/callback?tenant=7&x=y"))]).await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;

    for command in [BEFORE, AFTER] {
        let call = stage.backend.first(command).await;
        assert_eq!(call.method, "POST");
        assert_eq!(call.path, "/im/callback");
        let expected = format!(
            "tenant=7&x=y&SdkAppid=1400000000&CallbackCommand={command}&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI"
        );
        assert_eq!(call.query_text, expected);
        assert!(call.headers["content-type"].starts_with("application/json"), "{:?}", call.headers);
        assert_eq!(call.body["CallbackCommand"], command);
    }
}

#[tokio::test]
async fn a_url_without_a_query_gets_one() {
    let stage = Stage::with(Setup::new(), |url| vec![Endpoint::tencent(url)]).await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    let call = stage.backend.first(BEFORE).await;
    assert_eq!(call.path, "/");
    assert!(call.query_text.starts_with("SdkAppid=1400000000&CallbackCommand="), "{}", call.query_text);
}

/// The documents' own samples: same names, same types, and their answers are taken as they stand.
#[tokio::test]
async fn the_bodies_have_the_shape_of_the_documents() {
    let stage = Stage::tencent().await;
    stage.backend.answers(BEFORE, sample("tencent_answer"));
    stage.backend.answers(AFTER, sample("tencent_answer"));
    let message = with(
        c2c("alice", "bob", "a present for you"),
        json!({"MsgSeq": 90210, "MsgRandom": 7654321, "MsgLifeTime": 0, "CloudCustomData": "wrapped"}),
    );
    stage.tencent.ok(SEND, message).await;

    let asked = stage.backend.first(BEFORE).await.body;
    assert_eq!(shape(&asked), shape(&sample("c2c_before_send")));
    for field in ["From_Account", "To_Account", "MsgSeq", "MsgRandom", "OnlineOnlyFlag", "MsgBody", "CloudCustomData"] {
        assert_eq!(asked[field], sample("c2c_before_send")[field], "{field}");
    }

    let told = stage.backend.first(AFTER).await.body;
    let expected = with(sample("c2c_after_send"), json!({"MsgId": "in the field table, not in the sample"}));
    assert_eq!(shape(&told), shape(&expected));
    for field in ["SendMsgResult", "ErrorInfo", "OnlineOnlyFlag", "MsgBody", "CloudCustomData"] {
        assert_eq!(told[field], expected[field], "{field}");
    }
}

#[tokio::test]
async fn a_message_without_custom_data_carries_none() {
    let stage = Stage::tencent().await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    for command in [BEFORE, AFTER] {
        let body = stage.backend.first(command).await.body;
        assert!(!keys(&body).contains(&"CloudCustomData"), "{body}");
    }
}

#[tokio::test]
async fn a_caller_who_names_no_sender_is_the_sender() {
    let stage = Stage::tencent().await;
    let mut message = c2c("alice", "bob", "from the house");
    message.as_object_mut().expect("a body").remove("From_Account");
    stage.tencent.ok(SEND, message).await;
    assert_eq!(stage.backend.first(BEFORE).await.body["From_Account"], "administrator");
    assert_eq!(stage.backend.first(AFTER).await.body["From_Account"], "administrator");
}

#[tokio::test]
async fn an_online_only_message_is_called_back_and_kept_nowhere() {
    let stage = Stage::tencent().await;
    stage.tencent.ok(SEND, with(c2c("alice", "bob", "now or never"), json!({"MsgLifeTime": 0}))).await;
    assert_eq!(stage.backend.first(BEFORE).await.body["OnlineOnlyFlag"], 1);
    let told = stage.backend.first(AFTER).await.body;
    assert_eq!(told["OnlineOnlyFlag"], 1);
    assert_eq!(told["UnreadMsgNum"], 0);
    assert_eq!(stage.tencent.texts("bob", "alice").await, [""; 0]);
    assert_eq!(stage.tencent.unread("bob").await, 0);
}

/// After a refusal or a discard nothing may come. A marker in the same conversation proves that nothing does.
async fn bob_has_only_the_marker(stage: &Stage) {
    stage.backend.answers(BEFORE, verdict(0, ""));
    stage.tencent.ok(SEND, c2c("alice", "bob", "marker")).await;
    let told = stage.backend.first(AFTER).await.body;
    assert_eq!(text_of(&told), "marker", "a message that never was has been told: {told}");
    assert_eq!(told["UnreadMsgNum"], 1);
    assert_eq!(stage.tencent.texts("alice", "bob").await, ["marker"]);
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["marker"]);
    assert_eq!(stage.tencent.unread("bob").await, 1);
}

#[tokio::test]
async fn the_backend_rejects_and_the_caller_gets_20006() {
    let stage = Stage::tencent().await;
    stage.backend.answers(BEFORE, sample("c2c_before_send_answer_reject"));
    assert_eq!(stage.tencent.refused(SEND, c2c("alice", "bob", "no")).await, 20006);
    bob_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn an_own_code_and_its_text_reach_the_caller() {
    let stage = Stage::tencent().await;
    for code in [120_001, 123_456, 130_000] {
        stage.backend.answers(BEFORE, verdict(code, "not before noon, 请稍等"));
        let answer = stage.tencent.call(SEND, c2c("alice", "bob", "no")).await;
        assert_eq!(answer, json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": "not before noon, 请稍等"}));
    }
    bob_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn a_code_outside_the_own_range_is_a_plain_reject() {
    let stage = Stage::tencent().await;
    for code in [3, 10_100, 120_000, 130_001, -1] {
        stage.backend.answers(BEFORE, verdict(code, "home-made"));
        assert_eq!(stage.tencent.refused(SEND, c2c("alice", "bob", "no")).await, 20006, "for {code}");
    }
    bob_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn a_discarded_message_looks_sent_and_is_nowhere() {
    let stage = Stage::tencent().await;
    stage.backend.answers(BEFORE, sample("c2c_before_send_answer_discard"));
    let answer =
        stage.tencent.ok(SEND, with(c2c("alice", "bob", "into the void"), json!({"MsgSeq": 5, "MsgRandom": 6}))).await;
    assert_eq!(keys(&answer), ["ActionStatus", "ErrorCode", "ErrorInfo", "MsgKey", "MsgTime"]);
    assert_eq!(answer["MsgKey"], format!("5_6_{}", answer["MsgTime"]));
    bob_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn the_verdict_is_the_code_not_the_status() {
    let stage = Stage::tencent().await;
    stage.backend.answers(BEFORE, json!({"ActionStatus": "FAIL", "ErrorInfo": "never mind", "ErrorCode": 0}));
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["hi"]);
}

#[tokio::test]
async fn the_backend_rewrites_a_message_and_everyone_gets_what_it_wrote() {
    let stage = Stage::tencent().await;
    let rewritten = sample("c2c_before_send_answer_modify");
    stage.backend.answers(BEFORE, rewritten.clone());
    stage.tencent.ok(SEND, with(c2c("alice", "bob", "a bomb for you"), json!({"CloudCustomData": "wrapped"}))).await;

    let told = stage.backend.first(AFTER).await.body;
    assert_eq!(told["MsgBody"], rewritten["MsgBody"]);
    assert_eq!(told["CloudCustomData"], "unwrapped");
    let history = stage.tencent.history("bob", "alice").await;
    assert_eq!(history.len(), 1);
    assert_eq!(history[0]["MsgBody"], rewritten["MsgBody"]);
    assert_eq!(history[0]["CloudCustomData"], "unwrapped");
}

#[tokio::test]
async fn what_a_rewriting_answer_leaves_out_stays() {
    let stage = Stage::tencent().await;
    let message = || with(c2c("alice", "bob", "original"), json!({"CloudCustomData": "original"}));

    stage.backend.answers(BEFORE, with(verdict(0, ""), json!({"MsgBody": text("new")})));
    stage.tencent.ok(SEND, message()).await;
    stage.backend.answers(BEFORE, with(verdict(0, ""), json!({"CloudCustomData": "new"})));
    stage.tencent.ok(SEND, message()).await;

    let told = stage.backend.wait_for(AFTER, 2).await;
    assert_eq!((text_of(&told[0].body).as_str(), &told[0].body["CloudCustomData"]), ("new", &json!("original")));
    assert_eq!((text_of(&told[1].body).as_str(), &told[1].body["CloudCustomData"]), ("original", &json!("new")));
}

#[tokio::test]
async fn a_rewriting_answer_counts_only_with_code_0() {
    let stage = Stage::tencent().await;
    stage.backend.answers(BEFORE, with(verdict(1, ""), json!({"MsgBody": text("sneaked in")})));
    assert_eq!(stage.tencent.refused(SEND, c2c("alice", "bob", "no")).await, 20006);
    bob_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn forbid_before_skips_the_question_and_forbid_after_the_telling() {
    let stage = Stage::tencent().await;
    stage.backend.answers(BEFORE, verdict(1, ""));
    let unasked =
        with(c2c("alice", "bob", "unasked"), json!({"ForbidCallbackControl": ["ForbidBeforeSendMsgCallback"]}));
    stage.tencent.ok(SEND, unasked).await;
    let told = stage.backend.first(AFTER).await;
    assert_eq!(text_of(&told.body), "unasked");
    assert_eq!(stage.backend.calls_of(BEFORE).len(), 0);

    stage.backend.answers(BEFORE, verdict(0, ""));
    let both = json!({"ForbidCallbackControl": ["ForbidBeforeSendMsgCallback", "ForbidAfterSendMsgCallback"]});
    stage.tencent.ok(SEND, with(c2c("alice", "bob", "in silence"), both)).await;
    stage
        .tencent
        .ok(SEND, with(c2c("alice", "bob", "untold"), json!({"ForbidCallbackControl": ["ForbidAfterSendMsgCallback"]})))
        .await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "marker")).await;
    let told = stage.backend.wait_for(AFTER, 2).await;
    assert_eq!(text_of(&told[1].body), "marker");
    let asked: Vec<_> = stage.backend.calls_of(BEFORE).iter().map(|call| text_of(&call.body)).collect();
    assert_eq!(asked, ["untold", "marker"]);
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["unasked", "in silence", "untold", "marker"]);
}

#[tokio::test]
async fn unread_counts_all_of_the_recipients_conversations() {
    let stage = Stage::tencent().await;
    let mut expected = Vec::new();
    for (from, to, unread) in
        [("alice", "bob", 1), ("alice", "bob", 2), ("carol", "bob", 3), ("bob", "carol", 1), ("dave", "bob", 4)]
    {
        stage.tencent.ok(SEND, c2c(from, to, "hi")).await;
        expected.push(json!([from, to, unread]));
        // One after the other: conversations have no order among each other.
        stage.backend.wait_for(AFTER, expected.len()).await;
    }
    let told: Vec<_> = stage.backend.calls_of(AFTER).into_iter().map(|call| call.body).collect();
    let told: Vec<_> =
        told.iter().map(|body| json!([body["From_Account"], body["To_Account"], body["UnreadMsgNum"]])).collect();
    assert_eq!(told, expected);
    assert_eq!(stage.tencent.unread("bob").await, 4);
    let per_peer = stage
        .tencent
        .ok("openim/get_c2c_unread_msg_num", json!({"To_Account": "bob", "Peer_Account": ["alice", "dave"]}))
        .await;
    let expected =
        json!([{"Peer_Account": "alice", "C2CUnreadMsgNum": 2}, {"Peer_Account": "dave", "C2CUnreadMsgNum": 1}]);
    assert_eq!(per_peer["C2CUnreadMsgNumList"], expected);
}

#[tokio::test]
async fn a_message_may_ask_not_to_be_counted() {
    let stage = Stage::tencent().await;
    stage.tencent.ok(SEND, with(c2c("alice", "bob", "psst"), json!({"SendMsgControl": ["NoUnread"]}))).await;
    assert_eq!(stage.backend.first(AFTER).await.body["UnreadMsgNum"], 0);
    stage.tencent.ok(SEND, c2c("alice", "bob", "hello")).await;
    assert_eq!(stage.backend.wait_for(AFTER, 2).await[1].body["UnreadMsgNum"], 1);
    assert_eq!(stage.tencent.unread("bob").await, 1);
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["psst", "hello"]);
}

#[tokio::test]
async fn a_restricted_word_is_refused_and_the_failure_is_told() {
    let stage = Stage::with(Setup::new().restricted_words(["roulette"]), |url| vec![Endpoint::tencent(url)]).await;
    let message = with(c2c("alice", "bob", "come to the Roulette table"), json!({"MsgSeq": 1, "MsgRandom": 2}));
    assert_eq!(stage.tencent.refused(SEND, message).await, 80001);

    let told = stage.backend.first(AFTER).await;
    assert_ne!(told.body["ErrorInfo"], "send msg succeed");
    assert_ne!(told.body["ErrorInfo"], "");
    let mut body = steady(&told.body);
    body["ErrorInfo"] = "<words>".into();
    insta::assert_json_snapshot!(body, @r#"
    {
      "CallbackCommand": "C2C.CallbackAfterSendMsg",
      "ErrorInfo": "<words>",
      "From_Account": "alice",
      "MsgBody": [
        {
          "MsgContent": {
            "Text": "come to the Roulette table"
          },
          "MsgType": "TIMTextElem"
        }
      ],
      "MsgId": "<id>",
      "MsgKey": "<MsgSeq_MsgRandom_MsgTime>",
      "MsgRandom": 2,
      "MsgSeq": 1,
      "MsgTime": "<seconds>",
      "OnlineOnlyFlag": 0,
      "SendMsgResult": 80001,
      "To_Account": "bob",
      "UnreadMsgNum": -1
    }
    "#);
    assert_eq!(stage.tencent.texts("bob", "alice").await, [""; 0]);
    assert_eq!(stage.tencent.unread("bob").await, 0);
}

/// The content filter comes after the question, so it also reads what the backend wrote.
#[tokio::test]
async fn a_restricted_word_that_the_backend_puts_in_is_refused_too() {
    let stage = Stage::with(Setup::new().restricted_words(["roulette"]), |url| vec![Endpoint::tencent(url)]).await;
    stage.backend.answers(BEFORE, with(verdict(0, ""), json!({"MsgBody": text("roulette!")})));
    assert_eq!(stage.tencent.refused(SEND, c2c("alice", "bob", "hi")).await, 80001);
    let told = stage.backend.first(AFTER).await.body;
    assert_eq!((&told["SendMsgResult"], text_of(&told).as_str()), (&json!(80001), "roulette!"));
    assert_eq!(stage.tencent.texts("bob", "alice").await, [""; 0]);
}

#[tokio::test]
async fn bob_blocks_alice_and_the_failure_is_told_but_the_admin_gets_through() {
    let stage = Stage::tencent().await;
    stage.tencent.ok("sns/black_list_add", json!({"From_Account": "bob", "To_Account": ["alice"]})).await;

    // Alice, through OpenIM: not an admin.
    assert_eq!(stage.openim.refused("/msg/send_msg", single("alice", "bob", "let me in")).await, 1302);
    let told = stage.backend.first(AFTER).await.body;
    assert_eq!(told["SendMsgResult"], 20007);
    assert_eq!(told["UnreadMsgNum"], -1);
    assert_eq!(text_of(&told), "let me in");
    assert_ne!(told["ErrorInfo"], "send msg succeed");

    // The app's admin, in alice's name: blocks do not hold him.
    stage.tencent.ok(SEND, c2c("alice", "bob", "by order")).await;
    let told = stage.backend.wait_for(AFTER, 2).await[1].body.clone();
    assert_eq!((&told["SendMsgResult"], &told["UnreadMsgNum"]), (&json!(0), &json!(1)));
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["by order"]);

    // And bob may still write to alice.
    stage.openim.ok("/msg/send_msg", single("bob", "alice", "good bye")).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["by order", "good bye"]);
}

/// A backend that looks something up with us before it answers must not wait for itself.
#[tokio::test]
async fn the_backend_may_call_us_while_it_answers() {
    let stage = Stage::tencent().await;
    let gate = Gate::closed();
    stage.backend.answers(BEFORE, Answer::go_on().held_by(&gate));
    let alice = stage.tencent.clone();
    let sending = tokio::spawn(async move { alice.ok(SEND, c2c("alice", "bob", "second")).await });
    stage.backend.first(BEFORE).await;

    let meanwhile =
        with(c2c("alice", "bob", "first"), json!({"ForbidCallbackControl": ["ForbidBeforeSendMsgCallback"]}));
    stage.tencent.ok(SEND, meanwhile).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["first"]);

    gate.open();
    sending.await.expect("alice's message is sent");
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["first", "second"]);
}

#[tokio::test]
async fn several_backends_are_asked_in_order_and_the_first_rejection_wins() {
    let (first, second, third) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let setup = Setup::new()
        .endpoint(Endpoint::tencent(first.url("")).named("first"))
        .endpoint(Endpoint::tencent(second.url("")).named("second"))
        .endpoint(Endpoint::tencent(third.url("")).named("third"));
    let stage = Stage::with(setup, |_| Vec::new()).await;

    // What the first writes is what the second is asked about.
    first.answers(BEFORE, with(verdict(0, ""), json!({"MsgBody": text("rewritten")})));
    second.answers(BEFORE, verdict(120_002, "second says no"));
    let answer = stage.tencent.call(SEND, c2c("alice", "bob", "original")).await;
    assert_eq!((&answer["ErrorCode"], &answer["ErrorInfo"]), (&json!(120_002), &json!("second says no")));
    assert_eq!(text_of(&first.first(BEFORE).await.body), "original");
    assert_eq!(text_of(&second.first(BEFORE).await.body), "rewritten");
    assert_eq!(third.calls_of(BEFORE).len(), 0, "after a rejection nobody else is asked");

    // All of them are told what was sent in the end.
    second.answers(BEFORE, verdict(0, ""));
    stage.tencent.ok(SEND, c2c("alice", "bob", "original")).await;
    for backend in [&first, &second, &third] {
        assert_eq!(text_of(&backend.first(AFTER).await.body), "rewritten");
    }
}

#[tokio::test]
async fn a_backend_hears_only_what_it_asked_for() {
    let stage = Stage::with(Setup::new(), |url| vec![Endpoint::tencent(url).hears([AFTER])]).await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    stage.backend.first(AFTER).await;
    let commands: Vec<_> = stage.backend.calls().into_iter().map(|call| call.command).collect();
    assert_eq!(commands, [AFTER]);
}
