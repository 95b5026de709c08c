//! `AddMembers`: accounts become members at once, by the app or by a member's invitation.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::create::check_roles;
use super::{Group, GroupKind};
use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::id::{AccountId, GroupId};
use crate::member::{JoinSource, Member, Role};
use crate::port::{Assertion, Changes, Write};
use crate::question::member::{MemberAddition, MembersEdit};
use crate::question::{Edit, Question};
use crate::refusal::{Error, Refusal};
use crate::turns::Affair;

/// At most this many accounts are added by one command (OpenIM's limit; Tencent's dialect allows fewer).
pub const MAX_ADD: usize = 1000;

/// Adds members.
#[derive(Clone, Debug)]
pub struct AddMembers {
    /// To which group.
    pub group: GroupId,
    /// Whom.
    pub accounts: Vec<AccountId>,
    /// What the inviter says about it; for the app's backend. OpenIM `reason`.
    pub reason: String,
    /// What happens if one of them does not exist.
    pub strangers: Strangers,
}

/// What happens to accounts that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// The whole command is refused.
    RefuseAll,
    /// They alone are not added.
    Skip,
}

/// What became of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adding {
    /// A member now.
    Added,
    /// Was a member already.
    AlreadyMember,
    /// There is no such account.
    NoAccount,
    /// The app's backend did not want it.
    Refused,
}

#[async_trait]
impl Command for AddMembers {
    /// One answer for each account, in order.
    type Reply = Vec<Adding>;
    const NAME: &'static str = "add_members";

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply, Error> {
        // Otherwise, of two who add the same accounts to an almost full group, one would hear that it is full.
        let mut turn = cx.turns().wait(Affair::Change(self.group.clone())).await;

        // Facts, and the rules that they decide.
        let mut group = self.judge(cx).await?;
        if self.accounts.len() > MAX_ADD {
            return Err(Refusal::TooMany { what: "accounts", limit: MAX_ADD }.into());
        }
        let known = cx.store().accounts(&self.accounts).await?;
        let exists = |id: &AccountId| known.iter().any(|account| account.id == *id);
        if self.strangers == Strangers::RefuseAll
            && let Some(stranger) = self.accounts.iter().find(|id| !exists(id))
        {
            return Err(Refusal::NoAccount(stranger.clone()).into());
        }
        let mut members = self.newcomers(cx, self.accounts.iter().filter(|id| exists(id))).await?;
        let mut refused = BTreeSet::new();

        // Ask. The turn is given up meanwhile: a backend may take its time, and may call us about this very group.
        if !members.is_empty() {
            check_room(&group, &members)?;
            let (occasion, reason) = (cx.occasion(), self.reason.clone());
            let addition = MemberAddition { occasion, group: group.clone(), members: members.clone(), reason };
            let question = Question::BeforeAddMembers(Box::new(addition));
            if cx.is_asked(&question) {
                drop(turn);
                let edit = match cx.ask(question).await? {
                    Some(Edit::Members(edit)) => edit,
                    _ => MembersEdit::default(),
                };
                turn = cx.turns().wait(Affair::Change(self.group.clone())).await;

                // Facts and rules once more. Whoever was not asked about is not added now either.
                group = self.judge(cx).await?;
                let asked_about: Vec<AccountId> = members.iter().map(|member| member.account.clone()).collect();
                refused.extend(asked_about.iter().filter(|id| edit.refused.contains(id)).cloned());
                members = self.newcomers(cx, asked_about.iter().filter(|id| !refused.contains(id))).await?;
                edit.apply_to(&mut members);
                check_roles(group.kind, members.iter().map(|member| member.role))?;
            }
        }

        // Commit; what the rules relied on is asserted.
        let mut added = Vec::new();
        if !members.is_empty() {
            let room = check_room(&group, &members)?;
            let changes = Changes {
                assertions: vec![
                    Assertion::GroupOpen(self.group.clone()),
                    Assertion::MembersAtMost(self.group.clone(), room),
                ],
                writes: vec![Write::AddMembers(self.group.clone(), members)],
            };
            added = cx.commit(changes).await.map_err(|error| with_limit(error, &group))?.added;
        }
        drop(turn);
        Ok(outcomes(&self.accounts, exists, &refused, added))
    }
}

impl AddMembers {
    /// The group, if the actor may add to it.
    async fn judge(&self, cx: &Context<'_>) -> Result<Group, Error> {
        let group = cx.open_group(&self.group).await?;
        self.check_rights(cx, &group).await?;
        Ok(group)
    }

