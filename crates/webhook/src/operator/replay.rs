//! Telling again: letters for events that an endpoint was owed, and told of, or that are dead.
//!
//! An event that it is not told of yet comes anyway, and gets no letter. Asking twice is asking once: a letter is known by
//! its place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chat::Fault;
use chat::event::{LogEntry, Position, Shard, Subject};
use chat::id::{EventId, Timestamp};
use serde::Serialize;

use super::find::{Reference, last_of};
use super::{Operator, OperatorError};
use crate::deliver::handle::Handle;
use crate::ledger::{Cursor, Letter, LetterQuery, LetterState};

/// No endpoint has more letters after a replay. Each is a row of some 300 bytes, so these are 300 MB; and at 1,000 calls a
/// second they are told for a quarter of an hour. For more than that, replay one stretch of time after the other.
pub const MAX_LETTERS: u64 = 1_000_000;

/// So many single events in one request: a page of a log search.
const MAX_EVENTS: usize = 1000;

/// Read, and written, at a time.
const PAGE: usize = 1000;

/// So many of the letters are shown.
const SHOWN: usize = 20;

/// What is to be told again, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// To these endpoints; none named: to all.
    pub endpoints: Vec<String>,
    /// What.
    pub selection: Selection,
    /// Only say what would be.
    pub dry_run: bool,
}

/// Which events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These, by id.
    Events(Vec<String>),
    /// All from one time to another, both included.
    Times(Timestamp, Timestamp),
    /// Those that are dead letters; of events from one time to another.
    Dead(Timestamp, Timestamp),
}

/// What a replay did, or would do.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// Nothing was done.
    pub dry_run: bool,
    /// For each endpoint.
    pub endpoints: Vec<ReplayOf>,
    /// The first of the letters.
    pub first: Vec<ReplayLetter>,
}

/// A replay to one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplayOf {
    /// Its name.
    pub endpoint: String,
    /// Events that are to be told again now.
    pub letters: u64,
    /// ... of which so many were dead letters,
    pub from_dead: u64,
    /// ... and so many were to be told again already.
    pub already: u64,
    /// Events that are not told yet, and come anyway.
    pub coming: u64,
    /// Events that it is not owed: by its commands, its filter, or because it was not there yet.
    pub not_owed: u64,
}

/// One letter of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReplayLetter {
    /// To whom.
    pub endpoint: String,
    /// The event's id.
    pub event: EventId,
    /// Where it is.
    pub shard: Shard,
    /// Where it is.
    pub position: Position,
    /// The callback command.
    pub command: String,
}

/// How far an endpoint is told in a shard.
pub(super) struct Told {
    pub(super) cursor: Cursor,
    pub(super) behind: HashMap<Subject, Position>,
}

/// A replay under way.
struct Work<'a> {
    operator: &'a Operator,
    now: Timestamp,
    /// Whether letters are written.
    writes: bool,
    done: Replayed,
    told: BTreeMap<(usize, Shard), Told>,
    handles: Vec<&'a Handle>,
    /// Whose letters may have changed.
    changed: BTreeSet<usize>,
}

impl Told {
    pub(super) fn is_told(&self, entry: &LogEntry) -> bool {
        let told = self.behind.get(&entry.event.subject()).copied().unwrap_or(self.cursor.position);
        entry.position <= told.min(self.cursor.position)
    }
}

impl Operator {
    /// How far an endpoint is told in a shard; none if it has never been called.
    pub(super) async fn told(&self, endpoint: &str, shard: Shard) -> Result<Option<Told>, Fault> {
        let Some(cursor) = self.parts.ledger.cursor(endpoint, shard).await? else { return Ok(None) };
        let behind = self.parts.ledger.behind(endpoint, shard).await?;
        Ok(Some(Told { cursor, behind: behind.into_iter().map(|(subject, behind)| (subject, behind.told)).collect() }))
    }

    /// Has events told again. Either all of them get their letters, or it is said why not and none does; if the store fails
    /// in the middle, the same replay once more completes it. One that has begun to write goes on when this is dropped:
    /// whoever asked for it may hang up. Others wait for it, so that all together keep within [`MAX_LETTERS`].
    pub async fn replay(self: &Arc<Self>, replay: &Replay) -> Result<Replayed, OperatorError> {
        if let Selection::Times(since, until) | Selection::Dead(since, until) = &replay.selection
            && since > until
        {
            return Err(OperatorError::Invalid("since: it is later than `until`".to_owned()));
        }
        if let Selection::Events(ids) = &replay.selection
            && !(1..=MAX_EVENTS).contains(&ids.len())
        {
            let words = format!("events: found {}; right would be 1 to {MAX_EVENTS}, or a range of time", ids.len());
            return Err(OperatorError::Invalid(words));
        }
        if replay.dry_run {
            return self.count(replay).await;
        }
        let turn = self.replaying.clone().lock_owned().await;
        let (operator, replay) = (self.clone(), replay.clone());
        let writing = tokio::spawn(async move {
            let done = operator.write(&replay).await;
            drop(turn);
            done
        });
        writing.await.unwrap_or_else(|broken_off| Err(Fault::new(broken_off).into()))
    }

