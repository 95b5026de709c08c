//! The codec of an endpoint with `dialect = "standard"`: which question and which event is which call.

use chat::Fault;
use chat::event::{Event, LogEntry};
use chat::group::GroupKind;
use chat::id::Timestamp;
use chat::message::Message;
use chat::question::{Question, Verdict};
use webhook::codec::{BatchItem, Call, Codec, Unreadable};

use crate::commands::{
    ACCOUNT_BLOCKING, ACCOUNTS_REGISTERING, ENDPOINT_PAUSED, EVENTS, GROUP_CHANGED, GROUP_CHANGING, GROUP_CREATING,
    MEMBERS_ADDING, MESSAGE_NOT_SENT, MESSAGE_SENDING, MESSAGE_SENT, QUESTIONS, TOPIC_CREATING,
};
use crate::event::{EndpointPaused, GroupChanged, MessageNotSent, MessageSent};
use crate::payload::call;
use crate::question::{
    AccountBlocking, AccountsRegistering, GroupChanging, GroupCreating, MembersAdding, MessageSending, TopicCreating,
};
use crate::{answer, batch, element, message};

/// Words callbacks for one endpoint.
#[derive(Clone, Debug)]
pub struct StandardCodec {
    url: String,
}

impl StandardCodec {
    /// A codec that calls `url`, as it is.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }
}

impl Codec for StandardCodec {
    fn commands(&self) -> Vec<&'static str> {
        [&EVENTS[..], &QUESTIONS[..]].concat()
    }

    fn knows(&self, command: &str) -> bool {
        EVENTS.contains(&command) || QUESTIONS.contains(&command)
    }

    fn is_question(&self, command: &str) -> bool {
        QUESTIONS.contains(&command)
    }

    fn asks(&self, question: &Question) -> &'static [&'static str] {
        match question {
            Question::BeforeSend(_) => &[MESSAGE_SENDING],
            Question::BeforeCreateGroup(_) => &[GROUP_CREATING],
            Question::BeforeCreateTopic(_) => &[TOPIC_CREATING],
            Question::BeforeAddMembers(_) => &[MEMBERS_ADDING],
            Question::BeforeUpdateGroup(_) => &[GROUP_CHANGING],
            Question::BeforeBlock(_) => &[ACCOUNT_BLOCKING],
            Question::BeforeRegister(_) => &[ACCOUNTS_REGISTERING],
        }
    }

    fn question(&self, command: &'static str, question: &Question) -> Call {
        match question {
            Question::BeforeSend(message) => call(command, message.time, MessageSending::from(&**message)),
            Question::BeforeCreateGroup(asked) => call(command, asked.occasion.time, GroupCreating::from(&**asked)),
            Question::BeforeCreateTopic(asked) => call(command, asked.occasion.time, TopicCreating::from(&**asked)),
            Question::BeforeAddMembers(asked) => call(command, asked.occasion.time, MembersAdding::from(&**asked)),
            Question::BeforeUpdateGroup(asked) => call(command, asked.occasion.time, GroupChanging::from(&**asked)),
            Question::BeforeBlock(asked) => call(command, asked.occasion.time, AccountBlocking::from(&**asked)),
            Question::BeforeRegister(asked) => call(command, asked.occasion.time, AccountsRegistering::from(&**asked)),
        }
    }

    fn verdict(&self, _: &'static str, question: &Question, body: &[u8]) -> Result<Verdict, Unreadable> {
        answer::verdict(question, body)
    }

    fn tells(&self, event: &Event) -> Option<&'static str> {
        match event {
            Event::MessageSent(message) | Event::MessageNotSent { message, .. }
                if message.delivery.no_after_callback =>
            {
                None
            }
            Event::MessageSent(_) => Some(MESSAGE_SENT),
            Event::MessageNotSent { .. } => Some(MESSAGE_NOT_SENT),
            Event::GroupChanged(_) => Some(GROUP_CHANGED),
            Event::EndpointPaused(_) => Some(ENDPOINT_PAUSED),
        }
    }

    fn telling(&self, command: &'static str, entry: &LogEntry) -> Result<Call, Fault> {
        let time = entry.event.time();
        Ok(match &entry.event {
            Event::MessageSent(message) => call(command, time, MessageSent::of(message, entry.unread)),
            Event::MessageNotSent { message, reason } => call(command, time, MessageNotSent::of(message, *reason)),
            Event::GroupChanged(change) => call(command, time, GroupChanged::from(change)),
            Event::EndpointPaused(pause) => call(command, time, EndpointPaused::from(pause)),
        })
    }

    fn group_type(&self, kind: GroupKind) -> Option<&'static str> {
        Some(message::Kind::from(kind).name())
    }

    fn content_types(&self, message: &Message) -> Vec<String> {
        message.elements.iter().map(|element| element::type_of(element).to_owned()).collect()
    }

    fn url(&self, _: &Call, _: Timestamp) -> String {
        self.url.clone()
    }

    fn acknowledges(&self, body: &[u8]) -> bool {
        answer::acknowledges(body)
    }

    fn batch(&self, items: &[BatchItem<'_>], now: Timestamp) -> Option<Call> {
        batch::join(items, now)
    }
}

