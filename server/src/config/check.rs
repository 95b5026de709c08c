//! The checks that turn what is written into what can be relied on. All problems are found at once.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use webhook::asking::{CommandSettings, OnFailures};
use webhook::deliver::schedule::Schedule;
use webhook::deliver::settings::{self, TellingSettings};
use webhook::egress::{self, Guard};
use webhook::filter::{Criteria, Filter};
use webhook::headers::CustomHeaders;
use webhook::keeper::Retention;
use webhook::proxy::Proxy;
use webhook::sign::{SigningSecret, SigningSecrets};

use super::error::{Problem, endpoint_place};
use super::raw::{self, Raw};
use super::secret::{Secret, Secrets};
use super::{Callbacks, Config, Dialect, Endpoint, OpenIm, Policy, Server, Store, Tencent};

/// The database's name where only the data dir is known.
const DATABASE: &str = "ringback.db";
/// One message must fit in memory many times over: 1 MiB.
const MAX_MESSAGE_BYTES: u32 = 1024 * 1024;
/// The only bound on guessing the admin token is its length: 32 hexadecimal digits are 128 bits.
const LEAST_ADMIN_TOKEN: usize = 32;
/// OpenIM's shipped default. Everyone knows it, so everyone could sign tokens with it.
const KNOWN_SECRET: &str = "openIM123";

/// What a check hands on, while it may have noted problems.
struct Problems(Vec<Problem>);

impl Problems {
    fn wrong(&mut self, key: impl Into<String>, found: impl fmt::Display) {
        self.0.push(Problem::wrong(key, found));
    }

    /// For what is right in itself and cannot be had: no list of alternatives helps.
    fn unavailable(&mut self, key: impl Into<String>, words: &str) {
        self.0.push(Problem { key: key.into(), from: None, words: words.to_owned() });
    }
}

pub(super) fn check(raw: Raw) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems(Vec::new());
    if raw.cluster.is_some() {
        let words = "many nodes are not available in this version; right would be to leave out the section [cluster]";
        problems.unavailable("cluster", words);
    }
    let store = store(raw.store, &raw.server.data_dir, &mut problems);
    let server = server(raw.server, &mut problems);
    let tencent = tencent(raw.tencent, &mut problems);
    let openim = openim(raw.openim, &mut problems);
    let policy = policy(raw.policy, &mut problems);
    // An address that cannot be read is wrong already, and no reason to find endpoints wrong.
    let loopback = server.as_ref().is_none_or(|server| server.listen.ip().is_loopback());
    let callbacks = callbacks(raw.callbacks, loopback, &mut problems);
    let endpoints = endpoints(raw.endpoint, &callbacks.guard, &mut problems);
    match (server, store) {
        (Some(server), Some(store)) if problems.0.is_empty() => {
            Ok(Config { server, store, tencent, openim, policy, callbacks, endpoints })
        }
        _ => Err(problems.0),
    }
}

fn server(raw: raw::Server, problems: &mut Problems) -> Option<Server> {
    let listen = address("server.listen", &raw.listen, problems);
    let gateway = address("server.gateway", &raw.gateway, problems);
    if raw.data_dir.as_os_str().is_empty() {
        problems.wrong("server.data_dir", "is empty");
    }
    match raw.admin_token.as_ref().map(Secret::expose) {
        Some(token) if token.len() < LEAST_ADMIN_TOKEN => {
            problems.wrong("server.admin_token", format!("is shorter than {LEAST_ADMIN_TOKEN} characters"));
        }
        // What an HTTP header cannot carry could never be presented.
        Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            problems.wrong("server.admin_token", "holds a blank or another character that no header carries");
        }
        _ => {}
    }
    let (listen, gateway) = (listen?, gateway?);
    if listen == gateway && listen.port() != 0 {
        problems.wrong("server.gateway", format!("found {gateway}, where `listen` is already"));
    }
    Some(Server { listen, gateway, data_dir: raw.data_dir, admin_token: raw.admin_token })
}

fn address(key: &str, text: &str, problems: &mut Problems) -> Option<SocketAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        problems.wrong(key, format!("found {text:?}"));
    }
    address
}

