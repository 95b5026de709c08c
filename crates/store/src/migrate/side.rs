//! One of the two databases, whichever kind it is.

use std::sync::Arc;

use chat::event::{Position, Shard, Subject};
use tokio::sync::mpsc;

use super::lite::Lite;
use super::merge::Page;
use super::pg::Pg;
use super::{MigrateError, Moves, Place, Result, place};
use crate::dataset::{Dataset, Moved};
use crate::event::EventRow;
use crate::shard::Shards;

/// See the module. Nobody else has it open. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Side {
    Lite(Arc<Lite>),
    Pg(Arc<Pg>),
}

/// Asks either kind.
macro_rules! either {
    ($side:expr, $one:ident => $ask:expr) => {
        match $side {
            Side::Lite($one) => $ask,
            Side::Pg($one) => $ask,
        }
    };
}

impl Side {
    /// Opens a database that there is.
    pub(super) async fn source(place: &Place) -> Result<Self> {
        Ok(match place {
            Place::Sqlite(path) => Self::Lite(Arc::new(Lite::source(path)?)),
            Place::Postgres { url, .. } => Self::Pg(Arc::new(Pg::source(url).await?)),
        })
    }

    /// Opens a database, or makes it. It must not be `source`, which is open already.
    pub(super) async fn target(place: &Place, source: &str) -> Result<Self> {
        let target = match place {
            Place::Sqlite(path) => Self::Lite(Arc::new(Lite::target(path)?)),
            Place::Postgres { url, shards } => {
                // Before it is claimed: it would be by us.
                if Pg::id(url).await?.as_deref() == Some(source) {
                    return Err(place::same());
                }
                Self::Pg(Arc::new(Pg::target(url, *shards).await?))
            }
        };
        if target.dataset().await?.id == source { Err(place::same()) } else { Ok(target) }
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> &str {
        either!(self, side => side.place())
    }

    /// The shards of its log.
    pub(super) fn shards(&self) -> Shards {
        match self {
            Self::Lite(_) => Shards::new(1),
            Self::Pg(side) => side.shards(),
        }
    }

    /// Whose data it holds.
    pub(super) async fn dataset(&self) -> Result<Dataset> {
        either!(self, side => side.dataset().await)
    }

    /// Whether it holds nothing.
    pub(super) async fn is_empty(&self) -> Result<bool> {
        either!(self, side => side.is_empty().await)
    }

    /// The newest position of each shard.
    pub(super) async fn heads(&self) -> Result<Vec<Position>> {
        either!(self, side => side.heads().await)
    }

    /// All rows of a kind, page by page, in an order that never changes. Read ahead while a page is looked at.
    pub(super) fn pages<T: Moves>(&self) -> mpsc::Receiver<Result<Vec<T>>> {
        let (pages, receiver) = mpsc::channel(2);
        either!(self, side => side.clone().send_pages(pages));
        receiver
    }

    /// Events of a shard after a position: at most so many, and the first that together are of so many bytes.
    pub(super) async fn events(
        &self,
        shard: Shard,
        after: Position,
        rows: usize,
        bytes: usize,
        with_data: bool,
    ) -> Result<Vec<EventRow>> {
        match self {
            Self::Lite(side) => side.events(after, rows, bytes, with_data).await,
            Self::Pg(side) => side.events(shard, after, rows, bytes, with_data).await,
        }
    }

    /// Where conversations are, those that there are.
    pub(super) async fn keys_of(&self, ids: Vec<Subject>) -> Result<Vec<Option<(Shard, i64)>>> {
        either!(self, side => side.keys_of(ids).await)
    }

    /// Begins a transaction. It is over without a trace if this is dropped before [`Self::commit`].
    pub(super) async fn begin(&self) -> Result<()> {
        either!(self, side => side.execute("BEGIN").await)
    }

    /// Ends it.
    pub(super) async fn commit(&self) -> Result<()> {
        either!(self, side => side.execute("COMMIT").await)
    }

    /// Adds rows.
    pub(super) async fn add<T: Moves>(&self, rows: Vec<T>) -> Result<()> {
        either!(self, side => side.add(rows).await)
    }

    /// Adds events, at positions after the newest of their shards.
    pub(super) async fn add_events(&self, rows: Page) -> Result<()> {
        either!(self, side => side.add_events(rows).await)
    }

    /// Removes all cursors, to begin with them again.
    pub(super) async fn clear_cursors(&self) -> Result<()> {
        either!(self, side => side.execute(crate::cursor::CLEAR).await)
    }

    /// Counts what follows from the rows and is kept beside them.
    pub(super) async fn count_unread(&self) -> Result<()> {
        match self {
            Self::Lite(_) => Ok(()),
            Self::Pg(side) => side.count_unread().await,
        }
    }

    /// Fails if those counts are not what the rows say.
    pub(super) async fn check_unread(&self) -> Result<()> {
        let miscounted = match self {
            Self::Lite(_) => None,
            Self::Pg(side) => side.miscounted().await?,
        };
        match miscounted {
            Some(account) => Err(MigrateError::Differs(format!("what {account:?} has unread is not counted right"))),
            None => Ok(()),
        }
    }

    /// Fails if letters are not as many as is said beside them.
    pub(super) async fn check_letters(&self) -> Result<()> {
        match either!(self, side => side.miscounted_letters().await)? {
            Some(endpoint) => {
                Err(MigrateError::Differs(format!("how many letters {endpoint:?} has is not counted right")))
            }
            None => Ok(()),
        }
    }

    /// Notes that a migration into it begins.
    pub(super) async fn begin_move(&self, moved: Moved) -> Result<()> {
        either!(self, side => side.begin_move(moved).await)
    }

    /// Notes how far it got.
    pub(super) async fn put_progress(&self, progress: String) -> Result<()> {
        either!(self, side => side.put_progress(progress).await)
    }

    /// Notes that it has ended, once everything is on disk.
    pub(super) async fn complete(&self) -> Result<()> {
        either!(self, side => side.complete().await)
    }
}
