//! Groups, members and accounts on the wire.

use chat::group::{Group as CoreGroup, GroupProfile, GroupRules, Joining as CoreJoining, Topic as CoreTopic};
use chat::id::AccountId;
use chat::member::{JoinSource, Member as CoreMember, Role as CoreRole};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::message::Kind;

/// A group.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Group<'a> {
    /// Its id.
    id: &'a str,
    /// Which preset of rules it was made with.
    kind: Kind,
    /// Its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<&'a str>,
    #[serde(flatten)]
    profile: Profile<'a>,
    /// How one joins.
    joining: Joining,
    /// Whether only the owner and admins may send.
    muted: bool,
    /// At most this many members.
    member_limit: u64,
    /// How many members it has.
    member_count: u64,
    /// Whether members may not look at each other's profiles.
    hides_members: bool,
    /// Whether members may not befriend each other from here.
    forbids_befriending: bool,
    /// Whether an ordinary member's invitation needs approval.
    approves_invitations: bool,
    /// Whether it has topics.
    has_topics: bool,
    /// When it was made, in milliseconds since 1970.
    created: i64,
}

/// What people see of a group or a topic. A text that is empty is left out.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Profile<'a> {
    /// Its name.
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    /// What it is about.
    #[serde(skip_serializing_if = "str::is_empty")]
    introduction: &'a str,
    /// Its announcement.
    #[serde(skip_serializing_if = "str::is_empty")]
    announcement: &'a str,
    /// The URL of its avatar.
    #[serde(skip_serializing_if = "str::is_empty")]
    face_url: &'a str,
    /// The app's own data. OpenIM `ex`.
    #[serde(skip_serializing_if = "str::is_empty")]
    custom_data: &'a str,
    /// The app's own named fields. Tencent `AppDefinedData`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    custom_fields: &'a Map<String, Value>,
}

/// How one joins a group.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Joining {
    /// At once.
    Free,
    /// By an application that an admin answers.
    Approval,
    /// Not at all.
    Closed,
}

/// A topic of a community.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Topic<'a> {
    /// Its id.
    id: &'a str,
    /// Who makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<&'a str>,
    #[serde(flatten)]
    profile: Profile<'a>,
}

/// A membership.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Member<'a> {
    /// Who.
    account: &'a str,
    /// As what.
    role: Role,
    /// How they come in.
    source: Source,
    /// Who brings them in.
    #[serde(skip_serializing_if = "Option::is_none")]
    inviter: Option<&'a str>,
    /// Their name in this group.
    #[serde(skip_serializing_if = "str::is_empty")]
    name_card: &'a str,
    /// The URL of their avatar in this group.
    #[serde(skip_serializing_if = "str::is_empty")]
    face_url: &'a str,
    /// Until when they may not send, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    muted_until: Option<i64>,
    /// The app's own data about them. OpenIM `ex`.
    #[serde(skip_serializing_if = "str::is_empty")]
    custom_data: &'a str,
    /// The app's own named fields. Tencent `AppMemberDefinedData`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    custom_fields: &'a Map<String, Value>,
}

/// What a member may do.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// An ordinary member.
    Member,
    /// Helps the owner.
    Admin,
    /// Owns the group.
    Owner,
}

/// How a member comes in.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Source {
    /// Put in by the app.
    Imported,
    /// Invited by a member.
    Invited,
    /// Found the group by searching.
    Searched,
    /// Scanned its code.
    Scanned,
}

impl<'a> From<&'a CoreGroup> for Group<'a> {
    fn from(group: &'a CoreGroup) -> Self {
        let GroupRules { joining, muted, member_limit, hides_members, forbids_befriending, approves_invitations } =
            group.rules;
        Self {
            id: group.id.as_str(),
            kind: group.kind.into(),
            owner: group.owner.as_ref().map(AccountId::as_str),
            creator: group.creator.as_ref().map(AccountId::as_str),
            profile: (&group.profile).into(),
            joining: joining.into(),
            muted,
            member_limit,
            member_count: group.member_count,
            hides_members,
            forbids_befriending,
            approves_invitations,
            has_topics: group.has_topics,
            created: group.created.millis(),
        }
    }
}

impl<'a> From<&'a GroupProfile> for Profile<'a> {
    fn from(profile: &'a GroupProfile) -> Self {
        let GroupProfile { name, introduction, announcement, face_url, custom_data, custom_fields } = profile;
        Self { name, introduction, announcement, face_url, custom_data, custom_fields }
    }
}

impl<'a> From<&'a CoreTopic> for Topic<'a> {
    fn from(topic: &'a CoreTopic) -> Self {
        let creator = topic.creator.as_ref().map(AccountId::as_str);
        Self { id: topic.id.as_str(), creator, profile: (&topic.profile).into() }
    }
}

impl<'a> From<&'a CoreMember> for Member<'a> {
    fn from(member: &'a CoreMember) -> Self {
        let muted_until = member.muted_until.millis();
        Self {
            account: member.account.as_str(),
            role: member.role.into(),
            source: match member.source {
                JoinSource::Imported => Source::Imported,
                JoinSource::Invited => Source::Invited,
                JoinSource::Searched => Source::Searched,
                JoinSource::Scanned => Source::Scanned,
            },
            inviter: member.inviter.as_ref().map(AccountId::as_str),
            name_card: &member.name_card,
            face_url: &member.face_url,
            muted_until: (muted_until != 0).then_some(muted_until),
            custom_data: &member.custom_data,
            custom_fields: &member.custom_fields,
        }
    }
}

impl From<CoreJoining> for Joining {
    fn from(joining: CoreJoining) -> Self {
        match joining {
            CoreJoining::Free => Self::Free,
            CoreJoining::Approval => Self::Approval,
            CoreJoining::Closed => Self::Closed,
        }
    }
}

impl From<Joining> for CoreJoining {
    fn from(joining: Joining) -> Self {
        match joining {
            Joining::Free => Self::Free,
            Joining::Approval => Self::Approval,
            Joining::Closed => Self::Closed,
        }
    }
}

impl From<CoreRole> for Role {
    fn from(role: CoreRole) -> Self {
        match role {
            CoreRole::Member => Self::Member,
            CoreRole::Admin => Self::Admin,
            CoreRole::Owner => Self::Owner,
        }
    }
}
