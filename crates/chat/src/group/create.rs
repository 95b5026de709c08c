//! `CreateGroup`: a new group with its first members.

use async_trait::async_trait;

use super::{Group, GroupKind, GroupProfile, GroupRules, GroupStatus, Joining};
use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::id::{AccountId, GroupId};
use crate::member::{JoinSource, Member, Role};
use crate::port::{Assertion, Changes, CommitError, Write};
use crate::question::group::GroupCreation;
use crate::question::{Edit, Question};
use crate::refusal::{Error, Refusal};

/// At most this many first members (OpenIM's limit of 1,000; Tencent's dialect allows fewer).
pub const MAX_FIRST_MEMBERS: usize = 1000;

/// Creates a group.
#[derive(Clone, Debug)]
pub struct CreateGroup {
    /// Its id.
    pub id: GroupId,
    /// Whether the dialect made the id up, because the caller named none.
    pub id_is_made_up: bool,
    /// Its kind.
    pub kind: GroupKind,
    /// Its owner, who becomes a member, unless the group has none.
    pub owner: Option<AccountId>,
    /// Its profile.
    pub profile: GroupProfile,
    /// How one joins; `None`: as usual for the kind.
    pub joining: Option<Joining>,
    /// Its member limit; `None`: as usual for the kind.
    pub member_limit: Option<u64>,
    /// Other rules than joining and limit.
    pub rules: OtherRules,
    /// The first members beside the owner.
    pub members: Vec<FirstMember>,
    /// Whether it has topics; communities only.
    pub has_topics: bool,
}

/// Rules that only some dialects set at creation.
#[derive(Clone, Copy, Debug, Default)]
pub struct OtherRules {
    /// See [`GroupRules::hides_members`].
    pub hides_members: bool,
    /// See [`GroupRules::forbids_befriending`].
    pub forbids_befriending: bool,
    /// See [`GroupRules::approves_invitations`].
    pub approves_invitations: bool,
}

/// A member from the start.
#[derive(Clone, Debug)]
pub struct FirstMember {
    /// Who.
    pub account: AccountId,
    /// As what; not [`Role::Owner`].
    pub role: Role,
    /// The app's own named fields.
    pub custom_fields: serde_json::Map<String, serde_json::Value>,
}

#[async_trait]
impl Command for CreateGroup {
    type Reply = Group;
    const NAME: &'static str = "create_group";

