//! The envelope of every call.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use chat::id::Timestamp;
use humantime_serde::re::humantime::format_rfc3339_millis;
use serde::Serialize;
use webhook::codec::Call;

/// The last millisecond of the year 9999: RFC 3339 has no later one. Times are the app's to choose, so any may come.
const LAST: u64 = 253_402_300_799_999;

/// What every call looks like.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Payload<T> {
    /// What is told or asked.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// When it happened: RFC 3339, UTC, with milliseconds.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub(crate) timestamp: String,
    pub(crate) data: T,
}

/// A call of that type, about what happened at `time`.
pub(crate) fn call(command: &'static str, time: Timestamp, data: impl Serialize) -> Call {
    let payload = Payload { kind: command, timestamp: rfc3339(time), data };
    // Strings, numbers and JSON values always serialise.
    with_body(command, serde_json::to_vec(&payload).unwrap_or_default().into())
}

/// A call with that body.
pub(crate) fn with_body(command: &'static str, body: Bytes) -> Call {
    Call { command, query: String::new(), headers: Vec::new(), body }
}

/// A time in the form of RFC 3339; the nearest that the form has.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let millis = u64::try_from(time.millis()).unwrap_or(0).min(LAST);
    format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_has_a_form() {
        let shown = |millis| rfc3339(Timestamp::from_millis(millis));
        assert_eq!(shown(1_760_000_000_123), "2025-10-09T08:53:20.123Z");
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(-1), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(i64::MIN), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        assert_eq!(shown(253_402_300_800_000), "9999-12-31T23:59:59.999Z");
        assert_eq!(shown(i64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
