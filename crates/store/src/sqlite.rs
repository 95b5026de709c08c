//! SQLite behind the ports: one writer thread, many readers.
//!
//! Point reads run right where they are asked for: they take microseconds from the page cache, less than handing them to
//! another thread would. Reads of many rows go to a blocking thread.

mod known;
mod rows;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chat::Fault;
use chat::account::Account;
use chat::conversation::ConversationId;
use chat::event::{LogEntry, Position, Shard, Subject};
use chat::group::{Group, GroupKind, Topic};
use chat::id::{AccountId, EventId, GroupId, MessageId, Timestamp, TopicId};
use chat::member::Member;
use chat::message::park::{Parked, ParkedCount, ParkedQuery};
use chat::message::{Message, RepeatKey};
use chat::port::{
    Changes, CommitError, Committed, ConversationState, InboxEntry, Log, MemberQuery, MessageQuery, Store,
};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use webhook::ledger::{
    Attempt, Behind, Cursor, Gap, Ledger, Letter, LetterCount, LetterQuery, Pause, Progress, Trimmed,
};

use self::writer::Writer;
use crate::account::lite as account;
use crate::attempt::lite as attempt;
use crate::block::lite as block;
use crate::conversation::lite as conversation;
use crate::cursor::lite as cursor;
use crate::dataset::lite as dataset;
use crate::event::lite as event;
use crate::gap::lite as gap;
use crate::group::{count_of_kind, lite as group};
use crate::letter::lite as letter;
use crate::member::lite as member;
use crate::milestone::lite as milestone;
use crate::note::Note;
use crate::parked::lite as parked;
use crate::pause::lite as pause;
use crate::topic::lite as topic;
use crate::{Durable, OpenError, note, repeat};

refinery::embed_migrations!("migrations/sqlite");

/// Prepared statements kept per connection: all that exist, with room.
const STATEMENT_CACHE: usize = 128;

/// Page cache of each connection, in KiB (negative by SQLite's convention).
const PAGE_CACHE_KIB: i64 = -8192;

/// The write-ahead log is folded back into the database at this many pages (16 MB). A page that many commits touch is then
/// written back once; at SQLite's own 1,000 pages that was a tenth of a send's cost (`bench send`).
const CHECKPOINT_PAGES: i64 = 4000;

/// A path is a path and no URI. Each connection is used by one thread at a time.
const OPEN_FLAGS: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_CREATE).union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// So many rows by key are read right where they are asked for; more go to a blocking thread.
const FEW: usize = 16;

/// So many reading connections are kept when nobody reads: each may have its page cache filled, 64 MB in all.
const MOST_IDLE_READERS: usize = 8;

/// So many reads of many rows go on at once, and more wait: each has a thread of its own, and what a thread has allocated
/// it keeps. With two hundred of them, as a replay to many endpoints would have, that was 600 MB.
const MOST_SCANS: usize = MOST_IDLE_READERS;

/// The embedded store.
pub struct Sqlite {
    readers: Arc<Readers>,
    scans: Arc<Semaphore>,
    writer: Writer,
    head: watch::Receiver<Position>,
    /// One file, one writer: held until ours has ended (it is dropped before this).
    _lock: File,
}

