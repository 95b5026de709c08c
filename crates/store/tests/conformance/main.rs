//! What every store must do, run over every implementation that there is.
//!
//! A case is an async function that is given a new, empty store. It holds the implementation to what the ports
//! [`chat::port::Store`] and [`webhook::ledger::Ledger`] promise, and knows nothing of how it keeps the promise. Cases
//! stand in the file of their noun; the list at its top is what is run.
//!
//! `cargo test -p store --test conformance -- repeats::` runs the cases of one noun, `sqlite::` those of one store. What
//! two nodes do that have one store open is in `nodes.rs`; a store that only one may open shows these cases as ignored.
//!
//! # How to add an implementation
//! Say in [`fresh::Place`] how to open it, and add a line to [`IMPLEMENTATIONS`].

/// Lists async functions as cases, each under its own name.
macro_rules! cases {
    ($($case:ident,)*) => {
        pub(crate) const CASES: &[crate::Case] = &[$(crate::Case {
            name: concat!(module_path!(), "::", stringify!($case)),
            run: |store| Box::pin($case(store)),
        },)*];
    };
}

mod accounts;
mod atomicity;
mod attempts;
mod blocks;
mod conversations;
mod cursors;
mod fixtures;
mod fresh;
mod gaps;
mod groups;
mod head;
mod history;
#[path = "../support/ledger.rs"]
mod ledger;
mod letters;
mod log;
mod members;
mod nodes;
mod odd_ids;
mod parked;
mod pauses;
#[path = "../support/plain.rs"]
mod plain;
mod reopening;
mod repeats;
mod seqs;
mod shards;
mod times;
mod topics;
mod trimming;
mod unread;

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Trial};

use crate::fresh::{Fresh, Place, PostgresPlace, SqlitePlace};

/// Every implementation, and where to make a new store of it.
const IMPLEMENTATIONS: &[(&str, NewPlace)] = &[("sqlite", SqlitePlace::make), ("postgres", PostgresPlace::make)];

/// Every noun's cases.
const NOUNS: &[&[Case]] = &[
    accounts::CASES,
    attempts::CASES,
    atomicity::CASES,
    blocks::CASES,
    conversations::CASES,
    cursors::CASES,
    gaps::CASES,
    groups::CASES,
    head::CASES,
    history::CASES,
    letters::CASES,
    log::CASES,
    members::CASES,
    odd_ids::CASES,
    parked::CASES,
    pauses::CASES,
    reopening::CASES,
    repeats::CASES,
    seqs::CASES,
    shards::CASES,
    times::CASES,
    topics::CASES,
    trimming::CASES,
    unread::CASES,
];

type NewPlace = fn() -> Arc<dyn Place>;

/// One promise that is put to the test.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    run: fn(Fresh) -> Pin<Box<dyn Future<Output = ()>>>,
}

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for (implementation, place) in IMPLEMENTATIONS {
        let name = |case: Case| format!("{implementation}::{}", case.name.trim_start_matches("conformance::"));
        for case in NOUNS.iter().copied().flatten().copied() {
            trials.push(Trial::test(name(case), move || {
                run(case, place());
                Ok(())
            }));
        }
        for case in nodes::CASES.iter().copied() {
            trials.push(Trial::ignorable_test(name(case), move || {
                let place = place();
                if let Err(why) = place.takes_two_nodes() {
                    return Ok(Completion::ignored_with(why));
                }
                run(case, place);
                Ok(Completion::Completed)
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn run(case: Case, place: Arc<dyn Place>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async { (case.run)(Fresh::open(place).await).await });
}
