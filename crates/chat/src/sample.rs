//! One question and one event of each kind, for tests that none is forgotten. What is in them is as plain as it can be.
//!
//! Each kind names the one that comes after it, so that one that is new does not compile before it is here.

use std::iter::successors;

use crate::account::import::NewAccount;
use crate::command::{Actor, Origin};
use crate::conversation::ConversationId;
use crate::element::Element;
use crate::event::{EndpointPause, Event, GroupChange, NotSent};
use crate::group::update::{Naming, UpdateGroup};
use crate::group::{Group, GroupKind, GroupProfile, Topic};
use crate::id::{EventId, MessageId, Timestamp};
use crate::member::{Member, Role};
use crate::message::Message;
use crate::question::account::{Registration, WantedBlock};
use crate::question::group::{GroupCreation, GroupUpdate, TopicCreation};
use crate::question::member::MemberAddition;
use crate::question::{Occasion, Question};

const TIME: Timestamp = Timestamp::from_millis(1_760_000_000_123);

/// Every kind of question; that about a message in two conversations, and that about a change of a group in both ways of
/// saying it.
pub fn questions() -> Vec<Question> {
    successors(Some(Question::BeforeSend(Box::new(direct()))), after_question).collect()
}

/// Every kind of event; a message that was sent in two conversations.
pub fn events() -> Vec<Event> {
    successors(Some(Event::MessageSent(direct())), after_event).collect()
}

fn after_question(question: &Question) -> Option<Question> {
    Some(match question {
        Question::BeforeSend(message) if message.is_direct() => Question::BeforeSend(Box::new(in_group())),
        Question::BeforeSend(_) => Question::BeforeCreateGroup(Box::new(GroupCreation {
            occasion: occasion(),
            group: group(),
            id_is_made_up: false,
            members: members(),
            owned: 0,
        })),
        Question::BeforeCreateGroup(_) => Question::BeforeCreateTopic(Box::new(TopicCreation {
            occasion: occasion(),
            group: group(),
            topic: Topic {
                id: "climbers@TOPIC#_routes".into(),
                group: "climbers".into(),
                profile: GroupProfile { name: "Routes".into(), ..GroupProfile::default() },
                creator: None,
                created: TIME,
            },
        })),
        Question::BeforeCreateTopic(_) => Question::BeforeAddMembers(Box::new(MemberAddition {
            occasion: occasion(),
            group: group(),
            members: members(),
            reason: String::new(),
        })),
        Question::BeforeAddMembers(_) => changing(Naming::Named),
        Question::BeforeUpdateGroup(update) if update.update.naming == Naming::Named => changing(Naming::Filled),
        Question::BeforeUpdateGroup(_) => Question::BeforeBlock(Box::new(WantedBlock {
            occasion: occasion(),
            owner: "alice".into(),
            target: "bob".into(),
        })),
        Question::BeforeBlock(_) => Question::BeforeRegister(Box::new(Registration {
            occasion: occasion(),
            accounts: vec![NewAccount::bare("carol".into())],
        })),
        Question::BeforeRegister(_) => return None,
    })
}

fn after_event(event: &Event) -> Option<Event> {
    Some(match event {
        Event::MessageSent(message) if message.is_direct() => Event::MessageSent(in_group()),
        Event::MessageSent(_) => Event::MessageNotSent { message: direct(), reason: NotSent::Blocked },
        Event::MessageNotSent { .. } => Event::GroupChanged(GroupChange {
            id: MessageId::new(TIME, 8),
            group: "climbers".into(),
            kind: GroupKind::Public,
            actor: app(),
            origin: Origin::default(),
            time: TIME,
            name: Some("Climbers".into()),
            introduction: None,
            announcement: None,
            face_url: None,
        }),
        Event::GroupChanged(_) => Event::EndpointPaused(EndpointPause {
            id: MessageId::new(TIME, 9),
            endpoint: "app".into(),
            time: TIME,
            reason: "gone".into(),
            detail: "it answered 410 Gone".into(),
        }),
        Event::EndpointPaused(_) => return None,
    })
}

fn app() -> Actor {
    Actor::App("administrator".into())
}

fn occasion() -> Occasion {
    Occasion { id: EventId::new(TIME, 10), actor: app(), origin: Origin::default(), time: TIME }
}

fn direct() -> Message {
    let conversation = ConversationId::direct("alice".into(), "bob".into());
    Message { seq: 1, elements: vec![Element::text("lunch?")], ..Message::sample("alice", conversation) }
}

fn in_group() -> Message {
    let conversation = ConversationId::Group("climbers".into());
    Message { conversation, group_kind: Some(GroupKind::Public), ..direct() }
}

fn group() -> Group {
    Group { id: "climbers".into(), owner: Some("alice".into()), ..Group::sample(GroupKind::Public) }
}

fn members() -> Vec<Member> {
    vec![Member::new("bob".into(), Role::Member, TIME)]
}

fn changing(naming: Naming) -> Question {
    let name = Some("Climbers!".into());
    let update = UpdateGroup { group: Some("climbers".into()), name, naming, ..UpdateGroup::default() };
    Question::BeforeUpdateGroup(Box::new(GroupUpdate { occasion: occasion(), group: group(), update }))
}
