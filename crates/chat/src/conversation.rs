//! Conversations: the ordered threads that messages live in.

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, GroupId, TopicId};

/// Which thread. Two accounts share exactly one direct conversation, a group has one, each of its topics has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationId {
    /// Between two accounts; the lesser id (as bytes) is first. Build it with [`ConversationId::direct`].
    Direct(AccountId, AccountId),
    /// A group's.
    Group(GroupId),
    /// A topic's, in a community.
    Topic(GroupId, TopicId),
}

impl ConversationId {
    /// The conversation of two accounts, in whichever order they are given.
    pub fn direct(one: AccountId, other: AccountId) -> Self {
        if one <= other { Self::Direct(one, other) } else { Self::Direct(other, one) }
    }

    /// The group it belongs to, if it is not a direct one.
    pub fn group(&self) -> Option<&GroupId> {
        match self {
            Self::Direct(..) => None,
            Self::Group(group) | Self::Topic(group, _) => Some(group),
        }
    }

    /// The topic, if it is one's.
    pub fn topic(&self) -> Option<&TopicId> {
        match self {
            Self::Topic(_, topic) => Some(topic),
            _ => None,
        }
    }

    /// The other party of a direct conversation.
    pub fn peer_of(&self, account: &AccountId) -> Option<&AccountId> {
        match self {
            Self::Direct(one, other) if one == account => Some(other),
            Self::Direct(one, other) if other == account => Some(one),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_accounts_share_one_conversation() {
        let (a, b) = (AccountId::new("a"), AccountId::new("b"));
        assert_eq!(ConversationId::direct(a.clone(), b.clone()), ConversationId::direct(b.clone(), a.clone()));
        assert_eq!(ConversationId::direct(b.clone(), a.clone()).peer_of(&a), Some(&b));
        assert_eq!(ConversationId::direct(a.clone(), a.clone()).peer_of(&a), Some(&a));
    }
}
