//! Letters: events apart from their subject's order, given up or to be told again.
//!
//! How many there are is kept beside them: it is asked at each event that is given up, and there may be a million. A count by
//! an index would read as many entries each time.

use std::collections::BTreeMap;

use chat::event::{Position, Shard, Subject};
use chat::id::{EventId, Timestamp};
use serde::Serialize;
use webhook::ledger::{Letter, LetterQuery, LetterState};

use crate::dialect::Dialect;
use crate::migrate::Moves;

/// A letter, as it moves. Where its event is, is of the database that it is in; what it says is the same in all.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LetterRow {
    pub(crate) endpoint: String,
    #[serde(skip)]
    pub(crate) shard: Shard,
    #[serde(skip)]
    pub(crate) position: Position,
    subject: Subject,
    pub(crate) event: EventId,
    command: String,
    state: LetterState,
    why: String,
    attempts: u32,
    at: Timestamp,
}

impl Moves for LetterRow {
    const NAME: &'static str = "letters";

    fn bytes(&self) -> usize {
        self.why.len()
    }
}

impl From<LetterRow> for Letter {
    fn from(row: LetterRow) -> Self {
        let LetterRow { endpoint, shard, position, subject, event, command, state, why, attempts, at } = row;
        Self { endpoint, shard, position, subject, event, command, state, why, attempts, at }
    }
}

impl From<Letter> for LetterRow {
    fn from(letter: Letter) -> Self {
        let Letter { endpoint, shard, position, subject, event, command, state, why, attempts, at } = letter;
        Self { endpoint, shard, position, subject, event, command, state, why, attempts, at }
    }
}

/// As it stands in a column.
fn number(state: LetterState) -> i16 {
    match state {
        LetterState::Dead => 0,
        LetterState::Replay => 1,
    }
}

fn state(number: i16) -> LetterState {
    if number == 0 { LetterState::Dead } else { LetterState::Replay }
}

/// By how much counts change.
#[derive(Debug, Default)]
struct Changes(BTreeMap<(String, Shard), (i64, i64)>);

impl Changes {
    /// One letter more, or fewer.
    fn add(&mut self, endpoint: &str, shard: Shard, state: LetterState, more: i64) {
        let (dead, replay) = self.0.entry((endpoint.to_owned(), shard)).or_default();
        match state {
            LetterState::Dead => *dead += more,
            LetterState::Replay => *replay += more,
        }
    }

    /// Those that come to something.
    fn into_rows(self) -> impl Iterator<Item = (String, Shard, i64, i64)> {
        let rows = self.0.into_iter().map(|((endpoint, shard), (dead, replay))| (endpoint, shard, dead, replay));
        rows.filter(|(.., dead, replay)| *dead != 0 || *replay != 0)
    }
}

/// Where a page of letters begins and which it is of.
struct Page<'a> {
    endpoint: Option<&'a str>,
    /// After this one: the endpoint is the one above, if there is one.
    after: (&'a str, i64, i64),
}

impl<'a> Page<'a> {
    /// None if nothing can be there: what it is to be after is after the endpoint.
    fn of(query: &'a LetterQuery) -> Option<Self> {
        /// Before the first of an endpoint.
        const FIRST: (i64, i64) = (-1, -1);
        let place =
            |shard: &Shard, position: &Position| (i64::from(shard.0), i64::try_from(position.0).unwrap_or(i64::MAX));
        let (shard, position) = match (&query.endpoint, &query.after) {
            (Some(endpoint), Some((name, ..))) if name > endpoint => return None,
            (Some(endpoint), Some((name, shard, position))) if name == endpoint => place(shard, position),
            (None, Some((_, shard, position))) => place(shard, position),
            (_, None) | (Some(_), Some(_)) => FIRST,
        };
        let after = match &query.endpoint {
            Some(endpoint) => endpoint,
            None => query.after.as_ref().map_or("", |(name, ..)| name),
        };
        Some(Self { endpoint: query.endpoint.as_deref(), after: (after, shard, position) })
    }

