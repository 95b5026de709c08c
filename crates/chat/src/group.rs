//! Groups: named sets of members with rules. Each owns one conversation.

pub mod add_members;
pub mod create;
pub mod create_topic;
pub mod find;
pub mod update;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{AccountId, GroupId, Timestamp, TopicId};

/// A group and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Which preset of rules it was made with.
    pub kind: GroupKind,
    /// Its owner; none if it was made without or the owner left.
    pub owner: Option<AccountId>,
    /// Who made it.
    pub creator: Option<AccountId>,
    /// Its profile.
    pub profile: GroupProfile,
    /// Its rules.
    pub rules: GroupRules,
    /// Whether it is alive.
    pub status: GroupStatus,
    /// Whether it has topics.
    pub has_topics: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When its profile or rules last changed.
    pub updated: Timestamp,
    /// Grows by one with each change of profile or rules. Tencent `InfoSeq`.
    pub version: u64,
    /// How many members it has.
    pub member_count: u64,
    /// When its announcement last changed, and by whom.
    pub announced: Option<(Timestamp, AccountId)>,
}

impl Group {
    /// Whether it takes messages and members.
    pub fn is_open(&self) -> bool {
        self.status == GroupStatus::Open
    }
}

/// Tencent's five group types: presets of rules. A group made through OpenIM is `Public` with OpenIM's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// A closed circle: members invite. Tencent `Private`, or `Work`.
    Work,
    /// Joined by application.
    Public,
    /// Joined freely. Tencent `ChatRoom`, or `Meeting`.
    Meeting,
    /// A live room: unbounded, no history, members are not stored. Tencent `AVChatRoom`.
    Live,
    /// Very large, with topics. Tencent `Community`.
    Community,
}

impl GroupKind {
    /// The member limit of a group that names none (`spec/tencent/rules.md`, section 6).
    pub fn default_member_limit(self) -> u64 {
        match self {
            Self::Work | Self::Public | Self::Meeting => 6_000,
            Self::Community => 100_000,
            Self::Live => u64::from(u32::MAX),
        }
    }

    /// How one joins if the group does not say (`spec/tencent/rules.md`, section 6).
    pub fn default_joining(self) -> Joining {
        match self {
            Self::Work => Joining::Closed,
            Self::Public => Joining::Approval,
            Self::Meeting | Self::Live | Self::Community => Joining::Free,
        }
    }

    /// Whether its messages are kept.
    pub fn has_history(self) -> bool {
        self != Self::Live
    }

    /// Whether it has stored members.
    pub fn has_members(self) -> bool {
        self != Self::Live
    }
}

/// What people see of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupProfile {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub introduction: String,
    /// Its current announcement. Tencent and OpenIM `notification`.
    pub announcement: String,
    /// Its avatar.
    pub face_url: String,
    /// The app's own data. OpenIM `ex`.
    pub custom_data: String,
    /// The app's own named fields. Tencent `AppDefinedData`.
    pub custom_fields: Map<String, Value>,
}

/// What is allowed in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRules {
    /// How one joins.
    pub joining: Joining,
    /// Only the owner and admins may send.
    pub muted: bool,
    /// At most this many members.
    pub member_limit: u64,
    /// Whether members may not look at each other's profiles. OpenIM `lookMemberInfo`.
    #[serde(default)]
    pub hides_members: bool,
    /// Whether members may not befriend each other from here. OpenIM `applyMemberFriend`.
    #[serde(default)]
    pub forbids_befriending: bool,
    /// Whether an ordinary member's invitation needs approval. OpenIM `needVerification` 1.
    #[serde(default)]
    pub approves_invitations: bool,
}

/// How one joins a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Joining {
    /// At once. Tencent `FreeAccess`.
    Free,
    /// By an application that an admin answers. Tencent `NeedPermission`.
    Approval,
    /// Not at all. Tencent `DisableApply`.
    Closed,
}

/// Whether a group is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupStatus {
    /// It is.
    Open,
    /// It was dissolved; its messages remain.
    Dissolved,
}

/// A topic of a community: a conversation of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its id.
    pub id: TopicId,
    /// Its community.
    pub group: GroupId,
    /// Its profile.
    pub profile: GroupProfile,
    /// Who made it.
    pub creator: Option<AccountId>,
    /// When.
    pub created: Timestamp,
}

#[cfg(any(test, feature = "samples"))]
impl Group {
    /// A group of that kind that nothing is special about.
    pub fn sample(kind: GroupKind) -> Self {
        let time = Timestamp::from_millis(1_700_000_000_000);
        Self {
            id: "g".into(),
            kind,
            owner: None,
            creator: None,
            profile: GroupProfile::default(),
            rules: GroupRules {
                joining: kind.default_joining(),
                muted: false,
                member_limit: kind.default_member_limit(),
                hides_members: false,
                forbids_befriending: false,
                approves_invitations: false,
            },
            status: GroupStatus::Open,
            has_topics: false,
            created: time,
            updated: time,
            version: 1,
            member_count: 0,
            announced: None,
        }
    }
}
