//! Members.

use chat::id::{AccountId, GroupId};
use chat::member::{JoinSource, Member, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::migrate::Moves;

/// What no query looks at.
#[derive(Serialize, Deserialize)]
struct Rest {
    source: JoinSource,
    inviter: Option<AccountId>,
    name_card: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    face_url: String,
    custom_fields: Map<String, Value>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    custom_data: String,
}

impl Rest {
    fn of(member: &Member) -> Self {
        Self {
            source: member.source,
            inviter: member.inviter.clone(),
            name_card: member.name_card.clone(),
            face_url: member.face_url.clone(),
            custom_fields: member.custom_fields.clone(),
            custom_data: member.custom_data.clone(),
        }
    }
}

fn role_number(role: Role) -> u8 {
    match role {
        Role::Member => 0,
        Role::Admin => 1,
        Role::Owner => 2,
    }
}

fn role_of(number: u8) -> Role {
    match number {
        2 => Role::Owner,
        1 => Role::Admin,
        _ => Role::Member,
    }
}

/// A bit per role, so that the statement is the same for every filter.
fn role_bits(roles: &[Role]) -> u8 {
    match roles {
        [] => u8::MAX,
        roles => roles.iter().fold(0, |bits, role| bits | 1 << role_number(*role)),
    }
}

/// A member, as it moves.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MemberRow {
    group: GroupId,
    account: AccountId,
    role: i16,
    joined: i64,
    arrival: i64,
    muted_until: i64,
    read_seq: i64,
    last_sent: i64,
    data: String,
}

impl Moves for MemberRow {
    const NAME: &'static str = "members";

    fn bytes(&self) -> usize {
        self.data.len()
    }
}

/// In SQLite.
pub(crate) mod lite {
    use chat::id::{AccountId, GroupId, Timestamp};
    use chat::member::Member;
    use chat::port::MemberQuery;
    use rusqlite::{Connection, OptionalExtension, Result, Row};

    use super::{MemberRow, Rest, role_bits, role_number, role_of};
    use crate::account::lite as account;
    use crate::commit::MemberSent;
    use crate::group::lite as group;
    use crate::migrate::InSqlite;
    use crate::sqlite::{from_json, to_json};

    const SELECT: &str = "SELECT a.id, m.role, m.joined, m.muted_until, m.read_seq, m.last_sent, m.data
         FROM member m JOIN account a ON a.key = m.account ";

    /// One membership.
    pub(crate) fn find(db: &Connection, group: &GroupId, id: &AccountId) -> Result<Option<Member>> {
        let mut statement = db.prepare_cached(&format!(
            "{SELECT} WHERE m.group_key = (SELECT key FROM chat_group WHERE id = ?1) AND a.id = ?2"
        ))?;
        statement.query_row((group.as_str(), id.as_str()), read).optional()
    }

    /// A page of members, greatest role first, then by when they joined, then as they came.
    pub(crate) fn list(db: &Connection, group: &GroupId, query: &MemberQuery) -> Result<Vec<Member>> {
        let mut statement = db.prepare_cached(&format!(
            "{SELECT} WHERE m.group_key = (SELECT key FROM chat_group WHERE id = ?1) AND (?2 >> m.role) & 1
             ORDER BY m.role DESC, m.joined, m.arrival LIMIT ?3 OFFSET ?4"
        ))?;
        let bound = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let bounds = (group.as_str(), role_bits(&query.roles), bound(query.limit), bound(query.offset));
        statement.query_map(bounds, read)?.collect()
    }

