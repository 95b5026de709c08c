//! Before-callbacks as the core sees them: a question about what is about to happen, and a verdict.
//!
//! A question is put with no transaction open and no turn held, so that a backend may take its time and may call us
//! meanwhile; what it was asked about is judged once more before it is committed.

pub mod account;
pub mod group;
pub mod member;
pub mod message;
pub mod park;

pub use message::MessageEdit;
pub use park::{Otherwise, ParkTerms};

use crate::account::import::NewAccount;
use crate::command::{Actor, Origin};
use crate::group::update::UpdateGroup;
use crate::id::{EventId, Timestamp};
use crate::message::Message;
use crate::question::account::{Registration, WantedBlock};
use crate::question::group::{GroupCreation, GroupEdit, GroupUpdate, TopicCreation};
use crate::question::member::{MemberAddition, MembersEdit};
use crate::refusal::Refusal;

/// What the app's backend is asked before it happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// May this message be sent? It has no seq yet.
    BeforeSend(Box<Message>),
    /// May this group be made, with these first members?
    BeforeCreateGroup(Box<GroupCreation>),
    /// May this community get this topic?
    BeforeCreateTopic(Box<TopicCreation>),
    /// May these accounts become members of this group? Answered per account.
    BeforeAddMembers(Box<MemberAddition>),
    /// May this group's profile and rules be changed so?
    BeforeUpdateGroup(Box<GroupUpdate>),
    /// May this account block that one? A command about several is asked about one by one.
    BeforeBlock(Box<WantedBlock>),
    /// May these accounts be made known? None of them is yet. Answered per account.
    BeforeRegister(Box<Registration>),
}

/// What a question about anything but a message says beside its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// The question's id: what the calls that put it are recognised by.
    pub id: EventId,
    /// On whose authority it is to happen.
    pub actor: Actor,
    /// From where.
    pub origin: Origin,
    /// When it was wanted.
    pub time: Timestamp,
}

impl Question {
    /// Its id: the same for every endpoint that is asked. A message's question has the message's id.
    pub fn id(&self) -> EventId {
        match self {
            Self::BeforeSend(message) => message.id,
            Self::BeforeCreateGroup(creation) => creation.occasion.id,
            Self::BeforeCreateTopic(creation) => creation.occasion.id,
            Self::BeforeAddMembers(addition) => addition.occasion.id,
            Self::BeforeUpdateGroup(update) => update.occasion.id,
            Self::BeforeBlock(block) => block.occasion.id,
            Self::BeforeRegister(registration) => registration.occasion.id,
        }
    }

    /// Where the command came from that leads to it.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::BeforeSend(message) => &message.origin,
            Self::BeforeCreateGroup(creation) => &creation.occasion.origin,
            Self::BeforeCreateTopic(creation) => &creation.occasion.origin,
            Self::BeforeAddMembers(addition) => &addition.occasion.origin,
            Self::BeforeUpdateGroup(update) => &update.occasion.origin,
            Self::BeforeBlock(block) => &block.occasion.origin,
            Self::BeforeRegister(registration) => &registration.occasion.origin,
        }
    }

    /// A stable name for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BeforeSend(_) => "before_send",
            Self::BeforeCreateGroup(_) => "before_create_group",
            Self::BeforeCreateTopic(_) => "before_create_topic",
            Self::BeforeAddMembers(_) => "before_add_members",
            Self::BeforeUpdateGroup(_) => "before_update_group",
            Self::BeforeBlock(_) => "before_block",
            Self::BeforeRegister(_) => "before_register",
        }
    }

    /// What it becomes by an edit: the next endpoint is asked about that. An edit of something else changes nothing.
    pub fn apply(&mut self, edit: Edit) {
        match (self, edit) {
            (Self::BeforeSend(message), Edit::Message(edit)) => edit.apply_to(message),
            (Self::BeforeCreateGroup(creation), Edit::Group(edit)) => edit.apply_to(creation),
            (Self::BeforeAddMembers(addition), Edit::Members(edit)) => edit.apply_to(&mut addition.members),
            (Self::BeforeUpdateGroup(update), Edit::Update(edit)) => update.replace(*edit),
            (Self::BeforeRegister(registration), Edit::Accounts(accounts)) => registration.accounts = accounts,
            _ => {}
        }
    }

    /// Whether there is nothing left to ask about: nobody whom an earlier endpoint has let in.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::BeforeAddMembers(addition) => addition.members.is_empty(),
            Self::BeforeRegister(registration) => registration.accounts.is_empty(),
            Self::BeforeSend(_)
            | Self::BeforeCreateGroup(_)
            | Self::BeforeCreateTopic(_)
            | Self::BeforeUpdateGroup(_)
            | Self::BeforeBlock(_) => false,
        }
    }
}

/// What the app's backend decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Go on with this changed. Several endpoints' edits add up; a later one sees what an earlier one changed.
    Modify(Edit),
    /// Refuse, and tell the caller.
    Reject(Refusal),
    /// Drop it, and let it look sent. Of messages only; anything else cannot look as if it had happened, and is refused.
    Discard,
    /// Have it wait for a verdict that comes later, and tell the caller so. Of messages only.
    Park(Box<ParkTerms>),
}

/// What a backend changes in what it is asked about.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// In a message.
    Message(MessageEdit),
    /// In a group that is to be made, or in its first members.
    Group(Box<GroupEdit>),
    /// In who becomes a member, and as what.
    Members(MembersEdit),
    /// The whole of what is to be changed about a group, as the backend wants it.
    Update(Box<UpdateGroup>),
    /// The whole list of accounts that are to be made known, as the backend wants it.
    Accounts(Vec<NewAccount>),
}

impl Edit {
    /// Whether it changes anything at all.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Message(edit) => edit.is_empty(),
            Self::Group(edit) => edit.is_empty(),
            Self::Members(edit) => edit.is_empty(),
            // Whoever made these has compared them with the question.
            Self::Update(_) | Self::Accounts(_) => false,
        }
    }

    /// This edit, and then `later` on top of it.
    pub fn then(self, later: Self) -> Self {
        match (self, later) {
            (Self::Message(edit), Self::Message(later)) => Self::Message(edit.then(later)),
            (Self::Group(edit), Self::Group(later)) => Self::Group(Box::new(edit.then(*later))),
            (Self::Members(edit), Self::Members(later)) => Self::Members(edit.then(later)),
            (_, later) => later,
        }
    }
}

impl From<MessageEdit> for Edit {
    fn from(edit: MessageEdit) -> Self {
        Self::Message(edit)
    }
}

impl From<GroupEdit> for Edit {
    fn from(edit: GroupEdit) -> Self {
        Self::Group(Box::new(edit))
    }
}

impl From<MembersEdit> for Edit {
    fn from(edit: MembersEdit) -> Self {
        Self::Members(edit)
    }
}

impl From<UpdateGroup> for Edit {
    fn from(edit: UpdateGroup) -> Self {
        Self::Update(Box::new(edit))
    }
}

#[cfg(test)]
mod tests;
