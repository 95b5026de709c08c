//! PostgreSQL away, replaced by its standby, or not to be used at all: what people are told, and that nothing is lost.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::audit::Stored;
use tests::cli::{Ended, finish, ringback};
use tests::http::Http;
use tests::openim::single;
use tests::traffic::{Traffic, endpoints};
use tests::wait::until;
use tests::{Cluster, Receiver, Server, Setup, Store, c2c, group_text, say};

const SEND: &str = "openim/sendmsg";

/// What the server says of its readiness.
async fn readiness(server: &Server) -> (u16, String) {
    let reply = Http::new(server.http()).get("/health/ready").await;
    (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
}

async fn is_ready_again(server: &Server) {
    until("the server to find its database again", async || (readiness(server).await.0 == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_sends_are_refused_at_once_and_readiness_says_why() {
    if !Store::plays_postgres("sends while PostgreSQL is away") {
        return;
    }
    let mut postgres = Cluster::start().await;
    let database = postgres.create_database("ringback").await;
    let mut server = Setup::new().on_postgres(database).start().await;
    server.expect_errors();
    let (tencent, openim) = (server.tencent(), server.openim().await);
    tests::stage::cast(&tencent).await;
    tencent.create_group("g", "alice", &["bob"]).await;
    tencent.ok(SEND, c2c("alice", "bob", "before")).await;

    for manner in ["stopped", "killed"] {
        match manner {
            "stopped" => postgres.stop().await,
            _ => postgres.kill().await,
        }
        // The first one finds out.
        tencent.call(SEND, c2c("alice", "bob", "lost")).await;
        let began = Instant::now();
        for _ in 0..10 {
            assert!([90994, 90995, 91000].contains(&tencent.refused(SEND, c2c("alice", "bob", "lost")).await));
            let in_group =
                tencent.refused("group_open_http_svc/send_group_msg", group_text("g", "alice", "lost")).await;
            assert_eq!(in_group, 10002);
            assert_eq!(openim.refused("/msg/send_msg", single("alice", "bob", "lost")).await, 90002);
        }
        assert!(began.elapsed() < Duration::from_secs(3), "30 refusals took {:?}", began.elapsed());
        let (status, words) = readiness(&server).await;
        assert_eq!(status, 503, "{words}");
        assert!(words.contains("PostgreSQL at 127.0.0.1") && words.contains("is away"), "{words}");
        postgres.start_again().await;
        is_ready_again(&server).await;
        tencent.ok(SEND, c2c("alice", "bob", manner)).await;
    }
    let mut texts = tencent.texts("alice", "bob").await;
    texts.sort();
    assert_eq!(texts, ["before", "killed", "stopped"]);
    let seqs: Vec<_> =
        openim.pull("alice", "si_alice_bob").await.iter().map(|message| message["seq"].clone()).collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_is_given_up_in_time() {
    if !Store::plays_postgres("a PostgreSQL that hangs") {
        return;
    }
    let mut postgres = Cluster::start().await;
    let database = postgres.create_database("ringback").await;
    let mut server = Setup::new().on_postgres(database).start().await;
    server.expect_errors();
    let tencent = server.tencent();
    tests::stage::cast(&tencent).await;
    postgres.pause().await;
    let began = Instant::now();
    assert!([90994, 90995, 91000].contains(&tencent.refused(SEND, c2c("alice", "bob", "hung")).await));
    assert!(began.elapsed() < Duration::from_secs(20), "the refusal took {:?}", began.elapsed());
    let began = Instant::now();
    assert!([90994, 90995, 91000].contains(&tencent.refused(SEND, c2c("alice", "bob", "hung")).await));
    assert!(began.elapsed() < Duration::from_secs(1), "the second refusal took {:?}", began.elapsed());
    assert_eq!(readiness(&server).await.0, 503);
    postgres.resume().await;
    is_ready_again(&server).await;
    tencent.ok(SEND, c2c("alice", "bob", "after")).await;
    assert_eq!(tencent.texts("alice", "bob").await, ["after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_the_standby_loses_nothing() {
    if !Store::plays_postgres("a failover under load") {
        return;
    }
    let mut primary = Cluster::start().await;
    let database = primary.create_database("ringback").await;
    let mut standby = primary.standby().await;
    // Both hosts, the primary first.
    let port = standby.url().rsplit_once(':').expect("a port").1.split('/').next().expect("a port").to_owned();
    let both = database.replace("/ringback", &format!(",127.0.0.1:{port}/ringback"));
    let backend = Receiver::start().await;
    let mut server =
        endpoints(&backend).into_iter().fold(Setup::new().on_postgres(both), Setup::endpoint).start().await;
    server.expect_errors();
    let mut traffic = Traffic::prepare(&server, 4).await;
    traffic.expect_errors();

    let load = traffic.begin(&server);
    until("some of it to be sent", async || (!tencent_is_empty(&server).await).then_some(())).await;
    primary.kill().await;
    standby.promote().await;
    // Nobody follows the new primary yet.
    standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''").await;
    standby.sql("SELECT pg_reload_conf()").await;
    assert_eq!(traffic.end(load).await, 0, "the server hung up");
    is_ready_again(&server).await;

    let acked = traffic.settle(&server).await;
    let (tencent, openim) = traffic.clients(&server);
    let stored = Stored::read(&openim).await;
    stored.is_exactly(&acked);
    stored.is_shown_by(&tencent, &acked).await;
    let (_, repeats) = stored.is_told_to(&backend).await;
    let errors = traffic.errors();
    say(&format!(
        "failover: {} acked, {} stored, {errors} told that it cannot now, {repeats} repeats",
        acked.len(),
        stored.count()
    ));
}

async fn tencent_is_empty(server: &Server) -> bool {
    server.tencent().history("alice", "bob").await.is_empty()
}

/// A start on this URL, which must fail.
async fn refused_start(url: &str) -> Ended {
    let home = TempDir::new().expect("a temporary directory");
    let file = home.path().join("ringback.toml");
    let listen = "[server]\nlisten = \"127.0.0.1:0\"\ngateway = \"127.0.0.1:0\"\n";
    std::fs::write(&file, format!("{listen}[store]\nurl = \"{url}\"\n")).expect("the configuration file");
    let mut command = ringback();
    command.args(["serve", "--data-dir"]).arg(home.path().join("data")).arg("--config").arg(&file);
    let ended = finish(command).await;
    assert!(!ended.err.contains("panicked") && !ended.err.contains("hush"), "{}", ended.err);
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_used_is_named_at_the_start() {
    if !Store::plays_postgres("databases that cannot be used") {
        return;
    }
    let postgres = Cluster::start().await;
    let server = postgres.url().trim_end_matches("/postgres").to_owned();
    let plain = |database: &str| format!("{server}/{database}");
    let at = |database: &str| plain(database).replace("postgres@", "postgres:hush@");
    for database in ["others", "newer", "halved", "latin", "read_only", "guarded"] {
        match database {
            "latin" => {
                let make = "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
                postgres.sql(make).await;
            }
            name => drop(postgres.create_database(name).await),
        }
    }
    tests::postgres::psql(&plain("others"), "CREATE TABLE shopping_list (item text)").await;
    for database in ["newer", "halved"] {
        let mut once = Setup::new().on_postgres(plain(database)).start().await;
        once.stop().await;
    }
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
         VALUES (9999, 'of_the_future', '2026-01-01T00:00:00Z', '1')";
    tests::postgres::psql(&plain("newer"), newer).await;
    tests::postgres::psql(&plain("halved"), "DROP TABLE event").await;
    postgres.sql("ALTER DATABASE read_only SET default_transaction_read_only = on").await;
    postgres.sql("CREATE ROLE visitor LOGIN").await;

    for (url, code, words) in [
        (at("nowhere"), 2, "does not exist"),
        (at("others"), 2, "shopping_list"),
        (at("newer"), 2, "of_the_future"),
        (at("halved"), 2, "half migrated"),
        (at("latin"), 2, "LATIN1"),
        (at("read_only"), 2, "does not allow writes"),
        (at("guarded").replace("postgres:hush@", "visitor:hush@"), 2, "permission denied"),
        (at("guarded").replace("postgres:hush@", "nobody:hush@"), 2, "nobody"),
        ("postgres://postgres:hush@127.0.0.1:1/ringback".to_owned(), 1, "refused"),
        ("postgres://postgres:hush@/ringback".to_owned(), 2, "names no host"),
        ("postgres://127.0.0.1/ringback".to_owned(), 2, "names no user"),
        (format!("{}?sslmode=perhaps", at("guarded")), 2, "store.url"),
    ] {
        let ended = refused_start(&url).await;
        assert_eq!(ended.code, Some(code), "{url}\n{ended:?}");
        assert!(ended.err.contains(words), "{words:?} is not said of {url}:\n{}", ended.err);
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    for (database, expected) in [("others", "1"), ("guarded", "0")] {
        assert_eq!(
            tests::postgres::psql(&plain(database), tables).await,
            expected,
            "nothing is half done in {database}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_database_is_refused_in_words() {
    if !Store::plays_postgres("two processes on one database") {
        return;
    }
    let postgres = Cluster::start().await;
    let database = postgres.create_database("ringback").await;
    let server = Setup::new().on_postgres(database.clone()).start().await;
    let ended = refused_start(&database).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("served by another ringback process"), "{}", ended.err);
    // The first one has not noticed.
    tests::stage::cast(&server.tencent()).await;
}
