//! Members.

use chat::id::{AccountId, GroupId, Seq, Timestamp};
use chat::member::{JoinSource, Member, Role};
use chat::port::MemberQuery;
use rusqlite::{Connection, OptionalExtension, Result, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sqlite::{from_json, to_json};
use crate::{account, group};

/// What no query looks at.
#[derive(Serialize, Deserialize)]
struct Rest {
    source: JoinSource,
    inviter: Option<AccountId>,
    name_card: String,
    custom_fields: Map<String, Value>,
}

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
    // A bit per role, so that the statement is the same for every filter.
    let roles = match query.roles.as_slice() {
        [] => u8::MAX,
        roles => roles.iter().fold(0, |bits, role| bits | 1 << role_number(*role)),
    };
    let mut statement = db.prepare_cached(&format!(
        "{SELECT} WHERE m.group_key = (SELECT key FROM chat_group WHERE id = ?1) AND (?2 >> m.role) & 1
         ORDER BY m.role DESC, m.joined, m.arrival LIMIT ?3 OFFSET ?4"
    ))?;
    let bound = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    statement.query_map((group.as_str(), roles, bound(query.limit), bound(query.offset)), read)?.collect()
}

/// Adds members; who is one already stays as they are. Returns who was new.
pub(crate) fn add(db: &Connection, group_id: &GroupId, members: &[Member]) -> Result<Vec<AccountId>> {
    let (group_key, arrivals) = group::arrivals(db, group_id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let mut statement = db.prepare_cached(
        "INSERT OR IGNORE INTO member (group_key, account, role, joined, arrival, muted_until, read_seq, last_sent, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    let mut added = Vec::new();
    for member in members {
        let account = account::key(db, &member.account)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let rest = Rest {
            source: member.source,
            inviter: member.inviter.clone(),
            name_card: member.name_card.clone(),
            custom_fields: member.custom_fields.clone(),
        };
        let inserted = statement.execute((
            group_key,
            account,
            role_number(member.role),
            member.joined.millis(),
            arrivals + 1 + added.len() as i64,
            member.muted_until.millis(),
            member.read_seq,
            member.last_sent.millis(),
            to_json(&rest)?,
        ))?;
        if inserted > 0 {
            added.push(member.account.clone());
        }
    }
    group::add_to_count(db, group_key, added.len())?;
    Ok(added)
}

/// Notes that a member has sent `seq`. Sending reads the conversation if it is meant to, or if nothing was unread.
pub(crate) fn sent(
    db: &Connection,
    group_key: i64,
    account: i64,
    seq: Seq,
    time: Timestamp,
    reads: bool,
) -> Result<()> {
    let mut statement = db.prepare_cached(
        "UPDATE member SET last_sent = ?4, read_seq = CASE WHEN ?5 OR read_seq = ?3 - 1 THEN ?3 ELSE read_seq END
         WHERE group_key = ?1 AND account = ?2",
    )?;
    statement.execute((group_key, account, seq, time.millis(), reads))?;
    Ok(())
}

fn role_number(role: Role) -> u8 {
    match role {
        Role::Member => 0,
        Role::Admin => 1,
        Role::Owner => 2,
    }
}

fn read(row: &Row<'_>) -> Result<Member> {
    let rest: Rest = from_json(row, 6)?;
    Ok(Member {
        account: AccountId::new(row.get::<_, String>(0)?),
        role: match row.get::<_, u8>(1)? {
            2 => Role::Owner,
            1 => Role::Admin,
            _ => Role::Member,
        },
        joined: Timestamp::from_millis(row.get(2)?),
        source: rest.source,
        inviter: rest.inviter,
        name_card: rest.name_card,
        muted_until: Timestamp::from_millis(row.get(3)?),
        custom_fields: rest.custom_fields,
        read_seq: row.get(4)?,
        last_sent: Timestamp::from_millis(row.get(5)?),
    })
}
