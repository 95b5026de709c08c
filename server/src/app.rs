//! Putting the parts together: from a configuration to a chat app with its routes and its readers of the log.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use chat::account::import::{Existing, ImportAccounts, NewAccount};
use chat::endpoint::AnnouncePause;
use chat::fan_out;
use chat::id::AccountId;
use chat::online::Online;
use chat::policy::RestrictedWords;
use chat::port::Clock;
use chat::{Actor, Chat, Fault, Origin};
use openim::OpenIm;
use store::{Durable, OpenError, Postgres, Sqlite, postgres};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use webhook::codec::Codec;
use webhook::deliver::{Announcer, Parts};
use webhook::endpoint::{Commands, EndpointSettings, WrongCommand};
use webhook::keeper::Retention;
use webhook::ledger::Pause;
use webhook::transport::Transport;
use webhook::tunnel::Tunnels;
use webhook::{Asker, Deliverer, Endpoint, Keeper, Operator};

use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::outgoing::Outgoing;
use crate::parked;
use crate::secrets::Secrets;

/// How long an OpenIM token is good for, if nobody says otherwise: as OpenIM's own default.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// One app, built and not serving yet.
pub(crate) struct App {
    pub(crate) store: Arc<dyn Durable>,
    pub(crate) chat: Arc<Chat>,
    /// Probes endpoints that are dead, until it is stopped.
    pub(crate) asker: Arc<Asker>,
    endpoints: Vec<Arc<Endpoint>>,
    pub(crate) clock: Arc<dyn Clock>,
    retention: Retention,
    tencent: tencent::Config,
    openim: OpenIm,
    /// Who is connected to OpenIM's gateway.
    pub(crate) online: Arc<Online>,
}

impl App {
    /// Opens the store and builds everything on it.
    pub(crate) async fn build(config: &Config, secrets: &Secrets) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let outgoing = Outgoing::new(config, clock.clone())?;
        let endpoints = config.endpoints.iter().map(|endpoint| build_endpoint(config, endpoint, &outgoing));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        let store = open(&config.store).await?;
        let asker = Arc::new(Asker::new(endpoints.clone(), clock.clone()));
        let settings = chat::Settings {
            restricted_words: RestrictedWords::new(&config.policy.restricted_words).map_err(Failure::work)?,
            max_message_bytes: config.policy.max_message_bytes as usize,
        };
        let chat = Arc::new(Chat::new(store.clone(), asker.clone(), clock.clone(), settings));
        let ids = |names: &[String]| names.iter().map(|name| AccountId::new(name.as_str())).collect();
        let tencent = tencent::Config {
            sdkappid: config.tencent.sdkappid,
            key: secrets.tencent_key.expose().to_owned(),
            admins: ids(&config.tencent.admins),
        };
        let openim = openim::Config {
            secret: secrets.openim_secret.expose().to_owned(),
            admins: ids(&config.openim.admins),
            token_lifetime: TOKEN_LIFETIME,
            max_connections: openim::Config::MAX_CONNECTIONS,
        };
        import_admins(&chat, tencent.admins.iter().chain(&openim.admins)).await?;
        let online = Arc::new(Online::default());
        Ok(Self {
            openim: OpenIm::new(chat.clone(), online.clone(), openim),
            store,
            chat,
            asker,
            endpoints,
            clock,
            retention: config.callbacks.retention,
            tencent,
            online,
        })
    }

    /// The routes of both dialects. Any path that is nobody's is OpenIM's to answer: its routes have no prefix.
    pub(crate) fn router(&self) -> Router {
        self.openim.rest().merge(tencent::router(self.chat.clone(), self.tencent.clone()))
    }

    /// OpenIM's gateway.
    pub(crate) fn gateway(&self) -> Router {
        self.openim.gateway()
    }

    /// Starts giving what happens to whoever is connected.
    pub(crate) fn start_fan_out(&self, stop: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for shard in self.store.shards() {
            let fan_out = fan_out::run(self.store.clone(), self.online.clone(), shard);
            let stop = stop.clone();
            tasks.spawn(async move {
                stop.run_until_cancelled(fan_out).await;
            });
        }
        tasks
    }

    /// Those who listen by way of a connection of their own; nobody yet.
    pub(crate) fn tunnels(&self, stop: &CancellationToken) -> Arc<Tunnels> {
        Tunnels::new(self.asker.roster().clone(), self.store.clone(), self.clock.clone(), stop.clone())
    }

    /// Starts telling every endpoint, from where its cursor stands, and the housekeeping that belongs to it.
    pub(crate) async fn start_delivering(&self, stop: &CancellationToken) -> Result<Delivering, Failure> {
        let announcer = Arc::new(InTheLog(self.chat.clone()));
        let parts = Parts { log: self.store.clone(), ledger: self.store.clone(), clock: self.clock.clone(), announcer };
        let (mut tasks, mut handles) = (JoinSet::new(), Vec::new());
        for endpoint in &self.endpoints {
            let opened = Deliverer::open(endpoint.clone(), self.store.shards(), parts.clone()).await;
            let (deliverer, handle) = opened.map_err(Failure::work)?;
            handles.push(handle);
            tasks.spawn(deliverer.run(stop.clone()));
        }
        let keeper = Keeper::new(&self.endpoints, parts.clone(), self.retention);
        tasks.spawn(keeper.run(stop.clone()));
        tasks.spawn(parked::settle(self.chat.clone(), stop.clone()));
        Ok(Delivering { tasks, operator: Arc::new(Operator::new(handles, parts)) })
    }
}

