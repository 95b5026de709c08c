//! The binary's other commands: credentials, the sample backend, the demo, and help that teaches.

use std::process::Stdio;

use serde_json::{Value, json};
use tests::cli::{Ended, finish, ringback, run};
use tests::openim::{OpenIm, content_of, group, single};
use tests::server::SDKAPPID;
use tests::tencent::text_of;
use tests::usersig::{now, unpack};
use tests::wait::within;
use tests::wire::keys;
use tests::{Endpoint, Server, Setup, Stage, Tencent, c2c, group_text};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};

/// A command about this server: with its configuration and data directory.
async fn about(server: &Server, words: &[&str]) -> Ended {
    let mut command = ringback();
    command.args(words).arg("--config").arg(server.config_file()).arg("--data-dir").arg(server.data_dir());
    finish(command).await
}

/// What a good command prints, which must be one line and nothing else.
fn line(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line = ended.out.strip_suffix('\n').expect("a line");
    assert!(!line.is_empty() && !line.contains(char::is_whitespace), "not the credential alone: {:?}", ended.out);
    line
}

#[tokio::test]
async fn a_usersig_from_the_command_line_signs_in() {
    let server = Setup::new().start().await;
    let ended = about(&server, &["usersig", "administrator"]).await;
    let usersig = line(&ended);
    Tencent::with_usersig(server.http(), &SDKAPPID.to_string(), "administrator", usersig).import(&["alice"]).await;
    let document = unpack(usersig);
    assert_eq!((&document["TLS.identifier"], &document["TLS.sdkappid"]), (&json!("administrator"), &json!(SDKAPPID)));
    assert_eq!(document["TLS.expire"], 180 * 86400);
    assert!(document["TLS.time"].as_u64().expect("a second").abs_diff(now()) < 60);

    let ended = about(&server, &["usersig", "alice", "--expire", "90s"]).await;
    assert_eq!(unpack(line(&ended))["TLS.expire"], 90);
}

#[tokio::test]
async fn a_token_from_the_command_line_signs_in() {
    let server = Setup::new().start().await;
    let ended = about(&server, &["token", "imAdmin", "--platform", "10"]).await;
    let admin = OpenIm::with_token(server.http(), line(&ended));
    admin.register(&["alice"]).await;

    let ended = about(&server, &["token", "alice", "--platform", "5"]).await;
    let alice = OpenIm::with_token(server.http(), line(&ended));
    let parsed = alice.ok("/auth/parse_token", json!({"token": alice.token()})).await;
    assert_eq!((&parsed["userID"], &parsed["platformID"]), (&json!("alice"), &json!(5)));
    alice.ok("/user/get_users_info", json!({"userIDs": ["alice"]})).await;
}

/// A running `ringback listen --json`.
struct Listener {
    url: String,
    lines: Lines<BufReader<ChildStdout>>,
    _stderr: Lines<BufReader<ChildStderr>>,
    _child: Child,
}

impl Listener {
    async fn start(words: &[&str]) -> Self {
        let mut command = ringback();
        command
            .args(["listen", "--addr", "127.0.0.1:0", "--json"])
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let url = within("the listener's address on standard error", async {
            loop {
                let line = stderr.next_line().await.expect("standard error").expect("the listener ended");
                if let Some((_, rest)) = line.split_once("http://127.0.0.1:") {
                    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    return format!("http://127.0.0.1:{port}");
                }
            }
        })
        .await;
        Self { url, lines, _stderr: stderr, _child: child }
    }

    /// The next call that it printed.
    async fn next(&mut self) -> Value {
        let line = within("a line of the listener", self.lines.next_line())
            .await
            .expect("standard output")
            .expect("the listener ended");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    /// The next call of this command.
    async fn next_of(&mut self, command: &str) -> Value {
        loop {
            let call = self.next().await;
            let is_it = |name: &str| call["body"][name] == command;
            if is_it("CallbackCommand") || is_it("callbackCommand") {
                return call;
            }
        }
    }
}

async fn heard_by(listener: &Listener) -> Stage {
    let setup = Setup::new()
        .endpoint(Endpoint::tencent(format!("{}/callback?x=1", listener.url)))
        .endpoint(Endpoint::openim(format!("{}/webhook", listener.url)));
    let stage = Stage::with(setup, |_| Vec::new()).await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    stage
}

#[tokio::test]
async fn the_sample_backend_prints_each_call_as_a_line_of_json() {
    let mut listener = Listener::start(&[]).await;
    let stage = heard_by(&listener).await;
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "hi")).await;
    let call = listener.next_of("C2C.CallbackBeforeSendMsg").await;
    assert_eq!(keys(&call), ["answer", "body", "headers", "method", "path", "query", "status", "time"]);
    assert_eq!(json!([call["method"], call["path"], call["status"]]), json!(["POST", "/callback", 200]));
    assert_eq!(
        json!([call["query"]["SdkAppid"], call["query"]["CallbackCommand"], call["query"]["x"]]),
        json!(["1400000000", "C2C.CallbackBeforeSendMsg", "1"])
    );
    assert!(
        call["headers"]["content-type"].as_str().is_some_and(|kind| kind.starts_with("application/json")),
        "{call}"
    );
    assert_eq!(text_of(&call["body"]), "hi");
    assert_eq!(json!([call["answer"]["ActionStatus"], call["answer"]["ErrorCode"]]), json!(["OK", 0]));

    let call = listener.next_of("callbackAfterSendSingleMsgCommand").await;
    assert_eq!(call["path"], "/webhook/callbackAfterSendSingleMsgCommand");
    assert_eq!(json!([call["query"]["contenttype"], call["answer"]["actionCode"]]), json!(["json", 0]));
    assert_eq!(content_of(&call["body"])["content"], "hi");
}

