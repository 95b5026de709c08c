//! Putting the parts together: from a configuration to a chat app with its routes and its readers of the log.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chat::account::import::{Existing, ImportAccounts, NewAccount};
use chat::id::AccountId;
use chat::policy::RestrictedWords;
use chat::port::Clock;
use chat::{Actor, Chat, Origin};
use store::{Durable, OpenError, Postgres, Sqlite, postgres};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use webhook::endpoint::{Acknowledge, Commands, EndpointSettings, OnFailure};
use webhook::sign::SigningSecret;
use webhook::transport::Transport;
use webhook::{Asker, Client, Deliverer, Endpoint};

use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::secrets::Secrets;

/// How long an OpenIM token is good for, if nobody says otherwise: as OpenIM's own default.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// One app, built and not serving yet.
pub(crate) struct App {
    pub(crate) store: Arc<dyn Durable>,
    chat: Arc<Chat>,
    endpoints: Vec<Arc<Endpoint>>,
    clock: Arc<dyn Clock>,
    tencent: tencent::Config,
    openim: openim::Config,
}

impl App {
    /// Opens the store and builds everything on it.
    pub(crate) async fn build(config: &Config, secrets: &Secrets) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let client: Arc<dyn Transport> = Arc::new(Client::new().map_err(Failure::work)?);
        let endpoints = config.endpoints.iter().map(|endpoint| build_endpoint(config, endpoint, client.clone()));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        let store = open(&config.store).await?;
        let asker = Asker::new(endpoints.clone(), clock.clone());
        let settings = chat::Settings {
            restricted_words: RestrictedWords::new(&config.policy.restricted_words).map_err(Failure::work)?,
            max_message_bytes: config.policy.max_message_bytes as usize,
        };
        let chat = Arc::new(Chat::new(store.clone(), Arc::new(asker), clock.clone(), settings));
        let ids = |names: &[String]| names.iter().map(|name| AccountId::new(name.as_str())).collect();
        let app = Self {
            store,
            chat,
            endpoints,
            clock,
            tencent: tencent::Config {
                sdkappid: config.tencent.sdkappid,
                key: secrets.tencent_key.expose().to_owned(),
                admins: ids(&config.tencent.admins),
            },
            openim: openim::Config {
                secret: secrets.openim_secret.expose().to_owned(),
                admins: ids(&config.openim.admins),
                token_lifetime: TOKEN_LIFETIME,
            },
        };
        app.import_admins().await?;
        Ok(app)
    }

    /// Configured admins exist without being imported.
    async fn import_admins(&self) -> Result<(), Failure> {
        let admins = self.tencent.admins.iter().chain(&self.openim.admins);
        let accounts = admins.map(|id| NewAccount::bare(id.clone())).collect();
        let import = ImportAccounts { accounts, existing: Existing::Update };
        self.chat.run(&Actor::System, &Origin::default(), import).await.map_err(Failure::work)
    }

    /// The routes of both dialects. Any path that is nobody's is OpenIM's to answer: its routes have no prefix.
    pub(crate) fn router(&self) -> Router {
        let openim = openim::router(self.chat.clone(), self.openim.clone());
        openim.merge(tencent::router(self.chat.clone(), self.tencent.clone()))
    }

    /// Starts telling every endpoint, from where its cursor stands.
    pub(crate) async fn start_delivering(&self, stop: &CancellationToken) -> Result<JoinSet<()>, Failure> {
        let mut deliverers = JoinSet::new();
        for endpoint in &self.endpoints {
            let opened = Deliverer::open(
                endpoint.clone(),
                self.store.shards(),
                self.store.clone(),
                self.store.clone(),
                self.clock.clone(),
            );
            deliverers.spawn(opened.await.map_err(Failure::work)?.run(stop.clone()));
        }
        Ok(deliverers)
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

fn build_endpoint(
    config: &Config,
    endpoint: &config::Endpoint,
    client: Arc<dyn Transport>,
) -> Result<Arc<Endpoint>, Failure> {
    let codec: Arc<dyn webhook::codec::Codec> = match endpoint.dialect {
        config::Dialect::Tencent => Arc::new(tencent::callback::TencentCodec::new(
            endpoint.url.clone(),
            config.tencent.sdkappid,
            endpoint.token.as_ref().map(|token| token.expose().to_owned()),
        )),
        config::Dialect::OpenIm => Arc::new(openim::codec::OpenImCodec::new(
            &endpoint.url,
            config.openim.admins.iter().map(|name| AccountId::new(name.as_str())).collect(),
        )),
    };
    let commands = if endpoint.commands.iter().any(|command| command == "*") {
        Commands::All
    } else {
        Commands::Only(endpoint.commands.iter().cloned().collect())
    };
    let secret = endpoint.secret.as_ref().map(|secret| SigningSecret::parse(secret.expose())).transpose();
    let name = &endpoint.name;
    let settings = EndpointSettings {
        name: name.clone(),
        commands,
        timeout: endpoint.timeout,
        on_failure: match endpoint.on_failure {
            config::OnFailure::Allow => OnFailure::Allow,
            config::OnFailure::Reject => OnFailure::Reject,
        },
        acknowledge: match endpoint.acknowledge {
            config::Acknowledge::Status => Acknowledge::Status,
            config::Acknowledge::Body => Acknowledge::Body,
        },
        concurrency: usize::from(endpoint.concurrency),
        secret: secret.map_err(|problem| Failure::usage(format!("endpoint {name:?}: secret {problem}")))?,
    };
    let endpoint = Endpoint::new(settings, codec, client).map_err(|command| {
        Failure::usage(format!(
            "endpoint {name:?}: commands: its dialect has no command {command:?}; \
             see the dialect's documents for the names, or use \"*\" for all"
        ))
    })?;
    Ok(Arc::new(endpoint))
}
