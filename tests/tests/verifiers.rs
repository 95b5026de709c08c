//! What the server signs, the official packages of Standard Webhooks verify: npm's, PyPI's and the crate.
//! (The packages know `v1`; what is signed with Ed25519, `v1a`, is verified by Node.js's own crypto.)

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tests::openim::group;
use tests::receiver::Call;
use tests::{Endpoint, Setup, Stage, group_text};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW: &str = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldw==";
const ANOTHER: &str = "whsec_YW5vdGhlci1hbm90aGVyLWFub3RoZXItYW5vdGhlcg==";
const ED25519: &str = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=";

const AFTER: &str = "Group.CallbackAfterSendMsg";
const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";

const PYTHON: &str = r#"
import json, sys
from standardwebhooks import Webhook, WebhookVerificationError
case = json.load(sys.stdin)
try:
    Webhook(case["secret"]).verify(case["body"], case["headers"])
    print("accepted")
except WebhookVerificationError as error:
    print("refused:", error)
"#;

const NODE: &str = r#"
const { Webhook, WebhookVerificationError } = require("standardwebhooks");
const { secret, body, headers } = JSON.parse(require("fs").readFileSync(0, "utf8"));
try {
    new Webhook(secret).verify(body, headers);
    console.log("accepted");
} catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.log("refused:", error.message);
}
"#;

/// `v1a`, by the specification: there is no official package for it in these languages.
const NODE_ED25519: &str = r#"
const crypto = require("crypto");
const { secret, body, headers } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(secret.slice(5), "base64")]);
const key = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
const fits = headers["webhook-signature"].split(" ").some((one) => {
    const [version, signature] = one.split(",");
    return version === "v1a" && crypto.verify(null, signed, key, Buffer.from(signature, "base64"));
});
console.log(fits ? "accepted" : "refused: no signature fits");
"#;

#[derive(Clone, Copy, Debug)]
enum Verifier {
    Npm,
    PyPi,
    Crate,
    Ed25519,
}

const OFFICIAL: [Verifier; 3] = [Verifier::Npm, Verifier::PyPi, Verifier::Crate];

impl Verifier {
    /// Whether a receiver with this secret (or public key) would accept the call.
    async fn accepts(self, call: &Call, secret: &str) -> bool {
        match self {
            Self::Npm => run(node().args(["-e", NODE]), call, secret).await,
            Self::Ed25519 => run(node().args(["-e", NODE_ED25519]), call, secret).await,
            Self::PyPi => {
                let python = std::env::var_os("RINGBACK_PYTHON").map(PathBuf::from).expect(
                    "RINGBACK_PYTHON names a Python that has standardwebhooks (./scripts/test makes one, in target/venv)",
                );
                run(Command::new(python).args(["-c", PYTHON]), call, secret).await
            }
            Self::Crate => {
                let headers = call.headers.iter().map(|(name, value)| {
                    (name.parse().expect("a header's name"), value.parse().expect("a header's value"))
                });
                let webhook = Webhook::new(secret).expect("a secret");
                webhook.verify(&call.bytes, &headers.collect()).is_ok()
            }
        }
    }
}

fn node() -> Command {
    let modules = std::env::var_os("RINGBACK_NODE_MODULES").expect(
        "RINGBACK_NODE_MODULES names a directory that has standardwebhooks (./scripts/test makes one, target/node_modules)",
    );
    let mut node = Command::new("node");
    node.env("NODE_PATH", modules);
    node
}

