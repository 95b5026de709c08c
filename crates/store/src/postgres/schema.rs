//! The schema: whose it is, whether it fits, and making or migrating it once, whichever process comes first.

use chat::event::{Position, Shard};

use super::connect::{self, Connector};
use super::{Db, Error, Result, nat};
use crate::OpenError;
use crate::dataset::pg as dataset;
use crate::shard::{Shards, SmallInt};

refinery::embed_migrations!("migrations/postgres");

/// The oldest PostgreSQL that is supported, as `server_version_num` has it.
const OLDEST_SERVER: i32 = 140_000;

/// Held while the schema is made or migrated; any number that nobody else uses.
const MIGRATION_LOCK: i64 = 0x0052_696e_6762_6163;

/// Every table that a schema of this version has.
pub(super) const TABLES: [&str; 20] = [
    "account",
    "attempt",
    "behind",
    "block",
    "chat_group",
    "conversation",
    "cursor",
    "dataset",
    "event",
    "gap",
    "letter",
    "letter_count",
    "log_shard",
    "member",
    "milestone",
    "parked",
    "pause",
    "topic",
    "unread",
    "writer",
];

/// Makes or migrates the schema of a database that is to be served, and says how many shards it has: `shards` if it is
/// new.
pub(super) async fn open(connector: &Connector, shards: u16) -> Result<Shards, OpenError> {
    let (db, shards) = prepare(connector, shards).await?;
    let place = connector.place();
    let dataset = dataset::find(&db).await.map_err(|error| connect::unusable(place, &error))?;
    if !dataset.is_ready {
        return Err(OpenError::unfinished(place, dataset));
    }
    Ok(shards)
}

/// As [`open`], whether or not all of its data is there. The connection holds the lock on the schema.
pub(super) async fn prepare(connector: &Connector, shards: u16) -> Result<(Db, Shards), OpenError> {
    let place = connector.place();
    let unusable = |error: Error| connect::unusable(place, &error);
    let mut db = connector.connect().await.map_err(unusable)?;
    check_server(&db).await.map_err(unusable)?.map_err(|why| foreign(place, why))?;
    // Another process may be migrating a large database; it is waited for, but not for ever.
    sql(db.batch_execute("SET lock_timeout = '60s'").await).map_err(unusable)?;
    // Released with the connection, whatever happens.
    sql(db.execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK]).await).map_err(unusable)?;
    if let Some(table) = table_of_others(&db).await.map_err(unusable)? {
        return Err(foreign(place, format!("the schema belongs to something else and has the table {table}")));
    }
    migrate(&mut db).await.map_err(|error| match error.kind() {
        refinery::error::Kind::MissingVersion(newer) => {
            foreign(place, format!("a newer version of ringback has made the change {newer}"))
        }
        refinery::error::Kind::DivergentVersion(applied, _) => {
            foreign(place, format!("another version of ringback has made the change {applied} in another way"))
        }
        refinery::error::Kind::Connection(words, cause) => {
            let cause = cause.downcast_ref::<tokio_postgres::Error>().map(super::trouble::in_words);
            let why = format!("{words}: {}", cause.unwrap_or_default());
            OpenError::Unusable { place: place.to_owned(), why, is_final: true }
        }
        _ => foreign(place, error.to_string()),
    })?;
    if let Some(table) = missing_table(&db).await.map_err(unusable)? {
        let why = format!("it is half migrated: the table {table} is not there; restore a backup");
        return Err(foreign(place, why));
    }
    let shards = make_shards(&db, shards).await.map_err(unusable)?;
    Ok((db, shards))
}

fn foreign(place: &str, why: String) -> OpenError {
    OpenError::Foreign { place: place.to_owned(), why }
}

fn sql<T>(result: Result<T, tokio_postgres::Error>) -> Result<T> {
    Ok(result?)
}

