//! The way to the database: from a URL to connections.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Db, Error, Result, trouble};
use crate::OpenError;

/// To get a connection, unless the URL says otherwise.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// To get a connection of the pool: longer than almost any read takes, shorter than anybody's patience.
const WAIT_FOR_READER: Duration = Duration::from_secs(2);

/// What is sent and not confirmed for so long means that the peer is gone.
const PEER_GONE_AFTER: Duration = Duration::from_secs(10);

/// How long a connection says nothing before it is asked whether it still stands.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// What every connection is set to. Each statement is a look-up by key, and is to be planned as one, once: with the
/// statistics of a table that was empty a moment ago the planner would choose otherwise. What is acknowledged is on disk,
/// whatever the database or the role is set to. A transaction whose process hangs must not hold its shards for ever, nor one
/// that waits for them stay when nobody waits for it any more; and the server notices when our machine is gone.
const OPTIONS: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_memoize=off -c jit=off \
     -c plan_cache_mode=force_generic_plan -c synchronous_commit=on -c idle_in_transaction_session_timeout=3s \
     -c lock_timeout=4s -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3";

/// Makes connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    config: Config,
    place: Arc<str>,
}

impl Connector {
    /// Reads a URL. Nothing is connected yet.
    pub(super) fn new(url: &str) -> Result<Self, OpenError> {
        let unusable = |why: String| OpenError::Unusable { place: "store.url".into(), why, is_final: true };
        let mut config: Config = url.parse().map_err(|error| unusable(trouble::in_words(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(unusable("it names no host".into()));
        }
        // The rest of a password that is read as a host would be shown.
        if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(host) if host.contains('@'))) {
            return Err(unusable("a \"@\" in the password is written %40".into()));
        }
        if config.get_user().is_none() {
            return Err(unusable("it names no user".into()));
        }
        let options = config.get_options().map(|options| format!("{OPTIONS} {options}"));
        config.options(options.as_deref().unwrap_or(OPTIONS));
        if config.get_application_name().is_none() {
            config.application_name("ringback");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_WITHIN);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(PEER_GONE_AFTER);
        }
        // What is between us and the server may forget a connection that says nothing for minutes.
        if !url.contains("keepalives") {
            config.keepalives_idle(KEEP_ALIVE).keepalives_interval(KEEP_ALIVE / 6).keepalives_retries(3);
        }
        // Of several hosts, the one that takes writes; one that takes none is of no use.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let place = place(&config).into();
        Ok(Self { config, place })
    }

    /// Host and database, for people: no password is in it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// A connection of one's own.
    pub(super) async fn connect(&self) -> Result<Db> {
        let connecting = async {
            match self.config.get_ssl_mode() {
                SslMode::Require => open(&self.config, MakeRustlsConnect::new(tls()?)).await,
                _ => open(&self.config, NoTls).await,
            }
        };
        let most = self.connect_within();
        tokio::time::timeout(most, connecting).await.unwrap_or(Err(Error::Slow(most)))
    }

    /// How long it may take to get a connection. What `config` says is for the socket of one host; whoever accepts it may
    /// still say nothing.
    pub(super) fn connect_within(&self) -> Duration {
        let hosts = self.config.get_hosts().len().max(1) as u32;
        self.config.get_connect_timeout().map_or(CONNECT_WITHIN, |most| *most) * hosts
    }

    /// Connections to share.
    pub(super) fn pool(&self, connections: usize) -> Result<Pool> {
        let pool = Pool::builder(self.manager()?)
            .max_size(connections)
            .wait_timeout(Some(WAIT_FOR_READER))
            .create_timeout(Some(self.connect_within()))
            .runtime(Runtime::Tokio1)
            .build();
        Ok(pool.expect("a runtime is given, which is all that can be missing"))
    }

    fn manager(&self) -> Result<Manager> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        Ok(match self.config.get_ssl_mode() {
            SslMode::Require => {
                let tls = MakeRustlsConnect::new(tls()?);
                Manager::from_config(self.config.clone(), tls, config)
            }
            _ => Manager::from_config(self.config.clone(), NoTls, config),
        })
    }
}

async fn open<T>(config: &Config, tls: T) -> Result<Db>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    // Its end is seen by whoever uses the client.
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok(Db::new(client, driver))
}

/// With `sslmode=require` the certificate is checked against the system's roots (or `SSL_CERT_FILE`): encryption to
/// nobody in particular protects from nobody in particular.
fn tls() -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Error::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn place(config: &Config) -> String {
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let ports = config.get_ports();
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(host) => format!("{host}:{port}"),
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    });
    let hosts: Vec<_> = hosts.collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("PostgreSQL at {}, database {database:?}", hosts.join(", "))
}

/// Why a database could not be opened. What the server refuses for good is the operator's to change.
pub(super) fn unusable(place: &str, error: &Error) -> OpenError {
    let is_final = match error {
        Error::Sql(error) => error.code().is_some_and(|code| {
            let for_good = [
                SqlState::INVALID_CATALOG_NAME,
                SqlState::INVALID_PASSWORD,
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                SqlState::INSUFFICIENT_PRIVILEGE,
                SqlState::INVALID_SCHEMA_NAME,
                SqlState::READ_ONLY_SQL_TRANSACTION,
            ];
            for_good.contains(code)
        }),
        Error::Tls(_) | Error::Json(_) | Error::Missing(_) => true,
        Error::Slow(_) | Error::WentBack(_) | Error::Outdated => false,
    };
    OpenError::Unusable { place: place.to_owned(), why: error.to_string(), is_final: is_final || is_read_only(error) }
}

/// The client library's own words for a host that takes no writes.
fn is_read_only(error: &Error) -> bool {
    error.to_string().contains("does not allow writes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Connector::new(url).unwrap_err().to_string()
    }

    #[test]
    fn a_url_that_is_wrong_is_refused_in_words_and_without_its_password() {
        assert!(refused("postgres://u:hush@host:port/db").contains("store.url"));
        assert!(refused("postgres://u:hush@/db").contains("names no host"));
        assert!(refused("postgres://host/db").contains("names no user"));
        assert!(refused("postgres://u:pa@hush@host/db").contains("%40"));
        for url in [
            "postgres://u:hush@host:port/db",
            "postgres://u:hush@host/db?nonsense=1",
            "postgres://u:a@hush@host/db",
            "postgres://u:hush@h/db?sslmode=maybe",
        ] {
            assert!(!refused(url).contains("hush"), "{}", refused(url));
        }
    }

    #[test]
    fn a_place_names_hosts_and_database_and_no_password() {
        let place = |url: &str| Connector::new(url).unwrap().place().to_owned();
        assert_eq!(place("postgres://u:hush@one:1,two:2/db"), "PostgreSQL at one:1, two:2, database \"db\"");
        assert_eq!(place("postgres://u@one"), "PostgreSQL at one:5432, database \"u\"");
    }
}
