//! Conversations: heads, read marks, unread counts. The other subjects that events are about have a row here, too: their
//! events are found by its key.

use chat::conversation::ConversationId;
use chat::event::{Shard, Subject};
use chat::id::{AccountId, GroupId, Seq, TopicId};
use serde::Serialize;

use crate::migrate::Moves;

/// What a send needs of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Its highest seq.
    pub(crate) head: Seq,
    /// Direct: how far either party has read.
    pub(crate) read: Pair,
    /// Direct: how many messages either party has unread.
    pub(crate) unread: Pair,
}

/// A number for either party of a direct conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) a: u64,
    pub(crate) b: u64,
}

/// A party of a direct conversation: A has the lesser id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    A,
    B,
}

impl Counts {
    /// Counts a message of a direct conversation: the other party has one more unread if it `adds`; the sender has read
    /// all if sending reads, or if nothing was unread.
    pub(crate) fn count(&mut self, sender: Party, seq: Seq, adds: bool, reads: bool) {
        let Pair { a, b } = &mut self.unread;
        let (own, other, read) = match sender {
            Party::A => (a, b, &mut self.read.a),
            Party::B => (b, a, &mut self.read.b),
        };
        if reads || *own == 0 {
            *own = 0;
            *read = seq;
        }
        *other += u64::from(adds);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct = 0,
    Group = 1,
    Topic = 2,
    Account = 3,
    App = 4,
}

/// A subject by its kind and the texts that tell it from others of that kind.
fn name(id: &Subject) -> (i16, &str, &str) {
    match id {
        Subject::Conversation(ConversationId::Direct(a, b)) => (Kind::Direct as i16, a.as_str(), b.as_str()),
        Subject::Conversation(ConversationId::Group(group)) => (Kind::Group as i16, group.as_str(), ""),
        Subject::Conversation(ConversationId::Topic(group, topic)) => {
            (Kind::Topic as i16, group.as_str(), topic.as_str())
        }
        Subject::Account(account) => (Kind::Account as i16, account.as_str(), ""),
        Subject::App => (Kind::App as i16, "", ""),
    }
}

/// The subject of a name.
fn named(kind: i16, a: String, b: String) -> Subject {
    match kind {
        0 => ConversationId::Direct(AccountId::new(a), AccountId::new(b)).into(),
        1 => ConversationId::Group(GroupId::new(a)).into(),
        2 => ConversationId::Topic(GroupId::new(a), TopicId::new(b)).into(),
        3 => Subject::Account(AccountId::new(a)),
        _ => Subject::App,
    }
}

/// A conversation, as it moves. Where it is and its key are of the database that it is in.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConversationRow {
    #[serde(skip)]
    pub(crate) shard: Shard,
    #[serde(skip)]
    pub(crate) key: i64,
    pub(crate) id: Subject,
    head: i64,
    last_time: i64,
    /// Direct: how far either party has read, and how many messages it has unread.
    read: (i64, i64),
    unread: (i64, i64),
}

#[cfg(test)]
impl ConversationRow {
    /// A group's, in which nothing was said.
    pub(crate) fn empty(shard: Shard, key: i64, group: &str) -> Self {
        Self {
            shard,
            key,
            id: ConversationId::Group(group.into()).into(),
            head: 0,
            last_time: 0,
            read: (0, 0),
            unread: (0, 0),
        }
    }
}

impl Moves for ConversationRow {
    const NAME: &'static str = "conversations";

    fn bytes(&self) -> usize {
        0
    }
}

/// In SQLite.
pub(crate) mod lite {
    use chat::conversation::ConversationId;
    use chat::event::{Shard, Subject};
    use chat::id::{AccountId, GroupId, Timestamp};
    use chat::port::{ConversationState, InboxEntry};
    use rusqlite::{Connection, OptionalExtension, Result};

    use super::{ConversationRow, Counts, Kind, Pair, name, named};
    use crate::account::lite as account;
    use crate::group::lite as group;
    use crate::migrate::InSqlite;
    use crate::topic::lite as topic;

