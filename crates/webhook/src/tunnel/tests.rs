use std::collections::BTreeSet;
use std::future::poll_fn;

use chat::Fault;
use chat::event::{Event, LogEntry, Position, Shard, Subject};
use chat::id::Timestamp;
use chat::port::{Callbacks, Clock, Log};
use chat::question::{Question, Verdict};
use tokio::sync::watch;

use super::wire::{AnswerLine, Body, FailedKind, FailedLine};
use super::*;
use crate::ask::Asker;
use crate::ask::tests::question;
use crate::codec::{Call, Codec, Unreadable};
use crate::endpoint::Commands;
use crate::roster::Roster;

/// A log in which nothing happens. Whoever reads it after it was said that something has happened dies of it.
struct Quiet(watch::Sender<Position>);

#[async_trait]
impl Log for Quiet {
    fn shards(&self) -> Vec<Shard> {
        vec![Shard(0)]
    }

    fn shard_of(&self, _: &Subject) -> Shard {
        Shard(0)
    }

    async fn log_after(&self, _: Shard, _: Position, _: usize) -> Result<Vec<LogEntry>, Fault> {
        assert_eq!(*self.0.borrow(), Position(0), "there is nothing in it");
        Ok(Vec::new())
    }

    async fn log_of(&self, _: &Subject, _: Position, _: Position, _: usize) -> Result<Vec<LogEntry>, Fault> {
        Ok(Vec::new())
    }

    async fn log_before(&self, _: &Subject, _: Position, _: usize) -> Result<Vec<LogEntry>, Fault> {
        Ok(Vec::new())
    }

    fn head(&self, _: Shard) -> watch::Receiver<Position> {
        self.0.subscribe()
    }
}

/// Random enough: each number comes once.
struct Counting(Mutex<u128>);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn random(&self) -> u128 {
        let mut next = self.0.lock().unwrap();
        *next += 1;
        *next
    }
}

/// Asks whatever may be asked, and tells nothing.
struct NoWords;

impl Codec for NoWords {
    fn knows(&self, command: &str) -> bool {
        command == "known"
    }

    fn is_question(&self, _: &str) -> bool {
        true
    }

    fn asks(&self, _: &Question) -> &'static [&'static str] {
        &["known"]
    }

    fn question(&self, command: &'static str, _: &Question) -> Call {
        Call { command, query: String::new(), headers: Vec::new(), body: Bytes::new() }
    }

    fn verdict(&self, _: &'static str, _: &Question, _: &[u8]) -> Result<Verdict, Unreadable> {
        Ok(Verdict::Discard)
    }

    fn tells(&self, _: &Event) -> Option<&'static str> {
        None
    }

    fn telling(&self, _: &'static str, _: &LogEntry) -> Result<Call, Fault> {
        unreachable!("it never tells")
    }

    fn url(&self, _: &Call, _: Timestamp) -> String {
        "http://tunnel/".to_owned()
    }

    fn acknowledges(&self, _: &[u8]) -> bool {
        true
    }
}

fn tunnels(stop: &CancellationToken) -> (Arc<Tunnels>, Arc<Roster>) {
    let roster = Arc::new(Roster::new(Vec::new()));
    let clock = Arc::new(Counting(Mutex::new(0)));
    let log = Arc::new(Quiet(watch::Sender::new(Position(0))));
    (Tunnels::new(roster.clone(), log, clock, stop.clone()), roster)
}

async fn open(tunnels: &Arc<Tunnels>) -> Lines {
    tunnels.open(Arc::new(NoWords), Commands::All).await.unwrap()
}

async fn next(lines: &mut Lines) -> Option<Line> {
    poll_fn(|context| lines.poll_next(context)).await
}

fn request() -> Request<Full<Bytes>> {
    Request::post("http://tunnel/callback?a=1").header("webhook-id", "e.listen").body(Full::from("{}")).unwrap()
}

