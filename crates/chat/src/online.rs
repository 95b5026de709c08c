//! Who is connected to this process, and what each connection is given.
//!
//! A connection is given hints, never the truth: what it is given is in the log, and may be pulled by seq. So a connection
//! that does not keep up is ended, and its client repairs the gap when it is back ([`Outbox`] is bounded).
//!
//! Groups are not looked up for each message: [`Online`] knows which of the accounts that are here are members of which
//! group, by reading that when one connects and by hearing of each change from the log.

use std::any::Any;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Notify, mpsc};

use crate::command::Platform;
use crate::event::LogEntry;
use crate::id::{AccountId, GroupId};

/// So much may wait to be written to one connection; then it is ended. OpenIM's own bound (`spec/openim/gateway.md`, section
/// 3). What waits is shared by all who are given it, so this bounds how far a reader falls behind, more than memory.
pub const OUTBOX: usize = 256;

/// Everybody who is connected to this process.
#[derive(Debug, Default)]
pub struct Online {
    state: RwLock<State>,
    last_id: AtomicU64,
    /// The last connection has gone.
    gone: Notify,
}

#[derive(Debug, Default)]
struct State {
    accounts: HashMap<AccountId, Present>,
    /// The accounts of `accounts` that are members.
    groups: HashMap<GroupId, HashSet<AccountId>>,
    /// Who wants to hear of an account's presence.
    watchers: HashMap<AccountId, HashMap<ConnectionId, Arc<Connection>>>,
    connections: usize,
    /// Whoever comes now has to go at once.
    is_ending: bool,
}

/// An account that is connected.
#[derive(Debug, Default)]
struct Present {
    connections: Vec<Arc<Connection>>,
    groups: HashSet<GroupId>,
    /// So many of its connections are reading its groups.
    reading: usize,
    /// What it has left meanwhile: what was read may be older than that.
    left: HashSet<GroupId>,
}

/// Tells the connections of a process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

/// One socket of one account.
#[derive(Debug)]
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    /// Whose it is.
    pub account: AccountId,
    /// The class of client.
    pub platform: Platform,
    /// What it proved itself by, in words of its dialect: two that are equal are one sign-in that reconnects.
    pub credential: String,
    is_background: AtomicBool,
    outbox: mpsc::Sender<Given>,
    /// Whose presence it watches. Locked only by who has the hub's lock.
    watched: Mutex<HashSet<AccountId>>,
    /// It is to be ended, whatever else it waits for.
    ended: Notify,
}

/// What a connection is to write to its client.
#[derive(Clone, Debug)]
pub enum Given {
    /// Something has happened.
    Happened(Arc<Happening>),
    /// An account that it watches has come or gone.
    Presence(Arc<Presence>),
    /// It has to go: another sign-in took its place, or somebody ended this one.
    Kicked,
}

/// An event for whoever is concerned by it.
#[derive(Debug)]
pub struct Happening {
    /// What has happened, and where it stands in the log.
    pub entry: LogEntry,
    shown: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// On which classes of client an account is connected now; on none: it is offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Who.
    pub account: AccountId,
    /// Each once, in order.
    pub platforms: Vec<Platform>,
}

/// What a connection reads what it is given from.
pub type Outbox = mpsc::Receiver<Given>;

// === impl Online ===

impl Online {
    /// Adds a connection. From now on it is given what concerns its account; what concerns its groups after
    /// [`Online::know_groups`], which has to follow.
    pub fn connect(&self, account: AccountId, platform: Platform, credential: String) -> (Arc<Connection>, Outbox) {
        let (outbox, given) = mpsc::channel(OUTBOX);
        let id = ConnectionId(self.last_id.fetch_add(1, Ordering::Relaxed));
        let connection = Arc::new(Connection {
            id,
            account: account.clone(),
            platform,
            credential,
            is_background: AtomicBool::new(false),
            outbox,
            watched: Mutex::default(),
            ended: Notify::new(),
        });
        let state = &mut *self.write();
        state.connections += 1;
        state.show_count();
        let present = state.accounts.entry(account).or_default();
        let is_new = present.connections.iter().all(|other| other.platform != platform);
        present.reading += 1;
        present.connections.push(connection.clone());
        if is_new {
            state.tell_presence(&connection.account);
        }
        if state.is_ending {
            connection.end();
        }
        (connection, given)
    }

