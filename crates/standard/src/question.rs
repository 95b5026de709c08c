//! What is asked: the `data` of each question.

use chat::message::Message as CoreMessage;
use serde::Serialize;

use crate::message::Message;

/// May this message be sent? It has no seq yet.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct MessageSending<'a> {
    message: Message<'a>,
}

impl<'a> From<&'a CoreMessage> for MessageSending<'a> {
    fn from(message: &'a CoreMessage) -> Self {
        Self { message: message.into() }
    }
}
