//! Telling after: a reader of the log with a durable cursor.
//!
//! One deliverer per endpoint. It reads ahead of what it has told, up to a bound, in each shard of the log ([`reader`]),
//! puts each event into the lane of its subject ([`crate::lanes`]), and keeps as many calls in flight as the endpoint
//! allows. What is told writes nothing; progress is saved some times a second. After a crash what was told is told again if
//! it is later in its shard than an event that was not told and whose lane is not behind: usually those few moments, and
//! while a call hangs, or an endpoint is down, at most what is read ahead (`WINDOW`).
//!
//! What becomes of a call that fails is decided in [`settle`]: whether the endpoint is blamed ([`health`]) or the
//! event, which is then on a [`schedule`] of its own, and a letter ([`letters`]) when that is spent.

mod figures;
mod fullness;
pub mod handle;
mod health;
mod instructions;
mod letters;
mod pausing;
mod rate;
mod reader;
mod recent;
mod saving;
pub mod schedule;
pub mod settings;
mod settle;
pub(crate) mod telling;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chat::Fault;
use chat::event::Shard;
use chat::id::Timestamp;
use chat::port::{Clock, Log};
use tokio::sync::{Notify, mpsc};
use tokio::task::{self, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::telling::webhook_id;

use self::figures::Metrics;
pub(crate) use self::figures::hide;
use self::handle::{Handle, Instruction, Shown};
use self::health::{Allowance, Health};
use self::letters::{LetterChanges, Letters, Place};
use self::rate::Rate;
use self::reader::Reader;
use self::telling::{Attempted, Telling};
use crate::endpoint::Endpoint;
use crate::lanes::{LaneKey, Next};
use crate::ledger::{Attempt, Ledger, Pause};

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
    /// Whether letters come first where there is one place only.
    is_letters_turn: bool,
    flights: JoinSet<Attempted>,
    /// What is told by which task.
    calling: HashMap<task::Id, Flight>,
    background: JoinSet<Done>,
    /// What goes on in which task.
    doing: HashMap<task::Id, Doing>,
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
    /// Somebody looks how old its oldest event is.
    is_looking: bool,
    /// Failed attempts that are not noted yet.
    attempts: Vec<Attempt>,
    is_noting: bool,
    /// When its age is looked at next.
    age_at: Instant,
    /// Until then its age is shown, and not held against it.
    lenient_until: Instant,
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

/// What was begun for lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// A call.
    Called,
    /// A lane was read from the log, and may have something to tell now.
    Read,
    /// There is nothing to tell.
    Nothing,
}

/// How far the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    /// There was nothing more.
    CaughtUp,
    /// There may be more.
    HasMore,
    /// As much is in memory as may be.
    IsFull,
}

/// Something that goes on beside the calls.
enum Doing {
    Progress(usize),
    Letters(LetterChanges),
    Attempts,
    Pause,
    Age,
}

