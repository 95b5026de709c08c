//! Noted times: when the log had come just so far.
//!
//! A clock may jump, so the times of a shard's notes need not grow with their positions. What is asked about them is the
//! largest position with a time that is not later than one, and the greatest time of a position that is not larger than one.
//! Each row has what answers that: the least time of its position and all later ones, and the greatest of its position and
//! all earlier ones. Both only grow with the position, so either question is one look-up. While the clock runs forward, a
//! note changes no other row.

/// What is known of a shard before a note at a position.
#[derive(Clone, Copy, Debug, Default)]
struct Around {
    /// The time of that position, if it was noted before.
    time: Option<i64>,
    /// The least time of later ones.
    earliest_after: Option<i64>,
    /// The greatest time of earlier ones.
    latest_before: Option<i64>,
}

/// The row of the note.
#[derive(Clone, Copy, Debug)]
struct Noted {
    time: i64,
    earliest: i64,
    latest: i64,
    /// Rows of earlier positions with an `earliest` from here on have it from this row, or get it from there.
    suspect: i64,
}

impl Around {
    /// None if there is nothing new.
    fn note(self, now: i64) -> Option<Noted> {
        if self.time.is_some_and(|time| time >= now) {
            return None;
        }
        let earliest = now.min(self.earliest_after.unwrap_or(i64::MAX));
        let latest = now.max(self.latest_before.unwrap_or(i64::MIN));
        let suspect = earliest.min(self.time.unwrap_or(i64::MAX));
        Some(Noted { time: now, earliest, latest, suspect })
    }
}

/// In SQLite.
pub(crate) mod lite {
    use chat::event::{Position, Shard};
    use chat::id::Timestamp;
    use rusqlite::{Connection, OptionalExtension, Result};

    use super::{Around, Noted};
    use crate::note::MAX_NOTED;

