//! Lanes: which event of which subject is told next. Pure bookkeeping; `deliver` does the calling.
//!
//! Each subject is a lane: one call at a time, in order. Lanes do not wait for each other.
//!
//! The *cursor* stands before the oldest event that is not told yet, lanes that are *behind* left out: those have a
//! position of their own, up to which they are told. A lane falls behind when the endpoint refuses its event, or when it
//! has more events than are kept in memory; the rest of them is then read from the log when the lane gets there. So a
//! lane that is stuck for days costs one event of memory and one row, and holds nothing up.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use chat::event::{Position, Subject};
use tokio::time::Instant;

/// So many events of one lane are kept in memory.
pub(crate) const LANE_LENGTH: usize = 256;

/// So many events may all the lanes that are behind keep in memory together, beside one each; shards share it.
const KEPT_BEHIND: usize = 2048;

/// All lanes of one endpoint in one shard.
#[derive(Debug)]
pub(crate) struct Lanes<W> {
    lanes: HashMap<Subject, Lane<W>>,
    ready: VecDeque<Subject>,
    resting: BinaryHeap<Reverse<(Instant, Subject)>>,
    /// Events in lanes that are not behind.
    untold: BTreeSet<Position>,
    /// How many events the lanes that are behind keep in memory.
    kept: usize,
    kept_most: usize,
    read_to: Position,
    /// Lanes whose being behind is not saved as it is.
    unsaved: HashSet<Subject>,
}

#[derive(Debug)]
struct Lane<W> {
    queue: VecDeque<(Position, Arc<W>)>,
    state: LaneState,
    failures: u32,
    /// The lane is behind, and everything of it up to here is told.
    behind: Option<Position>,
    /// Its events after this position are in the log only.
    rest_after: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    Ready,
    Calling,
    Resting(Instant),
}

/// What is to be done for a lane whose turn it is.
#[derive(Debug)]
pub(crate) enum Next<W> {
    /// Tell this event.
    Tell(Subject, Arc<W>),
    /// Read the lane's next events from the log, after this position and up to [`Lanes::read_to`], at most so many, and
    /// [`Lanes::refill`] it.
    Read(Subject, Position, usize),
}

impl<W> Lanes<W> {
    /// All is told up to `read_to`, but for the lanes that are behind. `share`: how many shards share an endpoint's memory.
    pub(crate) fn new(read_to: Position, behind: Vec<(Subject, Position)>, share: usize) -> Self {
        let mut lanes = Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            resting: BinaryHeap::new(),
            untold: BTreeSet::new(),
            kept: 0,
            kept_most: KEPT_BEHIND / share.max(1),
            read_to,
            unsaved: HashSet::new(),
        };
        for (subject, told) in behind {
            let lane = lanes.lane(subject);
            lane.behind = Some(told);
            lane.rest_after = Some(told);
        }
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

    /// How many lanes are behind.
    pub(crate) fn behind(&self) -> usize {
        self.lanes.values().filter(|lane| lane.behind.is_some()).count()
    }

    /// Everything up to here is told, but for the lanes that are behind.
    pub(crate) fn cursor(&self) -> Position {
        match self.untold.first() {
            Some(oldest) => Position(oldest.0 - 1),
            None => self.read_to,
        }
    }

    /// Takes what has changed about lanes that are behind. If it could not be saved, [`Self::not_saved`] takes it back.
    pub(crate) fn take_unsaved(&mut self) -> Vec<(Subject, Option<Position>)> {
        let unsaved = std::mem::take(&mut self.unsaved);
        unsaved
            .into_iter()
            .map(|subject| {
                let behind = self.lanes.get(&subject).and_then(|lane| lane.behind);
                (subject, behind)
            })
            .collect()
    }

    pub(crate) fn not_saved(&mut self, subjects: impl Iterator<Item = Subject>) {
        self.unsaved.extend(subjects);
    }

    /// The next event of the log is nobody's business here.
    pub(crate) fn skip(&mut self, position: Position) {
        self.read_to = position;
    }

    /// The next event of the log waits in its lane.
    pub(crate) fn push(&mut self, subject: Subject, position: Position, work: W) {
        self.read_to = position;
        let lane = self.lane(subject.clone());
        if lane.rest_after.is_some() {
            return;
        }
        if lane.queue.len() >= LANE_LENGTH {
            self.fall_behind(&subject);
            self.shorten(&subject);
            return;
        }
        lane.queue.push_back((position, Arc::new(work)));
        if lane.behind.is_none() {
            self.untold.insert(position);
        } else {
            self.kept += 1;
        }
    }

