//! Several events in one call.
//!
//! `{"type": "batch", "timestamp": …, "data": {"events": [{"id": …, "type": …, "timestamp": …, "data": …}]}}`: each event is
//! the body that it would have had alone, with its `webhook-id` in front, and other headers of its own in `headers`.

use chat::id::Timestamp;
use serde_json::{Map, Value};
use webhook::codec::{BatchItem, Call};

use crate::commands::BATCH;
use crate::payload::{rfc3339, with_body};

/// Joins calls; none, if there is nothing to join or one of them is not ours. The bodies are put together as they are.
pub(crate) fn join(items: &[BatchItem<'_>], now: Timestamp) -> Option<Call> {
    if items.is_empty() {
        return None;
    }
    let head = format!(r#"{{"type":"{BATCH}","timestamp":"{}","data":{{"events":["#, rfc3339(now));
    let tail = b"]}}";
    let length: usize = items.iter().map(|item| item.call.body.len() + item.envelope.id.len() + 64).sum();
    let mut body = Vec::with_capacity(head.len() + length + tail.len());
    body.extend_from_slice(head.as_bytes());
    for (index, item) in items.iter().enumerate() {
        let fields = item.call.body.strip_prefix(b"{")?;
        body.extend_from_slice(if index == 0 { b"{\"id\":" } else { b",{\"id\":" });
        // Texts always serialise.
        serde_json::to_writer(&mut body, &item.envelope.id).ok()?;
        if !item.envelope.headers.is_empty() {
            body.extend_from_slice(b",\"headers\":");
            serde_json::to_writer(&mut body, &headers(item)).ok()?;
        }
        body.push(b',');
        body.extend_from_slice(fields);
    }
    body.extend_from_slice(tail);
    Some(with_body(BATCH, body.into()))
}

fn headers(item: &BatchItem<'_>) -> Map<String, Value> {
    item.envelope.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use webhook::request::Envelope;

    use super::*;

    fn envelope(id: &str, headers: &[(&'static str, &str)]) -> Envelope {
        Envelope { id: id.into(), headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect() }
    }

    #[test]
    fn a_batch_is_its_events_with_their_ids() {
        let calls =
            [with_body("a.b", r#"{"type":"a.b","data":1}"#.into()), with_body("c.d", r#"{"type":"c.d"}"#.into())];
        let envelopes = [envelope("one\"", &[]), envelope("two", &[("x-sequence", "7")])];
        let items: Vec<_> = calls.iter().zip(&envelopes).map(|(call, envelope)| BatchItem { envelope, call }).collect();
        let joined = join(&items, Timestamp::from_millis(1_760_000_000_123)).unwrap();
        let expected = json!({
            "type": "batch", "timestamp": "2025-10-09T08:53:20.123Z", "data": {"events": [
                {"id": "one\"", "type": "a.b", "data": 1},
                {"id": "two", "headers": {"x-sequence": "7"}, "type": "c.d"},
            ]},
        });
        assert_eq!(joined.command, "batch");
        assert_eq!(serde_json::from_slice::<Value>(&joined.body).unwrap(), expected);
        assert_eq!(joined.body, expected.to_string().as_bytes(), "in that order");
    }

    #[test]
    fn what_is_not_ours_is_not_joined() {
        let envelope = envelope("one", &[]);
        let call = with_body("x", "[]".into());
        assert!(join(&[BatchItem { envelope: &envelope, call: &call }], Timestamp::default()).is_none());
        assert!(join(&[], Timestamp::default()).is_none());
    }
}
