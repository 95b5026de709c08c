//! The sending side: many connections, each with one `sendmsg` in flight, over many conversations.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::http::Connection;
use crate::tencent::App;
use crate::{Failure, Result};

/// Longer than any honest stall; then the server hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Digits of a time stamp, in microseconds; a text that has one is at least so long.
pub(crate) const STAMP_DIGITS: usize = 16;
/// `multiaccount_import` takes no more.
const ACCOUNTS_PER_IMPORT: usize = 100;

/// What is sent, to how many, over how many connections.
pub(crate) struct Plan {
    pub(crate) server: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) conversations: usize,
    pub(crate) text_bytes: usize,
}

/// When to stop.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// Keep sending for this long, each time into a conversation picked at random.
    Elapsed(Duration),
    /// Send this many messages altogether, the conversations in turn.
    Sent(usize),
    /// The same, so many a second, however long the answers take.
    Paced(usize, f64),
}

/// What a stretch of sending came to.
pub(crate) struct Tally {
    /// From the first send to the last acknowledgement.
    pub(crate) elapsed: Duration,
    /// Of every acknowledged message, ascending. If paced, from when it was due.
    pub(crate) latencies: Vec<Duration>,
}

/// Connections that stay open between stretches.
pub(crate) struct Load {
    senders: Vec<Sender>,
}

/// One connection with conversations of its own, so that it knows their order.
struct Sender {
    connection: Connection,
    target: String,
    text: String,
    conversations: Vec<Conversation>,
    body: Vec<u8>,
    random: u64,
    /// Each text begins with the time since then.
    stamped_since: Option<Instant>,
}

struct Conversation {
    from: String,
    to: String,
    sent: u32,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "ErrorCode")]
    error_code: i64,
}

impl Plan {
    /// Each account talks with a few others.
    fn accounts(&self) -> usize {
        (self.conversations / 2).max(8)
    }

    /// The pair of accounts of a conversation: neighbours at a growing distance, so that no pair comes twice.
    fn pair(&self, conversation: usize) -> (String, String) {
        let (from, distance) = (conversation % self.accounts(), conversation / self.accounts() + 1);
        (account(from), account((from + distance) % self.accounts()))
    }

    /// The body of a request of this plan, to know its size.
    pub(crate) fn sample_body(&self) -> Vec<u8> {
        let (from, to) = self.pair(0);
        let mut body = Vec::new();
        Conversation { from, to, sent: 0 }.next_message(&text(self.text_bytes), 1, &mut body);
        body
    }
}

impl Load {
    /// Connects, and imports the accounts.
    pub(crate) fn prepare(runtime: &Runtime, plan: &Plan, app: &App) -> Result<Self> {
        runtime.block_on(async {
            import_accounts(plan, app).await?;
            let mut senders = Vec::new();
            for lane in 0..plan.connections.min(plan.conversations) {
                let own = (lane..plan.conversations).step_by(plan.connections).map(|i| plan.pair(i));
                senders.push(Sender {
                    connection: Connection::open(plan.server).await?,
                    target: app.target("openim/sendmsg")?,
                    text: text(plan.text_bytes),
                    conversations: own.map(|(from, to)| Conversation { from, to, sent: 0 }).collect(),
                    body: Vec::new(),
                    random: 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(lane as u64 + 1),
                    stamped_since: None,
                });
            }
            Ok(Self { senders })
        })
    }

    /// From now on each text begins with when it was sent, see `stamp`.
    pub(crate) fn stamp(&mut self, since: Instant) {
        self.senders.iter_mut().for_each(|sender| sender.stamped_since = Some(since));
    }