#[cfg(test)]
mod tests {
    use chat::conversation::ConversationId;
    use chat::event::NotSent;
    use chat::message::{Delivery, Message};
    use serde_json::{Value, json};

    use super::*;
    use crate::sample;

    fn codec() -> StandardCodec {
        StandardCodec::new("https://app.example.com/hook?tenant=7")
    }

    fn told(event: Event, unread: Option<u64>) -> Value {
        let command = codec().tells(&event).unwrap();
        let call = codec().telling(command, &sample::entry(event, unread)).unwrap();
        assert_eq!(call.command, command);
        serde_json::from_slice(&call.body).unwrap()
    }

    #[test]
    fn a_plain_message_is_told_without_what_is_as_usual() {
        let message = Message { seq: 41, ..sample::plain() };
        let expected = json!({
            "type": "message.sent",
            "timestamp": "2025-10-09T08:53:20.123Z",
            "data": {
                "message": {
                    "id": message.id.to_string(),
                    "conversation": {"kind": "direct", "accounts": ["alice", "bob"]},
                    "seq": 41,
                    "sender": "alice",
                    "recipient": "bob",
                    "actor": {"kind": "account", "account": "alice"},
                    "origin": {"platform": "rest"},
                    "client_id": "c1",
                    "time": 1_760_000_000_123_i64,
                    "created": 1_760_000_000_100_i64,
                    "elements": [{"type": "text", "text": "lunch?"}],
                },
                "unread": 3,
            },
        });
        assert_eq!(told(Event::MessageSent(message), Some(3)), expected);
    }

    #[test]
    fn a_question_has_no_seq() {
        let call = codec().question(MESSAGE_SENDING, &Question::BeforeSend(Box::new(sample::plain())));
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!((&body["type"], body["data"]["message"].get("seq")), (&json!("message.sending"), None));
        assert!(call.body.starts_with(br#"{"type":"message.sending","timestamp":"#));
        assert_eq!(codec().url(&call, Timestamp::default()), "https://app.example.com/hook?tenant=7");
        assert!(call.query.is_empty() && call.headers.is_empty());
    }

    #[test]
    fn conversations_say_what_they_are() {
        let shown = |conversation| {
            let message = Message { conversation, ..sample::plain() };
            told(Event::MessageSent(message), None)["data"]["message"].clone()
        };
        let group = shown(ConversationId::Group("g".into()));
        assert_eq!((&group["conversation"], group.get("recipient")), (&json!({"kind": "group", "group": "g"}), None));
        let topic = shown(ConversationId::Topic("g".into(), "t".into()));
        assert_eq!(topic["conversation"], json!({"kind": "topic", "group": "g", "topic": "t"}));
        let oneself = shown(ConversationId::direct("alice".into(), "alice".into()));
        assert_eq!(oneself["conversation"]["accounts"], json!(["alice", "alice"]));
        assert_eq!(oneself["recipient"], "alice");
    }

    #[test]
    fn every_event_is_told_and_every_question_asked() {
        let quiet = Delivery { no_after_callback: true, ..Delivery::default() };
        let quiet = Message { delivery: quiet, ..sample::plain() };
        assert_eq!(codec().tells(&Event::MessageSent(quiet.clone())), None);
        let reason = NotSent::Blocked;
        assert_eq!(codec().tells(&Event::MessageNotSent { message: quiet.clone(), reason }), None);
        let question = Question::BeforeSend(Box::new(quiet));
        assert_eq!(codec().asks(&question), [MESSAGE_SENDING], "whether it is asked about is the command's to say");
        let asked: Vec<_> = sample::questions().iter().flat_map(|question| codec().asks(question)).collect();
        assert_eq!(asked, QUESTIONS.iter().collect::<Vec<_>>());
        let unsent = Event::MessageNotSent { message: sample::plain(), reason: NotSent::RestrictedWord };
        assert_eq!(told(unsent, None)["data"]["reason"], "restricted_word");
        for command in EVENTS.iter().chain(&QUESTIONS) {
            assert!(codec().knows(command));
            assert_eq!(codec().is_question(command), QUESTIONS.contains(command));
        }
        assert!(!codec().knows("batch") && !codec().knows("C2C.CallbackAfterSendMsg"));
    }
}
