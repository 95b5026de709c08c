//! What an operator can see and do: one place for the admin API, and by way of it for the command line.
//!
//! Nothing here is on the path of an event. It reads the log and the ledger beside the deliverers, and changes only pauses
//! and letters; what is in a deliverer's memory it asks the deliverer for ([`Handle`]).

mod find;
mod replay;
mod sample;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use chat::Fault;
use chat::event::{Position, Shard};
use chat::id::EventId;
use serde::Serialize;
use tokio::sync::Mutex;

pub use self::replay::{MAX_LETTERS, Replay, ReplayLetter, ReplayOf, Replayed, Selection};
pub use self::sample::{Sample, Tested, sample, test};
pub use self::show::{Owed, Shown, ShownAttempt, ShownEndpoint, ShownEvent, ShownRequest};

use crate::breaker;
use crate::deliver::Parts;
use crate::deliver::handle::{Failing, Handle, Skipped, State};
use crate::endpoint::Commands;
use crate::ledger::{Gap, Letter, LetterQuery, LetterState, Pause, PauseReason};

/// So many rows are shown at once: more than anybody reads, and some 300 KB.
pub const MAX_PAGE: usize = 1000;

/// So many of an endpoint's gaps are in its status; each of them is one pause that lasted too long.
const SHOWN_GAPS: usize = 10;

/// More subjects than can fail at once: the engine keeps 10,000 lanes.
const ALL_FAILING: usize = 20_000;

/// The endpoints of a running server, for its operator.
#[derive(Debug)]
pub struct Operator {
    handles: Vec<Handle>,
    parts: Parts,
    /// Held by a replay that writes: what one counts, another must not change before it has written.
    replaying: Arc<Mutex<()>>,
}

/// Why an operator did not get what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// What is named is not there, in words.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for makes no sense, in words that name the field.
    #[error("{0}")]
    Invalid(String),
    /// It makes sense and cannot be done as things are, in words.
    #[error("{0}")]
    Conflict(String),
    /// A failure of ours, or of the store.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// How one endpoint stands.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointStatus {
    /// Its name.
    pub endpoint: String,
    /// What it subscribes to; `*` is everything that its dialect has.
    pub commands: Vec<String>,
    /// Whether it is called.
    pub state: State,
    /// Why it is not, if it is paused.
    pub pause: Option<Pause>,
    /// Events that it is not told of yet; those that it is not owed count, too, until they are passed.
    pub lag_events: u64,
    /// The age of the oldest of them, in seconds. It is known to within the 10 s at which the time is noted.
    pub lag_seconds: u64,
    /// Subjects that lag behind the others.
    pub lagging: usize,
    /// Subjects whose next event fails.
    pub failing: usize,
    /// Calls under way.
    pub in_flight: usize,
    /// At most so many.
    pub concurrency: usize,
    /// The next four are said of so many newest calls that tell it something.
    pub calls: usize,
    /// How many a second, from the oldest of them to now.
    pub rate: f64,
    /// Which part of them was told, 0 to 1; none if there were none.
    pub success: Option<f64>,
    /// Half of them took no longer, in milliseconds.
    pub p50_millis: f64,
    /// 99 of 100 took no longer, in milliseconds.
    pub p99_millis: f64,
    /// Dead letters: they wait for the operator.
    pub dead: u64,
    /// Letters that are to be told again.
    pub replay: u64,
    /// The newest gaps: events that were removed before it was told of them.
    pub gaps: Vec<Gap>,
    /// Whether it is asked.
    pub breaker: BreakerStatus,
}

/// Whether an endpoint is asked before-callbacks.
#[derive(Clone, Debug, Serialize)]
pub struct BreakerStatus {
    /// `closed`: it is; `open`: it is not; `half_open`: a probe is on its way.
    pub state: &'static str,
    /// For so many seconds.
    pub seconds: u64,
    /// Failures in a row.
    pub failures: u32,
    /// In so many seconds a question will be a probe; none unless it is open.
    pub next_probe_seconds: Option<f64>,
}

/// What waits for an endpoint out of turn.
#[derive(Clone, Debug, Serialize)]
pub struct Pending {
    /// Its name.
    pub endpoint: String,
    /// Whether it is called.
    pub state: State,
    /// Events that it is not told of yet.
    pub lag_events: u64,
    /// Subjects whose next event fails, those on a schedule of their own first.
    pub failing: Vec<Failing>,
    /// How many there are in all.
    pub failing_total: usize,
    /// Letters that are to be told again.
    pub letters: Vec<Letter>,
    /// How many there are in all.
    pub letters_total: u64,
}

/// A page of letters.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// In order of endpoint, shard and position.
    pub letters: Vec<Letter>,
    /// Where to go on: give it as `after`; none if this was the end.
    pub next: Option<String>,
    /// How many dead letters each endpoint has.
    pub dead: BTreeMap<String, u64>,
}

