//! `ringback listen --forward`: a backend without a URL is told and asked through a connection of its own.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tests::cli::{finish, ringback};
use tests::openim::{content_of, single};
use tests::tencent::text_of;
use tests::wait::{until, within};
use tests::{Answer, Receiver, Server, Setup, Stage, c2c, text};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A running `ringback listen --forward --json`.
struct Forwarder {
    lines: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
    said: Vec<String>,
    child: Child,
}

impl Forwarder {
    /// Starts it, and waits until it is connected.
    async fn start(server: &Server, backend: &str, words: &[&str]) -> Self {
        let mut forwarder = Self::launch(server, backend, words);
        forwarder.hears("connected to").await;
        forwarder
    }

    fn launch(server: &Server, backend: &str, words: &[&str]) -> Self {
        let mut command = command(server, backend);
        command.args(words);
        Self::run(command)
    }

    fn run(mut command: std::process::Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Self { lines, stderr, said: Vec::new(), child }
    }

    /// Waits for a line on standard error that contains this.
    async fn hears(&mut self, words: &str) -> String {
        within(&format!("the forwarder to say {words:?}"), async {
            loop {
                let line = self.stderr.next_line().await.expect("standard error");
                let line = line.unwrap_or_else(|| panic!("the forwarder ended: {:?}", self.said));
                self.said.push(line.clone());
                if line.contains(words) {
                    return line;
                }
            }
        })
        .await
    }

    /// The next call that it showed of this command.
    async fn shows(&mut self, command: &str) -> Value {
        within(&format!("the forwarder to show {command}"), async {
            loop {
                let line = self.lines.next_line().await.expect("standard output").expect("the forwarder ended");
                let call: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                let is_it = |name: &str| call["body"][name] == command;
                if is_it("CallbackCommand") || is_it("callbackCommand") {
                    return call;
                }
            }
        })
        .await
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().expect("it runs")).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("the signal");
    }
}

fn command(server: &Server, backend: &str) -> std::process::Command {
    command_at(server, &format!("http://{}", server.http()), backend)
}

/// By way of this URL.
fn command_at(server: &Server, url: &str, backend: &str) -> std::process::Command {
    let mut command = ringback();
    command.args(["listen", "--json", "--forward", backend, "--server", url]);
    command.arg("--data-dir").arg(server.data_dir());
    command
}

/// Speaks TLS with whoever comes, with a certificate for this machine, and passes on what it says.
async fn tls_before(to: SocketAddr, authority: &CertifiedIssuer<'static, KeyPair>) -> (SocketAddr, JoinSet<()>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a private key");
    let config = rustls::ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut onward = tokio::net::TcpStream::connect(to).await.expect("who is behind it");
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
            });
        }
    });
    (address, tasks)
}

/// A server on which no endpoint is configured, and a backend that nobody else calls.
async fn stage() -> Stage {
    Stage::with(Setup::new(), |_| Vec::new()).await
}

/// How long a send took.
async fn timed_send(stage: &Stage, words: &str) -> Duration {
    let started = Instant::now();
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", words)).await;
    started.elapsed()
}

/// Waits for the server's line about the end of a tunnel.
async fn ended(server: &Server) -> String {
    until("the server to say that the client listens no more", async || {
        let log = server.log();
        let line = log.iter().find(|line| line["message"] == "a client listens no more")?;
        Some(line["why"].as_str().expect("why").to_owned())
    })
    .await
}

/// What the metrics say of tunnels that is not zero, and goes up and down.
async fn figures(stage: &Stage) -> Vec<String> {
    let metrics = stage.tencent.http.get("/metrics").await.text();
    let of_tunnels = metrics.lines().filter(|line| line.contains("endpoint=\"listen-"));
    assert!(of_tunnels.clone().any(|line| line.starts_with("ringback_breaker_state")), "{metrics}");
    let figures = of_tunnels.filter_map(|line| {
        let (name, value) = (line.split('{').next()?, line.rsplit(' ').next()?);
        let is_counted = ["_total", "_seconds", "_seconds_sum", "_seconds_count", "_bucket"];
        let is_lag = name == "ringback_delivery_lag_seconds";
        let moves = is_lag || !is_counted.iter().any(|end| name.ends_with(end));
        (moves && value != "0").then(|| format!("{name} {value}"))
    });
    figures.collect()
}