    /// What it would do, if that is within the bounds.
    async fn count(&self, replay: &Replay) -> Result<Replayed, OperatorError> {
        let counted = self.replay_once(replay, false).await?;
        for of in &counted.endpoints {
            let there = self.parts.ledger.count_letters(&of.endpoint).await?;
            let new = of.letters - of.from_dead - of.already;
            let total = there.dead + there.replay + new;
            if new > 0 && total > MAX_LETTERS {
                return Err(OperatorError::Conflict(format!(
                    "{} would have {total} letters, and {MAX_LETTERS} are the most; \
                     replay a shorter time, and the next when that is told",
                    of.endpoint
                )));
            }
        }
        Ok(counted)
    }

    /// Counts, and writes. Says what came of it in the log, too: there may be nobody any more to take the answer.
    async fn write(&self, replay: &Replay) -> Result<Replayed, OperatorError> {
        self.count(replay).await?;
        let done = self.replay_once(replay, true).await;
        match &done {
            Ok(done) => {
                for ReplayOf { endpoint, letters, .. } in done.endpoints.iter().filter(|of| of.letters > 0) {
                    tracing::info!(endpoint, letters, "the operator has events told again");
                }
            }
            Err(error) => tracing::warn!(%error, "a replay broke off; the same once more completes it"),
        }
        done
    }

    async fn replay_once(&self, replay: &Replay, writes: bool) -> Result<Replayed, OperatorError> {
        let handles = self.chosen(&replay.endpoints)?;
        let of = |handle: &&Handle| ReplayOf { endpoint: handle.endpoint().name.clone(), ..ReplayOf::default() };
        let endpoints = handles.iter().map(of).collect();
        let done = Replayed { dry_run: !writes, endpoints, first: Vec::new() };
        let now = self.parts.clock.now();
        let told = BTreeMap::new();
        let mut work = Work { operator: self, now, writes, done, told, handles, changed: BTreeSet::new() };
        let result = match &replay.selection {
            Selection::Events(ids) => work.events(ids, &replay.endpoints).await,
            Selection::Times(since, until) => work.times(*since, *until).await,
            Selection::Dead(since, until) => work.dead(*since, *until).await,
        };
        // Also of one that broke off: what was written until then is there.
        for of in &work.changed {
            work.handles[*of].letters_changed().await;
        }
        result.map(|()| work.done)
    }
}

