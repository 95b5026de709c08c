//! A backend that is down, slow, confused or hostile: asking it has a declared answer for each kind of failure,
//! and it takes nothing down with it.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::openim::{group, single};
use tests::tencent::with;
use tests::{Endpoint, Manner, Receiver, Rogue, Setup, Stage, c2c, group_text};

const SEND: &str = "openim/sendmsg";
const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const OPENIM_SEND: &str = "/msg/send_msg";

/// OpenIM tells two kinds of failure apart.
const UNREACHABLE: i64 = 90004;
const UNREADABLE: i64 = 90007;

/// An endpoint that is only asked, and not told.
fn tencent(url: String) -> Endpoint {
    Endpoint::tencent(url).hears(["C2C.CallbackBeforeSendMsg", "Group.CallbackBeforeSendMsg"])
}

fn openim(url: String) -> Endpoint {
    Endpoint::openim(url).hears([
        "callbackBeforeSendSingleMsgCommand",
        "callbackBeforeSendGroupMsgCommand",
        "callbackBeforeMsgModifyCommand",
    ])
}

/// The manners of a bad backend, with the codes that OpenIM has for them.
fn manners() -> Vec<(Manner, &'static [i64])> {
    vec![
        (Manner::Refuses, &[UNREACHABLE]),
        (Manner::Hangs, &[UNREACHABLE]),
        (Manner::HangsUp, &[UNREACHABLE]),
        (Manner::Says500, &[UNREACHABLE]),
        (Manner::Html, &[UNREADABLE]),
        (Manner::HalfABody, &[UNREACHABLE, UNREADABLE]),
        (Manner::EndlessBody, &[UNREACHABLE, UNREADABLE]),
        (Manner::EndlessHeader, &[UNREACHABLE]),
        (Manner::Gibberish, &[UNREACHABLE]),
        (Manner::Answers(""), &[UNREADABLE]),
        (Manner::Answers("[]"), &[UNREADABLE]),
        (Manner::Answers("\"no\""), &[UNREADABLE]),
        (Manner::Answers(r#"{"ErrorCode":{"a":1},"ErrorInfo":[],"actionCode":"zero","nextCode":[1]}"#), &[UNREADABLE]),
        (
            Manner::Answers(r#"{"ErrorCode":0,"MsgBody":"text","actionCode":0,"nextCode":0,"content":{"content":7}}"#),
            &[UNREADABLE, 0],
        ),
    ]
}

/// A stage whose only questions go to the rogue; the decent backend is told what happened.
async fn stage(rogue: &Rogue, dialect: fn(String) -> Endpoint, on_failure: &'static str) -> Stage {
    let asked = dialect(rogue.url("")).named("rogue").timeout("300ms").on_failure(on_failure);
    let stage = Stage::with(Setup::new().endpoint(asked), |url| {
        vec![Endpoint::tencent(url).hears(["C2C.CallbackAfterSendMsg", "Group.CallbackAfterSendMsg"])]
    })
    .await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    stage
}

#[tokio::test]
async fn a_bad_tencent_backend_that_may_be_ignored() {
    for (manner, _) in manners() {
        let rogue = Rogue::start(manner.clone()).await;
        let stage = stage(&rogue, tencent, "allow").await;
        stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
        assert_eq!(
            stage.tencent.ok(SEND_GROUP, group_text("climbers", "alice", "hi")).await["MsgSeq"],
            1,
            "{manner:?}"
        );
        stage.backend.first("C2C.CallbackAfterSendMsg").await;
        stage.backend.first("Group.CallbackAfterSendMsg").await;
        assert_eq!(stage.tencent.texts("bob", "alice").await, ["hi"], "{manner:?}");
    }
}

#[tokio::test]
async fn a_bad_tencent_backend_that_must_be_heard() {
    for (manner, _) in manners() {
        let rogue = Rogue::start(manner.clone()).await;
        let stage = stage(&rogue, tencent, "reject").await;
        assert_eq!(stage.tencent.refused(SEND, c2c("alice", "bob", "no")).await, 80003, "{manner:?}");
        assert_eq!(stage.tencent.refused(SEND_GROUP, group_text("climbers", "alice", "no")).await, 80003, "{manner:?}");
        nothing_was_sent(&stage).await;
    }
}

#[tokio::test]
async fn a_bad_openim_backend_that_may_be_ignored() {
    for (manner, _) in manners() {
        let rogue = Rogue::start(manner.clone()).await;
        let stage = stage(&rogue, openim, "allow").await;
        stage.openim.ok(OPENIM_SEND, single("alice", "bob", "hi")).await;
        stage.openim.ok(OPENIM_SEND, group("alice", "climbers", "hi")).await;
        stage.backend.first("C2C.CallbackAfterSendMsg").await;
        stage.backend.first("Group.CallbackAfterSendMsg").await;
        assert_eq!(
            stage.openim.pull("bob", "si_alice_bob").await[0]["content"],
            json!({"content": "hi"}),
            "{manner:?}"
        );
    }
}

#[tokio::test]
async fn a_bad_openim_backend_that_must_be_heard() {
    for (manner, codes) in manners() {
        if codes.contains(&0) {
            continue; // readable to OpenIM: its fields are of no account when nothing is refused
        }
        let rogue = Rogue::start(manner.clone()).await;
        let stage = stage(&rogue, openim, "reject").await;
        for message in [single("alice", "bob", "no"), group("alice", "climbers", "no")] {
            let code = stage.openim.refused(OPENIM_SEND, message).await;
            assert!(codes.contains(&code), "{manner:?}: {code}, not one of {codes:?}");
        }
        nothing_was_sent(&stage).await;
    }
}

/// Across: a bad OpenIM backend refuses what came in through Tencent, and the other way round.
#[tokio::test]
async fn a_failure_is_told_in_the_callers_words() {
    let rogue = Rogue::start(Manner::Says500).await;
    let in_openim = stage(&rogue, openim, "reject").await;
    assert_eq!(in_openim.tencent.refused(SEND, c2c("alice", "bob", "no")).await, 80003);
    let in_tencent = stage(&rogue, tencent, "reject").await;
    assert_eq!(in_tencent.openim.refused(OPENIM_SEND, single("alice", "bob", "no")).await, 90004);
}

async fn nothing_was_sent(stage: &Stage) {
    assert_eq!(stage.tencent.texts("bob", "alice").await, [""; 0]);
    assert_eq!(stage.tencent.group_texts("climbers").await, [""; 0]);
    let unasked = json!({"ForbidCallbackControl": ["ForbidBeforeSendMsgCallback"]});
    stage.tencent.ok(SEND, with(c2c("alice", "bob", "marker"), unasked.clone())).await;
    assert_eq!(
        stage.tencent.ok(SEND_GROUP, with(group_text("climbers", "alice", "marker"), unasked)).await["MsgSeq"],
        1
    );
    for command in ["C2C.CallbackAfterSendMsg", "Group.CallbackAfterSendMsg"] {
        assert_eq!(tests::tencent::text_of(&stage.backend.first(command).await.body), "marker");
    }
}

/// A redirect is a failure, and is not followed: outgoing calls cannot be pointed elsewhere.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start().await;
    let rogue = Rogue::start(Manner::Redirects { to: elsewhere.url("/latest/meta-data") }).await;
    let strict = stage(&rogue, tencent, "reject").await;
    assert_eq!(strict.tencent.refused(SEND, c2c("alice", "bob", "no")).await, 80003);
    let strict = stage(&rogue, openim, "reject").await;
    assert_eq!(strict.openim.refused(OPENIM_SEND, single("alice", "bob", "no")).await, UNREACHABLE);
    let lenient = stage(&rogue, tencent, "allow").await;
    lenient.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    assert!(rogue.requests() >= 3);
    assert_eq!(elsewhere.count(), 0);
}

/// Proceeding is what both vendors do by default.
#[tokio::test]
async fn ignoring_is_the_default() {
    let rogue = Rogue::start(Manner::Says500).await;
    let setup = Setup::new().endpoint(tencent(rogue.url("")).named("rogue"));
    let stage = Stage::with(setup, |_| Vec::new()).await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["hi"]);
}

#[tokio::test]
async fn a_question_has_a_deadline() {
    let rogue = Rogue::start(Manner::Hangs).await;
    let stage = stage(&rogue, tencent, "allow").await;
    let start = Instant::now();
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(290), "it did not wait for the answer: {took:?}");
    assert!(took < Duration::from_secs(2), "the timeout is 300 ms: {took:?}");
    rogue.wait_for_requests(1).await;
}

