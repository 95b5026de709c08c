//! A sample app backend for all dialects: it answers callbacks by simple rules and shows each one.
//!
//! `ringback listen` runs it alone; the demo runs it with a sink of its own. What it answers is decided
//! by [`Backend`] (a call in, an answer out); this file is the HTTP around it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod backend;
mod call;
mod forward;
mod show;
#[cfg(test)]
mod tests;

pub(crate) use backend::{Answer, Backend, Replacement, Rules};
pub(crate) use call::Call;
pub(crate) use show::Exchange;

use crate::cli::ListenArgs;
use crate::failure::Failure;
use crate::log::has_colours;

/// A callback carries one message of at most 1 MiB of text by configuration, and 12 KiB by default.
const MOST_BODY_BYTES: usize = 1024 * 1024;

/// Is given each exchange as soon as its answer is decided, before the answer is sent:
/// whoever has the answer can rely on the sink having seen the call. Must not block for long.
pub(crate) type Sink = Arc<dyn Fn(&Exchange) + Send + Sync>;

/// How a sample backend is run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) rules: Rules,
    /// Waited before each answer, after the sink has seen it.
    pub(crate) delay: Duration,
}

/// A running sample backend; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where it really listens: the port is the system's choice if 0 was asked for.
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

/// Starts a sample backend at `address`.
pub(crate) async fn serve(address: SocketAddr, options: Options, sink: Sink) -> io::Result<Running> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    // Answers are small and awaited: waiting for more to send would only slow the caller down.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot send without delay");
        }
    });
    let state = Arc::new(Served { backend: Backend::new(options.rules), delay: options.delay, sink });
    let stop = CancellationToken::new();
    let router = Router::new().fallback(exchange).with_state(state);
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    Ok(Running { address, stop, task: tokio::spawn(server.into_future()) })
}

/// `ringback listen`: prints each call until Ctrl-C, SIGTERM, or nobody reads any more.
pub(crate) async fn run(args: ListenArgs) -> Result<(), Failure> {
    if args.forward.forward.is_some() {
        return forward::run(args.forward, args.json).await;
    }
    let address = args.addr;
    let options = Options {
        rules: Rules { reject: args.reject, discard: args.discard, replace: args.replace, fail_rate: args.fail_rate },
        delay: args.delay,
    };
    let unread = CancellationToken::new();
    let running = serve(address, options, printer(args.json, unread.clone()))
        .await
        .map_err(|error| Failure::work(format!("cannot listen on {address}: {error}")))?;
    // Not on standard output, which belongs to the calls; and not as a log line, which may be filtered.
    eprintln!("listening on http://{}; as an [[endpoint]]: url = \"http://{0}/callback\"", running.address);
    tokio::select! {
        stopped = stop_signal() => stopped.map_err(Failure::work),
        () = unread.cancelled() => Ok(()),
    }
}

/// Prints to standard output, a whole exchange at a time and at once.
fn printer(json: bool, unread: CancellationToken) -> Sink {
    let colours = has_colours(&io::stdout());
    // Held while an exchange is written, so that two do not mix.
    let out = Mutex::new(io::stdout());
    Arc::new(move |exchange| {
        let text = if json { exchange.to_json() + "\n" } else { exchange.for_person(colours) };
        let mut out = out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            unread.cancel();
        }
    })
}

async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

// === impl Running ===

impl Running {
    /// Stops taking calls, and waits for the answers that are being given.
    pub(crate) async fn stop(mut self) -> io::Result<()> {
        self.stop.cancel();
        (&mut self.task).await.map_err(io::Error::other)?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What each request needs.
struct Served {
    backend: Backend,
    delay: Duration,
    sink: Sink,
}

/// One request: read, decide, show, wait, answer.
async fn exchange(State(served): State<Arc<Served>>, request: Request) -> Response {
    let time = now();
    let (parts, body) = request.into_parts();
    let mut call = Call {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: query(&parts.uri),
        headers: headers(&parts.headers),
        body: String::new(),
    };
    let answer = match read(body).await {
        Ok(body) => {
            call.body = body;
            served.backend.answer(&call, luck())
        }
        Err(error) if error.is::<LengthLimitError>() => Answer::too_large(MOST_BODY_BYTES),
        Err(error) => {
            // The caller went away half-way: nobody is left to answer.
            tracing::debug!(%error, path = call.path, "a call broke off");
            return StatusCode::BAD_REQUEST.into_response();
        }
    };
    let exchange = Exchange { time, call, answer };
    (served.sink)(&exchange);
    if !served.delay.is_zero() {
        tokio::time::sleep(served.delay).await;
    }
    let status = StatusCode::from_u16(exchange.answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], exchange.answer.body).into_response()
}

async fn read(body: Body) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let bytes = Limited::new(body, MOST_BODY_BYTES).collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

/// When a call came: the sample backend stands for another machine, which has its own clock.
#[expect(clippy::disallowed_methods, reason = "the sample backend is not part of the server")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Whether a call fails on purpose is up to chance, as it is outside.
#[expect(clippy::disallowed_methods, reason = "the sample backend is not part of the server")]
fn luck() -> f64 {
    rand::random()
}
