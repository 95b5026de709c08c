//! Headers that the operator adds to an endpoint's calls: a gateway's API key, a tenant's name.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue, USER_AGENT};

/// Common servers take 8 KiB of headers in all (nginx, Node.js: 16 KiB); ours need one of them.
const MAX_BYTES: usize = 6 << 10;

/// Apache takes a hundred headers in all.
const MAX_HEADERS: usize = 64;

/// Those that frame the request, choose a connection, or say who signed what. Ours, or the client's.
const RESERVED: [&str; 17] = [
    "connection",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "operationid",
    "signature",
    "signature-input",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The same, by how they begin.
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "ringback-", "proxy-"];

/// Checked headers. Their values are secrets.
#[derive(Clone, Default)]
pub struct CustomHeaders(HeaderMap);

impl CustomHeaders {
    /// Checks names and values. The error says what is wrong with which name, and never shows a value.
    pub fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut checked = HeaderMap::new();
        let mut bytes = 0;
        for (name, value) in headers {
            let known = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("{name:?} cannot be the name of a header"))?;
            let lower = known.as_str();
            if RESERVED.contains(&lower) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
                return Err(format!("{name:?} is set by the server itself"));
            }
            if value.trim() != value || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                return Err(format!("the value of {name:?} is not visible ASCII"));
            }
            bytes += name.len() + value.len() + ": \r\n".len();
            let mut value =
                HeaderValue::from_str(value).map_err(|_| format!("the value of {name:?} is not a header's"))?;
            value.set_sensitive(true);
            if checked.insert(&known, value).is_some() {
                return Err(format!("{name:?} is there twice"));
            }
        }
        if bytes > MAX_BYTES || checked.len() > MAX_HEADERS {
            return Err(format!("they are more than {MAX_HEADERS} headers or {MAX_BYTES} bytes"));
        }
        Ok(Self(checked))
    }

    /// Adds them to a request's. What is there already stays, but for `user-agent`, which only says who we are.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            if name == USER_AGENT || !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }
}

impl fmt::Debug for CustomHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.keys().map(|name| (name.as_str(), "…"));
        f.debug_map().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn they_join_and_do_not_replace() {
        let custom = CustomHeaders::new([("X-Api-Key", "hush"), ("user-agent", "mine/1"), ("Accept", "*/*")]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("ringback"));
        headers.insert("accept", HeaderValue::from_static("text/plain"));
        custom.add_to(&mut headers);
        let mut found: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("accept", "text/plain"),
                ("content-type", "application/json"),
                ("user-agent", "mine/1"),
                ("x-api-key", "hush")
            ]
        );
    }

    #[test]
    fn values_are_never_shown() {
        let custom = CustomHeaders::new([("Authorization", "Bearer hush")]).unwrap();
        assert_eq!(format!("{custom:?}"), r#"{"authorization": "…"}"#);
        let mut headers = HeaderMap::new();
        custom.add_to(&mut headers);
        assert!(!format!("{headers:?}").contains("hush"), "{headers:?}");
    }

    #[test]
    fn what_is_not_theirs_is_refused() {
        let long = "x".repeat(MAX_BYTES);
        for (name, value) in [
            ("Content-Type", "hush"),
            ("HOST", "hush"),
            ("content-length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Webhook-Id", "hush"),
            ("webhook-signature", "hush"),
            ("ringback-sequence", "hush"),
            ("Proxy-Authorization", "hush"),
            ("Signature", "hush"),
            ("traceparent", "hush"),
            ("", "hush"),
            ("a b", "hush"),
            ("a:b", "hush"),
            ("x-key", "hush\r\nhost: elsewhere"),
            ("x-key", "hush\u{e9}"),
            ("x-key", " hush"),
            ("x-key", "hush\t"),
            ("x-key", &long),
        ] {
            let refused = CustomHeaders::new([(name, value)]).unwrap_err();
            assert!(!refused.contains("hush") && refused.len() < 100, "{refused}");
        }
        assert!(CustomHeaders::new([("x-key", "a"), ("X-Key", "b")]).unwrap_err().contains("twice"));
        assert!(CustomHeaders::new([("x-empty", "")]).is_ok());
    }
}
