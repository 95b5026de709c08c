//! The other side: receivers that keep what they are sent, names that mean what the test says, a clock that stands still.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chat::id::Timestamp;
use chat::port::Clock;
use http_body_util::Full;
use hyper::Request;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use webhook::connect::Names;
use webhook::egress::Guard;
use webhook::tls::Tls;
use webhook::transport::{Answer, CallFailure, Transport};
use webhook::{Client, Network};

/// It is always Sun, 06 Nov 1994 08:49:37 GMT.
#[derive(Debug)]
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(784_111_777_000)
    }

    fn random(&self) -> u128 {
        0
    }
}

/// What each name means, one answer after the other; the last one stays.
#[derive(Debug, Default)]
pub(crate) struct FakeNames {
    answers: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl FakeNames {
    pub(crate) fn of(name: &str, answers: &[&[&str]]) -> Arc<Self> {
        let parse = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().rev().map(parse).collect();
        Arc::new(Self { answers: Mutex::new(BTreeMap::from([(name.to_owned(), answers)])), asked: Mutex::default() })
    }

    /// The names that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Names for FakeNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        match self.answers.lock().unwrap().get_mut(name) {
            Some(answers) if answers.len() > 1 => Ok(answers.pop().unwrap()),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::other(format!("nobody knows {name}"))),
        }
    }
}

/// Everything is straight, and `name` leads to 127.0.0.1, which is allowed.
pub(crate) fn local(name: &str) -> Network {
    let guard = Guard::new(Vec::new(), true);
    Network { names: FakeNames::of(name, &[&["127.0.0.1"]]), ..Network::new(guard, Arc::new(Still)) }
}

pub(crate) fn client(network: &Network) -> Client {
    Client::new(network, &Tls::default()).unwrap()
}

pub(crate) async fn post(client: &Client, url: &str) -> Result<Answer, CallFailure> {
    let request = Request::post(url).body(Full::new(Bytes::from_static(b"{}"))).unwrap();
    client.exchange(request).await
}

/// Why a call got no answer.
pub(crate) async fn why_not(client: &Client, url: &str) -> String {
    let failure = post(client, url).await.expect_err(url);
    assert_eq!(failure.kind, chat::refusal::AskFailure::Unreachable, "{failure}");
    failure.detail
}

/// A receiver on loopback that answers every request with the same words.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0", None, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    }

    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::at("127.0.0.1:0", None, answer).await
    }

    pub(crate) async fn tls(config: ServerConfig) -> Self {
        Self::at("127.0.0.1:0", Some(config), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    }

    pub(crate) async fn at(address: &str, tls: Option<ServerConfig>, answer: &'static str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let seen = heads.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, seen) = (acceptor.clone(), seen.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => drop(serve(stream, &seen, answer).await),
                        Some(acceptor) => match acceptor.accept(stream).into_fallible().await {
                            Ok(stream) => drop(serve(stream, &seen, answer).await),
                            // The alert is on its way. To close while something is unread would cut it off.
                            Err((_, mut stream)) => drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await),
                        },
                    }
                });
            }
        });
        Self { address, heads, task }
    }

    /// First lines and headers of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Mutex<Vec<String>>,
    answer: &str,
) -> io::Result<()> {
    while let Some(head) = read_head(&mut stream).await? {
        // Our requests all have the same two bytes.
        stream.read_exact(&mut [0; 2]).await?;
        seen.lock().unwrap().push(head);
        stream.write_all(answer.as_bytes()).await?;
        if answer.contains("connection: close") {
            break;
        }
    }
    stream.shutdown().await
}

/// Reads up to the empty line; none at the end of the stream.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8(head).unwrap()))
}
