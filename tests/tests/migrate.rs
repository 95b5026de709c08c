//! `ringback migrate`: a server goes on over another database as if nothing had happened, and its backend hears every
//! event exactly once, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tests::cli::{Ended, finish, ringback, run};
use tests::tencent::{text_of, with};
use tests::{Answer, Call, Cluster, Endpoint, Receiver, Server, Setup, Store, Tencent, c2c, group_text};

const SEND: &str = "openim/sendmsg";
const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const C2C_AFTER: &str = "C2C.CallbackAfterSendMsg";
const GROUP_AFTER: &str = "Group.CallbackAfterSendMsg";

/// Its calls are refused at first: it lags behind the others.
const STUCK: &str = "g0";
const GROUPS: [&str; 6] = [STUCK, "g1", "g2", "g3", "g4", "g5"];

/// What the backend has accepted, in the order of arrival: in which conversation, which words.
#[derive(Default)]
struct Heard(Vec<(String, String)>);

impl Heard {
    fn add(&mut self, calls: &[Call]) {
        for call in calls {
            let conversation = call.body["GroupId"].as_str().unwrap_or("c2c").to_owned();
            self.0.push((conversation, text_of(&call.body)));
        }
    }

    /// Every conversation's words, each once and in order, up to this number.
    fn is_everything_up_to(&self, last: usize) {
        let mut heard: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (conversation, words) in &self.0 {
            heard.entry(conversation).or_default().push(words);
        }
        let expected: Vec<String> = (1..=last).map(|number| number.to_string()).collect();
        for conversation in GROUPS.into_iter().chain(["c2c"]) {
            assert_eq!(heard[conversation], expected, "{conversation}");
        }
    }
}

/// Sends the messages of these numbers to every conversation.
async fn talk(tencent: &Tencent, numbers: std::ops::RangeInclusive<i64>) {
    for number in numbers {
        for group in GROUPS {
            let answer = tencent.ok(SEND_GROUP, group_text(group, "alice", &number.to_string())).await;
            assert_eq!(answer["MsgSeq"], number, "{group} goes on");
        }
        tencent.ok(SEND, c2c("alice", "bob", &number.to_string())).await;
    }
}

/// What a customer sees of it.
async fn picture(tencent: &Tencent) -> Value {
    let mut groups = BTreeMap::new();
    for group in GROUPS {
        let members = json!({"GroupId": group});
        let members = tencent.ok("group_open_http_svc/get_group_member_info", members).await;
        groups.insert(group, (tencent.group_history(group).await, members));
    }
    json!({
        "groups": groups,
        "direct": tencent.history("bob", "alice").await,
        "unread": [tencent.unread("alice").await, tencent.unread("bob").await],
    })
}

fn setup(backend: SocketAddr, data_dir: &Path) -> Setup {
    let endpoint = Endpoint::tencent(format!("http://{backend}")).hears([C2C_AFTER, GROUP_AFTER]);
    Setup::new().endpoint(endpoint).data_dir(data_dir)
}

async fn migrate(from: &str, to: &str) -> Ended {
    run(["migrate", "--from", from, "--to", to]).await
}

/// As many calls as there are messages of the numbers after `told`, for every conversation.
fn owed(told: usize, last: usize) -> usize {
    (GROUPS.len() + 1) * (last - told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_sqlite_to_postgres_and_back_every_event_is_told_once_and_in_order() {
    if !Store::plays_postgres("moving from SQLite to PostgreSQL and back") {
        return;
    }
    let mut postgres = Cluster::start().await;
    let url = postgres.create_database("ringback").await;
    let home = tempfile::tempdir().expect("a directory");
    let backend = Receiver::start().await;
    let address = backend.address();
    let mut heard = Heard::default();

    // Over SQLite, with a conversation that is stuck; then the backend goes away, and more is said.
    backend.answers_with("*", |call| if call.body["GroupId"] == STUCK { Answer::status(500) } else { Answer::go_on() });
    let mut server = setup(address, home.path()).on_sqlite().start().await;
    let tencent = server.tencent();
    tencent.import(&["alice", "bob"]).await;
    for group in GROUPS {
        tencent.create_group(group, "alice", &["bob"]).await;
    }
    talk(&tencent, 1..=10).await;
    let is_accepted = |call: &&Call| call.body["GroupId"] != STUCK;
    let all_but_one = owed(0, 10) - 10;
    backend.wait_until("all but the stuck", |calls| calls.iter().filter(is_accepted).count() == all_but_one).await;
    let calls = away(backend, &mut server).await;
    heard.add(&calls.iter().filter(is_accepted).cloned().collect::<Vec<_>>());
    let tencent = server.tencent();
    talk(&tencent, 11..=20).await;
    let repeated = with(c2c("alice", "bob", "21"), json!({"MsgSeq": 7, "MsgRandom": 4711}));
    let answer = tencent.ok(SEND, repeated.clone()).await;
    let before = picture(&tencent).await;
    server.stop().await;

    // It is moved by a process that is killed again and again, and goes on each time.
    let file = format!("sqlite:{}", home.path().join("ringback.db").display());
    let is_done = move_under_fire(&file, &url).await;
    let ended = migrate(&file, &url).await;
    if is_done {
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("is complete"), "{ended:?}");
    } else {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains("the same") && ended.out.contains(&format!("url = \"{url}\"")), "{ended:?}");
    }

    // Over PostgreSQL everything is as it was, and the backend hears what it was owed when it is back.
    let mut server = setup(address, home.path()).on_postgres(&url).start().await;
    let tencent = server.tencent();
    assert_eq!(picture(&tencent).await, before);
    assert_eq!(tencent.ok(SEND, repeated.clone()).await, answer, "a repeat is one");
    for group in GROUPS {
        tencent.ok(SEND_GROUP, group_text(group, "alice", "21")).await;
    }
    let backend = Receiver::at(address).await;
    let calls = backend
        .wait_until("what it was owed", |calls| {
            calls.iter().filter(is_accepted).count() == owed(10, 21) - 11
                && calls.iter().filter(|call| !is_accepted(call)).count() == 21
        })
        .await;
    heard.add(&calls);
    heard.is_everything_up_to(21);
    // Again it goes away, now over PostgreSQL.
    away(backend, &mut server).await;
    let tencent = server.tencent();
    talk(&tencent, 22..=30).await;
    let before = picture(&tencent).await;
    server.stop().await;

    // And back, to a new file: the old one is as it was left.
    let ended = migrate(&url, &file).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("holds data already"), "{ended:?}");
    let new_home = tempfile::tempdir().expect("a directory");
    let ended = migrate(&url, &format!("sqlite:{}", new_home.path().join("ringback.db").display())).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let server = setup(address, new_home.path()).on_sqlite().start().await;
    let tencent = server.tencent();
    assert_eq!(picture(&tencent).await, before);
    assert_eq!(tencent.ok(SEND, repeated).await, answer, "a repeat is one");
    talk(&tencent, 31..=32).await;
    let backend = Receiver::at(address).await;
    let calls = backend.wait_until("what it was owed", |calls| calls.len() >= owed(21, 32)).await;
    heard.add(&calls);
    heard.is_everything_up_to(32);
    let words: BTreeSet<_> = heard.0.iter().collect();
    assert_eq!(words.len(), heard.0.len(), "nothing is told twice");
    postgres.stop().await;
}

