//! Each refusal of the core, and its OpenIM code. This is the only place that maps them.

use chat::refusal::AskFailure;
use chat::{Error, Refusal};

use crate::error::{ApiError, Code};
use crate::token::TokenError;

/// A message waits for the app's verdict: a number as backends answer of their own, because the backend has said so, and no
/// code of the original's tables (docs/QUIRKS-openim.md).
const WAITS: i64 = 5999;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            // Logged at the door; no details for strangers.
            Error::Fault(_) => Code::Internal.because(""),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Rejected { code, info, detail } => return rejected(code, info, detail),
            Refusal::Parked { .. } => {
                return rejected(Some(WAITS), "MessageWaitsForReview".into(), refusal.to_string());
            }
            Refusal::NotPermitted => Code::NoPermission,
            Refusal::NoAccount(_) => Code::UserNotFound,
            Refusal::AccountExists(_) => Code::RegisteredAlready,
            Refusal::NoGroup(_) => Code::GroupNotFound,
            Refusal::GroupDissolved(_) => Code::Dismissed,
            Refusal::GroupExists { .. } => Code::GroupExists,
            Refusal::NotMember { .. } => Code::NotInGroup,
            Refusal::MemberMuted => Code::MutedInGroup,
            Refusal::GroupMuted => Code::MutedGroup,
            Refusal::Blocked => Code::Blocked,
            Refusal::StoreUnavailable | Refusal::BackendFull => Code::Database,
            Refusal::BackendFailed(failure) => failed(failure),
            Refusal::Invalid { .. }
            | Refusal::TooMany { .. }
            | Refusal::MessageTooLarge { .. }
            | Refusal::GroupTypeForbids(_)
            | Refusal::GroupFull { .. }
            | Refusal::NoTopic(_)
            | Refusal::TopicExists(_)
            | Refusal::NotParked(_)
            | Refusal::Decided { .. }
            | Refusal::RestrictedWord => Code::Args,
        };
        code.because(refusal.to_string())
    }
}

/// The backend's own code and texts reach the caller as they are (`webhooks.jsonl`, `response_effect`).
fn rejected(code: Option<i64>, info: String, detail: String) -> ApiError {
    match code {
        Some(code) if code != 0 => ApiError { code, message: info, ..Code::Callback.because(detail) },
        // A rejection without a code must not look like success.
        _ => {
            let words: Vec<String> = [info, detail].into_iter().filter(|text| !text.is_empty()).collect();
            Code::Callback.because(words.join(": "))
        }
    }
}

fn failed(failure: AskFailure) -> Code {
    match failure {
        AskFailure::Unreadable => Code::Data,
        AskFailure::Unreachable
        | AskFailure::Timeout
        | AskFailure::BadStatus
        | AskFailure::Busy
        | AskFailure::BreakerOpen
        | AskFailure::NoRoomToWait => Code::Network,
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Code::TokenExpired.because("the token has expired"),
            TokenError::Malformed => Code::TokenMalformed.because("this is not a token"),
            TokenError::NotYetValid => Code::TokenNotValidYet.because("the token is from the future"),
            TokenError::BadSignature => Code::TokenUnknown.because("the token was not signed by this server"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(refusal: Refusal) -> i64 {
        ApiError::from(refusal).code
    }

    #[test]
    fn a_rejection_carries_the_backends_code_and_texts() {
        let refusal = |code| Refusal::Rejected { code, info: "not today".into(), detail: "sender limited".into() };
        let error = ApiError::from(refusal(Some(5001)));
        assert_eq!((error.code, &*error.message, &*error.detail), (5001, "not today", "sender limited"));
        for code in [None, Some(0)] {
            let error = ApiError::from(refusal(code));
            assert_eq!((error.code, &*error.message), (80_000, "CallbackError"));
            assert_eq!(error.detail, "not today: sender limited");
        }
    }

    #[test]
    fn an_endpoint_that_fails_has_openims_codes() {
        assert_eq!(code_of(Refusal::BackendFailed(AskFailure::Timeout)), 90_004);
        assert_eq!(code_of(Refusal::BackendFailed(AskFailure::BadStatus)), 90_004);
        assert_eq!(code_of(Refusal::BackendFailed(AskFailure::BreakerOpen)), 90_004);
        assert_eq!(code_of(Refusal::BackendFailed(AskFailure::Unreadable)), 90_007);
        assert_eq!(code_of(Refusal::StoreUnavailable), 90_002);
    }

    #[test]
    fn a_fault_shows_nothing() {
        let error = ApiError::from(Error::Fault(chat::Fault::new("disk on fire")));
        assert_eq!((error.code, &*error.message, &*error.detail), (500, "ServerInternalError", ""));
    }
}
