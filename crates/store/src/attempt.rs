//! Attempts: what became of calls, for those who want to know. They are forgotten after a while.

use chat::id::EventId;

/// So many attempts to tell of one event are shown at most: a schedule of days has fewer.
const MOST_SHOWN: i64 = 1000;

/// The columns of an attempt.
const COLUMNS: &str = "endpoint, event, command, time, took, outcome, status, detail";

/// The newest attempts of an event, the oldest of them first. The parameters are the event and how many.
fn newest(parameter: char) -> String {
    format!(
        "SELECT {COLUMNS} FROM
            (SELECT * FROM attempt WHERE event = {parameter}1 ORDER BY time DESC, id DESC LIMIT {parameter}2) newest
         ORDER BY time, id"
    )
}

/// The endpoints that have attempts, by steps from one to the next: there are few, and of each there may be many attempts.
const ENDPOINTS: &str = "WITH RECURSIVE e (endpoint) AS (
        SELECT min(endpoint) FROM attempt
        UNION ALL
        SELECT (SELECT min(a.endpoint) FROM attempt a WHERE a.endpoint > e.endpoint) FROM e
        WHERE e.endpoint IS NOT NULL)
     SELECT endpoint FROM e WHERE endpoint IS NOT NULL";

/// As an event is found by.
fn key(event: EventId) -> String {
    event.to_string()
}

/// In SQLite.
pub(crate) mod lite {
    use chat::id::{EventId, Timestamp};
    use rusqlite::{Connection, OptionalExtension, Result};
    use webhook::ledger::Attempt;

    use super::{ENDPOINTS, MOST_SHOWN, key, newest};
    use crate::note::{AttemptPlace, MAX_NOTED};
    use crate::sqlite::event_id;

    /// Notes attempts.
    pub(crate) fn add(db: &Connection, attempts: &[Attempt]) -> Result<()> {
        let mut add = db.prepare_cached(
            "INSERT INTO attempt (endpoint, event, command, time, took, outcome, status, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for Attempt { endpoint, event, command, time, took, outcome, status, detail } in attempts {
            let took = i64::try_from(*took).unwrap_or(i64::MAX);
            add.execute((endpoint, key(*event), command, time.millis(), took, outcome, status, detail))?;
        }
        Ok(())
    }

