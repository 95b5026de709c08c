//! Members: who belongs to a group, and as what.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{AccountId, Seq, Timestamp};

/// A membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub account: AccountId,
    /// As what.
    pub role: Role,
    /// Since when.
    pub joined: Timestamp,
    /// How they came in.
    pub source: JoinSource,
    /// Who brought them in.
    pub inviter: Option<AccountId>,
    /// Their name in this group. Tencent `NameCard`.
    pub name_card: String,
    /// Their avatar in this group; empty: the account's.
    pub face_url: String,
    /// May not send until then; 0: may.
    pub muted_until: Timestamp,
    /// The app's own named fields. Tencent `AppMemberDefinedData`.
    pub custom_fields: Map<String, Value>,
    /// The app's own data about them. OpenIM `ex`.
    pub custom_data: String,
    /// The highest seq they have read. Tencent `MsgSeq` of a member.
    pub read_seq: Seq,
    /// When they last sent here; 0: never.
    pub last_sent: Timestamp,
}

impl Member {
    /// A new member without anything special.
    pub fn new(account: AccountId, role: Role, joined: Timestamp) -> Self {
        Self {
            account,
            role,
            joined,
            source: JoinSource::Imported,
            inviter: None,
            name_card: String::new(),
            face_url: String::new(),
            muted_until: Timestamp::default(),
            custom_fields: Map::new(),
            custom_data: String::new(),
            read_seq: 0,
            last_sent: Timestamp::default(),
        }
    }
}

/// What a member may do; greater is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An ordinary member. OpenIM 20.
    Member,
    /// Helps the owner. OpenIM 60.
    Admin,
    /// Owns the group. OpenIM 100.
    Owner,
}

/// How a member came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinSource {
    /// Put in by the app. OpenIM 1.
    Imported,
    /// Invited by a member. OpenIM 2.
    Invited,
    /// Found the group by searching. OpenIM 3.
    Searched,
    /// Scanned its code. OpenIM 4.
    Scanned,
}
