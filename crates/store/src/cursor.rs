//! How far endpoints have been told.

use chat::conversation::ConversationId;
use chat::event::{Position, Shard};
use rusqlite::{Connection, OptionalExtension, Result};
use webhook::ledger::Progress;

use crate::sqlite::{from_json, to_json};

/// Up to where an endpoint has been told.
pub(crate) fn find(db: &Connection, endpoint: &str, shard: Shard) -> Result<Option<Position>> {
    let mut statement = db.prepare_cached("SELECT position FROM cursor WHERE endpoint = ?1 AND shard = ?2")?;
    statement.query_row((endpoint, shard.0), |row| row.get(0).map(Position)).optional()
}

/// The conversations that lag behind the cursor.
pub(crate) fn behind(db: &Connection, endpoint: &str, shard: Shard) -> Result<Vec<(ConversationId, Position)>> {
    let mut statement =
        db.prepare_cached("SELECT conversation, position FROM behind WHERE endpoint = ?1 AND shard = ?2")?;
    statement.query_map((endpoint, shard.0), |row| Ok((from_json(row, 0)?, Position(row.get(1)?))))?.collect()
}

/// Moves a cursor forward, never back, and notes which conversations lag behind it.
pub(crate) fn save(db: &Connection, endpoint: &str, shard: Shard, progress: &Progress) -> Result<()> {
    let mut forward = db.prepare_cached(
        "INSERT INTO cursor (endpoint, shard, position) VALUES (?1, ?2, ?3)
         ON CONFLICT (endpoint, shard) DO UPDATE SET position = max(position, excluded.position)",
    )?;
    forward.execute((endpoint, shard.0, progress.cursor.0))?;
    let mut lags = db.prepare_cached(
        "INSERT INTO behind (endpoint, shard, conversation, position) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (endpoint, shard, conversation) DO UPDATE SET position = excluded.position",
    )?;
    let mut lags_no_longer =
        db.prepare_cached("DELETE FROM behind WHERE endpoint = ?1 AND shard = ?2 AND conversation = ?3")?;
    for (conversation, position) in &progress.behind {
        let conversation = to_json(conversation)?;
        match position {
            Some(position) => lags.execute((endpoint, shard.0, conversation, position.0))?,
            None => lags_no_longer.execute((endpoint, shard.0, conversation))?,
        };
    }
    Ok(())
}