#[tokio::test]
async fn tencent_is_told_and_asked_and_its_verdicts_count() {
    let stage = stage().await;
    let mut forwarder = Forwarder::start(&stage.server, &stage.backend.url("/callback?x=1"), &[]).await;
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "hi")).await;
    let call = stage.backend.first("C2C.CallbackAfterSendMsg").await;
    assert_eq!((call.path.as_str(), call.query["x"].as_str()), ("/callback", "1"));
    assert_eq!(text_of(&call.body), "hi");
    assert_eq!(call.query["SdkAppid"], "1400000000");
    assert!(call.headers["ringback-sequence"].parse::<u64>().is_ok(), "{:?}", call.headers);
    let asked = stage.backend.first("C2C.CallbackBeforeSendMsg").await;
    assert_eq!(text_of(&asked.body), "hi");
    let shown = forwarder.shows("C2C.CallbackBeforeSendMsg").await;
    assert_eq!(json!([shown["path"], shown["query"]["x"], shown["status"]]), json!(["/callback", "1", 200]));
    assert_eq!(shown["answer"]["ErrorCode"], 0);

    let reject = json!({"ActionStatus": "OK", "ErrorInfo": "be kind", "ErrorCode": 120_001});
    stage.backend.answers("C2C.CallbackBeforeSendMsg", reject);
    assert_eq!(stage.tencent.refused("openim/sendmsg", c2c("alice", "bob", "rude")).await, 120_001);
    assert_eq!(forwarder.shows("C2C.CallbackBeforeSendMsg").await["answer"]["ErrorInfo"], "be kind");
    let modify = json!({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "MsgBody": text("kind")});
    stage.backend.answers("C2C.CallbackBeforeSendMsg", modify);
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "rude")).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["hi", "kind"]);
    let told = stage.backend.wait_for("C2C.CallbackAfterSendMsg", 2).await;
    assert_eq!(text_of(&told[1].body), "kind");
}

#[tokio::test]
async fn openim_is_told_and_asked_and_its_verdicts_count() {
    let stage = stage().await;
    let url = stage.backend.url("/webhook");
    let mut forwarder = Forwarder::start(&stage.server, &url, &["--dialect", "openim"]).await;
    stage.openim.ok("/msg/send_msg", single("alice", "bob", "hi")).await;
    let call = stage.backend.first("callbackAfterSendSingleMsgCommand").await;
    assert_eq!(call.path, "/webhook/callbackAfterSendSingleMsgCommand");
    assert_eq!(content_of(&call.body)["content"], "hi");
    assert_eq!(forwarder.shows("callbackBeforeSendSingleMsgCommand").await["status"], 200);

    let reject = json!({"actionCode": 0, "errCode": 5001, "errMsg": "be kind", "errDlt": "", "nextCode": 1});
    stage.backend.answers("callbackBeforeSendSingleMsgCommand", reject);
    assert_eq!(stage.openim.refused("/msg/send_msg", single("alice", "bob", "rude")).await, 5001);
    stage.backend.answers("callbackBeforeSendSingleMsgCommand", Answer::go_on());
    let modify = json!({
        "actionCode": 0, "errCode": 0, "errMsg": "", "errDlt": "", "nextCode": 0, "content": "{\"content\":\"kind\"}",
    });
    stage.backend.answers("callbackBeforeMsgModifyCommand", modify);
    stage.openim.ok("/msg/send_msg", single("alice", "bob", "rude")).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["hi", "kind"]);
}

#[tokio::test]
async fn the_standard_dialect_comes_too() {
    let stage = stage().await;
    let _forwarder = Forwarder::start(&stage.server, &stage.backend.url("/events"), &["--dialect", "standard"]).await;
    let reject = json!({"verdict": "reject", "code": 120_001, "info": "be kind"});
    stage.backend.answers_with("*", move |call| match call.body["type"].as_str() {
        Some("message.sending") if call.body.to_string().contains("rude") => reject.clone().into(),
        _ => json!({}).into(),
    });
    assert_eq!(stage.tencent.refused("openim/sendmsg", c2c("alice", "bob", "rude")).await, 120_001);
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "hi")).await;
    let told = |call: &tests::Call| call.body["type"] == "message.sent";
    let calls = stage.backend.wait_until("a message to be told", |calls| calls.iter().any(told)).await;
    let message = calls.iter().find(|call| told(call)).expect("it").body["data"]["message"].clone();
    assert_eq!((&message["sender"], &message["elements"][0]["text"]), (&json!("alice"), &json!("hi")));
}

#[tokio::test]
async fn only_the_commands_that_are_wanted_come() {
    let stage = stage().await;
    let words = ["--commands", "C2C.CallbackAfterSendMsg,Group.CallbackAfterSendMsg"];
    let _forwarder = Forwarder::start(&stage.server, &stage.backend.url(""), &words).await;
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "hi")).await;
    stage.backend.first("C2C.CallbackAfterSendMsg").await;
    assert_eq!(stage.backend.count(), 1, "{:?}", stage.backend.calls());

    let mut unknown = command(&stage.server, "http://localhost:1");
    unknown.args(["--commands", "C2C.Nothing"]);
    let ended = finish(unknown).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("the dialect has no command \"C2C.Nothing\""), "{ended:?}");
}

