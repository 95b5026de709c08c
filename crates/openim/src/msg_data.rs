//! `MsgData`: a message as OpenIM shows it (`spec/openim/semantics.md`, section 5; `types.jsonl`, `sdkws.MsgData`).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chat::Platform;
use chat::conversation::ConversationId;
use chat::element::Carried;
use chat::id::Seq;
use chat::message::{Delivery, Keeping};
use prost::Message;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{content, mentions, platform};

/// The options that an online-only message has off (`spec/openim/semantics.md`, section 5).
const ONLINE_ONLY: [&str; 7] = [
    "history",
    "persistent",
    "senderSync",
    "conversationUpdate",
    "senderConversationUpdate",
    "unreadCount",
    "offlinePush",
];

/// `status` of a stored message, and of a seq without one.
const STORED: i32 = 1;
const DELETED: i32 = 4;

/// `status` of a message that is pushed.
pub(crate) const PUSHED: i32 = 2;

/// A message as the wire has it: Protocol Buffers through the gateway, JSON over REST. Lists and objects that are not there
/// are null in JSON, maps are left out.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(crate) struct MsgData {
    #[prost(string, tag = "1")]
    #[serde(rename = "sendID")]
    pub(crate) send_id: String,
    #[prost(string, tag = "2")]
    #[serde(rename = "recvID")]
    pub(crate) recv_id: String,
    #[prost(string, tag = "3")]
    #[serde(rename = "groupID")]
    pub(crate) group_id: String,
    #[prost(string, tag = "4")]
    #[serde(rename = "clientMsgID")]
    pub(crate) client_msg_id: String,
    #[prost(string, tag = "5")]
    #[serde(rename = "serverMsgID")]
    pub(crate) server_msg_id: String,
    #[prost(int32, tag = "6")]
    #[serde(rename = "senderPlatformID")]
    pub(crate) sender_platform_id: i32,
    #[prost(string, tag = "7")]
    #[serde(rename = "senderNickname")]
    pub(crate) sender_nickname: String,
    #[prost(string, tag = "8")]
    #[serde(rename = "senderFaceURL")]
    pub(crate) sender_face_url: String,
    #[prost(int32, tag = "9")]
    #[serde(rename = "sessionType")]
    pub(crate) session_type: i32,
    #[prost(int32, tag = "10")]
    #[serde(rename = "msgFrom")]
    pub(crate) msg_from: i32,
    #[prost(int32, tag = "11")]
    #[serde(rename = "contentType")]
    pub(crate) content_type: i32,
    /// The content's JSON text; in JSON it is base64 of that.
    // COMPAT: `bytes` in OpenIM's definition, which look the same on the wire; it is always text.
    #[prost(string, tag = "12")]
    #[serde(serialize_with = "as_base64")]
    pub(crate) content: String,
    #[prost(int64, tag = "14")]
    pub(crate) seq: i64,
    #[prost(int64, tag = "15")]
    #[serde(rename = "sendTime")]
    pub(crate) send_time: i64,
    #[prost(int64, tag = "16")]
    #[serde(rename = "createTime")]
    pub(crate) create_time: i64,
    #[prost(int32, tag = "17")]
    pub(crate) status: i32,
    /// Whether the other side has read it. Read receipts come later; until then, not.
    #[prost(bool, tag = "18")]
    #[serde(rename = "isRead")]
    pub(crate) is_read: bool,
    #[prost(btree_map = "string, bool", tag = "19")]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) options: BTreeMap<String, bool>,
    #[prost(message, optional, tag = "20")]
    #[serde(rename = "offlinePushInfo")]
    pub(crate) offline_push_info: Option<OfflinePushInfo>,
    #[prost(string, repeated, tag = "21")]
    #[serde(rename = "atUserIDList", serialize_with = "or_null")]
    pub(crate) at_user_id_list: Vec<String>,
    #[prost(string, tag = "22")]
    #[serde(rename = "attachedInfo")]
    pub(crate) attached_info: String,
    #[prost(string, tag = "23")]
    pub(crate) ex: String,
}

/// What a vendor's push shows.
#[derive(Clone, PartialEq, Eq, Message, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OfflinePushInfo {
    #[prost(string, tag = "1")]
    pub(crate) title: String,
    #[prost(string, tag = "2")]
    pub(crate) desc: String,
    #[prost(string, tag = "3")]
    pub(crate) ex: String,
    #[prost(string, tag = "4")]
    #[serde(rename = "iOSPushSound")]
    pub(crate) ios_push_sound: String,
    #[prost(bool, tag = "5")]
    #[serde(rename = "iOSBadgeCount")]
    pub(crate) ios_badge_count: bool,
    #[prost(string, tag = "6")]
    #[serde(rename = "signalInfo")]
    pub(crate) signal_info: String,
}

fn as_base64<S: Serializer>(content: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match content {
        "" => serializer.serialize_none(),
        content => serializer.serialize_str(&STANDARD.encode(content)),
    }
}

