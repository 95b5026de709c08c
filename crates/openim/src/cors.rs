//! Any page may call: every response says so, and OPTIONS is answered at once (`spec/openim/semantics.md`, section 1).
//!
//! That is safe because nothing here is authorised by a cookie: a token must be put into each request on purpose.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE,
};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;

/// Browsers may remember the permission for two days.
const MAX_AGE_SECONDS: &str = "172800";

/// Answers OPTIONS, and adds the headers to every other answer.
pub(crate) async fn allow_all(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS { options() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    response
}

// COMPAT: the body is a JSON string, not an envelope.
fn options() -> Response {
    let mut response = Response::new(Body::from(r#""Options Request!""#));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