    /// A conversation's row.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Found {
        pub(crate) key: i64,
        /// Direct: the account with the lesser id. Else the group, or the account; 0 for the app.
        pub(crate) a: i64,
        pub(crate) counts: Counts,
    }

    /// The row of a subject; none if nothing ever happened in it.
    pub(crate) fn find(db: &Connection, id: &Subject) -> Result<Option<Found>> {
        match parties(db, id)? {
            Some((kind, a, b)) => select(db, kind, a, b),
            None => Ok(None),
        }
    }

    /// The row of a subject; makes it if it is not there. Its accounts or group must exist.
    pub(crate) fn find_or_make(db: &Connection, id: &Subject) -> Result<Found> {
        let (kind, a, b) = parties(db, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        if let Some(found) = select(db, kind, a, b)? {
            return Ok(found);
        }
        let mut insert =
            db.prepare_cached("INSERT INTO conversation (kind, a, b) VALUES (?1, ?2, ?3) RETURNING key")?;
        let key = insert.query_row((kind as u8, a, b), |row| row.get(0))?;
        Ok(Found { key, a, counts: Counts::default() })
    }

    fn select(db: &Connection, kind: Kind, a: i64, b: i64) -> Result<Option<Found>> {
        let mut statement = db.prepare_cached(
            "SELECT key, head, read_a, read_b, unread_a, unread_b FROM conversation
             WHERE kind = ?1 AND a = ?2 AND b = ?3",
        )?;
        let found = |row: &rusqlite::Row<'_>| {
            let counts = Counts {
                head: row.get(1)?,
                read: Pair { a: row.get(2)?, b: row.get(3)? },
                unread: Pair { a: row.get(4)?, b: row.get(5)? },
            };
            Ok(Found { key: row.get(0)?, a, counts })
        };
        statement.query_row((kind as u8, a, b), found).optional()
    }

    fn parties(db: &Connection, id: &Subject) -> Result<Option<(Kind, i64, i64)>> {
        let id = match id {
            Subject::Conversation(id) => id,
            Subject::Account(id) => return Ok(account::key(db, id)?.map(|key| (Kind::Account, key, 0))),
            Subject::App => return Ok(Some((Kind::App, 0, 0))),
        };
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
        let Some(found) = find(db, &id.clone().into())? else { return Ok(ConversationState::default()) };
        let mut statement = db.prepare_cached("SELECT head, last_time FROM conversation WHERE key = ?1")?;
        statement.query_row([found.key], |row| {
            Ok(ConversationState { head: row.get(0)?, last_time: Timestamp::from_millis(row.get(1)?) })
        })
    }

    /// Moves a conversation on to a message.
    pub(crate) fn advance(db: &Connection, key: i64, counts: Counts, time: Timestamp) -> Result<()> {
        let mut statement = db.prepare_cached(
            "UPDATE conversation SET head = ?2, last_time = ?3, read_a = ?4, read_b = ?5, unread_a = ?6, unread_b = ?7
             WHERE key = ?1",
        )?;
        let Counts { head, read, unread } = counts;
        statement.execute((key, head, time.millis(), read.a, read.b, unread.a, unread.b))?;
        Ok(())
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
    pub(crate) fn inbox(db: &Connection, id: &AccountId) -> Result<Vec<InboxEntry>> {
        let Some(account) = account::key(db, id)? else { return Ok(Vec::new()) };
        let mut direct = db.prepare_cached(
            "SELECT one.id, other.id, c.head, c.last_time, c.read FROM
                (SELECT a, b, head, last_time, read_a AS read FROM conversation WHERE kind = 0 AND a = ?1 AND head > 0
                 UNION ALL
                 SELECT a, b, head, last_time, read_b FROM conversation
                 WHERE kind = 0 AND b = ?1 AND a <> b AND head > 0) c
             JOIN account one ON one.key = c.a JOIN account other ON other.key = c.b ORDER BY 1, 2",
        )?;
        let mut groups = db.prepare_cached(
            "SELECT g.id, c.head, c.last_time, m.read_seq FROM member m
             JOIN conversation c ON c.kind = 1 AND c.a = m.group_key AND c.b = 0
             JOIN chat_group g ON g.key = m.group_key
             WHERE m.account = ?1 AND c.head > 0 ORDER BY 1",
        )?;
        let entry = |conversation, row: &rusqlite::Row<'_>, first| {
            let last_time = Timestamp::from_millis(row.get(first + 1)?);
            Ok(InboxEntry { conversation, head: row.get(first)?, last_time, read: row.get(first + 2)? })
        };
        let direct = direct.query_map([account], |row| {
            let (one, other): (String, String) = (row.get(0)?, row.get(1)?);
            entry(ConversationId::Direct(AccountId::new(one), AccountId::new(other)), row, 2)
        })?;
        let groups = groups
            .query_map([account], |row| entry(ConversationId::Group(GroupId::new(row.get::<_, String>(0)?)), row, 1))?;
        direct.chain(groups).collect()
    }

    impl InSqlite for ConversationRow {
        const ALL: &'static str = "SELECT c.key, c.kind,
                CASE WHEN c.kind IN (0, 3) THEN (SELECT id FROM account WHERE key = c.a)
                    WHEN c.kind IN (1, 2) THEN (SELECT id FROM chat_group WHERE key = c.a) ELSE '' END,
                CASE c.kind WHEN 0 THEN (SELECT id FROM account WHERE key = c.b)
                    WHEN 2 THEN (SELECT id FROM topic WHERE key = c.b) ELSE '' END,
                c.head, c.last_time, c.read_a, c.read_b, c.unread_a, c.unread_b
             FROM conversation c ORDER BY c.key";

        fn read(row: &rusqlite::Row<'_>) -> Result<Self> {
            Ok(Self {
                shard: Shard::default(),
                key: row.get(0)?,
                id: named(row.get(1)?, row.get(2)?, row.get(3)?),
                head: row.get(4)?,
                last_time: row.get(5)?,
                read: (row.get(6)?, row.get(7)?),
                unread: (row.get(8)?, row.get(9)?),
            })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            let mut statement = db.prepare_cached(
                "INSERT INTO conversation (key, kind, a, b, head, last_time, read_a, read_b, unread_a, unread_b)
                 VALUES (?1, ?2,
                    CASE WHEN ?2 IN (0, 3) THEN (SELECT key FROM account WHERE id = ?3)
                        WHEN ?2 IN (1, 2) THEN (SELECT key FROM chat_group WHERE id = ?3) ELSE 0 END,
                    CASE ?2 WHEN 0 THEN (SELECT key FROM account WHERE id = ?4)
                        WHEN 2 THEN (SELECT t.key FROM topic t JOIN chat_group g ON g.key = t.group_key
                            WHERE g.id = ?3 AND t.id = ?4)
                        ELSE 0 END,
                    ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            let (kind, a, b) = name(&self.id);
            let Self { key, head, last_time, read, unread, .. } = self;
            statement.execute((key, kind, a, b, head, last_time, read.0, read.1, unread.0, unread.1))?;
            Ok(())
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::conversation::ConversationId;
    use chat::event::{Shard, Subject};
    use chat::id::{AccountId, GroupId, Timestamp};
    use chat::port::{ConversationState, InboxEntry};
    use tokio_postgres::Row;
    use tokio_postgres::types::Type;

    use super::{ConversationRow, Counts, Pair, name, named};
    use crate::migrate::InPostgres;
    use crate::postgres::{CopyIn, Db, Result, int, nat, place};
    use crate::shard::{Shards, SmallInt};

    /// A conversation's row.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Found {
        /// Unique in its shard.
        pub(crate) key: i64,
        pub(crate) counts: Counts,
        pub(crate) last_time: Timestamp,
    }

    /// The rows of those of `ids` in which anything happened, each with its place among them.
    pub(crate) async fn find(db: &Db, shards: Shards, ids: &[&Subject]) -> Result<Vec<(usize, Found)>> {
        let query = db
            .prepare_cached(
                "SELECT u.n, c.key, c.head, c.read_a, c.read_b, c.unread_a, c.unread_b, c.last_time
                 FROM unnest($1::int2[], $2::int2[], $3::text[], $4::text[]) WITH ORDINALITY AS u (shard, kind, a, b, n)
                 CROSS JOIN LATERAL (
                    SELECT * FROM conversation
                    WHERE shard = u.shard AND kind = u.kind AND a = u.a AND b = u.b OFFSET 0) c",
            )
            .await?;
        let places: Vec<_> = ids.iter().map(|id| shards.of_subject(id).int()).collect();
        let kinds: Vec<_> = ids.iter().map(|id| name(id).0).collect();
        let (a, b): (Vec<_>, Vec<_>) = ids.iter().map(|id| (name(id).1, name(id).2)).unzip();
        let rows = db.query(&query, &[&places, &kinds, &a, &b]).await?;
        let found = |row: &tokio_postgres::Row| {
            let counts = Counts {
                head: nat(row.get(2)),
                read: Pair { a: nat(row.get(3)), b: nat(row.get(4)) },
                unread: Pair { a: nat(row.get(5)), b: nat(row.get(6)) },
            };
            let found = Found { key: row.get(1), counts, last_time: Timestamp::from_millis(row.get(7)) };
            (place(row, 0), found)
        };
        Ok(rows.iter().map(found).collect())
    }

    /// Head and newest time.
    pub(crate) async fn state(db: &Db, shards: Shards, id: &ConversationId) -> Result<ConversationState> {
        let found = find(db, shards, &[&id.clone().into()]).await?;
        let state =
            |(_, found): &(usize, Found)| ConversationState { head: found.counts.head, last_time: found.last_time };
        Ok(found.first().map(state).unwrap_or_default())
    }

    /// Stores conversations that were not there.
    pub(crate) async fn add(db: &Db, shards: Shards, new: &[(&Subject, &Found)]) -> Result<()> {
        let add = db
            .prepare_cached(
                "INSERT INTO conversation
                    (shard, kind, a, b, head, read_a, read_b, unread_a, unread_b, last_time, key)
                 SELECT * FROM unnest($1::int2[], $2::int2[], $3::text[], $4::text[], $5::int8[], $6::int8[],
                    $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[])",
            )
            .await?;
        let keys: Vec<_> = new.iter().map(|(_, found)| found.key).collect();
        let rows = Columns::of(shards, new);
        let Columns { places, kinds, a, b, heads, read_a, read_b, unread_a, unread_b, times } = rows;
        db.execute(&add, &[&places, &kinds, &a, &b, &heads, &read_a, &read_b, &unread_a, &unread_b, &times, &keys])
            .await?;
        Ok(())
    }

    /// Moves conversations on.
    pub(crate) async fn advance(db: &Db, shards: Shards, moved: &[(&Subject, &Found)]) -> Result<()> {
        let advance = db
            .prepare_cached(
                "UPDATE conversation c SET head = u.head, read_a = u.read_a, read_b = u.read_b,
                    unread_a = u.unread_a, unread_b = u.unread_b, last_time = u.last_time
                 FROM unnest($1::int2[], $2::int2[], $3::text[], $4::text[], $5::int8[], $6::int8[], $7::int8[],
                    $8::int8[], $9::int8[], $10::int8[])
                    AS u (shard, kind, a, b, head, read_a, read_b, unread_a, unread_b, last_time)
                 CROSS JOIN LATERAL (
                    SELECT ctid FROM conversation
                    WHERE shard = u.shard AND kind = u.kind AND a = u.a AND b = u.b OFFSET 0) at
                 WHERE c.ctid = at.ctid",
            )
            .await?;
        let rows = Columns::of(shards, moved);
        let Columns { places, kinds, a, b, heads, read_a, read_b, unread_a, unread_b, times } = rows;
        db.execute(&advance, &[&places, &kinds, &a, &b, &heads, &read_a, &read_b, &unread_a, &unread_b, &times])
            .await?;
        Ok(())
    }

    /// Rows as columns.
    struct Columns<'a> {
        places: Vec<i16>,
        kinds: Vec<i16>,
        a: Vec<&'a str>,
        b: Vec<&'a str>,
        heads: Vec<i64>,
        read_a: Vec<i64>,
        read_b: Vec<i64>,
        unread_a: Vec<i64>,
        unread_b: Vec<i64>,
        times: Vec<i64>,
    }

    impl<'a> Columns<'a> {
        fn of(shards: Shards, rows: &[(&'a Subject, &Found)]) -> Self {
            let number =
                |number: fn(&Counts) -> u64| rows.iter().map(|(_, found)| int(number(&found.counts))).collect();
            Self {
                places: rows.iter().map(|(id, _)| shards.of_subject(id).int()).collect(),
                kinds: rows.iter().map(|(id, _)| name(id).0).collect(),
                a: rows.iter().map(|(id, _)| name(id).1).collect(),
                b: rows.iter().map(|(id, _)| name(id).2).collect(),
                heads: number(|counts| counts.head),
                read_a: number(|counts| counts.read.a),
                read_b: number(|counts| counts.read.b),
                unread_a: number(|counts| counts.unread.a),
                unread_b: number(|counts| counts.unread.b),
                times: rows.iter().map(|(_, found)| found.last_time.millis()).collect(),
            }
        }
    }

    /// What each account has unread in the direct conversations of each shard, where that is anything.
    pub(crate) async fn unread(db: &Db, accounts: &[&AccountId]) -> Result<Vec<(AccountId, Shard, i64)>> {
        let query = db.prepare_cached("SELECT account, shard, total FROM unread WHERE account = ANY($1)").await?;
        let accounts: Vec<_> = accounts.iter().map(|account| account.as_str()).collect();
        let rows = db.query(&query, &[&accounts]).await?;
        let read = |row: &tokio_postgres::Row| {
            (AccountId::new(row.get::<_, String>(0)), Shard(row.get::<_, i16>(1).cast_unsigned()), row.get(2))
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Stores what accounts have unread in a shard.
    pub(crate) async fn put_unread(db: &Db, totals: &[(&AccountId, Shard, i64)]) -> Result<()> {
        let put = db
            .prepare_cached(
                "INSERT INTO unread (account, shard, total) SELECT * FROM unnest($1::text[], $2::int2[], $3::int8[])
                 ON CONFLICT (account, shard) DO UPDATE SET total = excluded.total",
            )
            .await?;
        let accounts: Vec<_> = totals.iter().map(|(account, ..)| account.as_str()).collect();
        let shards: Vec<_> = totals.iter().map(|(_, shard, _)| shard.int()).collect();
        let totals: Vec<_> = totals.iter().map(|(.., total)| *total).collect();
        db.execute(&put, &[&accounts, &shards, &totals]).await?;
        Ok(())
    }

    /// Unread one-to-one messages of an account.
    pub(crate) async fn unread_direct(
        db: &Db,
        shards: Shards,
        id: &AccountId,
        peer: Option<&AccountId>,
    ) -> Result<u64> {
        let Some(peer) = peer else {
            return Ok(nat(unread(db, &[id]).await?.iter().map(|(.., total)| total).sum()));
        };
        let direct = ConversationId::direct(id.clone(), peer.clone()).into();
        let is_a = id <= peer;
        let found = find(db, shards, &[&direct]).await?;
        let unread = found.first().map(|(_, found)| found.counts.unread).unwrap_or_default();
        Ok(if is_a { unread.a } else { unread.b })
    }

    /// The conversations of an account that have a message. Topics are reached through their group.
    pub(crate) async fn inbox(db: &Db, shards: Shards, id: &AccountId) -> Result<Vec<InboxEntry>> {
        let query = db
            .prepare_cached(
                "SELECT a, b, head, last_time, read_a FROM conversation WHERE kind = 0 AND a = $1 AND head > 0
                 UNION ALL
                 SELECT a, b, head, last_time, read_b FROM conversation
                 WHERE kind = 0 AND b = $1 AND a <> b AND head > 0",
            )
            .await?;
        let id = id.as_str();
        let rows = db.query(&query, &[&id]).await?;
        let direct = rows.iter().map(|row| {
            let (one, other): (String, String) = (row.get(0), row.get(1));
            InboxEntry {
                conversation: ConversationId::Direct(AccountId::new(one), AccountId::new(other)),
                head: nat(row.get(2)),
                last_time: Timestamp::from_millis(row.get(3)),
                read: nat(row.get(4)),
            }
        });
        let mut inbox: Vec<_> = direct.collect();

        // Where a group's conversation is follows from its id, so the groups come first.
        let query = db.prepare_cached("SELECT group_id, read_seq FROM member WHERE account = $1").await?;
        let rows = db.query(&query, &[&id]).await?;
        let groups: Vec<_> =
            rows.iter().map(|row| ConversationId::Group(GroupId::new(row.get::<_, String>(0)))).collect();
        let subjects: Vec<_> = groups.iter().cloned().map(Subject::from).collect();
        let found = find(db, shards, &subjects.iter().collect::<Vec<_>>()).await?;
        let talked = found.into_iter().filter(|(_, found)| found.counts.head > 0);
        inbox.extend(talked.map(|(place, found)| InboxEntry {
            conversation: groups[place].clone(),
            head: found.counts.head,
            last_time: found.last_time,
            read: nat(rows[place].get(1)),
        }));
        Ok(inbox)
    }

    impl InPostgres for ConversationRow {
        const ALL: &'static str = "SELECT shard, key, kind, a, b, head, last_time, read_a, read_b, unread_a, unread_b
             FROM conversation ORDER BY shard, key";

        fn read(row: &Row) -> Result<Self> {
            Ok(Self {
                shard: Shard(row.get::<_, i16>(0).cast_unsigned()),
                key: row.get(1),
                id: named(row.get(2), row.get(3), row.get(4)),
                head: row.get(5),
                last_time: row.get(6),
                read: (row.get(7), row.get(8)),
                unread: (row.get(9), row.get(10)),
            })
        }

        /// Their keys are the newest of their shards.
        async fn add(db: &Db, _: Shards, rows: &[Self]) -> Result<()> {
            let (text, number, small) = (Type::TEXT, Type::INT8, Type::INT2);
            let numbers =
                [number.clone(), number.clone(), number.clone(), number.clone(), number.clone(), number.clone()];
            let types = [&[small.clone(), number, small, text.clone(), text][..], &numbers].concat();
            let copy = "COPY conversation
                    (shard, key, kind, a, b, head, last_time, read_a, read_b, unread_a, unread_b)
                 FROM STDIN (FORMAT binary)";
            let mut copy = CopyIn::begin(db, copy, &types).await?;
            for row in rows {
                let (kind, a, b) = name(&row.id);
                let Self { shard, key, head, last_time, read, unread, .. } = row;
                let shard = shard.int();
                copy.row(&[&shard, key, &kind, &a, &b, head, last_time, &read.0, &read.1, &unread.0, &unread.1])
                    .await?;
            }
            copy.end().await?;
            let (shards, keys): (Vec<_>, Vec<_>) = rows.iter().map(|row| (row.shard.int(), row.key)).unzip();
            let newest = db
                .prepare_cached(
                    "UPDATE log_shard s SET conversations = greatest(s.conversations, u.key)
                     FROM (SELECT shard, max(key) AS key FROM unnest($1::int2[], $2::int8[]) AS u (shard, key)
                        GROUP BY shard) u
                     WHERE s.shard = u.shard",
                )
                .await?;
            db.execute(&newest, &[&shards, &keys]).await?;
            Ok(())
        }
    }

    /// Counts anew what every account has unread in each shard.
    pub(crate) async fn count_unread(db: &Db) -> Result<()> {
        db.execute("DELETE FROM unread", &[]).await?;
        let count = "INSERT INTO unread (account, shard, total)
             SELECT account, shard, sum(unread) FROM
                (SELECT a AS account, shard, unread_a AS unread FROM conversation WHERE kind = 0
                 UNION ALL SELECT b, shard, unread_b FROM conversation WHERE kind = 0 AND a <> b) counted
             WHERE unread > 0 GROUP BY account, shard";
        db.execute(count, &[]).await?;
        Ok(())
    }

    /// An account of which `unread` does not say what its conversations say.
    pub(crate) async fn miscounted(db: &Db) -> Result<Option<String>> {
        let query = "SELECT account FROM
                (SELECT a AS account, shard, unread_a AS unread FROM conversation WHERE kind = 0
                 UNION ALL SELECT b, shard, unread_b FROM conversation WHERE kind = 0 AND a <> b
                 UNION ALL SELECT account, shard, -total FROM unread) counted
             GROUP BY account, shard HAVING sum(unread) <> 0 LIMIT 1";
        Ok(db.query_opt(query, &[]).await?.map(|row| row.get(0)))
    }
}
