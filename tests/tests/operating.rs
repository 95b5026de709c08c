//! Looking after callbacks: what an operator sees and does, by the command line and by the admin API.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tests::cli::{Ended, finish, of_server, ringback};
use tests::wait::until;
use tests::{Admin, Answer, Call, Endpoint, Manner, Receiver, Rogue, Server, Setup, Stage, group_text};

const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const AFTER: &str = "Group.CallbackAfterSendMsg";
const OPENIM_AFTER: &str = "callbackAfterSendGroupMsgCommand";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TOKEN: &str = "the-token-of-the-receiver";

/// `ringback callbacks …` about this server.
async fn callbacks(server: &Server, words: &[&str]) -> Ended {
    of_server(server, &[&["callbacks"], words].concat()).await
}

/// What a person sees, which must fit a terminal and hold no colours.
async fn shown(server: &Server, words: &[&str]) -> String {
    let ended = callbacks(server, words).await;
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    for line in ended.out.lines() {
        assert!(line.chars().count() <= 100, "{words:?}: {} columns: {line}", line.chars().count());
    }
    assert!(!ended.out.contains('\u{1b}'), "colours are for terminals: {:?}", ended.out);
    ended.out
}

/// What a program sees: one line of JSON.
async fn json_of(server: &Server, words: &[&str]) -> Value {
    let mut words = words.to_vec();
    words.push("--json");
    let ended = callbacks(server, &words).await;
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    assert_eq!(ended.out.lines().count(), 1, "{words:?}: {:?}", ended.out);
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{words:?}: {error}: {}", ended.out))
}

/// One endpoint's row of the status.
async fn status(server: &Server, endpoint: &str) -> Value {
    json_of(server, &["status", endpoint]).await["endpoints"][0].clone()
}

async fn status_when(server: &Server, endpoint: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = async || Some(status(server, endpoint).await).filter(|status| wanted(status));
    until(&format!("{endpoint} is {what}"), found).await
}

async fn say(stage: &Stage, group: &str, words: &str) {
    stage.tencent.ok(SEND_GROUP, group_text(group, "alice", words)).await;
}

fn ids(calls: &[Call]) -> Vec<String> {
    calls.iter().map(|call| call.headers["webhook-id"].clone()).collect()
}

/// One backend by name `app` that hears of group messages, and group `g0`.
async fn app(endpoint: impl FnOnce(Endpoint) -> Endpoint) -> Stage {
    let app = |url: &str| Endpoint::tencent(format!("{url}/callback")).named("app").hears([AFTER]).secret(SECRET);
    let stage = Stage::with(Setup::new(), |url| vec![endpoint(app(url))]).await;
    stage.tencent.create_group("g0", "alice", &["bob"]).await;
    stage
}

/// A stage whose backend refuses messages that say `bad`, and gives them up at once.
async fn picky() -> Stage {
    let mut stage = app(|endpoint| endpoint.token(TOKEN).retries(["0s", "50ms"])).await;
    stage.server.expect_errors();
    refuse_bad(&stage.backend);
    stage
}

fn refuse_bad(backend: &Receiver) {
    backend.answers_with(AFTER, |call| match call.body["MsgBody"][0]["MsgContent"]["Text"].as_str() {
        Some("bad") => Answer::text("text/plain", "no\nthanks").with_status(500),
        _ => Answer::go_on(),
    });
}