impl Work<'_> {
    async fn events(&mut self, ids: &[String], endpoints: &[String]) -> Result<(), OperatorError> {
        let mut wanted: BTreeMap<(Shard, Position), (LogEntry, BTreeSet<usize>)> = BTreeMap::new();
        for text in ids {
            let id = self.operator.read_id(text)?;
            if let (Some(own), Reference::Event(_)) = (&id.endpoint, id.reference)
                && !endpoints.is_empty()
                && !endpoints.contains(own)
            {
                let words = format!("events: {text} names the endpoint {own:?}, and `endpoints` does not");
                return Err(OperatorError::Invalid(words));
            }
            let entry = self.operator.find(&id).await?;
            let meant = |of: &usize| id.endpoint.as_ref().is_none_or(|own| self.handles[*of].endpoint().name == *own);
            let meant = (0..self.handles.len()).filter(meant);
            let place = (entry.shard, entry.position);
            wanted.entry(place).or_insert_with(|| (entry, BTreeSet::new())).1.extend(meant);
        }
        for (entry, of) in wanted.into_values() {
            for of in of {
                self.page(of, entry.shard, std::slice::from_ref(&entry)).await?;
            }
        }
        Ok(())
    }

    async fn times(&mut self, since: Timestamp, until: Timestamp) -> Result<(), OperatorError> {
        let last = last_of(until);
        for shard in self.operator.parts.log.shards() {
            let head = *self.operator.parts.log.head(shard).borrow();
            let mut after = self.operator.before(shard, since).await?;
            loop {
                let mut page = self.operator.parts.log.log_after(shard, after, PAGE).await?;
                let Some(end) = page.last().map(|entry| (entry.position, entry.event.time())) else { break };
                let is_last = page.len() < PAGE || end.0 >= head || end.1 > last;
                page.retain(|entry| (since..=until).contains(&entry.event.time()) && entry.position <= head);
                for of in 0..self.handles.len() {
                    self.page(of, shard, &page).await?;
                }
                if is_last {
                    break;
                }
                after = end.0;
            }
        }
        Ok(())
    }

    async fn dead(&mut self, since: Timestamp, until: Timestamp) -> Result<(), OperatorError> {
        for of in 0..self.handles.len() {
            let name = &self.handles[of].endpoint().name;
            let mut query = LetterQuery {
                endpoint: Some(name.clone()),
                state: Some(LetterState::Dead),
                limit: PAGE,
                ..LetterQuery::default()
            };
            loop {
                let mut letters = self.operator.parts.ledger.letters(&query).await?;
                let is_last = letters.len() < PAGE;
                let Some(last) = letters.last() else { break };
                query.after = Some((name.clone(), last.shard, last.position));
                // By the time that their ids begin with, not to read every event: of a message that waited for a verdict that is
                // when it was wanted.
                letters.retain(|letter| (since..=until).contains(&letter.event.time()));
                self.done.endpoints[of].from_dead += letters.len() as u64;
                self.put(of, letters).await?;
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Some events of one shard, in order, for one endpoint.
    async fn page(&mut self, of: usize, shard: Shard, entries: &[LogEntry]) -> Result<(), OperatorError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let handle = self.handles[of];
        let endpoint = handle.endpoint().clone();
        let there = self.letters_between(&endpoint.name, shard, first.position, last.position).await?;
        let told = match self.told.entry((of, shard)) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(unknown) => {
                let Some(told) = self.operator.told(&endpoint.name, shard).await? else {
                    self.done.endpoints[of].not_owed += entries.len() as u64;
                    return Ok(());
                };
                unknown.insert(told)
            }
        };
        let count = &mut self.done.endpoints[of];
        let mut letters = Vec::new();
        for entry in entries {
            let command = endpoint.tells(&entry.event).filter(|_| entry.position > told.cursor.started);
            let event = entry.event.id();
            match (command, there.get(&entry.position)) {
                // A letter was owed it when it was written, whatever is configured now.
                (_, Some(letter)) => {
                    match letter.state {
                        LetterState::Dead => count.from_dead += 1,
                        LetterState::Replay => count.already += 1,
                    }
                    letters.push(letter.clone());
                }
                (None, None) => count.not_owed += 1,
                (Some(command), None) => {
                    let was_told = || handle.recent(event).iter().any(|call| call.outcome == "told");
                    if told.is_told(entry) || was_told() {
                        letters.push(Letter {
                            endpoint: endpoint.name.clone(),
                            shard,
                            position: entry.position,
                            subject: entry.event.subject(),
                            event,
                            command: command.to_owned(),
                            state: LetterState::Replay,
                            why: String::new(),
                            attempts: 0,
                            at: self.now,
                        });
                    } else {
                        count.coming += 1;
                    }
                }
            }
        }
        self.put(of, letters).await
    }

    async fn letters_between(
        &self,
        endpoint: &str,
        shard: Shard,
        first: Position,
        last: Position,
    ) -> Result<BTreeMap<Position, Letter>, Fault> {
        let mut found = BTreeMap::new();
        let before = Position(first.0.saturating_sub(1));
        let mut query = LetterQuery {
            endpoint: Some(endpoint.to_owned()),
            after: Some((endpoint.to_owned(), shard, before)),
            limit: PAGE,
            ..LetterQuery::default()
        };
        loop {
            let letters = self.operator.parts.ledger.letters(&query).await?;
            let is_full = letters.len() == PAGE;
            let end = letters.last().map(|letter| (letter.endpoint.clone(), letter.shard, letter.position));
            let is_over = end.as_ref().is_none_or(|(_, at, position)| (*at, *position) >= (shard, last));
            let is_between = |letter: &Letter| letter.shard == shard && letter.position <= last;
            found.extend(letters.into_iter().filter(is_between).map(|letter| (letter.position, letter)));
            if !is_full || is_over {
                return Ok(found);
            }
            query.after = end;
        }
    }

    /// Has the letters told again now, from the beginning of their schedule.
    async fn put(&mut self, of: usize, letters: Vec<Letter>) -> Result<(), OperatorError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.done.endpoints[of].letters += letters.len() as u64;
        for letter in letters.iter().take(SHOWN.saturating_sub(self.done.first.len())) {
            let Letter { endpoint, event, shard, position, command, .. } = letter.clone();
            self.done.first.push(ReplayLetter { endpoint, event, shard, position, command });
        }
        if self.writes {
            let again = |letter: Letter| {
                let why = "replayed by the operator".to_owned();
                Letter { state: LetterState::Replay, why, attempts: 0, at: self.now, ..letter }
            };
            // A store that fails may have written them.
            self.changed.insert(of);
            self.operator.parts.ledger.put_letters(letters.into_iter().map(again).collect()).await?;
        }
        Ok(())
    }
}
