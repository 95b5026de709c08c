//! The log: events in their places, and messages among them.

use chat::event::{Event, Position};
use chat::id::{AccountId, Seq};
use chat::message::Message;
use serde::Deserialize;
use webhook::ledger::Trimmed;

/// The message of an event, if it is one's.
fn message_of(event: Event) -> Option<Message> {
    match event {
        Event::MessageSent(message) => Some(message),
        Event::MessageNotSent { .. } | Event::GroupChanged(_) | Event::EndpointPaused(_) => None,
    }
}

/// An event with the seq of its row. A live room's message has its number in the JSON: it has no seq column, because it is
/// not in the history.
fn numbered(mut event: Event, seq: Option<Seq>) -> Event {
    if let (Event::MessageSent(message), Some(seq)) = (&mut event, seq) {
        message.seq = seq;
    }
    event
}

/// What was removed, in any order.
fn trimmed(removed: &[Position]) -> Trimmed {
    let (first, last) = (removed.iter().min().copied(), removed.iter().max().copied());
    Trimmed { events: removed.len() as u64, first: first.unwrap_or_default(), last: last.unwrap_or_default() }
}

/// An event as it moves. Position and conversation are of the database that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventRow {
    pub(crate) position: Position,
    /// The conversation's key.
    pub(crate) conversation: i64,
    pub(crate) seq: Option<i64>,
    pub(crate) time: i64,
    pub(crate) unread: Option<i64>,
    pub(crate) repeat: Option<i64>,
    pub(crate) data: String,
}

impl EventRow {
    /// Who has sent the message, if it is one.
    pub(crate) fn sender(&self) -> serde_json::Result<Option<AccountId>> {
        /// As much of an [`Event`] as says that.
        #[derive(Deserialize)]
        struct Sent {
            message_sent: Option<Message>,
        }
        #[derive(Deserialize)]
        struct Message {
            sender: AccountId,
        }
        let sent: Sent = serde_json::from_str(&self.data)?;
        Ok(sent.message_sent.map(|message| message.sender))
    }
}

/// Finds the newest stored seq of a conversation at a position, by asking about few: positions grow with seqs. It goes from
/// the newest end in doubling steps, then by halves, because readers of the log ask about the recent past.
#[derive(Debug)]
struct Bisection {
    /// Not later than the position, or before the first.
    low: Seq,
    /// Later than the position, or after the newest.
    high: Seq,
    step: Seq,
}

impl Bisection {
    fn below(head: Seq) -> Self {
        Self { low: 0, high: head + 1, step: 1 }
    }

    /// The next seq to ask about.
    fn probe(&self) -> Option<Seq> {
        match self.low {
            _ if self.high - self.low <= 1 => None,
            0 => Some(self.high.saturating_sub(self.step).max(1)),
            low => Some(low + (self.high - low) / 2),
        }
    }

    /// Whether what was asked about is later than the position.
    fn answer(&mut self, probe: Seq, is_later: bool) {
        if is_later {
            self.high = probe;
            self.step *= 2;
        } else {
            self.low = probe;
        }
    }
}

/// In SQLite.
pub(crate) mod lite {
    use chat::event::{LogEntry, Position, Shard};
    use chat::id::Seq;
    use chat::message::Message;
    use chat::port::MessageQuery;
    use rusqlite::{Connection, OptionalExtension, Result, Row};

    use webhook::ledger::Trimmed;

    use super::{Bisection, Event, EventRow, message_of, numbered, trimmed};
    use crate::commit::NewEvent;
    use crate::repeat::Repeat;
    use crate::sqlite::from_json;

    /// SQLite's log is one shard: its one writer is the order.
    pub(crate) const SHARD: Shard = Shard(0);

