//! When an event that an endpoint refuses is tried again, and when it is given up.

use std::time::Duration;

use chat::id::Timestamp;

/// The waits before each attempt: the first is made at once, and after the last the event is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

/// At most so many attempts: at the default's last pause of a day each, two months.
pub const MAX_ATTEMPTS: usize = 64;

/// A wait is made longer by up to this part, at random, so that events that failed together do not knock together again.
const JITTER: f64 = 0.1;

impl Schedule {
    /// From the waits before each attempt, the first of which is 0.
    pub fn new(waits: Vec<Duration>) -> Result<Self, &'static str> {
        match waits.first() {
            None => Err("is empty: there would be no attempt at all"),
            Some(first) if !first.is_zero() => Err("does not begin with 0s: the first attempt is made at once"),
            _ if waits.len() > MAX_ATTEMPTS => Err("has more than 64 attempts"),
            _ => Ok(Self(waits)),
        }
    }

    /// How many attempts there are.
    pub fn attempts(&self) -> usize {
        self.0.len()
    }

    /// From the first attempt to the last, at least.
    pub fn span(&self) -> Duration {
        self.0.iter().sum()
    }

    /// The longest wait.
    pub fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default().mul_f64(1.0 + JITTER)
    }

    /// The wait after so many attempts; none if that was the last. `random`: any bits.
    pub fn wait_after(&self, attempts: u32, random: u128) -> Option<Duration> {
        let wait = self.0.get(attempts as usize)?;
        Some(wait.mul_f64(1.0 + JITTER * (random % 1000) as f64 / 1000.0))
    }
}

/// A time of day, and so much later.
pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(time.millis().saturating_add(millis))
}

impl Default for Schedule {
    /// That of the Standard Webhooks specification: ten attempts over three days.
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let waits = [0, 5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
        Self(waits.into_iter().map(Duration::from_secs).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_those_of_the_schedule_and_then_it_is_spent() {
        let schedule = Schedule::default();
        assert_eq!((schedule.attempts(), schedule.span().as_secs()), (10, 5 + 2100 + 75 * 3600));
        assert_eq!(schedule.wait_after(1, 0), Some(Duration::from_secs(5)));
        let longest = schedule.wait_after(9, 999).unwrap();
        assert!(longest > Duration::from_secs(26 * 3600) && longest < Duration::from_secs(27 * 3600), "{longest:?}");
        assert_eq!(schedule.wait_after(10, 0), None);
        assert_eq!(schedule.wait_after(u32::MAX, 0), None);
    }

    #[test]
    fn a_schedule_begins_at_once() {
        assert!(Schedule::new(Vec::new()).is_err());
        assert!(Schedule::new(vec![Duration::from_secs(1)]).is_err());
        assert!(Schedule::new(vec![Duration::ZERO; 65]).is_err());
        assert_eq!(Schedule::new(vec![Duration::ZERO]).unwrap().wait_after(1, 0), None);
    }
}
