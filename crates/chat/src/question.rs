//! Before-callbacks as the core sees them: a question about what is about to happen, and a verdict.

use crate::element::{Carried, Element};
use crate::message::{Mention, Message};
use crate::refusal::Refusal;

/// What the app's backend is asked before it happens.
#[derive(Clone, Debug)]
pub enum Question {
    /// May this message be sent? It has no seq yet.
    BeforeSend(Box<Message>),
}

/// What the app's backend decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Go on with this changed. Several endpoints' edits add up; a later one sees what an earlier one changed.
    Modify(MessageEdit),
    /// Refuse, and tell the caller.
    Reject(Refusal),
    /// Drop it, and let it look sent.
    Discard,
}

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
        if let Some(carried) = self.carried {
            message.carried = Some(carried);
        }
    }
}
