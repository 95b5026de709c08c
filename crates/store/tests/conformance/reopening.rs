//! What is left when a store is dropped, at any moment and without a farewell, and opened again.

use std::task::{Context, Waker};

use chat::event::Position;
use chat::message::Keeping;
use chat::port::{Assertion, CommitError, Write};

use crate::fixtures::{
    NOW, all_at_once, changes, direct, for_ever, group_changed, ids, in_group, in_topic, kept, members, message,
    not_sent, repeatable, send, topic, uncounted,
};
use crate::fresh::Fresh;
use crate::ledger::Cursors;

cases! {
    an_empty_store_stays_empty,
    everything_is_kept,
    seqs_and_positions_go_on,
    repeats_are_still_recognised,
    whatever_was_answered_is_there,
    what_nobody_waits_for_any_more_is_whole_or_not_there,
}

async fn an_empty_store_stays_empty(store: Fresh) {
    let before = store.picture().await;
    let store = store.reopen().await.reopen().await;
    assert_eq!(store.picture().await, before);
    assert_eq!(store.log().await, []);
}

async fn everything_is_kept(store: Fresh) {
    store.has(&["a", "b", "c", "d"]).await;
    store.has_group("g", &["a", "b"]).await;
    store.has_group("h", &["a"]).await;
    store
        .write(vec![
            Write::AddTopic(Box::new(topic("g", "t"))),
            Write::AddTopic(Box::new(topic("h", "u"))),
            Write::AddBlocks { owner: "a".into(), targets: ids(&["b", "c"]), now: NOW },
            Write::AddMembers("g".into(), members(&["d", "c"])),
            send(message("a", direct("a", "b"))),
            send(message("c", direct("c", "b"))),
            send(uncounted(message("a", direct("a", "a")))),
            send(message("a", in_group("g"))),
            send(message("a", in_topic("g", "t"))),
            send(kept(Keeping::OnlineOnly, message("a", in_group("g")))),
            send(kept(Keeping::Live, message("b", in_group("g")))),
            Write::Append(Box::new(not_sent(message("a", direct("a", "c"))))),
            Write::Append(Box::new(group_changed("h"))),
        ])
        .await;
    for shard in store.shards() {
        store.save_cursor("app", shard, Position(3)).await.unwrap();
    }
    let before = store.picture().await;
    assert!(before.iter().any(|line| line == "b has unread 2"), "{before:#?}");
    let store = store.reopen().await;
    assert_eq!(store.picture().await, before);
    let store = store.reopen().await;
    assert_eq!(store.picture().await, before);
}

async fn seqs_and_positions_go_on(mut store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a"]).await;
    let conversations = [direct("a", "b"), in_group("g")];
    for round in 1..=3 {
        for conversation in &conversations {
            assert_eq!(store.send(message("a", conversation.clone())).await.seq, round);
        }
        // The last event is one without a seq.
        store.write(vec![Write::Append(Box::new(group_changed("g")))]).await;
        store = store.reopen().await;
        for shard in store.shards() {
            let log = store.log_after(shard, Position(0), 1000).await.unwrap();
            assert!(log.windows(2).all(|pair| pair[0].position < pair[1].position));
            assert_eq!(*store.head(shard).borrow(), log.last().map_or(Position(0), |entry| entry.position));
        }
    }
    assert_eq!(store.log().await.len(), 9);
}

async fn repeats_are_still_recognised(store: Fresh) {
    store.has(&["a", "b"]).await;
    let first = message("a", direct("a", "b"));
    store.commit(repeatable(first.clone(), for_ever("k"))).await.unwrap();
    let store = store.reopen().await;
    match store.commit(repeatable(message("a", direct("a", "b")), for_ever("k"))).await {
        Err(CommitError::Repeat(found)) => assert_eq!((found.id, found.seq), (first.id, 1)),
        other => panic!("{other:?}"),
    }
}

/// Many write at the same time, and the store is dropped as soon as the last has its answer.
async fn whatever_was_answered_is_there(mut store: Fresh) {
    store.has(&["a", "b"]).await;
    for round in 1..=5_u64 {
        let sent = all_at_once(64, |_| {
            let store = store.share();
            async move {
                let message = message("a", direct("a", "b"));
                let receipt = store.commit(changes(vec![], vec![send(message.clone())])).await.unwrap();
                (receipt.seqs[0], message.id)
            }
        });
        let mut sent = sent.await;
        sent.sort_unstable();
        store = store.reopen().await;
        let mut history = store.history(&direct("a", "b")).await;
        assert_eq!(history.len() as u64, round * 64);
        let history = history.split_off((round as usize - 1) * 64);
        assert_eq!(history.iter().map(|message| (message.seq, message.id)).collect::<Vec<_>>(), sent);
    }
}

/// The store is dropped while commits wait in line whose callers have given up. It does not write behind the back of
/// the one that is opened next.
async fn what_nobody_waits_for_any_more_is_whole_or_not_there(mut store: Fresh) {
    store.has(&["a", "b"]).await;
    for round in 1..=5 {
        for _ in 0..500 {
            let pair = [message("a", direct("a", "b")), message("b", direct("a", "b"))];
            let given_up = store.commit(changes(vec![Assertion::NoGroup("g".into())], pair.map(send).to_vec()));
            let mut given_up = std::pin::pin!(given_up);
            _ = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        store = store.reopen().await;
        for _ in 0..2 {
            store.send(message("a", direct("a", "b"))).await;
        }
        let history = store.history(&direct("a", "b")).await;
        let seqs: Vec<u64> = history.iter().map(|message| message.seq).collect();
        assert_eq!(seqs, (1..=history.len() as u64).collect::<Vec<_>>(), "round {round}");
        assert_eq!(history.len() % 2, 0, "both of a pair or none");
    }
}
