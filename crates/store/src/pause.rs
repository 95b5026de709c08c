//! Endpoints that are not called, and why.

use chat::id::Timestamp;
use serde::Serialize;
use webhook::ledger::{Pause, PauseReason};

use crate::migrate::Moves;

/// A pause, as it moves.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PauseRow {
    endpoint: String,
    #[serde(flatten)]
    pause: Pause,
}

impl Moves for PauseRow {
    const NAME: &'static str = "pauses";

    fn bytes(&self) -> usize {
        self.pause.detail.len()
    }
}

/// The reason of a stable name.
fn reason(name: &str) -> Option<PauseReason> {
    let all = [PauseReason::Operator, PauseReason::Gone, PauseReason::TooFarBehind, PauseReason::TooManyDead];
    all.into_iter().find(|reason| reason.name() == name)
}

/// A pause as both databases have it. A reason that is none of ours was written by a newer version: whoever paused it then,
/// it is the operator who has it go on.
fn pause(name: &str, detail: String, since: i64) -> Pause {
    Pause { reason: reason(name).unwrap_or(PauseReason::Operator), detail, since: Timestamp::from_millis(since) }
}

/// In SQLite.
pub(crate) mod lite {
    use rusqlite::{Connection, OptionalExtension, Result, Row};
    use webhook::ledger::Pause;

    use super::{PauseRow, pause};
    use crate::migrate::InSqlite;

    /// Whether an endpoint is paused.
    pub(crate) fn find(db: &Connection, endpoint: &str) -> Result<Option<Pause>> {
        let mut find = db.prepare_cached("SELECT endpoint, reason, detail, since FROM pause WHERE endpoint = ?1")?;
        Ok(find.query_row([endpoint], PauseRow::read).optional()?.map(|row| row.pause))
    }

    /// Pauses an endpoint, or has it go on.
    pub(crate) fn set(db: &Connection, endpoint: &str, pause: Option<&Pause>) -> Result<()> {
        let Some(pause) = pause else {
            db.prepare_cached("DELETE FROM pause WHERE endpoint = ?1")?.execute([endpoint])?;
            return Ok(());
        };
        let mut put = db
            .prepare_cached("INSERT OR REPLACE INTO pause (endpoint, reason, detail, since) VALUES (?1, ?2, ?3, ?4)")?;
        put.execute((endpoint, pause.reason.name(), &pause.detail, pause.since.millis()))?;
        Ok(())
    }

    impl InSqlite for PauseRow {
        const ALL: &'static str = "SELECT endpoint, reason, detail, since FROM pause ORDER BY endpoint";

        fn read(row: &Row<'_>) -> Result<Self> {
            let reason: String = row.get(1)?;
            Ok(Self { endpoint: row.get(0)?, pause: pause(&reason, row.get(2)?, row.get(3)?) })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            set(db, &self.endpoint, Some(&self.pause))
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use tokio_postgres::Row;
    use webhook::ledger::Pause;

    use super::{PauseRow, pause};
    use crate::migrate::InPostgres;
    use crate::postgres::{Db, Result, plain};
    use crate::shard::Shards;

    /// Whether an endpoint is paused.
    pub(crate) async fn find(db: &Db, endpoint: &str) -> Result<Option<Pause>> {
        let find = db.prepare_cached("SELECT endpoint, reason, detail, since FROM pause WHERE endpoint = $1").await?;
        let row = db.query_opt(&find, &[&endpoint]).await?;
        Ok(row.as_ref().map(PauseRow::read).transpose()?.map(|row| row.pause))
    }

    /// Pauses an endpoint, or has it go on.
    pub(crate) async fn set(db: &Db, endpoint: &str, pause: Option<&Pause>) -> Result<()> {
        let Some(pause) = pause else {
            let remove = db.prepare_cached("DELETE FROM pause WHERE endpoint = $1").await?;
            db.execute(&remove, &[&endpoint]).await?;
            return Ok(());
        };
        let put = db
            .prepare_cached(
                "INSERT INTO pause (endpoint, reason, detail, since) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (endpoint) DO UPDATE SET reason = excluded.reason, detail = excluded.detail,
                    since = excluded.since",
            )
            .await?;
        let (reason, detail) = (pause.reason.name(), plain(&pause.detail));
        db.execute(&put, &[&endpoint, &reason, &detail, &pause.since.millis()]).await?;
        Ok(())
    }

    impl InPostgres for PauseRow {
        const ALL: &'static str = "SELECT endpoint, reason, detail, since FROM pause ORDER BY endpoint";

        fn read(row: &Row) -> Result<Self> {
            Ok(Self { endpoint: row.get(0), pause: pause(row.get(1), row.get(2), row.get(3)) })
        }

        async fn add(db: &Db, _: Shards, rows: &[Self]) -> Result<()> {
            for row in rows {
                set(db, &row.endpoint, Some(&row.pause)).await?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_as_it_was_written() {
        use PauseReason::{Gone, Operator, TooFarBehind, TooManyDead};
        for written in [Operator, Gone, TooFarBehind, TooManyDead] {
            assert_eq!(pause(written.name(), String::new(), 0).reason, written);
        }
        assert_eq!(pause("of a newer version", String::new(), 0).reason, Operator);
    }
}
