//! `UpdateGroup`: change a group's profile and rules. What did not change is not told of.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Group, GroupKind, Joining};
use crate::chat::Context;
use crate::command::{Actor, Command, Origin};
use crate::event::{Event, GroupChange};
use crate::id::{EventId, GroupId};
use crate::member::Role;
use crate::port::{Assertion, Changes, CommitError, Write};
use crate::question::group::GroupUpdate;
use crate::question::{Edit, Question};
use crate::refusal::{Error, Refusal};
use crate::turns::Affair;

/// How often an update is tried again when another one came first, from another node: those of this node wait in turn.
const MAX_CONFLICTS: usize = 20;

/// Changes a group; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateGroup {
    /// Which group.
    pub group: Option<GroupId>,
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
    /// Named fields to set; a null removes the field.
    pub custom_fields: Map<String, Value>,
    /// How one joins.
    pub joining: Option<Joining>,
    /// Whether only the owner and admins may send.
    pub muted: Option<bool>,
    /// Its member limit.
    pub member_limit: Option<u64>,
    /// See [`super::GroupRules::hides_members`].
    pub hides_members: Option<bool>,
    /// See [`super::GroupRules::forbids_befriending`].
    pub forbids_befriending: Option<bool>,
    /// See [`super::GroupRules::approves_invitations`].
    pub approves_invitations: Option<bool>,
    /// How the caller says what is to change.
    pub naming: Naming,
}

/// How a caller says what is to change; a dialect may ask about each under another name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// Whatever is named is set; a text may be set to nothing.
    #[default]
    Named,
    /// A text that is empty was not named, so none can be set to nothing.
    Filled,
}

#[async_trait]
impl Command for UpdateGroup {
    /// The group as it is now.
    type Reply = Group;
    const NAME: &'static str = "update_group";

    async fn run(mut self, cx: &Context<'_>) -> Result<Group, Error> {
        let id = self.group.clone().ok_or_else(|| Refusal::invalid("group", "is missing"))?;
        let mut turn = cx.turns().wait(Affair::Change(id.clone())).await;
        let mut is_settled = false;
        for _ in 0..MAX_CONFLICTS {
            // Facts and rules.
            let old = cx.open_group(&id).await?;
            self.check_rights(cx, &old).await?;
            let mut new = self.applied_to(&old);
            if new == old {
                return Ok(old);
            }
            cx.check_room()?;

            // Ask, once, and without keeping others from the group: a backend may take its time, and may change the
            // group meanwhile. So all is looked at once more.
            if !is_settled {
                is_settled = true;
                let update = GroupUpdate { occasion: cx.occasion(), group: old.clone(), update: self.clone() };
                let question = Question::BeforeUpdateGroup(Box::new(update));
                if cx.is_asked(&question) {
                    drop(turn);
                    if let Some(Edit::Update(edit)) = cx.ask(question).await? {
                        self = UpdateGroup { group: Some(id.clone()), ..*edit };
                    }
                    turn = cx.turns().wait(Affair::Change(id.clone())).await;
                    continue;
                }
            }

            // Commit; that nobody else has changed it is asserted.
            new.version += 1;
            new.updated = cx.now();
            if new.profile.announcement != old.profile.announcement {
                new.announced = cx.actor.account().map(|account| (new.updated, account.clone()));
            }
            let mut writes = vec![Write::PutGroup(Box::new(new.clone()))];
            let event = told_change(&old, &new, cx.event_id(), cx.actor, cx.origin);
            writes.extend(event.map(|event| Write::Append(Box::new(event))));
            let assertions = vec![Assertion::GroupVersion(id.clone(), old.version)];
            match cx.store().commit(Changes { assertions, writes }).await {
                Ok(_) => return Ok(new),
                Err(CommitError::Broken(_)) => {}
                Err(error) => return Err(crate::chat::commit_refused(error)),
            }
        }
        drop(turn);
        Err(Refusal::StoreUnavailable.into())
    }
}

impl UpdateGroup {
    /// What comes of a group by it.
    pub fn applied_to(&self, group: &Group) -> Group {
        let mut group = group.clone();
        self.apply_to(&mut group);
        group
    }

    /// The app may; the owner and admins may; in a Work group every member may change the profile
    /// (`spec/tencent/rules.md`, section 6).
    async fn check_rights(&self, cx: &Context<'_>, group: &Group) -> Result<(), Error> {
        let Actor::Account(account) = cx.actor else { return Ok(()) };
        let member = cx.check_member(&group.id, account).await?;
        let needed = match group.kind {
            GroupKind::Work if !self.changes_rules() => Role::Member,
            GroupKind::Meeting | GroupKind::Live | GroupKind::Work => Role::Owner,
            GroupKind::Public | GroupKind::Community => Role::Admin,
        };
        if member.role >= needed { Ok(()) } else { Err(Refusal::NotPermitted.into()) }
    }

    fn changes_rules(&self) -> bool {
        self.joining.is_some()
            || self.muted.is_some()
            || self.member_limit.is_some()
            || self.hides_members.is_some()
            || self.forbids_befriending.is_some()
            || self.approves_invitations.is_some()
    }

