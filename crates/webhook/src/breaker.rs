//! When to stop asking an endpoint that is dead: a circuit breaker, as a state machine without a clock of its own.
//!
//! *Closed*, every question is asked. *Open*, none is: each gets its policy's answer at once. After a pause one question is
//! also asked in the background, as a probe (*half-open*): an answer closes the breaker, anything else opens it for twice as
//! long. Its verdict is of no account, because the sender was answered already.
//!
//! An endpoint is dead when either is true:
//!
//! - [`DEAD_AFTER`] *rounds* in a row failed. A round is a failed question that was put after the round before it had
//!   failed: hundreds of questions that fail together are one round, so that a stall of one deadline does not look like
//!   death. What counts is no answer, no connection, and HTTP 5xx.
//! - questions have waited for [`Breaker::patience`] and nothing at all was answered meanwhile. This is for deadlines so
//!   long that the rounds would take too long.
//!
//! Any other answer proves that it is alive: also one that refuses, says 4xx or cannot be understood.

use std::time::Duration;

use tokio::time::Instant;

/// So many rounds in a row, and the endpoint is dead. With the default deadline of 2 s that is after 6 s.
pub const DEAD_AFTER: u32 = 3;

/// So long may questions wait without any answer before the endpoint is dead: with room to spare within the 10 s after
/// which nobody shall wait for a dead endpoint.
pub const LEAST_PATIENCE: Duration = Duration::from_secs(8);

/// The first pause before a probe; it doubles with each that fails. A short outage costs few unasked questions.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause before a probe. A probe is one call; a receiver that is starting up can bear four a minute.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How slow answers are is forgotten after so long at the earliest ...
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// ... and not before so many more answers: a slow command may be rare.
const REMEMBERED_ANSWERS: u32 = 256;

/// The breaker of one endpoint. It is told what happens, and the time; it does nothing by itself.
#[derive(Clone, Debug)]
pub struct Breaker {
    phase: Phase,
    since: Instant,
    /// Rounds that failed in a row, probes included.
    failures: u32,
    /// When the last of them failed: what was asked before that belongs to it.
    round_ended: Option<Instant>,
    in_flight: usize,
    /// How long questions have waited without any answer, until `waiting_since`.
    silence: Duration,
    /// Since when questions wait; none: nobody waits.
    waiting_since: Option<Instant>,
    slowest: Slowest,
    /// A probe is on its way, perhaps one of an outage that is over already.
    probing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { death: Death, probe_at: Instant, pause: Duration },
    HalfOpen { death: Death, pause: Duration },
}

/// What a breaker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Questions are asked.
    Closed,
    /// A probe is on its way; questions are not asked.
    HalfOpen,
    /// Questions are not asked.
    Open,
}

/// How an endpoint was found to be dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It does not answer in time.
    Silent,
    /// There is no connection to it, or it answers with HTTP 5xx.
    Broken,
}

/// Whether a question may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Yes. [`Breaker::leave`] must follow.
    Ask,
    /// No.
    Shut(Death),
    /// No, but in the background: it is the probe. [`Breaker::probed`] must follow.
    Probe(Death),
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered after so long, in any way but HTTP 5xx.
    Answered(Duration),
    /// It was answered after so long, with HTTP 5xx.
    ServerError(Duration),
    /// It was not answered within its deadline.
    TimedOut,
    /// There was no connection, or it broke.
    Unreachable,
    /// It was never sent, or the server stops: says nothing about the endpoint. That a sender went away is none of these:
    /// its call goes on without it.
    GivenUp,
}

/// What there is to see of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// What it does.
    pub state: State,
    /// For how long it has done so.
    pub lasted: Duration,
    /// How many rounds, and then probes, have failed in a row.
    pub failures: u32,
    /// In how long a question will be a probe; none unless it is open. Zero: the next one is.
    pub next_probe: Option<Duration>,
}

/// The slowest of the recent answers, in two generations: what is in neither is forgotten.
#[derive(Clone, Copy, Debug)]
struct Slowest {
    now: Duration,
    before: Duration,
    answers: u32,
    since: Instant,
}

// === impl Breaker ===