/// Hands a call to a program, and reads its verdict. A program that fails is no refusal.
async fn run(program: &mut Command, call: &Call, secret: &str) -> bool {
    let body = std::str::from_utf8(&call.bytes).expect("JSON");
    let case = json!({"secret": secret, "body": body, "headers": call.headers}).to_string();
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the verifier starts");
    let mut stdin = child.stdin.take().expect("a piped stdin");
    stdin.write_all(case.as_bytes()).await.expect("the verifier reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("the verifier ends");
    let verdict = String::from_utf8_lossy(&output.stdout);
    match verdict.trim() {
        "accepted" => true,
        refused if refused.starts_with("refused: ") => false,
        other => panic!("{other}\n{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// A question and a telling in each dialect.
async fn calls_of(secrets: &[&str]) -> (Stage, Vec<Call>) {
    let signed = |endpoint: Endpoint| secrets.iter().fold(endpoint, |endpoint, secret| endpoint.secret(secret));
    let stage = Stage::with(Setup::new(), |url| {
        vec![
            signed(Endpoint::tencent(format!("{url}/callback")).hears(["Group.CallbackBeforeSendMsg", AFTER])),
            signed(
                Endpoint::openim(format!("{url}/webhook"))
                    .hears(["callbackBeforeSendGroupMsgCommand", "callbackAfterSendGroupMsgCommand"]),
            ),
        ]
    })
    .await;
    stage.tencent.create_group("g0", "alice", &["bob"]).await;
    stage.openim.ok("/msg/send_msg", group("alice", "g0", "grüß dich, \"Bob\" \u{1f9d7}")).await;
    let calls = stage.backend.wait_until("both dialects' calls", |calls| calls.len() >= 4).await;
    (stage, calls)
}

/// As it would arrive with a word changed on the way.
fn tampered(call: &Call) -> Call {
    let mut call = call.clone();
    let mut body = call.bytes.to_vec();
    body.insert(1, b' ');
    call.bytes = body.into();
    call
}

#[tokio::test]
async fn the_official_verifiers_accept_our_calls() {
    let (_stage, calls) = calls_of(&[OLD]).await;
    assert_eq!(calls.len(), 4);
    for call in &calls {
        for verifier in OFFICIAL {
            assert!(verifier.accepts(call, OLD).await, "{verifier:?}: {call:?}");
            assert!(!verifier.accepts(call, ANOTHER).await, "{verifier:?} accepts a wrong secret");
            assert!(!verifier.accepts(&tampered(call), OLD).await, "{verifier:?} accepts another body");
        }
    }
}

/// Two secrets at once: receivers that know either accept every call.
#[tokio::test]
async fn during_a_rotation_both_secrets_are_good() {
    let (_stage, calls) = calls_of(&[NEW, OLD]).await;
    for call in &calls {
        for verifier in OFFICIAL {
            for secret in [NEW, OLD] {
                assert!(verifier.accepts(call, secret).await, "{verifier:?}: {call:?}");
            }
            assert!(!verifier.accepts(call, ANOTHER).await, "{verifier:?} accepts a wrong secret");
        }
    }
}

/// From one secret to the next, with a receiver that checks every call with the one that it has.
#[tokio::test]
async fn a_rotation_fails_no_call() {
    let mut stage =
        Stage::with(Setup::new(), |url| vec![Endpoint::tencent(format!("{url}/callback")).hears([AFTER]).secret(OLD)])
            .await;
    stage.tencent.create_group("g0", "alice", &["bob"]).await;
    let mut told = 0;
    let configured = |secrets: &[&str]| format!("secret = {}", json!(secrets));
    let steps = [
        // What the server signs with, what it signed with before, and what the receiver knows.
        (vec![OLD], OLD),
        (vec![NEW, OLD], OLD),
        (vec![NEW, OLD], NEW),
        (vec![NEW], NEW),
    ];
    let mut before = configured(&[OLD]);
    for (secrets, known) in steps {
        let now = configured(&secrets).replace("\",\"", "\", \"");
        if now != before {
            let file = stage.server.config_file().to_owned();
            let text = std::fs::read_to_string(&file).expect("the configuration");
            assert!(text.contains(&before), "{before} is not in\n{text}");
            std::fs::write(&file, text.replace(&before, &now)).expect("the configuration");
            stage.server.stop_and_restart().await;
            before = now;
        }
        let tencent = stage.server.tencent();
        tencent.ok(SEND_GROUP, group_text("g0", "alice", &format!("{told}"))).await;
        told += 1;
        let call = stage.backend.wait_for(AFTER, told).await.pop().expect("a call");
        for verifier in OFFICIAL {
            assert!(verifier.accepts(&call, known).await, "{verifier:?}, signed with {secrets:?}: {call:?}");
        }
    }
    let last = stage.backend.calls_of(AFTER).pop().expect("a call");
    for verifier in OFFICIAL {
        assert!(!verifier.accepts(&last, OLD).await, "{verifier:?}: the old secret is gone");
    }
}

/// Ed25519 beside HMAC: the receiver needs no secret, only the key that the log shows.
#[tokio::test]
async fn a_public_key_verifies() {
    let (mut stage, calls) = calls_of(&[ED25519, NEW]).await;
    let keys: Vec<Value> =
        stage.server.log().iter().map(|line| line["public_key"].clone()).filter(|key| !key.is_null()).collect();
    assert_eq!(keys.len(), 2, "one for each endpoint: {keys:?}");
    let public = keys[0].as_str().expect("a key");
    assert!(public.starts_with("whpk_"), "{public}");
    for call in &calls {
        assert!(Verifier::Ed25519.accepts(call, public).await, "{call:?}");
        assert!(!Verifier::Ed25519.accepts(&tampered(call), public).await);
        // Those who know only v1 take what they know.
        for verifier in OFFICIAL {
            assert!(verifier.accepts(call, NEW).await, "{verifier:?}: {call:?}");
        }
    }
    let another = format!("whpk_{}", "A".repeat(43) + "=");
    assert!(!Verifier::Ed25519.accepts(&calls[0], &another).await);
    stage.server.stop().await;
    let log: String = stage.server.log().iter().map(Value::to_string).collect();
    assert!(!log.contains(&ED25519[5..]) && !log.contains(&NEW[6..]), "a secret is in the log");
}
