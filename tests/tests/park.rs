//! Messages that wait for a verdict: a backend of the standard dialect answers "pending", and gives its verdict over the admin
//! API, or lets the deadline decide (`docs/STANDARD.md`).

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use tests::cli::{Ended, of_server};
use tests::openim::{group, single};
use tests::tencent::with;
use tests::wait::until;
use tests::{Admin, Answer, Call, Endpoint, Gate, Server, Setup, Stage, c2c, group_text};

const SENDING: &str = "message.sending";
const SENT: &str = "message.sent";
const NOT_SENT: &str = "message.not_sent";
const C2C_BEFORE: &str = "C2C.CallbackBeforeSendMsg";
const C2C_AFTER: &str = "C2C.CallbackAfterSendMsg";

const SEND: &str = "openim/sendmsg";
const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const OPENIM_SEND: &str = "/msg/send_msg";

/// Whoever reviews, over the admin API.
struct Review(Admin);

impl Review {
    fn of(server: &Server) -> Self {
        Self(Admin::of(server, "/admin/parked"))
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let reply = self.0.send(method, path, body.to_owned()).await;
        (reply.status, reply.json())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.0.get(path).await
    }

    async fn decide(&self, id: &str, verdict: Value) -> (u16, Value) {
        self.0.post(&format!("/{id}"), verdict).await
    }

    /// The ids of those that wait.
    async fn waiting(&self) -> Vec<String> {
        let (status, page) = self.get("").await;
        assert_eq!(status, 200, "{page}");
        let parked = page["parked"].as_array().expect("a page");
        parked.iter().map(|parked| parked["id"].as_str().expect("an id").to_owned()).collect()
    }

    async fn only(&self) -> String {
        let waiting = self.waiting().await;
        assert_eq!(waiting.len(), 1, "{waiting:?}");
        waiting.into_iter().next().expect("one")
    }
}

/// A backend that wants everything to wait, and alice's group with bob.
async fn reviewed() -> (Stage, Review) {
    let stage = Stage::standard().await;
    stage.openim.create_group("climbers", "alice", &["bob"]).await;
    stage.backend.answers(SENDING, json!({"verdict": "pending"}));
    let review = Review::of(&stage.server);
    (stage, review)
}

fn texts(calls: &[Call]) -> Vec<String> {
    let text = |call: &Call| call.body["data"]["message"]["elements"][0]["text"].as_str().expect("a text").to_owned();
    calls.iter().map(text).collect()
}

/// The same message each time it is sent.
fn hi() -> Value {
    with(c2c("alice", "bob", "hi"), json!({"MsgSeq": 7, "MsgRandom": 77}))
}

/// Another message of the same conversation, about which nobody is asked: what was told before it was told before.
async fn marker(stage: &Stage, words: &str) {
    let unasked = json!({"ForbidCallbackControl": ["ForbidBeforeSendMsgCallback"]});
    stage.tencent.ok(SEND, with(c2c("alice", "bob", words), unasked)).await;
}

