//! The bodies of callbacks: one struct each, fields in the documents' order.

use chat::event::{GroupChange, NotSent};
use chat::group::GroupKind;
use chat::id::{AccountId, Timestamp};
use chat::member::{Member, Role};
use chat::message::Message;
use chat::question::Occasion;
use chat::question::group::{GroupCreation, TopicCreation};
use chat::question::member::MemberAddition;
use serde::Serialize;
use serde_json::Value;

use super::online_only_flag;
use crate::element::encode_body;
use crate::message_key::Numbers;
use crate::{error_map, group_type};

/// `C2C.CallbackBeforeSendMsg`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(super) struct BeforeC2c<'a> {
    callback_command: &'a str,
    #[serde(flatten)]
    envelope: C2cEnvelope<'a>,
    #[serde(flatten)]
    content: Body<'a>,
}

/// `C2C.CallbackAfterSendMsg`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(super) struct AfterC2c<'a> {
    callback_command: &'a str,
    #[serde(flatten)]
    envelope: C2cEnvelope<'a>,
    msg_id: String,
    send_msg_result: i64,
    error_info: String,
    unread_msg_num: i64,
    #[serde(flatten)]
    content: Body<'a>,
}

/// What both callbacks of a one-to-one message begin with.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct C2cEnvelope<'a> {
    #[serde(rename = "From_Account")]
    from: &'a str,
    #[serde(rename = "To_Account")]
    to: &'a str,
    #[serde(rename = "MsgSeq")]
    seq: u32,
    #[serde(rename = "MsgRandom")]
    random: u32,
    #[serde(rename = "MsgTime")]
    time: i64,
    #[serde(rename = "MsgKey")]
    key: String,
    #[serde(rename = "OnlineOnlyFlag")]
    online_only: u8,
}

/// `Group.CallbackBeforeSendMsg`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(super) struct BeforeGroup<'a> {
    callback_command: &'a str,
    #[serde(flatten)]
    envelope: GroupEnvelope<'a>,
    online_only_flag: u8,
    #[serde(flatten)]
    content: Body<'a>,
    #[serde(flatten)]
    place: Place<'a>,
}

/// `Group.CallbackAfterSendMsg`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(super) struct AfterGroup<'a> {
    callback_command: &'a str,
    #[serde(flatten)]
    envelope: GroupEnvelope<'a>,
    msg_seq: u64,
    msg_time: i64,
    online_only_flag: u8,
    #[serde(flatten)]
    content: Body<'a>,
    #[serde(flatten)]
    place: Place<'a>,
}

/// What both callbacks of a group message begin with.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GroupEnvelope<'a> {
    #[serde(rename = "GroupId")]
    group: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(rename = "From_Account")]
    from: &'a str,
    #[serde(rename = "Operator_Account")]
    operator: &'a str,
    #[serde(rename = "Random")]
    random: u32,
}

/// The content of a message.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Body<'a> {
    #[serde(rename = "MsgBody")]
    #[cfg_attr(test, schemars(with = "Vec<super::schema::MsgElement>"))]
    body: Vec<Value>,
    #[serde(rename = "CloudCustomData", skip_serializing_if = "Option::is_none")]
    custom_data: Option<&'a str>,
}

/// What both callbacks of a group message end with.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Place<'a> {
    #[serde(rename = "TopicId", skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(rename = "EventTime")]
    event_time: String,
}

/// `Group.CallbackBeforeCreateGroup`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(super) struct BeforeCreateGroup<'a> {
    callback_command: &'a str,
    #[serde(rename = "Operator_Account")]
    operator: &'a str,
    #[serde(rename = "Owner_Account")]
    owner: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    name: &'a str,
    create_group_num: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    member_list: Vec<Listed<'a>>,
    event_time: String,
}

/// `Group.CallbackBeforeInviteJoinGroup`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(super) struct BeforeInvite<'a> {
    callback_command: &'a str,
    group_id: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(rename = "Operator_Account")]
    operator: &'a str,
    destination_members: Vec<Listed<'a>>,
    event_time: String,
}

/// `Group.CallbackBeforeCreateTopic`. It names neither the group nor the time.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(super) struct BeforeCreateTopic<'a> {
    callback_command: &'a str,
    #[serde(rename = "Operator_Account")]
    operator: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    name: &'a str,
}

/// One account of a list of members.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Listed<'a> {
    #[serde(rename = "Member_Account")]
    account: &'a str,
}

/// `Group.CallbackAfterGroupInfoChanged`: only what changed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(super) struct GroupChanged<'a> {
    callback_command: &'a str,
    group_id: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(rename = "Operator_Account")]
    operator: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    introduction: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    face_url: &'a Option<String>,
    event_time: String,
}

impl<'a> BeforeC2c<'a> {
    pub(super) fn of(command: &'a str, message: &'a Message) -> Self {
        Self { callback_command: command, envelope: C2cEnvelope::of(message), content: Body::of(message) }
    }
}

