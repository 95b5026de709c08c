//! `ringback check`: what is wrong with an endpoint, in words.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tests::cli::{self, Ended, finish, ringback};
use tests::wait::until;
use tests::{Answer, Endpoint, Manner, Receiver, Rogue, Server, Setup, Stage, c2c};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

const BEFORE: &str = "C2C.CallbackBeforeSendMsg";
const AFTER: &str = "C2C.CallbackAfterSendMsg";

/// A configuration without a server.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    /// With this configuration.
    fn of(config: &str) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        std::fs::write(home.path().join("ringback.toml"), config).expect("the configuration");
        Self { home }
    }

    /// With one endpoint, and these keys after `name`, `dialect` and `timeout`.
    fn with_endpoint(keys: &str) -> Self {
        Self::of(&format!("[[endpoint]]\nname = \"app\"\ndialect = \"tencent\"\n{keys}"))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.home.path().join(file)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = ringback();
        // Nobody listens at port 1: no server of somebody else is asked by mistake.
        command.args(["check", "--server", "http://127.0.0.1:1", "--config"]).arg(self.path("ringback.toml"));
        command.arg("--data-dir").arg(self.path("data")).args(words);
        command
    }

    async fn check(&self, words: &[&str]) -> Checked {
        let mut command = self.command(&["--json"]);
        command.args(words);
        Checked::of(finish(command).await)
    }
}

/// What was found, by `--json`.
struct Checked {
    code: Option<i32>,
    findings: Vec<Value>,
}

impl Checked {
    fn of(ended: Ended) -> Self {
        let answer: Value = serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
        Self { code: ended.code, findings: answer["findings"].as_array().expect("findings").clone() }
    }

    /// What is said about an endpoint beyond what is ok: `level rule`.
    fn bad(&self) -> Vec<String> {
        let bad = self.findings.iter().filter(|finding| finding["level"] != "ok" && finding["endpoint"] != Value::Null);
        let word = |finding: &Value, name: &str| finding[name].as_str().expect("a text").to_owned();
        bad.map(|finding| {
            assert!(finding["right"].is_string(), "{finding}");
            format!("{} {}", word(finding, "level"), word(finding, "rule"))
        })
        .collect()
    }

    fn words(&self, rule: &str) -> &str {
        let finding = self.findings.iter().find(|finding| finding["rule"] == rule);
        finding.and_then(|finding| finding["what"].as_str()).unwrap_or_else(|| panic!("no {rule}: {:?}", self.findings))
    }

    /// Exactly this is bad, and the exit code says so.
    fn only(&self, expected: &str, words: &str) {
        assert_eq!(self.bad(), [expected], "{:?}", self.findings);
        let (level, rule) = expected.split_once(' ').expect("level and rule");
        assert!(self.words(rule).contains(words), "{words:?} is not in {:?}", self.words(rule));
        assert_eq!(self.code, Some(if level == "error" { 1 } else { 0 }));
    }
}

/// About this server.
async fn of_server(server: &Server, words: &[&str]) -> Checked {
    Checked::of(cli::of_server(server, &[&["check", "--json"], words].concat()).await)
}

fn both(url: &str) -> String {
    format!("url = \"{url}\"\ncommands = [\"{BEFORE}\", \"{AFTER}\"]\n")
}

#[tokio::test]
async fn of_what_works_only_good_is_said() {
    let stage = Stage::tencent().await;
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "hi")).await;
    stage.backend.first(AFTER).await;
    let checked = of_server(&stage.server, &[]).await;
    assert_eq!((checked.code, checked.bad()), (Some(0), Vec::new()), "{:?}", checked.findings);
    let calls = stage.backend.count();
    let checked = of_server(&stage.server, &["tencent-backend", "--call"]).await;
    assert_eq!((checked.code, checked.bad()), (Some(0), Vec::new()), "{:?}", checked.findings);
    let rules: Vec<_> = checked.findings.iter().map(|finding| finding["rule"].as_str().unwrap_or_default()).collect();
    assert_eq!(rules, ["server", "subscribed", "reachable", "answers", "answers", "standing"]);
    // Only --call reaches the backend: once to ask, and once to tell.
    assert_eq!(stage.backend.count(), calls + 2);

    let mut command = ringback();
    command.args(["check", "--server"]).arg(format!("http://{}", stage.server.http()));
    command.arg("--config").arg(stage.server.config_file()).arg("--data-dir").arg(stage.server.data_dir());
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.out.starts_with("ok     the running server answers\nok     tencent-backend: subscribed: "),
        "{ended:?}"
    );
}

