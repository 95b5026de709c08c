//! The binary under test, as a running server: its configuration, its life and deaths, its log.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::cli::ringback;
use crate::store::{Database, Store};
use crate::wait::within;
use crate::{OpenIm, Tencent};

pub const SDKAPPID: u64 = 1_400_000_000;
pub const KEY: &str = "the-key-of-the-scenarios-5bd2850fff3ecb11";
pub const ADMIN: &str = "administrator";
pub const OPENIM_SECRET: &str = "the-secret-of-the-scenarios-c01a";
pub const IM_ADMIN: &str = "imAdmin";

/// One `[[endpoint]]` of the configuration: a URL of the app's backend and what it wants to hear.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoint {
    name: String,
    dialect: &'static str,
    url: String,
    commands: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledge: Option<&'static str>,
    /// Any other keys; tables among them come last.
    #[serde(flatten)]
    more: toml::Table,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

impl Endpoint {
    /// Hears everything, in Tencent's words.
    pub fn tencent(url: impl Into<String>) -> Self {
        Self::new("tencent", url)
    }

    /// Hears everything, in OpenIM's words.
    pub fn openim(url: impl Into<String>) -> Self {
        Self::new("openim", url)
    }

    /// Hears everything, in plain JSON events.
    pub fn standard(url: impl Into<String>) -> Self {
        Self::new("standard", url)
    }

    fn new(dialect: &'static str, url: impl Into<String>) -> Self {
        Self {
            name: format!("{dialect}-backend"),
            dialect,
            url: url.into(),
            commands: vec!["*".to_owned()],
            timeout: None,
            on_failure: None,
            token: None,
            secret: Vec::new(),
            concurrency: None,
            acknowledge: None,
            more: toml::Table::new(),
            headers: BTreeMap::new(),
        }
    }

    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub fn hears<const N: usize>(mut self, commands: [&str; N]) -> Self {
        self.commands = commands.map(str::to_owned).to_vec();
        self
    }

    pub fn timeout(mut self, timeout: &str) -> Self {
        self.timeout = Some(timeout.to_owned());
        self
    }

    /// `allow` or `reject`.
    pub fn on_failure(mut self, verdict: &'static str) -> Self {
        self.on_failure = Some(verdict);
        self
    }

    /// What happens on one kind of failure: `timeout`, `connection_error`, `bad_status` or `bad_body`.
    pub fn on(mut self, failure: &str, verdict: &str) -> Self {
        self.more.insert(format!("on_{failure}"), verdict.into());
        self
    }

    /// What a command has of its own: key and value.
    pub fn of_command(mut self, command: &str, key: &str, value: &str) -> Self {
        let commands = self.more.entry("command").or_insert_with(|| toml::Table::new().into());
        let commands = commands.as_table_mut().expect("a table");
        let own = commands.entry(command).or_insert_with(|| toml::Table::new().into());
        own.as_table_mut().expect("a table").insert(key.to_owned(), value.into());
        self
    }

    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Signs with one more.
    pub fn secret(mut self, secret: &str) -> Self {
        self.secret.push(secret.to_owned());
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// `status` or `body`.
    pub fn acknowledge(mut self, by: &'static str) -> Self {
        self.acknowledge = Some(by);
        self
    }

    /// When a refused event is tried again.
    pub fn retries<const N: usize>(self, waits: [&str; N]) -> Self {
        self.also("retry_schedule", waits.map(toml::Value::from).to_vec())
    }

    /// Any other key of its section.
    pub fn also(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    pub fn concurrency(mut self, calls: u32) -> Self {
        self.concurrency = Some(calls);
        self
    }

    fn secrets(&self) -> Vec<String> {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        let in_url = query.split('&').filter_map(|pair| pair.strip_prefix("key="));
        let others = self.token.iter().chain(&self.secret).chain(self.headers.values()).map(String::as_str);
        others.chain(in_url).map(str::to_owned).collect()
    }
}

/// What a server is to be, before it runs.
#[derive(Clone, Debug)]
pub struct Setup {
    config: Config,
    store: Store,
    data_dir: Option<PathBuf>,
    launcher: Vec<String>,
    variables: Vec<(String, String)>,
}

#[derive(Clone, Debug, Serialize)]
struct Config {
    server: ServerConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<StoreConfig>,
    tencent: TencentConfig,
    openim: OpenImConfig,
    policy: PolicyConfig,
    endpoint: Vec<Endpoint>,
}

#[derive(Clone, Debug, Serialize)]
struct ServerConfig {
    listen: String,
    gateway: String,
}

#[derive(Clone, Debug, Serialize)]
struct StoreConfig {
    url: String,
}

#[derive(Clone, Debug, Serialize)]
struct TencentConfig {
    sdkappid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    admins: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct OpenImConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    admins: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct PolicyConfig {
    restricted_words: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_message_bytes: Option<u64>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A server nobody listens to, on any free port, over the store that `RINGBACK_STORE` names.
    pub fn new() -> Self {
        Self {
            config: Config {
                server: ServerConfig { listen: "127.0.0.1:0".to_owned(), gateway: "127.0.0.1:0".to_owned() },
                store: None,
                tencent: TencentConfig {
                    sdkappid: SDKAPPID,
                    key: Some(KEY.to_owned()),
                    admins: vec![ADMIN.to_owned()],
                },
                openim: OpenImConfig { secret: Some(OPENIM_SECRET.to_owned()), admins: vec![IM_ADMIN.to_owned()] },
                policy: PolicyConfig::default(),
                endpoint: Vec::new(),
            },
            store: Store::of_the_environment(),
            data_dir: None,
            launcher: Vec::new(),
            variables: Vec::new(),
        }
    }

    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.config.endpoint.push(endpoint);
        self
    }

    pub fn restricted_words<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.config.policy.restricted_words = words.map(str::to_owned).to_vec();
        self
    }

    pub fn max_message_bytes(mut self, bytes: u64) -> Self {
        self.config.policy.max_message_bytes = Some(bytes);
        self
    }

    pub fn tencent_app(mut self, sdkappid: u64, key: &str, admin: &str) -> Self {
        self.config.tencent = TencentConfig { sdkappid, key: Some(key.to_owned()), admins: vec![admin.to_owned()] };
        self
    }

    /// Configures no secrets: the server makes its own (and only the command line can sign for it).
    pub fn without_secrets(mut self) -> Self {
        self.config.tencent.key = None;
        self.config.openim.secret = None;
        self
    }

    /// Runs with this environment variable.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Keeps its data in SQLite, whatever the run is over: for scenarios about its file.
    pub fn on_sqlite(mut self) -> Self {
        self.store = Store::Sqlite;
        self
    }

    /// Keeps its data in this PostgreSQL database, whatever the run is over.
    pub fn on_postgres(mut self, url: impl Into<String>) -> Self {
        self.store = Store::At(url.into());
        self
    }

    /// Keeps its data there, instead of in a directory of its own. Over PostgreSQL, servers with the same directory,
    /// at once or one after the other, have the same database.
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Is started by another program, which gets the command line appended (`bash -c 'ulimit ..; exec "$@"' _`).
    pub fn launcher<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.launcher = words.map(str::to_owned).to_vec();
        self
    }

