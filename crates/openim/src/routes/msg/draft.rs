//! What `/msg/send_msg` and `/msg/batch_send_msg` have in common: a message, but for its receiver.

use std::collections::BTreeSet;

use chat::element::{Carried, Element};
use chat::id::{AccountId, ClientMessageId, GroupId, Timestamp};
use chat::message::send::{Destination, SendMessage};
use chat::message::{Delivery, Keeping, Mention};
use serde_json::{Map, Value};

use super::required;
use crate::content::{self, AT_TEXT, Shown};
use crate::error::{ApiError, Code};
use crate::fields::{Fields, missing};
use crate::sending::{exemptions, repeat_key};
use crate::{id_rules, mentions};

/// The latest time that a message may claim: what its id has room for (48 bits of milliseconds).
const MAX_SEND_TIME: i64 = (1 << 48) - 1;

/// To one account, or to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    Single,
    Group,
}

/// The message as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) sender: AccountId,
    pub(super) group: String,
    pub(super) session: Session,
    pub(super) client_id: Option<ClientMessageId>,
    pub(super) sender_name: Option<String>,
    pub(super) sender_face: Option<String>,
    pub(super) elements: Vec<Element>,
    pub(super) mentions: Vec<Mention>,
    pub(super) custom_data: Option<String>,
    pub(super) carried: Option<Carried>,
    time: Option<Timestamp>,
    delivery: Delivery,
}

/// The fields that must be there and of their type, before anything is judged. Answered with HTTP 400.
pub(super) struct Bound {
    sender: String,
    content: Map<String, Value>,
    content_type: i32,
    session_type: i32,
}

impl Bound {
    pub(super) fn read(body: &Fields) -> Result<Self, ApiError> {
        let required_int = |name: &str| match body.int(name) {
            Ok(0) => Err(missing(name)),
            other => other,
        };
        Ok(Self {
            sender: body.required_text("sendID")?,
            content: body.required_object("content")?,
            content_type: required_int("contentType")?,
            session_type: required_int("sessionType")?,
        })
    }
}

impl Draft {
    pub(super) fn read(body: &Fields, bound: Bound) -> Result<Self, ApiError> {
        required::check(bound.content_type, &bound.content)?;
        let session = session(bound.session_type)?;
        let mentions = match bound.content_type {
            AT_TEXT => mentions::read(&Fields::new(bound.content.clone()).texts("atUserList")?),
            _ => Vec::new(),
        };
        let shown = Shown { content_type: bound.content_type, object: bound.content };
        let client_id = body.optional_text("clientMsgID")?.filter(|id| !id.is_empty());
        client_id.as_deref().map_or(Ok(()), id_rules::check_client_message)?;
        let not_empty = |name: &str| -> Result<Option<String>, ApiError> {
            Ok(body.optional_text(name)?.filter(|text| !text.is_empty()))
        };
        Ok(Self {
            sender: AccountId::new(bound.sender),
            group: body.text("groupID")?,
            session,
            client_id: client_id.map(ClientMessageId::new),
            sender_name: not_empty("senderNickname")?,
            sender_face: not_empty("senderFaceURL")?,
            elements: vec![content::decode(shown, &mentions)],
            mentions,
            custom_data: not_empty("ex")?,
            carried: carried(body)?,
            time: send_time(body)?,
            delivery: delivery(body)?,
        })
    }

    /// The command that sends it. `repeat` is what a retry of this very send is recognised by.
    pub(super) fn command(&self, to: Destination, repeat: Option<String>, admins: &BTreeSet<AccountId>) -> SendMessage {
        SendMessage {
            sender: self.sender.clone(),
            to,
            client_id: self.client_id.clone(),
            repeat: repeat.as_deref().map(repeat_key),
            time: self.time,
            created: None,
            sender_name: self.sender_name.clone(),
            sender_face: self.sender_face.clone(),
            elements: self.elements.clone(),
            custom_data: self.custom_data.clone(),
            mentions: self.mentions.clone(),
            delivery: self.delivery.clone(),
            carried: self.carried.clone(),
            exempt: exemptions(admins, &self.sender),
            reads: true,
            asks: true,
        }
    }

    pub(super) fn to_group(&self) -> Result<Destination, ApiError> {
        if self.group.is_empty() {
            Err(missing("groupID"))
        } else {
            Ok(Destination::Group(GroupId::from(&*self.group)))
        }
    }
}

fn session(session_type: i32) -> Result<Session, ApiError> {
    match session_type {
        1 => Ok(Session::Single),
        3 => Ok(Session::Group),
        4 => Err(Code::Args.because("notification accounts come later: sessionType 4 is not supported")),
        other => Err(Code::Args.because(format!("unknown sessionType {other}"))),
    }
}

