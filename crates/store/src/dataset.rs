//! Whose data a database holds, and whether it is all there.

/// The one row of `dataset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dataset {
    /// Made with the database, and no other's.
    pub(crate) id: String,
    /// All of it is there. Else a migration into it has not ended.
    pub(crate) is_ready: bool,
    /// Where it was moved from, if it was.
    pub(crate) moved: Option<Moved>,
}

/// That a data set was, or is being, moved here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The id of the database that it comes from.
    pub(crate) source: String,
    /// Where that was, in words and without a password.
    pub(crate) origin: String,
    /// What that looked like when the migration began.
    pub(crate) digest: String,
    /// How far the migration got, as JSON.
    pub(crate) progress: String,
}

/// The columns of a row, as both databases give them.
type Columns = (String, String, [Option<String>; 4]);

const READY: &str = "ready";
const ARRIVING: &str = "arriving";

impl From<Columns> for Dataset {
    fn from((id, state, moved): Columns) -> Self {
        let [source, origin, digest, progress] = moved;
        let moved = source.map(|source| Moved {
            source,
            origin: origin.unwrap_or_default(),
            digest: digest.unwrap_or_default(),
            progress: progress.unwrap_or_default(),
        });
        // A state that is none of ours is not one to be served.
        Self { id, is_ready: state == READY, moved }
    }
}

/// In SQLite.
pub(crate) mod lite {
    use rusqlite::{Connection, Result};

    use super::{ARRIVING, Dataset, Moved, READY};

    /// Whose data it is.
    pub(crate) fn find(db: &Connection) -> Result<Dataset> {
        db.query_row("SELECT id, state, source, origin, digest, progress FROM dataset", [], |row| {
            Ok((row.get(0)?, row.get(1)?, [row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?]).into())
        })
    }

    /// Whether there is nothing at all.
    pub(crate) fn is_empty(db: &Connection) -> Result<bool> {
        db.query_row(
            "SELECT NOT (EXISTS (SELECT 1 FROM account) OR EXISTS (SELECT 1 FROM chat_group)
                OR EXISTS (SELECT 1 FROM conversation) OR EXISTS (SELECT 1 FROM event)
                OR EXISTS (SELECT 1 FROM cursor) OR EXISTS (SELECT 1 FROM pause))",
            [],
            |row| row.get(0),
        )
    }

    /// Notes that a migration into it begins.
    pub(crate) fn begin(db: &Connection, moved: &Moved) -> Result<()> {
        let Moved { source, origin, digest, progress } = moved;
        db.execute(
            "UPDATE dataset SET state = ?1, source = ?2, origin = ?3, digest = ?4, progress = ?5",
            (ARRIVING, source, origin, digest, progress),
        )?;
        Ok(())
    }

    /// Notes how far it got.
    pub(crate) fn put_progress(db: &Connection, progress: &str) -> Result<()> {
        db.prepare_cached("UPDATE dataset SET progress = ?1")?.execute([progress])?;
        Ok(())
    }

    /// Notes that all of it is there.
    pub(crate) fn complete(db: &Connection) -> Result<()> {
        db.execute("UPDATE dataset SET state = ?1, progress = NULL", [READY])?;
        Ok(())
    }
}

/// In PostgreSQL.
pub(crate) mod pg {
    use super::{ARRIVING, Dataset, Moved, READY};
    use crate::postgres::{Db, Result};

    /// Whether this schema is one of ours, of a version that knows data sets.
    pub(crate) async fn exists(db: &Db) -> Result<bool> {
        let query =
            "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'dataset')";
        Ok(db.query_one(query, &[]).await?.get(0))
    }

    /// Whose data it is.
    pub(crate) async fn find(db: &Db) -> Result<Dataset> {
        let row = db.query_one("SELECT id, state, source, origin, digest, progress FROM dataset", &[]).await?;
        Ok((row.get(0), row.get(1), [row.get(2), row.get(3), row.get(4), row.get(5)]).into())
    }

    /// Whether there is nothing at all.
    pub(crate) async fn is_empty(db: &Db) -> Result<bool> {
        let query = "SELECT NOT (EXISTS (SELECT 1 FROM account) OR EXISTS (SELECT 1 FROM chat_group)
                OR EXISTS (SELECT 1 FROM conversation) OR EXISTS (SELECT 1 FROM event)
                OR EXISTS (SELECT 1 FROM cursor) OR EXISTS (SELECT 1 FROM pause))";
        Ok(db.query_one(query, &[]).await?.get(0))
    }

    /// Notes that a migration into it begins.
    pub(crate) async fn begin(db: &Db, moved: &Moved) -> Result<()> {
        let Moved { source, origin, digest, progress } = moved;
        let begin = "UPDATE dataset SET state = $1, source = $2, origin = $3, digest = $4, progress = $5";
        db.execute(begin, &[&ARRIVING, source, origin, digest, progress]).await?;
        Ok(())
    }

    /// Notes how far it got.
    pub(crate) async fn put_progress(db: &Db, progress: &str) -> Result<()> {
        let put = db.prepare_cached("UPDATE dataset SET progress = $1").await?;
        db.execute(&put, &[&progress]).await?;
        Ok(())
    }

    /// Notes that all of it is there.
    pub(crate) async fn complete(db: &Db) -> Result<()> {
        db.execute("UPDATE dataset SET state = $1, progress = NULL", &[&READY]).await?;
        Ok(())
    }
}
