//! Where calls go and where they never do, by which way, and whom they trust: as it is configured.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use tests::wait::{until, within};
use tests::{Endpoint, Setup, Stage, c2c};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const BEFORE: &str = "C2C.CallbackBeforeSendMsg";
const SEND: &str = "openim/sendmsg";
/// What a sender is told when the backend could not be asked, and `on_failure` is `reject`.
const UNASKED: i64 = 80003;

/// Only asked, and what cannot be asked about is refused: so a sender sees whether a call got through.
fn asked(url: impl Into<String>) -> Endpoint {
    Endpoint::tencent(url).hears([BEFORE]).on_failure("reject")
}

/// Waits for a line of the log that says so: it may come after the answer.
async fn complains(stage: &Stage, words: &str) {
    until(&format!("the log to say {words:?}"), async || stage.server.complaints_about(words).pop()).await;
}

/// Reads requests, keeps their heads, and answers "go on" to each.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, heads: &watch::Sender<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or_default() == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if stream.read_exact(&mut vec![0; length.unwrap_or_default()]).await.is_err() {
            return;
        }
        heads.send_modify(|heads| heads.push(head));
        let body = json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}).to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// A receiver below the harness's: behind TLS, or a proxy.
struct Peer {
    address: SocketAddr,
    heads: watch::Sender<Vec<String>>,
    _tasks: JoinSet<()>,
}

impl Peer {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let heads = watch::Sender::new(Vec::new());
        let mut tasks = JoinSet::new();
        let seen = heads.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, tls) = (seen.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, &seen).await,
                        Some(tls) => match tls.accept(stream).into_fallible().await {
                            Ok(stream) => serve(stream, &seen).await,
                            // The alert is on its way. To close while something is unread would cut it off.
                            Err((_, mut stream)) => drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await),
                        },
                    }
                });
            }
        });
        Self { address, heads, _tasks: tasks }
    }

    fn count(&self) -> usize {
        self.heads.borrow().len()
    }

    async fn first(&self) -> String {
        let mut heads = self.heads.subscribe();
        let heads = within("the first request", heads.wait_for(|heads| !heads.is_empty())).await;
        heads.expect("the peer lives")[0].clone()
    }
}

fn authority(dir: &Path, file: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, file);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    std::fs::write(dir.join(file), authority.pem()).expect("a file");
    authority
}

/// A private authority and mutual TLS, from files. Each of the endpoints has what one needs, but for one thing.
#[tokio::test]
async fn certificates_come_from_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |file: &str| dir.path().join(file).display().to_string();
    let ours = authority(dir.path(), "ours.pem");
    authority(dir.path(), "theirs.pem");

    let client_key = KeyPair::generate().expect("a key");
    let client = CertificateParams::new(vec!["ringback".to_owned()]).expect("a name");
    let client = client.signed_by(&client_key, &ours).expect("a certificate");
    std::fs::write(dir.path().join("client.pem"), client.pem()).expect("a file");
    std::fs::write(dir.path().join("client.key"), client_key.serialize_pem()).expect("a file");

    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = certificate.signed_by(&key, &ours).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(ours.der().clone()).expect("an authority");
    let provider = Arc::new(default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients.expect("a verifier"))
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("a certificate and its key");
    let peer = Peer::start(Some(TlsAcceptor::from(Arc::new(config)))).await;

    let endpoint = || asked(format!("https://localhost:{}/callback", peer.address.port()));
    let with_client = |endpoint: Endpoint| {
        endpoint.also("client_cert_file", path("client.pem")).also("client_key_file", path("client.key"))
    };
    for (what, endpoint, complaint) in [
        ("all it needs", with_client(endpoint()).also("ca_file", path("ours.pem")), None),
        ("no authority", with_client(endpoint()), Some("see ca_file")),
        ("another authority", with_client(endpoint()).also("ca_file", path("theirs.pem")), Some("see ca_file")),
        ("no certificate", endpoint().also("ca_file", path("ours.pem")), Some("see client_cert_file")),
    ] {
        let before = peer.count();
        let stage = Stage::with(Setup::new(), |_| vec![endpoint]).await;
        if let Some(complaint) = complaint {
            assert_eq!(stage.tencent.refused(SEND, c2c("alice", "bob", "hi")).await, UNASKED, "{what}");
            complains(&stage, complaint).await;
        } else {
            stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
        }
        assert_eq!(peer.count() - before, usize::from(complaint.is_none()), "{what}");
    }
}