    /// Appends an event; the keys are those of its conversation and sender.
    pub(crate) fn append(
        db: &Connection,
        position: Position,
        conversation: i64,
        sender: Option<i64>,
        event: &NewEvent<'_>,
    ) -> Result<()> {
        let mut statement = db.prepare_cached(
            "INSERT INTO event (position, conversation, seq, sender, time, unread, repeat, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let NewEvent { seq, time, unread, repeat, data, .. } = event;
        statement.execute((position.0, conversation, seq, sender, time.millis(), unread, repeat, data))?;
        Ok(())
    }

    /// The newest position.
    pub(crate) fn head(db: &Connection) -> Result<Position> {
        db.query_row("SELECT coalesce(max(position), 0) FROM event", [], |row| row.get(0).map(Position))
    }

    /// Events after a position.
    pub(crate) fn after(db: &Connection, after: Position, limit: usize) -> Result<Vec<LogEntry>> {
        let mut statement = db.prepare_cached(
            "SELECT position, seq, unread, data FROM event WHERE position > ?1 ORDER BY position LIMIT ?2",
        )?;
        // No position is beyond what SQLite can count to.
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        let rows = statement.query_map((after, limit as i64), read_entry)?;
        rows.collect()
    }

    /// Events of one subject after a position and up to another. Messages are found by seq, since positions grow
    /// with seqs. What has no seq is few, or of a live room, and has an index of its own.
    pub(crate) fn of_subject(
        db: &Connection,
        conversation: i64,
        after: Position,
        up_to: Position,
        limit: usize,
    ) -> Result<Vec<LogEntry>> {
        let (first, last) = (seq_at(db, conversation, after)? + 1, seq_at(db, conversation, up_to)?);
        let mut statement = db.prepare_cached(
            "SELECT position, seq, unread, data FROM
                (SELECT * FROM (SELECT position, seq, unread, data FROM event
                    WHERE conversation = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT ?6)
                 UNION ALL
                 SELECT * FROM (SELECT position, seq, unread, data FROM event
                    WHERE conversation = ?1 AND seq IS NULL AND position > ?4 AND position <= ?5
                    ORDER BY position LIMIT ?6))
             ORDER BY position LIMIT ?6",
        )?;
        // No position is beyond what SQLite can count to.
        let bound = |position: Position| i64::try_from(position.0).unwrap_or(i64::MAX);
        let bounds = (conversation, first, last, bound(after), bound(up_to), limit as i64);
        statement.query_map(bounds, read_entry)?.collect()
    }

    /// Events of one subject before a position, newest first. Found as those of [`of_subject`] are.
    pub(crate) fn before(db: &Connection, conversation: i64, before: Position, limit: usize) -> Result<Vec<LogEntry>> {
        let last = match before.0.checked_sub(1) {
            Some(before) => seq_at(db, conversation, Position(before))?,
            None => return Ok(Vec::new()),
        };
        let mut statement = db.prepare_cached(
            "SELECT position, seq, unread, data FROM
                (SELECT * FROM (SELECT position, seq, unread, data FROM event
                    WHERE conversation = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT ?4)
                 UNION ALL
                 SELECT * FROM (SELECT position, seq, unread, data FROM event
                    WHERE conversation = ?1 AND seq IS NULL AND position < ?3
                    ORDER BY position DESC LIMIT ?4))
             ORDER BY position DESC LIMIT ?4",
        )?;
        // No position is beyond what SQLite can count to.
        let before = i64::try_from(before.0).unwrap_or(i64::MAX);
        statement.query_map((conversation, last, before, limit as i64), read_entry)?.collect()
    }

    /// The newest stored seq of a conversation at a position; 0 before its first.
    fn seq_at(db: &Connection, conversation: i64, at: Position) -> Result<Seq> {
        let mut newest =
            db.prepare_cached("SELECT coalesce(max(seq), 0) FROM event WHERE conversation = ?1 AND seq IS NOT NULL")?;
        // At a seq that is not stored (a live room's), the one before it stands in.
        let mut place = db.prepare_cached(
            "SELECT position FROM event WHERE conversation = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1",
        )?;
        let mut bisection = Bisection::below(newest.query_row([conversation], |row| row.get(0))?);
        while let Some(probe) = bisection.probe() {
            let position = place.query_row((conversation, probe), |row| row.get::<_, u64>(0)).optional()?;
            bisection.answer(probe, position.is_some_and(|position| position > at.0));
        }
        Ok(bisection.low)
    }

    /// Removes the oldest events without a seq, after one position and up to another.
    pub(crate) fn trim(db: &Connection, from: Position, up_to: Position, limit: usize) -> Result<Trimmed> {
        let mut trim = db.prepare_cached(
            "DELETE FROM event WHERE position IN (
                SELECT e.position FROM event e INDEXED BY event_to_trim
                WHERE e.seq IS NULL AND e.position > ?4 AND e.position <= ?1 AND e.position < (SELECT max(position) FROM event)
                    AND NOT EXISTS (SELECT 1 FROM letter WHERE shard = ?2 AND position = e.position)
                ORDER BY e.position LIMIT ?3)
             RETURNING position",
        )?;
        // No position is beyond what SQLite can count to.
        let bound = |position: Position| i64::try_from(position.0).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let removed = trim.query_map((bound(up_to), SHARD.0, limit, bound(from)), |row| row.get(0).map(Position))?;
        Ok(trimmed(&removed.collect::<Result<Vec<_>>>()?))
    }

