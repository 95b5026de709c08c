//! Whether a drained backlog is what was promised: every event, in order, signed. Fast but wrong is worth nothing.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::Result;
use crate::sink::Call;
use crate::tencent::hmac_sha256;

/// A drain that kept the promises.
#[derive(Debug)]
pub(crate) struct Drain {
    /// When each event arrived for the first time.
    pub(crate) arrivals: Vec<Instant>,
    /// Calls beyond the first of an event.
    pub(crate) repeats: usize,
}

#[derive(Deserialize)]
struct MessageSent {
    #[serde(rename = "From_Account")]
    from: String,
    #[serde(rename = "To_Account")]
    to: String,
    #[serde(rename = "MsgSeq")]
    msg_seq: u32,
}

/// Checks the calls of one backlog of `events`, whose MsgSeq counts up by one within a conversation.
pub(crate) fn verify(calls: &[Call], events: usize, key: &[u8]) -> Result<Drain> {
    let mut seen = HashSet::new();
    let mut last = HashMap::new();
    let mut arrivals = Vec::with_capacity(events);
    for call in calls {
        let id = header(call, "webhook-id")?;
        check_signature(call, id, key)?;
        if !seen.insert(id) {
            continue;
        }
        let MessageSent { from, to, msg_seq } = serde_json::from_slice(call.request.body())
            .map_err(|e| format!("a callback with an unexpected body: {e}"))?;
        let pair = format!("{from} to {to}");
        if let Some(before) = last.insert(pair.clone(), msg_seq)
            && msg_seq != before + 1
        {
            return Err(format!("out of order: after message {before} from {pair} came {msg_seq}").into());
        }
        arrivals.push(call.arrived);
    }
    if arrivals.len() != events {
        return Err(format!("{events} events, but {} were called back", arrivals.len()).into());
    }
    Ok(Drain { repeats: calls.len() - arrivals.len(), arrivals })
}

/// Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`.
fn check_signature(call: &Call, id: &str, key: &[u8]) -> Result<()> {
    let mut text = format!("{id}.{}.", header(call, "webhook-timestamp")?).into_bytes();
    text.extend_from_slice(call.request.body());
    let right = format!("v1,{}", STANDARD.encode(hmac_sha256(key, &text)));
    if header(call, "webhook-signature")?.split(' ').any(|signature| signature == right) {
        return Ok(());
    }
    Err(format!("callback {id} has a wrong signature").into())
}

fn header<'a>(call: &'a Call, name: &str) -> Result<&'a str> {
    let value = call.request.headers().get(name).ok_or_else(|| format!("a callback without {name}"))?;
    Ok(value.to_str()?)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::Request;

    use super::*;

    fn call(id: &str, msg_seq: u32) -> Call {
        let body = format!(r#"{{"From_Account":"a","To_Account":"b","MsgSeq":{msg_seq}}}"#);
        let signature = STANDARD.encode(hmac_sha256(b"key", format!("{id}.1700000000.{body}").as_bytes()));
        let request = Request::post("/")
            .header("webhook-id", id)
            .header("webhook-timestamp", "1700000000")
            .header("webhook-signature", format!("v1,{signature}"));
        Call { arrived: Instant::now(), request: request.body(Bytes::from(body)).unwrap() }
    }

    #[test]
    fn tells_a_good_drain_from_a_bad_one() {
        let drain = verify(&[call("e1", 4), call("e2", 5), call("e1", 4), call("e3", 6)], 3, b"key").unwrap();
        assert_eq!((drain.arrivals.len(), drain.repeats), (3, 1));

        let failure = |calls: &[Call], key| verify(calls, 2, key).unwrap_err().to_string();
        assert!(failure(&[call("e1", 4)], b"key").contains("2 events, but 1"));
        assert!(failure(&[call("e2", 5), call("e1", 4)], b"key").contains("out of order"));
        assert!(failure(&[call("e1", 4), call("e2", 5)], b"not").contains("wrong signature"));
    }
}
