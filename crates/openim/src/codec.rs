//! OpenIM's wording of callbacks: which question and which event is which webhook.

use std::collections::BTreeSet;

use bytes::Bytes;
use chat::Fault;
use chat::conversation::ConversationId;
use chat::event::{Event, LogEntry};
use chat::group::update::Naming;
use chat::id::{AccountId, Timestamp};
use chat::message::Message;
use chat::question::group::GroupEdit;
use chat::question::{Edit, Question, Verdict};
use webhook::codec::{Call, Codec, Unreadable};

use crate::callback::answer::Answer;
use crate::callback::commands::{
    AFTER_SEND_GROUP, AFTER_SEND_SINGLE, ALL, BEFORE_ADD_BLACK, BEFORE_CREATE_GROUP, BEFORE_INVITE,
    BEFORE_MEMBERS_JOIN, BEFORE_MSG_MODIFY, BEFORE_SEND_GROUP, BEFORE_SEND_SINGLE, BEFORE_SET_GROUP_INFO,
    BEFORE_SET_GROUP_INFO_EX, BEFORE_USER_REGISTER, is_question,
};
use crate::callback::url::{self, BaseUrl};
use crate::callback::{account, group, member, modify, request, update};
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
        match question {
            Question::BeforeSend(message) => self.asks_about(message),
            Question::BeforeCreateGroup(creation) if creation.members.is_empty() => &[BEFORE_CREATE_GROUP],
            Question::BeforeCreateGroup(_) => &[BEFORE_CREATE_GROUP, BEFORE_MEMBERS_JOIN],
            Question::BeforeAddMembers(_) => &[BEFORE_INVITE, BEFORE_MEMBERS_JOIN],
            Question::BeforeUpdateGroup(update) if !update::is_shown(&update.update) => &[],
            Question::BeforeUpdateGroup(update) => match update.update.naming {
                Naming::Filled => &[BEFORE_SET_GROUP_INFO],
                Naming::Named => &[BEFORE_SET_GROUP_INFO_EX],
            },
            Question::BeforeBlock(_) => &[BEFORE_ADD_BLACK],
            Question::BeforeRegister(_) => &[BEFORE_USER_REGISTER],
            // OpenIM has no topics.
            Question::BeforeCreateTopic(_) => &[],
        }
    }

    fn question(&self, command: &'static str, question: &Question) -> Call {
        let operation = request::operation(question.origin(), question.id());
        let body = match question {
            Question::BeforeSend(message) => request::body(command, &MsgData::of(message), &operation),
            Question::BeforeCreateGroup(creation) if command == BEFORE_CREATE_GROUP => {
                group::body(creation, &operation)
            }
            Question::BeforeCreateGroup(creation) => member::joining(&creation.group, &creation.members),
            Question::BeforeAddMembers(addition) if command == BEFORE_INVITE => {
                member::invitation(addition, &operation)
            }
            Question::BeforeAddMembers(addition) => member::joining(&addition.group, &addition.members),
            Question::BeforeUpdateGroup(update) => update::body(update),
            Question::BeforeBlock(block) => account::blocking(block),
            Question::BeforeRegister(registration) => account::registering(registration),
            // Never asked.
            Question::BeforeCreateTopic(_) => Bytes::new(),
        };
        let headers = vec![("operationID", operation)];
        Call { command, query: url::CONTENT_TYPE.to_owned(), headers, body }
    }

    fn verdict(&self, command: &'static str, question: &Question, body: &[u8]) -> Result<Verdict, Unreadable> {
        let answer = Answer::read(body)?;
        if let Some(refusal) = answer.refusal()? {
            return Ok(Verdict::Reject(refusal));
        }
        let edit: Edit = match (command, question) {
            (BEFORE_MSG_MODIFY, Question::BeforeSend(message)) => modify::edit(&answer, message)?.into(),
            (BEFORE_CREATE_GROUP, Question::BeforeCreateGroup(creation)) => group::edit(&answer, creation)?.into(),
            (BEFORE_MEMBERS_JOIN, Question::BeforeCreateGroup(_)) => {
                GroupEdit { members: member::changes(&answer)?, ..GroupEdit::default() }.into()
            }
            (BEFORE_INVITE, Question::BeforeAddMembers(addition)) => {
                member::refusals(&answer, &addition.members)?.into()
            }
            (BEFORE_MEMBERS_JOIN, Question::BeforeAddMembers(_)) => member::changes(&answer)?.into(),
            (_, Question::BeforeUpdateGroup(update)) => update::edit(&answer, update)?.into(),
            (_, Question::BeforeRegister(registration)) => match account::replacement(&answer, registration)? {
                Some(accounts) => Edit::Accounts(accounts),
                None => return Ok(Verdict::Allow),
            },
            _ => return Ok(Verdict::Allow),
        };
        // An answer that repeats what it was asked about changes nothing.
        let mut edited = question.clone();
        edited.apply(edit.clone());
        Ok(if edited == *question { Verdict::Allow } else { Verdict::Modify(edit) })
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

impl OpenImCodec {
    /// COMPAT: an admin's one-to-one message is not asked about, its group message is (`webhooks.jsonl`, `rules`).
    fn asks_about(&self, message: &Message) -> &'static [&'static str] {
        match (message.is_direct(), self.admins.contains(&message.sender)) {
            _ if !is_called_back(message) => &[],
            (true, true) => &[BEFORE_MSG_MODIFY],
            (true, false) => &[BEFORE_SEND_SINGLE, BEFORE_MSG_MODIFY],
            (false, _) => &[BEFORE_SEND_GROUP, BEFORE_MSG_MODIFY],
        }
    }
}

fn is_called_back(message: &Message) -> bool {
    content::is_called_back(content::content_type(&message.elements, &message.mentions))
}

fn call(command: &'static str, message: &Message, shown: &MsgData, query: String) -> Call {
    let operation = request::operation(&message.origin, message.id);
    let body = request::body(command, shown, &operation);
    Call { command, query, headers: vec![("operationID", operation)], body }
}

#[cfg(test)]
pub(crate) mod tests;
