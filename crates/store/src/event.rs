//! The log: events in their places, and messages among them.

use chat::event::{Event, LogEntry, Position, Shard};
use chat::id::{AccountId, Seq, Timestamp};
use chat::message::{Message, RepeatKey};
use chat::port::MessageQuery;
use rusqlite::{Connection, OptionalExtension, Result, Row};
use sha2::{Digest, Sha256};

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
    /// One-to-one: how many the recipient has unread after this, in all conversations.
    pub(crate) unread: Option<u64>,
    pub(crate) repeat: Option<i64>,
    pub(crate) data: &'a str,
}

/// Appends a row.
pub(crate) fn append(db: &Connection, row: &NewRow<'_>) -> Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO event (position, conversation, seq, sender, time, unread, repeat, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    statement.execute((
        row.position.0,
        row.conversation,
        row.seq,
        row.sender,
        row.time.millis(),
        row.unread,
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
    let mut statement = db.prepare_cached(
        "SELECT position, seq, unread, data FROM event WHERE position > ?1 ORDER BY position LIMIT ?2",
    )?;
    // No position is beyond what SQLite can count to.
    let after = i64::try_from(after.0).unwrap_or(i64::MAX);
    let rows = statement.query_map((after, limit as i64), read_entry)?;
    rows.collect()
}

/// Events of one conversation after a position and up to another. Messages are found by seq, since positions grow with
/// seqs. What has no seq is few, or of a live room, and has an index of its own.
pub(crate) fn of_conversation(
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
    let bounds = (conversation, first, last, after.0, up_to.0, limit as i64);
    statement.query_map(bounds, read_entry)?.collect()
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

/// The newest stored seq of a conversation at a position; 0 before its first.
///
/// Positions grow with seqs, so it is found by bisection from the newest end, in the index alone: readers of the log ask
/// about the recent past.
fn seq_at(db: &Connection, conversation: i64, at: Position) -> Result<Seq> {
    let mut newest =
        db.prepare_cached("SELECT coalesce(max(seq), 0) FROM event WHERE conversation = ?1 AND seq IS NOT NULL")?;
    let head: Seq = newest.query_row([conversation], |row| row.get(0))?;
    // At a seq that is not stored (a live room's), the one before it stands in.
    let mut place = db
        .prepare_cached("SELECT position FROM event WHERE conversation = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1")?;
    let mut is_later = |seq: Seq| -> Result<bool> {
        let position = place.query_row((conversation, seq), |row| row.get::<_, u64>(0)).optional()?;
        Ok(position.is_some_and(|position| position > at.0))
    };
    // `high` is later, or after the newest; `low` is not later, or before the first.
    let (mut low, mut high, mut step) = (0, head + 1, 1);
    while low == 0 && high > 1 {
        let probe = high.saturating_sub(step).max(1);
        if is_later(probe)? {
            high = probe;
            step *= 2;
        } else {
            low = probe;
        }
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if is_later(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(low)
}

/// The message that `sender` sent with this key before, if that is not too long ago. `sender_key` is its key.
pub(crate) fn repeat_of(
    db: &Connection,
    sender_key: i64,
    sender: &AccountId,
    key: &RepeatKey,
    now: Timestamp,
) -> Result<Option<Message>> {
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

fn read_entry(row: &Row<'_>) -> Result<LogEntry> {
    let position = Position(row.get(0)?);
    Ok(LogEntry { shard: SHARD, position, event: read_event(row, 1, 3)?, unread: row.get(2)? })
}

fn read_event(row: &Row<'_>, seq: usize, data: usize) -> Result<Event> {
    let mut event: Event = from_json(row, data)?;
    // A live room's message has its number in the JSON: it has no seq column, because it is not in the history.
    if let (Event::MessageSent(message), Some(seq)) = (&mut event, row.get::<_, Option<Seq>>(seq)?) {
        message.seq = seq;
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(sender: &str, key: &str) -> i64 {
        repeat_hash(&sender.into(), &RepeatKey { key: key.into(), window_millis: None })
    }

    /// It is stored: a change would make every message before an upgrade unknown to the retries after it.
    #[test]
    fn the_repeat_hash_never_changes() {
        assert_eq!(hash("", ""), 7_940_984_811_893_783_192);
        assert_eq!(hash("alice", "1_2"), 5_107_955_216_505_821_368);
    }

    #[test]
    fn sender_and_key_do_not_run_into_each_other() {
        assert_ne!(hash("ab", "c"), hash("a", "bc"));
        assert_ne!(hash("a", ""), hash("", "a"));
        assert_ne!(hash("a", "b"), hash("b", "a"));
    }
}
