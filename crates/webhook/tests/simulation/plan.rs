//! What a seed decides before its run begins: what happens, how long it goes on, and who misbehaves when.

use std::time::Duration;

use chat::conversation::ConversationId;
use chat::event::Subject;

use webhook::deliver::schedule::Schedule;
use webhook::deliver::settings::{Acknowledge, Order, TellingSettings, WhenFull};

use crate::chance::{Chance, Stream};
use crate::codec::COMMANDS;

/// One run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) shards: u16,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) endpoints: Vec<EndpointPlan>,
    /// What happens when, in order.
    pub(crate) steps: Vec<(Duration, Step)>,
    /// After so long everything heals that heals at all.
    pub(crate) length: Duration,
    /// In how many of a thousand places where it may, the process dies.
    pub(crate) crash_share: u32,
    pub(crate) store: StorePlan,
    /// Events whose number is divisible by this cannot be worded.
    pub(crate) unwordable: Option<usize>,
}

/// One endpoint, and who listens there.
#[derive(Debug)]
pub(crate) struct EndpointPlan {
    pub(crate) name: String,
    /// None: all.
    pub(crate) commands: Option<Vec<&'static str>>,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
    pub(crate) telling: TellingSettings,
    /// It is configured from this life of the process on.
    pub(crate) from_life: u32,
    /// From this life of the process on it wants the other order; none: never.
    pub(crate) other_order_from: Option<u32>,
    /// From when on the receiver is in which mood; the first from the beginning.
    pub(crate) moods: Vec<(Duration, Mood)>,
    /// The receiver refuses every event whose number is divisible by this.
    pub(crate) poison: Option<usize>,
    /// ... until everything heals; or for ever.
    pub(crate) poison_heals: bool,
    /// Whether it is well in the end.
    pub(crate) heals: bool,
}

/// How a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// It answers, around the time at which nobody waits any more.
    Slow,
    /// It takes calls and never answers.
    Hanging,
    /// Nobody listens.
    Gone,
    /// It answers 500.
    Failing,
    /// Its connections break while it answers.
    Breaking,
    /// It answers 429 or 503, and asks to be left alone for some seconds.
    Busy,
    /// It answers 410.
    Removed,
    /// Each call has a fate of its own.
    Mixed,
}

/// How the store is.
#[derive(Debug)]
pub(crate) struct StorePlan {
    /// The longest that one step of a read or write takes, in milliseconds.
    pub(crate) latency: u64,
    /// When it fails, and in how many of a thousand cases.
    pub(crate) bad: Vec<(Duration, Duration, u32)>,
    /// In how many of a thousand cases a failed write was carried out nevertheless.
    pub(crate) doubtful_share: u32,
    /// The longest that readers learn later of an append, in milliseconds.
    pub(crate) head_delay: u64,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// So many events of a subject (by its number) are committed.
    Append(usize, usize),
    /// The process dies.
    Crash,
    /// The process is stopped in good order, and started again.
    Restart,
    /// The wall clock jumps, by milliseconds.
    ClockJump(i64),
    /// The operator does something about an endpoint (by its number).
    Operate(usize, Operation),
}

/// What an operator may do about an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Pause,
    Resume,
    /// Gives up the first event that fails.
    Skip,
    /// Has all dead letters told again.
    ReplayDead,
    /// Has events told again that were told, from this one of a thousand on; some of them.
    ReplayTold(usize),
}

impl Plan {
    /// Whether the wall clock jumps.
    pub(crate) fn has_jumps(&self) -> bool {
        self.steps.iter().any(|(_, step)| matches!(step, Step::ClockJump(_)))
    }

    /// Whether writes that fail may have been carried out.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.store.doubtful_share > 0 && !self.store.bad.is_empty()
    }

    pub(crate) fn of(seed: u64) -> Self {
        let chance = &mut Chance::new(seed, Stream::Plan);
        // Now and then long enough for the log to be trimmed.
        let length =
            if chance.per_mille(30) { 9_000_000 } else { chance.pick(&[2_000, 10_000, 20_000, 40_000, 60_000]) };
        let (subjects, mut steps) = events(chance, length);
        let crash_share = chance.pick(&[0, 0, 1, 3, 10]);
        let crashes = chance.pick(&[0, 0, 1, 2, 4]);
        let restarts = chance.pick(&[0, 0, 0, 1, 2]);
        let jumps = chance.pick(&[0, 0, 1, 3]);
        for _ in 0..crashes {
            steps.push((chance.millis(0..=length), Step::Crash));
        }
        for _ in 0..restarts {
            steps.push((chance.millis(0..=length), Step::Restart));
        }
        for _ in 0..jumps {
            let most = chance.pick(&[1_000_i64, 60_000, 86_400_000]);
            let jump = i64::try_from(chance.from(0..=2 * most.unsigned_abs())).unwrap_or_default() - most;
            steps.push((chance.millis(0..=length), Step::ClockJump(jump)));
        }
        let count = chance.pick(&[1, 1, 2, 3]);
        for _ in 0..chance.pick(&[0, 0, 0, 2, 5]) {
            use Operation::{Pause, ReplayDead, ReplayTold, Resume, Skip};
            let told = ReplayTold(chance.index(1_000));
            let operation = chance.pick(&[Pause, Resume, Resume, Skip, Skip, ReplayDead, told]);
            steps.push((chance.millis(0..=length), Step::Operate(chance.index(count), operation)));
        }
        steps.sort_by_key(|(at, _)| *at);
        let lives = crashes + restarts;
        Self {
            shards: chance.pick(&[1, 1, 2, 4]),
            subjects,
            endpoints: (0..count).map(|number| EndpointPlan::draw(chance, number, length, lives)).collect(),
            steps,
            length: Duration::from_millis(length),
            crash_share,
            store: StorePlan::draw(chance, length),
            unwordable: chance.pick(&[None, None, None, Some(5), Some(23)]),
        }
    }
}

