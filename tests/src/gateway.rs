//! One client of OpenIM's gateway, as an SDK in JavaScript connects: frames of JSON, data of Protocol Buffers.
//!
//! The messages are this crate's own, written after OpenIM's definitions: nothing of ours reads what the server wrote.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::openim::operation;
use crate::wait::within;
use crate::{OpenIm, Server};

/// Requests and pushes, by `reqIdentifier`.
pub const MAX_SEQS: i64 = 1001;
pub const PULL: i64 = 1002;
pub const SEND: i64 = 1003;
pub const SINGLE_SEQS: i64 = 1005;
pub const READ_AND_MAX_SEQS: i64 = 1006;
pub const LAST: i64 = 1007;
pub const PUSH: i64 = 2001;
pub const KICKED: i64 = 2002;
pub const LOG_OUT: i64 = 2003;
pub const PRESENCE: i64 = 2005;

/// A connected client.
pub struct Client {
    pub user: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    requests: u64,
    /// What came while an answer was waited for.
    pushes: VecDeque<Value>,
}

/// An answer, or a push.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: i64,
    pub message: String,
    pub operation: String,
    pub data: Vec<u8>,
}

/// `sdkws.MsgData`, as far as the scenarios look at it.
#[derive(Clone, PartialEq, Message)]
pub struct MsgData {
    #[prost(string, tag = "1")]
    pub send_id: String,
    #[prost(string, tag = "2")]
    pub recv_id: String,
    #[prost(string, tag = "3")]
    pub group_id: String,
    #[prost(string, tag = "4")]
    pub client_msg_id: String,
    #[prost(string, tag = "5")]
    pub server_msg_id: String,
    #[prost(int32, tag = "6")]
    pub sender_platform_id: i32,
    #[prost(int32, tag = "9")]
    pub session_type: i32,
    #[prost(int32, tag = "10")]
    pub msg_from: i32,
    #[prost(int32, tag = "11")]
    pub content_type: i32,
    #[prost(bytes = "vec", tag = "12")]
    pub content: Vec<u8>,
    #[prost(int64, tag = "14")]
    pub seq: i64,
    #[prost(int64, tag = "15")]
    pub send_time: i64,
    #[prost(int64, tag = "16")]
    pub create_time: i64,
    #[prost(int32, tag = "17")]
    pub status: i32,
    #[prost(btree_map = "string, bool", tag = "19")]
    pub options: BTreeMap<String, bool>,
}

/// `sdkws.PushMessages` and `sdkws.PullMessageBySeqsResp`.
#[derive(Clone, PartialEq, Message)]
pub struct Messages {
    #[prost(btree_map = "string, message", tag = "1")]
    pub msgs: BTreeMap<String, Page>,
    #[prost(btree_map = "string, message", tag = "2")]
    pub notification_msgs: BTreeMap<String, Page>,
}

/// `sdkws.PullMsgs`.
#[derive(Clone, PartialEq, Message)]
pub struct Page {
    #[prost(message, repeated, tag = "1")]
    pub msgs: Vec<MsgData>,
    #[prost(bool, tag = "2")]
    pub is_end: bool,
    #[prost(int64, tag = "3")]
    pub end_seq: i64,
}

/// `sdkws.PullMessageBySeqsReq`.
#[derive(Clone, PartialEq, Message)]
pub struct Pull {
    #[prost(string, tag = "1")]
    pub user_id: String,
    #[prost(message, repeated, tag = "2")]
    pub seq_ranges: Vec<Range>,
    #[prost(int32, tag = "3")]
    pub order: i32,
}

/// `sdkws.SeqRange`.
#[derive(Clone, PartialEq, Message)]
pub struct Range {
    #[prost(string, tag = "1")]
    pub conversation_id: String,
    #[prost(int64, tag = "2")]
    pub begin: i64,
    #[prost(int64, tag = "3")]
    pub end: i64,
    #[prost(int64, tag = "4")]
    pub num: i64,
}

/// `msg.GetSeqMessageReq`.
#[derive(Clone, PartialEq, Message)]
pub struct SingleSeqs {
    #[prost(string, tag = "1")]
    pub user_id: String,
    #[prost(message, repeated, tag = "2")]
    pub conversations: Vec<SeqsOf>,
    #[prost(int32, tag = "3")]
    pub order: i32,
}

/// `msg.ConversationSeqs`.
#[derive(Clone, PartialEq, Message)]
pub struct SeqsOf {
    #[prost(string, tag = "2")]
    pub conversation_id: String,
    #[prost(int64, repeated, tag = "3")]
    pub seqs: Vec<i64>,
}

