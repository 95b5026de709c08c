//! Telling after: a reader of the log with a durable cursor.
//!
//! One deliverer per endpoint and shard. It reads ahead of what it has told, up to a bound, puts each event into the
//! lane of its conversation ([`crate::lanes`]), and keeps as many calls in flight as the endpoint allows. What is told
//! writes nothing; progress is saved some times a second. After a crash at most those few moments are told again.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chat::Fault;
use chat::conversation::ConversationId;
use chat::event::{LogEntry, Position, Shard};
use chat::port::{Clock, Store};
use chat::refusal::AskFailure;
use tokio::task::{self, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::codec::Call;
use crate::endpoint::{Acknowledge, Endpoint};
use crate::lanes::{Lanes, Next};
use crate::ledger::{Ledger, Progress};

/// How many events may be read ahead of the cursor. Each is at most some 20 KB (a message of the default size limit), so
/// an endpoint that is down costs at most 40 MB.
const WINDOW: usize = 2048;

/// In how many conversations there may be something to tell at once; beyond that the log is not read on. A lane that is
/// behind keeps one event while it rests, so that all of them cost at most 200 MB, and usually a hundredth of it.
const MAX_LANES: usize = 10_000;

/// How many events are read from the log at once.
const READ_BATCH: usize = 256;

/// How many times lanes are read from the log before anything else has its turn; each takes about a millisecond.
const MAX_READS: usize = 64;

/// How often progress is saved: this much may be told again after a crash. Each time costs a part of a commit.
const SAVE_EVERY: Duration = Duration::from_millis(50);

/// The first pause after a failure; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause after a failure.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// So many calls in a row without an answer, and the endpoint counts as down: it is then probed by one call at a time
/// instead of one per lane.
const DOWN_AFTER: u32 = 8;

/// So many calls of one conversation in a row without an answer, while others get theirs, and it lags.
const LAGS_AFTER: u32 = 2;

/// Tells one endpoint of one shard's events.
pub struct Deliverer {
    endpoint: Arc<Endpoint>,
    shard: Shard,
    store: Arc<dyn Store>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    client: Client,
    lanes: Lanes<Telling>,
    flights: JoinSet<Outcome>,
    /// Whose call is which task.
    calling: HashMap<task::Id, ConversationId>,
    saved: Position,
    unanswered: u32,
    /// When to probe next, while the endpoint is down.
    probe_at: Option<Instant>,
    /// After the log could not be read: when to try again.
    read_again_at: Option<Instant>,
    metrics: Arc<Metrics>,
}

/// Looked up once: an event is told in some 40 µs, and looking up four metrics by their labels would be a tenth of it.
struct Metrics {
    told: metrics::Counter,
    refused: metrics::Counter,
    unanswered: metrics::Counter,
    seconds: metrics::Histogram,
    lag: metrics::Gauge,
    behind: metrics::Gauge,
}

impl Metrics {
    fn of(endpoint: &str) -> Self {
        let tellings = |outcome: &'static str| metrics::counter!("ringback_tellings_total", "endpoint" => endpoint.to_owned(), "outcome" => outcome);
        Self {
            told: tellings("told"),
            refused: tellings("refused"),
            unanswered: tellings("unanswered"),
            seconds: metrics::histogram!("ringback_telling_seconds", "endpoint" => endpoint.to_owned()),
            lag: metrics::gauge!("ringback_delivery_lag_events", "endpoint" => endpoint.to_owned()),
            behind: metrics::gauge!("ringback_delivery_lagging_conversations", "endpoint" => endpoint.to_owned()),
        }
    }
}

/// One event that the endpoint is owed.
struct Telling {
    entry: LogEntry,
    command: &'static str,
    /// Worded at the first attempt, and the same at all others.
    call: OnceLock<Call>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Told,
    /// It answered, and did not accept.
    Refused,
    /// It did not answer.
    Unanswered,
    /// We could not even call: a bug of ours, and the event's as far as we know.
    Broken,
}

impl Deliverer {
    /// A deliverer that goes on where the endpoint's cursor stands. A new endpoint starts at the newest event.
    pub async fn open(
        endpoint: Arc<Endpoint>,
        shard: Shard,
        store: Arc<dyn Store>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        client: Client,
    ) -> Result<Self, Fault> {
        let cursor = match ledger.cursor(&endpoint.name, shard).await? {
            Some(cursor) => cursor,
            None => {
                let head = *store.head(shard).borrow();
                ledger.save_cursor(&endpoint.name, shard, head).await?;
                head
            }
        };
        let behind = ledger.behind(&endpoint.name, shard).await?;
        let metrics = Arc::new(Metrics::of(&endpoint.name));
        Ok(Self {
            metrics,
            endpoint,
            shard,
            store,
            ledger,
            clock,
            client,
            lanes: Lanes::new(cursor, behind),
            flights: JoinSet::new(),
            calling: HashMap::new(),
            saved: cursor,
            unanswered: 0,
            probe_at: None,
            read_again_at: None,
        })
    }

    /// Delivers until `stop`; then waits for the calls in flight and saves the cursor.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut head = self.store.head(self.shard);
        let mut tick = tokio::time::interval(SAVE_EVERY);
        loop {
            // Marked as seen before looking for work, so that no event is appended unseen in between.
            let newest = *head.borrow_and_update();
            let is_caught_up = self.read_ahead(newest).await;
            self.start_calls().await;
            let wake_at = self.wake_at();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(finished) = self.flights.join_next_with_id() => self.finish(finished),
                Ok(()) = head.changed(), if is_caught_up => {}
                () = tokio::time::sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {
                    self.lanes.wake(Instant::now());
                }
                _ = tick.tick() => {
                    self.save().await;
                    let lag = head.borrow().0.saturating_sub(self.lanes.cursor().0);
                    self.metrics.lag.set(lag as f64);
                    self.metrics.behind.set(self.lanes.behind() as f64);
                }
            }
            while let Some(finished) = self.flights.try_join_next_with_id() {
                self.finish(finished);
            }
        }
        while let Some(finished) = self.flights.join_next_with_id().await {
            self.finish(finished);
        }
        self.save().await;
    }

    /// Fills the window from the log, up to its newest event. Returns whether there is nothing more to read for now.
    async fn read_ahead(&mut self, newest: Position) -> bool {
        if self.read_again_at.is_some_and(|at| at > Instant::now()) {
            return true;
        }
        while self.lanes.untold() < WINDOW && self.lanes.len() < MAX_LANES {
            if self.lanes.read_to() >= newest {
                return true;
            }
            let entries = match self.store.log_after(self.shard, self.lanes.read_to(), READ_BATCH).await {
                Ok(entries) => entries,
                Err(fault) => {
                    // Tried again at the first tick after the pause.
                    tracing::error!(endpoint = self.endpoint.name, %fault, "the log could not be read");
                    self.read_again_at = Some(Instant::now() + FIRST_PAUSE);
                    return true;
                }
            };
            if entries.is_empty() {
                return true;
            }
            for entry in entries {
                match self.endpoint.tells(&entry.event) {
                    Some(command) => {
                        let (conversation, position) = (entry.event.conversation(), entry.position);
                        self.lanes.push(conversation, position, Telling { entry, command, call: OnceLock::new() });
                    }
                    None => self.lanes.skip(entry.position),
                }
            }
        }
        false
    }

    /// Starts as many calls as the endpoint allows: one, if it is down and it is time to probe.
    async fn start_calls(&mut self) {
        let allowed = match self.probe_at {
            None => self.endpoint.concurrency,
            Some(probe_at) if probe_at <= Instant::now() => {
                self.lanes.wake_all();
                1
            }
            Some(_) => 0,
        };
        // A lane of which nothing is told may be long: what is left of it waits for the next tick.
        let mut reads = 0;
        while self.flights.len() < allowed && reads < MAX_READS {
            match self.lanes.next() {
                None => break,
                Some(Next::Tell(conversation, telling)) => self.start_call(conversation, telling),
                Some(Next::Read(conversation, after, limit)) => {
                    reads += 1;
                    self.read_lane(conversation, after, limit).await;
                }
            }
        }
    }

    fn start_call(&mut self, conversation: ConversationId, telling: Arc<Telling>) {
        let (endpoint, client) = (self.endpoint.clone(), self.client.clone());
        let (clock, metrics) = (self.clock.clone(), self.metrics.clone());
        let flight = self.flights.spawn(async move {
            let started = Instant::now();
            let outcome = tell(&endpoint, &client, &*clock, &telling).await;
            metrics.seconds.record(started.elapsed().as_secs_f64());
            match outcome {
                Outcome::Told => metrics.told.increment(1),
                Outcome::Refused => metrics.refused.increment(1),
                Outcome::Unanswered => metrics.unanswered.increment(1),
                Outcome::Broken => {}
            }
            outcome
        });
        self.calling.insert(flight.id(), conversation);
    }

    /// Fills a lane that is behind from the log.
    async fn read_lane(&mut self, conversation: ConversationId, after: Position, limit: usize) {
        let up_to = self.lanes.read_to();
        match self.store.log_of(&conversation, after, up_to, limit).await {
            Ok(entries) => {
                let has_more = entries.len() == limit;
                let read = entries.last().map(|entry| entry.position);
                let telling = |entry: LogEntry| {
                    let command = self.endpoint.tells(&entry.event)?;
                    Some((entry.position, Telling { entry, command, call: OnceLock::new() }))
                };
                let events = entries.into_iter().filter_map(telling).collect();
                self.lanes.refill(conversation, events, read, has_more);
            }
            Err(fault) => {
                tracing::error!(endpoint = self.endpoint.name, %fault, "the log could not be read");
                self.lanes.rest(conversation, Instant::now() + MAX_PAUSE, false);
                // A probe that could not be read is not due again at once.
                self.probe_at = self.probe_at.map(|_| Instant::now() + FIRST_PAUSE);
            }
        }
    }

    /// When to look for work again although nothing has finished.
    fn wake_at(&self) -> Option<Instant> {
        match self.probe_at {
            None => self.lanes.next_wake(),
            Some(_) if !self.flights.is_empty() => None,
            Some(probe_at) => Some(probe_at),
        }
    }

    fn finish(&mut self, finished: Result<(task::Id, Outcome), task::JoinError>) {
        let (id, outcome) = match finished {
            Ok(finished) => finished,
            // A panic: it lags, and the rest goes on.
            Err(error) => {
                tracing::error!(endpoint = self.endpoint.name, %error, "a call broke off");
                (error.id(), Outcome::Broken)
            }
        };
        let Some(conversation) = self.calling.remove(&id) else { return };
        match outcome {
            Outcome::Told => {
                self.lanes.told(conversation);
                self.is_up();
            }
            Outcome::Refused | Outcome::Unanswered | Outcome::Broken => {
                let failures = self.lanes.failures(&conversation);
                let pause = pause_after(failures, self.clock.random());
                // What is not answered lags, too, if it is this conversation and not the endpoint.
                let is_its_own = outcome != Outcome::Unanswered || (self.probe_at.is_none() && failures >= LAGS_AFTER);
                self.lanes.rest(conversation, Instant::now() + pause, is_its_own);
                match outcome {
                    Outcome::Refused => self.is_up(),
                    Outcome::Unanswered => self.is_unanswered(),
                    Outcome::Told | Outcome::Broken => {}
                }
            }
        }
    }

    /// It answered. If it was down, everything that waits goes on at once.
    fn is_up(&mut self) {
        self.unanswered = 0;
        if self.probe_at.take().is_some() {
            tracing::info!(endpoint = self.endpoint.name, waiting = self.lanes.len(), "the endpoint is back");
            self.lanes.wake_all();
        }
    }

    fn is_unanswered(&mut self) {
        // Calls that were in flight when it went down say nothing new.
        if self.probe_at.is_some_and(|probe_at| probe_at > Instant::now()) {
            return;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        if self.unanswered < DOWN_AFTER {
            return;
        }
        if self.probe_at.is_none() {
            tracing::warn!(endpoint = self.endpoint.name, "the endpoint is down; its events wait");
        }
        let pause = pause_after(self.unanswered - DOWN_AFTER, self.clock.random());
        self.probe_at = Some(Instant::now() + pause);
    }

    async fn save(&mut self) {
        let cursor = self.lanes.cursor();
        let behind = self.lanes.take_unsaved();
        if cursor == self.saved && behind.is_empty() {
            return;
        }
        let progress = Progress { cursor, behind: behind.clone() };
        match self.ledger.save_progress(&self.endpoint.name, self.shard, progress).await {
            Ok(()) => self.saved = cursor,
            // Tried again at the next tick; until then a crash would repeat more.
            Err(fault) => {
                self.lanes.not_saved(behind);
                tracing::warn!(endpoint = self.endpoint.name, %fault, "progress could not be saved");
            }
        }
    }
}

