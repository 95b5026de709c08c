//! From a worded call to an HTTP request: the headers that every dialect's calls share.

use std::time::Duration;

use bytes::Bytes;
use chat::id::{EventId, Timestamp};
use chat::refusal::AskFailure;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper::{Method, Request};

use crate::codec::Call;
use crate::endpoint::Endpoint;
use crate::transport::{Answer, CallFailure};

/// What is said beside the call itself, in headers.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// `webhook-id`: the same on every attempt.
    pub id: String,
    /// More headers of this call.
    pub headers: Vec<(&'static str, String)>,
}

/// The trace that a call belongs to, in the W3C's form. It is made of the event's or the question's id: the same on every
/// attempt, after a restart, and for what a message was asked about and is told of.
pub(crate) fn traceparent(id: EventId) -> String {
    format!("00-{id}-{:016x}-01", id.random_bits().max(1))
}

/// Posts one call within `deadline`.
pub(crate) async fn post(
    endpoint: &Endpoint,
    call: &Call,
    envelope: &Envelope,
    now: Timestamp,
    deadline: Duration,
) -> Result<Answer, CallFailure> {
    let request = build(endpoint, call, envelope, now)?;
    match tokio::time::timeout(deadline, endpoint.transport.exchange(request)).await {
        Ok(result) => result,
        Err(_) => {
            let detail = format!("no complete answer within {} ms", deadline.as_millis());
            Err(CallFailure::new(AskFailure::Timeout, detail))
        }
    }
}

/// The request as it is sent at `now`.
pub(crate) fn build(
    endpoint: &Endpoint,
    call: &Call,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<Request<Full<Bytes>>, CallFailure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(endpoint.codec.url(call, now))
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header(USER_AGENT, concat!("ringback/", env!("CARGO_PKG_VERSION")))
        // Also without a secret: repeats are dropped by it, and holes are seen.
        .header("webhook-id", &envelope.id);
    for (name, value) in call.headers.iter().chain(&envelope.headers) {
        request = request.header(*name, value);
    }
    if let Some(secret) = &endpoint.secret {
        for (name, value) in secret.headers(&envelope.id, now, &call.body) {
            request = request.header(name, value);
        }
    }
    if let Some(headers) = request.headers_mut() {
        endpoint.headers.add_to(headers);
    }
    request.body(Full::new(call.body.clone())).map_err(|error| {
        tracing::error!(endpoint = endpoint.name, %error, "a callback could not be built");
        CallFailure::new(AskFailure::Unreachable, format!("the request could not be built: {error}"))
    })
}