impl Breaker {
    /// A closed one. Nothing is known of its endpoint.
    pub fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Closed,
            since: now,
            failures: 0,
            round_ended: None,
            in_flight: 0,
            silence: Duration::ZERO,
            waiting_since: None,
            slowest: Slowest { now: Duration::ZERO, before: Duration::ZERO, answers: 0, since: now },
            probing: false,
        }
    }

    /// A question is there.
    pub fn enter(&mut self, now: Instant) -> Entry {
        self.look(now);
        match self.phase {
            Phase::Closed => {
                self.in_flight += 1;
                self.waiting_since.get_or_insert(now);
                Entry::Ask
            }
            Phase::Open { death, probe_at, pause } if probe_at <= now && !self.probing => {
                self.probing = true;
                self.go(Phase::HalfOpen { death, pause }, now);
                Entry::Probe(death)
            }
            Phase::Open { death, .. } | Phase::HalfOpen { death, .. } => Entry::Shut(death),
        }
    }

    /// How the endpoint was found to be dead, if a question would be answered with that alone: neither asked nor a probe.
    pub fn shut(&self, now: Instant) -> Option<Death> {
        match self.phase {
            Phase::HalfOpen { death, .. } => Some(death),
            Phase::Open { death, probe_at, .. } => (now < probe_at || self.probing).then_some(death),
            Phase::Closed => None,
        }
    }

    /// A question that might be asked, at `asked`, waits no more.
    pub fn leave(&mut self, asked: Instant, outcome: Outcome, now: Instant) {
        self.count_silence(now);
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.waiting_since = None;
        }
        if let Outcome::Answered(took) | Outcome::ServerError(took) = outcome {
            self.silence = Duration::ZERO;
            self.slowest.note(took, now);
        }
        match (outcome.death(), self.phase) {
            // It came before everything was given up, and proves as much as a probe does.
            (None, _) if matches!(outcome, Outcome::Answered(_)) => self.close(now),
            (Some(death), Phase::Closed) if self.round_ended.is_none_or(|ended| ended <= asked) => {
                self.failures = self.failures.saturating_add(1);
                self.round_ended = Some(now);
                if self.failures >= DEAD_AFTER {
                    self.open(death, FIRST_PAUSE, now);
                }
            }
            _ => {}
        }
        self.look(now);
    }

    /// The probe is over.
    pub fn probed(&mut self, outcome: Outcome, now: Instant) {
        self.probing = false;
        if let Outcome::Answered(took) | Outcome::ServerError(took) = outcome {
            self.slowest.note(took, now);
        }
        match (outcome.death(), self.phase) {
            (Some(death), Phase::HalfOpen { pause, .. }) => {
                self.failures = self.failures.saturating_add(1);
                self.open(death, (pause * 2).min(LONGEST_PAUSE), now);
            }
            (None, Phase::HalfOpen { death, pause }) if outcome == Outcome::GivenUp => self.open(death, pause, now),
            (None, _) if outcome != Outcome::GivenUp => self.close(now),
            _ => {}
        }
    }

    /// Opens it, if questions have waited too long. Whoever waits calls this at [`Self::look_at`].
    pub fn look(&mut self, now: Instant) {
        self.count_silence(now);
        if self.phase == Phase::Closed && self.in_flight > 0 && self.silence >= self.patience() {
            self.failures = self.failures.saturating_add(1);
            self.open(Death::Silent, FIRST_PAUSE, now);
        }
    }

    /// When it will be open if nothing is answered until then; none: nobody waits, or it is open.
    pub fn look_at(&self) -> Option<Instant> {
        let since = self.waiting_since.filter(|_| self.phase == Phase::Closed)?;
        Some(since + self.patience().saturating_sub(self.silence))
    }

    /// How long questions may wait without any answer: [`LEAST_PATIENCE`], or twice as long as the slowest recent answer
    /// took, so that an endpoint that takes its time and answers is never dead for it.
    pub fn patience(&self) -> Duration {
        LEAST_PATIENCE.max(self.slowest.of_late() * 2)
    }

    /// What it does.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::HalfOpen { .. } => State::HalfOpen,
            Phase::Open { .. } => State::Open,
        }
    }

    /// How the endpoint was found to be dead; none: it is not.
    pub fn death(&self) -> Option<Death> {
        match self.phase {
            Phase::Closed => None,
            Phase::HalfOpen { death, .. } | Phase::Open { death, .. } => Some(death),
        }
    }

    /// What there is to see.
    pub fn view(&self, now: Instant) -> View {
        let next_probe = match self.phase {
            Phase::Open { probe_at, .. } => Some(probe_at.saturating_duration_since(now)),
            Phase::Closed | Phase::HalfOpen { .. } => None,
        };
        let lasted = now.saturating_duration_since(self.since);
        View { state: self.state(), lasted, failures: self.failures, next_probe }
    }

    fn open(&mut self, death: Death, pause: Duration, now: Instant) {
        self.go(Phase::Open { death, probe_at: now + pause, pause }, now);
    }

    fn close(&mut self, now: Instant) {
        self.failures = 0;
        // What was asked before now and fails later says nothing against this answer.
        self.round_ended = Some(now);
        self.silence = Duration::ZERO;
        self.waiting_since = (self.in_flight > 0).then_some(now);
        if self.phase != Phase::Closed {
            self.go(Phase::Closed, now);
        }
    }

    fn go(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
    }

    fn count_silence(&mut self, now: Instant) {
        if let Some(since) = &mut self.waiting_since {
            self.silence += now.saturating_duration_since(*since);
            *since = now.max(*since);
        }
    }
}

impl Outcome {
    /// What it says against the endpoint.
    fn death(self) -> Option<Death> {
        match self {
            Self::Answered(_) | Self::GivenUp => None,
            Self::TimedOut => Some(Death::Silent),
            Self::ServerError(_) | Self::Unreachable => Some(Death::Broken),
        }
    }
}

impl Death {
    /// A stable name for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Broken => "broken",
        }
    }
}

impl State {
    /// A stable name for logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// Its number in the metric: 0 is well, and more is worse.
    pub fn number(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }
}

// === impl Slowest ===

impl Slowest {
    fn note(&mut self, took: Duration, now: Instant) {
        if self.answers >= REMEMBERED_ANSWERS && now.saturating_duration_since(self.since) >= REMEMBERED_FOR {
            *self = Self { now: Duration::ZERO, before: self.now, answers: 0, since: now };
        }
        self.now = self.now.max(took);
        self.answers = self.answers.saturating_add(1);
    }

    fn of_late(&self) -> Duration {
        self.now.max(self.before)
    }
}

#[cfg(test)]
mod tests;
