//! Why a command failed, in the dialect's codes: the one place where core refusals become numbers.
//!
//! The same refusal has another number in each service (`spec/tencent/errors.jsonl`, `rules.md` section 2).

use chat::event::NotSent;
use chat::refusal::AskFailure;
use chat::{Error, Refusal};

use crate::envelope::Failure;
use crate::gate::Service;

/// A text with a restricted word: not delivered.
const RESTRICTED_WORD: i64 = 80001;
/// The before-callback failed, and the operator wants such messages refused.
const CALLBACK_FAILED: i64 = 80003;
/// The recipient blocks the sender.
const BLOCKED: i64 = 20007;

/// A message waits for the app's verdict: of the range of a backend's own codes, because the backend has said so
/// (docs/QUIRKS-tencent.md). In the service of one-to-one messages, and in that of groups.
const WAITS: i64 = 120_999;
const WAITS_IN_GROUP: i64 = 10_199;

/// The failure that `error` is in `service`.
pub(crate) fn failure(service: Service, error: &Error) -> Failure {
    match error {
        Error::Fault(_) => Failure::new(internal(service), "internal error, please retry"),
        Error::Refused(refusal) => refused(service, refusal),
    }
}

/// The failure that `refusal` is in `service`: of a whole command, or of one of its items.
pub(crate) fn refused(service: Service, refusal: &Refusal) -> Failure {
    match refusal {
        Refusal::Rejected { code, info, .. } => rejected(service, *code, info),
        refusal => Failure::new(code(service, refusal), refusal.to_string()),
    }
}

/// What the after-callback of a message that was not delivered says.
pub(crate) fn not_sent(reason: NotSent) -> Failure {
    let code = match reason {
        NotSent::Blocked => BLOCKED,
        NotSent::RestrictedWord => RESTRICTED_WORD,
    };
    Failure::new(code, Refusal::from(reason).to_string())
}

/// The backend's own code is passed on within the documented range of the service, and nowhere else. The services of
/// accounts and relations have no code for a refusal by the app's backend (only OpenIM asks about these commands); they
/// have 'bad request parameter', which at least nobody retries.
fn rejected(service: Service, code: Option<i64>, info: &str) -> Failure {
    let standard = match service {
        Service::Group => 10016,
        Service::Message | Service::Unknown => 20006,
        Service::Account => 70402,
        Service::Sns => 30001,
    };
    match code {
        Some(code) if is_own_code(service, code) => Failure::new(code, info),
        _ => Failure::new(standard, "the app's before-callback refused"),
    }
}

/// Whether a before-callback may use this code, about a command of that service (`spec/tencent/rules.md`, section 7).
pub(crate) fn is_own_code(service: Service, code: i64) -> bool {
    match service {
        Service::Group => (10100..=10200).contains(&code),
        Service::Message => (120_001..=130_000).contains(&code),
        Service::Sns => (38_000..=39_000).contains(&code),
        Service::Account | Service::Unknown => false,
    }
}

fn code(service: Service, refusal: &Refusal) -> i64 {
    match refusal {
        Refusal::RestrictedWord => RESTRICTED_WORD,
        Refusal::BackendFailed(
            AskFailure::Unreachable
            | AskFailure::Timeout
            | AskFailure::BadStatus
            | AskFailure::Unreadable
            | AskFailure::Busy
            | AskFailure::BreakerOpen
            | AskFailure::NoRoomToWait,
        ) => CALLBACK_FAILED,
        Refusal::Blocked => BLOCKED,
        Refusal::Parked { .. } => match service {
            Service::Group => WAITS_IN_GROUP,
            _ => WAITS,
        },
        Refusal::StoreUnavailable | Refusal::BackendFull => internal(service),
        other => match service {
            Service::Account => account(other),
            Service::Message => message(other),
            Service::Group => group(other),
            Service::Sns => sns(other),
            Service::Unknown => 60009,
        },
    }
}

fn account(refusal: &Refusal) -> i64 {
    match refusal {
        Refusal::NotPermitted => 70403,
        Refusal::NoAccount(_) => 70107,
        _ => 70402,
    }
}

fn message(refusal: &Refusal) -> i64 {
    match refusal {
        Refusal::NotPermitted => 90009,
        Refusal::NoAccount(_) => 90048,
        Refusal::MessageTooLarge { .. } => 93000,
        Refusal::TooMany { what: "elements", .. } | Refusal::Invalid { .. } => 90010,
        _ => 90001,
    }
}

fn group(refusal: &Refusal) -> i64 {
    match refusal {
        Refusal::NotPermitted | Refusal::GroupTypeForbids(_) | Refusal::NotMember { .. } => 10007,
        Refusal::TooMany { .. } => 10005,
        Refusal::MessageTooLarge { .. } => 80002,
        Refusal::NoAccount(_) => 10019,
        Refusal::NoGroup(_) | Refusal::GroupDissolved(_) => 10010,
        Refusal::GroupExists { yours: true, .. } => 10025,
        Refusal::GroupExists { yours: false, .. } | Refusal::TopicExists(_) => 10021,
        Refusal::GroupFull { .. } => 10014,
        Refusal::NoTopic(_) => 10015,
        Refusal::MemberMuted | Refusal::GroupMuted => 10017,
        _ => 10004,
    }
}

fn sns(refusal: &Refusal) -> i64 {
    match refusal {
        Refusal::NotPermitted => 30004,
        Refusal::NoAccount(_) => 30003,
        _ => 30001,
    }
}

/// 'Internal error, retry' of each service.
fn internal(service: Service) -> i64 {
    match service {
        Service::Account => 70500,
        Service::Message => 91000,
        Service::Group => 10002,
        Service::Sns => 30006,
        Service::Unknown => 60008,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_code_is_passed_on_where_it_is_documented() {
        let refusal = |code| Refusal::Rejected { code, info: "why".into(), detail: "never shown".into() };
        for (service, first, last, standard) in [
            (Service::Group, 10_100, 10_200, 10_016),
            (Service::Message, 120_001, 130_000, 20_006),
            (Service::Sns, 38_000, 39_000, 30_001),
        ] {
            for own in [first, last] {
                assert_eq!(refused(service, &refusal(Some(own))), Failure::new(own, "why"));
            }
            for other in [None, Some(first - 1), Some(last + 1), Some(5001)] {
                let failure = Failure::new(standard, "the app's before-callback refused");
                assert_eq!(refused(service, &refusal(other)), failure);
            }
        }
        let (time, random) = (chat::id::Timestamp::default(), 7);
        let parked = Refusal::Parked { id: chat::id::MessageId::new(time, random), until: time };
        for (service, code) in [(Service::Message, 120_999), (Service::Group, 10_199)] {
            assert_eq!(refused(service, &parked).code, code);
            assert!(is_own_code(service, code), "in the range of a backend's own codes");
        }
        for other in [None, Some(10_100), Some(120_001), Some(38_000)] {
            assert_eq!(refused(Service::Account, &refusal(other)).code, 70_402);
        }
    }
}
