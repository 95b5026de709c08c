//! A message that nothing is special about: what every suite's messages are made of.

use chat::command::{Actor, Origin};
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::id::{MessageId, Timestamp};
use chat::message::{Delivery, Message};

pub(crate) fn text(sender: &str, conversation: ConversationId, text: &str) -> Message {
    Message {
        id: MessageId::new(Timestamp::default(), 0),
        conversation,
        group_kind: None,
        seq: 0,
        sender: sender.into(),
        actor: Actor::Account(sender.into()),
        origin: Origin::default(),
        client_id: "client".into(),
        time: Timestamp::default(),
        created: Timestamp::default(),
        sender_name: String::new(),
        sender_face: String::new(),
        elements: vec![Element::text(text)],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
    }
}
