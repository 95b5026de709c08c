//! PostgreSQL behind the ports: writers that commit, a pool that reads.
//!
//! Everything of one conversation, group or account is in one shard, and whoever holds a shard's row is its only writer
//! (`shard.rs`, docs/adr/0004). A writer gathers what waits for its shards and commits it in one transaction (`writer.rs`).

mod availability;
mod batch;
mod claim;
mod connect;
mod copy;
mod gather;
mod heads;
mod last_commit;
mod needs;
mod offline;
mod reads;
mod schema;
mod trouble;
mod writer;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

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
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use webhook::ledger::{
    Attempt, Behind, Cursor, Gap, Ledger, Letter, LetterCount, LetterQuery, Pause, Progress, Trimmed,
};

use self::availability::Availability;
use self::claim::Claim;
use self::connect::Connector;
pub(crate) use self::copy::CopyIn;
use self::gather::Gather;
use self::heads::Heads;
pub(crate) use self::offline::Offline;
use self::reads::{Reads, read};
use self::writer::Writers;
use crate::account::pg as account;
use crate::attempt::pg as attempt;
use crate::block::pg as block;
use crate::conversation::pg as conversation;
use crate::cursor::pg as cursor;
use crate::event::pg as event;
use crate::gap::pg as gap;
use crate::group::{count_of_kind, pg as group};
use crate::letter::pg as letter;
use crate::member::pg as member;
use crate::milestone::pg as milestone;
use crate::note::Note;
use crate::parked::pg as parked;
use crate::pause::pg as pause;
use crate::shard::Shards;
use crate::topic::pg as topic;
use crate::{Durable, OpenError, note, repeat};

/// A connection with its prepared statements.
pub(crate) type Db = deadpool_postgres::ClientWrapper;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a statement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// PostgreSQL, or the way to it.
    #[error("{}", trouble::in_words(.0))]
    Sql(#[from] tokio_postgres::Error),
    /// JSON in a column that is not what we wrote.
    #[error("unreadable JSON in the database: {0}")]
    Json(#[from] serde_json::Error),
    /// Something that commands make sure of is not there: an account, a group, a topic.
    #[error("{0} does not exist")]
    Missing(String),
    /// No answer within the time that a statement has.
    #[error("the database did not answer within {0:?}")]
    Slow(Duration),
    /// The log is shorter than it was: a failover to a server that did not have all that was acknowledged, or a restored
    /// backup. Readers have passed positions that will be used again.
    #[error(
        "shard {0} of the log has lost what was acknowledged (a failover without synchronous replication, or a restored \
         backup?); after a restart what is still there is gone on with"
    )]
    WentBack(u16),
    /// The connection leads to a server that does not have what was committed; another connection may lead to one that has.
    #[error("the connection leads to a server that is behind")]
    Outdated,
    /// No TLS to be had.
    #[error("TLS: {0}")]
    Tls(String),
}

/// So many keys are looked up together with those of others; more are a statement of their own.
const FEW: usize = 16;

/// How a store on PostgreSQL is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `postgres://user:password@host:port/database`, with the parameters of libpq that `tokio-postgres` knows; several
    /// hosts are tried in turn, and the one that takes writes is used.
    pub url: String,
    /// Connections for reading, 1 to 1,000; those of the writers and one or two more come on top.
    pub connections: u16,
    /// Writers that commit, 1 to the number of shards; each has a connection.
    pub writers: u16,
    /// Into how many shards a new database is divided, 1 to 1,024. One that exists keeps what it has.
    pub shards: u16,
}

impl Settings {
    /// The defaults: 16 connections for reading, 2 writers, 16 shards.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), connections: 16, writers: 2, shards: 16 }
    }
}

/// The store on PostgreSQL. Several processes may have the same database open.
pub struct Postgres {
    shards: Shards,
    reads: Arc<Reads>,
    lookups: Lookups,
    writers: Writers,
    heads: Arc<Heads>,
    claim: Option<Claim>,
    stop: CancellationToken,
}