    /// Messages of a conversation.
    pub(crate) fn messages(db: &Connection, conversation: i64, query: &MessageQuery) -> Result<Vec<Message>> {
        let order = if query.newest_first { "DESC" } else { "ASC" };
        let mut statement = db.prepare_cached(&format!(
            "SELECT seq, data FROM event
             WHERE conversation = ?1 AND seq BETWEEN ?2 AND ?3 AND time BETWEEN ?4 AND ?5
             ORDER BY seq {order} LIMIT ?6"
        ))?;
        let bound = |seq: Seq| i64::try_from(seq).unwrap_or(i64::MAX);
        let bounds = (
            conversation,
            bound(query.from),
            bound(query.to),
            query.since.millis(),
            query.until.millis(),
            query.limit as i64,
        );
        let events = statement.query_map(bounds, |row| read_event(row, 0, 1))?;
        events.filter_map(|event| event.map(message_of).transpose()).collect()
    }

    /// The message that a new one would repeat. `sender` is the key of who sends it.
    pub(crate) fn sent_before(db: &Connection, sender: i64, repeat: &Repeat) -> Result<Option<Message>> {
        let mut statement = db.prepare_cached(
            "SELECT seq, data FROM event WHERE repeat = ?1 AND sender = ?2 AND time >= ?3
             ORDER BY position DESC LIMIT 1",
        )?;
        let found = statement.query_row((repeat.hash, sender, repeat.earliest), |row| read_event(row, 0, 1));
        Ok(found.optional()?.and_then(message_of))
    }

    fn read_entry(row: &Row<'_>) -> Result<LogEntry> {
        let position = Position(row.get(0)?);
        Ok(LogEntry { shard: SHARD, position, event: read_event(row, 1, 3)?, unread: row.get(2)? })
    }

    fn read_event(row: &Row<'_>, seq: usize, data: usize) -> Result<Event> {
        Ok(numbered(from_json(row, data)?, row.get(seq)?))
    }

    /// Events after a position as they move: at most so many, and the first that together are of so many bytes. Without
    /// `data` they are only placed.
    pub(crate) fn rows(
        db: &Connection,
        after: Position,
        limit: usize,
        bytes: usize,
        with_data: bool,
    ) -> Result<Vec<EventRow>> {
        let data = if with_data { "data" } else { "''" };
        let mut statement = db.prepare_cached(&format!(
            "SELECT position, conversation, seq, time, unread, repeat, {data} FROM event
             WHERE position > ?1 ORDER BY position LIMIT ?2"
        ))?;
        let mut found = statement.query((after.0, limit as i64))?;
        let (mut rows, mut so_far) = (Vec::new(), 0);
        while so_far < bytes
            && let Some(row) = found.next()?
        {
            let row = EventRow {
                position: Position(row.get(0)?),
                conversation: row.get(1)?,
                seq: row.get(2)?,
                time: row.get(3)?,
                unread: row.get(4)?,
                repeat: row.get(5)?,
                data: row.get(6)?,
            };
            so_far += row.data.len();
            rows.push(row);
        }
        Ok(rows)
    }

