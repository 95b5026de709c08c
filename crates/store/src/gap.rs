//! Gaps: events that were removed although an endpoint was still owed them.

/// So many gaps of an endpoint are kept. Who has more has not listened for long, and the newest say how it is.
const MOST_KEPT: i64 = 1000;

/// In SQLite.
pub(crate) mod lite {
    use chat::event::{Position, Shard};
    use chat::id::Timestamp;
    use rusqlite::{Connection, Result};
    use webhook::ledger::Gap;

    use super::MOST_KEPT;

    /// Notes a gap.
    pub(crate) fn add(db: &Connection, gap: &Gap) -> Result<()> {
        let Gap { endpoint, shard, after, up_to, time } = gap;
        let mut add =
            db.prepare_cached("INSERT INTO gap (endpoint, shard, after, up_to, time) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        add.execute((endpoint, shard.0, after.0, up_to.0, time.millis()))?;
        let mut forget = db.prepare_cached(
            "DELETE FROM gap WHERE endpoint = ?1 AND id <=
                (SELECT id FROM gap WHERE endpoint = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?;
        forget.execute((endpoint, MOST_KEPT))?;
        Ok(())
    }

    /// The gaps of an endpoint, oldest first.
    pub(crate) fn list(db: &Connection, endpoint: &str) -> Result<Vec<Gap>> {
        let mut list = db
            .prepare_cached("SELECT endpoint, shard, after, up_to, time FROM gap WHERE endpoint = ?1 ORDER BY id")?;
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
    use webhook::ledger::Gap;

    use super::MOST_KEPT;
    use crate::postgres::{Db, Result, int, nat};
    use crate::shard::SmallInt;

    /// Notes a gap.
    pub(crate) async fn add(db: &Db, gap: &Gap) -> Result<()> {
        let add = db
            .prepare_cached("INSERT INTO gap (endpoint, shard, after, up_to, time) VALUES ($1, $2, $3, $4, $5)")
            .await?;
        let (shard, after, up_to) = (gap.shard.int(), int(gap.after.0), int(gap.up_to.0));
        db.execute(&add, &[&gap.endpoint, &shard, &after, &up_to, &gap.time.millis()]).await?;
        let forget = db
            .prepare_cached(
                "DELETE FROM gap WHERE endpoint = $1 AND id <=
                    (SELECT id FROM gap WHERE endpoint = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
            )
            .await?;
        db.execute(&forget, &[&gap.endpoint, &MOST_KEPT]).await?;
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
