//! What the operator sees of a deliverer, and can have it do.

use std::sync::{Arc, Mutex, PoisonError};

use chat::Fault;
use chat::event::{Position, Shard, Subject};
use chat::id::{EventId, Timestamp};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::recent::{Figures, Recent, RecentCall};
use crate::endpoint::Endpoint;
use crate::ledger::{LetterCount, Pause, Trouble};

/// How many instructions may wait: operators are few.
pub(super) const WAITING_INSTRUCTIONS: usize = 16;

/// A running deliverer, from outside.
#[derive(Clone, Debug)]
pub struct Handle {
    endpoint: Arc<Endpoint>,
    instructions: mpsc::Sender<Instruction>,
    shown: Arc<Shown>,
}

/// What a deliverer shows.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) standing: Mutex<Standing>,
    pub(super) recent: Recent,
}

/// What a deliverer can be told to do.
#[derive(Debug)]
pub(super) enum Instruction {
    Pause(Pause, oneshot::Sender<Result<(), Fault>>),
    Resume(oneshot::Sender<Result<(), Fault>>),
    Skip(EventId, oneshot::Sender<Skipped>),
    Failing(usize, oneshot::Sender<Vec<Failing>>),
    LettersChanged,
}

/// How an endpoint stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Standing {
    /// Whether it is called.
    pub state: State,
    /// Why it is not, if it is paused.
    pub pause: Option<Pause>,
    /// Events that it is not told of yet, as far as positions say: those that it is not owed count, too. Of subjects that lag
    /// behind only those that are in memory.
    pub lag_events: u64,
    /// Everything from before this time is told; none: everything is.
    pub lag_since: Option<Timestamp>,
    /// Subjects that lag behind: refused, or with more events than are kept in memory.
    pub lagging: usize,
    /// Subjects whose next event fails.
    pub failing: usize,
    /// Subjects, or events of an endpoint that wants no order, that are in memory because there is something to tell.
    pub lanes: usize,
    /// Calls under way.
    pub calling: usize,
    /// Its letters.
    pub letters: LetterCount,
}

/// Whether an endpoint is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    #[default]
    Up,
    /// It answers nobody, or refuses everything: it is probed.
    Down,
    /// It asked to be left alone for a while.
    Held,
    /// It is paused.
    Paused,
    /// It is too far behind, or has too many dead letters, and its operator wants nothing new accepted then.
    Full,
}

impl Standing {
    /// How old the oldest event is that it is not told of, in seconds; 0 if there is none. Known to within the 10 s at which
    /// the time is noted and looked at.
    pub fn lag_seconds(&self, now: Timestamp) -> u64 {
        let since = self.lag_since.filter(|_| self.lag_events > 0 || self.lagging > 0);
        since.map_or(0, |since| now.millis().saturating_sub(since.millis()).max(0).unsigned_abs() / 1000)
    }
}

impl State {
    /// A stable name for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Held => "held",
            Self::Paused => "paused",
            Self::Full => "full",
        }
    }
}

/// A subject whose next event fails.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failing {
    /// Which.
    pub subject: Subject,
    /// Where its event is; none if that is not in memory.
    pub place: Option<(Shard, Position)>,
    /// Its event, if that is in memory.
    pub event: Option<EventId>,
    /// The callback command.
    pub command: Option<String>,
    /// How often it failed in a row.
    pub times: u32,
    /// Where it is on its own schedule; none: it waits for the endpoint.
    pub trouble: Option<Trouble>,
}

/// What became of skipping an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// It is a dead letter now, and its subject goes on.
    Done,
    /// It is not the next event of any subject that fails.
    NotFailing,
    /// A call about it is under way, or what became of one is being saved, or it is still looked for: ask again.
    Calling,
}

impl Handle {
    pub(super) fn new(endpoint: Arc<Endpoint>, shown: Arc<Shown>) -> (Self, mpsc::Receiver<Instruction>) {
        let (instructions, receiver) = mpsc::channel(WAITING_INSTRUCTIONS);
        (Self { endpoint, instructions, shown }, receiver)
    }

    /// Whom it tells.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// How it stands: at most a second old.
    pub fn standing(&self) -> Standing {
        self.shown.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What its newest calls say.
    pub fn figures(&self, now: Timestamp) -> Figures {
        self.shown.recent.figures(now)
    }

    /// The newest calls about an event.
    pub fn recent(&self, event: EventId) -> Vec<RecentCall> {
        self.shown.recent.of(event)
    }

    /// Makes no more calls, until [`Self::resume`]. Its events wait.
    pub async fn pause(&self, pause: Pause) -> Result<(), Fault> {
        self.ask(|reply| Instruction::Pause(pause, reply)).await?
    }

    /// Goes on at once, also if it is down.
    pub async fn resume(&self) -> Result<(), Fault> {
        self.ask(Instruction::Resume).await?
    }

    /// Makes a failing event a dead letter, so that its subject goes on.
    pub async fn skip(&self, event: EventId) -> Result<Skipped, Fault> {
        self.ask(|reply| Instruction::Skip(event, reply)).await
    }

    /// Up to `limit` subjects whose next event fails, those on a schedule of their own first.
    pub async fn failing(&self, limit: usize) -> Result<Vec<Failing>, Fault> {
        self.ask(|reply| Instruction::Failing(limit, reply)).await
    }

    /// Says that letters were written or removed: it looks at them at once.
    pub async fn letters_changed(&self) {
        // One that is stopping looks when it is started again.
        let _ = self.instructions.send(Instruction::LettersChanged).await;
    }

    async fn ask<T>(&self, instruction: impl FnOnce(oneshot::Sender<T>) -> Instruction) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        let stopped = |_| Fault::unavailable("the server is stopping");
        self.instructions.send(instruction(reply)).await.map_err(|_| Fault::unavailable("the server is stopping"))?;
        answer.await.map_err(stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_as_old_as_what_lags() {
        let at = Timestamp::from_millis;
        let standing = Standing { lag_since: Some(at(5_000)), lag_events: 1, ..Standing::default() };
        assert_eq!((standing.lag_seconds(at(65_999)), standing.lag_seconds(at(4_000))), (60, 0), "a clock may jump");
        let behind = Standing { lag_events: 0, lagging: 1, ..standing.clone() };
        assert_eq!(behind.lag_seconds(at(65_999)), 60, "the cursor has passed what is refused");
        assert_eq!(Standing { lag_events: 0, ..standing }.lag_seconds(at(65_999)), 0, "it has caught up since");
    }
}
