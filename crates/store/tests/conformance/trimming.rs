//! Trimming the log: `Ledger::trim`, and what `Log` and `Store` see afterwards.

use chat::event::{Event, LogEntry, Position, Shard};
use chat::id::Timestamp;
use chat::message::{Keeping, RepeatKey};
use chat::port::{CommitError, Log, MessageQuery, Write};
use webhook::ledger::Trimmed;

use crate::fixtures::{
    NOW, all_at_once, append, at, changes, direct, group_changed, in_group, kept, message, repeatable,
};
use crate::fresh::Fresh;
use crate::ledger::letter;

cases! {
    an_empty_log_has_nothing_to_trim,
    what_is_in_the_history_stays,
    the_newest_event_stays,
    what_a_letter_is_about_stays_until_it_is_none,
    it_goes_in_steps_and_the_oldest_first,
    what_is_up_to_where_it_begins_is_left_alone,
    positions_are_not_used_again,
    what_is_left_is_found_as_before,
    a_repeat_is_recognised_until_its_first_is_trimmed,
    other_shards_are_left_alone,
    nothing_is_lost_that_is_written_meanwhile,
}

async fn trim(store: &Fresh, shard: Shard, up_to: u64, limit: usize) -> Trimmed {
    store.trim(shard, Position(0), Position(up_to), limit, Vec::new(), NOW).await.unwrap()
}

/// A group with 40 events in one shard: every other is a message that is in the history. The last is none.
async fn a_log(store: &Fresh) -> (Shard, Vec<LogEntry>) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a"]).await;
    store.has_mixed(&["g"], 40).await;
    let log = store.log_of(&in_group("g")).await;
    assert_eq!(log.len(), 40);
    (log[0].shard, log)
}

/// Whether it is in the history.
fn is_history(entry: &LogEntry) -> bool {
    matches!(&entry.event, Event::MessageSent(message) if message.delivery.keeping == Keeping::Stored)
}

async fn an_empty_log_has_nothing_to_trim(store: Fresh) {
    for shard in store.shards() {
        assert_eq!(trim(&store, shard, u64::MAX, usize::MAX).await, Trimmed::default());
    }
}

async fn what_is_in_the_history_stays(store: Fresh) {
    let (shard, log) = a_log(&store).await;
    let history = store.history(&in_group("g")).await;
    let middle = log[20].position.0;
    let trimmed = trim(&store, shard, middle, 1000).await;
    assert_eq!(trimmed, Trimmed { events: 10, first: log[1].position, last: log[19].position });
    let left: Vec<_> = log.iter().filter(|entry| is_history(entry) || entry.position.0 > middle).cloned().collect();
    assert_eq!(store.log_of(&in_group("g")).await, left);
    assert_eq!(store.history(&in_group("g")).await, history);
    assert_eq!(trim(&store, shard, middle, 1000).await, Trimmed::default());
}

async fn the_newest_event_stays(store: Fresh) {
    let (shard, log) = a_log(&store).await;
    let head = log[39].position;
    assert!(!is_history(&log[39]));
    let trimmed = trim(&store, shard, u64::MAX, 1000).await;
    assert_eq!((trimmed.events, trimmed.last), (19, log[37].position));
    assert_eq!(store.log_of(&in_group("g")).await.last().unwrap(), &log[39]);
    let store = store.reopen().await;
    assert_eq!(*store.head(shard).borrow(), head);
}

async fn what_a_letter_is_about_stays_until_it_is_none(store: Fresh) {
    let (shard, log) = a_log(&store).await;
    let (one, other) = (log[3].position, log[5].position);
    store.put_letters(vec![letter("app", shard, one.0), letter("audit", shard, one.0)]).await.unwrap();
    // Of another shard, at the place of one in this.
    store.put_letters(vec![letter("app", Shard(shard.0 + 1), other.0)]).await.unwrap();
    let trimmed = trim(&store, shard, log[10].position.0, 1000).await;
    assert_eq!(trimmed, Trimmed { events: 4, first: log[1].position, last: log[9].position });
    assert!(store.log_of(&in_group("g")).await.contains(&log[3]));
    store.remove_letters("app", vec![(shard, one)]).await.unwrap();
    assert_eq!(trim(&store, shard, log[10].position.0, 1000).await.events, 0);
    store.remove_letters("audit", vec![(shard, one)]).await.unwrap();
    assert_eq!(trim(&store, shard, log[10].position.0, 1000).await, Trimmed { events: 1, first: one, last: one });
}

async fn it_goes_in_steps_and_the_oldest_first(store: Fresh) {
    let (shard, log) = a_log(&store).await;
    let mut going = log.iter().filter(|entry| !is_history(entry)).map(|entry| entry.position);
    assert_eq!(trim(&store, shard, u64::MAX, 0).await, Trimmed::default());
    for _ in 0..6 {
        let step: Vec<_> = going.by_ref().take(3).collect();
        let trimmed = trim(&store, shard, u64::MAX, 3).await;
        assert_eq!(trimmed, Trimmed { events: 3, first: step[0], last: step[2] });
    }
    assert_eq!(trim(&store, shard, u64::MAX, 3).await.events, 1);
    assert_eq!(trim(&store, shard, u64::MAX, 3).await.events, 0);
}

