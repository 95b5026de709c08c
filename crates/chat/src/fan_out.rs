//! Fan-out: what has happened, given to whoever is connected here and concerned by it.
//!
//! It reads the log as everybody does who follows a commit. It starts at the end, keeps no cursor, and goes no further back:
//! who was not connected pulls.

use std::sync::Arc;
use std::time::Duration;

use crate::conversation::ConversationId;
use crate::event::{Event, LogEntry, Position, Shard};
use crate::online::{Happening, Online};
use crate::port::Log;

/// So many events are read at once.
const PAGE: usize = 256;

/// How long to wait before the log is read again when it could not be.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// What cannot be read after so many tries, although the store is there, is passed over: the rest of the shard is not to wait
/// for it.
const MOST_TRIES: u32 = 3;

/// Reads one shard of the log to whoever is connected, in the order of the log, until it is dropped.
pub async fn run(log: Arc<dyn Log>, online: Arc<Online>, shard: Shard) {
    let mut head = log.head(shard);
    let mut position = *head.borrow_and_update();
    loop {
        if head.changed().await.is_err() {
            // The store is gone, and so is the server.
            return;
        }
        let newest = *head.borrow_and_update();
        read_on(&*log, &online, shard, &mut position, newest).await;
    }
}

/// Reads up to `head`.
async fn read_on(log: &dyn Log, online: &Online, shard: Shard, position: &mut Position, head: Position) {
    let mut tries = 0;
    while *position < head {
        // Whoever connects from now on reads what is committed by now, and needs no hint of it.
        if online.count() == 0 {
            *position = head;
            return;
        }
        match log.log_after(shard, *position, PAGE).await {
            Ok(entries) => {
                tries = 0;
                let Some(last) = entries.last() else {
                    *position = head;
                    return;
                };
                *position = last.position;
                for entry in entries {
                    give(online, entry);
                }
            }
            Err(fault) => {
                if !fault.is_unavailable() {
                    tries += 1;
                    tracing::error!(%fault, shard = shard.0, tries, "the log could not be read for those who are connected");
                    if tries == MOST_TRIES {
                        // They are hints: whoever misses one notices it at the next, or when connecting anew.
                        *position = head;
                        return;
                    }
                }
                tokio::time::sleep(RETRY_EVERY).await;
            }
        }
    }
}

/// Gives one event to those whom it concerns.
fn give(online: &Online, entry: LogEntry) {
    let happening = Arc::new(Happening::new(entry));
    match &happening.entry.event {
        Event::MessageSent(message) => match &message.conversation {
            ConversationId::Direct(one, other) => {
                for party in [one, other] {
                    if message.is_visible_to(party) {
                        online.give(party, &happening);
                    }
                    if one == other {
                        break;
                    }
                }
            }
            // Members of a community are members of its topics.
            ConversationId::Group(group) | ConversationId::Topic(group, _) => {
                online.give_group(group, &happening, |member| message.is_visible_to(member));
            }
        },
        // Its sender was told as the answer; the change of a group is pulled; endpoints are the operator's.
        Event::MessageNotSent { .. } | Event::GroupChanged(_) | Event::EndpointPaused(_) => {}
    }
}
