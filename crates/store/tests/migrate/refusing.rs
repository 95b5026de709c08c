//! What is not done, in words that help, and with nothing changed.

use std::fs;

use chat::event::{Position, Shard};
use store::migrate::{MigrateError, Place, Progress, run};
use tokio::sync::watch;
use webhook::ledger::Cursor;

use crate::fixtures::{direct, message};
use crate::ledger::{Cursors, letter};
use crate::places::{Database, are_same, move_all, seen, server, try_move};
use crate::there_and_back::{populate, tell};

async fn refusal(from: &Place, to: &Place) -> String {
    let (progress, _watched) = watch::channel(Progress::default());
    match run(from, to, &progress).await {
        Err(error) if error.is_refusal() => error.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn is_refused(from: &Database, to: &Database, words: &str) {
    let refusal = refusal(from.place(), to.place()).await;
    assert!(refusal.contains(words), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_place_twice() {
    let lite = Database::sqlite();
    populate(&lite.open().await).await;
    is_refused(&lite, &lite, "the same database").await;
    let Place::Sqlite(path) = lite.place() else { unreachable!() };
    let (dir, name) = (path.parent().unwrap(), path.file_name().unwrap());
    std::os::unix::fs::symlink(path, dir.join("link.db")).unwrap();
    for other in
        [dir.join("link.db"), dir.join(".").join(name), dir.join("../").join(dir.file_name().unwrap()).join(name)]
    {
        assert!(refusal(lite.place(), &Place::Sqlite(other)).await.contains("the same database"));
    }
    fs::copy(path, dir.join("copy.db")).unwrap();
    assert!(refusal(lite.place(), &Place::Sqlite(dir.join("copy.db"))).await.contains("a copy"));

    let pg = Database::postgres(2).await;
    drop(pg.open().await);
    is_refused(&pg, &pg, "the same database").await;
    let Place::Postgres { url, .. } = pg.place() else { unreachable!() };
    let by_another_name = url.replace("127.0.0.1", "localhost").replace("?options", "?application_name=x&options");
    assert!(
        refusal(pg.place(), &Place::Postgres { url: by_another_name, shards: 1 }).await.contains("the same database")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("deep/to.db");
    let from = dir.path().join("deep/from.db");
    let words = refusal(&Place::Sqlite(from.clone()), &Place::Sqlite(to.clone())).await;
    assert!(words.contains("No such file") && words.contains("from.db"), "{words}");
    // Nothing was made.
    assert!(!dir.path().join("deep").exists());
    assert!(
        refusal(&Place::Sqlite(dir.path().to_owned()), &Place::Sqlite(to.clone())).await.contains("is no database")
    );
    fs::write(dir.path().join("text"), "no database. ".repeat(1000)).unwrap();
    let words = refusal(&Place::Sqlite(dir.path().join("text")), &Place::Sqlite(to.clone())).await;
    assert!(words.contains("not a database"), "{words}");

    let pg = Database::postgres(2).await;
    let words = refusal(pg.place(), &Place::Sqlite(to.clone())).await;
    assert!(words.contains("no tables of ringback"), "{words}");
    pg.sql("CREATE TABLE t (n int)").await;
    assert!(refusal(pg.place(), &Place::Sqlite(to.clone())).await.contains("no tables of ringback"));
    let nowhere = server().replace("/postgres", "/nowhere").replace("//postgres@", "//postgres:hush@");
    let words = refusal(&Place::Postgres { url: nowhere, shards: 1 }, &Place::Sqlite(to.clone())).await;
    assert!(words.contains("nowhere") && !words.contains("hush"), "{words}");
    let words = refusal(&Place::Postgres { url: "postgres://u:hush@/d".into(), shards: 1 }, &Place::Sqlite(to)).await;
    assert!(words.contains("names no host") && !words.contains("hush") && !words.contains("store.url"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served() {
    let (lite, pg) = (Database::sqlite(), Database::postgres(2).await);
    populate(&lite.open().await).await;
    let held = lite.open().await;
    is_refused(&lite, &pg, "in use by another ringback process").await;
    drop(held);

    move_all(&lite, &pg).await;
    let Place::Postgres { url, .. } = pg.place() else { unreachable!() };
    let mut served = store::Postgres::open(&store::postgres::Settings::new(url.clone())).await.unwrap();
    served.claim().await.unwrap();
    is_refused(&pg, &Database::sqlite(), "is served by another ringback process").await;
    is_refused(&lite, &pg, "is served by another ringback process").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_holds_something() {
    let from = Database::sqlite();
    populate(&from.open().await).await;
    for to in [Database::sqlite(), Database::postgres(2).await] {
        let store = to.open().await;
        store.has(&["z"]).await;
        drop(store);
        is_refused(&from, &to, "holds data already").await;
        let store = to.open().await;
        assert_eq!(store.log().await, []);
        assert_eq!(store.accounts(&["z".into(), "a".into()]).await.unwrap().len(), 1);
    }
    let to = Database::postgres(2).await;
    to.sql("CREATE TABLE precious (n int)").await;
    is_refused(&from, &to, "precious").await;
    // One that was only opened holds nothing.
    let to = Database::postgres(2).await;
    drop(to.open().await);
    move_all(&from, &to).await;
}

/// Whatever is not the same in the end is found, and nobody serves it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_is_found() {
    for (number, (change, words)) in [
        ("UPDATE event SET time = time + 1 WHERE seq = 2", "the conversation of"),
        ("UPDATE event SET data = replace(data, 'message', 'massage') WHERE seq = 3", "the conversation of"),
        ("UPDATE event SET unread = 0 WHERE unread = 3", "the conversation of"),
        ("UPDATE event SET repeat = 1 WHERE repeat IS NOT NULL", "the conversation of \"a\" and \"b\""),
        ("DELETE FROM event WHERE seq IS NULL", "the conversation of"),
        ("UPDATE conversation SET unread_a = 0, unread_b = 0", "unread"),
        ("UPDATE cursor SET position = position - 1 WHERE position > 3", "the conversation of"),
        ("UPDATE cursor SET endpoint = 'other'", "cursors of the endpoints app and of other"),
        ("DELETE FROM member WHERE arrival = 2", "members"),
        ("UPDATE block SET created = 1", "blocks"),
    ]
    .into_iter()
    .enumerate()
    {
        let from = Database::sqlite();
        let store = from.open().await;
        populate(&store).await;
        for shard in store.shards() {
            store.save_cursor("app", shard, Position(100)).await.unwrap();
        }
        drop(store);
        let to = if number % 2 == 0 { Database::postgres(3).await } else { Database::sqlite() };
        let is_counted = words == "unread" && to.is_sqlite();
        is_found(&from, &to, change, if is_counted { "the conversation of" } else { words }).await;
    }
}

async fn is_found(from: &Database, to: &Database, change: &str, words: &str) {
    // Copied, and not yet compared.
    let is_compared = |progress: &Progress| progress.phase == store::migrate::Phase::Verifying;
    assert!(crate::places::move_until(from, to, is_compared).await);
    to.sql(change).await;
    match try_move(from, to).await {
        Err(error @ MigrateError::Differs(_)) => assert!(error.to_string().contains(words), "{change}: {error}"),
        other => panic!("{change}: {other:?}"),
    }
    assert!(to.try_open().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_in_what_is_noted_of_endpoints_is_found() {
    let from = Database::sqlite();
    let store = from.open().await;
    populate(&store).await;
    tell(&store).await;
    drop(store);
    for (number, (change, words)) in [
        ("UPDATE letter SET why = 'other' WHERE state = 1", "letters"),
        ("UPDATE letter SET position = position - 1 WHERE endpoint = 'app'", "the conversation of"),
        ("DELETE FROM letter WHERE state = 0 AND endpoint = 'idle'", "letters here"),
        ("UPDATE letter_count SET dead = dead + 1 WHERE endpoint = 'idle'", "how many letters \"idle\" has"),
        ("UPDATE pause SET reason = 'gone'", "pauses"),
        ("UPDATE parked SET data = replace(data, 'review', 'another') WHERE state = 0", "parked messages"),
        ("UPDATE behind SET attempts = 4 WHERE attempts = 5", "the conversation of the group \"g\""),
        ("UPDATE cursor SET started = 1000000 WHERE endpoint = 'new'", "what \"new\" is owed nothing of"),
    ]
    .into_iter()
    .enumerate()
    {
        let to = if number % 2 == 0 { Database::postgres(3).await } else { Database::sqlite() };
        is_found(&from, &to, change, words).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_of_no_event_is_named() {
    let (from, to) = (Database::sqlite(), Database::postgres(2).await);
    let store = from.open().await;
    populate(&store).await;
    store.put_letters(vec![letter("app", Shard(0), 100_000)]).await.unwrap();
    drop(store);
    let error = try_move(&from, &to).await.unwrap_err();
    assert!(error.to_string().contains("the letter of \"app\" about"), "{error}");
}

/// What the migrations after the first have made.
const UNDO: &str =
    "DROP TABLE dataset; DROP TABLE parked; DROP TABLE letter; DROP TABLE letter_count; DROP TABLE attempt; DROP TABLE pause;
     DROP TABLE milestone; DROP TABLE gap; DROP INDEX event_to_trim; ALTER TABLE cursor DROP COLUMN started;
     ALTER TABLE behind DROP COLUMN attempts; ALTER TABLE behind DROP COLUMN since; ALTER TABLE behind DROP COLUMN due;
     DELETE FROM refinery_schema_history WHERE version > 1";

/// Data sets of a version before this one have no id until they are opened, and nobody noted when an endpoint was new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_of_the_version_before() {
    let (from, to) = (Database::sqlite(), Database::postgres(2).await);
    let store = from.open().await;
    populate(&store).await;
    store.send(message("a", direct("a", "b"))).await;
    store.save_cursor("app", Shard(0), Position(7)).await.unwrap();
    store.save_cursor("app", Shard(0), Position(100)).await.unwrap();
    let started = |position| Some(Cursor { position: Position(100), started: Position(position) });
    assert_eq!(store.cursor("app", Shard(0)).await.unwrap(), started(7));
    let before = seen(&store).await;
    drop(store);
    from.sql(UNDO).await;
    move_all(&from, &to).await;
    are_same(&seen(&to.open().await).await, &before);
    assert_eq!(from.open().await.cursor("app", Shard(0)).await.unwrap(), started(0));
}
