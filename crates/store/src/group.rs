//! Groups.

use chat::group::GroupKind;
use chat::id::GroupId;
use serde::{Deserialize, Serialize};

use crate::migrate::Moves;

/// What a commit needs to know of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupState {
    pub(crate) version: u64,
    /// It is not dissolved.
    pub(crate) is_open: bool,
    pub(crate) member_count: u64,
    /// How many members ever came in.
    pub(crate) arrivals: u64,
}

/// A group, as it moves.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct GroupRow {
    id: GroupId,
    is_open: bool,
    version: i64,
    member_count: i64,
    arrivals: i64,
    data: String,
}

impl Moves for GroupRow {
    const NAME: &'static str = "groups";

    fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// At most so many groups of one owner are looked at when they are counted: far more than anybody has who is a person, and
/// some ten megabytes.
const MOST_OWNED: i64 = 10_000;

/// How many of these groups, as JSON, are of that kind.
pub(crate) fn count_of_kind(groups: &[String], kind: GroupKind) -> serde_json::Result<u64> {
    #[derive(Deserialize)]
    struct Kind {
        kind: GroupKind,
    }
    let kinds = groups.iter().map(|data| serde_json::from_str(data)).collect::<serde_json::Result<Vec<Kind>>>()?;
    Ok(kinds.iter().filter(|group| group.kind == kind).count() as u64)
}

/// In SQLite.
pub(crate) mod lite {
    use chat::group::{Group, GroupStatus};
    use chat::id::{AccountId, GroupId};
    use rusqlite::{Connection, OptionalExtension, Result, Row};

    use super::{GroupRow, GroupState, MOST_OWNED};
    use crate::migrate::InSqlite;
    use crate::sqlite::{from_json, to_json};

    /// The integer that stands for a group everywhere else.
    pub(crate) fn key(db: &Connection, id: &GroupId) -> Result<Option<i64>> {
        let mut statement = db.prepare_cached("SELECT key FROM chat_group WHERE id = ?1")?;
        statement.query_row([id.as_str()], |row| row.get(0)).optional()
    }

    /// One group, dissolved or not.
    pub(crate) fn find(db: &Connection, id: &GroupId) -> Result<Option<Group>> {
        let mut statement = db.prepare_cached("SELECT data, member_count FROM chat_group WHERE id = ?1")?;
        statement.query_row([id.as_str()], read).optional()
    }

    /// The living groups that an account is the owning member of, as JSON.
    pub(crate) fn owned(db: &Connection, owner: &AccountId) -> Result<Vec<String>> {
        let mut statement = db.prepare_cached(
            "SELECT g.data FROM member m JOIN chat_group g ON g.key = m.group_key
             WHERE m.account = (SELECT key FROM account WHERE id = ?1) AND m.role = 2 AND g.is_open LIMIT ?2",
        )?;
        statement.query_map((owner.as_str(), MOST_OWNED), |row| row.get(0))?.collect()
    }

    /// What a commit needs to know of it, if it exists.
    pub(crate) fn state(db: &Connection, id: &GroupId) -> Result<Option<GroupState>> {
        let mut statement =
            db.prepare_cached("SELECT version, is_open, member_count, arrivals FROM chat_group WHERE id = ?1")?;
        let read = |row: &Row<'_>| {
            Ok(GroupState {
                version: row.get(0)?,
                is_open: row.get(1)?,
                member_count: row.get(2)?,
                arrivals: row.get(3)?,
            })
        };
        statement.query_row([id.as_str()], read).optional()
    }

    /// Stores a group; an existing one keeps its member count.
    pub(crate) fn put(db: &Connection, group: &Group) -> Result<()> {
        let mut statement = db.prepare_cached(
            "INSERT INTO chat_group (id, is_open, version, member_count, data) VALUES (?1, ?2, ?3, 0, ?4)
             ON CONFLICT (id) DO UPDATE SET
                is_open = excluded.is_open, version = excluded.version, data = excluded.data",
        )?;
        let is_open = group.status == GroupStatus::Open;
        statement.execute((group.id.as_str(), is_open, group.version, to_json(group)?))?;
        Ok(())
    }

