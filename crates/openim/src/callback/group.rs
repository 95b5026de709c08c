//! `callbackBeforeCreateGroupCommand`: its body, and what an answer changes (`webhooks.jsonl`).
//!
//! `ownerUserID`, `creatorUserID`, `status`, `groupType` and `applyMemberFriend` in an answer are ignored
//! (`docs/QUIRKS-openim.md`).

use bytes::Bytes;
use chat::id::GroupId;
use chat::question::group::{GroupCreation, GroupEdit};
use serde::Serialize;
use webhook::codec::Unreadable;

use super::answer::Answer;
use super::commands::BEFORE_CREATE_GROUP;
use super::request::json;
use crate::group_info::{GROUP_TYPE, Verification, forbids, need_verification, role_level};
use crate::id_rules;

/// The request's `groupInfo`, flattened. COMPAT: what a request leaves to the server is still empty or 0 here, the owner
/// too: who is to own the group stands in `initMemberList`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Body<'a> {
    #[serde(rename = "operationID")]
    operation_id: &'a str,
    #[serde(rename = "callbackCommand")]
    command: &'a str,
    #[serde(rename = "groupID")]
    group_id: &'a str,
    #[serde(rename = "groupName")]
    group_name: &'a str,
    notification: &'a str,
    introduction: &'a str,
    #[serde(rename = "faceURL")]
    face_url: &'a str,
    #[serde(rename = "ownerUserID")]
    owner_user_id: &'a str,
    #[serde(rename = "createTime")]
    create_time: i64,
    #[serde(rename = "memberCount")]
    member_count: u32,
    ex: &'a str,
    status: i32,
    #[serde(rename = "creatorUserID")]
    creator_user_id: &'a str,
    #[serde(rename = "groupType")]
    group_type: i32,
    #[serde(rename = "needVerification")]
    need_verification: i32,
    #[serde(rename = "lookMemberInfo")]
    look_member_info: i32,
    #[serde(rename = "applyMemberFriend")]
    apply_member_friend: i32,
    #[serde(rename = "notificationUpdateTime")]
    notification_update_time: i64,
    #[serde(rename = "notificationUserID")]
    notification_user_id: &'a str,
    #[serde(rename = "initMemberList")]
    init_member_list: Vec<InitMember<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct InitMember<'a> {
    #[serde(rename = "userID")]
    user_id: &'a str,
    #[serde(rename = "roleLevel")]
    role_level: i32,
}

/// The body of the question whether a group may be made.
pub(crate) fn body(creation: &GroupCreation, operation: &str) -> Bytes {
    let (group, profile) = (&creation.group, &creation.group.profile);
    let members = creation.members.iter();
    json(&Body {
        operation_id: operation,
        command: BEFORE_CREATE_GROUP,
        // COMPAT: empty as long as nobody has chosen one; an answer may.
        group_id: if creation.id_is_made_up { "" } else { group.id.as_str() },
        group_name: &profile.name,
        notification: &profile.announcement,
        introduction: &profile.introduction,
        face_url: &profile.face_url,
        owner_user_id: "",
        create_time: 0,
        member_count: 0,
        ex: &profile.custom_data,
        status: 0,
        creator_user_id: "",
        group_type: GROUP_TYPE,
        need_verification: need_verification(&group.rules),
        look_member_info: group.rules.hides_members.into(),
        apply_member_friend: group.rules.forbids_befriending.into(),
        notification_update_time: 0,
        notification_user_id: "",
        init_member_list: members
            .map(|member| InitMember { user_id: member.account.as_str(), role_level: role_level(member.role) })
            .collect(),
    })
}

/// What an allowing answer changes: every field that is there.
pub(crate) fn edit(answer: &Answer, creation: &GroupCreation) -> Result<GroupEdit, Unreadable> {
    let text = |name: &str| Ok(answer.text(name)?.map(str::to_owned));
    let chosen = answer.text("groupID")?.filter(|id| !id.is_empty() && *id != creation.group.id.as_str());
    if let Some(id) = chosen {
        id_rules::check_new_group(id).map_err(|error| Unreadable(error.detail))?;
    }
    // A group of the other dialect may be stricter than OpenIM can say; the same number means the same as before.
    let shown = need_verification(&creation.group.rules);
    let verification = answer.optional_int("needVerification")?.filter(|number| *number != shown);
    let verification = verification.map(Verification::of).transpose().map_err(|error| Unreadable(error.detail))?;
    let hides = answer.optional_int("lookMemberInfo")?.map(|number| forbids("lookMemberInfo", number));
    Ok(GroupEdit {
        id: chosen.map(GroupId::new),
        name: text("groupName")?,
        introduction: text("introduction")?,
        announcement: text("notification")?,
        face_url: text("faceURL")?,
        custom_data: text("ex")?,
        joining: verification.map(|verification| verification.joining),
        approves_invitations: verification.map(|verification| verification.approves_invitations),
        hides_members: hides.transpose().map_err(|error| Unreadable(error.detail))?,
        ..GroupEdit::default()
    })
}