    /// Adds an event that moves. `sender` is the key of the account that its message is of.
    pub(crate) fn add_row(db: &Connection, row: &EventRow, sender: Option<i64>) -> Result<()> {
        let mut statement = db.prepare_cached(
            "INSERT INTO event (position, conversation, seq, sender, time, unread, repeat, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let EventRow { position, conversation, seq, time, unread, repeat, data } = row;
        statement.execute((position.0, conversation, seq, sender, time, unread, repeat, data))?;
        Ok(())
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use std::collections::BTreeMap;

    use chat::event::{LogEntry, Position, Shard};
    use chat::id::Seq;
    use chat::message::Message;
    use chat::port::MessageQuery;
    use tokio_postgres::Row;
    use tokio_postgres::types::Type;

    use webhook::ledger::Trimmed;

    use super::{Bisection, Event, EventRow, message_of, numbered, trimmed};
    use crate::commit::NewEvent;
    use crate::postgres::{CopyIn, Db, Result, from_json, int, nat, place};
    use crate::repeat::Repeat;
    use crate::shard::SmallInt;

    /// An event in its place; the key is its conversation's.
    #[derive(Debug)]
    pub(crate) struct Placed<'a> {
        pub(crate) shard: Shard,
        pub(crate) position: Position,
        pub(crate) conversation: i64,
        pub(crate) event: NewEvent<'a>,
    }

    /// Appends events.
    pub(crate) async fn append(db: &Db, events: &[Placed<'_>]) -> Result<()> {
        let append = db
            .prepare_cached(
                "INSERT INTO event (shard, position, conversation, seq, time, unread, repeat, data)
                 SELECT * FROM unnest($1::int2[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[],
                    $7::int8[], $8::text[])",
            )
            .await?;
        let shards: Vec<_> = events.iter().map(|placed| placed.shard.int()).collect();
        let positions: Vec<_> = events.iter().map(|placed| int(placed.position.0)).collect();
        let conversations: Vec<_> = events.iter().map(|placed| placed.conversation).collect();
        let seqs: Vec<_> = events.iter().map(|placed| placed.event.seq.map(int)).collect();
        let times: Vec<_> = events.iter().map(|placed| placed.event.time.millis()).collect();
        let unread: Vec<_> = events.iter().map(|placed| placed.event.unread.map(int)).collect();
        let repeats: Vec<_> = events.iter().map(|placed| placed.event.repeat).collect();
        let data: Vec<_> = events.iter().map(|placed| placed.event.data.as_ref()).collect();
        db.execute(&append, &[&shards, &positions, &conversations, &seqs, &times, &unread, &repeats, &data]).await?;
        Ok(())
    }

    /// Events of a shard after a position.
    pub(crate) async fn after(db: &Db, shard: Shard, after: Position, limit: usize) -> Result<Vec<LogEntry>> {
        let query = db
            .prepare_cached(
                "SELECT position, seq, unread, data FROM event WHERE shard = $1 AND position > $2
                 ORDER BY position LIMIT $3",
            )
            .await?;
        let rows = db.query(&query, &[&shard.int(), &int(after.0), &int(limit as u64)]).await?;
        rows.iter().map(|row| read_entry(shard, row)).collect()
    }

    /// Events of one subject after a position and up to another. Messages are found by seq, since positions grow
    /// with seqs. What has no seq is few, or of a live room, and has an index of its own.
    pub(crate) async fn of_subject(
        db: &Db,
        shard: Shard,
        conversation: i64,
        after: Position,
        up_to: Position,
        limit: usize,
    ) -> Result<Vec<LogEntry>> {
        let first = seq_at(db, shard, conversation, after).await? + 1;
        let last = seq_at(db, shard, conversation, up_to).await?;
        let query = db
            .prepare_cached(
                "(SELECT position, seq, unread, data FROM event
                    WHERE shard = $1 AND conversation = $2 AND seq BETWEEN $3 AND $4 ORDER BY seq LIMIT $7)
                 UNION ALL
                 (SELECT position, seq, unread, data FROM event
                    WHERE shard = $1 AND conversation = $2 AND seq IS NULL AND position > $5 AND position <= $6
                    ORDER BY position LIMIT $7)
                 ORDER BY position LIMIT $7",
            )
            .await?;
        let (first, last, limit) = (int(first), int(last), int(limit as u64));
        let (after, up_to) = (int(after.0), int(up_to.0));
        let rows = db.query(&query, &[&shard.int(), &conversation, &first, &last, &after, &up_to, &limit]).await?;
        rows.iter().map(|row| read_entry(shard, row)).collect()
    }

    /// Events of one subject before a position, newest first. Found as those of [`of_subject`] are.
    pub(crate) async fn before(
        db: &Db,
        shard: Shard,
        conversation: i64,
        before: Position,
        limit: usize,
    ) -> Result<Vec<LogEntry>> {
        let last = match before.0.checked_sub(1) {
            Some(before) => seq_at(db, shard, conversation, Position(before)).await?,
            None => return Ok(Vec::new()),
        };
        let query = db
            .prepare_cached(
                "(SELECT position, seq, unread, data FROM event
                    WHERE shard = $1 AND conversation = $2 AND seq <= $3 ORDER BY seq DESC LIMIT $5)
                 UNION ALL
                 (SELECT position, seq, unread, data FROM event
                    WHERE shard = $1 AND conversation = $2 AND seq IS NULL AND position < $4
                    ORDER BY position DESC LIMIT $5)
                 ORDER BY position DESC LIMIT $5",
            )
            .await?;
        let (last, before, limit) = (int(last), int(before.0), int(limit as u64));
        let rows = db.query(&query, &[&shard.int(), &conversation, &last, &before, &limit]).await?;
        rows.iter().map(|row| read_entry(shard, row)).collect()
    }

    /// The newest stored seq of a conversation at a position; 0 before its first.
    async fn seq_at(db: &Db, shard: Shard, conversation: i64, at: Position) -> Result<Seq> {
        // At a seq that is not stored (a live room's), the one before it stands in.
        let place = db
            .prepare_cached(
                "SELECT seq, position FROM event WHERE shard = $1 AND conversation = $2 AND seq <= $3
                 ORDER BY seq DESC LIMIT 1",
            )
            .await?;
        let newest = db.query_opt(&place, &[&shard.int(), &conversation, &i64::MAX]).await?;
        let mut bisection = Bisection::below(newest.map_or(0, |row| nat(row.get(0))));
        while let Some(probe) = bisection.probe() {
            let row = db.query_opt(&place, &[&shard.int(), &conversation, &int(probe)]).await?;
            bisection.answer(probe, row.is_some_and(|row| nat(row.get(1)) > at.0));
        }
        Ok(bisection.low)
    }

    /// Removes the oldest events without a seq, after one position and up to another, of a shard that is locked: no letter
    /// is written meanwhile.
    pub(crate) async fn trim(db: &Db, shard: Shard, from: Position, up_to: Position, limit: usize) -> Result<Trimmed> {
        let trim = db
            .prepare_cached(
                "DELETE FROM event e USING (
                    SELECT o.ctid FROM event o
                    WHERE o.shard = $1 AND o.seq IS NULL AND o.position > $4 AND o.position <= $2
                        AND o.position < (SELECT head FROM log_shard WHERE shard = $1)
                        -- Each by itself.
                        AND NOT EXISTS
                            (SELECT 1 FROM letter l WHERE l.shard = $1 AND l.position = o.position OFFSET 0)
                    ORDER BY o.position LIMIT $3) old
                 WHERE e.ctid = old.ctid RETURNING e.position",
            )
            .await?;
        let rows = db.query(&trim, &[&shard.int(), &int(up_to.0), &int(limit as u64), &int(from.0)]).await?;
        let removed: Vec<_> = rows.iter().map(|row| Position(nat(row.get(0)))).collect();
        Ok(trimmed(&removed))
    }

