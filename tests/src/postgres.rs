//! A PostgreSQL server of a scenario's own, to be killed, stopped, frozen and replaced.
//!
//! It is made by `scripts/postgres`. A shell that waits for this process to end, in whatever way, kills it and removes
//! its directory; dropping the [`Cluster`] ends that wait.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::wait::{until, within};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/postgres");

/// What the server logs each time when it can be used, also after it recovered from the death of a backend.
const READY: &str = "database system is ready to accept connections";

/// A PostgreSQL server: running, stopped or dead, with its data.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    port: u16,
    guard: Child,
}

impl Cluster {
    /// A new, empty server.
    pub async fn start() -> Self {
        let mut cluster = Self::nothing();
        cluster.start_again().await;
        cluster
    }

    /// A directory, and who cleans up behind it.
    fn nothing() -> Self {
        let dir = TempDir::new().expect("a temporary directory").keep();
        let guard = Command::new(SCRIPT)
            .arg("guard")
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What interrupts the tests must not interrupt the cleaning up.
            .process_group(0)
            .spawn()
            .expect("scripts/postgres guard");
        Self { dir, port: 0, guard }
    }

    /// The database for whoever manages the server.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database; gives its URL.
    pub async fn create_database(&self, name: &str) -> String {
        self.sql(&format!("CREATE DATABASE {name}")).await;
        self.url_of(name)
    }

    /// Runs this in the managers' database; gives what it selects, a line per row.
    pub async fn sql(&self, sql: &str) -> String {
        psql(&self.url(), sql).await
    }

    /// SIGKILL to all of its processes at once, as if the machine had lost its power; none is left.
    pub async fn kill(&mut self) {
        self.signal("KILL").await;
    }

    /// Has it end in order; whoever is connected is disconnected.
    pub async fn stop(&mut self) {
        self.script("stop", &[]).await;
    }

    /// Starts the stopped or killed server with its data, where it was, and waits until it can be used.
    pub async fn start_again(&mut self) {
        let url = self.script("start", &[]).await;
        let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()).expect("a URL with a port");
        self.port = port.parse().expect("a port");
    }

    /// [`Self::stop`] and [`Self::start_again`].
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Freezes all of its processes: connections stay open, and nothing answers.
    pub async fn pause(&mut self) {
        self.signal("STOP").await;
    }

    /// Ends the [`Self::pause`].
    pub async fn resume(&mut self) {
        self.signal("CONT").await;
    }

    /// Ends everybody's connection, as an administrator may, and waits until they are gone; gives how many there were.
    pub async fn terminate_backends(&self) -> usize {
        let ended = self
            .sql(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
            )
            .await;
        ended.lines().filter(|line| *line == "t").count()
    }

    /// SIGKILL to the process behind one connection. PostgreSQL then ends all connections and recovers; waits until it has.
    pub async fn kill_a_backend(&mut self) {
        let pid = until("a connection whose backend can be killed", async || {
            let pid = self
                .sql(
                    "SELECT pid FROM pg_stat_activity
                     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1",
                )
                .await;
            pid.parse().ok()
        })
        .await;
        let before = self.times_ready();
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("SIGKILL");
        until("PostgreSQL to recover", async || (self.times_ready() > before).then_some(())).await;
    }

    /// A copy that follows this server. From now on this one acknowledges a commit when both have it on disk.
    pub async fn standby(&self) -> Self {
        let mut standby = Self::nothing();
        standby.script("copy", &[&self.url()]).await;
        standby.start_again().await;
        self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        self.sql("SELECT pg_reload_conf()").await;
        until("the standby to be synchronous", async || {
            let standbys = self.sql("SELECT state, sync_state FROM pg_stat_replication").await;
            (standbys == "streaming|sync").then_some(())
        })
        .await;
        standby
    }

    /// Makes this standby the server that takes writes.
    pub async fn promote(&mut self) {
        assert_eq!(self.sql("SELECT pg_promote(true, 60)").await, "t", "it is not promoted");
    }

    /// Restarts it at the address of another, which no longer runs: what a proxy or a moving address does.
    pub async fn take_the_place_of(&mut self, other: &Self) {
        self.stop().await;
        self.script("start", &[&other.port.to_string()]).await;
        self.port = other.port;
    }

    /// Where its data is, and where all of its processes work.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its log so far, for a test that failed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    fn times_ready(&self) -> usize {
        self.log().matches(READY).count()
    }

    async fn signal(&self, name: &str) {
        self.script("signal", &[name]).await;
    }

    async fn script(&self, verb: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(SCRIPT);
        command.arg(verb).arg(&self.dir).args(arguments);
        output(command).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let ended = self.guard.wait();
        if !std::thread::panicking() {
            assert!(ended.is_ok_and(|status| status.success()), "something is left in {}", self.dir.display());
        }
    }
}

/// Runs this SQL in the database at `url`, in one transaction; gives what it selects, a line per row.
pub async fn psql(url: &str, sql: &str) -> String {
    output(command(url, sql)).await
}

/// The `psql` that does it.
pub fn command(url: &str, sql: &str) -> Command {
    let mut command = Command::new("psql");
    command
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--no-password"])
        .args(["--set=ON_ERROR_STOP=1", "--dbname", url, "--command", sql])
        .env("PGCONNECT_TIMEOUT", "30")
        .stdin(Stdio::null());
    command
}

/// What a program printed, without the last line's end; it must succeed.
async fn output(mut command: Command) -> String {
    command.stdin(Stdio::null());
    let words = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    let output = within(&format!("{words} to end"), command.kill_on_drop(true).output())
        .await
        .unwrap_or_else(|e| panic!("{words}: {e}: install PostgreSQL, or run ./scripts/test, which does"));
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