fn answer(call: u64, status: u16, body: &[u8]) -> Said {
    Said::Answer(AnswerLine { call, status, retry_after: Some(3), body: Body::new(body) })
}

#[tokio::test]
async fn a_call_goes_out_and_its_answer_comes_back() {
    let (tunnel, mut lines) = Tunnel::new("id".to_owned(), "listen-1".to_owned());
    let client = async {
        let Some(Line::Call(call)) = next(&mut lines).await else { panic!() };
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/callback?a=1"));
        assert_eq!(call.headers, [("webhook-id".to_owned(), "e.listen".to_owned())]);
        assert_eq!(call.body.bytes().unwrap(), "{}");
        tunnel.hear(answer(call.call, 201, b"ok")).unwrap();
        assert_eq!(tunnel.hear(answer(call.call, 201, b"ok")), Err(TooLate), "once");
    };
    let (answer, ()) = tokio::join!(tunnel.exchange(request()), client);
    let answer = answer.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"ok"[..]));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn failures_keep_their_class_and_odd_answers_are_unreadable() {
    let (tunnel, mut lines) = Tunnel::new("id".to_owned(), "listen-1".to_owned());
    let kinds = [
        (FailedKind::Unreachable, AskFailure::Unreachable),
        (FailedKind::Timeout, AskFailure::Timeout),
        (FailedKind::Unreadable, AskFailure::Unreadable),
    ];
    for (kind, expected) in kinds {
        let client = async {
            let Some(Line::Call(CallLine { call, .. })) = next(&mut lines).await else { panic!() };
            tunnel.hear(Said::Failed(FailedLine { call, kind, detail: "connection refused".to_owned() })).unwrap();
        };
        let (result, ()) = tokio::join!(tunnel.exchange(request()), client);
        assert_eq!(result.unwrap_err(), CallFailure::new(expected, "connection refused"));
    }
    let large = vec![b'a'; MAX_ANSWER_BYTES + 1];
    for (status, body, expected) in [(200, &large[..], Err(AskFailure::Unreadable)), (410, b"", Ok(400))] {
        let client = async {
            let Some(Line::Call(CallLine { call, .. })) = next(&mut lines).await else { panic!() };
            tunnel.hear(answer(call, status, body)).unwrap();
        };
        let (result, ()) = tokio::join!(tunnel.exchange(request()), client);
        assert_eq!(result.map(|answer| answer.status.as_u16()).map_err(|failure| failure.kind), expected);
    }
}

