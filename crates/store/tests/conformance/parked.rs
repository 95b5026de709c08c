//! Messages that wait for a verdict: `Write::{Park, ForgetParked}`, `Assertion::{NothingParked, StillParked}`, and
//! `Store::{parked, parked_repeat, list_parked, count_parked}`.

use chat::conversation::ConversationId;
use chat::id::{MessageId, Timestamp};
use chat::message::park::{Deadline, DecidedBy, Decision, Outcome, Parked, ParkedCount, ParkedQuery};
use chat::message::{Message, RepeatKey};
use chat::policy::Exempt;
use chat::port::{Assertion, CommitError, Write};
use chat::question::Otherwise;

use crate::fixtures::{
    NOW, all_at_once, at, changes, direct, for_ever, in_group, in_topic, message, repeatable, send, topic,
};
use crate::fresh::Fresh;
use crate::plain;

cases! {
    nothing_waits_at_first,
    everything_about_it_is_kept,
    it_is_replaced_by_what_was_decided,
    it_stands_in_no_log_and_counts_nothing,
    only_what_waits_is_still_parked,
    nothing_else_of_its_key_waits,
    of_several_at_once_one_is_parked,
    what_was_sent_does_not_wait,
    the_decision_and_the_message_are_one_commit,
    a_repeat_is_found_while_it_waits_and_within_its_window_after,
    what_waits_is_listed_by_id,
    what_is_overdue_or_old_is_listed_by_time,
    what_waits_is_not_forgotten,
}

fn parked(number: u128, conversation: ConversationId) -> Parked {
    let id = MessageId::new(at(number as i64), number);
    plain::parked(Message { id, ..message("a", conversation) })
}

fn keyed(key: RepeatKey, parked: Parked) -> Parked {
    Parked { repeat: Some(key), ..parked }
}

fn decided(time: Timestamp, parked: &Parked) -> Parked {
    let decision = Decision { time, by: DecidedBy::Verdict, outcome: Outcome::Discarded };
    Parked { decision: Some(decision), ..parked.clone() }
}

fn park(parked: &Parked) -> Write {
    Write::Park(Box::new(parked.clone()))
}

fn forget(parked: &Parked) -> Write {
    Write::ForgetParked(parked.message.conversation.clone(), parked.message.id)
}

fn still(parked: &Parked) -> Assertion {
    let Message { conversation, id, .. } = &parked.message;
    Assertion::StillParked { conversation: conversation.clone(), id: *id, round: parked.round }
}

fn nothing(parked: &Parked) -> Assertion {
    let Message { conversation, sender, .. } = parked.message.clone();
    Assertion::NothingParked {
        conversation: Box::new(conversation),
        sender,
        key: parked.repeat.clone().expect("a key"),
    }
}

async fn find(store: &Fresh, parked: &Parked) -> Option<Parked> {
    store.parked(parked.message.id).await.unwrap()
}

async fn ids(store: &Fresh, query: ParkedQuery) -> Vec<u64> {
    let page = store.list_parked(query).await.unwrap();
    page.iter().map(|parked| parked.message.id.random_bits()).collect()
}

async fn nothing_waits_at_first(store: Fresh) {
    store.has(&["a", "b"]).await;
    let one = keyed(for_ever("k"), parked(1, direct("a", "b")));
    assert_eq!(find(&store, &one).await, None);
    assert_eq!(store.count_parked().await.unwrap(), ParkedCount::default());
    assert_eq!(ids(&store, ParkedQuery::Waiting { after: None, limit: 10 }).await, [0; 0]);
    let found = store.parked_repeat(&direct("a", "b"), &"a".into(), &for_ever("k"), NOW).await.unwrap();
    assert_eq!(found, None);
    assert!(!store.holds(still(&one)).await && store.holds(nothing(&one)).await);
    store.write(vec![forget(&one)]).await;
}

async fn everything_about_it_is_kept(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a"]).await;
    store.write(vec![Write::AddTopic(Box::new(topic("g", "t")))]).await;
    let full = Parked {
        exempt: Exempt { blocks: true, membership: false, mutes: true },
        reads: true,
        modified: true,
        otherwise: Otherwise::Allow,
        round: 7,
        ..keyed(RepeatKey { key: "k\u{e9}'".into(), window_millis: Some(300_000) }, parked(1, direct("a", "b")))
    };
    let all = [full, parked(2, in_group("g")), parked(3, in_topic("g", "t"))];
    store.write(all.iter().map(park).collect()).await;
    let store = store.reopen().await;
    for one in &all {
        assert_eq!(find(&store, one).await.as_ref(), Some(one));
        assert!(store.holds(still(one)).await);
    }
    assert_eq!(store.count_parked().await.unwrap(), ParkedCount { waiting: 3, decided: 0 });
}