#[tokio::test]
async fn configurations() {
    let none = Place::of("");
    let checked = none.check(&[]).await;
    assert_eq!(checked.code, Some(1));
    assert!(checked.words("no_endpoint").contains("nobody is called back"));
    assert!(checked.words("server").contains("no running server"));
    assert!(!none.path("data").exists(), "a check makes nothing");

    let wrong = Place::of("[server]\nlisen = 1\n");
    let ended = finish(wrong.command(&[])).await;
    assert!(ended.code == Some(2) && ended.err.contains("there is no such key; [server] has listen"), "{ended:?}");
    let odd = Place::with_endpoint("url = \"http://127.0.0.1:1\"\ncommands = [\"C2C.Nothing\"]\n");
    let ended = finish(odd.command(&[])).await;
    assert!(ended.code == Some(2) && ended.err.contains("its dialect has no command \"C2C.Nothing\""), "{ended:?}");
    let ended = finish(odd.command(&["other"])).await;
    assert!(ended.code == Some(2) && ended.err.contains("right would be one of app"), "{ended:?}");
    let no_file = Place::with_endpoint(&format!("{}ca_file = \"/nowhere.pem\"\n", both("https://127.0.0.1:1")));
    let ended = finish(no_file.command(&[])).await;
    assert!(ended.code == Some(2) && ended.err.contains("/nowhere.pem: cannot be read"), "{ended:?}");
}

#[tokio::test]
async fn subscriptions() {
    let receiver = Receiver::start().await;
    let url = receiver.url("/callback");
    for (rest, expected, words) in [
        (
            "commands = [\"State.StateChange\"]",
            "error never_subscribed",
            "nothing in this version leads to State.StateChange",
        ),
        ("commands = [\"C2C.CallbackBeforeSendMsg\"]", "warn only_asked", "never told what has happened"),
        (
            "commands = [\"C2C.CallbackAfterSendMsg\", \"State.StateChange\"]",
            "warn never_produced",
            "leads to State.StateChange",
        ),
        (
            "commands = [\"*\"]\nonly = { senders = [\"bot\"] }\nexcept = { senders = [\"bot\"] }",
            "error filter",
            "`except` names every sender that `only` names",
        ),
        (
            "commands = [\"C2C.CallbackAfterSendMsg\"]\nonly = { group_types = [\"Public\"] }",
            "error filter",
            "none of its commands is about groups",
        ),
    ] {
        let place = Place::with_endpoint(&format!("url = \"{url}\"\n{rest}\n"));
        place.check(&[]).await.only(expected, words);
    }
    assert_eq!(receiver.count(), 0, "nothing was sent");
}

#[tokio::test]
async fn the_way_to_an_endpoint() {
    let nobody = Rogue::start(Manner::Refuses).await;
    let refused = Place::with_endpoint(&both(&nobody.url("/")));
    refused.check(&[]).await.only("error connect", "Connection refused");
    let unnamed = Place::with_endpoint(&format!("{}timeout = \"20s\"\n", both("http://no-such-host.invalid/")));
    unnamed.check(&[]).await.only("error name", "\"no-such-host.invalid\" cannot be resolved");
    // A server that others reach may not call what is on its own machine.
    let public = "[server]\nlisten = \"0.0.0.0:10002\"\n[[endpoint]]\nname = \"app\"\ndialect = \"tencent\"\n";
    let guarded = Place::of(&format!("{public}{}", both("http://localhost:9/")));
    guarded.check(&[]).await.only("error refused", "refused by the egress guard");
    let proxied =
        format!("[callbacks]\nproxy = \"{}\"\n[[endpoint]]\nname = \"app\"\ndialect = \"tencent\"\n", nobody.url(""));
    let proxied = Place::of(&format!("{proxied}{}", both("http://backend.example.com/")));
    proxied.check(&[]).await.only("error proxy", "through the proxy of callbacks.proxy: at the proxy");
    // It takes the connection, and says nothing of TLS.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", silent.local_addr().expect("its address"));
    let hangs = Place::with_endpoint(&format!("{}timeout = \"300ms\"\n", both(&url)));
    hangs.check(&[]).await.only("error connect", "within 300 ms (timeout)");
}

