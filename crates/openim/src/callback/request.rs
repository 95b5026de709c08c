//! The body of a message's webhook, and what all bodies share, in the order of `webhooks.jsonl`.

use bytes::Bytes;
use chat::Origin;
use chat::id::EventId;
use serde::Serialize;

use super::commands::{AFTER_SEND_GROUP, AFTER_SEND_SINGLE, BEFORE_SEND_GROUP, BEFORE_SEND_SINGLE};
use crate::msg_data::MsgData;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Body<'a> {
    #[serde(rename = "sendID")]
    send_id: &'a str,
    #[serde(rename = "callbackCommand")]
    command: &'a str,
    #[serde(rename = "serverMsgID")]
    server_msg_id: &'a str,
    #[serde(rename = "clientMsgID")]
    client_msg_id: &'a str,
    #[serde(rename = "operationID")]
    operation_id: &'a str,
    #[serde(rename = "senderPlatformID")]
    sender_platform_id: i32,
    #[serde(rename = "senderNickname")]
    sender_nickname: &'a str,
    #[serde(rename = "sessionType")]
    session_type: i32,
    #[serde(rename = "msgFrom")]
    msg_from: i32,
    #[serde(rename = "contentType")]
    content_type: i32,
    status: i32,
    #[serde(rename = "sendTime")]
    send_time: i64,
    #[serde(rename = "createTime")]
    create_time: i64,
    #[cfg_attr(test, schemars(extend("contentMediaType" = "application/json")))]
    content: &'a str,
    /// The real one: told after the commit that assigned it. 0 where none is assigned yet.
    seq: i64,
    /// COMPAT: another name than in `MsgData`; null when nobody is called by name.
    #[serde(rename = "atUserList")]
    at_user_list: Option<&'a [String]>,
    /// COMPAT: the wire's name for the avatar. The documents call the same thing `senderFaceURL`, so both are sent.
    #[serde(rename = "faceURL")]
    face_url: &'a str,
    #[serde(rename = "senderFaceURL")]
    sender_face_url: &'a str,
    ex: &'a str,
    #[serde(rename = "recvID", skip_serializing_if = "Option::is_none")]
    recv_id: Option<&'a str>,
    #[serde(rename = "groupID", skip_serializing_if = "Option::is_none")]
    group_id: Option<&'a str>,
}

/// The body of `command` about a message.
pub(crate) fn body(command: &str, message: &MsgData, operation: &str) -> Bytes {
    let has_receiver = matches!(command, BEFORE_SEND_SINGLE | AFTER_SEND_SINGLE);
    // COMPAT: the question whether to modify names neither receiver nor group.
    let has_group = matches!(command, BEFORE_SEND_GROUP | AFTER_SEND_GROUP);
    let body = Body {
        send_id: &message.send_id,
        command,
        server_msg_id: &message.server_msg_id,
        client_msg_id: &message.client_msg_id,
        operation_id: operation,
        sender_platform_id: message.sender_platform_id,
        sender_nickname: &message.sender_nickname,
        session_type: message.session_type,
        msg_from: message.msg_from,
        content_type: message.content_type,
        status: message.status,
        send_time: message.send_time,
        create_time: message.create_time,
        content: &message.content,
        seq: message.seq,
        at_user_list: (!message.at_user_id_list.is_empty()).then_some(&*message.at_user_id_list),
        face_url: &message.sender_face_url,
        sender_face_url: &message.sender_face_url,
        ex: &message.ex,
        recv_id: has_receiver.then_some(message.recv_id.as_str()),
        group_id: has_group.then_some(message.group_id.as_str()),
    };
    json(&body)
}

/// A body as bytes.
pub(super) fn json(body: &impl Serialize) -> Bytes {
    // Strings and numbers always serialise.
    Bytes::from(serde_json::to_vec(body).unwrap_or_default())
}

/// The operation that led to a call, as it may stand in a header; the id of the message or question where it cannot.
pub(crate) fn operation(origin: &Origin, id: EventId) -> String {
    let operation = &origin.operation;
    let is_plain = !operation.is_empty() && operation.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if is_plain { operation.clone() } else { id.to_string() }
}
