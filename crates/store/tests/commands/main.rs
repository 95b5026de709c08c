//! The commands of `chat` over each of the real stores, with backends and a clock that do as they are told.
//!
//! They stand here because `chat` knows no store. What a store must do for any command is in the conformance suite.
//!
//! A case is an async function that is given the [`Stage`] of a new app; the list at the top of its file is what is run.
//! `cargo test -p store --test commands -- sending::` runs the cases of one file, `sqlite::` those over one store.

/// Lists async functions as cases, each under its own name.
macro_rules! cases {
    ($($case:ident,)*) => {
        pub(crate) const CASES: &[crate::Case] = &[$(crate::Case {
            name: concat!(module_path!(), "::", stringify!($case)),
            run: |stage| Box::pin($case(stage)),
        },)*];
    };
}

mod asking;
mod conflicts;
mod consent;
mod full;
mod members;
mod parking;
mod reading;
mod repeating;
mod sending;
mod stage;
mod updating;

use std::pin::Pin;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use crate::stage::{Kind, Stage};

/// Every store that the commands are to work over.
const STORES: &[(&str, Kind)] = &[("sqlite", Kind::Sqlite), ("postgres", Kind::Postgres)];

/// Every file's cases.
const CASES: &[&[Case]] = &[
    asking::CASES,
    conflicts::CASES,
    consent::CASES,
    full::CASES,
    members::CASES,
    parking::CASES,
    reading::CASES,
    repeating::CASES,
    sending::CASES,
    updating::CASES,
];

/// What an app relies on.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    run: fn(Stage) -> Pin<Box<dyn Future<Output = ()>>>,
}

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for (store, kind) in STORES {
        for case in CASES.iter().copied().flatten().copied() {
            let name = case.name.trim_start_matches("commands::");
            trials.push(Trial::test(format!("{store}::{name}"), move || {
                run(case, *kind);
                Ok(())
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn run(case: Case, kind: Kind) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async { (case.run)(Stage::new(kind).await).await });
}
