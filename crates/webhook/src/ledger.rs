//! What is remembered about endpoints: the port that the store implements.
//!
//! A delivered event writes nothing of its own: a cursor says how far an endpoint was told. What goes wrong is rows: a
//! subject that lags, an attempt that failed, a letter that waits for the operator.

use async_trait::async_trait;
use chat::Fault;
use chat::event::{Position, Shard, Subject};
use chat::id::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

/// Durable memory of endpoints, by their names.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Where an endpoint stands in a shard; none if it is new.
    async fn cursor(&self, endpoint: &str, shard: Shard) -> Result<Option<Cursor>, Fault>;

    /// The subjects that lag behind the cursor.
    async fn behind(&self, endpoint: &str, shard: Shard) -> Result<Vec<(Subject, Behind)>, Fault>;

    /// Saves progress, all of it or nothing. A cursor that is new is started where it stands.
    async fn save_progress(&self, endpoint: &str, shard: Shard, progress: Progress) -> Result<(), Fault>;

    /// Whether the endpoint is paused, and why; none: it is called.
    async fn pause(&self, endpoint: &str) -> Result<Option<Pause>, Fault>;

    /// Pauses an endpoint, or has it go on.
    async fn set_pause(&self, endpoint: &str, pause: Option<Pause>) -> Result<(), Fault>;

    /// Letters in order of endpoint, shard and position.
    async fn letters(&self, query: &LetterQuery) -> Result<Vec<Letter>, Fault>;

    /// How many letters an endpoint has: dead, and to be told again.
    async fn count_letters(&self, endpoint: &str) -> Result<LetterCount, Fault>;

    /// Writes letters. One that is there already (same endpoint, shard and position) is replaced.
    async fn put_letters(&self, letters: Vec<Letter>) -> Result<(), Fault>;

    /// Removes letters. One that is not there is none, and no error.
    async fn remove_letters(&self, endpoint: &str, places: Vec<(Shard, Position)>) -> Result<(), Fault>;

    /// Notes attempts.
    async fn note_attempts(&self, attempts: Vec<Attempt>) -> Result<(), Fault>;

    /// The noted attempts to tell of an event, oldest first; at most the newest 1,000.
    async fn attempts(&self, event: EventId) -> Result<Vec<Attempt>, Fault>;

    /// Notes that it is now so late, and that the log has come so far: one note for each position, with the latest time at
    /// which the log had come just there.
    async fn note_time(&self, now: Timestamp, heads: Vec<(Shard, Position)>) -> Result<(), Fault>;

    /// The newest noted position that is not later than a time; 0 if there is none.
    async fn position_at(&self, shard: Shard, time: Timestamp) -> Result<Position, Fault>;

    /// The latest noted time at which the log had not come beyond a position. If the log was beyond it at all noted times,
    /// that of the first noted position: what comes after the position is at least that old. None if nothing was noted.
    async fn time_of(&self, shard: Shard, position: Position) -> Result<Option<Timestamp>, Fault>;

    /// When it was decided about a message that waited for a verdict, if that is known still: its event is in the log then, and
    /// not at the time that its id begins with. A ledger that does not know is one beside which no message waits.
    async fn decided_at(&self, _: EventId) -> Result<Option<Timestamp>, Fault> {
        Ok(None)
    }

    /// Removes events that are not in the history, after one position and up to another; at most `limit`, the oldest first:
    /// whoever goes on in steps goes on after the last that was removed, so as not to look at what stays again. Those that a letter
    /// is about, and the newest event of the shard, stay. With them, in one transaction, notes the gap of each endpoint of
    /// `let_go` that was told only up to an earlier position than what was removed last: one gap for each `after`, which
    /// grows. Never called for what is younger than an hour: a repeat of an event without a place in the history is
    /// recognised for five minutes.
    async fn trim(
        &self,
        shard: Shard,
        from: Position,
        up_to: Position,
        limit: usize,
        let_go: Vec<(String, Position)>,
        now: Timestamp,
    ) -> Result<Trimmed, Fault>;

    /// The gaps of an endpoint, oldest first; at most the newest 1,000.
    async fn gaps(&self, endpoint: &str) -> Result<Vec<Gap>, Fault>;

    /// Forgets attempts before a time, all but the newest `most` attempts of each endpoint, and noted times before another
    /// time, but for the last of them in each shard: where nothing happens it alone says how long nothing has.
    async fn forget(&self, attempts_before: Timestamp, times_before: Timestamp, most: u64) -> Result<(), Fault>;
}

