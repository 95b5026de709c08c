//! Letters: events apart from their subject's order. Those that are to be told again are read from the ledger a page at a
//! time, told beside everything else, and removed or given up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chat::Fault;
use chat::event::{Position, Shard, Subject};
use chat::id::{EventId, Timestamp};
use tokio::time::Instant;

use super::settings::Order;
use crate::endpoint::Endpoint;
use crate::ledger::{Ledger, Letter, LetterCount, LetterQuery, LetterState};

/// So many letters are kept in memory.
const PAGE: usize = 256;

/// How often the ledger is asked for letters that have become due.
const LOAD_EVERY: Duration = Duration::from_secs(1);

/// Where a letter's event is.
pub(super) type Place = (Shard, Position);

/// See the module.
#[derive(Debug)]
pub(super) struct Letters {
    /// Letters that are due.
    waiting: BTreeMap<Place, Letter>,
    calling: BTreeMap<Place, Letter>,
    /// What is told, or was, as long as what became of that is not saved.
    busy: BTreeMap<Place, EventId>,
    /// What is not saved yet.
    removed: BTreeSet<Place>,
    changed: BTreeMap<Place, Letter>,
    /// As the ledger said last, and with what has become a letter since.
    pub(super) count: LetterCount,
    load_at: Instant,
    /// The latest time of day that letters were judged by, and when that was: see [`Self::now`].
    latest: Option<(Timestamp, Instant)>,
    /// Where the last page that was full ended: those of an endpoint that is down are due again at once, and would be all
    /// that is ever read.
    after: Option<Place>,
    /// There may be more in the ledger than the count says.
    is_news: bool,
    is_saving: bool,
}

/// What has changed about letters.
#[derive(Clone, Debug, Default)]
pub(super) struct LetterChanges {
    pub(super) removed: Vec<Place>,
    pub(super) changed: Vec<Letter>,
}

impl Letters {
    pub(super) fn new(count: LetterCount) -> Self {
        let (waiting, calling) = (BTreeMap::new(), BTreeMap::new());
        let (removed, changed) = (BTreeSet::new(), BTreeMap::new());
        let (load_at, latest, after) = (Instant::now(), None, None);
        let (busy, is_saving) = (BTreeMap::new(), false);
        Self { waiting, calling, busy, removed, changed, count, load_at, latest, after, is_news: true, is_saving }
    }

    /// There are new ones in the ledger.
    pub(super) fn news(&mut self) {
        self.is_news = true;
        self.load_soon();
    }

    /// Any of them may be another in the ledger, or none.
    pub(super) fn look_again(&mut self) {
        self.waiting.clear();
        self.after = None;
        self.is_news = true;
        self.load_at = Instant::now();
    }

    /// What time it is for letters: it never goes back. A letter is due at a time of day, and would be late by as much as
    /// the wall clock was set back since; so both are of this time, as long as we live.
    pub(super) fn now(&mut self, wall: Timestamp) -> Timestamp {
        let now = Instant::now();
        let known = self.latest.map(|(time, at)| time.later(now.saturating_duration_since(at)));
        let latest = known.map_or(wall, |known| known.max(wall));
        self.latest = Some((latest, now));
        latest
    }

    /// Asks the ledger how many there are.
    pub(super) async fn count_anew(&mut self, endpoint: &Endpoint, ledger: &dyn Ledger) -> Result<(), Fault> {
        self.count = ledger.count_letters(&endpoint.name).await?;
        Ok(())
    }

    /// When to read on, if there is anything to read.
    pub(super) fn load_at(&self) -> Option<Instant> {
        let is_any = self.count.replay > 0 || self.is_news;
        (is_any && self.waiting.is_empty()).then_some(self.load_at)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.load_at().is_some_and(|at| at <= now)
    }

    /// Reads the next page from the ledger, and how many there are. What is `unsaved` is not told yet.
    pub(super) async fn load(
        &mut self,
        endpoint: &Endpoint,
        ledger: &dyn Ledger,
        wall: Timestamp,
        unsaved: &BTreeSet<Place>,
    ) {
        let now = self.now(wall);
        self.load_at = Instant::now() + LOAD_EVERY;
        // What is not saved yet would be read as it was.
        if self.is_saving || !self.removed.is_empty() || !self.changed.is_empty() {
            return;
        }
        self.is_news = false;
        if let Err(fault) = self.read(endpoint, ledger, now, unsaved).await {
            self.is_news = true;
            if !fault.is_unavailable() {
                tracing::error!(endpoint = endpoint.name, %fault, "letters could not be read");
            }
        }
    }

