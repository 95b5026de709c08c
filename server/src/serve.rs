//! `ringback serve`: builds the parts, serves, and stops in order.

use std::net::SocketAddr;
use std::sync::Arc;

use chat::online::Online;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use webhook::Asker;
use webhook::tunnel::Tunnels;

use crate::app::{App, Delivering};
use crate::config::{Config, Secret};
use crate::failure::Failure;
use crate::secrets::{self, Origin, Secrets};
use crate::{admin, health, http};

/// A server at work.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens: the port is the system's choice if 0 was configured.
    pub(crate) address: SocketAddr,
    /// Where OpenIM's clients connect.
    pub(crate) gateway: SocketAddr,
    stop: CancellationToken,
    http: [JoinHandle<()>; 2],
    fan_out: JoinSet<()>,
    online: Arc<Online>,
    delivering: Delivering,
    tunnels: Arc<Tunnels>,
    asker: Arc<Asker>,
}

impl Server {
    /// Builds the parts and starts serving.
    pub(crate) async fn start(
        config: &Config,
        secrets: &Secrets,
        admin_token: &Secret,
        metrics: PrometheusHandle,
    ) -> Result<Self, Failure> {
        let (listener, address) = listen("server.listen", config.server.listen).await?;
        let (gateway_listener, gateway) = listen("server.gateway", config.server.gateway).await?;
        let app = App::build(config, secrets).await?;
        let stop = CancellationToken::new();
        let delivering = app.start_delivering(&stop).await?;
        let tunnels = app.tunnels(&stop);
        let routes = admin::callbacks::routes(delivering.operator.clone(), tunnels.clone(), app.clock.clone());
        let routes = routes.merge(admin::parked::routes(app.chat.clone()));
        let routes = routes.merge(admin::tunnel::routes(tunnels.clone(), config));
        let admin = admin::guarded(admin_token.clone(), routes);
        let router = app.router().merge(health::router(app.store.clone(), metrics, stop.clone())).merge(admin);
        let fan_out = app.start_fan_out(&stop);
        let http = [
            tokio::spawn(http::serve(listener, router, stop.clone())),
            tokio::spawn(http::serve(gateway_listener, app.gateway(), stop.clone())),
        ];
        Ok(Self { address, gateway, stop, http, fan_out, online: app.online, delivering, tunnels, asker: app.asker })
    }

    /// Stops taking requests, finishes those that have begun, and saves how far each endpoint was told.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        // Clients are let go first: they connect again, to whoever serves then.
        self.online.end_all().await;
        for http in self.http {
            // A task that panicked has said so already.
            let _ = http.await;
        }
        while self.fan_out.join_next().await.is_some() {}
        self.tunnels.ended().await;
        self.asker.stop().await;
        while self.delivering.tasks.join_next().await.is_some() {}
    }
}

/// A listener at an address, and where it is: the port may be the system's choice.
async fn listen(key: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let cannot_listen = |error| Failure::work(format!("cannot listen on {address} ({key}): {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(Failure::work)?;
    Ok((listener, address))
}

/// Serves until the process is told to stop.
pub(crate) async fn run(config: Config, secrets: Secrets) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::work)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::work)?;
    let (admin_token, kept) = secrets::admin_token(&config).map_err(Failure::work)?;
    let server = Server::start(&config, &secrets, &admin_token, health::collect_metrics()?).await?;
    if let (Origin::Made(path) | Origin::Kept(path), _) | (_, Origin::Made(path) | Origin::Kept(path)) =
        (&secrets.origin, &kept)
    {
        tracing::info!(path = %path.display(), "secrets that were not configured are kept here");
    }
    if config.endpoints.is_empty() {
        tracing::info!("no [[endpoint]] is configured: nobody is called back");
    }
    tracing::info!(
        http = %server.address,
        gateway = %server.gateway,
        data_dir = %config.server.data_dir.display(),
        endpoints = config.endpoints.len(),
        "ready"
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    tokio::select! {
        () = server.stop() => {}
        // Told twice: now.
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
