//! The head of the log: `Store::head`.

use chat::event::{Position, Shard};
use chat::message::Keeping;
use chat::port::{Assertion, Write};
use tokio::sync::watch::Receiver;

use crate::fixtures::{
    changes, direct, for_ever, group_changed, impossible, in_group, kept, message, not_sent, repeatable, send,
};
use crate::fresh::Fresh;
use crate::ledger::Cursors;

cases! {
    it_is_at_the_beginning_at_first,
    it_moves_with_each_commit_that_appends,
    it_stays_when_nothing_is_appended,
    every_watcher_is_told,
    it_is_where_the_log_ends,
}

/// A watcher of each shard, who has seen where it stands.
fn watchers(store: &Fresh) -> Vec<(Shard, Receiver<Position>)> {
    let mut heads: Vec<_> = store.shards().into_iter().map(|shard| (shard, store.head(shard))).collect();
    heads.iter_mut().for_each(|(_, head)| _ = head.borrow_and_update());
    heads
}

/// The shards whose watchers are told that it moved.
fn moved(watchers: &mut [(Shard, Receiver<Position>)]) -> Vec<Shard> {
    let told = watchers.iter_mut().filter(|(_, head)| head.has_changed().expect("the store is still open"));
    told.map(|(shard, head)| (*shard, head.borrow_and_update()).0).collect()
}

async fn has_some(store: &Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a"]).await;
}

async fn it_is_at_the_beginning_at_first(store: Fresh) {
    for shard in store.shards() {
        assert_eq!(*store.head(shard).borrow(), Position(0));
    }
}

async fn it_moves_with_each_commit_that_appends(store: Fresh) {
    has_some(&store).await;
    let mut watchers = watchers(&store);
    for write in [
        send(message("a", direct("a", "b"))),
        send(message("a", in_group("g"))),
        send(kept(Keeping::OnlineOnly, message("a", in_group("g")))),
        send(kept(Keeping::Live, message("a", in_group("g")))),
        Write::Append(Box::new(not_sent(message("a", direct("a", "b"))))),
        Write::Append(Box::new(group_changed("g"))),
    ] {
        let shown = format!("{write:?}");
        store.write(vec![write]).await;
        // Told before the answer: whoever sends and then looks at the log finds it there.
        assert_eq!(moved(&mut watchers).len(), 1, "{shown}");
        assert_eq!(moved(&mut watchers), [], "once");
    }
}

async fn it_stays_when_nothing_is_appended(store: Fresh) {
    has_some(&store).await;
    store.commit(repeatable(message("a", direct("a", "b")), for_ever("k"))).await.unwrap();
    let mut watchers = watchers(&store);

    store.has(&["c", "a"]).await;
    store.has_group("g", &["b"]).await;
    store.write(vec![]).await;
    store.write(vec![Write::AddBlocks { owner: "a".into(), targets: vec!["b".into()], now: Default::default() }]).await;
    let broken = changes(vec![Assertion::NoGroup("g".into())], vec![send(message("a", in_group("g")))]);
    store.commit(broken).await.unwrap_err();
    store.commit(repeatable(message("a", direct("a", "b")), for_ever("k"))).await.unwrap_err();
    store.commit(changes(vec![], vec![send(message("a", in_group("g"))), impossible()])).await.unwrap_err();
    for shard in store.shards() {
        store.save_cursor("app", shard, Position(9)).await.unwrap();
    }
    assert_eq!(moved(&mut watchers), []);
}

async fn every_watcher_is_told(store: Fresh) {
    has_some(&store).await;
    let mut all: Vec<_> = (0..5).map(|_| watchers(&store)).collect();
    store.send(message("a", direct("a", "b"))).await;
    store.send(message("a", direct("a", "b"))).await;
    let shard = store.log().await[0].shard;
    for watchers in &mut all {
        assert_eq!(moved(watchers), [shard], "several moves at once are one to who was not looking");
    }
    let (_, mut late) = watchers(&store).swap_remove(0);
    assert!(!late.has_changed().unwrap());
    assert!(*late.borrow_and_update() <= store.log().await.last().unwrap().position);
}

async fn it_is_where_the_log_ends(store: Fresh) {
    has_some(&store).await;
    for _ in 0..3 {
        for conversation in [direct("a", "b"), in_group("g")] {
            store.write(vec![send(message("a", conversation.clone())), send(message("a", conversation))]).await;
            for shard in store.shards() {
                let last = store.log_after(shard, Position(0), 1000).await.unwrap().last().map(|entry| entry.position);
                assert_eq!(*store.head(shard).borrow(), last.unwrap_or_default());
            }
        }
    }
}