    async fn run(self, cx: &Context<'_>) -> Result<Group, Error> {
        // Rights: an account makes groups of its own.
        if let Actor::Account(id) = cx.actor
            && self.owner.as_ref() != Some(id)
        {
            return Err(Refusal::NotPermitted.into());
        }

        // Rules.
        if self.members.len() > MAX_FIRST_MEMBERS {
            return Err(Refusal::TooMany { what: "members", limit: MAX_FIRST_MEMBERS }.into());
        }
        if !self.kind.has_members() && !self.members.is_empty() {
            return Err(Refusal::GroupTypeForbids("members are not stored, they join by themselves").into());
        }
        check_roles(self.kind, self.members.iter().map(|member| member.role))?;
        if self.has_topics && self.kind != GroupKind::Community {
            return Err(Refusal::GroupTypeForbids("only a community has topics").into());
        }
        let mut everyone: Vec<AccountId> = self.owner.iter().cloned().collect();
        everyone.extend(self.members.iter().map(|member| member.account.clone()));
        for (index, id) in everyone.iter().enumerate() {
            if everyone[..index].contains(id) {
                return Err(Refusal::invalid("members", format!("{id:?} is named twice")).into());
            }
        }
        let member_limit = self.member_limit.unwrap_or_else(|| self.kind.default_member_limit());
        if everyone.len() as u64 > member_limit {
            return Err(Refusal::GroupFull { limit: member_limit }.into());
        }

        // Facts.
        let known = cx.store().accounts(&everyone).await?;
        if let Some(stranger) = everyone.iter().find(|id| !known.iter().any(|account| account.id == **id)) {
            return Err(Refusal::NoAccount(stranger.clone()).into());
        }
        let mut creation = self.draft(cx, member_limit);
        check_id_is_free(cx, &creation.group).await?;
        cx.check_room()?;

        // Ask. No transaction is open.
        let question = Question::BeforeCreateGroup(Box::new(creation));
        let is_asked = cx.is_asked(&question);
        let Question::BeforeCreateGroup(draft) = question else { unreachable!("it is what it was made as") };
        creation = *draft;
        if is_asked {
            if let Some(owner) = self.owner.as_ref().or_else(|| cx.actor.account()) {
                creation.owned = cx.store().groups_owned(owner, self.kind).await?;
            }
            let question = Question::BeforeCreateGroup(Box::new(creation.clone()));
            if let Some(Edit::Group(edit)) = cx.ask(question).await? {
                edit.apply_to(&mut creation);
                check_roles(self.kind, creation.members.iter().map(|member| member.role))?;
            }
        }

        // Changes. That nobody has taken the id meanwhile is asserted.
        let GroupCreation { mut group, members, .. } = creation;
        group.member_count = members.len() as u64;
        let changes = Changes {
            assertions: vec![Assertion::NoGroup(group.id.clone())],
            writes: vec![Write::PutGroup(Box::new(group.clone())), Write::AddMembers(group.id.clone(), members)],
        };
        match cx.store().commit(changes).await {
            Ok(_) => Ok(group),
            Err(CommitError::Broken(_)) => {
                check_id_is_free(cx, &group).await?;
                Err(Refusal::GroupExists { id: group.id, yours: false }.into())
            }
            Err(error) => Err(crate::chat::commit_refused(error)),
        }
    }
}

impl CreateGroup {
    /// The group and its members as they would be.
    fn draft(&self, cx: &Context<'_>, member_limit: u64) -> GroupCreation {
        let now = cx.now();
        let group = Group {
            id: self.id.clone(),
            kind: self.kind,
            owner: self.owner.clone(),
            creator: cx.actor.account().cloned(),
            profile: self.profile.clone(),
            rules: GroupRules {
                joining: self.joining.unwrap_or_else(|| self.kind.default_joining()),
                muted: false,
                member_limit,
                hides_members: self.rules.hides_members,
                forbids_befriending: self.rules.forbids_befriending,
                approves_invitations: self.rules.approves_invitations,
            },
            status: GroupStatus::Open,
            has_topics: self.has_topics,
            created: now,
            updated: now,
            version: 1,
            member_count: 0,
            announced: None,
        };
        let mut members = Vec::new();
        if self.kind.has_members() {
            members.extend(self.owner.iter().map(|owner| Member::new(owner.clone(), Role::Owner, now)));
            members.extend(self.members.iter().map(|first| Member {
                custom_fields: first.custom_fields.clone(),
                source: JoinSource::Invited,
                inviter: self.owner.clone(),
                ..Member::new(first.account.clone(), first.role, now)
            }));
        }
        GroupCreation { occasion: cx.occasion(), group, id_is_made_up: self.id_is_made_up, members, owned: 0 }
    }
}

async fn check_id_is_free(cx: &Context<'_>, new: &Group) -> Result<(), Error> {
    match cx.store().groups(std::slice::from_ref(&new.id)).await?.pop() {
        None => Ok(()),
        Some(group) => {
            let yours = group.owner.is_some() && group.owner == new.owner;
            Err(Refusal::GroupExists { id: new.id.clone(), yours }.into())
        }
    }
}

/// Whether groups of that kind have members with such roles.
pub(super) fn check_roles(kind: GroupKind, mut roles: impl Iterator<Item = Role>) -> Result<(), Refusal> {
    if kind == GroupKind::Work && roles.any(|role| role == Role::Admin) {
        return Err(Refusal::GroupTypeForbids("it has no admins"));
    }
    Ok(())
}
