//! What is asked: the `data` of each question.

use chat::account::import::NewAccount;
use chat::group::update::UpdateGroup;
use chat::message::Message as CoreMessage;
use chat::question::Occasion as CoreOccasion;
use chat::question::account::{Registration, WantedBlock};
use chat::question::group::{GroupCreation, GroupUpdate, TopicCreation};
use chat::question::member::MemberAddition;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::group::{Group, Joining, Member, Topic};
use crate::message::{Actor, Message, Origin};

/// May this message be sent? It has no seq yet.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MessageSending<'a> {
    message: Message<'a>,
}

/// Who wants what is asked about, and when.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Occasion<'a> {
    /// The question's id: 32 hex digits that sort by time.
    id: String,
    /// On whose authority it is to happen.
    actor: Actor<'a>,
    /// From where.
    origin: Origin<'a>,
    /// When it was wanted, in milliseconds since 1970.
    time: i64,
}

/// May this group be made, with these first members?
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GroupCreating<'a> {
    #[serde(flatten)]
    occasion: Occasion<'a>,
    /// The group as it would be.
    group: Group<'a>,
    /// Whether the group's id was made up by the server, because its maker named none.
    id_is_made_up: bool,
    /// Its first members, its owner among them; none where members are not stored.
    members: Vec<Member<'a>>,
    /// How many groups of this kind the owner has already.
    owned: u64,
}

/// May this community get this topic?
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TopicCreating<'a> {
    #[serde(flatten)]
    occasion: Occasion<'a>,
    /// The community, as it is.
    group: Group<'a>,
    /// The topic as it would be.
    topic: Topic<'a>,
}

/// May these accounts become members of this group?
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MembersAdding<'a> {
    #[serde(flatten)]
    occasion: Occasion<'a>,
    /// The group, as it is.
    group: Group<'a>,
    /// The members as they would be. Who is one already is not among them.
    members: Vec<Member<'a>>,
    /// What the inviter says about it.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

/// May this group's profile and rules be changed so?
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct GroupChanging<'a> {
    #[serde(flatten)]
    occasion: Occasion<'a>,
    /// The group, as it is.
    group: Group<'a>,
    /// What it is to be. What is left out stays.
    changes: Changes<'a>,
}

/// What is to change about a group.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Changes<'a> {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    introduction: Option<&'a str>,
    /// Its announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    announcement: Option<&'a str>,
    /// The URL of its avatar.
    #[serde(skip_serializing_if = "Option::is_none")]
    face_url: Option<&'a str>,
    /// The app's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_data: Option<&'a str>,
    /// Named fields to set; a null removes the field.
    #[serde(skip_serializing_if = "Map::is_empty")]
    custom_fields: &'a Map<String, Value>,
    /// How one joins.
    #[serde(skip_serializing_if = "Option::is_none")]
    joining: Option<Joining>,
    /// Whether only the owner and admins may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    muted: Option<bool>,
    /// Its member limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    member_limit: Option<u64>,
    /// Whether members may not look at each other's profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    hides_members: Option<bool>,
    /// Whether members may not befriend each other from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    forbids_befriending: Option<bool>,
    /// Whether an ordinary member's invitation needs approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    approves_invitations: Option<bool>,
}

/// May this account block that one?
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AccountBlocking<'a> {
    #[serde(flatten)]
    occasion: Occasion<'a>,
    /// Who blocks.
    account: &'a str,
    /// Whom.
    blocked: &'a str,
}

/// May these accounts be made known? None of them is yet.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct AccountsRegistering<'a> {
    #[serde(flatten)]
    occasion: Occasion<'a>,
    /// The accounts.
    accounts: Vec<Account<'a>>,
}

/// An account that is to be made known.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Account<'a> {
    /// Its id.
    account: &'a str,
    /// Its display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The URL of its avatar.
    #[serde(skip_serializing_if = "Option::is_none")]
    face_url: Option<&'a str>,
    /// The app's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_data: Option<&'a str>,
}

impl<'a> From<&'a CoreMessage> for MessageSending<'a> {
    fn from(message: &'a CoreMessage) -> Self {
        Self { message: message.into() }
    }
}

impl<'a> From<&'a CoreOccasion> for Occasion<'a> {
    fn from(occasion: &'a CoreOccasion) -> Self {
        let CoreOccasion { id, actor, origin, time } = occasion;
        Self { id: id.to_string(), actor: actor.into(), origin: origin.into(), time: time.millis() }
    }
}

impl<'a> From<&'a GroupCreation> for GroupCreating<'a> {
    fn from(creation: &'a GroupCreation) -> Self {
        let GroupCreation { occasion, group, id_is_made_up, members, owned } = creation;
        Self {
            occasion: occasion.into(),
            group: group.into(),
            id_is_made_up: *id_is_made_up,
            members: members.iter().map(Member::from).collect(),
            owned: *owned,
        }
    }
}

impl<'a> From<&'a TopicCreation> for TopicCreating<'a> {
    fn from(creation: &'a TopicCreation) -> Self {
        let TopicCreation { occasion, group, topic } = creation;
        Self { occasion: occasion.into(), group: group.into(), topic: topic.into() }
    }
}

impl<'a> From<&'a MemberAddition> for MembersAdding<'a> {
    fn from(addition: &'a MemberAddition) -> Self {
        let MemberAddition { occasion, group, members, reason } = addition;
        let members = members.iter().map(Member::from).collect();
        Self { occasion: occasion.into(), group: group.into(), members, reason }
    }
}

impl<'a> From<&'a GroupUpdate> for GroupChanging<'a> {
    fn from(update: &'a GroupUpdate) -> Self {
        let GroupUpdate { occasion, group, update } = update;
        Self { occasion: occasion.into(), group: group.into(), changes: update.into() }
    }
}

impl<'a> From<&'a UpdateGroup> for Changes<'a> {
    fn from(update: &'a UpdateGroup) -> Self {
        Self {
            name: update.name.as_deref(),
            introduction: update.introduction.as_deref(),
            announcement: update.announcement.as_deref(),
            face_url: update.face_url.as_deref(),
            custom_data: update.custom_data.as_deref(),
            custom_fields: &update.custom_fields,
            joining: update.joining.map(Joining::from),
            muted: update.muted,
            member_limit: update.member_limit,
            hides_members: update.hides_members,
            forbids_befriending: update.forbids_befriending,
            approves_invitations: update.approves_invitations,
        }
    }
}

impl<'a> From<&'a WantedBlock> for AccountBlocking<'a> {
    fn from(block: &'a WantedBlock) -> Self {
        let WantedBlock { occasion, owner, target } = block;
        Self { occasion: occasion.into(), account: owner.as_str(), blocked: target.as_str() }
    }
}

impl<'a> From<&'a Registration> for AccountsRegistering<'a> {
    fn from(registration: &'a Registration) -> Self {
        let Registration { occasion, accounts } = registration;
        Self { occasion: occasion.into(), accounts: accounts.iter().map(Account::from).collect() }
    }
}

impl<'a> From<&'a NewAccount> for Account<'a> {
    fn from(account: &'a NewAccount) -> Self {
        let NewAccount { id, name, face_url, custom_data } = account;
        Self {
            account: id.as_str(),
            name: name.as_deref(),
            face_url: face_url.as_deref(),
            custom_data: custom_data.as_deref(),
        }
    }
}
