//! Cursors alone, for cases that are about nothing else of a ledger.

use chat::Fault;
use chat::event::{Position, Shard, Subject};
use chat::id::{EventId, Timestamp};
use webhook::ledger::{Behind, Cursor, Ledger, Letter, LetterState, Progress};

pub(crate) trait Cursors: Ledger {
    /// Saves that everything up to here is told, and nothing else.
    fn save_cursor(
        &self,
        endpoint: &str,
        shard: Shard,
        cursor: Position,
    ) -> impl Future<Output = Result<(), Fault>> + Send {
        let endpoint = endpoint.to_owned();
        async move { self.save_progress(&endpoint, shard, Progress { cursor, ..Progress::default() }).await }
    }

    /// Up to where an endpoint is told; none if it is new.
    fn told(&self, endpoint: &str, shard: Shard) -> impl Future<Output = Result<Option<Position>, Fault>> + Send {
        let endpoint = endpoint.to_owned();
        async move { Ok(self.cursor(&endpoint, shard).await?.map(|Cursor { position, .. }| position)) }
    }
}

impl<L: Ledger + ?Sized> Cursors for L {}

/// A subject that lags and has no trouble.
pub(crate) fn lags(told: u64) -> Option<Behind> {
    Some(Behind { told: Position(told), trouble: None })
}

/// A letter that nothing is special about.
pub(crate) fn letter(endpoint: &str, shard: Shard, position: u64) -> Letter {
    Letter {
        endpoint: endpoint.to_owned(),
        shard,
        position: Position(position),
        subject: Subject::App,
        event: EventId::new(Timestamp::from_millis(position as i64), position.into()),
        command: "C2C.CallbackAfterSendMsg".to_owned(),
        state: LetterState::Dead,
        why: "HTTP 500".to_owned(),
        attempts: 14,
        at: Timestamp::from_millis(1_700_000_000_000),
    }
}
