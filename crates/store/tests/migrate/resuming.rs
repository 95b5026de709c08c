//! A migration that was interrupted, anywhere, goes on where it stopped.

use chat::event::Position;
use store::OpenError;
use store::migrate::{MigrateError, Phase};

use crate::fixtures::{at, direct, in_group, message, send};
use crate::fresh::Fresh;
use crate::ledger::Cursors;
use crate::places::{Database, are_same, has_each_event_once, move_all, move_until, owed, seen, try_move};
use crate::there_and_back::populate;

/// Enough for several pages of each.
async fn populate_widely(store: &Fresh) {
    populate(store).await;
    let accounts: Vec<String> = (0..9000).map(|number| format!("user{number}")).collect();
    for page in accounts.chunks(3000) {
        let writes = page.iter().map(|id| crate::fixtures::import(id)).collect();
        store.write(writes).await;
    }
    for page in accounts.chunks(1000) {
        let mut writes = Vec::new();
        for (number, id) in page.iter().enumerate() {
            let time = |message| chat::message::Message { time: at(number as i64), ..message };
            writes.push(send(time(message(id, direct(id, "a")))));
            writes.push(send(time(message("a", in_group("g")))));
        }
        store.write(writes).await;
    }
    for shard in store.shards() {
        let head = store.head(shard).borrow().0;
        store.save_cursor("app", shard, Position(head / 3)).await.unwrap();
    }
}

async fn interrupted(from: Database, to: Database) {
    let store = from.open().await;
    populate_widely(&store).await;
    let before = (seen(&store).await, owed(&store, &["app"]).await);
    drop(store);

    let phases = [
        (Phase::Tables, 1),
        (Phase::Tables, 5000),
        (Phase::Tables, 17_000),
        (Phase::Log, 1),
        (Phase::Log, 9000),
        (Phase::Cursors, 0),
        (Phase::Cursors, 9000),
        (Phase::Verifying, 9000),
    ];
    for (phase, done) in phases {
        assert!(move_until(&from, &to, |progress| progress.phase == phase && progress.done >= done).await);
        match to.try_open().await {
            Err(error @ OpenError::Unfinished { .. }) => {
                assert!(error.is_final());
                assert!(error.to_string().contains("ringback migrate"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(move_all(&from, &to).await.is_resumed);
    let store = to.open().await;
    are_same(&seen(&store).await, &before.0);
    assert_eq!(owed(&store, &["app"]).await, before.1);
    has_each_event_once(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_postgres() {
    interrupted(Database::sqlite(), Database::postgres(16).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_sqlite() {
    interrupted(Database::postgres(5).await, Database::sqlite()).await;
}

/// Refused, with these words; the target stays as it was.
async fn is_refused(from: &Database, to: &Database, words: &str) {
    match try_move(from, to).await {
        Err(error @ (MigrateError::Refused(_) | MigrateError::Open(_))) => {
            assert!(error.is_refusal());
            assert!(error.to_string().contains(words), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_has_changed_is_noticed() {
    let from = Database::sqlite();
    populate(&from.open().await).await;
    for (number, (change, words)) in [
        ("INSERT INTO account VALUES (1000, 'new', '', '', '', 1)", "its accounts"),
        ("UPDATE account SET name = 'changed' WHERE id = 'b'", "its accounts"),
        ("UPDATE chat_group SET version = 7", "its groups"),
        ("UPDATE conversation SET read_a = 2 WHERE head > 3", "its conversations"),
        ("INSERT INTO cursor VALUES ('app', 0, 3, 0)", "its cursors"),
        ("INSERT INTO pause VALUES ('app', 'gone', '', 0)", "its pauses"),
        ("UPDATE parked SET data = replace(data, 'review', 'another') WHERE state = 0", "its parked messages"),
        ("INSERT INTO letter VALUES ('app', 0, 1, '\"app\"', printf('%032x', 1), '', 0, '', 0, 0)", "its letters"),
        (
            "INSERT INTO event SELECT 9999, conversation, NULL, NULL, time, NULL, NULL, data FROM event LIMIT 1",
            "its log",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let to = if number % 2 == 0 { Database::sqlite() } else { Database::postgres(2).await };
        assert!(move_until(&from, &to, |progress| progress.phase == Phase::Log).await);
        from.sql(change).await;
        is_refused(&from, &to, "has changed since its migration began").await;
        is_refused(&from, &to, words).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_another_source_has_begun_to_fill_is_refused() {
    let (one, other, to) = (Database::sqlite(), Database::sqlite(), Database::postgres(3).await);
    populate(&one.open().await).await;
    populate(&other.open().await).await;
    assert!(move_until(&one, &to, |progress| progress.phase == Phase::Log).await);
    is_refused(&other, &to, "is being filled from another database").await;
    // And half of something is no source.
    is_refused(&to, &Database::sqlite(), "is not all there").await;
    assert!(move_all(&one, &to).await.is_resumed);
    is_refused(&one, &to, "is complete").await;
    is_refused(&other, &to, "holds other data").await;
}
