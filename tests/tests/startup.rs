//! Starting, refusing to start (in words), running out of disk, and stopping.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tests::cli::{Ended, finish, ringback};
use tests::openim::single;
use tests::tencent::{Tencent, with};
use tests::{Answer, Disk, Endpoint, Gate, Kind, Setup, Stage, c2c, group_text};

const SEND: &str = "openim/sendmsg";

/// A start that must fail: with this configuration text, on this data directory.
async fn refused_start(config: &str, data_dir: &Path) -> Ended {
    let home = TempDir::new().expect("a temporary directory");
    let file = home.path().join("ringback.toml");
    std::fs::write(&file, config).expect("the configuration file");
    let mut command = ringback();
    command.args(["serve", "--data-dir"]).arg(data_dir).arg("--config").arg(&file);
    let ended = finish(command).await;
    assert_ne!(ended.code, Some(0), "it started: {ended:?}");
    assert!(ended.code.is_some(), "it was killed by a signal: {ended:?}");
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    ended
}

const ANY_PORT: &str = "[server]\nlisten = \"127.0.0.1:0\"\ngateway = \"127.0.0.1:0\"\n";

#[tokio::test]
async fn it_says_that_it_is_alive_and_ready() {
    let server = Setup::new().start().await;
    let http = tests::http::Http::new(server.http());
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(http.get(path).await.status, 200, "{path}");
    }
    for line in server.log() {
        assert!(
            line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(),
            "no JSON line: {line}"
        );
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_in_words() {
    let server = Setup::new().on_sqlite().start().await;
    let ended = refused_start(ANY_PORT, server.data_dir()).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains(&*server.data_dir().to_string_lossy()), "{}", ended.err);
    let words = ended.err.to_lowercase();
    assert!(["another", "already", "in use"].iter().any(|word| words.contains(word)), "{}", ended.err);
    // The first one has not noticed.
    tests::stage::cast(&server.tencent()).await;
}

/// Below a regular file nobody can make a directory, not even root.
#[tokio::test]
async fn a_data_dir_that_cannot_be_written_is_named() {
    let home = TempDir::new().expect("a temporary directory");
    std::fs::write(home.path().join("file"), "not a directory").expect("a file");
    for data_dir in [home.path().join("file"), home.path().join("file/data")] {
        let ended = refused_start(ANY_PORT, &data_dir).await;
        assert!(ended.err.contains(&*home.path().join("file").to_string_lossy()), "{}", ended.err);
    }
}

#[tokio::test]
async fn a_database_that_is_none_is_named() {
    let home = TempDir::new().expect("a temporary directory");
    std::fs::write(home.path().join("ringback.db"), "this is a shopping list, not a database ".repeat(200))
        .expect("a file");
    let ended = refused_start(ANY_PORT, home.path()).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("ringback.db"), "{}", ended.err);
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_by_its_key() {
    let home = TempDir::new().expect("a temporary directory");
    let endpoint = |key: &str, value: &str| {
        let mut lines = vec![
            ("name", "\"app\"".to_owned()),
            ("dialect", "\"tencent\"".to_owned()),
            ("url", "\"http://127.0.0.1:9/\"".to_owned()),
            ("commands", "[\"*\"]".to_owned()),
        ];
        lines.retain(|(name, _)| *name != key);
        lines.push((key, value.to_owned()));
        let lines: String = lines
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name} = {value}\n"))
            .collect();
        format!("[[endpoint]]\n{lines}")
    };
    for (config, key) in [
        ("[server]\nlisen = \"127.0.0.1:0\"".to_owned(), "lisen"),
        ("[sever]\nlisten = \"127.0.0.1:0\"".to_owned(), "sever"),
        ("listen = \"127.0.0.1:0\"".to_owned(), "listen"),
        ("[policy]\nrestricted_word = []".to_owned(), "restricted_word"),
        (endpoint("comands", "[]"), "comands"),
        ("[server]\nlisten = \"here\"".to_owned(), "listen"),
        ("[server]\nlisten = 10002".to_owned(), "listen"),
        ("[server]\ngateway = \"127.0.0.1:99999\"".to_owned(), "gateway"),
        ("[tencent]\nsdkappid = \"abc\"".to_owned(), "sdkappid"),
        ("[tencent]\nsdkappid = -1".to_owned(), "sdkappid"),
        ("[tencent]\nkey = \"\"".to_owned(), "key"),
        ("[openim]\nsecret = \"\"".to_owned(), "secret"),
        ("[openim]\nsecret = \"openIM123\"".to_owned(), "secret"),
        ("[policy]\nmax_message_bytes = \"big\"".to_owned(), "max_message_bytes"),
        ("[policy]\nrestricted_words = \"one\"".to_owned(), "restricted_words"),
        ("[store]\nurl = \"mysql://x\"".to_owned(), "url"),
        (endpoint("name", ""), "name"),
        (endpoint("dialect", "\"smtp\""), "dialect"),
        (endpoint("url", "\"ftp://127.0.0.1/\""), "url"),
        (endpoint("url", "\"not a url\""), "url"),
        (endpoint("url", ""), "url"),
        (endpoint("timeout", "\"soon\""), "timeout"),
        (endpoint("timeout", "\"0s\""), "timeout"),
        (endpoint("on_failure", "\"perhaps\""), "on_failure"),
        (endpoint("secret", "\"no prefix\""), "secret"),
        (endpoint("concurrency", "0"), "concurrency"),
        (format!("{}{}", endpoint("name", "\"twin\""), endpoint("name", "\"twin\"")), "name"),
        ("[server\n".to_owned(), "line 1"),
    ] {
        let ended = refused_start(&config, &home.path().join("data")).await;
        assert_eq!(ended.code, Some(2), "{config}\n{ended:?}");
        assert!(ended.err.contains(key), "{key} is not named:\n{config}\n{}", ended.err);
        assert!(!home.path().join("data/ringback.db").exists(), "nothing is half done");
    }
}