    /// What was read for [`Next::Read`]: `events` are those that are told of; everything of the lane up to `read` was
    /// looked at, and `has_more` says whether there is more.
    pub(crate) fn refill(
        &mut self,
        subject: Subject,
        events: Vec<(Position, W)>,
        read: Option<Position>,
        has_more: bool,
    ) {
        let Some(lane) = self.lanes.get_mut(&subject) else { return };
        self.kept += events.len();
        lane.queue.extend(events.into_iter().map(|(position, work)| (position, Arc::new(work))));
        lane.rest_after = read.filter(|_| has_more);
        if lane.queue.is_empty() {
            if !has_more {
                return self.close(&subject);
            }
            // Nothing on that page is told of: others have their turn before the next one is read.
            lane.behind = read;
            self.unsaved.insert(subject.clone());
            lane.state = LaneState::Ready;
            self.ready.push_back(subject);
        } else {
            lane.state = LaneState::Ready;
            // It had its turn, and did not use it.
            self.ready.push_front(subject);
        }
    }

    /// What is to be done next.
    pub(crate) fn next(&mut self) -> Option<Next<W>> {
        let subject = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&subject)?;
        lane.state = LaneState::Calling;
        match (lane.queue.front(), lane.rest_after) {
            (Some((_, work)), _) => Some(Next::Tell(subject, work.clone())),
            (None, Some(after)) => {
                let room = self.kept_most.saturating_sub(self.kept).clamp(1, LANE_LENGTH);
                Some(Next::Read(subject, after, room))
            }
            // A lane without anything to tell is closed.
            (None, None) => None,
        }
    }

    /// The event that [`Self::next`] gave was told.
    pub(crate) fn told(&mut self, subject: Subject) {
        let Some(lane) = self.lanes.get_mut(&subject) else { return };
        if let Some((position, _)) = lane.queue.pop_front() {
            self.untold.remove(&position);
            if let Some(told) = &mut lane.behind {
                *told = position;
                self.kept -= 1;
                self.unsaved.insert(subject.clone());
            }
        }
        lane.failures = 0;
        if lane.queue.is_empty() && lane.rest_after.is_none() {
            self.close(&subject);
        } else {
            lane.state = LaneState::Ready;
            self.ready.push_back(subject);
        }
    }

    /// How often in a row the lane has failed.
    pub(crate) fn failures(&self, subject: &Subject) -> u32 {
        self.lanes.get(subject).map_or(0, |lane| lane.failures)
    }

    /// The event that [`Self::next`] gave was not told; its lane rests until then. If it `lags`, it falls behind. A lane
    /// that is behind keeps only that event in memory.
    pub(crate) fn rest(&mut self, subject: Subject, until: Instant, lags: bool) {
        if lags {
            self.fall_behind(&subject);
        }
        self.shorten(&subject);
        let Some(lane) = self.lanes.get_mut(&subject) else { return };
        lane.failures = lane.failures.saturating_add(1);
        lane.state = LaneState::Resting(until);
        self.resting.push(Reverse((until, subject)));
    }

    /// When the first resting lane is rested.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.resting.peek().map(|Reverse((until, _))| *until)
    }

    /// Lets all lanes go on that are rested.
    pub(crate) fn wake(&mut self, now: Instant) {
        while self.next_wake().is_some_and(|until| until <= now) {
            self.wake_first();
        }
    }

    /// Lets all lanes go on: the endpoint is back.
    pub(crate) fn wake_all(&mut self) {
        while !self.resting.is_empty() {
            self.wake_first();
        }
    }

    fn wake_first(&mut self) {
        let Some(Reverse((until, subject))) = self.resting.pop() else { return };
        if let Some(lane) = self.lanes.get_mut(&subject)
            && lane.state == LaneState::Resting(until)
        {
            lane.state = LaneState::Ready;
            self.ready.push_back(subject);
        }
    }

    /// The lane, which is ready if it is new.
    fn lane(&mut self, subject: Subject) -> &mut Lane<W> {
        self.lanes.entry(subject.clone()).or_insert_with(|| {
            self.ready.push_back(subject);
            Lane { queue: VecDeque::new(), state: LaneState::Ready, failures: 0, behind: None, rest_after: None }
        })
    }

    /// The lane has a position of its own from now on, and no longer holds the cursor.
    fn fall_behind(&mut self, subject: &Subject) {
        let Some(lane) = self.lanes.get_mut(subject) else { return };
        if lane.behind.is_some() {
            return;
        }
        let Some((first, _)) = lane.queue.front() else { return };
        lane.behind = Some(Position(first.0 - 1));
        for (position, _) in &lane.queue {
            self.untold.remove(position);
        }
        self.kept += lane.queue.len();
        self.unsaved.insert(subject.clone());
    }

    /// A lane that is behind keeps its first event; the rest of it is in the log.
    fn shorten(&mut self, subject: &Subject) {
        let Some(lane) = self.lanes.get_mut(subject) else { return };
        if lane.behind.is_none() {
            return;
        }
        let Some((first, _)) = lane.queue.front() else { return };
        lane.rest_after = Some(*first);
        self.kept -= lane.queue.len() - 1;
        lane.queue.truncate(1);
    }

    /// Nothing is left to tell.
    fn close(&mut self, subject: &Subject) {
        if self.lanes.remove(subject).is_some_and(|lane| lane.behind.is_some()) {
            self.unsaved.insert(subject.clone());
        }
    }
}

#[cfg(test)]
mod tests;
