//! Many who send at once, in both dialects, while the server or its database dies; and who remember every promise.
//!
//! Whoever has no good answer asks again with the same key, until there is one. What was promised is compared with what
//! is there by [`crate::audit`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{Endpoint, OpenIm, Receiver, Server, Tencent, text, wait};

const WORKERS: usize = 8;
/// At most, per worker and round: a fast machine does not make the end longer.
const MESSAGES: usize = 60;
/// Before the same question is asked again.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) const GROUPS: [&str; 3] = ["g0", "g1", "g2"];
pub(crate) const PAIRS: [(&str, &str); 3] = [("alice", "bob"), ("carol", "dave"), ("alice", "carol")];

/// What the dialects answer when the fault is the server's own; any other refusal would be a lie.
const INTERNAL: [i64; 7] = [10002, 20005, 90994, 90995, 91000, 500, 90002];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Dialect {
    Tencent,
    OpenIm,
}

/// What an answer promised.
#[derive(Clone, Debug)]
pub struct Ack {
    pub(crate) conversation: String,
    pub(crate) answer: Value,
}

/// A message on its way, with the key that makes a second try the same message.
#[derive(Clone, Debug)]
struct Message {
    words: String,
    conversation: String,
    dialect: Dialect,
    command: &'static str,
    body: Value,
}

/// Those who send, over all rounds.
#[derive(Debug)]
pub struct Traffic {
    workers: Vec<Worker>,
    /// A token needs no memory of having been issued, so one is enough for all rounds.
    token: String,
    /// Whether an answer may say that the server cannot, for now.
    errors_are_expected: bool,
    errors: Arc<AtomicU64>,
}

/// One round of sending.
#[derive(Debug)]
pub struct Round {
    at_work: Vec<JoinHandle<Worker>>,
    enough: Arc<AtomicBool>,
}

/// Two endpoints that hear of every message, one in each dialect.
pub fn endpoints(backend: &Receiver) -> [Endpoint; 2] {
    [
        Endpoint::tencent(backend.url("/callback")).hears(["C2C.CallbackAfterSendMsg", "Group.CallbackAfterSendMsg"]),
        Endpoint::openim(backend.url("/webhook"))
            .hears(["callbackAfterSendSingleMsgCommand", "callbackAfterSendGroupMsgCommand"]),
    ]
}

impl Traffic {
    /// Makes the accounts and groups; everybody's choices follow from `seed`.
    pub async fn prepare(server: &Server, seed: u64) -> Self {
        let tencent = server.tencent();
        crate::stage::cast(&tencent).await;
        for group in GROUPS {
            tencent.create_group(group, "alice", &["bob", "carol", "dave"]).await;
        }
        let mut seeds = StdRng::seed_from_u64(seed);
        let keys = Arc::new(AtomicU32::new(1));
        let workers = (0..WORKERS).map(|number| Worker::new(number, seeds.random(), keys.clone())).collect();
        let token = server.openim().await.token().to_owned();
        Self { workers, token, errors_are_expected: false, errors: Arc::default() }
    }

    /// The server may answer that it cannot, for a while: whoever gets such an answer asks again.
    pub fn expect_errors(&mut self) {
        self.errors_are_expected = true;
    }

    /// The app's side of both dialects, with the one token.
    pub fn clients(&self, server: &Server) -> (Tencent, OpenIm) {
        (server.tencent(), OpenIm::with_token(server.http(), &self.token))
    }

    /// Has everybody send, until the server dies, or there is enough, or each has done its share.
    pub fn begin(&mut self, server: &Server) -> Round {
        let enough = Arc::new(AtomicBool::new(false));
        let at_work = self.workers.drain(..).collect::<Vec<_>>();
        let asking = self.asking(server);
        let at_work =
            at_work.into_iter().map(|worker| tokio::spawn(worker.work(asking.clone(), enough.clone()))).collect();
        Round { at_work, enough }
    }

    /// Waits for everybody; gives how many are without an answer because the server died.
    pub async fn end(&mut self, round: Round) -> usize {
        for worker in round.at_work {
            self.workers.push(worker.await.expect("a worker"));
        }
        self.workers.iter().filter(|worker| worker.pending.is_some()).count()
    }

