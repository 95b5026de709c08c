//! What is written about endpoints: the writes of [`webhook::ledger::Ledger`]. A store's writer takes them beside commits.

use chat::Fault;
use chat::event::{Position, Shard};
use chat::id::Timestamp;
use webhook::ledger::{Attempt, Letter, Pause, Progress, Trimmed};

/// So many rows are written or removed by one note at most, but for what has to be in one transaction: some milliseconds
/// of work, in which nobody else's changes get into the shard.
pub(crate) const MAX_NOTED: usize = 1000;

/// Something to write.
#[derive(Debug)]
pub(crate) enum Note {
    Progress {
        endpoint: String,
        shard: Shard,
        progress: Progress,
    },
    Pause {
        endpoint: String,
        pause: Option<Pause>,
    },
    Letters(Vec<Letter>),
    NoLetters {
        endpoint: String,
        places: Vec<(Shard, Position)>,
    },
    Attempts(Vec<Attempt>),
    Time {
        now: Timestamp,
        heads: Vec<(Shard, Position)>,
    },
    Trim {
        shard: Shard,
        /// What is up to here is not looked at.
        from: Position,
        up_to: Position,
        limit: usize,
        /// Who is not waited for, and up to where they were told.
        let_go: Vec<(String, Position)>,
        now: Timestamp,
    },
    /// Some of the attempts of an endpoint up to one of them.
    NoAttempts {
        endpoint: String,
        up_to: AttemptPlace,
    },
    /// Some of the times before one.
    NoTimes {
        before: Timestamp,
    },
}

/// Where an attempt is among those of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AttemptPlace {
    /// When it began, in ms.
    pub(crate) time: i64,
    pub(crate) id: i64,
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Noted {
    Done,
    Trimmed(Trimmed),
    /// So many rows were removed. Fewer than [`MAX_NOTED`]: none are left.
    Removed(usize),
}

impl Note {
    /// The shard of which something is written; the first, of what is in none.
    pub(crate) fn shard(&self) -> Shard {
        match self {
            Self::Progress { shard, .. } | Self::Trim { shard, .. } => *shard,
            Self::Letters(letters) => letters.first().map(|letter| letter.shard).unwrap_or_default(),
            Self::NoLetters { places, .. } => places.first().map(|(shard, _)| *shard).unwrap_or_default(),
            Self::Pause { .. }
            | Self::Attempts(_)
            | Self::Time { .. }
            | Self::NoAttempts { .. }
            | Self::NoTimes { .. } => Shard::default(),
        }
    }

    /// The shards that are needed alone: where a letter is written nothing is trimmed meanwhile, and no other letter is
    /// counted.
    pub(crate) fn locks(&self) -> Vec<Shard> {
        match self {
            Self::Progress { progress, .. } => progress.letters.iter().map(|letter| letter.shard).collect(),
            Self::Letters(letters) => letters.iter().map(|letter| letter.shard).collect(),
            Self::NoLetters { places, .. } => places.iter().map(|(shard, _)| *shard).collect(),
            Self::Trim { shard, .. } => vec![*shard],
            _ => Vec::new(),
        }
    }

    /// About how many rows it writes.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Progress { progress, .. } => 1 + progress.behind.len() + progress.letters.len(),
            Self::Letters(letters) => letters.len(),
            Self::NoLetters { places, .. } => places.len(),
            Self::Attempts(attempts) => attempts.len(),
            Self::Time { heads, .. } => heads.len(),
            Self::Trim { limit, let_go, .. } => (*limit).min(usize::from(u16::MAX)) + let_go.len(),
            Self::NoAttempts { .. } | Self::NoTimes { .. } => MAX_NOTED,
            Self::Pause { .. } => 1,
        }
    }
}

/// What whoever noted something expects to hear.
pub(crate) fn trimmed(noted: Noted) -> Result<Trimmed, Fault> {
    match noted {
        Noted::Trimmed(trimmed) => Ok(trimmed),
        Noted::Done | Noted::Removed(_) => Err(Fault::new("a note was given another's outcome")),
    }
}

/// Whether a note that removes some has left more.
pub(crate) fn has_more(noted: Noted) -> bool {
    matches!(noted, Noted::Removed(MAX_NOTED..))
}

/// Rows in parts that are one note each.
pub(crate) fn parts<T>(rows: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<T> = rows.by_ref().take(MAX_NOTED).collect();
        (!part.is_empty()).then_some(part)
    })
}