impl Sqlite {
    /// Opens a database file, makes or migrates it, and starts its writer.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let Prepared { shown, path, lock, db } = prepare(path)?;
        let unusable = |error: rusqlite::Error| unusable(&shown, error);
        let dataset = dataset::find(&db).map_err(unusable)?;
        if !dataset.is_ready {
            return Err(OpenError::unfinished(&shown, dataset));
        }
        let position = event::head(&db).map_err(unusable)?;
        let (head_sender, head) = watch::channel(position);
        let writer = Writer::start(db, head_sender).map_err(|error| self::unusable(&shown, error))?;
        let readers = Arc::new(Readers { path, idle: Mutex::new(Vec::new()) });
        Ok(Self { readers, scans: Arc::new(Semaphore::new(MOST_SCANS)), writer, head, _lock: lock })
    }

    /// A read of a few rows by key.
    fn look<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Fault> {
        self.readers.with(read)
    }

    /// A write that says nothing.
    async fn note(&self, note: Note) -> Result<(), Fault> {
        self.writer.note(note).await.map(drop)
    }

    /// A read of so many rows at most.
    async fn read<T: Send + 'static>(
        &self,
        limit: usize,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        if limit <= FEW { self.look(read) } else { self.scan(read).await }
    }

    /// A read of many rows.
    async fn scan<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let readers = self.readers.clone();
        let place = self.scans.clone().acquire_owned().await.map_err(Fault::new)?;
        let scan = move || {
            let result = readers.with(read);
            // Also if nobody waits for it any more, the place is taken until it is done.
            drop(place);
            result
        };
        tokio::task::spawn_blocking(scan).await.map_err(Fault::new)?
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn commit(&self, changes: Changes) -> Result<Committed, CommitError> {
        self.writer.commit(changes).await
    }

    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, Fault> {
        if ids.len() <= FEW {
            return self.look(|db| collect(ids, |id| account::find(db, id)));
        }
        let ids = ids.to_vec();
        self.scan(move |db| collect(&ids, |id| account::find(db, id))).await
    }

    async fn is_blocked(&self, owner: &AccountId, target: &AccountId) -> Result<bool, Fault> {
        self.look(|db| block::exists(db, owner, target))
    }

    async fn blocks(&self, owner: &AccountId, targets: &[AccountId]) -> Result<(Vec<AccountId>, u64), Fault> {
        let (owner, targets) = (owner.clone(), targets.to_vec());
        self.scan(move |db| {
            let blocked = collect(&targets, |id| Ok(block::exists(db, &owner, id)?.then(|| id.clone())))?;
            Ok((blocked, block::count(db, &owner)?))
        })
        .await
    }

    async fn groups(&self, ids: &[GroupId]) -> Result<Vec<Group>, Fault> {
        if ids.len() <= FEW {
            return self.look(|db| collect(ids, |id| group::find(db, id)));
        }
        let ids = ids.to_vec();
        self.scan(move |db| collect(&ids, |id| group::find(db, id))).await
    }

    async fn groups_owned(&self, owner: &AccountId, kind: GroupKind) -> Result<u64, Fault> {
        let owner = owner.clone();
        let owned = self.scan(move |db| group::owned(db, &owner)).await?;
        count_of_kind(&owned, kind).map_err(Fault::new)
    }

    async fn topic(&self, group: &GroupId, id: &TopicId) -> Result<Option<Topic>, Fault> {
        self.look(|db| topic::find(db, group, id))
    }

    async fn member(&self, group: &GroupId, id: &AccountId) -> Result<Option<Member>, Fault> {
        self.look(|db| member::find(db, group, id))
    }

    async fn members(&self, group: &GroupId, query: MemberQuery) -> Result<Vec<Member>, Fault> {
        let group = group.clone();
        self.scan(move |db| member::list(db, &group, &query)).await
    }

    async fn conversation(&self, id: &ConversationId) -> Result<ConversationState, Fault> {
        self.look(|db| conversation::state(db, id))
    }

    async fn inbox(&self, id: &AccountId) -> Result<Vec<InboxEntry>, Fault> {
        let id = id.clone();
        self.scan(move |db| conversation::inbox(db, &id)).await
    }

    async fn groups_of(&self, id: &AccountId) -> Result<Vec<GroupId>, Fault> {
        let id = id.clone();
        self.scan(move |db| member::groups_of(db, &id)).await
    }

    async fn messages(&self, id: &ConversationId, query: MessageQuery) -> Result<Vec<Message>, Fault> {
        let id = id.clone();
        self.scan(move |db| match conversation::find(db, &id.into())? {
            Some(found) => event::messages(db, found.key, &query),
            None => Ok(Vec::new()),
        })
        .await
    }

    async fn repeat_of(
        &self,
        conversation: &ConversationId,
        sender: &AccountId,
        key: &RepeatKey,
        now: Timestamp,
    ) -> Result<Option<Message>, Fault> {
        let repeat = repeat::within(conversation, sender.as_str(), key, now);
        self.look(|db| match account::key(db, sender)? {
            Some(sender) => event::sent_before(db, sender, &repeat),
            None => Ok(None),
        })
    }

    async fn unread_direct(&self, id: &AccountId, peer: Option<&AccountId>) -> Result<u64, Fault> {
        let (id, peer) = (id.clone(), peer.cloned());
        self.scan(move |db| conversation::unread_direct(db, &id, peer.as_ref())).await
    }

    async fn parked(&self, id: MessageId) -> Result<Option<Parked>, Fault> {
        self.look(|db| parked::find(db, id))
    }

    async fn parked_repeat(
        &self,
        conversation: &ConversationId,
        sender: &AccountId,
        key: &RepeatKey,
        now: Timestamp,
    ) -> Result<Option<Parked>, Fault> {
        let repeat = repeat::within(conversation, sender.as_str(), key, now);
        // The hash is of 64 bits; the sender has the last word.
        let found = self.look(|db| parked::repeated(db, &repeat))?;
        Ok(found.into_iter().find(|parked| parked.message.sender == *sender))
    }

    async fn list_parked(&self, query: ParkedQuery) -> Result<Vec<Parked>, Fault> {
        self.scan(move |db| parked::list(db, query)).await
    }

    async fn count_parked(&self) -> Result<ParkedCount, Fault> {
        self.scan(parked::count).await
    }
}

