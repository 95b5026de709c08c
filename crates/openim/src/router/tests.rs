use std::collections::BTreeSet;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_ENCODING};
use axum::http::{Method, Request};
use chat::account::Account;
use chat::conversation::ConversationId;
use chat::event::{LogEntry, Position, Shard, Subject};
use chat::group::{Group, GroupKind, Topic};
use chat::id::{AccountId, GroupId, MessageId, Timestamp, TopicId};
use chat::member::Member;
use chat::message::park::{Parked, ParkedCount, ParkedQuery};
use chat::message::{Message, RepeatKey};
use chat::port::{
    Changes, Clock, CommitError, Committed, ConversationState, InboxEntry, Log, MemberQuery, MessageQuery, Silent,
    Store,
};
use chat::{Fault, Settings};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::*;
use crate::call::MAX_BODY_BYTES;
use crate::token;

const NOW: Timestamp = Timestamp::from_millis(1_760_000_000_123);

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn random(&self) -> u128 {
        7 << 65
    }
}

/// A store that is broken: whatever asks it gets a fault.
struct Broken(watch::Receiver<Position>);

fn fault() -> Fault {
    Fault::new("disk on fire")
}

#[async_trait]
impl Store for Broken {
    async fn commit(&self, _: Changes) -> Result<Committed, CommitError> {
        Err(CommitError::Fault(fault()))
    }
    async fn accounts(&self, _: &[AccountId]) -> Result<Vec<Account>, Fault> {
        Err(fault())
    }
    async fn is_blocked(&self, _: &AccountId, _: &AccountId) -> Result<bool, Fault> {
        Err(fault())
    }
    async fn blocks(&self, _: &AccountId, _: &[AccountId]) -> Result<(Vec<AccountId>, u64), Fault> {
        Err(fault())
    }
    async fn groups(&self, _: &[GroupId]) -> Result<Vec<Group>, Fault> {
        Err(fault())
    }
    async fn groups_owned(&self, _: &AccountId, _: GroupKind) -> Result<u64, Fault> {
        Err(fault())
    }
    async fn topic(&self, _: &GroupId, _: &TopicId) -> Result<Option<Topic>, Fault> {
        Err(fault())
    }
    async fn member(&self, _: &GroupId, _: &AccountId) -> Result<Option<Member>, Fault> {
        Err(fault())
    }
    async fn members(&self, _: &GroupId, _: MemberQuery) -> Result<Vec<Member>, Fault> {
        Err(fault())
    }
    async fn conversation(&self, _: &ConversationId) -> Result<ConversationState, Fault> {
        Err(fault())
    }
    async fn inbox(&self, _: &AccountId) -> Result<Vec<InboxEntry>, Fault> {
        Err(fault())
    }
    async fn groups_of(&self, _: &AccountId) -> Result<Vec<GroupId>, Fault> {
        Err(fault())
    }
    async fn messages(&self, _: &ConversationId, _: MessageQuery) -> Result<Vec<Message>, Fault> {
        Err(fault())
    }
    async fn repeat_of(
        &self,
        _: &ConversationId,
        _: &AccountId,
        _: &RepeatKey,
        _: Timestamp,
    ) -> Result<Option<Message>, Fault> {
        Err(fault())
    }
    async fn unread_direct(&self, _: &AccountId, _: Option<&AccountId>) -> Result<u64, Fault> {
        Err(fault())
    }
    async fn parked(&self, _: MessageId) -> Result<Option<Parked>, Fault> {
        Err(fault())
    }
    async fn parked_repeat(
        &self,
        _: &ConversationId,
        _: &AccountId,
        _: &RepeatKey,
        _: Timestamp,
    ) -> Result<Option<Parked>, Fault> {
        Err(fault())
    }
    async fn list_parked(&self, _: ParkedQuery) -> Result<Vec<Parked>, Fault> {
        Err(fault())
    }
    async fn count_parked(&self) -> Result<ParkedCount, Fault> {
        Err(fault())
    }
}

#[async_trait]
impl Log for Broken {
    fn shards(&self) -> Vec<Shard> {
        Vec::new()
    }
    fn shard_of(&self, _: &Subject) -> Shard {
        Shard::default()
    }
    async fn log_after(&self, _: Shard, _: Position, _: usize) -> Result<Vec<LogEntry>, Fault> {
        Err(fault())
    }
    async fn log_of(&self, _: &Subject, _: Position, _: Position, _: usize) -> Result<Vec<LogEntry>, Fault> {
        Err(fault())
    }
    async fn log_before(&self, _: &Subject, _: Position, _: usize) -> Result<Vec<LogEntry>, Fault> {
        Err(fault())
    }
    fn head(&self, _: Shard) -> watch::Receiver<Position> {
        self.0.clone()
    }
}

fn routes() -> Router {
    let store = Arc::new(Broken(watch::channel(Position::default()).1));
    let chat = Chat::new(store, Arc::new(Silent), Arc::new(Stopped), Settings::default());
    let admins = BTreeSet::from([AccountId::new("imAdmin")]);
    let config =
        Config { secret: "s3cret".into(), admins, token_lifetime: Config::TOKEN_LIFETIME, max_connections: 10 };
    OpenIm::new(Arc::new(chat), Arc::default(), config).rest()
}

async fn send(request: Request<Body>) -> (Response<()>, Value) {
    let (head, body) = routes().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, ()), serde_json::from_slice(&body).unwrap())
}