#[tokio::test]
async fn senders_of_either_dialect_are_told_that_their_message_waits() {
    let (stage, review) = reviewed().await;
    let answer = stage.tencent.call(SEND, hi()).await;
    assert_eq!(answer["ErrorCode"], 120_999, "{answer}");
    assert!(answer["ErrorInfo"].as_str().is_some_and(|words| words.contains("waits for review")), "{answer}");
    let answer = stage.tencent.call(SEND_GROUP, group_text("climbers", "alice", "hi")).await;
    assert_eq!(answer["ErrorCode"], 10_199, "{answer}");
    for body in [single("alice", "bob", "hi"), group("alice", "climbers", "hi")] {
        let answer = stage.openim.call(OPENIM_SEND, body).await;
        assert_eq!((&answer["errCode"], &answer["errMsg"]), (&json!(5999), &json!("MessageWaitsForReview")));
        assert!(answer["errDlt"].as_str().is_some_and(|words| words.contains("waits for review")), "{answer}");
    }
    let waiting = review.waiting().await;
    assert_eq!(waiting.len(), 4);
    let asked = stage.backend.calls_of(SENDING);
    let ids: Vec<_> = asked.iter().map(|call| call.body["data"]["message"]["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, waiting, "in the order in which they were sent, by the ids that were asked about");
    assert_eq!(stage.tencent.texts("bob", "alice").await, [""; 0]);
    assert_eq!(stage.tencent.unread("bob").await, 0);
}

#[tokio::test]
async fn an_allowed_message_is_sent_and_told_once_and_only_then() {
    let (stage, review) = reviewed().await;
    assert_eq!(stage.tencent.refused(SEND, hi()).await, 120_999);
    marker(&stage, "between").await;
    let id = review.only().await;
    let (status, shown) = review.get(&format!("/{id}")).await;
    assert_eq!((status, &shown["state"], &shown["default"]), (200, &json!("waiting"), &json!("reject")));
    assert_eq!(shown["endpoint"], "standard-backend");
    assert_eq!(shown["message"]["elements"], json!([{"type": "text", "text": "hi"}]));
    let day = 24 * 60 * 60 * 1000;
    assert_eq!(shown["until"].as_i64().expect("ms") - shown["since"].as_i64().expect("ms"), day);
    assert_eq!(texts(&stage.backend.wait_for(SENT, 1).await), ["between"], "it was not told while it waits");

    let (status, decided) = review.decide(&id, json!({"verdict": "allow"})).await;
    assert_eq!((status, &decided["decision"]["outcome"], &decided["message"]["seq"]), (200, &json!("sent"), &json!(2)));
    // A retry is the first message, and tells nothing.
    stage.tencent.ok(SEND, hi()).await;
    marker(&stage, "after").await;
    let told = stage.backend.wait_for(SENT, 3).await;
    assert_eq!(texts(&told), ["between", "hi", "after"]);
    let message = &told[1].body["data"]["message"];
    assert_eq!(message["id"], id);
    assert!(message["time"].as_i64() >= told[0].body["data"]["message"]["time"].as_i64(), "times follow seqs");
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["between", "hi", "after"]);
    assert_eq!(stage.backend.calls_of(SENDING).len(), 1, "asked once");
    assert_eq!(review.waiting().await, [""; 0]);

    // It was decided.
    let (status, problem) = review.decide(&id, json!({"verdict": "reject"})).await;
    assert_eq!(status, 409);
    assert!(problem["error"].as_str().is_some_and(|words| words.contains("decided already: sent")), "{problem}");
    let (_, shown) = review.get(&format!("/{id}")).await;
    assert_eq!((&shown["state"], &shown["decision"]["by"]), (&json!("decided"), &json!("verdict")));
}

#[tokio::test]
async fn a_rejection_reaches_the_retry_in_its_own_dialect() {
    let (stage, review) = reviewed().await;
    assert_eq!(stage.tencent.refused(SEND, hi()).await, 120_999);
    assert_eq!(stage.tencent.refused(SEND, hi()).await, 120_999);
    let verdict = json!({"verdict": "reject", "code": 120_001, "info": "be kind"});
    assert_eq!(review.decide(&review.only().await, verdict).await.0, 200);
    let answer = stage.tencent.call(SEND, hi()).await;
    assert_eq!((&answer["ErrorCode"], &answer["ErrorInfo"]), (&json!(120_001), &json!("be kind")));
    marker(&stage, "marker").await;
    assert_eq!(texts(&stage.backend.wait_for(SENT, 1).await), ["marker"]);
    assert_eq!(stage.backend.calls_of(SENDING).len(), 1, "retries ask nobody");
}

#[tokio::test]
async fn a_verdict_may_change_or_discard_a_message() {
    let (stage, review) = reviewed().await;
    stage.openim.refused(OPENIM_SEND, single("alice", "bob", "lunch?")).await;
    let verdict = json!({"verdict": "modify", "elements": [{"type": "text", "text": "dinner?"}]});
    let (status, decided) = review.decide(&review.only().await, verdict).await;
    assert_eq!((status, &decided["decision"]["modified"]), (200, &json!(true)));
    stage.tencent.refused(SEND, hi()).await;
    let (status, decided) = review.decide(&review.only().await, json!({"verdict": "discard"})).await;
    assert_eq!((status, &decided["decision"]["outcome"]), (200, &json!("discarded")));
    stage.tencent.ok(SEND, hi()).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["dinner?"]);
}

