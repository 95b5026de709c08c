//! Every event calls back, in order, at least once; telling never slows chatting.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use sha2::{Digest, Sha256};
use tests::openim::group;
use tests::tencent::text_of;
use tests::usersig::{hmac_sha256, now};
use tests::{Answer, Call, Endpoint, Gate, Manner, Receiver, Rogue, Setup, Stage, c2c, group_text};

const SEND: &str = "openim/sendmsg";
const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const AFTER: &str = "Group.CallbackAfterSendMsg";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn seqs(calls: &[Call], group: &str) -> Vec<i64> {
    let of_group = calls.iter().filter(|call| call.body["GroupId"] == group);
    of_group.map(|call| call.body["MsgSeq"].as_i64().expect("MsgSeq")).collect()
}

/// The order of first arrivals, repeats left out.
fn firsts(seqs: &[i64]) -> Vec<i64> {
    let mut seen = BTreeSet::new();
    seqs.iter().copied().filter(|seq| seen.insert(*seq)).collect()
}

/// A stage whose backend is told about group messages, with groups `g0`, `g1`, .. of alice's.
async fn groups(count: usize, endpoint: impl FnOnce(Endpoint) -> Endpoint) -> Stage {
    let stage =
        Stage::with(Setup::new(), |url| vec![endpoint(Endpoint::tencent(format!("{url}/callback")).hears([AFTER]))])
            .await;
    for n in 0..count {
        stage.tencent.create_group(&format!("g{n}"), "alice", &["bob"]).await;
    }
    stage
}

#[tokio::test]
async fn a_backend_that_was_down_hears_everything_in_order() {
    let down = Rogue::start(Manner::Refuses).await;
    let address = down.address();
    let endpoint = Endpoint::tencent(format!("http://{address}")).hears([AFTER]);
    let mut stage = Stage::with(Setup::new().endpoint(endpoint), |_| Vec::new()).await;
    stage.tencent.create_group("g0", "alice", &[]).await;
    for n in 1..=20 {
        assert_eq!(stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await["MsgSeq"], n);
    }
    // Even a crash in between loses nothing.
    stage.server.crash_and_restart().await;
    stage.tencent = stage.server.tencent();
    for n in 21..=30 {
        assert_eq!(stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await["MsgSeq"], n);
    }
    drop(down);
    let backend = Receiver::at(address).await;
    let calls = backend.wait_until("all 30 messages", |calls| firsts(&seqs(calls, "g0")).len() == 30).await;
    assert_eq!(firsts(&seqs(&calls, "g0")), (1..=30).collect::<Vec<_>>());
    assert_eq!(calls.iter().map(|call| text_of(&call.body)).collect::<BTreeSet<_>>().len(), 30);
}

/// It goes away in the middle and comes back: no gap, and the order holds.
#[tokio::test]
async fn a_backend_that_comes_and_goes_hears_everything_in_order() {
    let backend = Receiver::start().await;
    let address = backend.address();
    let endpoint = Endpoint::tencent(backend.url("")).hears([AFTER]);
    let stage = Stage::with(Setup::new().endpoint(endpoint), |_| Vec::new()).await;
    stage.tencent.create_group("g0", "alice", &[]).await;
    for n in 1..=10 {
        stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await;
    }
    backend.wait_for(AFTER, 1).await;
    let mut calls = backend.stop();
    for n in 11..=20 {
        stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await;
    }
    let backend = Receiver::at(address).await;
    backend.wait_until("the last message", |calls| seqs(calls, "g0").contains(&20)).await;
    calls.extend(backend.calls());
    assert_eq!(firsts(&seqs(&calls, "g0")), (1..=20).collect::<Vec<_>>());
}

