//! Lanes: which event of which conversation is told next. Pure bookkeeping; `deliver` does the calling.
//!
//! Each conversation is a lane: one call at a time, in order. Lanes do not wait for each other. The cursor stands before
//! the oldest event that is not told yet.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use chat::conversation::ConversationId;
use chat::event::Position;
use tokio::time::Instant;

/// All lanes of one endpoint in one shard.
#[derive(Debug)]
pub(crate) struct Lanes<W> {
    lanes: HashMap<ConversationId, Lane<W>>,
    ready: VecDeque<ConversationId>,
    resting: BinaryHeap<Reverse<(Instant, ConversationId)>>,
    untold: BTreeSet<Position>,
    read_to: Position,
}

#[derive(Debug)]
struct Lane<W> {
    queue: VecDeque<(Position, Arc<W>)>,
    state: LaneState,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    Ready,
    Calling,
    Resting(Instant),
}

impl<W> Lanes<W> {
    /// No event is waiting, and all up to `read_to` are told.
    pub(crate) fn new(read_to: Position) -> Self {
        Self {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            resting: BinaryHeap::new(),
            untold: BTreeSet::new(),
            read_to,
        }
    }

    /// Up to where the log has been read.
    pub(crate) fn read_to(&self) -> Position {
        self.read_to
    }

    /// How many events are waiting or being told.
    pub(crate) fn len(&self) -> usize {
        self.untold.len()
    }

    /// Everything up to here is told.
    pub(crate) fn cursor(&self) -> Position {
        match self.untold.first() {
            Some(oldest) => Position(oldest.0 - 1),
            None => self.read_to,
        }
    }

    /// The next event of the log is nobody's business here.
    pub(crate) fn skip(&mut self, position: Position) {
        self.read_to = position;
    }

    /// The next event of the log waits in its lane.
    pub(crate) fn push(&mut self, conversation: ConversationId, position: Position, work: W) {
        self.read_to = position;
        self.untold.insert(position);
        let lane = self.lanes.entry(conversation.clone()).or_insert_with(|| {
            self.ready.push_back(conversation);
            Lane { queue: VecDeque::new(), state: LaneState::Ready, failures: 0 }
        });
        lane.queue.push_back((position, Arc::new(work)));
    }

    /// Takes the first event of a lane that may call now.
    pub(crate) fn next(&mut self) -> Option<(ConversationId, Arc<W>)> {
        let conversation = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&conversation)?;
        lane.state = LaneState::Calling;
        let (_, work) = lane.queue.front()?;
        Some((conversation, work.clone()))
    }

    /// The event that [`Self::next`] gave was told.
    pub(crate) fn told(&mut self, conversation: ConversationId) {
        let Some(lane) = self.lanes.get_mut(&conversation) else { return };
        if let Some((position, _)) = lane.queue.pop_front() {
            self.untold.remove(&position);
        }
        lane.failures = 0;
        if lane.queue.is_empty() {
            self.lanes.remove(&conversation);
        } else {
            lane.state = LaneState::Ready;
            self.ready.push_back(conversation);
        }
    }

    /// How often in a row the lane has failed.
    pub(crate) fn failures(&self, conversation: &ConversationId) -> u32 {
        self.lanes.get(conversation).map_or(0, |lane| lane.failures)
    }

    /// The event that [`Self::next`] gave was not told; its lane rests until then.
    pub(crate) fn rest(&mut self, conversation: ConversationId, until: Instant) {
        let Some(lane) = self.lanes.get_mut(&conversation) else { return };
        lane.failures = lane.failures.saturating_add(1);
        lane.state = LaneState::Resting(until);
        self.resting.push(Reverse((until, conversation)));
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
        let Some(Reverse((until, conversation))) = self.resting.pop() else { return };
        if let Some(lane) = self.lanes.get_mut(&conversation)
            && lane.state == LaneState::Resting(until)
        {
            lane.state = LaneState::Ready;
            self.ready.push_back(conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chat::id::GroupId;

    use super::*;

    fn lane(name: &str) -> ConversationId {
        ConversationId::Group(GroupId::new(name))
    }

    fn take(lanes: &mut Lanes<u64>) -> Option<(ConversationId, u64)> {
        lanes.next().map(|(conversation, work)| (conversation, *work))
    }

    #[test]
    fn one_call_per_lane_in_order_and_lanes_do_not_wait() {
        let mut lanes = Lanes::new(Position(10));
        lanes.push(lane("a"), Position(11), 11);
        lanes.push(lane("a"), Position(12), 12);
        lanes.push(lane("b"), Position(13), 13);
        lanes.skip(Position(14));
        assert_eq!(take(&mut lanes), Some((lane("a"), 11)));
        assert_eq!(take(&mut lanes), Some((lane("b"), 13)));
        assert_eq!(take(&mut lanes), None);
        lanes.told(lane("b"));
        assert_eq!(lanes.cursor(), Position(10), "11 is not told yet");
        lanes.told(lane("a"));
        assert_eq!(lanes.cursor(), Position(11));
        assert_eq!(take(&mut lanes), Some((lane("a"), 12)));
        lanes.told(lane("a"));
        assert_eq!((lanes.cursor(), lanes.len()), (Position(14), 0));
    }

    #[test]
    fn a_failing_lane_rests_and_the_same_event_is_next() {
        let now = Instant::now();
        let mut lanes = Lanes::new(Position(0));
        lanes.push(lane("a"), Position(1), 1);
        lanes.push(lane("a"), Position(2), 2);
        take(&mut lanes);
        lanes.rest(lane("a"), now + Duration::from_secs(1));
        assert_eq!((take(&mut lanes), lanes.failures(&lane("a"))), (None, 1));
        lanes.wake(now);
        assert_eq!(take(&mut lanes), None, "it is not rested yet");
        lanes.wake(now + Duration::from_secs(1));
        assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
        lanes.told(lane("a"));
        assert_eq!(lanes.failures(&lane("a")), 0);
    }

    #[test]
    fn waking_all_does_not_start_a_lane_twice() {
        let now = Instant::now();
        let mut lanes = Lanes::new(Position(0));
        lanes.push(lane("a"), Position(1), 1);
        take(&mut lanes);
        lanes.rest(lane("a"), now + Duration::from_secs(1));
        lanes.wake_all();
        assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
        lanes.wake(now + Duration::from_secs(2));
        assert_eq!(take(&mut lanes), None);
    }
}
