//! Conversations: heads, read marks, unread counts.

use chat::conversation::ConversationId;
use chat::id::{AccountId, GroupId, Seq, Timestamp};
use chat::port::ConversationState;
use rusqlite::{Connection, OptionalExtension, Result};

use crate::{account, group, topic};

/// A conversation's row: what a send needs of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) key: i64,
    pub(crate) kind: Kind,
    /// Direct: the account with the lesser id. Otherwise the group.
    pub(crate) a: i64,
    /// Direct: the other account. Topic: the topic. Otherwise 0.
    pub(crate) b: i64,
    pub(crate) head: Seq,
    /// Direct: how far either party has read.
    read: Pair,
    /// Direct: how many messages either party has unread.
    pub(crate) unread: Pair,
}

/// A number for either party of a direct conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) a: u64,
    pub(crate) b: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct = 0,
    Group = 1,
    Topic = 2,
}

const SELECT: &str = "SELECT key, head, read_a, read_b, unread_a, unread_b FROM conversation
     WHERE kind = ?1 AND a = ?2 AND b = ?3";

/// The row of a conversation; none if nothing ever happened in it.
pub(crate) fn find(db: &Connection, id: &ConversationId) -> Result<Option<Found>> {
    match parties(db, id)? {
        Some((kind, a, b)) => select(db, kind, a, b),
        None => Ok(None),
    }
}

/// The row of a conversation; makes it if it is not there. Its accounts or group must exist.
pub(crate) fn find_or_make(db: &Connection, id: &ConversationId) -> Result<Found> {
    let (kind, a, b) = parties(db, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    if let Some(found) = select(db, kind, a, b)? {
        return Ok(found);
    }
    let mut insert = db.prepare_cached("INSERT INTO conversation (kind, a, b) VALUES (?1, ?2, ?3) RETURNING key")?;
    let key = insert.query_row((kind as u8, a, b), |row| row.get(0))?;
    Ok(Found { key, kind, a, b, head: 0, read: Pair::default(), unread: Pair::default() })
}

fn select(db: &Connection, kind: Kind, a: i64, b: i64) -> Result<Option<Found>> {
    let mut statement = db.prepare_cached(SELECT)?;
    let found = |row: &rusqlite::Row<'_>| {
        Ok(Found {
            key: row.get(0)?,
            kind,
            a,
            b,
            head: row.get(1)?,
            read: Pair { a: row.get(2)?, b: row.get(3)? },
            unread: Pair { a: row.get(4)?, b: row.get(5)? },
        })
    };
    statement.query_row((kind as u8, a, b), found).optional()
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

/// Moves a conversation on to a message, in its row and in `found`.
pub(crate) fn advance(db: &Connection, found: &mut Found, seq: Seq, time: Timestamp) -> Result<()> {
    found.head = seq;
    let mut statement = db.prepare_cached(
        "UPDATE conversation SET head = ?2, last_time = ?3, read_a = ?4, read_b = ?5, unread_a = ?6, unread_b = ?7
         WHERE key = ?1",
    )?;
    let (read, unread) = (found.read, found.unread);
    statement.execute((found.key, seq, time.millis(), read.a, read.b, unread.a, unread.b))?;
    Ok(())
}

impl Found {
    /// Counts a message of a direct conversation: the other party has one more unread if it `counts`; the sender has
    /// read all if sending reads, or if nothing was unread.
    pub(crate) fn count(&mut self, sender: i64, seq: Seq, counts: bool, reads: bool) {
        let is_to_oneself = self.a == self.b;
        let Pair { a, b } = &mut self.unread;
        let (own, other, read) = if sender == self.a { (a, b, &mut self.read.a) } else { (b, a, &mut self.read.b) };
        if reads || *own == 0 {
            *own = 0;
            *read = seq;
        }
        *other += u64::from(counts && !is_to_oneself);
    }
}

/// Unread one-to-one messages of an account.
pub(crate) fn unread_direct(db: &Connection, id: &AccountId, peer: Option<&AccountId>) -> Result<u64> {
    let Some(account) = account::key(db, id)? else { return Ok(0) };
    let Some(peer) = peer else { return unread_in_all(db, account) };
    let Some(peer) = account::key(db, peer)? else { return Ok(0) };
    let mut statement = db.prepare_cached(
        "SELECT CASE WHEN a = ?1 THEN unread_a ELSE unread_b END FROM conversation
         WHERE kind = 0 AND ((a = ?1 AND b = ?2) OR (a = ?2 AND b = ?1))",
    )?;
    Ok(statement.query_row((account, peer), |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Unread one-to-one messages of an account in all its conversations.
pub(crate) fn unread_in_all(db: &Connection, account: i64) -> Result<u64> {
    let mut statement = db.prepare_cached(
        "SELECT (SELECT coalesce(sum(unread_a), 0) FROM conversation WHERE kind = 0 AND a = ?1)
              + (SELECT coalesce(sum(unread_b), 0) FROM conversation WHERE kind = 0 AND b = ?1 AND a <> b)",
    )?;
    statement.query_row([account], |row| row.get(0))
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
