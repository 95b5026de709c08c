//! Messages that wait for a verdict, and what was decided about them.

use chat::event::Shard;
use chat::id::MessageId;
use chat::message::park::{Parked, ParkedQuery};
use serde::Serialize;

use crate::dialect::Dialect;
use crate::migrate::Moves;
use crate::repeat;

/// As it moves: what it says is the same in all databases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ParkedRow(Parked);

impl Moves for ParkedRow {
    const NAME: &'static str = "parked messages";

    fn bytes(&self) -> usize {
        // About three times what its elements take: there is nothing else that is long.
        self.0.message.elements.iter().map(|element| element.readable().len()).sum::<usize>() * 3 + 1024
    }
}

/// What of it stands in columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) state: i16,
    pub(crate) at: i64,
    pub(crate) round: u32,
    pub(crate) repeat: Option<i64>,
}

const WAITS: i16 = 0;
const DECIDED: i16 = 1;

impl Columns {
    pub(crate) fn of(parked: &Parked) -> Self {
        let Parked { message, repeat: key, until, round, decision, .. } = parked;
        let (state, at) = match decision {
            None => (WAITS, *until),
            Some(decision) => (DECIDED, decision.time),
        };
        let repeat = key.as_ref().map(|key| repeat::of(message, key).hash);
        Self { state, at: at.millis(), round: *round, repeat }
    }

    pub(crate) fn waits(self) -> bool {
        self.state == WAITS
    }
}

/// A message as a commit sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) waits: bool,
    pub(crate) round: u32,
}

/// A value of a statement's parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Number(i64),
    Text(String),
}

/// A page: its statement, and the values of its parameters.
fn page(query: ParkedQuery, dialect: Dialect) -> (String, Vec<Value>) {
    let (conditions, mut values, limit) = match query {
        ParkedQuery::Waiting { after, limit } => {
            let after = after.map_or_else(String::new, |id| id.to_string());
            ("state = 0 AND id > #1 ORDER BY state, id LIMIT #2", vec![Value::Text(after)], limit)
        }
        ParkedQuery::Overdue { now, after, limit } => {
            let (time, id) =
                after.map_or((i64::MIN, String::new()), |after| (after.time.millis(), after.id.to_string()));
            (
                "state = 0 AND at <= #1 AND (at, id) > (#2, #3) ORDER BY state, at, id LIMIT #4",
                vec![Value::Number(now.millis()), Value::Number(time), Value::Text(id)],
                limit,
            )
        }
        ParkedQuery::Decided { up_to, limit } => {
            ("state = 1 AND at <= #1 ORDER BY state, at, id LIMIT #2", vec![Value::Number(up_to.millis())], limit)
        }
    };
    values.push(Value::Number(i64::try_from(limit).unwrap_or(i64::MAX)));
    (format!("SELECT data FROM parked WHERE {}", dialect.marked(conditions)), values)
}

/// Where a commit looks for a message.
pub(crate) type Place = (Shard, MessageId);

/// In SQLite.
pub(crate) mod lite {
    use chat::id::MessageId;
    use chat::message::park::{Parked, ParkedCount, ParkedQuery};
    use rusqlite::types::{ToSql, ToSqlOutput};
    use rusqlite::{Connection, OptionalExtension, Result, Row, params_from_iter};

    use super::{Columns, Dialect, ParkedRow, Standing, Value, WAITS, page};
    use crate::migrate::InSqlite;
    use crate::repeat::Repeat;
    use crate::sqlite::{from_json, to_json};

    /// One message.
    pub(crate) fn find(db: &Connection, id: MessageId) -> Result<Option<Parked>> {
        let mut find = db.prepare_cached("SELECT data FROM parked WHERE id = ?1")?;
        find.query_row([id.to_string()], |row| from_json(row, 0)).optional()
    }

    /// How it stands with one.
    pub(crate) fn standing(db: &Connection, id: MessageId) -> Result<Option<Standing>> {
        let mut find = db.prepare_cached("SELECT state, round FROM parked WHERE id = ?1")?;
        let read = |row: &Row<'_>| Ok(Standing { waits: row.get::<_, i16>(0)? == WAITS, round: row.get(1)? });
        find.query_row([id.to_string()], read).optional()
    }

    /// Whether one of this repeat key waits.
    pub(crate) fn waits(db: &Connection, repeat: &Repeat) -> Result<bool> {
        db.prepare_cached("SELECT 1 FROM parked WHERE repeat = ?1 AND state = 0")?.exists([repeat.hash])
    }

    /// Those of this repeat key that wait or were decided within its window, what waits first, then the newest.
    pub(crate) fn repeated(db: &Connection, repeat: &Repeat) -> Result<Vec<Parked>> {
        let mut find = db.prepare_cached(
            "SELECT data FROM parked WHERE repeat = ?1 AND (state = 0 OR at >= ?2) ORDER BY state, at DESC LIMIT 8",
        )?;
        find.query_map((repeat.hash, repeat.earliest), |row| from_json(row, 0))?.collect()
    }

