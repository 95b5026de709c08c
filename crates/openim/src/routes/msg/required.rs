//! Which contents a backend may send, and what each needs (`spec/openim/semantics.md`, section 6).

use serde_json::{Map, Value};

use crate::content::{AT_TEXT, OA_NOTIFICATION, TEXT};
use crate::error::{ApiError, Code};
use crate::sending::MAX_MENTIONS;

/// What a picture of a 102 needs.
const PICTURE: &[&str] = &["type", "width", "height", "url"];

/// Refuses contents that the route does not take.
pub(super) fn check(content_type: i32, content: &Map<String, Value>) -> Result<(), ApiError> {
    let needed: &[&str] = match content_type {
        TEXT => &["content"],
        102 => return check_pictures(content),
        103 => &["sourceUrl", "duration"],
        104 => &["videoUrl", "videoType", "videoSize", "duration", "snapshotUrl", "snapshotWidth", "snapshotHeight"],
        105 => &["sourceUrl", "fileName", "fileSize"],
        AT_TEXT => return check_at_list(content),
        110 => &["data"],
        114 => &[],
        118 => &["content"],
        OA_NOTIFICATION => {
            return Err(Code::Args.because("notification accounts come later: contentType 1400 is not supported"));
        }
        other => return Err(Code::Args.because(format!("unsupported contentType {other}"))),
    };
    check_there(content, "content", needed)
}

fn check_pictures(content: &Map<String, Value>) -> Result<(), ApiError> {
    for name in ["sourcePicture", "bigPicture", "snapshotPicture"] {
        match find(content, name) {
            Some(Value::Object(picture)) => check_there(picture, &format!("content.{name}"), PICTURE)?,
            _ => return Err(Code::Args.because(format!("content.{name} must be an object"))),
        }
    }
    Ok(())
}

fn check_at_list(content: &Map<String, Value>) -> Result<(), ApiError> {
    match find(content, "atUserList") {
        Some(Value::Array(list)) if list.len() > MAX_MENTIONS => {
            Err(Code::Args.because(format!("content.atUserList has more than {MAX_MENTIONS} ids")))
        }
        Some(Value::Array(list)) if !list.is_empty() && list.iter().all(Value::is_string) => Ok(()),
        _ => Err(Code::Args.because("content.atUserList must be a list of user ids, and not be empty")),
    }
}

fn check_there(object: &Map<String, Value>, path: &str, needed: &[&str]) -> Result<(), ApiError> {
    match needed.iter().find(|name| find(object, name).is_none_or(is_zero)) {
        Some(name) => Err(Code::Args.because(format!("{path}.{name} is required"))),
        None => Ok(()),
    }
}

fn find<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let other_case = || object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    object.get(name).or_else(other_case)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(content_type: i32, content: Value) -> Result<(), String> {
        let Value::Object(content) = content else { panic!("{content}") };
        check(content_type, &content).map_err(|error| error.detail)
    }

    #[test]
    fn each_content_needs_what_it_needs() {
        assert!(judge(101, json!({"content": "hi"})).is_ok());
        assert_eq!(judge(101, json!({"content": ""})), Err("content.content is required".into()));
        assert!(judge(103, json!({"sourceUrl": "u", "duration": 0})).is_err());
        assert!(judge(106, json!({"text": "x", "atUserList": ["a"]})).is_ok());
        assert!(judge(106, json!({"text": "x", "atUserList": [1]})).is_err());
        assert!(judge(106, json!({"text": "x", "atUserList": vec!["a"; 1001]})).is_err());
        let picture = json!({"type": "png", "width": 1, "height": 1, "url": "u"});
        let pictures = json!({"sourcePicture": picture, "bigPicture": picture, "snapshotPicture": picture});
        assert!(judge(102, pictures).is_ok());
        assert!(judge(102, json!({"sourcePicture": picture})).is_err());
        assert!(judge(114, json!({})).is_ok());
    }

    #[test]
    fn other_types_are_refused() {
        for content_type in [0, 100, 107, 108, 109, 113, 115, 117, 119, 1501, 2101, -1] {
            assert!(judge(content_type, json!({"content": "x"})).is_err(), "{content_type}");
        }
        assert!(judge(1400, json!({})).unwrap_err().contains("notification accounts"));
    }
}
