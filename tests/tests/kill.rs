//! The promises under SIGKILL: acked is durable, and every event calls back, in order, at least once.
//!
//! A hundred times (`RINGBACK_KILL_ROUNDS`) the real binary is killed at a random moment under load in both
//! dialects, and started again on the same data. Whoever had no answer asks again with the same key. At the
//! end the history, seen through both dialects, and what both endpoints heard are compared with what was acked.
//! `RINGBACK_SEED` plays the same moments again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tests::openim::content_of;
use tests::tencent::text_of;
use tests::{Call, Endpoint, OpenIm, Receiver, Server, Setup, Tencent, text};

const WORKERS: usize = 8;
/// At most, per worker and round: a fast machine does not make the end longer.
const MESSAGES: usize = 60;
const LONGEST_LOAD: Duration = Duration::from_millis(500);
/// One round in so many is killed while it starts.
const STARTUP_KILLS: u64 = 10;

const GROUPS: [&str; 3] = ["g0", "g1", "g2"];
const PAIRS: [(&str, &str); 3] = [("alice", "bob"), ("carol", "dave"), ("alice", "carol")];

/// A message on its way, with the key that makes a second try the same message.
#[derive(Clone, Debug)]
struct Message {
    words: String,
    conversation: String,
    dialect: Dialect,
    command: &'static str,
    body: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Dialect {
    Tencent,
    OpenIm,
}

/// What an answer promised.
#[derive(Clone, Debug)]
struct Ack {
    conversation: String,
    answer: Value,
}

/// One of those who send, over all rounds.
#[derive(Debug)]
struct Worker {
    number: usize,
    rng: StdRng,
    keys: Arc<AtomicU32>,
    count: usize,
    /// Sent, and without an answer when the server died.
    pending: Option<Message>,
    acked: BTreeMap<String, Ack>,
}

impl Worker {
    /// Sends one after the other until the server dies, or the round's share is done.
    async fn work(mut self, tencent: Tencent, openim: OpenIm) -> Self {
        for _ in 0..MESSAGES {
            let message = self.pending.take().unwrap_or_else(|| self.next());
            let (answer, code) = match message.dialect {
                Dialect::Tencent => (tencent.try_call(message.command, &message.body).await, "ErrorCode"),
                Dialect::OpenIm => (openim.try_call(message.command, &message.body).await, "errCode"),
            };
            let Ok(answer) = answer else {
                self.pending = Some(message);
                return self;
            };
            assert_eq!(answer[code], 0, "{message:?} was refused: {answer}");
            self.acked.insert(message.words, Ack { conversation: message.conversation, answer });
        }
        self
    }

