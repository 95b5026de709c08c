//! Pauses: `Ledger::{pause, set_pause}`.

use webhook::ledger::{Pause, PauseReason};

use crate::fixtures::{NEARLY_EQUAL, NOW, at};
use crate::fresh::Fresh;

cases! {
    nobody_is_paused_at_first,
    every_pause_is_kept_until_it_is_over,
    endpoint_names_compare_as_bytes,
}

fn pause(reason: PauseReason) -> Pause {
    Pause { reason, detail: format!("because {reason:?}: '\u{e9}\""), since: NOW }
}

async fn nobody_is_paused_at_first(store: Fresh) {
    assert_eq!(store.pause("app").await.unwrap(), None);
    store.set_pause("app", None).await.unwrap();
    assert_eq!(store.pause("app").await.unwrap(), None);
}

async fn every_pause_is_kept_until_it_is_over(mut store: Fresh) {
    use PauseReason::{Gone, Operator, TooFarBehind, TooManyDead};
    for reason in [Operator, Gone, TooFarBehind, TooManyDead] {
        let since = at(reason.name().len() as i64);
        store.set_pause("app", Some(Pause { since, ..pause(reason) })).await.unwrap();
        assert_eq!(store.pause("app").await.unwrap(), Some(Pause { since, ..pause(reason) }));
        assert_eq!(store.pause("audit").await.unwrap(), None);
        store = store.reopen().await;
        assert_eq!(store.pause("app").await.unwrap(), Some(Pause { since, ..pause(reason) }));
    }
    store.set_pause("audit", Some(pause(Operator))).await.unwrap();
    store.set_pause("app", None).await.unwrap();
    assert_eq!(store.pause("app").await.unwrap(), None);
    assert_eq!(store.pause("audit").await.unwrap(), Some(pause(Operator)));
    // Words come from outside.
    store.set_pause("app", Some(Pause { detail: "a\0b".into(), ..pause(Gone) })).await.unwrap();
    assert_eq!(store.pause("app").await.unwrap().unwrap().reason, Gone);
}

async fn endpoint_names_compare_as_bytes(store: Fresh) {
    for (index, name) in NEARLY_EQUAL.into_iter().enumerate() {
        assert_eq!(store.pause(name).await.unwrap(), None, "before {name:?}");
        let since = at(index as i64);
        store.set_pause(name, Some(Pause { since, ..pause(PauseReason::Operator) })).await.unwrap();
    }
    for (index, name) in NEARLY_EQUAL.into_iter().enumerate() {
        assert_eq!(store.pause(name).await.unwrap().unwrap().since, at(index as i64));
    }
}
