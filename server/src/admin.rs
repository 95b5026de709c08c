//! `/admin`: what the operator may see and do over HTTP, with a token.
//!
//! Every route below it wants `Authorization: Bearer <server.admin_token>`. Answers are JSON; what is wrong is said as
//! `{"error": "…"}`, in words.

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

/// Lets nobody at these routes who does not have the token.
pub(crate) fn guarded(routes: Router, token: Secret) -> Router {
    routes.layer(middleware::from_fn_with_state(token, check_token))
}

/// An answer that says what is wrong.
pub(crate) fn refused(status: StatusCode, words: impl Into<String>) -> Response {
    answer(status, &json!({ "error": words.into() }))
}

/// An answer in JSON.
pub(crate) fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    // Texts, numbers and lists of them cannot fail to be written.
    let body = serde_json::to_vec(body).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

async fn check_token(State(token): State<Secret>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
    let words = match shown {
        Some(shown) if bool::from(shown.as_bytes().ct_eq(token.expose().as_bytes())) => return next.run(request).await,
        Some(_) => {
            "this is not the admin token; right would be server.admin_token, or admin_token of secrets.toml in the data dir"
        }
        None => "the header Authorization is missing; right would be Bearer and the admin token (server.admin_token)",
    };
    metrics::counter!("ringback_admin_refused_total").increment(1);
    let challenge = [(WWW_AUTHENTICATE, "Bearer")];
    (challenge, refused(StatusCode::UNAUTHORIZED, words)).into_response()
}
