//! Asking under a clock that stands still while anybody works: times are exact.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use bytes::Bytes;
use chat::command::{Actor, Origin};
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::event::{Event, LogEntry};
use chat::id::{ClientMessageId, MessageId, Timestamp};
use chat::message::{Delivery, Message};
use http_body_util::Full;
use hyper::{Request, StatusCode};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::asking::{CommandSettings, OnFailures};
use crate::breaker::{State, View};
use crate::codec::{Call, Codec, Unreadable};
use crate::endpoint::{Commands, EndpointSettings};
use crate::transport::{Answer, Transport};

const DEADLINE: Duration = Duration::from_secs(2);
const NOW: Duration = Duration::ZERO;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How the receiver behaves.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// After this time, with this status and body.
    Answers(Duration, u16, &'static str),
    Hangs,
    Refuses,
    /// Lets the whole matter be asked about again, so often in a chain, and then answers.
    CallsBack(u32),
}

const YES: Manner = Manner::Answers(Duration::ZERO, 200, "yes");
const NO: Manner = Manner::Answers(Duration::ZERO, 200, "no");

struct Backend {
    manner: Mutex<Manner>,
    asked: Mutex<Vec<Instant>>,
    in_flight: Mutex<(usize, usize)>,
    asker: OnceLock<Arc<Asker>>,
}

#[async_trait]
impl Transport for Backend {
    async fn exchange(&self, _: Request<Full<Bytes>>) -> Result<Answer, CallFailure> {
        self.asked.lock().unwrap().push(Instant::now());
        let _flight = Flight::begin(self);
        let manner = *self.manner.lock().unwrap();
        let (status, body) = match manner {
            Manner::Answers(delay, status, body) => {
                sleep(delay).await;
                (status, body)
            }
            Manner::Hangs => std::future::pending().await,
            Manner::Refuses => return Err(CallFailure::new(AskFailure::Unreachable, "connection refused")),
            Manner::CallsBack(0) => (200, "yes"),
            Manner::CallsBack(depth) => {
                *self.manner.lock().unwrap() = Manner::CallsBack(depth - 1);
                self.asker.get().unwrap().ask(question("nested")).await;
                (200, "yes")
            }
        };
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Answer { status, retry_after: None, date: None, body: Bytes::from_static(body.as_bytes()) })
    }
}

/// Counts how many are in flight now, and at most.
struct Flight<'a>(&'a Backend);

impl<'a> Flight<'a> {
    fn begin(backend: &'a Backend) -> Self {
        let mut counts = backend.in_flight.lock().unwrap();
        counts.0 += 1;
        counts.1 = counts.1.max(counts.0);
        Self(backend)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.lock().unwrap().0 -= 1;
    }
}

/// Words nothing: the commands are `quick`, `slow` (of messages from `slow`) and `told`.
struct Words;

impl Codec for Words {
    fn knows(&self, command: &str) -> bool {
        ["quick", "slow", "told"].contains(&command)
    }

    fn is_question(&self, command: &str) -> bool {
        command != "told"
    }

    fn asks(&self, question: &Question) -> &'static [&'static str] {
        let is_slow = matches!(question, Question::BeforeSend(message) if message.sender.as_str() == "slow");
        if is_slow { &["slow"] } else { &["quick"] }
    }

    fn question(&self, command: &'static str, _: &Question) -> Call {
        Call { command, query: String::new(), headers: Vec::new(), body: Bytes::new() }
    }

    fn verdict(&self, _: &'static str, _: &Question, body: &[u8]) -> Result<Verdict, Unreadable> {
        match body {
            b"yes" => Ok(Verdict::Allow),
            b"no" => Ok(no()),
            b"new" => Ok(Verdict::Modify(renamed("new").into())),
            b"later" => Ok(Verdict::Park(Box::new(ParkTerms::new(Some(seconds(60)), None)))),
            _ => Err(Unreadable("neither yes nor no".to_owned())),
        }
    }

    fn tells(&self, _: &Event) -> Option<&'static str> {
        None
    }

    fn telling(&self, _: &'static str, _: &LogEntry) -> Result<Call, chat::Fault> {
        Err(chat::Fault::new("nothing is told here"))
    }

    fn url(&self, _: &Call, _: Timestamp) -> String {
        "http://backend.example/".to_owned()
    }

    fn acknowledges(&self, _: &[u8]) -> bool {
        true
    }
}

struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn random(&self) -> u128 {
        0
    }
}

fn no() -> Verdict {
    Verdict::Reject(Refusal::Rejected { code: None, info: "no".to_owned(), detail: String::new() })
}

fn renamed(name: &str) -> MessageEdit {
    MessageEdit { sender_name: Some(name.to_owned()), ..MessageEdit::default() }
}

fn failed(failure: AskFailure) -> Verdict {
    Verdict::Reject(Refusal::BackendFailed(failure))
}

/// Whether this sender's message may be sent.
pub(crate) fn question(sender: &str) -> Question {
    let time = Timestamp::from_millis(0);
    Question::BeforeSend(Box::new(Message {
        id: MessageId::new(time, 1),
        conversation: ConversationId::Group("g".into()),
        group_kind: None,
        seq: 0,
        sender: sender.into(),
        actor: Actor::System,
        origin: Origin::default(),
        client_id: ClientMessageId::new("c"),
        time,
        created: time,
        sender_name: String::new(),
        sender_face: String::new(),
        elements: vec![Element::text("hi")],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
    }))
}

/// An asker of one endpoint, with the backend behind it.
struct Play {
    asker: Arc<Asker>,
    endpoint: Arc<Endpoint>,
    backend: Arc<Backend>,
}

fn settings() -> EndpointSettings {
    EndpointSettings {
        name: "app".to_owned(),
        commands: Commands::All,
        timeout: DEADLINE,
        on_failure: OnFailure::Allow,
        on_failures: OnFailures::default(),
        by_command: BTreeMap::new(),
        telling: Default::default(),
        filter: Default::default(),
        headers: Default::default(),
        concurrency: 64,
        secret: None,
    }
}

/// Refuses what went silent, and nothing else: shows whether a question has an answer of the policy, and which.
fn rejects_silence() -> EndpointSettings {
    let on_failures = OnFailures { timeout: Some(OnFailure::Reject), ..OnFailures::default() };
    EndpointSettings { on_failures, ..settings() }
}

impl Play {
    fn new(settings: EndpointSettings, manner: Manner) -> Self {
        let backend = Arc::new(Backend {
            manner: Mutex::new(manner),
            asked: Mutex::default(),
            in_flight: Mutex::default(),
            asker: OnceLock::new(),
        });
        let endpoint = Arc::new(Endpoint::new(settings, Arc::new(Words), backend.clone()).unwrap());
        let asker = Arc::new(Asker::new(vec![endpoint.clone()], Arc::new(NoClock)));
        let _ = backend.asker.set(asker.clone());
        Self { asker, endpoint, backend }
    }

    fn becomes(&self, manner: Manner) {
        *self.backend.manner.lock().unwrap() = manner;
    }

    /// Asks, and gives what came of it and how long it took.
    async fn ask(&self) -> (Verdict, Duration) {
        self.ask_of("quick").await
    }

    async fn ask_of(&self, sender: &str) -> (Verdict, Duration) {
        let began = Instant::now();
        let verdict = self.asker.ask(question(sender)).await;
        (verdict, began.elapsed())
    }

    /// As many at once.
    fn ask_at_once(&self, count: usize) -> JoinSet<(Verdict, Duration)> {
        let mut asks = JoinSet::new();
        for _ in 0..count {
            let asker = self.asker.clone();
            asks.spawn(async move {
                let began = Instant::now();
                (asker.ask(question("quick")).await, began.elapsed())
            });
        }
        asks
    }

    fn breaker(&self) -> View {
        self.endpoint.breaker()
    }

    fn asked(&self) -> usize {
        self.backend.asked.lock().unwrap().len()
    }

    fn most_in_flight(&self) -> usize {
        self.backend.in_flight.lock().unwrap().1
    }

