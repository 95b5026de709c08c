//! Unread one-to-one messages: `Store::unread_direct`.

use chat::event::{Event, Position};
use chat::message::Keeping;
use chat::port::Write;

use crate::fixtures::{NEARLY_EQUAL, all_at_once, changes, direct, in_group, kept, message, not_sent, uncounted};
use crate::fresh::Fresh;

cases! {
    there_are_none_at_first,
    each_message_counts_for_its_recipient,
    conversations_are_counted_apart_and_together,
    sending_reads_if_it_says_so,
    sending_when_nothing_is_unread_keeps_it_so,
    messages_may_be_sent_uncounted,
    only_kept_direct_messages_count,
    what_one_sends_to_oneself_is_read,
    counted_as_of_a_position_in_the_past,
    the_past_is_as_it_was_before_one_read,
    a_past_without_the_uncounted,
    a_past_of_all_conversations_together,
    ids_compare_as_bytes,
    many_writers_are_counted_exactly_at_each_moment,
}

async fn unread(store: &Fresh, account: &str, peer: &str) -> u64 {
    store.unread_direct(&account.into(), Some(&peer.into()), None).await.unwrap()
}

async fn unread_in_all(store: &Fresh, account: &str) -> u64 {
    store.unread_direct(&account.into(), None, None).await.unwrap()
}

async fn send_from(store: &Fresh, sender: &str, recipient: &str) {
    store.send(message(sender, direct(sender, recipient))).await;
}

async fn read_by_sending(store: &Fresh, sender: &str, recipient: &str) {
    store.send_reading(message(sender, direct(sender, recipient))).await;
}

/// What is unread with `peer` as of each event of that conversation, and before it and after it.
async fn past(store: &Fresh, account: &str, peer: &str) -> Vec<u64> {
    let log = store.log_of(&direct(account, peer)).await;
    let mut positions = vec![Position(0)];
    positions.extend(log.iter().map(|entry| entry.position));
    positions.push(Position(u64::MAX));
    let mut counts = Vec::new();
    for position in positions {
        counts.push(store.unread_direct(&account.into(), Some(&peer.into()), Some(position)).await.unwrap());
    }
    counts
}

async fn there_are_none_at_first(store: Fresh) {
    assert_eq!(unread_in_all(&store, "nobody").await, 0);
    assert_eq!(unread(&store, "nobody", "neither").await, 0);
    store.has(&["a", "b"]).await;
    assert_eq!(unread_in_all(&store, "a").await, 0);
    assert_eq!(unread(&store, "a", "b").await, 0);
    send_from(&store, "a", "b").await;
    assert_eq!(unread(&store, "b", "nobody").await, 0);
    assert_eq!(unread(&store, "nobody", "b").await, 0);
    assert_eq!(store.unread_direct(&"a".into(), None, Some(Position(0))).await.unwrap(), 0);
}

async fn each_message_counts_for_its_recipient(store: Fresh) {
    store.has(&["a", "b"]).await;
    for count in 1..=3 {
        send_from(&store, "b", "a").await;
        assert_eq!((unread(&store, "a", "b").await, unread(&store, "b", "a").await), (count, 0));
    }
    send_from(&store, "a", "b").await;
    assert_eq!((unread(&store, "a", "b").await, unread(&store, "b", "a").await), (3, 1), "answering is not reading");
}

async fn conversations_are_counted_apart_and_together(store: Fresh) {
    store.has(&["a", "b", "c", "d"]).await;
    for (sender, recipient) in [("a", "b"), ("c", "b"), ("c", "b"), ("b", "d"), ("a", "d")] {
        send_from(&store, sender, recipient).await;
    }
    let mut of_b = Vec::new();
    for peer in ["a", "c", "d"] {
        of_b.push(unread(&store, "b", peer).await);
    }
    assert_eq!((of_b, unread_in_all(&store, "b").await), (vec![1, 2, 0], 3));
    assert_eq!((unread(&store, "d", "a").await, unread_in_all(&store, "d").await), (1, 2));
    assert_eq!((unread_in_all(&store, "a").await, unread_in_all(&store, "c").await), (0, 0));
}

