//! Databases to move from and to, and what can be seen of them.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chat::event::{LogEntry, Position, Shard, Subject};
use chat::id::EventId;
use chat::port::Log;
use store::migrate::{self, MigrateError, Place, Progress, Summary};
use store::{OpenError, Postgres, Sqlite, postgres};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::fresh::Fresh;
use crate::ledger::Cursors;

/// A database that goes away: a file, or a schema of the shared server.
pub(crate) struct Database {
    place: Place,
    _dir: Option<TempDir>,
}

impl Database {
    /// A file.
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { place: Place::Sqlite(dir.path().join("ringback.db")), _dir: Some(dir) }
    }

    /// A schema of so many shards.
    pub(crate) async fn postgres(shards: u16) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = server();
        let schema = format!("move_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        sql(&server, &format!("CREATE SCHEMA {schema}")).await;
        let url = format!("{server}?options=-csearch_path%3D{schema}");
        Self { place: Place::Postgres { url, shards }, _dir: None }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Opens the store that is there.
    pub(crate) async fn open(&self) -> Fresh {
        try_open(&self.place).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whether it can be served.
    pub(crate) async fn try_open(&self) -> Result<(), OpenError> {
        try_open(&self.place).await.map(drop)
    }

    /// Runs SQL behind everybody's back.
    pub(crate) async fn sql(&self, text: &str) {
        match &self.place {
            Place::Sqlite(path) => rusqlite::Connection::open(path).unwrap().execute_batch(text).unwrap(),
            Place::Postgres { url, .. } => sql(url, text).await,
        }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.place, Place::Sqlite(_))
    }
}

async fn try_open(place: &Place) -> Result<Fresh, OpenError> {
    Ok(match place {
        Place::Sqlite(path) => Fresh::new(Sqlite::open(path)?),
        Place::Postgres { url, shards } => {
            let settings = postgres::Settings { shards: *shards, ..postgres::Settings::new(url.clone()) };
            Fresh::new(Postgres::open(&settings).await?)
        }
    })
}

/// The server that the environment names.
pub(crate) fn server() -> String {
    std::env::var("RINGBACK_POSTGRES")
        .expect("RINGBACK_POSTGRES names a PostgreSQL server: run ./scripts/test, or see scripts/postgres")
}

async fn sql(url: &str, text: &str) {
    let (db, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    db.batch_execute(text).await.unwrap();
}

/// Moves everything.
pub(crate) async fn try_move(from: &Database, to: &Database) -> Result<Summary, MigrateError> {
    let (progress, _watched) = watch::channel(Progress::default());
    migrate::run(from.place(), to.place(), &progress).await
}

pub(crate) async fn move_all(from: &Database, to: &Database) -> Summary {
    try_move(from, to).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Moves until `stop` says so, and ends there without any farewell. Returns whether it got that far.
pub(crate) async fn move_until(from: &Database, to: &Database, stop: impl FnMut(&Progress) -> bool) -> bool {
    let (progress, mut watched) = watch::channel(Progress::default());
    let is_stopped = tokio::select! {
        biased;
        Ok(_) = watched.wait_for(stop) => true,
        moved = migrate::run(from.place(), to.place(), &progress) => {
            moved.unwrap_or_else(|error| panic!("{error}"));
            false
        }
    };
    // A statement that was being executed holds the file until it ends, as a process would.
    for _ in 0..100 {
        match to.try_open().await {
            Err(OpenError::InUse(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => break,
        }
    }
    is_stopped
}

/// What is owed to whom: of each endpoint and conversation the events that it has not been told, in their order.
pub(crate) type Owed = BTreeMap<(String, Subject), Vec<EventId>>;

/// What endpoints with a cursor are owed.
pub(crate) async fn owed(store: &Fresh, endpoints: &[&str]) -> Owed {
    let mut owed = Owed::new();
    for endpoint in endpoints {
        for shard in store.shards() {
            let Some(cursor) = store.told(endpoint, shard).await.unwrap() else { continue };
            let behind = store.behind(endpoint, shard).await.unwrap().into_iter();
            let behind: BTreeMap<_, _> = behind.map(|(subject, behind)| (subject, behind.told)).collect();
            for entry in store.log_after(shard, Position(0), 1_000_000).await.unwrap() {
                let subject = entry.event.subject();
                if entry.position > *behind.get(&subject).unwrap_or(&cursor) {
                    owed.entry(((*endpoint).to_owned(), subject)).or_default().push(entry.event.id());
                }
            }
        }
    }
    owed
}

/// Whether the endpoint is known in every shard: where it is not, it would begin at the end.
pub(crate) async fn is_known_everywhere(store: &Fresh, endpoint: &str) -> bool {
    for shard in store.shards() {
        if store.told(endpoint, shard).await.unwrap().is_none() {
            return false;
        }
    }
    true
}

/// Everything that can be seen through the ports and is not a database's own: no shards, no positions.
pub(crate) async fn seen(store: &Fresh) -> Vec<String> {
    let mut lines = store.picture().await;
    lines.retain(|line| !line.starts_with("Shard(") && !line.starts_with("LogEntry") && !line.contains(" in ["));
    // In any order.
    for account in ["a", "b", "c", "d"] {
        let mut conversations = store.inbox(&account.into()).await.unwrap();
        conversations.sort();
        lines.push(format!("{account} in {conversations:?}"));
    }
    let mut events: BTreeMap<Subject, Vec<String>> = BTreeMap::new();
    let mut last: BTreeMap<Shard, Position> = BTreeMap::new();
    for entry in whole_log(store).await {
        let line = format!("{:?}, unread {:?}", entry.event, entry.unread);
        events.entry(entry.event.subject()).or_default().push(line);
        last.insert(entry.shard, entry.position);
    }
    // Found by subject as by position.
    for subject in events.keys() {
        let first = Log::log_of(&**store, subject, Position(0), Position(u64::MAX >> 1), 1).await.unwrap();
        let last = last[&first[0].shard];
        let found = Log::log_of(&**store, subject, Position(0), last, 100_000).await.unwrap();
        let found: Vec<_> = found.iter().map(|entry| format!("{:?}, unread {:?}", entry.event, entry.unread)).collect();
        assert_eq!(found, events[subject]);
    }
    lines.extend(events.into_iter().map(|(subject, events)| format!("{subject:?} {events:#?}")));
    lines
}

/// Shard by shard.
async fn whole_log(store: &Fresh) -> Vec<LogEntry> {
    let mut entries = Vec::new();
    for shard in store.shards() {
        entries.extend(store.log_after(shard, Position(0), 1_000_000).await.unwrap());
    }
    entries
}

/// That two looks have seen the same; shows the first difference.
#[track_caller]
pub(crate) fn are_same(now: &[String], before: &[String]) {
    for (now, before) in now.iter().zip(before) {
        assert_eq!(now, before);
    }
    assert_eq!(now.len(), before.len());
}

/// That no event is in the log twice.
pub(crate) async fn has_each_event_once(store: &Fresh) {
    let log = whole_log(store).await;
    let ids: HashSet<_> = log.iter().map(|entry| entry.event.id()).collect();
    assert_eq!(ids.len(), log.len());
}
