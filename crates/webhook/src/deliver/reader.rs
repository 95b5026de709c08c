//! One shard of the log, as a deliverer reads it: what is read and not yet told, and how far that is saved.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chat::Fault;
use chat::event::{LogEntry, Position, Shard, Subject};
use chat::id::{EventId, Timestamp};
use chat::port::{Clock, Log};
use tokio::sync::watch;
use tokio::time::Instant;

use super::letters::Place;
use super::settings::Order;
use super::telling::Telling;
use super::{AGAIN_AFTER, LONGEST_RETRY_AFTER, Parts, UNREAD_AGAIN_AFTER};
use crate::endpoint::Endpoint;
use crate::keeper;
use crate::lanes::{LaneKey, Lanes};
use crate::ledger::{Cursor, Ledger, Letter, LetterQuery, Progress, Trouble};

/// How many events are read from the log at once.
const READ_BATCH: usize = 256;

/// Of so many subjects it is remembered which event was the last; for others the log is asked. Some 2 MB an endpoint;
/// shards share it.
const REMEMBERED: usize = 16_384;

/// See the module.
pub(super) struct Reader {
    pub(super) shard: Shard,
    pub(super) head: watch::Receiver<Position>,
    pub(super) lanes: Lanes<Telling>,
    /// The endpoint is owed nothing up to here.
    pub(super) started: Position,
    /// Events that have left their lanes since progress was saved.
    pub(super) letters: Vec<Letter>,
    /// The newest event of a subject that the endpoint was owed.
    newest: HashMap<Subject, EventId>,
    remembered: usize,
    /// Where there are letters about events that the cursor, or what lags behind it, has not passed since the start: those
    /// are not told in their lanes any more.
    known_letters: BTreeSet<Position>,
    saved: Position,
    /// What is being saved.
    saving: Option<Progress>,
    /// After progress could not be saved: when to try again.
    save_again_at: Option<Instant>,
    /// After the log could not be read: when to try again.
    read_again_at: Option<Instant>,
}

impl Reader {
    /// Goes on where the endpoint's cursor stands, or at the newest event. `share`: how many readers share the bounds.
    pub(super) async fn open(
        endpoint: &Endpoint,
        shard: Shard,
        share: usize,
        log: &dyn Log,
        ledger: &dyn Ledger,
        clock: &dyn Clock,
    ) -> Result<Self, Fault> {
        let head = log.head(shard);
        let name = &endpoint.name;
        let cursor = match ledger.cursor(name, shard).await? {
            Some(cursor) => cursor,
            None => {
                let newest = *head.borrow();
                ledger.save_progress(name, shard, Progress { cursor: newest, ..Progress::default() }).await?;
                Cursor { position: newest, started: newest }
            }
        };
        let behind = ledger.behind(name, shard).await?;
        let (now, wall) = (Instant::now(), clock.now());
        let due = |trouble: &Trouble| now + wait_for(trouble, wall, endpoint.telling.schedule.longest());
        let lanes = Lanes::new(cursor.position, behind, share, due);
        let known_letters = letters_after(name, shard, lanes.all_told(), ledger).await?;
        Ok(Self {
            shard,
            head,
            lanes,
            started: cursor.started,
            letters: Vec::new(),
            newest: HashMap::new(),
            remembered: REMEMBERED / share.max(1),
            known_letters,
            saved: cursor.position,
            saving: None,
            save_again_at: None,
            read_again_at: None,
        })
    }

    /// Events that are not told, as far as positions say, and those in memory of lanes that are behind.
    pub(super) fn lag(&self) -> u64 {
        let after_cursor = self.head.borrow().0.saturating_sub(self.lanes.cursor().0);
        after_cursor + self.lanes.kept_behind() as u64
    }

