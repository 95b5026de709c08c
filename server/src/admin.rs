//! The admin API, `/admin/…`: what an operator may look at and do, as JSON over HTTP. Every path of it wants the admin token.
//!
//! Nothing bounds how often a token may be guessed, because a bound could be used to keep the operator out. The length of
//! the token does: at least 32 characters, 256 random bits if it was generated. Refusals are counted and logged.

pub(crate) mod callbacks;
mod fields;
pub(crate) mod parked;
pub(crate) mod tunnel;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// Puts `routes`, whose paths begin after `/admin`, behind the token.
pub(crate) fn guarded(token: Secret, routes: Router) -> Router {
    let routes = routes
        .fallback(|| async { Problem::not_found("there is no such path in the admin API; see docs/OPERATING.md") })
        .method_not_allowed_fallback(|| async {
            Problem { status: StatusCode::METHOD_NOT_ALLOWED, ..Problem::bad("this path takes another method") }
        })
        .layer(middleware::from_fn_with_state(token, guard));
    Router::new().nest("/admin", routes)
}

async fn guard(State(token): State<Secret>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
    // The scheme is case-insensitive (RFC 9110, 11.1).
    let shown = shown.and_then(|value| {
        let (scheme, token) = value.split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
    });
    match shown {
        Some(shown) if bool::from(shown.ct_eq(token.expose().as_bytes())) => next.run(request).await,
        shown => {
            metrics::counter!("ringback_admin_refused_total").increment(1);
            tracing::warn!(path = request.uri().path(), has_token = shown.is_some(), "the admin API refused a caller");
            let message = match shown {
                Some(_) => {
                    "this is not the admin token; right would be the one in <data_dir>/secrets.toml, \
                     or in the configuration (server.admin_token)"
                }
                None => "this needs the header `Authorization: Bearer <admin token>`",
            };
            let problem = Problem { status: StatusCode::UNAUTHORIZED, message: message.to_owned() };
            ([(WWW_AUTHENTICATE, "Bearer")], problem).into_response()
        }
    }
}

/// What went wrong with a request, in words.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    message: String,
}

impl Problem {
    /// The request itself is wrong; the words name the field.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// What it names is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }

    /// It is right, and cannot be done as things are.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, message: message.into() }
    }

    /// We failed, and the log says how.
    pub(crate) fn failed() -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: "it failed; the log says why".to_owned() }
    }

    /// It cannot be done now.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, answer(&json!({ "error": self.message }))).into_response()
    }
}

/// What was asked for, as JSON.
pub(crate) fn answer(what: &impl Serialize) -> Response {
    match serde_json::to_vec(what) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer of the admin API could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    async fn call(method: &str, path: &str, authorization: Option<&str>) -> (u16, Value) {
        let routes = Router::new().route("/callbacks", get(|| async { answer(&json!("in")) }));
        let mut request = Request::builder().method(method).uri(path);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let router = guarded(Secret::new(TOKEN), routes);
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn only_the_token_opens_it() {
        for good in [format!("Bearer {TOKEN}"), format!("bearer {TOKEN}")] {
            assert_eq!(call("GET", "/admin/callbacks", Some(&good)).await, (200, json!("in")));
        }
        let bad = [
            None,
            Some(TOKEN.to_owned()),
            Some("Bearer ".to_owned()),
            Some("Bearer x".to_owned()),
            Some(format!("Bearer {TOKEN}0")),
            Some(format!("Bearer {}", &TOKEN[1..])),
            Some(format!("Basic {TOKEN}")),
        ];
        for bad in bad {
            // A path that is not there does not show that it is not.
            for path in ["/admin/callbacks", "/admin/nothing"] {
                let (status, body) = call("GET", path, bad.as_deref()).await;
                assert_eq!(status, 401, "{bad:?}");
                assert!(body["error"].is_string() && !body.to_string().contains(TOKEN), "{body}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_said_in_words() {
        let token = format!("Bearer {TOKEN}");
        assert_eq!(call("GET", "/admin/nothing", Some(&token)).await.0, 404);
        let (status, body) = call("POST", "/admin/callbacks", Some(&token)).await;
        assert_eq!(status, 405);
        assert!(body["error"].is_string(), "{body}");
    }
}
