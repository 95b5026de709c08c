//! Whether an endpoint is there. Pure; the deliverer says what happened and asks what it may do.
//!
//! *Down is not refusing.* An endpoint that answers nobody, or refuses everything, is down: it is probed by one call at a
//! time, and no event is blamed for that. A refusal between others' successes is the event's own.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::lanes::LaneKey;

/// So many calls in a row without an answer, or so many different lanes refused in a row, and the endpoint is down.
const DOWN_AFTER: usize = 8;

/// The pause before the first probe; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between probes: an endpoint that is back is found within this.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Grows with each success: failures of the same streak have no success between them.
    streak: u64,
    /// Calls without an answer in this streak.
    unanswered: usize,
    /// Whose calls were refused in this streak; no more than matter.
    refused: BTreeSet<LaneKey>,
    down: Option<Down>,
    /// It asked to be left alone until then.
    held_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Down {
    probes: u32,
    probe_at: Instant,
}

/// How many calls may be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// As many as the endpoint wants.
    All,
    /// One, to see whether it is back.
    Probe,
    /// None before then.
    NoneUntil(Instant),
}

impl Health {
    pub(super) fn streak(&self) -> u64 {
        self.streak
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.is_some()
    }

    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| *until > now)
    }

    pub(super) fn allowance(&self, now: Instant) -> Allowance {
        if let Some(until) = self.held_until(now) {
            return Allowance::NoneUntil(until);
        }
        match self.down {
            None => Allowance::All,
            Some(down) if down.probe_at <= now => Allowance::Probe,
            Some(down) => Allowance::NoneUntil(down.probe_at),
        }
    }

    /// It accepted a call. Returns the streak that has ended, if it was down.
    pub(super) fn accepted(&mut self) -> Option<u64> {
        let ended = self.streak;
        self.streak += 1;
        self.unanswered = 0;
        self.refused.clear();
        self.down.take().map(|_| ended)
    }

    /// It refused a call. Returns whether it is down since now.
    pub(super) fn refused(&mut self, key: &LaneKey, now: Instant, random: u128) -> bool {
        if self.refused.len() < DOWN_AFTER {
            self.refused.insert(key.clone());
        }
        self.failed(now, random)
    }

    /// It did not answer a call. Returns whether it is down since now.
    pub(super) fn unanswered(&mut self, now: Instant, random: u128) -> bool {
        self.unanswered += 1;
        self.failed(now, random)
    }

    /// It asked to be left alone.
    pub(super) fn hold(&mut self, until: Instant) {
        self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
    }

    /// A probe that could not be made is not due again at once.
    pub(super) fn put_off(&mut self, now: Instant) {
        if let Some(down) = &mut self.down {
            down.probe_at = now + FIRST_PAUSE;
        }
    }

    /// The operator wants it tried at once.
    pub(super) fn forget(&mut self) {
        let streak = self.streak + 1;
        *self = Self { streak, ..Self::default() };
    }

    fn failed(&mut self, now: Instant, random: u128) -> bool {
        match &mut self.down {
            // Calls that were in flight when it went down say nothing new.
            Some(down) if down.probe_at > now => false,
            Some(down) => {
                down.probes = down.probes.saturating_add(1);
                down.probe_at = now + pause_after(down.probes, random);
                false
            }
            None if self.unanswered >= DOWN_AFTER || self.refused.len() >= DOWN_AFTER => {
                self.down = Some(Down { probes: 0, probe_at: now + pause_after(0, random) });
                true
            }
            None => false,
        }
    }
}

/// The pause after `failures` earlier ones in a row: doubling, at most [`MAX_PAUSE`], shortened by up to a fifth at
/// random, so that many do not knock at the same instant.
pub(super) fn pause_after(failures: u32, random: u128) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(MAX_PAUSE);
    full - full.mul_f64((random % 1000) as f64 / 5000.0)
}

#[cfg(test)]
mod tests {
    use chat::conversation::ConversationId;
    use chat::event::Subject;

    use super::*;

    fn lane(number: usize) -> LaneKey {
        Subject::from(ConversationId::Group(format!("g{number}").as_str().into())).into()
    }

    #[test]
    fn pauses_double_and_stay_below_the_longest() {
        assert_eq!(pause_after(0, 0), Duration::from_secs(1));
        assert_eq!(pause_after(2, 0), Duration::from_secs(4));
        assert_eq!(pause_after(u32::MAX, 0), MAX_PAUSE);
        assert!(pause_after(30, 999) > Duration::from_secs(11) && pause_after(30, 999) < MAX_PAUSE);
    }

    #[test]
    fn one_that_does_not_answer_is_down_and_probed_until_it_accepts() {
        let (mut health, now) = (Health::default(), Instant::now());
        for _ in 1..DOWN_AFTER {
            assert!(!health.unanswered(now, 0));
        }
        assert_eq!(health.allowance(now), Allowance::All);
        assert!(health.unanswered(now, 0));
        assert_eq!(health.allowance(now), Allowance::NoneUntil(now + FIRST_PAUSE));
        // What was in flight does not put the probe off.
        assert!(!health.unanswered(now, 0));
        let probe = now + FIRST_PAUSE;
        assert_eq!(health.allowance(probe), Allowance::Probe);
        assert!(!health.unanswered(probe, 0));
        assert_eq!(health.allowance(probe), Allowance::NoneUntil(probe + 2 * FIRST_PAUSE));
        assert_eq!(health.accepted(), Some(0));
        assert_eq!((health.accepted(), health.allowance(now)), (None, Allowance::All));
    }

    #[test]
    fn refusing_everybody_is_being_down_and_refusing_one_is_not() {
        let (mut health, now) = (Health::default(), Instant::now());
        for _ in 0..100 {
            assert!(!health.refused(&lane(0), now, 0));
        }
        for number in 1..DOWN_AFTER - 1 {
            assert!(!health.refused(&lane(number), now, 0));
        }
        assert!(health.refused(&lane(99), now, 0));
        assert!(health.is_down());
        health.accepted();
        for number in 0..100 {
            assert!(!health.refused(&lane(number), now, 0), "others get through in between");
            health.accepted();
        }
    }

    #[test]
    fn it_is_left_alone_as_long_as_it_asks() {
        let (mut health, now) = (Health::default(), Instant::now());
        let until = now + Duration::from_secs(60);
        health.hold(until);
        health.hold(now + Duration::from_secs(1));
        assert_eq!(health.allowance(now), Allowance::NoneUntil(until));
        assert_eq!(health.allowance(until), Allowance::All);
    }
}
