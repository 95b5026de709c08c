//! `Retry-After`: how long an answer asks us to leave the endpoint alone (RFC 9110, 10.2.3).

use std::time::{Duration, UNIX_EPOCH};

use chat::id::Timestamp;

/// Longer requests are cut to this: a slip in a receiver's clock or unit must not silence it for years.
pub const MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads either form: seconds, or a date. A date that has passed is no wait at all.
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // So many digits that it is no number we know are a long time, too.
        value.parse().map_or(MOST, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Duration::from_millis(u64::try_from(now.millis()).unwrap_or_default());
        until.saturating_sub(now)
    };
    Some(wait.min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        // Sun, 06 Nov 1994 08:49:37 GMT, and a half.
        let now = Timestamp::from_millis(784_111_777_500);
        let seconds = |wait: f64| Some(Duration::from_secs_f64(wait));
        for (value, wait) in [
            ("0", seconds(0.0)),
            ("120", seconds(120.0)),
            (" 7 ", seconds(7.0)),
            ("86400", Some(MOST)),
            ("86401", Some(MOST)),
            ("99999999999999999999999", Some(MOST)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", seconds(2.5)),
            ("Sunday, 06-Nov-94 08:49:40 GMT", seconds(2.5)),
            ("Sun Nov  6 08:49:40 1994", seconds(2.5)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(0.0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", seconds(0.0)),
            ("Mon, 06 Nov 2034 08:49:37 GMT", Some(MOST)),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse(value, now), wait, "{value:?}");
        }
    }
}
