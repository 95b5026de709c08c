//! The outgoing HTTP client: one pool of kept-alive connections for all endpoints.
//!
//! Redirects are never followed: a redirect would send the body to an address that the operator did not configure.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chat::id::Timestamp;
use chat::refusal::AskFailure;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::codec::Call;
use crate::endpoint::Endpoint;

/// An answer is read up to this size; more than that is [`AskFailure::Unreadable`]. Real answers are a few hundred
/// bytes; a modified message is at most `max_message_bytes` (1 MiB), escaped.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Kept-alive connections per host. Idle ones cost the receiver, too.
const MAX_IDLE_PER_HOST: usize = 128;

/// An idle connection is closed after this long: shorter than the 60 s of common receivers, so that we rarely write
/// into a connection that the other side is just closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Posts callbacks.
#[derive(Clone, Debug)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its HTTP status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

impl Client {
    /// A client that trusts the operating system's certificates.
    pub fn new() -> std::io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector =
            HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().wrap_connector(tcp);
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .build(connector);
        Ok(Self { http })
    }

    /// Posts one callback, within the endpoint's deadline. `id` is its `webhook-id`.
    pub async fn post(&self, endpoint: &Endpoint, call: &Call, id: &str, now: Timestamp) -> Result<Answer, AskFailure> {
        let request = build(endpoint, call, id, now)?;
        match tokio::time::timeout(endpoint.timeout, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => Err(AskFailure::Timeout),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, AskFailure> {
        let response = self.http.request(request).await.map_err(|error| {
            tracing::debug!(%error, "no answer");
            AskFailure::Unreachable
        })?;
        let status = response.status();
        let mut body = response.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| AskFailure::Unreachable)?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > MAX_ANSWER_BYTES {
                    return Err(AskFailure::Unreadable);
                }
                bytes.extend_from_slice(data);
            }
        }
        if status.is_success() { Ok(Answer { status, body: bytes.freeze() }) } else { Err(AskFailure::BadStatus) }
    }
}

fn build(endpoint: &Endpoint, call: &Call, id: &str, now: Timestamp) -> Result<Request<Full<Bytes>>, AskFailure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(endpoint.codec.url(call, now))
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header(USER_AGENT, concat!("ringback/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &call.headers {
        request = request.header(*name, value);
    }
    if let Some(secret) = &endpoint.secret {
        for (name, value) in secret.headers(id, now, &call.body) {
            request = request.header(name, value);
        }
    }
    request.body(Full::new(call.body.clone())).map_err(|error| {
        tracing::error!(endpoint = endpoint.name, %error, "a callback could not be built");
        AskFailure::Unreachable
    })
}
