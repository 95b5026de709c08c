//! The callback engine in a simulated world.
//!
//! The engine is the real one. Its time, store, network and receivers are simulated, and a seed decides all that goes
//! wrong: the process dies in the middle of anything, saves are lost or carried out although they seemed to fail, receivers
//! are slow, hang, refuse, break off, the wall clock jumps. Then everything heals, and every endpoint that heals must get
//! what it is owed. [`judge`] says what must hold; [`plan`] says what may happen.
//!
//! A seed stands for one run, exactly. `RINGBACK_SEED=123 cargo test -p webhook --test simulation` runs one and prints
//! what happened; `RINGBACK_SEEDS=1000000` runs more than usual.

mod chance;
mod codec;
mod judge;
mod network;
mod plan;
mod run;
mod store;
mod world;

use std::io::Write;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::judge::Figures;
use crate::run::{Ending, run};
use crate::world::lock;

/// How many seeds are run unless `RINGBACK_SEEDS` says otherwise.
const SEEDS: u64 = 10_000;

/// So many seeds are run twice, to see that a seed decides everything.
const REPEATED: u64 = 200;

/// After so many failed seeds the rest is not worth the time.
const MOST_FAILURES: usize = 8;

#[test]
fn every_promise_holds_whatever_goes_wrong() {
    if let Some(seed) = setting("RINGBACK_SEED") {
        let ending = run(seed, true);
        // Past the harness, which shows what is printed only if a test fails.
        say(&ending.trace);
        assert_eq!(ending.verdict, None, "seed {seed}");
        return;
    }
    let seeds = setting("RINGBACK_SEEDS").unwrap_or(SEEDS);
    let (next, failed, total) = (AtomicU64::new(0), Mutex::new(Vec::new()), Mutex::new(Figures::default()));
    let work = || {
        while lock(&failed).len() < MOST_FAILURES {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            let Ending { verdict, figures, .. } = run(seed, false);
            lock(&total).add(figures);
            if let Some(verdict) = verdict {
                lock(&failed).push((seed, verdict));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    say(&format!("{} seeds: {}\n", next.into_inner().min(seeds), lock(&total)));
    let mut failed = failed.into_inner().unwrap_or_default();
    failed.sort();
    for (seed, verdict) in &failed {
        say(&format!("seed {seed}: {verdict}\n  RINGBACK_SEED={seed} cargo test -p webhook --test simulation\n"));
    }
    assert!(failed.is_empty(), "{} seeds broke a promise", failed.len());
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..REPEATED {
        let (one, other) = (run(seed, true).trace, run(seed, true).trace);
        let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.len(), other.len(), "seed {seed}");
    }
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, and is {text:?}")))
}

fn say(text: &str) {
    // If nobody can be told, the assertion still says it.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