    /// Adds members; who is one already stays as they are. Returns who was new.
    pub(crate) fn add(db: &Connection, group_id: &GroupId, members: &[Member]) -> Result<Vec<AccountId>> {
        let missing = rusqlite::Error::QueryReturnedNoRows;
        let Some((group_key, state)) = group::key(db, group_id)?.zip(group::state(db, group_id)?) else {
            return Err(missing);
        };
        let mut statement = db.prepare_cached(
            "INSERT OR IGNORE INTO member
                (group_key, account, role, joined, arrival, muted_until, read_seq, last_sent, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let mut added = Vec::new();
        for member in members {
            let account = account::key(db, &member.account)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            let inserted = statement.execute((
                group_key,
                account,
                role_number(member.role),
                member.joined.millis(),
                state.arrivals + 1 + added.len() as u64,
                member.muted_until.millis(),
                member.read_seq,
                member.last_sent.millis(),
                to_json(&Rest::of(member))?,
            ))?;
            if inserted > 0 {
                added.push(member.account.clone());
            }
        }
        group::add_to_count(db, group_key, added.len())?;
        Ok(added)
    }

    /// Notes that a member has sent a message.
    pub(crate) fn sent(db: &Connection, group_key: i64, account: i64, sent: MemberSent<'_>) -> Result<()> {
        let mut statement = db.prepare_cached(
            "UPDATE member SET last_sent = ?4, read_seq = CASE WHEN ?5 OR read_seq = ?3 - 1 THEN ?3 ELSE read_seq END
             WHERE group_key = ?1 AND account = ?2",
        )?;
        statement.execute((group_key, account, sent.seq, sent.time.millis(), sent.reads))?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> Result<Member> {
        let rest: Rest = from_json(row, 6)?;
        Ok(Member {
            account: AccountId::new(row.get::<_, String>(0)?),
            role: role_of(row.get(1)?),
            joined: Timestamp::from_millis(row.get(2)?),
            source: rest.source,
            inviter: rest.inviter,
            name_card: rest.name_card,
            face_url: rest.face_url,
            muted_until: Timestamp::from_millis(row.get(3)?),
            custom_fields: rest.custom_fields,
            custom_data: rest.custom_data,
            read_seq: row.get(4)?,
            last_sent: Timestamp::from_millis(row.get(5)?),
        })
    }

    /// The groups that an account is a member of.
    pub(crate) fn groups_of(db: &Connection, id: &AccountId) -> Result<Vec<GroupId>> {
        let mut statement = db.prepare_cached(
            "SELECT g.id FROM member m JOIN account a ON a.key = m.account JOIN chat_group g ON g.key = m.group_key
             WHERE a.id = ?1",
        )?;
        let ids = statement.query_map([id.as_str()], |row| Ok(GroupId::new(row.get::<_, String>(0)?)))?;
        ids.collect()
    }

    impl InSqlite for MemberRow {
        const ALL: &'static str =
            "SELECT g.id, a.id, m.role, m.joined, m.arrival, m.muted_until, m.read_seq, m.last_sent, m.data
             FROM member m CROSS JOIN chat_group g ON g.key = m.group_key CROSS JOIN account a ON a.key = m.account
             ORDER BY m.group_key, m.account";

        fn read(row: &Row<'_>) -> Result<Self> {
            Ok(Self {
                group: GroupId::new(row.get::<_, String>(0)?),
                account: AccountId::new(row.get::<_, String>(1)?),
                role: row.get(2)?,
                joined: row.get(3)?,
                arrival: row.get(4)?,
                muted_until: row.get(5)?,
                read_seq: row.get(6)?,
                last_sent: row.get(7)?,
                data: row.get(8)?,
            })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            let mut statement = db.prepare_cached(
                "INSERT INTO member
                    (group_key, account, role, joined, arrival, muted_until, read_seq, last_sent, data)
                 VALUES ((SELECT key FROM chat_group WHERE id = ?1), (SELECT key FROM account WHERE id = ?2),
                    ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            let Self { group, account, role, joined, arrival, muted_until, read_seq, last_sent, data } = self;
            let (group, account) = (group.as_str(), account.as_str());
            statement.execute((group, account, role, joined, arrival, muted_until, read_seq, last_sent, data))?;
            Ok(())
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::id::{AccountId, GroupId, Seq, Timestamp};
    use chat::member::Member;
    use chat::port::MemberQuery;
    use tokio_postgres::Row;
    use tokio_postgres::types::Type;

    use super::{MemberRow, Rest, role_bits, role_number, role_of};
    use crate::commit::MemberSent;
    use crate::migrate::InPostgres;
    use crate::postgres::{CopyIn, Db, Result, from_json, int, nat, place, to_json};
    use crate::shard::{Shards, SmallInt};

    /// What sending changes about a member.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Marks {
        pub(crate) read_seq: Seq,
        pub(crate) last_sent: Timestamp,
    }

    impl Marks {
        /// Notes that the member has sent a message.
        pub(crate) fn sent(&mut self, sent: MemberSent<'_>) {
            self.last_sent = sent.time;
            if sent.reads || self.read_seq + 1 == sent.seq {
                self.read_seq = sent.seq;
            }
        }
    }

    const COLUMNS: &str = "m.account, m.role, m.joined, m.muted_until, m.read_seq, m.last_sent, m.data";

    /// The memberships that there are among the (group, account), each with its place among them.
    pub(crate) async fn find(
        db: &Db,
        shards: Shards,
        members: &[(&GroupId, &AccountId)],
    ) -> Result<Vec<(usize, Member)>> {
        let query = db
            .prepare_cached(&format!(
                "SELECT {COLUMNS}, u.n
                 FROM unnest($1::int2[], $2::text[], $3::text[]) WITH ORDINALITY AS u (shard, group_id, account, n)
                 CROSS JOIN LATERAL (
                    SELECT * FROM member
                    WHERE shard = u.shard AND group_id = u.group_id AND account = u.account OFFSET 0) m"
            ))
            .await?;
        let places: Vec<_> = members.iter().map(|(group, _)| shards.of_group(group).int()).collect();
        let (groups, ids): (Vec<_>, Vec<_>) = members.iter().map(|(group, id)| (group.as_str(), id.as_str())).unzip();
        let rows = db.query(&query, &[&places, &groups, &ids]).await?;
        rows.iter().map(|row| Ok((place(row, 7), read(row)?))).collect()
    }

    /// A page of members, greatest role first, then by when they joined, then as they came.
    pub(crate) async fn list(db: &Db, shards: Shards, group: &GroupId, query: &MemberQuery) -> Result<Vec<Member>> {
        let list = db
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM member m
                 WHERE shard = $1 AND group_id = $2 AND role >= 0 AND ($3::int4 >> role) & 1 = 1
                 ORDER BY role DESC, joined, arrival LIMIT $4 OFFSET $5"
            ))
            .await?;
        let roles = i32::from(role_bits(&query.roles));
        let (limit, offset) = (int(query.limit), int(query.offset));
        let place = shards.of_group(group).int();
        let rows = db.query(&list, &[&place, &group.as_str(), &roles, &limit, &offset]).await?;
        rows.iter().map(read).collect()
    }

    /// The marks of those who are members, each with its place among the (group, account).
    pub(crate) async fn marks(
        db: &Db,
        shards: Shards,
        members: &[(&GroupId, &AccountId)],
    ) -> Result<Vec<(usize, Marks)>> {
        let query = db
            .prepare_cached(
                "SELECT u.n, m.read_seq, m.last_sent
                 FROM unnest($1::int2[], $2::text[], $3::text[]) WITH ORDINALITY AS u (shard, group_id, account, n)
                 CROSS JOIN LATERAL (
                    SELECT * FROM member
                    WHERE shard = u.shard AND group_id = u.group_id AND account = u.account OFFSET 0) m",
            )
            .await?;
        let places: Vec<_> = members.iter().map(|(group, _)| shards.of_group(group).int()).collect();
        let (groups, ids): (Vec<_>, Vec<_>) = members.iter().map(|(group, id)| (group.as_str(), id.as_str())).unzip();
        let rows = db.query(&query, &[&places, &groups, &ids]).await?;
        let read = |row: &Row| {
            let marks = Marks { read_seq: nat(row.get(1)), last_sent: Timestamp::from_millis(row.get(2)) };
            (place(row, 0), marks)
        };
        Ok(rows.iter().map(read).collect())
    }

    /// A member who comes in.
    #[derive(Debug)]
    pub(crate) struct Arriving<'a> {
        pub(crate) group: &'a GroupId,
        pub(crate) member: &'a Member,
        pub(crate) arrival: u64,
        pub(crate) marks: Marks,
    }

    /// Adds members who are none yet.
    pub(crate) async fn add(db: &Db, shards: Shards, members: &[Arriving<'_>]) -> Result<()> {
        let add = db
            .prepare_cached(
                "INSERT INTO member
                    (shard, group_id, account, role, joined, arrival, muted_until, read_seq, last_sent, data)
                 SELECT * FROM unnest($1::int2[], $2::text[], $3::text[], $4::int2[], $5::int8[], $6::int8[],
                    $7::int8[], $8::int8[], $9::int8[], $10::text[])",
            )
            .await?;
        let places: Vec<_> = members.iter().map(|new| shards.of_group(new.group).int()).collect();
        let groups: Vec<_> = members.iter().map(|new| new.group.as_str()).collect();
        let ids: Vec<_> = members.iter().map(|new| new.member.account.as_str()).collect();
        let roles: Vec<_> = members.iter().map(|new| i16::from(role_number(new.member.role))).collect();
        let joined: Vec<_> = members.iter().map(|new| new.member.joined.millis()).collect();
        let arrivals: Vec<_> = members.iter().map(|new| int(new.arrival)).collect();
        let muted: Vec<_> = members.iter().map(|new| new.member.muted_until.millis()).collect();
        let read: Vec<_> = members.iter().map(|new| int(new.marks.read_seq)).collect();
        let sent: Vec<_> = members.iter().map(|new| new.marks.last_sent.millis()).collect();
        let data = members.iter().map(|new| to_json(&Rest::of(new.member))).collect::<Result<Vec<_>>>()?;
        db.execute(&add, &[&places, &groups, &ids, &roles, &joined, &arrivals, &muted, &read, &sent, &data]).await?;
        Ok(())
    }

    /// Stores the marks of members.
    pub(crate) async fn put_marks(db: &Db, shards: Shards, marks: &[(&GroupId, &AccountId, Marks)]) -> Result<()> {
        let put = db
            .prepare_cached(
                "UPDATE member m SET read_seq = u.read_seq, last_sent = u.last_sent
                 FROM unnest($1::int2[], $2::text[], $3::text[], $4::int8[], $5::int8[])
                    AS u (shard, group_id, account, read_seq, last_sent)
                 CROSS JOIN LATERAL (
                    SELECT ctid FROM member
                    WHERE shard = u.shard AND group_id = u.group_id AND account = u.account OFFSET 0) at
                 WHERE m.ctid = at.ctid",
            )
            .await?;
        let places: Vec<_> = marks.iter().map(|(group, ..)| shards.of_group(group).int()).collect();
        let groups: Vec<_> = marks.iter().map(|(group, ..)| group.as_str()).collect();
        let ids: Vec<_> = marks.iter().map(|(_, id, _)| id.as_str()).collect();
        let read: Vec<_> = marks.iter().map(|(.., marks)| int(marks.read_seq)).collect();
        let sent: Vec<_> = marks.iter().map(|(.., marks)| marks.last_sent.millis()).collect();
        db.execute(&put, &[&places, &groups, &ids, &read, &sent]).await?;
        Ok(())
    }

    fn read(row: &Row) -> Result<Member> {
        let rest: Rest = from_json(row, 6)?;
        Ok(Member {
            account: AccountId::new(row.get::<_, String>(0)),
            role: role_of(row.get::<_, i16>(1).cast_unsigned() as u8),
            joined: Timestamp::from_millis(row.get(2)),
            source: rest.source,
            inviter: rest.inviter,
            name_card: rest.name_card,
            face_url: rest.face_url,
            muted_until: Timestamp::from_millis(row.get(3)),
            custom_fields: rest.custom_fields,
            custom_data: rest.custom_data,
            read_seq: nat(row.get(4)),
            last_sent: Timestamp::from_millis(row.get(5)),
        })
    }

    /// The groups that an account is a member of.
    pub(crate) async fn groups_of(db: &Db, id: &AccountId) -> Result<Vec<GroupId>> {
        let query = db.prepare_cached("SELECT group_id FROM member WHERE account = $1").await?;
        let rows = db.query(&query, &[&id.as_str()]).await?;
        Ok(rows.iter().map(|row| GroupId::new(row.get::<_, String>(0))).collect())
    }

    impl InPostgres for MemberRow {
        const ALL: &'static str =
            "SELECT group_id, account, role, joined, arrival, muted_until, read_seq, last_sent, data
             FROM member ORDER BY shard, group_id, account";

        fn read(row: &Row) -> Result<Self> {
            Ok(Self {
                group: GroupId::new(row.get::<_, String>(0)),
                account: AccountId::new(row.get::<_, String>(1)),
                role: row.get(2),
                joined: row.get(3),
                arrival: row.get(4),
                muted_until: row.get(5),
                read_seq: row.get(6),
                last_sent: row.get(7),
                data: row.get(8),
            })
        }

        async fn add(db: &Db, shards: Shards, rows: &[Self]) -> Result<()> {
            let (text, number, small) = (Type::TEXT, Type::INT8, Type::INT2);
            let numbers = [number.clone(), number.clone(), number.clone(), number.clone(), number];
            let types = [&[small.clone(), text.clone(), text.clone(), small][..], &numbers, &[text]].concat();
            let copy = "COPY member
                    (shard, group_id, account, role, joined, arrival, muted_until, read_seq, last_sent, data)
                 FROM STDIN (FORMAT binary)";
            let mut copy = CopyIn::begin(db, copy, &types).await?;
            for row in rows {
                let shard = shards.of_group(&row.group).int();
                let Self { group, account, role, joined, arrival, muted_until, read_seq, last_sent, data } = row;
                let (group, account) = (group.as_str(), account.as_str());
                copy.row(&[&shard, &group, &account, role, joined, arrival, muted_until, read_seq, last_sent, data])
                    .await?;
            }
            copy.end().await
        }
    }
}
