//! The outgoing HTTP client: one pool of kept-alive connections for all endpoints.
//!
//! Redirects are never followed: a redirect would send the body to an address that the operator did not configure.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chat::refusal::AskFailure;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::transport::{Answer, CallFailure, Transport};

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
}

#[async_trait]
impl Transport for Client {
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, CallFailure> {
        let response = self.http.request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(seconds);
        let mut body = response.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| unreachable(&error))?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > MAX_ANSWER_BYTES {
                    let detail = format!("the answer is longer than {MAX_ANSWER_BYTES} bytes");
                    return Err(CallFailure::new(AskFailure::Unreadable, detail));
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(Answer { status, retry_after, body: bytes.freeze() })
    }
}

/// `Retry-After` in its form of seconds.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn unreachable(error: &(dyn std::error::Error + 'static)) -> CallFailure {
    // The outermost error says only that something failed.
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    CallFailure::new(AskFailure::Unreachable, innermost.to_string())
}