#[tokio::test]
async fn the_status_names_who_listens() {
    let stage = stage().await;
    let status = async || {
        let mut command = ringback();
        command.args(["callbacks", "status", "--server"]).arg(format!("http://{}", stage.server.http()));
        command.arg("--data-dir").arg(stage.server.data_dir());
        finish(command).await.out
    };
    assert!(status().await.contains("nobody is called back"));
    let _forwarder = Forwarder::start(&stage.server, &stage.backend.url(""), &[]).await;
    let shown = status().await;
    assert!(shown.contains("\nlisten-") && shown.contains(": a client listens"), "{shown}");
}

#[tokio::test]
async fn a_client_that_is_killed_is_missed_by_nobody_and_owed_nothing() {
    let mut stage = stage().await;
    let gate = tests::Gate::closed();
    stage.backend.answers("C2C.CallbackBeforeSendMsg", Answer::go_on().held_by(&gate));
    let forwarder = Forwarder::start(&stage.server, &stage.backend.url(""), &[]).await;
    assert_eq!(figures(&stage).await, ["ringback_endpoint_state 1"], "it is up");
    let asked = stage.backend.first("C2C.CallbackBeforeSendMsg");
    let (took, ()) = tokio::join!(timed_send(&stage, "while it dies"), async {
        asked.await;
        forwarder.signal(Signal::SIGKILL);
    });
    // The question is over as soon as the connection is, and not at its deadline of 2 s.
    assert!(took < Duration::from_millis(1800), "{took:?}");
    assert_eq!(ended(&stage.server).await, "its client has gone");
    assert_eq!(figures(&stage).await, [""; 0], "what is gone is neither up nor behind");
    gate.open();
    timed_send(&stage, "nobody listens").await;
    // A new client is told of what comes, and not of what was.
    let again = Receiver::start().await;
    let _forwarder = Forwarder::start(&stage.server, &again.url(""), &[]).await;
    timed_send(&stage, "somebody listens").await;
    let call = again.first("C2C.CallbackAfterSendMsg").await;
    assert_eq!(text_of(&call.body), "somebody listens");
    assert_eq!(stage.tencent.texts("bob", "alice").await.len(), 3);
    stage.server.stop().await;
}

#[tokio::test]
async fn a_client_that_hangs_delays_nobody_beyond_its_deadline_and_is_closed() {
    let stage = stage().await;
    let forwarder = Forwarder::start(&stage.server, &stage.backend.url(""), &[]).await;
    timed_send(&stage, "it is asked").await;
    forwarder.signal(Signal::SIGSTOP);
    let hangs = Instant::now();
    let mut slowest = Duration::ZERO;
    let ended = async {
        let why = ended(&stage.server).await;
        (why, hangs.elapsed())
    };
    tokio::pin!(ended);
    let mut sends = 0;
    let (why, took) = loop {
        tokio::select! {
            ended = &mut ended => break ended,
            took = timed_send(&stage, "is anybody there?") => {
                slowest = slowest.max(took);
                sends += 1;
            }
        }
    };
    assert_eq!(why, "nothing was heard of its client");
    assert!(took < Duration::from_secs(16), "{took:?}");
    // The deadline is 2 s; the rest is a busy machine.
    assert!(sends > 2 && slowest < Duration::from_millis(3500), "{sends} sends, the slowest took {slowest:?}");
    let after = timed_send(&stage, "nobody is asked").await;
    assert!(after < Duration::from_secs(1), "{after:?}");
    forwarder.signal(Signal::SIGKILL);
}

#[tokio::test]
async fn a_client_finds_a_server_that_was_restarted() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address");
    let setup = Setup::new().variable("RINGBACK_SERVER__LISTEN", &port.to_string());
    let mut stage = Stage::with(setup, |_| Vec::new()).await;
    let mut forwarder = Forwarder::start(&stage.server, &stage.backend.url(""), &[]).await;
    stage.server.stop_and_restart().await;
    forwarder.hears("the server ended it: the server is stopping; again in 0.5 s").await;
    forwarder.hears("connected to").await;
    stage.server.crash_and_restart().await;
    forwarder.hears("not connected").await;
    forwarder.hears("connected to").await;
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "hi")).await;
    assert_eq!(text_of(&stage.backend.first("C2C.CallbackAfterSendMsg").await.body), "hi");
}