    /// The statement that selects it. Its parameters are [`Self::after`] and the limit, then those of state, time and event
    /// that are asked for. `whole` is what keeps an inner statement from being taken apart by the planner.
    fn sql(&self, query: &LetterQuery, dialect: Dialect, path: Path) -> String {
        let Dialect { mark, whole } = dialect;
        let [endpoint, shard, position, limit] = [1, 2, 3, 4].map(|number| format!("{mark}{number}"));
        let mut last = 4;
        let mut next = |condition: &str| {
            last += 1;
            format!("{condition} {mark}{last}")
        };
        let state = query.state.map(|_| next("state ="));
        let due = query.due_by.map(|_| next("at <="));
        let event = query.event.map(|_| next("event ="));
        let place = match self.endpoint {
            Some(_) => format!("endpoint = {endpoint} AND (shard, position) > ({shard}, {position})"),
            None => format!("(endpoint, shard, position) > ({endpoint}, {shard}, {position})"),
        };
        let mut outer = vec![place];
        let mut inner = Vec::new();
        match path {
            Path::Place => outer.extend([state, due].into_iter().flatten()),
            Path::Event => {
                inner.extend(event);
                outer.extend([state, due].into_iter().flatten());
            }
            Path::Due => {
                inner.push(format!("endpoint = {endpoint}"));
                inner.extend([state, due].into_iter().flatten());
            }
        }
        let from = match path {
            Path::Place => "letter".to_owned(),
            Path::Event | Path::Due => format!("(SELECT * FROM letter WHERE {} {whole}) l", inner.join(" AND ")),
        };
        let wanted = outer.join(" AND ");
        format!("SELECT {COLUMNS} FROM {from} WHERE {wanted} ORDER BY endpoint, shard, position LIMIT {limit}")
    }
}

/// By what letters are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// By their place, which is the order that they are wanted in.
    Place,
    /// By the event: there are as many as there are endpoints at most.
    Event,
    /// By when they are due, because there are few that are.
    Due,
}

/// So many letters that are due are put in order each time they are asked for. If there are more, then not far behind each
/// other, and those that are not due are passed over.
const FEW_DUE: i64 = 4096;

/// An endpoint of which the counts are not those of its letters.
const MISCOUNTED: &str = "SELECT endpoint FROM
        (SELECT endpoint, shard, CASE state WHEN 0 THEN 1 ELSE 0 END AS dead, CASE state WHEN 0 THEN 0 ELSE 1 END AS replay
            FROM letter
         UNION ALL SELECT endpoint, shard, -dead, -replay FROM letter_count) counted
     GROUP BY endpoint, shard HAVING sum(dead) <> 0 OR sum(replay) <> 0 LIMIT 1";

const COLUMNS: &str = "endpoint, shard, position, subject, event, command, state, why, attempts, at";

/// In SQLite.
pub(crate) mod lite {
    use chat::event::{Position, Shard};
    use chat::id::Timestamp;
    use rusqlite::types::ToSql;
    use rusqlite::{Connection, OptionalExtension, Result, Row};
    use webhook::ledger::{Letter, LetterCount, LetterQuery, LetterState};

    use super::{Changes, Dialect, FEW_DUE, LetterRow, MISCOUNTED, Page, Path, number, state};
    use crate::migrate::InSqlite;
    use crate::sqlite::{event_id, from_json, to_json};

    /// A page of letters.
    pub(crate) fn list(db: &Connection, query: &LetterQuery) -> Result<Vec<Letter>> {
        let Some(page) = Page::of(query) else { return Ok(Vec::new()) };
        let path = match (query.event, query.endpoint.as_deref(), query.state, query.due_by) {
            (Some(_), ..) => Path::Event,
            (None, Some(endpoint), Some(state), Some(time)) if are_few_due(db, endpoint, state, time)? => Path::Due,
            _ => Path::Place,
        };
        let mut statement = db.prepare_cached(&page.sql(query, Dialect::SQLITE, path))?;
        let (endpoint, shard, position) = page.after;
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let state = query.state.map(number);
        let due = query.due_by.map(Timestamp::millis);
        let event = query.event.map(|event| event.to_string());
        let mut values: Vec<&dyn ToSql> = vec![&endpoint, &shard, &position, &limit];
        values.extend(state.as_ref().map(|state| state as &dyn ToSql));
        values.extend(due.as_ref().map(|due| due as &dyn ToSql));
        values.extend(event.as_ref().map(|event| event as &dyn ToSql));
        statement.query_map(&*values, |row| LetterRow::read(row).map(Letter::from))?.collect()
    }

    fn are_few_due(db: &Connection, endpoint: &str, state: LetterState, time: Timestamp) -> Result<bool> {
        let mut count = db.prepare_cached(
            "SELECT count(*) FROM
                (SELECT 1 FROM letter INDEXED BY letter_due WHERE state = ?1 AND endpoint = ?2 AND at <= ?3 LIMIT ?4)",
        )?;
        let due: i64 = count.query_row((number(state), endpoint, time.millis(), FEW_DUE), |row| row.get(0))?;
        Ok(due < FEW_DUE)
    }

