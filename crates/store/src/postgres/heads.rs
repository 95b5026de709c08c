//! The newest position of each shard, as far as this process knows: what readers of the log wait for, and what a database
//! that has lost something is found out by.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat::event::{Position, Shard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::connect::Connector;
use super::reads::{READ_WITHIN, Reads};
use super::{Error, Result, schema};

/// The heads of shards are looked at this often, for what other nodes commit; our own commits announce themselves.
const LOOK_AT_HEADS: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Heads(HashMap<Shard, watch::Sender<Position>>);

impl Heads {
    pub(super) fn new(heads: Vec<(Shard, Position)>) -> Self {
        Self(heads.into_iter().map(|(shard, position)| (shard, watch::Sender::new(position))).collect())
    }

    /// Looks at what other nodes have committed, until `stop`.
    pub(super) async fn follow(self: Arc<Self>, reads: Arc<Reads>, stop: CancellationToken) {
        while tokio::time::timeout(LOOK_AT_HEADS, stop.cancelled()).await.is_err() {
            let before = self.all();
            // If it fails, whoever needs the database will notice; the next look is soon.
            let Ok(db) = reads.connection().await else { continue };
            let Ok(Ok(newest)) = tokio::time::timeout(READ_WITHIN, schema::heads(&db)).await else { continue };
            db.done();
            let has_gone_back = newest.iter().any(|(shard, position)| before.get(shard) > Some(position));
            if has_gone_back && let Ok(Some(error)) = self.have_gone_back(&reads.connector, before).await {
                reads.availability.give_up(&error);
            }
            newest.into_iter().for_each(|(shard, position)| self.advance(shard, position));
        }
    }

    pub(super) fn all(&self) -> HashMap<Shard, Position> {
        self.0.iter().map(|(shard, head)| (*shard, *head.borrow())).collect()
    }

    /// Whether the database has lost what was there `before`, looked at over a new connection: an old one may lead to a
    /// server that has been replaced.
    pub(super) async fn have_gone_back(
        &self,
        connector: &Connector,
        before: HashMap<Shard, Position>,
    ) -> Result<Option<Error>> {
        let newest = schema::heads(&connector.connect().await?).await?;
        let lost = newest.into_iter().find(|(shard, position)| before.get(shard) > Some(position));
        Ok(lost.map(|(shard, _)| Error::WentBack(shard.0)))
    }

    /// Whether a head is what it was, or later.
    pub(super) fn is_known(&self, shard: Shard, position: Position) -> bool {
        self.0.get(&shard).is_none_or(|known| *known.borrow() <= position)
    }

    pub(super) fn advance(&self, shard: Shard, position: Position) {
        if let Some(head) = self.0.get(&shard) {
            head.send_if_modified(|newest| {
                let is_newer = *newest < position;
                *newest = position.max(*newest);
                is_newer
            });
        }
    }

    pub(super) fn of(&self, shard: Shard) -> watch::Receiver<Position> {
        match self.0.get(&shard) {
            Some(head) => head.subscribe(),
            // Nothing ever happens in a shard that there is not.
            None => watch::Sender::new(Position(0)).subscribe(),
        }
    }
}