    fn apply_to(&self, group: &mut Group) {
        let profile = &mut group.profile;
        set(&mut profile.name, &self.name);
        set(&mut profile.introduction, &self.introduction);
        set(&mut profile.announcement, &self.announcement);
        set(&mut profile.face_url, &self.face_url);
        set(&mut profile.custom_data, &self.custom_data);
        for (key, value) in &self.custom_fields {
            if value.is_null() {
                profile.custom_fields.remove(key);
            } else {
                profile.custom_fields.insert(key.clone(), value.clone());
            }
        }
        let rules = &mut group.rules;
        // A community is always joined freely, and a live room takes everybody (`spec/tencent/rules.md`, section 6).
        if group.kind != GroupKind::Community {
            set(&mut rules.joining, &self.joining);
        }
        if group.kind != GroupKind::Live {
            set(&mut rules.member_limit, &self.member_limit);
        }
        set(&mut rules.muted, &self.muted);
        set(&mut rules.hides_members, &self.hides_members);
        set(&mut rules.forbids_befriending, &self.forbids_befriending);
        set(&mut rules.approves_invitations, &self.approves_invitations);
    }
}

fn set<T: Clone>(field: &mut T, new: &Option<T>) {
    if let Some(new) = new {
        field.clone_from(new);
    }
}

/// Backends are told of name, introduction, announcement and avatar, and of nothing else
/// (`spec/tencent/callbacks.jsonl`, `Group.CallbackAfterGroupInfoChanged`).
fn told_change(old: &Group, new: &Group, id: EventId, actor: &Actor, origin: &Origin) -> Option<Event> {
    let changed = |old: &String, new: &String| (old != new).then(|| new.clone());
    let change = GroupChange {
        id,
        group: new.id.clone(),
        kind: new.kind,
        actor: actor.clone(),
        origin: origin.clone(),
        time: new.updated,
        name: changed(&old.profile.name, &new.profile.name),
        introduction: changed(&old.profile.introduction, &new.profile.introduction),
        announcement: changed(&old.profile.announcement, &new.profile.announcement),
        face_url: changed(&old.profile.face_url, &new.profile.face_url),
    };
    let is_told = change.name.is_some()
        || change.introduction.is_some()
        || change.announcement.is_some()
        || change.face_url.is_some();
    is_told.then_some(Event::GroupChanged(change))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::Timestamp;

    fn changed(command: &UpdateGroup) -> Group {
        let mut group = sample();
        command.apply_to(&mut group);
        group
    }

    fn sample() -> Group {
        let mut group = Group::sample(GroupKind::Public);
        group.profile.name = "name".into();
        group.profile.custom_fields = json!({"kept": 1, "set": 2, "removed": 3}).as_object().unwrap().clone();
        group
    }

    /// What backends are told of: name, introduction, announcement, avatar.
    fn told(command: &UpdateGroup) -> Option<[Option<String>; 4]> {
        let id = EventId::new(Timestamp::default(), 7);
        match told_change(&sample(), &changed(command), id, &Actor::System, &Origin::default())? {
            Event::GroupChanged(change) => {
                assert_eq!((change.id, change.group, change.kind), (id, "g".into(), GroupKind::Public));
                Some([change.name, change.introduction, change.announcement, change.face_url])
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_given_changes_nothing() {
        let nothing = UpdateGroup { group: Some("g".into()), ..UpdateGroup::default() };
        assert_eq!(changed(&nothing), sample());
        assert_eq!(told(&nothing), None);
        assert!(!nothing.changes_rules());
    }

    #[test]
    fn fields_are_set_kept_and_removed() {
        let fields = json!({"set": [4], "removed": null, "new": {}, "never was": null});
        let command = UpdateGroup { custom_fields: fields.as_object().unwrap().clone(), ..UpdateGroup::default() };
        let expected = json!({"kept": 1, "set": [4], "new": {}});
        assert_eq!(Value::Object(changed(&command).profile.custom_fields), expected);
        assert_eq!(told(&command), None);
    }

    #[test]
    fn each_rule_is_set_and_none_is_told() {
        let rules = UpdateGroup {
            joining: Some(Joining::Closed),
            muted: Some(true),
            member_limit: Some(3),
            hides_members: Some(true),
            forbids_befriending: Some(true),
            approves_invitations: Some(true),
            custom_data: Some("data".into()),
            ..UpdateGroup::default()
        };
        let mut expected = sample();
        expected.profile.custom_data = "data".into();
        expected.rules = crate::group::GroupRules {
            joining: Joining::Closed,
            muted: true,
            member_limit: 3,
            hides_members: true,
            forbids_befriending: true,
            approves_invitations: true,
        };
        assert_eq!(changed(&rules), expected);
        assert_eq!(told(&rules), None);
        assert!(rules.changes_rules());
    }

    #[test]
    fn only_what_changed_is_told() {
        let text = |text: &str| Some(text.to_owned());
        let nothing = UpdateGroup::default;
        for (command, expected) in [
            (UpdateGroup { name: text("new"), ..nothing() }, Some([text("new"), None, None, None])),
            (UpdateGroup { name: text("name"), ..nothing() }, None),
            (UpdateGroup { name: text(""), ..nothing() }, Some([text(""), None, None, None])),
            (UpdateGroup { introduction: text("new"), ..nothing() }, Some([None, text("new"), None, None])),
            (UpdateGroup { announcement: text("new"), ..nothing() }, Some([None, None, text("new"), None])),
            (UpdateGroup { face_url: text("new"), ..nothing() }, Some([None, None, None, text("new")])),
            (UpdateGroup { face_url: text(""), ..nothing() }, None),
            (
                UpdateGroup { name: text("name"), face_url: text("f"), muted: Some(true), ..nothing() },
                Some([None, None, None, text("f")]),
            ),
        ] {
            assert_eq!(told(&command), expected, "{command:?}");
        }
    }
}
