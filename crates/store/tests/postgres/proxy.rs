//! A proxy between a store and PostgreSQL, which breaks connections at the moment that a test wants.
//!
//! It knows of the protocol that a message is a type, a length and a body, and that a connection begins with one that
//! has no type.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::home::Home;

/// What passes the proxy, or would.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen<'a> {
    /// A new connection.
    Connection,
    /// A message of the store.
    FromStore(Message<'a>),
    /// A message of PostgreSQL.
    FromServer(Message<'a>),
}

/// A message of the protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// By the order in which they were made.
    pub(crate) connection: usize,
    /// Its type; a connection's first message has none.
    pub(crate) kind: char,
    pub(crate) body: &'a [u8],
}

impl Message<'_> {
    /// Whether it begins or commits a transaction, say: a statement of its own that begins with this word.
    pub(crate) fn is_statement(&self, word: &str) -> bool {
        self.kind == 'Q' && self.body.starts_with(word.as_bytes())
    }

    /// Whether it says that this has been done.
    pub(crate) fn is_done(&self, command: &str) -> bool {
        self.kind == 'C' && self.body.strip_suffix(b"\0") == Some(command.as_bytes())
    }
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It passes.
    Pass,
    /// It does not pass, and the connection ends, for both sides.
    Cut,
    /// It passes, and then the connection ends.
    CutAfter,
    /// Neither it nor anything after it passes in this direction; the connection stays.
    Hang,
}

type Judge = Box<dyn FnMut(Seen<'_>) -> Deed + Send>;

/// Which connections pass anything on.
#[derive(Clone, Copy, Debug, Default)]
struct Frozen {
    all: bool,
    /// Those of lesser numbers.
    below: usize,
}

/// See the module. What passes it ends when this is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    server: (String, u16),
    judge: Mutex<Judge>,
    connections: AtomicUsize,
    frozen: watch::Sender<Frozen>,
    /// Ends the connections that there are.
    cut: Mutex<CancellationToken>,
}

impl Proxy {
    /// Lets everything pass to a home's server.
    pub(crate) async fn to(home: &Home) -> Self {
        let shared = Arc::new(Shared {
            server: home.address(),
            judge: Mutex::new(Box::new(|_| Deed::Pass)),
            connections: AtomicUsize::new(0),
            frozen: watch::Sender::new(Frozen::default()),
            cut: Mutex::default(),
        });
        let listener = listen().await;
        let port = listener.local_addr().unwrap().port();
        Self { port, accepting: tokio::spawn(accept(listener, shared.clone())), shared }
    }

    /// Has this decide about everything from now on.
    pub(crate) fn judge(&self, judge: impl FnMut(Seen<'_>) -> Deed + Send + 'static) {
        *self.shared.judge.lock().unwrap() = Box::new(judge);
    }

    /// Lets everything pass from now on.
    pub(crate) fn pass(&self) {
        self.judge(|_| Deed::Pass);
    }

    /// Ends the connections that there are.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *self.shared.cut.lock().unwrap()).cancel();
    }

    /// From now on there is nobody at this address; who was connected is not any more.
    pub(crate) async fn go_away(&mut self) {
        self.accepting.abort();
        _ = (&mut self.accepting).await;
        self.cut();
    }

    /// From now on there is somebody again.
    pub(crate) async fn come_back(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.expect("the address is still free");
        self.accepting = tokio::spawn(accept(listener, self.shared.clone()));
    }

    /// From now on connections can be made, and nothing passes.
    pub(crate) fn freeze(&self) {
        self.shared.frozen.send_replace(Frozen { all: true, below: 0 });
    }

    /// From now on everything passes, and first what was held up.
    pub(crate) fn thaw(&self) {
        self.shared.frozen.send_replace(Frozen::default());
    }

    /// From now on new connections work. The nothing in those that there are lasts for ever.
    pub(crate) fn thaw_new_ones(&self) {
        let below = self.shared.connections.load(Ordering::SeqCst);
        self.shared.frozen.send_replace(Frozen { all: false, below });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// At a port that the system gives to nobody of its own accord: it must still be free after a pause, and whoever connects
/// to an abandoned one of the others may get through to himself.
async fn listen() -> TcpListener {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = std::process::id() as usize * 100 + NEXT.fetch_add(1, Ordering::Relaxed);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", 10_000 + (number % 10_000) as u16)).await {
            return listener;
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((store, _)) = listener.accept().await {
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        let cut = shared.cut.lock().unwrap().clone();
        let passing = connection(number, store, shared.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = passing => {}
            }
        });
    }
}

/// Ends when either side does, or is cut.
async fn connection(number: usize, store: TcpStream, shared: Arc<Shared>) {
    match shared.judged(Seen::Connection) {
        Deed::Pass => {}
        Deed::Hang => std::future::pending().await,
        Deed::Cut | Deed::CutAfter => return,
    }
    shared.not_frozen(number).await;
    let (host, port) = &shared.server;
    let Ok(server) = TcpStream::connect((host.as_str(), *port)).await else { return };
    for stream in [&store, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let (from_store, to_store) = store.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(&shared, number, from_store, to_server, true) => {}
        () = pump(&shared, number, from_server, to_store, false) => {}
    }
}

/// Passes messages on until there are no more.
async fn pump(
    shared: &Shared,
    connection: usize,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    is_from_store: bool,
) {
    let mut has_type = !is_from_store;
    let mut hangs = false;
    while let Ok((bytes, kind)) = read(&mut from, has_type).await {
        let body = &bytes[4 + usize::from(has_type)..];
        has_type = true;
        shared.not_frozen(connection).await;
        let message = Message { connection, kind, body };
        let seen = if is_from_store { Seen::FromStore(message) } else { Seen::FromServer(message) };
        let deed = if hangs { Deed::Hang } else { shared.judged(seen) };
        match deed {
            Deed::Pass => {}
            Deed::Hang => {
                hangs = true;
                continue;
            }
            Deed::Cut => return,
            Deed::CutAfter => {
                _ = to.write_all(&bytes).await;
                return;
            }
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// One message as it came, and its type.
async fn read(from: &mut (impl AsyncRead + Unpin), has_type: bool) -> std::io::Result<(Vec<u8>, char)> {
    let mut bytes = Vec::new();
    let mut kind = '\0';
    if has_type {
        bytes.push(from.read_u8().await?);
        kind = char::from(bytes[0]);
    }
    let length = from.read_u32().await?;
    bytes.extend(length.to_be_bytes());
    let head = bytes.len();
    bytes.resize(head + length as usize - 4, 0);
    from.read_exact(&mut bytes[head..]).await?;
    Ok((bytes, kind))
}

impl Shared {
    fn judged(&self, seen: Seen<'_>) -> Deed {
        (self.judge.lock().unwrap())(seen)
    }

    async fn not_frozen(&self, connection: usize) {
        let mut frozen = self.frozen.subscribe();
        _ = frozen.wait_for(|frozen| !frozen.all && connection >= frozen.below).await;
    }
}
