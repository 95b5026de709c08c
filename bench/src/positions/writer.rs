//! One connection that writes: a transaction in two round trips, or step by step.

use std::time::Duration;

use tokio::time::sleep;
use tokio::try_join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::scheme::Scheme;
use crate::Result;
use crate::event_table::{Rows, SHARDS};
use crate::postgres::Postgres;

pub(crate) struct Writer {
    client: Client,
    scheme: Scheme,
    lock: Statement,
    insert: Statement,
    move_heads: Statement,
}

/// The heads of shards that a transaction has locked, and how far it moves them.
pub(crate) struct Heads {
    shards: Vec<i16>,
    heads: Vec<i64>,
}

impl Writer {
    pub(crate) async fn open(postgres: &Postgres, database: &str, scheme: Scheme) -> Result<Self> {
        let client = postgres.connect(database).await?;
        let lock = client.prepare(scheme.lock()).await?;
        let insert = client.prepare(&scheme.insert()).await?;
        let move_heads = client.prepare(Scheme::MOVE_HEADS).await?;
        Ok(Self { client, scheme, lock, insert, move_heads })
    }

    /// A whole transaction, as the store does it: what must be known first, then all that is written.
    /// With a `hold`, it stays open for so long in between.
    pub(crate) async fn transact(&self, rows: &mut Rows, hold: Duration) -> Result<()> {
        // `biased` sends in this order; the server answers in the same.
        let ((), heads) = try_join!(biased; self.begin(), self.lock(rows))?;
        let heads = heads.assign(rows);
        if hold.is_zero() {
            try_join!(biased; self.write(rows, &heads), self.commit())?;
        } else {
            self.write(rows, &heads).await?;
            sleep(hold).await;
            self.commit().await?;
        }
        Ok(())
    }

    pub(crate) async fn begin(&self) -> Result<()> {
        self.run("BEGIN").await
    }

    /// What is done beside the steps.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Waits for its turn, if the scheme has turns.
    pub(crate) async fn lock(&self, rows: &Rows) -> Result<Heads> {
        let mut touched = [false; SHARDS];
        for shard in &rows.shards {
            touched[*shard as usize] = true;
        }
        let shards: Vec<i16> = (0..SHARDS as i16).filter(|shard| touched[*shard as usize]).collect();
        let answer = self.client.query(&self.lock, &[&shards]).await?;
        if !self.scheme.counts_itself() {
            return Ok(Heads { shards: Vec::new(), heads: Vec::new() });
        }
        Ok(Heads {
            shards: answer.iter().map(|row| row.get(0)).collect(),
            heads: answer.iter().map(|row| row.get(1)).collect(),
        })
    }

    pub(crate) async fn write(&self, rows: &Rows, heads: &Heads) -> Result<()> {
        let columns = rows.columns();
        let insert = self.client.execute(&self.insert, &columns);
        if self.scheme.has_heads() {
            let moved: [&(dyn ToSql + Sync); 2] = [&heads.shards, &heads.heads];
            try_join!(biased; insert, self.client.execute(&self.move_heads, &moved))?;
        } else {
            insert.await?;
        }
        Ok(())
    }

    pub(crate) async fn commit(&self) -> Result<()> {
        self.run("COMMIT").await
    }
}

impl Heads {
    /// Gives the rows the positions after the heads, and moves these.
    pub(crate) fn assign(mut self, rows: &mut Rows) -> Self {
        let mut at = [None; SHARDS];
        for (i, shard) in self.shards.iter().enumerate() {
            at[*shard as usize] = Some(i);
        }
        for (shard, position) in rows.shards.iter().zip(&mut rows.positions) {
            if let Some(i) = at[*shard as usize] {
                self.heads[i] += 1;
                *position = self.heads[i];
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_follow_the_head_of_their_shard() {
        let mut rows = Rows::new(4, "");
        rows.shards = vec![2, 5, 2, 2];
        let heads = Heads { shards: vec![2, 5], heads: vec![10, 0] }.assign(&mut rows);
        assert_eq!((rows.positions, heads.heads), (vec![11, 1, 12, 13], vec![13, 1]));
    }
}