#[tokio::test]
async fn a_backend_that_is_down_is_said_in_words_and_found_when_it_is_back() {
    let stage = stage().await;
    let address = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address");
    let mut forwarder = Forwarder::start(&stage.server, &format!("http://{address}"), &[]).await;
    let took = timed_send(&stage, "hi").await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let shown = forwarder.shows("C2C.CallbackBeforeSendMsg").await;
    assert_eq!(shown["status"], Value::Null);
    let words = shown["answer"]["error"].as_str().expect("words");
    assert!(
        words.contains("cannot be reached (Connection refused") && words.contains("does your backend run?"),
        "{words}"
    );
    let back = Receiver::at(address).await;
    assert_eq!(text_of(&back.first("C2C.CallbackAfterSendMsg").await.body), "hi");
}

#[tokio::test]
async fn a_wrong_token_is_said_and_never_shown() {
    let stage = stage().await;
    let hush = "hushhushhushhushhushhushhushhush";
    let mut wrong = command(&stage.server, "http://localhost:1");
    wrong.env("RINGBACK_SERVER__ADMIN_TOKEN", hush);
    let ended = finish(wrong).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("refuses: this is not the admin token"), "{ended:?}");
    assert!(!ended.err.contains(hush) && ended.out.is_empty(), "{ended:?}");

    let elsewhere = tempfile::tempdir().expect("a directory");
    let mut none = ringback();
    none.args(["listen", "--forward", "http://localhost:1", "--server", "http://127.0.0.1:1", "--data-dir"]);
    none.arg(elsewhere.path());
    let ended = finish(none).await;
    assert!(ended.code == Some(2) && ended.err.contains("there is no admin token"), "{ended:?}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).expect("the directory").count(), 0, "nothing is made");

    let mut password = ringback();
    password.args(["listen", "--forward", "http://me:hush@localhost:1"]);
    let ended = finish(password).await;
    assert!(ended.code == Some(2) && ended.err.contains("a user or a password in it"), "{ended:?}");
}

#[tokio::test]
async fn the_17th_client_is_refused_and_gets_the_place_of_one_that_ends() {
    let stage = stage().await;
    let url = stage.backend.url("");
    let mut all = Vec::new();
    for _ in 0..16 {
        all.push(Forwarder::start(&stage.server, &url, &["--commands", "C2C.CallbackAfterSendMsg"]).await);
    }
    let ended_words = finish(command(&stage.server, &url)).await;
    assert_eq!(ended_words.code, Some(1), "{ended_words:?}");
    assert!(ended_words.err.contains("16 clients listen already"), "{ended_words:?}");
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "hi")).await;
    stage.backend.wait_for("C2C.CallbackAfterSendMsg", 16).await;
    drop(all.pop());
    ended(&stage.server).await;
    all.push(Forwarder::start(&stage.server, &url, &[]).await);
}

#[tokio::test]
async fn server_and_backend_may_be_behind_tls_with_an_authority_of_their_own() {
    let stage = stage().await;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let home = tempfile::tempdir().expect("a directory");
    let pem = home.path().join("authority.pem");
    std::fs::write(&pem, authority.pem()).expect("a file");
    let (server, _server) = tls_before(stage.server.http().parse().expect("its address"), &authority).await;
    let (backend, _backend) = tls_before(stage.backend.address(), &authority).await;
    let of = |server: &str, backend: &str| command_at(&stage.server, server, backend);
    let (server, backend) =
        (format!("https://localhost:{}", server.port()), format!("https://localhost:{}/hook", backend.port()));

    let mut trusting = of(&server, &backend);
    trusting.env("SSL_CERT_FILE", &pem);
    let mut forwarder = Forwarder::run(trusting);
    forwarder.hears(&format!("connected to {server}")).await;
    let reject = json!({"ActionStatus": "OK", "ErrorInfo": "be kind", "ErrorCode": 120_001});
    stage.backend.answers("C2C.CallbackBeforeSendMsg", reject);
    assert_eq!(stage.tencent.refused("openim/sendmsg", c2c("alice", "bob", "rude")).await, 120_001);
    assert_eq!(stage.backend.first("C2C.CallbackBeforeSendMsg").await.path, "/hook");
    drop(forwarder);

    // Without its certificate nothing is sent, and the words lead to what is missing.
    let mut doubting = of(&server, &stage.backend.url(""));
    doubting.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    let mut forwarder = Forwarder::run(doubting);
    let said = forwarder.hears("not connected").await;
    assert!(said.contains("is from an authority that is not trusted; right would be SSL_CERT_FILE"), "{said}");
    let mut doubting = of(&format!("http://{}", stage.server.http()), &backend);
    doubting.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR");
    let mut forwarder = Forwarder::run(doubting);
    forwarder.hears("connected to").await;
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "hi")).await;
    let shown = forwarder.shows("C2C.CallbackBeforeSendMsg").await;
    let words = shown["answer"]["error"].as_str().expect("words");
    assert!(words.contains("is from an authority that is not trusted; right would be SSL_CERT_FILE"), "{words}");
}
