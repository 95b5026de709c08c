//! The question whether accounts become members, and what a backend may change about them.

use std::collections::{BTreeMap, BTreeSet};

use super::Occasion;
use crate::group::Group;
use crate::id::{AccountId, Timestamp};
use crate::member::{Member, Role};

/// Accounts are to become members of a group at once.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberAddition {
    /// Who wants it, and when.
    pub occasion: Occasion,
    /// The group, as it is.
    pub group: Group,
    /// The members as they would be. Who is a member already is not among them.
    pub members: Vec<Member>,
    /// What the inviter says about it. OpenIM `reason`.
    pub reason: String,
}

/// What a backend changes about those who are to become members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersEdit {
    /// Who does not become one; the others do.
    pub refused: BTreeSet<AccountId>,
    /// What is different about some of the others. Names of anybody else are ignored.
    pub changed: BTreeMap<AccountId, MemberEdit>,
}

/// What is different about a new member; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberEdit {
    /// As what. Ownership is neither given nor taken.
    pub role: Option<Role>,
    /// Their name in this group.
    pub name_card: Option<String>,
    /// Their avatar in this group.
    pub face_url: Option<String>,
    /// Until when they may not send.
    pub muted_until: Option<Timestamp>,
    /// The app's own data about them.
    pub custom_data: Option<String>,
}

impl MembersEdit {
    /// Whether it changes anything at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This edit, and then `later` on top of it: refusals add up.
    pub fn then(mut self, mut later: Self) -> Self {
        self.refused.append(&mut later.refused);
        for (account, edit) in later.changed {
            let earlier = self.changed.remove(&account).unwrap_or_default();
            self.changed.insert(account, earlier.then(edit));
        }
        self
    }

    /// Changes a list of members.
    pub fn apply_to(&self, members: &mut Vec<Member>) {
        members.retain(|member| !self.refused.contains(&member.account));
        for member in members {
            if let Some(edit) = self.changed.get(&member.account) {
                edit.clone().apply_to(member);
            }
        }
    }
}

impl MemberEdit {
    fn then(self, later: Self) -> Self {
        Self {
            role: later.role.or(self.role),
            name_card: later.name_card.or(self.name_card),
            face_url: later.face_url.or(self.face_url),
            muted_until: later.muted_until.or(self.muted_until),
            custom_data: later.custom_data.or(self.custom_data),
        }
    }

    fn apply_to(self, member: &mut Member) {
        if let Some(role) = self.role
            && role != Role::Owner
            && member.role != Role::Owner
        {
            member.role = role;
        }
        if let Some(name_card) = self.name_card {
            member.name_card = name_card;
        }
        if let Some(face_url) = self.face_url {
            member.face_url = face_url;
        }
        if let Some(muted_until) = self.muted_until {
            member.muted_until = muted_until;
        }
        if let Some(custom_data) = self.custom_data {
            member.custom_data = custom_data;
        }
    }
}