async fn it_is_replaced_by_what_was_decided(store: Fresh) {
    store.has(&["a", "b"]).await;
    let one = parked(1, direct("a", "b"));
    assert_eq!(store.decided_at(one.message.id).await.unwrap(), None);
    store.write(vec![park(&one)]).await;
    assert_eq!(store.decided_at(one.message.id).await.unwrap(), None);
    let outcomes = [
        Outcome::Sent { modified: true },
        Outcome::Rejected { code: Some(-1), info: "no".into(), detail: String::new() },
        Outcome::Discarded,
        Outcome::Refused { name: "blocked".into(), why: "blocked".into() },
    ];
    for outcome in outcomes {
        let decision = Decision { time: at(5), by: DecidedBy::Deadline, outcome };
        let now = Parked { decision: Some(decision), ..one.clone() };
        store.write(vec![park(&now)]).await;
        assert_eq!(find(&store, &one).await, Some(now));
        assert_eq!(store.decided_at(one.message.id).await.unwrap(), Some(at(5)));
        assert_eq!(store.count_parked().await.unwrap(), ParkedCount { waiting: 0, decided: 1 });
    }
}

async fn it_stands_in_no_log_and_counts_nothing(store: Fresh) {
    store.has(&["a", "b"]).await;
    let picture = store.picture().await;
    store.write(vec![park(&parked(1, direct("a", "b")))]).await;
    assert_eq!(store.picture().await, picture);
    assert_eq!(store.log().await, []);
}

async fn only_what_waits_is_still_parked(store: Fresh) {
    store.has(&["a", "b"]).await;
    let one = parked(1, direct("a", "b"));
    store.write(vec![park(&one)]).await;
    let again = Parked { round: 2, ..one.clone() };
    assert!(store.holds(still(&one)).await && !store.holds(still(&again)).await);
    store.write(vec![park(&again)]).await;
    assert!(!store.holds(still(&one)).await && store.holds(still(&again)).await);
    store.write(vec![park(&decided(NOW, &again))]).await;
    assert!(!store.holds(still(&again)).await);
}

async fn nothing_else_of_its_key_waits(store: Fresh) {
    store.has(&["a", "b", "c"]).await;
    let one = keyed(for_ever("k"), parked(1, direct("a", "b")));
    store.write(vec![park(&one)]).await;
    assert!(!store.holds(nothing(&one)).await);
    assert!(store.holds(nothing(&keyed(for_ever("other"), one.clone()))).await);
    assert!(store.holds(nothing(&keyed(for_ever("k"), parked(2, direct("a", "c"))))).await);
    // However short its window is.
    let window = RepeatKey { key: "k".into(), window_millis: Some(0) };
    assert!(!store.holds(nothing(&keyed(window, one.clone()))).await);
    store.write(vec![park(&decided(NOW, &one))]).await;
    assert!(store.holds(nothing(&one)).await);
}

