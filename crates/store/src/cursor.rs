//! How far endpoints have been told.

use chat::event::{Position, Shard, Subject};
use serde::Serialize;

use crate::migrate::Moves;

/// A cursor. What moves is not this row but what it says (`migrate/told.rs`): shards and positions are a database's own.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CursorRow {
    pub(crate) endpoint: String,
    #[serde(serialize_with = "shard_number")]
    pub(crate) shard: Shard,
    #[serde(serialize_with = "position_number")]
    pub(crate) position: Position,
}

/// A conversation that lags behind a cursor.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BehindRow {
    pub(crate) endpoint: String,
    #[serde(serialize_with = "shard_number")]
    pub(crate) shard: Shard,
    pub(crate) conversation: Subject,
    /// Up to here it is told.
    #[serde(serialize_with = "position_number")]
    pub(crate) position: Position,
}

/// Removes everything that was noted.
pub(crate) const CLEAR: &str = "DELETE FROM behind; DELETE FROM cursor";

fn shard_number<S: serde::Serializer>(shard: &Shard, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(shard.0)
}

fn position_number<S: serde::Serializer>(position: &Position, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(position.0)
}

impl Moves for CursorRow {
    const NAME: &'static str = "cursors";

    fn bytes(&self) -> usize {
        0
    }
}

impl Moves for BehindRow {
    const NAME: &'static str = "conversations behind a cursor";

    fn bytes(&self) -> usize {
        0
    }
}

/// In SQLite.
pub(crate) mod lite {
    use chat::event::{Position, Shard, Subject};
    use rusqlite::{Connection, OptionalExtension, Result, Row};
    use webhook::ledger::{Behind, Cursor, Progress};

    use super::{BehindRow, CursorRow};
    use crate::migrate::InSqlite;
    use crate::sqlite::{from_json, to_json};

    /// Up to where an endpoint has been told.
    pub(crate) fn find(db: &Connection, endpoint: &str, shard: Shard) -> Result<Option<Cursor>> {
        let mut statement = db.prepare_cached("SELECT position FROM cursor WHERE endpoint = ?1 AND shard = ?2")?;
        statement
            .query_row((endpoint, shard.0), |row| Ok(Cursor { position: Position(row.get(0)?), started: Position(0) }))
            .optional()
    }

    /// The conversations that lag behind the cursor.
    pub(crate) fn behind(db: &Connection, endpoint: &str, shard: Shard) -> Result<Vec<(Subject, Behind)>> {
        let mut statement =
            db.prepare_cached("SELECT conversation, position FROM behind WHERE endpoint = ?1 AND shard = ?2")?;
        statement
            .query_map((endpoint, shard.0), |row| {
                Ok((from_json(row, 0)?, Behind { told: Position(row.get(1)?), trouble: None }))
            })?
            .collect()
    }

    /// Moves a cursor forward, never back, and notes which conversations lag behind it.
    pub(crate) fn save(db: &Connection, endpoint: &str, shard: Shard, progress: &Progress) -> Result<()> {
        let mut forward = db.prepare_cached(
            "INSERT INTO cursor (endpoint, shard, position) VALUES (?1, ?2, ?3)
             ON CONFLICT (endpoint, shard) DO UPDATE SET position = max(position, excluded.position)",
        )?;
        forward.execute((endpoint, shard.0, progress.cursor.0))?;
        let mut lags = db.prepare_cached(
            "INSERT INTO behind (endpoint, shard, conversation, position) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (endpoint, shard, conversation) DO UPDATE SET position = excluded.position",
        )?;
        let mut lags_no_longer =
            db.prepare_cached("DELETE FROM behind WHERE endpoint = ?1 AND shard = ?2 AND conversation = ?3")?;
        for (conversation, position) in &progress.behind {
            let conversation = to_json(conversation)?;
            match position {
                Some(position) => lags.execute((endpoint, shard.0, conversation, position.told.0))?,
                None => lags_no_longer.execute((endpoint, shard.0, conversation))?,
            };
        }
        Ok(())
    }

