//! Cursors: the port `webhook::ledger::Ledger`.

use chat::conversation::ConversationId;
use chat::event::{Position, Shard, Subject};
use webhook::ledger::{Behind, Cursor, Progress, Trouble};

use crate::fixtures::{NEARLY_EQUAL, all_at_once, at, direct, in_group, in_topic};
use crate::fresh::Fresh;
use crate::ledger::{Cursors, lags};

cases! {
    there_is_none_at_first,
    a_cursor_moves_forward,
    a_cursor_never_moves_back,
    endpoints_and_shards_have_their_own,
    endpoint_names_compare_as_bytes,
    of_many_saves_the_farthest_stays,
    conversations_lag_until_they_do_not,
    a_cursor_is_started_where_it_is_new,
    trouble_is_kept_with_who_has_it,
    subjects_of_every_kind_lag,
}

async fn cursor(store: &Fresh, endpoint: &str) -> Option<u64> {
    store.told(endpoint, store.shards()[0]).await.unwrap().map(|position| position.0)
}

async fn save(store: &Fresh, endpoint: &str, position: u64) {
    store.save_cursor(endpoint, store.shards()[0], Position(position)).await.unwrap();
}

async fn there_is_none_at_first(store: Fresh) {
    assert_eq!(cursor(&store, "app").await, None);
    assert_eq!(cursor(&store, "").await, None);
}

async fn a_cursor_moves_forward(store: Fresh) {
    for position in [0, 1, 2, 100, i64::MAX.unsigned_abs()] {
        save(&store, "app", position).await;
        assert_eq!(cursor(&store, "app").await, Some(position));
    }
}

async fn a_cursor_never_moves_back(store: Fresh) {
    save(&store, "app", 5).await;
    for position in [4, 0, 5, 1] {
        save(&store, "app", position).await;
        assert_eq!(cursor(&store, "app").await, Some(5));
    }
    save(&store, "app", 6).await;
    assert_eq!(cursor(&store, "app").await, Some(6));
}

async fn endpoints_and_shards_have_their_own(store: Fresh) {
    // Also of shards that there are none of now: their number may change.
    let shards = [0, 1, u16::MAX].map(Shard);
    let mut saved = Vec::new();
    for (index, endpoint) in ["app", "audit"].into_iter().enumerate() {
        for shard in shards {
            let position = Position(u64::from(shard.0) * 10 + index as u64);
            store.save_cursor(endpoint, shard, position).await.unwrap();
            saved.push((endpoint, shard, position));
        }
    }
    for (endpoint, shard, position) in saved {
        assert_eq!(store.told(endpoint, shard).await.unwrap(), Some(position));
    }
    assert_eq!(store.cursor("app", Shard(2)).await.unwrap(), None);
}

async fn endpoint_names_compare_as_bytes(store: Fresh) {
    for (index, name) in NEARLY_EQUAL.into_iter().chain([""]).enumerate() {
        assert_eq!(cursor(&store, name).await, None, "before {name:?}");
        save(&store, name, index as u64).await;
    }
    for (index, name) in NEARLY_EQUAL.into_iter().enumerate() {
        assert_eq!(cursor(&store, name).await, Some(index as u64));
    }
}

async fn of_many_saves_the_farthest_stays(store: Fresh) {
    let shard = store.shards()[0];
    all_at_once(64, |number| {
        let store = store.share();
        async move { store.save_cursor("app", shard, Position((number as u64 * 37) % 64)).await.unwrap() }
    })
    .await;
    assert_eq!(cursor(&store, "app").await, Some(63));
}

async fn conversations_lag_until_they_do_not(store: Fresh) {
    let shard = store.shards()[0];
    let save = async |endpoint: &str, cursor, behind: &[(ConversationId, Option<u64>)]| {
        let behind = behind.iter().map(|(id, told)| (id.clone().into(), told.and_then(lags))).collect();
        let progress = Progress { cursor: Position(cursor), behind, letters: Vec::new() };
        store.save_progress(endpoint, shard, progress).await.unwrap();
    };
    let behind = async |endpoint: &str| {
        let mut behind = store.behind(endpoint, shard).await.unwrap();
        behind.sort_by(|one, other| one.0.cmp(&other.0));
        behind
    };
    let of = |id: ConversationId, told| (id.into(), lags(told).unwrap());
    assert_eq!(behind("app").await, []);
    save("app", 9, &[(in_group("g"), Some(3)), (direct("a", "b\"\n"), Some(4)), (in_topic("g", "t"), Some(0))]).await;
    save("audit", 9, &[(in_group("g"), Some(8))]).await;
    save("app", 10, &[(in_group("g"), Some(5)), (in_topic("g", "t"), None), (in_group("never"), None)]).await;
    assert_eq!(behind("app").await, [of(direct("a", "b\"\n"), 4), of(in_group("g"), 5)]);
    assert_eq!(behind("audit").await, [of(in_group("g"), 8)]);
    assert_eq!(cursor(&store, "app").await, Some(10));
    assert_eq!(store.behind("app", Shard(7)).await.unwrap(), []);
}

async fn a_cursor_is_started_where_it_is_new(store: Fresh) {
    let shard = store.shards()[0];
    let at = |position, started| Some(Cursor { position: Position(position), started: Position(started) });
    for position in [7, 7, 3, 9] {
        save(&store, "app", position).await;
    }
    save(&store, "audit", 0).await;
    save(&store, "audit", 5).await;
    assert_eq!(store.cursor("app", shard).await.unwrap(), at(9, 7));
    let store = store.reopen().await;
    save(&store, "app", 20).await;
    assert_eq!(store.cursor("app", shard).await.unwrap(), at(20, 7));
    assert_eq!(store.cursor("audit", shard).await.unwrap(), at(5, 0));
}

async fn trouble_is_kept_with_who_has_it(store: Fresh) {
    let shard = store.shards()[0];
    let save = async |behind: Option<Behind>| {
        let behind = vec![(Subject::from(in_group("g")), behind)];
        store.save_progress("app", shard, Progress { cursor: Position(9), behind, letters: Vec::new() }).await.unwrap();
    };
    let trouble = |attempts, since, due| Some(Trouble { attempts, since: at(since), due: at(due) });
    let lags = |told, trouble| Behind { told: Position(told), trouble };
    for behind in [
        lags(3, trouble(1, 10, 20)),
        lags(3, trouble(u32::MAX, -10, i64::MAX - at(0).millis())),
        lags(4, None),
        lags(5, trouble(0, 0, 0)),
    ] {
        save(Some(behind)).await;
        assert_eq!(store.behind("app", shard).await.unwrap(), [(in_group("g").into(), behind)]);
    }
    let store = store.reopen().await;
    assert_eq!(store.behind("app", shard).await.unwrap(), [(in_group("g").into(), lags(5, trouble(0, 0, 0)))]);
}

async fn subjects_of_every_kind_lag(store: Fresh) {
    let shard = store.shards()[0];
    let subjects = || {
        let conversations = [direct("a", "b"), in_group("app"), in_topic("g", "t")].map(Subject::from);
        conversations.into_iter().chain([Subject::Account("app".into()), Subject::Account("g".into()), Subject::App])
    };
    let behind = subjects().enumerate().map(|(number, subject)| (subject, lags(number as u64))).collect();
    store.save_progress("app", shard, Progress { cursor: Position(9), behind, letters: Vec::new() }).await.unwrap();
    let mut found = store.behind("app", shard).await.unwrap();
    found.sort_by_key(|(_, behind)| behind.told);
    assert!(found.into_iter().map(|(subject, _)| subject).eq(subjects()));
}