    /// Messages of a conversation.
    pub(crate) async fn messages(
        db: &Db,
        shard: Shard,
        conversation: i64,
        query: &MessageQuery,
    ) -> Result<Vec<Message>> {
        let order = if query.newest_first { "DESC" } else { "ASC" };
        let list = db
            .prepare_cached(&format!(
                "SELECT seq, data FROM event
                 WHERE shard = $1 AND conversation = $2 AND seq BETWEEN $3 AND $4 AND time BETWEEN $5 AND $6
                 ORDER BY seq {order} LIMIT $7"
            ))
            .await?;
        let (from, to, limit) = (int(query.from), int(query.to), int(query.limit as u64));
        let (since, until) = (query.since.millis(), query.until.millis());
        let rows = db.query(&list, &[&shard.int(), &conversation, &from, &to, &since, &until, &limit]).await?;
        rows.iter().filter_map(|row| read_event(row, 0, 1).map(message_of).transpose()).collect()
    }

    /// The messages that new ones would repeat, each with the place of what it is found by, and its position.
    pub(crate) async fn sent_before(db: &Db, repeats: &[(Shard, Repeat)]) -> Result<Vec<(usize, Position, Message)>> {
        let query = db
            .prepare_cached(
                "SELECT e.seq, e.data, u.n, e.position
                 FROM unnest($1::int2[], $2::int8[], $3::int8[]) WITH ORDINALITY AS u (shard, repeat, earliest, n)
                 CROSS JOIN LATERAL (
                    SELECT seq, data, position FROM event
                    WHERE shard = u.shard AND repeat = u.repeat AND time >= u.earliest
                    -- Not by an index: that of positions would be read to its end.
                    ORDER BY position + 0 DESC LIMIT 1) e",
            )
            .await?;
        let shards: Vec<_> = repeats.iter().map(|(shard, _)| shard.int()).collect();
        let hashes: Vec<_> = repeats.iter().map(|(_, repeat)| repeat.hash).collect();
        let earliest: Vec<_> = repeats.iter().map(|(_, repeat)| repeat.earliest).collect();
        let rows = db.query(&query, &[&shards, &hashes, &earliest]).await?;
        let read = |row: &Row| {
            let message = message_of(read_event(row, 0, 1)?);
            Ok(message.map(|message| (place(row, 2), Position(nat(row.get(3))), message)))
        };
        rows.iter().filter_map(|row| read(row).transpose()).collect()
    }