async fn sending_reads_if_it_says_so(store: Fresh) {
    store.has(&["a", "b", "c"]).await;
    send_from(&store, "b", "a").await;
    send_from(&store, "b", "a").await;
    send_from(&store, "c", "a").await;
    read_by_sending(&store, "a", "b").await;
    assert_eq!((unread(&store, "a", "b").await, unread(&store, "a", "c").await), (0, 1));
    assert_eq!(unread(&store, "b", "a").await, 1);
    send_from(&store, "b", "a").await;
    assert_eq!(unread(&store, "a", "b").await, 1);
}

async fn sending_when_nothing_is_unread_keeps_it_so(store: Fresh) {
    store.has(&["a", "b"]).await;
    send_from(&store, "a", "b").await;
    send_from(&store, "a", "b").await;
    send_from(&store, "b", "a").await;
    assert_eq!(past(&store, "a", "b").await, [0, 0, 0, 1, 1]);
    assert_eq!(past(&store, "b", "a").await, [0, 1, 2, 2, 2]);
}

async fn messages_may_be_sent_uncounted(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.send(uncounted(message("b", direct("a", "b")))).await;
    assert_eq!(unread(&store, "a", "b").await, 0);
    send_from(&store, "b", "a").await;
    store.send(uncounted(message("b", direct("a", "b")))).await;
    assert_eq!((unread(&store, "a", "b").await, unread_in_all(&store, "a").await), (1, 1));
}

async fn only_kept_direct_messages_count(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a", "b"]).await;
    store.send(kept(Keeping::OnlineOnly, message("b", direct("a", "b")))).await;
    store.send(message("b", in_group("g"))).await;
    store.send(kept(Keeping::Live, message("b", in_group("g")))).await;
    store.write(vec![Write::Append(Box::new(not_sent(message("b", direct("a", "b")))))]).await;
    assert_eq!(unread_in_all(&store, "a").await, 0);
    send_from(&store, "b", "a").await;
    store.send(kept(Keeping::OnlineOnly, message("b", direct("a", "b")))).await;
    assert_eq!(unread_in_all(&store, "a").await, 1);
    assert_eq!(past(&store, "a", "b").await, [0, 0, 0, 1, 1, 1]);
}

async fn what_one_sends_to_oneself_is_read(store: Fresh) {
    store.has(&["a"]).await;
    send_from(&store, "a", "a").await;
    read_by_sending(&store, "a", "a").await;
    send_from(&store, "a", "a").await;
    assert_eq!((unread(&store, "a", "a").await, unread_in_all(&store, "a").await), (0, 0));
    assert_eq!(past(&store, "a", "a").await, [0; 5]);
}

async fn counted_as_of_a_position_in_the_past(store: Fresh) {
    store.has(&["a", "b"]).await;
    for (sender, recipient) in [("b", "a"), ("b", "a"), ("a", "b"), ("b", "a"), ("a", "b")] {
        send_from(&store, sender, recipient).await;
    }
    assert_eq!(past(&store, "a", "b").await, [0, 1, 2, 2, 3, 3, 3]);
    assert_eq!(past(&store, "b", "a").await, [0, 0, 0, 1, 1, 2, 2]);
}

async fn the_past_is_as_it_was_before_one_read(store: Fresh) {
    store.has(&["a", "b"]).await;
    send_from(&store, "b", "a").await;
    send_from(&store, "b", "a").await;
    read_by_sending(&store, "a", "b").await;
    assert_eq!(past(&store, "a", "b").await, [0, 1, 2, 0, 0]);
    send_from(&store, "b", "a").await;
    send_from(&store, "a", "b").await;
    send_from(&store, "b", "a").await;
    assert_eq!(past(&store, "a", "b").await, [0, 1, 2, 0, 1, 1, 2, 2]);
    read_by_sending(&store, "a", "b").await;
    assert_eq!(past(&store, "a", "b").await, [0, 1, 2, 0, 1, 1, 2, 0, 0]);
    assert_eq!(past(&store, "b", "a").await, [0, 0, 0, 1, 1, 2, 2, 3, 3]);
}

