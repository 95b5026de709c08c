//! Groups.

use chat::group::{Group, GroupStatus};
use chat::id::GroupId;
use rusqlite::{Connection, OptionalExtension, Result, Row};

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

/// Whether it exists, and if so its version, whether it is alive, and how many members it has.
pub(crate) fn state(db: &Connection, id: &GroupId) -> Result<Option<(u64, bool, u64)>> {
    let mut statement = db.prepare_cached("SELECT version, is_open, member_count FROM chat_group WHERE id = ?1")?;
    statement.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
}

/// Stores a group; an existing one keeps its member count.
pub(crate) fn put(db: &Connection, group: &Group) -> Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO chat_group (id, is_open, version, member_count, data) VALUES (?1, ?2, ?3, 0, ?4)
         ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, version = excluded.version, data = excluded.data",
    )?;
    let is_open = group.status == GroupStatus::Open;
    statement.execute((group.id.as_str(), is_open, group.version, to_json(group)?))?;
    Ok(())
}

/// The integer that stands for a group, and how many members ever came in.
pub(crate) fn arrivals(db: &Connection, id: &GroupId) -> Result<Option<(i64, i64)>> {
    let mut statement = db.prepare_cached("SELECT key, arrivals FROM chat_group WHERE id = ?1")?;
    statement.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
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
