//! Which events and questions an endpoint wants, beside its commands. Looked at before anything is queued.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chat::Actor;
use chat::conversation::ConversationId;
use chat::event::Event;
use chat::group::{Group, GroupKind};
use chat::id::{AccountId, GroupId};
use chat::message::Message;
use chat::question::{Occasion, Question};

use crate::codec::Codec;

/// What is wanted: everything that `only` names, if it names anything, without what `except` names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Nothing else is wanted.
    pub only: Criteria,
    /// What is not wanted.
    pub except: Criteria,
}

/// What events are told apart by. Group types, content types and conversations are in the words of the endpoint's dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Where it is: in one of these conversations,
    pub conversations: BTreeSet<String>,
    /// or in one of these groups, its topics included,
    pub groups: BTreeSet<String>,
    /// or on its way to one of these accounts.
    pub receivers: BTreeSet<String>,
    /// Whose it is.
    pub senders: BTreeSet<String>,
    /// The group's type.
    pub group_types: BTreeSet<String>,
    /// What the message contains: for `only`, nothing else; for `except`, any of it.
    pub content_types: BTreeSet<String>,
}

/// What is known of an event or question.
struct Facts<'a> {
    message: Option<&'a Message>,
    conversation: Option<Cow<'a, ConversationId>>,
    group: Option<&'a GroupId>,
    kind: Option<GroupKind>,
    sender: Option<&'a AccountId>,
    receiver: Option<&'a AccountId>,
}

impl<'a> Facts<'a> {
    fn of_message(message: &'a Message) -> Self {
        let (group, kind) = (message.conversation.group(), message.group_kind);
        let receiver = message.conversation.peer_of(&message.sender);
        let (conversation, sender) = (Some(Cow::Borrowed(&message.conversation)), Some(&message.sender));
        Self { message: Some(message), conversation, group, kind, sender, receiver }
    }

    /// Of what somebody does about a group.
    fn of_group(id: &'a GroupId, kind: GroupKind, actor: &'a Actor) -> Self {
        let conversation = Some(Cow::Owned(ConversationId::Group(id.clone())));
        Self { message: None, conversation, group: Some(id), kind: Some(kind), sender: actor.account(), receiver: None }
    }

    fn of_event(event: &'a Event) -> Self {
        match event {
            Event::MessageSent(message) | Event::MessageNotSent { message, .. } => Self::of_message(message),
            Event::GroupChanged(change) => Self::of_group(&change.group, change.kind, &change.actor),
            Event::EndpointPaused(_) => {
                Self { message: None, conversation: None, group: None, kind: None, sender: None, receiver: None }
            }
        }
    }

    fn of_question(question: &'a Question) -> Self {
        let of_group =
            |group: &'a Group, occasion: &'a Occasion| Self::of_group(&group.id, group.kind, &occasion.actor);
        match question {
            Question::BeforeSend(message) => Self::of_message(message),
            Question::BeforeCreateGroup(creation) => of_group(&creation.group, &creation.occasion),
            Question::BeforeCreateTopic(creation) => of_group(&creation.group, &creation.occasion),
            Question::BeforeAddMembers(addition) => of_group(&addition.group, &addition.occasion),
            Question::BeforeUpdateGroup(update) => of_group(&update.group, &update.occasion),
            // Whose block it is, and whom it is on its way to.
            Question::BeforeBlock(block) => Self {
                message: None,
                conversation: None,
                group: None,
                kind: None,
                sender: Some(&block.owner),
                receiver: Some(&block.target),
            },
            Question::BeforeRegister(registration) => Self {
                message: None,
                conversation: None,
                group: None,
                kind: None,
                sender: registration.occasion.actor.account(),
                receiver: None,
            },
        }
    }

    fn is_in(&self, criteria: &Criteria, codec: &dyn Codec) -> bool {
        let Criteria { conversations, groups, receivers, .. } = criteria;
        let is_group = || self.group.is_some_and(|group| groups.contains(group.as_str()));
        let is_receiver = || self.receiver.is_some_and(|receiver| receivers.contains(receiver.as_str()));
        let is_conversation = || {
            let name = self.conversation.as_ref().and_then(|id| codec.conversation(id));
            name.is_some_and(|name| conversations.contains(&name))
        };
        (!groups.is_empty() && is_group())
            || (!receivers.is_empty() && is_receiver())
            || (!conversations.is_empty() && is_conversation())
    }

    fn content_types(&self, codec: &dyn Codec) -> Vec<String> {
        self.message.map(|message| codec.content_types(message)).unwrap_or_default()
    }

