//! `callbackBeforeInviteJoinGroupCommand` and `callbackBeforeMembersJoinGroupCommand`: their bodies, and whom an answer
//! refuses or changes (`webhooks.jsonl`).

use std::collections::BTreeMap;

use bytes::Bytes;
use chat::group::Group;
use chat::id::{AccountId, Timestamp};
use chat::member::Member;
use chat::question::member::{MemberAddition, MemberEdit, MembersEdit};
use serde::Serialize;
use webhook::codec::Unreadable;

use super::answer::Answer;
use super::commands::{BEFORE_INVITE, BEFORE_MEMBERS_JOIN};
use super::request::json;
use crate::group_info::role_of;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Invitation<'a> {
    #[serde(rename = "callbackCommand")]
    command: &'a str,
    #[serde(rename = "operationID")]
    operation_id: &'a str,
    #[serde(rename = "groupID")]
    group_id: &'a str,
    reason: &'a str,
    #[serde(rename = "invitedUserIDs")]
    invited_user_ids: Vec<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Joining<'a> {
    #[serde(rename = "callbackCommand")]
    command: &'a str,
    #[serde(rename = "groupID")]
    group_id: &'a str,
    #[serde(rename = "memberList")]
    member_list: Vec<Joiner<'a>>,
    #[serde(rename = "groupEx")]
    group_ex: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Joiner<'a> {
    #[serde(rename = "userID")]
    user_id: &'a str,
    ex: &'a str,
}

/// The body of the question whether accounts may be invited.
pub(crate) fn invitation(addition: &MemberAddition, operation: &str) -> Bytes {
    json(&Invitation {
        command: BEFORE_INVITE,
        operation_id: operation,
        group_id: addition.group.id.as_str(),
        reason: &addition.reason,
        invited_user_ids: addition.members.iter().map(|member| member.account.as_str()).collect(),
    })
}

/// The body of the question that is put right before members are written, however they came.
pub(crate) fn joining(group: &Group, members: &[Member]) -> Bytes {
    json(&Joining {
        command: BEFORE_MEMBERS_JOIN,
        group_id: group.id.as_str(),
        member_list: members
            .iter()
            .map(|member| Joiner { user_id: member.account.as_str(), ex: &member.custom_data })
            .collect(),
        group_ex: &group.profile.custom_data,
    })
}

/// Whom an allowing answer to an invitation leaves out.
pub(crate) fn refusals(answer: &Answer, members: &[Member]) -> Result<MembersEdit, Unreadable> {
    let names = answer.texts("refusedMembersAccount")?.unwrap_or_default();
    let is_refused = |account: &&AccountId| names.iter().any(|name| name == account.as_str());
    let refused = members.iter().map(|member| &member.account).filter(is_refused).cloned().collect();
    Ok(MembersEdit { refused, ..MembersEdit::default() })
}

/// What an allowing answer changes about those who join.
pub(crate) fn changes(answer: &Answer) -> Result<MembersEdit, Unreadable> {
    let mut changed = BTreeMap::new();
    for entry in answer.objects("memberCallbackList")? {
        let id =
            entry.text("userID")?.ok_or_else(|| Unreadable("memberCallbackList has an entry without userID".into()))?;
        let text = |name: &str| Ok(entry.text(name)?.map(str::to_owned));
        let edit = MemberEdit {
            role: entry.optional_int("roleLevel")?.map(role_of).transpose()?,
            name_card: text("nickname")?,
            face_url: text("faceURL")?,
            muted_until: entry.optional_long("muteEndTime")?.map(Timestamp::from_millis),
            custom_data: text("ex")?,
        };
        changed.insert(AccountId::new(id), edit);
    }
    Ok(MembersEdit { changed, ..MembersEdit::default() })
}