#[tokio::test]
async fn a_status_tells_the_healthy_from_the_slow_and_the_dead() {
    let (healthy, slow) = (Receiver::start().await, Receiver::start().await);
    let dead = Rogue::start(Manner::Refuses).await;
    slow.answers_with(AFTER, |_| Answer::go_on().late(Duration::from_millis(150)));
    let endpoint = |name: &str, url: String| Endpoint::tencent(url).named(name).hears([AFTER]);
    let setup = Setup::new()
        .endpoint(endpoint("healthy", healthy.url("")))
        .endpoint(endpoint("slow", slow.url("")).concurrency(1))
        .endpoint(endpoint("dead", format!("http://{}", dead.address())));
    let stage = Stage::with(setup, |_| Vec::new()).await;
    for group in 0..10 {
        stage.tencent.create_group(&format!("g{group}"), "alice", &[]).await;
        say(&stage, &format!("g{group}"), "hi").await;
    }
    healthy.wait_for(AFTER, 10).await;
    slow.wait_for(AFTER, 10).await;
    let dead = status_when(&stage.server, "dead", "down", |status| status["state"] == "down").await;
    // A conversation that lags behind the others is counted on its own.
    let waiting = dead["lag_events"].as_u64().expect("a number") + dead["lagging"].as_u64().expect("a number");
    assert!(waiting >= 10 && dead["success"] == 0.0, "{dead}");
    let slow = status_when(&stage.server, "slow", "up to date", |status| status["lag_events"] == 0).await;
    assert!(slow["p50_millis"].as_f64() >= Some(150.0) && slow["concurrency"] == 1, "{slow}");
    let healthy = status(&stage.server, "healthy").await;
    assert_eq!(
        json!([healthy["state"], healthy["success"], healthy["calls"], healthy["lag_events"], healthy["dead"]]),
        json!(["up", 1.0, 10, 0, 0])
    );
    assert_eq!(json!([healthy["breaker"]["state"], healthy["commands"]]), json!(["closed", [AFTER]]));
    assert!(healthy["p99_millis"].as_f64() < slow["p50_millis"].as_f64(), "{healthy} {slow}");

    let table = shown(&stage.server, &["status"]).await;
    let rows: Vec<&str> = table.lines().take(4).map(|line| line.split_whitespace().next().unwrap_or("")).collect();
    assert_eq!(rows, ["ENDPOINT", "healthy", "slow", "dead"], "{table}");
    assert!(table.contains("100%") && table.contains("down"), "{table}");

    // What waits for it is seen, and the metrics say the same.
    let pending = json_of(&stage.server, &["pending", "dead"]).await;
    let pending = &pending["endpoints"][0];
    assert!(pending["failing_total"].as_u64() > Some(0) && pending["failing"][0]["trouble"].is_null(), "{pending}");
    assert!(shown(&stage.server, &["pending"]).await.contains("dead: down"), "in words");
    let metrics = stage.tencent.http.get("/metrics").await.text();
    assert!(metrics.contains(r#"ringback_endpoint_state{endpoint="dead",state="down"} 1"#), "{metrics}");
}

#[tokio::test]
async fn an_event_is_shown_with_its_request_its_attempts_and_what_became_of_it() {
    let url = |stage: &str| format!("{stage}/callback?key=hush&tenant=7");
    let mut stage = Stage::with(Setup::new(), |base| {
        vec![
            Endpoint::tencent(url(base))
                .named("app")
                .hears([AFTER])
                .secret(SECRET)
                .token(TOKEN)
                .header("X-Api-Key", "hush-hush")
                .retries(["0s", "50ms"]),
            Endpoint::openim(format!("{base}/webhook")).named("hook"),
            Endpoint::tencent(format!("{base}/other")).named("elsewhere").hears(["C2C.CallbackAfterSendMsg"]),
        ]
    })
    .await;
    stage.server.expect_errors();
    refuse_bad(&stage.backend);
    stage.tencent.create_group("g0", "alice", &["bob"]).await;
    say(&stage, "g0", "bad").await;
    let calls = stage.backend.wait_for(AFTER, 2).await;
    status_when(&stage.server, "app", "without hope", |status| status["dead"] == 1).await;
    stage.backend.wait_for(OPENIM_AFTER, 1).await;
    let webhook_id = ids(&calls).remove(0);
    let event = webhook_id.strip_suffix(".app").expect("the endpoint's name");

    let whole = json_of(&stage.server, &["show", event]).await;
    let place = format!("{}:{}", whole["event"]["shard"], whole["event"]["position"]);
    assert_eq!(json!([whole["event"]["id"], whole["event"]["kind"]]), json!([event, "message_sent"]));
    let states: Vec<_> = whole["endpoints"].as_array().expect("endpoints").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["dead", "told", "not_owed"], "{whole}");
    assert!(whole["endpoints"][2]["why"].as_str().expect("words").contains("does not subscribe"), "{whole}");
    assert!(whole["endpoints"][2]["request"].is_null(), "{whole}");

    // By the id that the receiver has seen: its own part only.
    let own = json_of(&stage.server, &["show", &webhook_id]).await;
    assert_eq!(own["endpoints"].as_array().map(Vec::len), Some(1));
    assert_eq!(json_of(&stage.server, &["show", &place]).await["event"], own["event"], "{place}");
    let app = &own["endpoints"][0];
    let attempts = app["attempts"].as_array().expect("attempts");
    let seen: Vec<_> = attempts.iter().map(|a| json!([a["status"], a["outcome"], a["detail"]])).collect();
    assert_eq!(seen, vec![json!([500, "bad_status", "no thanks"]); 2], "{own}");
    assert_eq!(app["refused"], 2, "{own}");

    // The request is the one that was sent, but for the time and what proves who we are.
    let sent = &app["request"];
    assert_eq!((&sent["method"], &sent["body"]), (&json!("POST"), &calls[1].body));
    let shown_url = sent["url"].as_str().expect("a URL");
    assert!(shown_url.contains("tenant=7") && shown_url.contains("key=…") && shown_url.contains("Sign=…"), "{sent}");
    let headers: Vec<(&str, &str)> = sent["headers"]
        .as_array()
        .expect("headers")
        .iter()
        .map(|pair| (pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value")))
        .collect();
    let header = |name: &str| headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    assert_eq!(header("webhook-id"), Some(webhook_id.as_str()), "{sent}");
    assert_eq!(header("x-api-key"), Some("…"), "{sent}");
    for name in ["traceparent", "ringback-sequence", "content-type"] {
        assert_eq!(header(name), calls[1].headers.get(name).map(String::as_str), "{name}");
    }
    let text = shown(&stage.server, &["show", event]).await;
    for secret in ["hush", TOKEN, SECRET] {
        assert!(!text.contains(secret) && !whole.to_string().contains(secret), "{secret} is shown: {text}");
    }
    assert!(text.contains("app: dead") && text.contains("bad_status") && text.contains("no thanks"), "{text}");
}

#[tokio::test]
async fn dead_letters_are_replayed_once() {
    let stage = picky().await;
    for words in ["bad", "bad", "good"] {
        say(&stage, "g0", words).await;
    }
    stage.backend.wait_for(AFTER, 5).await;
    status_when(&stage.server, "app", "without hope for two", |status| status["dead"] == 2).await;
    let dead = json_of(&stage.server, &["dead", "app"]).await;
    let letters: Vec<_> = dead["letters"].as_array().expect("letters").iter().map(|letter| &letter["why"]).collect();
    assert_eq!(letters, ["bad_status 500: no thanks", "bad_status 500: no thanks"]);
    let table = shown(&stage.server, &["dead"]).await;
    assert!(table.lines().count() == 3 && table.contains("no thanks"), "{table}");
    // In pages.
    let first = json_of(&stage.server, &["dead", "--limit", "1"]).await;
    let next = first["next"].as_str().expect("a next page");
    let second = json_of(&stage.server, &["dead", "--limit", "1", "--after", next]).await;
    assert_eq!((&second["letters"][0], &second["next"]), (&dead["letters"][1], &Value::Null));

    let dry = json_of(&stage.server, &["replay", "--dead", "--dry-run"]).await;
    assert_eq!(
        json!([dry["dry_run"], dry["endpoints"][0]["letters"], dry["endpoints"][0]["from_dead"]]),
        json!([true, 2, 2])
    );
    assert_eq!(dry["first"].as_array().map(Vec::len), Some(2));
    assert!(shown(&stage.server, &["replay", "--dead", "--dry-run"]).await.contains("dry run"), "in words");
    assert_eq!((stage.backend.calls_of(AFTER).len(), &status(&stage.server, "app").await["dead"]), (5, &json!(2)));

    // The receiver is mended.
    stage.backend.answers(AFTER, Answer::go_on());
    let done = json_of(&stage.server, &["replay", "--dead"]).await;
    assert_eq!(
        done["endpoints"],
        json!([{"endpoint": "app", "letters": 2, "from_dead": 2, "already": 0, "coming": 0, "not_owed": 0}])
    );
    let calls = stage.backend.wait_for(AFTER, 7).await;
    let seen = ids(&calls);
    assert_eq!((&seen[5], &seen[6]), (&seen[0], &seen[2]), "under the ids that they had: {seen:?}");
    status_when(&stage.server, "app", "well", |status| status["dead"] == 0 && status["replay"] == 0).await;
    let done = json_of(&stage.server, &["replay", "--dead"]).await;
    assert_eq!(done["endpoints"][0]["letters"], 0);
    assert_eq!(shown(&stage.server, &["dead"]).await, "no dead letters\n");
    assert_eq!(stage.backend.calls_of(AFTER).len(), 7);
}

#[tokio::test]
async fn told_events_are_replayed_by_id_and_by_time_and_once_only() {
    let stage = app(|endpoint| endpoint).await;
    for words in ["one", "two", "three"] {
        say(&stage, "g0", words).await;
    }
    let first = ids(&stage.backend.wait_for(AFTER, 3).await);
    status_when(&stage.server, "app", "told", |status| status["lag_events"] == 0).await;

    // By id: the same call again, in the same words.
    json_of(&stage.server, &["replay", &first[1]]).await;
    let calls = stage.backend.wait_for(AFTER, 4).await;
    assert_eq!(
        (calls[3].headers.get("webhook-id"), &calls[3].body),
        (calls[1].headers.get("webhook-id"), &calls[1].body)
    );
    status_when(&stage.server, "app", "done", |status| status["replay"] == 0).await;

    // By time. While the endpoint is paused it can be seen that asking twice is asking once.
    shown(&stage.server, &["pause", "app"]).await;
    let of = |answer: &Value| answer["endpoints"][0].clone();
    let once = of(&json_of(&stage.server, &["replay", "--since", "1h ago", "--endpoint", "app"]).await);
    assert_eq!(json!([once["letters"], once["already"], once["coming"]]), json!([3, 0, 0]), "{once}");
    say(&stage, "g0", "four").await;
    let again = of(&json_of(&stage.server, &["replay", "--since", "-1h", "--until", "now"]).await);
    assert_eq!(json!([again["letters"], again["already"], again["coming"]]), json!([3, 3, 1]), "{again}");
    let none = of(&json_of(&stage.server, &["replay", "--since", "-2h", "--until", "-1h"]).await);
    assert_eq!(none["letters"], 0, "{none}");
    let pending = json_of(&stage.server, &["pending", "app"]).await;
    assert_eq!(pending["endpoints"][0]["letters_total"], 3, "{pending}");
    // A replay that waits is not given up by accident: only when it is named.
    let event = first[0].strip_suffix(".app").expect("the endpoint's name");
    let ended = callbacks(&stage.server, &["skip", event]).await;
    assert!(ended.code == Some(1) && ended.err.contains("fails nowhere"), "{ended:?}");
    shown(&stage.server, &["skip", &first[0]]).await;
    let dead = of(&json_of(&stage.server, &["replay", "--dead"]).await);
    assert_eq!(dead["from_dead"], 1, "{dead}");
    shown(&stage.server, &["resume", "app"]).await;
    let calls = stage.backend.wait_for(AFTER, 8).await;
    status_when(&stage.server, "app", "done", |status| status["replay"] == 0 && status["lag_events"] == 0).await;
    let mut replayed = ids(&calls[4..]);
    replayed.retain(|id| first.contains(id));
    replayed.sort();
    let mut expected = first.clone();
    expected.sort();
    assert_eq!(replayed, expected, "each once");
    assert_eq!(stage.backend.calls_of(AFTER).len(), 8);
}

#[tokio::test]
async fn skipping_an_event_lets_its_conversation_go_on() {
    let mut stage = app(|endpoint| endpoint.retries(["0s", "1h"])).await;
    stage.server.expect_errors();
    stage.tencent.create_group("g1", "alice", &[]).await;
    refuse_bad(&stage.backend);
    say(&stage, "g0", "bad").await;
    say(&stage, "g0", "good").await;
    say(&stage, "g1", "elsewhere").await;
    stage.backend.wait_for(AFTER, 2).await;
    // The other group does not wait for it, and may be heard first.
    let calls = stage.backend.calls_of(AFTER);
    let of_g0: Vec<_> = calls.into_iter().filter(|call| call.body["GroupId"] == "g0").collect();
    let bad = ids(&of_g0).remove(0);
    status_when(&stage.server, "app", "refusing one", |status| status["failing"] == 1 && status["lagging"] == 1).await;
    let pending = json_of(&stage.server, &["pending", "app"]).await;
    let failing = &pending["endpoints"][0]["failing"][0];
    assert_eq!(json!([failing["subject"], failing["times"]]), json!([{"group": "g0"}, 1]), "{pending}");
    let text = shown(&stage.server, &["pending"]).await;
    assert!(text.contains("group g0") && text.contains("in 6"), "it is due in an hour: {text}");
    let state = json_of(&stage.server, &["show", &bad]).await;
    assert_eq!(
        json!([state["endpoints"][0]["state"], state["endpoints"][0]["refused"]]),
        json!(["pending", 1]),
        "{state}"
    );

    let words = shown(&stage.server, &["skip", &bad]).await;
    assert!(words.contains("for app"), "{words}");
    let calls = stage.backend.wait_for(AFTER, 3).await;
    assert_eq!(tests::tencent::text_of(&calls[2].body), "good");
    let dead = status_when(&stage.server, "app", "well again", |status| status["failing"] == 0).await;
    assert_eq!(dead["dead"], 1);
    assert_eq!(json_of(&stage.server, &["show", &bad]).await["endpoints"][0]["why"], "skipped by the operator");
    let ended = callbacks(&stage.server, &["skip", &bad]).await;
    assert!(ended.code == Some(1) && ended.err.contains("fails nowhere"), "{ended:?}");
}

#[tokio::test]
async fn a_paused_endpoint_is_left_alone_until_it_is_resumed() {
    let mut stage = app(|endpoint| endpoint).await;
    let words = shown(&stage.server, &["pause", "app", "--why", "until 14:00"]).await;
    assert!(words.contains("app is paused"), "{words}");
    say(&stage, "g0", "one").await;
    let paused = status_when(&stage.server, "app", "behind", |status| status["lag_events"] != 0).await;
    assert_eq!(
        json!([paused["state"], paused["pause"]["reason"], paused["pause"]["detail"]]),
        json!(["paused", "operator", "until 14:00"])
    );
    assert!(shown(&stage.server, &["status"]).await.contains("(operator): until 14:00"), "in words");
    let event = json_of(&stage.server, &["replay", "--since", "-1h", "--dry-run"]).await;
    assert_eq!(event["endpoints"][0]["coming"], 1, "it comes anyway: {event}");
    // A pause outlives the process.
    stage.server.stop_and_restart().await;
    stage.tencent = stage.server.tencent();
    assert_eq!(status(&stage.server, "app").await["state"], "paused");
    assert_eq!(stage.backend.count(), 0);
    let words = shown(&stage.server, &["resume", "app"]).await;
    assert!(words.contains("called again"), "{words}");
    stage.backend.wait_for(AFTER, 1).await;
    assert_eq!(status(&stage.server, "app").await["state"], "up");
    let words = shown(&stage.server, &["resume", "app"]).await;
    assert!(words.contains("was not paused"), "{words}");
}

#[tokio::test]
async fn an_endpoint_that_answers_410_is_paused() {
    let mut stage = app(|endpoint| endpoint).await;
    stage.server.expect_errors();
    stage.backend.answers(AFTER, Answer::status(410));
    say(&stage, "g0", "one").await;
    let paused = status_when(&stage.server, "app", "paused", |status| status["state"] == "paused").await;
    assert_eq!(paused["pause"]["reason"], "gone");
    assert!(shown(&stage.server, &["status"]).await.contains("(gone)"), "in words");
    say(&stage, "g0", "two").await;
    let calls = stage.backend.calls_of(AFTER).len();
    stage.backend.answers(AFTER, Answer::go_on());
    shown(&stage.server, &["resume", "app"]).await;
    let heard = stage.backend.wait_for(AFTER, calls + 2).await;
    assert_eq!(tests::tencent::text_of(&heard[calls].body), "one", "nothing is lost");
}

#[tokio::test]
async fn every_command_can_be_tried() {
    let stage = Stage::with(Setup::new(), |url| {
        vec![
            Endpoint::tencent(format!("{url}/callback")).named("app").secret(SECRET).token(TOKEN),
            Endpoint::openim(format!("{url}/webhook")).named("hook").secret(SECRET),
            Endpoint::standard(format!("{url}/events")).named("events").secret(SECRET),
        ]
    })
    .await;
    let before = stage.backend.count();
    let ended = callbacks(&stage.server, &["test", "app", "nonsense"]).await;
    assert!(ended.code == Some(2) && ended.err.contains("no such command"), "{ended:?}");
    let ended = callbacks(&stage.server, &["test", "hook", "callbackAfterUserOnlineCommand"]).await;
    assert!(ended.code == Some(2) && ended.err.contains("nothing in this version"), "{ended:?}");
    for (endpoint, says_so, least) in
        [("app", "CallbackCommand", 8), ("hook", "callbackCommand", 12), ("events", "type", 11)]
    {
        // What can be tried is in the refusal of what cannot.
        let ended = callbacks(&stage.server, &["test", endpoint, "nonsense"]).await;
        let (_, list) = ended.err.trim().split_once("right would be one of ").expect("a list");
        let commands: Vec<&str> = list.split(", ").collect();
        assert!(commands.len() >= least, "{commands:?}");
        for command in commands {
            let tested = json_of(&stage.server, &["test", endpoint, command]).await;
            let is_it = |call: &Call| call.headers.get("webhook-id").is_some_and(|id| tested["id"] == *id);
            let call = stage.backend.calls().into_iter().find(is_it).expect("the call");
            let is_before = command.contains("Before") || command.ends_with("ing");
            assert_eq!(tested["outcome"], if is_before { "allow" } else { "told" }, "{tested}");
            assert_eq!(call.body[says_so], command);
            assert_eq!((&tested["status"], &tested["request"]["body"]), (&json!(200), &call.body));
            assert!(call.headers["webhook-id"].starts_with("test-") && call.headers.contains_key("webhook-signature"));
        }
    }
    assert!(stage.backend.count() > before);

    stage.backend.answers(
        "C2C.CallbackBeforeSendMsg",
        json!({"ActionStatus": "OK", "ErrorCode": 120_001, "ErrorInfo": "be kind"}),
    );
    let text = shown(&stage.server, &["test", "app", "C2C.CallbackBeforeSendMsg"]).await;
    assert!(text.contains("reject: it is refused with code 120001: \"be kind\"") && !text.contains(TOKEN), "{text}");
    stage.backend.answers("C2C.CallbackBeforeSendMsg", Answer::text("text/html", "<html>"));
    let ended = callbacks(&stage.server, &["test", "app", "C2C.CallbackBeforeSendMsg"]).await;
    assert!(ended.code == Some(1) && ended.out.contains("unreadable"), "{ended:?}");
    stage.backend.answers(AFTER, Answer::status(404));
    let ended = callbacks(&stage.server, &["test", "app", AFTER]).await;
    assert!(ended.code == Some(1) && ended.out.contains("HTTP 404"), "{ended:?}");
    // A test is no event: it is not told again, and not found.
    let tested = &stage.backend.calls_of(AFTER)[0].headers["webhook-id"];
    let ended = callbacks(&stage.server, &["show", tested]).await;
    assert!(ended.code == Some(1) && ended.err.contains("was a test"), "{ended:?}");
}

#[tokio::test]
async fn only_the_token_opens_the_admin_api() {
    let stage = app(|endpoint| endpoint).await;
    let admin = Admin::of(&stage.server, "/admin/callbacks");
    assert_eq!(admin.get("").await.0, 200);
    let admin = admin.with_token(&"0".repeat(64));
    for path in ["", "/nothing", "/events/0:1"] {
        let (status, body) = admin.get(path).await;
        assert!(status == 401 && body["error"].is_string(), "{body}");
    }
    let right = stage.server.admin_token().expect("it made one");
    let without = stage.tencent.http.get("/admin/callbacks").await;
    assert_eq!(without.status, 401);

    let run = async |token: &str, data_dir: &std::path::Path| {
        let mut command = ringback();
        command.args(["callbacks", "status", "--server"]).arg(format!("http://{}", stage.server.http()));
        command.arg("--data-dir").arg(data_dir);
        if !token.is_empty() {
            command.env("RINGBACK_SERVER__ADMIN_TOKEN", token);
        }
        finish(command).await
    };
    let elsewhere = tempfile::tempdir().expect("a directory");
    let ended = run(&right, elsewhere.path()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = run(&"0".repeat(64), elsewhere.path()).await;
    assert!(ended.code == Some(2) && ended.err.contains("not the admin token"), "{ended:?}");
    let ended = run("", elsewhere.path()).await;
    assert!(ended.code == Some(2) && ended.err.contains("no admin token"), "{ended:?}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).expect("a directory").count(), 0, "no token is made");
}

#[tokio::test]
async fn what_is_not_there_or_makes_no_sense_is_said_in_words() {
    let stage = app(|endpoint| endpoint).await;
    for (words, code, expected) in [
        (&["status", "ap"][..], 1, "there is no endpoint \"ap\"; there is app"),
        (&["pending", "ap"], 1, "there is no endpoint"),
        (&["pause", "ap"], 1, "there is no endpoint"),
        (&["test", "ap", AFTER], 1, "there is no endpoint"),
        (&["show", "soon"], 2, "right would be a webhook-id"),
        (&["show", "0:9999"], 1, "shard 0 has no events yet"),
        (&["show", "9999:1"], 1, "no shard 9999"),
        (&["show", "019aa5c1d2e37f0a8f54c1b2d3e4f506"], 1, "there is no event 019aa5c1d2e37f0a8f54c1b2d3e4f506"),
        (&["show", "019aa5c1d2e37f0a8f54c1b2d3e4f506.ap"], 1, "there is no endpoint"),
        (&["replay", "--since", "now", "--until", "-1h"], 2, "since: "),
        (&["dead", "--after", "x"], 2, "after: "),
        (&["replay", "--since", "soon"], 2, "right would be 2026"),
    ] {
        let ended = callbacks(&stage.server, words).await;
        assert!(
            ended.code == Some(code) && ended.err.contains(expected) && ended.out.is_empty(),
            "{words:?}: {ended:?}"
        );
    }
    let mut command = ringback();
    let nobody = Rogue::start(Manner::Refuses).await;
    command.args(["callbacks", "status", "--server"]).arg(format!("http://{}", nobody.address()));
    command.arg("--data-dir").arg(stage.server.data_dir());
    let ended = finish(command).await;
    assert!(ended.code == Some(1) && ended.err.contains("is it running?"), "{ended:?}");

    let admin = Admin::of(&stage.server, "/admin/callbacks");
    for (path, body, status, expected) in [
        ("/replay", json!({}), 400, "events, since, or dead"),
        ("/replay", json!({"events": "x"}), 400, "events: "),
        ("/replay", json!({"events": []}), 400, "events: "),
        ("/replay", json!({"since": "soon"}), 400, "since: "),
        ("/replay", json!({"dead": 1}), 400, "dead: "),
        ("/replay", json!({"ded": true}), 400, "ded: there is no such field"),
        ("/replay", json!({"events": ["0:1"], "dead": true}), 400, "dead: "),
        ("/replay", json!({"dead": true, "endpoints": ["ap"]}), 404, "there is no endpoint"),
        ("/endpoints/app/test", json!({}), 400, "command: "),
        ("/endpoints/app/pause", json!({"why": "two\nlines"}), 400, "why: "),
        ("/endpoints/app/pause", json!(7), 400, "not a JSON object"),
        ("/events/0:1/skip", json!({"endpoints": [1]}), 400, "endpoints: "),
        ("/replay?dry_run=true", json!({"dead": true}), 400, "dry_run: there is no such field; it takes none"),
        ("/endpoints/app/pause?why=x", json!({}), 400, "why: there is no such field"),
        ("/endpoints/app/resume?now", json!({}), 400, "now: there is no such field"),
        ("/endpoints/app/test?command=x", json!({"command": AFTER}), 400, "command: there is no such field"),
        ("/events/0:1/skip?endpoint=app", json!({}), 400, "endpoint: there is no such field"),
    ] {
        let (found, answer) = admin.post(path, body.clone()).await;
        let words = answer["error"].as_str().unwrap_or_default();
        assert!(found == status && words.contains(expected), "{path} {body}: {found} {answer}");
    }
    for (path, status, expected) in [
        ("/dead?limit=0", 400, "limit: "),
        ("/dead?limit=1001", 400, "limit: "),
        ("/dead?limt=1", 400, "limt: "),
        ("/endpoints/ap", 404, "there is no endpoint"),
        ("/nothing", 404, "no such path"),
        ("/replay", 405, "another method"),
    ] {
        let (found, answer) = admin.get(path).await;
        let words = answer["error"].as_str().unwrap_or_default();
        assert!(found == status && words.contains(expected), "{path}: {found} {answer}");
    }
    let reply = admin.send(Method::POST, "/replay", vec![b' '; 300 * 1024]).await;
    assert_eq!(reply.status, 413);
    // What is beside the callbacks is as strict.
    let admin = Admin::of(&stage.server, "/admin");
    for (path, size, status, expected) in [
        ("/tunnel", 80 * 1024, 413, "larger than 65536 bytes"),
        ("/tunnel?dialect=openim", 2, 400, "dialect: there is no such field"),
        ("/tunnel/x/answer?call=1", 2, 400, "call: there is no such field"),
        ("/parked/x?verdict=allow", 2, 400, "verdict: there is no such field"),
    ] {
        let reply = admin.send(Method::POST, path, vec![b' '; size]).await;
        let words = reply.json()["error"].as_str().expect("words").to_owned();
        assert!(reply.status == status && words.contains(expected), "{path}: {} {words}", reply.status);
    }
}

/// One wide line of each call says which trace it belongs to, who was called, about what, and what came of it.
#[tokio::test]
async fn each_call_is_one_line_in_the_log() {
    let setup = Setup::new().variable("RUST_LOG", "info,webhook=debug,refinery_core=warn");
    let stage =
        Stage::with(setup, |url| vec![Endpoint::tencent(format!("{url}/callback")).named("app").secret(SECRET)]).await;
    stage.tencent.create_group("g0", "alice", &["bob"]).await;
    say(&stage, "g0", "one").await;
    let after = stage.backend.first(AFTER).await;
    let before = stage.backend.first("Group.CallbackBeforeSendMsg").await;
    let trace = |call: &Call| call.headers["traceparent"].split('-').nth(1).expect("a trace id").to_owned();
    assert_eq!(trace(&after), trace(&before), "asking and telling are one trace");
    for (command, outcome) in [(AFTER, "told"), ("Group.CallbackBeforeSendMsg", "allow")] {
        let is_it = |line: &Value| line["command"] == command && line["outcome"] == outcome;
        let line = until("its line", async || stage.server.log().into_iter().find(is_it)).await;
        assert_eq!(
            json!([line["endpoint"], line["event"], line["status"]]),
            json!(["app", trace(&after), 200]),
            "{line}"
        );
        assert_eq!(line["trace.id"], trace(&after), "{line}");
        assert!(line["took.ms"].is_u64(), "{line}");
    }
}
