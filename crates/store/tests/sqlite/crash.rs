//! The disk as a crash leaves it: the files are copied while the store is open, so that nothing is tidied up.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use store::Sqlite;

use crate::{open, send, texts};

/// What a crash at this moment would leave in the files. The `-shm` file is gone after a crash of the machine.
fn crashed(path: &Path, copy: &Path) {
    fs::copy(path, copy).unwrap();
    let beside = |path: &Path| path.with_extension("db-wal");
    if beside(path).exists() {
        fs::copy(beside(path), beside(copy)).unwrap();
    }
}

#[tokio::test]
async fn whatever_was_answered_survives() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("ringback.db"), dir.path().join("copy.db"));
    let store = open(&path).await;
    let mut sent = Vec::new();
    for round in 0..20 {
        for number in 0..5 {
            let text = format!("{round}.{number}");
            send(&store, &text).await.unwrap();
            sent.push(text);
        }
        crashed(&path, &copy);
        assert_eq!(texts(&open(&copy).await).await, sent);
    }
}

/// Large messages bring the log back into the main file every few commits; a crash may come at any of them.
#[tokio::test]
async fn whatever_was_answered_survives_a_growing_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("ringback.db"), dir.path().join("copy.db"));
    let store = open(&path).await;
    let mut sent = Vec::new();
    for number in 0..30_u8 {
        let text = char::from(b'a' + number % 26).to_string().repeat(500_000);
        send(&store, &text).await.unwrap();
        sent.push(text);
        crashed(&path, &copy);
        assert!(texts(&open(&copy).await).await == sent, "after {} messages", sent.len());
    }
}

/// Half of the newest transaction reached the disk: it counts as never begun, and what came before it stays.
#[tokio::test]
async fn half_a_transaction_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("ringback.db"), dir.path().join("copy.db"));
    let store = open(&path).await;
    send(&store, "first").await.unwrap();
    let wal = path.with_extension("db-wal");
    let whole = fs::metadata(&wal).unwrap().len();
    send(&store, &"second".repeat(10_000)).await.unwrap();
    let longer = fs::metadata(&wal).unwrap().len();
    assert!(longer > whole);
    for length in [whole, whole + 1, whole + 4096, (whole + longer) / 2, longer - 1] {
        crashed(&path, &copy);
        let torn = fs::OpenOptions::new().write(true).open(copy.with_extension("db-wal")).unwrap();
        torn.set_len(length).unwrap();
        let reopened = open(&copy).await;
        assert_eq!(texts(&reopened).await, ["first"], "{length} of {longer} bytes");
        assert_eq!(send(&reopened, "next").await.unwrap(), 2);
    }
}

/// Every answer was given before the crash, from whichever of many writers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_many_writers_were_answered_survives() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("ringback.db"), dir.path().join("copy.db"));
    let store: Arc<Sqlite> = Arc::new(open(&path).await);
    for round in 1..=5 {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..64 {
            let store = store.clone();
            writers.spawn(async move { send(&store, &format!("{writer}")).await.unwrap() });
        }
        writers.join_all().await;
        crashed(&path, &copy);
        assert_eq!(texts(&open(&copy).await).await.len(), round * 64);
    }
}
