//! The deadlines of messages that wait for a verdict.

use std::sync::Arc;
use std::time::Duration;

use chat::message::settle::{SettleOverdue, Settled};
use chat::{Actor, Chat, Origin};
use tokio_util::sync::CancellationToken;

/// A deadline is this late at most, while nothing else is.
const EVERY: Duration = Duration::from_secs(1);

/// So many deadlines are settled before it is looked again which there are: few enough that a stop need not wait long.
const AT_ONCE: usize = 100;

/// Settles deadlines until it is told to stop. Several servers may do so for one database.
pub(crate) async fn settle(chat: Arc<Chat>, stop: CancellationToken) {
    loop {
        let settled = chat.run(&Actor::System, &Origin::default(), SettleOverdue { limit: AT_ONCE }).await;
        // What failed is in the log, and tried again in its time.
        let is_more = matches!(settled, Ok(Settled { settled, forgotten, .. }) if settled.max(forgotten) >= AT_ONCE);
        let pause = if is_more { Duration::ZERO } else { EVERY };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