impl Operator {
    /// An operator of these endpoints.
    pub fn new(handles: Vec<Handle>, parts: Parts) -> Self {
        Self { handles, parts, replaying: Arc::default() }
    }

    /// Its name's endpoint.
    fn handle(&self, name: &str) -> Result<&Handle, OperatorError> {
        let handle = self.handles.iter().find(|handle| handle.endpoint().name == name);
        handle.ok_or_else(|| OperatorError::NotFound(self.no_endpoint(name)))
    }

    fn no_endpoint(&self, name: &str) -> String {
        let names: Vec<_> = self.handles.iter().map(|handle| handle.endpoint().name.as_str()).collect();
        match names.as_slice() {
            [] => format!("there is no endpoint {name:?}: none is configured"),
            names => format!("there is no endpoint {name:?}; there is {}", names.join(", ")),
        }
    }

    /// These endpoints, or all if none is named.
    fn chosen(&self, names: &[String]) -> Result<Vec<&Handle>, OperatorError> {
        match names {
            [] => Ok(self.handles.iter().collect()),
            names => names.iter().map(|name| self.handle(name)).collect(),
        }
    }

    /// How each endpoint stands, or one.
    pub async fn status(&self, endpoint: Option<&str>) -> Result<Vec<EndpointStatus>, OperatorError> {
        let mut all = Vec::new();
        for handle in self.chosen(endpoint.map(str::to_owned).as_slice())? {
            all.push(self.status_of(handle).await?);
        }
        Ok(all)
    }

    async fn status_of(&self, handle: &Handle) -> Result<EndpointStatus, Fault> {
        let now = self.parts.clock.now();
        let endpoint = handle.endpoint();
        let (standing, figures) = (handle.standing(), handle.figures(now));
        let mut gaps = self.parts.ledger.gaps(&endpoint.name).await?;
        gaps.drain(..gaps.len().saturating_sub(SHOWN_GAPS));
        // The deliverer's own count is from its last look.
        let letters = self.parts.ledger.count_letters(&endpoint.name).await?;
        let commands = match &endpoint.commands {
            Commands::All => vec!["*".to_owned()],
            Commands::Only(commands) => commands.iter().cloned().collect(),
        };
        let lag_seconds = standing.lag_seconds(now);
        Ok(EndpointStatus {
            endpoint: endpoint.name.clone(),
            commands,
            state: standing.state,
            pause: standing.pause,
            lag_events: standing.lag_events,
            lag_seconds,
            lagging: standing.lagging,
            failing: standing.failing,
            in_flight: standing.calling,
            concurrency: endpoint.concurrency,
            calls: figures.calls,
            rate: figures.rate,
            success: (figures.calls > 0).then_some(figures.success),
            p50_millis: figures.p50,
            p99_millis: figures.p99,
            dead: letters.dead,
            replay: letters.replay,
            gaps,
            breaker: BreakerStatus::of(endpoint.breaker()),
        })
    }

    /// What waits for an endpoint out of turn: up to `limit` of each kind.
    pub async fn pending(&self, endpoint: &str, limit: usize) -> Result<Pending, OperatorError> {
        let handle = self.handle(endpoint)?;
        let limit = limit.clamp(1, MAX_PAGE);
        let failing = handle.failing(limit).await?;
        let query = LetterQuery {
            endpoint: Some(endpoint.to_owned()),
            state: Some(LetterState::Replay),
            limit,
            ..LetterQuery::default()
        };
        let letters = self.parts.ledger.letters(&query).await?;
        let letters_total = self.parts.ledger.count_letters(endpoint).await?.replay;
        let standing = handle.standing();
        Ok(Pending {
            endpoint: endpoint.to_owned(),
            state: standing.state,
            lag_events: standing.lag_events,
            failing_total: standing.failing.max(failing.len()),
            failing,
            letters,
            letters_total,
        })
    }

