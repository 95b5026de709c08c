//! Reads what `callbackBeforeMsgModifyCommand` changes (`webhooks.jsonl`, `response_effect`).
//!
//! `recvID`, `groupID`, `sessionType`, `clientMsgID`, `serverMsgID`, `senderPlatformID`, `msgFrom` and `status` in an
//! answer are ignored: rights, mutes and blocks were judged for the message as it was addressed
//! (`docs/QUIRKS-openim.md`).

use chat::element::Carried;
use chat::message::{Mention, Message};
use chat::question::MessageEdit;
use serde_json::{Map, Value};
use webhook::codec::Unreadable;

use super::answer::Answer;
use crate::content::{self, Shown, TEXT};
use crate::mentions;

/// The edit; only what differs from the message as it is.
pub(crate) fn edit(answer: &Answer, message: &Message) -> Result<MessageEdit, Unreadable> {
    let text = |name: &str, now: &str| -> Result<Option<String>, Unreadable> {
        Ok(answer.text(name)?.filter(|new| *new != now).map(str::to_owned))
    };
    let mentions = answer.texts("atUserIDList")?.map(|list| mentions::read(&list));
    let mentions = mentions.filter(|mentions| *mentions != message.mentions);
    let called = mentions.as_ref().unwrap_or(&message.mentions);
    Ok(MessageEdit {
        elements: elements(answer, message, called)?,
        custom_data: text("ex", message.custom_data.as_deref().unwrap_or_default())?,
        sender_name: text("senderNickname", &message.sender_name)?,
        sender_face: text("senderFaceURL", &message.sender_face)?,
        carried: carried(answer, message)?,
        mentions,
    })
}

/// The new content. Nothing if the answer repeats the content that it was asked about.
fn elements(
    answer: &Answer,
    message: &Message,
    mentions: &[Mention],
) -> Result<Option<Vec<chat::element::Element>>, Unreadable> {
    let shown = content::encode(&message.elements, &message.mentions);
    let object = answer.text("content")?.map(object).transpose()?;
    let content_type = answer.optional_int("contentType")?;
    let new = Shown {
        content_type: content_type.unwrap_or(shown.content_type),
        object: object.unwrap_or_else(|| shown.object.clone()),
    };
    // A text that has nobody to call yet must say that it is one, before somebody is called beside it.
    let was_plain = shown.content_type == TEXT && message.mentions.is_empty() && !mentions.is_empty();
    if new == shown && !was_plain {
        return Ok(None);
    }
    Ok(Some(vec![content::decode(new, mentions)]))
}

fn object(text: &str) -> Result<Map<String, Value>, Unreadable> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Unreadable("content is not a string that holds a JSON object".into())),
    }
}

/// Our own fields beside the message. A message of the other dialect has that dialect's there, and keeps them.
fn carried(answer: &Answer, message: &Message) -> Result<Option<Carried>, Unreadable> {
    let options = answer.object("options")?;
    let attached = answer.text("attachedInfo")?;
    let push = answer.object("offlinePushInfo")?;
    let own = match &message.carried {
        None => Map::new(),
        Some(carried) if carried.dialect == content::DIALECT => carried.fields.clone(),
        Some(_) => return Ok(None),
    };
    let mut new = own.clone();
    if let Some(options) = options {
        new.insert("options".into(), Value::Object(options.clone()));
    }
    if let Some(attached) = attached {
        new.insert("attachedInfo".into(), attached.into());
    }
    // COMPAT: only a message that has it already can have it changed.
    if let (Some(push), true) = (push, own.contains_key("offlinePushInfo")) {
        new.insert("offlinePushInfo".into(), Value::Object(push.clone()));
    }
    Ok(if new == own { None } else { Carried::of(content::DIALECT, new) })
}
