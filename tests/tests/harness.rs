//! The harness itself: a stage whose boards creak proves nothing.

use serde_json::json;
use tests::http::Http;
use tests::tencent::with;
use tests::wire::{contains, shape, steady};
use tests::{Answer, Gate, Manner, Receiver, Rogue};

#[tokio::test]
async fn a_receiver_records_and_answers_as_told() {
    let backend = Receiver::start().await;
    let http = Http::new(&backend.address().to_string());
    let gate = Gate::closed();
    backend.answers("One", json!({"n": 1}));
    backend.answers_in_turn("Two", [Answer::status(500), Answer::go_on()]);
    backend.answers("callbackThree", Answer::go_on().held_by(&gate));
    backend.answers("*", Answer::status(418));

    assert_eq!(
        http.post("/x?CallbackCommand=One&a=%7E+b", &[("webhook-id", "w")], r#"{"b":2}"#).await.json(),
        json!({"n": 1})
    );
    let statuses = [
        http.post("/?CallbackCommand=Two", &[], "{}").await.status,
        http.post("/?CallbackCommand=Two", &[], "{}").await.status,
    ];
    assert_eq!(statuses, [500, 200]);
    assert_eq!(http.post("/other", &[], "no json").await.status, 418);
    let held = {
        let http = http.clone();
        tokio::spawn(async move { http.post("/hook/callbackThree", &[], "{}").await.status })
    };
    backend.first("callbackThree").await;
    assert!(!held.is_finished());
    gate.open();
    assert_eq!(held.await.expect("an answer"), 200);

    let first = backend.first("One").await;
    assert_eq!(
        (first.path.as_str(), first.query["a"].as_str(), first.headers["webhook-id"].as_str(), &first.body),
        ("/x", "~ b", "w", &json!({"b": 2}))
    );
    assert_eq!(backend.wait_for("other", 1).await[0].body, json!({"not_json": "no json"}));
    let address = backend.address();
    assert_eq!(backend.stop().len(), 5);
    assert!(http.send(hyper::Method::POST, "/", &[], "{}").await.is_err());
    let again = Receiver::at(address).await;
    assert_eq!(http.post("/", &[], "{}").await.status, 200);
    assert_eq!(again.count(), 1);
}

#[tokio::test]
async fn a_rogue_misbehaves_as_told() {
    let post = async |rogue: &Rogue| {
        let http = Http::new(&rogue.address().to_string());
        let answer =
            tokio::time::timeout(std::time::Duration::from_millis(300), http.send(hyper::Method::POST, "/", &[], "{}"))
                .await;
        answer.ok()
    };
    for (manner, expected) in [
        (Manner::Says500, 500),
        (Manner::Html, 200),
        (Manner::Answers("[]"), 200),
        (Manner::Redirects { to: "http://x/".to_owned() }, 302),
    ] {
        let rogue = Rogue::start(manner).await;
        assert_eq!(post(&rogue).await.expect("in time").expect("an answer").status, expected);
        rogue.wait_for_requests(1).await;
    }
    for manner in [Manner::Refuses, Manner::HangsUp, Manner::HalfABody, Manner::Gibberish] {
        let rogue = Rogue::start(manner).await;
        assert!(post(&rogue).await.expect("in time").is_err());
    }
    for manner in [Manner::Hangs, Manner::EndlessBody] {
        let rogue = Rogue::start(manner).await;
        assert!(post(&rogue).await.is_none());
        assert_eq!(rogue.requests(), 1);
    }
}

#[test]
fn bodies_are_compared_by_what_is_steady() {
    let body = json!({
        "MsgTime": 1_731_000_000, "EventTime": "1731000000123", "MsgKey": "1_2_1731000000", "MsgId": "x",
        "list": [{"sendTime": 1_731_000_000_123_i64}], "same": 7,
    });
    insta::assert_json_snapshot!(steady(&body), @r#"
    {
      "EventTime": "<milliseconds, quoted>",
      "MsgId": "<id>",
      "MsgKey": "<MsgSeq_MsgRandom_MsgTime>",
      "MsgTime": "<seconds>",
      "list": [
        {
          "sendTime": "<milliseconds>"
        }
      ],
      "same": 7
    }
    "#);
    let wrong = json!({
        "MsgTime": "1731000000", "EventTime": 1_731_000_000_123_i64, "MsgKey": "1_2", "MsgId": "",
        "sendTime": 1_731_000_000,
    });
    assert_eq!(steady(&wrong), wrong, "what has the wrong type is shown");
    assert_eq!(
        shape(&json!({"a": [1, 1.5, "x", null, true]})),
        json!({"a": ["integer", "float", "string", "null", "bool"]})
    );
    let whole = json!({"a": {"b": 1, "c": [{"d": 2, "e": 3}]}});
    assert!(contains(&whole, &json!({"a": {"c": [{"d": 2}]}})));
    assert!(!contains(&whole, &json!({"a": {"c": [{"d": 3}]}})));
    assert!(!contains(&whole, &with(whole.clone(), json!({"x": 1}))));
}
