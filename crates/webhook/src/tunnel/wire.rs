//! What goes through a tunnel: JSON, one object a line to the client, one object a request from it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chat::refusal::AskFailure;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::transport::{Answer, CallFailure};

/// What the server says, each on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// First: the tunnel is open. From now on every event is told.
    Opened {
        /// What answers are addressed to.
        id: String,
        /// The endpoint's name.
        name: String,
        /// How often each side says that it is there, in milliseconds.
        beat: u64,
        /// How long the server waits for an answer, in milliseconds.
        deadline: u64,
    },
    /// A call to be made, and answered.
    Call(CallLine),
    /// The server is there.
    Beat,
    /// Last: the tunnel is closed.
    Closed {
        /// Why, in words.
        why: String,
    },
}

/// A call as an endpoint with a URL would get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLine {
    /// Its number: what its answer refers to.
    pub call: u64,
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers in their order; a name may come twice.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(flatten)]
    pub body: Body,
}

/// What the client says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// What its backend answered.
    Answer(AnswerLine),
    /// That its backend did not answer.
    Failed(FailedLine),
    /// That it is there.
    Beat,
}

/// What a backend answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerLine {
    /// To which call.
    pub call: u64,
    /// The HTTP status.
    pub status: u16,
    /// For how long it asks to be left alone (`Retry-After`), in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The body.
    #[serde(flatten)]
    pub body: Body,
}

/// Why a backend did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedLine {
    /// Which call.
    pub call: u64,
    /// The class of the failure.
    pub kind: FailedKind,
    /// In words.
    pub detail: String,
}

/// The classes of failures that a client can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedKind {
    /// No connection, or it broke.
    Unreachable,
    /// No complete answer in time.
    Timeout,
    /// An answer that is too large.
    Unreadable,
}

/// A body: text if it is UTF-8 and not longer that way, Base64 otherwise; nothing if it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    #[serde(default, rename = "body", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, rename = "body_base64", skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Body {
    /// Of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        // What JSON must escape may be six times as long; Base64 is a third longer, whatever it holds.
        let escaped = bytes.iter().filter(|byte| **byte < b' ').count();
        match std::str::from_utf8(bytes) {
            _ if bytes.is_empty() => Self::default(),
            Ok(text) if escaped * 16 <= bytes.len() => Self { text: Some(text.to_owned()), base64: None },
            _ => Self { text: None, base64: Some(STANDARD.encode(bytes)) },
        }
    }

    /// The bytes again; none if they are not Base64.
    pub fn bytes(self) -> Option<Bytes> {
        match (self.text, self.base64) {
            (Some(text), _) => Some(text.into()),
            (None, Some(base64)) => STANDARD.decode(base64).ok().map(Bytes::from),
            (None, None) => Some(Bytes::new()),
        }
    }
}

impl CallLine {
    pub(super) fn new(call: u64, parts: &Parts, body: &[u8]) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Self { call, method: parts.method.to_string(), path, headers, body: Body::new(body) }
    }
}

impl AnswerLine {
    pub(super) fn into_answer(self) -> Result<Answer, CallFailure> {
        let unreadable = |detail: &str| CallFailure::new(AskFailure::Unreadable, detail);
        let status = StatusCode::from_u16(self.status).map_err(|_| unreadable("its status is none of HTTP's"))?;
        let body = self.body.bytes().ok_or_else(|| unreadable("its body came as something that is not Base64"))?;
        // What the client's backend says of the time is not passed on: nobody asks.
        Ok(Answer { status, retry_after: self.retry_after.map(Duration::from_secs), date: None, body })
    }
}

impl From<FailedKind> for AskFailure {
    fn from(kind: FailedKind) -> Self {
        match kind {
            FailedKind::Unreachable => Self::Unreachable,
            FailedKind::Timeout => Self::Timeout,
            FailedKind::Unreadable => Self::Unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_out_as_they_went_in() {
        let control = [b'a', 0, 1, 2, 3];
        for bytes in [&b""[..], b"{\"a\":\"\\u00e9 \xc3\xa9\"}", b"\xff\xfe", &control, b"line\none more line of text"]
        {
            let json = serde_json::to_string(&Body::new(bytes)).unwrap();
            let back: Body = serde_json::from_str(&json).unwrap();
            assert_eq!(back.bytes().unwrap(), bytes, "{json}");
            assert!(json.len() <= 32 + bytes.len() * 3, "{json}");
        }
        assert!(serde_json::from_str::<Body>(r#"{"body_base64":"?"}"#).unwrap().bytes().is_none());
    }

    #[test]
    fn lines_are_objects_with_a_type() {
        let call = CallLine {
            call: 7,
            method: "POST".to_owned(),
            path: "/callback?a=1".to_owned(),
            headers: vec![("webhook-id".to_owned(), "e.listen".to_owned())],
            body: Body::new(b"{}"),
        };
        let line = serde_json::to_string(&Line::Call(call.clone())).unwrap();
        assert_eq!(
            line,
            r#"{"type":"call","call":7,"method":"POST","path":"/callback?a=1","headers":[["webhook-id","e.listen"]],"body":"{}"}"#
        );
        assert_eq!(serde_json::from_str::<Line>(&line).unwrap(), Line::Call(call));
        let said: Said = serde_json::from_str(r#"{"type":"answer","call":7,"status":200,"body":"{}"}"#).unwrap();
        let Said::Answer(answer) = said else { panic!() };
        assert_eq!(answer.into_answer().unwrap().body, "{}");
        let odd = AnswerLine { call: 7, status: 7, retry_after: None, body: Body::default() };
        assert_eq!(odd.into_answer().unwrap_err().kind, AskFailure::Unreadable);
    }
}