fn store(raw: raw::Store, data_dir: &Path, problems: &mut Problems) -> Option<Store> {
    let raw::Store { url, connections, writers, shards } = raw;
    let bounds =
        [("store.connections", connections, 1000), ("store.writers", writers, 1024), ("store.shards", shards, 1024)];
    for (key, found, most) in bounds {
        if !(1..=most).contains(&found) {
            problems.wrong(key, format!("found {found}"));
        }
    }
    let Some(url) = url else { return Some(Store::Sqlite(data_dir.join(DATABASE))) };
    let text = url.expose();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Some(Store::Postgres { url, connections, writers, shards });
    }
    let path = text.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        // A database in memory would lose what was acknowledged.
        Some(path) if !path.is_empty() && !path.starts_with(':') && !path.contains('?') => {
            Some(Store::Sqlite(PathBuf::from(path)))
        }
        Some(_) => {
            problems.wrong("store.url", format!("found {text:?}"));
            None
        }
        None => {
            problems.wrong("store.url", "found a URL of another kind");
            None
        }
    }
}

fn tencent(raw: raw::Tencent, problems: &mut Problems) -> Tencent {
    if raw.sdkappid == 0 {
        problems.wrong("tencent.sdkappid", "found 0");
    }
    signing_secret("tencent.key", raw.key.as_ref(), problems);
    admins("tencent.admins", &raw.admins, problems);
    Tencent { sdkappid: raw.sdkappid, key: raw.key, admins: raw.admins }
}

fn openim(raw: raw::OpenIm, problems: &mut Problems) -> OpenIm {
    signing_secret("openim.secret", raw.secret.as_ref(), problems);
    admins("openim.admins", &raw.admins, problems);
    OpenIm { secret: raw.secret, admins: raw.admins }
}

fn signing_secret(key: &str, secret: Option<&Secret>, problems: &mut Problems) {
    match secret.map(Secret::expose) {
        Some(text) if text.trim().is_empty() => problems.wrong(key, "is empty"),
        Some(KNOWN_SECRET) => {
            problems.wrong(key, "found the default that OpenIM is shipped with, which everyone knows")
        }
        _ => {}
    }
}

fn admins(key: &str, admins: &[String], problems: &mut Problems) {
    if admins.is_empty() {
        problems.wrong(key, "found an empty list, so nobody could administer");
    } else if admins.iter().any(|admin| admin.trim().is_empty()) {
        problems.wrong(key, "found an empty user id");
    }
}

fn policy(raw: raw::Policy, problems: &mut Problems) -> Policy {
    if raw.restricted_words.iter().any(String::is_empty) {
        problems.wrong("policy.restricted_words", "found an empty word, which every text contains");
    }
    if !(1..=MAX_MESSAGE_BYTES).contains(&raw.max_message_bytes) {
        problems.wrong("policy.max_message_bytes", format!("found {}", raw.max_message_bytes));
    }
    Policy { restricted_words: raw.restricted_words, max_message_bytes: raw.max_message_bytes }
}

/// `loopback`: whether all of it may be called. While nobody else can reach the server, nobody else is on it.
fn callbacks(raw: raw::Callbacks, loopback: bool, problems: &mut Problems) -> Callbacks {
    let key = "callbacks.allow";
    let mut allow = Vec::new();
    for text in &raw.allow {
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(Into::into));
        match net.map(|net| (net, egress::never(&net))) {
            Ok((net, None)) => allow.push(net),
            Ok((_, Some(what))) => {
                let words =
                    format!("found {text:?}: it is {what}, which is never called; right would be to leave it out");
                problems.unavailable(key, &words);
            }
            Err(_) => problems.wrong(key, format!("found {text:?}")),
        }
    }
    let proxy = raw.proxy.and_then(|url| {
        let proxy = Proxy::parse(url.expose());
        proxy.map_err(|problem| problems.wrong("callbacks.proxy", format!("found a text that {problem}"))).ok()
    });
    for (key, found) in [("keep_events", raw.keep_events), ("keep_attempts", raw.keep_attempts)] {
        age(format!("callbacks.{key}"), found, problems);
    }
    if !(1..=1_000_000).contains(&raw.max_attempts) {
        problems.wrong("callbacks.max_attempts", format!("found {}", raw.max_attempts));
    }
    let (events, attempts) = (raw.keep_events, raw.keep_attempts);
    let retention = Retention { events, attempts, most_attempts: raw.max_attempts };
    Callbacks { guard: Guard::new(allow, loopback), proxy, retention }
}

