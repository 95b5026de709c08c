//! How far endpoints have been told.

use chat::event::{Position, Shard, Subject};
use chat::id::Timestamp;
use serde::Serialize;
use webhook::ledger::{Behind, Trouble};

use crate::migrate::Moves;

/// A cursor. What moves is not this row but what it says (`migrate/told.rs`): shards and positions are a database's own.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CursorRow {
    pub(crate) endpoint: String,
    pub(crate) shard: Shard,
    pub(crate) position: Position,
    /// Nothing is owed up to here.
    pub(crate) started: Position,
}

/// A subject that lags behind a cursor.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BehindRow {
    pub(crate) endpoint: String,
    pub(crate) shard: Shard,
    pub(crate) subject: Subject,
    /// Up to here it is told.
    pub(crate) position: Position,
    pub(crate) trouble: Option<TroubleRow>,
}

/// That a subject's next event was refused already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TroubleRow {
    pub(crate) attempts: u32,
    pub(crate) since: i64,
    pub(crate) due: i64,
}

impl From<Trouble> for TroubleRow {
    fn from(Trouble { attempts, since, due }: Trouble) -> Self {
        Self { attempts, since: since.millis(), due: due.millis() }
    }
}

impl From<TroubleRow> for Trouble {
    fn from(TroubleRow { attempts, since, due }: TroubleRow) -> Self {
        Self { attempts, since: Timestamp::from_millis(since), due: Timestamp::from_millis(due) }
    }
}

impl TroubleRow {
    /// From its columns, which are null together.
    fn of(attempts: Option<i64>, since: Option<i64>, due: Option<i64>) -> Option<Self> {
        let attempts = u32::try_from(attempts?).unwrap_or(u32::MAX);
        Some(Self { attempts, since: since?, due: due? })
    }
}

impl From<BehindRow> for (Subject, Behind) {
    fn from(row: BehindRow) -> Self {
        (row.subject, Behind { told: row.position, trouble: row.trouble.map(Trouble::from) })
    }
}