    /// Sends on all connections at once and waits for the last acknowledgement.
    pub(crate) fn drive(&mut self, runtime: &Runtime, until: Until) -> Result<Tally> {
        runtime.block_on(async {
            let start = Instant::now();
            let lanes = self.senders.len();
            let mut tasks = JoinSet::new();
            for (lane, mut sender) in self.senders.drain(..).enumerate() {
                tasks.spawn(async move {
                    let latencies = match until {
                        Until::Elapsed(time) => sender.send_until(start + time).await,
                        Until::Sent(total) => sender.send(share(total, lanes, lane)).await,
                        Until::Paced(total, rate) => {
                            // The connections take turns.
                            let due = |i: usize| start + Duration::from_secs_f64((i * lanes + lane) as f64 / rate);
                            sender.send_paced(share(total, lanes, lane), due).await
                        }
                    };
                    latencies.map(|latencies| (sender, latencies))
                });
            }
            let mut latencies = Vec::new();
            let limit = PATIENCE
                + match until {
                    Until::Elapsed(time) => time,
                    Until::Sent(_) => PATIENCE,
                    Until::Paced(total, rate) => Duration::from_secs_f64(total as f64 / rate),
                };
            timeout(limit, async {
                while let Some(done) = tasks.join_next().await {
                    let (sender, own) = done??;
                    self.senders.push(sender);
                    latencies.extend(own);
                }
                Ok::<(), Failure>(())
            })
            .await
            .map_err(|_| format!("the server did not answer all sends within {limit:?}"))??;
            let elapsed = start.elapsed();
            latencies.sort_unstable();
            Ok(Tally { elapsed, latencies })
        })
    }
}

impl Sender {
    async fn send_until(&mut self, deadline: Instant) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let mut now = Instant::now();
        while now < deadline {
            let pick = self.random() as usize % self.conversations.len();
            self.send_one(pick).await?;
            let answered = Instant::now();
            latencies.push(answered - now);
            now = answered;
        }
        Ok(latencies)
    }

    async fn send(&mut self, count: usize) -> Result<Vec<Duration>> {
        let mut latencies = Vec::with_capacity(count);
        for i in 0..count {
            let start = Instant::now();
            self.send_one(i % self.conversations.len()).await?;
            latencies.push(start.elapsed());
        }
        Ok(latencies)
    }

    async fn send_paced(&mut self, count: usize, due: impl Fn(usize) -> Instant) -> Result<Vec<Duration>> {
        let mut latencies = Vec::with_capacity(count);
        for i in 0..count {
            tokio::time::sleep_until(due(i).into()).await;
            self.send_one(i % self.conversations.len()).await?;
            latencies.push(due(i).elapsed());
        }
        Ok(latencies)
    }

    async fn send_one(&mut self, conversation: usize) -> Result<()> {
        let msg_random = self.random() as u32;
        if let Some(since) = self.stamped_since {
            self.text.replace_range(..STAMP_DIGITS, &stamp(since.elapsed()));
        }
        self.conversations[conversation].next_message(&self.text, msg_random, &mut self.body);
        expect_ok(self.connection.post(&self.target, &self.body).await?)
    }

    /// xorshift64: the same run twice picks the same conversations.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

impl Conversation {
    /// Writes the request of the next message. MsgSeq counts up, so that a receiver can check the order.
    fn next_message(&mut self, text: &str, msg_random: u32, body: &mut Vec<u8>) {
        use std::io::Write;
        self.sent += 1;
        body.clear();
        let Self { from, to, sent } = self;
        write!(
            body,
            r#"{{"From_Account":"{from}","To_Account":"{to}","MsgSeq":{sent},"MsgRandom":{msg_random},"MsgBody":[{{"MsgType":"TIMTextElem","MsgContent":{{"Text":"{text}"}}}}]}}"#
        )
        .expect("writing to memory does not fail");
    }
}

/// What a lane's part is of so many.
fn share(total: usize, lanes: usize, lane: usize) -> usize {
    total / lanes + usize::from(lane < total % lanes)
}

/// Microseconds, in the same number of digits always. `stamped` reads it.
fn stamp(time: Duration) -> String {
    format!("{:0STAMP_DIGITS$}", time.as_micros())
}

/// When a text was sent that `Load::stamp` had marked.
pub(crate) fn stamped(text: &str) -> Option<Duration> {
    text.get(..STAMP_DIGITS)?.parse().ok().map(Duration::from_micros)
}

