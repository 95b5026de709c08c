//! Which new ids are legal. Ids that only name what exists need no rule: an odd one names nothing.

use chat::id::MAX_ID_BYTES;

use crate::error::{ApiError, Code};

/// A new account's id: letters, digits and underscores (`rest.jsonl`, `/user/user_register`), all of them ASCII.
pub(crate) fn check_new_account(id: &str) -> Result<(), ApiError> {
    let is_legal = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if id.is_empty() || id.len() > MAX_ID_BYTES || !is_legal {
        let rule = format!("userID {id:?} must have 1 to {MAX_ID_BYTES} letters, digits or underscores");
        return Err(Code::Args.because(rule));
    }
    Ok(())
}

/// A new group's id: visible ASCII, so that no two ids look the same and none breaks a log line.
pub(crate) fn check_new_group(id: &str) -> Result<(), ApiError> {
    let is_legal = id.bytes().all(|byte| byte.is_ascii_graphic());
    if id.is_empty() || id.len() > MAX_ID_BYTES || !is_legal {
        let rule = format!("groupID {id:?} must have 1 to {MAX_ID_BYTES} visible ASCII characters");
        return Err(Code::Args.because(rule));
    }
    Ok(())
}

/// A sender's own id of a message: any text, bounded, without NUL, which is in no id (PostgreSQL's text cannot hold it).
pub(crate) fn check_client_message(id: &str) -> Result<(), ApiError> {
    if id.len() > MAX_ID_BYTES {
        return Err(Code::Args.because(format!("clientMsgID has more than {MAX_ID_BYTES} bytes")));
    }
    if id.contains('\0') {
        return Err(Code::Args.because("clientMsgID has a NUL"));
    }
    Ok(())
}

/// Refuses lists that name somebody twice.
pub(crate) fn check_unique<'a>(field: &str, ids: impl IntoIterator<Item = &'a String>) -> Result<(), ApiError> {
    let mut seen = std::collections::BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(Code::Args.because(format!("{field}: {id:?} is named twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_ids_are_refused() {
        assert!(check_new_account("Alice_01").is_ok());
        for id in ["", "a b", "a:b", "аdmin", "a\u{202e}b", "a\0", "\u{1F600}", &"x".repeat(129)] {
            assert!(check_new_account(id).is_err(), "{id:?}");
        }
        assert!(check_new_group("@TGS#1AB").is_ok());
        for id in ["", "a b", "g\n1", "g\0", "gr\u{200b}oup", &"x".repeat(129)] {
            assert!(check_new_group(id).is_err(), "{id:?}");
        }
        assert!(check_client_message("żółw 1").is_ok());
        for id in ["a\0b", &"x".repeat(129)] {
            assert!(check_client_message(id).is_err(), "{id:?}");
        }
    }
}