#[tokio::test]
async fn the_deadline_decides_as_the_backend_has_said() {
    let (stage, review) = reviewed().await;
    let wants = |default| json!({"verdict": "pending", "deadline": 1, "default": default});
    stage.backend.answers(SENDING, wants("reject"));
    stage.tencent.refused(SEND, hi()).await;
    let id = review.only().await;
    until("the deadline", async || review.waiting().await.is_empty().then_some(())).await;
    let (_, shown) = review.get(&format!("/{id}")).await;
    let decision = &shown["decision"];
    assert_eq!((&decision["outcome"], &decision["by"]), (&json!("rejected"), &json!("deadline")));
    assert_eq!(stage.tencent.refused(SEND, hi()).await, 20_006, "the general code of a refusal");

    stage.backend.answers(SENDING, wants("allow"));
    stage.openim.refused(OPENIM_SEND, single("alice", "bob", "in time")).await;
    assert_eq!(texts(&stage.backend.wait_for(SENT, 1).await), ["in time"]);
}

/// The endpoint that is asked after a deadline does not answer, and would be given a minute for it.
#[tokio::test]
async fn a_stop_does_not_wait_for_deadlines_that_are_settled() {
    let mut stage = Stage::with(Setup::new(), |url| {
        vec![
            Endpoint::standard(format!("{url}/review")).named("review").hears([SENDING]),
            Endpoint::tencent(format!("{url}/last")).named("last").hears([C2C_BEFORE]).timeout("60s"),
        ]
    })
    .await;
    stage.backend.answers(SENDING, json!({"verdict": "pending", "deadline": 1, "default": "allow"}));
    let never = Gate::closed();
    stage.backend.answers(C2C_BEFORE, Answer::go_on().held_by(&never));
    stage.tencent.refused(SEND, hi()).await;
    stage.backend.first(C2C_BEFORE).await;
    let began = Instant::now();
    assert!(stage.server.stop().await.success());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    stage.backend.answers(C2C_BEFORE, Answer::go_on());
    stage.server.launch();
    stage.server.ready().await;
    let tencent = stage.server.tencent();
    until("it to be sent", async || (tencent.texts("bob", "alice").await == ["hi"]).then_some(())).await;
}

#[tokio::test]
async fn it_waits_through_a_kill_and_is_told_once() {
    let (mut stage, review) = reviewed().await;
    let id = {
        stage.tencent.refused(SEND, hi()).await;
        review.only().await
    };
    stage.server.crash_and_restart().await;
    let (tencent, review) = (stage.server.tencent(), Review::of(&stage.server));
    assert_eq!(tencent.refused(SEND, hi()).await, 120_999, "still");
    assert_eq!(review.waiting().await, std::slice::from_ref(&id));
    assert_eq!(review.decide(&id, json!({"verdict": "allow"})).await.0, 200);
    stage.server.crash_and_restart().await;
    stage.tencent = stage.server.tencent();
    let review = Review::of(&stage.server);
    assert_eq!(review.decide(&id, json!({"verdict": "allow"})).await.0, 409);
    stage.tencent.ok(SEND, hi()).await;
    marker(&stage, "marker").await;
    stage
        .backend
        .watch("the marker", |calls| {
            calls.iter().any(|call| call.command == SENT && texts(std::slice::from_ref(call)) == ["marker"])
        })
        .await;
    let told = stage.backend.calls_of(SENT);
    // The kill may have come between a call and the note of it: then it comes again, as the same.
    let mut ids: Vec<_> = told.iter().map(|call| call.headers["webhook-id"].as_str()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 2, "of two messages: {ids:?}");
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["hi", "marker"]);
    let mut words = texts(&told);
    words.dedup();
    assert_eq!(words, ["hi", "marker"]);
    assert_eq!(stage.backend.calls_of(SENDING).len(), 1);
}

