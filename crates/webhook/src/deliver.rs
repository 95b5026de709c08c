//! Telling after: a reader of the log with a durable cursor.
//!
//! One deliverer per endpoint. It reads ahead of what it has told, up to a bound, in each shard of the log ([`reader`]),
//! puts each event into the lane of its subject ([`crate::lanes`]), and keeps as many calls in flight as the endpoint
//! allows. What is told writes nothing; progress is saved some times a second. After a crash at most those few moments are
//! told again.
//!
//! What becomes of a call that fails is decided in [`Deliverer::settle`]: whether the endpoint is blamed ([`health`]) or the
//! event, which is then on a [`schedule`] of its own, and a letter ([`letters`]) when that is spent.

pub mod handle;
mod health;
mod letters;
mod rate;
mod reader;
mod recent;
pub mod schedule;
pub mod settings;
pub(crate) mod telling;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chat::Fault;
use chat::event::{Position, Shard};
use chat::id::{EventId, Timestamp};
use chat::port::{Clock, Log};
use tokio::sync::{Notify, mpsc};
use tokio::task::{self, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::telling::webhook_id;

use self::handle::{Failing, Handle, Instruction, Shown, Skipped, Standing, State};
use self::health::{Allowance, Health, pause_after};
use self::letters::{LetterChanges, Letters, Place};
use self::rate::Rate;
use self::reader::{Reader, Saved};
use self::recent::RecentCall;
use self::settings::WhenFull;
use self::telling::{Attempted, Outcome, Telling};
use crate::endpoint::Endpoint;
use crate::lanes::{Failed, LaneKey, Next};
use crate::ledger::{Attempt, Ledger, Letter, LetterState, Pause, PauseReason, Trouble};

/// How many events may be read ahead of the cursors. Each is at most some 20 KB (a message of the default size limit), so
/// an endpoint that is down costs at most 40 MB.
const WINDOW: usize = 2048;

/// In how many lanes there may be something to tell at once; beyond that the log is not read on. A lane that is behind
/// keeps one event while it rests, so that all of them cost at most 200 MB, and usually a hundredth of it.
const MAX_LANES: usize = 10_000;

/// How many times lanes are read from the log before anything else has its turn; each takes about a millisecond.
const MAX_READS: usize = 64;

/// How often progress is saved: this much may be told again after a crash. Each time costs a part of a commit.
const SAVE_EVERY: Duration = Duration::from_millis(50);

/// How often an endpoint to which nothing happens is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often its age is looked at, while it is behind.
const AGE_EVERY: Duration = Duration::from_secs(10);

/// For so long after a start, or after it is resumed, an endpoint may catch up without being too far behind.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// How long after the store failed it is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// ... if it failed to read one lane.
const UNREAD_AGAIN_AFTER: Duration = Duration::from_secs(15);

/// So many calls of one lane in a row without an answer, while others get theirs, and it lags.
const LAGS_AFTER: u32 = 2;

/// An endpoint that wants to be left alone for longer is asked again after this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Failed attempts that wait to be noted; more are counted and not noted. The store takes them once a second.
const UNNOTED: usize = 1024;

/// What a deliverer works with.
#[derive(Clone)]
pub struct Parts {
    /// What happened.
    pub log: Arc<dyn Log>,
    /// What is remembered about endpoints.
    pub ledger: Arc<dyn Ledger>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Who is told that an endpoint was paused.
    pub announcer: Arc<dyn Announcer>,
}

/// Puts into the log that an endpoint was paused, so that other endpoints are told.
#[async_trait]
pub trait Announcer: Send + Sync {
    /// Says it; again, if it failed.
    async fn announce(&self, endpoint: &str, pause: &Pause) -> Result<(), Fault>;
}

/// Tells one endpoint of the events of some shards.
pub struct Deliverer {
    endpoint: Arc<Endpoint>,
    parts: Parts,
    readers: Vec<Reader>,
    letters: Letters,
    /// Which reader has its turn next.
    turn: usize,
    flights: JoinSet<Attempted>,
    /// What is told by which task.
    calling: HashMap<task::Id, Flight>,
    background: JoinSet<Done>,
    health: Health,
    rate: Option<Rate>,
    /// When the rate allows the next call.
    rate_again_at: Option<Instant>,
    pause: Option<Pause>,
    /// The pause is in the log, too.
    is_announced: bool,
    is_pausing: bool,
    announce_at: Instant,
    is_too_old: bool,
    /// Failed attempts that are not noted yet.
    attempts: Vec<Attempt>,
    is_noting: bool,
    age_at: Instant,
    lag_since: Option<Timestamp>,
    look_at: Instant,
    is_changed: bool,
    instructions: mpsc::Receiver<Instruction>,
    shown: Arc<Shown>,
    metrics: Metrics,
}

/// What one call is about.
enum Flight {
    Lanes(Vec<Item>),
    Letter(Place),
}

/// The first events of one lane.
struct Item {
    reader: usize,
    key: LaneKey,
    tellings: Vec<Arc<Telling>>,
}

/// What became of something that went on beside the calls.
enum Done {
    Progress(usize, Saved),
    Letters(LetterChanges, Result<(), Fault>),
    Attempts(Result<(), Fault>),
    Pause(Result<(), Fault>),
    Age(Result<Option<Timestamp>, Fault>),
}

/// Looked up once: an event is told in some 40 µs, and looking up four metrics by their labels would be a tenth of it.
struct Metrics {
    told: metrics::Counter,
    refused: metrics::Counter,
    unanswered: metrics::Counter,
    unsendable: metrics::Counter,
    unnoted: metrics::Counter,
    seconds: metrics::Histogram,
    lag: metrics::Gauge,
    lag_seconds: metrics::Gauge,
    states: [(State, metrics::Gauge); 5],
    lagging: metrics::Gauge,
    failing: metrics::Gauge,
    dead: metrics::Gauge,
    replay: metrics::Gauge,
}

impl Metrics {
    fn of(endpoint: &str) -> Self {
        let tellings = |outcome: &'static str| metrics::counter!("ringback_tellings_total", "endpoint" => endpoint.to_owned(), "outcome" => outcome);
        let gauge = |name: &'static str| metrics::gauge!(name, "endpoint" => endpoint.to_owned());
        let state = |state: State| {
            (
                state,
                metrics::gauge!("ringback_endpoint_state", "endpoint" => endpoint.to_owned(), "state" => state.name()),
            )
        };
        Self {
            told: tellings("told"),
            refused: tellings("refused"),
            unanswered: tellings("unanswered"),
            unsendable: tellings("unsendable"),
            unnoted: metrics::counter!("ringback_attempts_not_noted_total", "endpoint" => endpoint.to_owned()),
            seconds: metrics::histogram!("ringback_telling_seconds", "endpoint" => endpoint.to_owned()),
            lag: gauge("ringback_delivery_lag_events"),
            lag_seconds: gauge("ringback_delivery_lag_seconds"),
            states: [State::Up, State::Down, State::Held, State::Paused, State::Full].map(state),
            lagging: gauge("ringback_delivery_lagging_subjects"),
            failing: gauge("ringback_delivery_failing_subjects"),
            dead: gauge("ringback_delivery_dead_letters"),
            replay: gauge("ringback_delivery_replay_letters"),
        }
    }

    fn count(&self, outcome: Outcome, events: u64) {
        match outcome {
            Outcome::Told => self.told.increment(events),
            Outcome::Refused | Outcome::Later(_) | Outcome::Busy(_) | Outcome::Gone => self.refused.increment(events),
            Outcome::Unanswered => self.unanswered.increment(events),
            Outcome::Unsendable => self.unsendable.increment(events),
            Outcome::Unread => {}
        }
    }

    fn show(&self, standing: &Standing, now: Timestamp) {
        self.lag.set(standing.lag_events as f64);
        let seconds = standing.lag_since.map_or(0, |since| (now.millis() - since.millis()).max(0) / 1000);
        self.lag_seconds.set(seconds as f64);
        self.lagging.set(standing.lagging as f64);
        self.failing.set(standing.failing as f64);
        self.dead.set(standing.letters.dead as f64);
        self.replay.set(standing.letters.replay as f64);
        for (state, gauge) in &self.states {
            gauge.set(if standing.state == *state { 1.0 } else { 0.0 });
        }
    }
}

impl Deliverer {
    /// A deliverer that goes on where the endpoint's cursors stand. A new endpoint starts at the newest event.
    pub async fn open(endpoint: Arc<Endpoint>, shards: Vec<Shard>, parts: Parts) -> Result<(Self, Handle), Fault> {
        let mut readers = Vec::with_capacity(shards.len());
        let share = shards.len();
        let (log, ledger, clock) = (&*parts.log, &*parts.ledger, &*parts.clock);
        for shard in shards {
            readers.push(Reader::open(&endpoint, shard, share, log, ledger, clock).await?);
        }
        let pause = ledger.pause(&endpoint.name).await?;
        let letters = Letters::new(ledger.count_letters(&endpoint.name).await?);
        let shown = Arc::new(Shown::default());
        let (handle, instructions) = Handle::new(endpoint.clone(), shown.clone());
        let now = Instant::now();
        let grace = endpoint.telling.max_age.min(GRACE);
        let deliverer = Self {
            metrics: Metrics::of(&endpoint.name),
            rate: endpoint.telling.rate.map(|rate| Rate::new(rate, now)),
            endpoint,
            parts,
            readers,
            letters,
            turn: 0,
            flights: JoinSet::new(),
            calling: HashMap::new(),
            background: JoinSet::new(),
            health: Health::default(),
            rate_again_at: None,
            pause,
            is_announced: true,
            is_pausing: false,
            announce_at: now,
            is_too_old: false,
            attempts: Vec::new(),
            is_noting: false,
            // What waited while nobody was there to tell it is not held against the endpoint.
            age_at: now + grace,
            lag_since: None,
            look_at: now,
            is_changed: false,
            instructions,
            shown,
        };
        deliverer.show();
        Ok((deliverer, handle))
    }

    /// Delivers until `stop`; then waits for the calls in flight and saves the cursors.
    pub async fn run(mut self, stop: CancellationToken) {
        let (news, _watchers) = self.watch_heads();
        loop {
            let is_caught_up = self.read_ahead().await;
            // Reading took a while: what was answered meanwhile may say that there is nothing to be called now.
            while let Some(finished) = self.flights.try_join_next_with_id() {
                self.finish(finished);
            }
            self.start_calls().await;
            let wake_at = self.wake_at();
            // In this order, so that the same happens whenever the same has happened before.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(instruction) = self.instructions.recv() => self.obey(instruction).await,
                Some(finished) = self.flights.join_next_with_id() => self.finish(finished),
                Some(done) = self.background.join_next() => self.done(done),
                () = news.notified(), if is_caught_up => self.changed(),
                () = tokio::time::sleep_until(wake_at) => self.look(),
            }
            while let Some(finished) = self.flights.try_join_next_with_id() {
                self.finish(finished);
            }
            if self.look_at <= Instant::now() {
                self.look();
            }
        }
        while let Some(finished) = self.flights.join_next_with_id().await {
            self.finish(finished);
        }
        // What is being saved now, and then what came after it, or could not be saved before.
        self.wait_for_saves().await;
        self.readers.iter_mut().for_each(Reader::save_at_once);
        self.save();
        self.wait_for_saves().await;
    }

    async fn wait_for_saves(&mut self) {
        while let Some(done) = self.background.join_next().await {
            self.done(done);
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
            if reader.read_ahead(&self.endpoint, &*self.parts.log).await {
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

    /// How many calls may be in flight now.
    fn allowed(&mut self, now: Instant) -> usize {
        if self.pause.is_some() {
            return 0;
        }
        match self.health.allowance(now) {
            Allowance::All => self.endpoint.concurrency,
            Allowance::NoneUntil(_) => 0,
            Allowance::Probe => {
                self.readers.iter_mut().for_each(|reader| reader.lanes.wake_waiting());
                1
            }
        }
    }

    /// Starts as many calls as the endpoint allows: one, if it is down and it is time to probe.
    async fn start_calls(&mut self) {
        let now = Instant::now();
        let allowed = self.allowed(now);
        if self.flights.len() >= allowed {
            return;
        }
        if self.letters.is_due(now) {
            self.letters.load(&self.endpoint, &*self.parts.ledger, self.parts.clock.now()).await;
        }
        self.rate_again_at = None;
        // A lane of which nothing is told may be long: what is left of it waits for its next turn.
        let mut reads = 0;
        while self.flights.len() < allowed && reads < MAX_READS {
            // Letters get a place of four; more only if the lanes leave them.
            let letters_first = self.letters.calling() * 4 < allowed && allowed > 1;
            if !self.take_rate(now) {
                return;
            }
            let is_started = (letters_first && self.start_letter())
                || self.start_lanes(&mut reads).await
                || (!letters_first && self.start_letter());
            if !is_started {
                self.give_rate_back();
                break;
            }
        }
        if reads >= MAX_READS {
            self.changed();
        }
        if self.flights.is_empty() && allowed == 1 && self.health.is_down() {
            // Nothing to probe with: not looked for again at once.
            self.health.put_off(now);
        }
    }

    fn take_rate(&mut self, now: Instant) -> bool {
        match self.rate.as_mut().map(|rate| rate.take(now)) {
            Some(Err(again)) => {
                self.rate_again_at = Some(again);
                false
            }
            Some(Ok(())) | None => true,
        }
    }

    fn give_rate_back(&mut self) {
        if let Some(rate) = &mut self.rate {
            rate.give_back();
        }
    }

    /// Starts a call about the first events of one lane, or of several if the endpoint takes batches.
    async fn start_lanes(&mut self, reads: &mut usize) -> bool {
        let mut room = self.endpoint.telling.batch;
        let mut items = Vec::new();
        let mut idle = 0;
        while room > 0 && *reads < MAX_READS && idle < self.readers.len() {
            let place = self.turn % self.readers.len();
            self.turn = self.turn.wrapping_add(1);
            match self.readers[place].lanes.next(room) {
                None => {
                    idle += 1;
                    continue;
                }
                Some(Next::Tell(key, tellings)) => {
                    let lanes = &mut self.readers[place].lanes;
                    if lanes.is_alone(&key) {
                        if !items.is_empty() {
                            lanes.put_back(key);
                            break;
                        }
                        room = 0;
                    }
                    room -= tellings.len().min(room);
                    items.push(Item { reader: place, key, tellings });
                }
                Some(Next::Read(key, after, limit)) => {
                    *reads += 1;
                    let reader = &mut self.readers[place];
                    if !reader.read_lane(&self.endpoint, &*self.parts.log, key, after, limit).await {
                        // A probe that could not be read is not due again at once.
                        self.health.put_off(Instant::now());
                    }
                }
            }
            idle = 0;
        }
        if items.is_empty() {
            return false;
        }
        let tellings: Vec<_> = items.iter().flat_map(|item| item.tellings.iter().cloned()).collect();
        let (endpoint, parts) = (self.endpoint.clone(), self.parts.clone());
        let flight =
            self.flights.spawn(async move { telling::tell(&endpoint, &*parts.log, &*parts.clock, &tellings).await });
        self.calling.insert(flight.id(), Flight::Lanes(items));
        true
    }

    fn start_letter(&mut self) -> bool {
        let Some(letter) = self.letters.next(self.endpoint.telling.order) else { return false };
        let place = (letter.shard, letter.position);
        let started = self.readers.iter().find(|reader| reader.shard == letter.shard).map(|reader| reader.started);
        let (endpoint, parts) = (self.endpoint.clone(), self.parts.clone());
        let flight = self.flights.spawn(async move {
            let started = started.unwrap_or_default();
            telling::tell_letter(&endpoint, &*parts.log, &*parts.clock, started, &letter).await
        });
        self.calling.insert(flight.id(), Flight::Letter(place));
        true
    }

    /// When to look for work again although nothing has finished.
    fn wake_at(&self) -> Instant {
        let now = Instant::now();
        let mut at = self.look_at;
        if self.pause.is_some() {
            return at;
        }
        match self.health.allowance(now) {
            Allowance::NoneUntil(until) => return at.min(until),
            Allowance::Probe if !self.flights.is_empty() => return at,
            Allowance::All | Allowance::Probe => {}
        }
        if self.flights.len() < self.endpoint.concurrency {
            let rested = self.readers.iter().filter_map(|reader| reader.lanes.next_wake()).min();
            at = [rested, self.rate_again_at, self.letters.load_at()].into_iter().flatten().fold(at, Instant::min);
        }
        at
    }

    /// What is done now and then: lanes go on, progress is saved, figures are shown.
    fn look(&mut self) {
        let now = Instant::now();
        self.readers.iter_mut().for_each(|reader| reader.lanes.wake(now));
        if self.look_at > now {
            return;
        }
        let is_saving = self.save();
        self.announce();
        if self.age_at <= now {
            self.age_at = now + AGE_EVERY;
            self.look_at_age();
        }
        self.check_dead();
        self.show();
        let is_busy = is_saving || self.is_changed || !self.flights.is_empty();
        self.is_changed = false;
        self.look_at = now + if is_busy { SAVE_EVERY } else { LOOK_EVERY };
    }

    /// Something happened that is soon to be saved and shown.
    fn changed(&mut self) {
        self.is_changed = true;
        self.look_at = self.look_at.min(Instant::now() + SAVE_EVERY);
    }

    // === what became of calls ===

    fn finish(&mut self, finished: Result<(task::Id, Attempted), task::JoinError>) {
        self.changed();
        let (id, attempted) = match finished {
            Ok(finished) => finished,
            // A panic is a bug of ours, and the event's as far as we know: it is refused.
            Err(error) => {
                tracing::error!(endpoint = self.endpoint.name, %error, "a call broke off");
                (error.id(), Attempted::broken(self.parts.clock.now(), error.to_string()))
            }
        };
        match self.calling.remove(&id) {
            Some(Flight::Lanes(items)) => {
                for telling in items.iter().flat_map(|item| &item.tellings) {
                    self.note(&attempted, telling.event(), Cow::Borrowed(telling.command));
                }
                let events: usize = items.iter().map(|item| item.tellings.len()).sum();
                self.metrics.count(attempted.outcome, events as u64);
                self.metrics.seconds.record(attempted.took.as_secs_f64());
                let is_batch = events > 1;
                // The endpoint first: what is said of it decides whether the event is blamed.
                let was_down = self.health.is_down();
                self.judge_endpoint(&items[0].key, &attempted);
                for item in items {
                    self.settle(item, &attempted, is_batch, was_down);
                }
            }
            Some(Flight::Letter(place)) => self.settle_letter(place, &attempted),
            None => {}
        }
    }

    /// What a call says about the endpoint.
    fn judge_endpoint(&mut self, key: &LaneKey, attempted: &Attempted) {
        let (now, random) = (Instant::now(), self.parts.clock.random());
        let is_down_now = match attempted.outcome {
            Outcome::Told => {
                if let Some(streak) = self.health.accepted() {
                    self.is_back(streak);
                }
                false
            }
            Outcome::Refused | Outcome::Later(_) => self.health.refused(key, now, random),
            Outcome::Busy(after) => {
                self.health.hold(now + after.min(LONGEST_RETRY_AFTER));
                self.health.refused(key, now, random)
            }
            Outcome::Unanswered => self.health.unanswered(now, random),
            Outcome::Gone => {
                let detail = "the endpoint answered 410 Gone: it wants no more calls".to_owned();
                self.start_pausing(PauseReason::Gone, detail);
                false
            }
            Outcome::Unsendable | Outcome::Unread => false,
        };
        if is_down_now {
            tracing::warn!(
                endpoint = self.endpoint.name,
                why = attempted.name,
                "the endpoint is down; its events wait"
            );
        }
    }

    /// Everything that waited for it goes on at once.
    fn is_back(&mut self, streak: u64) {
        let waiting: usize = self.readers.iter().map(|reader| reader.lanes.len()).sum();
        tracing::info!(endpoint = self.endpoint.name, waiting, "the endpoint is back");
        self.readers.iter_mut().for_each(|reader| reader.lanes.wake_streak(streak));
    }

    /// What a call means for the events of one lane.
    fn settle(&mut self, item: Item, attempted: &Attempted, is_batch: bool, was_down: bool) {
        let Item { reader, key, tellings } = item;
        let now = Instant::now();
        let lanes = &mut self.readers[reader].lanes;
        let failed = lanes.failed(&key);
        let is_down = was_down || self.health.is_down();
        // Until then it waits, and is not blamed.
        let again = |failed: Failed| now + pause_after(failed.times, self.parts.clock.random());
        let once_more = Failed { times: failed.times.saturating_add(1), streak: self.health.streak(), ..failed };
        match attempted.outcome {
            Outcome::Told => lanes.done(&key, tellings.len()),
            Outcome::Unread | Outcome::Gone => lanes.rest(&key, again(failed), failed, false),
            Outcome::Unanswered => {
                // Somebody got through since it failed last: it is the event's own.
                let is_own = !is_down && !is_batch && failed.times > 0 && failed.streak != self.health.streak();
                if is_own {
                    return self.blame(reader, &key, attempted, Duration::ZERO);
                }
                let lags = !is_down && once_more.times >= LAGS_AFTER;
                lanes.rest(&key, again(failed), once_more, lags);
            }
            Outcome::Later(after) if is_batch => {
                lanes.rest(&key, now + after.min(LONGEST_RETRY_AFTER), failed, false);
            }
            // Which of them it refuses will be seen when they are told one by one.
            _ if is_batch => lanes.retry_alone(&key),
            Outcome::Unsendable => self.give_up(reader, &key, failed, attempted),
            _ if is_down => lanes.rest(&key, again(failed), once_more, true),
            Outcome::Refused => self.blame(reader, &key, attempted, Duration::ZERO),
            Outcome::Later(after) | Outcome::Busy(after) => {
                self.blame(reader, &key, attempted, after.min(LONGEST_RETRY_AFTER));
            }
        }
    }

    /// A failure that is the event's own: it is tried again by its schedule, not before `at_least`, or given up.
    fn blame(&mut self, reader: usize, key: &LaneKey, attempted: &Attempted, at_least: Duration) {
        let (now, wall) = (Instant::now(), self.parts.clock.now());
        let lanes = &mut self.readers[reader].lanes;
        let failed = lanes.failed(key);
        let times = failed.times.saturating_add(1);
        let streak = self.health.streak();
        let (attempts, since) = match failed.trouble {
            // It was tried before it was due, because the endpoint was back: that does not count.
            Some((trouble, due)) if due > now => {
                return lanes.rest(key, due, Failed { times, streak, trouble: Some((trouble, due)) }, true);
            }
            Some((trouble, _)) => (trouble.attempts + 1, trouble.since),
            None => (1, wall),
        };
        let Some(wait) = self.endpoint.telling.schedule.wait_after(attempts, self.parts.clock.random()) else {
            let trouble = Trouble { attempts, since, due: wall };
            let failed = Failed { times, streak, trouble: Some((trouble, now)) };
            return self.give_up(reader, key, failed, attempted);
        };
        let wait = wait.max(at_least);
        let trouble = Trouble { attempts, since, due: later(wall, wait) };
        if key.event.is_some() {
            let state = LetterState::Replay;
            return self.make_letter(reader, key, state, attempted.why(), attempts, trouble.due);
        }
        lanes.rest(key, now + wait, Failed { times, streak, trouble: Some((trouble, now + wait)) }, true);
    }

    /// The first event of a lane becomes a dead letter.
    fn give_up(&mut self, reader: usize, key: &LaneKey, failed: Failed, attempted: &Attempted) {
        let attempts = failed.trouble.map_or(1, |(trouble, _)| trouble.attempts);
        let now = self.parts.clock.now();
        self.make_letter(reader, key, LetterState::Dead, attempted.why(), attempts, now);
    }

    fn make_letter(
        &mut self,
        reader: usize,
        key: &LaneKey,
        state: LetterState,
        why: String,
        attempts: u32,
        at: Timestamp,
    ) {
        let reader = &mut self.readers[reader];
        let Some((position, telling)) = reader.lanes.first(key) else { return };
        let endpoint = self.endpoint.name.clone();
        let (event, command) = (telling.event(), telling.command.to_owned());
        if state == LetterState::Dead {
            tracing::error!(endpoint, command, %event, position = position.0, attempts, why, "given up; it is a dead letter");
            self.letters.count.dead += 1;
        } else {
            self.letters.count.replay += 1;
        }
        let subject = key.subject.clone();
        let shard = reader.shard;
        reader.letters.push(Letter { endpoint, shard, position, subject, event, command, state, why, attempts, at });
        reader.lanes.done(key, 1);
    }

    fn settle_letter(&mut self, place: Place, attempted: &Attempted) {
        let Some(letter) = self.letters.called(place) else { return };
        self.note(attempted, letter.event, Cow::Owned(letter.command.clone()));
        self.metrics.count(attempted.outcome, 1);
        let (subject, tried) = (letter.subject.clone(), letter.attempts);
        let was_down = self.health.is_down();
        self.judge_endpoint(&LaneKey { subject, event: Some(place.1) }, attempted);
        let wall = self.parts.clock.now();
        let (attempts, wait) = match attempted.outcome {
            Outcome::Told => return self.letters.done(place),
            Outcome::Unsendable => (tried, None),
            Outcome::Unread | Outcome::Gone => (tried, Some(AGAIN_AFTER)),
            _ if was_down || self.health.is_down() => (tried, Some(AGAIN_AFTER)),
            Outcome::Unanswered | Outcome::Refused | Outcome::Later(_) | Outcome::Busy(_) => {
                let wait = self.endpoint.telling.schedule.wait_after(tried + 1, self.parts.clock.random());
                let at_least = match attempted.outcome {
                    Outcome::Later(after) | Outcome::Busy(after) => after.min(LONGEST_RETRY_AFTER),
                    _ => Duration::ZERO,
                };
                (tried + 1, wait.map(|wait| wait.max(at_least)))
            }
        };
        let why = attempted.why();
        if wait.is_none() {
            let (endpoint, event) = (&self.endpoint.name, letter.event);
            tracing::error!(endpoint, %event, position = place.1.0, attempts, why, "given up; it is a dead letter");
        }
        self.letters.change(place, |letter| {
            letter.attempts = attempts;
            letter.why = why;
            (letter.state, letter.at) = match wait {
                Some(wait) => (LetterState::Replay, later(wall, wait)),
                None => (LetterState::Dead, wall),
            };
        });
    }

    /// One line of each call, its figures, and a row if it failed.
    fn note(&mut self, attempted: &Attempted, event: EventId, command: Cow<'static, str>) {
        let Attempted { time, took, status, name, .. } = *attempted;
        self.shown.recent.note(RecentCall { event, command: command.clone(), time, took, outcome: name, status });
        let (endpoint, millis) = (&self.endpoint.name, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let trace = event;
        if attempted.outcome == Outcome::Told {
            tracing::debug!(endpoint, %command, %event, trace.id = %trace, outcome = name, status, took.ms = millis, "told");
            return;
        }
        let why = attempted.detail.as_str();
        tracing::warn!(endpoint, %command, %event, trace.id = %trace, outcome = name, status, why, took.ms = millis, "not told; will be again");
        if self.attempts.len() >= UNNOTED {
            self.metrics.unnoted.increment(1);
            return;
        }
        self.attempts.push(Attempt {
            endpoint: endpoint.clone(),
            event,
            command: command.into_owned(),
            time,
            took: millis,
            outcome: name.to_owned(),
            status,
            detail: attempted.detail.clone(),
        });
    }

    // === what is remembered ===

    /// Starts saving what has changed, beside everything else: it waits for a commit. Returns whether there was anything.
    fn save(&mut self) -> bool {
        let mut is_any = false;
        for (place, reader) in self.readers.iter_mut().enumerate() {
            if let Some(progress) = reader.unsaved() {
                is_any = true;
                let (ledger, endpoint, shard) = (self.parts.ledger.clone(), self.endpoint.clone(), reader.shard);
                self.background.spawn(async move {
                    let result = ledger.save_progress(&endpoint.name, shard, progress.clone()).await;
                    Done::Progress(place, Saved { progress, result })
                });
            }
        }
        if let Some(changes) = self.letters.unsaved() {
            is_any = true;
            let (ledger, endpoint) = (self.parts.ledger.clone(), self.endpoint.clone());
            self.background.spawn(async move {
                let result = letters::save(&endpoint, &*ledger, &changes).await;
                Done::Letters(changes, result)
            });
        }
        if !self.attempts.is_empty() && !self.is_noting {
            self.is_noting = true;
            let (ledger, attempts) = (self.parts.ledger.clone(), std::mem::take(&mut self.attempts));
            self.background.spawn(async move { Done::Attempts(ledger.note_attempts(attempts).await) });
        }
        is_any
    }

    fn done(&mut self, done: Result<Done, task::JoinError>) {
        let endpoint = self.endpoint.name.as_str();
        let say = |what: &str, fault: &Fault| {
            // A store that is away has said so itself.
            if !fault.is_unavailable() {
                tracing::warn!(endpoint, %fault, "{what}");
            }
        };
        match done {
            Ok(Done::Progress(place, saved)) => {
                let has_letters = !saved.progress.letters.is_empty() && saved.result.is_ok();
                self.readers[place].saved(endpoint, saved);
                if has_letters {
                    self.letters.look_again();
                }
            }
            Ok(Done::Letters(changes, result)) => {
                if let Err(fault) = &result {
                    say("letters could not be saved", fault);
                }
                self.letters.saved(changes, result);
            }
            Ok(Done::Attempts(result)) => {
                self.is_noting = false;
                if let Err(fault) = result {
                    say("attempts could not be noted", &fault);
                }
            }
            Ok(Done::Pause(result)) => {
                self.is_pausing = false;
                self.announce_at = Instant::now() + AGAIN_AFTER;
                match result {
                    Ok(()) => self.is_announced = true,
                    Err(fault) => say("a pause could not be saved", &fault),
                }
            }
            Ok(Done::Age(result)) => match result {
                Ok(since) => self.judge_age(since),
                Err(fault) => say("the age of the oldest event could not be read", &fault),
            },
            Err(error) => {
                tracing::error!(endpoint, %error, "saving broke off");
                self.readers.iter_mut().for_each(Reader::save_broke_off);
                self.letters.save_broke_off();
                (self.is_noting, self.is_pausing) = (false, false);
            }
        }
        self.changed();
    }

    // === too much, and pauses ===

    /// Finds out since when the oldest event waits.
    fn look_at_age(&mut self) {
        let behind = self.readers.iter().filter(|reader| reader.lanes.all_told() < *reader.head.borrow());
        let places: Vec<_> = behind.map(|reader| (reader.shard, reader.lanes.all_told())).collect();
        if places.is_empty() {
            return self.judge_age(None);
        }
        let ledger = self.parts.ledger.clone();
        self.background.spawn(async move {
            let mut oldest: Option<Timestamp> = None;
            for (shard, told) in places {
                match ledger.time_of(shard, told).await {
                    Ok(Some(time)) => oldest = Some(oldest.map_or(time, |oldest| oldest.min(time))),
                    Ok(None) => {}
                    Err(fault) => return Done::Age(Err(fault)),
                }
            }
            Done::Age(Ok(oldest))
        });
    }

    fn judge_age(&mut self, since: Option<Timestamp>) {
        self.lag_since = since;
        let age = since.map_or(0, |since| self.parts.clock.now().millis().saturating_sub(since.millis()));
        let most = self.endpoint.telling.max_age;
        self.is_too_old = i128::from(age) > most.as_millis().cast_signed();
        let is_let_go = self.pause.as_ref().is_some_and(|pause| pause.reason == PauseReason::TooFarBehind);
        if self.is_too_old && !is_let_go && self.endpoint.telling.when_full == WhenFull::Pause {
            let detail = format!("its oldest event waits for longer than {} s (max_age)", most.as_secs());
            self.start_pausing(PauseReason::TooFarBehind, detail);
        }
    }

    fn check_dead(&mut self) {
        let settings = &self.endpoint.telling;
        let has_too_many = self.letters.count.dead >= settings.max_dead;
        match settings.when_full {
            WhenFull::Pause if has_too_many && self.pause.is_none() => {
                let detail = format!("it has {} dead letters (max_dead)", self.letters.count.dead);
                self.start_pausing(PauseReason::TooManyDead, detail);
            }
            WhenFull::Pause => {}
            WhenFull::Refuse => {
                let is_full = has_too_many || self.is_too_old;
                if self.endpoint.is_full.swap(is_full, Ordering::Relaxed) != is_full {
                    let (endpoint, dead) = (&self.endpoint.name, self.letters.count.dead);
                    match is_full {
                        true => tracing::error!(
                            endpoint,
                            dead,
                            is_too_old = self.is_too_old,
                            "nothing new is accepted: the endpoint is full (when_full)"
                        ),
                        false => tracing::info!(endpoint, "new work is accepted again"),
                    }
                }
            }
        }
    }

    /// Makes no more calls from now on, and remembers that.
    fn start_pausing(&mut self, reason: PauseReason, detail: String) {
        // Until it is saved, it is the same pause.
        if self.is_pausing || !self.is_announced {
            return;
        }
        tracing::error!(
            endpoint = self.endpoint.name,
            reason = reason.name(),
            detail,
            "paused; its events wait until somebody has it resumed"
        );
        let pause = Pause { reason, detail, since: self.parts.clock.now() };
        self.pause = Some(pause);
        self.is_announced = false;
        self.announce();
    }

    /// Saves and announces a pause, until that has succeeded.
    fn announce(&mut self) {
        let is_due = !self.is_announced && !self.is_pausing && self.announce_at <= Instant::now();
        let Some(pause) = self.pause.clone().filter(|_| is_due) else { return };
        self.is_pausing = true;
        let (parts, name) = (self.parts.clone(), self.endpoint.name.clone());
        self.background.spawn(async move {
            let result = match parts.announcer.announce(&name, &pause).await {
                Ok(()) => parts.ledger.set_pause(&name, Some(pause)).await,
                Err(fault) => Err(fault),
            };
            Done::Pause(result)
        });
    }

    async fn obey(&mut self, instruction: Instruction) {
        let ledger = self.parts.ledger.clone();
        // Whoever asked and does not wait for the answer does not want it.
        match instruction {
            Instruction::Pause(_, reply) | Instruction::Resume(reply) if !self.is_announced => {
                let _ = reply.send(Err(Fault::unavailable("the endpoint is being paused; ask again in a moment")));
            }
            Instruction::Pause(pause, reply) => {
                let result = ledger.set_pause(&self.endpoint.name, Some(pause.clone())).await;
                if result.is_ok() {
                    tracing::warn!(endpoint = self.endpoint.name, detail = pause.detail, "paused by the operator");
                    (self.pause, self.is_announced) = (Some(pause), true);
                }
                let _ = reply.send(result);
            }
            Instruction::Resume(reply) => {
                let result = ledger.set_pause(&self.endpoint.name, None).await;
                if result.is_ok() {
                    tracing::info!(endpoint = self.endpoint.name, "resumed by the operator");
                    (self.pause, self.is_announced) = (None, true);
                    self.health.forget();
                    self.readers.iter_mut().for_each(|reader| reader.lanes.wake_waiting());
                    self.letters.look_again();
                    self.age_at = Instant::now() + self.endpoint.telling.max_age.min(GRACE);
                }
                let _ = reply.send(result);
            }
            Instruction::Skip(event, reply) => {
                let _ = reply.send(self.skip(event));
            }
            Instruction::Failing(limit, reply) => {
                let _ = reply.send(self.failing(limit));
            }
            Instruction::LettersChanged => self.letters.look_again(),
        }
        self.show();
        self.changed();
    }

    fn skip(&mut self, event: EventId) -> Skipped {
        for reader in 0..self.readers.len() {
            let lanes = &self.readers[reader].lanes;
            let failing = lanes.failing().map(|(key, failed, _)| (key.clone(), failed));
            let is_it =
                |(key, _): &(LaneKey, Failed)| lanes.first(key).is_some_and(|(_, first)| first.event() == event);
            let Some((key, failed)) = failing.into_iter().find(is_it) else { continue };
            if lanes.is_calling(&key) {
                return Skipped::Calling;
            }
            let attempts = failed.trouble.map_or(0, |(trouble, _)| trouble.attempts);
            let (now, why) = (self.parts.clock.now(), "skipped by the operator".to_owned());
            self.make_letter(reader, &key, LetterState::Dead, why, attempts, now);
            return Skipped::Done;
        }
        Skipped::NotFailing
    }

    fn failing(&self, limit: usize) -> Vec<Failing> {
        let of_reader = |reader: &Reader| {
            let describe = |(key, failed, first): (&LaneKey, Failed, Option<Position>)| {
                let telling = reader.lanes.first(key).map(|(_, telling)| telling);
                Failing {
                    subject: key.subject.clone(),
                    place: first.map(|position| (reader.shard, position)),
                    event: telling.as_ref().map(|telling| telling.event()),
                    command: telling.map(|telling| telling.command.to_owned()),
                    times: failed.times,
                    trouble: failed.trouble.map(|(trouble, _)| trouble),
                }
            };
            reader.lanes.failing().map(describe).collect::<Vec<_>>()
        };
        let mut failing: Vec<_> = self.readers.iter().flat_map(of_reader).collect();
        failing.sort_by(|one, other| {
            let due = |failing: &Failing| failing.trouble.map_or(i64::MAX, |trouble| trouble.since.millis());
            due(one).cmp(&due(other)).then_with(|| one.subject.cmp(&other.subject))
        });
        failing.truncate(limit);
        failing
    }

    fn show(&self) {
        let now = Instant::now();
        let state = match &self.pause {
            Some(_) => State::Paused,
            None if self.endpoint.is_full.load(Ordering::Relaxed) => State::Full,
            None if self.health.is_down() => State::Down,
            None if self.health.held_until(now).is_some() => State::Held,
            None => State::Up,
        };
        let standing = Standing {
            state,
            pause: self.pause.clone(),
            lag_events: self.readers.iter().map(Reader::lag).sum(),
            lag_since: self.lag_since,
            lagging: self.readers.iter().map(|reader| reader.lanes.behind()).sum(),
            failing: self.readers.iter().map(|reader| reader.lanes.failing().count()).sum(),
            calling: self.flights.len(),
            letters: self.letters.count,
        };
        self.metrics.show(&standing, self.parts.clock.now());
        *self.shown.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}

/// A time of day, and so much later.
fn later(time: Timestamp, by: Duration) -> Timestamp {
    let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(time.millis().saturating_add(millis))
}

impl std::fmt::Debug for Deliverer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverer").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
