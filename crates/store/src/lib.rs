//! Durable truth: SQLite behind the ports of `chat` and `webhook`.
//!
//! One file per noun holds its SQL; `sqlite.rs` puts them behind the ports; `sqlite/writer.rs` is the one place that
//! commits.
//!
//! # How to add a query
//! Add a method to [`chat::port::Store`] if no existing one fits, its SQL to the noun's file, and its cases (empty,
//! first, last, page edges) to the noun's file of the conformance suite in `tests/conformance`.

mod account;
mod block;
mod conversation;
mod cursor;
mod event;
mod group;
mod member;
pub mod sqlite;
mod topic;

pub use sqlite::Sqlite;

/// Why a store could not be opened, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another ringback process (it holds the lock file beside it)")]
    InUse(String),
    /// The file or its directory cannot be used.
    #[error("cannot open {path}: {why}")]
    Unusable {
        /// The database file.
        path: String,
        /// Why, in words.
        why: String,
    },
    /// It was written by a newer version of Ringback, or its migrations were changed.
    #[error("the database {path} does not fit this version of ringback: {why}")]
    Foreign {
        /// The database file.
        path: String,
        /// Why, in words.
        why: String,
    },
}
