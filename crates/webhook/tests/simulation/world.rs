//! What a run consists of beside the engine: time, chance, the process that may die, and what was seen.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat::event::{Event, LogEntry, Subject};
use chat::id::{EventId, Timestamp};
use chat::port::Clock;
use tokio::sync::Notify;
use tokio::time::Instant;
use webhook::deliver::handle::Handle;

use crate::chance::{Chance, Stream};
use crate::judge::Judge;
use crate::plan::Plan;
use crate::store::{Disk, name_of, shard_of};

/// When runs begin, by the wall clock: 2026-01-01.
const BEGINNING: i64 = 1_767_225_600_000;

/// So many calls, reads and writes in one moment are too many: a run has a few thousand events.
const MOST_STEPS: u32 = 50_000;

/// Everything of one run. All of it is used by one thread; the locks are for the ports, which ask for them.
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) judge: Mutex<Judge>,
    pub(crate) disk: Mutex<Disk>,
    /// How many events were committed.
    events: AtomicUsize,
    pub(crate) network: Mutex<Chance>,
    store: Mutex<Chance>,
    process: Mutex<Chance>,
    clock: Mutex<(Chance, i64)>,
    /// Everything is well from now on.
    is_calm: AtomicBool,
    /// The judge has seen enough.
    pub(crate) over: Notify,
    trace: Mutex<Option<String>>,
    beginning: Instant,
    /// The present moment, and what was done in it.
    moment: Mutex<(Duration, u32)>,
}

impl World {
    pub(crate) fn new(seed: u64, is_traced: bool) -> Self {
        let plan = Arc::new(Plan::of(seed));
        Self {
            judge: Mutex::new(Judge::new(plan.clone())),
            disk: Mutex::new(Disk::new(plan.shards)),
            events: AtomicUsize::new(0),
            network: Mutex::new(Chance::new(seed, Stream::Network)),
            store: Mutex::new(Chance::new(seed, Stream::Store)),
            process: Mutex::new(Chance::new(seed, Stream::Process)),
            clock: Mutex::new((Chance::new(seed, Stream::Clock), 0)),
            is_calm: AtomicBool::new(false),
            over: Notify::new(),
            trace: Mutex::new(is_traced.then(String::new)),
            beginning: Instant::now(),
            moment: Mutex::default(),
            plan,
        }
    }