#[async_trait]
impl Log for Sqlite {
    fn shards(&self) -> Vec<Shard> {
        vec![event::SHARD]
    }

    fn shard_of(&self, _: &Subject) -> Shard {
        event::SHARD
    }

    async fn log_after(&self, _: Shard, after: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        self.read(limit, move |db| event::after(db, after, limit)).await
    }

    async fn log_of(
        &self,
        subject: &Subject,
        after: Position,
        up_to: Position,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        let subject = subject.clone();
        self.read(limit, move |db| match conversation::find(db, &subject)? {
            Some(found) => event::of_subject(db, found.key, after, up_to, limit),
            None => Ok(Vec::new()),
        })
        .await
    }

    async fn log_before(&self, subject: &Subject, before: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        let subject = subject.clone();
        self.read(limit, move |db| match conversation::find(db, &subject)? {
            Some(found) => event::before(db, found.key, before, limit),
            None => Ok(Vec::new()),
        })
        .await
    }

    fn head(&self, _: Shard) -> watch::Receiver<Position> {
        self.head.clone()
    }
}

#[async_trait]
impl Ledger for Sqlite {
    async fn cursor(&self, endpoint: &str, shard: Shard) -> Result<Option<Cursor>, Fault> {
        self.look(|db| cursor::find(db, endpoint, shard))
    }

    async fn behind(&self, endpoint: &str, shard: Shard) -> Result<Vec<(Subject, Behind)>, Fault> {
        let endpoint = endpoint.to_owned();
        self.scan(move |db| cursor::behind(db, &endpoint, shard)).await
    }

    async fn save_progress(&self, endpoint: &str, shard: Shard, progress: Progress) -> Result<(), Fault> {
        self.note(Note::Progress { endpoint: endpoint.to_owned(), shard, progress }).await
    }

    async fn pause(&self, endpoint: &str) -> Result<Option<Pause>, Fault> {
        self.look(|db| pause::find(db, endpoint))
    }

    async fn set_pause(&self, endpoint: &str, pause: Option<Pause>) -> Result<(), Fault> {
        self.note(Note::Pause { endpoint: endpoint.to_owned(), pause }).await
    }

