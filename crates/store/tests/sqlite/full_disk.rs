//! A disk without room: writes are refused as unavailable, nothing that was answered is lost, and all is well again once
//! there is room.
//!
//! Each way of filling a disk concerns a whole process, so each runs [`in_a_child`].

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use chat::event::{Position, Shard};
use chat::port::CommitError;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use store::Sqlite;

use crate::ledger::Cursors;
use crate::{open, send, texts};

/// Where a child works.
const DIR: &str = "RINGBACK_TEST_FULL_DISK";

/// A size limit on files stands in for the full disk: it works everywhere and for everybody.
#[test]
fn a_full_disk_by_a_file_size_limit() {
    let dir = tempfile::tempdir().unwrap();
    // Ignored signals stay ignored across exec: a write beyond the limit fails instead of killing the process.
    let status = in_a_child("full_disk::child_with_a_file_size_limit", dir.path(), "trap '' XFSZ", &["sh", "-c"]);
    assert!(status.unwrap(), "the child has failed; see above");
}

/// A real full disk: a tiny file system in memory. It is mounted where only the child sees it, and is gone with it.
#[test]
fn a_full_disk_by_a_tiny_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"];
    let mount = format!("mount -t tmpfs -o size=2m none \"${DIR}\"");
    let trial = Command::new(namespace[0]).args(&namespace[1..]).arg(&mount).env(DIR, dir.path()).status();
    if !trial.is_ok_and(|status| status.success()) {
        // Straight to the terminal: the harness would keep it to itself.
        let said = writeln!(io::stderr(), "\nNOT RUN: full disk by a tiny file system (may not mount one here)\n");
        return said.unwrap();
    }
    let status = in_a_child("full_disk::child_on_a_tiny_file_system", dir.path(), &mount, &namespace);
    assert!(status.unwrap(), "the child has failed; see above");
}

/// Runs one of the tests below in a process of its own, after a command in its shell.
fn in_a_child(test: &str, dir: &Path, prepare: &str, shell: &[&str]) -> io::Result<bool> {
    let run = format!("{prepare} && exec \"$0\" --exact {test} --ignored --nocapture");
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(run).arg(std::env::current_exe()?).env(DIR, dir);
    Ok(command.status()?.success())
}

fn dir_of_child() -> PathBuf {
    std::env::var_os(DIR).expect("is only run by another test").into()
}

#[tokio::test]
#[ignore = "is run by a_full_disk_by_a_file_size_limit"]
async fn child_with_a_file_size_limit() {
    let path = dir_of_child().join("ringback.db");
    let (_, most) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    let limit = |bytes| setrlimit(Resource::RLIMIT_FSIZE, bytes, most).unwrap();
    fills_up(&path, || limit(1 << 20), || limit(most)).await;
}

#[tokio::test]
#[ignore = "is run by a_full_disk_by_a_tiny_file_system"]
async fn child_on_a_tiny_file_system() {
    let path = dir_of_child().join("ringback.db");
    let ballast = dir_of_child().join("ballast");
    let fill = || {
        let mut file = fs::File::create(&ballast).unwrap();
        let full = std::iter::repeat_with(|| file.write_all(&[0; 4096])).find_map(Result::err).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    };
    fills_up(&path, fill, || fs::remove_file(&ballast).unwrap()).await;
}

/// The same whichever way the disk is filled and emptied, and twice: the second time with more in the store.
async fn fills_up(path: &Path, fill: impl Fn(), empty: impl Fn()) {
    let mut sent = Vec::new();
    let mut store = open(path).await;
    for round in 0..2 {
        sends(&store, &mut sent, format!("{round}: before")).await.unwrap();
        fill();
        is_full(&store, &mut sent).await;
        drop(store);
        store = Sqlite::open(path).unwrap_or_else(|error| panic!("a restart harms: {error}"));
        is_full(&store, &mut sent).await;

        empty();
        sends(&store, &mut sent, format!("{round}: after")).await.unwrap();
        sends(&store, &mut sent, "after ".repeat(10_000)).await.unwrap();
        assert!(texts(&store).await == sent);
        drop(store);
        store = open(path).await;
        assert!(texts(&store).await == sent, "also after a restart");
    }
}

/// Sends a text, and notes it if it was answered.
async fn sends(store: &Sqlite, sent: &mut Vec<String>, text: String) -> Result<(), CommitError> {
    send(store, &text).await?;
    sent.push(text);
    Ok(())
}

/// Sends until there is no room left (a restart may make some); from then on nothing can be written, and all can be read.
async fn is_full(store: &Sqlite, sent: &mut Vec<String>) {
    let refused = loop {
        let text = format!("{}: {}", sent.len(), "x".repeat(10_000));
        if let Err(error) = sends(store, sent, text).await {
            break error;
        }
        assert!(sent.len() < 1000, "the disk does not get full");
    };
    assert!(matches!(refused, CommitError::Unavailable(_)), "{refused:?}");
    for _ in 0..3 {
        let refused = send(store, &"y".repeat(100_000)).await.unwrap_err();
        assert!(matches!(refused, CommitError::Unavailable(_)), "{refused:?}");
    }
    assert!(store.save_cursor(&"z".repeat(100_000), Shard(0), Position(1)).await.is_err());
    assert!(texts(store).await == *sent, "what was answered can be read");
}
