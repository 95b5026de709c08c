//! Gaps: `Ledger::{trim, gaps}`.

use chat::event::{Position, Shard};
use chat::port::Write;
use webhook::ledger::{Gap, Trimmed};

use crate::fixtures::{at, group_changed};
use crate::fresh::Fresh;

cases! {
    who_was_told_of_all_that_is_removed_has_none,
    who_was_let_go_has_one_that_grows,
    the_newest_are_kept,
    they_are_kept_over_a_restart,
}

/// A log of 40 events, none of which is in the history; its shard, and the position of the first.
async fn a_log(store: &Fresh) -> (Shard, u64) {
    store.has_group("g", &[]).await;
    store.write((0..40).map(|_| Write::Append(Box::new(group_changed("g")))).collect()).await;
    let entry = store.log().await.remove(0);
    (entry.shard, entry.position.0)
}

async fn trim(store: &Fresh, shard: Shard, up_to: u64, let_go: &[(&str, u64)], now: i64) -> Trimmed {
    let let_go = let_go.iter().map(|(endpoint, told)| ((*endpoint).to_owned(), Position(*told))).collect();
    store.trim(shard, Position(0), Position(up_to), 2000, let_go, at(now)).await.unwrap()
}

async fn of(store: &Fresh, endpoint: &str) -> Vec<(u64, u64, i64)> {
    let gaps = store.gaps(endpoint).await.unwrap();
    assert!(gaps.iter().all(|gap| gap.endpoint == endpoint));
    gaps.iter().map(|gap| (gap.after.0, gap.up_to.0, gap.time.millis() - at(0).millis())).collect()
}

async fn who_was_told_of_all_that_is_removed_has_none(store: Fresh) {
    let (shard, first) = a_log(&store).await;
    assert_eq!(of(&store, "app").await, []);
    let trimmed = trim(&store, shard, first + 4, &[("app", first + 4), ("audit", first + 9)], 1).await;
    assert_eq!((trimmed.events, trimmed.last), (5, Position(first + 4)));
    // There is nothing to remove any more.
    assert_eq!(trim(&store, shard, first + 4, &[("app", first)], 2).await, Trimmed::default());
    assert_eq!((of(&store, "app").await, of(&store, "audit").await), (vec![], vec![]));
}

async fn who_was_let_go_has_one_that_grows(store: Fresh) {
    let (shard, first) = a_log(&store).await;
    let (early, late) = (first + 1, first + 7);
    trim(&store, shard, first + 4, &[("app", early), ("audit", late)], 1).await;
    assert_eq!(of(&store, "app").await, [(early, first + 4, 1)]);
    assert_eq!(of(&store, "audit").await, []);
    trim(&store, shard, first + 9, &[("app", early), ("audit", late)], 2).await;
    assert_eq!(of(&store, "app").await, [(early, first + 9, 2)]);
    assert_eq!(of(&store, "audit").await, [(late, first + 9, 2)]);
    // It was told of more, and is let go again.
    trim(&store, shard, first + 20, &[("app", first + 15), ("audit", late)], 3).await;
    assert_eq!(of(&store, "app").await, [(early, first + 9, 2), (first + 15, first + 20, 3)]);
    assert_eq!(of(&store, "audit").await, [(late, first + 20, 3)]);
    let gap = Gap { endpoint: "audit".into(), shard, after: Position(late), up_to: Position(first + 20), time: at(3) };
    assert_eq!(store.gaps("audit").await.unwrap(), [gap]);
}

async fn the_newest_are_kept(store: Fresh) {
    store.has_group("g", &[]).await;
    store.write((0..1010).map(|_| Write::Append(Box::new(group_changed("g")))).collect()).await;
    let entry = store.log().await.remove(0);
    let (shard, first) = (entry.shard, entry.position.0);
    let told: Vec<_> = (0..1005).map(|number| ("app", first + number)).collect();
    trim(&store, shard, first + 1005, &told, 1).await;
    let gaps = of(&store, "app").await;
    assert_eq!(gaps.len(), 1000);
    assert_eq!((gaps[0].0, gaps[999].0), (first + 5, first + 1004), "the oldest first");
    // One that was noted before grows and is not noted anew.
    trim(&store, shard, first + 1006, &told[500..501], 2).await;
    let gaps = of(&store, "app").await;
    assert_eq!((gaps.len(), gaps[495]), (1000, (first + 500, first + 1006, 2)));
}

async fn they_are_kept_over_a_restart(store: Fresh) {
    let (shard, first) = a_log(&store).await;
    trim(&store, shard, first + 4, &[("app", first)], 1).await;
    let store = store.reopen().await;
    assert_eq!(of(&store, "app").await, [(first, first + 4, 1)]);
}