    /// A page of dead letters, of one endpoint or all. `after`: the [`Page::next`] of the page before.
    pub async fn dead(&self, endpoint: Option<&str>, after: Option<&str>, limit: usize) -> Result<Page, OperatorError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut dead = BTreeMap::new();
        for handle in self.chosen(endpoint.map(str::to_owned).as_slice())? {
            let name = &handle.endpoint().name;
            dead.insert(name.clone(), self.parts.ledger.count_letters(name).await?.dead);
        }
        let query = LetterQuery {
            endpoint: endpoint.map(str::to_owned),
            state: Some(LetterState::Dead),
            after: after.map(read_place).transpose()?,
            limit: limit + 1,
            ..LetterQuery::default()
        };
        let mut letters = self.parts.ledger.letters(&query).await?;
        let has_more = letters.len() > limit;
        letters.truncate(limit);
        let next = letters.last().filter(|_| has_more).map(place_of);
        Ok(Page { letters, next, dead })
    }

    /// Calls an endpoint no more, until it is resumed. `detail`: why, in the operator's words.
    pub async fn pause(&self, endpoint: &str, detail: String) -> Result<Pause, OperatorError> {
        let handle = self.handle(endpoint)?;
        let pause = Pause { reason: PauseReason::Operator, detail, since: self.parts.clock.now() };
        handle.pause(pause.clone()).await?;
        Ok(pause)
    }

    /// Has a paused endpoint go on, or one that is down tried at once. Returns the pause that has ended, if it was paused.
    pub async fn resume(&self, endpoint: &str) -> Result<Option<Pause>, OperatorError> {
        let handle = self.handle(endpoint)?;
        let before = handle.standing().pause;
        handle.resume().await?;
        Ok(before)
    }

    /// Makes an event that fails, or that is to be told again, a dead letter, so that what waits behind it goes on.
    /// `id`: as [`Self::show`] takes it. Returns the endpoints that it was skipped for.
    pub async fn skip(&self, id: &str, endpoints: &[String]) -> Result<(EventId, Vec<String>), OperatorError> {
        let (event, handles) = self.event_and_endpoints(id, endpoints).await?;
        // Where all are meant, only those are that have refused it: others wait for a replay that somebody wanted.
        let is_named = !endpoints.is_empty() || self.read_id(id)?.endpoint.is_some();
        let mut skipped = Vec::new();
        let mut is_calling = Vec::new();
        for handle in handles {
            let name = &handle.endpoint().name;
            match handle.skip(event).await? {
                Skipped::Done => skipped.push(name.clone()),
                Skipped::Calling => is_calling.push(name.as_str()),
                Skipped::NotFailing if self.skip_letter(handle, event, is_named).await? => skipped.push(name.clone()),
                Skipped::NotFailing => {}
            }
        }
        match (skipped.is_empty(), is_calling.as_slice()) {
            (false, _) => Ok((event, skipped)),
            (true, [name, ..]) => {
                let words = format!("a call about it is under way to {name}; ask again in a moment");
                Err(OperatorError::Conflict(words))
            }
            (true, []) => Err(OperatorError::Conflict(
                "it fails nowhere: only an event that an endpoint refuses, or that is to be told again, can be skipped"
                    .to_owned(),
            )),
        }
    }

    async fn skip_letter(&self, handle: &Handle, event: EventId, is_named: bool) -> Result<bool, Fault> {
        let query = LetterQuery {
            endpoint: Some(handle.endpoint().name.clone()),
            state: Some(LetterState::Replay),
            event: Some(event),
            limit: 1,
            ..LetterQuery::default()
        };
        let letter = self.parts.ledger.letters(&query).await?.pop();
        let Some(letter) = letter.filter(|letter| is_named || letter.attempts > 0) else { return Ok(false) };
        let (state, why, at) = (LetterState::Dead, "skipped by the operator".to_owned(), self.parts.clock.now());
        self.parts.ledger.put_letters(vec![Letter { state, why, at, ..letter }]).await?;
        handle.letters_changed().await;
        Ok(true)
    }

    /// The event that an id means, and the endpoints that are meant: those that are named, the one that the id names, or all.
    async fn event_and_endpoints(
        &self,
        id: &str,
        endpoints: &[String],
    ) -> Result<(EventId, Vec<&Handle>), OperatorError> {
        let id = self.read_id(id)?;
        let mut handles = self.chosen(endpoints)?;
        if let Some(own) = &id.endpoint {
            handles.retain(|handle| handle.endpoint().name == *own);
            if handles.is_empty() {
                let words = format!("id: it names the endpoint {own:?}, and `endpoints` does not");
                return Err(OperatorError::Invalid(words));
            }
        }
        let event = match id.reference {
            find::Reference::Event(event) => event,
            find::Reference::Place(..) => self.find(&id).await?.event.id(),
        };
        Ok((event, handles))
    }
}

impl BreakerStatus {
    fn of(view: breaker::View) -> Self {
        Self {
            state: view.state.name(),
            seconds: view.lasted.as_secs(),
            failures: view.failures,
            next_probe_seconds: view.next_probe.map(|next| next.as_secs_f64()),
        }
    }
}

/// A letter's place in the order of all, as [`Page::next`].
fn place_of(letter: &Letter) -> String {
    format!("{}:{}:{}", letter.endpoint, letter.shard.0, letter.position.0)
}

fn read_place(text: &str) -> Result<(String, Shard, Position), OperatorError> {
    let read = || {
        let (rest, position) = text.rsplit_once(':')?;
        let (endpoint, shard) = rest.rsplit_once(':')?;
        Some((endpoint.to_owned(), Shard(shard.parse().ok()?), Position(position.parse().ok()?)))
    };
    read().ok_or_else(|| OperatorError::Invalid("after: right would be the `next` of the page before".to_owned()))
}