/// Configured admins exist without being imported.
async fn import_admins(chat: &Chat, admins: impl Iterator<Item = &AccountId>) -> Result<(), Failure> {
    let accounts = admins.map(|id| NewAccount::bare(id.clone())).collect();
    let import = ImportAccounts { accounts, existing: Existing::Update };
    chat.run(&Actor::System, &Origin::default(), import).await.map(|_| ()).map_err(Failure::work)
}

/// What tells endpoints, at work.
#[derive(Debug)]
pub(crate) struct Delivering {
    pub(crate) tasks: JoinSet<()>,
    pub(crate) operator: Arc<Operator>,
}

/// A pause is an event like others.
struct InTheLog(Arc<Chat>);

#[async_trait]
impl Announcer for InTheLog {
    async fn announce(&self, endpoint: &str, pause: &Pause) -> Result<(), Fault> {
        let (endpoint, reason) = (endpoint.to_owned(), pause.reason.name().to_owned());
        let announce = AnnouncePause { endpoint, reason, detail: pause.detail.clone() };
        self.0.run(&Actor::System, &Origin::default(), announce).await.map_err(|error| match error {
            chat::Error::Fault(fault) => fault,
            chat::Error::Refused(refusal) => Fault::unavailable(refusal),
        })
    }
}

/// Opens the store that is configured, for this process to serve.
async fn open(store: &config::Store) -> Result<Arc<dyn Durable>, Failure> {
    match store {
        config::Store::Sqlite(path) => Ok(Arc::new(Sqlite::open(path).map_err(unopened)?)),
        config::Store::Postgres { url, connections, writers, shards } => {
            let url = url.expose().to_owned();
            let settings = postgres::Settings { url, connections: *connections, writers: *writers, shards: *shards };
            let mut store = Postgres::open(&settings).await.map_err(unopened)?;
            store.claim().await.map_err(unopened)?;
            Ok(Arc::new(store))
        }
    }
}

/// What only the operator can mend is not worth a restart.
fn unopened(error: OpenError) -> Failure {
    if error.is_final() { Failure::usage(error) } else { Failure::work(error) }
}

/// A dialect's wording for an endpoint at this URL. `token`: Tencent's.
pub(crate) fn codec(
    config: &Config,
    dialect: config::Dialect,
    url: &str,
    token: Option<&config::Secret>,
) -> Arc<dyn Codec> {
    match dialect {
        config::Dialect::Tencent => Arc::new(tencent::callback::TencentCodec::new(
            url.to_owned(),
            config.tencent.sdkappid,
            token.map(|token| token.expose().to_owned()),
        )),
        config::Dialect::OpenIm => Arc::new(openim::codec::OpenImCodec::new(
            url,
            config.openim.admins.iter().map(|name| AccountId::new(name.as_str())).collect(),
        )),
        config::Dialect::Standard => Arc::new(standard::StandardCodec::new(url.to_owned())),
    }
}

fn build_endpoint(config: &Config, endpoint: &config::Endpoint, outgoing: &Outgoing) -> Result<Arc<Endpoint>, Failure> {
    let transport = outgoing.transport(endpoint)?;
    for public_key in endpoint.secret.iter().flat_map(|secrets| secrets.public_keys()) {
        tracing::info!(endpoint = endpoint.name, public_key, "the receiver can verify calls with this key");
    }
    Ok(Arc::new(endpoint_over(config, endpoint, transport)?))
}

/// An endpoint as it is configured, whose calls go this way.
pub(crate) fn endpoint_over(
    config: &Config,
    endpoint: &config::Endpoint,
    transport: Arc<dyn Transport>,
) -> Result<Endpoint, Failure> {
    let codec = codec(config, endpoint.dialect, &endpoint.url, endpoint.token.as_ref());
    let name = &endpoint.name;
    let settings = EndpointSettings {
        name: name.clone(),
        commands: Commands::of(&endpoint.commands),
        filter: endpoint.filter.clone(),
        timeout: endpoint.timeout,
        telling: endpoint.telling.clone(),
        on_failure: endpoint.on_failure,
        on_failures: endpoint.on_failures,
        by_command: endpoint.by_command.clone(),
        concurrency: usize::from(endpoint.concurrency),
        secret: endpoint.secret.clone(),
        headers: endpoint.headers.clone(),
    };
    Endpoint::new(settings, codec, transport).map_err(|wrong| {
        Failure::usage(match wrong {
            WrongCommand::Unknown(command) => format!(
                "endpoint {name:?}: commands: its dialect has no command {command:?}; \
                 see the dialect's documents for the names, or use \"*\" for all"
            ),
            WrongCommand::NotAsked(command) => format!(
                "endpoint {name:?}: command[{command}]: nothing is asked by this command, so that no deadline and no \
                 on_… of its own can apply; right would be a before-callback, or no such settings"
            ),
        })
    })
}
