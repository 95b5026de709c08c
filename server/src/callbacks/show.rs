//! How the server's answers look for a person.

use chat::id::Timestamp;
use chat::port::Clock;
use serde_json::Value;

use super::table::{Cell, Column, Side, WIDTH, cut, table, wrap};
use crate::moment;
use crate::terminal::{Tone, paint, printable};

use Side::{Left, Right};

/// More of a body than this hides what is around it; `--json` shows all.
const MOST_LINES: usize = 60;

/// An endpoint's name in a table; `--json` shows all of a longer one.
const NAME: usize = 20;

/// Colours or not, and what the time is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    colours: bool,
    now: Timestamp,
}

impl Style {
    /// As it is now.
    pub(crate) fn now(colours: bool, clock: &dyn Clock) -> Self {
        Self { colours, now: clock.now() }
    }

    fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colours, tone, text)
    }

    fn ago(&self, value: &Value) -> String {
        value.as_i64().map_or_else(String::new, |millis| moment::relative(Timestamp::from_millis(millis), self.now))
    }

    /// Every endpoint a row; under them what needs more words.
    pub(crate) fn status(&self, answer: &Value) -> String {
        let endpoints = list(&answer["endpoints"]);
        let tunnels: String = list(&answer["tunnels"]).iter().map(tunnel).collect();
        if endpoints.is_empty() {
            let nobody = "no [[endpoint]] is configured: nobody is called back".to_owned();
            return if tunnels.is_empty() { nobody } else { format!("no [[endpoint]] is configured\n\n{tunnels}") };
        }
        let columns = [
            Column("ENDPOINT", Left, NAME),
            Column("STATE", Left, 6),
            Column("LAG", Right, 9),
            Column("AGE", Right, 4),
            Column("RATE/s", Right, 7),
            Column("OK", Right, 6),
            Column("P50", Right, 7),
            Column("P99", Right, 7),
            Column("DEAD", Right, 7),
            Column("REPLAY", Right, 7),
            Column("BREAKER", Left, 9),
        ];
        let mut rows = Vec::new();
        let mut notes = String::new();
        for endpoint in endpoints {
            let name = text(&endpoint["endpoint"]);
            let calls = endpoint["calls"].as_u64().unwrap_or(0);
            let figure = |shown: String| if calls == 0 { "-".to_owned() } else { shown };
            let state = text(&endpoint["state"]);
            let breaker = text(&endpoint["breaker"]["state"]);
            rows.push(vec![
                Cell(name.clone(), Tone::Bold),
                Cell(state.clone(), state_tone(&state)),
                count(&endpoint["lag_events"], Tone::Plain),
                moment::span(endpoint["lag_seconds"].as_u64().unwrap_or(0)).into(),
                figure(rate(float(&endpoint["rate"]))).into(),
                success(endpoint["success"].as_f64()),
                figure(millis(float(&endpoint["p50_millis"]))).into(),
                figure(millis(float(&endpoint["p99_millis"]))).into(),
                count(&endpoint["dead"], Tone::Bad),
                count(&endpoint["replay"], Tone::Warning),
                Cell(breaker.clone(), if breaker == "closed" { Tone::Plain } else { Tone::Bad }),
            ]);
            for note in self.notes(endpoint) {
                notes.push_str(&format!("{}\n", wrap(&format!("{name}: {note}"), WIDTH).join("\n")));
            }
        }
        let table = table(&columns, &rows, self.colours);
        notes.push_str(&tunnels);
        if notes.is_empty() { table } else { format!("{table}\n{notes}") }
    }

    /// What a row of the status cannot say.
    fn notes(&self, endpoint: &Value) -> Vec<String> {
        let mut notes = Vec::new();
        let pause = &endpoint["pause"];
        if pause.is_object() {
            let (reason, since) = (text(&pause["reason"]), self.ago(&pause["since"]));
            notes.push(format!("paused {since} ({reason}): {}", text(&pause["detail"])));
        }
        let (failing, lagging) = (number(&endpoint["failing"]), number(&endpoint["lagging"]));
        if failing + lagging > 0 {
            let (failing, lagging) = (counted(failing, "fails", "fail"), counted(lagging, "lags", "lag"));
            notes.push(format!("{failing}, {lagging} behind the others; see `pending`"));
        }
        let dead = number(&endpoint["dead"]);
        if dead > 0 {
            let were = if dead == 1 { "event was" } else { "events were" };
            notes.push(format!("{dead} {were} given up; see `dead`"));
        }
        for gap in list(&endpoint["gaps"]) {
            let (shard, after, up_to) = (number(&gap["shard"]), number(&gap["after"]), number(&gap["up_to"]));
            let when = self.ago(&gap["time"]);
            notes.push(format!("gap: events {shard}:{} to {shard}:{up_to} were removed {when}, untold", after + 1));
        }
        let breaker = &endpoint["breaker"];
        let long = moment::span(number(&breaker["seconds"]));
        match breaker["state"].as_str() {
            Some("open") => {
                let next = match breaker["next_probe_seconds"].as_f64().unwrap_or(0.0).round() {
                    ..1.0 => String::new(),
                    seconds => format!(" after {seconds:.0} s"),
                };
                notes.push(format!("not asked for {long}: it failed too often; the next question{next} is a probe"));
            }
            Some("half_open") => {
                notes.push(format!("not asked: it failed too often; a probe is on its way, for {long} now"));
            }
            _ => {}
        }
        notes
    }

    /// Messages that wait for a verdict.
    pub(crate) fn parked(&self, answer: &Value) -> String {
        let messages = list(&answer["parked"]);
        if messages.is_empty() {
            return "no message waits for a verdict".to_owned();
        }
        let columns = [
            Column("ID", Left, 32),
            Column("SINCE", Left, 8),
            Column("DEADLINE", Left, 8),
            Column("THEN", Left, 6),
            Column("ROUND", Right, 5),
            Column("SENDER", Left, 12),
            Column("TEXT", Left, WIDTH),
        ];
        let row = |parked: &Value| {
            let message = &parked["message"];
            let words: Vec<String> = list(&message["elements"])
                .iter()
                .map(|element| element["text"].as_str().map_or_else(|| text(&element["type"]), str::to_owned))
                .collect();
            let default = text(&parked["default"]);
            vec![
                Cell(text(&parked["id"]), Tone::Bold),
                self.ago(&parked["since"]).into(),
                self.ago(&parked["until"]).into(),
                Cell(default.clone(), if default == "allow" { Tone::Good } else { Tone::Warning }),
                number(&parked["round"]).to_string().into(),
                text(&message["sender"]).into(),
                words.join(" ").into(),
            ]
        };
        let rows: Vec<_> = messages.iter().map(row).collect();
        let table = table(&columns, &rows, self.colours);
        match answer["next"].as_str() {
            Some(next) => format!("{table}\nmore: --after {next}\n"),
            None => table,
        }
    }

    /// What a verdict came to.
    pub(crate) fn decided(&self, parked: &Value) -> String {
        let (id, decision) = (text(&parked["id"]), &parked["decision"]);
        // The backend's words, and as many as it likes.
        let words = match decision["outcome"].as_str() {
            Some("sent") => format!("{id} was sent, as number {}", number(&parked["message"]["seq"])),
            Some("refused") => format!("{id} was not sent, because things have changed: {}", text(&decision["why"])),
            Some("rejected") => match decision["info"].as_str().unwrap_or_default() {
                "" => format!("{id} was rejected"),
                info => format!("{id} was rejected: {info}"),
            },
            Some(outcome) => format!("{id} was {outcome}"),
            None => {
                let (endpoint, until) = (text(&parked["endpoint"]), self.ago(&parked["until"]));
                format!("{id} waits again, for {endpoint}, until {until}: round {}", number(&parked["round"]))
            }
        };
        printable(&words)
    }

    /// What waits for each endpoint out of turn.
    pub(crate) fn pending(&self, answer: &Value) -> String {
        let mut shown = String::new();
        for endpoint in list(&answer["endpoints"]) {
            let (name, state) = (text(&endpoint["endpoint"]), text(&endpoint["state"]));
            let lag = number(&endpoint["lag_events"]);
            let state = self.paint(state_tone(&state), &state);
            shown.push_str(&format!("{}: {state}, {lag} events behind\n", self.paint(Tone::Bold, &name)));
            shown.push_str(&self.failing(endpoint));
            let letters = list(&endpoint["letters"]);
            if !letters.is_empty() {
                let total = number(&endpoint["letters_total"]);
                shown.push_str(&format!("  {total} to be told again:\n"));
                shown.push_str(&self.letters(letters, "DUE"));
            }
        }
        shown
    }

    fn failing(&self, endpoint: &Value) -> String {
        let failing = list(&endpoint["failing"]);
        if failing.is_empty() {
            return String::new();
        }
        let columns = [
            Column("EVENT", Left, 32),
            Column("ABOUT", Left, 26),
            Column("FAILED", Right, 6),
            Column("SINCE", Left, 9),
            Column("NEXT", Left, 20),
        ];
        let rows: Vec<_> = failing
            .iter()
            .map(|one| {
                let trouble = &one["trouble"];
                let next = if trouble.is_null() { "with the endpoint".to_owned() } else { self.ago(&trouble["due"]) };
                let event = one["event"].as_str().unwrap_or("(in the log)");
                let (about, times) = (subject(&one["subject"]), number(&one["times"]).to_string());
                vec![event.into(), about.into(), times.into(), self.ago(&trouble["since"]).into(), next.into()]
            })
            .collect();
        let total = number(&endpoint["failing_total"]);
        format!("  {}:\n{}", counted(total, "fails", "fail"), table(&columns, &rows, self.colours))
    }

    fn letters(&self, letters: &[Value], at: &'static str) -> String {
        let columns = [
            Column("EVENT", Left, 32),
            Column("ENDPOINT", Left, NAME),
            Column("TRIES", Right, 5),
            Column(at, Left, 9),
            Column("WHY", Left, WIDTH),
        ];
        let rows: Vec<_> = letters
            .iter()
            .map(|letter| {
                let tries = number(&letter["attempts"]).to_string();
                let (event, endpoint) = (text(&letter["event"]), text(&letter["endpoint"]));
                let (at, why) = (self.ago(&letter["at"]), text(&letter["why"]));
                vec![event.into(), endpoint.into(), tries.into(), at.into(), why.into()]
            })
            .collect();
        table(&columns, &rows, self.colours)
    }

    /// A page of dead letters.
    pub(crate) fn dead(&self, answer: &Value) -> String {
        let letters = list(&answer["letters"]);
        let totals = answer["dead"].as_object().into_iter().flatten();
        let total: u64 = totals.filter_map(|(_, count)| count.as_u64()).sum();
        if letters.is_empty() {
            return if total == 0 { "no dead letters".to_owned() } else { "no more dead letters".to_owned() };
        }
        let mut shown = self.letters(letters, "SINCE");
        if let Some(next) = answer["next"].as_str() {
            shown.push_str(&format!("\n{} of {total}; go on with --after {next}\n", letters.len()));
        }
        shown
    }

    /// One event, and what became of it at each endpoint.
    pub(crate) fn event(&self, answer: &Value) -> String {
        let event = &answer["event"];
        let time = event["time"].as_i64().map(Timestamp::from_millis).unwrap_or_default();
        let (kind, about) = (text(&event["kind"]), subject(&event["subject"]));
        let mut shown = format!(
            "{} {kind} in {about}\n  {} ({}), at {}:{} in the log\n",
            self.paint(Tone::Bold, &text(&event["id"])),
            moment::exact(time),
            moment::relative(time, self.now),
            number(&event["shard"]),
            number(&event["position"]),
        );
        for endpoint in list(&answer["endpoints"]) {
            shown.push('\n');
            shown.push_str(&self.at_endpoint(endpoint));
        }
        shown
    }

    fn at_endpoint(&self, endpoint: &Value) -> String {
        let state = text(&endpoint["state"]);
        let tone = match state.as_str() {
            "told" => Tone::Good,
            "dead" => Tone::Bad,
            "not_owed" => Tone::Dim,
            _ => Tone::Warning,
        };
        let mut headline = text(&endpoint["why"]);
        if !endpoint["due"].is_null() {
            headline.push_str(&format!("; next attempt {}", self.ago(&endpoint["due"])));
        }
        let refused = number(&endpoint["refused"]);
        if refused > 0 {
            headline.push_str(&format!("; refused {refused} times"));
        }
        let name = text(&endpoint["endpoint"]);
        let start = format!("{name}: {} (", state.replace('_', " "));
        let mut lines = wrap(&format!("{start}{headline})"), WIDTH);
        if let Some(first) = lines.first_mut() {
            *first = first.replacen(&state.replace('_', " "), &self.paint(tone, &state.replace('_', " ")), 1);
        }
        let mut shown = lines.join("\n");
        shown.push('\n');
        shown.push_str(&self.request(&endpoint["request"]));
        let attempts = list(&endpoint["attempts"]);
        if !attempts.is_empty() {
            let columns = [
                Column("  ATTEMPT", Left, 26),
                Column("TOOK", Right, 7),
                Column("STATUS", Right, 6),
                Column("OUTCOME", Left, 16),
                Column("ANSWER", Left, WIDTH),
            ];
            let rows: Vec<_> = attempts.iter().map(attempt_row).collect();
            shown.push_str(&table(&columns, &rows, self.colours));
        }
        shown
    }

    fn request(&self, request: &Value) -> String {
        if request.is_null() {
            return String::new();
        }
        let mut shown = indented(&format!("{} {}", text(&request["method"]), text(&request["url"])), "  ");
        for header in list(&request["headers"]) {
            shown.push_str(&indented(&format!("{}: {}", text(&header[0]), text(&header[1])), "  "));
        }
        let body = serde_json::to_string_pretty(&request["body"]).unwrap_or_default();
        for line in body.lines().take(MOST_LINES) {
            shown.push_str(&self.paint(Tone::Dim, &format!("    {}", cut(line, WIDTH - 4))));
            shown.push('\n');
        }
        if body.lines().count() > MOST_LINES {
            shown.push_str("    … (--json shows all of it)\n");
        }
        shown
    }

    /// What a replay did.
    pub(crate) fn replayed(&self, answer: &Value) -> String {
        let dry_run = answer["dry_run"] == true;
        let columns = [
            Column("ENDPOINT", Left, NAME),
            Column(if dry_run { "WOULD BE TOLD" } else { "TOLD AGAIN" }, Right, 13),
            Column("FROM DEAD", Right, 9),
            Column("ALREADY", Right, 9),
            Column("COMING", Right, 9),
            Column("NOT OWED", Right, 9),
        ];
        let rows: Vec<_> = list(&answer["endpoints"])
            .iter()
            .map(|of| {
                let mut row = vec![Cell(text(&of["endpoint"]), Tone::Bold)];
                let names = ["letters", "from_dead", "already", "coming", "not_owed"];
                row.extend(names.map(|name| count(&of[name], Tone::Plain)));
                row
            })
            .collect();
        let mut shown = table(&columns, &rows, self.colours);
        let coming: u64 = list(&answer["endpoints"]).iter().map(|of| number(&of["coming"])).sum();
        if coming > 0 {
            shown.push_str(&format!("\n{coming} are not told yet: they come anyway, and are not replayed.\n"));
        }
        let first = list(&answer["first"]);
        if dry_run && !first.is_empty() {
            let columns = [
                Column("EVENT", Left, 32),
                Column("AT", Left, 14),
                Column("ENDPOINT", Left, NAME),
                Column("COMMAND", Left, WIDTH),
            ];
            let rows: Vec<_> = first
                .iter()
                .map(|letter| {
                    let at = format!("{}:{}", number(&letter["shard"]), number(&letter["position"]));
                    let (event, endpoint) = (text(&letter["event"]), text(&letter["endpoint"]));
                    vec![event.into(), at.into(), endpoint.into(), text(&letter["command"]).into()]
                })
                .collect();
            shown.push_str(&format!("\nThe first of them:\n{}", table(&columns, &rows, self.colours)));
        }
        if dry_run {
            shown.push_str("\nNothing was done: this was a dry run.\n");
        }
        shown
    }

    pub(crate) fn skipped(&self, answer: &Value) -> String {
        let names: Vec<String> = list(&answer["skipped"]).iter().map(text).collect();
        let event = text(&answer["event"]);
        let words = "it is a dead letter now, and what waited behind it goes on";
        wrap(&format!("skipped {event} for {}: {words}", names.join(", ")), WIDTH).join("\n")
    }

    pub(crate) fn paused(&self, answer: &Value) -> String {
        format!("{} is paused: its events wait until it is resumed", text(&answer["endpoint"]))
    }

    pub(crate) fn resumed(&self, answer: &Value) -> String {
        let (name, ended) = (text(&answer["endpoint"]), &answer["ended"]);
        if ended.is_null() {
            return format!("{name} was not paused; if it is down, it is tried at once");
        }
        let (since, reason) = (self.ago(&ended["since"]), text(&ended["reason"]));
        format!("{name} is called again; it was paused {since} ({reason})")
    }

    /// A test, and what the endpoint made of it.
    pub(crate) fn tested(&self, answer: &Value) -> String {
        let outcome = text(&answer["outcome"]);
        let tone = if answer["is_fine"] == true { Tone::Good } else { Tone::Bad };
        let status = answer["status"].as_u64().map(|status| format!("HTTP {status}, ")).unwrap_or_default();
        let took = millis(float(&answer["took_millis"]));
        let mut shown = self.request(&answer["request"]);
        let verdict = format!("{status}{took}, {outcome}: {}", text(&answer["detail"]));
        let verdict = wrap(&verdict, WIDTH).join("\n").replacen(&outcome, &self.paint(tone, &outcome), 1);
        shown.push_str(&format!("\n{verdict}\n"));
        let body = text(&answer["answer"]);
        if !body.is_empty() {
            shown.push_str(&indented(&body, "  "));
        }
        shown
    }
}