/// The backend goes away while no call is in flight: each that it has heard has its answer. Gives what it has heard.
async fn away(backend: Receiver, server: &mut Server) -> Vec<Call> {
    server.stop().await;
    let calls = backend.stop();
    server.launch();
    server.ready().await;
    calls
}

/// Begins to move, and kills it: some times, a little later each. Says whether one of them was done before.
async fn move_under_fire(from: &str, to: &str) -> bool {
    for millis in [5, 20, 40, 60, 80] {
        let mut command = ringback();
        command.args(["migrate", "--from", from, "--to", to]);
        let mut command = tokio::process::Command::from(command);
        let mut child = command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn();
        let child = child.as_mut().expect("the binary starts");
        match tokio::time::timeout(Duration::from_millis(millis), child.wait()).await {
            Ok(ended) => {
                assert!(ended.expect("its end").success(), "it failed by itself");
                return true;
            }
            Err(_) => child.kill().await.expect("SIGKILL"),
        }
    }
    false
}

/// What is only half there is not served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_it_is_not_served() {
    if !Store::plays_postgres("refusing to serve what is half migrated") {
        return;
    }
    let postgres = Cluster::start().await;
    let url = postgres.create_database("ringback").await;
    let mut server = Setup::new().on_postgres(&url).start().await;
    server.stop().await;
    tests::postgres::psql(&url, "UPDATE dataset SET state = 'arriving', source = 'x', origin = 'sqlite:old.db'").await;
    let ended = serve(&server).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("ringback migrate") && ended.err.contains("sqlite:old.db"), "{ended:?}");
}

async fn serve(server: &Server) -> Ended {
    let mut command = ringback();
    command.arg("serve").arg("--config").arg(server.config_file()).arg("--data-dir").arg(server.data_dir());
    finish(command).await
}

/// Without a server of either kind.
#[tokio::test]
async fn what_is_wrong_is_refused_in_words_and_without_passwords() {
    let home = tempfile::tempdir().expect("a directory");
    let file = |name: &str| format!("sqlite:{}", home.path().join(name).display());
    let nobody = "postgres://ringback:hush@127.0.0.1:1/ringback";
    for (from, to, words) in [
        (file("none.db"), file("new.db"), "No such file"),
        (file("none.db"), file("none.db"), "the same database"),
        ("mysql://ringback:hush@h/d".to_owned(), file("new.db"), "--from: found \"mysql\""),
        (file("none.db"), "ringback.db".to_owned(), "--to: found no scheme"),
        (nobody.to_owned(), nobody.to_owned(), "the same database"),
        (nobody.to_owned(), file("new.db"), "127.0.0.1:1"),
        ("postgres://ringback:hush@/d".to_owned(), file("new.db"), "names no host"),
    ] {
        let ended = migrate(&from, &to).await;
        assert_eq!(ended.code, Some(2), "{from} {to}: {ended:?}");
        assert!(ended.err.contains(words) && ended.out.is_empty(), "{from} {to}: {ended:?}");
        assert!(!ended.err.contains("hush"), "{ended:?}");
    }
    assert!(!home.path().join("new.db").exists(), "nothing is made for nothing");

    // What is served is left alone.
    let server = Setup::new().on_sqlite().data_dir(home.path()).start().await;
    let ended = migrate(&file("ringback.db"), &file("new.db")).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("in use by another ringback process"), "{ended:?}");
    drop(server);
}
