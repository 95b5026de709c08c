//! What one object says beyond another, and how to put it back.

use serde_json::{Map, Value};

/// What must be laid over `known` to get `original`. Every key of `known` must be in `original`, at every depth.
pub(super) fn left_over(known: &Map<String, Value>, original: &Map<String, Value>) -> Map<String, Value> {
    let mut rest = Map::new();
    for (key, value) in original {
        match (known.get(key), value) {
            (Some(known), value) if known == value => {}
            (Some(Value::Object(known)), Value::Object(original)) => {
                rest.insert(key.clone(), Value::Object(left_over(known, original)));
            }
            _ => {
                rest.insert(key.clone(), value.clone());
            }
        }
    }
    rest
}

/// Lays `rest` over `object`: objects are merged, everything else is replaced.
pub(super) fn lay_over(object: &mut Map<String, Value>, rest: &Map<String, Value>) {
    for (key, value) in rest {
        match (object.get_mut(key), value) {
            (Some(Value::Object(object)), Value::Object(rest)) => lay_over(object, rest),
            _ => {
                object.insert(key.clone(), value.clone());
            }
        }
    }
}
