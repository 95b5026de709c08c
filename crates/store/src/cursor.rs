//! Endpoint cursors.

use chat::event::{Position, Shard};
use rusqlite::{Connection, OptionalExtension, Result};

/// Up to where an endpoint has been told.
pub(crate) fn find(db: &Connection, endpoint: &str, shard: Shard) -> Result<Option<Position>> {
    let mut statement = db.prepare_cached("SELECT position FROM cursor WHERE endpoint = ?1 AND shard = ?2")?;
    statement.query_row((endpoint, shard.0), |row| row.get(0).map(Position)).optional()
}

/// Moves a cursor forward; never back.
pub(crate) fn save(db: &Connection, endpoint: &str, shard: Shard, position: Position) -> Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO cursor (endpoint, shard, position) VALUES (?1, ?2, ?3)
         ON CONFLICT (endpoint, shard) DO UPDATE SET position = max(position, excluded.position)",
    )?;
    statement.execute((endpoint, shard.0, position.0))?;
    Ok(())
}
