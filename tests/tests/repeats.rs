//! A retried send is the same message with the same answer: stored once, told once, even 100 at once.

use serde_json::{Value, json};
use tests::openim::{group, single};
use tests::tencent::{text_of, with};
use tests::{Endpoint, Setup, Stage, c2c, group_text};

const SEND: &str = "openim/sendmsg";
const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const OPENIM_SEND: &str = "/msg/send_msg";
const C2C_AFTER: &str = "C2C.CallbackAfterSendMsg";
const GROUP_AFTER: &str = "Group.CallbackAfterSendMsg";

/// The 100 answers to 100 simultaneous sends, which must all be the same.
async fn the_one_answer<F: Future<Output = Value> + Send + 'static>(send: impl Fn() -> F) -> Value {
    let sends: Vec<_> = (0..100).map(|_| tokio::spawn(send())).collect();
    let mut answers = Vec::new();
    for send in sends {
        answers.push(send.await.expect("an answer"));
    }
    let first = answers[0].clone();
    assert!(answers.iter().all(|answer| *answer == first), "different answers: {answers:#?}");
    first
}

fn openim_answer(data: &Value) -> Value {
    json!([data["serverMsgID"], data["clientMsgID"], data["sendTime"]])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_to_one_with_a_seq_100_times_at_once() {
    let stage = Stage::tencent().await;
    let message = with(c2c("alice", "bob", "once"), json!({"MsgSeq": 17, "MsgRandom": 4711}));
    let (tencent, body) = (stage.tencent.clone(), message.clone());
    let answer = the_one_answer(move || {
        let (tencent, body) = (tencent.clone(), body.clone());
        async move { tencent.ok(SEND, body).await }
    })
    .await;
    assert_eq!(answer["MsgKey"], format!("17_4711_{}", answer["MsgTime"]));

    // A late retry is the same, whatever it says; another seq, or another sender, is another message.
    let asked = stage.backend.calls_of("C2C.CallbackBeforeSendMsg").len();
    assert_eq!(
        stage.tencent.ok(SEND, with(message.clone(), json!({"MsgBody": tests::text("other words")}))).await,
        answer
    );
    assert_eq!(stage.backend.calls_of("C2C.CallbackBeforeSendMsg").len(), asked, "a repeat is not asked about again");
    stage.tencent.ok(SEND, with(message.clone(), json!({"MsgSeq": 18, "MsgBody": tests::text("other seq")}))).await;
    stage
        .tencent
        .ok(
            SEND,
            with(message, json!({"From_Account": "bob", "To_Account": "alice", "MsgBody": tests::text("other way")})),
        )
        .await;

    assert_eq!(stage.tencent.texts("bob", "alice").await, ["once", "other seq", "other way"]);
    let told: Vec<_> = stage.backend.wait_for(C2C_AFTER, 3).await.iter().map(|call| text_of(&call.body)).collect();
    assert_eq!(told, ["once", "other seq", "other way"]);
    assert_eq!(stage.tencent.unread("bob").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_to_one_without_a_seq_100_times_at_once() {
    let stage = Stage::tencent().await;
    let message = with(c2c("alice", "bob", "once"), json!({"MsgRandom": 4711}));
    let tencent = stage.tencent.clone();
    let answer = the_one_answer(move || {
        let (tencent, body) = (tencent.clone(), message.clone());
        async move { tencent.ok(SEND, body).await }
    })
    .await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "marker")).await;
    let told = stage.backend.wait_for(C2C_AFTER, 2).await;
    assert_eq!(told.iter().map(|call| text_of(&call.body)).collect::<Vec<_>>(), ["once", "marker"]);
    assert_eq!(told[0].body["MsgKey"], answer["MsgKey"]);
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["once", "marker"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_a_group_100_times_at_once() {
    let stage = Stage::tencent().await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    let message = with(group_text("climbers", "alice", "once"), json!({"Random": 4711}));
    let (tencent, body) = (stage.tencent.clone(), message.clone());
    let answer = the_one_answer(move || {
        let (tencent, body) = (tencent.clone(), body.clone());
        async move { tencent.ok(SEND_GROUP, body).await }
    })
    .await;
    assert_eq!(answer["MsgSeq"], 1);

    // The same Random from somebody else is somebody else's message.
    let other = stage
        .tencent
        .ok(SEND_GROUP, with(message, json!({"From_Account": "bob", "MsgBody": tests::text("bob's")})))
        .await;
    assert_eq!(other["MsgSeq"], 2);
    let told = stage.backend.wait_for(GROUP_AFTER, 2).await;
    assert_eq!(told.iter().map(|call| text_of(&call.body)).collect::<Vec<_>>(), ["once", "bob's"]);
    assert_eq!(stage.tencent.group_texts("climbers").await, ["once", "bob's"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_openim_100_times_at_once() {
    let stage = Stage::both().await;
    stage.openim.create_group("climbers", "alice", &["bob"]).await;
    for (message, user, conversation) in [
        (single("alice", "bob", "once"), "bob", "si_alice_bob"),
        (group("alice", "climbers", "once"), "bob", "sg_climbers"),
    ] {
        let message = with(message, json!({"clientMsgID": format!("mine-{conversation}")}));
        let (openim, body) = (stage.openim.clone(), message.clone());
        let answer = the_one_answer(move || {
            let (openim, body) = (openim.clone(), body.clone());
            async move { openim_answer(&openim.ok(OPENIM_SEND, body).await) }
        })
        .await;
        assert_eq!(openim_answer(&stage.openim.ok(OPENIM_SEND, message.clone()).await), answer);
        stage
            .openim
            .ok(
                OPENIM_SEND,
                with(
                    message,
                    json!({"clientMsgID": format!("another-{conversation}"), "content": {"content": "marker"}}),
                ),
            )
            .await;
        let history = stage.openim.pull(user, conversation).await;
        let seen: Vec<_> =
            history.iter().map(|message| json!([message["seq"], message["content"]["content"]])).collect();
        assert_eq!(seen, [json!([1, "once"]), json!([2, "marker"])]);
        assert_eq!(history[0]["serverMsgID"], answer[0]);
    }
    for (after, in_openim) in
        [(C2C_AFTER, "callbackAfterSendSingleMsgCommand"), (GROUP_AFTER, "callbackAfterSendGroupMsgCommand")]
    {
        let told = stage.backend.wait_for(after, 2).await;
        assert_eq!(told.iter().map(|call| text_of(&call.body)).collect::<Vec<_>>(), ["once", "marker"]);
        assert_eq!(stage.backend.wait_for(in_openim, 2).await.len(), 2);
    }
}

/// Two sends without any key of their own are two messages.
#[tokio::test]
async fn without_a_key_equal_words_are_two_messages() {
    let stage = Stage::openim().await;
    let ids = [
        stage.openim.ok(OPENIM_SEND, single("alice", "bob", "hi")).await,
        stage.openim.ok(OPENIM_SEND, single("alice", "bob", "hi")).await,
    ];
    assert_ne!(ids[0]["serverMsgID"], ids[1]["serverMsgID"]);
    assert_eq!(stage.openim.pull("bob", "si_alice_bob").await.len(), 2);
}

#[tokio::test]
async fn a_repeat_is_known_after_a_crash() {
    let mut stage = Stage::with(Setup::new(), |url| vec![Endpoint::tencent(url)]).await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    let one = with(c2c("alice", "bob", "once"), json!({"MsgSeq": 17}));
    let many = group_text("climbers", "alice", "once");
    let own = with(single("bob", "alice", "once"), json!({"clientMsgID": "mine"}));
    let send = async |stage: &Stage| {
        let one = stage.tencent.ok(SEND, one.clone()).await;
        let many = stage.tencent.ok(SEND_GROUP, many.clone()).await;
        let own = openim_answer(&stage.openim.ok(OPENIM_SEND, own.clone()).await);
        json!([one, many, own])
    };
    let before = send(&stage).await;
    stage.server.crash_and_restart().await;
    (stage.tencent, stage.openim) = (stage.server.tencent(), stage.server.openim().await);
    assert_eq!(send(&stage).await, before);
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["once", "once"]);
    assert_eq!(stage.tencent.group_texts("climbers").await, ["once"]);
}

/// What was refused left no trace: the retry is judged anew.
#[tokio::test]
async fn a_refused_message_may_be_tried_again() {
    let stage = Stage::tencent().await;
    stage.backend.answers("C2C.CallbackBeforeSendMsg", json!({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 1}));
    let message = with(c2c("alice", "bob", "please"), json!({"MsgSeq": 17}));
    assert_eq!(stage.tencent.refused(SEND, message.clone()).await, 20006);
    stage.backend.answers("C2C.CallbackBeforeSendMsg", json!({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}));
    stage.tencent.ok(SEND, message).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["please"]);
}