async fn of_several_at_once_one_is_parked(store: Fresh) {
    store.has(&["a", "b"]).await;
    let results = all_at_once(50, |number| {
        let store = store.share();
        async move {
            let one = keyed(for_ever("k"), parked(number as u128 + 1, direct("a", "b")));
            store.commit(changes(vec![nothing(&one)], vec![park(&one)])).await
        }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let broken =
        |result: &Result<_, CommitError>| matches!(result, Err(CommitError::Broken(Assertion::NothingParked { .. })));
    assert_eq!(results.iter().filter(|result| broken(result)).count(), 49);
    assert_eq!(store.count_parked().await.unwrap().waiting, 1);
}

async fn what_was_sent_does_not_wait(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.commit(repeatable(message("a", direct("a", "b")), for_ever("k"))).await.unwrap();
    let one = keyed(for_ever("k"), parked(1, direct("a", "b")));
    match store.commit(changes(Vec::new(), vec![park(&one)])).await {
        Err(CommitError::Repeat(first)) => assert_eq!(first.seq, 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(find(&store, &one).await, None);
}

async fn the_decision_and_the_message_are_one_commit(store: Fresh) {
    store.has(&["a", "b"]).await;
    let one = keyed(for_ever("k"), parked(1, direct("a", "b")));
    store.write(vec![park(&one)]).await;
    let results = all_at_once(20, |_| {
        let (store, one) = (store.share(), one.clone());
        async move {
            let writes = vec![
                Write::Send { message: Box::new(one.message.clone()), repeat: one.repeat.clone(), reads: false },
                park(&decided(at(9), &one)),
            ];
            store.commit(changes(vec![still(&one)], writes)).await
        }
    })
    .await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(store.history(&direct("a", "b")).await.len(), 1);
    assert_eq!(find(&store, &one).await, Some(decided(at(9), &one)));
    // What was sent before keeps all of it from happening.
    let other = keyed(for_ever("k"), parked(2, direct("a", "b")));
    let writes = vec![
        Write::Send { message: Box::new(other.message.clone()), repeat: other.repeat.clone(), reads: false },
        park(&decided(NOW, &other)),
    ];
    let repeat = store.commit(changes(Vec::new(), writes)).await;
    assert!(matches!(repeat, Err(CommitError::Repeat(_))), "{repeat:?}");
    assert_eq!(find(&store, &other).await, None);
}

async fn a_repeat_is_found_while_it_waits_and_within_its_window_after(store: Fresh) {
    store.has(&["a", "b"]).await;
    let key = || RepeatKey { key: "k".into(), window_millis: Some(100) };
    let find = async |now| {
        let found = store.parked_repeat(&direct("a", "b"), &"a".into(), &key(), at(now)).await.unwrap();
        found.map(|parked| parked.message.id.random_bits())
    };
    let one = keyed(key(), parked(1, direct("a", "b")));
    store.write(vec![park(&one)]).await;
    assert_eq!((find(0).await, find(1_000_000).await), (Some(1), Some(1)));
    store.write(vec![park(&decided(at(50), &one))]).await;
    assert_eq!((find(150).await, find(151).await), (Some(1), None));
    // What waits comes before what was decided, and of that the newest.
    let [two, three] = [2, 3].map(|number| keyed(key(), parked(number, direct("a", "b"))));
    store.write(vec![park(&decided(at(40), &two))]).await;
    assert_eq!(find(100).await, Some(1));
    store.write(vec![park(&three)]).await;
    assert_eq!(find(100).await, Some(3));
    for (conversation, sender) in [(direct("a", "b"), "b"), (direct("a", "a"), "a")] {
        assert_eq!(store.parked_repeat(&conversation, &sender.into(), &key(), NOW).await.unwrap(), None);
    }
}

async fn what_waits_is_listed_by_id(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a"]).await;
    store.has_group("h", &["a"]).await;
    let places = [direct("a", "b"), in_group("g"), in_group("h")];
    let all: Vec<_> = (1..=9).map(|number| parked(number, places[number as usize % 3].clone())).collect();
    store.write(all.iter().rev().map(park).collect()).await;
    store.write(vec![park(&decided(NOW, &all[4]))]).await;
    let page = async |after: Option<usize>, limit| {
        let after = after.map(|index| all[index].message.id);
        ids(&store, ParkedQuery::Waiting { after, limit }).await
    };
    assert_eq!(page(None, 100).await, [1, 2, 3, 4, 6, 7, 8, 9]);
    assert_eq!(page(None, 3).await, [1, 2, 3]);
    assert_eq!(page(Some(2), 3).await, [4, 6, 7]);
    assert_eq!(page(Some(4), 100).await, [6, 7, 8, 9]);
    assert_eq!(page(Some(8), 3).await, [0; 0]);
    assert_eq!(page(None, 0).await, [0; 0]);
}

async fn what_is_overdue_or_old_is_listed_by_time(store: Fresh) {
    store.has(&["a", "b"]).await;
    let due = |number: u128, until| Parked { until: at(until), ..parked(number, direct("a", "b")) };
    let waiting = [due(1, 30), due(2, 10), due(3, 20)];
    let old = [decided(at(25), &due(4, 0)), decided(at(5), &due(5, 0))];
    store.write(waiting.iter().chain(&old).map(park).collect()).await;
    let overdue = async |now, limit| ids(&store, ParkedQuery::Overdue { now: at(now), after: None, limit }).await;
    assert_eq!((overdue(9, 10).await, overdue(10, 10).await), (vec![], vec![2]));
    assert_eq!((overdue(30, 10).await, overdue(30, 2).await), (vec![2, 3, 1], vec![2, 3]));
    let after = async |time, number: u128, limit| {
        let after = Some(Deadline { time: at(time), id: parked(number, direct("a", "b")).message.id });
        ids(&store, ParkedQuery::Overdue { now: at(30), after, limit }).await
    };
    assert_eq!((after(10, 2, 10).await, after(10, 2, 1).await, after(30, 1, 10).await), (vec![3, 1], vec![3], vec![]));
    // Of one time those with a greater id.
    assert_eq!((after(20, 2, 10).await, after(20, 4, 10).await), (vec![3, 1], vec![1]));
    let before = async |up_to, limit| ids(&store, ParkedQuery::Decided { up_to: at(up_to), limit }).await;
    assert_eq!((before(4, 10).await, before(5, 10).await, before(99, 10).await), (vec![], vec![5], vec![5, 4]));
    assert_eq!(before(99, 1).await, [5]);
}

async fn what_waits_is_not_forgotten(store: Fresh) {
    store.has(&["a", "b"]).await;
    let [one, two] = [1, 2].map(|number| parked(number, direct("a", "b")));
    store.write(vec![park(&one), park(&decided(NOW, &two)), send(message("a", direct("a", "b")))]).await;
    store.write(vec![forget(&one), forget(&two)]).await;
    assert_eq!((find(&store, &one).await, find(&store, &two).await), (Some(one.clone()), None));
    assert_eq!(store.count_parked().await.unwrap(), ParkedCount { waiting: 1, decided: 0 });
    // Decided and forgotten at once.
    store.write(vec![park(&decided(NOW, &one)), forget(&one)]).await;
    assert_eq!(store.count_parked().await.unwrap(), ParkedCount::default());
}