    /// Says which groups a connection's account is a member of, as read after it was connected.
    pub fn know_groups(&self, connection: &Connection, groups: impl IntoIterator<Item = GroupId>) {
        let state = &mut *self.write();
        let account = &connection.account;
        let Some(present) = state.accounts.get_mut(account) else { return };
        for group in groups {
            if !present.left.contains(&group) && present.groups.insert(group.clone()) {
                state.groups.entry(group).or_default().insert(account.clone());
            }
        }
        present.reading = present.reading.saturating_sub(1);
        if present.reading == 0 {
            present.left = HashSet::new();
        }
    }

    /// Removes a connection, which is given nothing more.
    pub fn disconnect(&self, connection: &Connection) {
        let state = &mut *self.write();
        let account = &connection.account;
        let Some(present) = state.accounts.get_mut(account) else { return };
        let before = present.connections.len();
        present.connections.retain(|other| other.id != connection.id);
        if present.connections.len() == before {
            return;
        }
        state.connections -= 1;
        let is_gone = present.connections.iter().all(|other| other.platform != connection.platform);
        if present.connections.is_empty() {
            let groups = std::mem::take(&mut present.groups);
            state.accounts.remove(account);
            for group in groups {
                state.forget_member(&group, account);
            }
        }
        if is_gone {
            state.tell_presence(account);
        }
        state.show_count();
        if state.connections == 0 {
            self.gone.notify_waiters();
        }
        for watched in std::mem::take(&mut *connection.watched()) {
            state.forget_watcher(&watched, connection.id);
        }
    }

    /// Accounts have become members.
    pub fn came(&self, group: &GroupId, accounts: &[AccountId]) {
        let state = &mut *self.write();
        for account in accounts {
            if let Some(present) = state.accounts.get_mut(account) {
                present.left.remove(group);
                if present.groups.insert(group.clone()) {
                    state.groups.entry(group.clone()).or_default().insert(account.clone());
                }
            }
        }
    }

    /// Accounts are members no more.
    pub fn left(&self, group: &GroupId, accounts: &[AccountId]) {
        let state = &mut *self.write();
        for account in accounts {
            if let Some(present) = state.accounts.get_mut(account) {
                present.groups.remove(group);
                if present.reading > 0 {
                    present.left.insert(group.clone());
                }
            }
            state.forget_member(group, account);
        }
    }

    /// Gives a happening to an account's connections.
    pub fn give(&self, account: &AccountId, happening: &Arc<Happening>) {
        self.read().give(account, happening);
    }

    /// Gives a happening to those members of a group who are here, and whom it is meant for.
    pub fn give_group(&self, group: &GroupId, happening: &Arc<Happening>, is_for: impl Fn(&AccountId) -> bool) {
        let state = self.read();
        for account in state.groups.get(group).into_iter().flatten() {
            if is_for(account) {
                state.give(account, happening);
            }
        }
    }

    /// An account's connections.
    pub fn connections_of(&self, account: &AccountId) -> Vec<Arc<Connection>> {
        self.read().accounts.get(account).map(|present| present.connections.clone()).unwrap_or_default()
    }

    /// Where an account is connected.
    pub fn presence_of(&self, account: &AccountId) -> Presence {
        self.read().presence_of(account)
    }

    /// From now on a connection is told of an account's presence; false if it watches `most` accounts already.
    pub fn watch(&self, connection: &Arc<Connection>, account: AccountId, most: usize) -> bool {
        let state = &mut *self.write();
        let mut watched = connection.watched();
        if !watched.contains(&account) && watched.len() >= most {
            return false;
        }
        watched.insert(account.clone());
        state.watchers.entry(account).or_default().insert(connection.id, connection.clone());
        true
    }

