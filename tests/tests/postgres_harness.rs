//! The harness's own PostgreSQL: a server that only seems to die proves nothing.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::Output;

use tests::postgres::{command, psql};
use tests::wait::{until, within};
use tests::{Cluster, Setup, Store};
use tokio::task::JoinHandle;

/// Somebody whose command takes longer than any test.
async fn client(cluster: &Cluster) -> JoinHandle<Output> {
    let before = clients(cluster).await;
    let mut psql = tokio::process::Command::from(command(&cluster.url(), "SELECT pg_sleep(600)"));
    let client = tokio::spawn(async move { psql.kill_on_drop(true).output().await.expect("psql") });
    until("the client's command to run", async || (clients(cluster).await > before).then_some(())).await;
    client
}

async fn clients(cluster: &Cluster) -> usize {
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    cluster.sql(sleeping).await.parse().expect("a count")
}

/// Why the client's connection ended.
async fn lost(client: JoinHandle<Output>) -> String {
    let output = within("the client to lose its connection", client).await.expect("the client");
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn address(url: &str) -> &str {
    let (_, rest) = url.split_once('@').expect("a user");
    rest.split('/').next().expect("an address")
}

fn connects(url: &str) -> bool {
    address(url).to_socket_addrs().expect("an address").any(|address| TcpStream::connect(address).is_ok())
}

/// A table with one committed row.
async fn with_a_row(url: &str) {
    psql(url, "CREATE TABLE kept (words text); INSERT INTO kept VALUES ('committed')").await;
}

async fn rows(url: &str) -> String {
    psql(url, "SELECT words FROM kept").await
}

#[tokio::test]
async fn a_cluster_serves_and_leaves_nothing_behind() {
    if !Store::plays_postgres("a PostgreSQL server that leaves nothing behind") {
        return;
    }
    let cluster = Cluster::start().await;
    let url = cluster.create_database("shop").await;
    assert_eq!(psql(&url, "SELECT current_database(), 1 UNION SELECT 'x', 2").await, "shop|1\nx|2");
    for (setting, value) in [("fsync", "on"), ("synchronous_commit", "on"), ("server_encoding", "UTF8")] {
        assert_eq!(psql(&url, &format!("SHOW {setting}")).await, value, "{setting}");
    }
    let home = cluster.sql("SHOW data_directory").await;
    assert!(Path::new(&home).exists());
    cluster.sql("SELECT 1/1").await;

    // However it is: even frozen.
    let mut cluster = cluster;
    cluster.pause().await;
    drop(cluster);
    assert!(!Path::new(&home).exists(), "the data is still there");
    assert!(!connects(&url), "the port is still open");
}

/// Texts are not sorted by their bytes, so that whatever relies on bytes fails here.
#[tokio::test]
async fn a_cluster_sorts_as_people_do() {
    if !Store::plays_postgres("a PostgreSQL server that sorts as people do") {
        return;
    }
    let cluster = Cluster::start().await;
    let sorted = "SELECT string_agg(x, '' ORDER BY x) FROM unnest('{b,A,a,B}'::text[]) x";
    assert_eq!(cluster.sql(sorted).await, "aAbB");
}

#[tokio::test]
async fn a_killed_cluster_is_gone_and_comes_back_with_what_was_committed() {
    if !Store::plays_postgres("the SIGKILL of a PostgreSQL server") {
        return;
    }
    let mut cluster = Cluster::start().await;
    let url = cluster.create_database("shop").await;
    with_a_row(&url).await;
    for _ in 0..3 {
        let client = client(&cluster).await;
        cluster.kill().await;
        assert!(!connects(&url));
        lost(client).await;
        cluster.start_again().await;
        assert_eq!(rows(&url).await, "committed", "at the same address");
    }
    assert_eq!(cluster.log().matches("was not properly shut down").count(), 3, "{}", cluster.log());
}

#[tokio::test]
async fn a_stopped_cluster_ends_in_order_and_comes_back() {
    if !Store::plays_postgres("the stop of a PostgreSQL server") {
        return;
    }
    let mut cluster = Cluster::start().await;
    let url = cluster.create_database("shop").await;
    with_a_row(&url).await;
    let client = client(&cluster).await;
    cluster.stop().await;
    assert!(!connects(&url));
    let why = lost(client).await;
    assert!(why.contains("administrator command"), "{why}");
    cluster.start_again().await;
    cluster.restart().await;
    assert_eq!(rows(&url).await, "committed");
    assert!(!cluster.log().contains("was not properly shut down"), "{}", cluster.log());
}

#[tokio::test]
async fn a_paused_cluster_keeps_everybody_waiting() {
    if !Store::plays_postgres("a frozen PostgreSQL server") {
        return;
    }
    let mut cluster = Cluster::start().await;
    let url = cluster.url();
    let sleeper = client(&cluster).await;
    cluster.pause().await;
    assert!(connects(&url), "the system still accepts for it");
    let waiting = tokio::spawn(async move { psql(&url, "SELECT 'at last'").await });
    // Nothing of it runs: each of its processes is stopped.
    for process in processes(&cluster) {
        let state = std::fs::read_to_string(process.join("stat")).expect("its state");
        let (_, state) = state.rsplit_once(") ").expect("pid (name) state");
        assert!(state.starts_with('T'), "{} is in state {state}", process.display());
    }
    assert!(!waiting.is_finished());
    cluster.resume().await;
    assert_eq!(within("the answer", waiting).await.expect("psql"), "at last");
    assert_eq!(clients(&cluster).await, 1, "the connection that was open still is");
    sleeper.abort();
}

/// The processes that work in the cluster's directory.
fn processes(cluster: &Cluster) -> Vec<std::path::PathBuf> {
    let processes: Vec<_> = std::fs::read_dir("/proc")
        .expect("/proc")
        .map(|entry| entry.expect("an entry").path())
        .filter(|process| std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == cluster.data_dir()))
        .collect();
    assert!(processes.len() > 5, "PostgreSQL has more processes than {processes:?}");
    processes
}