/// What a name leads to is judged: `localhost` may be called while the server is on loopback, or where it is allowed.
#[tokio::test]
async fn a_server_for_others_does_not_call_its_own_machine() {
    let allow = "RINGBACK_CALLBACKS__ALLOW";
    for (listen, allowed, passes) in
        [("127.0.0.1:0", "", true), ("0.0.0.0:0", "", false), ("0.0.0.0:0", "127.0.0.0/8,::1", true)]
    {
        let setup = Setup::new().variable("RINGBACK_SERVER__LISTEN", listen).variable(allow, allowed);
        let stage = Stage::with(setup, |url| {
            let url = url.replace("127.0.0.1", "localhost");
            vec![asked(format!("{url}/callback"))]
        })
        .await;
        if passes {
            stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
        } else {
            assert_eq!(stage.tencent.refused(SEND, c2c("alice", "bob", "hi")).await, UNASKED, "{listen}");
            complains(&stage, "which is loopback and not in callbacks.allow").await;
        }
        assert_eq!(stage.backend.count(), usize::from(passes), "{listen}");
    }
}

#[tokio::test]
async fn calls_go_by_way_of_the_proxy() {
    let proxy = Peer::start(None).await;
    let url = format!("http://user:p%40ss@{}", proxy.address);
    let setup = Setup::new().variable("RINGBACK_CALLBACKS__PROXY", &url);
    let mut stage = Stage::with(setup, |_| vec![asked("http://backend.example/callback")]).await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    let head = proxy.first().await;
    assert!(head.starts_with("POST http://backend.example/callback?"), "{head}");
    assert!(head.contains("proxy-authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
    stage.server.stop().await;
    let log: String = stage.server.log().iter().map(ToString::to_string).collect();
    assert!(!log.contains("p%40ss") && !log.contains("dXNlcjpwQHNz"), "the password is in the log");
}

#[tokio::test]
async fn an_endpoint_has_headers_of_its_own() {
    let mut stage = Stage::with(Setup::new(), |url| {
        let endpoint = asked(format!("{url}/callback"));
        vec![endpoint.header("X-Api-Key", "k3y").header("Authorization", "Bearer t0ken")]
    })
    .await;
    stage.tencent.ok(SEND, c2c("alice", "bob", "hi")).await;
    let call = stage.backend.first(BEFORE).await;
    assert_eq!((call.headers["x-api-key"].as_str(), call.headers["authorization"].as_str()), ("k3y", "Bearer t0ken"));
    assert_eq!(call.headers["content-type"], "application/json; charset=utf-8");
    stage.server.stop().await;
    let log: String = stage.server.log().iter().map(ToString::to_string).collect();
    assert!(!log.contains("k3y") && !log.contains("t0ken"), "a header's value is in the log");
}

/// What can never work is said at the start, with the file or the address in the words.
#[tokio::test]
async fn what_cannot_work_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ringback.toml");
    std::fs::write(dir.path().join("empty.pem"), "").expect("a file");
    let empty = dir.path().join("empty.pem").display().to_string();
    for (keys, words) in [
        ("url = \"http://169.254.169.254/latest\"".to_owned(), "169.254.169.254 is link-local and never called"),
        ("url = \"https://b.example\"\nca_file = \"/nowhere.pem\"".to_owned(), "/nowhere.pem: cannot be read"),
        (format!("url = \"https://b.example\"\nca_file = {empty:?}"), "holds no certificate in PEM"),
    ] {
        let endpoint = format!("[[endpoint]]\nname = \"app\"\ndialect = \"tencent\"\ncommands = [\"*\"]\n{keys}\n");
        std::fs::write(&file, endpoint).expect("a configuration");
        let mut serve = tests::cli::ringback();
        serve.args(["serve", "--config"]).arg(&file).arg("--data-dir").arg(dir.path().join("data"));
        // One that starts nevertheless would never end.
        let output = tokio::process::Command::from(serve).kill_on_drop(true).output();
        let output = within("the server to refuse", output).await.expect("the binary starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("endpoint[app].") && told.contains(words), "{told}");
    }
}
