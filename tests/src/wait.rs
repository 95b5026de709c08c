//! Deadlines. A wait ends when the thing has happened; the deadline only turns "never" into a failure.

use std::future::Future;
use std::time::Duration;

/// Longer than anything correct takes, even on a busy machine with two cores: an endpoint that was down
/// is probed at least every 15 s.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Awaits `future`, or fails the test saying what was waited for.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {} s in vain for {what}", PATIENCE.as_secs()),
    }
}

/// Tries again until `attempt` gives something. Only for what cannot be waited for: the state of another
/// process that tells nobody (a port that opens, a counter that grows).
pub async fn until<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(found) = attempt().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}
