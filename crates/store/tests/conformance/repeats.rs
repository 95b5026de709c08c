//! Repeats: `Store::repeat_of`, `Write::Send { repeat, .. }`, `CommitError::Repeat`.

use chat::conversation::ConversationId;
use chat::event::Event;
use chat::id::Timestamp;
use chat::message::{Keeping, Message, RepeatKey};
use chat::port::{Assertion, Changes, CommitError, Committed, Write};

use crate::fixtures::{
    NEARLY_EQUAL, all_at_once, at, changes, direct, for_ever, group, impossible, in_group, in_topic, kept, message,
    put, repeatable, topic,
};
use crate::fresh::Fresh;

cases! {
    there_is_none_at_first,
    a_repeat_gets_the_first_message,
    a_repeat_writes_nothing,
    another_key_or_sender_is_another_message,
    the_same_key_in_another_conversation_is_another_message,
    keys_and_senders_compare_as_bytes,
    a_key_may_hold_any_text,
    a_window_ends,
    a_key_without_a_window_lasts_for_ever,
    a_clock_that_jumped_back_makes_no_second_message,
    the_newest_within_the_window_is_the_first_of_the_next,
    windows_may_be_empty_or_endless,
    messages_that_are_not_kept_are_recognised_too,
    messages_without_a_key_are_never_repeats,
    what_could_not_be_committed_is_not_a_first,
    a_broken_assertion_is_reported_before_a_repeat,
    of_many_at_once_one_is_sent_and_the_rest_are_repeats,
    many_at_once_do_not_disturb_others,
}

const WINDOW: i64 = 5 * 60 * 1000;

fn within(key: &str) -> RepeatKey {
    RepeatKey { key: key.into(), window_millis: Some(WINDOW) }
}

/// A message from a to b.
fn from_a() -> Message {
    message("a", direct("a", "b"))
}

fn first_of(result: Result<Committed, CommitError>) -> Message {
    match result {
        Err(CommitError::Repeat(first)) => *first,
        other => panic!("expected a repeat: {other:?}"),
    }
}

async fn repeat_of(store: &Fresh, sender: &str, key: &RepeatKey, now: Timestamp) -> Option<Message> {
    repeat_in(store, direct("a", "b"), sender, key, now).await
}

async fn repeat_in(
    store: &Fresh,
    conversation: ConversationId,
    sender: &str,
    key: &RepeatKey,
    now: Timestamp,
) -> Option<Message> {
    store.repeat_of(&conversation, &sender.into(), key, now).await.unwrap()
}

/// Sends from a to b; what became of it by its seq, or the seq of the first one, negative.
async fn try_at(store: &Fresh, key: &RepeatKey, time: Timestamp) -> i64 {
    let found = repeat_of(store, "a", key, time).await;
    match store.commit(repeatable(Message { time, ..from_a() }, key.clone())).await {
        Ok(receipt) => {
            assert_eq!(found, None);
            receipt.seqs[0].cast_signed()
        }
        Err(CommitError::Repeat(first)) => {
            assert_eq!(found.as_ref(), Some(&*first));
            -first.seq.cast_signed()
        }
        Err(error) => panic!("{error:?}"),
    }
}

async fn there_is_none_at_first(store: Fresh) {
    assert_eq!(repeat_of(&store, "a", &for_ever("k"), at(0)).await, None);
    store.has(&["a", "b"]).await;
    assert_eq!(repeat_of(&store, "a", &for_ever("k"), at(0)).await, None);
    assert_eq!(repeat_of(&store, "a", &within(""), at(0)).await, None);
}

async fn a_repeat_gets_the_first_message(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.send(from_a()).await;
    let first = from_a();
    let receipt = store.commit(repeatable(first.clone(), for_ever("k"))).await.unwrap();
    let first = Message { seq: receipt.seqs[0], ..first };
    assert_eq!(first.seq, 2);
    store.send(from_a()).await;
    assert_eq!(repeat_of(&store, "a", &for_ever("k"), at(1)).await, Some(first.clone()));
    let second = Message { time: at(1), elements: Vec::new(), ..from_a() };
    assert_eq!(first_of(store.commit(repeatable(second, for_ever("k"))).await), first);
}

async fn a_repeat_writes_nothing(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.commit(repeatable(from_a(), for_ever("k"))).await.unwrap();
    let before = store.picture().await;
    let mut again = repeatable(Message { time: at(9), ..from_a() }, for_ever("k"));
    again.writes.insert(0, put(group("g")));
    again.writes.push(Write::AddBlocks { owner: "a".into(), targets: vec!["b".into()], now: at(0) });
    first_of(store.commit(again).await);
    assert_eq!(store.picture().await, before);
}

