//! An endpoint that has as many dead letters as it may have: it is paused and others hear of it, or nothing new is accepted,
//! as `when_full` says. (Too old, `max_age`, is an hour at least and takes the simulation's clock: `crates/webhook`.)

use serde_json::{Value, json};
use tests::cli::of_server;
use tests::openim::group;
use tests::tencent::text_of;
use tests::wait::until;
use tests::{Admin, Answer, Call, Endpoint, Setup, Stage, c2c, group_text};

const SEND: &str = "openim/sendmsg";
const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const OPENIM_SEND: &str = "/msg/send_msg";
const AFTER: &str = "Group.CallbackAfterSendMsg";

/// A backend that refuses messages that say `bad`, and whose endpoint `app` may have one dead letter; and endpoint `watch`
/// of somebody who looks after it.
async fn stage(when_full: &str) -> Stage {
    let app = |url: &str| {
        let endpoint = Endpoint::tencent(format!("{url}/callback")).named("app").hears([AFTER]);
        endpoint.retries(["0s"]).also("max_dead_letters", 1).also("when_full", when_full)
    };
    let watch = |url: &str| Endpoint::standard(format!("{url}/watch")).named("watch").hears(["endpoint.paused"]);
    let mut stage = Stage::with(Setup::new(), |url| vec![app(url), watch(url)]).await;
    // A dead letter and what follows from it are errors of the operator's.
    stage.server.expect_errors();
    stage.backend.answers_with(AFTER, |call| match text_of(&call.body).as_str() {
        "bad" => Answer::status(500),
        _ => Answer::go_on(),
    });
    stage.tencent.create_group("climbers", "alice", &["bob"]).await;
    stage
}

fn texts(calls: &[Call]) -> Vec<String> {
    calls.iter().map(|call| text_of(&call.body)).collect()
}

/// The status of `app`, once it is in this state and has so many dead letters.
async fn status_when(admin: &Admin, state: &str, dead: u64) -> Value {
    until(&format!("the endpoint is {state}, with {dead} dead letters"), async || {
        let (status, shown) = admin.get("/endpoints/app").await;
        assert_eq!(status, 200, "{shown}");
        let endpoint = shown["endpoints"][0].clone();
        (endpoint["state"] == state && endpoint["dead"] == dead).then_some(endpoint)
    })
    .await
}

#[tokio::test]
async fn a_full_endpoint_is_paused_and_sends_go_on() {
    let stage = stage("pause").await;
    let admin = Admin::of(&stage.server, "/admin/callbacks");
    stage.tencent.ok(SEND_GROUP, group_text("climbers", "alice", "bad")).await;
    let paused = status_when(&admin, "paused", 1).await;
    assert_eq!(paused["pause"]["reason"], "too_many_dead");
    let shown = of_server(&stage.server, &["callbacks", "status", "app"]).await;
    assert!(shown.out.contains("paused") && shown.out.contains("(too_many_dead)"), "{shown:?}");

    // Who looks after it is told.
    let told = stage.backend.first("endpoint.paused").await.body;
    assert_eq!((&told["data"]["endpoint"], &told["data"]["reason"]), (&json!("app"), &json!("too_many_dead")));
    assert!(told["data"]["detail"].as_str().is_some_and(|words| words.contains("1 dead letters")), "{told}");

    // Sends go on in both dialects; what is owed waits, and is told when somebody has it resumed.
    stage.tencent.ok(SEND_GROUP, group_text("climbers", "alice", "one")).await;
    stage.openim.ok(OPENIM_SEND, group("bob", "climbers", "two")).await;
    assert_eq!(stage.tencent.group_texts("climbers").await, ["bad", "one", "two"]);
    until("both to wait", async || {
        let lag = status_when(&admin, "paused", 1).await["lag_events"].as_u64().expect("a number");
        (lag >= 2).then_some(())
    })
    .await;
    assert_eq!(texts(&stage.backend.calls_of(AFTER)), ["bad"], "it is left alone");
    stage.backend.answers(AFTER, Answer::go_on());
    let replayed = of_server(&stage.server, &["callbacks", "replay", "--dead"]).await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let resumed = of_server(&stage.server, &["callbacks", "resume", "app"]).await;
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    let mut told = texts(&stage.backend.wait_for(AFTER, 4).await);
    told.remove(0);
    // What is replayed is beside what is new.
    told.sort();
    assert_eq!(told, ["bad", "one", "two"]);
    status_when(&admin, "up", 0).await;
    assert_eq!(stage.backend.calls_of("endpoint.paused").len(), 1, "one pause");
}

#[tokio::test]
async fn nothing_new_is_accepted_while_an_endpoint_is_full() {
    let stage = stage("refuse").await;
    let admin = Admin::of(&stage.server, "/admin/callbacks");
    stage.tencent.ok(SEND_GROUP, group_text("climbers", "alice", "bad")).await;
    status_when(&admin, "full", 1).await;
    let shown = of_server(&stage.server, &["callbacks", "status", "app"]).await;
    assert!(shown.out.contains("full"), "{shown:?}");
    // Each dialect's own words for 'not now', whoever is written to.
    assert_eq!(stage.tencent.refused(SEND_GROUP, group_text("climbers", "alice", "no")).await, 10_002);
    assert_eq!(stage.tencent.refused(SEND, c2c("alice", "bob", "no")).await, 91_000);
    assert_eq!(stage.openim.refused(OPENIM_SEND, group("alice", "climbers", "no")).await, 90_002);

    // The receiver is mended, and there is room again.
    stage.backend.answers(AFTER, Answer::go_on());
    let replayed = of_server(&stage.server, &["callbacks", "replay", "--dead"]).await;
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    status_when(&admin, "up", 0).await;
    stage.tencent.ok(SEND_GROUP, group_text("climbers", "alice", "one")).await;
    stage.openim.ok(OPENIM_SEND, group("alice", "climbers", "two")).await;
    assert_eq!(texts(&stage.backend.wait_for(AFTER, 4).await), ["bad", "bad", "one", "two"]);
    assert_eq!(stage.tencent.group_texts("climbers").await, ["bad", "one", "two"]);
    assert_eq!(stage.backend.calls_of("endpoint.paused").len(), 0, "it was not paused");
}
