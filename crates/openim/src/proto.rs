//! Protocol Buffers of the gateway: what its requests and answers hold, beside the messages themselves
//! (`spec/openim/gateway.md`, section 5; `types.jsonl`). Where REST has the same answer, it is the same type.

use std::collections::BTreeMap;

use prost::Message;
use serde::Serialize;

use crate::msg_data::{MsgData, or_null};

/// `sdkws.GetMaxSeqReq`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct GetMaxSeq {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
}

/// `sdkws.GetMaxSeqResp`.
#[derive(Clone, PartialEq, Eq, Message, Serialize)]
pub(crate) struct MaxSeqs {
    #[prost(btree_map = "string, int64", tag = "1")]
    #[serde(rename = "maxSeqs")]
    pub(crate) max_seqs: BTreeMap<String, i64>,
    /// COMPAT: absent while empty, as Go leaves maps out.
    #[prost(btree_map = "string, int64", tag = "2")]
    #[serde(rename = "minSeqs", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) min_seqs: BTreeMap<String, i64>,
}

/// `sdkws.PullMessageBySeqsReq`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct PullMessageBySeqs {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) seq_ranges: Vec<SeqRange>,
    #[prost(int32, tag = "3")]
    pub(crate) order: i32,
}

/// `sdkws.SeqRange`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SeqRange {
    #[prost(string, tag = "1")]
    pub(crate) conversation_id: String,
    #[prost(int64, tag = "2")]
    pub(crate) begin: i64,
    #[prost(int64, tag = "3")]
    pub(crate) end: i64,
    #[prost(int64, tag = "4")]
    pub(crate) num: i64,
}

/// `msg.GetSeqMessageReq`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct GetSeqMessage {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) conversations: Vec<ConversationSeqs>,
    #[prost(int32, tag = "3")]
    pub(crate) order: i32,
}

/// `msg.ConversationSeqs`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ConversationSeqs {
    // COMPAT: there is no field 1.
    #[prost(string, tag = "2")]
    pub(crate) conversation_id: String,
    #[prost(int64, repeated, tag = "3")]
    pub(crate) seqs: Vec<i64>,
}

/// `sdkws.PullMessageBySeqsResp`, `msg.GetSeqMessageResp` and `sdkws.PushMessages`: messages by conversation.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(crate) struct Pulled {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) msgs: BTreeMap<String, PullMsgs>,
    /// Empty: notifications are not stored yet.
    #[prost(btree_map = "string, message", tag = "2")]
    #[serde(rename = "notificationMsgs")]
    pub(crate) notification_msgs: BTreeMap<String, PullMsgs>,
}

/// `sdkws.PullMsgs`.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(crate) struct PullMsgs {
    // COMPAT: capital on the wire.
    #[prost(message, repeated, tag = "1")]
    #[serde(rename = "Msgs", serialize_with = "or_null")]
    pub(crate) msgs: Vec<MsgData>,
    #[prost(bool, tag = "2")]
    #[serde(rename = "isEnd")]
    pub(crate) is_end: bool,
    // COMPAT: filled only where single seqs are asked for.
    #[prost(int64, tag = "3")]
    #[serde(rename = "endSeq")]
    pub(crate) end_seq: i64,
}

/// `msg.SendMsgResp`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SentMessage {
    #[prost(string, tag = "1")]
    pub(crate) server_msg_id: String,
    #[prost(string, tag = "2")]
    pub(crate) client_msg_id: String,
    #[prost(int64, tag = "3")]
    pub(crate) send_time: i64,
    /// The message as the app's backend changed it.
    #[prost(message, optional, tag = "4")]
    pub(crate) modify: Option<MsgData>,
}

/// `msg.GetConversationsHasReadAndMaxSeqReq`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct GetHasReadAndMaxSeq {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) conversation_ids: Vec<String>,
    #[prost(bool, tag = "3")]
    pub(crate) return_pinned: bool,
}

/// `msg.GetConversationsHasReadAndMaxSeqResp`.
#[derive(Clone, PartialEq, Eq, Message, Serialize)]
pub(crate) struct HasReadAndMaxSeqs {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) seqs: BTreeMap<String, Seqs>,
    #[prost(string, repeated, tag = "2")]
    #[serde(rename = "pinnedConversationIDs", serialize_with = "or_null")]
    pub(crate) pinned_conversation_ids: Vec<String>,
}

/// `msg.Seqs`.
#[derive(Clone, Copy, PartialEq, Eq, Message, Serialize)]
pub(crate) struct Seqs {
    #[prost(int64, tag = "1")]
    #[serde(rename = "maxSeq")]
    pub(crate) max_seq: i64,
    #[prost(int64, tag = "2")]
    #[serde(rename = "hasReadSeq")]
    pub(crate) has_read_seq: i64,
    #[prost(int64, tag = "3")]
    #[serde(rename = "maxSeqTime")]
    pub(crate) max_seq_time: i64,
}

/// `msg.GetLastMessageReq`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct GetLastMessage {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) conversation_ids: Vec<String>,
}

/// `msg.GetLastMessageResp`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LastMessages {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) msgs: BTreeMap<String, MsgData>,
}

/// `push.DelUserPushTokenReq`: a client logs out.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct LogOut {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
    #[prost(int32, tag = "2")]
    pub(crate) platform_id: i32,
}

/// `sdkws.SetAppBackgroundStatusReq`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct SetBackground {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
    #[prost(bool, tag = "2")]
    pub(crate) is_background: bool,
}

/// `sdkws.SubUserOnlineStatus`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct WatchPresence {
    #[prost(string, repeated, tag = "1")]
    pub(crate) subscribe_user_id: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) unsubscribe_user_id: Vec<String>,
}

/// `sdkws.SubUserOnlineStatusTips`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Presences {
    #[prost(message, repeated, tag = "1")]
    pub(crate) subscribers: Vec<PresenceOf>,
}

/// `sdkws.SubUserOnlineStatusElem`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct PresenceOf {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
    #[prost(int32, repeated, tag = "2")]
    pub(crate) online_platform_ids: Vec<i32>,
}
