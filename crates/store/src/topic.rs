//! Topics of communities.

use chat::group::Topic;
use chat::id::{GroupId, TopicId};
use rusqlite::{Connection, OptionalExtension, Result};

use crate::sqlite::{from_json, to_json};

/// The integer that stands for a topic in `conversation`.
pub(crate) fn key(db: &Connection, group: &GroupId, id: &TopicId) -> Result<Option<i64>> {
    let mut statement = db.prepare_cached(
        "SELECT key FROM topic WHERE group_key = (SELECT key FROM chat_group WHERE id = ?1) AND id = ?2",
    )?;
    statement.query_row((group.as_str(), id.as_str()), |row| row.get(0)).optional()
}

/// One topic.
pub(crate) fn find(db: &Connection, group: &GroupId, id: &TopicId) -> Result<Option<Topic>> {
    let mut statement = db.prepare_cached(
        "SELECT data FROM topic WHERE group_key = (SELECT key FROM chat_group WHERE id = ?1) AND id = ?2",
    )?;
    statement.query_row((group.as_str(), id.as_str()), |row| from_json(row, 0)).optional()
}

/// Adds a topic to a group that exists.
pub(crate) fn add(db: &Connection, topic: &Topic) -> Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO topic (group_key, id, data) VALUES ((SELECT key FROM chat_group WHERE id = ?1), ?2, ?3)",
    )?;
    statement.execute((topic.group.as_str(), topic.id.as_str(), to_json(topic)?))?;
    Ok(())
}
