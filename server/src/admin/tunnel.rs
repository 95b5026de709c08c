//! `/admin/tunnel…`: what `ringback listen --forward` connects to. One request opens a tunnel, and its response goes on for
//! as long as that is open, one line of JSON after the other; answers and beats come as requests of their own.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
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
    dialect: String,
    /// Path and query of the URL that an endpoint would have.
    path: String,
    /// `*` is every command of the dialect.
    commands: Vec<String>,
}

type BytesOr = Result<Bytes, BytesRejection>;

/// The routes, to be put behind the token.
pub(crate) fn routes(tunnels: Arc<Tunnels>, config: &Config) -> Router {
    let opening = post(open).layer(DefaultBodyLimit::max(MAX_OPENING_BYTES));
    let saying = post(hear).layer(DefaultBodyLimit::max(MAX_SAID_BYTES));
    Router::new()
        .route("/tunnel", opening)
        .route("/tunnel/{id}/answer", saying)
        .with_state(Desk { tunnels, config: Arc::new(config.clone()) })
}

async fn open(State(desk): State<Desk>, body: BytesOr) -> Result<Response, Problem> {
    let opening: Opening = read(body)?;
    let dialect = match opening.dialect.as_str() {
        "tencent" => Dialect::Tencent,
        "openim" => Dialect::OpenIm,
        "standard" => Dialect::Standard,
        other => {
            let words = "right would be \"tencent\", \"openim\" or \"standard\"";
            return Err(Problem::bad(format!("dialect: found {other:?}; {words}")));
        }
    };
    let is_path = opening.path.starts_with('/') && opening.path.parse::<Uri>().is_ok() && !opening.path.contains('#');
    if !is_path {
        let found = &opening.path;
        return Err(Problem::bad(format!("path: found {found:?}; right would be a path, such as \"/callback\"")));
    }
    let commands = match &opening.commands[..] {
        [] => return Err(Problem::bad("commands: found an empty list; right would be [\"*\"] for all")),
        commands if commands.iter().any(|command| command == "*") => Commands::All,
        commands => Commands::Only(commands.iter().cloned().collect()),
    };
    // Nobody connects to this host: the calls go through the tunnel.
    let codec = app::codec(&desk.config, dialect, &format!("http://tunnel{}", opening.path), None);
    let lines = desk.tunnels.open(codec, commands).await.map_err(|error| match error {
        NotOpened::UnknownCommand(_) => Problem::bad(format!("commands: {error}")),
        NotOpened::Full => Problem::conflict(error.to_string()),
        NotOpened::Stopping | NotOpened::Unread(_) => Problem::unavailable(error.to_string()),
    })?;
    // A proxy on the way must not wait for the end of it.
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((headers, [("x-accel-buffering", "no")], Body::new(Stream(lines))).into_response())
}

async fn hear(State(desk): State<Desk>, Path(id): Path<String>, body: BytesOr) -> Result<StatusCode, Problem> {
    let tunnel = desk.tunnels.find(&id);
    let tunnel =
        tunnel.ok_or_else(|| Problem::not_found("there is no such tunnel, or no more; right would be a new one"))?;
    let said: Said = read(body)?;
    tunnel.hear(said).map_err(|late| Problem::conflict(late.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

fn read<T: DeserializeOwned>(body: BytesOr) -> Result<T, Problem> {
    let body = body.map_err(|rejection| Problem::bad(rejection.body_text()))?;
    serde_json::from_slice(&body).map_err(|error| Problem::bad(format!("the body cannot be read: {error}")))
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