    impl InSqlite for CursorRow {
        /// But for the one that is only there to be written to ([`crate::Durable::ready`]).
        const ALL: &'static str = "SELECT endpoint, shard, position FROM cursor WHERE endpoint <> 'health/ready'
             ORDER BY endpoint, shard";

        fn read(row: &Row<'_>) -> Result<Self> {
            Ok(Self { endpoint: row.get(0)?, shard: Shard(row.get(1)?), position: Position(row.get(2)?) })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            let mut statement =
                db.prepare_cached("INSERT INTO cursor (endpoint, shard, position) VALUES (?1, ?2, ?3)")?;
            statement.execute((&self.endpoint, self.shard.0, self.position.0))?;
            Ok(())
        }
    }

    impl InSqlite for BehindRow {
        const ALL: &'static str =
            "SELECT endpoint, shard, conversation, position FROM behind ORDER BY endpoint, shard, conversation";

        fn read(row: &Row<'_>) -> Result<Self> {
            let (endpoint, shard) = (row.get(0)?, Shard(row.get(1)?));
            Ok(Self { endpoint, shard, conversation: from_json(row, 2)?, position: Position(row.get(3)?) })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            let mut statement = db.prepare_cached(
                "INSERT INTO behind (endpoint, shard, conversation, position) VALUES (?1, ?2, ?3, ?4)",
            )?;
            statement.execute((&self.endpoint, self.shard.0, to_json(&self.conversation)?, self.position.0))?;
            Ok(())
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use std::collections::BTreeMap;

    use chat::event::{Position, Shard, Subject};
    use tokio_postgres::Row;
    use tokio_postgres::types::Type;
    use webhook::ledger::{Behind, Cursor, Progress};

    use super::{BehindRow, CursorRow};
    use crate::migrate::InPostgres;
    use crate::postgres::{CopyIn, Db, Result, from_json, int, nat, to_json};
    use crate::shard::{Shards, SmallInt};

    /// Up to where an endpoint has been told.
    pub(crate) async fn find(db: &Db, endpoint: &str, shard: Shard) -> Result<Option<Cursor>> {
        let query = db.prepare_cached("SELECT position FROM cursor WHERE shard = $1 AND endpoint = $2").await?;
        let row = db.query_opt(&query, &[&shard.int(), &endpoint]).await?;
        Ok(row.map(|row| Cursor { position: Position(nat(row.get(0))), started: Position(0) }))
    }

    /// The conversations that lag behind the cursor.
    pub(crate) async fn behind(db: &Db, endpoint: &str, shard: Shard) -> Result<Vec<(Subject, Behind)>> {
        let query =
            db.prepare_cached("SELECT conversation, position FROM behind WHERE shard = $1 AND endpoint = $2").await?;
        let rows = db.query(&query, &[&shard.int(), &endpoint]).await?;
        rows.iter()
            .map(|row| Ok((from_json(row, 0)?, Behind { told: Position(nat(row.get(1))), trouble: None })))
            .collect()
    }

    /// Moves cursors forward, never back, and notes which conversations lag behind them. What is said later of the same
    /// endpoint and shard wins.
    pub(crate) async fn save(db: &Db, progress: &[(&str, Shard, &Progress)]) -> Result<()> {
        let mut cursors: BTreeMap<(i16, &str), i64> = BTreeMap::new();
        let mut behind: BTreeMap<(i16, &str, String), Option<i64>> = BTreeMap::new();
        for (endpoint, shard, progress) in progress {
            let cursor = cursors.entry((shard.int(), endpoint)).or_default();
            *cursor = int(progress.cursor.0).max(*cursor);
            for (conversation, position) in &progress.behind {
                let place = (shard.int(), *endpoint, to_json(conversation)?);
                behind.insert(place, position.map(|behind| int(behind.told.0)));
            }
        }
        let forward = db
            .prepare_cached(
                "INSERT INTO cursor AS c (shard, endpoint, position)
                 SELECT * FROM unnest($1::int2[], $2::text[], $3::int8[])
                 ON CONFLICT (shard, endpoint) DO UPDATE SET position = greatest(c.position, excluded.position)",
            )
            .await?;
        let (places, positions): (Vec<_>, Vec<_>) = cursors.into_iter().unzip();
        let (shards, endpoints): (Vec<_>, Vec<_>) = places.into_iter().unzip();
        db.execute(&forward, &[&shards, &endpoints, &positions]).await?;

        let (lagging, caught_up): (Vec<_>, Vec<_>) = behind.into_iter().partition(|(_, position)| position.is_some());
        if !lagging.is_empty() {
            let lags = db
                .prepare_cached(
                    "INSERT INTO behind (shard, endpoint, conversation, position)
                     SELECT * FROM unnest($1::int2[], $2::text[], $3::text[], $4::int8[])
                     ON CONFLICT (shard, endpoint, conversation) DO UPDATE SET position = excluded.position",
                )
                .await?;
            let shards: Vec<_> = lagging.iter().map(|((shard, ..), _)| *shard).collect();
            let endpoints: Vec<_> = lagging.iter().map(|((_, endpoint, _), _)| *endpoint).collect();
            let conversations: Vec<_> = lagging.iter().map(|((.., conversation), _)| conversation.as_str()).collect();
            let positions: Vec<_> = lagging.iter().map(|(_, position)| *position).collect();
            db.execute(&lags, &[&shards, &endpoints, &conversations, &positions]).await?;
        }
        if !caught_up.is_empty() {
            let lags_no_longer = db
                .prepare_cached(
                    "DELETE FROM behind b USING unnest($1::int2[], $2::text[], $3::text[]) AS u (shard, endpoint, conversation)
                     WHERE b.shard = u.shard AND b.endpoint = u.endpoint AND b.conversation = u.conversation",
                )
                .await?;
            let shards: Vec<_> = caught_up.iter().map(|((shard, ..), _)| *shard).collect();
            let endpoints: Vec<_> = caught_up.iter().map(|((_, endpoint, _), _)| *endpoint).collect();
            let conversations: Vec<_> = caught_up.iter().map(|((.., conversation), _)| conversation.as_str()).collect();
            db.execute(&lags_no_longer, &[&shards, &endpoints, &conversations]).await?;
        }
        Ok(())
    }

    impl InPostgres for CursorRow {
        const ALL: &'static str = "SELECT endpoint, shard, position FROM cursor ORDER BY shard, endpoint";

        fn read(row: &Row) -> Result<Self> {
            let shard = Shard(row.get::<_, i16>(1).cast_unsigned());
            Ok(Self { endpoint: row.get(0), shard, position: Position(nat(row.get(2))) })
        }

        async fn add(db: &Db, _: Shards, rows: &[Self]) -> Result<()> {
            let types = [Type::TEXT, Type::INT2, Type::INT8];
            let mut copy =
                CopyIn::begin(db, "COPY cursor (endpoint, shard, position) FROM STDIN (FORMAT binary)", &types).await?;
            for row in rows {
                copy.row(&[&row.endpoint, &row.shard.int(), &int(row.position.0)]).await?;
            }
            copy.end().await
        }
    }

    impl InPostgres for BehindRow {
        const ALL: &'static str =
            "SELECT endpoint, shard, conversation, position FROM behind ORDER BY shard, endpoint, conversation";

        fn read(row: &Row) -> Result<Self> {
            let shard = Shard(row.get::<_, i16>(1).cast_unsigned());
            let position = Position(nat(row.get(3)));
            Ok(Self { endpoint: row.get(0), shard, conversation: from_json(row, 2)?, position })
        }

        async fn add(db: &Db, _: Shards, rows: &[Self]) -> Result<()> {
            let types = [Type::TEXT, Type::INT2, Type::TEXT, Type::INT8];
            let copy = "COPY behind (endpoint, shard, conversation, position) FROM STDIN (FORMAT binary)";
            let mut copy = CopyIn::begin(db, copy, &types).await?;
            for row in rows {
                let conversation = to_json(&row.conversation)?;
                copy.row(&[&row.endpoint, &row.shard.int(), &conversation, &int(row.position.0)]).await?;
            }
            copy.end().await
        }
    }
}
