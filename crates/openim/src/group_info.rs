//! Groups and members on the wire (`types.jsonl`, `sdkws.GroupInfo`, `sdkws.GroupMemberFullInfo`).

use chat::account::Account;
use chat::group::{Group, GroupRules, GroupStatus, Joining};
use chat::member::{JoinSource, Member, Role};
use serde::Serialize;
use webhook::codec::Unreadable;

use crate::config::Config;
use crate::error::{ApiError, Code};
use crate::user_info::manager_level;

/// The only group type there is (`spec/openim/semantics.md`, section 8).
pub(crate) const GROUP_TYPE: i32 = 2;

/// A group as OpenIM shows it.
#[derive(Debug, Serialize)]
pub(crate) struct GroupInfo {
    #[serde(rename = "groupID")]
    group_id: String,
    #[serde(rename = "groupName")]
    group_name: String,
    notification: String,
    introduction: String,
    #[serde(rename = "faceURL")]
    face_url: String,
    #[serde(rename = "ownerUserID")]
    owner_user_id: String,
    #[serde(rename = "createTime")]
    create_time: i64,
    #[serde(rename = "memberCount")]
    member_count: u64,
    ex: String,
    status: i32,
    #[serde(rename = "creatorUserID")]
    creator_user_id: String,
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
    notification_user_id: String,
}

impl GroupInfo {
    pub(crate) fn of(group: Group) -> Self {
        let (announced, announcer) = match &group.announced {
            Some((time, account)) => (time.millis(), account.to_string()),
            None => (0, String::new()),
        };
        let shown = |id: Option<chat::id::AccountId>| id.map(|id| id.to_string()).unwrap_or_default();
        Self {
            status: status(&group),
            need_verification: need_verification(&group.rules),
            look_member_info: group.rules.hides_members.into(),
            apply_member_friend: group.rules.forbids_befriending.into(),
            group_id: group.id.to_string(),
            group_name: group.profile.name,
            notification: group.profile.announcement,
            introduction: group.profile.introduction,
            face_url: group.profile.face_url,
            owner_user_id: shown(group.owner),
            create_time: group.created.millis(),
            member_count: group.member_count,
            ex: group.profile.custom_data,
            creator_user_id: shown(group.creator),
            group_type: GROUP_TYPE,
            notification_update_time: announced,
            notification_user_id: announcer,
        }
    }
}

fn status(group: &Group) -> i32 {
    match group.status {
        GroupStatus::Dissolved => 2,
        GroupStatus::Open if group.rules.muted => 3,
        GroupStatus::Open => 0,
    }
}

/// What `needVerification` means for the rules (`spec/openim/semantics.md`, section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verification {
    pub(crate) joining: Joining,
    pub(crate) approves_invitations: bool,
}

impl Verification {
    /// Reads the wire's number.
    pub(crate) fn of(number: i32) -> Result<Self, ApiError> {
        let (joining, approves_invitations) = match number {
            0 => (Joining::Approval, false),
            1 => (Joining::Approval, true),
            2 => (Joining::Free, false),
            _ => return Err(Code::Args.because("needVerification must be 0, 1 or 2")),
        };
        Ok(Self { joining, approves_invitations })
    }
}

/// A group of the other dialect that takes no applications at all reads as the strictest that OpenIM has.
pub(crate) fn need_verification(rules: &GroupRules) -> i32 {
    match rules.joining {
        Joining::Free => 2,
        Joining::Approval if !rules.approves_invitations => 0,
        Joining::Approval | Joining::Closed => 1,
    }
}

/// Reads `lookMemberInfo` and `applyMemberFriend`: 0 allow, 1 forbid.
pub(crate) fn forbids(name: &str, number: i32) -> Result<bool, ApiError> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Code::Args.because(format!("{name} must be 0 or 1"))),
    }
}

/// A member as OpenIM shows it.
#[derive(Debug, Serialize)]
pub(crate) struct GroupMemberFullInfo {
    #[serde(rename = "groupID")]
    group_id: String,
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(rename = "roleLevel")]
    role_level: i32,
    #[serde(rename = "joinTime")]
    join_time: i64,
    nickname: String,
    #[serde(rename = "faceURL")]
    face_url: String,
    // COMPAT: the spelling is the wire's.
    #[serde(rename = "appMangerLevel")]
    app_manager_level: i32,
    #[serde(rename = "joinSource")]
    join_source: i32,
    #[serde(rename = "operatorUserID")]
    operator_user_id: String,
    ex: String,
    #[serde(rename = "muteEndTime")]
    mute_end_time: i64,
    #[serde(rename = "inviterUserID")]
    inviter_user_id: String,
}

impl GroupMemberFullInfo {
    /// The account shows its own name unless it has one in this group.
    pub(crate) fn of(group: &str, member: &Member, account: Option<&Account>, config: &Config) -> Self {
        let inviter = member.inviter.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            group_id: group.to_owned(),
            user_id: member.account.to_string(),
            role_level: role_level(member.role),
            join_time: member.joined.millis(),
            nickname: shown_name(member, account).to_owned(),
            face_url: match account {
                Some(account) if member.face_url.is_empty() => account.face_url.clone(),
                _ => member.face_url.clone(),
            },
            app_manager_level: account.map_or(1, |account| manager_level(config, account)),
            join_source: join_source(member.source),
            operator_user_id: inviter.clone(),
            ex: member.custom_data.clone(),
            mute_end_time: member.muted_until.millis().max(0),
            inviter_user_id: inviter,
        }
    }
}

/// A member's name in the group, or the account's own.
pub(crate) fn shown_name<'a>(member: &'a Member, account: Option<&'a Account>) -> &'a str {
    match account {
        Some(account) if member.name_card.is_empty() => &account.name,
        _ => &member.name_card,
    }
}

/// `roleLevel`.
pub(crate) fn role_level(role: Role) -> i32 {
    match role {
        Role::Owner => 100,
        Role::Admin => 60,
        Role::Member => 20,
    }
}

/// Reads `roleLevel`.
pub(crate) fn role_of(level: i32) -> Result<Role, Unreadable> {
    match level {
        100 => Ok(Role::Owner),
        60 => Ok(Role::Admin),
        20 => Ok(Role::Member),
        _ => Err(Unreadable("roleLevel must be 100, 60 or 20".into())),
    }
}

fn join_source(source: JoinSource) -> i32 {
    match source {
        JoinSource::Imported => 1,
        JoinSource::Invited => 2,
        JoinSource::Searched => 3,
        JoinSource::Scanned => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verification_survives_the_rules() {
        for number in 0..=2 {
            let verification = Verification::of(number).unwrap();
            let rules = GroupRules {
                joining: verification.joining,
                muted: false,
                member_limit: 10,
                hides_members: false,
                forbids_befriending: false,
                approves_invitations: verification.approves_invitations,
            };
            assert_eq!(need_verification(&rules), number);
        }
        assert!(Verification::of(3).is_err());
    }
}
