//! Where the store of one test is.

use std::sync::atomic::{AtomicU32, Ordering};

use store::postgres::{self, Settings};
use store::{OpenError, Postgres};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use crate::proxy::Proxy;
use crate::until;

/// A schema of its own in the server that `RINGBACK_POSTGRES` names. It goes with the server, a throw-away one.
pub(crate) struct Home {
    server: Config,
    /// The schema, and by what the connections of its stores are known.
    pub(crate) name: String,
}

impl Home {
    /// A new, empty schema.
    pub(crate) async fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("RINGBACK_POSTGRES");
        let server =
            server.expect("RINGBACK_POSTGRES names a PostgreSQL server: run ./scripts/test, or see scripts/postgres");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let home = Self { server: server.parse().unwrap(), name: format!("test_{}_{number}", std::process::id()) };
        home.sql(&format!("CREATE SCHEMA {}", home.name)).await;
        home
    }

    /// Host and port of the server.
    pub(crate) fn address(&self) -> (String, u16) {
        let [Host::Tcp(host)] = self.server.get_hosts() else { panic!("one host: {:?}", self.server) };
        (host.clone(), self.server.get_ports().first().copied().unwrap_or(5432))
    }

    fn user(&self) -> String {
        let user = self.server.get_user().expect("a user").to_owned();
        match self.server.get_password() {
            Some(password) => format!("{user}:{}", String::from_utf8_lossy(password)),
            None => user,
        }
    }

    /// The database that the schema is in.
    pub(crate) fn database(&self) -> &str {
        self.server.get_dbname().expect("a database")
    }

    /// The URL of the schema, for whoever opens a store there.
    pub(crate) fn url(&self) -> String {
        let (host, port) = self.address();
        self.url_of(&format!("{}@{host}:{port}/{}", self.user(), self.database()))
    }

    /// ... through a proxy.
    pub(crate) fn url_through(&self, proxy: &Proxy) -> String {
        self.url_of(&format!("{}@127.0.0.1:{}/{}", self.user(), proxy.port, self.database()))
    }

    /// ... with a user of [`Home::make_user`].
    pub(crate) fn url_as(&self, user: &str) -> String {
        let (host, port) = self.address();
        self.url_of(&format!("{user}:hush@{host}:{port}/{}", self.database()))
    }

    /// ... of any user, server and database.
    pub(crate) fn url_of(&self, place: &str) -> String {
        format!("postgres://{place}?application_name={0}&options=-csearch_path%3D{0}", self.name)
    }

    /// A store with one writer, so that everything is committed over one connection.
    pub(crate) async fn open(&self) -> Postgres {
        open(&one_writer(self.url())).await
    }

    /// ... whose connections go through a proxy.
    pub(crate) async fn open_through(&self, proxy: &Proxy) -> Postgres {
        open(&one_writer(self.url_through(proxy))).await
    }

    /// A connection of the test, which is not counted among those of the stores.
    pub(crate) async fn connect(&self) -> Client {
        let mut config = self.server.clone();
        config.application_name("test").options(format!("-csearch_path={}", self.name));
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Runs statements in the schema.
    pub(crate) async fn sql(&self, statements: &str) {
        self.connect().await.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Makes a user who may do this in the schema.
    pub(crate) async fn make_user(&self, may: &str) -> String {
        let user = format!("user_of_{}", self.name);
        let schema = &self.name;
        self.sql(&format!("CREATE ROLE {user} LOGIN PASSWORD 'hush'; GRANT {may} ON SCHEMA {schema} TO {user}")).await;
        user
    }

    /// Has this done before each row that comes into a table, where a condition holds.
    pub(crate) async fn before_insert(&self, table: &str, when: &str, plpgsql: &str) {
        self.sql(&format!(
            "CREATE OR REPLACE FUNCTION before_insert() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN {plpgsql} RETURN NEW; END $$;
             CREATE OR REPLACE TRIGGER before_insert BEFORE INSERT ON {table}
                FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION before_insert();"
        ))
        .await;
    }

    /// Has it not done any more.
    pub(crate) async fn nothing_before_insert(&self, table: &str) {
        self.sql(&format!("DROP TRIGGER before_insert ON {table}")).await;
    }

    /// Ends the connections of all stores, as an administrator can. Returns how many there were.
    pub(crate) async fn end_connections(&self) -> usize {
        let client = self.connect().await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
        client.query(end, &[&self.name]).await.unwrap().len()
    }

    /// Waits until so many connections of the stores stand still before a lock of this kind.
    pub(crate) async fn until_waiting(&self, locktypes: &[&str], count: i64) {
        let client = self.connect().await;
        let waiting = "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
             WHERE a.application_name = $1 AND NOT l.granted AND l.locktype = ANY($2)";
        until(&format!("{count} connections that wait for a lock ({locktypes:?})"), async || {
            client.query_one(waiting, &[&self.name, &locktypes]).await.unwrap().get::<_, i64>(0) >= count
        })
        .await;
    }
}

/// Settings with one writer, one connection for reading, and few shards.
pub(crate) fn one_writer(url: String) -> Settings {
    Settings { connections: 1, writers: 1, shards: 4, ..Settings::new(url) }
}

/// Opens a store that is to be opened.
pub(crate) async fn open(settings: &postgres::Settings) -> Postgres {
    Postgres::open(settings).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Why a store was not opened.
pub(crate) async fn refusal(settings: &postgres::Settings) -> OpenError {
    match Postgres::open(settings).await {
        Err(error) => error,
        Ok(store) => panic!("it was opened: {store:?}"),
    }
}