async fn another_key_or_sender_is_another_message(store: Fresh) {
    store.has(&["a", "b"]).await;
    for (sender, key, seq) in [("a", "k", 1), ("a", "l", 2), ("b", "k", 3), ("b", "l", 4), ("a", "", 5)] {
        let receipt = store.commit(repeatable(message(sender, direct("a", "b")), for_ever(key))).await.unwrap();
        assert_eq!(receipt.seqs, [seq]);
        assert_eq!(repeat_of(&store, sender, &for_ever(key), at(0)).await.unwrap().seq, seq);
    }
    assert_eq!(repeat_of(&store, "nobody", &for_ever("k"), at(0)).await, None);
}

/// A store may keep conversations in different places.
async fn the_same_key_in_another_conversation_is_another_message(store: Fresh) {
    store.has(&["a", "b", "c"]).await;
    store.has_group("g", &["a"]).await;
    store.has_group("h", &["a"]).await;
    store.write(vec![Write::AddTopic(Box::new(topic("g", "t")))]).await;
    for conversation in [direct("a", "b"), direct("a", "c"), in_group("g"), in_group("h"), in_topic("g", "t")] {
        let sent = message("a", conversation.clone());
        assert_eq!(store.commit(repeatable(sent.clone(), for_ever("k"))).await.unwrap().seqs, [1]);
        let again = store.commit(repeatable(message("a", conversation.clone()), for_ever("k"))).await;
        assert_eq!(first_of(again).id, sent.id);
        assert_eq!(repeat_in(&store, conversation, "a", &for_ever("k"), at(0)).await.unwrap().id, sent.id);
    }
}

async fn keys_and_senders_compare_as_bytes(store: Fresh) {
    store.has(&NEARLY_EQUAL).await;
    for sender in ["a", "A", "\u{e9}"] {
        for key in NEARLY_EQUAL {
            let forever = for_ever(key);
            let find = || repeat_in(&store, direct(sender, "aa"), sender, &forever, at(0));
            assert_eq!(find().await, None, "before {sender:?} {key:?}");
            let sent = message(sender, direct(sender, "aa"));
            store.commit(repeatable(sent.clone(), for_ever(key))).await.unwrap();
            assert_eq!(find().await.unwrap().id, sent.id);
        }
    }
}

async fn a_key_may_hold_any_text(store: Fresh) {
    store.has(&["a", "b"]).await;
    let long = "k".repeat(100_000);
    for (index, key) in ["", "\0", "k", "k\0", "k\0k", "\u{10ffff}", &long].into_iter().enumerate() {
        assert_eq!(try_at(&store, &for_ever(key), at(0)).await, index as i64 + 1);
        assert_eq!(try_at(&store, &for_ever(key), at(0)).await, -(index as i64 + 1));
    }
}

async fn a_window_ends(store: Fresh) {
    store.has(&["a", "b"]).await;
    for (millis, expected) in [(0, 1), (1, -1), (WINDOW - 1, -1), (WINDOW, -1), (WINDOW + 1, 2), (WINDOW + 2, -2)] {
        assert_eq!(try_at(&store, &within("k"), at(millis)).await, expected, "{millis} ms later");
    }
}

async fn a_key_without_a_window_lasts_for_ever(store: Fresh) {
    store.has(&["a", "b"]).await;
    // An app may import messages of any time.
    assert_eq!(try_at(&store, &for_ever("k"), Timestamp::from_millis(-1)).await, 1);
    for time in [at(0), at(1000 * WINDOW), Timestamp::from_millis(i64::MAX)] {
        assert_eq!(try_at(&store, &for_ever("k"), time).await, -1);
    }
}

async fn a_clock_that_jumped_back_makes_no_second_message(store: Fresh) {
    store.has(&["a", "b"]).await;
    for key in [within("k"), for_ever("l")] {
        let seq = try_at(&store, &key, at(0)).await;
        for time in [at(-1), at(-WINDOW), at(-1000 * WINDOW), Timestamp::default(), Timestamp::from_millis(i64::MIN)] {
            assert_eq!(try_at(&store, &key, time).await, -seq);
        }
    }
}

async fn the_newest_within_the_window_is_the_first_of_the_next(store: Fresh) {
    store.has(&["a", "b"]).await;
    for (millis, expected) in [(0, 1), (2 * WINDOW, 2), (2 * WINDOW + 1, -2), (3 * WINDOW, -2), (3 * WINDOW + 1, 3)] {
        assert_eq!(try_at(&store, &within("k"), at(millis)).await, expected, "{millis} ms later");
    }
    assert_eq!(try_at(&store, &within("k"), at(0)).await, -3, "the clock jumped back");
    assert_eq!(try_at(&store, &for_ever("k"), at(100 * WINDOW)).await, -3, "the asker's window counts");
}

