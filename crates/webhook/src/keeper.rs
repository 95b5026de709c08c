//! Housekeeping beside the deliverers: notes how late it is where the log stands, trims what everybody has been told of, and
//! forgets old attempts.

use std::sync::Arc;
use std::time::Duration;

use chat::Fault;
use chat::event::{Position, Shard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::deliver::Parts;
use crate::endpoint::Endpoint;
use crate::ledger::{Ledger, PauseReason, Progress};

/// How often the time is noted: what is asked about times is answered to within this.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// How often the log is trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// How many events are removed in one transaction, some 10 ms long, and how many transactions there are at a time.
const TRIM_STEP: usize = 1000;
const TRIM_STEPS: usize = 100;

/// No event is removed that is younger: see [`Ledger::trim`](crate::ledger::Ledger::trim).
pub const LEAST_AGE: Duration = Duration::from_secs(60 * 60);

/// Noted times are kept for so much longer than anybody asks for, since clocks jump. A day of them is 8,640 rows a shard.
const TIMES_LONGER: Duration = Duration::from_secs(24 * 60 * 60);

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Events that are not in the history, once every endpoint was told of them; at least [`LEAST_AGE`].
    pub events: Duration,
    /// Failed attempts.
    pub attempts: Duration,
    /// At most so many failed attempts of an endpoint.
    pub most_attempts: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        let events = Duration::from_secs(DAY);
        Self { events, attempts: Duration::from_secs(7 * DAY), most_attempts: 10_000 }
    }
}

/// Under this name, which no endpoint can have, a cursor says up to where each shard of the log may have been trimmed.
const TRIMMED: &str = "log/trimmed";

/// Nothing later than this was ever trimmed from a shard.
pub(crate) async fn trimmed_up_to(ledger: &dyn Ledger, shard: Shard) -> Result<Position, Fault> {
    Ok(ledger.cursor(TRIMMED, shard).await?.map(|cursor| cursor.position).unwrap_or_default())
}

/// Keeps the log and the ledger from growing for ever.
#[derive(Debug)]
pub struct Keeper {
    /// Who may hold the log: the endpoints that are configured.
    endpoints: Vec<String>,
    /// The longest `max_age` of them.
    longest_age: Duration,
    parts: Parts,
    retention: Retention,
}

impl Keeper {
    /// Endpoints that are not named here do not hold the log.
    pub fn new(endpoints: &[Arc<Endpoint>], parts: Parts, retention: Retention) -> Self {
        let longest_age = endpoints.iter().map(|endpoint| endpoint.telling.max_age).max().unwrap_or_default();
        let endpoints = endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
        Self { endpoints, longest_age, parts, retention }
    }

    /// Keeps house until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut trim_at = Instant::now() + TRIM_EVERY;
        loop {
            if let Err(fault) = self.note_time().await {
                say("the time could not be noted", &fault);
            }
            if trim_at <= Instant::now() {
                trim_at = Instant::now() + TRIM_EVERY;
                if let Err(fault) = self.trim().await {
                    say("the log could not be trimmed", &fault);
                }
                if let Err(fault) = self.forget().await {
                    say("old attempts could not be forgotten", &fault);
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(NOTE_EVERY) => {}
            }
        }
    }

    async fn note_time(&self) -> Result<(), Fault> {
        let head = |shard| (shard, *self.parts.log.head(shard).borrow());
        let heads = self.parts.log.shards().into_iter().map(head).collect();
        self.parts.ledger.note_time(self.parts.clock.now(), heads).await
    }

    async fn forget(&self) -> Result<(), Fault> {
        let Retention { events, attempts, most_attempts } = self.retention;
        let now = self.parts.clock.now();
        let times = events.max(attempts).max(self.longest_age) + TIMES_LONGER;
        self.parts.ledger.forget(now.earlier(attempts), now.earlier(times), most_attempts).await
    }

    async fn trim(&self) -> Result<(), Fault> {
        let let_go = self.let_go().await?;
        for shard in self.parts.log.shards() {
            self.trim_shard(shard, &let_go).await?;
        }
        Ok(())
    }

    /// The endpoints that hold the log no longer.
    async fn let_go(&self) -> Result<Vec<&String>, Fault> {
        let mut let_go = Vec::new();
        for endpoint in &self.endpoints {
            let pause = self.parts.ledger.pause(endpoint).await?;
            if pause.is_some_and(|pause| pause.reason == PauseReason::TooFarBehind) {
                let_go.push(endpoint);
            }
        }
        Ok(let_go)
    }

    async fn trim_shard(&self, shard: Shard, let_go: &[&String]) -> Result<(), Fault> {
        let now = self.parts.clock.now();
        let ledger = &self.parts.ledger;
        let mut up_to = ledger.position_at(shard, now.earlier(self.retention.events.max(LEAST_AGE))).await?;
        let mut owed = Vec::new();
        for endpoint in &self.endpoints {
            let Some(told) = self.told(endpoint, shard).await? else { continue };
            if let_go.contains(&endpoint) {
                owed.push((endpoint.clone(), told));
            } else {
                up_to = up_to.min(told);
            }
        }
        // Said before it is done: whoever looks for what was before an event must know what may be gone.
        if trimmed_up_to(&**ledger, shard).await? < up_to {
            ledger.save_progress(TRIMMED, shard, Progress { cursor: up_to, ..Progress::default() }).await?;
        }
        // What is kept for its letter's sake is passed over once, and not in each step.
        let mut from = Position(0);
        for _ in 0..TRIM_STEPS {
            let trimmed = ledger.trim(shard, from, up_to, TRIM_STEP, owed.clone(), now).await?;
            from = trimmed.last;
            if trimmed.events == 0 {
                break;
            }
            metrics::counter!("ringback_log_trimmed_events_total").increment(trimmed.events);
            for (endpoint, _) in owed.iter().filter(|(_, told)| *told < trimmed.last) {
                metrics::counter!("ringback_delivery_gap_events_total", "endpoint" => endpoint.clone())
                    .increment(trimmed.events);
                tracing::error!(
                    endpoint,
                    shard = shard.0,
                    events = trimmed.events,
                    "trimmed before the endpoint was told; the gap is noted"
                );
            }
            if trimmed.events < TRIM_STEP as u64 {
                break;
            }
        }
        Ok(())
    }

    /// Everything up to here the endpoint was told of, and that is saved; none if it has never been called.
    async fn told(&self, endpoint: &str, shard: Shard) -> Result<Option<Position>, Fault> {
        let Some(cursor) = self.parts.ledger.cursor(endpoint, shard).await? else { return Ok(None) };
        let behind = self.parts.ledger.behind(endpoint, shard).await?;
        Ok(Some(behind.iter().map(|(_, behind)| behind.told).min().unwrap_or(cursor.position).min(cursor.position)))
    }
}

/// A store that is away has said so itself.
fn say(what: &str, fault: &Fault) {
    if !fault.is_unavailable() {
        tracing::warn!(%fault, "{what}");
    }
}
