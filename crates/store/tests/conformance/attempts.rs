//! Attempts: `Ledger::{note_attempts, attempts, forget}`.

use chat::id::{EventId, Timestamp};
use webhook::ledger::Attempt;

use crate::fixtures::{NOW, at};
use crate::fresh::Fresh;

cases! {
    there_are_none_at_first,
    every_part_of_an_attempt_is_kept,
    words_with_a_nul_are_taken,
    they_come_oldest_first,
    of_too_many_the_newest_are_shown,
    those_before_a_time_are_forgotten,
    all_but_the_newest_of_each_endpoint_are_forgotten,
    many_are_forgotten,
}

fn event(number: u64) -> EventId {
    EventId::new(NOW, number.into())
}

fn attempt(endpoint: &str, number: u64, time: Timestamp) -> Attempt {
    Attempt {
        endpoint: endpoint.to_owned(),
        event: event(number),
        command: "C2C.CallbackAfterSendMsg".to_owned(),
        time,
        took: 12,
        outcome: "bad_status".to_owned(),
        status: Some(500),
        detail: "sorry".to_owned(),
    }
}

async fn of(store: &Fresh, number: u64) -> Vec<Attempt> {
    store.attempts(event(number)).await.unwrap()
}

async fn there_are_none_at_first(store: Fresh) {
    assert_eq!(of(&store, 1).await, []);
    store.note_attempts(Vec::new()).await.unwrap();
    store.forget(NOW, NOW, 0).await.unwrap();
    assert_eq!(of(&store, 1).await, []);
}

async fn every_part_of_an_attempt_is_kept(store: Fresh) {
    let written = [
        attempt("app", 1, at(0)),
        Attempt { status: None, detail: String::new(), took: 0, ..attempt("app", 1, at(1)) },
        Attempt { status: Some(u16::MAX), took: i64::MAX.unsigned_abs(), ..attempt("audit '\"", 1, at(2)) },
        Attempt { outcome: "told".into(), detail: "\u{e9}\n".repeat(100), ..attempt("app", 1, at(3)) },
    ];
    store.note_attempts(written.to_vec()).await.unwrap();
    assert_eq!(of(&store, 1).await, written);
    assert_eq!(of(&store, 2).await, []);
    let store = store.reopen().await;
    assert_eq!(of(&store, 1).await, written);
}

async fn words_with_a_nul_are_taken(store: Fresh) {
    store.note_attempts(vec![Attempt { detail: "a\0b".into(), ..attempt("app", 1, at(0)) }]).await.unwrap();
    let detail = of(&store, 1).await.remove(0).detail;
    assert!(detail == "a\0b" || detail == "a\u{fffd}b", "{detail:?}");
}

/// By when they began; those of the same moment as they were noted.
async fn they_come_oldest_first(store: Fresh) {
    let said = |words: &str, time| Attempt { detail: words.into(), ..attempt("app", 1, time) };
    store.note_attempts(vec![said("third", at(20)), said("first", at(10))]).await.unwrap();
    store.note_attempts(vec![said("second", at(10)), attempt("app", 2, at(5))]).await.unwrap();
    let details: Vec<_> = of(&store, 1).await.into_iter().map(|attempt| attempt.detail).collect();
    assert_eq!(details, ["first", "second", "third"]);
}

async fn of_too_many_the_newest_are_shown(store: Fresh) {
    store.note_attempts((0..2100).map(|number| attempt("app", 1, at(number))).collect()).await.unwrap();
    let times: Vec<_> = of(&store, 1).await.into_iter().map(|attempt| attempt.time).collect();
    assert_eq!(times, (1100..2100).map(at).collect::<Vec<_>>());
}

async fn those_before_a_time_are_forgotten(store: Fresh) {
    let written: Vec<_> = (0..10).map(|number| attempt(["app", "audit"][number % 2], 1, at(number as i64))).collect();
    store.note_attempts(written.clone()).await.unwrap();
    store.forget(at(4), at(4), 100).await.unwrap();
    assert_eq!(of(&store, 1).await, written[4..]);
    store.forget(at(-100), at(-100), 100).await.unwrap();
    assert_eq!(of(&store, 1).await, written[4..]);
    store.forget(at(100), at(100), 100).await.unwrap();
    assert_eq!(of(&store, 1).await, []);
}

async fn all_but_the_newest_of_each_endpoint_are_forgotten(store: Fresh) {
    let of_app: Vec<_> = (0..10).map(|number| attempt("app", 1, at(number))).collect();
    // At the same moment: as they were noted.
    let of_audit: Vec<_> = (0..10).map(|took| Attempt { took, ..attempt("audit", 2, at(0)) }).collect();
    let of_few: Vec<_> = (0..3).map(|number| attempt("few", 3, at(number))).collect();
    for written in [&of_app, &of_audit, &of_few] {
        store.note_attempts(written.clone()).await.unwrap();
    }
    store.forget(at(-1), at(-1), 4).await.unwrap();
    assert_eq!(of(&store, 1).await, of_app[6..]);
    assert_eq!(of(&store, 2).await, of_audit[6..]);
    assert_eq!(of(&store, 3).await, of_few);
    // Both reasons at once: the one that forgets more.
    store.forget(at(9), at(9), 4).await.unwrap();
    assert_eq!((of(&store, 1).await, of(&store, 2).await), (of_app[9..].to_vec(), Vec::new()));
    store.forget(at(-1), at(-1), 0).await.unwrap();
    assert_eq!((of(&store, 1).await, of(&store, 3).await), (Vec::new(), Vec::new()));
}

/// More than one transaction removes.
async fn many_are_forgotten(store: Fresh) {
    for endpoint in ["app", "audit"] {
        store.note_attempts((0..3200).map(|number| attempt(endpoint, 1, at(number))).collect()).await.unwrap();
    }
    store.forget(at(-1), at(-1), 1).await.unwrap();
    assert_eq!(of(&store, 1).await, [attempt("app", 1, at(3199)), attempt("audit", 1, at(3199))]);
}