fn endpoints(raw: Vec<raw::Endpoint>, guard: &Guard, problems: &mut Problems) -> Vec<Endpoint> {
    let mut names = HashSet::new();
    let checked = raw.into_iter().enumerate().filter_map(|(index, raw)| {
        let place = endpoint_place(index, Some(&raw.name));
        if !names.insert(raw.name.clone()) {
            problems.wrong(format!("{place}.name"), "found it twice");
        }
        endpoint(raw, &place, guard, problems)
    });
    checked.collect()
}

fn endpoint(mut raw: raw::Endpoint, place: &str, guard: &Guard, problems: &mut Problems) -> Option<Endpoint> {
    let key = |name: &str| format!("{place}.{name}");
    if !is_name(&raw.name) {
        problems.wrong(key("name"), format!("found {:?}", raw.name));
    }
    match check_url(&raw.url) {
        Err(found) => problems.wrong(key("url"), found),
        // An address that would be refused at each call had better be refused now. Names are judged by what they lead to.
        Ok(host) => {
            if let Err(refused) = guard.check_host(&host) {
                let found = without_query(&raw.url);
                let words = format!("found {found:?}: {refused}; right would be a host that may be called");
                problems.unavailable(key("url"), &words);
            }
        }
    }
    timeout(key("timeout"), raw.timeout, problems);
    if !(1..=1024).contains(&raw.concurrency) {
        problems.wrong(key("concurrency"), format!("found {}", raw.concurrency));
    }
    let dialect = raw.dialect;
    let only = criteria(std::mem::take(&mut raw.only), dialect, &|name| key(&format!("only.{name}")), problems);
    let except = criteria(std::mem::take(&mut raw.except), dialect, &|name| key(&format!("except.{name}")), problems);
    let telling = telling(&raw, &key, problems);
    match &raw.token {
        Some(token) if token.expose().is_empty() => problems.wrong(key("token"), "is empty"),
        Some(_) if dialect != Dialect::Tencent => {
            let found = format!("a token does nothing in the dialect {:?}; `secret` signs there", dialect.name());
            problems.wrong(key("token"), found);
        }
        _ => {}
    }
    let secret = raw.secret.and_then(|secrets| match signing_secrets(&secrets) {
        Ok(secrets) => Some(secrets),
        Err(found) => {
            problems.wrong(key("secret"), found);
            None
        }
    });
    let headers = CustomHeaders::new(raw.headers.iter().map(|(name, value)| (name.as_str(), value.expose())));
    let headers = headers.unwrap_or_else(|found| {
        problems.wrong(key("headers"), found);
        CustomHeaders::default()
    });
    let files = [
        ("ca_file", &raw.ca_file),
        ("client_cert_file", &raw.client_cert_file),
        ("client_key_file", &raw.client_key_file),
    ];
    for (name, file) in files {
        if file.is_some() && !raw.url.starts_with("https:") {
            problems.wrong(key(name), "does nothing, because `url` is not https");
        }
    }
    let client_files = match (raw.client_cert_file, raw.client_key_file) {
        (Some(certificate), Some(private)) => Some((certificate, private)),
        (None, None) => None,
        (Some(_), None) => {
            problems.wrong(key("client_key_file"), "is missing");
            None
        }
        (None, Some(_)) => {
            problems.wrong(key("client_cert_file"), "is missing");
            None
        }
    };
    if let Err(found) = check_commands(&raw.commands, dialect) {
        problems.wrong(key("commands"), found);
    }
    let by_command = raw.command.into_iter().map(|(name, own)| {
        // The brackets keep the dot of a command's name apart from those between keys.
        let place = format!("{}[{name}]", key("command"));
        if !raw.commands.iter().any(|command| command == "*" || *command == name) {
            problems.wrong(place.as_str(), "found settings of a command that is not among its `commands`");
        } else if let Err(found) = check_commands(std::slice::from_ref(&name), dialect) {
            problems.wrong(place.as_str(), found);
        }
        (name, command(own, &place, problems))
    });
    let by_command = by_command.collect();
    Some(Endpoint {
        name: raw.name,
        dialect: raw.dialect,
        url: raw.url,
        commands: raw.commands,
        filter: Filter { only, except },
        timeout: raw.timeout,
        on_failure: raw.on_failure.into(),
        on_failures: on_failures(raw.on_timeout, raw.on_connection_error, raw.on_bad_status, raw.on_bad_body),
        by_command,
        telling: telling?,
        concurrency: raw.concurrency,
        token: raw.token,
        secret,
        headers,
        ca_file: raw.ca_file,
        client_files,
    })
}

