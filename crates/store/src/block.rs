//! Blocks.

use chat::id::AccountId;
use serde::Serialize;

use crate::migrate::Moves;

/// A block, as it moves.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BlockRow {
    owner: AccountId,
    target: AccountId,
    created: i64,
}

impl Moves for BlockRow {
    const NAME: &'static str = "blocks";

    fn bytes(&self) -> usize {
        0
    }
}

/// In SQLite.
pub(crate) mod lite {
    use chat::id::{AccountId, Timestamp};
    use rusqlite::{Connection, Result, Row};

    use super::BlockRow;
    use crate::migrate::InSqlite;

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

    impl InSqlite for BlockRow {
        const ALL: &'static str = "SELECT o.id, t.id, b.created FROM block b
             CROSS JOIN account o ON o.key = b.owner CROSS JOIN account t ON t.key = b.target
             ORDER BY b.owner, b.target";

        fn read(row: &Row<'_>) -> Result<Self> {
            let (owner, target): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(Self { owner: AccountId::new(owner), target: AccountId::new(target), created: row.get(2)? })
        }

        fn add(&self, db: &Connection) -> Result<()> {
            let mut statement = db.prepare_cached(
                "INSERT INTO block (owner, target, created)
                 VALUES ((SELECT key FROM account WHERE id = ?1), (SELECT key FROM account WHERE id = ?2), ?3)",
            )?;
            statement.execute((self.owner.as_str(), self.target.as_str(), self.created))?;
            Ok(())
        }
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use chat::id::{AccountId, Timestamp};
    use tokio_postgres::Row;
    use tokio_postgres::types::Type;

    use super::BlockRow;
    use crate::migrate::InPostgres;
    use crate::postgres::{CopyIn, Db, Result, nat, place};
    use crate::shard::{Shards, SmallInt};

    /// Which of the pairs (owner, target) are blocks, as their places among them.
    pub(crate) async fn find(db: &Db, shards: Shards, pairs: &[(&AccountId, &AccountId)]) -> Result<Vec<usize>> {
        let query = db
            .prepare_cached(
                "SELECT u.n FROM unnest($1::int2[], $2::text[], $3::text[]) WITH ORDINALITY AS u (shard, owner, target, n)
                 CROSS JOIN LATERAL (
                    SELECT FROM block WHERE shard = u.shard AND owner = u.owner AND target = u.target OFFSET 0) b
                 ORDER BY u.n",
            )
            .await?;
        let places: Vec<_> = pairs.iter().map(|(owner, target)| shards.of_pair(owner, target).int()).collect();
        let (owners, targets): (Vec<_>, Vec<_>) = pairs.iter().map(|(o, t)| (o.as_str(), t.as_str())).unzip();
        let rows = db.query(&query, &[&places, &owners, &targets]).await?;
        Ok(rows.iter().map(|row| place(row, 0)).collect())
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

    impl InPostgres for BlockRow {
        const ALL: &'static str = "SELECT owner, target, created FROM block ORDER BY shard, owner, target";

        fn read(row: &Row) -> Result<Self> {
            let (owner, target): (String, String) = (row.get(0), row.get(1));
            Ok(Self { owner: AccountId::new(owner), target: AccountId::new(target), created: row.get(2) })
        }

        async fn add(db: &Db, shards: Shards, rows: &[Self]) -> Result<()> {
            let types = [Type::INT2, Type::TEXT, Type::TEXT, Type::INT8];
            let mut copy =
                CopyIn::begin(db, "COPY block (shard, owner, target, created) FROM STDIN (FORMAT binary)", &types)
                    .await?;
            for row in rows {
                let shard = shards.of_pair(&row.owner, &row.target).int();
                copy.row(&[&shard, &row.owner.as_str(), &row.target.as_str(), &row.created]).await?;
            }
            copy.end().await
        }
    }
}