    /// Lets tasks that are ready go on, the background's too.
    async fn settle(&self) {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Each kind of failure has a key of its own, and only that key decides.
#[tokio::test(start_paused = true)]
async fn each_kind_of_failure_has_its_own_answer() {
    let timeout = |policy| OnFailures { timeout: Some(policy), ..OnFailures::default() };
    let connection = |policy| OnFailures { connection_error: Some(policy), ..OnFailures::default() };
    let status = |policy| OnFailures { bad_status: Some(policy), ..OnFailures::default() };
    let body = |policy| OnFailures { bad_body: Some(policy), ..OnFailures::default() };
    type Key = fn(OnFailure) -> OnFailures;
    let kinds: [(Manner, AskFailure, Key); 6] = [
        (Manner::Hangs, AskFailure::Timeout, timeout),
        (Manner::Refuses, AskFailure::Unreachable, connection),
        (Manner::Answers(NOW, 500, "yes"), AskFailure::BadStatus, status),
        (Manner::Answers(NOW, 404, "yes"), AskFailure::BadStatus, status),
        (Manner::Answers(NOW, 302, "yes"), AskFailure::BadStatus, status),
        (Manner::Answers(NOW, 200, "maybe"), AskFailure::Unreadable, body),
    ];
    for (manner, failure, own) in kinds {
        for (all, exact) in [(OnFailure::Allow, OnFailure::Reject), (OnFailure::Reject, OnFailure::Allow)] {
            for (_, other, key) in kinds {
                let on_failures = key(exact);
                let policy = if on_failures == own(exact) { exact } else { all };
                let expected = if policy == OnFailure::Reject { failed(failure) } else { Verdict::Allow };
                let words = format!("{manner:?}, all {all:?}, {other:?} {exact:?}");
                let of_endpoint = EndpointSettings { on_failure: all, on_failures, ..settings() };
                assert_eq!(Play::new(of_endpoint, manner).ask().await.0, expected, "{words}");

                // The same of a command, against an endpoint that says the opposite of all of it.
                let own = CommandSettings { timeout: None, on_failure: Some(all), on_failures };
                let by_command = BTreeMap::from([("quick".to_owned(), own)]);
                let opposite = if policy == OnFailure::Reject { OnFailure::Allow } else { OnFailure::Reject };
                let [timeout, connection_error, bad_status, bad_body] = [Some(opposite); 4];
                let on_failures = OnFailures { timeout, connection_error, bad_status, bad_body };
                let of_command = EndpointSettings { on_failure: opposite, on_failures, by_command, ..settings() };
                assert_eq!(Play::new(of_command, manner).ask().await.0, expected, "{words}, of the command");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_command_has_its_own_deadline() {
    let own = CommandSettings { timeout: Some(seconds(5)), ..CommandSettings::default() };
    let by_command = BTreeMap::from([("slow".to_owned(), own)]);
    let play = Play::new(EndpointSettings { by_command, ..settings() }, Manner::Hangs);
    assert_eq!(play.ask_of("quick").await, (Verdict::Allow, DEADLINE));
    assert_eq!(play.ask_of("slow").await, (Verdict::Allow, seconds(5)));
    play.becomes(YES);
    play.ask().await;
    play.becomes(Manner::Answers(seconds(4), 200, "no"));
    assert_eq!(play.ask_of("quick").await, (Verdict::Allow, DEADLINE));
    assert_eq!(play.ask_of("slow").await, (no(), seconds(4)));
}

#[test]
fn only_questions_have_settings_of_their_own() {
    let of = |command: &str| {
        let by_command = BTreeMap::from([(command.to_owned(), CommandSettings::default())]);
        let play = Play::new(settings(), YES);
        Endpoint::new(EndpointSettings { by_command, ..settings() }, Arc::new(Words), play.backend).err()
    };
    use crate::endpoint::WrongCommand;
    assert_eq!(of("quick"), None);
    assert_eq!(of("told"), Some(WrongCommand::NotAsked("told".to_owned())));
    assert_eq!(of("other"), Some(WrongCommand::Unknown("other".to_owned())));
}

/// With the default deadline, and one sender who waits for each question: 10 s after the endpoint went dead, and for as
/// long as it is dead, no question takes any time.
#[tokio::test(start_paused = true)]
async fn ten_seconds_after_its_death_nobody_waits_for_it() {
    for manner in [Manner::Hangs, Manner::Refuses, Manner::Answers(seconds(1), 500, "yes")] {
        for deadline in [Duration::from_millis(100), DEADLINE, seconds(3), seconds(5), seconds(30), seconds(60)] {
            let play = Play::new(EndpointSettings { timeout: deadline, ..settings() }, YES);
            play.ask().await;
            play.becomes(manner);
            let death = Instant::now();
            while death.elapsed() < seconds(600) {
                let began = Instant::now();
                let (verdict, took) = play.ask().await;
                assert_eq!(verdict, Verdict::Allow);
                let is_late = began >= death + seconds(10);
                assert!(!is_late || took == NOW, "{manner:?}, {deadline:?}: {took:?} at {:?}", death.elapsed());
                assert!(
                    began + took <= death + seconds(10) || is_late,
                    "{manner:?}, {deadline:?}: until {:?}",
                    death.elapsed()
                );
                sleep(Duration::from_millis(50)).await;
            }
            assert_ne!(play.breaker().state, State::Closed);
        }
    }
}

/// What is in flight when the endpoint is found dead gets its answer at that moment.
#[tokio::test(start_paused = true)]
async fn questions_in_flight_are_given_up_at_once() {
    let play = Play::new(EndpointSettings { timeout: seconds(60), ..rejects_silence() }, YES);
    play.ask().await;
    play.becomes(Manner::Hangs);
    // More than there are places: who waits for one is given up, too, long before.
    let mut asks = play.ask_at_once(100);
    let mut took = Vec::new();
    while let Some(ask) = asks.join_next().await {
        let (verdict, time) = ask.unwrap();
        took.push(time);
        let busy = time == seconds(2);
        assert_eq!(verdict, failed(if busy { AskFailure::Busy } else { AskFailure::BreakerOpen }));
    }
    assert_eq!(took.iter().filter(|took| **took == seconds(2)).count(), 36, "no place became free: {took:?}");
    assert_eq!(took.iter().filter(|took| **took == seconds(8)).count(), 64, "{took:?}");
    assert_eq!(play.breaker().state, State::Open);
    assert_eq!(play.backend.in_flight.lock().unwrap().0, 0, "and the calls themselves are over");
}

/// Every answer takes 20 s of the 30 s that it may take: many at once, and then one at a time.
#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_is_asked() {
    let play = Play::new(EndpointSettings { timeout: seconds(30), ..rejects_silence() }, YES);
    play.becomes(Manner::Answers(seconds(7), 200, "no"));
    assert_eq!(play.ask().await, (no(), seconds(7)));
    play.becomes(Manner::Answers(seconds(13), 200, "no"));
    assert_eq!(play.ask().await, (no(), seconds(13)), "twice the slowest answer is waited for");
    play.becomes(Manner::Answers(seconds(20), 200, "no"));
    for ask in play.ask_at_once(64).join_all().await {
        assert_eq!(ask, (no(), seconds(20)));
    }
    sleep(seconds(3600)).await;
    for _ in 0..10 {
        assert_eq!(play.ask().await, (no(), seconds(20)));
    }
    assert_eq!(play.breaker().state, State::Closed);
}

/// How it went dead decides, and not what a single question would have been.
#[tokio::test(start_paused = true)]
async fn a_dead_endpoints_questions_are_answered_by_how_it_died() {
    for (manner, expected) in [(Manner::Hangs, failed(AskFailure::BreakerOpen)), (Manner::Refuses, Verdict::Allow)] {
        let play = Play::new(rejects_silence(), manner);
        for _ in 0..3 {
            play.ask().await;
        }
        let asked = play.asked();
        for _ in 0..1000 {
            assert_eq!(play.ask().await, (expected.clone(), NOW));
        }
        assert_eq!(play.asked(), asked, "it is left alone");
    }
}

/// Nobody need be asked, so the caller spares itself the trouble; unless a question must be refused, or is a probe.
#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_that_lets_pass_is_as_good_as_none() {
    for (settings, is_asked) in [(settings(), false), (rejects_silence(), true)] {
        let play = Play::new(settings, Manner::Hangs);
        for _ in 0..3 {
            assert!(play.asker.asks(&question("quick")));
            play.ask().await;
        }
        assert_eq!(play.asker.asks(&question("quick")), is_asked);
        sleep(seconds(1)).await;
        assert!(play.asker.asks(&question("quick")), "a probe is due");
        play.ask().await;
        play.settle().await;
        assert_eq!((play.breaker().state, play.asker.asks(&question("quick"))), (State::HalfOpen, is_asked));
    }
}

/// Its answers, whatever they are, prove that it is alive.
#[tokio::test(start_paused = true)]
async fn who_answers_is_alive() {
    for manner in
        [NO, Manner::Answers(NOW, 404, "yes"), Manner::Answers(NOW, 429, ""), Manner::Answers(NOW, 200, "<html>")]
    {
        let play = Play::new(settings(), manner);
        for n in 1..=20 {
            play.ask().await;
            assert_eq!((play.asked(), play.breaker().failures), (n, 0), "{manner:?}");
        }
    }
}

/// The first question after a pause is asked in the background; its sender does not wait, and has the policy's answer.
#[tokio::test(start_paused = true)]
async fn a_probe_brings_it_back_and_decides_nothing() {
    let play = Play::new(settings(), Manner::Refuses);
    for _ in 0..3 {
        play.ask().await;
    }
    assert_eq!(play.breaker().next_probe, Some(seconds(1)));
    sleep(seconds(1)).await;
    play.becomes(Manner::Answers(seconds(1), 200, "no"));
    assert_eq!(play.ask().await, (Verdict::Allow, NOW), "its verdict comes too late");
    play.settle().await;
    assert_eq!((play.asked(), play.breaker().state), (4, State::HalfOpen));
    for _ in 0..100 {
        assert_eq!(play.ask().await, (Verdict::Allow, NOW));
    }
    assert_eq!(play.asked(), 4, "one probe at a time");
    sleep(seconds(1)).await;
    assert_eq!((play.breaker().state, play.breaker().failures), (State::Closed, 0));
    assert_eq!(play.ask().await, (no(), seconds(1)), "it is asked again");
}

#[tokio::test(start_paused = true)]
async fn probes_are_further_and_further_apart() {
    let play = Play::new(settings(), Manner::Refuses);
    let began = Instant::now();
    while began.elapsed() < seconds(60) {
        assert_eq!(play.ask().await, (Verdict::Allow, NOW));
        sleep(Duration::from_millis(100)).await;
    }
    let asked = play.backend.asked.lock().unwrap().clone();
    let pauses: Vec<u64> = asked[2..].windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 15, 15]);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_a_probe() {
    let play = Play::new(EndpointSettings { timeout: seconds(60), ..settings() }, Manner::Refuses);
    for _ in 0..3 {
        play.ask().await;
    }
    play.becomes(Manner::Hangs);
    sleep(seconds(1)).await;
    play.ask().await;
    play.settle().await;
    assert_eq!((play.asked(), play.breaker().state), (4, State::HalfOpen));
    let began = Instant::now();
    play.asker.stop().await;
    assert_eq!((began.elapsed(), play.breaker().state), (NOW, State::Open));
    assert_eq!(play.backend.in_flight.lock().unwrap().0, 0);
}

/// A sender that goes away leaves the call that it has made to its deadline, and nothing else: no wait for a place.
#[tokio::test(start_paused = true)]
async fn a_sender_that_goes_away_leaves_its_call_to_its_deadline() {
    let play = Play::new(EndpointSettings { concurrency: 1, ..rejects_silence() }, Manner::Hangs);
    let mut asks = play.ask_at_once(3);
    sleep(Duration::from_millis(10)).await;
    asks.shutdown().await;
    assert_eq!(*play.backend.in_flight.lock().unwrap(), (1, 1), "it keeps its place");
    sleep(DEADLINE - Duration::from_millis(10)).await;
    play.settle().await;
    assert_eq!((play.backend.in_flight.lock().unwrap().0, play.asked()), (0, 1));
    assert_eq!((play.breaker().state, play.breaker().failures), (State::Closed, 1), "nothing was answered in time");
    play.becomes(YES);
    assert_eq!(play.ask().await, (Verdict::Allow, NOW));
    assert_eq!(play.breaker().failures, 0);
}

/// A moderator takes 5 s of the 10 s that it may take, and its senders give up after 3 s: it is alive.
#[tokio::test(start_paused = true)]
async fn senders_that_go_away_do_not_make_an_endpoint_look_dead() {
    let play = Play::new(EndpointSettings { timeout: seconds(10), ..rejects_silence() }, YES);
    play.becomes(Manner::Answers(seconds(5), 200, "no"));
    for _ in 0..100 {
        tokio::time::timeout(seconds(3), play.ask()).await.expect_err("nobody waits for it");
        assert_eq!((play.breaker().state, play.breaker().failures), (State::Closed, 0));
    }
    assert_eq!(play.asked(), 100);
    assert_eq!(play.ask().await, (no(), seconds(5)), "who waits has its verdict");
    assert!(play.most_in_flight() <= 2, "{}", play.most_in_flight());
}

/// That a question's sender is gone does not keep a dead endpoint from being found dead.
#[tokio::test(start_paused = true)]
async fn senders_that_go_away_do_not_make_an_endpoint_look_alive() {
    let play = Play::new(EndpointSettings { timeout: seconds(60), ..rejects_silence() }, Manner::Hangs);
    let death = Instant::now();
    while play.breaker().state == State::Closed && death.elapsed() < seconds(60) {
        let _ = tokio::time::timeout(seconds(1), play.ask()).await;
    }
    assert!(death.elapsed() <= seconds(10), "{:?}", death.elapsed());
    play.settle().await;
    assert_eq!(play.backend.in_flight.lock().unwrap().0, 0, "and the calls are over, too");
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_the_calls_that_nobody_waits_for() {
    let play = Play::new(EndpointSettings { timeout: seconds(60), ..settings() }, Manner::Hangs);
    let mut left = play.ask_at_once(3);
    let mut kept = play.ask_at_once(1);
    play.settle().await;
    left.shutdown().await;
    assert_eq!(play.backend.in_flight.lock().unwrap().0, 4);
    let began = Instant::now();
    play.asker.stop().await;
    assert_eq!((began.elapsed(), play.backend.in_flight.lock().unwrap().0), (NOW, 0));
    assert_eq!(kept.join_next().await.unwrap().unwrap().0, Verdict::Allow, "as its policy says");
    assert_eq!(play.breaker().failures, 0);
}

/// While places become free, a question waits for its own: up to its deadline.
#[tokio::test(start_paused = true)]
async fn who_waits_in_a_queue_that_moves_is_asked() {
    let play = Play::new(EndpointSettings { concurrency: 1, ..rejects_silence() }, YES);
    play.becomes(Manner::Answers(Duration::from_millis(450), 200, "no"));
    let mut outcomes: Vec<_> = play.ask_at_once(8).join_all().await;
    outcomes.sort_by_key(|(_, took)| *took);
    let millis: Vec<_> = outcomes.iter().map(|(_, took)| took.as_millis()).collect();
    // The fifth has its place after 1.8 s; for those behind it 2 s are over before there is one.
    assert_eq!(millis, [450, 900, 1350, 1800, 2000, 2000, 2000, 2250]);
    let asked = outcomes.iter().filter(|(verdict, _)| *verdict == no()).count();
    let busy = outcomes.iter().filter(|(verdict, _)| *verdict == failed(AskFailure::Busy)).count();
    assert_eq!((asked, busy, play.most_in_flight()), (5, 3, 1));
}

/// The one place is taken by a question that is answered in time: that many find none meanwhile says nothing.
#[tokio::test(start_paused = true)]
async fn busy_is_not_dead() {
    let play = Play::new(EndpointSettings { concurrency: 1, ..rejects_silence() }, YES);
    play.becomes(Manner::Answers(Duration::from_millis(1900), 200, "no"));
    let mut first = play.ask_at_once(1);
    play.settle().await;
    for _ in 0..3 {
        assert_eq!(play.ask().await, (failed(AskFailure::Busy), DEADLINE / 4));
    }
    assert_eq!(first.join_next().await.unwrap().unwrap().0, no());
    assert_eq!((play.breaker().state, play.breaker().failures), (State::Closed, 0));
}

/// The receiver calls us back while it answers, and that is asked about, too: as deep as there are places. Who finds none
/// gets the policy's answer after a quarter of the deadline, and all others are answered well within theirs.
#[tokio::test(start_paused = true)]
async fn who_is_asked_may_call_us_back() {
    for (concurrency, asked, took) in [(1, 1, 500), (2, 2, 500), (3, 3, 500), (4, 4, 0), (64, 4, 0)] {
        let play = Play::new(EndpointSettings { concurrency, ..settings() }, Manner::CallsBack(3));
        assert_eq!(play.ask().await, (Verdict::Allow, Duration::from_millis(took)), "{concurrency} places");
        assert_eq!((play.asked(), play.most_in_flight()), (asked, asked), "{concurrency} places");
        assert_eq!((play.breaker().state, play.breaker().failures), (State::Closed, 0));
    }
}

/// 64 at once, each of which calls us back once, in 64 places: all are answered, nobody runs into a deadline.
#[tokio::test(start_paused = true)]
async fn many_who_are_asked_may_call_us_back() {
    for concurrency in [1, 16, 64, 128] {
        let play = Play::new(EndpointSettings { concurrency, ..settings() }, Manner::CallsBack(64));
        let began = Instant::now();
        for (verdict, took) in play.ask_at_once(64).join_all().await {
            assert_eq!(verdict, Verdict::Allow);
            assert!(took < DEADLINE * 2, "{took:?} with {concurrency} places");
        }
        assert!(began.elapsed() < DEADLINE * 2, "{:?} with {concurrency} places", began.elapsed());
        assert_eq!((play.breaker().state, play.breaker().failures), (State::Closed, 0));
    }
}

/// Endpoints of these names, each with a receiver of its own that says one thing.
fn row(receivers: [(&str, &'static str); 4], on_failures: OnFailures) -> (Asker, Vec<Arc<Backend>>) {
    let plays = receivers.map(|(name, says)| {
        let settings = EndpointSettings { name: name.to_owned(), on_failures, ..settings() };
        Play::new(settings, Manner::Answers(Duration::ZERO, 200, says))
    });
    let endpoints = plays.iter().map(|play| play.endpoint.clone()).collect();
    (Asker::new(endpoints, Arc::new(NoClock)), plays.map(|play| play.backend).into())
}

fn asked_each(backends: &[Arc<Backend>]) -> Vec<usize> {
    backends.iter().map(|backend| backend.asked.lock().unwrap().len()).collect()
}

/// Whoever wants a message to wait is the last to be asked for now, and what was made of the message waits with it.
#[tokio::test(start_paused = true)]
async fn a_verdict_that_comes_later_says_whose_it_is_and_what_was_made_of_it_before() {
    for (bad_body, when_full) in [(OnFailure::Allow, Otherwise::Allow), (OnFailure::Reject, Otherwise::Reject)] {
        let on_failures = OnFailures { bad_body: Some(bad_body), ..OnFailures::default() };
        let receivers = [("first", "new"), ("review", "later"), ("third", "yes"), ("fourth", "no")];
        let (asker, backends) = row(receivers, on_failures);
        let terms = ParkTerms { endpoint: "review".to_owned(), edit: renamed("new"), when_full, ..later() };
        assert_eq!(asker.ask(question("quick")).await, Verdict::Park(Box::new(terms)));
        assert_eq!(asked_each(&backends), [1, 1, 0, 0]);

        assert_eq!(asker.ask_after(question("quick"), "review").await, no());
        assert_eq!(asked_each(&backends), [1, 1, 1, 1], "those after it, and nobody twice");
        assert_eq!(asker.ask_after(question("quick"), "third").await, no());
        assert_eq!(asker.ask_after(question("quick"), "fourth").await, Verdict::Allow);
        assert_eq!(asked_each(&backends), [1, 1, 1, 2]);
    }
}

/// Nobody knows any more who came after it; better twice than never.
#[tokio::test(start_paused = true)]
async fn after_an_endpoint_that_is_gone_all_are_asked() {
    let receivers = [("first", "yes"), ("second", "new"), ("third", "yes"), ("fourth", "yes")];
    let (asker, backends) = row(receivers, OnFailures::default());
    assert_eq!(asker.ask_after(question("quick"), "gone").await, Verdict::Modify(renamed("new").into()));
    assert_eq!(asked_each(&backends), [1, 1, 1, 1]);
}

fn later() -> ParkTerms {
    ParkTerms::new(Some(seconds(60)), None)
}