    /// How many an endpoint has.
    pub(crate) fn count(db: &Connection, endpoint: &str) -> Result<LetterCount> {
        let mut statement = db.prepare_cached(
            "SELECT coalesce(sum(dead), 0), coalesce(sum(replay), 0) FROM letter_count WHERE endpoint = ?1",
        )?;
        statement.query_row([endpoint], |row| Ok(LetterCount { dead: row.get(0)?, replay: row.get(1)? }))
    }

    /// Writes letters; what is there already is replaced.
    pub(crate) fn put(db: &Connection, letters: &[Letter]) -> Result<()> {
        let mut find =
            db.prepare_cached("SELECT state FROM letter WHERE endpoint = ?1 AND shard = ?2 AND position = ?3")?;
        let mut put = db.prepare_cached(
            "INSERT OR REPLACE INTO letter
                (endpoint, shard, position, subject, event, command, state, why, attempts, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let mut changes = Changes::default();
        for letter in letters {
            let Letter { endpoint, shard, position, subject, event, command, why, attempts, at, .. } = letter;
            let before = find.query_row((endpoint, shard.0, position.0), |row| row.get(0)).optional()?;
            if let Some(before) = before {
                changes.add(endpoint, *shard, state(before), -1);
            }
            changes.add(endpoint, *shard, letter.state, 1);
            let (subject, event, state) = (to_json(subject)?, event.to_string(), number(letter.state));
            let at = at.millis();
            put.execute((endpoint, shard.0, position.0, subject, event, command, state, why, attempts, at))?;
        }
        count_on(db, changes)
    }

    /// Removes letters, those that are there.
    pub(crate) fn remove(db: &Connection, endpoint: &str, places: &[(Shard, Position)]) -> Result<()> {
        let mut remove = db.prepare_cached(
            "DELETE FROM letter WHERE endpoint = ?1 AND shard = ?2 AND position = ?3 RETURNING state",
        )?;
        let mut changes = Changes::default();
        for (shard, position) in places {
            // No position is beyond what SQLite can count to.
            let place = i64::try_from(position.0).unwrap_or(i64::MAX);
            let mut removed = remove.query((endpoint, shard.0, place))?;
            while let Some(row) = removed.next()? {
                changes.add(endpoint, *shard, state(row.get(0)?), -1);
            }
        }
        count_on(db, changes)
    }

    /// An endpoint of which the counts are not those of its letters.
    pub(crate) fn miscounted(db: &Connection) -> Result<Option<String>> {
        db.query_row(MISCOUNTED, [], |row| row.get(0)).optional()
    }

    fn count_on(db: &Connection, changes: Changes) -> Result<()> {
        let mut count = db.prepare_cached(
            "INSERT INTO letter_count (endpoint, shard, dead, replay) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (endpoint, shard) DO UPDATE SET dead = dead + excluded.dead, replay = replay + excluded.replay",
        )?;
        for (endpoint, shard, dead, replay) in changes.into_rows() {
            count.execute((endpoint, shard.0, dead, replay))?;
        }
        Ok(())
    }

    impl InSqlite for LetterRow {
        const ALL: &'static str = "SELECT endpoint, shard, position, subject, event, command, state, why, attempts, at
             FROM letter ORDER BY endpoint, shard, position";

        fn read(row: &Row<'_>) -> Result<Self> {
            Ok(Self {
                endpoint: row.get(0)?,
                shard: Shard(row.get(1)?),
                position: Position(row.get(2)?),
                subject: from_json(row, 3)?,
                event: event_id(row, 4)?,
                command: row.get(5)?,
                state: state(row.get(6)?),
                why: row.get(7)?,
                attempts: row.get(8)?,
                at: Timestamp::from_millis(row.get(9)?),
            })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            put(db, &[self.clone().into()])
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use std::collections::BTreeMap;

    use chat::event::{Position, Shard};
    use chat::id::Timestamp;
    use tokio_postgres::Row;
    use tokio_postgres::types::ToSql;
    use webhook::ledger::{Letter, LetterCount, LetterQuery, LetterState};

    use super::{Changes, Dialect, FEW_DUE, LetterRow, MISCOUNTED, Page, Path, number, state};
    use crate::migrate::InPostgres;
    use crate::postgres::{Db, Result, event_id, from_json, int, nat, place, plain, to_json};
    use crate::shard::{Shards, SmallInt};

    /// A page of letters.
    pub(crate) async fn list(db: &Db, query: &LetterQuery) -> Result<Vec<Letter>> {
        let Some(page) = Page::of(query) else { return Ok(Vec::new()) };
        let path = match (query.event, query.endpoint.as_deref(), query.state, query.due_by) {
            (Some(_), ..) => Path::Event,
            (None, Some(endpoint), Some(state), Some(time)) if are_few_due(db, endpoint, state, time).await? => {
                Path::Due
            }
            _ => Path::Place,
        };
        let list = db.prepare_cached(&page.sql(query, Dialect::POSTGRES, path)).await?;
        let (endpoint, shard, position) = page.after;
        // There are fewer shards than that has numbers.
        let shard = i16::try_from(shard).unwrap_or(i16::MAX);
        let limit = int(query.limit as u64);
        let state = query.state.map(number);
        let due = query.due_by.map(Timestamp::millis);
        let event = query.event.map(|event| event.to_string());
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&endpoint, &shard, &position, &limit];
        values.extend(state.as_ref().map(|state| state as &(dyn ToSql + Sync)));
        values.extend(due.as_ref().map(|due| due as &(dyn ToSql + Sync)));
        values.extend(event.as_ref().map(|event| event as &(dyn ToSql + Sync)));
        let rows = db.query(&list, &values).await?;
        rows.iter().map(|row| LetterRow::read(row).map(Letter::from)).collect()
    }

    async fn are_few_due(db: &Db, endpoint: &str, state: LetterState, time: Timestamp) -> Result<bool> {
        // In the order of the index, so that it is the one that is used.
        let count = db
            .prepare_cached(
                "SELECT count(*) FROM
                    (SELECT 1 FROM letter WHERE state = $1 AND endpoint = $2 AND at <= $3
                     ORDER BY state, endpoint, at LIMIT $4) due",
            )
            .await?;
        let row = db.query_one(&count, &[&number(state), &endpoint, &time.millis(), &FEW_DUE]).await?;
        Ok(row.get::<_, i64>(0) < FEW_DUE)
    }

    /// How many an endpoint has.
    pub(crate) async fn count(db: &Db, endpoint: &str) -> Result<LetterCount> {
        let query = db
            .prepare_cached(
                "SELECT coalesce(sum(dead), 0)::int8, coalesce(sum(replay), 0)::int8 FROM letter_count WHERE endpoint = $1",
            )
            .await?;
        let row = db.query_one(&query, &[&endpoint]).await?;
        Ok(LetterCount { dead: nat(row.get(0)), replay: nat(row.get(1)) })
    }

    /// Writes letters, of shards that are locked; what is there already is replaced. What is said later of the same place
    /// wins.
    pub(crate) async fn put(db: &Db, letters: &[&Letter]) -> Result<()> {
        let letters: BTreeMap<_, _> =
            letters.iter().map(|letter| ((letter.endpoint.as_str(), letter.shard, letter.position), *letter)).collect();
        let letters: Vec<_> = letters.into_values().collect();
        let endpoints: Vec<_> = letters.iter().map(|letter| letter.endpoint.as_str()).collect();
        let shards: Vec<_> = letters.iter().map(|letter| letter.shard.int()).collect();
        let positions: Vec<_> = letters.iter().map(|letter| int(letter.position.0)).collect();
        let find = db
            .prepare_cached(
                "SELECT u.n, l.state
                 FROM unnest($1::text[], $2::int2[], $3::int8[]) WITH ORDINALITY AS u (endpoint, shard, position, n)
                 CROSS JOIN LATERAL (
                    SELECT state FROM letter
                    WHERE endpoint = u.endpoint AND shard = u.shard AND position = u.position OFFSET 0) l",
            )
            .await?;
        let mut changes = Changes::default();
        for row in db.query(&find, &[&endpoints, &shards, &positions]).await? {
            let letter = letters[place(&row, 0)];
            changes.add(&letter.endpoint, letter.shard, state(row.get(1)), -1);
        }
        for letter in &letters {
            changes.add(&letter.endpoint, letter.shard, letter.state, 1);
        }
        let put = db
            .prepare_cached(
                "INSERT INTO letter
                    (endpoint, shard, position, subject, event, command, state, why, attempts, at)
                 SELECT * FROM unnest($1::text[], $2::int2[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::int2[],
                    $8::text[], $9::int8[], $10::int8[])
                 ON CONFLICT (endpoint, shard, position) DO UPDATE SET subject = excluded.subject, event = excluded.event,
                    command = excluded.command, state = excluded.state, why = excluded.why,
                    attempts = excluded.attempts, at = excluded.at",
            )
            .await?;
        let subjects: Vec<_> = letters.iter().map(|letter| to_json(&letter.subject)).collect::<Result<_>>()?;
        let events: Vec<_> = letters.iter().map(|letter| letter.event.to_string()).collect();
        let commands: Vec<_> = letters.iter().map(|letter| letter.command.as_str()).collect();
        let states: Vec<_> = letters.iter().map(|letter| number(letter.state)).collect();
        let whys: Vec<_> = letters.iter().map(|letter| plain(&letter.why)).collect();
        let attempts: Vec<_> = letters.iter().map(|letter| i64::from(letter.attempts)).collect();
        let at: Vec<_> = letters.iter().map(|letter| letter.at.millis()).collect();
        db.execute(
            &put,
            &[&endpoints, &shards, &positions, &subjects, &events, &commands, &states, &whys, &attempts, &at],
        )
        .await?;
        count_on(db, changes).await
    }

    /// Removes letters of shards that are locked, those that are there.
    pub(crate) async fn remove(db: &Db, endpoint: &str, places: &[(Shard, Position)]) -> Result<()> {
        let remove = db
            .prepare_cached(
                "DELETE FROM letter l USING (
                    SELECT at.ctid FROM unnest($2::int2[], $3::int8[]) AS u (shard, position)
                    CROSS JOIN LATERAL (
                        SELECT ctid FROM letter
                        WHERE endpoint = $1 AND shard = u.shard AND position = u.position OFFSET 0) at) gone
                 WHERE l.ctid = gone.ctid RETURNING l.shard, l.state",
            )
            .await?;
        let shards: Vec<_> = places.iter().map(|(shard, _)| shard.int()).collect();
        let positions: Vec<_> = places.iter().map(|(_, position)| int(position.0)).collect();
        let mut changes = Changes::default();
        for row in db.query(&remove, &[&endpoint, &shards, &positions]).await? {
            changes.add(endpoint, Shard(row.get::<_, i16>(0).cast_unsigned()), state(row.get(1)), -1);
        }
        count_on(db, changes).await
    }

    /// An endpoint of which the counts are not those of its letters.
    pub(crate) async fn miscounted(db: &Db) -> Result<Option<String>> {
        Ok(db.query_opt(MISCOUNTED, &[]).await?.map(|row| row.get(0)))
    }

    async fn count_on(db: &Db, changes: Changes) -> Result<()> {
        let (mut endpoints, mut shards, mut dead, mut replay) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (endpoint, shard, more_dead, more_replay) in changes.into_rows() {
            endpoints.push(endpoint);
            shards.push(shard.int());
            dead.push(more_dead);
            replay.push(more_replay);
        }
        if endpoints.is_empty() {
            return Ok(());
        }
        let count = db
            .prepare_cached(
                "INSERT INTO letter_count AS c (endpoint, shard, dead, replay)
                 SELECT * FROM unnest($1::text[], $2::int2[], $3::int8[], $4::int8[])
                 ON CONFLICT (endpoint, shard) DO UPDATE
                    SET dead = c.dead + excluded.dead, replay = c.replay + excluded.replay",
            )
            .await?;
        db.execute(&count, &[&endpoints, &shards, &dead, &replay]).await?;
        Ok(())
    }

    impl InPostgres for LetterRow {
        const ALL: &'static str = "SELECT endpoint, shard, position, subject, event, command, state, why, attempts, at
             FROM letter ORDER BY endpoint, shard, position";

        fn read(row: &Row) -> Result<Self> {
            Ok(Self {
                endpoint: row.get(0),
                shard: Shard(row.get::<_, i16>(1).cast_unsigned()),
                position: Position(nat(row.get(2))),
                subject: from_json(row, 3)?,
                event: event_id(row, 4)?,
                command: row.get(5),
                state: state(row.get(6)),
                why: row.get(7),
                attempts: u32::try_from(row.get::<_, i64>(8)).unwrap_or(u32::MAX),
                at: Timestamp::from_millis(row.get(9)),
            })
        }

        async fn add(db: &Db, _: Shards, rows: &[Self]) -> Result<()> {
            let letters: Vec<Letter> = rows.iter().cloned().map(Letter::from).collect();
            put(db, &letters.iter().collect::<Vec<_>>()).await
        }
    }
}
