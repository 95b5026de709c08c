//! The app's side of the OpenIM dialect: calls its REST API with an admin's token.

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::Method;
use serde_json::{Value, json};

use crate::http::{Broken, Http, Reply};

#[derive(Clone, Debug)]
pub struct OpenIm {
    pub http: Http,
    token: String,
}

impl OpenIm {
    /// Trades the shared secret for an admin's token.
    pub async fn sign_in(authority: &str, secret: &str, admin: &str) -> Self {
        let nobody = Self::with_token(authority, "");
        let data = nobody.ok("/auth/get_admin_token", json!({"secret": secret, "userID": admin})).await;
        Self::with_token(authority, data["token"].as_str().expect("a token"))
    }

    pub fn with_token(authority: &str, token: &str) -> Self {
        Self { http: Http::new(authority), token: token.to_owned() }
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// One call; gives the envelope.
    pub async fn call(&self, path: &str, body: Value) -> Value {
        self.call_as(&operation(), path, body).await
    }

    /// One call under this `operationID`.
    pub async fn call_as(&self, operation: &str, path: &str, body: Value) -> Value {
        let reply = self.post(path, &[("operationID", operation), ("token", &self.token)], body.to_string()).await;
        // These two answer what they cannot bind with 400, as theirs do; everything else is 200.
        let may_be_400 = ["/msg/send_msg", "/msg/batch_send_msg"].contains(&path) && reply.json()["errCode"] == 1001;
        assert!(
            reply.status == 200 || (may_be_400 && reply.status == 400),
            "{path}: HTTP {} {}",
            reply.status,
            reply.text()
        );
        reply.json()
    }

    /// One call with any headers and body; asserts what holds for every answer of this dialect.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Reply {
        let reply = self.http.post(path, headers, body).await;
        let answer = reply.json();
        assert!(
            answer["errCode"].is_i64() && answer["errMsg"].is_string() && answer["errDlt"].is_string(),
            "{path}: no envelope: {answer}"
        );
        assert!(answer["errCode"] == 0 || answer["data"].is_null(), "{path}: data beside an error: {answer}");
        assert!(answer["errCode"] == 0 || answer["errMsg"] != "", "{path}: a refusal without words: {answer}");
        reply
    }

    /// As [`OpenIm::call`], for a server that may die meanwhile.
    pub async fn try_call(&self, path: &str, body: &Value) -> Result<Value, Broken> {
        let headers = [("operationID", operation()), ("token", self.token.clone())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let reply = self.http.send(Method::POST, path, &headers, body.to_string()).await?;
        serde_json::from_slice(&reply.body).map_err(|e| Broken(e.to_string()))
    }

    /// A call that must succeed; gives `data`.
    pub async fn ok(&self, path: &str, body: Value) -> Value {
        let answer = self.call(path, body.clone()).await;
        assert_eq!(answer["errCode"], 0, "{path} {body} was refused: {answer}");
        answer["data"].clone()
    }

    /// A call that must fail; gives the code.
    pub async fn refused(&self, path: &str, body: Value) -> i64 {
        let answer = self.call(path, body.clone()).await;
        assert_ne!(answer["errCode"], 0, "{path} {body} was not refused: {answer}");
        answer["errCode"].as_i64().expect("a code")
    }

    pub async fn register(&self, users: &[&str]) {
        let users: Vec<_> = users
            .iter()
            .map(|user| json!({"userID": user, "nickname": format!("nick of {user}"), "faceURL": ""}))
            .collect();
        self.ok("/user/user_register", json!({ "users": users })).await;
    }

    pub async fn create_group(&self, id: &str, owner: &str, members: &[&str]) {
        let group = json!({
            "ownerUserID": owner, "memberUserIDs": members,
            "groupInfo": {"groupID": id, "groupName": id, "groupType": 2},
        });
        self.ok("/group/create_group", group).await;
    }

    /// A user's token for a platform.
    pub async fn user_token(&self, user: &str, platform: i64) -> String {
        let data = self.ok("/auth/get_user_token", json!({"userID": user, "platformID": platform})).await;
        data["token"].as_str().expect("a token").to_owned()
    }

    /// A whole conversation as `user` sees it, oldest first, with `content` decoded from base64 and JSON.
    pub async fn pull(&self, user: &str, conversation: &str) -> Vec<Value> {
        let newest = self.ok("/msg/newest_seq", json!({ "userID": user })).await;
        let newest = newest["maxSeqs"][conversation].as_i64().unwrap_or(0);
        let mut all = Vec::new();
        for begin in (1..=newest).step_by(50) {
            let end = newest.min(begin + 49);
            let range = json!({"conversationID": conversation, "begin": begin, "end": end, "num": 50});
            let data = self.ok("/msg/pull_msg_by_seq", json!({"userID": user, "seqRanges": [range], "order": 0})).await;
            let page = data["msgs"][conversation]["Msgs"]
                .as_array()
                .unwrap_or_else(|| panic!("no messages in {data}"))
                .clone();
            all.extend(page.into_iter().map(decoded));
        }
        all
    }
}

/// A body for `/msg/send_msg`, to one user.
pub fn single(from: &str, to: &str, words: &str) -> Value {
    json!({
        "sendID": from, "recvID": to, "contentType": 101, "sessionType": 1, "content": {"content": words},
        "senderNickname": "", "senderFaceURL": "", "senderPlatformID": 5,
    })
}

/// A body for `/msg/send_msg`, to a group.
pub fn group(from: &str, group: &str, words: &str) -> Value {
    json!({
        "sendID": from, "groupID": group, "contentType": 101, "sessionType": 3, "content": {"content": words},
        "senderNickname": "", "senderFaceURL": "", "senderPlatformID": 5,
    })
}

/// `content` of a webhook body, which is JSON in a string.
pub fn content_of(body: &Value) -> Value {
    let content = body["content"].as_str().unwrap_or_else(|| panic!("content is no string: {body}"));
    serde_json::from_str(content).unwrap_or_else(|_| panic!("content is not JSON: {body}"))
}

fn decoded(mut message: Value) -> Value {
    let content = message["content"].as_str().unwrap_or_else(|| panic!("content is no string: {message}"));
    let content = STANDARD.decode(content).unwrap_or_else(|_| panic!("content is not base64: {message}"));
    message["content"] = serde_json::from_slice(&content).unwrap_or_else(|_| panic!("content is not JSON: {message}"));
    message
}

/// A fresh `operationID`.
pub fn operation() -> String {
    format!("op-{:016x}", rand::random::<u64>())
}
