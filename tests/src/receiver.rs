//! The app's backend, played by the test: it records every call in the order of arrival and answers as told.
//!
//! It runs on a runtime of its own, so that stopping it really closes its port and its connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::wait::within;

/// One call that the server made.
#[derive(Clone, Debug)]
pub struct Call {
    /// `CallbackCommand` of the query (Tencent), else `type` of a body with `data` (standard), else the last segment of
    /// the path (OpenIM).
    pub command: String,
    pub method: String,
    pub path: String,
    /// The query as it was written.
    pub query_text: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
    /// The body as it was written: signatures cover bytes.
    pub bytes: Bytes,
    /// The server's end of the connection: equal for calls that shared one.
    pub peer: SocketAddr,
    pub at: Instant,
}

/// What the backend answers, and when.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    body: Bytes,
    delay: Duration,
    gate: Option<Gate>,
}

impl Answer {
    /// "Go on", in the words of either vendor's dialect at once.
    pub fn go_on() -> Self {
        json!({
            "ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "actionCode": 0, "errCode": 0, "errMsg": "",
            "errDlt": "", "nextCode": 0,
        })
        .into()
    }

    pub fn status(status: u16) -> Self {
        Self { status, ..Self::go_on() }
    }

    pub fn text(content_type: &'static str, body: &str) -> Self {
        Self {
            status: 200,
            content_type,
            body: Bytes::copy_from_slice(body.as_bytes()),
            delay: Duration::ZERO,
            gate: None,
        }
    }

    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn late(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Not before the gate opens.
    pub fn held_by(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self::text("application/json", &body.to_string())
    }
}

/// Holds answers back until it is opened.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn pass(&self) {
        let mut open = self.0.subscribe();
        open.wait_for(|open| *open).await.expect("the gate outlives those who wait at it");
    }
}

type Script = Box<dyn FnMut(&Call) -> Answer + Send>;

struct Backend {
    calls: watch::Sender<Vec<Call>>,
    scripts: Mutex<BTreeMap<String, Script>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

pub struct Receiver {
    address: SocketAddr,
    backend: Arc<Backend>,
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Starts on a free port and lets everything pass.
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address")).await
    }