    fn read_entry(shard: Shard, row: &Row) -> Result<LogEntry> {
        let unread = row.get::<_, Option<i64>>(2).map(nat);
        Ok(LogEntry { shard, position: Position(nat(row.get(0))), event: read_event(row, 1, 3)?, unread })
    }

    fn read_event(row: &Row, seq: usize, data: usize) -> Result<Event> {
        Ok(numbered(from_json(row, data)?, row.get::<_, Option<i64>>(seq).map(nat)))
    }

    /// Events of a shard after a position as they move: at most so many, and the first that together are of so many
    /// bytes. Without `data` they are only placed.
    pub(crate) async fn rows(
        db: &Db,
        shard: Shard,
        after: Position,
        limit: usize,
        bytes: usize,
        with_data: bool,
    ) -> Result<Vec<EventRow>> {
        let query = match with_data {
            true => {
                "SELECT position, conversation, seq, time, unread, repeat, data FROM
                    (SELECT *, sum(octet_length(data)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING)
                        - octet_length(data) AS before
                     FROM (SELECT * FROM event WHERE shard = $1 AND position > $2 ORDER BY position LIMIT $3) page) sized
                 WHERE before < $4 ORDER BY position"
            }
            false => {
                "SELECT position, conversation, seq, time, unread, repeat, '' FROM event
                 WHERE shard = $1 AND position > $2 AND $4::int8 > 0 ORDER BY position LIMIT $3"
            }
        };
        let query = db.prepare_cached(query).await?;
        let (limit, bytes) = (int(limit as u64), int(bytes as u64));
        let rows = db.query(&query, &[&shard.int(), &int(after.0), &limit, &bytes]).await?;
        let read = |row: Row| EventRow {
            position: Position(nat(row.get(0))),
            conversation: row.get(1),
            seq: row.get(2),
            time: row.get(3),
            unread: row.get(4),
            repeat: row.get(5),
            data: row.get(6),
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// Adds events that move; the newest of a shard is its head.
    pub(crate) async fn add_rows(db: &Db, rows: &[(Shard, EventRow)]) -> Result<()> {
        let (number, small) = (Type::INT8, Type::INT2);
        let numbers = [number.clone(), number.clone(), number.clone(), number.clone(), number.clone(), number];
        let types = [&[small][..], &numbers, &[Type::TEXT]].concat();
        let copy = "COPY event (shard, position, conversation, seq, time, unread, repeat, data)
             FROM STDIN (FORMAT binary)";
        let mut copy = CopyIn::begin(db, copy, &types).await?;
        let mut heads = BTreeMap::new();
        for (shard, row) in rows {
            let (shard, place) = (shard.int(), int(row.position.0));
            let EventRow { conversation, seq, time, unread, repeat, data, .. } = row;
            copy.row(&[&shard, &place, conversation, seq, time, unread, repeat, data]).await?;
            heads.insert(shard, place);
        }
        copy.end().await?;
        let put = db
            .prepare_cached(
                "UPDATE log_shard s SET head = u.head FROM unnest($1::int2[], $2::int8[]) AS u (shard, head)
                 WHERE s.shard = u.shard",
            )
            .await?;
        let (shards, heads): (Vec<_>, Vec<_>) = heads.into_iter().unzip();
        db.execute(&put, &[&shards, &heads]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Bisection;

    #[test]
    fn bisection_finds_every_place_with_few_questions() {
        for head in 0..200 {
            // The position of seq n is 10 n.
            for at in (0..=10 * head + 10).step_by(5) {
                let mut bisection = Bisection::below(head);
                let mut asked = 0;
                while let Some(probe) = bisection.probe() {
                    assert!((1..=head).contains(&probe));
                    bisection.answer(probe, 10 * probe > at);
                    asked += 1;
                }
                assert_eq!(bisection.low, (at / 10).min(head));
                assert!(asked <= 17, "{asked} questions for {at} below {head}");
            }
        }
    }
}