    /// A page of messages.
    pub(crate) fn list(db: &Connection, query: ParkedQuery) -> Result<Vec<Parked>> {
        let (sql, values) = page(query, Dialect::SQLITE);
        db.prepare_cached(&sql)?.query_map(params_from_iter(values), |row| from_json(row, 0))?.collect()
    }

    /// How many there are.
    pub(crate) fn count(db: &Connection) -> Result<ParkedCount> {
        let mut count = db.prepare_cached(
            "SELECT (SELECT count(*) FROM parked WHERE state = 0), (SELECT count(*) FROM parked WHERE state = 1)",
        )?;
        count.query_row([], |row| Ok(ParkedCount { waiting: row.get(0)?, decided: row.get(1)? }))
    }

    /// Stores a message; what is there by its id is replaced.
    pub(crate) fn put(db: &Connection, parked: &Parked, data: &str) -> Result<()> {
        let Columns { state, at, round, repeat } = Columns::of(parked);
        let mut put = db.prepare_cached(
            "INSERT OR REPLACE INTO parked (id, state, at, round, repeat, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        put.execute((parked.message.id.to_string(), state, at, round, repeat, data))?;
        Ok(())
    }

    /// Forgets a message that was decided.
    pub(crate) fn forget(db: &Connection, id: MessageId) -> Result<()> {
        db.prepare_cached("DELETE FROM parked WHERE id = ?1 AND state = 1")?.execute([id.to_string()])?;
        Ok(())
    }

    impl ToSql for Value {
        fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
            match self {
                Self::Number(number) => number.to_sql(),
                Self::Text(text) => text.to_sql(),
            }
        }
    }

    impl InSqlite for ParkedRow {
        const ALL: &'static str = "SELECT data FROM parked ORDER BY id";

        fn read(row: &Row<'_>) -> Result<Self> {
            from_json(row, 0).map(Self)
        }

