//! What is opened, and what is refused in words that help an operator.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use store::{OpenError, Sqlite};

use crate::{open, send, texts};

fn refusal(path: &Path) -> OpenError {
    match Sqlite::open(path) {
        Err(error) => error,
        Ok(_) => panic!("{} was opened", path.display()),
    }
}

/// The refusal names the file and says all of this.
fn says(error: &OpenError, path: &Path, words: &[&str]) {
    let text = error.to_string();
    assert!(text.contains(&*path.to_string_lossy()), "no path in: {text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[tokio::test]
async fn directories_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one/two/ringback.db");
    drop(open(&path).await);
    assert!(path.is_file());
}

#[tokio::test]
async fn an_empty_file_is_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ringback.db");
    fs::write(&path, "").unwrap();
    assert_eq!(texts(&open(&path).await).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_name_may_have_any_letters() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file: ring'back?mode=ro#é%20.db");
    let store = open(&path).await;
    send(&store, "text").await.unwrap();
    drop(store);
    assert!(path.is_file());
    assert_eq!(texts(&open(&path).await).await, ["text"]);
}

#[tokio::test]
async fn a_file_in_use_is_refused_until_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ringback.db");
    let store = open(&path).await;
    for _ in 0..2 {
        let error = refusal(&path);
        assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
        says(&error, &path, &["in use by another ringback process"]);
    }
    send(&store, "still works").await.unwrap();
    drop(store);
    assert_eq!(texts(&open(&path).await).await, ["still works"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_in_use_is_refused_by_any_of_its_names() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let path = dir.path().join("data/ringback.db");
    let names = ["data/../data/ringback.db", "linked.db", "linked/ringback.db"].map(|name| dir.path().join(name));
    std::os::unix::fs::symlink(&path, &names[1]).unwrap();
    std::os::unix::fs::symlink(dir.path().join("data"), names[2].parent().unwrap()).unwrap();
    let store = open(&path).await;
    for name in &names {
        says(&refusal(name), name, &["in use"]);
    }
    drop(store);
    for name in &names {
        send(&open(name).await, "by another name").await.unwrap();
    }
    assert_eq!(texts(&open(&path).await).await.len(), names.len());
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ringback.db");
    let text = "not a database. ".repeat(1000);
    fs::write(&path, &text).unwrap();
    says(&refusal(&path), &path, &["cannot open", "not a database"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ringback.db");
    fs::create_dir(&path).unwrap();
    says(&refusal(&path), &path, &["cannot open"]);
}

#[test]
fn a_place_below_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for place in ["file/ringback.db", "file/deeper/ringback.db"] {
        let path = dir.path().join(place);
        says(&refusal(&path), &path, &["cannot open"]);
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ringback.db");
    let store = open(&path).await;
    send(&store, "text").await.unwrap();
    drop(store);
    let db = Connection::open(&path).unwrap();
    let later = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 SELECT 9999, 'later', applied_on, '1' FROM refinery_schema_history LIMIT 1";
    db.execute(later, []).unwrap();
    for _ in 0..2 {
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        says(&error, &path, &["newer version of ringback", "9999", "later"]);
    }
    db.execute("DELETE FROM refinery_schema_history WHERE version = 9999", []).unwrap();
    drop(db);
    assert_eq!(texts(&open(&path).await).await, ["text"]);
}

#[tokio::test]
async fn another_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ringback.db");
    drop(open(&path).await);
    let db = Connection::open(&path).unwrap();
    db.execute("UPDATE refinery_schema_history SET checksum = '1'", []).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    says(&error, &path, &["V1__begin", "another"]);
}

#[test]
fn the_database_of_something_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.db");
    let db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE precious (thing TEXT); INSERT INTO precious VALUES ('gold')").unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    says(&error, &path, &["something else", "precious"]);
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}