    /// The newest attempts to tell of an event, oldest first.
    pub(crate) fn list(db: &Connection, event: EventId) -> Result<Vec<Attempt>> {
        let mut list = db.prepare_cached(&newest('?'))?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Attempt {
                endpoint: row.get(0)?,
                event: event_id(row, 1)?,
                command: row.get(2)?,
                time: Timestamp::from_millis(row.get(3)?),
                took: row.get(4)?,
                outcome: row.get(5)?,
                status: row.get(6)?,
                detail: row.get(7)?,
            })
        };
        list.query_map((key(event), MOST_SHOWN), read)?.collect()
    }

    /// Of each endpoint the newest attempt that is to be forgotten: those before a time, and all but the newest `keep`.
    pub(crate) fn forgettable(db: &Connection, before: Timestamp, keep: u64) -> Result<Vec<(String, AttemptPlace)>> {
        let endpoints: Vec<String> =
            db.prepare_cached(ENDPOINTS)?.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
        let mut old = db.prepare_cached(
            "SELECT time, id FROM attempt WHERE endpoint = ?1 AND time < ?2 ORDER BY time DESC, id DESC LIMIT 1",
        )?;
        let mut surplus = db.prepare_cached(
            "SELECT time, id FROM attempt WHERE endpoint = ?1 ORDER BY time DESC, id DESC LIMIT 1 OFFSET ?2",
        )?;
        let place = |row: &rusqlite::Row<'_>| Ok(AttemptPlace { time: row.get(0)?, id: row.get(1)? });
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        for endpoint in endpoints {
            let old = old.query_row((&endpoint, before.millis()), place).optional()?;
            let surplus = surplus.query_row((&endpoint, keep), place).optional()?;
            found.extend(old.max(surplus).map(|place| (endpoint, place)));
        }
        Ok(found)
    }

    /// Removes some attempts of an endpoint up to one, the oldest first. Returns how many.
    pub(crate) fn remove(db: &Connection, endpoint: &str, up_to: AttemptPlace) -> Result<usize> {
        let mut remove = db.prepare_cached(
            "DELETE FROM attempt WHERE id IN (SELECT id FROM attempt
                WHERE endpoint = ?1 AND (time, id) <= (?2, ?3) ORDER BY time, id LIMIT ?4)",
        )?;
        remove.execute((endpoint, up_to.time, up_to.id, MAX_NOTED as i64))
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::id::{EventId, Timestamp};
    use tokio_postgres::Row;
    use webhook::ledger::Attempt;

    use super::{ENDPOINTS, MOST_SHOWN, key, newest};
    use crate::note::{AttemptPlace, MAX_NOTED};
    use crate::postgres::{Db, Result, event_id, int, nat, plain};

    /// Notes attempts.
    pub(crate) async fn add(db: &Db, attempts: &[Attempt]) -> Result<()> {
        let add = db
            .prepare_cached(
                "INSERT INTO attempt (endpoint, event, command, time, took, outcome, status, detail)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::text[], $7::int4[],
                    $8::text[])",
            )
            .await?;
        let endpoints: Vec<_> = attempts.iter().map(|attempt| attempt.endpoint.as_str()).collect();
        let events: Vec<_> = attempts.iter().map(|attempt| key(attempt.event)).collect();
        let commands: Vec<_> = attempts.iter().map(|attempt| attempt.command.as_str()).collect();
        let times: Vec<_> = attempts.iter().map(|attempt| attempt.time.millis()).collect();
        let took: Vec<_> = attempts.iter().map(|attempt| int(attempt.took)).collect();
        let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
        let statuses: Vec<_> = attempts.iter().map(|attempt| attempt.status.map(i32::from)).collect();
        let details: Vec<_> = attempts.iter().map(|attempt| plain(&attempt.detail)).collect();
        db.execute(&add, &[&endpoints, &events, &commands, &times, &took, &outcomes, &statuses, &details]).await?;
        Ok(())
    }

    /// The newest attempts to tell of an event, oldest first.
    pub(crate) async fn list(db: &Db, event: EventId) -> Result<Vec<Attempt>> {
        let list = db.prepare_cached(&newest('$')).await?;
        let rows = db.query(&list, &[&key(event), &MOST_SHOWN]).await?;
        let read = |row: &Row| {
            Ok(Attempt {
                endpoint: row.get(0),
                event: event_id(row, 1)?,
                command: row.get(2),
                time: Timestamp::from_millis(row.get(3)),
                took: nat(row.get(4)),
                outcome: row.get(5),
                status: row.get::<_, Option<i32>>(6).and_then(|status| u16::try_from(status).ok()),
                detail: row.get(7),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Of each endpoint the newest attempt that is to be forgotten: those before a time, and all but the newest `keep`.
    pub(crate) async fn forgettable(db: &Db, before: Timestamp, keep: u64) -> Result<Vec<(String, AttemptPlace)>> {
        let endpoints = db.prepare_cached(ENDPOINTS).await?;
        let old = db
            .prepare_cached(
                "SELECT time, id FROM attempt WHERE endpoint = $1 AND time < $2 ORDER BY time DESC, id DESC LIMIT 1",
            )
            .await?;
        let surplus = db
            .prepare_cached(
                "SELECT time, id FROM attempt WHERE endpoint = $1 ORDER BY time DESC, id DESC LIMIT 1 OFFSET $2",
            )
            .await?;
        let place = |row: Row| AttemptPlace { time: row.get(0), id: row.get(1) };
        let mut found = Vec::new();
        for row in db.query(&endpoints, &[]).await? {
            let endpoint: String = row.get(0);
            let old = db.query_opt(&old, &[&endpoint, &before.millis()]).await?.map(place);
            let surplus = db.query_opt(&surplus, &[&endpoint, &int(keep)]).await?.map(place);
            found.extend(old.max(surplus).map(|place| (endpoint, place)));
        }
        Ok(found)
    }

    /// Removes some attempts of an endpoint up to one, the oldest first. Returns how many.
    pub(crate) async fn remove(db: &Db, endpoint: &str, up_to: AttemptPlace) -> Result<usize> {
        let remove = db
            .prepare_cached(
                "DELETE FROM attempt a USING (
                    SELECT ctid FROM attempt WHERE endpoint = $1 AND (time, id) <= ($2, $3)
                    ORDER BY time, id LIMIT $4) old
                 WHERE a.ctid = old.ctid",
            )
            .await?;
        let limit = int(MAX_NOTED as u64);
        Ok(db.execute(&remove, &[&endpoint, &up_to.time, &up_to.id, &limit]).await? as usize)
    }
}
