//! Telling after: a reader of the log with a durable cursor.
//!
//! One deliverer per endpoint. It reads ahead of what it has told, up to a bound, in each shard of the log ([`reader`]),
//! puts each event into the lane of its subject ([`crate::lanes`]), and keeps as many calls in flight as the endpoint
//! allows. What is told writes nothing; progress is saved some times a second. After a crash at most those few moments are
//! told again.

mod reader;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chat::Fault;
use chat::event::{LogEntry, Shard, Subject};
use chat::port::{Clock, Log};
use chat::refusal::AskFailure;
use tokio::sync::Notify;
use tokio::task::{self, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::codec::Call;
use crate::deliver::reader::{Reader, Saved};
use crate::endpoint::{Acknowledge, Endpoint};
use crate::lanes::Next;
use crate::ledger::Ledger;
use crate::request::{self, Envelope};

/// How many events may be read ahead of the cursors. Each is at most some 20 KB (a message of the default size limit), so
/// an endpoint that is down costs at most 40 MB.
const WINDOW: usize = 2048;

/// In how many subjects there may be something to tell at once; beyond that the log is not read on. A lane that is
/// behind keeps one event while it rests, so that all of them cost at most 200 MB, and usually a hundredth of it.
const MAX_LANES: usize = 10_000;

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

/// So many calls of one subject in a row without an answer, while others get theirs, and it lags.
const LAGS_AFTER: u32 = 2;

/// Tells one endpoint of the events of some shards.
pub struct Deliverer {
    endpoint: Arc<Endpoint>,
    log: Arc<dyn Log>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    readers: Vec<Reader>,
    /// Which reader has its turn next.
    turn: usize,
    flights: JoinSet<Outcome>,
    /// Whose call is which task.
    calling: HashMap<task::Id, (usize, Subject)>,
    saves: JoinSet<(usize, Saved)>,
    unanswered: u32,
    /// When to probe next, while the endpoint is down.
    probe_at: Option<Instant>,
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
            behind: metrics::gauge!("ringback_delivery_lagging_subjects", "endpoint" => endpoint.to_owned()),
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
    /// A deliverer that goes on where the endpoint's cursors stand. A new endpoint starts at the newest event.
    pub async fn open(
        endpoint: Arc<Endpoint>,
        shards: Vec<Shard>,
        log: Arc<dyn Log>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Fault> {
        let mut readers = Vec::with_capacity(shards.len());
        let share = shards.len();
        for shard in shards {
            readers.push(Reader::open(&endpoint.name, shard, share, &*log, &*ledger).await?);
        }
        Ok(Self {
            metrics: Arc::new(Metrics::of(&endpoint.name)),
            endpoint,
            log,
            ledger,
            clock,
            readers,
            turn: 0,
            flights: JoinSet::new(),
            calling: HashMap::new(),
            saves: JoinSet::new(),
            unanswered: 0,
            probe_at: None,
        })
    }

    /// Delivers until `stop`; then waits for the calls in flight and saves the cursors.
    pub async fn run(mut self, stop: CancellationToken) {
        let (news, _watchers) = self.watch_heads();
        let mut tick = tokio::time::interval(SAVE_EVERY);
        loop {
            let is_caught_up = self.read_ahead().await;
            self.start_calls().await;
            let wake_at = self.wake_at();
            tokio::select! {
                // In this order, so that the same happens whenever the same has happened before; the rare first.
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => {
                    self.start_saving();
                    self.metrics.lag.set(self.readers.iter().map(Reader::lag).sum::<u64>() as f64);
                    self.metrics.behind.set(self.readers.iter().map(|reader| reader.lanes.behind()).sum::<usize>() as f64);
                }
                Some(saved) = self.saves.join_next() => self.saved(saved),
                () = tokio::time::sleep_until(wake_at.unwrap_or_else(Instant::now)), if wake_at.is_some() => {
                    let now = Instant::now();
                    self.readers.iter_mut().for_each(|reader| reader.lanes.wake(now));
                }
                () = news.notified(), if is_caught_up => {}
                Some(finished) = self.flights.join_next_with_id() => self.finish(finished),
            }
            while let Some(finished) = self.flights.try_join_next_with_id() {
                self.finish(finished);
            }
        }
        while let Some(finished) = self.flights.join_next_with_id().await {
            self.finish(finished);
        }
        // What is being saved now, and then what came after it.
        self.wait_for_saves().await;
        self.start_saving();
        self.wait_for_saves().await;
    }

    async fn wait_for_saves(&mut self) {
        while let Some(saved) = self.saves.join_next().await {
            self.saved(saved);
        }
    }

    /// Says when something was appended to any shard, also if nobody was waiting at that moment.
    fn watch_heads(&self) -> (Arc<Notify>, JoinSet<()>) {
        let news = Arc::new(Notify::new());
        let mut watchers = JoinSet::new();
        for reader in &self.readers {
            let (mut head, news) = (reader.head.clone(), news.clone());
            watchers.spawn(async move {
                while head.changed().await.is_ok() {
                    news.notify_one();
                }
            });
        }
        (news, watchers)
    }

    /// Fills the window from the log, each shard in its turn. Returns whether there is nothing more to read for now.
    async fn read_ahead(&mut self) -> bool {
        let mut untold: usize = self.readers.iter().map(|reader| reader.lanes.untold()).sum();
        let mut lanes: usize = self.readers.iter().map(|reader| reader.lanes.len()).sum();
        let mut idle = 0;
        while idle < self.readers.len() {
            if untold >= WINDOW || lanes >= MAX_LANES {
                return false;
            }
            let place = self.turn % self.readers.len();
            let reader = &mut self.readers[place];
            self.turn = self.turn.wrapping_add(1);
            let before = (reader.lanes.untold(), reader.lanes.len());
            if reader.read_ahead(&self.endpoint, &*self.log).await {
                idle = 0;
                // A lane that fell behind may have taken some away.
                untold = (untold + reader.lanes.untold()).saturating_sub(before.0);
                lanes = (lanes + reader.lanes.len()).saturating_sub(before.1);
            } else {
                idle += 1;
            }
        }
        true
    }

    /// Starts as many calls as the endpoint allows: one, if it is down and it is time to probe.
    async fn start_calls(&mut self) {
        let allowed = match self.probe_at {
            None => self.endpoint.concurrency,
            Some(probe_at) if probe_at <= Instant::now() => {
                self.wake_all();
                1
            }
            Some(_) => 0,
        };
        // A lane of which nothing is told may be long: what is left of it waits for the next tick.
        let mut reads = 0;
        let mut idle = 0;
        while self.flights.len() < allowed && reads < MAX_READS && idle < self.readers.len() {
            let place = self.turn % self.readers.len();
            self.turn = self.turn.wrapping_add(1);
            match self.readers[place].lanes.next() {
                None => {
                    idle += 1;
                    continue;
                }
                Some(Next::Tell(subject, telling)) => self.start_call(place, subject, telling),
                Some(Next::Read(subject, after, limit)) => {
                    reads += 1;
                    let reader = &mut self.readers[place];
                    if !reader.read_lane(&self.endpoint, &*self.log, subject, after, limit).await {
                        // A probe that could not be read is not due again at once.
                        self.probe_at = self.probe_at.map(|_| Instant::now() + FIRST_PAUSE);
                    }
                }
            }
            idle = 0;
        }
    }

    fn start_call(&mut self, place: usize, subject: Subject, telling: Arc<Telling>) {
        let endpoint = self.endpoint.clone();
        let (clock, metrics) = (self.clock.clone(), self.metrics.clone());
        let flight = self.flights.spawn(async move {
            let started = Instant::now();
            let outcome = tell(&endpoint, &*clock, &telling).await;
            metrics.seconds.record(started.elapsed().as_secs_f64());
            match outcome {
                Outcome::Told => metrics.told.increment(1),
                Outcome::Refused => metrics.refused.increment(1),
                Outcome::Unanswered => metrics.unanswered.increment(1),
                Outcome::Broken => {}
            }
            outcome
        });
        self.calling.insert(flight.id(), (place, subject));
    }

    /// When to look for work again although nothing has finished.
    fn wake_at(&self) -> Option<Instant> {
        match self.probe_at {
            None => self.readers.iter().filter_map(|reader| reader.lanes.next_wake()).min(),
            Some(_) if !self.flights.is_empty() => None,
            Some(probe_at) => Some(probe_at),
        }
    }

    fn wake_all(&mut self) {
        self.readers.iter_mut().for_each(|reader| reader.lanes.wake_all());
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
        let Some((place, subject)) = self.calling.remove(&id) else { return };
        let lanes = &mut self.readers[place].lanes;
        match outcome {
            Outcome::Told => {
                lanes.told(subject);
                self.is_up();
            }
            Outcome::Refused | Outcome::Unanswered | Outcome::Broken => {
                let failures = lanes.failures(&subject);
                let pause = pause_after(failures, self.clock.random());
                // What is not answered lags, too, if it is this subject and not the endpoint.
                let is_its_own = outcome != Outcome::Unanswered || (self.probe_at.is_none() && failures >= LAGS_AFTER);
                lanes.rest(subject, Instant::now() + pause, is_its_own);
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
            let waiting: usize = self.readers.iter().map(|reader| reader.lanes.len()).sum();
            tracing::info!(endpoint = self.endpoint.name, waiting, "the endpoint is back");
            self.wake_all();
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

    /// Starts saving what has changed, beside everything else: it waits for a commit.
    fn start_saving(&mut self) {
        for (place, reader) in self.readers.iter_mut().enumerate() {
            if let Some(progress) = reader.unsaved() {
                let (ledger, endpoint, shard) = (self.ledger.clone(), self.endpoint.clone(), reader.shard);
                self.saves.spawn(async move {
                    let result = ledger.save_progress(&endpoint.name, shard, progress.clone()).await;
                    (place, Saved { progress, result })
                });
            }
        }
    }

    fn saved(&mut self, saved: Result<(usize, Saved), task::JoinError>) {
        match saved {
            Ok((place, saved)) => self.readers[place].saved(&self.endpoint.name, saved),
            Err(error) => tracing::error!(endpoint = self.endpoint.name, %error, "saving progress broke off"),
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
async fn tell(endpoint: &Endpoint, clock: &dyn Clock, telling: &Telling) -> Outcome {
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
    let envelope = Envelope { id, headers: Vec::new() };
    let (outcome, name) = match request::post(endpoint, call, &envelope, clock.now(), endpoint.timeout).await {
        Ok(answer) if !answer.status.is_success() => (Outcome::Refused, "bad_status"),
        Ok(answer) => match endpoint.acknowledge {
            Acknowledge::Body if !endpoint.codec.acknowledges(&answer.body) => (Outcome::Refused, "not_acknowledged"),
            Acknowledge::Body | Acknowledge::Status => (Outcome::Told, "told"),
        },
        Err(failure) if failure.kind == AskFailure::Unreadable => (Outcome::Refused, failure.kind.name()),
        Err(failure) => (Outcome::Unanswered, failure.kind.name()),
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
        f.debug_struct("Deliverer").field("endpoint", &self.endpoint).finish_non_exhaustive()
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
