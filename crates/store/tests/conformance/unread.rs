//! Unread one-to-one messages: `Store::unread_direct`, and what the log says was unread.

use chat::event::Event;
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
    the_log_says_what_its_recipient_had_unread,
    the_log_is_as_it_was_before_one_read,
    groups_have_no_unread_in_the_log,
    a_past_without_the_uncounted,
    a_past_of_all_conversations_together,
    ids_compare_as_bytes,
    many_writers_are_counted_exactly_at_each_moment,
    many_conversations_at_once_are_counted_together,
}

async fn unread(store: &Fresh, account: &str, peer: &str) -> u64 {
    store.unread_direct(&account.into(), Some(&peer.into())).await.unwrap()
}

async fn unread_in_all(store: &Fresh, account: &str) -> u64 {
    store.unread_direct(&account.into(), None).await.unwrap()
}

async fn send_from(store: &Fresh, sender: &str, recipient: &str) {
    store.send(message(sender, direct(sender, recipient))).await;
}

async fn read_by_sending(store: &Fresh, sender: &str, recipient: &str) {
    store.send_reading(message(sender, direct(sender, recipient))).await;
}

/// What the log says the recipient of each message had unread after it.
async fn past(store: &Fresh, one: &str, other: &str) -> Vec<Option<u64>> {
    store.log_of(&direct(one, other)).await.into_iter().map(|entry| entry.unread).collect()
}

fn counts(counts: &[u64]) -> Vec<Option<u64>> {
    counts.iter().copied().map(Some).collect()
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
    assert_eq!(past(&store, "a", "b").await, counts(&[1, 2, 1]));
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
    assert_eq!(past(&store, "a", "b").await, [Some(0), None, Some(1), Some(1)]);
}

async fn what_one_sends_to_oneself_is_read(store: Fresh) {
    store.has(&["a"]).await;
    send_from(&store, "a", "a").await;
    read_by_sending(&store, "a", "a").await;
    send_from(&store, "a", "a").await;
    assert_eq!((unread(&store, "a", "a").await, unread_in_all(&store, "a").await), (0, 0));
    assert_eq!(past(&store, "a", "a").await, counts(&[0; 3]));
}

async fn the_log_says_what_its_recipient_had_unread(store: Fresh) {
    store.has(&["a", "b"]).await;
    for (sender, recipient) in [("b", "a"), ("b", "a"), ("a", "b"), ("b", "a"), ("a", "b")] {
        send_from(&store, sender, recipient).await;
    }
    assert_eq!(past(&store, "a", "b").await, counts(&[1, 2, 1, 3, 2]));
}

async fn the_log_is_as_it_was_before_one_read(store: Fresh) {
    store.has(&["a", "b"]).await;
    send_from(&store, "b", "a").await;
    send_from(&store, "b", "a").await;
    read_by_sending(&store, "a", "b").await;
    send_from(&store, "b", "a").await;
    assert_eq!(past(&store, "a", "b").await, counts(&[1, 2, 1, 1]));
}

async fn groups_have_no_unread_in_the_log(store: Fresh) {
    store.has(&["a"]).await;
    store.has_group("g", &["a"]).await;
    store.send(message("a", in_group("g"))).await;
    assert_eq!(store.log_of(&in_group("g")).await[0].unread, None);
}

async fn a_past_without_the_uncounted(store: Fresh) {
    store.has(&["a", "b"]).await;
    send_from(&store, "b", "a").await;
    store.send(uncounted(message("b", direct("a", "b")))).await;
    send_from(&store, "b", "a").await;
    store.send(uncounted(message("b", direct("a", "b")))).await;
    assert_eq!(past(&store, "a", "b").await, counts(&[1, 1, 2, 2]));
}

async fn a_past_of_all_conversations_together(store: Fresh) {
    store.has(&["a", "b", "c", "d"]).await;
    for (sender, recipient, reads, expected) in [
        ("b", "a", false, 1),
        ("c", "a", false, 2),
        ("b", "a", false, 3),
        ("d", "a", false, 4),
        ("c", "a", false, 5),
        ("a", "b", false, 1),
        ("a", "c", true, 1),
        ("b", "a", true, 4),
        ("a", "b", true, 1),
        ("c", "a", false, 2),
    ] {
        let message = message(sender, direct(sender, recipient));
        store.write(vec![Write::Send { message: Box::new(message), repeat: None, reads }]).await;
        let last = store.log_of(&direct(sender, recipient)).await.pop().unwrap();
        assert_eq!(last.unread, Some(expected), "{sender} to {recipient}");
        assert_eq!(unread_in_all(&store, recipient).await, expected);
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
        let of_recipient = if message.sender == "a".into() { of_b } else { of_a };
        assert_eq!(entry.unread, Some(of_recipient), "at {:?}", entry.position);
    }
    assert_eq!([unread(&store, "a", "b").await, unread(&store, "b", "a").await], [of_a, of_b]);
}

/// Each conversation may be somewhere else in the store; what an account has unread in all is of all of them.
async fn many_conversations_at_once_are_counted_together(store: Fresh) {
    let peers: Vec<String> = (0..40).map(|number| format!("p{number}")).collect();
    store.has(&["a"]).await;
    store.has(&peers.iter().map(String::as_str).collect::<Vec<_>>()).await;
    all_at_once(peers.len(), |number| {
        let (store, peer) = (store.share(), peers[number].clone());
        async move {
            for round in 0..5 {
                let sender = if round == 2 && number % 2 == 0 { "a" } else { &peer };
                let message = Box::new(message(sender, direct("a", &peer)));
                let write = Write::Send { message, repeat: None, reads: sender == "a" };
                store.commit(changes(Vec::new(), vec![write])).await.unwrap();
            }
        }
    })
    .await;
    let expected = |number: usize| if number.is_multiple_of(2) { 2 } else { 5 };
    for (number, peer) in peers.iter().enumerate() {
        assert_eq!(unread(&store, "a", peer).await, expected(number));
        assert_eq!(unread_in_all(&store, peer).await, u64::from(number.is_multiple_of(2)));
    }
    assert_eq!(unread_in_all(&store, "a").await, (0..40).map(expected).sum::<u64>());
    // Whoever is alone in writing hears the exact number.
    send_from(&store, &peers[0], "a").await;
    let last = store.log_of(&direct("a", &peers[0])).await.pop().unwrap();
    assert_eq!(last.unread, Some(unread_in_all(&store, "a").await));
}
