//! PostgreSQL as a side: one connection for writing and small reads, another for each pass over a table.

use std::sync::Arc;

use chat::event::{Position, Shard, Subject};
use tokio::sync::mpsc;

use super::merge::Page;
use super::{InPostgres, MigrateError, Moves, PAGE_BYTES, PAGE_ROWS, Result};
use crate::conversation::pg as conversation;
use crate::dataset::{Dataset, Moved, pg as dataset};
use crate::event::{EventRow, pg as event};
use crate::letter::pg as letter;
use crate::postgres::{self, Db, Offline};
use crate::shard::Shards;

/// So many rows of a table are fetched at once.
const FETCH: &str = "FETCH 500 FROM moving";

/// See the module.
#[derive(Debug)]
pub(super) struct Pg(Offline);

impl Pg {
    /// The id of the data set that is there, if there is one.
    pub(super) async fn id(url: &str) -> Result<Option<String>> {
        Ok(Offline::id(url).await?)
    }

    /// A database with a schema of ours.
    pub(super) async fn source(url: &str) -> Result<Self> {
        if !Offline::is_there(url).await? {
            let words =
                "there are no tables of ringback in the database to move from; look at its name and search_path";
            return Err(MigrateError::Refused(words.into()));
        }
        // It has its shards.
        Ok(Self(Offline::open(url, 1).await?))
    }

    /// A database with a schema of ours, or none.
    pub(super) async fn target(url: &str, shards: u16) -> Result<Self> {
        Ok(Self(Offline::open(url, shards).await?))
    }

    pub(super) fn place(&self) -> &str {
        self.0.place()
    }

    pub(super) fn shards(&self) -> Shards {
        self.0.shards
    }

    fn words(&self, error: impl std::fmt::Display) -> MigrateError {
        MigrateError::Failed(format!("{}: {error}", self.place()))
    }

    pub(super) async fn dataset(&self) -> Result<Dataset> {
        dataset::find(&self.0.db).await.map_err(|error| self.words(error))
    }

    pub(super) async fn is_empty(&self) -> Result<bool> {
        dataset::is_empty(&self.0.db).await.map_err(|error| self.words(error))
    }

    pub(super) async fn heads(&self) -> Result<Vec<Position>> {
        let mut heads = self.0.heads().await.map_err(|error| self.words(error))?;
        heads.sort_unstable();
        Ok(heads.into_iter().map(|(_, head)| head).collect())
    }

    pub(super) fn send_pages<T: Moves>(self: Arc<Self>, pages: mpsc::Sender<Result<Vec<T>>>) {
        tokio::spawn(async move {
            let sent = async { send_all(&self.0.connect().await?, &pages).await };
            if let Err(error) = sent.await {
                // Nobody is there to hear it if that fails.
                drop(pages.send(Err(self.words(error))).await);
            }
        });
    }

    pub(super) async fn events(
        &self,
        shard: Shard,
        after: Position,
        rows: usize,
        bytes: usize,
        with_data: bool,
    ) -> Result<Vec<EventRow>> {
        event::rows(&self.0.db, shard, after, rows, bytes, with_data).await.map_err(|error| self.words(error))
    }

    pub(super) async fn keys_of(&self, ids: Vec<Subject>) -> Result<Vec<Option<(Shard, i64)>>> {
        let names: Vec<_> = ids.iter().collect();
        let found = conversation::find(&self.0.db, self.shards(), &names).await.map_err(|error| self.words(error))?;
        let mut keys = vec![None; ids.len()];
        for (place, found) in found {
            keys[place] = Some((self.shards().of_subject(&ids[place]), found.key));
        }
        Ok(keys)
    }

    pub(super) async fn execute(&self, sql: &'static str) -> Result<()> {
        self.0.check().map_err(|fault| self.words(fault))?;
        self.0.db.batch_execute(sql).await.map_err(|error| self.words(postgres::Error::Sql(error)))
    }

    pub(super) async fn add<T: Moves>(&self, rows: Vec<T>) -> Result<()> {
        <T as InPostgres>::add(&self.0.db, self.shards(), &rows).await.map_err(|error| self.words(error))
    }

    pub(super) async fn add_events(&self, rows: Page) -> Result<()> {
        event::add_rows(&self.0.db, &rows).await.map_err(|error| self.words(error))
    }

    pub(super) async fn count_unread(&self) -> Result<()> {
        conversation::count_unread(&self.0.db).await.map_err(|error| self.words(error))
    }

    pub(super) async fn miscounted(&self) -> Result<Option<String>> {
        conversation::miscounted(&self.0.db).await.map_err(|error| self.words(error))
    }

    pub(super) async fn miscounted_letters(&self) -> Result<Option<String>> {
        letter::miscounted(&self.0.db).await.map_err(|error| self.words(error))
    }

    pub(super) async fn begin_move(&self, moved: Moved) -> Result<()> {
        dataset::begin(&self.0.db, &moved).await.map_err(|error| self.words(error))
    }

    pub(super) async fn put_progress(&self, progress: String) -> Result<()> {
        dataset::put_progress(&self.0.db, &progress).await.map_err(|error| self.words(error))
    }

    pub(super) async fn complete(&self) -> Result<()> {
        let complete = async {
            self.0.durable().await?;
            dataset::complete(&self.0.db).await
        };
        complete.await.map_err(|error| self.words(error))
    }
}

async fn send_all<T: Moves>(db: &Db, pages: &mpsc::Sender<Result<Vec<T>>>) -> postgres::Result<()> {
    let all = <T as InPostgres>::ALL;
    db.batch_execute(&format!("BEGIN READ ONLY; DECLARE moving NO SCROLL CURSOR FOR {all}")).await?;
    let fetch = db.prepare(FETCH).await?;
    let (mut page, mut size) = (Vec::new(), 0);
    loop {
        let rows = db.query(&fetch, &[]).await?;
        let is_last = rows.is_empty();
        for row in &rows {
            let row = <T as InPostgres>::read(row)?;
            size += row.bytes();
            page.push(row);
        }
        if page.len() >= PAGE_ROWS || size >= PAGE_BYTES || is_last {
            size = 0;
            let page = std::mem::take(&mut page);
            if !page.is_empty() && pages.send(Ok(page)).await.is_err() || is_last {
                return Ok(());
            }
        }
    }
}
