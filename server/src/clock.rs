//! The real clock and real chance: the only place where they are looked at.

use std::time::{SystemTime, UNIX_EPOCH};

use chat::id::Timestamp;
use chat::port::Clock;

/// The machine's time of day, and the operating system's random bits by way of a seeded generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is given")]
    fn now(&self) -> Timestamp {
        // A clock before 1970 counts backwards from there.
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        Timestamp::from_millis(millis)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the chance that everything else is given")]
    fn random(&self) -> u128 {
        rand::random()
    }
}
