//! Blocks.

use chat::id::{AccountId, Timestamp};
use rusqlite::{Connection, Result};

/// Whether `owner` has blocked `target`.
pub(crate) fn exists(db: &Connection, owner: &AccountId, target: &AccountId) -> Result<bool> {
    let mut statement = db.prepare_cached(
        "SELECT 1 FROM block
         WHERE owner = (SELECT key FROM account WHERE id = ?1) AND target = (SELECT key FROM account WHERE id = ?2)",
    )?;
    statement.exists((owner.as_str(), target.as_str()))
}

/// How many accounts `owner` has blocked.
pub(crate) fn count(db: &Connection, owner: &AccountId) -> Result<u64> {
    let mut statement =
        db.prepare_cached("SELECT count(*) FROM block WHERE owner = (SELECT key FROM account WHERE id = ?1)")?;
    statement.query_row([owner.as_str()], |row| row.get(0))
}

/// Adds blocks; existing ones stay as they are.
pub(crate) fn add(db: &Connection, owner: &AccountId, targets: &[AccountId], now: Timestamp) -> Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT OR IGNORE INTO block (owner, target, created)
         SELECT o.key, t.key, ?3 FROM account o, account t WHERE o.id = ?1 AND t.id = ?2",
    )?;
    for target in targets {
        statement.execute((owner.as_str(), target.as_str(), now.millis()))?;
    }
    Ok(())
}