    /// Reads on in the log. Returns whether there was anything.
    pub(super) async fn read_ahead(&mut self, endpoint: &Endpoint, log: &dyn Log) -> bool {
        if self.read_again_at.is_some_and(|at| at > Instant::now()) || self.lanes.read_to() >= *self.head.borrow() {
            return false;
        }
        let entries = match log.log_after(self.shard, self.lanes.read_to(), READ_BATCH).await {
            Ok(entries) => entries,
            Err(fault) => {
                // Tried again at the first tick after the pause.
                self.unread(&endpoint.name, &fault);
                self.read_again_at = Some(Instant::now() + AGAIN_AFTER);
                return false;
            }
        };
        let is_any = !entries.is_empty();
        for entry in entries {
            if entry.position.0 > self.lanes.read_to().0 + 1 {
                // What is missing was trimmed, and nobody knows what it was about.
                self.newest.clear();
            }
            let Some(command) = endpoint.tells(&entry.event) else {
                self.lanes.skip(entry.position);
                continue;
            };
            let (subject, position) = (entry.event.subject(), entry.position);
            let previous = self.succeed(&subject, entry.event.id());
            if self.known_letters.contains(&position) {
                self.lanes.skip(position);
                continue;
            }
            let mut key = LaneKey::from(subject);
            // What the subject's own lane is behind with, from when the endpoint wanted order, is read from the log later, and
            // is not to be told beside that, too.
            if endpoint.telling.order == Order::Unordered && !self.lanes.has(&key) {
                key.event = Some(position);
            }
            self.lanes.push(key, position, Telling::new(entry, command, self.started, previous));
        }
        is_any
    }

    /// Fills a lane that is behind from the log. Returns whether it could be read.
    pub(super) async fn read_lane(
        &mut self,
        endpoint: &Endpoint,
        parts: &Parts,
        key: LaneKey,
        after: Position,
        limit: usize,
    ) -> bool {
        match self.page_of(parts, &key.subject, after, limit).await {
            Ok((entries, trimmed)) => {
                let has_more = entries.len() == limit;
                let read = entries.last().map(|entry| entry.position);
                let (mut previous, started) = (None, self.started);
                let known_letters = &self.known_letters;
                let telling = |entry: LogEntry| {
                    let command = endpoint.tells(&entry.event)?;
                    // Something between them may be gone, unless both are of where nothing was trimmed.
                    let known = previous.replace((entry.position, entry.event.id()));
                    let known = known.filter(|(place, _)| *place >= trimmed).map(|(_, event)| Some(event));
                    if known_letters.contains(&entry.position) {
                        return None;
                    }
                    Some((entry.position, Telling::new(entry, command, started, known)))
                };
                let events = entries.into_iter().filter_map(telling).collect();
                self.lanes.refill(key, events, read, has_more);
                true
            }
            Err(fault) => {
                self.unread(&endpoint.name, &fault);
                let failed = self.lanes.failed(&key);
                self.lanes.rest(&key, Instant::now() + UNREAD_AGAIN_AFTER, failed, false);
                false
            }
        }
    }

    /// A page of a subject, as far as its shard was read, and up to where that may have been trimmed.
    async fn page_of(
        &self,
        parts: &Parts,
        subject: &Subject,
        after: Position,
        limit: usize,
    ) -> Result<(Vec<LogEntry>, Position), Fault> {
        let entries = parts.log.log_of(subject, after, self.lanes.read_to(), limit).await?;
        // After the log was read: what is trimmed is said to be before it is.
        Ok((entries, keeper::trimmed_up_to(&*parts.ledger, self.shard).await?))
    }

    /// Reads the first event of a lane that is behind and has none in memory. Returns it, if there is one.
    pub(super) async fn read_first(&mut self, endpoint: &Endpoint, log: &dyn Log, key: &LaneKey) -> Option<EventId> {
        let (mut after, up_to) = (self.lanes.told(key)?, self.lanes.read_to());
        loop {
            let entries = match log.log_of(&key.subject, after, up_to, READ_BATCH).await {
                Ok(entries) => entries,
                Err(fault) => {
                    self.unread(&endpoint.name, &fault);
                    return None;
                }
            };
            let next = entries.last().map(|entry| entry.position).filter(|_| entries.len() == READ_BATCH);
            for entry in entries {
                if let Some(command) = endpoint.tells(&entry.event)
                    && !self.known_letters.contains(&entry.position)
                {
                    let (position, event) = (entry.position, entry.event.id());
                    self.lanes.put_first(key, position, Telling::new(entry, command, self.started, None));
                    return Some(event);
                }
            }
            after = next?;
        }
    }

    /// Remembers the newest event of a subject. Returns the one before, if that is known.
    fn succeed(&mut self, subject: &Subject, event: EventId) -> Option<Option<EventId>> {
        if let Some(newest) = self.newest.get_mut(subject) {
            return Some(Some(std::mem::replace(newest, event)));
        }
        // Forgetting all of them costs a look-up each, now and then; keeping count of their use would cost every event.
        if self.newest.len() >= self.remembered {
            self.newest.clear();
        }
        self.newest.insert(subject.clone(), event);
        None
    }

