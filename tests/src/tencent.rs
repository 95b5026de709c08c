//! The app's side of the Tencent dialect: calls `/v4/..` as an admin, with signatures of its own making.

use hyper::Method;
use serde_json::{Value, json};

use crate::http::{Broken, Http, Reply, percent};
use crate::usersig::{UserSig, now};

#[derive(Clone, Debug)]
pub struct Tencent {
    pub http: Http,
    query: String,
}

impl Tencent {
    pub fn new(authority: &str, sdkappid: u64, key: &str, caller: &str) -> Self {
        let usersig = UserSig::new(sdkappid, caller).sign(key);
        Self::with_usersig(authority, &sdkappid.to_string(), caller, &usersig)
    }

    /// With whatever credentials a scenario wants to be refused for.
    pub fn with_usersig(authority: &str, sdkappid: &str, caller: &str, usersig: &str) -> Self {
        let query = format!("sdkappid={sdkappid}&identifier={}&usersig={}", percent(caller), percent(usersig));
        Self::with_query(authority, &query)
    }

    /// With a query of which nothing is taken for granted.
    pub fn with_query(authority: &str, query: &str) -> Self {
        Self { http: Http::new(authority), query: query.to_owned() }
    }

    /// One call. `command` is `service/command`. The HTTP status is 200, whatever happens.
    pub async fn call(&self, command: &str, body: Value) -> Value {
        self.post(command, body.to_string()).await.json()
    }

    /// One call with any body; asserts what holds for every answer of this dialect.
    pub async fn post(&self, command: &str, body: impl Into<bytes::Bytes>) -> Reply {
        let reply = self.http.post(&self.path(command), &[], body).await;
        assert_eq!(reply.status, 200, "{command}: {}", reply.text());
        let answer = reply.json();
        let (status, code, info) = (&answer["ActionStatus"], &answer["ErrorCode"], &answer["ErrorInfo"]);
        assert!(code.is_i64() && info.is_string(), "{command}: no envelope: {answer}");
        assert_eq!(*status, if *code == 0 { "OK" } else { "FAIL" }, "{command}: {answer}");
        assert!(*code == 0 || *info != "", "{command}: a refusal without words: {answer}");
        reply
    }

    /// As [`Tencent::call`], for a server that may die meanwhile.
    pub async fn try_call(&self, command: &str, body: &Value) -> Result<Value, Broken> {
        let reply = self.http.send(Method::POST, &self.path(command), &[], body.to_string()).await?;
        serde_json::from_slice(&reply.body).map_err(|e| Broken(e.to_string()))
    }

    /// A call that must succeed.
    pub async fn ok(&self, command: &str, body: Value) -> Value {
        let answer = self.call(command, body.clone()).await;
        assert_eq!(answer["ErrorCode"], 0, "{command} {body} was refused: {answer}");
        answer
    }

    /// A call that must fail; gives the code.
    pub async fn refused(&self, command: &str, body: Value) -> i64 {
        let answer = self.call(command, body.clone()).await;
        assert_ne!(answer["ErrorCode"], 0, "{command} {body} was not refused: {answer}");
        answer["ErrorCode"].as_i64().expect("a code")
    }

    pub fn path(&self, command: &str) -> String {
        format!("/v4/{command}?{}&random={}&contenttype=json", self.query, rand::random::<u32>())
    }

    pub async fn import(&self, users: &[&str]) {
        let answer = self.ok("im_open_login_svc/multiaccount_import", json!({ "Accounts": users })).await;
        assert_eq!(answer["FailAccounts"].as_array().map_or(0, Vec::len), 0, "{answer}");
    }

    /// A public group with this id, owner and members; they are accounts already.
    pub async fn create_group(&self, id: &str, owner: &str, members: &[&str]) {
        let members: Vec<_> = members.iter().map(|member| json!({ "Member_Account": member })).collect();
        let group = json!({"Type": "Public", "GroupId": id, "Name": id, "Owner_Account": owner, "MemberList": members});
        self.ok("group_open_http_svc/create_group", group).await;
    }

    /// The one-to-one history as `operator` sees it, oldest first, all pages.
    pub async fn history(&self, operator: &str, peer: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut page = json!({
            "Operator_Account": operator, "Peer_Account": peer, "MaxCnt": 100, "MinTime": 0, "MaxTime": now() + 60,
        });
        loop {
            let answer = self.ok("openim/admin_getroammsg", page.clone()).await;
            let messages = answer["MsgList"].as_array().expect("MsgList").clone();
            assert_eq!(answer["MsgCnt"], messages.len(), "{answer}");
            all.splice(0..0, messages);
            if answer["Complete"] == 1 {
                return all;
            }
            page["MaxTime"] = answer["LastMsgTime"].clone();
            page["LastMsgKey"] = answer["LastMsgKey"].clone();
        }
    }

    /// The texts of [`Tencent::history`].
    pub async fn texts(&self, operator: &str, peer: &str) -> Vec<String> {
        self.history(operator, peer).await.iter().map(text_of).collect()
    }

    /// A group's history, oldest first, all pages.
    pub async fn group_history(&self, group: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut page = json!({"GroupId": group, "ReqMsgNumber": 20});
        loop {
            let answer = self.ok("group_open_http_svc/group_msg_get_simple", page.clone()).await;
            let mut messages = answer["RspMsgList"].as_array().expect("RspMsgList").clone();
            let Some(oldest) = messages.last().map(|message| message["MsgSeq"].as_i64().expect("MsgSeq")) else {
                return all;
            };
            messages.reverse();
            all.splice(0..0, messages);
            if oldest == 1 {
                return all;
            }
            page["ReqMsgSeq"] = (oldest - 1).into();
        }
    }

    pub async fn group_texts(&self, group: &str) -> Vec<String> {
        self.group_history(group).await.iter().map(text_of).collect()
    }

    /// The recipient's unread one-to-one messages, over all conversations.
    pub async fn unread(&self, user: &str) -> i64 {
        let answer = self.ok("openim/get_c2c_unread_msg_num", json!({ "To_Account": user })).await;
        answer["AllC2CUnreadMsgNum"].as_i64().expect("AllC2CUnreadMsgNum")
    }
}

/// A `MsgBody` of one text.
pub fn text(text: &str) -> Value {
    json!([{"MsgType": "TIMTextElem", "MsgContent": {"Text": text}}])
}

/// A body for `openim/sendmsg`.
pub fn c2c(from: &str, to: &str, words: &str) -> Value {
    json!({"From_Account": from, "To_Account": to, "MsgRandom": rand::random::<u32>(), "MsgBody": text(words)})
}

/// A body for `group_open_http_svc/send_group_msg`.
pub fn group_text(group: &str, from: &str, words: &str) -> Value {
    json!({"GroupId": group, "From_Account": from, "Random": rand::random::<u32>(), "MsgBody": text(words)})
}

/// The text of a message (or callback body) that is one text.
pub fn text_of(message: &Value) -> String {
    message["MsgBody"][0]["MsgContent"]["Text"].as_str().unwrap_or_else(|| panic!("not a text: {message}")).to_owned()
}

/// A body with some fields replaced or added.
pub fn with(mut body: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    body
}
