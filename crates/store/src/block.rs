//! Blocks.

/// In SQLite.
pub(crate) mod lite {
    use chat::id::{AccountId, Timestamp};
    use rusqlite::{Connection, Result};

    /// Whether `owner` has blocked `target`.
    pub(crate) fn exists(db: &Connection, owner: &AccountId, target: &AccountId) -> Result<bool> {
        let mut statement = db.prepare_cached(
            "SELECT 1 FROM block
             WHERE owner = (SELECT key FROM account WHERE id = ?1)
                AND target = (SELECT key FROM account WHERE id = ?2)",
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
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::id::{AccountId, Timestamp};

    use crate::postgres::{Db, Result, nat};
    use crate::shard::{Shards, SmallInt};

    /// Which of the pairs (owner, target) are blocks, as their places among them.
    pub(crate) async fn find(db: &Db, shards: Shards, pairs: &[(&AccountId, &AccountId)]) -> Result<Vec<usize>> {
        let query = db
            .prepare_cached(
                "SELECT u.n FROM unnest($1::int2[], $2::text[], $3::text[]) WITH ORDINALITY AS u (shard, owner, target, n)
                 JOIN block b ON b.shard = u.shard AND b.owner = u.owner AND b.target = u.target ORDER BY u.n",
            )
            .await?;
        let places: Vec<_> = pairs.iter().map(|(owner, target)| shards.of_pair(owner, target).int()).collect();
        let (owners, targets): (Vec<_>, Vec<_>) = pairs.iter().map(|(o, t)| (o.as_str(), t.as_str())).unzip();
        let rows = db.query(&query, &[&places, &owners, &targets]).await?;
        Ok(rows.iter().map(|row| row.get::<_, i64>(0) as usize - 1).collect())
    }

    /// How many accounts `owner` has blocked.
    pub(crate) async fn count(db: &Db, owner: &AccountId) -> Result<u64> {
        let query = db.prepare_cached("SELECT count(*) FROM block WHERE owner = $1").await?;
        Ok(nat(db.query_one(&query, &[&owner.as_str()]).await?.get(0)))
    }

    /// Adds blocks (owner, target, since when) that are not there.
    pub(crate) async fn add(db: &Db, shards: Shards, blocks: &[(&AccountId, &AccountId, Timestamp)]) -> Result<()> {
        let add = db
            .prepare_cached(
                "INSERT INTO block (shard, owner, target, created)
                 SELECT * FROM unnest($1::int2[], $2::text[], $3::text[], $4::int8[])",
            )
            .await?;
        let places: Vec<_> = blocks.iter().map(|(owner, target, _)| shards.of_pair(owner, target).int()).collect();
        let owners: Vec<_> = blocks.iter().map(|(owner, ..)| owner.as_str()).collect();
        let targets: Vec<_> = blocks.iter().map(|(_, target, _)| target.as_str()).collect();
        let created: Vec<_> = blocks.iter().map(|(.., created)| created.millis()).collect();
        db.execute(&add, &[&places, &owners, &targets, &created]).await?;
        Ok(())
    }
}