#[tokio::test]
async fn terminated_backends_are_gone() {
    if !Store::plays_postgres("connections that an administrator ends") {
        return;
    }
    let cluster = Cluster::start().await;
    let (one, other) = (client(&cluster).await, client(&cluster).await);
    assert_eq!(cluster.terminate_backends().await, 2);
    assert_eq!(clients(&cluster).await, 0);
    for client in [one, other] {
        let why = lost(client).await;
        assert!(why.contains("administrator command"), "{why}");
    }
    assert_eq!(cluster.terminate_backends().await, 0);
}

#[tokio::test]
async fn a_killed_backend_takes_all_connections_along_and_no_data() {
    if !Store::plays_postgres("the SIGKILL of one backend") {
        return;
    }
    let mut cluster = Cluster::start().await;
    let url = cluster.create_database("shop").await;
    with_a_row(&url).await;
    for _ in 0..3 {
        let (one, other) = (client(&cluster).await, client(&cluster).await);
        cluster.kill_a_backend().await;
        lost(one).await;
        lost(other).await;
        assert_eq!(rows(&url).await, "committed");
    }
    let log = cluster.log();
    assert_eq!(log.matches("all server processes terminated; reinitializing").count(), 3, "{log}");
}

#[tokio::test]
async fn a_standby_has_what_was_acknowledged_and_takes_over() {
    if !Store::plays_postgres("a standby that takes over") {
        return;
    }
    let mut primary = Cluster::start().await;
    let url = primary.create_database("shop").await;
    with_a_row(&url).await;
    let mut standby = primary.standby().await;
    assert_eq!(standby.sql("SELECT pg_is_in_recovery()").await, "t");

    // While the standby does not answer, nothing is acknowledged.
    standby.pause().await;
    let insert = {
        let url = url.clone();
        tokio::spawn(async move { psql(&url, "INSERT INTO kept VALUES ('on both')").await })
    };
    until("a commit that waits for the standby", async || {
        let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        (primary.sql(waits).await == "1").then_some(())
    })
    .await;
    assert!(!insert.is_finished());
    standby.resume().await;
    within("the commit", insert).await.expect("psql");

    primary.kill().await;
    standby.promote().await;
    let at_standby = url.replace(address(&url), address(&standby.url()));
    assert_eq!(rows(&at_standby).await, "committed\non both");
    psql(&at_standby, "INSERT INTO kept VALUES ('alone')").await;

    // At the address that everybody knows.
    standby.take_the_place_of(&primary).await;
    assert_eq!(standby.url(), primary.url());
    assert_eq!(rows(&url).await, "committed\non both\nalone");
}

/// Over PostgreSQL: a database per server, kept when it restarts, and dropped with it.
#[tokio::test]
async fn each_server_has_a_database_of_its_own() {
    if !Store::plays_postgres("a database per server") {
        return;
    }
    let mut one = Setup::new().start().await;
    let other = Setup::new().start().await;
    one.tencent().import(&["alice"]).await;
    one.crash_and_restart().await;
    assert!(is_there(&one, "alice").await, "it was restarted over the same data");
    assert!(!is_there(&other, "alice").await, "another server has other data");
    let database = database_of(&one).await;
    assert_eq!(count(&database).await, "1");
    drop(one);
    assert_eq!(count(&database).await, "0");
}

async fn is_there(server: &tests::Server, account: &str) -> bool {
    let check = serde_json::json!({"CheckItem": [{"UserID": account}]});
    let answer = server.tencent().ok("im_open_login_svc/account_check", check).await;
    answer["ResultItem"][0]["AccountStatus"] == "Imported"
}

async fn database_of(server: &tests::Server) -> String {
    let config: toml::Table =
        std::fs::read_to_string(server.config_file()).expect("the configuration").parse().expect("TOML");
    let url = config["store"]["url"].as_str().expect("a URL");
    url.rsplit_once('/').expect("a database").1.to_owned()
}

async fn count(database: &str) -> String {
    let shared = std::env::var("RINGBACK_POSTGRES").expect("the shared server");
    psql(&shared, &format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'")).await
}

/// In both runs: what a scenario finds in a directory that it chose is what was left there.
#[tokio::test]
async fn a_data_dir_can_be_handed_on() {
    let home = tempfile::TempDir::new().expect("a temporary directory");
    let setup = Setup::new().data_dir(&home.path().join("data"));
    let one = setup.clone().start().await;
    one.tencent().import(&["alice"]).await;
    drop(one);
    let next = setup.start().await;
    assert!(is_there(&next, "alice").await);
    let other = Setup::new().start().await;
    assert!(!is_there(&other, "alice").await);
}
