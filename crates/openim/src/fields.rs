//! Reads JSON objects the way OpenIM's server does: letter case of names does not matter, null and absent are the zero
//! value, unknown names are ignored (`spec/openim/semantics.md`, section 1).

use serde_json::{Map, Value};

use crate::error::{ApiError, Code};

/// A JSON object that fields are read from. A field of the wrong type is an error that names it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

type Read<T> = Result<T, ApiError>;

impl Fields {
    /// Parses a body: it must hold one JSON object.
    pub(crate) fn parse(body: &[u8]) -> Read<Self> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(Code::Args.because("the body must be a JSON object")),
            Err(error) => Err(Code::Args.because(format!("the body is not JSON: {error}"))),
        }
    }

    /// Wraps an object.
    pub(crate) fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// The field, unless it is absent or null. The exact name wins over one in other letter case.
    fn get(&self, name: &str) -> Option<&Value> {
        let exact = self.0.get(name);
        let found = exact.or_else(|| self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v));
        found.filter(|value| !value.is_null())
    }

    /// Whether the field is there at all, and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn optional_text(&self, name: &str) -> Read<Option<String>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Read<String> {
        Ok(self.optional_text(name)?.unwrap_or_default())
    }

    /// A string that must not be empty.
    pub(crate) fn required_text(&self, name: &str) -> Read<String> {
        let text = self.text(name)?;
        if text.is_empty() { Err(missing(name)) } else { Ok(text) }
    }

    /// An int64: a JSON number without fraction, never a string.
    pub(crate) fn integer(&self, name: &str) -> Read<i64> {
        match self.get(name) {
            None => Ok(0),
            Some(value) => value.as_i64().ok_or_else(|| wrong(name, "an integer of 64 bits")),
        }
    }

    pub(crate) fn optional_int(&self, name: &str) -> Read<Option<i32>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let int = value.as_i64().and_then(|number| i32::try_from(number).ok());
        int.map(Some).ok_or_else(|| wrong(name, "an integer of 32 bits"))
    }

    /// An int32.
    pub(crate) fn int(&self, name: &str) -> Read<i32> {
        Ok(self.optional_int(name)?.unwrap_or_default())
    }

    pub(crate) fn flag(&self, name: &str) -> Read<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong(name, "true or false")),
        }
    }

    /// A list of strings; absent is empty.
    pub(crate) fn texts(&self, name: &str) -> Read<Vec<String>> {
        let text = |value: &Value| match value {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            _ => Err(wrong(name, "a list of strings")),
        };
        self.list(name, "a list of strings")?.iter().map(text).collect()
    }

    /// A list of objects; absent is empty.
    pub(crate) fn objects(&self, name: &str) -> Read<Vec<Fields>> {
        let object = |value: &Value| match value {
            Value::Null => Ok(Self::default()),
            Value::Object(map) => Ok(Self(map.clone())),
            _ => Err(wrong(name, "a list of objects")),
        };
        self.list(name, "a list of objects")?.iter().map(object).collect()
    }

    pub(crate) fn optional_object(&self, name: &str) -> Read<Option<Map<String, Value>>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map.clone())),
            Some(_) => Err(wrong(name, "an object")),
        }
    }

    /// An object that must be there.
    pub(crate) fn required_object(&self, name: &str) -> Read<Map<String, Value>> {
        self.optional_object(name)?.ok_or_else(|| missing(name))
    }

    fn list(&self, name: &str, expected: &str) -> Read<&[Value]> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(wrong(name, expected)),
        }
    }
}

/// The error that a field is missing.
pub(crate) fn missing(name: &str) -> ApiError {
    Code::Args.because(format!("{name} is required"))
}

fn wrong(name: &str, expected: &str) -> ApiError {
    Code::Args.because(format!("{name} must be {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn names_ignore_case_but_the_exact_one_wins() {
        assert_eq!(fields(r#"{"SENDID":"a"}"#).text("sendID").unwrap(), "a");
        assert_eq!(fields(r#"{"SENDID":"a","sendID":"b"}"#).text("sendID").unwrap(), "b");
    }

    #[test]
    fn null_and_absent_are_zero() {
        let fields = fields(r#"{"a":null}"#);
        assert_eq!(fields.text("a").unwrap(), "");
        assert_eq!(fields.integer("a").unwrap(), 0);
        assert!(!fields.flag("b").unwrap());
        assert!(fields.texts("a").unwrap().is_empty());
        assert_eq!(fields.optional_text("a").unwrap(), None);
        assert!(fields.required_text("a").is_err());
    }

    #[test]
    fn a_wrong_type_names_the_field() {
        let fields = fields(r#"{"n":"1","f":1.5,"big":3000000000,"s":1,"l":"x","o":[1]}"#);
        let errors = [
            fields.integer("n").unwrap_err(),
            fields.integer("f").unwrap_err(),
            fields.int("big").unwrap_err(),
            fields.text("s").unwrap_err(),
            fields.texts("l").unwrap_err(),
            fields.objects("o").unwrap_err(),
        ];
        for (error, name) in errors.iter().zip(["n", "f", "big", "s", "l", "o"]) {
            assert_eq!(error.code, 1001);
            assert!(error.detail.starts_with(&format!("{name} must be")), "{}", error.detail);
        }
    }

    #[test]
    fn a_body_is_one_object() {
        for body in ["", "[]", "1", "nul", "{", "{}x", "\u{1}", "{\"a\":"] {
            assert_eq!(Fields::parse(body.as_bytes()).unwrap_err().code, 1001, "{body}");
        }
        let deep = "[".repeat(100_000);
        assert!(Fields::parse(deep.as_bytes()).is_err());
    }
}