/// What a send looks up.
#[derive(Debug)]
struct Lookups {
    accounts: Gather<AccountId, Account>,
    groups: Gather<GroupId, Group>,
    members: Gather<(GroupId, AccountId), Member>,
    /// By owner and target.
    blocks: Gather<(AccountId, AccountId), ()>,
}

impl Lookups {
    fn start(reads: &Arc<Reads>) -> Self {
        Self {
            accounts: Gather::start(reads.clone(), |reads, ids| {
                Box::pin(async move {
                    let ids: Vec<_> = ids.iter().collect();
                    read!(reads, db => account::find(&db, reads.shards, &ids))
                })
            }),
            groups: Gather::start(reads.clone(), |reads, ids| {
                Box::pin(async move {
                    let ids: Vec<_> = ids.iter().collect();
                    read!(reads, db => group::find(&db, reads.shards, &ids))
                })
            }),
            members: Gather::start(reads.clone(), |reads, members| {
                Box::pin(async move {
                    let members: Vec<_> = members.iter().map(|(group, id)| (group, id)).collect();
                    read!(reads, db => member::find(&db, reads.shards, &members))
                })
            }),
            blocks: Gather::start(reads.clone(), |reads, pairs| {
                Box::pin(async move {
                    let pairs: Vec<_> = pairs.iter().map(|(owner, target)| (owner, target)).collect();
                    let places = read!(reads, db => block::find(&db, reads.shards, &pairs))?;
                    Ok(places.into_iter().map(|place| (place, ())).collect())
                })
            }),
        }
    }
}

impl Postgres {
    /// Connects, makes or migrates the schema, and starts the writers.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let connector = Connector::new(&settings.url)?;
        let place = connector.place().to_owned();
        let shards = schema::open(&connector, settings.shards).await?;
        let unusable = |error: Error| connect::unusable(&place, &error);
        let pool = connector.pool(usize::from(settings.connections)).map_err(unusable)?;
        let stop = CancellationToken::new();
        let heads = {
            let db = connector.connect().await.map_err(unusable)?;
            Arc::new(Heads::new(schema::heads(&db).await.map_err(unusable)?))
        };
        let availability = Arc::new(Availability::new(connector.clone(), stop.clone()));
        let writers =
            Writers::start(&connector, settings.writers, shards, &heads, &availability).await.map_err(unusable)?;
        let reads = Arc::new(Reads { pool, connector, availability, shards });
        let lookups = Lookups::start(&reads);
        let store = Self { shards, reads, lookups, writers, heads, claim: None, stop };
        tokio::spawn(store.heads.clone().follow(store.reads.clone(), store.stop.clone()));
        Ok(store)
    }

    /// Takes the database for this process alone to serve, until this is dropped.
    pub async fn claim(&mut self) -> Result<(), OpenError> {
        self.claim = Some(Claim::take(&self.reads.connector).await?);
        Ok(())
    }

    /// A write that says nothing.
    async fn note(&self, note: Note) -> Result<(), Fault> {
        self.writers.note(note).await.map(drop)
    }

    /// By what the log knows a subject; none if nothing ever happened in it.
    async fn key_of(&self, subject: &Subject) -> Result<Option<i64>, Fault> {
        if !is_possible_subject(subject) {
            return Ok(None);
        }
        let found = read!(self.reads, db => conversation::find(&db, self.shards, &[subject]))?;
        Ok(found.first().map(|(_, found)| found.key))
    }
}

#[async_trait]
impl Store for Postgres {
    async fn commit(&self, changes: Changes) -> Result<Committed, CommitError> {
        self.writers.commit(changes).await
    }

    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, Fault> {
        let ids: Vec<_> = ids.iter().filter(|id| is_possible(&[id.as_str()])).collect();
        if ids.len() <= FEW {
            return self.lookups.accounts.each(&ids).await;
        }
        let found = read!(self.reads, db => account::find(&db, self.shards, &ids))?;
        Ok(found.into_iter().map(|(_, account)| account).collect())
    }

    async fn is_blocked(&self, owner: &AccountId, target: &AccountId) -> Result<bool, Fault> {
        if !is_possible(&[owner.as_str(), target.as_str()]) {
            return Ok(false);
        }
        Ok(self.lookups.blocks.one((owner.clone(), target.clone())).await?.is_some())
    }

