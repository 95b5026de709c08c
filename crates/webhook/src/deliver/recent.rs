//! The newest calls of an endpoint, in memory: what its figures are made of.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use chat::id::{EventId, Timestamp};

/// So many calls are remembered: 64 KB an endpoint.
const REMEMBERED: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<RecentCall>>);

/// One call about one event.
#[derive(Clone, Debug)]
pub struct RecentCall {
    /// The event.
    pub event: EventId,
    /// The callback command.
    pub command: Cow<'static, str>,
    /// When it began.
    pub time: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// A stable name of what became of it.
    pub outcome: &'static str,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
}

/// What the newest calls say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// How many calls it is said of.
    pub calls: usize,
    /// Which part of them was told, 0 to 1.
    pub success: f64,
    /// Calls a second, from the oldest of them to now.
    pub rate: f64,
    /// Half of them took no longer, in milliseconds.
    pub p50: f64,
    /// 99 of 100 took no longer, in milliseconds.
    pub p99: f64,
}

impl Recent {
    pub(crate) fn note(&self, call: RecentCall) {
        let mut calls = self.lock();
        if calls.len() == REMEMBERED {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    pub(crate) fn of(&self, event: EventId) -> Vec<RecentCall> {
        self.lock().iter().filter(|call| call.event == event).cloned().collect()
    }

    pub(crate) fn figures(&self, now: Timestamp) -> Figures {
        let calls = self.lock();
        let Some(first) = calls.front() else { return Figures::default() };
        let told = calls.iter().filter(|call| call.outcome == "told").count();
        let mut took: Vec<f64> = calls.iter().map(|call| call.took.as_secs_f64() * 1000.0).collect();
        took.sort_by(f64::total_cmp);
        let at = |part: f64| took[((took.len() - 1) as f64 * part).round() as usize];
        let seconds = (now.millis() - first.time.millis()).max(1) as f64 / 1000.0;
        let calls = calls.len();
        let (success, rate) = (told as f64 / calls as f64, calls as f64 / seconds);
        Figures { calls, success, rate, p50: at(0.5), p99: at(0.99) }
    }

    /// A panic while it was held left nothing half done: each change is one push.
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<RecentCall>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_newest_calls() {
        let recent = Recent::default();
        assert_eq!(recent.figures(Timestamp::from_millis(0)), Figures::default());
        for number in 0..2 * REMEMBERED as i64 {
            let (outcome, status) = if number % 4 == 0 { ("bad_status", Some(500)) } else { ("told", Some(200)) };
            let time = Timestamp::from_millis(number);
            let took = Duration::from_millis(number.unsigned_abs());
            let event = EventId::new(time, 0);
            recent.note(RecentCall { event, command: "c".into(), time, took, outcome, status });
        }
        let figures = recent.figures(Timestamp::from_millis(2 * REMEMBERED as i64));
        assert_eq!((figures.calls, figures.success), (REMEMBERED, 0.75));
        assert!((figures.rate - 1000.0).abs() < 1.0 && figures.p50 >= 1535.0 && figures.p99 > 2035.0, "{figures:?}");
        assert!(recent.of(EventId::new(Timestamp::from_millis(5), 0)).is_empty(), "forgotten");
        assert_eq!(recent.of(EventId::new(Timestamp::from_millis(1500), 0)).len(), 1);
    }
}