    /// Those who are still without an answer ask once more. Gives all that was ever promised, by the message's words.
    pub async fn settle(&mut self, server: &Server) -> BTreeMap<String, Ack> {
        let asking = self.asking(server);
        for worker in &mut self.workers {
            let Some(message) = worker.pending.take() else { continue };
            let answer = asking.ask(&message).await.expect("an answer at last");
            worker.acked.insert(message.words, Ack { conversation: message.conversation, answer });
        }
        self.workers.iter().flat_map(|worker| worker.acked.clone()).collect()
    }

    /// How many answers said that the server could not.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn asking(&self, server: &Server) -> Asking {
        let (tencent, openim) = self.clients(server);
        Asking { tencent, openim, errors_are_expected: self.errors_are_expected, errors: self.errors.clone() }
    }
}

impl Round {
    /// Whether somebody still sends.
    pub fn is_busy(&self) -> bool {
        self.at_work.iter().any(|worker| !worker.is_finished())
    }

    /// Everybody ends after the answer that it waits for.
    pub fn enough(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

/// How a question is put to the server.
#[derive(Clone, Debug)]
struct Asking {
    tencent: Tencent,
    openim: OpenIm,
    errors_are_expected: bool,
    errors: Arc<AtomicU64>,
}

impl Asking {
    /// The good answer, however often it takes; none when the server died.
    async fn ask(&self, message: &Message) -> Option<Value> {
        wait::within("a good answer", async {
            loop {
                let (answer, code) = match message.dialect {
                    Dialect::Tencent => (self.tencent.try_call(message.command, &message.body).await, "ErrorCode"),
                    Dialect::OpenIm => (self.openim.try_call(message.command, &message.body).await, "errCode"),
                };
                let answer = answer.ok()?;
                if answer[code] == 0 {
                    return Some(answer);
                }
                let is_internal = answer[code].as_i64().is_some_and(|code| INTERNAL.contains(&code));
                assert!(self.errors_are_expected && is_internal, "{message:?} was refused: {answer}");
                self.errors.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await
    }
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
    fn new(number: usize, seed: u64, keys: Arc<AtomicU32>) -> Self {
        Self { number, rng: StdRng::seed_from_u64(seed), keys, count: 0, pending: None, acked: BTreeMap::new() }
    }

    async fn work(mut self, asking: Asking, enough: Arc<AtomicBool>) -> Self {
        for _ in 0..MESSAGES {
            let message = self.pending.take().unwrap_or_else(|| self.next());
            let Some(answer) = asking.ask(&message).await else {
                self.pending = Some(message);
                break;
            };
            self.acked.insert(message.words, Ack { conversation: message.conversation, answer });
            if enough.load(Ordering::Relaxed) {
                break;
            }
        }
        self
    }

    fn next(&mut self) -> Message {
        self.count += 1;
        let words = format!("w{}-{}", self.number, self.count);
        let key = self.keys.fetch_add(1, Ordering::Relaxed);
        let dialect = if self.rng.random_bool(0.5) { Dialect::Tencent } else { Dialect::OpenIm };
        if self.rng.random_bool(0.5) {
            to_group(words, key, dialect, GROUPS[self.rng.random_range(0..GROUPS.len())])
        } else {
            let (one, other) = PAIRS[self.rng.random_range(0..PAIRS.len())];
            let (from, to) = if self.rng.random_bool(0.5) { (one, other) } else { (other, one) };
            to_one(words, key, dialect, from, to)
        }
    }
}

fn to_group(words: String, key: u32, dialect: Dialect, group: &str) -> Message {
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
    Message { words, conversation: group_conversation(group), dialect, command, body }
}

fn to_one(words: String, key: u32, dialect: Dialect, from: &str, to: &str) -> Message {
    let (command, body) = match dialect {
        Dialect::Tencent => (
            "openim/sendmsg",
            json!({
                "From_Account": from, "To_Account": to, "MsgSeq": key, "MsgRandom": key, "MsgBody": text(&words),
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
    Message { words, conversation: direct_conversation(from, to), dialect, command, body }
}

pub(crate) fn group_conversation(group: &str) -> String {
    format!("sg_{group}")
}

pub(crate) fn direct_conversation(one: &str, other: &str) -> String {
    format!("si_{}_{}", one.min(other), one.max(other))
}