    /// Starts it and waits until it serves.
    pub async fn start(mut self) -> Server {
        let home = TempDir::new().expect("a temporary directory");
        let kept = self.data_dir.is_some();
        let data_dir = self.data_dir.unwrap_or_else(|| home.path().join("data"));
        let database = self.store.database(&data_dir, kept).await;
        self.config.store = database.as_ref().map(|database| StoreConfig { url: database.url().to_owned() });
        let config_file = home.path().join("ringback.toml");
        std::fs::write(&config_file, toml::to_string(&self.config).expect("a configuration"))
            .expect("the configuration file");
        let mut server = Server {
            config: self.config,
            config_file,
            data_dir,
            launcher: self.launcher,
            variables: self.variables,
            log: Log::default(),
            process: None,
            http: String::new(),
            gateway: String::new(),
            errors_are_expected: false,
            _database: database,
            _home: home,
        };
        server.launch();
        server.ready().await;
        server
    }
}

/// A server, running or not: its configuration, data and log outlive its processes.
#[derive(Debug)]
pub struct Server {
    config: Config,
    config_file: PathBuf,
    data_dir: PathBuf,
    launcher: Vec<String>,
    variables: Vec<(String, String)>,
    log: Log,
    process: Option<Process>,
    http: String,
    gateway: String,
    errors_are_expected: bool,
    _database: Option<Database>,
    _home: TempDir,
}

#[derive(Debug)]
struct Process {
    child: Child,
    reader: JoinHandle<()>,
    /// Where its lines begin in the log.
    since: usize,
}

impl Server {
    /// Starts the process and does not wait for anything.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let mut command = ringback();
        command.args(["serve", "--data-dir"]).arg(&self.data_dir).arg("--config").arg(&self.config_file);
        if let Some((program, words)) = self.launcher.split_first() {
            let mut launched = Command::new(program);
            launched.args(words).arg(command.get_program()).args(command.get_args());
            for (name, _) in command.get_envs().filter(|(_, value)| value.is_none()) {
                launched.env_remove(name);
            }
            command = launched;
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let since = self.log.open();
        let reader = self.log.follow(child.stderr.take().expect("a piped stderr"));
        self.process = Some(Process { child, reader, since });
    }

    /// Waits until the launched process serves.
    pub async fn ready(&mut self) {
        let since = self.process.as_ref().expect("it was launched").since;
        let ready =
            within("the server to log \"ready\"", self.log.find(since, |line| line["message"] == "ready")).await;
        let Some(ready) = ready else {
            panic!("the server ended before it was ready:\n{}", self.log.text(since));
        };
        let address =
            |field: &str| ready[field].as_str().unwrap_or_else(|| panic!("the address in {field}")).to_owned();
        (self.http, self.gateway) = (address("http"), address("gateway"));
    }

