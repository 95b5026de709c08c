//! Asking never breaks chatting: each kind of failure has its declared answer, a dead backend costs a few deadlines and
//! then nothing, and a backend may call us while we ask it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::openim::{content_of, group};
use tests::tencent::{text_of, with};
use tests::usersig::now;
use tests::wait::until;
use tests::{Answer, Call, Endpoint, Gate, Manner, OpenIm, Receiver, Rogue, Server, Setup, Stage, Tencent, group_text};

const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const OPENIM_SEND: &str = "/msg/send_msg";
const GROUP: &str = "climbers";

/// The two dialects, each with its own words for the same matter: a message of alice's to the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Voice {
    Tencent,
    OpenIm,
}

use Voice::{OpenIm as InOpenIm, Tencent as InTencent};

const VOICES: [Voice; 2] = [InTencent, InOpenIm];

/// What became of a message: sent, or refused with this code.
type Fate = Result<(), i64>;

impl Voice {
    fn command(self) -> &'static str {
        match self {
            InTencent => "Group.CallbackBeforeSendMsg",
            InOpenIm => "callbackBeforeSendGroupMsgCommand",
        }
    }

    /// Asked, and not told.
    fn endpoint(self, url: String) -> Endpoint {
        let endpoint = match self {
            InTencent => Endpoint::tencent(url),
            InOpenIm => Endpoint::openim(url),
        };
        endpoint.named("app").hears([self.command()])
    }

    fn no(self) -> Value {
        match self {
            InTencent => json!({"ActionStatus": "OK", "ErrorInfo": "no", "ErrorCode": 10_150}),
            InOpenIm => json!({"actionCode": 0, "errCode": 5001, "errMsg": "no", "errDlt": "", "nextCode": 1}),
        }
    }

    /// What a message is refused with that the backend says no to.
    fn refused(self) -> Fate {
        Err(if self == InTencent { 10_150 } else { 5001 })
    }

    /// What a message is refused with if asking failed, and `on_…` says so.
    fn failed(self) -> Fate {
        Err(if self == InTencent { 80_003 } else { 90_004 })
    }

    fn text_of(self, call: &Call) -> String {
        match self {
            InTencent => text_of(&call.body),
            InOpenIm => content_of(&call.body)["content"].as_str().expect("a text").to_owned(),
        }
    }
}

/// The app's side of a server, in one dialect.
#[derive(Clone, Debug)]
struct App {
    voice: Voice,
    tencent: Tencent,
    openim: OpenIm,
}

impl App {
    async fn of(voice: Voice, server: &Server) -> Self {
        Self { voice, tencent: server.tencent(), openim: server.openim().await }
    }

    async fn send(&self, words: &str) -> Fate {
        self.send_body(self.body(words)).await.0
    }

    fn body(&self, words: &str) -> Value {
        match self.voice {
            InTencent => group_text(GROUP, "alice", words),
            InOpenIm => group("alice", GROUP, words),
        }
    }

    /// Sends, and gives the whole answer, too.
    async fn send_body(&self, body: Value) -> (Fate, Value) {
        let (code, answer) = match self.voice {
            InTencent => ("ErrorCode", self.tencent.call(SEND_GROUP, body).await),
            InOpenIm => ("errCode", self.openim.call(OPENIM_SEND, body).await),
        };
        let code = answer[code].as_i64().expect("a code");
        (if code == 0 { Ok(()) } else { Err(code) }, answer)
    }

    /// Sends, and gives how long it took.
    async fn timed(&self, words: &str) -> (Fate, Duration) {
        let start = Instant::now();
        (self.send(words).await, start.elapsed())
    }

    /// 0 closed, 1 half-open, 2 open.
    async fn breaker(&self) -> i64 {
        let metrics = self.tencent.http.get("/metrics").await.text();
        let shown = metrics.lines().find_map(|line| line.strip_prefix("ringback_breaker_state{endpoint=\"app\"} "));
        shown.unwrap_or_else(|| panic!("no state of the breaker in {metrics}")).parse().expect("a whole number")
    }
}

async fn play(voice: Voice, url: String, change: impl FnOnce(Endpoint) -> Endpoint) -> (Stage, App) {
    let setup = Setup::new().endpoint(change(voice.endpoint(url)));
    let stage = Stage::with(setup, |_| Vec::new()).await;
    stage.tencent.create_group(GROUP, "alice", &["bob"]).await;
    let app = App::of(voice, &stage.server).await;
    (stage, app)
}