    /// Those of `ids` who are no members yet, as the members that they would be; who is named twice is there once.
    async fn newcomers(
        &self,
        cx: &Context<'_>,
        ids: impl Iterator<Item = &AccountId> + Send,
    ) -> Result<Vec<Member>, Error> {
        let (source, inviter) = match cx.actor {
            Actor::Account(id) => (JoinSource::Invited, Some(id.clone())),
            Actor::App(id) => (JoinSource::Imported, Some(id.clone())),
            Actor::System => (JoinSource::Imported, None),
        };
        let now = cx.now();
        let mut members: Vec<Member> = Vec::new();
        for id in ids {
            let is_named = members.iter().any(|member| member.account == *id);
            if !is_named && cx.store().member(&self.group, id).await?.is_none() {
                let member = Member::new(id.clone(), Role::Member, now);
                members.push(Member { source, inviter: inviter.clone(), ..member });
            }
        }
        Ok(members)
    }

    /// The app adds to every group that stores members; a member invites where the kind of group lets members invite
    /// (`spec/tencent/rules.md` section 6: Work and Community; OpenIM: everywhere).
    async fn check_rights(&self, cx: &Context<'_>, group: &Group) -> Result<(), Error> {
        if !group.kind.has_members() {
            return Err(Refusal::GroupTypeForbids("members of a live room join by themselves").into());
        }
        if let Actor::Account(inviter) = cx.actor {
            let member = cx.check_member(&group.id, inviter).await?;
            let needs_approval = group.rules.approves_invitations && member.role == Role::Member;
            if needs_approval || group.kind == GroupKind::Meeting {
                return Err(Refusal::NotPermitted.into());
            }
        }
        Ok(())
    }
}

/// How many members there may be at most before these come in.
fn check_room(group: &Group, members: &[Member]) -> Result<u64, Refusal> {
    let limit = group.rules.member_limit;
    let room = limit.checked_sub(members.len() as u64).filter(|room| group.member_count <= *room);
    room.ok_or(Refusal::GroupFull { limit })
}

/// The assertion knew only the room that was left; the caller wants to hear the limit.
fn with_limit(error: Error, group: &Group) -> Error {
    match error {
        Error::Refused(Refusal::GroupFull { .. }) => Refusal::GroupFull { limit: group.rules.member_limit }.into(),
        other => other,
    }
}

fn outcomes(
    accounts: &[AccountId],
    exists: impl Fn(&AccountId) -> bool,
    refused: &BTreeSet<AccountId>,
    mut added: Vec<AccountId>,
) -> Vec<Adding> {
    let outcome = |id: &AccountId| {
        if !exists(id) {
            return Adding::NoAccount;
        }
        if refused.contains(id) {
            return Adding::Refused;
        }
        // Each addition is reported once, so that an account that is named twice is 'already' the second time.
        match added.iter().position(|new| new == id) {
            Some(index) => {
                added.swap_remove(index);
                Adding::Added
            }
            None => Adding::AlreadyMember,
        }
    };
    accounts.iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes_of(accounts: &[&str], added: &[&str]) -> Vec<Adding> {
        let ids = |ids: &[&str]| ids.iter().copied().map(AccountId::new).collect::<Vec<_>>();
        let refused = BTreeSet::from(["spam".into()]);
        outcomes(&ids(accounts), |id| !id.as_str().starts_with("no"), &refused, ids(added))
    }

    #[test]
    fn each_account_gets_its_own_answer() {
        use Adding::{Added, AlreadyMember, NoAccount, Refused};
        assert_eq!(outcomes_of(&[], &[]), []);
        assert_eq!(outcomes_of(&["a", "nobody", "b"], &["a", "b"]), [Added, NoAccount, Added]);
        assert_eq!(outcomes_of(&["a", "b", "c"], &["c", "a"]), [Added, AlreadyMember, Added]);
        assert_eq!(outcomes_of(&["a", "nobody"], &[]), [AlreadyMember, NoAccount]);
        assert_eq!(outcomes_of(&["spam", "a", "spam"], &["a"]), [Refused, Added, Refused]);
    }

    #[test]
    fn an_account_that_is_named_twice_is_added_once() {
        use Adding::{Added, AlreadyMember, NoAccount};
        assert_eq!(outcomes_of(&["a", "a", "b", "a"], &["a", "b"]), [Added, AlreadyMember, Added, AlreadyMember]);
        assert_eq!(outcomes_of(&["no", "no"], &[]), [NoAccount, NoAccount]);
    }
}