    /// Notes that it is now so late, and that the log has come so far.
    pub(crate) fn note(db: &Connection, now: Timestamp, heads: &[(Shard, Position)]) -> Result<()> {
        let mut look = db.prepare_cached(
            "SELECT (SELECT time FROM milestone WHERE shard = ?1 AND position = ?2),
                (SELECT earliest FROM milestone WHERE shard = ?1 AND position > ?2 ORDER BY position LIMIT 1),
                (SELECT latest FROM milestone WHERE shard = ?1 AND position < ?2 ORDER BY position DESC LIMIT 1)",
        )?;
        let mut put = db.prepare_cached(
            "INSERT OR REPLACE INTO milestone (shard, position, time, earliest, latest) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        // By the time, of which there are few, and not by the position.
        let mut earlier = db.prepare_cached(
            "UPDATE milestone SET earliest = min(least.time, ?4) FROM
                (SELECT position, min(time) OVER (ORDER BY position DESC) AS time
                 FROM milestone INDEXED BY milestone_by_time
                 WHERE shard = ?1 AND earliest >= ?3 AND +position < ?2) least
             WHERE milestone.shard = ?1 AND milestone.position = least.position",
        )?;
        let mut later =
            db.prepare_cached("UPDATE milestone SET latest = ?3 WHERE shard = ?1 AND position > ?2 AND latest < ?3")?;
        for (shard, position) in heads {
            let place = (shard.0, position.0);
            let around = look.query_row(place, |row| {
                Ok(Around { time: row.get(0)?, earliest_after: row.get(1)?, latest_before: row.get(2)? })
            })?;
            let Some(Noted { time, earliest, latest, suspect }) = around.note(now.millis()) else { continue };
            put.execute((place.0, place.1, time, earliest, latest))?;
            earlier.execute((place.0, place.1, suspect, earliest))?;
            later.execute((place.0, place.1, time))?;
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

    /// The latest time noted of a position or an earlier one; if there is none, that of the first position that was noted.
    pub(crate) fn time_of(db: &Connection, shard: Shard, position: Position) -> Result<Option<Timestamp>> {
        let mut find = db.prepare_cached(
            "SELECT coalesce(
                (SELECT latest FROM milestone WHERE shard = ?1 AND position <= ?2 ORDER BY position DESC LIMIT 1),
                (SELECT time FROM milestone WHERE shard = ?1 ORDER BY position LIMIT 1))",
        )?;
        // No position is beyond what SQLite can count to.
        let position = i64::try_from(position.0).unwrap_or(i64::MAX);
        find.query_row((shard.0, position), |row| Ok(row.get::<_, Option<i64>>(0)?.map(Timestamp::from_millis)))
    }

    /// Removes some of the notes of before a time, but not the last of them in each shard. Returns how many.
    pub(crate) fn remove(db: &Connection, before: Timestamp) -> Result<usize> {
        let before = before.millis();
        // By steps from one to the next: of each there are many rows.
        let mut shards = db.prepare_cached(
            "WITH RECURSIVE s (shard) AS (
                SELECT min(shard) FROM milestone
                UNION ALL
                SELECT (SELECT min(m.shard) FROM milestone m WHERE m.shard > s.shard) FROM s WHERE s.shard IS NOT NULL)
             SELECT shard FROM s WHERE shard IS NOT NULL",
        )?;
        // No time is before the least one.
        let mut remove = db.prepare_cached(
            "DELETE FROM milestone WHERE shard = ?1 AND position IN
                (SELECT position FROM milestone
                 WHERE shard = ?1 AND earliest < ?2 AND time < ?2
                    AND position < (SELECT position FROM milestone WHERE shard = ?1 AND earliest < ?2
                        ORDER BY earliest DESC, position DESC LIMIT 1)
                 ORDER BY earliest, position LIMIT ?3)",
        )?;
        let mut earlier = db.prepare_cached(
            "UPDATE milestone SET earliest = least.time FROM
                (SELECT position, min(time) OVER (ORDER BY position DESC) AS time FROM
                    (SELECT position, time FROM milestone INDEXED BY milestone_by_time
                     WHERE shard = ?1 AND earliest < ?2
                     UNION ALL
                     SELECT * FROM (SELECT position, earliest FROM milestone WHERE shard = ?1 AND earliest >= ?2
                        ORDER BY earliest, position LIMIT 1))) least
             WHERE milestone.shard = ?1 AND milestone.position = least.position",
        )?;
        let mut removed = 0;
        for shard in shards.query_map([], |row| row.get::<_, u16>(0))?.collect::<Result<Vec<_>>>()? {
            let here = remove.execute((shard, before, (MAX_NOTED - removed) as i64))?;
            if here > 0 {
                earlier.execute((shard, before))?;
            }
            removed += here;
        }
        Ok(removed)
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use std::collections::BTreeMap;

    use chat::event::{Position, Shard};
    use chat::id::Timestamp;

    use super::{Around, Noted};
    use crate::note::MAX_NOTED;
    use crate::postgres::{Db, Result, int, nat, place};
    use crate::shard::SmallInt;

    /// Held while times are noted or forgotten, because a row follows from others; any number that nobody else uses.
    const LOCK: i64 = 0x0052_696e_6762_6164;

    async fn lock(db: &Db) -> Result<()> {
        let lock = db.prepare_cached("SELECT pg_advisory_xact_lock($1)").await?;
        db.execute(&lock, &[&LOCK]).await?;
        Ok(())
    }

    /// Notes that it is now so late, and that the log has come so far.
    pub(crate) async fn note(db: &Db, now: Timestamp, heads: &[(Shard, Position)]) -> Result<()> {
        let heads: BTreeMap<_, _> = heads.iter().map(|(shard, position)| (shard.int(), int(position.0))).collect();
        let heads: Vec<_> = heads.into_iter().collect();
        lock(db).await?;
        let look = db
            .prepare_cached(
                "SELECT u.n, (SELECT time FROM milestone WHERE shard = u.shard AND position = u.position),
                    (SELECT earliest FROM milestone WHERE shard = u.shard AND position > u.position
                        ORDER BY position LIMIT 1),
                    (SELECT latest FROM milestone WHERE shard = u.shard AND position < u.position
                        ORDER BY position DESC LIMIT 1)
                 FROM unnest($1::int2[], $2::int8[]) WITH ORDINALITY AS u (shard, position, n)",
            )
            .await?;
        let (shards, positions): (Vec<_>, Vec<_>) = heads.iter().copied().unzip();
        let rows = db.query(&look, &[&shards, &positions]).await?;
        let noted = rows.iter().filter_map(|row| {
            let around = Around { time: row.get(1), earliest_after: row.get(2), latest_before: row.get(3) };
            Some((heads[place(row, 0)], around.note(now.millis())?))
        });
        let noted: Vec<_> = noted.collect();
        if noted.is_empty() {
            return Ok(());
        }
        let (places, rows): (Vec<(i16, i64)>, Vec<Noted>) = noted.into_iter().unzip();
        let (shards, positions): (Vec<_>, Vec<_>) = places.into_iter().unzip();
        let times: Vec<_> = rows.iter().map(|row| row.time).collect();
        let earliest: Vec<_> = rows.iter().map(|row| row.earliest).collect();
        let latest: Vec<_> = rows.iter().map(|row| row.latest).collect();
        let suspects: Vec<_> = rows.iter().map(|row| row.suspect).collect();
        let put = db
            .prepare_cached(
                "INSERT INTO milestone (shard, position, time, earliest, latest)
                 SELECT * FROM unnest($1::int2[], $2::int8[], $3::int8[], $4::int8[], $5::int8[])
                 ON CONFLICT (shard, position) DO UPDATE
                    SET time = excluded.time, earliest = excluded.earliest, latest = excluded.latest",
            )
            .await?;
        db.execute(&put, &[&shards, &positions, &times, &earliest, &latest]).await?;
        let earlier = db
            .prepare_cached(
                "UPDATE milestone m SET earliest = found.earliest FROM (
                    SELECT at.ctid, least(at.time, u.earliest) AS earliest
                    FROM unnest($1::int2[], $2::int8[], $3::int8[], $4::int8[]) AS u (shard, position, suspect, earliest)
                    CROSS JOIN LATERAL (
                        SELECT ctid, min(time) OVER (ORDER BY position DESC) AS time FROM (
                            SELECT ctid, position, time FROM milestone
                            -- By the time, of which there are few, and not by the position.
                            WHERE shard = u.shard AND earliest >= u.suspect AND position + 0 < u.position
                            ORDER BY shard, earliest, position OFFSET 0) few
                        OFFSET 0) at) found
                 WHERE m.ctid = found.ctid",
            )
            .await?;
        db.execute(&earlier, &[&shards, &positions, &suspects, &earliest]).await?;
        let later = db
            .prepare_cached(
                "UPDATE milestone m SET latest = found.latest FROM (
                    SELECT at.ctid, u.time AS latest
                    FROM unnest($1::int2[], $2::int8[], $3::int8[]) AS u (shard, position, time)
                    CROSS JOIN LATERAL (
                        SELECT ctid FROM milestone
                        WHERE shard = u.shard AND position > u.position AND latest < u.time OFFSET 0) at) found
                 WHERE m.ctid = found.ctid",
            )
            .await?;
        db.execute(&later, &[&shards, &positions, &times]).await?;
        Ok(())
    }

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

