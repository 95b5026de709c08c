//! The envelope of every answer: `{"errCode","errMsg","errDlt","data"}` (`spec/openim/semantics.md`, section 1).

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

use crate::error::ApiError;

#[derive(Serialize)]
struct Envelope<'a, T> {
    #[serde(rename = "errCode")]
    code: i64,
    #[serde(rename = "errMsg")]
    message: &'a str,
    #[serde(rename = "errDlt")]
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

/// The `data` of an answer that has none: it is left out.
#[derive(Debug)]
pub(crate) struct Empty;

/// What can stand in `data`.
pub(crate) trait Data {
    /// What is shown; `None` leaves `data` out.
    fn shown(&self) -> Option<&impl Serialize>;
}

impl<T: Serialize> Data for T {
    fn shown(&self) -> Option<&impl Serialize> {
        Some(self)
    }
}

impl Data for Empty {
    fn shown(&self) -> Option<&impl Serialize> {
        None::<&()>
    }
}

/// Wraps the outcome of a request.
pub(crate) fn answer<T: Data>(outcome: Result<T, ApiError>) -> Response {
    match outcome {
        Ok(data) => respond(StatusCode::OK, &Envelope { code: 0, message: "", detail: "", data: data.shown() }),
        Err(error) => refuse(&error),
    }
}

/// The outcome of a handshake, as a text frame.
pub(crate) fn text(outcome: Result<(), &ApiError>) -> String {
    let envelope = match outcome {
        Ok(()) => Envelope { code: 0, message: "", detail: "", data: None::<()> },
        Err(error) => Envelope { code: error.code, message: &error.message, detail: &error.detail, data: None },
    };
    // Strings and numbers always serialise.
    serde_json::to_string(&envelope).unwrap_or_default()
}

/// The answer that tells of an error.
pub(crate) fn refuse(error: &ApiError) -> Response {
    let envelope = Envelope { code: error.code, message: &error.message, detail: &error.detail, data: None::<()> };
    let mut response = respond(error.status, &envelope);
    if error.closes {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn respond(status: StatusCode, body: &impl Serialize) -> Response {
    // Nothing that we answer with can fail to serialise: no map has keys other than strings.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