/// Whether the server is one that we know to work on; else why not.
async fn check_server(db: &Db) -> Result<Result<(), String>> {
    let row = db
        .query_one(
            "SELECT current_setting('server_version_num')::int4, current_setting('server_version'),
                current_setting('server_encoding'), current_setting('fsync'),
                current_setting('plan_cache_mode') = 'force_generic_plan' AND current_setting('synchronous_commit') <> 'off'",
            &[],
        )
        .await?;
    let (number, version, encoding, fsync): (i32, String, String, String) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    if fsync == "off" {
        tracing::warn!("PostgreSQL runs with fsync = off: what is acknowledged will not survive a power failure");
    }
    Ok(fits(number, &version, &encoding, row.get(4)))
}

fn fits(number: i32, version: &str, encoding: &str, obeys: bool) -> Result<(), String> {
    if number < OLDEST_SERVER {
        return Err(format!("the server is PostgreSQL {version}, and the oldest that will do is 14"));
    }
    if encoding != "UTF8" {
        return Err(format!("the database's encoding is {encoding}, and only UTF8 will do"));
    }
    if !obeys {
        let why = "what a connection is set to has no effect; a pooler in between (PgBouncer) will not do, and \
             synchronous_commit may not be off";
        return Err(why.into());
    }
    Ok(())
}

/// A table in our schema that is not ours; looked for before anything in it is changed.
async fn table_of_others(db: &Db) -> Result<Option<String>> {
    let query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()
         AND NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'refinery_schema_history')
         ORDER BY 1 LIMIT 1";
    Ok(db.query_opt(query, &[]).await?.map(|row| row.get(0)))
}

/// Whether the schema is one of ours, of whichever version.
pub(super) async fn is_ours(db: &Db) -> Result<bool> {
    let query = "SELECT count(*) = 2 FROM pg_tables
         WHERE schemaname = current_schema() AND tablename IN ('refinery_schema_history', 'log_shard')";
    Ok(db.query_one(query, &[]).await?.get(0))
}

async fn missing_table(db: &Db) -> Result<Option<String>> {
    let query = "SELECT t FROM unnest($1::text[]) AS t WHERE NOT EXISTS
         (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = t) LIMIT 1";
    Ok(db.query_opt(query, &[&TABLES.as_slice()]).await?.map(|row| row.get(0)))
}

async fn migrate(db: &mut Db) -> Result<(), refinery::Error> {
    let client: &mut tokio_postgres::Client = db;
    migrations::runner().set_abort_divergent(true).set_abort_missing(true).run_async(client).await.map(drop)
}

async fn make_shards(db: &Db, shards: u16) -> Result<Shards> {
    let new: Vec<_> = Shards::new(shards).all().map(SmallInt::int).collect();
    let make = "INSERT INTO log_shard (shard) SELECT * FROM unnest($1::int2[])
         WHERE NOT EXISTS (SELECT 1 FROM log_shard)";
    db.execute(make, &[&new]).await?;
    let count: i64 = db.query_one("SELECT count(*) FROM log_shard", &[]).await?.get(0);
    Ok(Shards::new(nat(count) as u16))
}

/// The newest position of each shard.
pub(super) async fn heads(db: &Db) -> Result<Vec<(Shard, Position)>> {
    let query = db.prepare_cached("SELECT shard, head FROM log_shard").await?;
    let rows = db.query(&query, &[]).await?;
    let read = |row: &tokio_postgres::Row| (Shard(row.get::<_, i16>(0).cast_unsigned()), Position(nat(row.get(1))));
    Ok(rows.iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_and_another_encoding_are_refused_in_words() {
        assert_eq!(fits(140_000, "14.0", "UTF8", true), Ok(()));
        assert!(fits(130_022, "13.22", "UTF8", true).unwrap_err().contains("PostgreSQL 13.22"));
        assert!(fits(150_000, "15.0", "SQL_ASCII", true).unwrap_err().contains("SQL_ASCII"));
        assert!(fits(150_000, "15.0", "UTF8", false).unwrap_err().contains("PgBouncer"));
    }
}
