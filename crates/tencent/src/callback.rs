//! Third-party callbacks in Tencent's words: the codec of one endpoint.
//!
//! URL and query: `spec/tencent/rules.md`, section 7. Bodies: `spec/tencent/callbacks.jsonl` and the seed documents.

mod bodies;
mod commands;
#[cfg(test)]
mod schema;

use bytes::Bytes;
use chat::event::{Event, LogEntry};
use chat::group::GroupKind;
use chat::id::Timestamp;
use chat::message::{Keeping, Message};
use chat::question::member::{MemberAddition, MembersEdit};
use chat::question::{MessageEdit, Question, Verdict};
use chat::{Fault, Origin, Platform, Refusal};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use webhook::codec::{Call, Codec, Unreadable};

use crate::element::{decode_body, encode_body};
use crate::error_map::is_own_code;
use crate::gate::Service;
use crate::group_type;

const BEFORE_C2C: &str = "C2C.CallbackBeforeSendMsg";
const AFTER_C2C: &str = "C2C.CallbackAfterSendMsg";
const BEFORE_GROUP: &str = "Group.CallbackBeforeSendMsg";
const AFTER_GROUP: &str = "Group.CallbackAfterSendMsg";
const BEFORE_CREATE_GROUP: &str = "Group.CallbackBeforeCreateGroup";
const BEFORE_CREATE_TOPIC: &str = "Group.CallbackBeforeCreateTopic";
const BEFORE_INVITE: &str = "Group.CallbackBeforeInviteJoinGroup";
const GROUP_CHANGED: &str = "Group.CallbackAfterGroupInfoChanged";

/// Words callbacks for one endpoint.
pub struct TencentCodec {
    url: String,
    sdkappid: u32,
    token: Option<String>,
}

impl TencentCodec {
    /// A codec for the endpoint at `url`; with a `token`, calls are signed with `Sign` and `RequestTime`.
    pub fn new(url: String, sdkappid: u32, token: Option<String>) -> Self {
        Self { url, sdkappid, token }
    }
}

impl std::fmt::Debug for TencentCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TencentCodec").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Codec for TencentCodec {
    fn commands(&self) -> &'static [&'static str] {
        commands::ALL
    }

    fn knows(&self, command: &str) -> bool {
        commands::ALL.contains(&command)
    }

    fn is_question(&self, command: &str) -> bool {
        commands::is_question(command)
    }

    fn asks(&self, question: &Question) -> &'static [&'static str] {
        match question {
            Question::BeforeSend(message) if message.is_direct() => &[BEFORE_C2C],
            Question::BeforeSend(_) => &[BEFORE_GROUP],
            Question::BeforeCreateGroup(_) => &[BEFORE_CREATE_GROUP],
            Question::BeforeCreateTopic(_) => &[BEFORE_CREATE_TOPIC],
            Question::BeforeAddMembers(_) => &[BEFORE_INVITE],
            // The dialect tells of these, and asks about none of them.
            Question::BeforeUpdateGroup(_) | Question::BeforeBlock(_) | Question::BeforeRegister(_) => &[],
        }
    }

    fn question(&self, command: &'static str, question: &Question) -> Call {
        let body = match question {
            Question::BeforeSend(message) if message.is_direct() => json(&bodies::BeforeC2c::of(command, message)),
            Question::BeforeSend(message) => json(&bodies::BeforeGroup::of(command, message)),
            Question::BeforeCreateGroup(creation) => json(&bodies::BeforeCreateGroup::of(command, creation)),
            Question::BeforeCreateTopic(creation) => json(&bodies::BeforeCreateTopic::of(command, creation)),
            Question::BeforeAddMembers(addition) => json(&bodies::BeforeInvite::of(command, addition)),
            // Never asked.
            Question::BeforeUpdateGroup(_) | Question::BeforeBlock(_) | Question::BeforeRegister(_) => Bytes::new(),
        };
        call(command, question.origin(), body)
    }

    fn verdict(&self, _: &'static str, question: &Question, body: &[u8]) -> Result<Verdict, Unreadable> {
        let mut answer: Value = serde_json::from_slice(body).map_err(|error| Unreadable(error.to_string()))?;
        let (service, is_message) = match question {
            Question::BeforeSend(message) if message.is_direct() => (Service::Message, true),
            Question::BeforeSend(_) => (Service::Group, true),
            _ => (Service::Group, false),
        };
        let code = error_code(&answer).ok_or_else(|| Unreadable("ErrorCode is not an integer".into()))?;
        let info = || answer.get("ErrorInfo").and_then(Value::as_str).unwrap_or_default().to_owned();
        let reject = |code, info| Verdict::Reject(Refusal::Rejected { code, info, detail: String::new() });
        match code {
            0 => match question {
                Question::BeforeSend(_) => edit(&mut answer),
                Question::BeforeAddMembers(addition) => refusals(&answer, addition),
                _ => Ok(Verdict::Allow),
            },
            2 if is_message => Ok(Verdict::Discard),
            own if is_own_code(service, own) => Ok(reject(Some(own), info())),
            _ => Ok(reject(None, info())),
        }
    }

    fn tells(&self, event: &Event) -> Option<&'static str> {
        match event {
            Event::MessageSent(message) if message.delivery.no_after_callback => None,
            Event::MessageNotSent { message, .. } if message.delivery.no_after_callback => None,
            Event::MessageSent(message) if message.is_direct() => Some(AFTER_C2C),
            Event::MessageSent(_) => Some(AFTER_GROUP),
            // Only one-to-one messages are told of when they could not be delivered.
            Event::MessageNotSent { message, .. } => message.is_direct().then_some(AFTER_C2C),
            Event::GroupChanged(_) => Some(GROUP_CHANGED),
            // Tencent has no callback for it: it is the operator's.
            Event::EndpointPaused(_) => None,
        }
    }

    fn telling(&self, command: &'static str, entry: &LogEntry) -> Result<Call, Fault> {
        let (origin, body) = match &entry.event {
            Event::MessageSent(message) if message.is_direct() => {
                (&message.origin, json(&bodies::AfterC2c::sent(command, message, entry.unread.unwrap_or_default())))
            }
            Event::MessageSent(message) => (&message.origin, json(&bodies::AfterGroup::of(command, message))),
            Event::MessageNotSent { message, reason } => {
                (&message.origin, json(&bodies::AfterC2c::not_sent(command, message, *reason)))
            }
            Event::GroupChanged(change) => (&change.origin, json(&bodies::GroupChanged::of(command, change))),
            other @ Event::EndpointPaused(_) => {
                return Err(Fault::new(format!("{} is not told by {command}", other.name())));
            }
        };
        Ok(call(command, origin, body))
    }

    fn group_type(&self, kind: GroupKind) -> Option<&'static str> {
        Some(group_type::name(kind))
    }

    fn content_types(&self, message: &Message) -> Vec<String> {
        let types = encode_body(&message.elements).into_iter();
        types.filter_map(|element| element["MsgType"].as_str().map(str::to_owned)).collect()
    }

    fn url(&self, call: &Call, now: Timestamp) -> String {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        let (sdkappid, command) = (self.sdkappid, call.command);
        let mut url = format!("{}{separator}SdkAppid={sdkappid}&CallbackCommand={command}&contenttype=json", self.url);
        url.push_str(&call.query);
        if let Some(token) = &self.token {
            let time = now.seconds();
            url.push_str(&format!("&Sign={}&RequestTime={time}", sign(token, time)));
        }
        url
    }

    fn acknowledges(&self, body: &[u8]) -> bool {
        serde_json::from_slice(body).is_ok_and(|answer: Value| error_code(&answer) == Some(0))
    }
}

