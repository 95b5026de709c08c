//! What a request to the admin API holds: its path, its query and its body, and their fields, each read once, with words that
//! name it if it is wrong.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use chat::id::Timestamp;
use serde_json::{Map, Value};

use super::Problem;
use crate::moment;

/// A body holds up to 1,000 ids of events: 100 bytes each, and as much again to spare.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// So many rows in a page, if nobody says.
pub(crate) const USUAL_PAGE: usize = 100;

/// The query, as it comes.
pub(crate) type Parameters = Result<Query<BTreeMap<String, String>>, QueryRejection>;
/// The body, as it comes.
pub(crate) type Body = Result<Bytes, BytesRejection>;
/// What the path names, as it comes.
pub(crate) type Name = Result<Path<String>, PathRejection>;

/// What the path names.
pub(crate) fn path(name: Name) -> Result<String, Problem> {
    name.map(|Path(name)| name).map_err(|rejection| Problem::bad(rejection.body_text()))
}

/// The parameters of the query. None but `known` may be there.
pub(crate) fn query(parameters: Parameters, known: &[&str]) -> Result<Fields, Problem> {
    match parameters {
        Ok(Query(parameters)) => Fields::of_query(parameters, known),
        Err(rejection) => Err(Problem::bad(rejection.body_text())),
    }
}

/// The body, of which the route takes at most so many bytes.
pub(crate) fn bytes(body: Body, most: usize) -> Result<Bytes, Problem> {
    match body {
        Ok(body) => Ok(body),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            message: format!("the body is larger than {most} bytes"),
        }),
        Err(rejection) => Err(Problem::bad(rejection.body_text())),
    }
}

/// What stands in a body or a query.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// The JSON object of a body; an empty body has no fields. None but `known` may be there.
    pub(crate) fn of_body(body: &[u8], known: &[&str]) -> Result<Self, Problem> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Self(fields).only(known),
            Ok(_) => Err(Problem::bad("the body is not a JSON object")),
            Err(error) => Err(Problem::bad(format!("the body is not JSON: {error}"))),
        }
    }

    /// The parameters of a query. None but `known` may be there.
    pub(crate) fn of_query(query: BTreeMap<String, String>, known: &[&str]) -> Result<Self, Problem> {
        Self(query.into_iter().map(|(name, value)| (name, Value::String(value))).collect()).only(known)
    }

    fn only(self, known: &[&str]) -> Result<Self, Problem> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) if known.is_empty() => {
                Err(Problem::bad(format!("{name}: there is no such field; it takes none")))
            }
            Some(name) => Err(Problem::bad(format!("{name}: there is no such field; there is {}", known.join(", ")))),
            None => Ok(self),
        }
    }

    /// Takes a field out; `null` is as good as none.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, &other, "a text")),
        }
    }

    /// A list of texts; none is an empty one.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let texts =
            value.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect());
        texts.map(Some).ok_or_else(|| wrong(name, &value, "a list of texts"))
    }

    /// Whether it is so; no field: it is not.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(wrong(name, &other, "true or false")),
        }
    }

    /// A whole number from 1 to `most`.
    pub(crate) fn number(&mut self, name: &str, most: usize) -> Result<Option<usize>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = match &value {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64().and_then(|number| usize::try_from(number).ok()),
        };
        let number = number.filter(|number| (1..=most).contains(number));
        number.map(Some).ok_or_else(|| wrong(name, &value, &format!("a whole number from 1 to {most}")))
    }

    /// A moment: in words, or in milliseconds since 1970.
    pub(crate) fn moment(&mut self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let moment = match &value {
            Value::String(text) => moment::parse(text, now),
            other => other.as_i64().map(Timestamp::from_millis),
        };
        let right = format!("{}, or milliseconds since 1970", moment::RIGHT);
        moment.map(Some).ok_or_else(|| wrong(name, &value, &right))
    }
}

/// So much of a wrong value is shown.
const SHOWN: usize = 60;

fn wrong(name: &str, found: &Value, right: &str) -> Problem {
    let found: String = found.to_string().chars().take(SHOWN).collect();
    Problem::bad(format!("{name}: found {found}; right would be {right}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn fields(body: &str) -> Fields {
        Fields::of_body(body.as_bytes(), &["a", "b"]).unwrap()
    }

    #[test]
    fn fields_are_read_by_kind() {
        let text = fields(r#"{"a": "x", "b": null}"#).text("a").unwrap();
        assert_eq!(text.as_deref(), Some("x"));
        assert!(!fields("").flag("a").unwrap() && fields(r#"{"a": true}"#).flag("a").unwrap());
        assert_eq!(fields(r#"{"a": ["x"]}"#).texts("a").unwrap(), Some(vec!["x".to_owned()]));
        assert_eq!(fields(r#"{"a": 7}"#).number("a", 9).unwrap(), Some(7));
        assert_eq!(fields(r#"{"a": 7}"#).moment("a", NOW).unwrap(), Some(Timestamp::from_millis(7)));
        assert_eq!(fields(r#"{"a": "1s ago"}"#).moment("a", NOW).unwrap(), Some(Timestamp::from_millis(999_000)));
        let query = BTreeMap::from([("a".to_owned(), "9".to_owned())]);
        assert_eq!(Fields::of_query(query, &["a"]).unwrap().number("a", 9).unwrap(), Some(9));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let problems = [
            fields(r#"{"a": 1}"#).text("a").err(),
            fields(r#"{"a": "x"}"#).texts("a").err(),
            fields(r#"{"a": ["x", 1]}"#).texts("a").err(),
            fields(r#"{"a": "true"}"#).flag("a").err(),
            fields(r#"{"a": 0}"#).number("a", 9).err(),
            fields(r#"{"a": 10}"#).number("a", 9).err(),
            fields(r#"{"a": -1}"#).number("a", 9).err(),
            fields(r#"{"a": "soon"}"#).moment("a", NOW).err(),
            Fields::of_body(br#"{"a": 1}"#, &["b"]).err(),
        ];
        for problem in problems {
            let problem = problem.expect("it is wrong");
            assert!(problem.message.starts_with("a: ") && problem.status == 400, "{problem:?}");
        }
        for body in ["[]", "x", "{"] {
            assert!(Fields::of_body(body.as_bytes(), &[]).is_err(), "{body}");
        }
    }
}