    /// A store that is away has said so itself.
    fn unread(&self, endpoint: &str, fault: &Fault) {
        if !fault.is_unavailable() {
            tracing::error!(endpoint, shard = self.shard.0, %fault, "the log could not be read");
        }
    }

    /// What has changed since it was saved; none while that is being saved, or soon after it could not be.
    pub(super) fn unsaved(&mut self) -> Option<Progress> {
        if self.saving.is_some() || self.save_again_at.is_some_and(|at| at > Instant::now()) {
            return None;
        }
        let cursor = self.lanes.cursor();
        let behind = self.lanes.take_unsaved();
        let letters = std::mem::take(&mut self.letters);
        if cursor != self.saved || !behind.is_empty() || !letters.is_empty() {
            self.saving = Some(Progress { cursor, behind, letters });
        }
        self.saving.clone()
    }

    /// Where the events are that have left their lanes, as long as that is not known to be saved.
    pub(super) fn unsaved_letters(&self) -> impl Iterator<Item = Place> {
        let saving = self.saving.iter().flat_map(|progress| &progress.letters);
        saving.chain(&self.letters).map(|letter| (letter.shard, letter.position))
    }

    /// What was being saved is, or is not. Returns whether there are new letters.
    pub(super) fn saved(&mut self, endpoint: &str, result: Result<(), Fault>) -> bool {
        let Some(progress) = self.saving.take() else { return false };
        match result {
            Ok(()) => {
                self.saved = progress.cursor;
                if !self.known_letters.is_empty() {
                    self.known_letters = self.known_letters.split_off(&Position(self.lanes.all_told().0 + 1));
                }
                progress.letters.iter().for_each(|letter| self.lanes.release(&letter.subject.clone().into()));
                !progress.letters.is_empty()
            }
            // Until it is, a crash would repeat more.
            Err(fault) => {
                self.lanes.not_saved(progress.behind.into_iter().map(|(subject, _)| subject));
                self.letters.splice(0..0, progress.letters);
                self.save_again_at = Some(Instant::now() + AGAIN_AFTER);
                if !fault.is_unavailable() {
                    tracing::warn!(endpoint, shard = self.shard.0, %fault, "progress could not be saved");
                }
                false
            }
        }
    }

    /// There will be no later time to save.
    pub(super) fn save_at_once(&mut self) {
        self.save_again_at = None;
    }
}

/// Where the letters of an endpoint are that its cursor has not passed.
async fn letters_after(
    endpoint: &str,
    shard: Shard,
    cursor: Position,
    ledger: &dyn Ledger,
) -> Result<BTreeSet<Position>, Fault> {
    let mut places = BTreeSet::new();
    let mut after = cursor;
    loop {
        let query = LetterQuery {
            endpoint: Some(endpoint.to_owned()),
            after: Some((endpoint.to_owned(), shard, after)),
            limit: READ_BATCH,
            ..LetterQuery::default()
        };
        let page = ledger.letters(&query).await?;
        let is_last = page.len() < READ_BATCH;
        let of_shard = page.iter().filter(|letter| letter.shard == shard).map(|letter| letter.position);
        let before = places.len();
        places.extend(of_shard);
        match places.last() {
            // As many as there are: at most `max_dead_letters`, and what is to be told again.
            Some(last) if !is_last && places.len() == before + READ_BATCH => after = *last,
            _ => return Ok(places),
        }
    }
}

/// How long an event in trouble waits after a restart. `longest`: of its schedule. It may have been asked for more; but a
/// clock that is now before the beginning of its trouble has jumped, and says nothing.
fn wait_for(trouble: &Trouble, now: Timestamp, longest: Duration) -> Duration {
    let longest = if now < trouble.since { longest } else { longest.max(LONGEST_RETRY_AFTER) };
    let millis = trouble.due.millis().saturating_sub(now.millis()).max(0).unsigned_abs();
    Duration::from_millis(millis).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_restart_it_waits_as_long_as_it_was_asked_for_but_not_because_of_a_clock() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let (schedule, hour) = (Duration::from_secs(5), 3600);
        let trouble = Trouble { attempts: 1, since: at(100 * hour), due: at(102 * hour) };
        let wait = |now| wait_for(&trouble, at(now), schedule).as_secs();
        assert_eq!((wait(101 * hour), wait(103 * hour)), (3600, 0));
        assert_eq!(wait(99 * hour), 5, "the clock was set back");
        let trouble = Trouble { due: at(1000 * hour), ..trouble };
        assert_eq!(wait_for(&trouble, at(101 * hour), schedule), LONGEST_RETRY_AFTER);
    }
}
