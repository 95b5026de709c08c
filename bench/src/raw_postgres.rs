//! The raw limit of a durable send into PostgreSQL: as many rows of the same table, by one connection that reads nothing,
//! locks nothing and moves no conversation on.

use std::time::Instant;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Statement};

use crate::Result;
use crate::event_table::{self, Rows, SHARDS, next_random};
use crate::postgres::Postgres;
use crate::raw_sqlite::{BATCH, Inserted};
use crate::store::Store;

/// Beside the server's own, in the same cluster.
pub(crate) const DATABASE: &str = "raw";

pub(crate) struct RawPostgres {
    client: Client,
    insert: Statement,
    rows: Rows,
    data: String,
    /// The newest position of every shard, and the next seq of every conversation.
    heads: [i64; SHARDS],
    next_seq: Vec<i64>,
    random: u64,
}

impl RawPostgres {
    /// An empty database; every row will carry `data`.
    pub(crate) async fn create(postgres: &Postgres, conversations: usize, data: String) -> Result<Self> {
        let client = postgres.create_database(DATABASE).await?;
        client.batch_execute(&event_table::create("", "shard, position")).await?;
        let insert = client.prepare(event_table::INSERT).await?;
        let rows = Rows::new(BATCH, &data);
        let next_seq = vec![1; conversations];
        Ok(Self { client, insert, rows, data, heads: [0; SHARDS], next_seq, random: 0x2545_F491_4F6C_DD1D })
    }

    /// Inserts rows into conversations picked at random, a durable commit per batch. Its CPU time is that of all
    /// processes of PostgreSQL, with the checkpoint that the rows will need.
    pub(crate) fn insert(&mut self, runtime: &Runtime, store: &Store, rows: usize) -> Result<Inserted> {
        store.settle(runtime)?;
        let (start, cpu) = (Instant::now(), store.cpu()?);
        runtime.block_on(self.insert_all(rows))?;
        let elapsed = start.elapsed();
        store.settle(runtime)?;
        Ok(Inserted { elapsed, cpu: store.cpu()?.saturating_sub(cpu) })
    }

    async fn insert_all(&mut self, rows: usize) -> Result<()> {
        let mut left = rows;
        while left > 0 {
            let batch = left.min(BATCH);
            if batch != self.rows.len() {
                self.rows = Rows::new(batch, &self.data);
            }
            for i in 0..batch {
                let random = next_random(&mut self.random);
                let conversation = random as usize % self.next_seq.len();
                self.rows.pick(i, conversation, self.next_seq[conversation], random);
                self.next_seq[conversation] += 1;
                let head = &mut self.heads[self.rows.shards[i] as usize];
                *head += 1;
                self.rows.positions[i] = *head;
                self.rows.times[i] = 1_795_251_194_000 + i as i64;
            }
            self.client.execute(&self.insert, &self.rows.columns()).await?;
            left -= batch;
        }
        Ok(())
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Choice, Kind};

    #[test]
    fn inserts_every_row() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let choice = Choice { store: Kind::Postgres, writers: None };
        let Ok(store) = Store::start(&runtime, &std::env::temp_dir(), &choice) else {
            eprintln!("skipped: no PostgreSQL here");
            return;
        };
        let create = RawPostgres::create(store.postgres().unwrap(), 7, "x".repeat(100));
        let mut raw = runtime.block_on(create).unwrap();
        raw.insert(&runtime, &store, BATCH + 5).unwrap();
        let inserted = raw.insert(&runtime, &store, 10).unwrap();
        assert!(!inserted.cpu.is_zero());
        let one = |sql: &str| runtime.block_on(raw.client.query_one(sql, &[])).unwrap().get::<_, i64>(0);
        assert_eq!(one("SELECT count(*) FROM event"), BATCH as i64 + 15);
        let last = "SELECT sum(n)::bigint FROM (SELECT max(seq) AS n FROM event GROUP BY shard, conversation) AS c";
        assert_eq!(one(last), BATCH as i64 + 15);
        assert_eq!(one(&last.replace("max(seq)", "max(position)").replace(", conversation", "")), BATCH as i64 + 15);
    }
}
