//! Durable truth: SQLite and PostgreSQL behind the ports of `chat` and `webhook`.
//!
//! One file per noun holds its SQL, for either database beside each other (`mod lite`, `mod pg`); `sqlite.rs` and
//! `postgres.rs` put them behind the ports. What a commit does is the same for both and stands in `commit.rs`;
//! `sqlite/writer.rs` and `postgres/writer.rs` are the only places that commit.
//!
//! # How to add a query
//! Add a method to [`chat::port::Store`] or [`webhook::ledger::Ledger`] if no existing one fits, its SQL for both to the noun's file, and its cases
//! (empty, first, last, page edges) to the noun's file of the conformance suite in `tests/conformance`.
//!
//! In PostgreSQL, rows by key are looked up with `unnest(keys) CROSS JOIN LATERAL (SELECT … WHERE key OFFSET 0)`, and updated
//! by the `ctid` that such a look-up finds (their shard is locked). Plans are made once, perhaps of an empty table; nothing is left for
//! the planner to turn around.
//!
//! # How to change the schema
//! Add a migration of the next number to `migrations/sqlite` and one of the same number to `migrations/postgres`. Expand
//! first: nodes of the version before go on working while they are replaced. Contract a version later.

mod account;
mod attempt;
mod block;
mod commit;
mod conversation;
mod cursor;
mod dataset;
mod dialect;
mod event;
mod gap;
mod group;
mod letter;
mod member;
pub mod migrate;
mod milestone;
mod note;
mod parked;
mod pause;
pub mod postgres;
mod repeat;
mod shard;
pub mod sqlite;
mod topic;

use async_trait::async_trait;
use chat::Fault;
use chat::port::Store;
use webhook::ledger::Ledger;

pub use postgres::Postgres;
pub use sqlite::Sqlite;

/// A store with everything that a server asks of it.
#[async_trait]
pub trait Durable: Store + Ledger + std::fmt::Debug {
    /// Whether a write gets through now; if not, why, in words for the operator.
    async fn ready(&self) -> Result<(), Fault>;
}

/// Why a store could not be opened, in words for the operator. Where a message names a database by its URL, the password
/// is not in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0}")]
    InUse(String),
    /// It cannot be used: the file or its directory, the server, the database, or what we are allowed to do there.
    #[error("cannot open {place}: {why}")]
    Unusable {
        /// The database file, or the server and database.
        place: String,
        /// Why, in words.
        why: String,
        /// Nothing will change before the operator changes something (a server that is away may come back).
        is_final: bool,
    },
    /// It was written by a newer version of Ringback, its migrations were changed, or it is something else's.
    #[error("the database {place} does not fit this version of ringback: {why}")]
    Foreign {
        /// The database file, or the server and database.
        place: String,
        /// Why, in words.
        why: String,
    },
    /// A migration into it has not ended.
    #[error(
        "the database {place} is not all there: `ringback migrate` has begun to fill it from {origin} and has not ended; \
         run that again, and it goes on where it stopped"
    )]
    Unfinished {
        /// The database file, or the server and database.
        place: String,
        /// Where its data comes from.
        origin: String,
    },
}

impl OpenError {
    pub(crate) fn unfinished(place: &str, dataset: dataset::Dataset) -> Self {
        let origin = dataset.moved.unwrap_or_default().origin;
        Self::Unfinished { place: place.to_owned(), origin }
    }

    /// Whether the operator must act before another try makes sense.
    pub fn is_final(&self) -> bool {
        match self {
            Self::InUse(_) => false,
            Self::Unusable { is_final, .. } => *is_final,
            Self::Foreign { .. } | Self::Unfinished { .. } => true,
        }
    }
}