    async fn blocks(&self, owner: &AccountId, targets: &[AccountId]) -> Result<(Vec<AccountId>, u64), Fault> {
        if !is_possible(&[owner.as_str()]) {
            return Ok((Vec::new(), 0));
        }
        let targets = targets.iter().filter(|id| is_possible(&[id.as_str()]));
        let pairs: Vec<_> = targets.map(|target| (owner, target)).collect();
        let found = read!(self.reads, db => block::find(&db, self.shards, &pairs))?;
        let count = read!(self.reads, db => block::count(&db, owner))?;
        Ok((found.into_iter().map(|place| pairs[place].1.clone()).collect(), count))
    }

    async fn groups(&self, ids: &[GroupId]) -> Result<Vec<Group>, Fault> {
        let ids: Vec<_> = ids.iter().filter(|id| is_possible(&[id.as_str()])).collect();
        if ids.len() <= FEW {
            return self.lookups.groups.each(&ids).await;
        }
        let found = read!(self.reads, db => group::find(&db, self.shards, &ids))?;
        Ok(found.into_iter().map(|(_, group)| group).collect())
    }

    async fn groups_owned(&self, owner: &AccountId, kind: GroupKind) -> Result<u64, Fault> {
        if !is_possible(&[owner.as_str()]) {
            return Ok(0);
        }
        let owned = read!(self.reads, db => group::owned(&db, owner))?;
        count_of_kind(&owned, kind).map_err(Fault::new)
    }

    async fn topic(&self, group: &GroupId, id: &TopicId) -> Result<Option<Topic>, Fault> {
        if !is_possible(&[group.as_str(), id.as_str()]) {
            return Ok(None);
        }
        read!(self.reads, db => topic::find(&db, self.shards, group, id))
    }

    async fn member(&self, group: &GroupId, id: &AccountId) -> Result<Option<Member>, Fault> {
        if !is_possible(&[group.as_str(), id.as_str()]) {
            return Ok(None);
        }
        self.lookups.members.one((group.clone(), id.clone())).await
    }

    async fn members(&self, group: &GroupId, query: MemberQuery) -> Result<Vec<Member>, Fault> {
        if !is_possible(&[group.as_str()]) {
            return Ok(Vec::new());
        }
        read!(self.reads, db => member::list(&db, self.shards, group, &query))
    }

    async fn conversation(&self, id: &ConversationId) -> Result<ConversationState, Fault> {
        if !is_possible_conversation(id) {
            return Ok(ConversationState::default());
        }
        read!(self.reads, db => conversation::state(&db, self.shards, id))
    }

    async fn inbox(&self, id: &AccountId) -> Result<Vec<InboxEntry>, Fault> {
        if !is_possible(&[id.as_str()]) {
            return Ok(Vec::new());
        }
        read!(self.reads, db => conversation::inbox(&db, self.shards, id))
    }

    async fn groups_of(&self, id: &AccountId) -> Result<Vec<GroupId>, Fault> {
        if !is_possible(&[id.as_str()]) {
            return Ok(Vec::new());
        }
        read!(self.reads, db => member::groups_of(&db, id))
    }

    async fn messages(&self, id: &ConversationId, query: MessageQuery) -> Result<Vec<Message>, Fault> {
        let Some(key) = self.key_of(&id.clone().into()).await? else { return Ok(Vec::new()) };
        let shard = self.shards.of(id);
        read!(self.reads, db => event::messages(&db, shard, key, &query))
    }

    async fn repeat_of(
        &self,
        conversation: &ConversationId,
        sender: &AccountId,
        key: &RepeatKey,
        now: Timestamp,
    ) -> Result<Option<Message>, Fault> {
        let repeat = repeat::within(conversation, sender.as_str(), key, now);
        let shard = self.shards.of(conversation);
        let found = read!(self.reads, db => event::sent_before(&db, &[(shard, repeat)]))?.pop();
        // The hash is of 64 bits; the sender has the last word.
        Ok(found.map(|(.., message)| message).filter(|message| message.sender == *sender))
    }