/// Removes everything that was noted of endpoints, but for pauses.
pub(crate) const CLEAR: &str = "DELETE FROM behind; DELETE FROM cursor; DELETE FROM letter; DELETE FROM letter_count";

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

    use super::{BehindRow, CursorRow, TroubleRow};
    use crate::letter::lite as letter;
    use crate::migrate::InSqlite;
    use crate::sqlite::{from_json, to_json};

    /// Where an endpoint stands.
    pub(crate) fn find(db: &Connection, endpoint: &str, shard: Shard) -> Result<Option<Cursor>> {
        let mut statement =
            db.prepare_cached("SELECT position, started FROM cursor WHERE endpoint = ?1 AND shard = ?2")?;
        let read = |row: &Row<'_>| Ok(Cursor { position: Position(row.get(0)?), started: Position(row.get(1)?) });
        statement.query_row((endpoint, shard.0), read).optional()
    }

    /// The subjects that lag behind the cursor.
    pub(crate) fn behind(db: &Connection, endpoint: &str, shard: Shard) -> Result<Vec<(Subject, Behind)>> {
        let mut statement = db.prepare_cached(
            "SELECT endpoint, shard, conversation, position, attempts, since, due FROM behind
             WHERE endpoint = ?1 AND shard = ?2",
        )?;
        statement.query_map((endpoint, shard.0), |row| BehindRow::read(row).map(Into::into))?.collect()
    }

    /// Moves a cursor forward, never back, notes which subjects lag behind it, and writes the letters of what leaves its order.
    pub(crate) fn save(db: &Connection, endpoint: &str, shard: Shard, progress: &Progress) -> Result<()> {
        let mut forward = db.prepare_cached(
            "INSERT INTO cursor (endpoint, shard, position, started) VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT (endpoint, shard) DO UPDATE SET position = max(position, excluded.position)",
        )?;
        forward.execute((endpoint, shard.0, progress.cursor.0))?;
        let mut lags_no_longer =
            db.prepare_cached("DELETE FROM behind WHERE endpoint = ?1 AND shard = ?2 AND conversation = ?3")?;
        for (subject, behind) in &progress.behind {
            match behind {
                Some(behind) => {
                    let trouble = behind.trouble.map(TroubleRow::from);
                    put_behind(db, (endpoint, shard), &to_json(subject)?, behind.told, trouble)?;
                }
                None => drop(lags_no_longer.execute((endpoint, shard.0, to_json(subject)?))?),
            }
        }
        if progress.letters.is_empty() { Ok(()) } else { letter::put(db, &progress.letters) }
    }

    fn put_behind(
        db: &Connection,
        (endpoint, shard): (&str, Shard),
        subject: &str,
        told: Position,
        trouble: Option<TroubleRow>,
    ) -> Result<()> {
        let mut lags = db.prepare_cached(
            "INSERT OR REPLACE INTO behind (endpoint, shard, conversation, position, attempts, since, due)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let (attempts, since, due) =
            (trouble.map(|row| row.attempts), trouble.map(|row| row.since), trouble.map(|row| row.due));
        lags.execute((endpoint, shard.0, subject, told.0, attempts, since, due))?;
        Ok(())
    }

    impl InSqlite for CursorRow {
        /// But for the one that is only there to be written to ([`crate::Durable::ready`]).
        const ALL: &'static str = "SELECT endpoint, shard, position, started FROM cursor
             WHERE endpoint <> 'health/ready' ORDER BY endpoint, shard";

        fn read(row: &Row<'_>) -> Result<Self> {
            let (position, started) = (Position(row.get(2)?), Position(row.get(3)?));
            Ok(Self { endpoint: row.get(0)?, shard: Shard(row.get(1)?), position, started })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            let mut statement =
                db.prepare_cached("INSERT INTO cursor (endpoint, shard, position, started) VALUES (?1, ?2, ?3, ?4)")?;
            statement.execute((&self.endpoint, self.shard.0, self.position.0, self.started.0))?;
            Ok(())
        }
    }

    impl InSqlite for BehindRow {
        const ALL: &'static str = "SELECT endpoint, shard, conversation, position, attempts, since, due FROM behind
             ORDER BY endpoint, shard, conversation";

        fn read(row: &Row<'_>) -> Result<Self> {
            Ok(Self {
                endpoint: row.get(0)?,
                shard: Shard(row.get(1)?),
                subject: from_json(row, 2)?,
                position: Position(row.get(3)?),
                trouble: TroubleRow::of(row.get(4)?, row.get(5)?, row.get(6)?),
            })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            put_behind(db, (&self.endpoint, self.shard), &to_json(&self.subject)?, self.position, self.trouble)
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use std::collections::BTreeMap;

    use chat::event::{Position, Shard, Subject};
    use tokio_postgres::Row;
    use tokio_postgres::types::Type;
    use webhook::ledger::{Behind, Cursor, Letter, Progress};

    use super::{BehindRow, CursorRow, TroubleRow};
    use crate::letter::pg as letter;
    use crate::migrate::InPostgres;
    use crate::postgres::{CopyIn, Db, Result, from_json, int, nat, to_json};
    use crate::shard::{Shards, SmallInt};

    /// Where an endpoint stands.
    pub(crate) async fn find(db: &Db, endpoint: &str, shard: Shard) -> Result<Option<Cursor>> {
        let query =
            db.prepare_cached("SELECT position, started FROM cursor WHERE shard = $1 AND endpoint = $2").await?;
        let row = db.query_opt(&query, &[&shard.int(), &endpoint]).await?;
        Ok(row.map(|row| Cursor { position: Position(nat(row.get(0))), started: Position(nat(row.get(1))) }))
    }

    /// The subjects that lag behind the cursor.
    pub(crate) async fn behind(db: &Db, endpoint: &str, shard: Shard) -> Result<Vec<(Subject, Behind)>> {
        let query = db
            .prepare_cached(
                "SELECT endpoint, shard, conversation, position, attempts, since, due FROM behind
                 WHERE shard = $1 AND endpoint = $2",
            )
            .await?;
        let rows = db.query(&query, &[&shard.int(), &endpoint]).await?;
        rows.iter().map(|row| BehindRow::read(row).map(Into::into)).collect()
    }

    /// Moves cursors forward, never back, notes which subjects lag behind them, and writes the letters of what leaves its order.
    /// What is said later of the same endpoint and shard wins.
    pub(crate) async fn save(db: &Db, progress: &[(&str, Shard, &Progress)]) -> Result<()> {
        // Where it stands, and where it stood first: there a new one has started.
        let mut cursors: BTreeMap<(i16, &str), (i64, i64)> = BTreeMap::new();
        let mut behind: BTreeMap<(i16, &str, String), Option<Behind>> = BTreeMap::new();
        for (endpoint, shard, progress) in progress {
            let position = int(progress.cursor.0);
            let cursor = cursors.entry((shard.int(), endpoint)).or_insert((position, position));
            cursor.0 = position.max(cursor.0);
            for (subject, change) in &progress.behind {
                behind.insert((shard.int(), *endpoint, to_json(subject)?), *change);
            }
        }
        let forward = db
            .prepare_cached(
                "INSERT INTO cursor AS c (shard, endpoint, position, started)
                 SELECT * FROM unnest($1::int2[], $2::text[], $3::int8[], $4::int8[])
                 ON CONFLICT (shard, endpoint) DO UPDATE SET position = greatest(c.position, excluded.position)",
            )
            .await?;
        let (places, positions): (Vec<_>, Vec<_>) = cursors.into_iter().unzip();
        let (shards, endpoints): (Vec<_>, Vec<_>) = places.into_iter().unzip();
        let (positions, started): (Vec<_>, Vec<_>) = positions.into_iter().unzip();
        db.execute(&forward, &[&shards, &endpoints, &positions, &started]).await?;

        let (lagging, caught_up): (Vec<_>, Vec<_>) = behind.into_iter().partition(|(_, behind)| behind.is_some());
        if !lagging.is_empty() {
            let lags = db
                .prepare_cached(
                    "INSERT INTO behind (shard, endpoint, conversation, position, attempts, since, due)
                     SELECT * FROM unnest($1::int2[], $2::text[], $3::text[], $4::int8[], $5::int8[], $6::int8[], $7::int8[])
                     ON CONFLICT (shard, endpoint, conversation) DO UPDATE SET position = excluded.position,
                        attempts = excluded.attempts, since = excluded.since, due = excluded.due",
                )
                .await?;
            let shards: Vec<_> = lagging.iter().map(|((shard, ..), _)| *shard).collect();
            let endpoints: Vec<_> = lagging.iter().map(|((_, endpoint, _), _)| *endpoint).collect();
            let subjects: Vec<_> = lagging.iter().map(|((.., subject), _)| subject.as_str()).collect();
            let positions: Vec<_> = lagging.iter().map(|(_, behind)| behind.map(|behind| int(behind.told.0))).collect();
            let trouble = lagging.iter().map(|(_, behind)| behind.and_then(|behind| behind.trouble));
            let trouble: Vec<_> = trouble.map(|trouble| trouble.map(TroubleRow::from)).collect();
            let attempts: Vec<_> = trouble.iter().map(|row| row.map(|row| i64::from(row.attempts))).collect();
            let since: Vec<_> = trouble.iter().map(|row| row.map(|row| row.since)).collect();
            let due: Vec<_> = trouble.iter().map(|row| row.map(|row| row.due)).collect();
            db.execute(&lags, &[&shards, &endpoints, &subjects, &positions, &attempts, &since, &due]).await?;
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
            let subjects: Vec<_> = caught_up.iter().map(|((.., subject), _)| subject.as_str()).collect();
            db.execute(&lags_no_longer, &[&shards, &endpoints, &subjects]).await?;
        }
        let mut letters: Vec<&Letter> = Vec::new();
        for (.., progress) in progress {
            letters.extend(&progress.letters);
        }
        if letters.is_empty() { Ok(()) } else { letter::put(db, &letters).await }
    }

    impl InPostgres for CursorRow {
        const ALL: &'static str = "SELECT endpoint, shard, position, started FROM cursor ORDER BY shard, endpoint";

        fn read(row: &Row) -> Result<Self> {
            let shard = Shard(row.get::<_, i16>(1).cast_unsigned());
            let (position, started) = (Position(nat(row.get(2))), Position(nat(row.get(3))));
            Ok(Self { endpoint: row.get(0), shard, position, started })
        }

        async fn add(db: &Db, _: Shards, rows: &[Self]) -> Result<()> {
            let types = [Type::TEXT, Type::INT2, Type::INT8, Type::INT8];
            let copy = "COPY cursor (endpoint, shard, position, started) FROM STDIN (FORMAT binary)";
            let mut copy = CopyIn::begin(db, copy, &types).await?;
            for row in rows {
                let (position, started) = (int(row.position.0), int(row.started.0));
                copy.row(&[&row.endpoint, &row.shard.int(), &position, &started]).await?;
            }
            copy.end().await
        }
    }

    impl InPostgres for BehindRow {
        const ALL: &'static str = "SELECT endpoint, shard, conversation, position, attempts, since, due FROM behind
             ORDER BY shard, endpoint, conversation";

        fn read(row: &Row) -> Result<Self> {
            Ok(Self {
                endpoint: row.get(0),
                shard: Shard(row.get::<_, i16>(1).cast_unsigned()),
                subject: from_json(row, 2)?,
                position: Position(nat(row.get(3))),
                trouble: TroubleRow::of(row.get(4), row.get(5), row.get(6)),
            })
        }

        async fn add(db: &Db, _: Shards, rows: &[Self]) -> Result<()> {
            let types = [Type::TEXT, Type::INT2, Type::TEXT, Type::INT8, Type::INT8, Type::INT8, Type::INT8];
            let copy = "COPY behind (endpoint, shard, conversation, position, attempts, since, due)
                 FROM STDIN (FORMAT binary)";
            let mut copy = CopyIn::begin(db, copy, &types).await?;
            for row in rows {
                let subject = to_json(&row.subject)?;
                let attempts = row.trouble.map(|trouble| i64::from(trouble.attempts));
                let (since, due) = (row.trouble.map(|trouble| trouble.since), row.trouble.map(|trouble| trouble.due));
                let (shard, position) = (row.shard.int(), int(row.position.0));
                copy.row(&[&row.endpoint, &shard, &subject, &position, &attempts, &since, &due]).await?;
            }
            copy.end().await
        }
    }
}
