//! Which of its transactions a writer has committed last: its row of the table `writer`. By it a writer that lost its connection
//! learns whether a commit came through.

use std::collections::BTreeSet;

use chat::event::Shard;

use super::batch::{BEGIN, LOCK};
use super::{Db, Result};
use crate::shard::SmallInt;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastCommit {
    /// The first that the writer writes.
    shard: Shard,
    id: i64,
}

impl LastCommit {
    /// A row for a new writer; those that have not been used for a day are nobody's any more.
    pub(super) async fn register(db: &Db, shard: Shard) -> Result<Self> {
        let place = shard.int();
        db.execute("DELETE FROM writer WHERE shard = $1 AND seen < now() - interval '1 day'", &[&place]).await?;
        let row = db.query_one("INSERT INTO writer (shard) VALUES ($1) RETURNING id", &[&place]).await?;
        Ok(Self { shard, id: row.get(0) })
    }

    /// Notes the number of the writer's transaction.
    pub(super) async fn put(self, db: &Db, number: i64) -> Result<()> {
        let put = db
            .prepare_cached(
                "INSERT INTO writer (shard, id, batch) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3)
                 ON CONFLICT (shard, id) DO UPDATE SET batch = excluded.batch, seen = now()",
            )
            .await?;
        db.execute(&put, &[&self.shard.int(), &self.id, &number]).await?;
        Ok(())
    }

    /// The number of the writer's newest transaction that came through, once those that had locked these shards have ended.
    pub(super) async fn find(self, db: &Db, shards: &BTreeSet<Shard>) -> Result<Option<i64>> {
        let places: Vec<_> = shards.iter().map(|shard| shard.int()).collect();
        db.batch_execute(BEGIN).await?;
        db.query(LOCK, &[&places]).await?;
        let query = "SELECT batch FROM writer WHERE shard = $1 AND id = $2 FOR UPDATE";
        let row = db.query_opt(query, &[&self.shard.int(), &self.id]).await?;
        db.batch_execute("COMMIT").await?;
        Ok(row.map(|row| row.get(0)))
    }
}