    /// From now on it is not.
    pub fn unwatch(&self, connection: &Connection, account: &AccountId) {
        let state = &mut *self.write();
        connection.watched().remove(account);
        state.forget_watcher(account, connection.id);
    }

    /// Ends every connection, those that come from now on too, and returns once the last is gone.
    pub async fn end_all(&self) {
        self.write().is_ending = true;
        loop {
            // Before looking, so that no end is missed.
            let gone = self.gone.notified();
            let connections: Vec<_> = {
                let state = self.read();
                state.accounts.values().flat_map(|present| &present.connections).cloned().collect()
            };
            if connections.is_empty() {
                return;
            }
            for connection in connections {
                connection.end();
            }
            gone.await;
        }
    }

    /// How many connections there are.
    pub fn count(&self) -> usize {
        self.read().connections
    }

    // What a panic left behind is whole: nothing here panics between two changes that belong together.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give(&self, account: &AccountId, happening: &Arc<Happening>) {
        for connection in self.accounts.get(account).into_iter().flat_map(|present| &present.connections) {
            connection.give(Given::Happened(happening.clone()));
        }
    }

    fn presence_of(&self, account: &AccountId) -> Presence {
        let connections = self.accounts.get(account).map(|present| present.connections.as_slice()).unwrap_or_default();
        let platforms: BTreeSet<Platform> = connections.iter().map(|connection| connection.platform).collect();
        Presence { account: account.clone(), platforms: platforms.into_iter().collect() }
    }

    fn tell_presence(&self, account: &AccountId) {
        let Some(watchers) = self.watchers.get(account) else { return };
        let presence = Arc::new(self.presence_of(account));
        for watcher in watchers.values() {
            watcher.give(Given::Presence(presence.clone()));
        }
    }

    fn show_count(&self) {
        metrics::gauge!("ringback_connections").set(self.connections as f64);
    }

    fn forget_watcher(&mut self, account: &AccountId, connection: ConnectionId) {
        if let Some(watchers) = self.watchers.get_mut(account) {
            watchers.remove(&connection);
            if watchers.is_empty() {
                self.watchers.remove(account);
            }
        }
    }

    fn forget_member(&mut self, group: &GroupId, account: &AccountId) {
        if let Some(members) = self.groups.get_mut(group) {
            members.remove(account);
            if members.is_empty() {
                self.groups.remove(group);
            }
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Gives it something to write. One that does not keep up is ended.
    pub fn give(&self, given: Given) {
        if self.outbox.try_send(given).is_err() {
            self.end();
        }
    }

    /// Has it end without a word.
    pub fn end(&self) {
        self.ended.notify_one();
    }

    /// Returns once it is to end.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }

    fn watched(&self) -> MutexGuard<'_, HashSet<AccountId>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its app is in the background.
    pub fn is_background(&self) -> bool {
        self.is_background.load(Ordering::Relaxed)
    }

    /// Says whether its app is in the background.
    pub fn set_background(&self, is_background: bool) {
        self.is_background.store(is_background, Ordering::Relaxed);
    }
}

// === impl Happening ===

impl Happening {
    /// An event that nobody has been given yet.
    pub fn new(entry: LogEntry) -> Self {
        Self { entry, shown: OnceLock::new() }
    }

    /// What its dialect makes of it, made once for all who are given it.
    ///
    /// There is one dialect that has connections. A second one would find the other's here, and make its own each time.
    pub fn shown<T: Send + Sync + 'static>(&self, show: impl Fn(&LogEntry) -> T) -> Shown<'_, T> {
        let shown = self.shown.get_or_init(|| Box::new(show(&self.entry)));
        match shown.downcast_ref() {
            Some(shown) => Shown::Shared(shown),
            None => Shown::Own(Box::new(show(&self.entry))),
        }
    }
}

/// See [`Happening::shown`].
#[derive(Debug)]
pub enum Shown<'a, T> {
    /// Everybody's.
    Shared(&'a T),
    /// Made for whoever asked.
    Own(Box<T>),
}

impl<T> std::ops::Deref for Shown<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Shared(shown) => shown,
            Self::Own(shown) => shown,
        }
    }
}

#[cfg(test)]
mod tests;