/// An event that is refused is told again, later events of its conversation wait, and its id stays the same.
#[tokio::test]
async fn a_refused_event_is_told_again_under_the_same_id() {
    let stage = groups(1, |endpoint| endpoint.secret(SECRET).retries(["0s", "50ms", "100ms"])).await;
    stage.backend.answers_in_turn(AFTER, [Answer::status(500), Answer::status(503), Answer::status(200)]);
    for n in 1..=3 {
        stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await;
    }
    let calls = stage.backend.wait_for(AFTER, 5).await;
    assert_eq!(seqs(&calls, "g0"), [1, 1, 1, 2, 3]);
    let ids: Vec<_> = calls.iter().map(|call| call.headers["webhook-id"].as_str()).collect();
    assert_eq!((ids[0], ids[0]), (ids[1], ids[2]), "an event has one id");
    assert_eq!(ids[2..].iter().collect::<BTreeSet<_>>().len(), 3, "and no other event has it: {ids:?}");
    assert_eq!(calls[0].body, calls[2].body, "and the same body");
}

/// Any 2xx is "told"; what the body says is ignored.
#[tokio::test]
async fn what_a_listener_answers_does_not_matter() {
    let stage = groups(1, |endpoint| endpoint).await;
    let answers = [
        Answer::from(json!({"ActionStatus": "FAIL", "ErrorInfo": "I refuse", "ErrorCode": 1})),
        Answer::text("text/html", "<html>"),
        Answer::text("text/plain", ""),
        Answer::status(201),
        Answer::status(204),
        Answer::go_on(),
    ];
    let count = answers.len();
    stage.backend.answers_in_turn(AFTER, answers);
    for n in 1..=count {
        stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await;
    }
    let calls = stage.backend.wait_for(AFTER, count).await;
    assert_eq!(seqs(&calls, "g0"), [1, 2, 3, 4, 5, 6], "each once");
}

/// An endpoint may ask for more: then "told" is what the body says.
#[tokio::test]
async fn a_listener_may_acknowledge_in_the_body() {
    let stage = groups(1, |endpoint| endpoint.acknowledge("body").retries(["0s", "50ms", "100ms"])).await;
    let answers = [
        Answer::from(json!({"ActionStatus": "FAIL", "ErrorInfo": "not yet", "ErrorCode": 1})),
        Answer::text("text/html", "<html>"),
        Answer::go_on(),
    ];
    stage.backend.answers_in_turn(AFTER, answers);
    for n in 1..=2 {
        stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await;
    }
    let calls = stage.backend.wait_for(AFTER, 4).await;
    assert_eq!(seqs(&calls, "g0"), [1, 1, 1, 2]);
}

