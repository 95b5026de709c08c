//! Content on the wire, and in the core: `contentType` and its JSON object ↔ elements.
//!
//! OpenIM has one content per message, a number and an object (`spec/openim/semantics.md`, section 6). What the core
//! knows of it goes to typed fields; whatever it does not know, or cannot hold exactly, is [`Carried`] and laid over on
//! the way out. So [`decode`] and then [`encode`] gives back the same number and the same object, whatever they were;
//! the property tests below hold us to it.
//!
//! Carried is `{"contentType": n, "content": {…}}`: the number, and what is left of the object. An element without it
//! either came from the other dialect or needs none.

mod native;
mod overlay;
mod typed;

use chat::element::{Carried, Content, Element, Foreign};
use chat::message::Mention;
use serde_json::{Map, Value};

use native::Form;

/// The name under which our fields are carried.
pub(crate) const DIALECT: &str = "openim";

/// Plain text.
pub(crate) const TEXT: i32 = 101;
/// Text that calls people by name.
pub(crate) const AT_TEXT: i32 = 106;
/// The app's own content.
pub(crate) const CUSTOM: i32 = 110;
/// Somebody is typing: never called back.
pub(crate) const TYPING: i32 = 113;
/// An official account's notification.
pub(crate) const OA_NOTIFICATION: i32 = 1400;

/// A content as the wire has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shown {
    /// `contentType`.
    pub(crate) content_type: i32,
    /// The object in `content`.
    pub(crate) object: Map<String, Value>,
}

impl Shown {
    /// The object as the string that it travels as.
    pub(crate) fn text(&self) -> String {
        // An object with string keys always serialises.
        serde_json::to_string(&self.object).unwrap_or_default()
    }
}

/// The element that stands for this content. Who is called by name decides what a plain text is shown as.
pub(crate) fn decode(shown: Shown, mentions: &[Mention]) -> Element {
    let content = typed::read(shown.content_type, &shown.object);
    let element = carry(content, &shown, mentions);
    if encode_one(&element, mentions) == shown {
        return element;
    }
    // Not exactly representable after all: keep it whole.
    let foreign = Foreign { kind: shown.content_type.to_string(), text: String::new() };
    carry(Content::Foreign(foreign), &shown, mentions)
}

/// Adds what the typed fields do not say.
fn carry(content: Content, shown: &Shown, mentions: &[Mention]) -> Element {
    let plain = Element { content, carried: None };
    if encode_one(&plain, mentions) == *shown {
        return plain;
    }
    let known = native::object(&plain.content, shown.content_type, Form::Sparse);
    let rest = overlay::left_over(&known, &shown.object);
    let mut fields = Map::new();
    fields.insert("contentType".into(), shown.content_type.into());
    if !rest.is_empty() {
        fields.insert("content".into(), Value::Object(rest));
    }
    Element { carried: Carried::of(DIALECT, fields), ..plain }
}

/// How a message's content is shown.
pub(crate) fn encode(elements: &[Element], mentions: &[Mention]) -> Shown {
    match elements {
        [element] => encode_one(element, mentions),
        several => as_custom(several),
    }
}

/// Its `contentType` alone.
pub(crate) fn content_type(elements: &[Element], mentions: &[Mention]) -> i32 {
    match elements {
        [element] => own_type(element).unwrap_or_else(|| native::content_type(&element.content, mentions)),
        _ => CUSTOM,
    }
}

/// Whether messages of this type are called back at all (`webhooks.jsonl`, `rules`).
pub(crate) fn is_called_back(content_type: i32) -> bool {
    content_type != TYPING && !(1000..=5000).contains(&content_type)
}

fn encode_one(element: &Element, mentions: &[Mention]) -> Shown {
    let Some(content_type) = own_type(element) else { return as_native(element, mentions) };
    let mut object = native::object(&element.content, content_type, Form::Sparse);
    let fields = Carried::for_dialect(&element.carried, DIALECT);
    if let Some(Value::Object(rest)) = fields.and_then(|fields| fields.get("content")) {
        overlay::lay_over(&mut object, rest);
    }
    Shown { content_type, object }
}

/// The number that an element came with.
fn own_type(element: &Element) -> Option<i32> {
    let number = Carried::for_dialect(&element.carried, DIALECT)?.get("contentType")?.as_i64()?;
    i32::try_from(number).ok()
}

/// An element of the other dialect, or one that needed nothing carried: its native content, all fields shown.
fn as_native(element: &Element, mentions: &[Mention]) -> Shown {
    if let Content::Foreign(_) = element.content {
        return as_custom(std::slice::from_ref(element));
    }
    let content_type = native::content_type(&element.content, mentions);
    let mut object = native::object(&element.content, content_type, Form::Complete);
    if content_type == AT_TEXT {
        native::add_mentions(&mut object, mentions);
    }
    Shown { content_type, object }
}

/// What OpenIM has no single content for: a custom message with the readable text, and the elements as JSON in the
/// core's form (`docs/QUIRKS-openim.md`).
fn as_custom(elements: &[Element]) -> Shown {
    let readable: Vec<&str> = elements.iter().map(Element::readable).filter(|text| !text.is_empty()).collect();
    let mut object = Map::new();
    // Elements always serialise.
    object.insert("data".into(), serde_json::to_string(elements).unwrap_or_default().into());
    object.insert("description".into(), readable.join(" ").into());
    object.insert("extension".into(), "".into());
    Shown { content_type: CUSTOM, object }
}

#[cfg(test)]
mod tests;