    async fn letters(&self, query: &LetterQuery) -> Result<Vec<Letter>, Fault> {
        let query = query.clone();
        self.scan(move |db| letter::list(db, &query)).await
    }

    async fn count_letters(&self, endpoint: &str) -> Result<LetterCount, Fault> {
        self.look(|db| letter::count(db, endpoint))
    }

    async fn put_letters(&self, letters: Vec<Letter>) -> Result<(), Fault> {
        for letters in note::parts(letters) {
            self.note(Note::Letters(letters)).await?;
        }
        Ok(())
    }

    async fn remove_letters(&self, endpoint: &str, places: Vec<(Shard, Position)>) -> Result<(), Fault> {
        for places in note::parts(places) {
            self.note(Note::NoLetters { endpoint: endpoint.to_owned(), places }).await?;
        }
        Ok(())
    }

    async fn note_attempts(&self, attempts: Vec<Attempt>) -> Result<(), Fault> {
        for attempts in note::parts(attempts) {
            self.note(Note::Attempts(attempts)).await?;
        }
        Ok(())
    }

    async fn attempts(&self, event: EventId) -> Result<Vec<Attempt>, Fault> {
        self.scan(move |db| attempt::list(db, event)).await
    }

    async fn decided_at(&self, event: EventId) -> Result<Option<Timestamp>, Fault> {
        let parked = self.look(|db| parked::find(db, event))?;
        Ok(parked.and_then(|parked| parked.decision).map(|decision| decision.time))
    }

    async fn note_time(&self, now: Timestamp, heads: Vec<(Shard, Position)>) -> Result<(), Fault> {
        self.note(Note::Time { now, heads }).await
    }

    async fn position_at(&self, shard: Shard, time: Timestamp) -> Result<Position, Fault> {
        self.look(|db| milestone::position_at(db, shard, time))
    }

    async fn time_of(&self, shard: Shard, position: Position) -> Result<Option<Timestamp>, Fault> {
        self.look(|db| milestone::time_of(db, shard, position))
    }

    async fn trim(
        &self,
        shard: Shard,
        from: Position,
        up_to: Position,
        limit: usize,
        let_go: Vec<(String, Position)>,
        now: Timestamp,
    ) -> Result<Trimmed, Fault> {
        note::trimmed(self.writer.note(Note::Trim { shard, from, up_to, limit, let_go, now }).await?)
    }

    async fn gaps(&self, endpoint: &str) -> Result<Vec<Gap>, Fault> {
        let endpoint = endpoint.to_owned();
        self.scan(move |db| gap::list(db, &endpoint)).await
    }

    async fn forget(&self, attempts_before: Timestamp, times_before: Timestamp, most: u64) -> Result<(), Fault> {
        // Step by step, so that no transaction is long.
        for (endpoint, up_to) in self.scan(move |db| attempt::forgettable(db, attempts_before, most)).await? {
            let endpoint = || endpoint.clone();
            while note::has_more(self.writer.note(Note::NoAttempts { endpoint: endpoint(), up_to }).await?) {}
        }
        while note::has_more(self.writer.note(Note::NoTimes { before: times_before }).await?) {}
        Ok(())
    }
}

#[async_trait]
impl Durable for Sqlite {
    async fn ready(&self) -> Result<(), Fault> {
        // The smallest write there is: a cursor of its own, that stays where it is.
        self.save_progress("health/ready", event::SHARD, Progress::default()).await
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.readers.path).finish_non_exhaustive()
    }
}

/// Connections that only read. As many as there are threads that read at the same time.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Fault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = match idle {
            Some(db) => db,
            None => {
                let db = connect(&self.path).map_err(Fault::new)?;
                db.pragma_update(None, "query_only", true).map_err(Fault::new)?;
                db
            }
        };
        let result = read(&db).map_err(Fault::new);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE_READERS {
            idle.push(db);
        }
        result
    }
}

