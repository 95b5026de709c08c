//! How far each endpoint has been told: the port that the store implements.

use async_trait::async_trait;
use chat::Fault;
use chat::conversation::ConversationId;
use chat::event::{Position, Shard};

/// Durable progress. A delivered event writes nothing of its own; progress is saved now and then.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Up to where an endpoint has been told of everything in a shard, but for what [`Ledger::behind`] says; none if it
    /// is new.
    async fn cursor(&self, endpoint: &str, shard: Shard) -> Result<Option<Position>, Fault>;

    /// The conversations that lag behind the cursor, each with the position up to which it was told.
    async fn behind(&self, endpoint: &str, shard: Shard) -> Result<Vec<(ConversationId, Position)>, Fault>;

    /// Saves progress, all of it or nothing.
    async fn save_progress(&self, endpoint: &str, shard: Shard, progress: Progress) -> Result<(), Fault>;

    /// Saves a cursor alone.
    async fn save_cursor(&self, endpoint: &str, shard: Shard, cursor: Position) -> Result<(), Fault> {
        self.save_progress(endpoint, shard, Progress { cursor, behind: Vec::new() }).await
    }
}

/// What has changed since progress was saved last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The cursor. It only moves forward: a smaller one is ignored.
    pub cursor: Position,
    /// Conversations that lag behind it, with the position up to which they are told; none: this one lags no longer.
    pub behind: Vec<(ConversationId, Option<Position>)>,
}