/// While one question hangs, other conversations (and those that ask nobody) are not held up.
#[tokio::test]
async fn a_hanging_question_holds_up_nobody_else() {
    let rogue = Rogue::start(Manner::Hangs).await;
    let asked = Endpoint::tencent(rogue.url("")).named("rogue").hears(["C2C.CallbackBeforeSendMsg"]).timeout("30s");
    let stage = Stage::with(Setup::new().endpoint(asked), |_| Vec::new()).await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    let alice = stage.tencent.clone();
    let hanging = tokio::spawn(async move { alice.call(SEND, c2c("alice", "bob", "waits")).await });
    rogue.wait_for_requests(1).await;

    let start = Instant::now();
    for n in 1..=20 {
        assert_eq!(stage.tencent.ok(SEND_GROUP, group_text("climbers", "alice", "hi")).await["MsgSeq"], n);
    }
    stage
        .tencent
        .ok(
            SEND,
            with(c2c("alice", "bob", "unasked"), json!({"ForbidCallbackControl": ["ForbidBeforeSendMsgCallback"]})),
        )
        .await;
    assert!(!hanging.is_finished(), "20 messages took longer than the hanging one: {:?}", start.elapsed());
    hanging.abort();
}

/// The first failure is a line in the log, once, with the endpoint's name; a backend's fault is not our error.
#[tokio::test]
async fn a_failure_is_logged_once() {
    for manner in [Manner::Refuses, Manner::Hangs, Manner::Says500, Manner::Html] {
        let rogue = Rogue::start(manner.clone()).await;
        let asked = Endpoint::tencent(rogue.url(""))
            .named("the-crooked-one")
            .hears(["C2C.CallbackBeforeSendMsg"])
            .timeout("300ms");
        let mut stage = Stage::with(Setup::new().endpoint(asked), |_| Vec::new()).await;
        stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
        stage.server.stop().await;
        let complaints = stage.server.complaints_about("the-crooked-one");
        assert_eq!(complaints.len(), 1, "{manner:?}: {complaints:#?}");
        assert_eq!(complaints[0]["level"], "WARN", "{manner:?}");
    }
}