    fn fits(&self, filter: &Filter, codec: &dyn Codec) -> bool {
        let Filter { only, except } = filter;
        let sender = |of: &Criteria| self.sender.is_some_and(|sender| of.senders.contains(sender.as_str()));
        let group_type = |of: &Criteria| {
            let name = self.kind.and_then(|kind| codec.group_type(kind));
            name.is_some_and(|name| of.group_types.contains(name))
        };
        let contents = |of: &Criteria, all: bool| {
            let types = self.content_types(codec);
            let is_named = |name: &String| of.content_types.contains(name);
            !types.is_empty() && if all { types.iter().all(is_named) } else { types.iter().any(is_named) }
        };
        let is_wanted = (!only.names_places() || self.is_in(only, codec))
            && (only.senders.is_empty() || sender(only))
            && (only.group_types.is_empty() || group_type(only))
            && (only.content_types.is_empty() || contents(only, true));
        is_wanted
            && !(except.names_places() && self.is_in(except, codec))
            && (except.senders.is_empty() || !sender(except))
            && (except.group_types.is_empty() || !group_type(except))
            && (except.content_types.is_empty() || !contents(except, false))
    }
}

impl Filter {
    /// Whether an event is wanted.
    pub(crate) fn wants(&self, event: &Event, codec: &dyn Codec) -> bool {
        self.is_empty() || Facts::of_event(event).fits(self, codec)
    }

    /// Whether a question is.
    pub(crate) fn wants_question(&self, question: &Question, codec: &dyn Codec) -> bool {
        self.is_empty() || Facts::of_question(question).fits(self, codec)
    }

    /// Whether everything is.
    pub fn is_empty(&self) -> bool {
        self.only.is_empty() && self.except.is_empty()
    }
}

impl Criteria {
    fn names_places(&self) -> bool {
        !(self.conversations.is_empty() && self.groups.is_empty() && self.receivers.is_empty())
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use chat::Fault;
    use chat::conversation::ConversationId;
    use chat::element::Element;
    use chat::event::LogEntry;
    use chat::id::Timestamp;
    use chat::question::Verdict;

    use super::*;
    use crate::codec::{Call, Unreadable};

    /// A dialect with words for all that is filtered by.
    struct Words;

    impl Codec for Words {
        fn knows(&self, _: &str) -> bool {
            true
        }

        fn is_question(&self, _: &str) -> bool {
            true
        }

        fn asks(&self, _: &Question) -> &'static [&'static str] {
            &["asked"]
        }

        fn question(&self, command: &'static str, _: &Question) -> Call {
            Call { command, query: String::new(), headers: Vec::new(), body: bytes::Bytes::new() }
        }

        fn verdict(&self, _: &'static str, _: &Question, _: &[u8]) -> Result<Verdict, Unreadable> {
            Err(Unreadable("nothing is called here".to_owned()))
        }

        fn tells(&self, _: &Event) -> Option<&'static str> {
            Some("told")
        }

        fn telling(&self, _: &'static str, _: &LogEntry) -> Result<Call, Fault> {
            Err(Fault::new("nothing is called here"))
        }

