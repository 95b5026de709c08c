//! What the sample app backend answers: a call in, an answer out, nothing else.

use serde::Serialize;
use serde_json::{Value, json};

use super::call::{Call, Command, Dialect, Moment, OPENIM_TEXTS, texts};

/// COMPAT: the first of Tencent's codes for one's own reasons, one-to-one (120001–130000).
const TENCENT_DIRECT_REFUSED: i64 = 120_001;
/// COMPAT: the first of Tencent's codes for one's own reasons, in groups (10100–10200).
const TENCENT_GROUP_REFUSED: i64 = 10_100;
/// COMPAT: Tencent's word for "drop it, and tell the sender that it was sent".
const TENCENT_DISCARD: i64 = 2;
/// OpenIM passes on whatever code a backend chooses; this one is in its documents' samples.
const OPENIM_REFUSED: i64 = 5001;

/// How the sample backend behaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Messages that contain one of these are refused.
    pub(crate) reject: Vec<String>,
    /// Messages that contain one of these are dropped unseen; OpenIM's dialect has no word for that.
    pub(crate) discard: Vec<String>,
    /// Applied one after the other to the text of messages.
    pub(crate) replace: Vec<Replacement>,
    /// The part of all calls that fails with HTTP 500; 0 to 1.
    pub(crate) fail_rate: f64,
}

/// One text in place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replacement {
    /// Not empty.
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The sample app backend: its rules, and no state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backend {
    rules: Rules,
}

/// What a call is answered with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The HTTP status; 0: there was no answer.
    pub(crate) status: u16,
    /// JSON, in the order of the documents.
    pub(crate) body: String,
    pub(crate) decision: Decision,
}

/// Why the answer is as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Go on; or: heard.
    Ok,
    /// Refused, with the code that the sender gets.
    Reject(i64),
    Discard,
    Replace,
    /// Decided later: the message waits.
    Wait,
    /// Failed on purpose.
    Fail,
    /// Not a callback of any dialect.
    Strange,
    /// The body was larger than anybody needs; not even looked at.
    TooLarge,
    /// Somebody else's backend answered with an HTTP error.
    HttpError,
    /// Somebody else's backend did not answer.
    NoAnswer,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TencentAnswer {
    action_status: &'static str,
    error_info: String,
    error_code: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg_body: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OpenImAnswer {
    action_code: i64,
    err_code: i64,
    err_msg: String,
    err_dlt: String,
    next_code: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

#[derive(Serialize)]
struct StandardAnswer {
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    info: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<Value>,
}

/// What tells the standard dialect that an event was heard.
#[derive(Serialize)]
struct Heard {
    ok: bool,
}

// === impl Backend ===

impl Backend {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules }
    }

    /// Answers one call. `luck` is a fresh random number from 0 to below 1, which decides whether the call fails.
    pub(crate) fn answer(&self, call: &Call, luck: f64) -> Answer {
        let Some(command) = call.command() else { return Answer::strange() };
        if luck < self.rules.fail_rate {
            return Answer::error(500, "failing on purpose", Decision::Fail);
        }
        match call.json() {
            Some(body) if command.asks_about_message() => self.verdict(command, &body),
            Some(_) => Answer::ok(command),
            None => Answer::error(400, "the body is not JSON", Decision::Strange),
        }
    }

    fn verdict(&self, command: Command<'_>, body: &Value) -> Answer {
        let texts = texts(command.dialect, body);
        let contained =
            |wanted: &[String]| wanted.iter().find(|&wanted| texts.iter().any(|text| text.contains(wanted))).cloned();
        if let Some(text) = contained(&self.rules.reject) {
            return Answer::reject(command, body, format!("the message contains \"{text}\""));
        }
        if contained(&self.rules.discard).is_some()
            && let Some(answer) = Answer::discard(command.dialect)
        {
            return answer;
        }
        self.replaced(command, body).unwrap_or_else(|| Answer::ok(command))
    }

    /// The answer with the changed message, if anything changes.
    fn replaced(&self, command: Command<'_>, body: &Value) -> Option<Answer> {
        match command.dialect {
            Dialect::Tencent => {
                let mut elements = body["MsgBody"].as_array()?.clone();
                let texts = elements.iter_mut().filter(|element| element["MsgType"] == "TIMTextElem");
                let changed =
                    texts.filter_map(|element| self.replace(element.pointer_mut("/MsgContent/Text")?)).count();
                (changed > 0)
                    .then(|| Answer::tencent(0, String::new(), Some(Value::Array(elements)), Decision::Replace))
            }
            // Its other before-callbacks cannot change a message.
            Dialect::OpenIm if command.name == "callbackBeforeMsgModifyCommand" => {
                let content = self.replaced_content(body["content"].as_str()?)?;
                Some(Answer::openim(0, String::new(), Some(content), Decision::Replace))
            }
            Dialect::OpenIm => None,
            Dialect::Standard => {
                let mut elements = body["data"]["message"]["elements"].as_array()?.clone();
                let texts = elements.iter_mut().filter(|element| element["type"] == "text");
                let changed = texts.filter_map(|element| self.replace(element.get_mut("text")?)).count();
                (changed > 0).then(|| {
                    Answer::standard("modify", None, String::new(), Some(Value::Array(elements)), Decision::Replace)
                })
            }
        }
    }

    fn replaced_content(&self, content: &str) -> Option<String> {
        let mut content: Value = serde_json::from_str(content).ok()?;
        let fields = content.as_object_mut()?;
        let changed = OPENIM_TEXTS.iter().filter_map(|name| self.replace(fields.get_mut(*name)?)).count();
        (changed > 0).then(|| content.to_string())
    }

    /// Changes a text in place; `None` if it is no text or stays as it is.
    fn replace(&self, text: &mut Value) -> Option<()> {
        let old = text.as_str()?;
        let new = self.rules.replace.iter().fold(old.to_owned(), |text, rule| text.replace(&rule.from, &rule.to));
        (new != old).then(|| *text = Value::String(new))
    }
}

