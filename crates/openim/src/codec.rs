//! OpenIM's wording of callbacks: which question and which event is which webhook.

use std::collections::BTreeSet;

use chat::Fault;
use chat::conversation::ConversationId;
use chat::event::{Event, LogEntry};
use chat::id::{AccountId, Timestamp};
use chat::message::Message;
use chat::question::{Question, Verdict};
use webhook::codec::{Call, Codec, Unreadable};

use crate::callback::answer::Answer;
use crate::callback::commands::{
    AFTER_SEND_GROUP, AFTER_SEND_SINGLE, ALL, BEFORE_MSG_MODIFY, BEFORE_SEND_GROUP, BEFORE_SEND_SINGLE, is_question,
};
use crate::callback::url::{self, BaseUrl};
use crate::callback::{modify, request};
use crate::msg_data::MsgData;
use crate::{content, conversation_id};

/// The codec of an endpoint with `dialect = "openim"`.
#[derive(Clone, Debug)]
pub struct OpenImCodec {
    url: BaseUrl,
    admins: BTreeSet<AccountId>,
}

impl OpenImCodec {
    /// A codec that calls below `url`. Messages of `admins` are not asked about where OpenIM does not ask.
    pub fn new(url: &str, admins: BTreeSet<AccountId>) -> Self {
        Self { url: BaseUrl::of(url), admins }
    }
}

impl Codec for OpenImCodec {
    fn commands(&self) -> &'static [&'static str] {
        &ALL
    }

    fn knows(&self, command: &str) -> bool {
        ALL.contains(&command)
    }

    fn is_question(&self, command: &str) -> bool {
        is_question(command)
    }

    fn asks(&self, question: &Question) -> &'static [&'static str] {
        let Question::BeforeSend(message) = question;
        if !is_called_back(message) {
            return &[];
        }
        // COMPAT: an admin's one-to-one message is not asked about, its group message is (`webhooks.jsonl`, `rules`).
        match (message.is_direct(), self.admins.contains(&message.sender)) {
            (true, true) => &[BEFORE_MSG_MODIFY],
            (true, false) => &[BEFORE_SEND_SINGLE, BEFORE_MSG_MODIFY],
            (false, _) => &[BEFORE_SEND_GROUP, BEFORE_MSG_MODIFY],
        }
    }

    fn question(&self, command: &'static str, question: &Question) -> Call {
        let Question::BeforeSend(message) = question;
        call(command, message, &MsgData::of(message), url::CONTENT_TYPE.to_owned())
    }

    fn verdict(&self, command: &'static str, question: &Question, body: &[u8]) -> Result<Verdict, Unreadable> {
        let Question::BeforeSend(message) = question;
        let answer = Answer::read(body)?;
        if let Some(refusal) = answer.refusal()? {
            return Ok(Verdict::Reject(refusal));
        }
        if command != BEFORE_MSG_MODIFY {
            return Ok(Verdict::Allow);
        }
        let edit = modify::edit(&answer, message)?;
        Ok(if edit.is_empty() { Verdict::Allow } else { Verdict::Modify(edit) })
    }

    fn tells(&self, event: &Event) -> Option<&'static str> {
        match event {
            Event::MessageSent(message) if !message.delivery.no_after_callback && is_called_back(message) => {
                Some(if message.is_direct() { AFTER_SEND_SINGLE } else { AFTER_SEND_GROUP })
            }
            // OpenIM tells of no message that was not sent, and of a group's changes by webhooks that come later. A pause is
            // the operator's business.
            Event::MessageSent(_)
            | Event::MessageNotSent { .. }
            | Event::GroupChanged(_)
            | Event::EndpointPaused(_) => None,
        }
    }

    fn telling(&self, command: &'static str, entry: &LogEntry) -> Result<Call, Fault> {
        match &entry.event {
            Event::MessageSent(message) => {
                let shown = MsgData::of(message);
                let query = format!("{}&{}", url::CONTENT_TYPE, url::key(&shown));
                Ok(call(command, message, &shown, query))
            }
            other => Err(Fault::new(format!("{} is not told by {command}", other.name()))),
        }
    }

    fn content_types(&self, message: &Message) -> Vec<String> {
        vec![content::content_type(&message.elements, &message.mentions).to_string()]
    }

    fn conversation(&self, id: &ConversationId) -> Option<String> {
        conversation_id::show(id)
    }

    fn url(&self, call: &Call, _: Timestamp) -> String {
        self.url.to(call.command, &call.query)
    }

    fn acknowledges(&self, body: &[u8]) -> bool {
        Answer::read(body).is_ok_and(|answer| answer.is_ok())
    }
}

fn is_called_back(message: &Message) -> bool {
    content::is_called_back(content::content_type(&message.elements, &message.mentions))
}

fn call(command: &'static str, message: &Message, shown: &MsgData, query: String) -> Call {
    let operation = request::operation(message);
    let body = request::body(command, shown, &operation);
    Call { command, query, headers: vec![("operationID", operation)], body }
}

#[cfg(test)]
mod tests;
