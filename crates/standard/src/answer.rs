//! What may be answered to a question, and to an event.

use std::time::Duration;

use chat::Refusal;
use chat::question::park::LONGEST_WAIT;
use chat::question::{self, MessageEdit, Otherwise, ParkTerms, Question, Verdict};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use webhook::codec::Unreadable;

use crate::edit::{AccountsEdit, GroupChangingEdit, GroupCreatingEdit, MembersAddingEdit};
use crate::element::{Carried, Element};
use crate::message::Mention;

/// The answer to a question about a message. An empty body and an empty object allow.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "verdict", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Answer {
    /// Go on.
    Allow {},
    /// Refuse, and tell the caller.
    Reject(Rejection),
    /// Drop it, and let it look sent.
    Discard {},
    /// Go on with this changed.
    Modify(Edit),
    /// Decide later: the message waits, and its sender is told so.
    Pending(Pending),
}

/// The answer to a question about something that may be changed. An empty body and an empty object allow.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "verdict", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Decision<E> {
    /// Go on.
    Allow {},
    /// Refuse, and tell the caller.
    Reject(Rejection),
    /// Go on with this changed.
    Modify(E),
}

/// The answer to a question about something that cannot be changed. An empty body and an empty object allow.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "verdict", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Consent {
    /// Go on.
    Allow {},
    /// Refuse, and tell the caller.
    Reject(Rejection),
}

/// A refusal.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejection {
    /// The app's own code. An OpenIM caller gets any but 0; a Tencent caller gets 120001 to 130000 for a one-to-one message,
    /// 10100 to 10200 for what is about a group and 38000 to 39000 for a block, and otherwise the general code of a refusal.
    #[serde(default)]
    code: Option<i64>,
    /// Words for the caller.
    #[serde(default)]
    info: Option<String>,
    /// Words for the caller's developers. OpenIM `errDlt`; a Tencent caller does not get them.
    #[serde(default)]
    detail: Option<String>,
}

/// What is changed in a message; what is left out stays as it is.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Edit {
    /// The new content: at least one, in the form in which they are asked about.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("minItems" = 1)))]
    elements: Option<Vec<Element>>,
    /// The new data beside it.
    #[serde(default)]
    custom_data: Option<String>,
    /// Who is called by name.
    #[serde(default)]
    mentions: Option<Vec<Mention>>,
    /// The shown name of the sender.
    #[serde(default)]
    sender_name: Option<String>,
    /// The shown avatar of the sender: its URL.
    #[serde(default)]
    sender_face: Option<String>,
    /// The dialect's own fields; ignored for a message that has another dialect's.
    #[serde(default)]
    carried: Option<Carried>,
}

/// A verdict that comes later.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Pending {
    /// In how many seconds at the latest, up to a week; left out: a day.
    #[serde(default)]
    #[cfg_attr(test, schemars(extend("minimum" = 1, "maximum" = LONGEST_WAIT.as_secs())))]
    deadline: Option<u64>,
    /// What happens if there is none by then; left out: it is refused.
    #[serde(default)]
    default: Option<Fallback>,
}

/// What happens without a verdict.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Fallback {
    /// It goes on.
    Allow,
    /// It is refused.
    Reject,
}

/// The answer to an event. Any JSON is one, and so is an empty body: it says that the event was heard, unless it says
/// `"ok": false`.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Acknowledgement {
    /// False: not heard; the event comes again. Counts only for an endpoint with `acknowledge = "body"`.
    #[serde(default)]
    ok: Option<bool>,
}

/// Reads the answer to a question.
pub(crate) fn verdict(question: &Question, body: &[u8]) -> Result<Verdict, Unreadable> {
    if body.trim_ascii().is_empty() {
        return Ok(Verdict::Allow);
    }
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| Unreadable(error.to_string()))?;
    if fields.is_empty() {
        return Ok(Verdict::Allow);
    }
    let answer = Value::Object(fields);
    match question {
        Question::BeforeSend(_) => on_message(answer),
        Question::BeforeCreateGroup(_) => read::<Decision<_>>(answer)?.verdict(GroupCreatingEdit::read),
        Question::BeforeAddMembers(_) => read::<Decision<_>>(answer)?.verdict(MembersAddingEdit::read),
        Question::BeforeUpdateGroup(asked) => {
            read::<Decision<GroupChangingEdit>>(answer)?.verdict(|edit| Ok(edit.read(asked)))
        }
        Question::BeforeRegister(asked) => read::<Decision<AccountsEdit>>(answer)?.verdict(|edit| edit.read(asked)),
        Question::BeforeCreateTopic(_) | Question::BeforeBlock(_) => match read(answer)? {
            Consent::Allow {} => Ok(Verdict::Allow),
            Consent::Reject(rejection) => Ok(rejection.into()),
        },
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Unreadable> {
    serde_json::from_value(answer).map_err(|error| Unreadable(error.to_string()))
}

impl<E> Decision<E> {
    fn verdict(self, edit: impl FnOnce(E) -> Result<Verdict, Unreadable>) -> Result<Verdict, Unreadable> {
        match self {
            Self::Allow {} => Ok(Verdict::Allow),
            Self::Reject(rejection) => Ok(rejection.into()),
            Self::Modify(changes) => edit(changes),
        }
    }
}

fn later(pending: Pending) -> Result<Verdict, Unreadable> {
    let within = pending.deadline.map(Duration::from_secs);
    if within.is_some_and(|within| within.is_zero() || within > LONGEST_WAIT) {
        let longest = LONGEST_WAIT.as_secs();
        return Err(Unreadable(format!("deadline: a message waits for 1 to {longest} seconds")));
    }
    let otherwise = pending.default.map(|default| match default {
        Fallback::Allow => Otherwise::Allow,
        Fallback::Reject => Otherwise::Reject,
    });
    Ok(Verdict::Park(Box::new(ParkTerms::new(within, otherwise))))
}

/// Reads the verdict on a message that waits for it: what could have been answered at once. Nothing is not a verdict here,
/// and neither is one that comes later.
pub fn read_late_verdict(body: &[u8]) -> Result<Verdict, Unreadable> {
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|error| Unreadable(error.to_string()))?;
    match on_message(Value::Object(fields))? {
        Verdict::Park(_) => {
            Err(Unreadable("verdict: it waits already; right would be allow, reject, discard or modify".into()))
        }
        verdict => Ok(verdict),
    }
}

