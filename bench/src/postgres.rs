//! A PostgreSQL of our own: a new cluster in a temporary directory, on a free port, as durable as it comes.
//!
//! It refuses to run as root, so root starts it as the user `postgres`.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::{Failure, Result, clock};

/// Starting takes well under a second; a cold disk may need more.
const START_LIMIT: Duration = Duration::from_secs(20);
/// What differs from PostgreSQL's defaults in every run.
const SETTINGS: [&str; 4] = [
    // Nobody else is to find it, and no socket is left behind.
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    // A checkpoint takes place when the bench asks for one, not in the middle of whatever is unlucky.
    "max_wal_size=16GB",
    "checkpoint_timeout=1h",
];

/// A running cluster; dropping it stops it and removes its data.
pub(crate) struct Postgres {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Postgres {
    /// Makes a cluster and waits until it answers. `settings` are `name=value`.
    pub(crate) fn start(parent: &Path, settings: &[&str]) -> Result<Self> {
        let bin = find_programs()?;
        let dir = tempfile::Builder::new().prefix("ringback-bench-postgres-").tempdir_in(parent)?;
        let user = if Uid::effective().is_root() { Some(unprivileged_user()?) } else { None };
        if let Some(user) = &user {
            std::os::unix::fs::chown(dir.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let (data, log) = (dir.path().join("data"), dir.path().join("log"));
        let program = |name: &str| -> Result<Command> {
            let mut command = Command::new(bin.join(name));
            command.arg("-D").arg(&data).current_dir(dir.path());
            // Variables such as PGDATA and PGPORT would send it elsewhere.
            for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
                command.env_remove(name);
            }
            if let Some(user) = &user {
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
            let out = File::options().create(true).append(true).open(&log)?;
            command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
            Ok(command)
        };
        let made = program("initdb")?
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"])
            .status()
            .map_err(|e| format!("{}: {e}", bin.join("initdb").display()))?;
        if !made.success() {
            return Err(explain(&dir, format!("initdb ended with {made}").into()));
        }
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = program("postgres")?;
        command.arg("-p").arg(port.to_string());
        for setting in SETTINGS.iter().chain(settings) {
            command.arg("-c").arg(setting);
        }
        let child = command.spawn()?;
        let mut postgres = Self { child, dir, port };
        let start = Instant::now();
        while !is_ready(&data) {
            if let Some(status) = postgres.child.try_wait()? {
                return Err(postgres.explain(format!("PostgreSQL ended with {status} instead of getting ready").into()));
            }
            if start.elapsed() > START_LIMIT {
                return Err(postgres.explain(format!("PostgreSQL was not ready within {START_LIMIT:?}").into()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(postgres)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database and connects to it.
    pub(crate) async fn create_database(&self, database: &str) -> Result<Client> {
        self.connect("postgres").await?.batch_execute(&format!("CREATE DATABASE {database}")).await?;
        self.connect(database).await
    }

    /// The connection makes progress while the calling runtime runs.
    pub(crate) async fn connect(&self, database: &str) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls).await?;
        // Whoever uses the client is told when the connection fails.
        tokio::spawn(connection);
        Ok(client)
    }

    /// CPU time of all its processes, past and present.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        clock::family(self.pid())
    }

    /// Has it write all that it keeps in memory.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        Ok(self.connect("postgres").await?.batch_execute("CHECKPOINT").await?)
    }

    /// Bytes of a database on disk.
    pub(crate) async fn database_bytes(&self, database: &str) -> Result<u64> {
        let size = "SELECT pg_database_size($1::text::name)";
        let row = self.connect("postgres").await?.query_one(size, &[&database]).await?;
        Ok(u64::try_from(row.get::<_, i64>(0))?)
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.dir.path().join("log"))?)
    }

    /// Adds the end of its log to a failure.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        explain(&self.dir, failure)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once and without tidying: the data goes too. The main process ends all others, so it is not killed itself.
        let _ = kill(self.pid(), Signal::SIGQUIT);
        let _ = self.child.wait();
    }
}

fn explain(dir: &TempDir, failure: Failure) -> Failure {
    let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().rev().take(10).collect();
    let tail = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
    format!("{failure}\n--- the end of PostgreSQL's log ---\n{tail}").into()
}

/// Its name and version, for the head of a report.
pub(crate) async fn version(client: &Client) -> Result<String> {
    let row = client.query_one("SHOW server_version", &[]).await?;
    Ok(format!("PostgreSQL {}", row.get::<_, String>(0)))
}

/// The line that PostgreSQL writes for `pg_ctl` to wait for.
fn is_ready(data: &Path) -> bool {
    let pid_file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    pid_file.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}

fn unprivileged_user() -> Result<User> {
    Ok(User::from_name("postgres")?.ok_or("PostgreSQL does not run as root, and there is no user 'postgres'")?)
}

/// The directory with `initdb` and `postgres`: on the path, or the newest where Debian keeps its versions.
fn find_programs() -> Result<PathBuf> {
    let has_both = |dir: &PathBuf| dir.join("initdb").is_file() && dir.join("postgres").is_file();
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(dir) = std::env::split_paths(&path).find(has_both) {
        return Ok(dir);
    }
    let version = |dir: &PathBuf| dir.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path().join("bin")).filter(has_both).max_by_key(version);
    Ok(newest.ok_or(
        "no PostgreSQL here: install its server (Debian: apt-get install postgresql), or put its programs on the PATH",
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_answers_and_leaves_nothing() {
        if find_programs().is_err() {
            eprintln!("skipped: no PostgreSQL here");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let postgres = Postgres::start(&std::env::temp_dir(), &["autovacuum=off"]).unwrap();
        let before = postgres.cpu().unwrap();
        runtime.block_on(async {
            let client = postgres.create_database("one").await.unwrap();
            let setting = async |name: &str| {
                client.query_one("SELECT current_setting($1)", &[&name]).await.unwrap().get::<_, String>(0)
            };
            assert_eq!([setting("fsync").await, setting("synchronous_commit").await], ["on", "on"]);
            assert_eq!([setting("full_page_writes").await, setting("autovacuum").await], ["on", "off"]);
            client.execute("SELECT count(*) FROM generate_series(1, 200000)", &[]).await.unwrap();
        });
        assert!(postgres.cpu().unwrap() > before);
        let (pid, dir) = (postgres.pid(), postgres.dir.path().to_owned());
        drop(postgres);
        assert!(kill(pid, None).is_err() && !dir.exists());
    }
}
