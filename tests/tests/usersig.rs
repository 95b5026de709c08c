//! UserSig: who may call `/v4`. Vectors and rules from `spec/tencent/rules.md` 1 and 2.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tests::http::percent;
use tests::server::{ADMIN, KEY, SDKAPPID};
use tests::usersig::{UserSig, now, pack};
use tests::{Server, Setup, Tencent};

const CHECK: &str = "im_open_login_svc/account_check";

const VECTOR_APP: u64 = 20_240_001;
const VECTOR_KEY: &str = "self-hosted-demo-key-001";
const VECTOR: &str = "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwvkFxfGJKbmZeVDJ4pTsxIKCzBQlKyMDIxMDAwNDiHhqRUFmUaqSlYUZUBAiVJKZCxQwNDeAAqgBmelAY429IwvTIwzN8nNMDIpKS90CqrQjtY2TQszNHUM93E29LZNykisS3V3NIz1tlWoBRBYxAA__";

fn question() -> Value {
    json!({"CheckItem": [{"UserID": "alice"}]})
}

fn good() -> UserSig {
    UserSig::new(SDKAPPID, ADMIN)
}

/// The answer to a call with this UserSig, as the admin.
async fn code_of(server: &Server, usersig: &str) -> i64 {
    let caller = Tencent::with_usersig(server.http(), &SDKAPPID.to_string(), ADMIN, usersig);
    caller.call(CHECK, question()).await["ErrorCode"].as_i64().expect("a code")
}

/// Our own signer against the vectors, so that the scenarios below mean something.
#[test]
fn the_harness_signs_as_the_rules_say() {
    let mut vector = UserSig {
        identifier: "ops_admin".to_owned(),
        sdkappid: VECTOR_APP,
        time: 1_700_000_000,
        expire: 86_400,
        userbuf: None,
    };
    assert_eq!(vector.signature(VECTOR_KEY), "3KYqgX16ol40ruuFPz+Y+3bT77AUHG5K9blcxaGE7YI=");
    assert_eq!(tests::usersig::unpack(VECTOR), vector.document(VECTOR_KEY));
    vector.userbuf = Some(vec![0, 0, 1, 0x78]);
    assert_eq!(vector.document(VECTOR_KEY)["TLS.userbuf"], "AAABeA==");
    assert_eq!(vector.signature(VECTOR_KEY), "kqLYCeaBc0XJlM3RmqOr6oanEz6IXEF/CInZXKQxAfU=");
}

/// The vector is of 2023: rightly signed, and expired. With another key it is not even rightly signed.
#[tokio::test]
async fn the_vector_is_genuine_and_expired() {
    for (key, code) in [(VECTOR_KEY, 70001), ("another-key", 70009)] {
        let server = Setup::new().tencent_app(VECTOR_APP, key, "ops_admin").start().await;
        let caller = Tencent::with_usersig(server.http(), "20240001", "ops_admin", VECTOR);
        assert_eq!(caller.refused(CHECK, question()).await, code);
    }
}

#[tokio::test]
async fn a_good_one_is_accepted_in_every_form_it_may_have() {
    let server = Setup::new().start().await;
    assert_eq!(code_of(&server, &good().sign(KEY)).await, 0);
    assert_eq!(code_of(&server, &UserSig { userbuf: Some(vec![0, 0, 1, 0x78]), ..good() }.sign(KEY)).await, 0);
    assert_eq!(code_of(&server, &UserSig { time: now() - 3000, expire: 3600, ..good() }.sign(KEY)).await, 0);
    assert_eq!(code_of(&server, &UserSig { expire: 10 * 365 * 86400, ..good() }.sign(KEY)).await, 0);

    // Integers as strings, other compression, parameters in another order, unencoded `*`.
    let mut as_strings = good().document(KEY);
    for field in ["TLS.sdkappid", "TLS.expire", "TLS.time"] {
        as_strings[field] = as_strings[field].to_string().into();
    }
    assert_eq!(code_of(&server, &pack(as_strings.to_string().as_bytes())).await, 0);
    let raw = good().sign(KEY);
    let query = format!("usersig={raw}&contenttype=json&identifier={ADMIN}&random=99999999&sdkappid={SDKAPPID}");
    let caller = Tencent::with_query(server.http(), &query);
    caller.ok(CHECK, question()).await;
}

#[tokio::test]
async fn a_bad_one_is_refused_by_its_fault() {
    let server = Setup::new().start().await;
    let other_identifier = UserSig::new(SDKAPPID, "somebody");
    let other_app = UserSig::new(SDKAPPID + 1, ADMIN);
    let mut forged = good().document(KEY);
    forged["TLS.expire"] = 999_999_999.into();
    let mut stolen = other_identifier.document(KEY);
    stolen["TLS.identifier"] = ADMIN.into();
    for (what, usersig, code) in [
        ("expired", UserSig { time: now() - 7200, expire: 3600, ..good() }.sign(KEY), 70001),
        ("signed with another key", good().sign("another-key"), 70009),
        ("with a longer life than was signed", pack(forged.to_string().as_bytes()), 70009),
        ("somebody else's", other_identifier.sign(KEY), 70013),
        ("somebody else's, relabelled", pack(stolen.to_string().as_bytes()), 70009),
        ("of another app", other_app.sign(KEY), 70014),
    ] {
        assert_eq!(code_of(&server, &usersig).await, code, "{what}");
    }
}