/// Who says something, and when: usually a handful of subjects; sometimes one that says more than a lane holds, or more
/// subjects and events than are kept in memory.
fn events(chance: &mut Chance, length: u64) -> (Vec<Subject>, Vec<(Duration, Step)>) {
    let (subjects, events, burst) = match chance.from(0..=999) {
        0..=939 => (chance.from(1..=12), chance.from(5..=100), 6),
        940..=989 => (chance.from(1..=3), chance.from(300..=900), 400),
        990..=997 => (chance.from(200..=800), chance.from(800..=1_200), 40),
        _ => (chance.from(30..=60), chance.from(2_500..=4_000), 60),
    };
    let subjects: Vec<Subject> = (0..subjects).map(subject).collect();
    let mut steps = Vec::new();
    let mut left = events;
    while left > 0 {
        let count = chance.from(1..=burst).min(left);
        left -= count;
        let place = chance.index(subjects.len());
        steps.push((chance.millis(0..=length), Step::Append(place, usize::try_from(count).unwrap_or(1))));
    }
    (subjects, steps)
}

fn subject(number: u64) -> Subject {
    match number % 5 {
        4 if number == 4 => Subject::App,
        3 => ConversationId::Topic(format!("g{number}").as_str().into(), "t".into()).into(),
        1 => ConversationId::direct("u".into(), format!("u{number}").as_str().into()).into(),
        _ => ConversationId::Group(format!("g{number}").as_str().into()).into(),
    }
}

impl EndpointPlan {
    fn draw(chance: &mut Chance, number: usize, length: u64, lives: u32) -> Self {
        let mut moods = vec![(Duration::ZERO, Mood::draw(chance))];
        for _ in 0..chance.pick(&[0, 1, 2, 3]) {
            moods.push((chance.millis(0..=length), Mood::draw(chance)));
        }
        moods.sort_by_key(|(from, _)| *from);
        let poison_heals = chance.per_mille(500);
        let commands: Vec<&'static str> = COMMANDS.into_iter().filter(|_| chance.per_mille(700)).collect();
        Self {
            name: format!("end{number}"),
            commands: (chance.per_mille(500) && !commands.is_empty()).then_some(commands),
            timeout: chance.pick(&[300, 1_000, 3_000].map(Duration::from_millis)),
            concurrency: chance.pick(&[1, 2, 8, 32]),
            telling: telling(chance, poison_heals),
            from_life: if chance.per_mille(800) {
                1
            } else {
                u32::try_from(chance.from(1..=u64::from(lives) + 1)).unwrap_or(1)
            },
            moods,
            poison: chance.pick(&[None, None, Some(3), Some(7), Some(20)]),
            poison_heals,
            heals: chance.per_mille(930),
            other_order_from: chance.pick(&[None, None, None, Some(2), Some(3)]),
        }
    }

    /// What it wants in a life of the process.
    pub(crate) fn order_in(&self, life: u32) -> Order {
        match self.telling.order {
            order if self.other_order_from.is_none_or(|from| life < from) => order,
            Order::Ordered => Order::Unordered,
            Order::Unordered => Order::Ordered,
        }
    }
}

/// How an endpoint wants to be told. Schedules are short, so that they are spent within a run.
fn telling(chance: &mut Chance, poison_heals: bool) -> TellingSettings {
    let waits: &[u64] = chance.pick(&[&[0][..], &[0, 1], &[0, 1, 3], &[0, 2, 5, 10], &[0, 0, 0, 1]]);
    let schedule = Schedule::new(waits.iter().copied().map(Duration::from_secs).collect());
    TellingSettings {
        acknowledge: chance.pick(&[Acknowledge::Status, Acknowledge::Status, Acknowledge::Body]),
        order: chance.pick(&[Order::Ordered, Order::Ordered, Order::Ordered, Order::Unordered]),
        schedule: schedule.expect("it begins with 0 and is short"),
        max_age: chance.pick(&[5, 20, 3_600, 3_600].map(Duration::from_secs)),
        // What is refused for ever fills any bound.
        max_dead: if poison_heals { chance.pick(&[1, 5, 1_000_000, 1_000_000]) } else { 1_000_000 },
        when_full: chance.pick(&[WhenFull::Pause, WhenFull::Pause, WhenFull::Refuse]),
        rate: chance.pick(&[None, None, None, Some(5), Some(50)]),
        batch: chance.pick(&[1, 1, 1, 2, 10]),
        ..TellingSettings::default()
    }
}

impl Mood {
    fn draw(chance: &mut Chance) -> Self {
        use Mood::{Breaking, Busy, Failing, Gone, Hanging, Mixed, Removed, Slow, Well};
        chance.pick(&[
            Well, Well, Well, Well, Slow, Hanging, Gone, Gone, Failing, Failing, Breaking, Busy, Removed, Mixed, Mixed,
        ])
    }
}

impl StorePlan {
    fn draw(chance: &mut Chance, length: u64) -> Self {
        let mut bad = Vec::new();
        for _ in 0..chance.pick(&[0, 0, 0, 1, 2]) {
            let from = chance.millis(0..=length);
            bad.push((from, from + chance.millis(10..=length / 2), chance.pick(&[100, 500, 1_000])));
        }
        Self {
            latency: chance.pick(&[0, 1, 5, 60]),
            bad,
            doubtful_share: chance.pick(&[0, 300]),
            head_delay: chance.pick(&[0, 0, 3, 30]),
        }
    }
}
