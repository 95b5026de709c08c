//! Calls by way of a proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use webhook::egress::Guard;
use webhook::failure::Stage;
use webhook::proxy::Proxy;
use webhook::{Client, Network};

use crate::peer::{FakeNames, Peer, Still, client, post, read_head, why_not};
use crate::tls::{Authority, server, trusting};

/// `Basic` of `user:pass`.
const CREDENTIALS: &str = "dXNlcjpwYXNz";

/// A proxy that leads every tunnel to the same receiver, and answers every other request itself.
struct FakeProxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl FakeProxy {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(stream, to, seen.clone()));
            }
        });
        Self { address, heads, task }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for FakeProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut stream: TcpStream, to: SocketAddr, seen: Arc<Mutex<Vec<String>>>) {
    let Ok(Some(head)) = read_head(&mut stream).await else { return };
    seen.lock().unwrap().push(head.clone());
    if !head.contains(CREDENTIALS) {
        let answer = "HTTP/1.1 407 Who\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    } else if head.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Go on\r\n\r\n").await.unwrap();
        let mut onward = TcpStream::connect(to).await.unwrap();
        drop(tokio::io::copy_bidirectional(&mut stream, &mut onward).await);
    } else {
        stream.write_all(b"HTTP/1.1 202 By proxy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
    }
    drop(stream.shutdown().await);
}

/// By way of a proxy, and nothing private or on loopback is allowed: the proxy may be there nevertheless.
fn by(proxy: &str) -> (Network, Arc<FakeNames>) {
    // The client itself knows no names.
    let names = FakeNames::of("", &[&[]]);
    let proxy = Some(Arc::new(Proxy::parse(proxy).unwrap()));
    let network = Network::new(Guard::new(Vec::new(), false), Arc::new(Still));
    (Network { proxy, names: names.clone(), ..network }, names)
}

fn lines<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines().filter(|line| line.to_lowercase().starts_with(name)).collect()
}

#[tokio::test]
async fn an_http_call_is_handed_over_whole() {
    let proxy = FakeProxy::start("127.0.0.1:9".parse().unwrap()).await;
    let (network, names) = by(&format!("http://user:pass@{}", proxy.address));
    let answer = post(&client(&network), "http://backend.example:8080/cb?a=1").await.unwrap();
    assert_eq!(answer.status.as_u16(), 202);
    let [head] = &proxy.heads()[..] else { panic!("{:?}", proxy.heads()) };
    assert!(head.starts_with("POST http://backend.example:8080/cb?a=1 HTTP/1.1\r\n"), "{head}");
    assert_eq!(lines(head, "host:"), ["host: backend.example:8080"]);
    assert_eq!(lines(head, "proxy-authorization:"), [format!("proxy-authorization: Basic {CREDENTIALS}")]);
    assert_eq!(names.asked(), [""; 0], "the proxy resolves");
}

#[tokio::test]
async fn an_https_call_goes_through_a_tunnel() {
    let authority = Authority::new("ours");
    let peer = Peer::tls(server(&authority.issue("backend.example"))).await;
    let proxy = FakeProxy::start(peer.address).await;
    let (network, names) = by(&format!("http://user:pass@{}", proxy.address));
    let client = Client::new(&network, &trusting(&authority)).unwrap();
    let answer = post(&client, "https://backend.example/cb").await.unwrap();
    assert_eq!(answer.status.as_u16(), 200);

    let [head] = &proxy.heads()[..] else { panic!("{:?}", proxy.heads()) };
    assert!(head.starts_with("CONNECT backend.example:443 HTTP/1.1\r\n"), "{head}");
    assert_eq!(lines(head, "proxy-authorization:").len(), 1);
    let [inside] = &peer.heads()[..] else { panic!("{:?}", peer.heads()) };
    assert!(inside.starts_with("POST /cb HTTP/1.1\r\n"), "{inside}");
    assert_eq!(lines(inside, "proxy-"), [""; 0], "the endpoint does not learn the proxy's password");
    assert_eq!(names.asked(), [""; 0], "the proxy resolves");

    // The proxy leads where it wants; who is there is still checked.
    let why = why_not(&client, "https://other.example/cb").await;
    assert!(why.contains("is not for other.example, but for backend.example"), "{why}");
}

#[tokio::test]
async fn what_the_proxy_does_wrong_is_said_to_be_the_proxys() {
    let proxy = FakeProxy::start("127.0.0.1:9".parse().unwrap()).await;
    let (network, _) = by(&format!("http://user:wrong@{}", proxy.address));
    let client = crate::peer::client(&network);
    let why = why_not(&client, "https://backend.example/").await;
    assert!(why.starts_with("at the proxy of callbacks.proxy:") && why.contains("authorization required"), "{why}");
    assert!(!why.contains("wrong"), "{why}");
    assert_eq!(post(&client, "http://backend.example/").await.unwrap().status.as_u16(), 407);

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = crate::peer::client(&by(&format!("http://{nobody}")).0);
    for url in ["http://backend.example/", "https://backend.example/"] {
        let why = why_not(&client, url).await;
        assert!(why.starts_with("at the proxy of callbacks.proxy: Connection refused"), "{why}");
    }
}

#[tokio::test]
async fn addresses_in_urls_are_judged_with_a_proxy_too() {
    let proxy = FakeProxy::start("127.0.0.1:9".parse().unwrap()).await;
    let client = client(&by(&format!("http://user:pass@{}", proxy.address)).0);
    for host in ["127.0.0.1", "2130706433", "0177.0.0.1", "169.254.169.254", "[::1]", "10.0.0.1"] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}/");
            let why = why_not(&client, &url).await;
            assert!(why.starts_with("refused by the egress guard"), "{url}: {why}");
            let not_reached = client.reach(&url.parse().unwrap()).await.unwrap_err();
            assert_eq!((not_reached.stage, &not_reached.detail), (Stage::Guard, &why), "{url}");
        }
    }
    assert_eq!(proxy.heads(), [""; 0]);
}

/// The proxy's own name is ours to resolve, and the operator's word for where it is.
#[tokio::test]
async fn a_proxy_may_have_a_private_address() {
    let proxy = FakeProxy::start("127.0.0.1:9".parse().unwrap()).await;
    let (network, _) = by(&format!("http://user:pass@proxy.example:{}", proxy.address.port()));
    let at = |address: &str| FakeNames::of("proxy.example", &[&[address]]);
    let names = at("127.0.0.1");
    let client = client(&Network { names: names.clone(), ..network.clone() });
    post(&client, "http://backend.example/").await.unwrap();
    assert_eq!((names.asked(), proxy.heads().len()), (vec!["proxy.example".to_owned()], 1));

    let client = crate::peer::client(&Network { names: at("169.254.169.254"), ..network });
    let why = why_not(&client, "http://backend.example/").await;
    assert!(why.contains("\"proxy.example\" leads to 169.254.169.254, which is link-local and never called"), "{why}");
}

#[tokio::test]
async fn a_proxy_is_never_at_a_metadata_service() {
    for at in ["169.254.169.254", "[::ffff:169.254.169.254]", "0"] {
        let client = client(&by(&format!("http://{at}:3128")).0);
        for url in ["http://backend.example/", "https://backend.example/"] {
            let why = why_not(&client, url).await;
            assert!(why.starts_with("at the proxy of callbacks.proxy: refused by the egress guard"), "{why}");
        }
    }
}
