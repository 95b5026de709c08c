//! The envelope of every answer: `ActionStatus`, `ErrorInfo`, `ErrorCode`, then the command's own fields.
//!
//! The HTTP status is always 200 (`spec/tencent/rules.md`, section 2).

use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error_map;
use crate::gate::Service;

/// What a command answers beside the envelope.
#[derive(Debug, Default)]
pub(crate) struct Reply(Map<String, Value>);

impl Reply {
    /// A reply without fields of its own.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

/// A command that failed: a code of the dialect's, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: i64,
    pub(crate) info: String,
}

impl Failure {
    pub(crate) fn new(code: i64, info: impl Into<String>) -> Self {
        Self { code, info: info.into() }
    }
}

/// Why a command failed: the dialect's own check, or the core's answer.
#[derive(Debug)]
pub(crate) enum Error {
    Dialect(Failure),
    Core(chat::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Dialect(failure)
    }
}

impl From<chat::Error> for Error {
    fn from(error: chat::Error) -> Self {
        Self::Core(error)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "ActionStatus")]
    action_status: &'a str,
    #[serde(rename = "ErrorInfo")]
    error_info: &'a str,
    #[serde(rename = "ErrorCode")]
    error_code: i64,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// The answer to a command of a service.
pub(crate) fn answer(service: Service, result: Result<Reply, Error>) -> Response {
    match result {
        Ok(Reply(fields)) => respond(&Envelope { action_status: "OK", error_info: "", error_code: 0, fields }),
        Err(Error::Dialect(failure)) => fail(service, &failure),
        Err(Error::Core(error)) => fail(service, &error_map::failure(service, &error)),
    }
}

/// The answer to a command that failed.
pub(crate) fn fail(service: Service, failure: &Failure) -> Response {
    let mut fields = Map::new();
    if service == Service::Sns {
        fields.insert("ErrorDisplay".into(), "".into());
    }
    respond(&Envelope { action_status: "FAIL", error_info: &failure.info, error_code: failure.code, fields })
}

/// Tells the client that the rest of its request will not be read.
pub(crate) fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn respond(envelope: &Envelope<'_>) -> Response {
    // Maps and strings always serialize.
    let body = serde_json::to_vec(envelope).unwrap_or_default();
    // COMPAT: the CORS header is in the vendor's samples.
    let headers = [(CONTENT_TYPE.as_str(), "application/json; charset=utf-8"), ("access-control-allow-origin", "*")];
    (StatusCode::OK, headers, body).into_response()
}