    /// Counts members in.
    pub(crate) fn add_to_count(db: &Connection, key: i64, added: usize) -> Result<()> {
        let mut statement = db.prepare_cached(
            "UPDATE chat_group SET member_count = member_count + ?2, arrivals = arrivals + ?2 WHERE key = ?1",
        )?;
        statement.execute((key, added as i64))?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> Result<Group> {
        let mut group: Group = from_json(row, 0)?;
        group.member_count = row.get(1)?;
        Ok(group)
    }

    impl InSqlite for GroupRow {
        const ALL: &'static str =
            "SELECT id, is_open, version, member_count, arrivals, data FROM chat_group ORDER BY key";

        fn read(row: &Row<'_>) -> Result<Self> {
            Ok(Self {
                id: GroupId::new(row.get::<_, String>(0)?),
                is_open: row.get(1)?,
                version: row.get(2)?,
                member_count: row.get(3)?,
                arrivals: row.get(4)?,
                data: row.get(5)?,
            })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            let mut statement = db.prepare_cached(
                "INSERT INTO chat_group (id, is_open, version, member_count, arrivals, data)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            let Self { id, is_open, version, member_count, arrivals, data } = self;
            statement.execute((id.as_str(), is_open, version, member_count, arrivals, data))?;
            Ok(())
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::group::Group;
    use chat::id::{AccountId, GroupId};
    use tokio_postgres::Row;
    use tokio_postgres::types::Type;

    use super::{GroupRow, GroupState, MOST_OWNED};
    use crate::migrate::InPostgres;
    use crate::postgres::{CopyIn, Db, Result, from_json, int, nat, place, to_json};
    use crate::shard::{Shards, SmallInt};

    /// Those of `ids` that exist, dissolved or not, each with its place among them.
    pub(crate) async fn find(db: &Db, shards: Shards, ids: &[&GroupId]) -> Result<Vec<(usize, Group)>> {
        let query = db
            .prepare_cached(
                "SELECT g.data, g.member_count, u.n FROM unnest($1::int2[], $2::text[]) WITH ORDINALITY AS u (shard, id, n)
                 CROSS JOIN LATERAL (SELECT * FROM chat_group WHERE shard = u.shard AND id = u.id OFFSET 0) g
                 ORDER BY u.n",
            )
            .await?;
        let (places, ids): (Vec<_>, Vec<_>) = ids.iter().map(|id| (shards.of_group(id).int(), id.as_str())).unzip();
        let rows = db.query(&query, &[&places, &ids]).await?;
        let read = |row: &tokio_postgres::Row| {
            let group = Group { member_count: nat(row.get(1)), ..from_json(row, 0)? };
            Ok((place(row, 2), group))
        };
        rows.iter().map(read).collect()
    }

    /// The living groups that an account is the owning member of, as JSON.
    pub(crate) async fn owned(db: &Db, owner: &AccountId) -> Result<Vec<String>> {
        let query = db
            .prepare_cached(
                "SELECT g.data FROM member m
                 CROSS JOIN LATERAL (SELECT * FROM chat_group WHERE shard = m.shard AND id = m.group_id OFFSET 0) g
                 WHERE m.account = $1 AND m.role = 2 AND g.is_open LIMIT $2",
            )
            .await?;
        let rows = db.query(&query, &[&owner.as_str(), &MOST_OWNED]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// What a commit needs to know of those of `ids` that exist, each with its place among them.
    pub(crate) async fn states(db: &Db, shards: Shards, ids: &[&GroupId]) -> Result<Vec<(usize, GroupState)>> {
        let query = db
            .prepare_cached(
                "SELECT u.n, g.version, g.is_open, g.member_count, g.arrivals
                 FROM unnest($1::int2[], $2::text[]) WITH ORDINALITY AS u (shard, id, n)
                 CROSS JOIN LATERAL (SELECT * FROM chat_group WHERE shard = u.shard AND id = u.id OFFSET 0) g",
            )
            .await?;
        let (places, ids): (Vec<_>, Vec<_>) = ids.iter().map(|id| (shards.of_group(id).int(), id.as_str())).unzip();
        let rows = db.query(&query, &[&places, &ids]).await?;
        let read = |row: &tokio_postgres::Row| {
            let state = GroupState {
                version: nat(row.get(1)),
                is_open: row.get(2),
                member_count: nat(row.get(3)),
                arrivals: nat(row.get(4)),
            };
            (place(row, 0), state)
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Stores groups as a commit leaves them.
    pub(crate) async fn put(db: &Db, shards: Shards, groups: &[(&Group, GroupState)]) -> Result<()> {
        let put = db
            .prepare_cached(
                "INSERT INTO chat_group (shard, id, is_open, version, member_count, arrivals, data)
                 SELECT * FROM unnest($1::int2[], $2::text[], $3::bool[], $4::int8[], $5::int8[], $6::int8[], $7::text[])
                 ON CONFLICT (shard, id) DO UPDATE SET
                    is_open = excluded.is_open, version = excluded.version, member_count = excluded.member_count,
                    arrivals = excluded.arrivals, data = excluded.data",
            )
            .await?;
        let places: Vec<_> = groups.iter().map(|(group, _)| shards.of_group(&group.id).int()).collect();
        let ids: Vec<_> = groups.iter().map(|(group, _)| group.id.as_str()).collect();
        let is_open: Vec<_> = groups.iter().map(|(_, state)| state.is_open).collect();
        let versions: Vec<_> = groups.iter().map(|(_, state)| int(state.version)).collect();
        let counts: Vec<_> = groups.iter().map(|(_, state)| int(state.member_count)).collect();
        let arrivals: Vec<_> = groups.iter().map(|(_, state)| int(state.arrivals)).collect();
        let data = groups.iter().map(|(group, _)| to_json(group)).collect::<Result<Vec<_>>>()?;
        db.execute(&put, &[&places, &ids, &is_open, &versions, &counts, &arrivals, &data]).await?;
        Ok(())
    }

    /// Counts members in.
    pub(crate) async fn count(db: &Db, shards: Shards, groups: &[(&GroupId, GroupState)]) -> Result<()> {
        let count = db
            .prepare_cached(
                "UPDATE chat_group g SET member_count = u.member_count, arrivals = u.arrivals
                 FROM unnest($1::int2[], $2::text[], $3::int8[], $4::int8[]) AS u (shard, id, member_count, arrivals)
                 CROSS JOIN LATERAL (SELECT ctid FROM chat_group WHERE shard = u.shard AND id = u.id OFFSET 0) at
                 WHERE g.ctid = at.ctid",
            )
            .await?;
        let places: Vec<_> = groups.iter().map(|(id, _)| shards.of_group(id).int()).collect();
        let ids: Vec<_> = groups.iter().map(|(id, _)| id.as_str()).collect();
        let counts: Vec<_> = groups.iter().map(|(_, state)| int(state.member_count)).collect();
        let arrivals: Vec<_> = groups.iter().map(|(_, state)| int(state.arrivals)).collect();
        db.execute(&count, &[&places, &ids, &counts, &arrivals]).await?;
        Ok(())
    }

    impl InPostgres for GroupRow {
        const ALL: &'static str =
            "SELECT id, is_open, version, member_count, arrivals, data FROM chat_group ORDER BY shard, id";

        fn read(row: &Row) -> Result<Self> {
            Ok(Self {
                id: GroupId::new(row.get::<_, String>(0)),
                is_open: row.get(1),
                version: row.get(2),
                member_count: row.get(3),
                arrivals: row.get(4),
                data: row.get(5),
            })
        }

        async fn add(db: &Db, shards: Shards, rows: &[Self]) -> Result<()> {
            let types = [Type::INT2, Type::TEXT, Type::BOOL, Type::INT8, Type::INT8, Type::INT8, Type::TEXT];
            let copy = "COPY chat_group (shard, id, is_open, version, member_count, arrivals, data)
                 FROM STDIN (FORMAT binary)";
            let mut copy = CopyIn::begin(db, copy, &types).await?;
            for row in rows {
                let shard = shards.of_group(&row.id).int();
                let Self { id, is_open, version, member_count, arrivals, data } = row;
                copy.row(&[&shard, &id.as_str(), is_open, version, member_count, arrivals, data]).await?;
            }
            copy.end().await
        }
    }
}