/// An authority of our own; its certificate is in a file.
fn authority(file: &Path) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, file.display().to_string());
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    std::fs::write(file, authority.pem()).expect("a file");
    authority
}

/// Takes TLS connections with a certificate for this name.
async fn tls(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, expired: bool) -> (SocketAddr, JoinSet<()>) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    if expired {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let config = rustls::ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a private key"),
        )
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 1]).await;
            }
        }
    });
    (address, tasks)
}

#[tokio::test]
async fn certificates() {
    let place = Place::of("");
    let (ours, theirs) = (place.path("ours.pem"), place.path("theirs.pem"));
    let us = authority(&ours);
    authority(&theirs);
    let (good, _good) = tls(&us, "127.0.0.1", false).await;
    let (expired, _expired) = tls(&us, "127.0.0.1", true).await;
    let (other, _other) = tls(&us, "other.example.com", false).await;
    let check = async |address: SocketAddr, ca: &Path| {
        let keys = format!("{}ca_file = \"{}\"\n", both(&format!("https://{address}/")), ca.display());
        Place::with_endpoint(&keys).check(&[]).await
    };
    let fine = check(good, &ours).await;
    assert_eq!((fine.code, fine.bad()), (Some(0), Vec::new()), "{:?}", fine.findings);
    check(good, &theirs).await.only("error tls", "is from an authority that is not trusted; see ca_file");
    check(expired, &ours).await.only("error tls", "has expired");
    check(other, &ours).await.only("error tls", "is not for 127.0.0.1, but for other.example.com");
    let plain = Receiver::start().await;
    check(plain.address(), &ours).await.only("error tls", "does not speak TLS");
}

#[tokio::test]
async fn answers() {
    let receiver = Receiver::start().await;
    let keys = format!("url = \"{}\"\ncommands = [\"{BEFORE}\"]\ntimeout = \"1s\"\n", receiver.url("/callback"));
    let place = Place::with_endpoint(&keys);
    let garbage = || Answer::text("text/html", "<html>come in</html>");
    let reject = || Answer::from(json!({"ActionStatus": "OK", "ErrorInfo": "never", "ErrorCode": 120_001}));
    for (answer, expected, words) in [
        (Answer::status(401), "error refuses_caller", "HTTP 401"),
        (Answer::status(403), "error refuses_caller", "wrong secret or token?"),
        (Answer::status(404), "error path", "nobody takes calls there"),
        (Answer::status(405), "error path", "HTTP 405"),
        (Answer::status(302), "error redirect", "never followed"),
        (Answer::status(500), "error bad_status", "HTTP 500"),
        (garbage(), "error bad_body", "is not understood"),
        (Answer::go_on().late(std::time::Duration::from_millis(600)), "warn slow", "of the 1000 ms that a call has"),
        (
            Answer::go_on().late(std::time::Duration::from_secs(3)),
            "error no_answer",
            "no complete answer within 1000 ms",
        ),
        (reject(), "warn rejects", "120001"),
    ] {
        receiver.answers(BEFORE, answer);
        let checked = place.check(&["--call"]).await;
        let bad: Vec<_> = checked.bad().into_iter().filter(|bad| bad != "warn only_asked").collect();
        assert_eq!(bad, [expected], "{:?}", checked.findings);
        let (level, rule) = expected.split_once(' ').expect("level and rule");
        assert!(checked.words(rule).contains(words), "{words:?} is not in {:?}", checked.words(rule));
        assert_eq!(checked.code, Some(if level == "error" { 1 } else { 0 }));
    }
}

