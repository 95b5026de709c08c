//! Reading a request's fields, and saying precisely what is wrong with one.

use chat::id::AccountId;
use serde_json::{Map, Value};

use crate::envelope::Failure;

/// The fields of a JSON object. Names are case-sensitive; unknown ones are ignored; a null counts as absent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a request's body; none if it is not a JSON object.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().map(Self)
    }

    /// The fields of an object inside another.
    pub(crate) fn of(value: Value) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self(fields)),
            _ => None,
        }
    }

    /// Takes a field, whatever it is.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.swap_remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field that has two names, the first of which is the newer.
    pub(crate) fn take_either(&mut self, name: &str, alias: &str) -> Option<Value> {
        let value = self.take(name);
        let other = self.take(alias);
        value.or(other)
    }

    /// Puts a field back, or in place.
    pub(crate) fn put(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Whether the field is an array with something in it.
    pub(crate) fn has_items(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_array).is_some_and(|items| !items.is_empty())
    }

    /// Takes a string; `code` is what a field of another type is refused with.
    pub(crate) fn string(&mut self, name: &str, code: i64) -> Result<Option<String>, Failure> {
        as_string(self.take(name), name, code)
    }

    /// Takes a string that must be there.
    pub(crate) fn needed_string(&mut self, name: &str, code: i64) -> Result<String, Failure> {
        self.string(name, code)?.ok_or_else(|| missing(name, code))
    }

    /// Takes a string of at most `limit` bytes.
    pub(crate) fn bounded_string(&mut self, name: &str, limit: usize, code: i64) -> Result<Option<String>, Failure> {
        let text = self.string(name, code)?;
        match &text {
            Some(text) if text.len() > limit => {
                Err(Failure::new(code, format!("{name} has {} bytes; at most {limit} are allowed", text.len())))
            }
            _ => Ok(text),
        }
    }

    /// Takes an integer.
    pub(crate) fn integer(&mut self, name: &str, code: i64) -> Result<Option<i64>, Failure> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_i64().map(Some).ok_or_else(|| Failure::new(code, format!("{name} must be an integer")))
    }

    /// Takes an unsigned 32-bit integer.
    pub(crate) fn uint32(&mut self, name: &str, code: i64) -> Result<Option<u32>, Failure> {
        let problem = || Failure::new(code, format!("{name} must be an integer from 0 to 4294967295"));
        self.integer(name, code)?.map(|integer| u32::try_from(integer).map_err(|_| problem())).transpose()
    }

    /// Takes a flag that is 0 or 1.
    pub(crate) fn flag(&mut self, name: &str, code: i64) -> Result<bool, Failure> {
        match self.integer(name, code)? {
            None | Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) => Err(Failure::new(code, format!("{name} must be 0 or 1"))),
        }
    }

    /// Takes an array.
    pub(crate) fn array(&mut self, name: &str, code: i64) -> Result<Option<Vec<Value>>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(Failure::new(code, format!("{name} must be an array"))),
        }
    }

    /// Takes an array of strings.
    pub(crate) fn strings(&mut self, name: &str, code: i64) -> Result<Option<Vec<String>>, Failure> {
        let Some(items) = self.array(name, code)? else { return Ok(None) };
        let string = |item| match item {
            Value::String(text) => Ok(text),
            _ => Err(Failure::new(code, format!("{name} must be an array of strings"))),
        };
        items.into_iter().map(string).collect::<Result<_, _>>().map(Some)
    }

    /// Takes an array of objects.
    pub(crate) fn objects(&mut self, name: &str, code: i64) -> Result<Option<Vec<Fields>>, Failure> {
        let Some(items) = self.array(name, code)? else { return Ok(None) };
        let object =
            |item| Fields::of(item).ok_or_else(|| Failure::new(code, format!("{name} must be an array of objects")));
        items.into_iter().map(object).collect::<Result<_, _>>().map(Some)
    }

    /// Takes an account's id that must be there.
    pub(crate) fn account(&mut self, name: &str, code: i64) -> Result<AccountId, Failure> {
        let text = self.needed_string(name, code)?;
        if text.is_empty() { Err(missing(name, code)) } else { Ok(AccountId::new(text)) }
    }

    /// Takes an account's id.
    pub(crate) fn optional_account(&mut self, name: &str, code: i64) -> Result<Option<AccountId>, Failure> {
        Ok(self.string(name, code)?.filter(|text| !text.is_empty()).map(AccountId::new))
    }
}

/// A value that must be a string.
pub(crate) fn as_string(value: Option<Value>, name: &str, code: i64) -> Result<Option<String>, Failure> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Failure::new(code, format!("{name} must be a string"))),
    }
}

/// The failure of a field that is not there.
pub(crate) fn missing(name: &str, code: i64) -> Failure {
    Failure::new(code, format!("{name} is missing"))
}

/// Whether `text` may name a new account: 1 to 32 bytes of printable ASCII (`spec/tencent/rules.md`, section 3).
pub(crate) fn is_user_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && is_printable_ascii(text)
}

/// Whether all of it is printable ASCII.
pub(crate) fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}