#[tokio::test]
async fn other_endpoints_are_asked_when_the_verdict_is_there() {
    let stage = Stage::with(Setup::new(), |url| {
        vec![
            Endpoint::tencent(format!("{url}/first")).named("first").hears([C2C_BEFORE]),
            Endpoint::standard(format!("{url}/review")).named("review").hears([SENDING]),
            Endpoint::tencent(format!("{url}/last")).named("last").hears([C2C_BEFORE, C2C_AFTER]),
        ]
    })
    .await;
    let review = Review::of(&stage.server);
    stage.backend.answers(SENDING, json!({"verdict": "pending"}));
    stage.tencent.refused(SEND, hi()).await;
    let asked = |calls: &[Call]| {
        let asked = calls.iter().filter(|call| call.command == C2C_BEFORE);
        asked.map(|call| call.path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(asked(&stage.backend.calls()), ["/first"]);
    review.decide(&review.only().await, json!({"verdict": "allow"})).await;
    stage.backend.first(C2C_AFTER).await;
    assert_eq!(asked(&stage.backend.calls()), ["/first", "/last"]);
    assert_eq!(stage.backend.calls_of(SENDING).len(), 1);
}

/// The verdict of one, given twice because its answer got lost, is not the verdict of the next one.
#[tokio::test]
async fn a_verdict_is_about_one_round() {
    let stage = Stage::with(Setup::new(), |url| {
        ["first", "second"].map(|name| Endpoint::standard(format!("{url}/{name}")).named(name).hears([SENDING])).into()
    })
    .await;
    let review = Review::of(&stage.server);
    stage.backend.answers(SENDING, json!({"verdict": "pending"}));
    stage.tencent.refused(SEND, hi()).await;
    let id = review.only().await;
    let (status, shown) = review.decide(&id, json!({"verdict": "allow"})).await;
    assert_eq!((status, &shown["state"], &shown["round"]), (200, &json!("waiting"), &json!(2)));
    for again in [json!({"verdict": "allow"}), json!({"verdict": "reject", "round": 1})] {
        let (status, problem) = review.decide(&id, again).await;
        assert_eq!(status, 409, "{problem}");
        assert!(
            problem["error"].as_str().is_some_and(|words| words.contains("endpoint second, in round 2")),
            "{problem}"
        );
    }
    for round in [json!(3), json!(0), json!("2")] {
        let (status, problem) = review.decide(&id, json!({"verdict": "allow", "round": round})).await;
        assert_eq!(status, 400, "{problem}");
        assert!(problem["error"].as_str().is_some_and(|words| words.starts_with("round: found")), "{problem}");
    }
    let late = parked(&stage.server, &["allow", &id]).await;
    assert!(late.code == Some(1) && late.err.contains("in round 2"), "{late:?}");
    assert_eq!(stage.tencent.texts("bob", "alice").await, [""; 0]);
    let sent = parked(&stage.server, &["allow", &id, "--round", "2"]).await;
    assert_eq!((sent.code, sent.out.trim()), (Some(0), format!("{id} was sent, as number 1").as_str()));
}

#[tokio::test]
async fn what_has_changed_meanwhile_counts() {
    let (stage, review) = reviewed().await;
    stage.openim.refused(OPENIM_SEND, single("alice", "bob", "hi")).await;
    let block = json!({"From_Account": "bob", "To_Account": ["alice"]});
    stage.tencent.ok("sns/black_list_add", block).await;
    let (status, decided) = review.decide(&review.only().await, json!({"verdict": "allow"})).await;
    let decision = &decided["decision"];
    assert_eq!((status, &decision["outcome"], &decision["reason"]), (200, &json!("refused"), &json!("blocked")));
    let told = stage.backend.first(NOT_SENT).await;
    assert_eq!(told.body["data"]["reason"], "blocked");
    assert_eq!(stage.backend.calls_of(SENT).len(), 0);
}

#[tokio::test]
async fn what_cannot_be_understood_is_said_in_words() {
    let (stage, review) = reviewed().await;
    stage.tencent.refused(SEND, hi()).await;
    let id = review.only().await;
    let unknown = "0".repeat(32);
    for (method, path, body, expected, word) in [
        (Method::GET, format!("/{unknown}"), "", 404, "waits for a verdict"),
        (Method::GET, "/7".to_owned(), "", 400, "id: "),
        (Method::GET, "?limit=101".to_owned(), "", 400, "limit: "),
        (Method::GET, "?after=x".to_owned(), "", 400, "after: "),
        (Method::GET, "?before=x".to_owned(), "", 400, "before: "),
        (Method::POST, format!("/{unknown}"), r#"{"verdict":"allow"}"#, 404, "waits for a verdict"),
        (Method::POST, format!("/{id}"), "", 400, "verdict"),
        (Method::POST, format!("/{id}"), "{}", 400, "verdict"),
        (Method::POST, format!("/{id}"), r#"{"verdict":"pending"}"#, 400, "waits already"),
        (Method::POST, format!("/{id}"), r#"{"verdict":"allow","elements":[]}"#, 400, "elements"),
        (Method::POST, format!("/{id}"), r#"{"verdict":"modify","elements":[]}"#, 400, "elements"),
        (Method::DELETE, format!("/{id}"), "", 405, "method"),
    ] {
        let (status, problem) = review.send(method.clone(), &path, body).await;
        assert_eq!(status, expected, "{method} {path} {body}: {problem}");
        assert!(problem["error"].as_str().is_some_and(|words| words.contains(word)), "{path} {body}: {problem}");
    }
    let reply = review.0.http.get("/admin/parked").await;
    assert_eq!(reply.status, 401);
    assert_eq!(review.waiting().await, [id], "nothing of it was a verdict");
}

/// `ringback callbacks parked …` about this server.
async fn parked(server: &Server, words: &[&str]) -> Ended {
    of_server(server, &[&["callbacks", "parked"], words].concat()).await
}

#[tokio::test]
async fn the_command_line_lists_and_decides() {
    let (stage, review) = reviewed().await;
    let empty = parked(&stage.server, &[]).await;
    assert_eq!((empty.code, empty.out.trim()), (Some(0), "no message waits for a verdict"));
    for words in ["one", "two", "three"] {
        stage.openim.refused(OPENIM_SEND, single("alice", "bob", words)).await;
    }
    let ids = review.waiting().await;
    let listed = parked(&stage.server, &["list", "--limit", "2"]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.out.lines().all(|line| line.chars().count() <= 100), "{}", listed.out);
    for word in [ids[0].as_str(), "alice", "one", "two", "reject", "more: --after"] {
        assert!(listed.out.contains(word), "{word}: {}", listed.out);
    }
    let page = parked(&stage.server, &["--after", &ids[1], "--json"]).await;
    let page: Value = serde_json::from_str(&page.out).expect("JSON");
    assert_eq!(page["parked"][0]["id"], ids[2]);

    let allowed = parked(&stage.server, &["allow", &ids[0]]).await;
    assert_eq!((allowed.code, allowed.out.trim()), (Some(0), format!("{} was sent, as number 1", ids[0]).as_str()));
    let rejected = parked(&stage.server, &["reject", &ids[1], "--code", "5001", "--info", "be kind"]).await;
    assert_eq!((rejected.code, rejected.out.trim()), (Some(0), format!("{} was rejected: be kind", ids[1]).as_str()));
    let discarded = parked(&stage.server, &["discard", &ids[2]]).await;
    assert_eq!((discarded.code, discarded.out.trim()), (Some(0), format!("{} was discarded", ids[2]).as_str()));
    let again = parked(&stage.server, &["allow", &ids[1]]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("decided already: rejected"), "{}", again.err);
    let wrong = parked(&stage.server, &["allow", "7"]).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["one"]);
}

#[tokio::test]
async fn metrics_show_what_waits_and_what_was_decided() {
    let (stage, review) = reviewed().await;
    let metric = async |name: &str| {
        let text = review.0.http.get("/metrics").await.text();
        text.lines().find(|line| line.starts_with(name)).and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    stage.tencent.refused(SEND, hi()).await;
    until("one that waits", async || (metric("ringback_parked_waiting").await == Some(1.0)).then_some(())).await;
    review.decide(&review.only().await, json!({"verdict": "discard"})).await;
    until("none that waits", async || (metric("ringback_parked_waiting").await == Some(0.0)).then_some(())).await;
    let decided = r#"ringback_parked_decisions_total{decision="discarded",by="verdict"}"#;
    assert_eq!(metric(decided).await, Some(1.0));
    assert_eq!(metric("ringback_parked_total").await, Some(1.0));
}
