//! SQLite as a side: one connection for writing and small reads, another for each pass over a table.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chat::event::{Position, Shard, Subject};
use chat::id::AccountId;
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::merge::Page;
use super::{InSqlite, MigrateError, Moves, PAGE_BYTES, PAGE_ROWS, Result};
use crate::account::lite as account;
use crate::conversation::lite as conversation;
use crate::dataset::{Dataset, Moved, lite as dataset};
use crate::event::{EventRow, lite as event};
use crate::letter::lite as letter;
use crate::sqlite;

/// Page cache while everything is read or written, in KiB (negative by SQLite's convention): what is indexed by a hash has
/// no neighbours.
const PAGE_CACHE_KIB: i64 = -262_144;

/// So many keys of accounts are remembered, some 10 MB; then all are forgotten, and looked up again.
const MOST_SENDERS: usize = 100_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Lite {
    shown: String,
    path: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    db: Connection,
    senders: HashMap<AccountId, i64>,
    /// One file, one process: held until the last statement has ended.
    _lock: File,
}

impl Lite {
    /// A file that there is.
    pub(super) fn source(path: &Path) -> Result<Self> {
        let shown = path.display();
        match std::fs::metadata(path) {
            Ok(file) if file.is_file() && file.len() > 0 => Self::open(path),
            Ok(_) => Err(MigrateError::Refused(format!("{shown} is no database"))),
            Err(error) => Err(MigrateError::Refused(format!("cannot read {shown}: {error}"))),
        }
    }

    /// A file that there may be.
    pub(super) fn target(path: &Path) -> Result<Self> {
        let side = Self::open(path)?;
        let quick = |db: &Connection| {
            // Each page of rows is a transaction, and what a power failure takes is copied again: its disk is waited for
            // in the end.
            db.pragma_update(None, "synchronous", "NORMAL")?;
            db.pragma_update(None, "cache_size", PAGE_CACHE_KIB)
        };
        side.now(|inner| quick(&inner.db))?;
        Ok(side)
    }

    fn open(path: &Path) -> Result<Self> {
        let sqlite::Prepared { shown, path, lock, db } = sqlite::prepare(path)?;
        let inner = Arc::new(Mutex::new(Inner { db, senders: HashMap::new(), _lock: lock }));
        Ok(Self { shown: format!("sqlite:{shown}"), path, inner })
    }

    pub(super) fn place(&self) -> &str {
        &self.shown
    }

    fn now<T>(&self, work: impl FnOnce(&mut Inner) -> rusqlite::Result<T>) -> Result<T> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut inner).map_err(|error| failed(&self.shown, error))
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.inner.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut inner)
        });
        let done = done.await.map_err(|error| failed(&self.shown, error))?;
        done.map_err(|error| failed(&self.shown, error))
    }

    pub(super) async fn dataset(&self) -> Result<Dataset> {
        self.with(|inner| dataset::find(&inner.db)).await
    }

    pub(super) async fn is_empty(&self) -> Result<bool> {
        self.with(|inner| dataset::is_empty(&inner.db)).await
    }

    pub(super) async fn heads(&self) -> Result<Vec<Position>> {
        self.with(|inner| Ok(vec![event::head(&inner.db)?])).await
    }

    pub(super) fn send_pages<T: Moves>(self: Arc<Self>, pages: mpsc::Sender<Result<Vec<T>>>) {
        tokio::task::spawn_blocking(move || {
            let sent = sqlite::connect(&self.path).and_then(|db| send_all(&db, &pages));
            if let Err(error) = sent {
                // Nobody is there to hear it if that fails.
                drop(pages.blocking_send(Err(failed(&self.shown, error))));
            }
        });
    }

    pub(super) async fn events(
        &self,
        after: Position,
        rows: usize,
        bytes: usize,
        with_data: bool,
    ) -> Result<Vec<EventRow>> {
        self.with(move |inner| event::rows(&inner.db, after, rows, bytes, with_data)).await
    }

    pub(super) async fn keys_of(&self, ids: Vec<Subject>) -> Result<Vec<Option<(Shard, i64)>>> {
        self.with(move |inner| {
            let key = |id| Ok(conversation::find(&inner.db, id)?.map(|found| (event::SHARD, found.key)));
            ids.iter().map(key).collect()
        })
        .await
    }

    pub(super) async fn execute(&self, sql: &'static str) -> Result<()> {
        self.with(move |inner| inner.db.execute_batch(sql)).await
    }

    pub(super) async fn add<T: Moves>(&self, rows: Vec<T>) -> Result<()> {
        self.with(move |inner| rows.iter().try_for_each(|row| InSqlite::add(row, &inner.db))).await
    }

    pub(super) async fn add_events(&self, rows: Page) -> Result<()> {
        self.with(move |inner| {
            for (_, row) in &rows {
                let sender = inner.sender(row)?;
                event::add_row(&inner.db, row, sender)?;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn miscounted_letters(&self) -> Result<Option<String>> {
        self.with(|inner| letter::miscounted(&inner.db)).await
    }

    pub(super) async fn begin_move(&self, moved: Moved) -> Result<()> {
        self.with(move |inner| dataset::begin(&inner.db, &moved)).await
    }

    pub(super) async fn put_progress(&self, progress: String) -> Result<()> {
        self.with(move |inner| dataset::put_progress(&inner.db, &progress)).await
    }

    pub(super) async fn complete(&self) -> Result<()> {
        self.with(|inner| {
            inner.db.pragma_update(None, "synchronous", "FULL")?;
            // What was written before must be on disk before it is said to be complete.
            inner.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            dataset::complete(&inner.db)
        })
        .await
    }
}

impl Inner {
    /// The key of the account that an event's message is of.
    fn sender(&mut self, row: &EventRow) -> rusqlite::Result<Option<i64>> {
        let sender = row.sender().map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let Some(sender) = sender else { return Ok(None) };
        if let Some(key) = self.senders.get(&sender) {
            return Ok(Some(*key));
        }
        let key = account::key(&self.db, &sender)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        if self.senders.len() >= MOST_SENDERS {
            self.senders.clear();
        }
        self.senders.insert(sender, key);
        Ok(Some(key))
    }
}

fn send_all<T: Moves>(db: &Connection, pages: &mpsc::Sender<Result<Vec<T>>>) -> rusqlite::Result<()> {
    let mut statement = db.prepare(<T as InSqlite>::ALL)?;
    let mut found = statement.query([])?;
    let (mut page, mut size) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let row = <T as InSqlite>::read(row)?;
        size += row.bytes();
        page.push(row);
        if page.len() >= PAGE_ROWS || size >= PAGE_BYTES {
            size = 0;
            if pages.blocking_send(Ok(std::mem::take(&mut page))).is_err() {
                return Ok(());
            }
        }
    }
    if !page.is_empty() {
        drop(pages.blocking_send(Ok(page)));
    }
    Ok(())
}

fn failed(place: &str, error: impl std::fmt::Display) -> MigrateError {
    MigrateError::Failed(format!("{place}: {error}"))
}
