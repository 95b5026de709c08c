//! Calls that go out over a connection which the receiver has made: for a backend that has no URL.
//!
//! A [`Tunnel`] is the transport of an endpoint that exists while a client listens ([`Tunnels`]). A call is a line to the
//! client ([`wire`]); its answer comes back as a request of the client's. Nothing is remembered of such an endpoint
//! ([`forget`]): it is told from the newest event on, and owed nothing once its client is gone.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chat::refusal::AskFailure;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use self::wire::{CallLine, Line, Said};
use crate::transport::{Answer, CallFailure, MAX_ANSWER_BYTES, Transport};

pub mod forget;
mod registry;
#[cfg(test)]
mod tests;
pub mod wire;

pub use self::registry::{MAX_TUNNELS, NotOpened, Tunnels};

/// Calls in flight through one tunnel. What more there is would wait at the laptop, which is one process of a developer's.
pub const MAX_IN_FLIGHT: usize = 64;

/// Both sides say at least this often that they are there.
pub const BEAT_EVERY: Duration = Duration::from_secs(3);

/// A client that was silent for so long is gone: three beats, and a moment. With the look every [`BEAT_EVERY`] a tunnel is
/// closed within 13 s of its client's last word.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// One client's connection. Closed when the client is gone, is silent, or the server stops; then it carries nothing more.
pub struct Tunnel {
    id: String,
    name: String,
    lines: mpsc::Sender<Line>,
    /// Whoever waits for an answer, by the call's number.
    waiting: Mutex<Waiting>,
    places: Semaphore,
    closed: CancellationToken,
    why: OnceLock<String>,
    /// When the client was heard last.
    heard: Mutex<Instant>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    calls: HashMap<u64, oneshot::Sender<Result<Answer, CallFailure>>>,
}

/// The other end of a tunnel: what is to be sent to the client, line by line. The tunnel closes when this is dropped.
pub struct Lines {
    tunnel: Arc<Tunnel>,
    lines: mpsc::Receiver<Line>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// How a tunnel stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TunnelStatus {
    /// Its endpoint's name.
    pub tunnel: String,
    /// Calls that the client has not answered yet.
    pub in_flight: usize,
    /// When the client was heard last: so many seconds ago.
    pub silent_seconds: u64,
}

/// An answer to a call that nobody waits for any more: its deadline is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody waits for this answer any more: the call's deadline is over")]
pub struct TooLate;

impl Tunnel {
    /// A tunnel, and what its client is to be sent.
    fn new(id: String, name: String) -> (Arc<Self>, Lines) {
        // Every call in flight, and some beats and last words beside them.
        let (lines, receiver) = mpsc::channel(MAX_IN_FLIGHT + 8);
        let tunnel = Arc::new(Self {
            id,
            name,
            lines,
            waiting: Mutex::default(),
            places: Semaphore::new(MAX_IN_FLIGHT),
            closed: CancellationToken::new(),
            why: OnceLock::new(),
            heard: Mutex::new(Instant::now()),
        });
        let closed = Box::pin(tunnel.closed.clone().cancelled_owned());
        (tunnel.clone(), Lines { tunnel, lines: receiver, closed })
    }

    /// Unguessable; what answers are addressed to.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The endpoint's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes what the client says.
    pub fn hear(&self, said: Said) -> Result<(), TooLate> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let (call, result) = match said {
            Said::Beat => return Ok(()),
            Said::Answer(answer) => (answer.call, answer.into_answer()),
            Said::Failed(failed) => (failed.call, Err(CallFailure::new(failed.kind.into(), failed.detail))),
        };
        let waiting = self.waiting().calls.remove(&call).ok_or(TooLate)?;
        waiting.send(result).map_err(|_| TooLate)
    }

    /// How it stands.
    fn status(&self) -> TunnelStatus {
        let silent_seconds = self.silence().as_secs();
        TunnelStatus { tunnel: self.name.clone(), in_flight: self.waiting().calls.len(), silent_seconds }
    }

    /// How long the client was silent.
    fn silence(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Ends it. Whoever waits for an answer is told at once that there will be none.
    fn close(&self, why: &str) {
        // The first reason is the reason.
        let _ = self.why.set(why.to_owned());
        if !self.closed.is_cancelled() {
            // If there is no place for it, the client does not read anyway.
            let _ = self.lines.try_send(Line::Closed { why: why.to_owned() });
        }
        let mut waiting = self.waiting();
        self.closed.cancel();
        waiting.calls.clear();
    }

    /// Why it was closed.
    fn why(&self) -> &str {
        self.why.get().map_or("", String::as_str)
    }

    fn gone(&self) -> CallFailure {
        CallFailure::new(AskFailure::Unreachable, format!("the tunnel is closed: {}", self.why()))
    }

    /// Waits for the answer to a new call.
    fn expect(&self) -> Option<(Expected<'_>, oneshot::Receiver<Result<Answer, CallFailure>>)> {
        let mut waiting = self.waiting();
        if self.closed.is_cancelled() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let call = waiting.next;
        waiting.next += 1;
        waiting.calls.insert(call, sender);
        Some((Expected { tunnel: self, call }, receiver))
    }

    /// A panic while it was held left nothing half done.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for an answer, until this is dropped.
struct Expected<'a> {
    tunnel: &'a Tunnel,
    call: u64,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        self.tunnel.waiting().calls.remove(&self.call);
    }
}

#[async_trait]
impl Transport for Tunnel {
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, CallFailure> {
        let Ok(_place) = self.places.try_acquire() else {
            let detail = format!("{MAX_IN_FLIGHT} calls are on their way through the tunnel already");
            return Err(CallFailure::new(AskFailure::Unreachable, detail));
        };
        let (parts, body) = request.into_parts();
        // A body in memory cannot fail to be read.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let (expected, answer) = self.expect().ok_or_else(|| self.gone())?;
        let line = Line::Call(CallLine::new(expected.call, &parts, &body));
        tokio::select! {
            biased;
            () = self.closed.cancelled() => return Err(self.gone()),
            sent = self.lines.send(line) => sent.map_err(|_| self.gone())?,
        }
        let mut answer = answer.await.map_err(|_| self.gone())??;
        // "Call me no more" pauses an endpoint until somebody has it resumed; this one has nobody, and closing it is enough.
        if answer.status == StatusCode::GONE {
            answer.status = StatusCode::BAD_REQUEST;
        }
        if answer.body.len() > MAX_ANSWER_BYTES {
            return Err(CallFailure::too_long());
        }
        Ok(answer)
    }
}

impl Lines {
    /// The tunnel that they belong to.
    pub fn tunnel(&self) -> &Arc<Tunnel> {
        &self.tunnel
    }

    /// The next line; none: the tunnel is closed, and everything was sent. A call for whose answer nobody waits any more is
    /// not among them: a client that was slow to read has better things to do than what is over.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Line>> {
        loop {
            let line = match self.lines.poll_recv(context) {
                Poll::Ready(line) => line,
                Poll::Pending => ready!(self.closed.as_mut().poll(context).map(|()| self.lines.try_recv().ok())),
            };
            match line {
                Some(Line::Call(call)) if !self.tunnel.waiting().calls.contains_key(&call.call) => {}
                line => return Poll::Ready(line),
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.tunnel.close("its client has gone");
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("tunnel", &self.tunnel).finish_non_exhaustive()
    }
}
