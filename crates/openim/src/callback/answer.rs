//! Reads what a backend answers (`webhooks.jsonl`, `response_effect`).

use chat::Refusal;
use serde_json::{Map, Value};
use webhook::codec::Unreadable;

/// `nextCode` that refuses; only together with `actionCode` 0.
const REFUSE: i64 = 1;

/// An answer: a JSON object. Letter case of names does not matter; null and absent are the zero value.
#[derive(Debug)]
pub(crate) struct Answer(Map<String, Value>);

impl Answer {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Unreadable("the answer is not a JSON object".into())),
            Err(error) => Err(Unreadable(format!("the answer is not JSON: {error}"))),
        }
    }

    /// The refusal, if it is one.
    pub(crate) fn refusal(&self) -> Result<Option<Refusal>, Unreadable> {
        let (action, code, next) = (self.int("actionCode")?, self.int("errCode")?, self.int("nextCode")?);
        let info = self.text("errMsg")?.unwrap_or_default().to_owned();
        let detail = self.text("errDlt")?.unwrap_or_default().to_owned();
        let is_refused = action == 0 && next == REFUSE;
        Ok(is_refused.then_some(Refusal::Rejected { code: (code != 0).then_some(code), info, detail }))
    }

    /// Whether it says that all is well.
    pub(crate) fn is_ok(&self) -> bool {
        self.int("errCode") == Ok(0)
    }

    /// A number. The documents' own sample has `""` for 0, so a number may also come as a string.
    fn int(&self, name: &str) -> Result<i64, Unreadable> {
        let number = match self.get(name) {
            None => Some(0),
            Some(Value::String(text)) if text.trim().is_empty() => Some(0),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_i64(),
        };
        number.ok_or_else(|| wrong(name, "an integer"))
    }

    pub(crate) fn optional_int(&self, name: &str) -> Result<Option<i32>, Unreadable> {
        let number = self.optional_long(name)?.map(i32::try_from).transpose();
        number.map_err(|_| wrong(name, "an integer of 32 bits"))
    }

    pub(crate) fn optional_long(&self, name: &str) -> Result<Option<i64>, Unreadable> {
        self.get(name).map(|_| self.int(name)).transpose()
    }

    /// A list of objects; empty if it is absent.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Self>, Unreadable> {
        let list = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(wrong(name, "a list of objects")),
        };
        let object = |value: &Value| value.as_object().map(|fields| Self(fields.clone()));
        list.iter().map(object).collect::<Option<_>>().ok_or_else(|| wrong(name, "a list of objects"))
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Unreadable> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Unreadable> {
        let list = match self.get(name) {
            None => return Ok(None),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(wrong(name, "a list of strings")),
        };
        let texts: Option<Vec<String>> = list.iter().map(|text| text.as_str().map(str::to_owned)).collect();
        texts.map(Some).ok_or_else(|| wrong(name, "a list of strings"))
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, Unreadable> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(wrong(name, "an object")),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let other_case = || self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        self.0.get(name).or_else(other_case).filter(|value| !value.is_null())
    }
}

fn wrong(name: &str, expected: &str) -> Unreadable {
    Unreadable(format!("{name} is not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> Result<Option<Refusal>, Unreadable> {
        Answer::read(json.as_bytes())?.refusal()
    }

    /// The answer in the document that asks for `callbackAfterSendGroupMsgCommand`, as it stands.
    const DOCUMENTED: &str =
        "{\n\"actionCode\": 0,\n\"errCode\": 0,\n\"errMsg\": \"\",\n\"errDlt\": \"\",\n\"nextCode\": \"\"\n}";

    #[test]
    fn the_documented_answer_is_taken_as_it_stands() {
        assert_eq!(refusal(DOCUMENTED), Ok(None));
        assert!(Answer::read(DOCUMENTED.as_bytes()).unwrap().is_ok());
    }

    #[test]
    fn only_action_0_and_next_1_refuse() {
        let rejected = |code| Refusal::Rejected { code, info: "no".into(), detail: "d".into() };
        let json = r#"{"actionCode":0,"errCode":5001,"errMsg":"no","errDlt":"d","nextCode":1}"#;
        assert_eq!(refusal(json), Ok(Some(rejected(Some(5001)))));
        assert_eq!(refusal(r#"{"NextCode":"1","errMsg":"no","errDlt":"d"}"#), Ok(Some(rejected(None))));
        for json in
            ["{}", r#"{"nextCode":0}"#, r#"{"nextCode":2}"#, r#"{"actionCode":1,"nextCode":1}"#, r#"{"nextCode":null}"#]
        {
            assert_eq!(refusal(json), Ok(None), "{json}");
        }
    }

    #[test]
    fn what_is_no_answer_is_unreadable() {
        for json in [
            "",
            "<html>",
            "[]",
            "null",
            "1",
            r#"{"nextCode":"#,
            r#"{"nextCode":"x"}"#,
            r#"{"nextCode":[]}"#,
            r#"{"errMsg":1}"#,
        ] {
            assert!(refusal(json).is_err(), "{json}");
        }
    }
}