fn send_time(body: &Fields) -> Result<Option<Timestamp>, ApiError> {
    match body.integer("sendTime")? {
        0 => Ok(None),
        millis @ 1..=MAX_SEND_TIME => Ok(Some(Timestamp::from_millis(millis))),
        _ => Err(Code::Args.because("sendTime must be a time in milliseconds, or 0")),
    }
}

fn delivery(body: &Fields) -> Result<Delivery, ApiError> {
    let keeping = if body.flag("isOnlineOnly")? { Keeping::OnlineOnly } else { Keeping::Stored };
    Ok(Delivery { keeping, no_push: body.flag("notOfflinePush")?, ..Delivery::default() })
}

/// What only OpenIM's clients look at.
fn carried(body: &Fields) -> Result<Option<Carried>, ApiError> {
    let mut fields = Map::new();
    let platform = body.int("senderPlatformID")?;
    if platform != 0 {
        fields.insert("senderPlatformID".into(), platform.into());
    }
    if let Some(info) = body.optional_object("offlinePushInfo")? {
        fields.insert("offlinePushInfo".into(), push_info(&Fields::new(info))?);
    }
    Ok(Carried::of(content::DIALECT, fields))
}

/// `OfflinePushInfo` with all its fields (`types.jsonl`).
fn push_info(info: &Fields) -> Result<Value, ApiError> {
    let mut shown = Map::new();
    for name in ["title", "desc", "ex", "iOSPushSound", "signalInfo"] {
        shown.insert(name.into(), info.text(name)?.into());
    }
    shown.insert("iOSBadgeCount".into(), info.flag("iOSBadgeCount")?.into());
    Ok(Value::Object(shown))
}

#[cfg(test)]
mod tests {
    use chat::policy::Exempt;

    use super::*;

    fn draft(json: &str) -> Result<Draft, ApiError> {
        let body = Fields::parse(json.as_bytes())?;
        Draft::read(&body, Bound::read(&body).map_err(ApiError::into_bad_request)?)
    }

    #[test]
    fn a_message_is_read() {
        let draft = draft(
            r#"{"sendID":"alice","recvID":"bob","contentType":106,"sessionType":1,"senderPlatformID":5,
                "content":{"text":"hi @all","atUserList":["AtAllTag"]},"isOnlineOnly":true,"notOfflinePush":true,
                "ex":"e","clientMsgID":"c1","offlinePushInfo":{"title":"t"}}"#,
        )
        .unwrap();
        let admins = BTreeSet::from([AccountId::new("imAdmin")]);
        let to = Destination::Account(AccountId::new("bob"));
        let command = draft.command(to, Some("c1".into()), &admins);
        assert_eq!(command.mentions, [Mention::All]);
        assert_eq!(command.delivery.keeping, Keeping::OnlineOnly);
        assert!(command.delivery.no_push && command.reads && command.asks);
        assert_eq!(command.exempt, Exempt::default());
        assert_eq!(command.custom_data.as_deref(), Some("e"));
        let carried = command.carried.unwrap();
        assert_eq!(carried.fields["senderPlatformID"], 5);
        assert_eq!(carried.fields["offlinePushInfo"]["title"], "t");
        assert_eq!(carried.fields["offlinePushInfo"]["iOSBadgeCount"], false);
    }

    #[test]
    fn an_admin_gets_through_everywhere() {
        let draft =
            draft(r#"{"sendID":"imAdmin","contentType":101,"sessionType":3,"groupID":"g","content":{"content":"x"}}"#)
                .unwrap();
        let admins = BTreeSet::from([AccountId::new("imAdmin")]);
        let command = draft.command(draft.to_group().unwrap(), None, &admins);
        assert_eq!(command.exempt, Exempt { blocks: true, membership: true, mutes: true });
        assert_eq!((command.repeat, command.time), (None, None));
    }

    #[test]
    fn bad_bodies_are_refused() {
        let text = r#""content":{"content":"x"}"#;
        for (json, status) in [
            ("{}".to_owned(), 400),
            (format!(r#"{{"sendID":"a","contentType":101,{text}}}"#), 400),
            (r#"{"sendID":"a","contentType":101,"sessionType":1,"content":"x"}"#.to_owned(), 400),
            (format!(r#"{{"sendID":"a","contentType":"101","sessionType":1,{text}}}"#), 400),
            (format!(r#"{{"sendID":"a","contentType":101,"sessionType":2,{text}}}"#), 200),
            (format!(r#"{{"sendID":"a","contentType":101,"sessionType":4,{text}}}"#), 200),
            (format!(r#"{{"sendID":"a","contentType":101,"sessionType":1,"sendTime":-1,{text}}}"#), 200),
            (
                format!(
                    r#"{{"sendID":"a","contentType":101,"sessionType":1,"clientMsgID":"{}",{text}}}"#,
                    "x".repeat(129)
                ),
                200,
            ),
        ] {
            let error = draft(&json).unwrap_err();
            assert_eq!((error.code, error.status.as_u16()), (1001, status), "{json}");
        }
    }
}