/// An empty list, as Go writes one that was never made.
pub(crate) fn or_null<T: Serialize, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    match list {
        [] => serializer.serialize_none(),
        list => serializer.collect_seq(list),
    }
}

impl MsgData {
    /// How a message is shown.
    pub(crate) fn of(message: &chat::message::Message) -> Self {
        let shown = content::encode(&message.elements, &message.mentions);
        let own = Carried::for_dialect(&message.carried, content::DIALECT);
        let (recv_id, group_id) = addresses(message);
        Self {
            send_id: message.sender.to_string(),
            recv_id,
            group_id,
            client_msg_id: message.client_id.to_string(),
            server_msg_id: message.id.to_string(),
            sender_platform_id: sender_platform(message, own),
            sender_nickname: message.sender_name.clone(),
            sender_face_url: message.sender_face.clone(),
            session_type: if message.is_direct() { 1 } else { 3 },
            // 100 a user's, 200 the app's own.
            msg_from: if message.origin.platform == Platform::Rest { 200 } else { 100 },
            content_type: shown.content_type,
            content: shown.text(),
            seq: message.seq.cast_signed(),
            send_time: message.time.millis(),
            create_time: message.created.millis(),
            status: STORED,
            is_read: false,
            options: options(&message.delivery, own),
            offline_push_info: own.and_then(|own| OfflinePushInfo::deserialize(own.get("offlinePushInfo")?).ok()),
            at_user_id_list: mentions::list(&message.mentions),
            attached_info: own.and_then(|own| own.get("attachedInfo")?.as_str()).unwrap_or_default().to_owned(),
            ex: message.custom_data.clone().unwrap_or_default(),
        }
    }

    /// What stands for a seq that has no message for this reader. Clients need contiguous numbers
    /// (`spec/openim/semantics.md`, section 4).
    pub(crate) fn placeholder(seq: Seq) -> Self {
        Self { seq: seq.cast_signed(), status: DELETED, ..Self::default() }
    }
}

/// `recvID` and `groupID`. A topic, which OpenIM does not have, stands as a group of its own: it has seqs of its own.
fn addresses(message: &chat::message::Message) -> (String, String) {
    match &message.conversation {
        ConversationId::Direct(..) => (message.recipient().map(ToString::to_string).unwrap_or_default(), String::new()),
        ConversationId::Group(group) => (String::new(), group.to_string()),
        ConversationId::Topic(_, topic) => (String::new(), topic.to_string()),
    }
}

/// The class of client; for a backend, what it said itself.
fn sender_platform(message: &chat::message::Message, own: Option<&Map<String, Value>>) -> i32 {
    match platform::number(message.origin.platform) {
        Some(number) => number,
        None => own.and_then(|own| i32::deserialize(own.get("senderPlatformID")?).ok()).unwrap_or_default(),
    }
}

/// What is off; whatever is not named is on. Options that the message carries are its own and win.
fn options(delivery: &Delivery, own: Option<&Map<String, Value>>) -> BTreeMap<String, bool> {
    let mut off: Vec<&str> = Vec::new();
    if delivery.keeping == Keeping::OnlineOnly {
        off.extend(ONLINE_ONLY);
    }
    if delivery.no_unread {
        off.push("unreadCount");
    }
    if delivery.no_last_message {
        off.extend(["conversationUpdate", "senderConversationUpdate"]);
    }
    if delivery.not_to_sender {
        off.push("senderSync");
    }
    if delivery.no_push {
        off.push("offlinePush");
    }
    let mut options: BTreeMap<String, bool> = off.into_iter().map(|name| (name.to_owned(), false)).collect();
    if let Some(Value::Object(carried)) = own.and_then(|own| own.get("options")) {
        options.extend(carried.iter().filter_map(|(name, value)| Some((name.clone(), value.as_bool()?))));
    }
    options
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_placeholder_has_a_seq_and_nothing_else() {
        let shown = serde_json::to_value(MsgData::placeholder(7)).unwrap();
        assert_eq!(shown["seq"], 7);
        assert_eq!(shown["status"], 4);
        assert_eq!(shown["content"], Value::Null);
        assert_eq!(shown["atUserIDList"], Value::Null);
        assert_eq!(shown["sendID"], "");
        assert!(shown.get("options").is_none());
    }

    #[test]
    fn options_say_what_is_off() {
        let delivery = Delivery { no_push: true, ..Delivery::default() };
        assert_eq!(options(&delivery, None), BTreeMap::from([("offlinePush".to_owned(), false)]));
        assert!(options(&Delivery::default(), None).is_empty());
        let Value::Object(own) = json!({"options": {"offlinePush": true, "unreadCount": false, "odd": 1}}) else {
            unreachable!()
        };
        let expected = BTreeMap::from([("offlinePush".to_owned(), true), ("unreadCount".to_owned(), false)]);
        assert_eq!(options(&delivery, Some(&own)), expected);
    }
}
