//! Whether the database is there. While it is away, whoever asks is refused at once instead of waiting for connections
//! that are not to be had; one task looks for it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chat::Fault;
use tokio::time::Instant;
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
    /// When it was found to be away last.
    lost_at: Mutex<Option<Instant>>,
    connector: Connector,
    stop: CancellationToken,
}

impl Availability {
    pub(super) fn new(connector: Connector, stop: CancellationToken) -> Self {
        Self { why_away: Arc::default(), why_for_good: OnceLock::new(), lost_at: Mutex::default(), connector, stop }
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
            lock(&self.lost_at).replace(Instant::now());
            self.look();
        }
        Fault::unavailable(why)
    }

    /// Whether a connection is from before the database was away last: it may lead nowhere, or to a server that is no
    /// longer the right one.
    pub(super) fn is_stale(&self, connected: Instant) -> bool {
        lock(&self.lost_at).is_some_and(|lost| connected <= lost)
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
