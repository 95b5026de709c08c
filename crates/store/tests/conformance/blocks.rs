//! Blocks: `Store::{is_blocked, blocks}`, `Write::AddBlocks`, `Assertion::NotBlocked`.

use chat::id::AccountId;
use chat::port::{Assertion, Write};

use crate::fixtures::{NEARLY_EQUAL, NOW, at, ids};
use crate::fresh::Fresh;

cases! {
    there_are_none_at_first,
    a_block_has_a_direction,
    blocks_are_listed_in_the_order_asked_and_counted_in_all,
    blocking_again_changes_nothing,
    blocking_strangers_does_nothing,
    one_may_block_oneself,
    ids_compare_as_bytes,
    a_thousand_are_blocked_at_once,
    not_blocked_holds_until_blocked,
}

async fn block(store: &Fresh, owner: &str, targets: &[&str]) {
    store.write(vec![Write::AddBlocks { owner: owner.into(), targets: ids(targets), now: NOW }]).await;
}

async fn blocked(store: &Fresh, owner: &str, target: &str) -> bool {
    store.is_blocked(&owner.into(), &target.into()).await.unwrap()
}

async fn there_are_none_at_first(store: Fresh) {
    assert!(!blocked(&store, "nobody", "neither").await);
    assert_eq!(store.blocks(&"nobody".into(), &ids(&["neither"])).await.unwrap(), (vec![], 0));
    store.has(&["a", "b"]).await;
    assert!(!blocked(&store, "a", "b").await);
    assert_eq!(store.blocks(&"a".into(), &ids(&["b"])).await.unwrap(), (vec![], 0));
    assert_eq!(store.blocks(&"a".into(), &[]).await.unwrap(), (vec![], 0));
}

async fn a_block_has_a_direction(store: Fresh) {
    store.has(&["a", "b", "c"]).await;
    block(&store, "a", &["b"]).await;
    assert!(blocked(&store, "a", "b").await);
    assert!(!blocked(&store, "b", "a").await);
    assert!(!blocked(&store, "a", "c").await);
    assert!(!blocked(&store, "c", "b").await);
    assert_eq!(store.blocks(&"b".into(), &ids(&["a", "b", "c"])).await.unwrap(), (vec![], 0));
}

async fn blocks_are_listed_in_the_order_asked_and_counted_in_all(store: Fresh) {
    store.has(&["a", "b", "c", "d", "e"]).await;
    block(&store, "a", &["b", "c", "d"]).await;
    block(&store, "e", &["a"]).await;
    let asked = ids(&["d", "e", "nobody", "b"]);
    assert_eq!(store.blocks(&"a".into(), &asked).await.unwrap(), (ids(&["d", "b"]), 3));
    assert_eq!(store.blocks(&"a".into(), &[]).await.unwrap(), (vec![], 3));
}

async fn blocking_again_changes_nothing(store: Fresh) {
    store.has(&["a", "b", "c"]).await;
    block(&store, "a", &["b", "b"]).await;
    let again = Write::AddBlocks { owner: "a".into(), targets: ids(&["c", "b"]), now: at(1) };
    store.write(vec![again]).await;
    assert_eq!(store.blocks(&"a".into(), &ids(&["b", "c"])).await.unwrap(), (ids(&["b", "c"]), 2));
}

async fn blocking_strangers_does_nothing(store: Fresh) {
    store.has(&["a", "b"]).await;
    block(&store, "a", &["nobody", "b"]).await;
    block(&store, "nobody", &["a"]).await;
    block(&store, "a", &[]).await;
    assert_eq!(store.blocks(&"a".into(), &ids(&["nobody", "b"])).await.unwrap(), (ids(&["b"]), 1));
    store.has(&["nobody"]).await;
    assert!(!blocked(&store, "a", "nobody").await);
    assert!(!blocked(&store, "nobody", "a").await);
}

async fn one_may_block_oneself(store: Fresh) {
    store.has(&["a"]).await;
    block(&store, "a", &["a"]).await;
    assert!(blocked(&store, "a", "a").await);
}

async fn ids_compare_as_bytes(store: Fresh) {
    store.has(&NEARLY_EQUAL).await;
    for (index, target) in NEARLY_EQUAL.into_iter().enumerate() {
        block(&store, "a", &[target]).await;
        let expected = ids(&NEARLY_EQUAL[..=index]);
        let count = expected.len() as u64;
        assert_eq!(store.blocks(&"a".into(), &ids(&NEARLY_EQUAL)).await.unwrap(), (expected, count));
    }
    assert_eq!(store.blocks(&"A".into(), &ids(&NEARLY_EQUAL)).await.unwrap(), (vec![], 0));
}

async fn a_thousand_are_blocked_at_once(store: Fresh) {
    let many: Vec<String> = (0..1000).map(|number| format!("account-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    store.has(&["a"]).await;
    store.has(&many).await;
    block(&store, "a", &many).await;
    let many: Vec<AccountId> = ids(&many);
    assert_eq!(store.blocks(&"a".into(), &many).await.unwrap(), (many, 1000));
}

async fn not_blocked_holds_until_blocked(store: Fresh) {
    let not_blocked = |owner: &str, target: &str| Assertion::NotBlocked(owner.into(), target.into());
    assert!(store.holds(not_blocked("a", "b")).await, "strangers block nobody");
    store.has(&["a", "b"]).await;
    assert!(store.holds(not_blocked("a", "b")).await);
    block(&store, "a", &["b"]).await;
    assert!(!store.holds(not_blocked("a", "b")).await);
    assert!(store.holds(not_blocked("b", "a")).await);
}