fn criteria(raw: raw::Criteria, dialect: Dialect, key: &dyn Fn(&str) -> String, problems: &mut Problems) -> Criteria {
    let raw::Criteria { conversations, groups, receivers, senders, group_types, content_types } = raw;
    if !conversations.is_empty() && dialect != Dialect::OpenIm {
        let found = format!("the dialect {:?} has no conversation ids; use `groups` and `receivers`", dialect.name());
        problems.wrong(key("conversations"), found);
    }
    if !group_types.is_empty() && dialect == Dialect::OpenIm {
        problems.wrong(key("group_types"), "OpenIM's dialect has one type of group only");
    }
    let types = match dialect {
        Dialect::Tencent => ["Private", "Public", "ChatRoom", "AVChatRoom", "Community"],
        Dialect::OpenIm | Dialect::Standard => ["work", "public", "meeting", "live", "community"],
    };
    if let Some(odd) = group_types.iter().find(|name| !types.contains(&name.as_str())) {
        problems.wrong(key("group_types"), format!("found {odd:?}; there are {}", types.join(", ")));
    }
    Criteria { conversations, groups, receivers, senders, group_types, content_types }
}

fn telling(raw: &raw::Endpoint, key: &dyn Fn(&str) -> String, problems: &mut Problems) -> Option<TellingSettings> {
    let schedule = match raw.retry_schedule.as_deref().map(schedule).transpose() {
        Ok(schedule) => Some(schedule.unwrap_or_default()),
        Err(found) => {
            problems.wrong(key("retry_schedule"), found);
            None
        }
    };
    age(key("max_age"), raw.max_age, problems);
    if !(1..=10_000_000).contains(&raw.max_dead_letters) {
        problems.wrong(key("max_dead_letters"), format!("found {}", raw.max_dead_letters));
    }
    if let Some(rate) = raw.rate_limit.filter(|rate| !(1..=100_000).contains(rate)) {
        problems.wrong(key("rate_limit"), format!("found {rate}"));
    }
    if !(1..=100).contains(&raw.batch) {
        problems.wrong(key("batch"), format!("found {}", raw.batch));
    } else if raw.batch > 1 && raw.dialect != Dialect::Standard {
        problems.wrong(key("batch"), "only the dialect \"standard\" has batches");
    }
    if !(1024..=64 << 20).contains(&raw.max_body_bytes) {
        problems.wrong(key("max_body_bytes"), format!("found {}", raw.max_body_bytes));
    }
    Some(TellingSettings {
        acknowledge: match raw.acknowledge {
            raw::Acknowledge::Status => settings::Acknowledge::Status,
            raw::Acknowledge::Body => settings::Acknowledge::Body,
        },
        order: match raw.order {
            raw::Order::Ordered => settings::Order::Ordered,
            raw::Order::Unordered => settings::Order::Unordered,
        },
        schedule: schedule?,
        max_age: raw.max_age,
        max_dead: raw.max_dead_letters,
        when_full: match raw.when_full {
            raw::WhenFull::Pause => settings::WhenFull::Pause,
            raw::WhenFull::Refuse => settings::WhenFull::Refuse,
        },
        rate: raw.rate_limit,
        batch: usize::from(raw.batch),
        max_body_bytes: raw.max_body_bytes as usize,
    })
}

