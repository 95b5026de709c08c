//! Lanes: which event of which subject is told next. Pure bookkeeping; `deliver` does the calling.
//!
//! Each subject is a lane: one call at a time, in order. Lanes do not wait for each other. For an endpoint that wants no
//! order, each event is a lane of its own.
//!
//! The *cursor* stands before the oldest event that is not told yet, lanes that are *behind* left out: those have a
//! position of their own, up to which they are told. A lane falls behind when the endpoint refuses its event, or when it
//! has more events than are kept in memory; the rest of them is then read from the log when the lane gets there. So a
//! lane that is stuck for days costs one event of memory and one row, and holds nothing up.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use chat::event::{Position, Subject};
use tokio::time::Instant;

use crate::ledger::{Behind, Trouble};

/// So many events of one lane are kept in memory.
pub(crate) const LANE_LENGTH: usize = 256;

/// So many events may all the lanes that are behind keep in memory together, beside one each; shards share it.
const KEPT_BEHIND: usize = 2048;

/// What is told in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    pub(crate) subject: Subject,
    /// One event alone, for an endpoint that wants no order.
    pub(crate) event: Option<Position>,
}

impl From<Subject> for LaneKey {
    fn from(subject: Subject) -> Self {
        Self { subject, event: None }
    }
}

/// All lanes of one endpoint in one shard.
#[derive(Debug)]
pub(crate) struct Lanes<W> {
    lanes: HashMap<LaneKey, Lane<W>>,
    ready: VecDeque<LaneKey>,
    resting: BinaryHeap<Reverse<(Instant, LaneKey)>>,
    /// Events in lanes that are not behind.
    untold: BTreeSet<Position>,
    /// How many events the lanes that are behind keep in memory.
    kept: usize,
    kept_most: usize,
    behind: usize,
    /// Lanes that were told further than the log has been read, as after a restart.
    ahead: BTreeSet<(Position, LaneKey)>,
    read_to: Position,
    /// Lanes whose being behind is not saved as it is.
    unsaved: BTreeSet<LaneKey>,
}

#[derive(Debug)]
struct Lane<W> {
    queue: VecDeque<(Position, Arc<W>)>,
    state: LaneState,
    /// What is known about the failures of its first event; none if it has not failed.
    failed: Option<Failed>,
    /// How many of its events are in a call.
    calling: usize,
    /// Its next call carries one event only.
    is_alone: bool,
    /// The lane is behind, and everything of it up to here is told.
    behind: Option<Position>,
    /// Its events after this position are in the log only.
    rest_after: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    /// It was told further than the log has been read.
    Idle,
    Ready,
    Calling,
    Resting(Instant),
    /// What has left it is not saved yet.
    Held,
}

/// That a lane's first event has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failed {
    /// How often in a row.
    pub(crate) times: u32,
    /// In which of the endpoint's streaks of failures, last.
    pub(crate) streak: u64,
    /// The event's own schedule, once it is on it, and when that is due.
    pub(crate) trouble: Option<(Trouble, Instant)>,
}

/// What is to be done for a lane whose turn it is.
#[derive(Debug)]
pub(crate) enum Next<W> {
    /// Tell these events, in one call.
    Tell(LaneKey, Vec<Arc<W>>),
    /// Read the lane's next events from the log, after this position and up to [`Lanes::read_to`], at most so many, and
    /// [`Lanes::refill`] it.
    Read(LaneKey, Position, usize),
}

