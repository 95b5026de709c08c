//! Where data is moved from, or to.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{MigrateError, Result};

/// A database.
#[derive(Clone)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A schema of a database on a server.
    Postgres {
        /// As in [`crate::postgres::Settings`]; may hold a password.
        url: String,
        /// Into how many shards it is divided, if it is new.
        shards: u16,
    },
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            // A URL may hold a password.
            Self::Postgres { .. } => f.debug_struct("Postgres").finish_non_exhaustive(),
        }
    }
}

/// Refuses what is the same place by its name. What is so by another name is found out when it is opened.
pub(super) fn differ(from: &Place, to: &Place) -> Result<()> {
    let is_same = match (from, to) {
        (Place::Sqlite(from), Place::Sqlite(to)) => from == to || same_file(from, to),
        (Place::Postgres { url: from, .. }, Place::Postgres { url: to, .. }) => from == to,
        _ => false,
    };
    if is_same { Err(same()) } else { Ok(()) }
}

fn same_file(from: &Path, to: &Path) -> bool {
    matches!((from.canonicalize(), to.canonicalize()), (Ok(from), Ok(to)) if from == to)
}

/// That there is nothing to move.
pub(super) fn same() -> MigrateError {
    MigrateError::Refused("both places are the same database, or one is a copy of the other".into())
}
