//! `Group.CallbackBeforeSendMsg` asks, `Group.CallbackAfterSendMsg` tells: seed document 0.

use serde_json::{Value, json};
use tests::tencent::{text_of, with};
use tests::wire::{keys, sample, shape, steady};
use tests::{Endpoint, Setup, Stage, group_text, text};

const BEFORE: &str = "Group.CallbackBeforeSendMsg";
const AFTER: &str = "Group.CallbackAfterSendMsg";
const SEND: &str = "group_open_http_svc/send_group_msg";

fn verdict(code: i64, info: &str) -> Value {
    json!({"ActionStatus": "OK", "ErrorInfo": info, "ErrorCode": code})
}

/// The climbers: alice owns, bob is a member.
async fn climbers(setup: Setup) -> Stage {
    let stage = Stage::with(setup, |url| vec![Endpoint::tencent(format!("{url}/callback"))]).await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    stage
}

#[tokio::test]
async fn alice_writes_to_her_group_and_the_backend_is_asked_and_told() {
    let stage = climbers(Setup::new()).await;
    let message =
        with(group_text("climbers", "alice", "rope or no rope?"), json!({"Random": 424242, "CloudCustomData": "v1"}));
    let answer = stage.tencent.ok(SEND, message).await;
    insta::assert_json_snapshot!(steady(&answer), @r#"
    {
      "ActionStatus": "OK",
      "ErrorCode": 0,
      "ErrorInfo": "",
      "MsgSeq": 1,
      "MsgTime": "<seconds>"
    }
    "#);

    let asked = stage.backend.first(BEFORE).await;
    insta::assert_json_snapshot!(steady(&asked.body), @r#"
    {
      "CallbackCommand": "Group.CallbackBeforeSendMsg",
      "CloudCustomData": "v1",
      "EventTime": "<milliseconds, quoted>",
      "From_Account": "alice",
      "GroupId": "climbers",
      "MsgBody": [
        {
          "MsgContent": {
            "Text": "rope or no rope?"
          },
          "MsgType": "TIMTextElem"
        }
      ],
      "OnlineOnlyFlag": 0,
      "Operator_Account": "administrator",
      "Random": 424242,
      "Type": "Public"
    }
    "#);

    let told = stage.backend.first(AFTER).await;
    insta::assert_json_snapshot!(steady(&told.body), @r#"
    {
      "CallbackCommand": "Group.CallbackAfterSendMsg",
      "CloudCustomData": "v1",
      "EventTime": "<milliseconds, quoted>",
      "From_Account": "alice",
      "GroupId": "climbers",
      "MsgBody": [
        {
          "MsgContent": {
            "Text": "rope or no rope?"
          },
          "MsgType": "TIMTextElem"
        }
      ],
      "MsgSeq": 1,
      "MsgTime": "<seconds>",
      "OnlineOnlyFlag": 0,
      "Operator_Account": "administrator",
      "Random": 424242,
      "Type": "Public"
    }
    "#);
    assert_eq!(told.body["MsgTime"], answer["MsgTime"]);

    for (command, call) in [(BEFORE, asked), (AFTER, told)] {
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/callback"));
        let expected = format!(
            "SdkAppid=1400000000&CallbackCommand={command}&contenttype=json&ClientIP=127.0.0.1&OptPlatform=RESTAPI"
        );
        assert_eq!(call.query_text, expected);
    }
}

#[tokio::test]
async fn the_body_has_the_shape_of_the_document() {
    let stage = climbers(Setup::new()).await;
    stage.backend.answers(AFTER, sample("tencent_answer"));
    let message = with(
        group_text("climbers", "alice", "a present for all"),
        json!({"Random": 654321, "OnlineOnlyFlag": 1, "CloudCustomData": "wrapped"}),
    );
    stage.tencent.ok(SEND, message).await;
    let told = stage.backend.first(AFTER).await.body;
    assert_eq!(shape(&told), shape(&sample("group_after_send")));
    for field in ["Type", "From_Account", "Operator_Account", "Random", "OnlineOnlyFlag", "MsgBody", "CloudCustomData"]
    {
        assert_eq!(told[field], sample("group_after_send")[field], "{field}");
    }
}

#[tokio::test]
async fn the_callback_carries_the_groups_gapless_seq() {
    let stage = climbers(Setup::new()).await;
    stage.tencent.create_group("swimmers", "bob", &[]).await;
    for n in 1..=5 {
        for group in ["climbers", "swimmers"] {
            let answer = stage.tencent.ok(SEND, group_text(group, "bob", &format!("{group} {n}"))).await;
            assert_eq!(answer["MsgSeq"], n);
        }
    }
    let told = stage.backend.wait_for(AFTER, 10).await;
    for group in ["climbers", "swimmers"] {
        let told: Vec<_> = told
            .iter()
            .filter(|call| call.body["GroupId"] == group)
            .map(|call| (call.body["MsgSeq"].as_i64(), text_of(&call.body)))
            .collect();
        let expected: Vec<_> = (1..=5).map(|n| (Some(n), format!("{group} {n}"))).collect();
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn an_online_only_message_says_so_and_takes_no_seq() {
    let stage = climbers(Setup::new()).await;
    for flag in ["OnlineOnlyFlag", "MsgOnlineOnlyFlag"] {
        stage.tencent.ok(SEND, with(group_text("climbers", "alice", "typing.."), json!({flag: 1}))).await;
    }
    assert_eq!(stage.tencent.ok(SEND, group_text("climbers", "alice", "kept")).await["MsgSeq"], 1);
    let told = stage.backend.wait_for(AFTER, 3).await;
    let flags: Vec<_> = told.iter().map(|call| (text_of(&call.body), call.body["OnlineOnlyFlag"].as_i64())).collect();
    assert_eq!(
        flags,
        [("typing..".to_owned(), Some(1)), ("typing..".to_owned(), Some(1)), ("kept".to_owned(), Some(0))]
    );
    assert_eq!(stage.tencent.group_texts("climbers").await, ["kept"]);
}

#[tokio::test]
async fn the_type_is_the_one_the_samples_use() {
    let stage = climbers(Setup::new()).await;
    let types = [
        ("Work", "Private"),
        ("Private", "Private"),
        ("Public", "Public"),
        ("Meeting", "ChatRoom"),
        ("ChatRoom", "ChatRoom"),
        ("Community", "Community"),
        ("AVChatRoom", "AVChatRoom"),
    ];
    for (n, (asked, shown)) in types.into_iter().enumerate() {
        let group = json!({"Type": asked, "Name": asked, "Owner_Account": "alice"});
        let id = stage.tencent.ok("group_open_http_svc/create_group", group).await["GroupId"].clone();
        stage.tencent.ok(SEND, group_text(id.as_str().expect("an id"), "alice", "hi")).await;
        let told = stage.backend.wait_for(AFTER, n + 1).await[n].body.clone();
        assert_eq!((&told["GroupId"], &told["Type"]), (&id, &json!(shown)), "created as {asked}");
    }
}

#[tokio::test]
async fn a_message_in_a_topic_names_it_and_counts_on_its_own() {
    let stage = climbers(Setup::new()).await;
    let community = json!({
        "Type": "Community", "Name": "alps", "Owner_Account": "alice", "SupportTopic": 1, "GroupId": "@TGS#_alps",
    });
    stage.tencent.ok("group_open_http_svc/create_group", community).await;
    let topic = json!({"GroupId": "@TGS#_alps", "TopicName": "routes", "TopicId": "@TGS#_alps@TOPIC#_routes"});
    let answer = stage.tencent.ok("million_group_open_http_svc/create_topic", topic).await;
    assert_eq!(answer["TopicId"], "@TGS#_alps@TOPIC#_routes");

    stage.tencent.ok(SEND, group_text("@TGS#_alps", "alice", "in the hall")).await;
    let in_topic =
        with(group_text("@TGS#_alps", "alice", "route is posted"), json!({"TopicId": "@TGS#_alps@TOPIC#_routes"}));
    assert_eq!(stage.tencent.ok(SEND, in_topic).await["MsgSeq"], 1, "a topic has its own counter");

    for (command, seq) in [(BEFORE, Value::Null), (AFTER, json!(1))] {
        let calls = stage.backend.wait_for(command, 2).await;
        let in_topic = calls.iter().find(|call| text_of(&call.body) == "route is posted").expect("the topic's call");
        let (group, topic) = (&in_topic.body["GroupId"], &in_topic.body["TopicId"]);
        assert_eq!(
            (group, topic, &in_topic.body["Type"]),
            (&json!("@TGS#_alps"), &json!("@TGS#_alps@TOPIC#_routes"), &json!("Community"))
        );
        assert_eq!(in_topic.body["MsgSeq"], seq);
        let in_the_hall = calls.iter().find(|call| text_of(&call.body) == "in the hall").expect("the hall's call");
        assert!(!keys(&in_the_hall.body).contains(&"TopicId"), "{}", in_the_hall.body);
    }
}

#[tokio::test]
async fn a_sender_need_not_be_named_nor_be_a_member() {
    let stage = climbers(Setup::new()).await;
    let mut message = group_text("climbers", "alice", "from the house");
    message.as_object_mut().expect("a body").remove("From_Account");
    stage.tencent.ok(SEND, message).await;
    stage.tencent.ok(SEND, group_text("climbers", "dave", "from outside")).await;
    let told = stage.backend.wait_for(AFTER, 2).await;
    let senders: Vec<_> =
        told.iter().map(|call| json!([call.body["From_Account"], call.body["Operator_Account"]])).collect();
    assert_eq!(senders, [json!(["administrator", "administrator"]), json!(["dave", "administrator"])]);
}

/// After a refusal or a discard the next message has the first seq, and its callback is the first.
async fn the_group_has_only_the_marker(stage: &Stage) {
    stage.backend.answers(BEFORE, verdict(0, ""));
    let answer = stage.tencent.ok(SEND, group_text("climbers", "alice", "marker")).await;
    assert_eq!(answer["MsgSeq"], 1, "a message that never was has taken a seq");
    let told = stage.backend.first(AFTER).await.body;
    assert_eq!((text_of(&told).as_str(), &told["MsgSeq"]), ("marker", &json!(1)));
    assert_eq!(stage.tencent.group_texts("climbers").await, ["marker"]);
}

#[tokio::test]
async fn the_backend_rejects_and_the_caller_gets_10016() {
    let stage = climbers(Setup::new()).await;
    stage.backend.answers(BEFORE, verdict(1, ""));
    assert_eq!(stage.tencent.refused(SEND, group_text("climbers", "alice", "no")).await, 10016);
    the_group_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn an_own_code_and_its_text_reach_the_caller() {
    let stage = climbers(Setup::new()).await;
    for code in [10_100, 10_150, 10_200] {
        stage.backend.answers(BEFORE, verdict(code, "links are not allowed"));
        let answer = stage.tencent.call(SEND, group_text("climbers", "alice", "http://")).await;
        assert_eq!(answer, json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": "links are not allowed"}));
    }
    the_group_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn a_code_outside_the_own_range_is_a_plain_reject() {
    let stage = climbers(Setup::new()).await;
    for code in [3, 10_099, 10_201, 120_001, -1] {
        stage.backend.answers(BEFORE, verdict(code, "home-made"));
        assert_eq!(stage.tencent.refused(SEND, group_text("climbers", "alice", "no")).await, 10016, "for {code}");
    }
    the_group_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn a_discarded_message_looks_sent_and_is_nowhere() {
    let stage = climbers(Setup::new()).await;
    stage.backend.answers(BEFORE, verdict(2, ""));
    let answer = stage.tencent.ok(SEND, group_text("climbers", "alice", "into the void")).await;
    assert_eq!(keys(&answer), ["ActionStatus", "ErrorCode", "ErrorInfo", "MsgSeq", "MsgTime"]);
    the_group_has_only_the_marker(&stage).await;
}

#[tokio::test]
async fn the_backend_rewrites_a_message_and_everyone_gets_what_it_wrote() {
    let stage = climbers(Setup::new()).await;
    let rewritten = json!([
        {"MsgType": "TIMTextElem", "MsgContent": {"Text": "***"}},
        {"MsgType": "TIMCustomElem", "MsgContent": {"Desc": "level", "Data": "LV1"}},
    ]);
    stage.backend.answers(BEFORE, with(verdict(0, ""), json!({"MsgBody": rewritten, "CloudCustomData": "checked"})));
    stage.tencent.ok(SEND, with(group_text("climbers", "alice", "rude"), json!({"CloudCustomData": "raw"}))).await;

    let told = stage.backend.first(AFTER).await.body;
    assert_eq!((&told["MsgBody"], &told["CloudCustomData"]), (&rewritten, &json!("checked")));
    let history = stage.tencent.group_history("climbers").await;
    assert_eq!((&history[0]["MsgBody"], &history[0]["CloudCustomData"]), (&rewritten, &json!("checked")));
}

#[tokio::test]
async fn forbid_before_skips_the_question_and_forbid_after_the_telling() {
    let stage = climbers(Setup::new()).await;
    stage.backend.answers(BEFORE, verdict(1, ""));
    let unasked = with(
        group_text("climbers", "alice", "unasked"),
        json!({"ForbidCallbackControl": ["ForbidBeforeSendMsgCallback"]}),
    );
    stage.tencent.ok(SEND, unasked).await;
    stage.backend.answers(BEFORE, verdict(0, ""));
    let untold = with(
        group_text("climbers", "alice", "untold"),
        json!({"ForbidCallbackControl": ["ForbidAfterSendMsgCallback"]}),
    );
    stage.tencent.ok(SEND, untold).await;
    stage.tencent.ok(SEND, group_text("climbers", "alice", "marker")).await;

    let told: Vec<_> = stage
        .backend
        .wait_for(AFTER, 2)
        .await
        .iter()
        .map(|call| (text_of(&call.body), call.body["MsgSeq"].as_i64()))
        .collect();
    assert_eq!(told, [("unasked".to_owned(), Some(1)), ("marker".to_owned(), Some(3))]);
    let asked: Vec<_> = stage.backend.calls_of(BEFORE).iter().map(|call| text_of(&call.body)).collect();
    assert_eq!(asked, ["untold", "marker"]);
}

#[tokio::test]
async fn a_restricted_word_is_refused_and_told_to_nobody() {
    let stage = climbers(Setup::new().restricted_words(["roulette"])).await;
    assert_eq!(stage.tencent.refused(SEND, group_text("climbers", "alice", "ROULETTE tonight")).await, 80001);
    stage.backend.answers(BEFORE, with(verdict(0, ""), json!({"MsgBody": text("roulette!")})));
    assert_eq!(stage.tencent.refused(SEND, group_text("climbers", "alice", "hi")).await, 80001);
    the_group_has_only_the_marker(&stage).await;
}
