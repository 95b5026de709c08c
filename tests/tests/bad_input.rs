//! Everything wrong that can be sent over HTTP gets the dialect's documented code, and nothing is half done.

use serde_json::{Value, json};
use tests::openim::{group, operation, single};
use tests::server::{KEY, SDKAPPID};
use tests::tencent::with;
use tests::wait::within;
use tests::{Setup, Stage, Tencent, c2c, group_text, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SEND: &str = "openim/sendmsg";
const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const CREATE: &str = "group_open_http_svc/create_group";
const OPENIM_SEND: &str = "/msg/send_msg";

/// Nothing of what was refused has been asked about, stored or told; and the server still serves.
async fn nothing_happened(stage: &Stage) {
    nothing_happened_but(stage, &[]).await;
}

/// ... but that the backend was asked this.
async fn nothing_happened_but(stage: &Stage, asked: &[&str]) {
    assert_eq!(stage.tencent.texts("alice", "bob").await, [""; 0]);
    assert_eq!(stage.tencent.texts("bob", "alice").await, [""; 0]);
    assert_eq!(stage.tencent.unread("bob").await, 0);
    stage.tencent.ok(SEND, c2c("alice", "bob", "marker")).await;
    let told = stage.backend.first("C2C.CallbackAfterSendMsg").await;
    assert_eq!(tests::tencent::text_of(&told.body), "marker");
    let commands: Vec<_> = stage.backend.calls().into_iter().map(|call| call.command).collect();
    assert_eq!(commands, [asked, &["C2C.CallbackBeforeSendMsg", "C2C.CallbackAfterSendMsg"]].concat());
}

/// The cases of a table that got a code they should not have: all of them are shown.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn note(&mut self, body: &Value, codes: &[i64], code: &Value) {
        if !codes.iter().any(|expected| code == expected) {
            self.0.push(format!("{body}\n  got {code}, not one of {codes:?}"));
        }
    }

    fn none(&self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

fn without(mut body: Value, field: &str) -> Value {
    body.as_object_mut().expect("a body").remove(field);
    body
}

#[tokio::test]
async fn tencent_bodies_that_are_no_json_object() {
    let stage = Stage::tencent().await;
    let bodies: [&[u8]; 12] = [
        b"",
        b"{",
        b"hello",
        b"{\"a\":1}}",
        b"[]",
        b"[{}]",
        b"null",
        b"1",
        b"\"text\"",
        b"{\"a\":\"\xff\xfe\"}",
        b"{\"a\":\"\\ud800\"}",
        b"\x1f\x8b\x08",
    ];
    for body in bodies {
        for (command, own) in [
            (SEND, 90001),
            (SEND_GROUP, 10011),
            ("im_open_login_svc/account_import", 70402),
            ("sns/black_list_add", 30001),
        ] {
            let answer = stage.tencent.post(command, body.to_vec()).await.json();
            let code = answer["ErrorCode"].as_i64().expect("a code");
            let documented = [60003, own, 10004];
            assert!(documented.contains(&code), "{command} {:?}: {answer}", String::from_utf8_lossy(body));
        }
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = stage.tencent.post(SEND, format!(r#"{{"To_Account":"bob","MsgBody":{deep}}}"#)).await.json();
    assert_ne!(answer["ErrorCode"], 0, "{answer}");
    nothing_happened(&stage).await;
}

#[tokio::test]
async fn tencent_one_to_one_fields_that_are_wrong_or_missing() {
    let stage = Stage::tencent().await;
    let good = c2c("alice", "bob", "no");
    let element = |kind: Value, content: Value| json!([{"MsgType": kind, "MsgContent": content}]);
    let malformed = [90001, 90002, 90007, 90010];
    let cases: Vec<(Value, &[i64])> = vec![
        (without(good.clone(), "To_Account"), &[90003]),
        (with(good.clone(), json!({"To_Account": 7})), &[90003, 60015]),
        (with(good.clone(), json!({"To_Account": ["bob"]})), &[90003, 60015]),
        (with(good.clone(), json!({"To_Account": ""})), &[90003]),
        (with(good.clone(), json!({"To_Account": "nobody"})), &[90012, 90048, 20003, 90003]),
        (with(good.clone(), json!({"From_Account": "nobody"})), &[90008, 90048, 20003]),
        (with(good.clone(), json!({"From_Account": 7})), &[90008, 60015]),
        (without(good.clone(), "MsgRandom"), &[90005]),
        (with(good.clone(), json!({"MsgRandom": "7"})), &[90005]),
        (with(good.clone(), json!({"MsgRandom": 1.5})), &[90005]),
        (with(good.clone(), json!({"MsgRandom": -1})), &[90005]),
        (with(good.clone(), json!({"MsgRandom": 4_294_967_296_u64})), &[90005]),
        (with(good.clone(), json!({"MsgSeq": "x"})), &[90004]),
        (with(good.clone(), json!({"MsgLifeTime": "long"})), &[90044]),
        (with(good.clone(), json!({"SyncOtherMachine": "yes"})), &[90031]),
        (with(good.clone(), json!({"OfflinePushInfo": "now"})), &[90043]),
        (without(good.clone(), "MsgBody"), &malformed),
        (with(good.clone(), json!({"MsgBody": {"MsgType": "TIMTextElem", "MsgContent": {"Text": "x"}}})), &malformed),
        (with(good.clone(), json!({"MsgBody": "text"})), &malformed),
        (with(good.clone(), json!({"MsgBody": []})), &malformed),
        (with(good.clone(), json!({"MsgBody": [7]})), &malformed),
        (with(good.clone(), json!({"MsgBody": [{}]})), &malformed),
        (with(good.clone(), json!({"MsgBody": element(json!("TIMNoSuchElem"), json!({}))})), &malformed),
        (with(good.clone(), json!({"MsgBody": element(json!(7), json!({}))})), &malformed),
        (with(good.clone(), json!({"MsgBody": element(json!("TIMTextElem"), json!("x"))})), &malformed),
        (with(good.clone(), json!({"MsgBody": element(json!("TIMTextElem"), json!({"Text": 7}))})), &malformed),
        (with(good.clone(), json!({"MsgBody": element(json!("TIMTextElem"), json!({}))})), &malformed),
        (with(good.clone(), json!({"MsgBody": [{"MsgType": "TIMTextElem"}]})), &malformed),
        (
            with(
                good.clone(),
                json!({
                    "MsgBody": [{"MsgType": "TIMCustomElem", "MsgContent": {"Data": "1"}}, {"MsgType": "TIMCustomElem", "MsgContent": {"Data": "2"}}],
                }),
            ),
            &malformed,
        ),
        (with(good.clone(), json!({"CloudCustomData": {"x": 1}})), &malformed),
    ];
    let mut wrong = Wrong::default();
    for (body, codes) in cases {
        wrong.note(&body, codes, &stage.tencent.call(SEND, body.clone()).await["ErrorCode"]);
    }
    wrong.none();
    nothing_happened(&stage).await;
}

#[tokio::test]
async fn tencent_group_fields_that_are_wrong_or_missing() {
    let stage = Stage::tencent().await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    let good = group_text("climbers", "alice", "no");
    let cases: Vec<(Value, &[i64])> = vec![
        (without(good.clone(), "GroupId"), &[10004, 10015]),
        (with(good.clone(), json!({"GroupId": 7})), &[10004, 10015]),
        (with(good.clone(), json!({"GroupId": "nowhere"})), &[10010, 10015]),
        (with(good.clone(), json!({"From_Account": "nobody"})), &[10004, 10019]),
        (without(good.clone(), "Random"), &[10004]),
        (with(good.clone(), json!({"Random": "7"})), &[10004]),
        (with(good.clone(), json!({"MsgPriority": "high"})), &[10004]),
        (with(good.clone(), json!({"MsgBody": []})), &[10004]),
        (with(good.clone(), json!({"MsgBody": [{"MsgType": "TIMNoSuchElem", "MsgContent": {}}]})), &[10004]),
        (without(good.clone(), "MsgBody"), &[10004]),
        (with(good.clone(), json!({"TopicId": "climbers@TOPIC#_none"})), &[10004, 10007, 10010, 10015]),
        (
            with(
                good.clone(),
                json!({"GroupAtInfo": vec![json!({"GroupAtAllFlag": 0, "GroupAt_Account": "bob"}); 31]}),
            ),
            &[10053],
        ),
    ];
    let mut wrong = Wrong::default();
    for (body, codes) in cases {
        wrong.note(&body, codes, &stage.tencent.call(SEND_GROUP, body.clone()).await["ErrorCode"]);
    }
    wrong.none();
    assert_eq!(stage.tencent.ok(SEND_GROUP, group_text("climbers", "alice", "marker")).await["MsgSeq"], 1);
    let told = stage.backend.first("Group.CallbackAfterSendMsg").await;
    assert_eq!(tests::tencent::text_of(&told.body), "marker");
}

#[tokio::test]
async fn tencent_groups_that_cannot_be() {
    let stage = Stage::tencent().await;
    stage.tencent.create_group("climbers", "alice", &[]).await;
    let group = |fields: Value| with(json!({"Type": "Public", "Name": "x", "Owner_Account": "bob"}), fields);
    let cases: Vec<(Value, &[i64])> = vec![
        (group(json!({"GroupId": "climbers"})), &[10021]),
        (group(json!({"GroupId": "climbers", "Owner_Account": "alice"})), &[10021, 10025]),
        (group(json!({"GroupId": "@TGS#mine"})), &[10004, 10015]),
        (group(json!({"GroupId": "x".repeat(49)})), &[10004, 10015]),
        (group(json!({"GroupId": "ça"})), &[10004, 10015]),
        (group(json!({"GroupId": "line\nbreak"})), &[10004, 10015]),
        (group(json!({"Type": "Community", "GroupId": "no-prefix"})), &[10004, 10015]),
        (without(group(json!({})), "Name"), &[10004]),
        (group(json!({"Name": "x".repeat(31)})), &[10004]),
        (group(json!({"Name": "名".repeat(11)})), &[10004]),
        (group(json!({"Owner_Account": "nobody"})), &[10019, 10004]),
        (group(json!({"MemberList": [{"Member_Account": "nobody"}]})), &[10019, 10004]),
        (group(json!({"MemberList": "bob"})), &[10004]),
        (group(json!({"MemberList": vec![json!({"Member_Account": "alice"}); 101]})), &[10004, 10005]),
        (group(json!({"ApplyJoinOption": "Perhaps"})), &[10004]),
        (group(json!({"SupportTopic": 1})), &[10004, 10007]),
    ];
    let mut wrong = Wrong::default();
    for (body, codes) in cases {
        wrong.note(&body, codes, &stage.tencent.call(CREATE, body.clone()).await["ErrorCode"]);
    }
    wrong.none();
    let answer = stage.tencent.ok("group_open_http_svc/get_group_info", json!({"GroupIdList": ["climbers"]})).await;
    assert_eq!(answer["GroupInfo"][0]["Owner_Account"], "alice");
}

#[tokio::test]
async fn tencent_hostile_ids() {
    let stage = Stage::tencent().await;
    let import = "im_open_login_svc/account_import";
    for id in [
        "",
        "\u{0}",
        "a\u{0}b",
        "tab\tbed",
        "line\nbreak",
        "\u{7f}",
        "żółw",
        "\u{202e}alice",
        "ali\u{200b}ce",
        "a\u{301}",
        "😀",
        "\u{feff}",
        &"x".repeat(33),
        &"é".repeat(17),
    ] {
        assert_eq!(stage.tencent.refused(import, json!({"UserID": id})).await, 70402, "{id:?}");
        let check = stage.tencent.call("im_open_login_svc/account_check", json!({"CheckItem": [{"UserID": id}]})).await;
        assert!(check["ErrorCode"] == 70402 || check["ResultItem"][0]["AccountStatus"] == "NotImported", "{check}");
        let code = stage.tencent.refused(SEND, c2c("alice", id, "no")).await;
        assert!([90003, 90012, 90048, 20003].contains(&code), "to {id:?}: {code}");
        if !id.is_empty() {
            let code = stage.tencent.refused(SEND, c2c(id, "bob", "no")).await;
            assert!([90008, 90048, 20003].contains(&code), "from {id:?}: {code}");
        }
    }
    for id in [json!(7), json!(null), json!(["x"]), json!({"x": 1}), json!(true)] {
        let code = stage.tencent.refused(import, json!({"UserID": id})).await;
        assert!([60015, 70402].contains(&code), "{id}: {code}");
    }
    // Strange, and allowed: printable ASCII.
    for id in ["'; DROP TABLE x; --", "a b", "../../etc/passwd", "%00", "si_alice_bob"] {
        stage.tencent.ok(import, json!({ "UserID": id })).await;
        stage
            .tencent
            .ok(
                SEND,
                with(
                    c2c("alice", id, "hi"),
                    json!({"ForbidCallbackControl": ["ForbidBeforeSendMsgCallback", "ForbidAfterSendMsgCallback"]}),
                ),
            )
            .await;
        assert_eq!(stage.tencent.texts(id, "alice").await, ["hi"]);
    }
    nothing_happened(&stage).await;
}

/// The limit is 12 KB for the message.
#[tokio::test]
async fn a_message_over_the_size_limit() {
    let stage = Stage::tencent().await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    let long = |length: usize| text(&"x".repeat(length));
    assert_eq!(
        stage.tencent.refused(SEND, with(c2c("alice", "bob", ""), json!({"MsgBody": long(13_000)}))).await,
        93000
    );
    assert_eq!(
        stage
            .tencent
            .refused(SEND, with(c2c("alice", "bob", "small"), json!({"CloudCustomData": "x".repeat(13_000)})))
            .await,
        93000
    );
    let code = stage
        .tencent
        .refused(SEND_GROUP, with(group_text("climbers", "alice", ""), json!({"MsgBody": long(13_000)})))
        .await;
    assert_eq!(code, 80002);
    assert_eq!(stage.openim.refused(OPENIM_SEND, single("alice", "bob", &"x".repeat(13_000))).await, 1001);
    nothing_happened_but(&stage, &["Group.CallbackBeforeCreateGroup"]).await;
    stage.tencent.ok(SEND, with(c2c("alice", "bob", ""), json!({"MsgBody": long(11_000)}))).await;
    assert_eq!(
        stage.tencent.ok(SEND_GROUP, with(group_text("climbers", "alice", ""), json!({"MsgBody": long(11_000)}))).await
            ["MsgSeq"],
        1
    );
}

/// What is stored must be readable again: JSON that is nested too deep is refused, and what is accepted is told.
#[tokio::test]
async fn json_that_is_nested_too_deep() {
    let stage = Stage::tencent().await;
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let mut wrong = Wrong::default();
    for levels in [65, 80, 100, 115] {
        let mut body = c2c("alice", "bob", "deep");
        body["MsgBody"][0]["MsgContent"]["X"] = nested(levels);
        let answer = stage.tencent.call(SEND, body).await;
        wrong.note(&json!(levels), &[90010], &answer["ErrorCode"]);
    }
    wrong.none();
    let mut body = c2c("alice", "bob", "marker");
    body["MsgBody"][0]["MsgContent"]["X"] = nested(64);
    stage.tencent.ok(SEND, body).await;
    assert_eq!(stage.tencent.texts("alice", "bob").await, ["marker"]);
    let told = stage.backend.first("C2C.CallbackAfterSendMsg").await;
    assert_eq!(told.body["MsgBody"][0]["MsgContent"]["X"], nested(64));
}

#[tokio::test]
async fn a_path_that_is_no_text() {
    let stage = Stage::tencent().await;
    assert_eq!(stage.tencent.call("openim/%ff", json!({})).await["ErrorCode"], 60009);
}

#[tokio::test]
async fn the_size_limit_is_a_setting() {
    let server = Setup::new().max_message_bytes(500).start().await;
    let tencent = server.tencent();
    tests::stage::cast(&tencent).await;
    assert_eq!(tencent.refused(SEND, c2c("alice", "bob", &"x".repeat(501))).await, 93000);
    tencent.ok(SEND, c2c("alice", "bob", &"x".repeat(200))).await;
}

/// What the backend writes has to fit as well.
#[tokio::test]
async fn a_rewritten_message_over_the_size_limit() {
    let stage = Stage::tencent().await;
    let answer = json!({"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "MsgBody": text(&"x".repeat(13_000))});
    stage.backend.answers("C2C.CallbackBeforeSendMsg", answer);
    assert_eq!(stage.tencent.refused(SEND, c2c("alice", "bob", "small")).await, 93000);
    assert_eq!(stage.tencent.texts("bob", "alice").await, [""; 0]);
}

/// A body that announces itself as too large is refused unread, and the connection ends.
#[tokio::test]
async fn a_body_that_is_too_large() {
    let stage = Stage::tencent().await;
    let tencent_path = stage.tencent.path(SEND);
    let group_path = stage.tencent.path(SEND_GROUP);
    let openim_headers = format!("operationID: op\r\ntoken: {}\r\n", stage.openim.token());
    for (path, headers, field, codes) in [
        (tencent_path.as_str(), "", "ErrorCode", &[93000][..]),
        (group_path.as_str(), "", "ErrorCode", &[80002]),
        (OPENIM_SEND, openim_headers.as_str(), "errCode", &[1001]),
    ] {
        let mut stream = tokio::net::TcpStream::connect(stage.server.http()).await.expect("a connection");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 1000000000\r\n\r\n{{\"To_Account\":\""
        );
        stream.write_all(head.as_bytes()).await.expect("the head is sent");
        let mut answer = Vec::new();
        within("the refusal and the end of the connection", stream.read_to_end(&mut answer)).await.expect("the answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let body = answer.split_once("\r\n\r\n").expect("an HTTP answer").1;
        let json: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
        assert!(codes.iter().any(|code| json[field] == *code), "{path}: {answer}");
    }
    nothing_happened(&stage).await;
}

/// Nor does a body without an announced end fill our memory.
#[tokio::test]
async fn a_body_without_an_end() {
    let stage = Stage::tencent().await;
    let path = stage.tencent.path(SEND);
    let mut stream = tokio::net::TcpStream::connect(stage.server.http()).await.expect("a connection");
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    let (mut from, mut to) = stream.into_split();
    let pour = async {
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let mut poured = 0_u64;
        while to.write_all(chunk.as_bytes()).await.is_ok() {
            poured += 0x10000;
            assert!(poured < 256 << 20, "the server swallows everything");
        }
    };
    let read = async {
        let mut answer = Vec::new();
        let _ = from.read_to_end(&mut answer).await;
    };
    within("the connection to end", async { tokio::join!(pour, read) }).await;
    nothing_happened(&stage).await;
}

/// A client that sends its request very slowly, or never to its end, holds up nobody else.
#[tokio::test]
async fn a_body_that_never_comes() {
    let stage = Stage::tencent().await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut stream = tokio::net::TcpStream::connect(stage.server.http()).await.expect("a connection");
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{", stage.tencent.path(SEND));
        stream.write_all(head.as_bytes()).await.expect("the head is sent");
        idle.push(stream);
    }
    nothing_happened(&stage).await;
}

#[tokio::test]
async fn only_post_is_spoken_here() {
    let stage = Stage::tencent().await;
    let reply = stage.tencent.http.get(&stage.tencent.path("im_open_login_svc/account_check")).await;
    assert_eq!(reply.status, 200);
    let code = reply.json()["ErrorCode"].as_i64().expect("a code");
    assert!([60002, 60003, 60008, 60009].contains(&code), "{code}");
}

#[tokio::test]
async fn bytes_that_are_no_http() {
    let stage = Stage::tencent().await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"HELO example.com\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(stage.server.http()).await.expect("a connection");
        stream.write_all(garbage).await.expect("garbage is sent");
        stream.shutdown().await.expect("our end is closed");
        let mut answer = Vec::new();
        let _ = within("the connection to end", stream.read_to_end(&mut answer)).await;
    }
    nothing_happened(&stage).await;
}

#[tokio::test]
async fn openim_bodies_that_are_no_json_object() {
    let stage = Stage::tencent().await;
    let headers = [("operationID", operation()), ("token", stage.openim.token().to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    for body in ["", "{", "hello", "[]", "1", "\"text\"", "{\"a\":\"\\ud800\"}"] {
        for (path, status) in [
            ("/user/get_users_info", 200),
            ("/group/create_group", 200),
            (OPENIM_SEND, 400),
            ("/msg/batch_send_msg", 400),
        ] {
            let reply = stage.openim.post(path, &headers, body).await;
            let is_json = serde_json::from_str::<Value>(body).is_ok();
            assert_eq!(reply.json()["errCode"], 1001, "{path} {body:?}: {}", reply.text());
            assert!(
                reply.status == status || (is_json && reply.status == 200),
                "{path} {body:?}: HTTP {}",
                reply.status
            );
        }
    }
    nothing_happened(&stage).await;
}

#[tokio::test]
async fn openim_fields_that_are_wrong_or_missing() {
    let stage = Stage::tencent().await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    let cases: Vec<(Value, &[i64])> = vec![
        (without(single("alice", "bob", "no"), "sendID"), &[1001]),
        (without(single("alice", "bob", "no"), "recvID"), &[1001]),
        (without(single("alice", "bob", "no"), "content"), &[1001]),
        (without(single("alice", "bob", "no"), "contentType"), &[1001]),
        (without(single("alice", "bob", "no"), "sessionType"), &[1001]),
        (with(single("alice", "bob", "no"), json!({"sendID": 7})), &[1001]),
        (with(single("alice", "bob", "no"), json!({"content": "text"})), &[1001]),
        (with(single("alice", "bob", "no"), json!({"contentType": "101"})), &[1001]),
        (single("alice", "nobody", "no"), &[1101, 1004]),
        (single("nobody", "bob", "no"), &[1101, 1004]),
        (single("alice", "\u{202e}bob", "no"), &[1101, 1004, 1001]),
        (group("alice", "nowhere", "no"), &[1201, 1203, 1004]),
        (group("carol", "climbers", "no"), &[1203]),
        (without(group("alice", "climbers", "no"), "groupID"), &[1001]),
    ];
    let mut wrong = Wrong::default();
    for (body, codes) in cases {
        // Wrong types are syntax errors to this route, which answers them with HTTP 400.
        let headers = [("operationID", operation()), ("token", stage.openim.token().to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = stage.openim.post(OPENIM_SEND, &headers, body.to_string()).await.json();
        wrong.note(&body, codes, &answer["errCode"]);
    }
    wrong.none();
    nothing_happened_but(&stage, &["Group.CallbackBeforeCreateGroup"]).await;
    assert_eq!(stage.tencent.group_texts("climbers").await, [""; 0]);
}

#[tokio::test]
async fn openim_hostile_ids() {
    let stage = Stage::tencent().await;
    for id in ["", "\u{0}", "a b", "a:b", "żółw", "\u{202e}alice", "😀", "line\nbreak", "../x", "'--"] {
        let users = json!({"users": [{"userID": id, "nickname": "x"}]});
        assert_eq!(stage.openim.refused("/user/user_register", users).await, 1001, "{id:?}");
        assert_eq!(
            stage.openim.ok("/user/get_users_info", json!({"userIDs": ["alice", id]})).await["usersInfo"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
    }
    nothing_happened(&stage).await;
}

/// What a caller does wrong is no error of ours: nobody is woken for it.
#[tokio::test]
async fn a_refusal_is_no_error_in_the_log() {
    let mut stage = Stage::tencent().await;
    stage.tencent.refused(SEND, json!({"To_Account": 7})).await;
    let nobody = Tencent::with_usersig(stage.server.http(), &SDKAPPID.to_string(), "administrator", "garbage");
    nobody.refused(SEND, c2c("alice", "bob", "no")).await;
    let alice = Tencent::new(stage.server.http(), SDKAPPID, KEY, "alice");
    alice.refused(SEND, c2c("alice", "bob", "no")).await;
    nothing_happened(&stage).await;
    stage.server.stop().await;
    assert!(stage.server.log().iter().all(|line| line["level"] != "ERROR"));
}