/// Any request that is a user and a list of texts: 1001, 1006, 1007.
#[derive(Clone, PartialEq, Message)]
pub struct UserAnd {
    #[prost(string, tag = "1")]
    pub user_id: String,
    #[prost(string, repeated, tag = "2")]
    pub ids: Vec<String>,
}

/// `sdkws.GetMaxSeqResp`.
#[derive(Clone, PartialEq, Message)]
pub struct MaxSeqs {
    #[prost(btree_map = "string, int64", tag = "1")]
    pub max_seqs: BTreeMap<String, i64>,
}

/// `msg.GetConversationsHasReadAndMaxSeqResp`.
#[derive(Clone, PartialEq, Message)]
pub struct ReadAndMaxSeqs {
    #[prost(btree_map = "string, message", tag = "1")]
    pub seqs: BTreeMap<String, Seqs>,
}

/// `msg.Seqs`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Seqs {
    #[prost(int64, tag = "1")]
    pub max_seq: i64,
    #[prost(int64, tag = "2")]
    pub has_read_seq: i64,
    #[prost(int64, tag = "3")]
    pub max_seq_time: i64,
}

/// `msg.GetLastMessageResp`.
#[derive(Clone, PartialEq, Message)]
pub struct LastMessages {
    #[prost(btree_map = "string, message", tag = "1")]
    pub msgs: BTreeMap<String, MsgData>,
}

/// `msg.SendMsgResp`.
#[derive(Clone, PartialEq, Message)]
pub struct Sent {
    #[prost(string, tag = "1")]
    pub server_msg_id: String,
    #[prost(string, tag = "2")]
    pub client_msg_id: String,
    #[prost(int64, tag = "3")]
    pub send_time: i64,
    #[prost(message, optional, tag = "4")]
    pub modify: Option<MsgData>,
}

/// `sdkws.SubUserOnlineStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct Watch {
    #[prost(string, repeated, tag = "1")]
    pub subscribe: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub unsubscribe: Vec<String>,
}

/// `sdkws.SubUserOnlineStatusTips`.
#[derive(Clone, PartialEq, Message)]
pub struct Presences {
    #[prost(message, repeated, tag = "1")]
    pub subscribers: Vec<PresenceOf>,
}

/// `sdkws.SubUserOnlineStatusElem`.
#[derive(Clone, PartialEq, Message)]
pub struct PresenceOf {
    #[prost(string, tag = "1")]
    pub user_id: String,
    #[prost(int32, repeated, tag = "2")]
    pub platforms: Vec<i32>,
}

impl MsgData {
    /// A text to one user.
    pub fn to_user(from: &str, to: &str, words: &str) -> Self {
        Self { recv_id: to.into(), session_type: 1, ..Self::text(from, words) }
    }

    /// A text to a group.
    pub fn to_group(from: &str, group: &str, words: &str) -> Self {
        Self { group_id: group.into(), session_type: 3, ..Self::text(from, words) }
    }

    fn text(from: &str, words: &str) -> Self {
        Self {
            send_id: from.into(),
            client_msg_id: operation(),
            sender_platform_id: 5,
            msg_from: 100,
            content_type: 101,
            content: json!({ "content": words }).to_string().into_bytes(),
            status: 1,
            ..Self::default()
        }
    }

    /// The text of a text.
    pub fn words(&self) -> String {
        let content: Value = serde_json::from_slice(&self.content).expect("content is JSON");
        content["content"].as_str().expect("a text").to_owned()
    }
}

/// The URL that a client connects to: the JavaScript SDK's form.
pub fn url(authority: &str, user: &str, platform: i64, token: &str) -> String {
    let operation = operation();
    format!(
        "ws://{authority}/?sendID={user}&token={token}&platformID={platform}&operationID={operation}\
         &isBackground=false&isMsgResp=true&sdkType=js"
    )
}

impl Client {
    /// Signs a user in on a platform and connects.
    pub async fn sign_in(server: &Server, openim: &OpenIm, user: &str, platform: i64) -> Self {
        let token = openim.user_token(user, platform).await;
        Self::connect(server.gateway(), user, platform, &token).await.expect("a good token connects")
    }