    /// Comes (back) up at a known address.
    pub async fn at(address: SocketAddr) -> Self {
        let backend = Arc::new(Backend {
            calls: watch::Sender::new(Vec::new()),
            scripts: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let app = Router::new().fallback(take).with_state(backend.clone());
        let bound = runtime.spawn(async move {
            let listener = tokio::net::TcpListener::bind(address).await.expect("the receiver's port");
            let address = listener.local_addr().expect("its address");
            tokio::spawn(async move {
                axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
            });
            address
        });
        let address = bound.await.expect("the receiver is up");
        Self { address, backend, runtime: Some(runtime) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `path` begins with `/`, or is empty.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on answers `command` so.
    pub fn answers(&self, command: &str, answer: impl Into<Answer>) {
        let answer = answer.into();
        self.answers_with(command, move |_| answer.clone());
    }

    /// Answers `command` once with each of these, then with the last for ever.
    pub fn answers_in_turn<const N: usize>(&self, command: &str, answers: [Answer; N]) {
        let mut left = answers.to_vec();
        left.reverse();
        self.answers_with(
            command,
            move |_| if left.len() > 1 { left.pop().expect("one more") } else { left[0].clone() },
        );
    }

    /// Answers `command` as the call deserves. `"*"` stands for every command without an answer of its own.
    pub fn answers_with(&self, command: &str, script: impl FnMut(&Call) -> Answer + Send + 'static) {
        self.backend.scripts.lock().expect("scripts").insert(command.to_owned(), Box::new(script));
    }

    /// Every call so far, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.backend.calls.borrow().clone()
    }

    /// How many calls so far.
    pub fn count(&self) -> usize {
        self.backend.calls.borrow().len()
    }

    pub fn calls_of(&self, command: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.command == command).collect()
    }

    /// The most calls that were ever unanswered at the same time.
    pub fn most_at_once(&self) -> usize {
        self.backend.most_in_flight.load(Ordering::SeqCst)
    }

    /// Waits for the `n`-th call of `command` and returns all `n`.
    pub async fn wait_for(&self, command: &str, n: usize) -> Vec<Call> {
        let of = |calls: &[Call]| calls.iter().filter(|call| call.command == command).count();
        self.wait_until(&format!("{n} calls of {command}"), |calls| of(calls) >= n).await;
        self.calls_of(command)
    }

    /// Waits for the first call of `command`.
    pub async fn first(&self, command: &str) -> Call {
        self.wait_for(command, 1).await.remove(0)
    }

    /// Waits until the calls so far are what was wanted, and returns them.
    pub async fn wait_until(&self, what: &str, wanted: impl FnMut(&[Call]) -> bool) -> Vec<Call> {
        self.watch(what, wanted).await;
        self.calls()
    }

    /// As [`Receiver::wait_until`], for so many calls that they had better stay where they are.
    pub async fn watch(&self, what: &str, mut wanted: impl FnMut(&[Call]) -> bool) {
        let mut calls = self.backend.calls.subscribe();
        within(what, calls.wait_for(|calls| wanted(calls))).await.expect("the receiver lives");
    }

    /// Goes down: the port is closed and so is every connection, answered or not.
    pub fn stop(mut self) -> Vec<Call> {
        self.shut_down();
        self.calls()
    }

    fn shut_down(&mut self) {
        // A runtime may not be shut down, with waiting, on a thread that drives another.
        let runtime = self.runtime.take();
        let thread =
            std::thread::spawn(move || runtime.map(|runtime| runtime.shutdown_timeout(Duration::from_secs(10))));
        thread.join().expect("the receiver stops");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if self.runtime.is_some() {
            self.shut_down();
        }
    }
}

async fn take(
    State(backend): State<Arc<Backend>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let at = Instant::now();
    let (parts, body) = request.into_parts();
    let Ok(bytes) = body.collect().await.map(|body| body.to_bytes()) else {
        // The server died while it was calling: a call that never arrived.
        return Response::new(Body::empty());
    };
    let query_text = parts.uri.query().unwrap_or_default().to_owned();
    let query = read_query(&query_text);
    let path = parts.uri.path().to_owned();
    let last_segment = path.rsplit('/').next().unwrap_or_default().to_owned();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let body: Value =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| json!({ "not_json": String::from_utf8_lossy(&bytes) }));
    let of_the_body = body.get("data").and(body["type"].as_str()).map(str::to_owned);
    let is_standard = of_the_body.is_some();
    let call = Call {
        command: query.get("CallbackCommand").cloned().or(of_the_body).unwrap_or(last_segment),
        method: parts.method.to_string(),
        path,
        query_text,
        query,
        headers: headers.collect(),
        body,
        bytes,
        peer,
        at,
    };

    let answer = {
        let mut scripts = backend.scripts.lock().expect("scripts");
        let own = scripts.contains_key(&call.command);
        let script = scripts.get_mut(if own { call.command.as_str() } else { "*" });
        let go_on = || if is_standard { json!({}).into() } else { Answer::go_on() };
        script.map_or_else(go_on, |script| script(&call))
    };
    let in_flight = InFlight::enter(&backend);
    backend.calls.send_modify(|calls| calls.push(call));

    tokio::time::sleep(answer.delay).await;
    if let Some(gate) = &answer.gate {
        gate.pass().await;
    }
    drop(in_flight);
    let response = Response::builder().status(answer.status).header("content-type", answer.content_type);
    response.body(Body::from(answer.body)).expect("an answer")
}

struct InFlight(Arc<Backend>);

impl InFlight {
    fn enter(backend: &Arc<Backend>) -> Self {
        let now = backend.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        backend.most_in_flight.fetch_max(now, Ordering::SeqCst);
        Self(backend.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

fn read_query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (unpercent(name), unpercent(value))).collect()
}

fn unpercent(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        (rest, _) = match (byte, hex) {
            (b'%', Some(decoded)) => (&tail[2..], bytes.push(decoded)),
            (b'+', _) => (tail, bytes.push(b' ')),
            _ => (tail, bytes.push(byte)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