#[tokio::test]
async fn what_is_no_usersig_at_all_is_refused_as_malformed() {
    let server = Setup::new().start().await;
    let bomb = pack(format!("{{\"TLS.sig\":\"{}\"}}", " ".repeat(16 << 20)).as_bytes());
    let malformed = [
        ("empty", String::new()),
        ("no base64", "%%%".to_owned()),
        ("plain text", "hello".to_owned()),
        ("no zlib", "aGVsbG8gaGVsbG8gaGVsbG8_".to_owned()),
        ("no JSON", pack(b"hello")),
        ("no object", pack(b"[1]")),
        ("no signature", pack(br#"{"TLS.ver":"2.0"}"#)),
        ("of wrong types", pack(br#"{"TLS.ver":2,"TLS.identifier":[],"TLS.sdkappid":{},"TLS.expire":true,"TLS.time":null,"TLS.sig":1}"#)),
        ("with numbers that overflow", pack(format!(r#"{{"TLS.ver":"2.0","TLS.identifier":"{ADMIN}","TLS.sdkappid":{SDKAPPID},"TLS.expire":18446744073709551615,"TLS.time":18446744073709551615,"TLS.sig":"x"}}"#).as_bytes())),
        ("cut off", good().sign(KEY)[..60].to_owned()),
        ("a bomb", bomb),
    ];
    for (what, usersig) in malformed {
        let code = code_of(&server, &usersig).await;
        assert!((60002..=60012).contains(&code) || [70002, 70003, 70005, 70009].contains(&code), "{what}: {code}");
    }
    assert_eq!(code_of(&server, &good().sign(KEY)).await, 0);
}

#[tokio::test]
async fn the_urls_parameters_are_all_needed() {
    let server = Setup::new().start().await;
    let usersig = percent(&good().sign(KEY));
    let of_other_app = percent(&UserSig::new(SDKAPPID + 1, ADMIN).sign(KEY));
    let other = SDKAPPID + 1;
    for (what, query, codes) in [
        ("no sdkappid", format!("identifier={ADMIN}&usersig={usersig}"), &[60012][..]),
        ("sdkappid in words", format!("sdkappid=abc&identifier={ADMIN}&usersig={usersig}"), &[60006]),
        (
            "sdkappid of another app",
            format!("sdkappid={other}&identifier={ADMIN}&usersig={of_other_app}"),
            &[60006, 70014, 70020],
        ),
        (
            "sdkappid of another app, our signature",
            format!("sdkappid={other}&identifier={ADMIN}&usersig={usersig}"),
            &[60006, 70014, 70020],
        ),
        ("no identifier", format!("sdkappid={SDKAPPID}&usersig={usersig}"), &[60002, 60004, 60005]),
        ("no usersig", format!("sdkappid={SDKAPPID}&identifier={ADMIN}"), &[60002, 60004, 60005]),
        ("names are case-sensitive", format!("SdkAppid={SDKAPPID}&identifier={ADMIN}&usersig={usersig}"), &[60012]),
        ("nothing", String::new(), &[60012]),
    ] {
        let code = Tencent::with_query(server.http(), &query).refused(CHECK, question()).await;
        assert!(codes.contains(&code), "{what}: {code}, not one of {codes:?}");
    }
}

#[tokio::test]
async fn only_an_admin_may_call() {
    let server = Setup::new().start().await;
    server.tencent().import(&["alice"]).await;
    let alice = Tencent::new(server.http(), SDKAPPID, KEY, "alice");
    for (command, body, own_code) in [
        (CHECK, question(), 70403),
        ("im_open_login_svc/account_import", json!({"UserID": "mallory"}), 70403),
        ("openim/sendmsg", tests::c2c("alice", "alice", "hi"), 90009),
        ("group_open_http_svc/create_group", json!({"Type": "Public", "Name": "x"}), 10007),
        ("sns/black_list_add", json!({"From_Account": "alice", "To_Account": ["bob"]}), 30004),
    ] {
        let code = alice.refused(command, body).await;
        assert!([60010, own_code].contains(&code), "{command}: {code}");
    }
    let answer = server.tencent().ok(CHECK, json!({"CheckItem": [{"UserID": "mallory"}]})).await;
    assert_eq!(answer["ResultItem"][0]["AccountStatus"], "NotImported");
}

/// The official signer for Python, `tls-sig-api-v2` from PyPI, signs for us.
#[tokio::test]
async fn the_official_library_signs_for_us() {
    let python = std::env::var_os("RINGBACK_PYTHON").map(PathBuf::from).expect(
        "RINGBACK_PYTHON names a Python that has tls-sig-api-v2 (./scripts/test makes one: python3 -m venv target/venv && target/venv/bin/pip install tls-sig-api-v2)",
    );
    let sign = |call: &str| {
        let program = format!(
            "import TLSSigAPIv2, sys; api = TLSSigAPIv2.TLSSigAPIv2({SDKAPPID}, '{KEY}'); sys.stdout.write({call})"
        );
        let output = Command::new(&python).args(["-c", &program]).output().expect("Python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a UserSig")
    };
    let server = Setup::new().start().await;
    assert_eq!(code_of(&server, &sign(&format!("api.gen_sig('{ADMIN}')"))).await, 0);
    assert_eq!(code_of(&server, &sign(&format!("api.gen_sig('{ADMIN}', 3600)"))).await, 0);
    assert_eq!(code_of(&server, &sign(&format!("api.gen_sig_with_userbuf('{ADMIN}', 3600, b'abc')"))).await, 0);
    assert_eq!(code_of(&server, &sign(&format!("api.gen_sig('{ADMIN}', -1)"))).await, 70001);
    assert_eq!(code_of(&server, &sign("api.gen_sig('somebody', 3600)")).await, 70013);
}
