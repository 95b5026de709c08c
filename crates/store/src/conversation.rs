//! Conversations: heads, read marks, unread counts.

use chat::conversation::ConversationId;
use chat::event::Position;
use chat::id::{AccountId, GroupId, Seq, Timestamp};
use chat::port::ConversationState;
use rusqlite::{Connection, OptionalExtension, Result};

use crate::{account, event, group, topic};

/// A conversation's row: what a send needs of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) key: i64,
    pub(crate) kind: Kind,
    /// Direct: the account with the lesser id. Otherwise the group.
    pub(crate) a: i64,
    pub(crate) head: Seq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct = 0,
    Group = 1,
    Topic = 2,
}

/// The row of a conversation; none if nothing ever happened in it.
pub(crate) fn find(db: &Connection, id: &ConversationId) -> Result<Option<Found>> {
    let Some((kind, a, b)) = parties(db, id)? else { return Ok(None) };
    let mut statement =
        db.prepare_cached("SELECT key, head FROM conversation WHERE kind = ?1 AND a = ?2 AND b = ?3")?;
    let found = |row: &rusqlite::Row<'_>| Ok(Found { key: row.get(0)?, kind, a, head: row.get(1)? });
    statement.query_row((kind as u8, a, b), found).optional()
}

/// The row of a conversation; makes it if it is not there. Its accounts or group must exist.
pub(crate) fn find_or_make(db: &Connection, id: &ConversationId) -> Result<Found> {
    let (kind, a, b) = parties(db, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let mut statement =
        db.prepare_cached("SELECT key, head FROM conversation WHERE kind = ?1 AND a = ?2 AND b = ?3")?;
    let found = |row: &rusqlite::Row<'_>| Ok(Found { key: row.get(0)?, kind, a, head: row.get(1)? });
    if let Some(found) = statement.query_row((kind as u8, a, b), found).optional()? {
        return Ok(found);
    }
    let mut insert = db.prepare_cached("INSERT INTO conversation (kind, a, b) VALUES (?1, ?2, ?3) RETURNING key")?;
    let key = insert.query_row((kind as u8, a, b), |row| row.get(0))?;
    Ok(Found { key, kind, a, head: 0 })
}

fn parties(db: &Connection, id: &ConversationId) -> Result<Option<(Kind, i64, i64)>> {
    Ok(match id {
        ConversationId::Direct(one, other) => match (account::key(db, one)?, account::key(db, other)?) {
            (Some(a), Some(b)) => Some((Kind::Direct, a, b)),
            _ => None,
        },
        ConversationId::Group(id) => group::key(db, id)?.map(|key| (Kind::Group, key, 0)),
        ConversationId::Topic(id, topic) => match (group::key(db, id)?, topic::key(db, id, topic)?) {
            (Some(a), Some(b)) => Some((Kind::Topic, a, b)),
            _ => None,
        },
    })
}

/// Head and newest time.
pub(crate) fn state(db: &Connection, id: &ConversationId) -> Result<ConversationState> {
    let Some(found) = find(db, id)? else { return Ok(ConversationState::default()) };
    let mut statement = db.prepare_cached("SELECT head, last_time FROM conversation WHERE key = ?1")?;
    statement.query_row([found.key], |row| {
        Ok(ConversationState { head: row.get(0)?, last_time: Timestamp::from_millis(row.get(1)?) })
    })
}

/// What a message moves its conversation on to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) seq: Seq,
    pub(crate) time: Timestamp,
    pub(crate) position: Position,
}

/// Takes the next seq of a conversation for a message that is not one-to-one.
pub(crate) fn advance(db: &Connection, key: i64, step: Step) -> Result<()> {
    let mut statement =
        db.prepare_cached("UPDATE conversation SET head = ?2, last_time = ?3, last_position = ?4 WHERE key = ?1")?;
    statement.execute((key, step.seq, step.time.millis(), step.position.0))?;
    Ok(())
}

/// How many messages either party of a direct conversation has unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) a: u64,
    pub(crate) b: u64,
}

