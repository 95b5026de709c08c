//! Chance, of which all is decided by a seed.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// What chance decides about. Each has a stream of its own, so that a change of one leaves the others' luck alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Plan,
    Process,
    Store,
    Network,
    Clock,
}

/// A stream of chance.
#[derive(Debug)]
pub(crate) struct Chance(StdRng);

impl Chance {
    pub(crate) fn new(seed: u64, stream: Stream) -> Self {
        Self(StdRng::seed_from_u64(seed.wrapping_mul(8).wrapping_add(stream as u64)))
    }

    /// True in so many of a thousand cases.
    pub(crate) fn per_mille(&mut self, share: u32) -> bool {
        share > 0 && self.0.random_range(0..1000) < share
    }

    pub(crate) fn from(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.random_range(range)
    }

    pub(crate) fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.from(range))
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.random_range(0..choices.len())]
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.0.random_range(0..length)
    }

    pub(crate) fn bits(&mut self) -> u128 {
        u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64())
    }
}