async fn a_past_without_the_uncounted(store: Fresh) {
    store.has(&["a", "b"]).await;
    send_from(&store, "b", "a").await;
    store.send(uncounted(message("b", direct("a", "b")))).await;
    send_from(&store, "b", "a").await;
    store.send(uncounted(message("b", direct("a", "b")))).await;
    assert_eq!(past(&store, "a", "b").await, [0, 1, 1, 2, 2, 2]);
}

async fn a_past_of_all_conversations_together(store: Fresh) {
    store.has(&["a", "b", "c", "d"]).await;
    let mut counts = Vec::new();
    for (sender, recipient, reads) in [
        ("b", "a", false),
        ("c", "a", false),
        ("b", "a", false),
        ("d", "a", false),
        ("c", "a", false),
        ("a", "b", false),
        ("a", "c", true),
        ("b", "c", false),
        ("b", "a", true),
        ("a", "b", true),
        ("c", "a", false),
    ] {
        let message = message(sender, direct(sender, recipient));
        store.write(vec![Write::Send { message: Box::new(message), repeat: None, reads }]).await;
        // Now is the past of everything that follows. If one account's conversations can stand in several
        // shards, a position alone says nothing about all of them: then this case needs a shard, and so does the port.
        let [shard] = store.shards()[..] else { panic!("a position of one shard is compared with others") };
        counts.push((*store.head(shard).borrow(), unread_in_all(&store, "a").await));
    }
    let now: Vec<u64> = counts.iter().map(|(_, count)| *count).collect();
    assert_eq!(now, [1, 2, 3, 4, 5, 5, 3, 3, 4, 1, 2]);
    for (position, count) in counts {
        let then = store.unread_direct(&"a".into(), None, Some(position)).await.unwrap();
        assert_eq!(then, count, "{position:?}");
    }
}

async fn ids_compare_as_bytes(store: Fresh) {
    store.has(&NEARLY_EQUAL).await;
    store.has(&["peer"]).await;
    for (index, id) in NEARLY_EQUAL.into_iter().enumerate() {
        for _ in 0..index {
            send_from(&store, id, "peer").await;
        }
        send_from(&store, "peer", id).await;
    }
    for (index, id) in NEARLY_EQUAL.into_iter().enumerate() {
        assert_eq!((unread(&store, "peer", id).await, unread_in_all(&store, id).await), (index as u64, 1), "{id:?}");
    }
}

/// 16 writers to and fro: some messages do not count, some read.
async fn many_writers_are_counted_exactly_at_each_moment(store: Fresh) {
    store.has(&["a", "b"]).await;
    all_at_once(16, |writer| {
        let store = store.share();
        async move {
            for round in 0..20 {
                let sender = if writer % 2 == 0 { "a" } else { "b" };
                let mut message = message(sender, direct("a", "b"));
                message.delivery.no_unread = (writer + round) % 5 == 0;
                let reads = (writer + round) % 7 == 0;
                message.custom_data = reads.then(|| "reads".to_owned());
                let write = Write::Send { message: Box::new(message), repeat: None, reads };
                store.commit(changes(Vec::new(), vec![write])).await.unwrap();
            }
        }
    })
    .await;
    // Told again from the log what the store has counted along the way.
    let [mut of_a, mut of_b] = [0, 0];
    for entry in store.log_of(&direct("a", "b")).await {
        let Event::MessageSent(message) = entry.event else { panic!("{:?}", entry.event) };
        let (own, other) = if message.sender == "a".into() { (&mut of_a, &mut of_b) } else { (&mut of_b, &mut of_a) };
        if message.custom_data.is_some() {
            *own = 0;
        }
        *other += u64::from(!message.delivery.no_unread);
        for (account, expected) in [("a", of_a), ("b", of_b)] {
            let then = store.unread_direct(&account.into(), None, Some(entry.position)).await.unwrap();
            assert_eq!(then, expected, "of {account} at {:?}", entry.position);
        }
    }
    assert_eq!([unread(&store, "a", "b").await, unread(&store, "b", "a").await], [of_a, of_b]);
}
