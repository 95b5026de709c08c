//! The outgoing HTTP client: a pool of kept-alive connections, shared by all endpoints that have no TLS of their own.
//!
//! Redirects are never followed: a redirect would send the body to an address that the operator did not configure.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use chat::id::Timestamp;
use chat::port::Clock;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{DATE, PROXY_AUTHORIZATION, RETRY_AFTER};
use hyper::{Request, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use crate::connect::{Connector, Names, SystemNames};
use crate::egress::Guard;
use crate::failure::{NotReached, unreachable};
use crate::proxy::Proxy;
use crate::retry_after;
use crate::tls::Tls;
use crate::transport::{Answer, CallFailure, MAX_ANSWER_BYTES, Transport};
use crate::way::Way;

/// Kept-alive connections per host. Idle ones cost the receiver, too.
const MAX_IDLE_PER_HOST: usize = 128;

/// An idle connection is closed after this long: shorter than the 60 s of common receivers, so that we rarely write
/// into a connection that the other side is just closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How calls leave this machine; the same for all endpoints.
#[derive(Clone)]
pub struct Network {
    /// Where they may go.
    pub guard: Arc<Guard>,
    /// What they go through. Then names are the proxy's to resolve, and the guard judges only addresses in URLs.
    pub proxy: Option<Arc<Proxy>>,
    /// What names mean.
    pub names: Arc<dyn Names>,
    /// For answers that name a time of day.
    pub clock: Arc<dyn Clock>,
}

impl Network {
    /// Straight to where the guard lets them, by the system's names.
    pub fn new(guard: Guard, clock: Arc<dyn Clock>) -> Self {
        Self { guard: Arc::new(guard), proxy: None, names: Arc::new(SystemNames), clock }
    }
}

/// Posts callbacks. Clones share the pool.
#[derive(Clone)]
pub struct Client {
    http: hyper_util::client::legacy::Client<Way, Full<Bytes>>,
    way: Way,
    proxy: Option<Arc<Proxy>>,
    clock: Arc<dyn Clock>,
}

impl Client {
    /// A client with a pool of its own. Fails when the operating system has no certificates, and `tls` names none.
    pub fn new(network: &Network, tls: &Tls) -> std::io::Result<Self> {
        let Network { guard, proxy, names, clock } = network.clone();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.config()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector::new(names, guard.clone(), proxy.clone()));
        let way = Way::new(connector, guard);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .build(way.clone());
        Ok(Self { http, way, proxy, clock })
    }

    /// Connects as a call to this URL would, and sends it nothing: to its host, TLS included, or for `http` behind a proxy
    /// to the proxy, which alone knows whether it gets any further. Takes [`crate::way::LONGEST_CONNECT`] at most.
    pub async fn reach(&self, url: &Uri) -> Result<(), NotReached> {
        let mut way = self.way.clone();
        let not_reached = |error: Box<dyn Error + Send + Sync>| NotReached::of(&*error);
        poll_fn(|context| way.poll_ready(context)).await.map_err(not_reached)?;
        way.call(url.clone()).await.map(drop).map_err(not_reached)
    }
}

#[async_trait]
impl Transport for Client {
    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, CallFailure> {
        // Inside a tunnel it would reach the endpoint.
        if let Some(authorization) = self.proxy.as_ref().and_then(|proxy| proxy.authorization.as_ref())
            && request.uri().scheme_str() == Some("http")
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let response = self.http.request(request).await.map_err(|error| unreachable(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { CallFailure::too_long() } else { unreachable(&*error) }
        })?;
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: head.status,
            retry_after: text(RETRY_AFTER).and_then(|value| retry_after::parse(value, self.clock.now())),
            date: text(DATE).and_then(date),
            body: body.to_bytes(),
        })
    }
}

/// What time it is in a head (`Date`), in any of HTTP's three forms.
fn date(value: &str) -> Option<Timestamp> {
    let since = httpdate::parse_http_date(value.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp::from_millis)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("guard", &self.guard).field("proxy", &self.proxy).finish_non_exhaustive()
    }
}
