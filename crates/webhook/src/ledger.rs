//! How far each endpoint has been told: the port that the store implements.

use async_trait::async_trait;
use chat::Fault;
use chat::event::{Position, Shard};

/// Durable cursors. A delivered event writes nothing of its own; a cursor is saved now and then.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Up to where an endpoint has been told of everything in a shard; none if it is new.
    async fn cursor(&self, endpoint: &str, shard: Shard) -> Result<Option<Position>, Fault>;

    /// Saves a cursor. A cursor only moves forward: a smaller one is ignored.
    async fn save_cursor(&self, endpoint: &str, shard: Shard, position: Position) -> Result<(), Fault>;
}