async fn windows_may_be_empty_or_endless(store: Fresh) {
    store.has(&["a", "b"]).await;
    let window = |millis| RepeatKey { key: "k".into(), window_millis: Some(millis) };
    assert_eq!(try_at(&store, &window(0), at(0)).await, 1);
    assert_eq!(try_at(&store, &window(0), at(0)).await, -1);
    assert_eq!(try_at(&store, &window(0), at(1)).await, 2);
    assert_eq!(try_at(&store, &window(i64::MAX), at(WINDOW)).await, -2);
    assert_eq!(try_at(&store, &window(i64::MAX), Timestamp::from_millis(i64::MIN)).await, -2);
}

async fn messages_that_are_not_kept_are_recognised_too(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a"]).await;
    for (keeping, key, seq) in [(Keeping::OnlineOnly, "online", 0), (Keeping::Live, "live", 1)] {
        let first = kept(keeping, message("a", in_group("g")));
        let receipt = store.commit(repeatable(first.clone(), within(key))).await.unwrap();
        assert_eq!(receipt.seqs, [seq]);
        let again = kept(keeping, message("a", in_group("g")));
        let found = first_of(store.commit(repeatable(again, within(key))).await);
        assert_eq!(found, Message { seq, ..first });
    }
}

async fn messages_without_a_key_are_never_repeats(store: Fresh) {
    store.has(&["a", "b"]).await;
    let same = from_a();
    for seq in 1..=3 {
        assert_eq!(store.send(same.clone()).await.seq, seq);
    }
}

async fn what_could_not_be_committed_is_not_a_first(store: Fresh) {
    store.has(&["a", "b"]).await;
    let mut broken = repeatable(from_a(), for_ever("k"));
    broken.assertions.push(Assertion::GroupOpen("g".into()));
    assert!(matches!(store.commit(broken).await, Err(CommitError::Broken(_))));
    let mut failing = repeatable(from_a(), for_ever("k"));
    failing.writes.push(impossible());
    assert!(matches!(store.commit(failing).await, Err(CommitError::Fault(_))));
    assert_eq!(repeat_of(&store, "a", &for_ever("k"), at(0)).await, None);
    assert_eq!(try_at(&store, &for_ever("k"), at(0)).await, 1);
}

async fn a_broken_assertion_is_reported_before_a_repeat(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.commit(repeatable(from_a(), for_ever("k"))).await.unwrap();
    let assertion = Assertion::GroupOpen("g".into());
    let again = Changes { assertions: vec![assertion.clone()], ..repeatable(from_a(), for_ever("k")) };
    let result = store.commit(again).await;
    assert!(matches!(&result, Err(CommitError::Broken(broken)) if *broken == assertion), "{result:?}");
}

async fn of_many_at_once_one_is_sent_and_the_rest_are_repeats(store: Fresh) {
    store.has(&["a", "b"]).await;
    for key in [for_ever("k"), within("l")] {
        let before = store.history(&direct("a", "b")).await.len();
        let results = all_at_once(100, |_| {
            let (store, key) = (store.share(), key.clone());
            async move {
                let mine = from_a();
                (mine.clone(), store.commit(repeatable(mine, key)).await)
            }
        });
        let (sent, repeats): (Vec<_>, Vec<_>) = results.await.into_iter().partition(|(_, result)| result.is_ok());
        let [(first, Ok(receipt))] = &sent[..] else { panic!("{} were sent", sent.len()) };
        let first = Message { seq: receipt.seqs[0], ..first.clone() };
        assert_eq!(repeats.len(), 99);
        for (_, result) in repeats {
            assert_eq!(first_of(result), first);
        }
        assert_eq!(store.history(&direct("a", "b")).await.len(), before + 1);
        assert_eq!(store.log().await.last().unwrap().event, Event::MessageSent(first));
    }
}

async fn many_at_once_do_not_disturb_others(store: Fresh) {
    store.has(&["a", "b"]).await;
    let results = all_at_once(120, |number| {
        let store = store.share();
        async move {
            let changes = match number % 3 {
                0 => repeatable(from_a(), for_ever("same")),
                1 => repeatable(from_a(), for_ever(&number.to_string())),
                _ => changes(Vec::new(), vec![crate::fixtures::send(from_a())]),
            };
            store.commit(changes).await.is_ok()
        }
    });
    let results = results.await;
    let sent = |kind| results.iter().skip(kind).step_by(3).filter(|sent| **sent).count();
    assert_eq!([sent(0), sent(1), sent(2)], [1, 40, 40]);
    let seqs: Vec<u64> = store.history(&direct("a", "b")).await.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=81).collect::<Vec<_>>());
}