async fn import_accounts(plan: &Plan, app: &App) -> Result<()> {
    let mut connection = Connection::open(plan.server).await?;
    let target = app.target("im_open_login_svc/multiaccount_import")?;
    let names: Vec<String> = (0..plan.accounts()).map(account).collect();
    for some in names.chunks(ACCOUNTS_PER_IMPORT) {
        let body = serde_json::json!({ "Accounts": some }).to_string();
        expect_ok(connection.post(&target, body.as_bytes()).await?)?;
    }
    Ok(())
}

/// A send that was refused must not count as a fast one.
fn expect_ok(answer: &[u8]) -> Result<()> {
    match serde_json::from_slice(answer) {
        Ok(Answer { error_code: 0 }) => Ok(()),
        _ => Err(format!("the server refused a request: {}", String::from_utf8_lossy(answer)).into()),
    }
}

fn account(number: usize) -> String {
    format!("bench{number:05}")
}

/// Printable text of a given size that no store can shrink to nothing.
pub(crate) fn text(bytes: usize) -> String {
    let mut state = 12_345_u32;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789"[(state >> 26) as usize])
    });
    letters.take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::sink::{Call, OpenSink, Sink};

    #[test]
    fn no_two_conversations_have_the_same_pair() {
        let plan = Plan { server: ([127, 0, 0, 1], 1).into(), connections: 1, conversations: 2_000, text_bytes: 9 };
        let pairs: HashSet<_> = (0..2_000)
            .map(|i| plan.pair(i))
            .map(|(a, b)| if a < b { (a, b) } else { (b, a) })
            .inspect(|(a, b)| assert_ne!(a, b))
            .collect();
        assert_eq!(pairs.len(), 2_000);
    }

    /// Three connections over ten conversations, with texts of 50 bytes, to a sink that keeps what it gets.
    fn prepared() -> (Runtime, OpenSink, Load) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sink = Sink::reserve().unwrap();
        let plan = Plan { server: sink.address(), connections: 3, conversations: 10, text_bytes: 50 };
        let sink = sink.open(true).unwrap();
        let load = Load::prepare(&runtime, &plan, &App::invent().unwrap()).unwrap();
        (runtime, sink, load)
    }

    fn text_of(call: &Call) -> String {
        let body: serde_json::Value = serde_json::from_slice(call.request.body()).unwrap();
        body["MsgBody"][0]["MsgContent"]["Text"].as_str().unwrap().to_owned()
    }

    #[test]
    fn sends_in_order_and_counts_every_message() {
        let (runtime, sink, mut load) = prepared();
        assert_eq!(load.drive(&runtime, Until::Sent(25)).unwrap().latencies.len(), 25);
        let timed = load.drive(&runtime, Until::Elapsed(Duration::from_millis(20))).unwrap();
        let received = sink.close().unwrap().calls;
        assert_eq!(received.len(), 1 + 25 + timed.latencies.len());
        assert_eq!(text_of(&received[1]).len(), 50);
    }

    #[test]
    fn paced_sends_are_due_one_after_the_other_and_say_when_they_were_sent() {
        let (runtime, sink, mut load) = prepared();
        sink.take();
        let start = Instant::now();
        load.stamp(start);
        let tally = load.drive(&runtime, Until::Paced(10, 200.0)).unwrap();
        assert_eq!(tally.latencies.len(), 10);
        let calls = sink.close().unwrap().calls;
        let mut sent: Vec<_> = calls.iter().map(|call| stamped(&text_of(call)).unwrap()).collect();
        sent.sort_unstable();
        assert!(sent.len() == 10 && sent[9] >= Duration::from_millis(45) && sent[9] <= start.elapsed(), "{sent:?}");
    }

    #[test]
    fn a_refusal_is_a_failure() {
        assert!(expect_ok(br#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#).is_ok());
        let refused = expect_ok(br#"{"ActionStatus":"FAIL","ErrorInfo":"no","ErrorCode":90012}"#);
        assert!(refused.unwrap_err().to_string().contains("90012"));
    }
}