    /// How long the run has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.beginning.elapsed()
    }

    pub(crate) fn at(&self, elapsed: Duration) -> Instant {
        self.beginning + elapsed
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    pub(crate) fn calm_down(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
    }

    pub(crate) fn jump(&self, millis: i64) {
        lock(&self.clock).1 += millis;
    }

    /// Commits an event; readers learn of it now or a little later.
    pub(crate) fn append(self: &Arc<Self>, subject: &Subject, event: impl FnOnce(EventId) -> Event) {
        let number = self.events.fetch_add(1, Ordering::Relaxed) + 1;
        let event = event(EventId::new(self.now(), number as u128));
        let mut disk = lock(&self.disk);
        let shard = shard_of(subject, self.plan.shards);
        let entry = LogEntry { shard, position: disk.next(shard), event, unread: None };
        self.note(|| {
            let (place, kind) = (entry.position.0, entry.event.name());
            format!("committed: #{number} of {}, {kind}, at {}:{place}", name_of(subject), shard.0)
        });
        self.judge(|judge| judge.committed(&entry, self.elapsed()));
        disk.append(entry);
        drop(disk);
        let (world, delay) = (self.clone(), self.head_delay());
        if delay.is_zero() {
            return lock(&world.disk).show_heads();
        }
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            lock(&world.disk).show_heads();
        });
    }

    /// Adds a line to the trace, if somebody wants it.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = lock(&self.trace).as_mut() {
            let _ = writeln!(trace, "{:>10.3}  {}", self.elapsed().as_secs_f64(), line());
        }
    }

    pub(crate) fn take_trace(&self) -> String {
        lock(&self.trace).take().unwrap_or_default()
    }

    /// Counts what is done in one moment: one that goes on like that for ever never lets time pass.
    fn count_step(&self) {
        let now = self.elapsed();
        let steps = {
            let mut moment = lock(&self.moment);
            *moment = if moment.0 == now { (now, moment.1 + 1) } else { (now, 0) };
            moment.1
        };
        if steps > MOST_STEPS {
            self.judge(|judge| judge.complain(format!("{steps} calls, reads and writes in one moment")));
        }
    }

    /// Has the judge look at something, and ends the run if that was wrong.
    pub(crate) fn judge<T>(&self, look: impl FnOnce(&mut Judge) -> T) -> T {
        let mut judge = lock(&self.judge);
        let seen = look(&mut judge);
        if judge.verdict.is_some() {
            self.over.notify_one();
        }
        seen
    }

    pub(crate) fn store_latency(&self) -> Duration {
        let mut chance = lock(&self.store);
        let most = if self.is_calm() { self.plan.store.latency.min(5) } else { self.plan.store.latency };
        // Often it has everything at hand.
        if chance.per_mille(400) { Duration::ZERO } else { chance.millis(0..=most) }
    }

    /// Whether a step of the store fails now.
    pub(crate) fn store_fails(&self) -> bool {
        let now = self.elapsed();
        let is_bad = |(from, to, _): &&(Duration, Duration, u32)| (*from..*to).contains(&now);
        let Some((_, _, share)) = self.plan.store.bad.iter().find(is_bad) else { return false };
        !self.is_calm() && lock(&self.store).per_mille(*share)
    }

    /// Whether the store has failed within the last so long.
    pub(crate) fn store_was_bad(&self, within: Duration) -> bool {
        let now = self.elapsed();
        self.plan.store.bad.iter().any(|(from, to, _)| *from <= now && now < *to + within)
    }

    /// Whether a write that fails is carried out nevertheless.
    pub(crate) fn is_doubtful(&self) -> bool {
        lock(&self.store).per_mille(self.plan.store.doubtful_share)
    }

    pub(crate) fn head_delay(&self) -> Duration {
        lock(&self.store).millis(0..=self.plan.store.head_delay)
    }

    /// Whether a write that was under way when the process died was carried out.
    pub(crate) fn is_kept(&self) -> bool {
        lock(&self.store).per_mille(500)
    }

    /// How long the process is down after it died.
    pub(crate) fn downtime(&self) -> Duration {
        lock(&self.process).millis(0..=3_000)
    }

    pub(crate) fn random(&self) -> u128 {
        lock(&self.clock).0.bits()
    }

    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(BEGINNING + elapsed + lock(&self.clock).1)
    }
}

/// One life of the process: from its start until it is stopped, or dies.
pub(crate) struct Life {
    pub(crate) world: Arc<World>,
    pub(crate) number: u32,
    is_dead: AtomicBool,
    pub(crate) died: Notify,
    /// The deliverers, as far as they are open, by the numbers of their endpoints.
    pub(crate) handles: Mutex<BTreeMap<usize, Handle>>,
}

impl Life {
    pub(crate) fn new(world: Arc<World>, number: u32) -> Arc<Self> {
        let (is_dead, died, handles) = (AtomicBool::new(false), Notify::new(), Mutex::default());
        Arc::new(Self { world, number, is_dead, died, handles })
    }

    /// A place where the process may die. Does not return in one that is dead.
    pub(crate) async fn place(&self, what: &str) {
        self.world.count_step();
        if self.dies_at(what) {
            std::future::pending::<()>().await;
        }
    }

    fn dies_at(&self, what: &str) -> bool {
        let is_dead = self.is_dead.load(Ordering::Relaxed);
        if !is_dead && !self.world.is_calm() && lock(&self.world.process).per_mille(self.world.plan.crash_share) {
            self.world.note(|| format!("the process dies while {what}"));
            self.die();
            return true;
        }
        is_dead
    }

    /// From here on nothing that the process does has any effect.
    pub(crate) fn die(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// Waits; no time at all if there is none to wait.
    pub(crate) async fn wait(&self, time: Duration) {
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }
}

impl Clock for Life {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn random(&self) -> u128 {
        self.world.random()
    }
}

/// What panicked while it held a lock is reported as what it is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