    /// SIGKILL: no warning, no last words.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.child.kill().expect("SIGKILL");
        process.child.wait().expect("its end");
        process.reader.join().expect("its last log lines");
    }

    /// SIGTERM, and waits for the orderly end.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(process.child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("SIGTERM");
        within("the server to end after SIGTERM", self.log.closed()).await;
        process.child.wait().expect("its end")
    }

    /// Asks it to stop, waits until it has, and starts it again on the same data (and another port: ask for
    /// new clients).
    pub async fn stop_and_restart(&mut self) {
        self.stop().await;
        self.launch();
        self.ready().await;
    }

    /// As [`Self::stop_and_restart`], without asking.
    pub async fn crash_and_restart(&mut self) {
        self.kill();
        self.launch();
        self.ready().await;
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").child.id()
    }

    /// `127.0.0.1:PORT`.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// Where clients connect: `127.0.0.1:PORT`.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// The admin token that it made, once it runs.
    pub fn admin_token(&self) -> Option<String> {
        let file = std::fs::read_to_string(self.data_dir.join("secrets.toml")).ok()?;
        let secrets: toml::Table = toml::from_str(&file).expect("TOML");
        Some(secrets["admin_token"].as_str().expect("a token").to_owned())
    }

    /// All that no operator is ever shown: keys, tokens, signing secrets, the values of headers and those in URLs.
    pub fn secrets(&self) -> Vec<String> {
        let (tencent, openim) = (&self.config.tencent.key, &self.config.openim.secret);
        let own = [tencent.clone(), openim.clone(), self.admin_token()].into_iter().flatten();
        own.chain(self.config.endpoint.iter().flat_map(Endpoint::secrets)).collect()
    }

    /// The app's backend as the first admin, in Tencent's dialect.
    pub fn tencent(&self) -> Tencent {
        let app = &self.config.tencent;
        Tencent::new(&self.http, app.sdkappid, app.key.as_ref().expect("a configured key"), &app.admins[0])
    }

    /// The app's backend as `imAdmin`, in OpenIM's dialect, with a fresh admin token.
    pub async fn openim(&self) -> OpenIm {
        let app = &self.config.openim;
        OpenIm::sign_in(&self.http, app.secret.as_ref().expect("a configured secret"), &app.admins[0]).await
    }

    /// All log lines so far, of all its processes.
    pub fn log(&self) -> Vec<Value> {
        self.log.lines.borrow().clone()
    }

    /// Lines at WARN or ERROR in which `word` occurs anywhere.
    pub fn complaints_about(&self, word: &str) -> Vec<Value> {
        let complaint = |line: &Value| line["level"] == "WARN" || line["level"] == "ERROR";
        self.log().into_iter().filter(|line| complaint(line) && line.to_string().contains(word)).collect()
    }

    /// This scenario breaks the server's own world (a full disk); an ERROR line is right then.
    pub fn expect_errors(&mut self) {
        self.errors_are_expected = true;
    }
}

/// The harness polices the test: an ERROR line that nobody expected fails it.
impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            println!("the server's log:\n{}", self.log.text(0));
        } else if !self.errors_are_expected {
            let errors: Vec<_> = self.log().into_iter().filter(|line| line["level"] == "ERROR").collect();
            assert!(errors.is_empty(), "the server logged errors: {errors:#?}");
        }
    }
}

/// The lines that the server's processes wrote to standard error.
#[derive(Clone, Debug)]
struct Log {
    lines: Arc<watch::Sender<Vec<Value>>>,
    /// Whether a process still writes.
    open: Arc<watch::Sender<bool>>,
}

impl Default for Log {
    fn default() -> Self {
        Self { lines: Arc::new(watch::Sender::new(Vec::new())), open: Arc::new(watch::Sender::new(false)) }
    }
}

impl Log {
    /// A new process begins to write; says after which line.
    fn open(&self) -> usize {
        self.open.send_replace(true);
        self.lines.borrow().len()
    }

    fn follow(&self, stderr: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| serde_json::json!({ "not_json": line }));
                log.lines.send_modify(|lines| lines.push(line));
            }
            log.open.send_replace(false);
        })
    }

    /// The first such line at or after `since`; none when the process ended without one.
    async fn find(&self, since: usize, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut lines = self.lines.subscribe();
        let mut open = self.open.subscribe();
        loop {
            let is_open = *open.borrow_and_update();
            let found = lines.borrow_and_update().iter().skip(since).find(|line| wanted(line)).cloned();
            if found.is_some() || !is_open {
                return found;
            }
            tokio::select! {
                _ = lines.changed() => {}
                _ = open.changed() => {}
            }
        }
    }

    async fn closed(&self) {
        let mut open = self.open.subscribe();
        open.wait_for(|open| !open).await.expect("the log's writer is part of the log");
    }

    fn text(&self, since: usize) -> String {
        self.lines.borrow().iter().skip(since).map(|line| format!("{line}\n")).collect()
    }
}
