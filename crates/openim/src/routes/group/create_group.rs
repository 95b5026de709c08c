//! `/group/create_group`: a new group with its first members.

use chat::group::create::{CreateGroup, FirstMember, OtherRules};
use chat::group::{GroupKind, GroupProfile};
use chat::id::{AccountId, GroupId};
use chat::member::Role;
use serde::Serialize;
use serde_json::Map;

use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::fields::Fields;
use crate::group_info::{GROUP_TYPE, GroupInfo, Verification, forbids};
use crate::id_rules;

#[derive(Debug, Serialize)]
pub(crate) struct Created {
    #[serde(rename = "groupInfo")]
    group_info: GroupInfo,
}

pub(crate) async fn handle(call: Call) -> Result<Created, ApiError> {
    let info = Fields::new(call.body.required_object("groupInfo")?);
    let owner = call.body.required_text("ownerUserID")?;
    let admins = call.body.texts("adminUserIDs")?;
    let members = call.body.texts("memberUserIDs")?;
    call.body.flag("sendMessage")?;
    if info.int("groupType")? != GROUP_TYPE {
        return Err(Code::GroupType.because("groupType must be 2"));
    }
    id_rules::check_unique("members", [&owner].into_iter().chain(&admins).chain(&members))?;
    let verification = Verification::of(info.int("needVerification")?)?;
    let first = |role| move |id| FirstMember { account: AccountId::new(id), role, custom_fields: Map::new() };
    let admins = admins.into_iter().map(first(Role::Admin));
    let command = CreateGroup {
        id: group_id(&call, &info)?,
        id_is_made_up: info.text("groupID")?.is_empty(),
        // What it allows is said by its rules; the kind is how the other dialect calls it (DESIGN, 'Settled
        // questions').
        kind: GroupKind::Public,
        owner: Some(AccountId::new(owner)),
        profile: profile(&info)?,
        joining: Some(verification.joining),
        member_limit: None,
        rules: OtherRules {
            hides_members: forbids("lookMemberInfo", info.int("lookMemberInfo")?)?,
            forbids_befriending: forbids("applyMemberFriend", info.int("applyMemberFriend")?)?,
            approves_invitations: verification.approves_invitations,
        },
        members: admins.chain(members.into_iter().map(first(Role::Member))).collect(),
        has_topics: false,
    };
    let group = call.run(command).await?;
    Ok(Created { group_info: GroupInfo::of(group) })
}

/// The id that was asked for, or one of decimal digits like OpenIM's own.
fn group_id(call: &Call, info: &Fields) -> Result<GroupId, ApiError> {
    let id = info.text("groupID")?;
    if id.is_empty() {
        // 63 bits: with a billion groups, a new id is taken once in ten billion times, and then refused, not shared.
        let number = call.app.chat.clock().random() >> 65;
        return Ok(GroupId::new(number.to_string()));
    }
    id_rules::check_new_group(&id)?;
    Ok(GroupId::new(id))
}

fn profile(info: &Fields) -> Result<GroupProfile, ApiError> {
    Ok(GroupProfile {
        name: info.text("groupName")?,
        introduction: info.text("introduction")?,
        announcement: info.text("notification")?,
        face_url: info.text("faceURL")?,
        custom_data: info.text("ex")?,
        custom_fields: Map::new(),
    })
}
