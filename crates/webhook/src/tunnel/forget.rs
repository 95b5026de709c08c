//! A memory for endpoints that are to leave no trace: it forgets everything at once.
//!
//! A deliverer works with it as with any other: what it must know while it runs is in its own memory. Only a restart would
//! show the difference, and such an endpoint has none.

use async_trait::async_trait;
use chat::Fault;
use chat::event::{Position, Shard, Subject};
use chat::id::{EventId, Timestamp};

use crate::deliver::Announcer;
use crate::ledger::{Attempt, Behind, Cursor, Gap, Ledger, Letter, LetterCount, LetterQuery, Pause, Progress, Trimmed};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Forgetful;

#[async_trait]
impl Ledger for Forgetful {
    async fn cursor(&self, _: &str, _: Shard) -> Result<Option<Cursor>, Fault> {
        Ok(None)
    }

    async fn behind(&self, _: &str, _: Shard) -> Result<Vec<(Subject, Behind)>, Fault> {
        Ok(Vec::new())
    }

    async fn save_progress(&self, _: &str, _: Shard, _: Progress) -> Result<(), Fault> {
        Ok(())
    }

    async fn pause(&self, _: &str) -> Result<Option<Pause>, Fault> {
        Ok(None)
    }

    async fn set_pause(&self, _: &str, _: Option<Pause>) -> Result<(), Fault> {
        Ok(())
    }

    async fn letters(&self, _: &LetterQuery) -> Result<Vec<Letter>, Fault> {
        Ok(Vec::new())
    }

    async fn count_letters(&self, _: &str) -> Result<LetterCount, Fault> {
        Ok(LetterCount::default())
    }

    async fn put_letters(&self, _: Vec<Letter>) -> Result<(), Fault> {
        Ok(())
    }

    async fn remove_letters(&self, _: &str, _: Vec<(Shard, Position)>) -> Result<(), Fault> {
        Ok(())
    }

    async fn note_attempts(&self, _: Vec<Attempt>) -> Result<(), Fault> {
        Ok(())
    }

    async fn attempts(&self, _: EventId) -> Result<Vec<Attempt>, Fault> {
        Ok(Vec::new())
    }

    async fn note_time(&self, _: Timestamp, _: Vec<(Shard, Position)>) -> Result<(), Fault> {
        Ok(())
    }

    async fn position_at(&self, _: Shard, _: Timestamp) -> Result<Position, Fault> {
        Ok(Position(0))
    }

    /// None: so nobody is ever too far behind.
    async fn time_of(&self, _: Shard, _: Position) -> Result<Option<Timestamp>, Fault> {
        Ok(None)
    }

    async fn trim(
        &self,
        _: Shard,
        _: Position,
        _: Position,
        _: usize,
        _: Vec<(String, Position)>,
        _: Timestamp,
    ) -> Result<Trimmed, Fault> {
        Ok(Trimmed::default())
    }

    async fn gaps(&self, _: &str) -> Result<Vec<Gap>, Fault> {
        Ok(Vec::new())
    }

    async fn forget(&self, _: Timestamp, _: Timestamp, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}

/// Nobody else is told what becomes of such an endpoint.
#[async_trait]
impl Announcer for Forgetful {
    async fn announce(&self, _: &str, _: &Pause) -> Result<(), Fault> {
        Ok(())
    }
}
