//! Whether the database is there. While it is away, whoever asks is refused at once instead of waiting for connections
//! that are not to be had; one task looks for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chat::Fault;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::connect::Connector;

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Debug)]
pub(super) struct Availability {
    why_away: Arc<Mutex<Option<String>>>,
    why_for_good: OnceLock<String>,
    was_lost: AtomicBool,
    connector: Connector,
    stop: CancellationToken,
}

impl Availability {
    pub(super) fn new(connector: Connector, stop: CancellationToken) -> Self {
        Self {
            why_away: Arc::default(),
            why_for_good: OnceLock::new(),
            was_lost: AtomicBool::new(false),
            connector,
            stop,
        }
    }

    /// Fails while it is away.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if let Some(why) = self.why_for_good.get() {
            return Err(Fault::unavailable(why.clone()));
        }
        match &*lock(&self.why_away) {
            None => Ok(()),
            Some(why) => Err(Fault::unavailable(why.clone())),
        }
    }

    /// From now on it is away, until it is found again.
    pub(super) fn lost(&self, error: &Error) -> Fault {
        let why = format!("{} is away: {error}", self.connector.place());
        if lock(&self.why_away).replace(why.clone()).is_none() {
            tracing::warn!(%error, database = self.connector.place(), "the database is away: sends are refused until it is back");
            metrics::gauge!("ringback_store_away").set(1.0);
            self.was_lost.store(true, Ordering::Relaxed);
            self.look();
        }
        Fault::unavailable(why)
    }

    /// Whether it has been away since this was last asked: older connections may lead nowhere.
    pub(super) fn was_lost(&self) -> bool {
        self.was_lost.swap(false, Ordering::Relaxed)
    }

    /// It is not to be used any more by this process: what we know of it has ceased to be true.
    pub(super) fn give_up(&self, error: &Error) -> Fault {
        let why = self.why_for_good.get_or_init(|| {
            tracing::error!(%error, database = self.connector.place(), "the database is not used any more: restart this process");
            metrics::gauge!("ringback_store_away").set(1.0);
            error.to_string()
        });
        Fault::unavailable(why.clone())
    }

    fn look(&self) {
        let (why_away, connector, stop) = (self.why_away.clone(), self.connector.clone(), self.stop.clone());
        tokio::spawn(async move {
            loop {
                match connector.connect().await {
                    Ok(_) => break,
                    Err(error) => {
                        lock(&why_away).replace(format!("{} is away: {error}", connector.place()));
                    }
                }
                if tokio::time::timeout(LOOK_EVERY, stop.cancelled()).await.is_ok() {
                    return;
                }
            }
            lock(&why_away).take();
            metrics::gauge!("ringback_store_away").set(0.0);
            tracing::info!(database = connector.place(), "the database is back");
        });
    }
}

fn lock(why: &Mutex<Option<String>>) -> std::sync::MutexGuard<'_, Option<String>> {
    why.lock().unwrap_or_else(PoisonError::into_inner)
}
