//! Gaps: events that were removed although an endpoint was still owed them.

use chat::event::Position;
use webhook::ledger::Trimmed;

/// So many gaps of an endpoint are kept. Who has more has not listened for long, and the newest say how it is.
const MOST_KEPT: i64 = 1000;

/// The endpoints that were told only up to an earlier position than what was removed last.
fn missed(trimmed: Trimmed, let_go: &[(String, Position)]) -> impl Iterator<Item = &(String, Position)> {
    let_go.iter().filter(move |(_, told)| trimmed.events > 0 && *told < trimmed.last)
}

/// In SQLite.
pub(crate) mod lite {
    use chat::event::{Position, Shard};
    use chat::id::Timestamp;
    use rusqlite::{Connection, Result};
    use webhook::ledger::{Gap, Trimmed};

    use super::{MOST_KEPT, missed};

    /// Notes what endpoints have missed of what was removed. A gap that there is already grows.
    pub(crate) fn note(
        db: &Connection,
        shard: Shard,
        trimmed: Trimmed,
        let_go: &[(String, Position)],
        now: Timestamp,
    ) -> Result<()> {
        let mut put = db.prepare_cached(
            "INSERT INTO gap (endpoint, shard, after, up_to, time) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (endpoint, shard, after) DO UPDATE
                SET up_to = max(up_to, excluded.up_to), time = excluded.time",
        )?;
        let mut forget = db.prepare_cached(
            "DELETE FROM gap WHERE endpoint = ?1 AND id <=
                (SELECT id FROM gap WHERE endpoint = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?;
        for (endpoint, told) in missed(trimmed, let_go) {
            put.execute((endpoint, shard.0, told.0, trimmed.last.0, now.millis()))?;
            forget.execute((endpoint, MOST_KEPT))?;
        }
        Ok(())
    }

    /// The gaps of an endpoint, oldest first.
    pub(crate) fn list(db: &Connection, endpoint: &str) -> Result<Vec<Gap>> {
        let mut list =
            db.prepare_cached("SELECT endpoint, shard, after, up_to, time FROM gap WHERE endpoint = ?1 ORDER BY id")?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Gap {
                endpoint: row.get(0)?,
                shard: Shard(row.get(1)?),
                after: Position(row.get(2)?),
                up_to: Position(row.get(3)?),
                time: Timestamp::from_millis(row.get(4)?),
            })
        };
        list.query_map([endpoint], read)?.collect()
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::event::{Position, Shard};
    use chat::id::Timestamp;
    use tokio_postgres::Row;
    use webhook::ledger::{Gap, Trimmed};

    use super::{MOST_KEPT, missed};
    use crate::postgres::{Db, Result, int, nat};
    use crate::shard::SmallInt;

    /// Notes what endpoints have missed of what was removed. A gap that there is already grows.
    pub(crate) async fn note(
        db: &Db,
        shard: Shard,
        trimmed: Trimmed,
        let_go: &[(String, Position)],
        now: Timestamp,
    ) -> Result<()> {
        for (endpoint, told) in missed(trimmed, let_go) {
            let put = db
                .prepare_cached(
                    "INSERT INTO gap AS g (endpoint, shard, after, up_to, time) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (endpoint, shard, after) DO UPDATE
                        SET up_to = greatest(g.up_to, excluded.up_to), time = excluded.time",
                )
                .await?;
            let (after, up_to) = (int(told.0), int(trimmed.last.0));
            db.execute(&put, &[endpoint, &shard.int(), &after, &up_to, &now.millis()]).await?;
            let forget = db
                .prepare_cached(
                    "DELETE FROM gap WHERE endpoint = $1 AND id <=
                        (SELECT id FROM gap WHERE endpoint = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
                )
                .await?;
            db.execute(&forget, &[endpoint, &MOST_KEPT]).await?;
        }
        Ok(())
    }

    /// The gaps of an endpoint, oldest first.
    pub(crate) async fn list(db: &Db, endpoint: &str) -> Result<Vec<Gap>> {
        let list = db
            .prepare_cached("SELECT endpoint, shard, after, up_to, time FROM gap WHERE endpoint = $1 ORDER BY id")
            .await?;
        let read = |row: &Row| Gap {
            endpoint: row.get(0),
            shard: Shard(row.get::<_, i16>(1).cast_unsigned()),
            after: Position(nat(row.get(2))),
            up_to: Position(nat(row.get(3))),
            time: Timestamp::from_millis(row.get(4)),
        };
        Ok(db.query(&list, &[&endpoint]).await?.iter().map(read).collect())
    }
}