async fn what_is_up_to_where_it_begins_is_left_alone(store: Fresh) {
    let (shard, log) = a_log(&store).await;
    let gone: Vec<_> = log[..39].iter().filter(|entry| !is_history(entry)).map(|entry| entry.position).collect();
    let trimmed = store.trim(shard, gone[2], Position(u64::MAX), 3, Vec::new(), NOW).await.unwrap();
    assert_eq!(trimmed, Trimmed { events: 3, first: gone[3], last: gone[5] });
    let trimmed = store.trim(shard, Position(u64::MAX), Position(u64::MAX), 1000, Vec::new(), NOW).await.unwrap();
    assert_eq!(trimmed, Trimmed::default());
    let trimmed = store.trim(shard, Position(0), gone[4], 1000, Vec::new(), NOW).await.unwrap();
    assert_eq!(trimmed, Trimmed { events: 3, first: gone[0], last: gone[2] });
}

async fn positions_are_not_used_again(store: Fresh) {
    let (shard, log) = a_log(&store).await;
    let head = log[39].position.0;
    trim(&store, shard, u64::MAX, 1000).await;
    let store = store.reopen().await;
    store.write(vec![append(group_changed("g"))]).await;
    assert_eq!(store.log_of(&in_group("g")).await.last().unwrap().position, Position(head + 1));
    assert_eq!(store.send(message("a", in_group("g"))).await.seq, 20 + 5 + 1, "of stored and live messages");
}

/// By position, by subject in either direction, and by seq.
async fn what_is_left_is_found_as_before(store: Fresh) {
    let (shard, log) = a_log(&store).await;
    let middle = log[21].position.0;
    trim(&store, shard, middle, 1000).await;
    let left: Vec<_> = log.iter().filter(|entry| is_history(entry) || entry.position.0 > middle).cloned().collect();
    let subject = in_group("g").into();
    for entry in &log {
        let place = entry.position;
        let after: Vec<_> = left.iter().filter(|other| other.position > place).cloned().collect();
        let mut before: Vec<_> = left.iter().filter(|other| other.position < place).cloned().collect();
        before.reverse();
        assert_eq!(store.log_after(shard, place, 100).await.unwrap(), after);
        assert_eq!(Log::log_of(&*store, &subject, place, Position(u64::MAX), 100).await.unwrap(), after);
        assert_eq!(store.log_before(&subject, place, 100).await.unwrap(), before);
    }
    let newest = store.messages(&in_group("g"), MessageQuery::seqs(0, u64::MAX, 3, true)).await.unwrap();
    let stored: Vec<_> = log.iter().rev().filter(|entry| is_history(entry)).map(|entry| entry.event.id()).collect();
    assert_eq!(newest.iter().map(|message| message.id).collect::<Vec<_>>(), stored[..3]);
}

/// That is why nothing younger than an hour is trimmed.
async fn a_repeat_is_recognised_until_its_first_is_trimmed(store: Fresh) {
    store.has(&["a", "b"]).await;
    let window = RepeatKey { key: "k".into(), window_millis: Some(5 * 60 * 1000) };
    let online = || kept(Keeping::OnlineOnly, message("a", direct("a", "b")));
    store.commit(repeatable(online(), window.clone())).await.unwrap();
    store.send(message("a", direct("a", "b"))).await;
    let log = store.log_of(&direct("a", "b")).await;
    let shard = log[0].shard;
    trim(&store, shard, log[0].position.0 - 1, 100).await;
    let again = store.commit(repeatable(online(), window.clone())).await;
    assert!(matches!(again, Err(CommitError::Repeat(_))), "{again:?}");
    trim(&store, shard, log[0].position.0, 100).await;
    let found = store.repeat_of(&direct("a", "b"), &"a".into(), &window, at(1)).await.unwrap();
    assert_eq!(found, None);
    store.commit(repeatable(online(), window)).await.unwrap();
}

async fn other_shards_are_left_alone(store: Fresh) {
    let (shard, log) = a_log(&store).await;
    for other in store.shards().into_iter().filter(|other| *other != shard) {
        assert_eq!(trim(&store, other, u64::MAX, 1000).await, Trimmed::default());
    }
    assert_eq!(store.log_of(&in_group("g")).await, log);
}

async fn nothing_is_lost_that_is_written_meanwhile(store: Fresh) {
    let (shard, log) = a_log(&store).await;
    let history = store.history(&in_group("g")).await.len();
    all_at_once(12, |number| {
        let (store, head) = (store.share(), log[39].position.0);
        async move {
            for round in 0..10 {
                match number % 3 {
                    0 => drop(
                        store
                            .trim(shard, Position(0), Position(head), 2, Vec::new(), Timestamp::default())
                            .await
                            .unwrap(),
                    ),
                    1 => {
                        let event = group_changed("g");
                        store.commit(changes(Vec::new(), vec![Write::Append(Box::new(event))])).await.unwrap();
                    }
                    _ => store.put_letters(vec![letter("app", shard, head - 10 + round)]).await.unwrap(),
                }
            }
        }
    })
    .await;
    trim(&store, shard, log[39].position.0, 1000).await;
    let left = store.log_of(&in_group("g")).await;
    assert_eq!(left.iter().filter(|entry| entry.position > log[39].position).count(), 40);
    assert_eq!(store.history(&in_group("g")).await.len(), history);
    // The log is whole but for what was trimmed: positions of this shard are without a gap beyond.
    let newest: Vec<_> = left.iter().filter(|entry| entry.position > log[39].position).map(|e| e.position.0).collect();
    assert_eq!(newest, (log[39].position.0 + 1..=log[39].position.0 + 40).collect::<Vec<_>>());
}