/// A database file that is ours alone, and of this version.
pub(crate) struct Prepared {
    /// As it was named.
    pub(crate) shown: String,
    /// As it is.
    pub(crate) path: PathBuf,
    /// One file, one process.
    pub(crate) lock: File,
    pub(crate) db: Connection,
}

/// Takes a database file, and makes or migrates it.
pub(crate) fn prepare(path: &Path) -> Result<Prepared, OpenError> {
    let shown = path.display().to_string();
    let unusable = |why: String| OpenError::Unusable { place: shown.clone(), why, is_final: false };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| unusable(error.to_string()))?;
    }
    // A link to the file is the same file, and has the same lock.
    let real = path.canonicalize();
    let path = real.as_deref().unwrap_or(path).to_owned();
    let lock = lock(&path, &shown)?;

    let foreign = |why: String| OpenError::Foreign { place: shown.clone(), why };
    if let Some(table) = table_of_others(&path).map_err(|error| unusable(error.to_string()))? {
        return Err(foreign(format!("it belongs to something else and has the table {table}")));
    }
    let mut db = connect(&path).map_err(|error| unusable(error.to_string()))?;
    migrate(&mut db).map_err(|error| match error.kind() {
        refinery::error::Kind::Connection(..) => unusable(error.to_string()),
        refinery::error::Kind::MissingVersion(newer) => {
            foreign(format!("a newer version of ringback has made the change {newer}"))
        }
        refinery::error::Kind::DivergentVersion(applied, _) => {
            foreign(format!("another version of ringback has made the change {applied} in another way"))
        }
        _ => foreign(error.to_string()),
    })?;
    Ok(Prepared { shown, path, lock, db })
}

fn unusable(shown: &str, error: impl std::fmt::Display) -> OpenError {
    OpenError::Unusable { place: shown.to_owned(), why: error.to_string(), is_final: false }
}

fn lock(path: &Path, shown: &str) -> Result<File, OpenError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let unusable = |error: std::io::Error| OpenError::Unusable {
        place: shown.to_owned(),
        why: error.to_string(),
        is_final: false,
    };
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(lock_path).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let why = format!("{shown} is in use by another ringback process (it holds the lock file beside it)");
            Err(OpenError::InUse(why))
        }
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// A table of a database that is not ours; looked for before anything in it is changed.
fn table_of_others(path: &Path) -> rusqlite::Result<Option<String>> {
    let db = Connection::open_with_flags(path, OPEN_FLAGS)?;
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND NOT EXISTS
         (SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history') LIMIT 1";
    db.query_row(tables, [], |row| row.get(0)).optional()
}

fn migrate(db: &mut Connection) -> Result<(), refinery::Error> {
    migrations::runner().set_abort_divergent(true).set_abort_missing(true).run(db).map(drop)
}

/// A connection as all of ours are.
pub(crate) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, OPEN_FLAGS)?;
    db.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    db.pragma_update(None, "journal_mode", "WAL")?;
    // Durable at each commit: the promise 'acked is durable'.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", PAGE_CACHE_KIB)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.pragma_update(None, "foreign_keys", false)?;
    // Plans do not depend on bound values; otherwise SQLite prepares some statements anew at each use.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(db)
}

/// Those that are found, in the order asked for.
fn collect<I, T>(ids: &[I], find: impl Fn(&I) -> rusqlite::Result<Option<T>>) -> rusqlite::Result<Vec<T>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(find(id)?);
    }
    Ok(found)
}

/// A column of JSON.
pub(crate) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// A column with the id of an event.
pub(crate) fn event_id(row: &Row<'_>, column: usize) -> rusqlite::Result<EventId> {
    let text = row.get_ref(column)?.as_str()?;
    EventId::parse(text).ok_or_else(|| {
        let error = Fault::new(format!("{text:?} is no id of an event"));
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// A value as JSON.
pub(crate) fn to_json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