/// The listener never answers, and its deadline is far away: every send is answered all the same.
#[tokio::test]
async fn a_hanging_listener_slows_no_send() {
    let stage = groups(1, |endpoint| endpoint.timeout("50s")).await;
    let gate = Gate::closed();
    stage.backend.answers(AFTER, Answer::go_on().held_by(&gate));
    stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", "first")).await;
    stage.backend.wait_for(AFTER, 1).await;

    let start = Instant::now();
    for n in 2..=200 {
        assert_eq!(stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", "hi")).await["MsgSeq"], n);
    }
    assert!(start.elapsed() < Duration::from_secs(40), "199 sends took {:?}", start.elapsed());
    assert_eq!(stage.backend.count(), 1, "the next event of a conversation waits for the one before");

    gate.open();
    let calls = stage.backend.wait_for(AFTER, 200).await;
    assert_eq!(seqs(&calls, "g0"), (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn conversations_do_not_wait_for_each_other() {
    let stage = groups(2, |endpoint| endpoint.timeout("50s")).await;
    let gate = Gate::closed();
    let held = gate.clone();
    stage.backend.answers_with(AFTER, move |call| {
        if call.body["GroupId"] == "g0" { Answer::go_on().held_by(&held) } else { Answer::go_on() }
    });
    for n in 1..=10 {
        for group in ["g0", "g1"] {
            stage.tencent.ok(SEND_GROUP, group_text(group, "alice", &format!("{n}"))).await;
        }
    }
    let calls = stage.backend.wait_until("all of g1", |calls| seqs(calls, "g1").len() == 10).await;
    assert_eq!(seqs(&calls, "g1"), (1..=10).collect::<Vec<_>>());
    assert_eq!(seqs(&calls, "g0"), [1], "g0's first event is still unanswered");
    gate.open();
    let calls = stage.backend.wait_until("all of g0", |calls| seqs(calls, "g0").len() == 10).await;
    assert_eq!(seqs(&calls, "g0"), (1..=10).collect::<Vec<_>>());
}

/// One conversation's event is refused for ever, and thousands wait behind it: the others hear nothing of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_is_refused_for_long_holds_up_no_other() {
    const WAITING: usize = 3000;
    let stage = groups(2, |endpoint| endpoint).await;
    stage.backend.answers_with(
        AFTER,
        |call| {
            if call.body["GroupId"] == "g0" { Answer::status(500) } else { Answer::go_on() }
        },
    );
    let sends: Vec<_> = (0..20)
        .map(|_| {
            let tencent = stage.tencent.clone();
            tokio::spawn(async move {
                for n in 0..WAITING / 20 {
                    tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await;
                }
            })
        })
        .collect();
    for send in sends {
        send.await.expect("all are sent");
    }
    for n in 1..=10 {
        stage.tencent.ok(SEND_GROUP, group_text("g1", "alice", &format!("{n}"))).await;
    }
    let calls = stage.backend.wait_until("all of g1", |calls| seqs(calls, "g1").len() == 10).await;
    assert_eq!(seqs(&calls, "g1"), (1..=10).collect::<Vec<_>>());
    assert!(seqs(&calls, "g0").iter().all(|seq| *seq == 1));
}

/// A conversation lags because it is refused; the server dies. The others are not told again, and the one that lags goes
/// on where it was.
#[tokio::test]
async fn a_conversation_that_lags_does_so_alone_after_a_crash() {
    let mut stage = groups(2, |endpoint| endpoint).await;
    stage.backend.answers_with(AFTER, |call| {
        if call.body["GroupId"] == "g0" && call.body["MsgSeq"] != 1 { Answer::status(500) } else { Answer::go_on() }
    });
    for n in 1..=3 {
        stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await;
    }
    stage.backend.wait_until("a refusal", |calls| seqs(calls, "g0").contains(&2)).await;
    for n in 1..=5 {
        stage.tencent.ok(SEND_GROUP, group_text("g1", "alice", &format!("{n}"))).await;
    }
    stage.backend.wait_until("all of g1", |calls| seqs(calls, "g1").len() == 5).await;
    // Stopping in order saves what was told; then it dies once more while nothing is told.
    stage.server.stop_and_restart().await;
    stage.server.crash_and_restart().await;
    stage.tencent = stage.server.tencent();
    stage.backend.answers(AFTER, Answer::go_on());
    stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", "4")).await;
    let calls = stage.backend.wait_until("all of g0", |calls| seqs(calls, "g0").contains(&4)).await;
    assert_eq!(firsts(&seqs(&calls, "g0")), [1, 2, 3, 4]);
    assert_eq!(seqs(&calls, "g0").iter().filter(|seq| **seq == 1).count(), 1, "what was told is not told again");
    assert_eq!(seqs(&calls, "g1"), [1, 2, 3, 4, 5], "each once");
}

/// The same for a conversation whose calls are never answered in time, while others are.
#[tokio::test]
async fn a_conversation_that_hangs_lags_alone() {
    let mut stage = groups(2, |endpoint| endpoint.timeout("100ms")).await;
    let gate = Gate::closed();
    let held = gate.clone();
    stage.backend.answers_with(AFTER, move |call| {
        if call.body["GroupId"] == "g0" { Answer::go_on().held_by(&held) } else { Answer::go_on() }
    });
    stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", "1")).await;
    stage.backend.wait_until("three tries", |calls| seqs(calls, "g0").len() >= 3).await;
    for n in 1..=5 {
        stage.tencent.ok(SEND_GROUP, group_text("g1", "alice", &format!("{n}"))).await;
    }
    stage.backend.wait_until("all of g1", |calls| seqs(calls, "g1").len() == 5).await;
    stage.server.stop_and_restart().await;
    stage.tencent = stage.server.tencent();
    gate.open();
    stage.backend.wait_until("g0 after the restart", |calls| seqs(calls, "g0").len() >= 4).await;
    // Whatever of g1 were told again would come before this.
    stage.tencent.ok(SEND_GROUP, group_text("g1", "alice", "6")).await;
    let calls = stage.backend.wait_until("the last of g1", |calls| seqs(calls, "g1").contains(&6)).await;
    assert_eq!(seqs(&calls, "g1"), [1, 2, 3, 4, 5, 6], "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_conversations_at_once_each_in_its_order() {
    const GROUPS: usize = 20;
    const MESSAGES: usize = 20;
    let stage = groups(GROUPS, |endpoint| endpoint).await;
    // A backend with moods: some calls take longer than others.
    let mut mood = 7_u64;
    stage.backend.answers_with(AFTER, move |_| {
        mood = mood.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Answer::go_on().late(Duration::from_millis((mood >> 60) % 8))
    });
    let sends: Vec<_> = (0..GROUPS)
        .map(|n| {
            let (tencent, openim) = (stage.tencent.clone(), stage.openim.clone());
            tokio::spawn(async move {
                for i in 0..MESSAGES {
                    if i % 2 == 0 {
                        tencent.ok(SEND_GROUP, group_text(&format!("g{n}"), "alice", &format!("{i}"))).await;
                    } else {
                        openim.ok("/msg/send_msg", group("alice", &format!("g{n}"), &format!("{i}"))).await;
                    }
                }
            })
        })
        .collect();
    for send in sends {
        send.await.expect("all are sent");
    }
    let calls = stage.backend.wait_for(AFTER, GROUPS * MESSAGES).await;
    for n in 0..GROUPS {
        assert_eq!(seqs(&calls, &format!("g{n}")), (1..=MESSAGES as i64).collect::<Vec<_>>(), "g{n}");
    }
    assert!(stage.backend.most_at_once() > 1, "conversations are told in parallel");
}

#[tokio::test]
async fn an_endpoint_bounds_the_calls_at_once() {
    let stage = groups(10, |endpoint| endpoint.concurrency(3).timeout("50s")).await;
    let gate = Gate::closed();
    stage.backend.answers(AFTER, Answer::go_on().held_by(&gate));
    for n in 0..10 {
        stage.tencent.ok(SEND_GROUP, group_text(&format!("g{n}"), "alice", "hi")).await;
    }
    stage.backend.wait_for(AFTER, 3).await;
    gate.open();
    stage.backend.wait_for(AFTER, 10).await;
    assert_eq!(stage.backend.most_at_once(), 3);
}

#[tokio::test]
async fn every_backend_hears_everything_and_a_dead_one_delays_nobody() {
    let dead = Rogue::start(Manner::Refuses).await;
    let (one, two) = (Receiver::start().await, Receiver::start().await);
    let setup = Setup::new()
        .endpoint(Endpoint::tencent(dead.url("")).named("dead").hears([AFTER]))
        .endpoint(Endpoint::tencent(one.url("")).named("one").hears([AFTER]).secret(SECRET))
        .endpoint(Endpoint::tencent(two.url("")).named("two").hears([AFTER]).secret(SECRET));
    let stage = Stage::with(setup, |_| Vec::new()).await;
    stage.tencent.create_group("g0", "alice", &[]).await;
    for n in 1..=5 {
        stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await;
    }
    let mut ids = BTreeSet::new();
    for backend in [&one, &two] {
        let calls = backend.wait_for(AFTER, 5).await;
        assert_eq!(seqs(&calls, "g0"), [1, 2, 3, 4, 5]);
        ids.extend(calls.into_iter().map(|call| call.headers["webhook-id"].clone()));
    }
    assert_eq!(ids.len(), 10, "an id is unique per endpoint and event");
}

#[tokio::test]
async fn connections_are_kept() {
    let stage = Stage::tencent().await;
    for n in 0..20 {
        stage.tencent.ok(SEND, c2c("alice", "bob", &format!("{n}"))).await;
    }
    stage.backend.wait_for("C2C.CallbackAfterSendMsg", 20).await;
    let connections: BTreeSet<_> = stage.backend.calls().iter().map(|call| call.peer).collect();
    assert!(connections.len() <= 4, "40 calls over {} connections", connections.len());
}

/// Tencent's own signature: lower-case hex SHA-256 of token and RequestTime, made anew for every call.
#[tokio::test]
async fn a_token_signs_the_query() {
    let digest =
        |text: &str| Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        digest("hook-token-71700000000"),
        "4c0c000aa734911622f9152c8cb8b01ac80c6f238131749c7fde2f9d2c38de00",
        "the rules' vector"
    );

    let stage = Stage::with(Setup::new(), |url| vec![Endpoint::tencent(url).token("hook-token-7")]).await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    stage.backend.first("C2C.CallbackAfterSendMsg").await;
    for call in stage.backend.calls() {
        let time = &call.query["RequestTime"];
        assert!(time.parse::<u64>().expect("seconds").abs_diff(now()) < 60, "{time}");
        assert_eq!(call.query["Sign"], digest(&format!("hook-token-7{time}")));
        assert!(!call.headers.contains_key("webhook-signature"), "there is no secret");
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_signed() {
    let stage = Stage::tencent().await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    let call = stage.backend.first("C2C.CallbackAfterSendMsg").await;
    assert!(!call.query.contains_key("Sign") && !call.query.contains_key("RequestTime"), "{}", call.query_text);
}

/// Standard Webhooks, beside either dialect: v1 is HMAC-SHA256 over "id.timestamp.body".
#[tokio::test]
async fn a_secret_signs_the_body() {
    let stage = Stage::with(Setup::new(), |url| {
        vec![
            Endpoint::tencent(format!("{url}/callback")).secret(SECRET),
            Endpoint::openim(format!("{url}/webhook")).secret(SECRET),
        ]
    })
    .await;
    stage.tencent.create_group("g0", "alice", &["bob"]).await;
    stage.openim.ok("/msg/send_msg", group("alice", "g0", "hi")).await;
    stage.backend.first(AFTER).await;
    stage.backend.first("callbackAfterSendGroupMsgCommand").await;
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").expect("a prefix")).expect("base64");
    let calls = stage.backend.calls();
    let about_messages = calls.iter().filter(|call| call.command.contains("Msg")).count();
    assert_eq!(about_messages, 5, "two questions in one dialect, one in the other, and two are told");
    for call in &calls {
        let (id, timestamp) = (&call.headers["webhook-id"], &call.headers["webhook-timestamp"]);
        assert!(timestamp.parse::<u64>().expect("seconds").abs_diff(now()) < 60, "{timestamp}");
        let mut text = format!("{id}.{timestamp}.").into_bytes();
        text.extend_from_slice(&call.bytes);
        let expected = format!("v1,{}", STANDARD.encode(hmac_sha256(&key, &text)));
        assert!(
            call.headers["webhook-signature"].split(' ').any(|signature| signature == expected),
            "{}",
            call.command
        );
    }
    let ids: BTreeSet<_> = calls.iter().map(|call| &call.headers["webhook-id"]).collect();
    assert_eq!(ids.len(), calls.len());
}

/// What was told before an orderly stop is not told again after it.
#[tokio::test]
async fn an_orderly_stop_repeats_nothing() {
    let mut stage = groups(1, |endpoint| endpoint).await;
    for n in 1..=10 {
        stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{n}"))).await;
    }
    stage.backend.wait_for(AFTER, 10).await;
    let status = stage.server.stop().await;
    assert!(status.success(), "{status}");
    stage.server.launch();
    stage.server.ready().await;
    stage.tencent = stage.server.tencent();
    stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", "11")).await;
    let calls = stage.backend.wait_until("the eleventh", |calls| seqs(calls, "g0").contains(&11)).await;
    assert_eq!(seqs(&calls, "g0"), (1..=11).collect::<Vec<_>>());
}

#[tokio::test]
async fn there_are_metrics() {
    let stage = groups(1, |endpoint| endpoint).await;
    stage.tencent.ok(SEND_GROUP, group_text("g0", "alice", "hi")).await;
    stage.backend.wait_for(AFTER, 1).await;
    let metrics = stage.tencent.http.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    let samples: BTreeMap<_, _> = metrics
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert!(!samples.is_empty(), "{}", metrics.text());
    assert!(samples.values().all(|value| value.parse::<f64>().is_ok()), "{samples:?}");
}
