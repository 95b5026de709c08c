//! Where a server under test keeps what it is told: in SQLite or in PostgreSQL, by `RINGBACK_STORE`.
//!
//! A scenario does not care, and is played over both. Over PostgreSQL each server has a database of its own in the
//! server that `RINGBACK_POSTGRES` names.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::postgres;

/// The store of a server, before it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Store {
    /// A file in the data directory.
    Sqlite,
    /// A database of the shared PostgreSQL server, made for it.
    Postgres,
    /// The PostgreSQL database at this URL, which the scenario made.
    At(String),
}

impl Store {
    /// What `RINGBACK_STORE` says: `sqlite`, which is also the default, or `postgres`.
    pub fn of_the_environment() -> Self {
        match std::env::var("RINGBACK_STORE").as_deref() {
            Err(std::env::VarError::NotPresent) | Ok("sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres,
            other => panic!("RINGBACK_STORE is {other:?}; it is \"sqlite\" or \"postgres\""),
        }
    }

    /// Whether scenarios that are about PostgreSQL itself are played: once, in the run over PostgreSQL. Says so if not.
    pub fn plays_postgres(scenario: &str) -> bool {
        let plays = Self::of_the_environment() == Self::Postgres;
        if !plays {
            crate::say(&format!("NOT PLAYED: {scenario}: it takes RINGBACK_STORE=postgres"));
        }
        plays
    }

    /// The database for a server with this data directory, if one must be made. A directory that the scenario chose
    /// (`kept`) always gets the same one, as it would find the same file.
    pub(crate) async fn database(&self, data_dir: &Path, kept: bool) -> Option<Database> {
        match self {
            Self::Sqlite => None,
            Self::At(url) => Some(Database { url: url.clone(), dropped_by: None }),
            Self::Postgres if kept => Some(Database::of(data_dir).await),
            Self::Postgres => Some(Database::new().await),
        }
    }
}

/// A PostgreSQL database with a server's data.
#[derive(Debug)]
pub(crate) struct Database {
    url: String,
    /// Who drops it in the end, and how: URL and SQL.
    dropped_by: Option<(String, String)>,
}

impl Database {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// An empty one, dropped with this value.
    async fn new() -> Self {
        let managers = managers();
        let name = format!("ringback_{:016x}", rand::random::<u64>());
        postgres::psql(&managers, &format!("CREATE DATABASE {name}")).await;
        let url = beside(&managers, &name);
        Self { url, dropped_by: Some((managers, format!("DROP DATABASE {name} WITH (FORCE)"))) }
    }

    /// The one of this directory, which stays as long as the PostgreSQL server does.
    async fn of(data_dir: &Path) -> Self {
        let managers = managers();
        let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
        let name: String = digest[..8].iter().fold("ringback_at_".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        let there = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
        if postgres::psql(&managers, &there).await.is_empty() {
            postgres::psql(&managers, &format!("CREATE DATABASE {name}")).await;
        }
        Self { url: beside(&managers, &name), dropped_by: None }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((managers, sql)) = &self.dropped_by else { return };
        let output = postgres::command(managers, sql).output();
        if !std::thread::panicking() {
            let output = output.expect("psql");
            assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// The URL of the shared PostgreSQL server.
fn managers() -> String {
    std::env::var("RINGBACK_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "RINGBACK_STORE is postgres and RINGBACK_POSTGRES names no server: \
             run ./scripts/test, or: export RINGBACK_POSTGRES=$(scripts/postgres start DIR)"
        )
    })
}

/// The URL of another database of the same server.
fn beside(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap_or_else(|| panic!("RINGBACK_POSTGRES is no URL: {url}"));
    format!("{server}/{database}")
}
