//! What a backend may change in a message that it is asked about.

use crate::element::{Carried, Element};
use crate::message::{Mention, Message};

/// What a backend changes in a message; `None` leaves a part as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageEdit {
    /// The new content.
    pub elements: Option<Vec<Element>>,
    /// The new data beside it.
    pub custom_data: Option<String>,
    /// Who is called by name.
    pub mentions: Option<Vec<Mention>>,
    /// The shown name of the sender.
    pub sender_name: Option<String>,
    /// The shown avatar of the sender.
    pub sender_face: Option<String>,
    /// The dialect's own fields.
    pub carried: Option<Carried>,
}

impl MessageEdit {
    /// Whether it changes anything at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// This edit, and then `later` on top of it.
    pub fn then(self, later: Self) -> Self {
        Self {
            elements: later.elements.or(self.elements),
            custom_data: later.custom_data.or(self.custom_data),
            mentions: later.mentions.or(self.mentions),
            sender_name: later.sender_name.or(self.sender_name),
            sender_face: later.sender_face.or(self.sender_face),
            carried: later.carried.or(self.carried),
        }
    }

    /// Changes `message`.
    pub fn apply_to(self, message: &mut Message) {
        if let Some(elements) = self.elements {
            message.elements = elements;
        }
        if let Some(custom_data) = self.custom_data {
            message.custom_data = Some(custom_data);
        }
        if let Some(mentions) = self.mentions {
            message.mentions = mentions;
        }
        if let Some(name) = self.sender_name {
            message.sender_name = name;
        }
        if let Some(face) = self.sender_face {
            message.sender_face = face;
        }
        // Another dialect's fields are none of this backend's business.
        if let Some(carried) = self.carried
            && message.carried.as_ref().is_none_or(|own| own.dialect == carried.dialect)
        {
            message.carried = Some(carried);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::conversation::ConversationId;

    fn message() -> Message {
        Message::sample("a", ConversationId::Group("g".into()))
    }

    fn carried(dialect: &str) -> Carried {
        Carried { dialect: dialect.into(), fields: Map::new() }
    }

    /// Every part is edited.
    fn full() -> MessageEdit {
        MessageEdit {
            elements: Some(vec![Element::text("new")]),
            custom_data: Some(String::new()),
            mentions: Some(vec![Mention::All]),
            sender_name: Some("name".into()),
            sender_face: Some("face".into()),
            carried: Some(carried("tencent")),
        }
    }

    #[test]
    fn an_edit_changes_what_it_names_and_nothing_else() {
        let mut unchanged = message();
        MessageEdit::default().apply_to(&mut unchanged);
        assert_eq!(unchanged, message());

        let mut changed = message();
        full().apply_to(&mut changed);
        let expected = Message {
            elements: vec![Element::text("new")],
            custom_data: Some(String::new()),
            mentions: vec![Mention::All],
            sender_name: "name".into(),
            sender_face: "face".into(),
            carried: Some(carried("tencent")),
            ..message()
        };
        assert_eq!(changed, expected);
    }

    #[test]
    fn an_edit_that_names_anything_is_not_empty() {
        assert!(MessageEdit::default().is_empty());
        assert!(!MessageEdit { custom_data: Some(String::new()), ..MessageEdit::default() }.is_empty());
        assert!(!MessageEdit { mentions: Some(Vec::new()), ..MessageEdit::default() }.is_empty());
    }

    #[test]
    fn of_two_edits_the_later_wins_part_by_part() {
        let nothing = MessageEdit::default;
        assert_eq!(nothing().then(full()), full());
        assert_eq!(full().then(nothing()), full());
        let text = MessageEdit { elements: Some(vec![Element::text("newer")]), ..nothing() };
        let name = MessageEdit { sender_name: Some("newer".into()), ..nothing() };
        let expected = MessageEdit { elements: text.elements.clone(), sender_name: name.sender_name.clone(), ..full() };
        assert_eq!(full().then(text).then(name), expected);
    }

    #[test]
    fn two_edits_in_one_are_two_edits_one_after_the_other() {
        let second = MessageEdit { custom_data: Some("second".into()), ..MessageEdit::default() };
        let (mut at_once, mut in_turn) = (message(), message());
        full().then(second.clone()).apply_to(&mut at_once);
        full().apply_to(&mut in_turn);
        second.apply_to(&mut in_turn);
        assert_eq!(at_once, in_turn);
    }

    #[test]
    fn another_dialects_fields_are_left_alone() {
        for (own, expected) in [(None, "tencent"), (Some("tencent"), "tencent"), (Some("openim"), "openim")] {
            let mut message = Message { carried: own.map(carried), ..message() };
            MessageEdit { carried: Some(carried("tencent")), ..MessageEdit::default() }.apply_to(&mut message);
            assert_eq!(message.carried, Some(carried(expected)));
        }
    }
}
