//! Noted times: when the log had come how far.
//!
//! A clock may jump, so the notes of a shard need not be in order. What is asked about them is the largest position noted at a
//! time or before, and the greatest time noted at a position or before. Each row keeps the answers instead of what was noted:
//! the least time noted of its position or a later one, and the greatest of its position or an earlier one. Both only grow
//! with the position, so that either question is one look-up. A shard in which nothing happens has one row.

/// In SQLite.
pub(crate) mod lite {
    use chat::event::{Position, Shard};
    use chat::id::Timestamp;
    use rusqlite::{Connection, OptionalExtension, Result};

    use crate::note::MAX_NOTED;

    /// Notes that it is now so late, and that the log has come so far.
    pub(crate) fn note(db: &Connection, now: Timestamp, heads: &[(Shard, Position)]) -> Result<()> {
        let mut earlier = db.prepare_cached(
            // By the time, of which there are few, and not by the position.
            "UPDATE milestone SET earliest = ?3 WHERE shard = ?1 AND earliest > ?3 AND +position < ?2",
        )?;
        let mut later =
            db.prepare_cached("UPDATE milestone SET latest = ?3 WHERE shard = ?1 AND position > ?2 AND latest < ?3")?;
        let mut this = db.prepare_cached(
            "INSERT INTO milestone (shard, position, earliest, latest) VALUES (?1, ?2,
                min(?3, coalesce((SELECT earliest FROM milestone WHERE shard = ?1 AND position >= ?2
                    ORDER BY position LIMIT 1), ?3)),
                max(?3, coalesce((SELECT latest FROM milestone WHERE shard = ?1 AND position <= ?2
                    ORDER BY position DESC LIMIT 1), ?3)))
             ON CONFLICT (shard, position) DO UPDATE SET earliest = excluded.earliest, latest = excluded.latest",
        )?;
        for (shard, position) in heads {
            let row = (shard.0, position.0, now.millis());
            earlier.execute(row)?;
            later.execute(row)?;
            this.execute(row)?;
        }
        Ok(())
    }

    /// The newest position noted at a time or before.
    pub(crate) fn position_at(db: &Connection, shard: Shard, time: Timestamp) -> Result<Position> {
        let mut find = db.prepare_cached(
            "SELECT position FROM milestone WHERE shard = ?1 AND earliest <= ?2
             ORDER BY earliest DESC, position DESC LIMIT 1",
        )?;
        let position = find.query_row((shard.0, time.millis()), |row| row.get(0).map(Position)).optional()?;
        Ok(position.unwrap_or_default())
    }

    /// The newest time noted of a position or an earlier one.
    pub(crate) fn time_of(db: &Connection, shard: Shard, position: Position) -> Result<Option<Timestamp>> {
        let mut find = db.prepare_cached(
            "SELECT latest FROM milestone WHERE shard = ?1 AND position <= ?2 ORDER BY position DESC LIMIT 1",
        )?;
        // No position is beyond what SQLite can count to.
        let position = i64::try_from(position.0).unwrap_or(i64::MAX);
        find.query_row((shard.0, position), |row| row.get(0).map(Timestamp::from_millis)).optional()
    }

    /// Removes some of the rows of which nothing was noted since a time. Returns how many.
    pub(crate) fn remove(db: &Connection, before: Timestamp) -> Result<usize> {
        let mut shards = db.prepare_cached("SELECT DISTINCT shard FROM milestone")?;
        let mut remove = db.prepare_cached(
            "DELETE FROM milestone WHERE shard = ?1 AND position IN
                (SELECT position FROM
                    (SELECT position, latest FROM milestone WHERE shard = ?1 ORDER BY position LIMIT ?3)
                 WHERE latest < ?2)",
        )?;
        let mut removed = 0;
        for shard in shards.query_map([], |row| row.get::<_, u16>(0))?.collect::<Result<Vec<_>>>()? {
            let limit = (MAX_NOTED - removed) as i64;
            removed += remove.execute((shard, before.millis(), limit))?;
        }
        Ok(removed)
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use std::collections::BTreeMap;

    use chat::event::{Position, Shard};
    use chat::id::Timestamp;

    use crate::note::MAX_NOTED;
    use crate::postgres::{Db, Result, int, nat};
    use crate::shard::SmallInt;

    /// Notes that it is now so late, and that the log has come so far.
    pub(crate) async fn note(db: &Db, now: Timestamp, heads: &[(Shard, Position)]) -> Result<()> {
        // One statement writes a row once.
        let heads: BTreeMap<_, _> = heads.iter().map(|(shard, position)| (shard.int(), int(position.0))).collect();
        let (shards, positions): (Vec<_>, Vec<_>) = heads.into_iter().unzip();
        // Two nodes note one after the other.
        let lock = db.prepare_cached("SELECT pg_advisory_xact_lock($1)").await?;
        let earlier = db
            .prepare_cached(
                "UPDATE milestone m SET earliest = $3 FROM (
                    SELECT at.ctid FROM unnest($1::int2[], $2::int8[]) AS u (shard, position)
                    CROSS JOIN LATERAL (
                        SELECT ctid FROM milestone
                        -- By the time, of which there are few, and not by the position.
                        WHERE shard = u.shard AND earliest > $3 AND position + 0 < u.position OFFSET 0) at) found
                 WHERE m.ctid = found.ctid",
            )
            .await?;
        let later = db
            .prepare_cached(
                "UPDATE milestone m SET latest = $3 FROM (
                    SELECT at.ctid FROM unnest($1::int2[], $2::int8[]) AS u (shard, position)
                    CROSS JOIN LATERAL (
                        SELECT ctid FROM milestone
                        WHERE shard = u.shard AND position > u.position AND latest < $3 OFFSET 0) at) found
                 WHERE m.ctid = found.ctid",
            )
            .await?;
        let this = db
            .prepare_cached(
                "INSERT INTO milestone (shard, position, earliest, latest)
                 SELECT u.shard, u.position,
                    least($3, (SELECT earliest FROM milestone WHERE shard = u.shard AND position >= u.position
                        ORDER BY position LIMIT 1)),
                    greatest($3, (SELECT latest FROM milestone WHERE shard = u.shard AND position <= u.position
                        ORDER BY position DESC LIMIT 1))
                 FROM unnest($1::int2[], $2::int8[]) AS u (shard, position)
                 ON CONFLICT (shard, position) DO UPDATE SET earliest = excluded.earliest, latest = excluded.latest",
            )
            .await?;
        db.execute(&lock, &[&LOCK]).await?;
        let now = now.millis();
        db.execute(&earlier, &[&shards, &positions, &now]).await?;
        db.execute(&later, &[&shards, &positions, &now]).await?;
        db.execute(&this, &[&shards, &positions, &now]).await?;
        Ok(())
    }

    /// Held while times are noted; any number that nobody else uses.
    const LOCK: i64 = 0x0052_696e_6762_6164;

    /// The newest position noted at a time or before.
    pub(crate) async fn position_at(db: &Db, shard: Shard, time: Timestamp) -> Result<Position> {
        let find = db
            .prepare_cached(
                "SELECT position FROM milestone WHERE shard = $1 AND earliest <= $2
                 ORDER BY earliest DESC, position DESC LIMIT 1",
            )
            .await?;
        let row = db.query_opt(&find, &[&shard.int(), &time.millis()]).await?;
        Ok(row.map_or(Position::default(), |row| Position(nat(row.get(0)))))
    }

    /// The newest time noted of a position or an earlier one.
    pub(crate) async fn time_of(db: &Db, shard: Shard, position: Position) -> Result<Option<Timestamp>> {
        let find = db
            .prepare_cached(
                "SELECT latest FROM milestone WHERE shard = $1 AND position <= $2 ORDER BY position DESC LIMIT 1",
            )
            .await?;
        let row = db.query_opt(&find, &[&shard.int(), &int(position.0)]).await?;
        Ok(row.map(|row| Timestamp::from_millis(row.get(0))))
    }

    /// Removes some of the rows of which nothing was noted since a time. Returns how many.
    pub(crate) async fn remove(db: &Db, before: Timestamp) -> Result<usize> {
        let remove = db
            .prepare_cached(
                "DELETE FROM milestone m USING (
                    SELECT old.ctid FROM log_shard s CROSS JOIN LATERAL (
                        SELECT ctid FROM
                            (SELECT ctid, latest FROM milestone WHERE shard = s.shard ORDER BY position LIMIT $2) first
                        WHERE latest < $1) old
                    LIMIT $2) gone
                 WHERE m.ctid = gone.ctid",
            )
            .await?;
        Ok(db.execute(&remove, &[&before.millis(), &int(MAX_NOTED as u64)]).await? as usize)
    }
}