    async fn unread_direct(&self, id: &AccountId, peer: Option<&AccountId>) -> Result<u64, Fault> {
        if !is_possible(&[id.as_str(), peer.map_or("", AccountId::as_str)]) {
            return Ok(0);
        }
        read!(self.reads, db => conversation::unread_direct(&db, self.shards, id, peer))
    }

    async fn parked(&self, id: MessageId) -> Result<Option<Parked>, Fault> {
        read!(self.reads, db => parked::find(&db, id))
    }

    async fn parked_repeat(
        &self,
        conversation: &ConversationId,
        sender: &AccountId,
        key: &RepeatKey,
        now: Timestamp,
    ) -> Result<Option<Parked>, Fault> {
        let repeat = repeat::within(conversation, sender.as_str(), key, now);
        let shard = self.shards.of(conversation);
        let found = read!(self.reads, db => parked::repeated(&db, shard, &repeat))?;
        // The hash is of 64 bits; the sender has the last word.
        Ok(found.into_iter().find(|parked| parked.message.sender == *sender))
    }

    async fn list_parked(&self, query: ParkedQuery) -> Result<Vec<Parked>, Fault> {
        read!(self.reads, db => parked::list(&db, query))
    }

    async fn count_parked(&self) -> Result<ParkedCount, Fault> {
        read!(self.reads, db => parked::count(&db))
    }
}

#[async_trait]
impl Log for Postgres {
    fn shards(&self) -> Vec<Shard> {
        self.shards.all().collect()
    }

    fn shard_of(&self, subject: &Subject) -> Shard {
        self.shards.of_subject(subject)
    }

    async fn log_after(&self, shard: Shard, after: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        read!(self.reads, db => event::after(&db, shard, after, limit))
    }

    async fn log_of(
        &self,
        subject: &Subject,
        after: Position,
        up_to: Position,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        let Some(key) = self.key_of(subject).await? else { return Ok(Vec::new()) };
        let shard = self.shards.of_subject(subject);
        read!(self.reads, db => event::of_subject(&db, shard, key, after, up_to, limit))
    }

    async fn log_before(&self, subject: &Subject, before: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        let Some(key) = self.key_of(subject).await? else { return Ok(Vec::new()) };
        let shard = self.shards.of_subject(subject);
        read!(self.reads, db => event::before(&db, shard, key, before, limit))
    }

    fn head(&self, shard: Shard) -> watch::Receiver<Position> {
        self.heads.of(shard)
    }
}

#[async_trait]
impl Ledger for Postgres {
    async fn cursor(&self, endpoint: &str, shard: Shard) -> Result<Option<Cursor>, Fault> {
        read!(self.reads, db => cursor::find(&db, endpoint, shard))
    }

    async fn behind(&self, endpoint: &str, shard: Shard) -> Result<Vec<(Subject, Behind)>, Fault> {
        read!(self.reads, db => cursor::behind(&db, endpoint, shard))
    }

    async fn save_progress(&self, endpoint: &str, shard: Shard, progress: Progress) -> Result<(), Fault> {
        self.note(Note::Progress { endpoint: endpoint.to_owned(), shard, progress }).await
    }

    async fn pause(&self, endpoint: &str) -> Result<Option<Pause>, Fault> {
        read!(self.reads, db => pause::find(&db, endpoint))
    }

    async fn set_pause(&self, endpoint: &str, pause: Option<Pause>) -> Result<(), Fault> {
        self.note(Note::Pause { endpoint: endpoint.to_owned(), pause }).await
    }

    async fn letters(&self, query: &LetterQuery) -> Result<Vec<Letter>, Fault> {
        read!(self.reads, db => letter::list(&db, query))
    }

    async fn count_letters(&self, endpoint: &str) -> Result<LetterCount, Fault> {
        read!(self.reads, db => letter::count(&db, endpoint))
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
        read!(self.reads, db => attempt::list(&db, event))
    }