/// The pause after `failures` earlier ones in a row: doubling, at most [`MAX_PAUSE`], shortened by up to a fifth at
/// random, so that many lanes do not knock at the same instant.
fn pause_after(failures: u32, random: u128) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(MAX_PAUSE);
    full - full.mul_f64((random % 1000) as f64 / 5000.0)
}

/// One attempt.
async fn tell(endpoint: &Endpoint, client: &Client, clock: &dyn Clock, telling: &Telling) -> Outcome {
    let started = Instant::now();
    let command = telling.command;
    let call = match telling.call.get() {
        Some(call) => call,
        None => match endpoint.codec.telling(command, &telling.entry) {
            Ok(call) => telling.call.get_or_init(|| call),
            Err(fault) => {
                tracing::error!(endpoint = endpoint.name, command, %fault, "an event could not be worded");
                return Outcome::Broken;
            }
        },
    };
    let id = format!("{}.{}", telling.entry.event.id(), endpoint.name);
    let (outcome, name) = match client.post(endpoint, call, &id, clock.now()).await {
        Ok(answer) => match endpoint.acknowledge {
            Acknowledge::Body if !endpoint.codec.acknowledges(&answer.body) => (Outcome::Refused, "not_acknowledged"),
            Acknowledge::Body | Acknowledge::Status => (Outcome::Told, "told"),
        },
        Err(failure @ (AskFailure::BadStatus | AskFailure::Unreadable)) => (Outcome::Refused, failure.name()),
        Err(failure) => (Outcome::Unanswered, failure.name()),
    };
    let took = started.elapsed();
    let (position, millis) = (telling.entry.position.0, took.as_millis());
    match outcome {
        Outcome::Told => tracing::debug!(endpoint = endpoint.name, command, position, took.ms = millis, "told"),
        Outcome::Refused | Outcome::Unanswered | Outcome::Broken => {
            tracing::warn!(
                endpoint = endpoint.name,
                command,
                position,
                outcome = name,
                took.ms = millis,
                "not told; will be again"
            );
        }
    }
    outcome
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverer")
            .field("endpoint", &self.endpoint)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_stay_below_the_longest() {
        assert_eq!(pause_after(0, 0), Duration::from_secs(1));
        assert_eq!(pause_after(2, 0), Duration::from_secs(4));
        assert_eq!(pause_after(u32::MAX, 0), MAX_PAUSE);
        assert!(pause_after(30, 999) > Duration::from_secs(11) && pause_after(30, 999) < MAX_PAUSE);
    }
}