/// Where an endpoint stands in a shard of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// It is told of everything up to here, but for what lags behind.
    pub position: Position,
    /// It is owed nothing up to here: it was new then.
    pub started: Position,
}

/// A subject that lags behind the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Everything of it up to here is told.
    pub told: Position,
    /// The next event was refused already.
    pub trouble: Option<Trouble>,
}

/// An event that an endpoint refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// How often, by the schedule.
    pub attempts: u32,
    /// When first.
    pub since: Timestamp,
    /// When it is due again.
    pub due: Timestamp,
}

/// What has changed since progress was saved last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The cursor. It only moves forward: a smaller one is ignored.
    pub cursor: Position,
    /// Subjects that lag behind it; none: this one lags no longer.
    pub behind: Vec<(Subject, Option<Behind>)>,
    /// Events that leave their subject's order, because they are given up or tried again on their own: they become letters
    /// in the same moment in which their subject goes on.
    pub letters: Vec<Letter>,
}

/// An event apart from its subject's order: given up, or to be told again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// To whom.
    pub endpoint: String,
    /// Where its event is.
    pub shard: Shard,
    /// Where its event is.
    pub position: Position,
    /// What its event is about.
    pub subject: Subject,
    /// The event's id.
    pub event: EventId,
    /// The callback command.
    pub command: String,
    /// What is to become of it.
    pub state: LetterState,
    /// Why it is a letter, in words: the last failure, or who asked for it.
    pub why: String,
    /// How often it was refused, by the schedule.
    pub attempts: u32,
    /// Dead: since when. To be told again: when that is due.
    pub at: Timestamp,
}

/// What is to become of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// Its schedule is spent, or the operator skipped it. It waits for the operator.
    Dead,
    /// It is told again.
    Replay,
}

/// Which letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterQuery {
    /// Of one endpoint only.
    pub endpoint: Option<String>,
    /// In one state only.
    pub state: Option<LetterState>,
    /// With [`Letter::at`] not later than this only.
    pub due_by: Option<Timestamp>,
    /// Of one event only.
    pub event: Option<EventId>,
    /// After this one, in order.
    pub after: Option<(String, Shard, Position)>,
    /// At most so many.
    pub limit: usize,
}

/// How many letters there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LetterCount {
    /// Dead ones.
    pub dead: u64,
    /// To be told again.
    pub replay: u64,
}

/// One call, for those who want to know what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Whom.
    pub endpoint: String,
    /// What about.
    pub event: EventId,
    /// The callback command.
    pub command: String,
    /// When it began.
    pub time: Timestamp,
    /// How long it took, in milliseconds.
    pub took: u64,
    /// A stable name of what became of it: `told`, or the class of the failure.
    pub outcome: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The first bytes of the answer, or what went wrong, in words.
    pub detail: String,
}

/// Why an endpoint is not called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why.
    pub reason: PauseReason,
    /// In words.
    pub detail: String,
    /// Since when.
    pub since: Timestamp,
}

/// Who or what paused an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The operator.
    Operator,
    /// The endpoint itself: it answered 410.
    Gone,
    /// It is further behind than its `max_age`. Until it is resumed the log may be trimmed without it.
    TooFarBehind,
    /// It has as many dead letters as it may.
    TooManyDead,
}

impl PauseReason {
    /// A stable name for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Gone => "gone",
            Self::TooFarBehind => "too_far_behind",
            Self::TooManyDead => "too_many_dead",
        }
    }
}

/// What [`Ledger::trim`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// How many events.
    pub events: u64,
    /// The first of them.
    pub first: Position,
    /// The last of them.
    pub last: Position,
}

/// Events that were removed before an endpoint was told of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Whose.
    pub endpoint: String,
    /// In which shard.
    pub shard: Shard,
    /// They were after this position, up to which it was told,
    pub after: Position,
    /// and up to this one.
    pub up_to: Position,
    /// When the last of them were removed.
    pub time: Timestamp,
}