/// Takes the next seq of a direct conversation. The other party has one more unread if the message counts; the sender
/// has read all if sending reads, or if nothing was unread.
pub(crate) fn advance_direct(
    db: &Connection,
    key: i64,
    sender: i64,
    step: Step,
    counts: bool,
    reads: bool,
) -> Result<Unread> {
    let mut statement = db.prepare_cached(
        "UPDATE conversation SET
            head = ?2, last_time = ?3, last_position = ?4,
            read_a   = CASE WHEN a = ?5 AND (?7 OR unread_a = 0) THEN ?2 ELSE read_a END,
            read_b   = CASE WHEN b = ?5 AND (?7 OR unread_b = 0) THEN ?2 ELSE read_b END,
            unread_a = CASE WHEN a = ?5 THEN CASE WHEN ?7 THEN 0 ELSE unread_a END ELSE unread_a + ?6 END,
            unread_b = CASE WHEN b = ?5 THEN CASE WHEN ?7 THEN 0 ELSE unread_b END ELSE unread_b + ?6 END
         WHERE key = ?1 RETURNING unread_a, unread_b",
    )?;
    let parameters = (key, step.seq, step.time.millis(), step.position.0, sender, counts, reads);
    statement.query_row(parameters, |row| Ok(Unread { a: row.get(0)?, b: row.get(1)? }))
}

/// Unread one-to-one messages of an account; see [`chat::port::Store::unread_direct`].
pub(crate) fn unread_direct(
    db: &Connection,
    id: &AccountId,
    peer: Option<&AccountId>,
    as_of: Option<Position>,
) -> Result<u64> {
    let Some(account) = account::key(db, id)? else { return Ok(0) };
    let peer = match peer {
        None => None,
        Some(peer) => match account::key(db, peer)? {
            Some(peer) => Some(peer),
            None => return Ok(0),
        },
    };
    // A conversation that has moved on since then may have had other counts.
    let as_of = as_of.map_or(i64::MAX as u64, |position| position.0);
    let mut rows = db.prepare_cached(
        "SELECT key, true, unread_a, head, last_position FROM conversation
            WHERE kind = 0 AND a = ?1 AND (?2 IS NULL OR b = ?2) AND (unread_a > 0 OR last_position > ?3)
         UNION ALL
         SELECT key, false, unread_b, head, last_position FROM conversation
            WHERE kind = 0 AND b = ?1 AND a <> b AND (?2 IS NULL OR a = ?2) AND (unread_b > 0 OR last_position > ?3)",
    )?;
    let rows = rows.query_map((account, peer, as_of), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
    })?;
    let mut total = 0;
    for row in rows {
        let (key, is_a, unread, head, last_position): (i64, bool, u64, Seq, u64) = row?;
        total += if last_position > as_of {
            let then = event::unread_at(db, key, head, Position(as_of))?;
            then.map_or(0, |then| if is_a { then.a } else { then.b })
        } else {
            unread
        };
    }
    Ok(total)
}

/// The conversations of an account that have a message. Topics are reached through their group.
pub(crate) fn list_of(db: &Connection, id: &AccountId) -> Result<Vec<(ConversationId, Seq)>> {
    let Some(account) = account::key(db, id)? else { return Ok(Vec::new()) };
    let mut direct = db.prepare_cached(
        "SELECT one.id, other.id, c.head FROM
            (SELECT a, b, head FROM conversation WHERE kind = 0 AND a = ?1 AND head > 0
             UNION ALL
             SELECT a, b, head FROM conversation WHERE kind = 0 AND b = ?1 AND a <> b AND head > 0) c
         JOIN account one ON one.key = c.a JOIN account other ON other.key = c.b ORDER BY 1, 2",
    )?;
    let mut groups = db.prepare_cached(
        "SELECT g.id, c.head FROM member m
         JOIN conversation c ON c.kind = 1 AND c.a = m.group_key AND c.b = 0
         JOIN chat_group g ON g.key = m.group_key
         WHERE m.account = ?1 AND c.head > 0 ORDER BY 1",
    )?;
    let direct = direct.query_map([account], |row| {
        let (one, other): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((ConversationId::Direct(AccountId::new(one), AccountId::new(other)), row.get(2)?))
    })?;
    let groups = groups
        .query_map([account], |row| Ok((ConversationId::Group(GroupId::new(row.get::<_, String>(0)?)), row.get(1)?)))?;
    direct.chain(groups).collect()
}
