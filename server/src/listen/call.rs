//! A callback as the app backend sees it: what came over the wire, and what it is about.

use std::collections::BTreeSet;

use openim::codec::OpenImCodec;
use serde::Deserialize;
use serde_json::Value;
use standard::StandardCodec;
use tencent::callback::TencentCodec;
use webhook::codec::Codec;

/// One HTTP request, as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Without the query, not decoded.
    pub(crate) path: String,
    /// Decoded, in the order of the URL.
    pub(crate) query: Vec<(String, String)>,
    /// Names in lower case, in the order of the request.
    pub(crate) headers: Vec<(String, String)>,
    /// As it came; bytes that are no UTF-8 are replaced.
    pub(crate) body: String,
}

/// Whose words a call is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Tencent,
    OpenIm,
    Standard,
}

/// Whether the caller waits for a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before an event: the answer decides.
    Asked,
    /// After an event: the answer says that it was heard.
    Told,
}

/// Which callback a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) name: &'a str,
}

impl Call {
    /// The body as JSON, or nothing where it is none.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// Tencent names the command in the query, OpenIM as the last part of the path, the standard dialect in the body.
    pub(crate) fn command(&self) -> Option<Command<'_>> {
        let in_query = self.query.iter().find(|(name, _)| name == "CallbackCommand");
        if let Some((_, name)) = in_query {
            return Some(Command { dialect: Dialect::Tencent, name });
        }
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let is_one = name.starts_with("callback") && name.ends_with("Command");
        if is_one {
            return Some(Command { dialect: Dialect::OpenIm, name });
        }
        let envelope: Envelope<'_> = serde_json::from_str(&self.body).ok()?;
        Some(Command { dialect: Dialect::Standard, name: envelope.name })
    }
}

/// What every body of the standard dialect has; none of the names needs an escape in JSON.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    #[serde(rename = "timestamp")]
    _timestamp: &'a str,
    #[serde(rename = "data")]
    _data: serde::de::IgnoredAny,
}

impl Command<'_> {
    pub(crate) fn moment(&self) -> Moment {
        let asks = match self.dialect {
            Dialect::Tencent => TencentCodec::new(String::new(), 0, None).is_question(self.name),
            Dialect::OpenIm => OpenImCodec::new("", BTreeSet::new()).is_question(self.name),
            Dialect::Standard => StandardCodec::new("").is_question(self.name),
        };
        if asks { Moment::Asked } else { Moment::Told }
    }

    /// Whether the verdict on a message is asked for.
    pub(crate) fn asks_about_message(&self) -> bool {
        matches!(
            self.name,
            "C2C.CallbackBeforeSendMsg"
                | "Group.CallbackBeforeSendMsg"
                | "callbackBeforeSendSingleMsgCommand"
                | "callbackBeforeSendGroupMsgCommand"
                | "callbackBeforeMsgModifyCommand"
                | "message.sending"
        )
    }
}

/// What a person would read in a message: Tencent's `MsgBody`, OpenIM's `content`, the standard dialect's `elements`.
pub(crate) fn texts(dialect: Dialect, body: &Value) -> Vec<String> {
    match dialect {
        Dialect::Tencent => {
            let elements = body["MsgBody"].as_array().into_iter().flatten();
            elements.filter_map(|element| tencent_text(element).map(str::to_owned)).collect()
        }
        Dialect::OpenIm => {
            let Some(content) = body["content"].as_str() else { return Vec::new() };
            match serde_json::from_str(content) {
                Ok(Value::Object(fields)) => {
                    OPENIM_TEXTS.iter().filter_map(|name| Some(fields.get(*name)?.as_str()?.to_owned())).collect()
                }
                // The samples in OpenIM's documents carry bare text.
                _ => vec![content.to_owned()],
            }
        }
        Dialect::Standard => {
            let elements = body["data"]["message"]["elements"].as_array().into_iter().flatten();
            elements.filter_map(|element| standard_text(element).map(str::to_owned)).collect()
        }
    }
}

/// The fields with text for people: of text; of mentions and quotes; of custom messages.
pub(super) const OPENIM_TEXTS: [&str; 3] = ["content", "text", "description"];

fn standard_text(element: &Value) -> Option<&str> {
    match element["type"].as_str()? {
        "text" | "foreign" => element["text"].as_str(),
        "custom" => element["description"].as_str(),
        _ => None,
    }
}