#[tokio::test]
async fn a_closed_tunnel_answers_at_once_whoever_waits_and_whoever_comes() {
    let (tunnel, lines) = Tunnel::new("id".to_owned(), "listen-1".to_owned());
    let (result, ()) = tokio::join!(tunnel.exchange(request()), async { drop(lines) });
    let expected = CallFailure::new(AskFailure::Unreachable, "the tunnel is closed: its client has gone");
    assert_eq!(result.unwrap_err(), expected);
    assert_eq!(tunnel.exchange(request()).await.unwrap_err(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_forgotten_and_its_answer_too_late() {
    let (tunnel, mut lines) = Tunnel::new("id".to_owned(), "listen-1".to_owned());
    let call = tokio::time::timeout(Duration::from_secs(2), tunnel.exchange(request()));
    let (given_up, line) = tokio::join!(call, next(&mut lines));
    let (Err(_), Some(Line::Call(call))) = (given_up, line) else { panic!() };
    assert_eq!(tunnel.hear(answer(call.call, 200, b"")), Err(TooLate));
    assert!(tunnel.waiting().calls.is_empty());
}

/// A client that did not read for a while is sent what somebody waits for, and no more.
#[tokio::test(start_paused = true)]
async fn what_is_given_up_before_it_was_sent_is_never_sent() {
    let (tunnel, mut lines) = Tunnel::new("id".to_owned(), "listen-1".to_owned());
    for _ in 0..3 {
        tokio::time::timeout(Duration::from_secs(2), tunnel.exchange(request())).await.unwrap_err();
    }
    let client = async {
        let Some(Line::Call(call)) = next(&mut lines).await else { panic!() };
        assert_eq!(call.call, 3);
        tunnel.hear(answer(call.call, 200, b"")).unwrap();
    };
    let (result, ()) = tokio::join!(tunnel.exchange(request()), client);
    assert_eq!(result.unwrap().status, StatusCode::OK);
    tokio::time::timeout(Duration::from_secs(2), tunnel.exchange(request())).await.unwrap_err();
    tunnel.close("it is over");
    assert_eq!(next(&mut lines).await, Some(Line::Closed { why: "it is over".to_owned() }));
    assert_eq!(next(&mut lines).await, None);
}

/// As it would after a fault of ours: the client is told, and asked no more.
#[tokio::test(start_paused = true)]
async fn a_tunnel_that_cannot_be_told_any_more_is_closed() {
    let roster = Arc::new(Roster::new(Vec::new()));
    let log = Arc::new(Quiet(watch::Sender::new(Position(0))));
    let clock = Arc::new(Counting(Mutex::new(0)));
    let tunnels = Tunnels::new(roster.clone(), log.clone(), clock, CancellationToken::new());
    let mut lines = open(&tunnels).await;
    assert!(matches!(next(&mut lines).await, Some(Line::Opened { .. })));
    assert_eq!((next(&mut lines).await, roster.now().len()), (Some(Line::Beat), 1));
    log.0.send_replace(Position(1));
    let why = "the server cannot tell it any more; its log says why".to_owned();
    assert_eq!(next(&mut lines).await, Some(Line::Closed { why }), "at once, and not when its client is silent");
    tunnels.ended().await;
    assert!(roster.now().is_empty());
}

/// Far more than are asked at once: nobody waits longer than twice its deadline, and whoever is asked may be answered.
#[tokio::test(start_paused = true)]
async fn many_senders_wait_for_a_client_no_longer_than_for_any_other_endpoint() {
    let stop = CancellationToken::new();
    let asker = Arc::new(Asker::new(Vec::new(), Arc::new(Counting(Mutex::new(0)))));
    let log = Arc::new(Quiet(watch::Sender::new(Position(0))));
    let tunnels = Tunnels::new(asker.roster().clone(), log, Arc::new(Counting(Mutex::new(0))), stop.clone());
    let mut lines = open(&tunnels).await;
    let Some(Line::Opened { id, deadline, .. }) = next(&mut lines).await else { panic!() };
    let (tunnel, deadline) = (tunnels.find(&id).unwrap(), Duration::from_millis(deadline));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..3 * MAX_IN_FLIGHT {
        let asker = asker.clone();
        senders.spawn(async move {
            let began = Instant::now();
            (asker.ask(question("alice")).await, began.elapsed())
        });
    }
    // It answers each third of them, and is slow with that; it says nothing of the others.
    let client = tokio::spawn(async move {
        let mut calls = 0;
        while let Some(line) = next(&mut lines).await {
            if let Line::Call(CallLine { call, .. }) = line {
                calls += 1;
                if call % 3 == 0 {
                    tokio::time::sleep(Duration::from_millis(40)).await;
                    let _ = tunnel.hear(answer(call, 200, b""));
                }
            } else {
                let _ = tunnel.hear(Said::Beat);
            }
        }
        calls
    });
    let all = senders.join_all().await;
    let slowest = all.iter().map(|(_, took)| *took).max().unwrap();
    assert!(deadline <= slowest && slowest <= 2 * deadline, "{slowest:?}");
    let answered = all.iter().filter(|(verdict, _)| *verdict == Verdict::Discard).count();
    let passed = all.iter().filter(|(verdict, _)| *verdict == Verdict::Allow).count();
    assert!(answered > 10 && answered + passed == all.len(), "{answered} answered, {passed} let pass");
    stop.cancel();
    tunnels.ended().await;
    let calls = client.await.unwrap();
    assert!(answered <= calls && calls < all.len(), "{calls} of {} were asked", all.len());
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_calls_are_in_flight() {
    let (tunnel, lines) = Tunnel::new("id".to_owned(), "listen-1".to_owned());
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..MAX_IN_FLIGHT {
        let tunnel = tunnel.clone();
        calls.spawn(async move { tunnel.exchange(request()).await });
    }
    while tunnel.waiting().calls.len() < MAX_IN_FLIGHT {
        tokio::task::yield_now().await;
    }
    let failure = tunnel.exchange(request()).await.unwrap_err();
    assert_eq!(failure.detail, "64 calls are on their way through the tunnel already");
    drop(lines);
    assert!(calls.join_all().await.iter().all(Result::is_err));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_closed_within_15_seconds_and_one_that_beats_is_not() {
    let stop = CancellationToken::new();
    let (tunnels, roster) = tunnels(&stop);
    let mut lines = open(&tunnels).await;
    let Some(Line::Opened { id, name, .. }) = next(&mut lines).await else { panic!() };
    assert!(name.starts_with("listen-") && roster.now().len() == 1);
    let tunnel = tunnels.find(&id).unwrap();
    for _ in 0..20 {
        assert_eq!(next(&mut lines).await, Some(Line::Beat));
        tunnel.hear(Said::Beat).unwrap();
    }
    let silent = Instant::now();
    let last = loop {
        match next(&mut lines).await {
            Some(Line::Beat) => {}
            other => break other,
        }
    };
    assert_eq!(last, Some(Line::Closed { why: "nothing was heard of its client".to_owned() }));
    assert!(silent.elapsed() <= Duration::from_secs(15), "{:?}", silent.elapsed());
    while next(&mut lines).await.is_some() {}
    drop(lines);
    stop.cancel();
    tunnels.ended().await;
    assert!(roster.now().is_empty() && tunnels.find(&id).is_none());
}

#[tokio::test(start_paused = true)]
async fn there_are_16_at_most_and_names_are_used_again() {
    let stop = CancellationToken::new();
    let (tunnels, roster) = tunnels(&stop);
    let mut all = Vec::new();
    for _ in 0..MAX_TUNNELS {
        all.push(open(&tunnels).await);
    }
    let names: BTreeSet<String> = all.iter().map(|lines| lines.tunnel().name().to_owned()).collect();
    assert_eq!(names.len(), MAX_TUNNELS);
    let refused = tunnels.open(Arc::new(NoWords), Commands::All).await.unwrap_err();
    assert_eq!(refused.to_string(), "16 clients listen already, which is the most; end one of them first");
    let gone = all.remove(3).tunnel().name().to_owned();
    let again = loop {
        match tunnels.open(Arc::new(NoWords), Commands::All).await {
            Ok(lines) => break lines,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!((again.tunnel().name(), roster.now().len()), (gone.as_str(), MAX_TUNNELS));
    stop.cancel();
    tunnels.ended().await;
    assert!(roster.now().is_empty());
    assert!(matches!(tunnels.open(Arc::new(NoWords), Commands::All).await, Err(NotOpened::Stopping)));
}

#[tokio::test]
async fn an_unknown_command_is_named_and_takes_no_place() {
    let (tunnels, roster) = tunnels(&CancellationToken::new());
    for _ in 0..=MAX_TUNNELS {
        let commands = Commands::Only(["known".to_owned(), "unknown".to_owned()].into());
        let Err(NotOpened::UnknownCommand(unknown)) = tunnels.open(Arc::new(NoWords), commands).await else { panic!() };
        assert_eq!(unknown, "unknown");
    }
    assert!(roster.now().is_empty());
}
