//! The store under the server: SQLite in its data dir, or a PostgreSQL of the bench's own.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::clock::wait_until_quiet;
use crate::postgres::Postgres;
use crate::{Result, at_least};

/// The server's own; the raw limit has another beside it.
pub(crate) const DATABASE: &str = "ringback";

#[derive(clap::Args)]
pub(crate) struct Choice {
    /// What the server stores in.
    #[arg(long, value_enum, default_value_t = Kind::Sqlite)]
    pub(crate) store: Kind,
    /// The server's `store.writers` [default: its own].
    #[arg(long, value_name = "N", value_parser = at_least::<1>)]
    pub(crate) writers: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Sqlite,
    /// A cluster that is made for the run, and removed.
    Postgres,
}

/// A store that a server can be started on; its default is SQLite.
#[derive(Default)]
pub(crate) struct Store {
    postgres: Option<Postgres>,
    writers: Option<usize>,
}

impl Choice {
    /// As the settings of a report show it.
    pub(crate) fn in_words(&self) -> String {
        let name = match self.store {
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgres",
        };
        self.writers.map_or_else(|| name.to_owned(), |writers| format!("{name} with {writers} writers"))
    }
}

impl From<Postgres> for Store {
    /// It has the server's database already.
    fn from(postgres: Postgres) -> Self {
        Self { postgres: Some(postgres), writers: None }
    }
}

impl Store {
    /// What the server needs before it starts.
    pub(crate) fn start(runtime: &Runtime, parent: &Path, choice: &Choice) -> Result<Self> {
        let postgres = match choice.store {
            Kind::Sqlite => None,
            Kind::Postgres => {
                let postgres = Postgres::start(parent, &[])?;
                runtime.block_on(postgres.create_database(DATABASE))?;
                Some(postgres)
            }
        };
        Ok(Self { postgres, writers: choice.writers })
    }

    /// The part of the server's configuration that is about it.
    pub(crate) fn configuration(&self) -> String {
        let mut toml = String::new();
        if self.postgres.is_some() || self.writers.is_some() {
            toml.push_str("[store]\n");
        }
        let mut line = |key, value| writeln!(toml, "{key} = {value}").expect("writing to memory does not fail");
        if let Some(postgres) = &self.postgres {
            line("url", format!("\"{}\"", postgres.url(DATABASE)));
        }
        if let Some(writers) = self.writers {
            line("writers", writers.to_string());
        }
        toml
    }

    pub(crate) fn postgres(&self) -> Option<&Postgres> {
        self.postgres.as_ref()
    }

    /// CPU time that it has used outside of the server.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.postgres.as_ref().map_or(Ok(Duration::ZERO), Postgres::cpu)
    }

    /// Bytes of a database that are not in the server's data dir.
    pub(crate) fn disk_bytes(&self, runtime: &Runtime, database: &str) -> Result<u64> {
        self.postgres.as_ref().map_or(Ok(0), |postgres| runtime.block_on(postgres.database_bytes(database)))
    }

    /// Has it do what it has put off, and waits for that; says whether it came to rest.
    pub(crate) fn settle(&self, runtime: &Runtime) -> Result<bool> {
        let Some(postgres) = &self.postgres else { return Ok(true) };
        runtime.block_on(postgres.checkpoint())?;
        wait_until_quiet(|| postgres.cpu())
    }
}