/// Four kinds of failure, four keys, and each decides about its own kind only.
async fn each_kind_of_failure_has_its_own_answer(voice: Voice) {
    let kinds = [
        ("timeout", Manner::Hangs, voice.failed()),
        ("connection_error", Manner::Refuses, voice.failed()),
        ("bad_status", Manner::Says500, voice.failed()),
        ("bad_body", Manner::Html, if voice == InOpenIm { Err(90_007) } else { voice.failed() }),
    ];
    for (kind, manner, failed) in kinds.clone() {
        let rogue = Rogue::start(manner).await;
        for (all, exact) in [("allow", "reject"), ("reject", "allow")] {
            // Its own key wins over `on_failure`.
            let own = |endpoint: Endpoint| endpoint.timeout("200ms").on_failure(all).on(kind, exact);
            let (stage, app) = play(voice, rogue.url(""), own).await;
            let expected = if exact == "reject" { failed } else { Ok(()) };
            assert_eq!(app.send("hi").await, expected, "{kind} is {exact}");
            let stored = stage.tencent.group_texts(GROUP).await.len();
            assert_eq!(stored, usize::from(expected.is_ok()), "{kind} is {exact}");
        }
        // The other three are none of its business.
        let others = |endpoint: Endpoint| {
            let others = kinds.iter().filter(|(other, ..)| *other != kind);
            others.fold(endpoint.timeout("200ms"), |endpoint, (other, ..)| endpoint.on(other, "reject"))
        };
        let (_stage, app) = play(voice, rogue.url(""), others).await;
        assert_eq!(app.send("hi").await, Ok(()), "{kind}, and the others are to be rejected");
        // A command's own key wins over its endpoint's.
        let of_command = |endpoint: Endpoint| {
            let own = format!("on_{kind}");
            endpoint.timeout("200ms").on(kind, "allow").of_command(voice.command(), &own, "reject")
        };
        let (_stage, app) = play(voice, rogue.url(""), of_command).await;
        assert_eq!(app.send("hi").await, failed, "{kind} of the command");
    }
}

#[tokio::test]
async fn each_kind_of_failure_has_its_own_answer_in_tencent() {
    each_kind_of_failure_has_its_own_answer(InTencent).await;
}

#[tokio::test]
async fn each_kind_of_failure_has_its_own_answer_in_openim() {
    each_kind_of_failure_has_its_own_answer(InOpenIm).await;
}

/// The backend takes half a second: long enough for one command, too long for the other.
#[tokio::test]
async fn each_command_has_its_own_deadline() {
    for voice in VOICES {
        let backend = Receiver::start().await;
        backend.answers(voice.command(), Answer::from(voice.no()).late(Duration::from_millis(500)));
        let of_command = |timeout| {
            move |endpoint: Endpoint| endpoint.timeout("100ms").of_command(voice.command(), "timeout", timeout)
        };
        let (_stage, app) = play(voice, backend.url(""), of_command("20s")).await;
        assert_eq!(app.send("no").await, voice.refused());
        let (_stage, app) = play(voice, backend.url(""), of_command("50ms")).await;
        assert_eq!(app.send("hi").await, Ok(()));
        let (_stage, app) = play(voice, backend.url(""), |endpoint| endpoint.timeout("100ms")).await;
        assert_eq!(app.send("hi").await, Ok(()));
    }
}

