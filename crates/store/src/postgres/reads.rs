//! Reading: connections of the pool, and what a failed read means.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use chat::Fault;
use deadpool_postgres::{Object, Pool, PoolError, TimeoutType};

use super::availability::Availability;
use super::connect::Connector;
use super::{Db, Error, trouble};
use crate::shard::Shards;

/// A read that takes longer is given up: nobody waits for it any more.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Reads {
    pub(super) pool: Pool,
    pub(super) connector: Connector,
    pub(super) availability: Arc<Availability>,
    pub(super) shards: Shards,
}

impl Reads {
    /// A connection for reading.
    pub(super) async fn connection(&self) -> Result<Lent, Fault> {
        self.availability.check()?;
        loop {
            let object = self.pool.get().await.map_err(|error| match error {
                PoolError::Timeout(TimeoutType::Wait) => Fault::unavailable(format!(
                    "all {} connections to {} are taken (store.connections)",
                    self.pool.status().max_size,
                    self.connector.place()
                )),
                PoolError::Timeout(TimeoutType::Create) => self.failed(Error::Slow(self.connector.connect_within())),
                PoolError::Backend(error) => self.failed(Error::Sql(error)),
                error => Fault::unavailable(error.to_string()),
            })?;
            if !self.availability.is_stale(Object::metrics(&object).created.into()) {
                return Ok(Lent(Some(object)));
            }
            drop(Object::take(object));
        }
    }

    /// A failed read, as callers hear of it.
    pub(super) fn failed(&self, error: Error) -> Fault {
        match error {
            error if trouble::is_away(&error) => self.availability.lost(&error),
            error if trouble::is_unavailable(&error) => Fault::unavailable(error),
            error => Fault::new(error),
        }
    }
}

/// A connection that goes back to the pool when it is done. If whoever has it is interrupted, it does not: what it still
/// answers is not for the next one.
#[derive(Debug)]
pub(super) struct Lent(Option<Object>);

impl Lent {
    /// Everything that was asked has been answered.
    pub(super) fn done(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Lent {
    type Target = Db;

    fn deref(&self) -> &Db {
        self.0.as_ref().expect("it is there until it is done, and then nobody has this")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

/// Runs a read on a connection of the pool. A connection that turns out to be dead is replaced once: reading twice does no
/// harm.
macro_rules! read {
    ($reads:expr, $db:ident => $query:expr) => {{
        let mut is_retry = false;
        loop {
            let $db = $reads.connection().await?;
            let result = match tokio::time::timeout($crate::postgres::reads::READ_WITHIN, $query).await {
                Ok(result) => {
                    $db.done();
                    result
                }
                Err(_) => Err($crate::postgres::Error::Slow($crate::postgres::reads::READ_WITHIN)),
            };
            match result {
                Err(error) if !is_retry && $crate::postgres::trouble::is_connection_lost(&error) => is_retry = true,
                result => break result.map_err(|error| $reads.failed(error)),
            }
        }
    }};
}

pub(super) use read;
