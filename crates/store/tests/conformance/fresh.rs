//! A store of its own for each case.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chat::port::Store;
use store::{Postgres, Sqlite, postgres};
use tempfile::TempDir;
use webhook::ledger::Ledger;

/// Both ports that a store stands behind.
pub(crate) trait StoreAndLedger: Store + Ledger {}

impl<T: Store + Ledger> StoreAndLedger for T {}

/// Where the store of one case is: a directory, a schema.
#[async_trait]
pub(crate) trait Place {
    /// Opens the store that is there; the first time an empty one.
    async fn open(&self) -> Arc<dyn StoreAndLedger>;

    /// Whether it may be opened a second time while it is open; if not, why.
    fn takes_two_nodes(&self) -> Result<(), &'static str>;
}

/// The store under test.
pub(crate) struct Fresh {
    store: Arc<dyn StoreAndLedger>,
    place: Arc<dyn Place>,
}

impl Fresh {
    /// Opens the store of a new place.
    pub(crate) async fn open(place: Arc<dyn Place>) -> Self {
        Self { store: place.open().await, place }
    }

    /// Opens the same store once more, as a second node does.
    pub(crate) async fn second_node(&self) -> Self {
        Self::open(self.place.clone()).await
    }

    /// Another handle, for a task.
    pub(crate) fn share(&self) -> Arc<dyn StoreAndLedger> {
        self.store.clone()
    }

    /// Drops the store, without any farewell, and opens it again.
    pub(crate) async fn reopen(self) -> Self {
        let Self { store, place } = self;
        assert_eq!(Arc::strong_count(&store), 1, "somebody still uses the store that is to be reopened");
        drop(store);
        Self::open(place).await
    }
}

impl Deref for Fresh {
    type Target = dyn StoreAndLedger;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

/// A file in a directory that goes away when this is dropped.
pub(crate) struct SqlitePlace(TempDir);

impl SqlitePlace {
    /// A new directory.
    pub(crate) fn make() -> Arc<dyn Place> {
        Arc::new(Self(tempfile::tempdir().expect("a temporary directory")))
    }
}

#[async_trait]
impl Place for SqlitePlace {
    async fn open(&self) -> Arc<dyn StoreAndLedger> {
        let path = self.0.path().join("ringback.db");
        Arc::new(Sqlite::open(&path).unwrap_or_else(|error| panic!("{error}")))
    }

    fn takes_two_nodes(&self) -> Result<(), &'static str> {
        Err("SQLite has one writer: a second process is refused")
    }
}

/// A schema of its own in the server that `RINGBACK_POSTGRES` names. It goes with the server, a throw-away one.
pub(crate) struct PostgresPlace {
    server: String,
    schema: String,
}

impl PostgresPlace {
    /// A new schema.
    pub(crate) fn make() -> Arc<dyn Place> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("RINGBACK_POSTGRES");
        let server =
            server.expect("RINGBACK_POSTGRES names a PostgreSQL server: run ./scripts/test, or see scripts/postgres");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { server, schema: format!("case_{}_{number}", std::process::id()) })
    }
}

#[async_trait]
impl Place for PostgresPlace {
    async fn open(&self) -> Arc<dyn StoreAndLedger> {
        let (db, connection) = tokio_postgres::connect(&self.server, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        db.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {}", self.schema)).await.unwrap();
        let url = format!("{}?options=-csearch_path%3D{}", self.server, self.schema);
        let settings = postgres::Settings::new(url);
        Arc::new(Postgres::open(&settings).await.unwrap_or_else(|error| panic!("{error}")))
    }

    fn takes_two_nodes(&self) -> Result<(), &'static str> {
        Ok(())
    }
}
