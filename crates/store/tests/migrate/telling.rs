//! Random logs and cursors in real databases: afterwards, every endpoint is owed what it was owed before.

use chat::event::Position;
use chat::message::Message;
use webhook::ledger::Progress;

use crate::fixtures::{at, direct, in_group, message, send};
use crate::fresh::Fresh;
use crate::ledger::{Cursors, lags};
use crate::places::{Database, is_known_everywhere, move_all, owed};

const ENDPOINTS: [&str; 3] = ["one", "two", "three"];

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    /// Less than `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn talk(store: &Fresh, dice: &mut Dice) {
    let accounts = ["a", "b", "c", "d", "e", "f"];
    store.has(&accounts).await;
    for group in ["g", "h", "i"] {
        store.has_group(group, &accounts).await;
    }
    for _ in 0..300 {
        let sender = accounts[dice.roll(6) as usize];
        let conversation = match dice.roll(3) {
            0 => in_group(["g", "h", "i"][dice.roll(3) as usize]),
            _ => direct(sender, accounts[dice.roll(6) as usize]),
        };
        // Clocks jump.
        let time = at(dice.roll(1000) as i64);
        store.write(vec![send(Message { time, ..message(sender, conversation) })]).await;
    }
}

async fn tell(store: &Fresh, dice: &mut Dice) {
    for endpoint in ENDPOINTS {
        for shard in store.shards() {
            let head = store.head(shard).borrow().0;
            let log = store.log_after(shard, Position(0), 10_000).await.unwrap();
            let mut behind = Vec::new();
            for entry in &log {
                if dice.roll(10) == 0 {
                    behind.push((entry.event.subject(), lags(dice.roll(head + 1))));
                }
            }
            // One shard in five has not heard of the endpoint.
            if dice.roll(5) > 0 {
                let cursor = Position(dice.roll(head + 1));
                store.save_progress(endpoint, shard, Progress { cursor, behind, letters: Vec::new() }).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_owed_is_owed_and_nothing_else() {
    for seed in 0..4 {
        let mut dice = Dice(seed);
        let mut here = match seed % 2 {
            0 => Database::postgres(9).await,
            _ => Database::sqlite(),
        };
        let store = here.open().await;
        talk(&store, &mut dice).await;
        tell(&store, &mut dice).await;
        let before = owed(&store, &ENDPOINTS).await;
        let mut known = Vec::new();
        for endpoint in ENDPOINTS {
            for shard in store.shards() {
                if store.told(endpoint, shard).await.unwrap().is_some() && !known.contains(&endpoint) {
                    known.push(endpoint);
                }
            }
        }
        drop(store);
        for next in [Database::sqlite(), Database::postgres(4).await, Database::postgres(2).await, Database::sqlite()] {
            move_all(&here, &next).await;
            let store = next.open().await;
            assert_eq!(owed(&store, &ENDPOINTS).await, before, "seed {seed}");
            for endpoint in &known {
                assert!(is_known_everywhere(&store, endpoint).await);
            }
            drop(store);
            here = next;
        }
    }
}