/// A request with all headers that it needs.
fn request(path: &str, user: &str, body: impl Into<Body>) -> Request<Body> {
    let token = token::issue("s3cret", &AccountId::from(user), 5, NOW, Config::TOKEN_LIFETIME);
    let builder = Request::post(path).header("operationID", "op-1").header("token", token);
    builder.body(body.into()).unwrap()
}

fn without(mut request: Request<Body>, header: &str) -> Request<Body> {
    request.headers_mut().remove(header);
    request
}

#[tokio::test]
async fn an_unknown_path_or_method_is_404_with_an_envelope() {
    for request in [request("/msg/no_such", "bob", "{}"), Request::get("/msg/send_msg").body(Body::empty()).unwrap()] {
        let path = request.uri().path().to_owned();
        let (head, body) = send(request).await;
        assert_eq!(
            (head.status().as_u16(), &body["errCode"], &body["errMsg"]),
            (404, &json!(1004), &json!("RecordNotFoundError"))
        );
        assert!(body["errDlt"].as_str().unwrap().ends_with(&path));
        assert_eq!(head.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
}

#[tokio::test]
async fn options_are_answered_everywhere() {
    let request = Request::builder().method(Method::OPTIONS).uri("/msg/send_msg").body(Body::empty()).unwrap();
    let (head, body) = send(request).await;
    assert_eq!((head.status().as_u16(), body), (200, json!("Options Request!")));
    assert_eq!(head.headers()["access-control-allow-headers"], "*");
}

#[tokio::test]
async fn headers_must_be_there_and_good() {
    let good = || request("/user/get_users_info", "bob", "{}");
    let (_, body) = send(without(good(), "operationID")).await;
    assert_eq!((&body["errCode"], &body["errDlt"]), (&json!(1001), &json!("header must have operationID")));
    let (head, body) = send(without(good(), "token")).await;
    assert_eq!((&body["errCode"], &body["errDlt"]), (&json!(1001), &json!("header must have token")));
    assert_eq!(head.status().as_u16(), 200);
    assert!(body.get("data").is_none());
    let mut foreign = good();
    let token = token::issue("other", &AccountId::from("bob"), 5, NOW, Config::TOKEN_LIFETIME);
    foreign.headers_mut().insert("token", token.parse().unwrap());
    assert_eq!(send(foreign).await.1["errCode"], 1505);
}

#[tokio::test]
async fn a_fault_is_shown_without_details() {
    let (head, body) = send(request("/user/get_users_info", "bob", r#"{"userIDs":["x"]}"#)).await;
    assert_eq!(head.status().as_u16(), 200);
    assert_eq!(body, json!({"errCode": 500, "errMsg": "ServerInternalError", "errDlt": ""}));
}

#[tokio::test]
async fn a_body_that_is_not_json_is_1001_and_400_where_openim_says_so() {
    for (path, status) in [("/user/get_users_info", 200), ("/msg/send_msg", 400), ("/msg/batch_send_msg", 400)] {
        for body in ["", "nope", "[]", "{\"a\":"] {
            let (head, answer) = send(request(path, "bob", body)).await;
            assert_eq!((head.status().as_u16(), &answer["errCode"]), (status, &json!(1001)), "{path} {body}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    let mut announced = request("/msg/newest_seq", "bob", Body::empty());
    announced.headers_mut().insert("content-length", "99999999999".parse().unwrap());
    for request in [request("/msg/newest_seq", "bob", large), announced] {
        let (head, body) = send(request).await;
        assert_eq!((&body["errCode"], &head.headers()[CONNECTION]), (&json!(1001), &"close".parse().unwrap()));
    }
}

#[tokio::test]
async fn only_admins_act_for_the_app() {
    for path in ["/user/user_register", "/auth/get_user_token"] {
        assert_eq!(send(request(path, "bob", "{}")).await.1["errCode"], 1002, "{path}");
        assert_eq!(send(request(path, "imAdmin", "{}")).await.1["errCode"], 1001, "{path}");
    }
    let send_msg = r#"{"sendID":"a","recvID":"b","contentType":101,"sessionType":1,"content":{"content":"x"}}"#;
    assert_eq!(send(request("/msg/send_msg", "bob", send_msg)).await.1["errCode"], 1002);
    let other = r#"{"userID":"carol"}"#;
    assert_eq!(send(request("/msg/newest_seq", "bob", other)).await.1["errCode"], 1002);
    assert_eq!(send(request("/msg/newest_seq", "imAdmin", other)).await.1["errCode"], 500);
}

#[tokio::test]
async fn the_secret_buys_an_admin_token() {
    let ask = |secret: &str, user: &str| {
        let body = json!({"secret": secret, "userID": user}).to_string();
        without(request("/auth/get_admin_token", "nobody", body), "token")
    };
    assert_eq!(send(ask("wrong", "imAdmin")).await.1["errCode"], 1002);
    assert_eq!(send(ask("s3cret", "bob")).await.1["errCode"], 1001);
    let (_, body) = send(ask("s3cret", "imAdmin")).await;
    assert_eq!(body["data"]["expireTimeSeconds"], 7_776_000);
    let parse = json!({"token": body["data"]["token"]}).to_string();
    let (_, body) = send(without(request("/auth/parse_token", "nobody", parse), "token")).await;
    assert_eq!(body["data"], json!({"userID": "imAdmin", "platformID": 10, "expireTimeSeconds": 1_767_776_000}));
}

#[tokio::test]
async fn a_large_answer_is_compressed_if_asked_for() {
    let mut request = request("/no", "bob", "{}");
    *request.uri_mut() = format!("/{}", "x".repeat(5000)).parse().unwrap();
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let response = routes().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
}