/// `Sign`: lower-case hex of SHA-256 over the token and the decimal seconds.
fn sign(token: &str, time: i64) -> String {
    let digest = Sha256::digest(format!("{token}{time}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn call(command: &'static str, origin: &Origin, body: Bytes) -> Call {
    let ip = origin.ip.map(|ip| ip.to_string()).unwrap_or_default();
    let query = format!("&ClientIP={ip}&OptPlatform={}", platform_name(origin.platform));
    Call { command, query, headers: Vec::new(), body }
}

fn json(body: &impl Serialize) -> Bytes {
    // Strings, numbers and JSON values always serialize.
    serde_json::to_vec(body).unwrap_or_default().into()
}

/// `OptPlatform` (`spec/tencent/rules.md`, section 7).
fn platform_name(platform: Platform) -> &'static str {
    match platform {
        Platform::Rest => "RESTAPI",
        Platform::Web | Platform::MiniWeb => "Web",
        Platform::Android | Platform::AndroidPad => "Android",
        Platform::Ios => "iOS",
        Platform::Windows => "Windows",
        Platform::MacOs => "macOS",
        Platform::IPad => "iPad",
        Platform::Linux | Platform::Harmony => "Unknown",
    }
}

/// COMPAT: receivers write the code as a number or as digits.
fn error_code(answer: &Value) -> Option<i64> {
    match answer.get("ErrorCode")? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// What an allowing answer changes.
fn edit(answer: &mut Value) -> Result<Verdict, Unreadable> {
    let elements = match answer.get_mut("MsgBody").map(Value::take) {
        None | Some(Value::Null) => None,
        Some(body) => Some(decode_body(body).map_err(|failure| Unreadable(failure.info))?),
    };
    let custom_data = match answer.get("CloudCustomData") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => return Err(Unreadable("CloudCustomData is not a string".into())),
    };
    let edit = MessageEdit { elements, custom_data, ..MessageEdit::default() };
    Ok(if edit.is_empty() { Verdict::Allow } else { Verdict::Modify(edit.into()) })
}

/// Whom an allowing answer leaves out.
fn refusals(answer: &Value, addition: &MemberAddition) -> Result<Verdict, Unreadable> {
    let wrong = || Unreadable("RefusedMembers_Account is not a list of strings".into());
    let names = match answer.get("RefusedMembers_Account") {
        None | Some(Value::Null) => return Ok(Verdict::Allow),
        Some(Value::Array(names)) => names,
        Some(_) => return Err(wrong()),
    };
    let names: Vec<&str> = names.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?;
    let asked = addition.members.iter().map(|member| &member.account);
    let refused = asked.filter(|account| names.contains(&account.as_str())).cloned().collect();
    let edit = MembersEdit { refused, ..MembersEdit::default() };
    Ok(if edit.is_empty() { Verdict::Allow } else { Verdict::Modify(edit.into()) })
}

/// `OnlineOnlyFlag`; a live room's messages have 0, whatever the sender asked for.
fn online_only_flag(message: &Message) -> u8 {
    u8::from(message.delivery.keeping == Keeping::OnlineOnly)
}

#[cfg(test)]
mod tests;
