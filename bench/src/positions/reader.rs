//! One connection that follows the log, like an endpoint's deliverer: never back, always on from where it is.

use tokio_postgres::{Client, Statement};

use super::scheme::Scheme;
use crate::Result;
use crate::event_table::SHARDS;
use crate::postgres::Postgres;

pub(crate) struct Reader {
    client: Client,
    scheme: Scheme,
    follow: Statement,
    /// Of the schemes without shards, only the first counts.
    positions: Vec<i64>,
    transaction: i64,
    shards: Vec<i16>,
}

/// As much of an event as tells what became of it.
pub(crate) struct Seen {
    pub(crate) time: i64,
    pub(crate) seq: i64,
}

impl Reader {
    pub(crate) async fn open(postgres: &Postgres, database: &str, scheme: Scheme) -> Result<Self> {
        let client = postgres.connect(database).await?;
        // A table that lives for seconds has no statistics by which to see that the index is the way.
        client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").await?;
        let follow = client.prepare(&scheme.follow()).await?;
        let (positions, shards) = (vec![0; SHARDS], (0..SHARDS as i16).collect());
        Ok(Self { client, scheme, follow, positions, transaction: 0, shards })
    }

    /// The process that works for this connection, to read its clock.
    pub(crate) async fn process_id(&self) -> Result<i32> {
        Ok(self.client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0))
    }

    /// What comes next, as much as there is, up to a page.
    pub(crate) async fn next(&mut self) -> Result<Vec<Seen>> {
        let rows = if self.scheme.is_sharded() {
            self.client.query(&self.follow, &[&self.shards, &self.positions]).await?
        } else {
            self.client.query(&self.follow, &[&self.transaction, &self.positions[0]]).await?
        };
        for row in &rows {
            let shard: i16 = row.get(0);
            self.positions[shard as usize] = row.get(2);
            self.transaction = row.get(1);
        }
        Ok(rows.iter().map(|row| Seen { time: row.get(3), seq: row.get(4) }).collect())
    }
}
