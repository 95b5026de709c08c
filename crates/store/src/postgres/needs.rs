//! What a batch of changes has to look at, and which shards it needs to itself.

use std::collections::BTreeSet;

use chat::conversation::ConversationId;
use chat::event::{Shard, Subject};
use chat::id::{AccountId, GroupId, MessageId, TopicId};
use chat::message::Message;
use chat::port::{Assertion, Write};

use crate::commit::Prepared;
use crate::repeat::{self, Repeat};
use crate::shard::Shards;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Of which everything is needed.
    pub(super) accounts: BTreeSet<AccountId>,
    /// Of which only matters that they exist, which they do for ever once they do.
    pub(super) existing: BTreeSet<AccountId>,
    pub(super) groups: BTreeSet<GroupId>,
    pub(super) topics: BTreeSet<(GroupId, TopicId)>,
    pub(super) members: BTreeSet<(GroupId, AccountId)>,
    /// Owner and target.
    pub(super) blocks: BTreeSet<(AccountId, AccountId)>,
    /// What events are about.
    pub(super) subjects: BTreeSet<Subject>,
    pub(super) repeats: Vec<(Shard, Repeat)>,
    /// Messages that wait for a verdict, or may be about to.
    pub(super) parked: BTreeSet<(Shard, MessageId)>,
    /// What must not wait for a verdict already.
    pub(super) waiting: Vec<(Shard, Repeat)>,
    /// Shards that are needed for what is noted beside commits.
    pub(super) noted: BTreeSet<Shard>,
}

impl Needs {
    /// Adds what `prepared` needs.
    pub(super) fn add(&mut self, prepared: &Prepared, shards: Shards) {
        for assertion in &prepared.assertions {
            self.add_assertion(assertion, shards);
        }
        for prepare in &prepared.writes {
            self.add_write(&prepare.write, shards);
            if let (Some(message), Some(repeat)) = (prepare.first_of_its_kind(), prepare.repeat) {
                self.repeats.push((shards.of(&message.conversation), repeat));
            }
        }
    }

    fn add_assertion(&mut self, assertion: &Assertion, shards: Shards) {
        match assertion {
            Assertion::NoAccount(id) => drop(self.accounts.insert(id.clone())),
            Assertion::NoGroup(group)
            | Assertion::GroupVersion(group, _)
            | Assertion::GroupOpen(group)
            | Assertion::MembersAtMost(group, _) => drop(self.groups.insert(group.clone())),
            Assertion::IsMember(group, account) => drop(self.members.insert((group.clone(), account.clone()))),
            Assertion::NotBlocked(owner, target) => drop(self.blocks.insert((owner.clone(), target.clone()))),
            Assertion::NoTopic(group, topic) => drop(self.topics.insert((group.clone(), topic.clone()))),
            Assertion::NothingParked { conversation, sender, key } => {
                let repeat = repeat::of_any_time(conversation, sender.as_str(), key);
                self.waiting.push((shards.of(conversation), repeat));
            }
            Assertion::StillParked { conversation, id, .. } => {
                self.parked.insert((shards.of(conversation), *id));
            }
        }
    }

    fn add_write(&mut self, write: &Write, shards: Shards) {
        match write {
            Write::ImportAccount { new, .. } => drop(self.accounts.insert(new.id.clone())),
            Write::PutGroup(group) => drop(self.groups.insert(group.id.clone())),
            Write::AddMembers(group, members) => {
                self.groups.insert(group.clone());
                for member in members {
                    self.existing.insert(member.account.clone());
                    self.members.insert((group.clone(), member.account.clone()));
                }
            }
            Write::AddTopic(topic) => {
                self.groups.insert(topic.group.clone());
                self.topics.insert((topic.group.clone(), topic.id.clone()));
            }
            Write::AddBlocks { owner, targets, .. } => {
                self.existing.insert(owner.clone());
                for target in targets {
                    self.existing.insert(target.clone());
                    self.blocks.insert((owner.clone(), target.clone()));
                }
            }
            Write::Send { message, .. } => {
                self.existing.insert(message.sender.clone());
                if let ConversationId::Group(group) = &message.conversation {
                    self.members.insert((group.clone(), message.sender.clone()));
                }
                self.add_subject(message.conversation.clone().into());
            }
            Write::Park(parked) => {
                let Message { conversation, id, .. } = &parked.message;
                self.parked.insert((shards.of(conversation), *id));
            }
            Write::ForgetParked(conversation, id) => drop(self.parked.insert((shards.of(conversation), *id))),
            Write::Append(event) => self.add_subject(event.subject()),
        }
    }

    /// What an event is about, and whom that is of: without them its row cannot be made.
    fn add_subject(&mut self, id: Subject) {
        match &id {
            Subject::Conversation(ConversationId::Direct(a, b)) => self.existing.extend([a.clone(), b.clone()]),
            Subject::Conversation(ConversationId::Group(group)) => drop(self.groups.insert(group.clone())),
            Subject::Conversation(ConversationId::Topic(group, topic)) => {
                self.groups.insert(group.clone());
                self.topics.insert((group.clone(), topic.clone()));
            }
            Subject::Account(account) => drop(self.existing.insert(account.clone())),
            Subject::App => {}
        }
        self.subjects.insert(id);
    }

    /// The shards of everything that may change, or must not.
    pub(super) fn shards(&self, shards: Shards) -> BTreeSet<Shard> {
        let accounts = self.accounts.iter().map(|id| shards.of_account(id));
        let groups = self.groups.iter().map(|group| shards.of_group(group));
        let topics = self.topics.iter().map(|(group, _)| shards.of_group(group));
        let members = self.members.iter().map(|(group, _)| shards.of_group(group));
        let blocks = self.blocks.iter().map(|(owner, target)| shards.of_pair(owner, target));
        let subjects = self.subjects.iter().map(|id| shards.of_subject(id));
        accounts
            .chain(groups)
            .chain(topics)
            .chain(members)
            .chain(blocks)
            .chain(subjects)
            .chain(self.parked.iter().map(|(shard, _)| *shard))
            .chain(self.waiting.iter().map(|(shard, _)| *shard))
            .chain(self.noted.iter().copied())
            .collect()
    }
}
