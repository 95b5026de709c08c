//! Two transactions in an order that hurts, on purpose: does the reader pass one over, or see a conversation backwards?

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::DATABASE;
use super::reader::Reader;
use super::scheme::Scheme;
use super::writer::Writer;
use crate::Result;
use crate::event_table::Rows;
use crate::postgres::Postgres;

/// After this long, a transaction that does not go on waits for the other.
const WAITS: Duration = Duration::from_millis(300);

/// What the reader made of the two pairs.
pub(crate) struct Verdict {
    /// Of two committed rows.
    pub(crate) missed: usize,
    /// Whether seq 1 came before seq 2.
    pub(crate) in_order: bool,
}

pub(crate) async fn judge(postgres: &Postgres, admin: &Client, scheme: Scheme) -> Result<Verdict> {
    let missed = overtaken(postgres, admin, scheme).await?;
    let in_order = backwards(postgres, admin, scheme).await?;
    Ok(Verdict { missed, in_order })
}

/// One is older and writes later, but commits first.
async fn overtaken(postgres: &Postgres, admin: &Client, scheme: Scheme) -> Result<usize> {
    let (old, young, mut reader) = open(postgres, admin, scheme).await?;
    old.run("BEGIN; SELECT FROM conversation WHERE key = 1 FOR NO KEY UPDATE").await?;
    young.begin().await?;
    write(&young, 1).await?;
    let mut old_commits = std::pin::pin!(async {
        if let Err(failure) = write(&old, 2).await {
            if scheme != Scheme::PrimaryKey {
                return Err(failure);
            }
            // The other was first.
            old.run("ROLLBACK; BEGIN").await?;
            write(&old, 2).await?;
        }
        old.commit().await
    });
    let first = timeout(WAITS, &mut old_commits).await;
    let mut seen = read_all(&mut reader).await?;
    young.commit().await?;
    match first {
        Ok(done) => done?,
        // It waited for the other, as it should.
        Err(_) => old_commits.await?,
    }
    seen.extend(read_all(&mut reader).await?);
    Ok(2 - seen.len())
}

/// One is older, waits for a conversation that the other has locked, and writes to it after the other.
async fn backwards(postgres: &Postgres, admin: &Client, scheme: Scheme) -> Result<bool> {
    let (old, young, mut reader) = open(postgres, admin, scheme).await?;
    old.run("BEGIN; SELECT FROM conversation WHERE key = 1 FOR NO KEY UPDATE").await?;
    let lock_second = "SELECT FROM conversation WHERE key = 2 FOR NO KEY UPDATE";
    young.run(&format!("BEGIN; {lock_second}")).await?;
    let waits = old.run(lock_second);
    let writes = async {
        sleep(WAITS).await;
        write(&young, 1).await?;
        young.commit().await
    };
    tokio::try_join!(waits, writes)?;
    write(&old, 2).await?;
    old.commit().await?;
    Ok(read_all(&mut reader).await? == [1, 2])
}

async fn open(postgres: &Postgres, admin: &Client, scheme: Scheme) -> Result<(Writer, Writer, Reader)> {
    admin.batch_execute(&scheme.create()).await?;
    let writer = async || Writer::open(postgres, DATABASE, scheme).await;
    Ok((writer().await?, writer().await?, Reader::open(postgres, DATABASE, scheme).await?))
}

/// One row of conversation 0, whose shard is 0.
async fn write(writer: &Writer, seq: i64) -> Result<()> {
    let mut rows = Rows::new(1, "text");
    rows.pick(0, 0, seq, 1);
    let heads = writer.lock(&rows).await?.assign(&mut rows);
    writer.write(&rows, &heads).await
}

async fn read_all(reader: &mut Reader) -> Result<Vec<i64>> {
    let mut seqs = Vec::new();
    loop {
        let page = reader.next().await?;
        if page.is_empty() {
            return Ok(seqs);
        }
        seqs.extend(page.iter().map(|event| event.seq));
    }
}