#[tokio::test]
async fn a_clock_that_is_wrong_breaks_signatures() {
    let answer =
        "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Each in its turn would wait for the one that only looks whether somebody is there.
            tokio::spawn(async move {
                let mut request = [0; 64 * 1024];
                if stream.read(&mut request).await.unwrap_or_default() > 0 {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    let keys = format!("url = \"http://{address}/\"\ncommands = [\"{AFTER}\"]\n");
    let signed = Place::with_endpoint(&format!("{keys}secret = \"{secret}\"\n"));
    signed.check(&["--call"]).await.only("error clock", "takes signatures for too old or too new");
    Place::with_endpoint(&keys).check(&["--call"]).await.only("warn clock", "behind ours");
}

#[tokio::test]
async fn a_running_server_says_how_they_stand() {
    let endpoint = |url: &str| {
        vec![
            Endpoint::tencent(format!("{url}/callback")).named("good").retries(["0s"]),
            Endpoint::tencent("http://127.0.0.1:1/".to_owned()).named("dead").timeout("200ms"),
        ]
    };
    let mut stage = Stage::with(Setup::new(), endpoint).await;
    // A dead letter is one.
    stage.server.expect_errors();
    // 8 calls that nobody answers, of as many conversations: it is down, and its breaker is open.
    for number in 0..10 {
        let to = format!("peer{number}");
        stage.tencent.import(&[to.as_str()]).await;
        stage.tencent.ok("openim/sendmsg", c2c("alice", &to, "hi")).await;
    }
    let checked = until("the dead endpoint to be down", async || {
        let checked = of_server(&stage.server, &["dead"]).await;
        let bad = checked.bad();
        (bad.contains(&"error down".to_owned()) && bad.contains(&"error breaker".to_owned())).then_some(checked)
    })
    .await;
    assert_eq!(checked.code, Some(1));
    assert!(checked.bad().contains(&"error connect".to_owned()), "{:?}", checked.findings);

    // An event that is given up, and then a pause.
    stage.backend.answers_in_turn(AFTER, [Answer::status(500), Answer::go_on()]);
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "poison")).await;
    until("the dead letter", async || {
        let checked = of_server(&stage.server, &["good"]).await;
        checked.bad().contains(&"warn dead_letters".to_owned()).then_some(())
    })
    .await;
    let ended = cli::of_server(&stage.server, &["callbacks", "pause", "good"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let checked = until("the pause", async || {
        let checked = of_server(&stage.server, &["good"]).await;
        checked.bad().contains(&"error paused".to_owned()).then_some(checked)
    })
    .await;
    assert!(checked.words("paused").contains("(operator)"), "{}", checked.words("paused"));

    // One that was configured after the start; and a token that is not this server's.
    let more = std::fs::read_to_string(stage.server.config_file()).expect("the configuration");
    let more = more.replace("name = \"good\"", "name = \"new\"");
    let place = Place::of(&more);
    let mut command = ringback();
    command.args(["check", "new", "--json", "--server"]).arg(format!("http://{}", stage.server.http()));
    command.arg("--config").arg(place.path("ringback.toml")).arg("--data-dir").arg(stage.server.data_dir());
    let checked = Checked::of(finish(command).await);
    assert!(checked.bad().contains(&"error unknown_to_server".to_owned()), "{:?}", checked.findings);
    let mut command = ringback();
    command.args(["check", "--json", "--server"]).arg(format!("http://{}", stage.server.http()));
    command.arg("--config").arg(stage.server.config_file());
    let hush = "hushhushhushhushhushhushhushhush";
    let ended = finish({
        command.env("RINGBACK_SERVER__ADMIN_TOKEN", hush);
        command
    })
    .await;
    assert!(!ended.out.contains(hush) && !ended.err.contains(hush), "{ended:?}");
    assert!(Checked::of(ended).words("server").contains("this is not the admin token"));
}