/// Settings that could never apply keep the server from starting, in words.
#[tokio::test]
async fn only_questions_have_settings_of_their_own() {
    let start = async |dialect: &str, command: &str| {
        let home = tempfile::tempdir().expect("a temporary directory");
        let file = home.path().join("ringback.toml");
        let endpoint = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ngateway = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"app\"\n\
             dialect = \"{dialect}\"\nurl = \"http://127.0.0.1:9/\"\ncommands = [\"*\"]\n\
             [endpoint.command.\"{command}\"]\ntimeout = \"1s\"\n"
        );
        std::fs::write(&file, endpoint).expect("the configuration file");
        let mut command = tests::cli::ringback();
        command.args(["serve", "--data-dir"]).arg(home.path().join("data")).arg("--config").arg(&file);
        tests::cli::finish(command).await
    };
    for (dialect, command, words) in [
        ("tencent", "Group.CallbackAfterSendMsg", "nothing is asked by this command"),
        ("tencent", "Group.CallbackBeforeLunch", "its dialect has no command"),
        ("openim", "callbackAfterSendGroupMsgCommand", "nothing is asked by this command"),
        // Its name says that it asks, and it tells.
        ("openim", "callbackBeforeAfterMsgCommand", "nothing is asked by this command"),
    ] {
        let ended = start(dialect, command).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains(command) && ended.err.contains(words), "{}", ended.err);
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// How much longer a send takes than on a server that asks nobody: the medians, measured in turn. On a busy machine they
/// differ by some milliseconds of their own accord, so it is measured up to three times: what is added is added each time.
async fn added_latency(app: &App, unasked: &App) -> Duration {
    let mut added = Duration::MAX;
    for _ in 0..3 {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for n in 0..60 {
            with.push(app.timed(&format!("{n}")).await.1);
            without.push(unasked.timed(&format!("{n}")).await.1);
        }
        let (with, without) = (median(with), median(without));
        tests::say(&format!("a send takes {with:?} with a dead backend, {without:?} without any"));
        added = added.min(with.saturating_sub(without));
        if added < Duration::from_millis(5) {
            break;
        }
    }
    added
}

/// A server without endpoints, to compare with.
async fn unasked(voice: Voice) -> (Stage, App) {
    let stage = Stage::with(Setup::new(), |_| Vec::new()).await;
    stage.tencent.create_group(GROUP, "alice", &["bob"]).await;
    let app = App::of(voice, &stage.server).await;
    (stage, app)
}

/// Sends until the backend decides again; it says no to everything.
async fn is_asked_again(app: &App) {
    until("the backend to be asked again", async || (app.send("probe").await == app.voice.refused()).then_some(()))
        .await;
    assert_eq!(app.breaker().await, 0);
}

/// From its death on, one sender at a time: 10 s later nobody waits, and when it is back it is asked.
async fn a_hanging_backend(voice: Voice, timeout: Option<&'static str>) {
    let backend = Receiver::start().await;
    let (stage, app) = play(voice, backend.url(""), |endpoint| match timeout {
        Some(timeout) => endpoint.timeout(timeout),
        None => endpoint,
    })
    .await;
    let (_unasked, unasked) = unasked(voice).await;
    assert_eq!(app.send("alive").await, Ok(()));
    assert_eq!(app.breaker().await, 0);

    let gate = Gate::closed();
    backend.answers(voice.command(), Answer::from(voice.no()).held_by(&gate));
    let death = Instant::now();
    let mut costly = 0;
    while app.breaker().await == 0 {
        assert!(death.elapsed() < Duration::from_secs(10), "it is not found dead after {:?}", death.elapsed());
        let (fate, took) = app.timed("into the void").await;
        assert_eq!(fate, Ok(()), "the policy lets it pass");
        costly += u32::from(took > Duration::from_secs(1));
    }
    let found_dead = death.elapsed();
    tests::say(&format!("{voice:?}, timeout {timeout:?}: found dead after {found_dead:?} and {costly} deadlines"));
    assert!(found_dead < Duration::from_secs(10), "{found_dead:?}");
    let added = added_latency(&app, &unasked).await;
    assert!(added < Duration::from_millis(5), "{added:?}");
    assert!(app.breaker().await > 0);

    // Whoever probes it hangs as well, until the gate opens; then it answers.
    gate.open();
    is_asked_again(&app).await;
    let changes: Vec<_> = stage.server.log().iter().filter(|line| !line["state"].is_null()).cloned().collect();
    assert_eq!(changes.first().expect("a line")["state"], "open", "{changes:#?}");
    assert_eq!(changes.last().expect("a line")["state"], "closed", "{changes:#?}");
    assert_eq!(stage.server.complaints_about("the endpoint is dead").len(), 1, "once, not per question");
}

#[tokio::test]
async fn a_hanging_backend_costs_a_few_deadlines_in_tencent() {
    a_hanging_backend(InTencent, None).await;
}

#[tokio::test]
async fn a_hanging_backend_costs_a_few_deadlines_in_openim() {
    a_hanging_backend(InOpenIm, None).await;
}