impl<W> Lanes<W> {
    /// All is told up to `read_to`, but for the lanes that are behind: those with trouble rest until the moment that
    /// `due` makes of it. `share`: how many shards share an endpoint's memory.
    pub(crate) fn new(
        read_to: Position,
        behind: Vec<(Subject, Behind)>,
        share: usize,
        due: impl Fn(&Trouble) -> Instant,
    ) -> Self {
        let mut lanes = Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            resting: BinaryHeap::new(),
            untold: BTreeSet::new(),
            kept: 0,
            kept_most: KEPT_BEHIND / share.max(1),
            behind: behind.len(),
            ahead: BTreeSet::new(),
            read_to,
            unsaved: BTreeSet::new(),
        };
        for (subject, Behind { told, trouble }) in behind {
            let key = LaneKey::from(subject);
            let due = trouble.as_ref().map(&due);
            let failed = trouble.zip(due).map(|trouble| Failed { trouble: Some(trouble), ..Failed::default() });
            let is_ahead = told >= read_to;
            let state = match due {
                Some(due) => LaneState::Resting(due),
                None if is_ahead => LaneState::Idle,
                None => LaneState::Ready,
            };
            match state {
                LaneState::Resting(due) => lanes.resting.push(Reverse((due, key.clone()))),
                LaneState::Ready => lanes.ready.push_back(key.clone()),
                LaneState::Idle | LaneState::Calling | LaneState::Held => {}
            }
            if is_ahead {
                lanes.ahead.insert((told, key.clone()));
            }
            let (behind, rest_after) = (Some(told), (!is_ahead).then_some(told));
            lanes.lanes.insert(key, Lane { failed, behind, rest_after, ..Lane::in_state(state) });
        }
        // Those that have caught up exactly.
        lanes.catch_up_with_those_ahead();
        lanes
    }

    /// Up to where the log has been read.
    pub(crate) fn read_to(&self) -> Position {
        self.read_to
    }

    /// How many events hold the cursor.
    pub(crate) fn untold(&self) -> usize {
        self.untold.len()
    }

    /// How many lanes have something to tell.
    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether a lane has something to tell.
    pub(crate) fn has(&self, key: &LaneKey) -> bool {
        self.lanes.contains_key(key)
    }

    /// How many lanes are behind.
    pub(crate) fn behind(&self) -> usize {
        self.behind
    }

    /// How many events of lanes that are behind are in memory: there may be more of them in the log.
    pub(crate) fn kept_behind(&self) -> usize {
        self.kept.saturating_sub(self.untold.len())
    }

    /// Everything up to here is told, but for the lanes that are behind.
    pub(crate) fn cursor(&self) -> Position {
        match self.untold.first() {
            Some(oldest) => Position(oldest.0 - 1),
            None => self.read_to,
        }
    }

    /// Everything up to here is told.
    pub(crate) fn all_told(&self) -> Position {
        let behind = self.lanes.values().filter_map(|lane| lane.behind);
        behind.min().unwrap_or(self.read_to).min(self.cursor())
    }

    /// The lanes whose first event fails, with what is known of it and its position, if that is known.
    pub(crate) fn failing(&self) -> impl Iterator<Item = (&LaneKey, Failed, Option<Position>)> {
        self.lanes
            .iter()
            .filter_map(|(key, lane)| Some((key, lane.failed?, lane.queue.front().map(|(position, _)| *position))))
    }

    /// Takes what has changed about lanes that are behind. If it could not be saved, [`Self::not_saved`] takes it back.
    pub(crate) fn take_unsaved(&mut self) -> Vec<(Subject, Option<Behind>)> {
        let unsaved = std::mem::take(&mut self.unsaved);
        let standing = |key: LaneKey| {
            let lane = self.lanes.get(&key);
            let behind = lane.and_then(|lane| {
                let trouble = lane.failed.and_then(|failed| failed.trouble).map(|(trouble, _)| trouble);
                lane.behind.map(|told| Behind { told, trouble })
            });
            (key.subject, behind)
        };
        unsaved.into_iter().map(standing).collect()
    }

    pub(crate) fn not_saved(&mut self, subjects: impl Iterator<Item = Subject>) {
        self.unsaved.extend(subjects.map(LaneKey::from));
    }

    /// The next event of the log is nobody's business here.
    pub(crate) fn skip(&mut self, position: Position) {
        self.read_to = position;
        self.catch_up_with_those_ahead();
    }

    /// Lanes that were told further than the log was read are told no further than it is read now: nothing is left of them.
    /// One that is in trouble has an event somewhere: it is looked for.
    fn catch_up_with_those_ahead(&mut self) {
        while let Some((told, _)) = self.ahead.first()
            && *told <= self.read_to
            && let Some((_, key)) = self.ahead.pop_first()
        {
            let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.state == LaneState::Idle) else { continue };
            if lane.failed.is_none() {
                self.close(&key);
            } else {
                lane.state = LaneState::Ready;
                self.ready.push_back(key);
            }
        }
    }

    fn is_told_of(&self, key: &LaneKey, position: Position) -> bool {
        let behind = self.lanes.get(key).and_then(|lane| lane.behind);
        behind.is_some_and(|told| position <= told)
    }

    /// The next event of the log waits in its lane.
    pub(crate) fn push(&mut self, key: LaneKey, position: Position, work: W) {
        let is_told = !self.ahead.is_empty() && self.is_told_of(&key, position);
        self.skip(position);
        if is_told {
            return;
        }
        let lane = self.lanes.entry(key.clone()).or_insert_with(|| {
            self.ready.push_back(key.clone());
            Lane::in_state(LaneState::Ready)
        });
        if lane.rest_after.is_some() {
            return;
        }
        // Those that are behind keep together what they may; the rest is read from the log again.
        if lane.behind.is_some()
            && self.kept >= self.kept_most
            && let Some((last, _)) = lane.queue.back()
        {
            lane.rest_after = Some(*last);
            return;
        }
        if lane.queue.len() >= LANE_LENGTH {
            self.fall_behind(&key);
            self.shorten(&key);
            return;
        }
        lane.queue.push_back((position, Arc::new(work)));
        if lane.state == LaneState::Idle {
            lane.state = LaneState::Ready;
            self.ready.push_back(key);
        }
        if lane.behind.is_none() {
            self.untold.insert(position);
        } else {
            self.kept += 1;
        }
    }

    /// What was read for [`Next::Read`]: `events` are those that are told of; everything of the lane up to `read` was
    /// looked at, and `has_more` says whether there is more.
    pub(crate) fn refill(&mut self, key: LaneKey, events: Vec<(Position, W)>, read: Option<Position>, has_more: bool) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        self.kept += events.len();
        lane.queue.extend(events.into_iter().map(|(position, work)| (position, Arc::new(work))));
        lane.rest_after = read.filter(|_| has_more);
        lane.state = LaneState::Ready;
        if !lane.queue.is_empty() {
            // It had its turn, and did not use it.
            self.ready.push_front(key);
        } else if has_more {
            // Nothing on that page is told of: others have their turn before the next one is read.
            lane.behind = read;
            self.unsaved.insert(key.clone());
            self.ready.push_back(key);
        } else {
            self.close(&key);
        }
    }

    /// Up to where a lane that is behind is told.
    pub(crate) fn told(&self, key: &LaneKey) -> Option<Position> {
        self.lanes.get(key)?.behind
    }

    /// The first event of a lane that is behind and has none in memory; what comes after it is read when it is told.
    pub(crate) fn put_first(&mut self, key: &LaneKey, position: Position, work: W) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.behind.is_some() && lane.queue.is_empty()) else {
            return;
        };
        lane.queue.push_back((position, Arc::new(work)));
        lane.rest_after = Some(position);
        self.kept += 1;
    }

    /// What is to be done next: of one lane, at most so many events.
    pub(crate) fn next(&mut self, limit: usize) -> Option<Next<W>> {
        while let Some(key) = self.ready.pop_front() {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            if lane.queue.is_empty() {
                // A lane without anything to tell is closed, unless it is ahead of what was read.
                let unread = lane.behind.filter(|told| *told < self.read_to);
                let Some(after) = lane.rest_after.or(unread) else {
                    lane.state = LaneState::Idle;
                    continue;
                };
                lane.state = LaneState::Calling;
                let room = self.kept_most.saturating_sub(self.kept).clamp(1, LANE_LENGTH);
                return Some(Next::Read(key, after, room));
            }
            lane.state = LaneState::Calling;
            let limit = if lane.is_alone { 1 } else { limit.max(1) };
            let works: Vec<_> = lane.queue.iter().take(limit).map(|(_, work)| work.clone()).collect();
            lane.calling = works.len();
            return Some(Next::Tell(key, works));
        }
        None
    }

    /// The first `count` events that [`Self::next`] gave are told.
    pub(crate) fn done(&mut self, key: &LaneKey, count: usize) {
        self.go_on(key, count, LaneState::Ready);
    }

    /// The first event is a letter from now on. The lane goes on when that is saved ([`Self::release`]): else, if we died
    /// before, the event would be told after those that follow it. Behind an event alone there is nothing to hold.
    pub(crate) fn take_out(&mut self, key: &LaneKey) {
        let state = if key.event.is_some() { LaneState::Ready } else { LaneState::Held };
        self.go_on(key, 1, state);
    }

    /// What was taken out is saved.
    pub(crate) fn release(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.state == LaneState::Held) else { return };
        if lane.queue.is_empty() && lane.rest_after.is_none() {
            return self.close(key);
        }
        lane.state = LaneState::Ready;
        self.ready.push_back(key.clone());
    }

    /// Nothing more is told: every lane that holds the cursor has a position of its own, so that what others were told is
    /// not told again.
    pub(crate) fn let_cursor_go(&mut self) {
        let mut keys: Vec<_> = self.lanes.keys().cloned().collect();
        keys.sort();
        keys.iter().for_each(|key| self.fall_behind(key));
    }

    fn go_on(&mut self, key: &LaneKey, count: usize, state: LaneState) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.state == LaneState::Ready {
            // The operator skips it while it waits for its turn, of which there must be no second one.
            self.ready.retain(|other| other != key);
        }
        for (position, _) in lane.queue.drain(..count.min(lane.queue.len())) {
            self.untold.remove(&position);
            if let Some(told) = &mut lane.behind {
                *told = position;
                self.kept -= 1;
            }
        }
        lane.failed = None;
        lane.calling = 0;
        lane.is_alone = false;
        if lane.behind.is_some() {
            self.unsaved.insert(key.clone());
        }
        if state == LaneState::Ready && lane.queue.is_empty() && lane.rest_after.is_none() {
            return self.close(key);
        }
        lane.state = state;
        if state == LaneState::Ready {
            self.ready.push_back(key.clone());
        }
    }

    /// What is known about the failures of a lane's first event.
    pub(crate) fn failed(&self, key: &LaneKey) -> Failed {
        self.lanes.get(key).and_then(|lane| lane.failed).unwrap_or_default()
    }

    /// Whether the lane's next event is to be told in a call of its own.
    pub(crate) fn is_alone(&self, key: &LaneKey) -> bool {
        self.lanes.get(key).is_some_and(|lane| lane.is_alone)
    }

    /// What [`Self::next`] gave is not told now: the lane keeps its turn.
    pub(crate) fn put_back(&mut self, key: LaneKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.calling = 0;
        lane.state = LaneState::Ready;
        self.ready.push_front(key);
    }

    /// Whether a call about a lane is under way.
    pub(crate) fn is_calling(&self, key: &LaneKey) -> bool {
        self.lanes.get(key).is_some_and(|lane| lane.state == LaneState::Calling)
    }

    /// A lane's first event, if it is in memory.
    pub(crate) fn first(&self, key: &LaneKey) -> Option<(Position, Arc<W>)> {
        self.lanes.get(key)?.queue.front().cloned()
    }

    /// The event that [`Self::next`] gave was not told; its lane rests until then. If it `lags`, it falls behind. A lane
    /// that is behind keeps only that event in memory.
    pub(crate) fn rest(&mut self, key: &LaneKey, until: Instant, failed: Failed, lags: bool) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.calling = 0;
        }
        if lags {
            self.fall_behind(key);
        }
        self.shorten(key);
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.behind.is_some() {
            self.unsaved.insert(key.clone());
        }
        lane.failed = Some(failed);
        lane.is_alone = true;
        lane.state = LaneState::Resting(until);
        self.resting.push(Reverse((until, key.clone())));
    }

    /// Several events were not told by one call: the lane's next call is about one of them alone, at once.
    pub(crate) fn retry_alone(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.calling = 0;
        lane.is_alone = true;
        lane.state = LaneState::Ready;
        self.ready.push_back(key.clone());
    }

    /// When the first resting lane is rested.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.resting.peek().map(|Reverse((until, _))| *until)
    }

    /// Lets all lanes go on that are rested.
    pub(crate) fn wake(&mut self, now: Instant) {
        while let Some(Reverse((until, key))) = self.resting.peek()
            && *until <= now
        {
            let (until, key) = (*until, key.clone());
            self.resting.pop();
            self.wake_one(until, key);
        }
    }

    /// Lets all lanes go on whose first event is not on a schedule of its own.
    pub(crate) fn wake_waiting(&mut self) {
        self.wake_if(|failed| failed.trouble.is_none());
    }

    /// ... and those that failed in this streak: the endpoint is back.
    pub(crate) fn wake_streak(&mut self, streak: u64) {
        self.wake_if(|failed| failed.trouble.is_none() || failed.streak == streak);
    }

    fn wake_if(&mut self, wanted: impl Fn(&Failed) -> bool) {
        // In order, so that the same happens whenever the same has happened before.
        for Reverse((until, key)) in std::mem::take(&mut self.resting).into_sorted_vec().into_iter().rev() {
            match self.lanes.get(&key).and_then(|lane| lane.failed) {
                Some(failed) if !wanted(&failed) => self.resting.push(Reverse((until, key))),
                _ => self.wake_one(until, key),
            }
        }
    }

    fn wake_one(&mut self, until: Instant, key: LaneKey) {
        if let Some(lane) = self.lanes.get_mut(&key)
            && lane.state == LaneState::Resting(until)
        {
            lane.state = LaneState::Ready;
            self.ready.push_back(key);
        }
    }

    /// The lane has a position of its own from now on, and no longer holds the cursor. An event alone has none.
    fn fall_behind(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.behind.is_some() || key.event.is_some() {
            return;
        }
        let Some((first, _)) = lane.queue.front() else { return };
        lane.behind = Some(Position(first.0 - 1));
        self.behind += 1;
        for (position, _) in &lane.queue {
            self.untold.remove(position);
        }
        self.kept += lane.queue.len();
        self.unsaved.insert(key.clone());
    }

    /// A lane that is behind keeps its first event, and what is in a call; the rest of it is in the log.
    fn shorten(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let keeps = lane.calling.max(1);
        if lane.behind.is_none() || lane.queue.len() < keeps {
            return;
        }
        self.kept -= lane.queue.len() - keeps;
        lane.queue.truncate(keeps);
        lane.rest_after = lane.queue.back().map(|(position, _)| *position);
    }

    /// Nothing is left to tell.
    fn close(&mut self, key: &LaneKey) {
        if self.lanes.remove(key).is_some_and(|lane| lane.behind.is_some()) {
            self.behind -= 1;
            self.unsaved.insert(key.clone());
        }
    }
}

impl<W> Lane<W> {
    fn in_state(state: LaneState) -> Self {
        Self {
            queue: VecDeque::new(),
            state,
            failed: None,
            calling: 0,
            is_alone: false,
            behind: None,
            rest_after: None,
        }
    }
}

#[cfg(test)]
mod tests;
