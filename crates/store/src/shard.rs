//! Which shard of a sharded log a conversation, group or account belongs to, and what happens to the app as a whole.
//!
//! Everything that a send looks at and writes is in its conversation's shard: the log, the conversation, a group with its
//! members and topics, the blocks between two accounts. Whoever holds a shard's row is its only writer.

use chat::conversation::ConversationId;
use chat::event::{Shard, Subject};
use chat::id::{AccountId, GroupId};
use sha2::{Digest, Sha256};

/// How many shards there are: fixed when the database is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shards(u16);

impl Shards {
    /// At least one.
    pub(crate) fn new(count: u16) -> Self {
        Self(count.max(1))
    }

    /// All of them.
    pub(crate) fn all(self) -> impl Iterator<Item = Shard> {
        (0..self.0).map(Shard)
    }

    /// Where a conversation is: a direct one by its two accounts, the others with their group.
    pub(crate) fn of(self, conversation: &ConversationId) -> Shard {
        match conversation {
            ConversationId::Direct(a, b) => self.of_pair(a, b),
            ConversationId::Group(group) | ConversationId::Topic(group, _) => self.of_group(group),
        }
    }

    /// Where the events of a subject are.
    pub(crate) fn of_subject(self, subject: &Subject) -> Shard {
        match subject {
            Subject::Conversation(conversation) => self.of(conversation),
            Subject::Account(account) => self.of_account(account),
            Subject::App => self.hash(&["app"]),
        }
    }

    /// Where a group is, with its members and topics.
    pub(crate) fn of_group(self, group: &GroupId) -> Shard {
        self.hash(&["g", group.as_str()])
    }

    /// Where an account is.
    pub(crate) fn of_account(self, account: &AccountId) -> Shard {
        self.hash(&["a", account.as_str()])
    }

    /// Where what is between two accounts is, whichever is named first.
    pub(crate) fn of_pair(self, one: &AccountId, other: &AccountId) -> Shard {
        let (a, b) = if one <= other { (one, other) } else { (other, one) };
        self.hash(&["d", a.as_str(), b.as_str()])
    }

    /// Ids have no NUL, so that parts do not run into each other.
    fn hash(self, parts: &[&str]) -> Shard {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
            hash.update([0]);
        }
        let bytes = hash.finalize();
        let number = u64::from_be_bytes(bytes[..8].try_into().expect("SHA-256 has 32 bytes"));
        Shard((number % u64::from(self.0)) as u16)
    }
}

/// A shard as it stands in a column.
pub(crate) trait SmallInt {
    /// There are fewer shards than that has numbers.
    fn int(self) -> i16;
}

impl SmallInt for Shard {
    fn int(self) -> i16 {
        self.0.cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// It is stored: a change would look for conversations where they are not.
    #[test]
    fn the_place_never_changes() {
        let shards = Shards::new(16);
        assert_eq!(shards.of_account(&"alice".into()), Shard(8));
        assert_eq!(shards.of_group(&"g".into()), Shard(4));
        assert_eq!(shards.of_pair(&"bob".into(), &"alice".into()), Shard(1));
        assert_eq!(shards.of_subject(&Subject::App), Shard(1));
        assert_eq!(shards.of_subject(&Subject::Account("alice".into())), Shard(8));
    }

    #[test]
    fn what_belongs_together_is_together() {
        let shards = Shards::new(16);
        assert_eq!(shards.of_pair(&"a".into(), &"b".into()), shards.of_pair(&"b".into(), &"a".into()));
        let direct = ConversationId::direct("a".into(), "b".into());
        assert_eq!(shards.of(&direct), shards.of_pair(&"b".into(), &"a".into()));
        for number in 0..100 {
            let group = GroupId::new(format!("g{number}"));
            let topic = ConversationId::Topic(group.clone(), "t".into());
            assert_eq!(shards.of(&topic), shards.of_group(&group));
            assert_eq!(shards.of(&ConversationId::Group(group.clone())), shards.of_group(&group));
        }
    }

    #[test]
    fn every_shard_is_used() {
        let shards = Shards::new(16);
        let used: HashSet<_> = (0..1000).map(|n| shards.of_account(&AccountId::new(format!("u{n}")))).collect();
        assert_eq!(used.len(), 16);
        assert_eq!(Shards::new(0).all().count(), 1);
    }
}
