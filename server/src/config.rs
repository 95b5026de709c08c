//! The configuration: what an operator may decide, read once at the start.
//!
//! [`Config::load`] puts four layers on top of each other (the embedded page `default.toml`, a file,
//! the environment, the command line), refuses any key that it does not know, and checks every value.
//! Whoever holds a [`Config`] need not check again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use webhook::asking::{CommandSettings, OnFailures};
use webhook::deliver::settings::TellingSettings;
use webhook::egress::Guard;
use webhook::endpoint::OnFailure;
use webhook::filter::Filter;
use webhook::headers::CustomHeaders;
use webhook::keeper::Retention;
use webhook::proxy::Proxy;
use webhook::sign::SigningSecrets;

mod check;
mod error;
mod keys;
mod layers;
mod raw;
mod secret;
#[cfg(test)]
mod tests;

pub(crate) use error::ConfigError;
#[cfg(test)]
pub(crate) use error::Problem;
pub(crate) use layers::{DEFAULT, Sources};
pub(crate) use secret::Secret;

/// Everything that is configured, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) store: Store,
    pub(crate) tencent: Tencent,
    pub(crate) openim: OpenIm,
    pub(crate) policy: Policy,
    pub(crate) callbacks: Callbacks,
    /// In the order in which they are asked; names are unique.
    pub(crate) endpoints: Vec<Endpoint>,
}

/// Where the server is and keeps what it has.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// REST of both dialects, the admin API, metrics, health.
    pub(crate) listen: SocketAddr,
    /// OpenIM's WebSocket gateway; never the same as `listen`.
    pub(crate) gateway: SocketAddr,
    /// Holds the secrets, and the database unless `store.url` says otherwise. May not exist yet.
    pub(crate) data_dir: PathBuf,
    /// Opens the admin API; `None`: a generated one is kept in the data dir.
    pub(crate) admin_token: Option<Secret>,
}

/// The database behind the store.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// A file of this path; it and its directory may not exist yet.
    Sqlite(PathBuf),
    /// A database on a server, which exists.
    Postgres {
        /// Begins with `postgres:` or `postgresql:`; may hold a password.
        url: Secret,
        /// For reading; 1 to 1,000.
        connections: u16,
        /// Lanes that commit; 1 to 1,024.
        writers: u16,
        /// Of a new database; 1 to 1,024.
        shards: u16,
    },
}

/// The app as Tencent's dialect sees it.
#[derive(Debug, Clone)]
pub(crate) struct Tencent {
    /// At least 1.
    pub(crate) sdkappid: u32,
    /// Signs UserSig; `None`: a generated one is kept in the data dir.
    pub(crate) key: Option<Secret>,
    /// At least one, none empty.
    pub(crate) admins: Vec<String>,
}

/// The app as OpenIM's dialect sees it.
#[derive(Debug, Clone)]
pub(crate) struct OpenIm {
    /// Signs tokens; `None`: a generated one is kept in the data dir.
    pub(crate) secret: Option<Secret>,
    /// At least one, none empty.
    pub(crate) admins: Vec<String>,
}

/// Rules that are the operator's to set.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// None empty: an empty word would be in every text.
    pub(crate) restricted_words: Vec<String>,
    /// Of all elements together; 1 to 1 MiB.
    pub(crate) max_message_bytes: u32,
}

/// How callbacks leave; the same for all endpoints.
#[derive(Debug, Clone)]
pub(crate) struct Callbacks {
    /// Where they may go.
    pub(crate) guard: Guard,
    /// What they go through.
    pub(crate) proxy: Option<Proxy>,
    /// How long what is not history is kept.
    pub(crate) retention: Retention,
}

/// One receiver of callbacks.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// 1 to 64 of `[A-Za-z0-9_.-]`.
    pub(crate) name: String,
    pub(crate) dialect: Dialect,
    /// http or https, with a host that may be called, without user info or fragment.
    pub(crate) url: String,
    /// At least one; `*` is every command of the dialect.
    pub(crate) commands: Vec<String>,
    /// In the words of the dialect.
    pub(crate) filter: Filter,
    /// For one call, from connecting to the last byte of the answer; 1 ms to 60 s.
    pub(crate) timeout: Duration,
    pub(crate) on_failure: OnFailure,
    /// How after-callbacks are told.
    pub(crate) telling: TellingSettings,
    pub(crate) on_failures: OnFailures,
    /// What single commands have of their own; each is subscribed to.
    pub(crate) by_command: BTreeMap<String, CommandSettings>,
    /// Calls in flight at once; 1 to 1024.
    pub(crate) concurrency: u16,
    /// For Tencent's `Sign`; only where the dialect is Tencent's.
    pub(crate) token: Option<Secret>,
    /// For Standard Webhooks.
    pub(crate) secret: Option<SigningSecrets>,
    /// Beside our own.
    pub(crate) headers: CustomHeaders,
    /// Authorities to trust instead of the system's; only where `url` is https. The file may not exist.
    pub(crate) ca_file: Option<PathBuf>,
    /// Certificate and key to show; only where `url` is https. The files may not exist.
    pub(crate) client_files: Option<(PathBuf, PathBuf)>,
}

/// How an endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dialect {
    Tencent,
    OpenIm,
    /// Plain JSON events.
    Standard,
}

impl Dialect {
    /// What can be configured.
    pub(crate) const NAMES: [&str; 3] = [Self::Tencent.name(), Self::OpenIm.name(), Self::Standard.name()];

    /// As it is configured.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tencent => "tencent",
            Self::OpenIm => "openim",
            Self::Standard => "standard",
        }
    }
}

impl Config {
    /// Reads and checks all layers.
    pub(crate) fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let stack = sources.stack()?;
        let endpoints = stack.find_value("endpoint").ok().and_then(figment::value::Value::into_array);
        let raw: raw::Raw =
            stack.extract().map_err(|error| error::translate(error, endpoints.as_deref().unwrap_or_default()))?;
        let source = |key: &str| {
            let (section, _) = key.split_once('[').unwrap_or((key, ""));
            Some(error::source(&stack.find_metadata(section)?.name, key))
        };
        check::check(raw).map_err(|problems| ConfigError {
            problems: problems
                .into_iter()
                .map(|problem| {
                    let source = source(&problem.key);
                    problem.from(source)
                })
                .collect(),
        })
    }
}
