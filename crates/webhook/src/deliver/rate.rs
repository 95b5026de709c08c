//! At most so many calls a second: a bucket that holds one second's worth.

use std::time::Duration;

use tokio::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    /// Calls that may be made at `at`.
    left: f64,
    at: Instant,
}

impl Rate {
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, left: per_second, at: now }
    }

    /// Takes a call; if there is none to take, says when there will be one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * self.per_second).min(self.per_second);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        // Rounded up, so that there is a whole one then.
        Err(now + Duration::from_secs_f64((1.0 - self.left) / self.per_second) + Duration::from_millis(1))
    }

    /// A call that was taken is not made.
    pub(super) fn give_back(&mut self) {
        self.left += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_so_many_and_no_more() {
        let mut now = Instant::now();
        let mut rate = Rate::new(10, now);
        for _ in 0..10 {
            assert_eq!(rate.take(now), Ok(()));
        }
        let mut taken = 0;
        let end = now + Duration::from_secs(3);
        while now < end {
            match rate.take(now) {
                Ok(()) => taken += 1,
                Err(again) => {
                    assert!(again > now);
                    now = again;
                }
            }
        }
        assert!((27..=30).contains(&taken), "{taken}");
    }
}