fn on_message(answer: Value) -> Result<Verdict, Unreadable> {
    match read(answer)? {
        Answer::Allow {} => Ok(Verdict::Allow),
        Answer::Discard {} => Ok(Verdict::Discard),
        Answer::Reject(rejection) => Ok(rejection.into()),
        Answer::Modify(edit) => edit.read(),
        Answer::Pending(pending) => later(pending),
    }
}

/// Whether the answer to an event says that it was heard.
pub(crate) fn acknowledges(body: &[u8]) -> bool {
    if body.trim_ascii().is_empty() {
        return true;
    }
    match serde_json::from_slice(body) {
        Ok(fields @ Value::Object(_)) => {
            serde_json::from_value(fields).is_ok_and(|answer: Acknowledgement| answer.ok != Some(false))
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

impl From<Rejection> for Verdict {
    fn from(rejection: Rejection) -> Self {
        let Rejection { code, info, detail } = rejection;
        let (info, detail) = (info.unwrap_or_default(), detail.unwrap_or_default());
        Self::Reject(Refusal::Rejected { code, info, detail })
    }
}

impl Edit {
    fn read(self) -> Result<Verdict, Unreadable> {
        let Self { elements, custom_data, mentions, sender_name, sender_face, carried } = self;
        if elements.as_ref().is_some_and(Vec::is_empty) {
            return Err(Unreadable("elements is empty: a message has at least one".into()));
        }
        let mentions = mentions.map(|mentions| mentions.into_iter().map(Mention::read).collect());
        let edit = MessageEdit {
            elements: elements.map(|elements| elements.into_iter().map(Into::into).collect()),
            custom_data,
            mentions: mentions.transpose().map_err(Unreadable)?,
            sender_name,
            sender_face,
            carried: carried.map(Into::into),
        };
        Ok(if edit.is_empty() { Verdict::Allow } else { Verdict::Modify(question::Edit::Message(edit)) })
    }
}

#[cfg(test)]
mod tests {
    use chat::message::Mention as CoreMention;
    use serde_json::json;

    use super::*;
    use crate::sample;

    /// What is answered to a question about a message.
    fn verdict(body: &[u8]) -> Result<Verdict, Unreadable> {
        super::verdict(&Question::BeforeSend(Box::new(sample::plain())), body)
    }

    fn read(answer: Value) -> Result<Verdict, Unreadable> {
        verdict(answer.to_string().as_bytes())
    }

    #[test]
    fn nothing_and_an_empty_object_allow() {
        for body in ["", " \r\n", "{}", " { } ", r#"{"verdict":"allow"}"#] {
            assert_eq!(verdict(body.as_bytes()), Ok(Verdict::Allow), "{body}");
        }
        assert_eq!(read(json!({"verdict": "modify"})), Ok(Verdict::Allow), "nothing is changed");
    }

    #[test]
    fn a_rejection_has_what_it_was_given() {
        let rejected = |code, info: &str, detail: &str| {
            let (info, detail) = (info.to_owned(), detail.to_owned());
            Ok(Verdict::Reject(Refusal::Rejected { code, info, detail }))
        };
        assert_eq!(read(json!({"verdict": "reject"})), rejected(None, "", ""));
        let full = json!({"verdict": "reject", "code": 120_001, "info": "be kind", "detail": "rule 7"});
        assert_eq!(read(full), rejected(Some(120_001), "be kind", "rule 7"));
        assert_eq!(read(json!({"verdict": "reject", "code": null, "info": "no"})), rejected(None, "no", ""));
        assert_eq!(read(json!({"verdict": "discard"})), Ok(Verdict::Discard));
    }

    #[test]
    fn every_part_of_a_message_can_be_changed() {
        let message = sample::full();
        let shown = serde_json::to_value(crate::message::Message::from(&message)).unwrap();
        let answer = json!({
            "verdict": "modify", "elements": shown["elements"], "custom_data": shown["custom_data"],
            "mentions": shown["mentions"], "sender_name": shown["sender_name"], "sender_face": shown["sender_face"],
            "carried": shown["carried"],
        });
        let edit = MessageEdit {
            elements: Some(message.elements),
            custom_data: message.custom_data,
            mentions: Some(message.mentions),
            sender_name: Some(message.sender_name),
            sender_face: Some(message.sender_face),
            carried: message.carried,
        };
        assert_eq!(read(answer), Ok(Verdict::Modify(question::Edit::Message(edit))));
        let none = MessageEdit { mentions: Some(Vec::new()), ..MessageEdit::default() };
        assert_eq!(
            read(json!({"verdict": "modify", "mentions": []})),
            Ok(Verdict::Modify(question::Edit::Message(none)))
        );
        let all = MessageEdit { mentions: Some(vec![CoreMention::All]), ..MessageEdit::default() };
        assert_eq!(
            read(json!({"verdict": "modify", "mentions": [{"kind": "all"}]})),
            Ok(Verdict::Modify(question::Edit::Message(all)))
        );
    }

    #[test]
    fn anything_else_is_unreadable() {
        let long = "x".repeat(129);
        for answer in [
            json!(null),
            json!([]),
            json!("allow"),
            json!({"ok": true}),
            json!({"verdict": "maybe"}),
            json!({"verdict": 1}),
            json!({"verdict": "allow", "elements": []}),
            json!({"verdict": "discard", "code": 1}),
            json!({"verdict": "reject", "code": "1"}),
            json!({"verdict": "reject", "reason": "no"}),
            json!({"elements": [{"type": "text", "text": "no verdict"}]}),
            json!({"verdict": "modify", "elements": []}),
            json!({"verdict": "modify", "elements": [{"type": "text"}]}),
            json!({"verdict": "modify", "element": []}),
            json!({"verdict": "modify", "custom_data": 1}),
            json!({"verdict": "modify", "mentions": [{"kind": "account"}]}),
            json!({"verdict": "modify", "mentions": [{"kind": "all", "account": "a"}]}),
            json!({"verdict": "modify", "mentions": [{"kind": "account", "account": ""}]}),
            json!({"verdict": "modify", "mentions": [{"kind": "account", "account": long}]}),
            json!({"verdict": "modify", "carried": {"dialect": "tencent"}}),
        ] {
            assert!(read(answer.clone()).is_err(), "{answer}");
        }
        assert!(verdict(b"ok").is_err() && verdict(b"{").is_err() && verdict(b"{}{}").is_err());
    }

    #[test]
    fn a_verdict_that_comes_later_says_by_when_and_what_then() {
        let park = |within: Option<u64>, otherwise| {
            Ok(Verdict::Park(Box::new(ParkTerms::new(within.map(Duration::from_secs), otherwise))))
        };
        assert_eq!(read(json!({"verdict": "pending"})), park(None, None));
        let week = 7 * 24 * 60 * 60;
        for (deadline, default, otherwise) in [(1, "allow", Otherwise::Allow), (week, "reject", Otherwise::Reject)] {
            let answer = json!({"verdict": "pending", "deadline": deadline, "default": default});
            assert_eq!(read(answer), park(Some(deadline), Some(otherwise)));
        }
        for wrong in [
            json!({"verdict": "pending", "deadline": 0}),
            json!({"verdict": "pending", "deadline": week + 1}),
            json!({"verdict": "pending", "deadline": "1h"}),
            json!({"verdict": "pending", "default": "discard"}),
            json!({"verdict": "pending", "within": 1}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_late_verdict_is_one_and_does_not_put_it_off() {
        let late = |answer: &str| read_late_verdict(answer.as_bytes());
        assert_eq!(late(r#"{"verdict": "allow"}"#), Ok(Verdict::Allow));
        assert_eq!(late(r#"{"verdict": "discard"}"#), Ok(Verdict::Discard));
        assert!(matches!(late(r#"{"verdict": "modify", "custom_data": "x"}"#), Ok(Verdict::Modify(_))));
        assert_eq!(late(r#"{"verdict": "reject", "code": 7}"#), read(json!({"verdict": "reject", "code": 7})));
        for wrong in ["", "{}", "[]", r#"{"verdict": "pending"}"#, r#"{"verdict": "allow", "code": 1}"#] {
            assert!(late(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_words_to_the_contrary_and_what_is_no_json_do_not_acknowledge() {
        for body in ["", "\n", "{}", "null", "\"ok\"", "[]", r#"{"ok":true}"#, r#"{"verdict":"allow"}"#] {
            assert!(acknowledges(body.as_bytes()), "{body}");
        }
        for body in [r#"{"ok":false}"#, r#"{"ok":0}"#, "<html>", "ok", "{"] {
            assert!(!acknowledges(body.as_bytes()), "{body}");
        }
    }
}
