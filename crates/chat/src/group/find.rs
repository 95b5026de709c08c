//! Looking at groups and their members: `FindGroups`, `ListGroupsOf`, `ListMembers`.

use async_trait::async_trait;

use super::Group;
use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::conversation::ConversationId;
use crate::id::{AccountId, GroupId};
use crate::member::Member;
use crate::port::{ConversationState, MemberQuery};
use crate::refusal::{Error, Refusal};

/// At most this many groups are looked up at once.
pub const MAX_FIND: usize = 1000;

/// At most this many members are listed at once (Tencent's hard cap for `get_group_member_info`).
pub const MAX_MEMBERS: u64 = 6_000;

/// Looks groups up; anyone may.
#[derive(Clone, Debug)]
pub struct FindGroups(pub Vec<GroupId>);

#[async_trait]
impl Command for FindGroups {
    /// Those that exist, in the order of the question, each with the state of its conversation.
    type Reply = Vec<(Group, ConversationState)>;
    const NAME: &'static str = "find_groups";

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply, Error> {
        if self.0.len() > MAX_FIND {
            return Err(Refusal::TooMany { what: "groups", limit: MAX_FIND }.into());
        }
        let mut found = Vec::new();
        for group in cx.store().groups(&self.0).await? {
            let state = cx.store().conversation(&ConversationId::Group(group.id.clone())).await?;
            found.push((group, state));
        }
        Ok(found)
    }
}

/// Lists the groups that this account is a member of.
#[derive(Clone, Debug)]
pub struct ListGroupsOf(pub AccountId);

#[async_trait]
impl Command for ListGroupsOf {
    type Reply = Vec<GroupId>;
    const NAME: &'static str = "list_groups_of";

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply, Error> {
        if let Actor::Account(reader) = cx.actor
            && *reader != self.0
        {
            return Err(Refusal::NotPermitted.into());
        }
        Ok(cx.store().groups_of(&self.0).await?)
    }
}

/// Lists members: the app anywhere, an account where it is a member.
#[derive(Clone, Debug)]
pub struct ListMembers {
    /// Of which group.
    pub group: GroupId,
    /// Which of them.
    pub query: MemberQuery,
}

#[async_trait]
impl Command for ListMembers {
    type Reply = (Group, Vec<Member>);
    const NAME: &'static str = "list_members";

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply, Error> {
        let group = cx.open_group(&self.group).await?;
        if let Actor::Account(reader) = cx.actor {
            cx.check_member(&self.group, reader).await?;
        }
        if !group.kind.has_members() {
            return Err(Refusal::GroupTypeForbids("members of a live room are not stored").into());
        }
        let query = MemberQuery { limit: self.query.limit.min(MAX_MEMBERS), ..self.query };
        let members = cx.store().members(&self.group, query).await?;
        Ok((group, members))
    }
}

impl Context<'_> {
    /// The group, if it exists and is alive.
    pub async fn open_group(&self, id: &GroupId) -> Result<Group, Error> {
        let group = self.store().groups(std::slice::from_ref(id)).await?.pop();
        let group = group.ok_or_else(|| Refusal::NoGroup(id.clone()))?;
        if group.is_open() { Ok(group) } else { Err(Refusal::GroupDissolved(id.clone()).into()) }
    }

    /// The membership, or the refusal that there is none.
    pub async fn check_member(&self, group: &GroupId, account: &AccountId) -> Result<Member, Error> {
        let member = self.store().member(group, account).await?;
        let refusal = || Refusal::NotMember { group: group.clone(), account: account.clone() };
        Ok(member.ok_or_else(refusal)?)
    }
}