#[tokio::test]
async fn the_sample_backend_rejects_discards_and_replaces() {
    let listener = Listener::start(&["--reject", "casino", "--discard", "spam", "--replace", "lunch=dinner"]).await;
    let stage = heard_by(&listener).await;
    let code = stage.tencent.refused("openim/sendmsg", c2c("alice", "bob", "to the casino")).await;
    assert!((120_001..=130_000).contains(&code) || code == 20006, "{code}");
    let code = stage
        .tencent
        .refused("group_open_http_svc/send_group_msg", group_text("climbers", "alice", "to the casino"))
        .await;
    assert!((10_100..=10_200).contains(&code) || code == 10016, "{code}");
    stage.openim.refused("/msg/send_msg", group("alice", "climbers", "to the casino")).await;

    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "spam, spam")).await;
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "lunch?")).await;
    stage.openim.ok("/msg/send_msg", single("alice", "bob", "or lunch?")).await;
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["dinner?", "or dinner?"]);
    assert_eq!(stage.tencent.group_texts("climbers").await, [""; 0]);
}

/// What fails now and then is told again until it is told.
#[tokio::test]
async fn the_sample_backend_fails_as_often_as_it_should() {
    let mut listener = Listener::start(&["--fail-rate", "1"]).await;
    let stage = heard_by(&listener).await;
    stage.tencent.ok("openim/sendmsg", c2c("alice", "bob", "hi")).await;
    assert_eq!(listener.next().await["status"], 500);
    assert_eq!(listener.next_of("C2C.CallbackAfterSendMsg").await["status"], 500);
    assert_eq!(listener.next_of("C2C.CallbackAfterSendMsg").await["status"], 500, "and again");
}

#[tokio::test]
async fn the_demo_plays_its_scenarios_and_ends_well() {
    let ended = run(["demo", "--once"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for command in [
        "C2C.CallbackBeforeSendMsg",
        "C2C.CallbackAfterSendMsg",
        "Group.CallbackAfterSendMsg",
        "Group.CallbackAfterGroupInfoChanged",
        "callbackAfterSendGroupMsgCommand",
    ] {
        assert!(ended.out.contains(command), "the demo shows no {command}:\n{}", ended.out);
    }
    assert!(!ended.out.contains('\u{1b}'), "colours are for terminals");
}

#[tokio::test]
async fn help_teaches() {
    let ended = run(["--help"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for command in ["serve", "demo", "listen", "usersig", "token"] {
        assert!(ended.out.contains(command), "{}", ended.out);
        let help = run([command, "--help"]).await;
        assert_eq!(help.code, Some(0), "{help:?}");
        assert!(help.out.contains("Usage") && help.out.contains("ringback"), "{}", help.out);
    }
    let version = run(["--version"]).await;
    assert!(version.code == Some(0) && version.out.starts_with("ringback "), "{version:?}");
}

#[tokio::test]
async fn wrong_usage_is_exit_code_2() {
    for words in [
        &["serf"][..],
        &["serve", "--nonsense"],
        &["token", "alice"],
        &["token", "alice", "--platform", "99"],
        &["usersig"],
        &["usersig", "alice", "--expire", "soon"],
        &["listen", "--addr", "nowhere"],
    ] {
        let mut command = ringback();
        command.args(words);
        let ended = finish(command).await;
        assert_eq!(ended.code, Some(2), "{words:?}: {ended:?}");
        assert!(!ended.err.is_empty() && ended.out.is_empty(), "{words:?}: {ended:?}");
    }
}