/// From an hour to a year.
fn age(key: String, found: Duration, problems: &mut Problems) {
    if !(Duration::from_secs(60 * 60)..=Duration::from_secs(366 * 24 * 60 * 60)).contains(&found) {
        let found = humantime_serde::re::humantime::format_duration(found);
        problems.wrong(key, format!("found {found}"));
    }
}

fn schedule(waits: &[String]) -> Result<Schedule, String> {
    let longest = Duration::from_secs(30 * 24 * 60 * 60);
    let wait = |text: &String| {
        let wait = humantime_serde::re::humantime::parse_duration(text).ok().filter(|wait| *wait <= longest);
        wait.ok_or_else(|| format!("found {text:?}"))
    };
    let waits = waits.iter().map(wait).collect::<Result<_, _>>()?;
    Schedule::new(waits).map_err(|problem| format!("it {problem}"))
}

fn command(raw: raw::Command, place: &str, problems: &mut Problems) -> CommandSettings {
    if let Some(found) = raw.timeout {
        timeout(format!("{place}.timeout"), found, problems);
    }
    CommandSettings {
        timeout: raw.timeout,
        on_failure: raw.on_failure.map(Into::into),
        on_failures: on_failures(raw.on_timeout, raw.on_connection_error, raw.on_bad_status, raw.on_bad_body),
    }
}

/// Of an endpoint, or of a command of its own.
fn on_failures(
    timeout: Option<raw::OnFailure>,
    connection_error: Option<raw::OnFailure>,
    bad_status: Option<raw::OnFailure>,
    bad_body: Option<raw::OnFailure>,
) -> OnFailures {
    OnFailures {
        timeout: timeout.map(Into::into),
        connection_error: connection_error.map(Into::into),
        bad_status: bad_status.map(Into::into),
        bad_body: bad_body.map(Into::into),
    }
}

fn timeout(key: String, found: Duration, problems: &mut Problems) {
    if !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&found) {
        let found = humantime_serde::re::humantime::format_duration(found);
        problems.wrong(key, format!("found {found}"));
    }
}

fn is_name(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=64).contains(&name.len()) && name.chars().all(is_good)
}

/// A URL's host; or what is wrong with the URL, without repeating one that holds a password.
fn check_url(url: &str) -> Result<String, String> {
    let found = || format!("found {:?}", without_query(url));
    if url.contains('#') {
        return Err(format!("{}: what follows `#` is never sent", found()));
    }
    let uri: Uri = url.parse().map_err(|_| "found something that is not a URL".to_owned())?;
    let Some(authority) = uri.authority() else { return Err(found()) };
    if authority.as_str().contains('@') {
        return Err("found a user or password in it, which is never sent; `secret` signs calls".to_owned());
    }
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    // A port that is none (`:`, `:0`, `:99999`) is still an authority to the parser.
    let has_port = authority.as_str().len() > authority.host().len();
    let is_reachable = !has_port || authority.port_u16().is_some_and(|port| port > 0);
    if is_web && !authority.host().is_empty() && is_reachable { Ok(authority.host().to_owned()) } else { Err(found()) }
}

/// A query may hold a secret, and what is wrong is before it.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

fn signing_secrets(Secrets(secrets): &Secrets) -> Result<SigningSecrets, String> {
    let parsed: Result<Vec<_>, _> = secrets.iter().map(|secret| SigningSecret::parse(secret.expose())).collect();
    parsed.and_then(SigningSecrets::new).map_err(|problem| format!("found something else: it {problem}"))
}

/// Names are told apart by shape only: it shows the usual slip, a command of the other dialect.
fn check_commands(commands: &[String], dialect: Dialect) -> Result<(), String> {
    if commands.is_empty() {
        return Err("found an empty list, so it would get nothing".to_owned());
    }
    let is_shaped = |command: &str| match dialect {
        Dialect::Tencent => command.split_once('.').is_some_and(|(of, what)| !of.is_empty() && !what.is_empty()),
        Dialect::OpenIm => command.starts_with("callback") && !command.contains('.'),
        Dialect::Standard => {
            let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            command.contains('.') && command.split('.').all(is_word)
        }
    };
    match commands.iter().find(|command| *command != "*" && !is_shaped(command)) {
        Some(odd) => Err(format!("found {odd:?}, which is not a command of this dialect")),
        None => Ok(()),
    }
}
