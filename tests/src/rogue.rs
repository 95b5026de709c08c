//! Backends that misbehave on purpose, below what a decent HTTP server can be made to do.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait::within;

#[derive(Clone, Debug)]
pub enum Manner {
    /// Nobody listens there.
    Refuses,
    /// Takes the request and never answers.
    Hangs,
    /// Says 500, though the body says "go on".
    Says500,
    /// 200 and a page for people.
    Html,
    /// Closes in the middle of the body that it announced.
    HalfABody,
    /// 200 and JSON that never ends.
    EndlessBody,
    /// 200 and a header that never ends.
    EndlessHeader,
    /// 302 to somewhere else.
    Redirects { to: String },
    /// 200 and this text.
    Answers(&'static str),
    /// Closes the connection instead of answering.
    HangsUp,
    /// Does not speak HTTP at all.
    Gibberish,
}

/// A misbehaving backend; it goes away when dropped.
#[derive(Debug)]
pub struct Rogue {
    address: SocketAddr,
    requests: watch::Sender<usize>,
    _reserved: Option<TcpSocket>,
    _tasks: JoinSet<()>,
}

impl Rogue {
    pub async fn start(manner: Manner) -> Self {
        let requests = watch::Sender::new(0);
        let mut tasks = JoinSet::new();
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("SO_REUSEADDR");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = socket.local_addr().expect("its address");
        let reserved = if let Manner::Refuses = manner {
            Some(socket) // bound and not listening: the port is ours, and connecting to it is refused
        } else {
            let listener = socket.listen(128).expect("a listening socket");
            tasks.spawn(serve(listener, manner, requests.clone()));
            None
        };
        Self { address, requests, _reserved: reserved, _tasks: tasks }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many requests it has read to their end.
    pub fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    pub async fn wait_for_requests(&self, n: usize) {
        let mut requests = self.requests.subscribe();
        within(&format!("{n} requests at the rogue"), requests.wait_for(|seen| *seen >= n))
            .await
            .expect("the rogue lives");
    }
}

async fn serve(listener: TcpListener, manner: Manner, requests: watch::Sender<usize>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(misbehave(stream, manner.clone(), requests.clone()));
    }
}

async fn misbehave(mut stream: TcpStream, manner: Manner, requests: watch::Sender<usize>) {
    while read_request(&mut stream).await.is_some() {
        requests.send_modify(|seen| *seen += 1);
        let go_on = r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"actionCode":0,"errCode":0,"errMsg":"","errDlt":"","nextCode":0}"#;
        let answer = match &manner {
            Manner::Refuses => unreachable!("it never accepts"),
            Manner::Hangs => std::future::pending().await,
            Manner::Says500 => whole("500 Internal Server Error", "application/json", go_on),
            Manner::Html => whole("200 OK", "text/html", "<!doctype html><title>Welcome to nginx!</title>"),
            Manner::Answers(text) => whole("200 OK", "application/json", text),
            Manner::Redirects { to } => format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"),
            Manner::Gibberish => "220 mail.example.com ESMTP\r\n".to_owned(),
            Manner::HangsUp => return,
            Manner::HalfABody => {
                let half = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    go_on.len()
                );
                let _ = stream.write_all(format!("{half}{}", &go_on[..20]).as_bytes()).await;
                return;
            }
            Manner::EndlessBody => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n{\"ErrorInfo\":\"";
                return pour(&mut stream, head).await;
            }
            Manner::EndlessHeader => return pour(&mut stream, "HTTP/1.1 200 OK\r\nX-Endless: ").await,
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn whole(status: &str, content_type: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Writes until the other side has had enough.
async fn pour(stream: &mut TcpStream, head: &str) {
    let mut written = stream.write_all(head.as_bytes()).await;
    while written.is_ok() {
        written = stream.write_all(&[b'a'; 4096]).await;
    }
}

/// Reads one request to its end; none when the other side is gone.
async fn read_request(stream: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or("0", str::trim);
    let mut body = vec![0; length.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some(())
}
