//! The log: events in their places, and messages among them.

use chat::event::{Event, LogEntry, Position, Shard};
use chat::id::{AccountId, Seq, Timestamp};
use chat::message::{Message, RepeatKey};
use chat::port::MessageQuery;
use rusqlite::{Connection, OptionalExtension, Result, Row};
use sha2::{Digest, Sha256};

use crate::account;
use crate::sqlite::from_json;

/// SQLite's log is one shard: its one writer is the order.
pub(crate) const SHARD: Shard = Shard(0);

/// A row to append.
#[derive(Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) position: Position,
    pub(crate) conversation: i64,
    pub(crate) seq: Option<Seq>,
    pub(crate) sender: Option<i64>,
    pub(crate) time: Timestamp,
    pub(crate) counts: bool,
    pub(crate) repeat: Option<i64>,
    pub(crate) data: &'a str,
}

/// Appends a row.
pub(crate) fn append(db: &Connection, row: &NewRow<'_>) -> Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO event (position, conversation, seq, sender, time, counts, repeat, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    statement.execute((
        row.position.0,
        row.conversation,
        row.seq,
        row.sender,
        row.time.millis(),
        row.counts,
        row.repeat,
        row.data,
    ))?;
    Ok(())
}

/// The newest position.
pub(crate) fn head(db: &Connection) -> Result<Position> {
    db.query_row("SELECT coalesce(max(position), 0) FROM event", [], |row| row.get(0).map(Position))
}

/// Events after a position.
pub(crate) fn after(db: &Connection, after: Position, limit: usize) -> Result<Vec<LogEntry>> {
    let mut statement =
        db.prepare_cached("SELECT position, seq, data FROM event WHERE position > ?1 ORDER BY position LIMIT ?2")?;
    // No position is beyond what SQLite can count to.
    let after = i64::try_from(after.0).unwrap_or(i64::MAX);
    let rows = statement.query_map((after, limit as i64), |row| {
        let position = Position(row.get(0)?);
        Ok(LogEntry { shard: SHARD, position, event: read_event(row, 1, 2)? })
    })?;
    rows.collect()
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
    let rows = statement.query_map(bounds, |row| read_event(row, 0, 1))?;
    let mut messages = Vec::new();
    for event in rows {
        if let Event::MessageSent(message) = event? {
            messages.push(message);
        }
    }
    Ok(messages)
}

/// The message that `sender` sent with this key before, if that is not too long ago.
pub(crate) fn repeat_of(
    db: &Connection,
    sender: &AccountId,
    key: &RepeatKey,
    now: Timestamp,
) -> Result<Option<Message>> {
    let Some(sender_key) = account::key(db, sender)? else { return Ok(None) };
    let earliest = key.window_millis.map_or(i64::MIN, |window| now.millis().saturating_sub(window));
    let mut statement = db.prepare_cached(
        "SELECT seq, data FROM event WHERE repeat = ?1 AND sender = ?2 AND time >= ?3 ORDER BY position DESC LIMIT 1",
    )?;
    let found = statement
        .query_row((repeat_hash(sender, key), sender_key, earliest), |row| read_event(row, 0, 1))
        .optional()?;
    Ok(found.and_then(|event| match event {
        Event::MessageSent(message) => Some(message),
        Event::MessageNotSent { .. } | Event::GroupChanged(_) => None,
    }))
}

/// What stands in the `repeat` column. 64 bits of SHA-256 over sender and key: among one sender's messages two different
/// keys meet by chance once in 10¹⁹ pairs.
pub(crate) fn repeat_hash(sender: &AccountId, key: &RepeatKey) -> i64 {
    let mut hash = Sha256::new();
    hash.update(sender.as_str());
    hash.update([0]);
    hash.update(&key.key);
    let bytes = hash.finalize();
    i64::from_be_bytes(bytes[..8].try_into().expect("SHA-256 has 32 bytes"))
}

fn read_event(row: &Row<'_>, seq: usize, data: usize) -> Result<Event> {
    let mut event: Event = from_json(row, data)?;
    // A live room's message has its number in the JSON: it has no seq column, because it is not in the history.
    if let (Event::MessageSent(message), Some(seq)) = (&mut event, row.get::<_, Option<Seq>>(seq)?) {
        message.seq = seq;
    }
    Ok(event)
}
