//! Turns: commands that would get into each other's way go one after another.
//!
//! Before a backend is asked about a message, an earlier send of it must have been committed or given up; otherwise a
//! hundred retries at once would ask a hundred times; so it is with a hundred verdicts on one message, each of which has the
//! next backends asked. A hundred updates of one group at once would each time let one
//! through and send the others back to the start. The commit alone decides what holds; turns only save the detours, on
//! this node.
//!
//! So nobody waits for a turn without end: a backend that is asked about a message, and sends that very message before it
//! answers, would wait for itself. After [`LONGEST_WAIT`] it goes on without a turn, and may be asked a second time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use crate::id::{AccountId, GroupId, MessageId};

/// So long is a turn waited for. Longer than a question with the default deadline takes at worst (2 s for a place and 2 s
/// for the answer), so that a hundred retries at once still ask once; shorter than the 8 s without an answer after which
/// a backend counts as dead.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What is done by one at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Affair {
    /// Sending a message of this sender and with this key.
    Send(AccountId, String),
    /// Changing this group or who is in it.
    Change(GroupId),
    /// Deciding what becomes of this message, which waits for a verdict.
    Release(MessageId),
}

/// Who is doing what at the moment. Holds one entry for each affair that somebody is at or waits for.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    waiting: Mutex<HashMap<Affair, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held while it is one's turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    affair: Affair,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until nobody else is at it, or [`LONGEST_WAIT`] is over.
    pub(crate) async fn wait(&self, affair: Affair) -> Turn<'_> {
        let lock = self.entries().entry(affair.clone()).or_default().clone();
        // The entry is removed by whoever is last, also if this future is dropped while it waits.
        let mut turn = Turn { turns: self, affair, guard: None };
        turn.guard = tokio::time::timeout(LONGEST_WAIT, lock.lock_owned()).await.ok();
        turn
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<Affair, Arc<tokio::sync::Mutex<()>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut entries = self.turns.entries();
        self.guard = None;
        // One reference is the map's own; others are waiting.
        if entries.get(&self.affair).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            entries.remove(&self.affair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left() {
        let turns = Turns::default();
        let send = |key: &str| Affair::Send("a".into(), key.to_owned());
        let first = turns.wait(send("k")).await;
        let mut second = Box::pin(turns.wait(send("k")));
        assert!(futures_poll(&mut second).is_none(), "the second waits");
        let other = (turns.wait(send("other")).await, turns.wait(Affair::Change("a".into())).await);
        drop(first);
        let second = second.await;
        drop((second, other));
        assert!(turns.entries().is_empty());
    }

    #[tokio::test]
    async fn giving_up_while_waiting_leaves_nothing() {
        let turns = Turns::default();
        let send = |key: &str| Affair::Send("a".into(), key.to_owned());
        let first = turns.wait(send("k")).await;
        let mut second = Box::pin(turns.wait(send("k")));
        assert!(futures_poll(&mut second).is_none());
        drop(second);
        drop(first);
        assert!(turns.entries().is_empty());
    }

    /// Whoever holds it waits for us: we go on, and it is still theirs.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_without_end() {
        let turns = Turns::default();
        let send = |key: &str| Affair::Send("a".into(), key.to_owned());
        let first = turns.wait(send("k")).await;
        let began = tokio::time::Instant::now();
        let second = turns.wait(send("k")).await;
        assert_eq!(began.elapsed(), LONGEST_WAIT);
        drop(second);
        let mut third = Box::pin(turns.wait(send("k")));
        assert!(futures_poll(&mut third).is_none(), "the first has it still");
        drop(first);
        assert!(third.await.guard.is_some());
        assert!(turns.entries().is_empty());
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
