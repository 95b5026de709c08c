//! The real server, as a process of its own on a temporary data dir.

use std::fmt::Write;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::store::Store;
use crate::tencent::App;
use crate::{Common, Failure, Result};

/// It should be ready well under a second; a cold disk may need more.
const START_LIMIT: Duration = Duration::from_secs(20);
/// For an orderly stop, before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// How long a call may take where that is not what is measured, in seconds: far more than any answer takes.
pub(crate) const USUAL_TIMEOUT: u32 = 2;

/// A running server; dropping it stops it and removes its data.
pub(crate) struct Server {
    child: Child,
    dir: TempDir,
    pub(crate) http: SocketAddr,
}

/// An endpoint that is told of one-to-one messages.
pub(crate) struct Endpoint {
    /// Also the path of its URL.
    pub(crate) name: String,
    pub(crate) sink: SocketAddr,
    pub(crate) concurrency: usize,
    /// What its calls are signed with.
    pub(crate) key: [u8; 32],
    /// How long a call may take, in seconds.
    pub(crate) timeout: u32,
}

impl Server {
    /// The binary that was named, or the one beside this program.
    pub(crate) fn find(common: &Common) -> Result<PathBuf> {
        let path = match &common.server {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("ringback"),
        };
        if path.is_file() {
            return Ok(path);
        }
        Err(format!("no server at {}: `cargo build --release` first, or name it with --server", path.display()).into())
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(
        binary: &Path,
        parent: &Path,
        store: &Store,
        app: &App,
        endpoints: &[Endpoint],
    ) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ringback-bench-").tempdir_in(parent)?;
        let config = dir.path().join("ringback.toml");
        fs::write(&config, configuration(store, app, endpoints)?)?;
        let mut command = Command::new(binary);
        command.arg("serve").arg("--config").arg(config).arg("--data-dir").arg(dir.path().join("data"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"RINGBACK_")) {
            command.env_remove(name);
        }
        // Into a file: reading a pipe would cost the load generator.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(dir.path().join("log"))?);
        let child = command.spawn().map_err(|e| format!("{}: {e}", binary.display()))?;
        let mut server = Self { child, dir, http: ([0, 0, 0, 0], 0).into() };
        let start = Instant::now();
        loop {
            if let Some(http) = server.log()?.lines().find_map(address_when_ready) {
                server.http = http;
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(server.explain(format!("the server ended with {status} instead of getting ready").into()));
            }
            if start.elapsed() > START_LIMIT {
                return Err(server.explain(format!("the server was not ready within {START_LIMIT:?}").into()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Resident memory now, in MiB.
    pub(crate) fn memory_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| "no VmRSS of the server")?;
        Ok(kib / 1024.0)
    }

    /// Bytes on disk, without the log.
    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        disk_bytes(&self.dir.path().join("data"))
    }

    /// How many lines it has logged, and how many of them are warnings or errors.
    pub(crate) fn log_lines(&self) -> Result<(usize, usize)> {
        let log = self.log()?;
        let loud = |line: &&str| line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#);
        Ok((log.lines().count(), log.lines().filter(loud).count()))
    }

    /// Adds the end of the server's log to a failure.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        let log = self.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(10).collect();
        let tail = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
        format!("{failure}\n--- the end of the server's log ---\n{tail}").into()
    }

    fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.dir.path().join("log"))?).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a failure here: it has ended already, or it is killed below.
        let _ = kill(self.pid(), Signal::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < STOP_LIMIT && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sum of the sizes of the files in a directory.
pub(crate) fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let meta = entry?.metadata()?;
        sum += if meta.is_file() { meta.len() } else { 0 };
    }
    Ok(sum)
}

fn configuration(store: &Store, app: &App, endpoints: &[Endpoint]) -> Result<String> {
    let App { sdkappid, key, admin } = app;
    let mut toml = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ngateway = \"127.0.0.1:0\"\n\
         [tencent]\nsdkappid = {sdkappid}\nkey = \"{key}\"\nadmins = [\"{admin}\"]\n{}",
        store.configuration()
    );
    for Endpoint { name, sink, concurrency, key, timeout } in endpoints {
        let secret = STANDARD.encode(key);
        write!(
            toml,
            "[[endpoint]]\nname = \"{name}\"\ndialect = \"tencent\"\nurl = \"http://{sink}/{name}\"\n\
             commands = [\"C2C.CallbackAfterSendMsg\"]\ntimeout = \"{timeout}s\"\nconcurrency = {concurrency}\nsecret = \"whsec_{secret}\"\n"
        )?;
    }
    Ok(toml)
}

/// The HTTP address out of the log line `ready`, whether its fields are nested or flat.
fn address_when_ready(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name).or_else(|| line.get("fields")?.get(name))?.as_str();
    (field("message")? == "ready").then(|| field("http")?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A shell script in the server's place.
    fn script(text: &str) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ringback");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        (dir, path)
    }

    fn start(binary: &Path) -> Result<Server> {
        Server::start(binary, &std::env::temp_dir(), &Store::default(), &App::invent()?, &[])
    }

    #[test]
    fn starts_and_stops() {
        let (_dir, path) = script(
            r#"echo '{"level":"INFO","fields":{"message":"ready","http":"127.0.0.1:4711"}}' >&2; exec sleep 60"#,
        );
        let server = start(&path).unwrap();
        assert_eq!(server.http, "127.0.0.1:4711".parse().unwrap());
        assert!(server.memory_mib().unwrap() > 0.0);
        assert_eq!(server.log_lines().unwrap(), (1, 0));
        let (pid, dir) = (server.pid(), server.dir.path().to_owned());
        drop(server);
        assert!(kill(pid, None).is_err() && !dir.exists());
    }

    #[test]
    fn says_why_it_did_not_start() {
        let (_dir, path) = script("echo 'unknown key: listne' >&2; exit 2");
        let failure = start(&path).err().unwrap().to_string();
        assert!(failure.contains("exit status: 2") && failure.contains("unknown key: listne"), "{failure}");
    }

    #[test]
    fn knows_a_flat_ready_line_too() {
        assert!(address_when_ready(r#"{"message":"ready","http":"127.0.0.1:1"}"#).is_some());
        assert!(address_when_ready(r#"{"message":"listening","http":"127.0.0.1:1"}"#).is_none());
        assert!(address_when_ready("ready").is_none());
    }
}