    fn next(&mut self) -> Message {
        self.count += 1;
        let words = format!("w{}-{}", self.number, self.count);
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        let dialect = if self.rng.random_bool(0.5) { Dialect::Tencent } else { Dialect::OpenIm };
        if self.rng.random_bool(0.5) {
            let group = GROUPS[self.rng.random_range(0..GROUPS.len())];
            let (command, body) = match dialect {
                Dialect::Tencent => (
                    "group_open_http_svc/send_group_msg",
                    json!({"GroupId": group, "From_Account": "alice", "Random": key, "MsgBody": text(&words)}),
                ),
                Dialect::OpenIm => (
                    "/msg/send_msg",
                    json!({
                        "sendID": "bob", "groupID": group, "sessionType": 3, "contentType": 101,
                        "content": {"content": words}, "clientMsgID": words,
                    }),
                ),
            };
            Message { words, conversation: format!("sg_{group}"), dialect, command, body }
        } else {
            let (from, to) = PAIRS[self.rng.random_range(0..PAIRS.len())];
            let conversation = conversation_of(from, to);
            let (from, to) = if self.rng.random_bool(0.5) { (from, to) } else { (to, from) };
            let (command, body) = match dialect {
                Dialect::Tencent => (
                    "openim/sendmsg",
                    json!({
                        "From_Account": from, "To_Account": to, "MsgSeq": key, "MsgRandom": key,
                        "MsgBody": text(&words),
                    }),
                ),
                Dialect::OpenIm => (
                    "/msg/send_msg",
                    json!({
                        "sendID": from, "recvID": to, "sessionType": 1, "contentType": 101,
                        "content": {"content": words}, "clientMsgID": words,
                    }),
                ),
            };
            Message { words, conversation, dialect, command, body }
        }
    }
}

fn conversation_of(one: &str, other: &str) -> String {
    format!("si_{}_{}", one.min(other), one.max(other))
}

/// What an endpoint heard: in which conversation, which words, under which seq (where its dialect tells).
fn heard(call: &Call) -> (Dialect, String, String, Option<i64>) {
    let body = &call.body;
    let name = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}"));
    match call.command.as_str() {
        "C2C.CallbackAfterSendMsg" => {
            (Dialect::Tencent, conversation_of(name("From_Account"), name("To_Account")), text_of(body), None)
        }
        "Group.CallbackAfterSendMsg" => {
            (Dialect::Tencent, format!("sg_{}", name("GroupId")), text_of(body), body["MsgSeq"].as_i64())
        }
        command => {
            let words = content_of(body)["content"].as_str().expect("a text").to_owned();
            let conversation = match command {
                "callbackAfterSendSingleMsgCommand" => conversation_of(name("sendID"), name("recvID")),
                "callbackAfterSendGroupMsgCommand" => format!("sg_{}", name("groupID")),
                other => panic!("nobody asked for {other}"),
            };
            (Dialect::OpenIm, conversation, words, body["seq"].as_i64())
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Past the capture of the test harness: these figures are meant to be read when all is well, too.
fn say(words: &str) {
    writeln!(std::io::stderr().lock(), "{words}").expect("standard error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_it_is_killed_a_hundred_times() {
    let rounds = number_from("RINGBACK_KILL_ROUNDS").unwrap_or(100);
    let seed = number_from("RINGBACK_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
    say(&format!("kill: {rounds} rounds, RINGBACK_SEED={seed}"));
    let start = Instant::now();
    let mut rng = StdRng::seed_from_u64(seed);

    let backend = Receiver::start().await;
    let mut server = Setup::new()
        .endpoint(
            Endpoint::tencent(backend.url("/callback"))
                .hears(["C2C.CallbackAfterSendMsg", "Group.CallbackAfterSendMsg"]),
        )
        .endpoint(
            Endpoint::openim(backend.url("/webhook"))
                .hears(["callbackAfterSendSingleMsgCommand", "callbackAfterSendGroupMsgCommand"]),
        )
        .start()
        .await;
    let tencent = server.tencent();
    tests::stage::cast(&tencent).await;
    for group in GROUPS {
        tencent.create_group(group, "alice", &["bob", "carol", "dave"]).await;
    }
    // A token needs no memory of having been issued, so one is enough for all rounds.
    let token = server.openim().await.token().to_owned();
    let clients = |server: &Server| (server.tencent(), OpenIm::with_token(server.http(), &token));

    let keys = Arc::new(AtomicU32::new(1));
    let mut workers: Vec<_> = (0..WORKERS)
        .map(|number| Worker {
            number,
            rng: StdRng::seed_from_u64(rng.random()),
            keys: keys.clone(),
            count: 0,
            pending: None,
            acked: BTreeMap::new(),
        })
        .collect();
    let mut killed_in_load = 0;
    for round in 1..=rounds {
        if round % STARTUP_KILLS == 0 {
            server.kill();
            server.launch();
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
            server.kill();
            server.launch();
            server.ready().await;
        }
        let (tencent, openim) = clients(&server);
        let at_work: Vec<_> =
            workers.drain(..).map(|worker| tokio::spawn(worker.work(tencent.clone(), openim.clone()))).collect();
        tokio::time::sleep(LONGEST_LOAD.mul_f64(rng.random())).await;
        killed_in_load += usize::from(at_work.iter().any(|worker| !worker.is_finished()));
        server.kill();
        for worker in at_work {
            workers.push(worker.await.expect("a worker"));
        }
        server.launch();
        server.ready().await;
    }

    // Those who are still without an answer ask once more.
    let (tencent, openim) = clients(&server);
    for worker in &mut workers {
        let Some(message) = worker.pending.take() else { continue };
        let answer = match message.dialect {
            Dialect::Tencent => tencent.try_call(message.command, &message.body).await,
            Dialect::OpenIm => openim.try_call(message.command, &message.body).await,
        };
        worker.acked.insert(
            message.words,
            Ack { conversation: message.conversation, answer: answer.expect("an answer at last") },
        );
    }
    let acked: BTreeMap<String, Ack> = workers.into_iter().flat_map(|worker| worker.acked).collect();

    // The history through OpenIM: gapless, and exactly what was acked, once each.
    let mut history: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut found = BTreeMap::new();
    let conversations = GROUPS
        .iter()
        .map(|group| format!("sg_{group}"))
        .chain(PAIRS.iter().map(|(one, other)| conversation_of(one, other)));
    for conversation in conversations {
        let user = if conversation.contains("dave") { "dave" } else { "alice" };
        let messages = openim.pull(user, &conversation).await;
        let seqs: Vec<_> = messages.iter().map(|message| message["seq"].as_i64().expect("seq")).collect();
        assert_eq!(seqs, (1..=messages.len() as i64).collect::<Vec<_>>(), "{conversation} has a gap");
        for message in messages {
            let words = message["content"]["content"].as_str().expect("a text").to_owned();
            history.entry(conversation.clone()).or_default().push(words.clone());
            let twice = found.insert(words, (conversation.clone(), message));
            assert!(twice.is_none(), "stored twice: {twice:?}");
        }
    }
    for (words, ack) in &acked {
        let (conversation, message) =
            found.get(words).unwrap_or_else(|| panic!("{words} was acked and is lost: {ack:?}"));
        assert_eq!(*conversation, ack.conversation, "{words}");
        for (promised, kept) in
            [("serverMsgID", &message["serverMsgID"]), ("sendTime", &message["sendTime"]), ("MsgSeq", &message["seq"])]
        {
            assert!(
                ack.answer["data"].get(promised).or(ack.answer.get(promised)).is_none_or(|value| value == kept),
                "{words}: {ack:?} but {message}"
            );
        }
    }
    assert_eq!(found.len(), acked.len(), "something is stored that nobody was told of");

    // The same history through Tencent.
    for group in GROUPS {
        let through_tencent = tencent.group_history(group).await;
        assert_eq!(
            through_tencent.iter().map(text_of).collect::<Vec<_>>(),
            history.get(&format!("sg_{group}")).cloned().unwrap_or_default(),
            "{group}"
        );
    }
    for (one, other) in PAIRS {
        let conversation = conversation_of(one, other);
        let through_tencent = tencent.history(one, other).await;
        for message in &through_tencent {
            let promised = &acked[&text_of(message)].answer["MsgKey"];
            assert!(promised.is_null() || *promised == message["MsgKey"], "{promised} became {message}");
        }
        let words: BTreeSet<_> = through_tencent.iter().map(text_of).collect();
        assert_eq!(words, history.get(&conversation).into_iter().flatten().cloned().collect(), "{conversation}");
        assert_eq!(words.len(), through_tencent.len(), "{conversation}");
    }

    // Every message reaches both endpoints, and first arrivals are in the order of the conversation.
    let mut read = 0;
    let mut arrived: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
    let mut firsts = BTreeSet::new();
    let expected = 2 * found.len();
    backend
        .watch("every message at both endpoints", |calls| {
            for call in &calls[read..] {
                let (dialect, conversation, words, seq) = heard(call);
                if let (Some(seq), Some((_, message))) = (seq, found.get(&words)) {
                    assert_eq!(message["seq"], seq, "{words} was told with another seq");
                }
                let is_tencent = dialect == Dialect::Tencent;
                if firsts.insert((is_tencent, words.clone())) {
                    arrived.entry((is_tencent, conversation)).or_default().push(words);
                }
            }
            read = calls.len();
            firsts.len() >= expected
        })
        .await;
    for ((is_tencent, conversation), words) in &arrived {
        assert_eq!(
            Some(words),
            history.get(conversation),
            "{conversation} arrived in another order (Tencent's endpoint: {is_tencent})"
        );
    }
    assert_eq!(firsts.len(), expected, "something was told that is not stored");

    let delivered = backend.count();
    say(&format!(
        "kill: {rounds} rounds ({killed_in_load} with sends in the air), {} acked, {} stored, {delivered} delivered to 2 endpoints, {} of them repeats, in {:.1} s",
        acked.len(),
        found.len(),
        delivered - expected,
        start.elapsed().as_secs_f64()
    ));
    assert!(acked.len() > rounds as usize, "too little happened to mean anything");
}
