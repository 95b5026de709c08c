//! Moments as an operator writes them: `2026-11-21T10:00:00Z`, `10m ago`, `-10m`, `now`; and as they are shown.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat::id::Timestamp;
use humantime_serde::re::humantime::{format_rfc3339_millis, parse_duration, parse_rfc3339_weak};

/// Completes "right would be …".
pub(crate) const RIGHT: &str = "2026-11-21T10:00:00Z, \"10m ago\", -10m or now";

/// Reads a moment; none if it is written otherwise.
pub(crate) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if text == "now" {
        return Some(now);
    }
    let ago = text.strip_suffix("ago").map(str::trim_end).or_else(|| text.strip_prefix('-'));
    if let Some(ago) = ago {
        return Some(now.earlier(parse_duration(ago.trim()).ok()?));
    }
    let time = parse_rfc3339_weak(text).ok()?;
    let millis = time.duration_since(UNIX_EPOCH).ok()?.as_millis();
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}

/// As RFC 3339 in UTC, with milliseconds.
pub(crate) fn exact(time: Timestamp) -> String {
    format_rfc3339_millis(system(time)).to_string()
}

/// How long ago it was, or in how long it will be, in one unit: `3m ago`, `in 2h`.
pub(crate) fn relative(time: Timestamp, now: Timestamp) -> String {
    let away = now.millis().saturating_sub(time.millis());
    let long = span(away.unsigned_abs() / 1000);
    match away {
        ..-999 => format!("in {long}"),
        -999..1000 => "now".to_owned(),
        _ => format!("{long} ago"),
    }
}

/// So many seconds, in the largest unit of which there are two, or one that is whole enough: `45s`, `3m`, `2h`, `9d`.
pub(crate) fn span(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / MINUTE),
        7200..172_800 => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

fn system(time: Timestamp) -> SystemTime {
    // The last moment that RFC 3339 can write; what is later, or before 1970, is no time of ours.
    const LAST: u64 = 253_402_300_799_000;
    UNIX_EPOCH + Duration::from_millis(time.millis().max(0).unsigned_abs().min(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_255_200_000);

    #[test]
    fn moments_are_read_as_people_write_them() {
        let ago = |seconds: i64| Some(Timestamp::from_millis(NOW.millis() - seconds * 1000));
        for (text, expected) in [
            ("now", ago(0)),
            ("10m ago", ago(600)),
            ("1h30m ago", ago(5400)),
            ("-10m", ago(600)),
            ("- 90s", ago(90)),
            (&exact(NOW), ago(0)),
            ("1970-01-01T00:00:01Z", Some(Timestamp::from_millis(1000))),
            ("2026-11-21 10:00:00", Some(Timestamp::from_millis(1_795_255_200_000))),
            ("10m", None),
            ("ago", None),
            ("-", None),
            ("soon", None),
            ("", None),
            ("2026-13-21T10:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
        ] {
            assert_eq!(parse(text, NOW), expected, "{text:?}");
        }
    }

    #[test]
    fn times_are_shown_in_one_unit() {
        let shown = |seconds: i64| relative(Timestamp::from_millis(NOW.millis() + seconds * 1000), NOW);
        for (seconds, expected) in [
            (0, "now"),
            (-1, "1s ago"),
            (-119, "119s ago"),
            (-120, "2m ago"),
            (-7199, "119m ago"),
            (-7200, "2h ago"),
            (-9 * 86_400, "9d ago"),
            (5, "in 5s"),
            (86_400, "in 24h"),
        ] {
            assert_eq!(shown(seconds), expected);
        }
        assert_eq!(exact(NOW), "2026-11-21T10:00:00.000Z");
        assert_eq!(exact(Timestamp::from_millis(i64::MAX)), "9999-12-31T23:59:59.000Z");
        assert_eq!(exact(Timestamp::from_millis(-5)), "1970-01-01T00:00:00.000Z");
    }
}