/// What is told is told again until a 2xx comes in time; meanwhile sends go on, and other backends hear everything.
#[tokio::test]
async fn a_bad_listener_harms_nobody_else() {
    let elsewhere = Receiver::start().await;
    let redirect = Manner::Redirects { to: elsewhere.url("/") };
    for manner in [
        Manner::Refuses,
        Manner::Hangs,
        Manner::HangsUp,
        Manner::Says500,
        Manner::EndlessBody,
        Manner::EndlessHeader,
        Manner::Gibberish,
        redirect,
    ] {
        let rogue = Rogue::start(manner.clone()).await;
        let told =
            Endpoint::tencent(rogue.url("")).named("rogue").hears(["Group.CallbackAfterSendMsg"]).timeout("300ms");
        let stage = Stage::with(Setup::new().endpoint(told), |url| {
            vec![Endpoint::tencent(url).hears(["Group.CallbackAfterSendMsg"])]
        })
        .await;
        stage.tencent.create_group("climbers", "alice", &["bob"]).await;
        for n in 1..=10 {
            assert_eq!(stage.tencent.ok(SEND_GROUP, group_text("climbers", "alice", "hi")).await["MsgSeq"], n);
        }
        let told = stage.backend.wait_for("Group.CallbackAfterSendMsg", 10).await;
        let seqs: Vec<_> = told.iter().map(|call| call.body["MsgSeq"].as_i64().expect("MsgSeq")).collect();
        assert_eq!(seqs, (1..=10).collect::<Vec<_>>(), "{manner:?}");
        if !matches!(manner, Manner::Refuses) {
            rogue.wait_for_requests(1).await;
        }
    }
    assert_eq!(elsewhere.count(), 0, "a redirect is not followed");
}
