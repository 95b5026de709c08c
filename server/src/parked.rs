//! The deadlines of messages that wait for a verdict.

use std::sync::Arc;
use std::time::Duration;

use chat::message::settle::{SettleOverdue, Settled};
use chat::{Actor, Chat, Origin};
use tokio_util::sync::CancellationToken;

/// A deadline is this late at most, while nothing else is.
const EVERY: Duration = Duration::from_secs(1);

/// So many deadlines are settled before it is looked again which there are: some 20 KB each, 2 MB in memory.
const AT_ONCE: usize = 100;

/// Between a page of deadlines of which none could be settled and the next: 100,000 that wait for room at an endpoint are
/// passed in two minutes, at some 20 MB a second, which is not all that the database can give.
const NONE_SETTLED: Duration = Duration::from_millis(100);

/// Settles deadlines until it is told to stop. Several servers may do so for one database.
pub(crate) async fn settle(chat: Arc<Chat>, stop: CancellationToken) {
    let (origin, mut after) = (Origin::default(), None);
    loop {
        let settle = SettleOverdue { limit: AT_ONCE, after };
        // Endpoints may be asked, and take their time: a stop does not wait for them. What is not settled by then is settled
        // after the next start.
        let settled = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            settled = chat.run(&Actor::System, &origin, settle) => settled,
        };
        // What failed is in the log, and tried again in its time: those after it have their turn first.
        after = settled.as_ref().ok().and_then(|settled| settled.next);
        let pause = match settled {
            Ok(Settled { settled, forgotten, next, .. }) if next.is_some() || forgotten >= AT_ONCE => {
                if settled + forgotten > 0 { Duration::ZERO } else { NONE_SETTLED }
            }
            _ => EVERY,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