        fn add(&self, db: &Connection) -> Result<()> {
            put(db, &self.0, &to_json(&self.0)?)
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::event::Shard;
    use chat::id::MessageId;
    use chat::message::park::{Parked, ParkedCount, ParkedQuery};
    use tokio_postgres::Row;
    use tokio_postgres::types::ToSql;

    use super::{Columns, Dialect, ParkedRow, Place, Standing, Value, WAITS, page};
    use crate::migrate::InPostgres;
    use crate::postgres::{Db, Error, Result, from_json, nat, place, to_json};
    use crate::repeat::Repeat;
    use crate::shard::{Shards, SmallInt};

    /// One message.
    pub(crate) async fn find(db: &Db, id: MessageId) -> Result<Option<Parked>> {
        let find = db.prepare_cached("SELECT data FROM parked WHERE id = $1").await?;
        let row = db.query_opt(&find, &[&id.to_string()]).await?;
        row.map(|row| from_json(&row, 0)).transpose()
    }

    /// How it stands with messages, each with its place among those asked for.
    pub(crate) async fn standings(db: &Db, places: &[Place]) -> Result<Vec<(usize, Standing)>> {
        let find = db
            .prepare_cached(
                "SELECT u.n, p.state, p.round
                 FROM unnest($1::int2[], $2::text[]) WITH ORDINALITY AS u (shard, id, n)
                 CROSS JOIN LATERAL (
                    SELECT state, round FROM parked WHERE shard = u.shard AND id = u.id OFFSET 0) p",
            )
            .await?;
        let shards: Vec<_> = places.iter().map(|(shard, _)| shard.int()).collect();
        let ids: Vec<_> = places.iter().map(|(_, id)| id.to_string()).collect();
        let rows = db.query(&find, &[&shards, &ids]).await?;
        let read = |row: &Row| {
            let round = u32::try_from(row.get::<_, i64>(2)).unwrap_or(u32::MAX);
            (place(row, 0), Standing { waits: row.get::<_, i16>(1) == WAITS, round })
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Those that wait and have one of these repeat keys: hash and id.
    pub(crate) async fn waiting(db: &Db, repeats: &[(Shard, Repeat)]) -> Result<Vec<(i64, MessageId)>> {
        let find = db
            .prepare_cached(
                "SELECT u.repeat, p.id FROM unnest($1::int2[], $2::int8[]) AS u (shard, repeat)
                 CROSS JOIN LATERAL (
                    SELECT id FROM parked WHERE shard = u.shard AND repeat = u.repeat AND state = 0 OFFSET 0) p",
            )
            .await?;
        let shards: Vec<_> = repeats.iter().map(|(shard, _)| shard.int()).collect();
        let hashes: Vec<_> = repeats.iter().map(|(_, repeat)| repeat.hash).collect();
        let rows = db.query(&find, &[&shards, &hashes]).await?;
        rows.iter().map(|row| Ok((row.get(0), crate::postgres::event_id(row, 1)?))).collect()
    }

    /// Those of this repeat key that wait or were decided within its window, what waits first, then the newest.
    pub(crate) async fn repeated(db: &Db, shard: Shard, repeat: &Repeat) -> Result<Vec<Parked>> {
        let find = db
            .prepare_cached(
                "SELECT data FROM parked WHERE shard = $1 AND repeat = $2 AND (state = 0 OR at >= $3)
                 ORDER BY state, at DESC LIMIT 8",
            )
            .await?;
        let rows = db.query(&find, &[&shard.int(), &repeat.hash, &repeat.earliest]).await?;
        rows.iter().map(|row| from_json(row, 0)).collect()
    }

    /// A page of messages.
    pub(crate) async fn list(db: &Db, query: ParkedQuery) -> Result<Vec<Parked>> {
        let (sql, values) = page(query, Dialect::POSTGRES);
        let list = db.prepare_cached(&sql).await?;
        let values: Vec<&(dyn ToSql + Sync)> = values
            .iter()
            .map(|value| match value {
                Value::Number(number) => number as &(dyn ToSql + Sync),
                Value::Text(text) => text,
            })
            .collect();
        let rows = db.query(&list, &values).await?;
        rows.iter().map(|row| from_json(row, 0)).collect()
    }

    /// How many there are.
    pub(crate) async fn count(db: &Db) -> Result<ParkedCount> {
        let count = db
            .prepare_cached(
                "SELECT (SELECT count(*) FROM parked WHERE state = 0), (SELECT count(*) FROM parked WHERE state = 1)",
            )
            .await?;
        let row = db.query_one(&count, &[]).await?;
        Ok(ParkedCount { waiting: nat(row.get(0)), decided: nat(row.get(1)) })
    }

    /// Stores messages of shards that are locked; what is there by their ids is replaced.
    pub(crate) async fn put(db: &Db, shards: Shards, rows: &[(&Parked, &str)]) -> Result<()> {
        let put = db
            .prepare_cached(
                "INSERT INTO parked (shard, id, state, at, round, repeat, data)
                 SELECT * FROM unnest($1::int2[], $2::text[], $3::int2[], $4::int8[], $5::int8[], $6::int8[], $7::text[])
                 ON CONFLICT (shard, id) DO UPDATE SET state = excluded.state, at = excluded.at, round = excluded.round,
                    repeat = excluded.repeat, data = excluded.data",
            )
            .await?;
        let columns: Vec<_> = rows.iter().map(|(parked, _)| Columns::of(parked)).collect();
        let places: Vec<_> = rows.iter().map(|(parked, _)| shards.of(&parked.message.conversation).int()).collect();
        let ids: Vec<_> = rows.iter().map(|(parked, _)| parked.message.id.to_string()).collect();
        let states: Vec<_> = columns.iter().map(|columns| columns.state).collect();
        let at: Vec<_> = columns.iter().map(|columns| columns.at).collect();
        let rounds: Vec<_> = columns.iter().map(|columns| i64::from(columns.round)).collect();
        let repeats: Vec<_> = columns.iter().map(|columns| columns.repeat).collect();
        let data: Vec<_> = rows.iter().map(|(_, data)| *data).collect();
        db.execute(&put, &[&places, &ids, &states, &at, &rounds, &repeats, &data]).await?;
        Ok(())
    }

    /// Forgets messages of shards that are locked. The batch has seen that they are decided, by itself perhaps: then the row
    /// says yet that they wait.
    pub(crate) async fn forget(db: &Db, places: &[Place]) -> Result<()> {
        let forget = db
            .prepare_cached(
                "DELETE FROM parked p USING (
                    SELECT at.ctid FROM unnest($1::int2[], $2::text[]) AS u (shard, id)
                    CROSS JOIN LATERAL (
                        SELECT ctid FROM parked WHERE shard = u.shard AND id = u.id OFFSET 0) at) gone
                 WHERE p.ctid = gone.ctid",
            )
            .await?;
        let shards: Vec<_> = places.iter().map(|(shard, _)| shard.int()).collect();
        let ids: Vec<_> = places.iter().map(|(_, id)| id.to_string()).collect();
        db.execute(&forget, &[&shards, &ids]).await?;
        Ok(())
    }

    impl InPostgres for ParkedRow {
        const ALL: &'static str = "SELECT data FROM parked ORDER BY id";

        fn read(row: &Row) -> Result<Self> {
            from_json(row, 0).map(Self)
        }

        async fn add(db: &Db, shards: Shards, rows: &[Self]) -> Result<()> {
            let data = rows.iter().map(|row| to_json(&row.0)).collect::<Result<Vec<_>, Error>>()?;
            let rows: Vec<_> = rows.iter().zip(&data).map(|(row, data)| (&row.0, data.as_str())).collect();
            put(db, shards, &rows).await
        }
    }
}