    /// Connects, and reads the answer to that; an error has its code.
    pub async fn connect(authority: &str, user: &str, platform: i64, token: &str) -> Result<Self, i64> {
        let (mut socket, _) = connect_async(url(authority, user, platform, token)).await.expect("an upgrade");
        let first = within("the answer to connecting", socket.next()).await.expect("a frame").expect("a whole one");
        let answer: Value = serde_json::from_str(first.to_text().expect("a text frame")).expect("JSON");
        match answer["errCode"].as_i64().expect("a code") {
            0 => Ok(Self { user: user.to_owned(), socket, requests: 0, pushes: VecDeque::new() }),
            code => {
                let after = within("the end of a refused connection", socket.next()).await;
                assert!(matches!(after, None | Some(Err(_) | Ok(Frame::Close(_)))), "{after:?}");
                Err(code)
            }
        }
    }

    /// Asks, and waits for the answer; what is pushed meanwhile is kept.
    pub async fn ask(&mut self, identifier: i64, data: &impl Message) -> Answer {
        let operation = operation();
        self.ask_as(&operation, identifier, data).await
    }

    /// The same, with this `operationID`.
    pub async fn ask_as(&mut self, operation: &str, identifier: i64, data: &impl Message) -> Answer {
        self.requests += 1;
        let increment = format!("{}_{}", self.user, self.requests);
        let frame = json!({
            "reqIdentifier": identifier, "sendID": self.user, "operationID": operation, "msgIncr": increment,
            "data": STANDARD.encode(data.encode_to_vec()),
        });
        self.write(Frame::binary(frame.to_string())).await;
        loop {
            let frame = self.read().await.expect("an answer, and not the end");
            if frame["msgIncr"] == increment.as_str() {
                assert_eq!(frame["reqIdentifier"], identifier, "{frame}");
                return Answer::of(&frame);
            }
            self.pushes.push_back(frame);
        }
    }

    /// Asks for something that is to work.
    pub async fn get<T: Message + Default>(&mut self, identifier: i64, data: &impl Message) -> T {
        let answer = self.ask(identifier, data).await;
        assert_eq!(answer.code, 0, "{answer:?}");
        T::decode(&*answer.data).expect("the data of an answer")
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &MsgData) -> Sent {
        self.get(SEND, message).await
    }

    /// The next push of this kind.
    pub async fn pushed(&mut self, identifier: i64) -> Answer {
        loop {
            let frame = match self.pushes.pop_front() {
                Some(frame) => frame,
                None => self.read().await.expect("a push, and not the end"),
            };
            if frame["reqIdentifier"] == identifier {
                assert_eq!(frame["msgIncr"], "", "{frame}");
                return Answer::of(&frame);
            }
        }
    }

    /// The next message that is pushed, and its conversation.
    pub async fn message(&mut self) -> (String, MsgData) {
        let push = Messages::decode(&*self.pushed(PUSH).await.data).expect("a push");
        assert!(push.msgs.len() == 1 && push.notification_msgs.is_empty(), "{push:?}");
        let (conversation, mut page) = push.msgs.into_iter().next().expect("one");
        assert_eq!(page.msgs.len(), 1, "{page:?}");
        (conversation, page.msgs.remove(0))
    }

    /// The texts of the next messages that are pushed.
    pub async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.message().await.1.words());
        }
        texts
    }

    /// Writes any frame.
    pub async fn write(&mut self, frame: Frame) {
        within("a frame to be written", self.socket.send(frame)).await.expect("an open connection");
    }

    /// The next text frame.
    pub async fn text(&mut self) -> Value {
        let frame = within("a text frame", self.socket.next()).await.expect("no end").expect("a frame");
        serde_json::from_str(frame.to_text().expect("a text frame")).expect("JSON")
    }

    /// Waits for the end; whatever came before is let go.
    pub async fn ended(mut self) {
        // A client that is silent would be let go after 30 s, whatever it has done.
        let ending = async { while self.read().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(20), ending).await.expect("the end of the connection");
    }

    /// The next binary frame; none at the end.
    async fn read(&mut self) -> Option<Value> {
        // Pings of the server are no frame that anybody waits for.
        within("a frame", async {
            loop {
                match self.socket.next().await? {
                    Ok(Frame::Binary(frame)) => return Some(serde_json::from_slice(&frame).expect("JSON")),
                    Ok(Frame::Close(_)) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        })
        .await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Answer {
    fn of(frame: &Value) -> Self {
        let text = |name: &str| frame[name].as_str().unwrap_or_else(|| panic!("{name} in {frame}")).to_owned();
        let data = match &frame["data"] {
            Value::Null => Vec::new(),
            data => STANDARD.decode(data.as_str().expect("a string")).expect("base64"),
        };
        let code = frame["errCode"].as_i64().expect("a code");
        Self { code, message: text("errMsg"), operation: text("operationID"), data }
    }
}