#[tokio::test]
async fn a_configuration_that_is_not_there_is_named() {
    let mut command = ringback();
    command.args(["serve", "--config", "/no/such/file.toml"]);
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("/no/such/file.toml"), "{}", ended.err);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let home = TempDir::new().expect("a temporary directory");
    let ended =
        refused_start(&format!("[server]\nlisten = \"{address}\"\ngateway = \"127.0.0.1:0\"\n"), home.path()).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains(&address), "{}", ended.err);
}

#[tokio::test]
async fn every_key_is_also_a_variable() {
    let setup =
        Setup::new().restricted_words(["poker"]).variable("RINGBACK_POLICY__RESTRICTED_WORDS", "roulette,baccarat");
    let server = setup.start().await;
    let tencent = server.tencent();
    tests::stage::cast(&tencent).await;
    assert_eq!(tencent.refused(SEND, c2c("alice", "bob", "roulette")).await, 80001);
    assert_eq!(tencent.refused(SEND, c2c("alice", "bob", "baccarat")).await, 80001);
    tencent.ok(SEND, c2c("alice", "bob", "poker")).await;

    let mut command = ringback();
    command.args(["serve", "--data-dir", "/no/such/dir"]).env("RINGBACK_SERVER__LISEN", "127.0.0.1:0");
    let ended = finish(command).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("RINGBACK_SERVER__LISEN"), "{}", ended.err);
}

/// Secrets that nobody configured are made once, kept for the owner's eyes only, and good after a restart.
#[tokio::test]
async fn secrets_are_made_once() {
    let mut server = Setup::new().without_secrets().start().await;
    let usersig = async |server: &tests::Server| {
        let mut command = ringback();
        command
            .args(["usersig", "administrator", "--config"])
            .arg(server.config_file())
            .arg("--data-dir")
            .arg(server.data_dir());
        let ended = finish(command).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.out.trim_end().to_owned()
    };
    let signed = usersig(&server).await;
    let caller = |server: &tests::Server, usersig: &str| {
        Tencent::with_usersig(server.http(), "1400000000", "administrator", usersig)
    };
    caller(&server, &signed).import(&["alice"]).await;
    server.crash_and_restart().await;
    caller(&server, &signed).import(&["bob"]).await;

    let private: Vec<_> = std::fs::read_dir(server.data_dir())
        .expect("the data directory")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_name().to_string_lossy().contains("secret"))
        .map(|entry| entry.metadata().expect("its mode").permissions().mode() & 0o777)
        .collect();
    assert_eq!(private, [0o600]);
    let told = server.log().into_iter().any(|line| line.to_string().contains(&*server.data_dir().to_string_lossy()));
    assert!(told, "the place of the secrets is printed");

    // Another server has other secrets.
    let other = Setup::new().without_secrets().start().await;
    assert_eq!(
        caller(&other, &signed)
            .refused("im_open_login_svc/account_check", json!({"CheckItem": [{"UserID": "alice"}]}))
            .await,
        70009
    );
}

#[tokio::test]
async fn what_was_stored_is_there_after_every_kind_of_end() {
    let mut stage = Stage::with(Setup::new(), |_| Vec::new()).await;
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    stage.tencent.ok("sns/black_list_add", json!({"From_Account": "bob", "To_Account": ["carol"]})).await;
    for round in 0..4 {
        stage.tencent.ok(SEND, c2c("alice", "bob", &format!("{round}"))).await;
        let answer = stage
            .tencent
            .ok("group_open_http_svc/send_group_msg", group_text("climbers", "alice", &format!("{round}")))
            .await;
        assert_eq!(answer["MsgSeq"], round + 1);
        if round % 2 == 0 {
            stage.server.crash_and_restart().await;
        } else {
            assert!(stage.server.stop().await.success());
            stage.server.launch();
            stage.server.ready().await;
        }
        (stage.tencent, stage.openim) = (stage.server.tencent(), stage.server.openim().await);
    }
    assert_eq!(stage.tencent.texts("bob", "alice").await, ["0", "1", "2", "3"]);
    assert_eq!(stage.tencent.group_texts("climbers").await, ["0", "1", "2", "3"]);
    assert_eq!(stage.tencent.unread("bob").await, 4);
    assert_eq!(stage.openim.refused("/msg/send_msg", single("carol", "bob", "blocked")).await, 1302);
    let members = stage.tencent.ok("group_open_http_svc/get_group_member_info", json!({"GroupId": "climbers"})).await;
    assert_eq!(members["MemberNum"], 2);
}