// === impl Decision ===

impl Decision {
    /// What an answer of somebody else's backend means, as far as a person wants to know at once.
    pub(crate) fn of_answer(call: &Call, status: u16, body: &[u8]) -> Self {
        let Some(command) = call.command() else { return Self::Strange };
        if !(200..300).contains(&status) {
            return Self::HttpError;
        }
        if command.moment() == Moment::Told {
            return Self::Ok;
        }
        if body.is_empty() && command.dialect == Dialect::Standard {
            return Self::Ok;
        }
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return Self::Strange };
        // COMPAT: codes also come as digits in a text.
        let number = |name: &str| match &answer[name] {
            Value::String(text) => text.trim().parse().unwrap_or_default(),
            value => value.as_i64().unwrap_or_default(),
        };
        match command.dialect {
            Dialect::Tencent => match number("ErrorCode") {
                0 if answer.get("MsgBody").is_some() => Self::Replace,
                0 => Self::Ok,
                TENCENT_DISCARD => Self::Discard,
                code => Self::Reject(code),
            },
            Dialect::OpenIm if number("actionCode") == 0 && number("nextCode") == 1 => Self::Reject(number("errCode")),
            Dialect::OpenIm if answer.get("content").is_some() => Self::Replace,
            Dialect::OpenIm => Self::Ok,
            Dialect::Standard => match answer["verdict"].as_str() {
                Some("reject") => Self::Reject(number("code")),
                Some("discard") => Self::Discard,
                Some("modify") => Self::Replace,
                Some("pending") => Self::Wait,
                Some("allow") => Self::Ok,
                // As good as "allow"; anything else is as good as no answer.
                None if answer.as_object().is_some_and(serde_json::Map::is_empty) => Self::Ok,
                _ => Self::Strange,
            },
        }
    }
}

// === impl Answer ===

impl Answer {
    /// For a body beyond the limit, which was not read.
    pub(crate) fn too_large(limit: usize) -> Self {
        Self::error(413, &format!("the body is larger than {limit} bytes"), Decision::TooLarge)
    }

    fn strange() -> Self {
        let words = "not a callback: Tencent's have ?CallbackCommand=, OpenIM's end in /callback…Command, \
            the standard dialect's are {\"type\": …, \"timestamp\": …, \"data\": …}";
        Self::error(404, words, Decision::Strange)
    }

    fn ok(command: Command<'_>) -> Self {
        match (command.dialect, command.moment()) {
            (Dialect::Tencent, _) => Self::tencent(0, String::new(), None, Decision::Ok),
            (Dialect::OpenIm, _) => Self::openim(0, String::new(), None, Decision::Ok),
            (Dialect::Standard, Moment::Asked) => Self::standard("allow", None, String::new(), None, Decision::Ok),
            (Dialect::Standard, Moment::Told) => Self::good(&Heard { ok: true }, Decision::Ok),
        }
    }

    /// None in a dialect that has no word for it.
    fn discard(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::Tencent => Some(Self::tencent(TENCENT_DISCARD, String::new(), None, Decision::Discard)),
            Dialect::OpenIm => None,
            Dialect::Standard => Some(Self::standard("discard", None, String::new(), None, Decision::Discard)),
        }
    }

    fn reject(command: Command<'_>, body: &Value, reason: String) -> Self {
        match command.dialect {
            Dialect::Tencent => {
                let is_group = command.name.starts_with("Group.");
                let code = if is_group { TENCENT_GROUP_REFUSED } else { TENCENT_DIRECT_REFUSED };
                Self::tencent(code, reason, None, Decision::Reject(code))
            }
            Dialect::OpenIm => Self::openim(OPENIM_REFUSED, reason, None, Decision::Reject(OPENIM_REFUSED)),
            // A code that a sender gets in whatever dialect it spoke.
            Dialect::Standard => {
                let is_direct = body["data"]["message"]["conversation"]["kind"] == "direct";
                let code = if is_direct { TENCENT_DIRECT_REFUSED } else { TENCENT_GROUP_REFUSED };
                Self::standard("reject", Some(code), reason, None, Decision::Reject(code))
            }
        }
    }

    fn tencent(error_code: i64, error_info: String, msg_body: Option<Value>, decision: Decision) -> Self {
        Self::good(&TencentAnswer { action_status: "OK", error_info, error_code, msg_body }, decision)
    }

    fn openim(err_code: i64, err_msg: String, content: Option<String>, decision: Decision) -> Self {
        let next_code = i64::from(matches!(decision, Decision::Reject(_)));
        let err_dlt = String::new();
        Self::good(&OpenImAnswer { action_code: 0, err_code, err_msg, err_dlt, next_code, content }, decision)
    }

    fn standard(
        verdict: &'static str,
        code: Option<i64>,
        info: String,
        elements: Option<Value>,
        decision: Decision,
    ) -> Self {
        Self::good(&StandardAnswer { verdict, code, info, elements }, decision)
    }

    fn good(body: &impl Serialize, decision: Decision) -> Self {
        // Structs of texts and numbers cannot fail to be written; an empty body would show it at once if they did.
        let body = serde_json::to_string(body).unwrap_or_default();
        Self { status: 200, body, decision }
    }

    fn error(status: u16, words: &str, decision: Decision) -> Self {
        Self { status, body: json!({ "error": words }).to_string(), decision }
    }
}

#[cfg(test)]
mod tests;
