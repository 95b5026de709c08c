//! The receiving side: a minimal HTTP server that accepts whatever it is sent and keeps it.
//!
//! While a `Sink` is only reserved, its port is taken and every connection to it is refused;
//! that is how a dead endpoint looks. `open` brings it to life on a thread of its own.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;

use crate::{Result, clock};

/// Both an accepted callback's answer and a successful `sendmsg`'s, as far as this bench reads it.
const ANSWER: &[u8] = br#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#;
/// Connections that may wait to be accepted; far more than are ever opened.
const BACKLOG: u32 = 1024;

/// A port that refuses connections until it is opened.
pub(crate) struct Sink {
    socket: TcpSocket,
    address: SocketAddr,
}

/// A port that accepts every request.
pub(crate) struct OpenSink {
    inbox: Arc<Inbox>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<Recording>>,
}

/// What an open sink was sent, in the order of arrival.
#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) calls: Vec<Call>,
    /// CPU time of the sink's thread.
    pub(crate) cpu: Duration,
}

pub(crate) struct Call {
    /// When its body had been read.
    pub(crate) arrived: Instant,
    pub(crate) request: Request<Bytes>,
}

impl Sink {
    /// Takes any free port.
    pub(crate) fn reserve() -> Result<Self> {
        Self::reserve_at(([127, 0, 0, 1], 0).into())
    }

    /// Takes a port again that an earlier sink had.
    pub(crate) fn reserve_at(address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to accept. Without `keep` the requests are answered and forgotten.
    pub(crate) fn open(self, keep: bool) -> Result<OpenSink> {
        self.open_late(keep, Duration::ZERO)
    }

    /// The same, and each answer comes so much later than it could.
    pub(crate) fn open_late(self, keep: bool, late: Duration) -> Result<OpenSink> {
        let (stop, stopped) = oneshot::channel();
        let (listening, is_listening) = std::sync::mpsc::sync_channel(1);
        let kept = Arc::new(Inbox::default());
        let inbox = Arc::clone(&kept);
        let thread = std::thread::spawn(move || {
            // Dropping the runtime at the end closes every connection.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let served: Result<()> = runtime.block_on(async {
                let listener = self.socket.listen(BACKLOG)?;
                listening.send(())?;
                let accept = async {
                    loop {
                        let (stream, _) = listener.accept().await?;
                        stream.set_nodelay(true)?;
                        tokio::spawn(serve(stream, keep.then(|| Arc::clone(&inbox)), late));
                    }
                };
                tokio::select! {
                    failed = accept => failed,
                    _ = stopped => Ok(()),
                }
            });
            served?;
            let calls = std::mem::take(&mut inbox.lock().calls);
            Ok(Recording { calls, cpu: clock::this_thread()? })
        });
        is_listening.recv().map_err(|_| "the sink could not listen")?;
        Ok(OpenSink { inbox: kept, stop, thread })
    }
}

impl OpenSink {
    /// How many different calls (by `webhook-id`) have arrived.
    pub(crate) fn distinct(&self) -> usize {
        self.inbox.distinct.load(Ordering::Relaxed)
    }

    /// Hands over what came since the last time, and stays open.
    pub(crate) fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.inbox.lock().calls)
    }

    /// Closes all connections and hands over what came.
    pub(crate) fn close(self) -> Result<Recording> {
        // It fails only when the thread has ended already; joining says why.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| "the sink panicked")?
    }
}

#[derive(Default)]
struct Inbox {
    received: Mutex<Received>,
    distinct: AtomicUsize,
}

#[derive(Default)]
struct Received {
    calls: Vec<Call>,
    ids: HashSet<HeaderValue>,
}

impl Inbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, request: Request<Bytes>) {
        let mut received = self.lock();
        if let Some(id) = request.headers().get("webhook-id")
            && received.ids.insert(id.clone())
        {
            self.distinct.fetch_add(1, Ordering::Relaxed);
        }
        received.calls.push(Call { arrived: Instant::now(), request });
    }
}

/// One connection, until the peer or the sink closes it.
async fn serve(stream: TcpStream, inbox: Option<Arc<Inbox>>, late: Duration) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let inbox = inbox.clone();
        async move {
            let (head, body) = request.into_parts();
            // A body cut short is not an accepted call: no answer, nothing kept.
            let body = body.collect().await?.to_bytes();
            if let Some(inbox) = inbox {
                inbox.keep(Request::from_parts(head, body));
            }
            if !late.is_zero() {
                tokio::time::sleep(late).await;
            }
            let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok::<_, hyper::Error>(response)
        }
    });
    // A peer that goes away is no failure of the sink; what is missing shows in the count.
    let _: std::result::Result<(), _> =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_until_opened_and_again_after() {
        let sink = Sink::reserve().unwrap();
        let address = sink.address();
        let connects = || std::net::TcpStream::connect(address).is_ok();
        assert!(!connects());
        let open = sink.open(true).unwrap();
        assert!(connects());
        open.close().unwrap();
        let again = Sink::reserve_at(address).unwrap();
        assert!(!connects());
        let open = again.open(true).unwrap();
        assert!(connects());
        open.close().unwrap();
    }
}