/// SIGTERM while the backend thinks: the message in the air is judged, stored and answered before the end.
#[tokio::test]
async fn an_orderly_stop_finishes_what_it_has_begun() {
    let mut stage = Stage::with(Setup::new(), |url| {
        vec![Endpoint::tencent(url).hears(["C2C.CallbackBeforeSendMsg"]).timeout("30s")]
    })
    .await;
    let gate = Gate::closed();
    stage.backend.answers("C2C.CallbackBeforeSendMsg", Answer::go_on().held_by(&gate));
    let alice = stage.tencent.clone();
    let sending = tokio::spawn(async move { alice.ok(SEND, c2c("alice", "bob", "in the air")).await });
    stage.backend.first("C2C.CallbackBeforeSendMsg").await;
    let (status, sent) = tokio::join!(stage.server.stop(), async {
        // The backend answers as soon as the server takes no new connections.
        tests::wait::until("the port to close", async || {
            tokio::net::TcpStream::connect(stage.tencent.http.authority()).await.err()
        })
        .await;
        gate.open();
        sending.await.expect("the answer")
    });
    assert!(status.success(), "{status}");
    assert_eq!(sent["ErrorCode"], 0);
    stage.server.launch();
    stage.server.ready().await;
    assert_eq!(stage.server.tencent().texts("bob", "alice").await, ["in the air"]);
}

/// Every send is refused with the internal code of its command, the server lives on, and when there is room
/// again it goes on as if nothing had been: what was refused is nowhere.
#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    for kind in Kind::available() {
        println!("disk: {kind:?}");
        let disk = Disk::new(kind);
        let mut stage = Stage::with(disk.under(Setup::new().on_sqlite()), |url| {
            vec![Endpoint::tencent(url).hears(["Group.CallbackAfterSendMsg"])]
        })
        .await;
        stage.server.expect_errors();
        stage.tencent.create_group("climbers", "alice", &["bob"]).await;
        let mut acked = Vec::new();
        let mut number = 0;
        let mut send = async |stage: &Stage, acked: &mut Vec<String>| {
            number += 1;
            let words = format!("{number} {}", "x".repeat(10_000));
            let answer =
                stage.tencent.call("group_open_http_svc/send_group_msg", group_text("climbers", "alice", &words)).await;
            if answer["ErrorCode"] == 0 {
                acked.push(words);
                assert_eq!(answer["MsgSeq"], acked.len());
            } else {
                assert_eq!(answer["ErrorCode"], 10002, "{answer}");
            }
            answer["ErrorCode"] == 0
        };
        for _ in 0..20 {
            assert!(send(&stage, &mut acked).await);
        }
        disk.fill(&stage.server);
        let mut tries = 0;
        while send(&stage, &mut acked).await {
            tries += 1;
            assert!(tries < 5000, "the disk is full and nothing is refused");
        }
        // Refused by all the others as well.
        let one = with(c2c("alice", "bob", &"x".repeat(10_000)), json!({"MsgSeq": 1}));
        let code = stage.tencent.refused(SEND, one.clone()).await;
        assert!([91000, 90994, 90995, 20005].contains(&code), "{code}");
        let code = stage.openim.refused("/msg/send_msg", single("alice", "bob", &"x".repeat(10_000))).await;
        assert!([500, 90002].contains(&code), "{code}");
        assert_eq!(tests::http::Http::new(stage.server.http()).get("/health/live").await.status, 200);
        assert_eq!(stage.tencent.texts("bob", "alice").await, [""; 0]);

        disk.make_room(&stage.server);
        tests::wait::until("a send after there is room", async || send(&stage, &mut acked).await.then_some(())).await;
        stage.tencent.ok(SEND, one).await;
        assert_eq!(stage.tencent.group_texts("climbers").await, acked);
        let calls = stage.backend.wait_until("all of them", |calls| calls.len() >= acked.len()).await;
        assert_eq!(calls.iter().map(|call| tests::tencent::text_of(&call.body)).collect::<Vec<_>>(), acked);

        stage.server.crash_and_restart().await;
        stage.tencent = stage.server.tencent();
        assert_eq!(stage.tencent.group_texts("climbers").await, acked);
    }
}