fn attempt_row(attempt: &Value) -> Vec<Cell> {
    let time = attempt["time"].as_i64().map(Timestamp::from_millis).unwrap_or_default();
    let outcome = text(&attempt["outcome"]);
    let tone = if outcome == "told" { Tone::Good } else { Tone::Bad };
    let status = attempt["status"].as_u64().map_or_else(|| "-".to_owned(), |status| status.to_string());
    vec![
        format!("  {}", moment::exact(time)).into(),
        millis(float(&attempt["took_millis"])).into(),
        status.into(),
        Cell(outcome, tone),
        text(&attempt["detail"]).into(),
    ]
}

/// A text of any length, in lines that fit.
fn indented(text: &str, indent: &str) -> String {
    let line = |line: String| format!("{indent}{line}\n");
    wrap(text, WIDTH - indent.len()).into_iter().map(line).collect()
}

fn state_tone(state: &str) -> Tone {
    match state {
        "up" => Tone::Good,
        "held" => Tone::Warning,
        _ => Tone::Bad,
    }
}

/// A client that listens, on a line of its own, ended.
fn tunnel(tunnel: &Value) -> String {
    let (name, in_flight) = (text(&tunnel["tunnel"]), number(&tunnel["in_flight"]));
    let heard = moment::span(number(&tunnel["silent_seconds"]));
    format!("{name}: a client listens (ringback listen --forward), heard {heard} ago; {in_flight} calls in flight\n")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// A number that is dim if it is 0.
fn count(value: &Value, tone: Tone) -> Cell {
    match number(value) {
        0 => Cell("0".to_owned(), Tone::Dim),
        number => Cell(number.to_string(), tone),
    }
}

fn success(part: Option<f64>) -> Cell {
    match part {
        None => "-".into(),
        // Never rounded up to all of them.
        Some(part) => {
            let percent = (part * 1000.0).floor() / 10.0;
            let tone = if percent >= 99.0 { Tone::Good } else { Tone::Bad };
            Cell(format!("{percent}%"), tone)
        }
    }
}

fn rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// So many conversations do something.
fn counted(count: u64, does: &str, they_do: &str) -> String {
    match count {
        1 => format!("1 conversation {does}"),
        count => format!("{count} conversations {they_do}"),
    }
}

fn millis(millis: f64) -> String {
    match millis {
        ..10.0 => format!("{millis:.1}ms"),
        10.0..10_000.0 => format!("{millis:.0}ms"),
        _ => format!("{:.0}s", millis / 1000.0),
    }
}

/// What an event is about, in few words.
fn subject(subject: &Value) -> String {
    if let Some(pair) = subject["direct"].as_array() {
        return format!("{} and {}", text(&pair[0]), text(&pair[1]));
    }
    if let Some(pair) = subject["topic"].as_array() {
        return format!("topic {} of {}", text(&pair[1]), text(&pair[0]));
    }
    if let Some(group) = subject["group"].as_str() {
        return format!("group {group}");
    }
    if let Some(account) = subject["account"].as_str() {
        return format!("account {account}");
    }
    "the app".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STYLE: Style = Style { colours: false, now: Timestamp::from_millis(1_795_255_200_000) };

    fn fits(shown: &str) {
        for line in shown.lines() {
            assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
        }
    }

    /// The widest of everything still fits.
    #[test]
    fn a_status_fits_and_says_what_is_wrong() {
        let answer = json!({ "endpoints": [{
            "endpoint": "n".repeat(64), "state": "paused", "lag_events": 123_456_789, "lag_seconds": 900_000,
            "calls": 1024, "rate": 12345.6, "success": 0.99999, "p50_millis": 59_999.9, "p99_millis": 59_999.9,
            "dead": 9_999_999, "replay": 1_000_000, "failing": 3, "lagging": 4,
            "pause": { "reason": "too_far_behind", "detail": "x".repeat(200), "since": 1_795_255_100_000_i64 },
            "gaps": [{ "shard": 0, "after": 16, "up_to": 99, "time": 1_795_255_100_000_i64 }],
            "breaker": { "state": "half_open", "seconds": 7, "failures": 3, "next_probe_seconds": null },
        }]});
        let shown = STYLE.status(&answer);
        fits(&shown);
        for words in
            ["99.9%", "paused 100s ago (too_far_behind)", "half_open", "0:17 to 0:99", "`dead`", "is on its way"]
        {
            assert!(shown.replace('\n', " ").contains(words), "{words}: {shown}");
        }
        assert!(!shown.contains("the next question"), "that one is asked already: {shown}");
        let tunnel = json!({ "tunnel": "listen-0badcafe", "in_flight": 2, "silent_seconds": 3 });
        let shown = STYLE.status(&json!({ "endpoints": [], "tunnels": [tunnel] }));
        let line = "listen-0badcafe: a client listens (ringback listen --forward), heard 3s ago; 2 calls in flight\n";
        assert!(shown.ends_with(line) && !shown.contains("nobody"), "{shown}");
        fits(&shown);
        assert_eq!(STYLE.status(&json!({ "endpoints": [] })), "no [[endpoint]] is configured: nobody is called back");
    }

    #[test]
    fn everything_else_fits() {
        let letter = json!({ "endpoint": "e".repeat(64), "event": "0".repeat(32), "attempts": 64,
            "at": 1_795_255_000_000_i64, "why": "bad_status 500: ".repeat(20), "shard": 0, "position": 7,
            "command": "Group.CallbackAfterGroupInfoChanged" });
        let failing = json!({ "event": "0".repeat(32), "subject": { "topic": ["g".repeat(96), "t".repeat(96)] },
            "times": 64, "trouble": { "since": 1, "due": 1_795_999_000_000_i64 } });
        fits(&STYLE.dead(&json!({ "letters": [letter], "dead": { "e": 7 } })));
        fits(&STYLE.pending(&json!({ "endpoints": [{ "endpoint": "e", "state": "down", "lag_events": 7,
            "failing": [failing], "failing_total": 1, "letters": [letter], "letters_total": 1 }] })));
        fits(&STYLE.replayed(&json!({ "dry_run": true, "endpoints": [{ "endpoint": "e".repeat(64),
            "letters": 1_000_000, "from_dead": 0, "already": 0, "coming": 7, "not_owed": 123_456 }],
            "first": [letter] })));
        let request = json!({ "method": "POST", "url": format!("http://h/{}", "u".repeat(300)),
            "headers": [["webhook-signature", "s".repeat(200)]], "body": { "text": "b".repeat(300) } });
        let shown = STYLE.event(&json!({ "event": { "id": "0".repeat(32), "time": 1_795_255_000_000_i64, "shard": 0,
            "position": 7, "kind": "message_sent", "subject": { "direct": ["alice", "bob"] } },
            "endpoints": [{ "endpoint": "e".repeat(64), "state": "pending", "why": "w".repeat(200), "due": null,
            "refused": 2, "request": request, "attempts": [{ "time": 1, "took_millis": 60_000, "outcome": "not_acknowledged",
            "status": 200, "detail": "d".repeat(256) }] }] }));
        fits(&shown);
        assert!(shown.contains("alice and bob") && shown.contains("1970-01-01T00:00:00.001Z"), "{shown}");
        fits(&STYLE.tested(&json!({ "request": request, "outcome": "reject", "is_fine": true, "status": 200,
            "took_millis": 3, "detail": "d".repeat(300), "answer": "a".repeat(256) })));
    }

    #[test]
    fn a_share_is_never_rounded_up() {
        assert_eq!(
            (success(Some(0.9999)).0, success(Some(1.0)).0, success(None).0),
            ("99.9%".into(), "100%".into(), "-".into())
        );
    }
}