    /// The latest time noted of a position or an earlier one; if there is none, that of the first position that was noted.
    pub(crate) async fn time_of(db: &Db, shard: Shard, position: Position) -> Result<Option<Timestamp>> {
        let find = db
            .prepare_cached(
                "SELECT coalesce(
                    (SELECT latest FROM milestone WHERE shard = $1 AND position <= $2 ORDER BY position DESC LIMIT 1),
                    (SELECT time FROM milestone WHERE shard = $1 ORDER BY position LIMIT 1))",
            )
            .await?;
        let row = db.query_opt(&find, &[&shard.int(), &int(position.0)]).await?;
        Ok(row.and_then(|row| row.get::<_, Option<i64>>(0)).map(Timestamp::from_millis))
    }

    /// Removes some of the notes of before a time, but not the last of them in each shard. Returns how many.
    pub(crate) async fn remove(db: &Db, before: Timestamp) -> Result<usize> {
        lock(db).await?;
        // No time is before the least one.
        let remove = db
            .prepare_cached(
                "DELETE FROM milestone m USING (
                    SELECT old.ctid FROM log_shard s CROSS JOIN LATERAL (
                        SELECT ctid FROM milestone WHERE shard = s.shard AND earliest < $1 AND time < $1
                            AND position < (SELECT position FROM milestone WHERE shard = s.shard AND earliest < $1
                                ORDER BY earliest DESC, position DESC LIMIT 1)
                        ORDER BY earliest, position LIMIT $2) old
                    LIMIT $2) gone
                 WHERE m.ctid = gone.ctid",
            )
            .await?;
        let before = before.millis();
        let removed = db.execute(&remove, &[&before, &int(MAX_NOTED as u64)]).await? as usize;
        if removed > 0 {
            let earlier = db
                .prepare_cached(
                    "UPDATE milestone m SET earliest = found.earliest FROM (
                        SELECT at.ctid, least(at.time, next.earliest) AS earliest
                        FROM log_shard s
                        LEFT JOIN LATERAL (
                            SELECT earliest FROM milestone WHERE shard = s.shard AND earliest >= $1
                            ORDER BY earliest, position LIMIT 1) next ON true
                        CROSS JOIN LATERAL (
                            SELECT ctid, min(time) OVER (ORDER BY position DESC) AS time FROM (
                                SELECT ctid, position, time FROM milestone WHERE shard = s.shard AND earliest < $1
                                ORDER BY shard, earliest, position OFFSET 0) few
                            OFFSET 0) at) found
                     WHERE m.ctid = found.ctid",
                )
                .await?;
            db.execute(&earlier, &[&before]).await?;
        }
        Ok(removed)
    }
}