        fn group_type(&self, kind: GroupKind) -> Option<&'static str> {
            Some(if kind == GroupKind::Public { "public" } else { "another" })
        }

        /// Its words are types of their own here.
        fn content_types(&self, message: &Message) -> Vec<String> {
            message.elements.iter().map(|element| format!("{element:?}").contains("lunch").to_string()).collect()
        }

        fn conversation(&self, id: &ConversationId) -> Option<String> {
            Some(if id.group().is_some() { "in a group" } else { "between two" }.to_owned())
        }

        fn url(&self, _: &Call, _: Timestamp) -> String {
            String::new()
        }

        fn acknowledges(&self, _: &[u8]) -> bool {
            true
        }
    }

    fn only(only: Criteria) -> Filter {
        Filter { only, except: Criteria::default() }
    }

    fn except(except: Criteria) -> Filter {
        Filter { only: Criteria::default(), except }
    }

    fn set(name: &str) -> BTreeSet<String> {
        [name.to_owned()].into()
    }

    /// What is asked and told in the samples, and what in it a filter wants. Alice writes to Bob and to the group `climbers`,
    /// and blocks Bob; the rest is the app's.
    fn wanted(filter: &Filter) -> Vec<&'static str> {
        let asked = chat::sample::questions().into_iter().filter(|question| filter.wants_question(question, &Words));
        let asked = asked.map(|question| match question {
            Question::BeforeSend(message) if message.is_direct() => "to bob?",
            Question::BeforeSend(_) => "to the group?",
            Question::BeforeCreateGroup(_) => "group?",
            Question::BeforeCreateTopic(_) => "topic?",
            Question::BeforeAddMembers(_) => "members?",
            Question::BeforeUpdateGroup(_) => "change?",
            Question::BeforeBlock(_) => "block?",
            Question::BeforeRegister(_) => "accounts?",
        });
        let told = chat::sample::events().into_iter().filter(|event| filter.wants(event, &Words));
        let told = told.map(|event| match event {
            Event::MessageSent(message) if message.is_direct() => "to bob",
            Event::MessageSent(_) => "to the group",
            Event::MessageNotSent { .. } => "not to bob",
            Event::GroupChanged(_) => "changed",
            Event::EndpointPaused(_) => "paused",
        });
        let mut wanted: Vec<_> = asked.chain(told).collect();
        wanted.dedup();
        wanted
    }

    const EVERYTHING: [&str; 13] = [
        "to bob?",
        "to the group?",
        "group?",
        "topic?",
        "members?",
        "change?",
        "block?",
        "accounts?",
        "to bob",
        "to the group",
        "not to bob",
        "changed",
        "paused",
    ];

    #[test]
    fn each_criterion_finds_its_questions_and_events() {
        assert_eq!(wanted(&Filter::default()), EVERYTHING);
        let about_the_group =
            ["to the group?", "group?", "topic?", "members?", "change?", "to the group", "changed"].to_vec();
        let of = |criteria: Criteria, expected: Vec<&str>| {
            assert_eq!(wanted(&only(criteria.clone())), expected, "only {criteria:?}");
            let others: Vec<_> = EVERYTHING.into_iter().filter(|what| !expected.contains(what)).collect();
            assert_eq!(wanted(&except(criteria.clone())), others, "except {criteria:?}");
        };
        of(Criteria { groups: set("climbers"), ..Criteria::default() }, about_the_group.clone());
        of(Criteria { groups: set("bob"), ..Criteria::default() }, vec![]);
        of(Criteria { group_types: set("public"), ..Criteria::default() }, about_the_group);
        of(Criteria { group_types: set("another"), ..Criteria::default() }, vec![]);
        let to_bob = vec!["to bob?", "block?", "to bob", "not to bob"];
        of(Criteria { receivers: set("bob"), ..Criteria::default() }, to_bob);
        of(Criteria { receivers: set("alice"), ..Criteria::default() }, vec![]);
        let of_alice = vec!["to bob?", "to the group?", "block?", "to bob", "to the group", "not to bob"];
        of(Criteria { senders: set("alice"), ..Criteria::default() }, of_alice);
        let of_the_app = vec!["group?", "topic?", "members?", "change?", "accounts?", "changed"];
        of(Criteria { senders: set("administrator"), ..Criteria::default() }, of_the_app);
        let messages = vec!["to bob?", "to the group?", "to bob", "to the group", "not to bob"];
        of(Criteria { content_types: set("true"), ..Criteria::default() }, messages);
        let direct = vec!["to bob?", "to bob", "not to bob"];
        of(Criteria { conversations: set("between two"), ..Criteria::default() }, direct);
    }

    #[test]
    fn places_add_up_and_other_criteria_narrow() {
        let criteria = Criteria { groups: set("climbers"), receivers: set("bob"), ..Criteria::default() };
        let without: Vec<_> = EVERYTHING.into_iter().filter(|what| !["accounts?", "paused"].contains(what)).collect();
        assert_eq!(wanted(&only(criteria.clone())), without);
        let of_alice = Criteria { senders: set("alice"), ..criteria };
        let hers = ["to bob?", "to the group?", "block?", "to bob", "to the group", "not to bob"];
        assert_eq!(wanted(&only(of_alice.clone())), hers);
        let filter = Filter { only: of_alice, except: Criteria { receivers: set("bob"), ..Criteria::default() } };
        assert_eq!(wanted(&filter), ["to the group?", "to the group"]);
    }

    /// `only` wants nothing else in it; `except` wants none of it.
    #[test]
    fn a_message_of_several_contents() {
        let questions = chat::sample::questions();
        let Some(Question::BeforeSend(message)) = questions.first() else { panic!("no message") };
        let mut mixed = message.clone();
        mixed.elements.push(Element::text("dinner?"));
        let mixed = Question::BeforeSend(mixed);
        let lunch = || Criteria { content_types: set("true"), ..Criteria::default() };
        let both = Criteria { content_types: ["true".to_owned(), "false".to_owned()].into(), ..Criteria::default() };
        assert!(!only(lunch()).wants_question(&mixed, &Words));
        assert!(only(both).wants_question(&mixed, &Words));
        assert!(!except(lunch()).wants_question(&mixed, &Words));
    }
}
