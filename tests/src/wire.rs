//! What a body looks like: its shape, its steady part, and the seed documents' samples.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A sample of a seed document: the JSON it prints, without its comments (`tests/samples/`).
pub fn sample(name: &str) -> Value {
    let path = format!("{}/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The names and types of a body: every leaf becomes the name of its type.
pub fn shape(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) if number.is_f64() => "float".into(),
        Value::Number(_) => "integer".into(),
        Value::String(_) => "string".into(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect::<Map<_, _>>().into()
        }
    }
}

/// A body for a snapshot: what differs from run to run becomes a word for it, but only where its type is right.
pub fn steady(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(steady).collect(),
        Value::Object(fields) => {
            let steady = |name: &str, value| stand_in(name, value).map_or_else(|| steady(value), Value::from);
            // Sorted, whether or not some dependency makes serde_json keep the order of the wire.
            let sorted: BTreeMap<_, _> =
                fields.iter().map(|(name, value)| (name.clone(), steady(name, value))).collect();
            sorted.into_iter().collect::<Map<_, _>>().into()
        }
        _ => value.clone(),
    }
}

fn stand_in(name: &str, value: &Value) -> Option<&'static str> {
    const SECONDS: [&str; 6] = ["MsgTime", "MsgTimeStamp", "CreateTime", "JoinTime", "LastInfoTime", "LastMsgTime"];
    const MILLISECONDS: [&str; 5] = ["sendTime", "createTime", "joinTime", "notificationUpdateTime", "maxSeqTime"];
    const IDS: [&str; 4] = ["MsgId", "serverMsgID", "clientMsgID", "operationID"];
    let number = value.as_i64();
    let text = value.as_str();
    if SECONDS.contains(&name) && number.is_some_and(is_seconds) {
        Some("<seconds>")
    } else if MILLISECONDS.contains(&name) && number.is_some_and(is_milliseconds) {
        Some("<milliseconds>")
    } else if name == "EventTime" && text.is_some_and(|text| text.parse().is_ok_and(is_milliseconds)) {
        Some("<milliseconds, quoted>")
    } else if IDS.contains(&name) && text.is_some_and(|text| !text.is_empty()) {
        Some("<id>")
    } else if name == "MsgKey" && text.is_some_and(is_msg_key) {
        Some("<MsgSeq_MsgRandom_MsgTime>")
    } else {
        None
    }
}

/// Between 2020 and 2100.
fn is_seconds(number: i64) -> bool {
    (1_577_836_800..4_102_444_800).contains(&number)
}

fn is_milliseconds(number: i64) -> bool {
    is_seconds(number / 1000)
}

fn is_msg_key(text: &str) -> bool {
    let parts: Vec<_> = text.split('_').map(str::parse::<u32>).collect();
    parts.len() == 3 && parts.iter().all(Result::is_ok) && text.len() <= 50
}

/// The sorted names of an object's fields.
pub fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> =
        value.as_object().unwrap_or_else(|| panic!("not an object: {value}")).keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Whether `part`'s fields, at any depth, are in `whole` with the same values.
pub fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|field| contains(field, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => whole == part,
    }
}
