//! `/admin/tunnel…`: what `ringback listen --forward` connects to. One request opens a tunnel, and its response goes on for
//! as long as that is open, one line of JSON after the other; answers and beats come as requests of their own.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper::body::Frame;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use webhook::endpoint::Commands;
use webhook::tunnel::wire::Said;
use webhook::tunnel::{Lines, NotOpened, Tunnels};

use super::Problem;
use super::fields::{self, Name, Parameters, bytes, path, query};
use crate::app;
use crate::config::{Config, Dialect};

/// What opens a tunnel: every command of a dialect, by name, is some 2 KB.
const MAX_OPENING_BYTES: usize = 64 * 1024;

/// An answer as large as one may be (4 MiB), in Base64, and what is around it.
const MAX_SAID_BYTES: usize = 6 << 20;

/// What the routes work with.
#[derive(Clone)]
struct Desk {
    tunnels: Arc<Tunnels>,
    config: Arc<Config>,
}

/// How a client wants to be called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    dialect: Dialect,
    /// Path and query of the URL that an endpoint would have.
    path: String,
    /// `*` is every command of the dialect.
    commands: Vec<String>,
}

/// The routes, to be put behind the token.
pub(crate) fn routes(tunnels: Arc<Tunnels>, config: &Config) -> Router {
    let opening = post(open).layer(DefaultBodyLimit::max(MAX_OPENING_BYTES));
    let saying = post(hear).layer(DefaultBodyLimit::max(MAX_SAID_BYTES));
    Router::new()
        .route("/tunnel", opening)
        .route("/tunnel/{id}/answer", saying)
        .with_state(Desk { tunnels, config: Arc::new(config.clone()) })
}

async fn open(State(desk): State<Desk>, parameters: Parameters, body: fields::Body) -> Result<Response, Problem> {
    query(parameters, &[])?;
    let opening: Opening = read(body, MAX_OPENING_BYTES)?;
    let is_path = opening.path.starts_with('/') && opening.path.parse::<Uri>().is_ok() && !opening.path.contains('#');
    if !is_path {
        let found = &opening.path;
        return Err(Problem::bad(format!("path: found {found:?}; right would be a path, such as \"/callback\"")));
    }
    if opening.commands.is_empty() {
        return Err(Problem::bad("commands: found an empty list; right would be [\"*\"] for all"));
    }
    let commands = Commands::of(&opening.commands);
    // Nobody connects to this host: the calls go through the tunnel.
    let codec = app::codec(&desk.config, opening.dialect, &format!("http://tunnel{}", opening.path), None);
    let lines = desk.tunnels.open(codec, commands).await.map_err(|error| match error {
        NotOpened::UnknownCommand(_) => Problem::bad(format!("commands: {error}")),
        NotOpened::Full => Problem::conflict(error.to_string()),
        NotOpened::Stopping | NotOpened::Unread(_) => Problem::unavailable(error.to_string()),
    })?;
    // A proxy on the way must not wait for the end of it.
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((headers, [("x-accel-buffering", "no")], Body::new(Stream(lines))).into_response())
}

async fn hear(
    State(desk): State<Desk>,
    id: Name,
    parameters: Parameters,
    body: fields::Body,
) -> Result<StatusCode, Problem> {
    query(parameters, &[])?;
    let tunnel = desk.tunnels.find(&path(id)?);
    let tunnel =
        tunnel.ok_or_else(|| Problem::not_found("there is no such tunnel, or no more; right would be a new one"))?;
    let said: Said = read(body, MAX_SAID_BYTES)?;
    tunnel.hear(said).map_err(|late| Problem::conflict(late.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

fn read<T: DeserializeOwned>(body: fields::Body, most: usize) -> Result<T, Problem> {
    serde_json::from_slice(&bytes(body, most)?)
        .map_err(|error| Problem::bad(format!("the body cannot be read: {error}")))
}

/// A response that goes on. It is dropped when the client has gone, and with it the tunnel closes.
struct Stream(Lines);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let line = ready!(self.0.poll_next(context));
        Poll::Ready(line.map(|line| {
            // Texts, numbers and lists of them cannot fail to be written.
            let mut text = serde_json::to_vec(&line).unwrap_or_default();
            text.push(b'\n');
            Ok(Frame::data(text.into()))
        }))
    }
}
