//! The raw limit of a durable send: the same rows put straight into SQLite, in the schema and with
//! the settings that `LIMITS.md` found best, by one thread that does nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::{Result, clock};

/// Rows per transaction; about what a busy group commit gathers.
pub(crate) const BATCH: usize = 128;

pub(crate) struct RawSqlite {
    db: Connection,
    /// The next seq of every conversation.
    next_seq: Vec<i64>,
    body: Vec<u8>,
    random: u64,
    dir: TempDir,
}

/// What inserting some rows took.
pub(crate) struct Inserted {
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
}

impl RawSqlite {
    /// An empty database in a new directory; every row will carry `body`.
    pub(crate) fn create(parent: &Path, conversations: usize, body: Vec<u8>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ringback-bench-raw-").tempdir_in(parent)?;
        let db = Connection::open(dir.path().join("raw.db"))?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE message (position INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL);
             CREATE UNIQUE INDEX message_by_seq ON message (conversation, seq);",
        )?;
        Ok(Self { db, next_seq: vec![1; conversations], body, random: 0x2545_F491_4F6C_DD1D, dir })
    }

    /// Inserts rows into conversations picked at random, a durable commit per batch.
    pub(crate) fn insert(&mut self, rows: usize) -> Result<Inserted> {
        let (start, cpu) = (Instant::now(), clock::this_thread()?);
        let mut left = rows;
        while left > 0 {
            let batch = left.min(BATCH);
            let transaction = self.db.transaction()?;
            let mut insert =
                transaction.prepare_cached("INSERT INTO message (conversation, seq, body) VALUES (?1, ?2, ?3)")?;
            for _ in 0..batch {
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                let conversation = self.random as usize % self.next_seq.len();
                insert.execute((conversation as i64, self.next_seq[conversation], &self.body))?;
                self.next_seq[conversation] += 1;
            }
            drop(insert);
            transaction.commit()?;
            left -= batch;
        }
        Ok(Inserted { elapsed: start.elapsed(), cpu: clock::this_thread()? - cpu })
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.body.len()
    }

    /// Where its files lie.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserts_every_row_durably() {
        let mut raw = RawSqlite::create(&std::env::temp_dir(), 7, vec![b'x'; 100]).unwrap();
        raw.insert(BATCH + 5).unwrap();
        raw.insert(10).unwrap();
        let one = |sql| raw.db.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(one("SELECT count(*) FROM message"), BATCH as i64 + 15);
        assert_eq!(
            one("SELECT sum(n) FROM (SELECT max(seq) AS n FROM message GROUP BY conversation)"),
            BATCH as i64 + 15
        );
        assert_eq!(one("PRAGMA synchronous"), 2, "2 is FULL");
    }
}