    async fn decided_at(&self, event: EventId) -> Result<Option<Timestamp>, Fault> {
        let parked = read!(self.reads, db => parked::find(&db, event))?;
        Ok(parked.and_then(|parked| parked.decision).map(|decision| decision.time))
    }

    async fn note_time(&self, now: Timestamp, heads: Vec<(Shard, Position)>) -> Result<(), Fault> {
        self.note(Note::Time { now, heads }).await
    }

    async fn position_at(&self, shard: Shard, time: Timestamp) -> Result<Position, Fault> {
        read!(self.reads, db => milestone::position_at(&db, shard, time))
    }

    async fn time_of(&self, shard: Shard, position: Position) -> Result<Option<Timestamp>, Fault> {
        read!(self.reads, db => milestone::time_of(&db, shard, position))
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
        note::trimmed(self.writers.note(Note::Trim { shard, from, up_to, limit, let_go, now }).await?)
    }

    async fn gaps(&self, endpoint: &str) -> Result<Vec<Gap>, Fault> {
        read!(self.reads, db => gap::list(&db, endpoint))
    }

    async fn forget(&self, attempts_before: Timestamp, times_before: Timestamp, most: u64) -> Result<(), Fault> {
        // Step by step, so that no transaction is long.
        for (endpoint, up_to) in read!(self.reads, db => attempt::forgettable(&db, attempts_before, most))? {
            let endpoint = || endpoint.clone();
            while note::has_more(self.writers.note(Note::NoAttempts { endpoint: endpoint(), up_to }).await?) {}
        }
        while note::has_more(self.writers.note(Note::NoTimes { before: times_before }).await?) {}
        Ok(())
    }
}

#[async_trait]
impl Durable for Postgres {
    async fn ready(&self) -> Result<(), Fault> {
        self.reads.availability.check()?;
        self.claim.as_ref().map_or(Ok(()), Claim::check)?;
        self.writers.probe().await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("place", &self.reads.connector.place()).finish_non_exhaustive()
    }
}

/// Whether ids can exist in PostgreSQL, whose text has no NUL. No id that was taken in has one.
fn is_possible(ids: &[&str]) -> bool {
    ids.iter().all(|id| !id.contains('\0'))
}

fn is_possible_conversation(id: &ConversationId) -> bool {
    match id {
        ConversationId::Direct(a, b) => is_possible(&[a.as_str(), b.as_str()]),
        ConversationId::Group(group) => is_possible(&[group.as_str()]),
        ConversationId::Topic(group, topic) => is_possible(&[group.as_str(), topic.as_str()]),
    }
}

fn is_possible_subject(subject: &Subject) -> bool {
    match subject {
        Subject::Conversation(id) => is_possible_conversation(id),
        Subject::Account(account) => is_possible(&[account.as_str()]),
        Subject::App => true,
    }
}

/// A number for a column. There are no more than PostgreSQL can count; what asks for more asks for all.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from a column, which has none below 0.
pub(crate) fn nat(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The place of what was looked up among what was asked for, from a column that `WITH ORDINALITY` counts from 1.
pub(crate) fn place(row: &tokio_postgres::Row, column: usize) -> usize {
    row.get::<_, i64>(column) as usize - 1
}

/// A column of JSON.
pub(crate) fn from_json<T: DeserializeOwned>(row: &tokio_postgres::Row, column: usize) -> Result<T> {
    Ok(serde_json::from_str(row.get::<_, &str>(column))?)
}

/// A column with the id of an event.
pub(crate) fn event_id(row: &tokio_postgres::Row, column: usize) -> Result<EventId> {
    let text: &str = row.get(column);
    EventId::parse(text).ok_or_else(|| Error::Missing(format!("an event of the id {text:?}")))
}

/// Words for a column: PostgreSQL's text has no NUL, and what an endpoint answers may have one.
pub(crate) fn plain(words: &str) -> Cow<'_, str> {
    match words.contains('\0') {
        true => Cow::Owned(words.replace('\0', "\u{fffd}")),
        false => Cow::Borrowed(words),
    }
}

/// A value as JSON.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    Ok(serde_json::to_string(value)?)
}