/// Nobody waits out a minute.
#[tokio::test]
async fn a_hanging_backend_with_a_long_deadline_costs_less_than_one() {
    a_hanging_backend(InTencent, Some("60s")).await;
}

/// Nobody listens there; then somebody does.
#[tokio::test]
async fn a_backend_that_refuses_connections_and_comes_back() {
    for voice in VOICES {
        let down = Rogue::start(Manner::Refuses).await;
        let address = down.address();
        // What would be rejected had it gone silent.
        let (stage, app) = play(voice, down.url(""), |endpoint| endpoint.on("timeout", "reject")).await;
        let (_unasked, unasked) = unasked(voice).await;
        for n in 0..3 {
            assert_eq!(app.send(&format!("{n}")).await, Ok(()));
        }
        assert_eq!(app.breaker().await, 2);
        let added = added_latency(&app, &unasked).await;
        assert!(added < Duration::from_millis(5), "{added:?}");
        drop(down);
        let backend = Receiver::at(address).await;
        backend.answers(voice.command(), voice.no());
        is_asked_again(&app).await;
        assert_eq!(stage.server.complaints_about("the endpoint is dead").len(), 1, "once, not per question");
    }
}

/// While it is dead, its questions get what is declared for how it died: here, refusals, and at once.
#[tokio::test]
async fn a_dead_backend_that_must_be_heard_refuses_at_once() {
    for voice in VOICES {
        let rogue = Rogue::start(Manner::Hangs).await;
        let strict = |endpoint: Endpoint| endpoint.timeout("200ms").on("timeout", "reject");
        let (stage, app) = play(voice, rogue.url(""), strict).await;
        until("the breaker to open", async || {
            assert_eq!(app.send("no").await, voice.failed());
            (app.breaker().await == 2).then_some(())
        })
        .await;
        let asked = rogue.requests();
        assert!(asked >= 3, "{asked}");
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(app.send("no").await, voice.failed());
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "20 deadlines are 4 s: {took:?}");
        assert!(rogue.requests() <= asked + 2, "it is probed at most, and not asked");
        assert_eq!(stage.tencent.group_texts(GROUP).await, [""; 0]);
    }
}

/// The receiver sends a message to the group while it answers for one, and that is asked about, too; so on, three deep.
async fn nested(voice: Voice, places: u32, expected: &[&str], asked: usize) {
    let backend = Receiver::start().await;
    let (stage, app) = play(voice, backend.url(""), |endpoint| endpoint.concurrency(places)).await;
    let inner = App::of(voice, &stage.server).await;
    backend.answers_with(voice.command(), move |call| {
        let depth: u32 = voice.text_of(call).strip_prefix("depth ").expect("a depth").parse().expect("a number");
        if depth == 3 {
            return Answer::go_on();
        }
        let (gate, inner) = (Gate::closed(), inner.clone());
        let answer = Answer::go_on().held_by(&gate);
        tokio::spawn(async move {
            assert_eq!(inner.send(&format!("depth {}", depth + 1)).await, Ok(()));
            gate.open();
        });
        answer
    });
    for _ in 0..3 {
        let (fate, took) = app.timed("depth 0").await;
        assert_eq!(fate, Ok(()));
        // Had anybody waited for its own parent, the parent's 2 s would be over.
        assert!(took < Duration::from_millis(1800), "{took:?} with {places} places");
    }
    let texts = stage.tencent.group_texts(GROUP).await;
    assert_eq!(texts, expected.repeat(3), "{places} places");
    let questions = backend.calls_of(voice.command());
    assert_eq!(questions.len(), asked * 3, "{places} places");
    assert!(backend.most_at_once() <= places as usize, "the bound holds");
    assert_eq!(app.breaker().await, 0);
    assert_eq!(stage.server.complaints_about("no complete answer").len(), 0);
}

#[tokio::test]
async fn who_is_asked_may_send_to_the_same_conversation() {
    for voice in VOICES {
        nested(voice, 64, &["depth 3", "depth 2", "depth 1", "depth 0"], 4).await;
    }
}

/// With one place, taken by the question that is being answered, the message in between gets the policy's answer after a
/// quarter of the deadline.
#[tokio::test]
async fn who_is_asked_one_at_a_time_may_send_to_the_same_conversation() {
    for voice in VOICES {
        nested(voice, 1, &["depth 1", "depth 0"], 1).await;
        nested(voice, 2, &["depth 2", "depth 1", "depth 0"], 2).await;
    }
}

