//! Rows that move as they are. What they are made of, and their SQL, stands in the files of their nouns.

use rusqlite::Connection;
use serde::Serialize;

use crate::postgres::{self, Db};
use crate::shard::Shards;

/// A row in words that both databases understand: ids instead of keys, and no shards.
pub(crate) trait Moves: InSqlite + InPostgres + Serialize + Clone + Send + Sync + 'static {
    /// What these rows are called.
    const NAME: &'static str;

    /// About how much memory one takes, beside a little that each takes.
    fn bytes(&self) -> usize;
}

/// How such a row stands in SQLite.
pub(crate) trait InSqlite: Sized {
    /// Selects all of them, in an order that never changes.
    const ALL: &'static str;

    /// Reads what [`Self::ALL`] selects.
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self>;

    /// Adds it.
    fn add(&self, db: &Connection) -> rusqlite::Result<()>;
}

/// How such a row stands in PostgreSQL.
pub(crate) trait InPostgres: Sized {
    /// Selects all of them, in an order that never changes.
    const ALL: &'static str;

    /// Reads what [`Self::ALL`] selects.
    fn read(row: &tokio_postgres::Row) -> postgres::Result<Self>;

    /// Adds them.
    fn add(db: &Db, shards: Shards, rows: &[Self]) -> impl Future<Output = postgres::Result<()>> + Send;
}