    async fn read(
        &mut self,
        endpoint: &Endpoint,
        ledger: &dyn Ledger,
        now: Timestamp,
        unsaved: &BTreeSet<Place>,
    ) -> Result<(), Fault> {
        self.count = ledger.count_letters(&endpoint.name).await?;
        if self.count.replay == 0 {
            return Ok(());
        }
        let query = LetterQuery {
            endpoint: Some(endpoint.name.clone()),
            state: Some(LetterState::Replay),
            due_by: Some(now),
            after: self.after.map(|(shard, position)| (endpoint.name.clone(), shard, position)),
            limit: PAGE,
            ..LetterQuery::default()
        };
        let due = ledger.letters(&query).await?;
        let last = due.last().map(|letter| (letter.shard, letter.position)).filter(|_| due.len() == PAGE);
        if std::mem::replace(&mut self.after, last).is_some() && due.is_empty() {
            // From the beginning, at once.
            self.load_at = Instant::now();
        }
        let new = due.into_iter().map(|letter| ((letter.shard, letter.position), letter));
        self.waiting.extend(new.filter(|(place, _)| !self.calling.contains_key(place) && !unsaved.contains(place)));
        Ok(())
    }

    /// The next to be told, if any; of one subject one at a time if the endpoint wants order.
    pub(super) fn next(&mut self, order: Order) -> Option<Letter> {
        let busy: BTreeSet<&Subject> = match order {
            Order::Ordered => self.calling.values().map(|letter| &letter.subject).collect(),
            Order::Unordered => BTreeSet::new(),
        };
        let free = self.waiting.iter().find(|(_, letter)| !busy.contains(&letter.subject));
        let place = *free?.0;
        let letter = self.waiting.remove(&place)?;
        self.calling.insert(place, letter.clone());
        self.busy.insert(place, letter.event);
        Some(letter)
    }

    /// Whether an event's letter is being told, or what became of that is not saved: what anybody writes about it now would
    /// be written over.
    pub(super) fn is_busy(&self, event: EventId) -> bool {
        self.busy.values().any(|busy| *busy == event)
    }

    /// Does not tell an event's letter before it is read again.
    pub(super) fn put_aside(&mut self, event: EventId) {
        self.waiting.retain(|_, letter| letter.event != event);
    }

    /// How many of them are being told.
    pub(super) fn calling(&self) -> usize {
        self.calling.len()
    }

    /// The one that is being told.
    pub(super) fn called(&self, place: Place) -> Option<Letter> {
        self.calling.get(&place).cloned()
    }

    /// What was told, or cannot be: it is no letter any more.
    pub(super) fn done(&mut self, place: Place) {
        if self.calling.remove(&place).is_some() {
            self.removed.insert(place);
            self.load_soon();
        }
    }

    /// It was not told: it is what `change` makes of it.
    pub(super) fn change(&mut self, place: Place, change: impl FnOnce(&mut Letter)) {
        if let Some(mut letter) = self.calling.remove(&place) {
            change(&mut letter);
            self.changed.insert(place, letter);
            self.load_soon();
        }
    }

    fn load_soon(&mut self) {
        if self.waiting.is_empty() {
            self.load_at = Instant::now();
        }
    }

    pub(super) fn unsaved(&mut self) -> Option<LetterChanges> {
        if self.is_saving || (self.removed.is_empty() && self.changed.is_empty()) {
            return None;
        }
        self.is_saving = true;
        let removed = std::mem::take(&mut self.removed).into_iter().collect();
        let changed = std::mem::take(&mut self.changed).into_values().collect();
        Some(LetterChanges { removed, changed })
    }

    /// Of what could not be saved, what has not changed since is saved later.
    pub(super) fn saved(&mut self, changes: LetterChanges, result: Result<(), Fault>) {
        self.is_saving = false;
        if result.is_ok() {
            let changed = changes.changed.iter().map(|letter| (letter.shard, letter.position));
            for place in changes.removed.iter().copied().chain(changed) {
                let is_again = self.calling.contains_key(&place)
                    || self.removed.contains(&place)
                    || self.changed.contains_key(&place);
                if !is_again {
                    self.busy.remove(&place);
                }
            }
            // Until then none could be read.
            self.load_soon();
        } else {
            self.removed.extend(changes.removed);
            for letter in changes.changed {
                self.changed.entry((letter.shard, letter.position)).or_insert(letter);
            }
        }
    }
}

/// Saves what has changed. Removing first and changing later are two steps: what is between them is a repeat at worst.
pub(super) async fn save(endpoint: &Arc<Endpoint>, ledger: &dyn Ledger, changes: &LetterChanges) -> Result<(), Fault> {
    if !changes.removed.is_empty() {
        ledger.remove_letters(&endpoint.name, changes.removed.clone()).await?;
    }
    if !changes.changed.is_empty() {
        ledger.put_letters(changes.changed.clone()).await?;
    }
    Ok(())
}
