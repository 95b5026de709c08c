//! Turns: sends that may be the same message go one after another.
//!
//! Before a backend is asked about a message, an earlier send of it must have been committed or given up; otherwise a
//! hundred retries at once would ask a hundred times. The commit alone decides what a repeat is; turns only save the
//! questions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::id::AccountId;

type Key = (AccountId, String);

/// Who is sending what at the moment. Holds one entry per send that waits or is asked about.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    waiting: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>,
}

/// Held while it is one's turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    key: Key,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until no other send of `sender` with this key is under way.
    pub(crate) async fn wait(&self, sender: &AccountId, key: &str) -> Turn<'_> {
        let key = (sender.clone(), key.to_owned());
        let lock = self.entries().entry(key.clone()).or_default().clone();
        // The entry is removed by whoever is last, also if this future is dropped while it waits.
        let mut turn = Turn { turns: self, key, guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<tokio::sync::Mutex<()>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut entries = self.turns.entries();
        self.guard = None;
        // One reference is the map's own; others are waiting.
        if entries.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            entries.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_is_left() {
        let turns = Turns::default();
        let sender = AccountId::new("a");
        let first = turns.wait(&sender, "k").await;
        let mut second = Box::pin(turns.wait(&sender, "k"));
        assert!(futures_poll(&mut second).is_none(), "the second waits");
        let other = turns.wait(&sender, "other").await;
        drop(first);
        let second = second.await;
        drop((second, other));
        assert!(turns.entries().is_empty());
    }

    #[tokio::test]
    async fn giving_up_while_waiting_leaves_nothing() {
        let turns = Turns::default();
        let sender = AccountId::new("a");
        let first = turns.wait(&sender, "k").await;
        let mut second = Box::pin(turns.wait(&sender, "k"));
        assert!(futures_poll(&mut second).is_none());
        drop(second);
        drop(first);
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