fn tencent_text(element: &Value) -> Option<&str> {
    let content = &element["MsgContent"];
    match element["MsgType"].as_str()? {
        "TIMTextElem" => content["Text"].as_str(),
        // A custom element's text for people is its description.
        "TIMCustomElem" => content["Desc"].as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(path: &str, query: &[(&str, &str)]) -> Call {
        let query = query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Call { method: "POST".to_owned(), path: path.to_owned(), query, ..Call::default() }
    }

    #[test]
    fn a_command_is_found_where_its_dialect_puts_it() {
        let tencent = call("/callback", &[("SdkAppid", "1"), ("CallbackCommand", "Group.CallbackAfterSendMsg")]);
        let command = tencent.command().unwrap();
        assert_eq!((command.dialect, command.name), (Dialect::Tencent, "Group.CallbackAfterSendMsg"));
        let openim = call("/callback/callbackAfterSendGroupMsgCommand", &[("contenttype", "json")]);
        let command = openim.command().unwrap();
        assert_eq!((command.dialect, command.name), (Dialect::OpenIm, "callbackAfterSendGroupMsgCommand"));
        let body = r#"{"type": "message.sent", "timestamp": "2025-10-09T08:53:20.123Z", "data": {}}"#;
        let standard = Call { body: body.to_owned(), ..call("/events", &[("tenant", "7")]) };
        let command = standard.command().unwrap();
        assert_eq!((command.dialect, command.name), (Dialect::Standard, "message.sent"));
        for body in [r#"{"type": "message.sent"}"#, r#"{"type": 7, "timestamp": "", "data": {}}"#, "[]", "{"] {
            let odd = Call { body: body.to_owned(), ..call("/events", &[]) };
            assert_eq!(odd.command(), None, "{body}");
        }
        for path in ["/", "/callback", "/callback/"] {
            assert_eq!(call(path, &[]).command(), None, "{path}");
        }
    }

    #[test]
    fn asked_and_told() {
        let moment = |dialect, name| Command { dialect, name }.moment();
        for name in ["C2C.CallbackBeforeSendMsg", "Group.CallbackBeforeCreateTopic"] {
            assert_eq!(moment(Dialect::Tencent, name), Moment::Asked);
        }
        for name in ["State.StateChange", "Group.CallbackAfterGroupInfoChanged"] {
            assert_eq!(moment(Dialect::Tencent, name), Moment::Told);
        }
        assert_eq!(moment(Dialect::OpenIm, "callbackBeforeMsgModifyCommand"), Moment::Asked);
        assert_eq!(moment(Dialect::OpenIm, "callbackBeforeAfterMsgCommand"), Moment::Told);
        for name in ["message.sending", "members.adding", "accounts.registering"] {
            assert_eq!(moment(Dialect::Standard, name), Moment::Asked);
        }
        for name in ["message.sent", "message.not_sent", "group.changed", "batch"] {
            assert_eq!(moment(Dialect::Standard, name), Moment::Told);
        }
    }

    #[test]
    fn texts_of_all_dialects() {
        let body = json!({"MsgBody": [
            {"MsgType": "TIMTextElem", "MsgContent": {"Text": "red packet"}},
            {"MsgType": "TIMCustomElem", "MsgContent": {"Desc": "level", "Data": "LV1"}},
            {"MsgType": "TIMFaceElem", "MsgContent": {"Index": 1}},
            7,
        ]});
        assert_eq!(texts(Dialect::Tencent, &body), ["red packet", "level"]);
        let openim = |content: &str| texts(Dialect::OpenIm, &json!({"content": content}));
        assert_eq!(openim(r#"{"content":"lunch?"}"#), ["lunch?"]);
        assert_eq!(openim(r#"{"text":"@bob lunch?","atUserList":["bob"]}"#), ["@bob lunch?"]);
        assert_eq!(openim("Hello, this is a group message!"), ["Hello, this is a group message!"]);
        assert!(texts(Dialect::OpenIm, &json!({"content": 7})).is_empty());
        assert!(texts(Dialect::Tencent, &json!([])).is_empty());
        let elements = json!([
            {"type": "text", "text": "red packet"}, {"type": "custom", "description": "level", "data": "LV1"},
            {"type": "foreign", "kind": "114", "text": "so true"}, {"type": "face", "index": 1}, 7,
        ]);
        let body = json!({"data": {"message": {"elements": elements}}});
        assert_eq!(texts(Dialect::Standard, &body), ["red packet", "level", "so true"]);
        assert!(texts(Dialect::Standard, &json!({"data": []})).is_empty());
    }
}
