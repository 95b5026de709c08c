//! One serving process per database: two would both tell the endpoints.
//!
//! A session's advisory lock says so: it ends with the process, however that ends. It is a guard against a mistake, not
//! what keeps data right: commits of several processes do not disturb each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat::Fault;
use tokio_util::sync::CancellationToken;

use super::connect::{self, Connector};
use super::{Db, Result};
use crate::OpenError;

/// The lock of a process before us lives until the server notices that its connection has ended.
const TRY_FOR: u32 = 30;
const TRY_EVERY: Duration = Duration::from_millis(100);

/// How often a claim is looked after, and taken again when its connection was lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the server may take to say that it is there.
const PING_WITHIN: Duration = Duration::from_secs(2);

/// The lock's first number; the second one is the schema's.
const CLASS: i32 = 0x5269_6e67;

/// See the module. Released when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    is_held: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl Claim {
    /// Takes it, or says who has it.
    pub(super) async fn take(connector: &Connector) -> Result<Self, OpenError> {
        let place = connector.place();
        let db = connector.connect().await.map_err(|error| connect::unusable(place, &error))?;
        let mut tries = 0;
        while !lock(&db).await.map_err(|error| connect::unusable(place, &error))? {
            tries += 1;
            if tries == TRY_FOR {
                return Err(OpenError::InUse(format!("{place} is served by another ringback process")));
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
        let claim = Self { is_held: Arc::new(AtomicBool::new(true)), stop: CancellationToken::new() };
        tokio::spawn(keep(connector.clone(), db, claim.is_held.clone(), claim.stop.clone()));
        Ok(claim)
    }

    /// Fails if another process has taken it while our connection was lost.
    pub(super) fn check(&self) -> Result<(), Fault> {
        match self.is_held.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(Fault::unavailable("the database is served by another ringback process")),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Whether the lock was to be had.
async fn lock(db: &Db) -> Result<bool> {
    let lock = "SELECT pg_try_advisory_lock($1, to_regnamespace(quote_ident(current_schema()))::oid::int8::int4)";
    Ok(db.query_one(lock, &[&CLASS]).await?.get(0))
}

async fn keep(connector: Connector, db: Db, is_held: Arc<AtomicBool>, stop: CancellationToken) {
    let mut db = Some(db);
    while tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await.is_err() {
        // A connection that is not closed may still lead nowhere.
        if let Some(db) = &db
            && tokio::time::timeout(PING_WITHIN, db.batch_execute("SELECT 1")).await.is_ok_and(|pinged| pinged.is_ok())
        {
            continue;
        }
        // While the database is away, nobody else can take it either.
        db = connector.connect().await.ok();
        if let Some(new) = &db {
            let is_ours = lock(new).await.unwrap_or(false);
            if !is_ours {
                db = None;
            }
            if is_held.swap(is_ours, Ordering::Relaxed) && !is_ours {
                tracing::error!(
                    database = connector.place(),
                    "the database is served by another ringback process as well"
                );
            }
        }
    }
}
