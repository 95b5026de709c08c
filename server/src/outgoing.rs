//! How callbacks leave: from the configuration to the clients that make the calls.

use std::path::Path;
use std::sync::Arc;

use chat::port::Clock;
use webhook::tls::Tls;
use webhook::transport::Transport;
use webhook::{Client, Network};

use crate::config::{self, Config};
use crate::failure::Failure;

/// Makes the endpoints' clients.
#[derive(Debug)]
pub(crate) struct Outgoing {
    network: Network,
    /// For all endpoints that have no TLS of their own: they share its connections.
    shared: Arc<Client>,
}

impl Outgoing {
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let proxy = config.callbacks.proxy.clone().map(Arc::new);
        let network = Network { proxy, ..Network::new(config.callbacks.guard.clone(), clock) };
        let shared = Arc::new(Client::new(&network, &Tls::default()).map_err(Failure::work)?);
        Ok(Self { network, shared })
    }

    /// What carries the calls to an endpoint.
    pub(crate) fn transport(&self, endpoint: &config::Endpoint) -> Result<Arc<dyn Transport>, Failure> {
        Ok(self.client(endpoint)?)
    }

    /// The same, for whoever wants to look closer.
    pub(crate) fn client(&self, endpoint: &config::Endpoint) -> Result<Arc<Client>, Failure> {
        let mut tls = Tls::default();
        let wrong = |key: &str, file: &Path, problem: String| {
            Failure::usage(format!("endpoint[{}].{key}: {}: {problem}", endpoint.name, file.display()))
        };
        let read = |key: &str, file: &Path| {
            let unreadable = |error| format!("cannot be read: {error}; right would be the path of a file in PEM");
            std::fs::read(file).map_err(|error| wrong(key, file, unreadable(error)))
        };
        if let Some(file) = &endpoint.ca_file {
            let authorities = read("ca_file", file)?;
            tls = tls.trust_only(&authorities).map_err(|problem| wrong("ca_file", file, problem))?;
        }
        if let Some((certificate, key)) = &endpoint.client_files {
            let pem = (read("client_cert_file", certificate)?, read("client_key_file", key)?);
            tls = tls.present(&pem.0, &pem.1).map_err(|problem| wrong("client_cert_file", certificate, problem))?;
        }
        if tls.is_default() {
            return Ok(self.shared.clone());
        }
        Ok(Arc::new(Client::new(&self.network, &tls).map_err(Failure::work)?))
    }
}
