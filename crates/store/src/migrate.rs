//! Moving everything from one database to another: from SQLite to PostgreSQL and back, or from one to another of a kind.
//!
//! Nobody serves either side meanwhile. What moves are rows in words that both understand (`moves.rs`): ids instead of
//! keys, and no shards. In order:
//!
//! 1. The source is looked at: how much there is, and a digest of it, by which a resumed run knows that it is the same.
//! 2. Tables are copied as they are, and conversations get their place and key in the target (`homes.rs`).
//! 3. The log is copied, merged from the source's shards (`merge.rs`) and appended to the target's.
//! 4. What endpoints have been told is said anew in the target's positions (`told.rs`), and letters get the places of their
//!    events there (`places.rs`).
//! 5. Both sides are read again and compared (`verify.rs`). Only then is the target complete, and may be served.
//!
//! Every transaction on the target also notes how far the migration got (`dataset.rs` in the crate), so that one that was
//! killed goes on where it stopped.
//!
//! Memory: some pages of rows, and for each conversation at most 80 bytes, with what `told.rs` and `places.rs` say on top.

mod copy;
mod digest;
mod homes;
mod lite;
mod merge;
mod moves;
mod pg;
mod place;
mod places;
mod side;
mod told;
mod verify;

use tokio::sync::watch;

use self::copy::Copy;
use self::digest::Digests;
use self::homes::Homes;
pub(crate) use self::moves::{InPostgres, InSqlite, Moves};
pub use self::place::Place;
use self::side::Side;
use crate::OpenError;
use crate::dataset::Moved;

/// So many rows are moved in one transaction, unless they are large.
const PAGE_ROWS: usize = 4000;

/// So many bytes of rows are a page, however few they are. Some five pages are in memory at a time.
const PAGE_BYTES: usize = 8 << 20;

/// What is being done, for whoever watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What.
    pub phase: Phase,
    /// So many rows are done.
    pub done: u64,
    /// Of so many; 0 if that is not known yet.
    pub total: u64,
}

/// A part of the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Looking at what there is.
    #[default]
    Looking,
    /// Copying everything but the log.
    Tables,
    /// Copying the log.
    Log,
    /// Working out what endpoints have been told.
    Cursors,
    /// Reading and comparing both sides.
    Verifying,
}

impl Phase {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Looking => "looking at the source",
            Self::Tables => "copying accounts, groups, conversations",
            Self::Log => "copying the log",
            Self::Cursors => "working out what endpoints have been told",
            Self::Verifying => "reading both sides and comparing",
        }
    }
}

/// What was moved, and found to be the same on both sides.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Where it was.
    pub from: String,
    /// Where it is now.
    pub to: String,
    /// How many rows there are of what.
    pub counts: Vec<(&'static str, u64)>,
    /// An interrupted migration was gone on with.
    pub is_resumed: bool,
}

/// Why nothing, or not everything, was moved. In words for the operator, without passwords.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A side cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was asked for is not done. Nothing has been changed.
    #[error("{0}")]
    Refused(String),
    /// The sides are not the same. The target stays incomplete.
    #[error("the target is not what the source is: {0}; it stays incomplete and is not served")]
    Differs(String),
    /// It was begun and could not be ended. Run again, it goes on.
    #[error("{0}; run the same command again to go on where this stopped")]
    Failed(String),
}

impl MigrateError {
    /// Whether the operator has to ask for something else.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Refused(_))
    }
}

type Result<T, E = MigrateError> = std::result::Result<T, E>;

/// Moves everything, or goes on with what was interrupted. `progress` is told what is being done.
pub async fn run(from: &Place, to: &Place, progress: &watch::Sender<Progress>) -> Result<Summary> {
    place::differ(from, to)?;
    let source = Side::source(from).await?;
    let whence = source.dataset().await?;
    if !whence.is_ready {
        return Err(OpenError::unfinished(source.place(), whence).into());
    }
    let target = Side::target(to, &whence.id).await?;
    let dataset = target.dataset().await?;
    let begun = match dataset.moved {
        Some(moved) if dataset.is_ready => return Err(complete(&target, &whence.id, &moved)),
        Some(moved) if moved.source != whence.id => return Err(of_another(&target, &moved)),
        Some(moved) => Some(moved),
        None if target.is_empty().await? => None,
        None => return Err(not_empty(&target)),
    };

    let (digests, homes) = look(&source, &target, progress).await?;
    let steps = match &begun {
        Some(moved) => {
            digests.check(&moved.digest).map_err(|what| changed(&source, &target, &what))?;
            copy::Steps::read(&moved.progress)?
        }
        None => {
            let moved = Moved {
                source: whence.id,
                origin: source.place().to_owned(),
                digest: digests.to_text(),
                progress: copy::Steps::default().to_text(),
            };
            target.begin_move(moved).await?;
            copy::Steps::default()
        }
    };
    Copy { source: &source, target: &target, homes: &homes, digests: &digests, steps, progress }.run().await?;
    let (events, endpoints) = verify::run(&source, &target, &homes, &digests, progress).await?;
    target.complete().await?;
    let mut counts = digests.counts();
    counts.extend([("events", events), ("endpoints", endpoints)]);
    Ok(Summary { from: source.place().to_owned(), to: target.place().to_owned(), counts, is_resumed: begun.is_some() })
}

/// What there is in the source, and where its conversations go.
async fn look(source: &Side, target: &Side, progress: &watch::Sender<Progress>) -> Result<(Digests, Homes)> {
    progress.send_replace(Progress::default());
    let mut homes = Homes::new(target.shards());
    let digests = Digests::of(source, |row| homes.add(row), progress).await?;
    Ok((digests, homes))
}

fn complete(target: &Side, source: &str, moved: &Moved) -> MigrateError {
    let (place, origin) = (target.place(), &moved.origin);
    MigrateError::Refused(match moved.source == source {
        true => format!("{place} is complete: everything was moved there from {origin} before"),
        false => format!("{place} holds other data: it was moved there from {origin}; move to an empty database"),
    })
}

fn of_another(target: &Side, moved: &Moved) -> MigrateError {
    MigrateError::Refused(format!(
        "{} is being filled from another database, {}: end that migration, or move to an empty database",
        target.place(),
        moved.origin
    ))
}

fn not_empty(target: &Side) -> MigrateError {
    MigrateError::Refused(format!("{} holds data already; move to an empty database", target.place()))
}

fn changed(source: &Side, target: &Side, what: &str) -> MigrateError {
    MigrateError::Refused(format!(
        "{} has changed since its migration began ({what}): empty {} and begin again",
        source.place(),
        target.place()
    ))
}