impl<'a> AfterC2c<'a> {
    /// Of a message that was delivered; the recipient then has so many unread.
    pub(super) fn sent(command: &'a str, message: &'a Message, unread: u64) -> Self {
        Self {
            callback_command: command,
            envelope: C2cEnvelope::of(message),
            msg_id: message.id.to_string(),
            send_msg_result: 0,
            error_info: "send msg succeed".into(),
            unread_msg_num: i64::try_from(unread).unwrap_or(i64::MAX),
            content: Body::of(message),
        }
    }

    /// Of a message that could not be delivered.
    pub(super) fn not_sent(command: &'a str, message: &'a Message, reason: NotSent) -> Self {
        let failure = error_map::not_sent(reason);
        Self {
            send_msg_result: failure.code,
            error_info: failure.info,
            unread_msg_num: -1,
            ..Self::sent(command, message, 0)
        }
    }
}

impl<'a> C2cEnvelope<'a> {
    fn of(message: &'a Message) -> Self {
        let numbers = Numbers::of(message);
        Self {
            from: message.sender.as_str(),
            to: message.recipient().map(AccountId::as_str).unwrap_or_default(),
            seq: numbers.seq,
            random: numbers.random,
            time: numbers.time,
            key: numbers.key(),
            online_only: online_only_flag(message),
        }
    }
}

impl<'a> BeforeGroup<'a> {
    pub(super) fn of(command: &'a str, message: &'a Message) -> Self {
        Self {
            callback_command: command,
            envelope: GroupEnvelope::of(message),
            online_only_flag: online_only_flag(message),
            content: Body::of(message),
            place: Place::of(message),
        }
    }
}

impl<'a> AfterGroup<'a> {
    pub(super) fn of(command: &'a str, message: &'a Message) -> Self {
        Self {
            callback_command: command,
            envelope: GroupEnvelope::of(message),
            msg_seq: message.seq,
            msg_time: message.time.seconds(),
            online_only_flag: online_only_flag(message),
            content: Body::of(message),
            place: Place::of(message),
        }
    }
}

impl<'a> GroupEnvelope<'a> {
    fn of(message: &'a Message) -> Self {
        Self {
            group: message.conversation.group().map(chat::id::GroupId::as_str).unwrap_or_default(),
            kind: group_type::name(message.group_kind.unwrap_or(GroupKind::Public)),
            from: message.sender.as_str(),
            operator: message.actor.account().unwrap_or(&message.sender).as_str(),
            random: Numbers::of(message).random,
        }
    }
}

impl<'a> Body<'a> {
    fn of(message: &'a Message) -> Self {
        Self { body: encode_body(&message.elements), custom_data: message.custom_data.as_deref() }
    }
}

impl<'a> Place<'a> {
    fn of(message: &'a Message) -> Self {
        Self {
            topic: message.conversation.topic().map(chat::id::TopicId::as_str),
            event_time: event_time(message.time),
        }
    }
}

impl<'a> BeforeCreateGroup<'a> {
    pub(super) fn of(command: &'a str, creation: &'a GroupCreation) -> Self {
        let owner = creation.group.owner.as_ref();
        Self {
            callback_command: command,
            operator: operator(&creation.occasion),
            owner: owner.map(AccountId::as_str).unwrap_or_default(),
            kind: group_type::name(creation.group.kind),
            name: &creation.group.profile.name,
            create_group_num: creation.owned,
            // As in the request, the owner is not in the list.
            member_list: listed(creation.members.iter().filter(|member| member.role != Role::Owner)),
            event_time: event_time(creation.occasion.time),
        }
    }
}

impl<'a> BeforeInvite<'a> {
    pub(super) fn of(command: &'a str, addition: &'a MemberAddition) -> Self {
        Self {
            callback_command: command,
            group_id: addition.group.id.as_str(),
            kind: group_type::name(addition.group.kind),
            operator: operator(&addition.occasion),
            destination_members: listed(addition.members.iter()),
            event_time: event_time(addition.occasion.time),
        }
    }
}

impl<'a> BeforeCreateTopic<'a> {
    pub(super) fn of(command: &'a str, creation: &'a TopicCreation) -> Self {
        Self {
            callback_command: command,
            operator: operator(&creation.occasion),
            kind: group_type::name(creation.group.kind),
            name: &creation.topic.profile.name,
        }
    }
}

fn operator(occasion: &Occasion) -> &str {
    occasion.actor.account().map(AccountId::as_str).unwrap_or_default()
}

fn listed<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<Listed<'a>> {
    members.map(|member| Listed { account: member.account.as_str() }).collect()
}

impl<'a> GroupChanged<'a> {
    pub(super) fn of(command: &'a str, change: &'a GroupChange) -> Self {
        Self {
            callback_command: command,
            group_id: change.group.as_str(),
            kind: group_type::name(change.kind),
            operator: change.actor.account().map(AccountId::as_str).unwrap_or_default(),
            name: &change.name,
            introduction: &change.introduction,
            notification: &change.announcement,
            face_url: &change.face_url,
            event_time: event_time(change.time),
        }
    }
}

/// COMPAT: documented as an integer, and in every sample of a group callback a string of digits.
fn event_time(time: Timestamp) -> String {
    time.millis().to_string()
}