/// What became of something that went on beside the calls.
enum Done {
    Progress(usize, Result<(), Fault>),
    Letters(Result<(), Fault>),
    Attempts(Result<(), Fault>),
    Pause(Result<(), Fault>),
    Age(Result<Option<Timestamp>, Fault>),
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
            is_letters_turn: false,
            flights: JoinSet::new(),
            calling: HashMap::new(),
            background: JoinSet::new(),
            doing: HashMap::new(),
            health: Health::default(),
            rate_again_at: None,
            pause,
            is_announced: true,
            is_pausing: false,
            announce_at: now,
            is_too_old: false,
            is_looking: false,
            attempts: Vec::new(),
            is_noting: false,
            age_at: now,
            // What waited while nobody was there to tell it is not held against the endpoint.
            lenient_until: now + grace,
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
            let ahead = self.read_ahead().await;
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
                Some(done) = self.background.join_next_with_id() => self.done(done),
                () = news.notified(), if ahead == Ahead::CaughtUp => self.changed(),
                () = tokio::time::sleep_until(wake_at) => self.look(),
                // The next page, after everybody else had a turn.
                () = task::yield_now(), if ahead == Ahead::HasMore => {}
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
        self.readers.iter_mut().for_each(|reader| reader.lanes.let_cursor_go());
        self.save();
        self.wait_for_saves().await;
    }

    async fn wait_for_saves(&mut self) {
        while let Some(done) = self.background.join_next_with_id().await {
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

    /// Reads on in the log, a page of each shard in its turn: reading on and on would keep calls waiting that may begin.
    async fn read_ahead(&mut self) -> Ahead {
        let mut untold: usize = self.readers.iter().map(|reader| reader.lanes.untold()).sum();
        let mut lanes: usize = self.readers.iter().map(|reader| reader.lanes.len()).sum();
        let mut ahead = Ahead::CaughtUp;
        for _ in 0..self.readers.len() {
            if untold >= WINDOW || lanes >= MAX_LANES {
                return Ahead::IsFull;
            }
            let place = self.turn % self.readers.len();
            let reader = &mut self.readers[place];
            self.turn = self.turn.wrapping_add(1);
            let before = (reader.lanes.untold(), reader.lanes.len());
            if reader.read_ahead(&self.endpoint, &*self.parts.log).await {
                ahead = Ahead::HasMore;
                // A lane that fell behind may have taken some away.
                untold = (untold + reader.lanes.untold()).saturating_sub(before.0);
                lanes = (lanes + reader.lanes.len()).saturating_sub(before.1);
            }
        }
        ahead
    }

    /// How many calls may be in flight now.
    fn allowed(&self) -> usize {
        if self.pause.is_some() {
            return 0;
        }
        match self.health.allowance(Instant::now()) {
            Allowance::All => self.endpoint.concurrency,
            Allowance::NoneUntil(_) => 0,
            Allowance::Probe => 1,
        }
    }

    /// Starts as many calls as the endpoint allows: one, if it is down and it is time to probe.
    async fn start_calls(&mut self) {
        let now = Instant::now();
        // Also if nothing may be called: how many there are decides whether the endpoint is full.
        if self.letters.is_due(now) {
            // What is not known to be saved may be, and would be written once more after it was told.
            let unsaved = self.readers.iter().flat_map(Reader::unsaved_letters).collect();
            self.letters.load(&self.endpoint, &*self.parts.ledger, self.parts.clock.now(), &unsaved).await;
        }
        let mut allowed = self.allowed();
        if self.flights.len() >= allowed {
            return;
        }
        if self.health.allowance(now) == Allowance::Probe {
            self.readers.iter_mut().for_each(|reader| reader.lanes.wake_waiting());
        }
        self.rate_again_at = None;
        // A lane of which nothing is told may be long: what is left of it waits for its next turn.
        let mut reads = 0;
        while self.flights.len() < allowed && reads < MAX_READS {
            // Letters get a place of four, or every second turn of the only place; more only if the lanes leave them.
            let is_their_turn = allowed > 1 || self.is_letters_turn;
            let letters_first = self.letters.calling() * 4 < allowed && is_their_turn;
            if !self.take_rate(now) {
                return;
            }
            if letters_first && self.start_letter() {
                self.is_letters_turn = !self.is_letters_turn;
                continue;
            }
            match self.start_lanes().await {
                Start::Called => self.is_letters_turn = !self.is_letters_turn,
                Start::Read => {
                    self.give_rate_back();
                    reads += 1;
                    // Reading took a while: what was answered meanwhile may say that there is nothing to be called now.
                    while let Some(finished) = self.flights.try_join_next_with_id() {
                        self.finish(finished);
                    }
                    allowed = self.allowed();
                }
                Start::Nothing if !letters_first && self.start_letter() => {
                    self.is_letters_turn = !self.is_letters_turn;
                }
                Start::Nothing => {
                    self.give_rate_back();
                    break;
                }
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

    /// Starts a call about the first events of one lane, or of several if the endpoint takes batches; or reads a lane from
    /// the log, if it is the turn of one that must be.
    async fn start_lanes(&mut self) -> Start {
        // A probe is about one event: a batch is refused for the sake of any of its events.
        let mut room = if self.health.is_down() { 1 } else { self.endpoint.telling.batch };
        let mut items = Vec::new();
        let mut idle = 0;
        while room > 0 && idle < self.readers.len() {
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
                // Its turn comes next: what there is does not wait for it.
                Some(Next::Read(key, ..)) if !items.is_empty() => {
                    self.readers[place].lanes.put_back(key);
                    break;
                }
                Some(Next::Read(key, after, limit)) => {
                    let reader = &mut self.readers[place];
                    if !reader.read_lane(&self.endpoint, &self.parts, key, after, limit).await {
                        // A probe that could not be read is not due again at once.
                        self.health.put_off(Instant::now());
                    }
                    return Start::Read;
                }
            }
            idle = 0;
        }
        if items.is_empty() {
            return Start::Nothing;
        }
        let tellings: Vec<_> = items.iter().flat_map(|item| item.tellings.iter().cloned()).collect();
        let (endpoint, parts) = (self.endpoint.clone(), self.parts.clone());
        let flight = self.flights.spawn(async move { telling::tell(&endpoint, &parts, &tellings).await });
        self.calling.insert(flight.id(), Flight::Lanes(items));
        Start::Called
    }

    fn start_letter(&mut self) -> bool {
        let Some(letter) = self.letters.next(self.endpoint.telling.order) else { return false };
        let place = (letter.shard, letter.position);
        let started = self.readers.iter().find(|reader| reader.shard == letter.shard).map(|reader| reader.started);
        let (endpoint, parts) = (self.endpoint.clone(), self.parts.clone());
        let flight = self.flights.spawn(async move {
            let started = started.unwrap_or_default();
            telling::tell_letter(&endpoint, &parts, started, &letter).await
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

#[cfg(test)]
mod tests;