/// 64 senders at once, each of whose questions makes the receiver send a message of its own: all are answered soon, and
/// the places are free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_are_asked_may_call_back_at_once() {
    for (voice, places) in [(InTencent, 64), (InOpenIm, 64), (InTencent, 1), (InOpenIm, 8)] {
        let backend = Receiver::start().await;
        let (stage, app) = play(voice, backend.url(""), |endpoint| endpoint.concurrency(places)).await;
        let inner = App::of(voice, &stage.server).await;
        backend.answers_with(voice.command(), move |call| {
            if voice.text_of(call) != "outer" {
                return Answer::go_on();
            }
            let (gate, inner) = (Gate::closed(), inner.clone());
            let answer = Answer::go_on().held_by(&gate);
            tokio::spawn(async move {
                assert_eq!(inner.send("inner").await, Ok(()));
                gate.open();
            });
            answer
        });
        let start = Instant::now();
        let sends: Vec<_> = (0..64)
            .map(|_| {
                let app = app.clone();
                tokio::spawn(async move { app.send("outer").await })
            })
            .collect();
        for send in sends {
            assert_eq!(send.await.expect("an answer"), Ok(()));
        }
        let took = start.elapsed();
        // At worst the wait for a place and the answer: 4 s, and room for a busy machine.
        assert!(took < Duration::from_secs(6), "{took:?} in {voice:?} with {places} places");
        let texts = stage.tencent.group_texts(GROUP).await;
        let outer = backend.calls().iter().filter(|call| voice.text_of(call) == "outer").count();
        assert_eq!(texts.iter().filter(|text| *text == "outer").count(), 64);
        assert_eq!(texts.iter().filter(|text| *text == "inner").count(), outer, "one for each that was asked about");
        backend.answers(voice.command(), voice.no());
        assert_eq!(app.send("after all that").await, voice.refused(), "all places are free, and the breaker is closed");
    }
}

/// The receiver sends the very message that it is asked about, and waits for it before it answers.
async fn a_retry_by_who_is_asked(voice: Voice, timeout: &'static str, at_most: Duration) {
    let backend = Receiver::start().await;
    let (stage, app) = play(voice, backend.url(""), |endpoint| endpoint.timeout(timeout)).await;
    let inner = App::of(voice, &stage.server).await;
    let body = match voice {
        InTencent => with(app.body("once"), json!({"Random": 4711})),
        InOpenIm => with(app.body("once"), json!({"clientMsgID": "the-only-one", "sendTime": now() * 1000})),
    };
    let retry = body.clone();
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let mut is_first = true;
    backend.answers_with(voice.command(), move |_| {
        if !std::mem::take(&mut is_first) {
            return Answer::go_on();
        }
        let (gate, inner, retry, tell) = (Gate::closed(), inner.clone(), retry.clone(), tell.clone());
        let answer = Answer::go_on().held_by(&gate);
        tokio::spawn(async move {
            tell.send(inner.send_body(retry).await).await.expect("somebody listens");
            gate.open();
        });
        answer
    });
    let start = Instant::now();
    let (fate, answer) = app.send_body(body).await;
    let (inner_fate, inner_answer) = told.recv().await.expect("the receiver's answer");
    let took = start.elapsed();
    assert_eq!((fate, inner_fate), (Ok(()), Ok(())));
    assert!(took < at_most, "{voice:?}, {timeout}: {took:?}");
    let same = |answer: &Value| match voice {
        InTencent => answer["MsgSeq"].clone(),
        InOpenIm => answer["data"]["serverMsgID"].clone(),
    };
    assert_eq!(same(&answer), same(&inner_answer), "one message, one answer");
    assert_eq!(stage.tencent.group_texts(GROUP).await, ["once"]);
}

/// The deadline of the question ends it.
#[tokio::test]
async fn who_is_asked_may_send_that_very_message() {
    for voice in VOICES {
        a_retry_by_who_is_asked(voice, "1s", Duration::from_secs(4)).await;
    }
}

/// A long deadline is not waited out: after 5 s the retry goes its own way.
#[tokio::test]
async fn who_is_asked_for_long_may_send_that_very_message() {
    for voice in VOICES {
        a_retry_by_who_is_asked(voice, "60s", Duration::from_secs(8)).await;
    }
}
