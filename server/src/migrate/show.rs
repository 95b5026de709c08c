//! How progress, numbers and places are shown.

use std::time::{Duration, Instant};

use store::migrate::{Phase, Progress};

/// Progress, and how fast it is: since the phase began.
#[derive(Debug)]
pub(super) struct Pace {
    phase: Phase,
    begun: Instant,
    done_before: u64,
    now: Progress,
}

impl Pace {
    /// Nothing is done.
    pub(super) fn new(now: Instant) -> Self {
        Self { phase: Phase::default(), begun: now, done_before: 0, now: Progress::default() }
    }

    /// How far it is.
    pub(super) fn note(&mut self, progress: Progress, now: Instant) {
        if progress.phase != self.phase {
            *self = Self { phase: progress.phase, begun: now, done_before: progress.done, now: progress };
        }
        self.now = progress;
    }

    /// A line for people.
    pub(super) fn line(&self, now: Instant) -> String {
        let Progress { phase, done, total } = self.now;
        let seconds = now.duration_since(self.begun).as_secs_f64().max(0.001);
        let rate = done.saturating_sub(self.done_before) as f64 / seconds;
        let words = phase.words();
        let (so_far, per_second) = (number(done), number(rate as u64));
        if total == 0 {
            return format!("{words}: {so_far} rows, {per_second} rows/s");
        }
        let left = match rate {
            rate if rate >= 1.0 => duration(Duration::from_secs_f64(total.saturating_sub(done) as f64 / rate)),
            _ => "?".to_owned(),
        };
        format!("{words}: {so_far} of {}, {per_second} rows/s, {left} left", number(total))
    }
}

/// 1234567 as 1,234,567.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 95 s as 1 min 35 s.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A URL without what must not be seen: whatever stands between the user and the host, and parameters that are no plain
/// words or are about passwords.
pub(super) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| *scheme != "sqlite") else {
        return url.to_owned();
    };
    // A password may hold anything, an @ or a ? too.
    let (user, rest) = rest.rsplit_once('@').map_or((None, rest), |(user, rest)| (Some(user), rest));
    let user = match user.map(|user| user.split_once(':').map_or((user, ""), |(user, _)| (user, ":…"))) {
        Some((user, password)) => format!("{user}{password}@"),
        None => String::new(),
    };
    let (place, parameters) = rest.split_once('?').map_or((rest, None), |(place, rest)| (place, Some(rest)));
    let shown = |parameter: &str| {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_plain && !name.contains("pass") { parameter.to_owned() } else { "…".to_owned() }
    };
    let parameters = parameters.map(|parameters| parameters.split('&').map(shown).collect::<Vec<_>>().join("&"));
    format!("{scheme}://{user}{place}{}", parameters.map(|parameters| format!("?{parameters}")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations() {
        assert_eq!([0, 12, 123, 1234, 123_456, 1_234_567].map(number).join(" "), "0 12 123 1,234 123,456 1,234,567");
        let seconds = |seconds| duration(Duration::from_secs_f64(seconds));
        assert_eq!([0.04, 9.9, 59.9, 95.0, 7322.0].map(seconds).join(" "), "0.0 s 9.9 s 59 s 1 min 35 s 2 h 2 min");
    }

    #[test]
    fn a_password_is_not_shown() {
        for url in [
            "postgres://u:hush@h:1/d",
            "postgres://u:hu/hush@h/d?sslmode=require",
            "postgres://u:h@hush@h/d",
            "postgres://u:hush?hush@h/d",
            "postgres://u@h/d?password=hush",
            "postgres://u@h/d?p%61ssword=hush&sslmode=require",
        ] {
            let shown = without_password(url);
            assert!(!shown.contains("hush") && shown.contains('…'), "{shown}");
        }
        for url in
            ["postgres://u@h/d?options=-csearch_path%3Ds", "sqlite:a/b.db", "sqlite:///a@b:c/d.db", "postgres://h"]
        {
            assert_eq!(without_password(url), url);
        }
    }

    #[test]
    fn progress_is_counted_from_where_a_phase_begins() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut pace = Pace::new(begun);
        pace.note(Progress { phase: Phase::Looking, done: 500, total: 0 }, at(1));
        assert_eq!(pace.line(at(1)), "looking at the source: 500 rows, 500 rows/s");
        // A resumed one: a part was done before.
        pace.note(Progress { phase: Phase::Log, done: 1000, total: 5000 }, at(10));
        assert_eq!(pace.line(at(11)), "copying the log: 1,000 of 5,000, 0 rows/s, ? left");
        pace.note(Progress { phase: Phase::Log, done: 2000, total: 5000 }, at(20));
        assert_eq!(pace.line(at(20)), "copying the log: 2,000 of 5,000, 100 rows/s, 30 s left");
    }
}
