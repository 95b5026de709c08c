//! Questions about groups and topics, and what a backend may change in them.

use super::Occasion;
use super::member::MembersEdit;
use crate::group::update::UpdateGroup;
use crate::group::{Group, GroupKind, Joining, Topic};
use crate::id::GroupId;
use crate::member::Member;

/// A group is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupCreation {
    /// Who wants it, and when.
    pub occasion: Occasion,
    /// The group as it would be.
    pub group: Group,
    /// Whether its id was made up by the server, because its maker named none.
    pub id_is_made_up: bool,
    /// Its first members, its owner among them; none where members are not stored.
    pub members: Vec<Member>,
    /// How many groups of this kind the owner has already (its maker, if it is to have no owner).
    pub owned: u64,
}

/// A topic is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicCreation {
    /// Who wants it, and when.
    pub occasion: Occasion,
    /// The community, as it is.
    pub group: Group,
    /// The topic as it would be.
    pub topic: Topic,
}

/// A group's profile or rules are to be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupUpdate {
    /// Who wants it, and when.
    pub occasion: Occasion,
    /// The group, as it is.
    pub group: Group,
    /// What is to change. Ask [`UpdateGroup::applied_to`] what comes of it.
    pub update: UpdateGroup,
}

impl GroupUpdate {
    /// Changes what is to change; it stays about the same group.
    pub(super) fn replace(&mut self, update: UpdateGroup) {
        self.update = UpdateGroup { group: self.update.group.clone(), ..update };
    }
}

/// What a backend changes in a group that is to be made; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupEdit {
    /// Its id.
    pub id: Option<GroupId>,
    /// Its name.
    pub name: Option<String>,
    /// Its introduction.
    pub introduction: Option<String>,
    /// Its announcement.
    pub announcement: Option<String>,
    /// Its avatar.
    pub face_url: Option<String>,
    /// The app's own data.
    pub custom_data: Option<String>,
    /// How one joins.
    pub joining: Option<Joining>,
    /// Whether an ordinary member's invitation needs approval.
    pub approves_invitations: Option<bool>,
    /// Whether members may not look at each other's profiles.
    pub hides_members: Option<bool>,
    /// Its first members.
    pub members: MembersEdit,
}

impl GroupEdit {
    /// Whether it changes anything at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This edit, and then `later` on top of it.
    pub fn then(self, later: Self) -> Self {
        Self {
            id: later.id.or(self.id),
            name: later.name.or(self.name),
            introduction: later.introduction.or(self.introduction),
            announcement: later.announcement.or(self.announcement),
            face_url: later.face_url.or(self.face_url),
            custom_data: later.custom_data.or(self.custom_data),
            joining: later.joining.or(self.joining),
            approves_invitations: later.approves_invitations.or(self.approves_invitations),
            hides_members: later.hides_members.or(self.hides_members),
            members: self.members.then(later.members),
        }
    }

    /// Changes a group that is to be made.
    pub fn apply_to(self, creation: &mut GroupCreation) {
        let group = &mut creation.group;
        if let Some(id) = self.id {
            group.id = id;
            creation.id_is_made_up = false;
        }
        set(&mut group.profile.name, self.name);
        set(&mut group.profile.introduction, self.introduction);
        set(&mut group.profile.announcement, self.announcement);
        set(&mut group.profile.face_url, self.face_url);
        set(&mut group.profile.custom_data, self.custom_data);
        // A community is always joined freely (`spec/tencent/rules.md`, section 6).
        if group.kind != GroupKind::Community {
            set(&mut group.rules.joining, self.joining);
        }
        set(&mut group.rules.approves_invitations, self.approves_invitations);
        set(&mut group.rules.hides_members, self.hides_members);
        // A first member who is refused is left out; the owner cannot be.
        let mut members = self.members;
        if let Some(owner) = &group.owner {
            members.refused.remove(owner);
        }
        members.apply_to(&mut creation.members);
    }
}

fn set<T>(field: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *field = new;
    }
}
