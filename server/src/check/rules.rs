//! The rules of `ringback check`: from facts to findings. Pure, and each in the words of an operator.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use webhook::failure::{NotReached, Stage};
use webhook::filter::Filter;

use super::facts::{Called, Command, Facts, Reached, ServerSeen, Standing, Status};
use crate::moment;

/// Receivers accept signatures some minutes old or young; Tencent's documents advise one.
const MOST_SKEW_MILLIS: i64 = 60_000;

/// More behind than this is not a moment's work.
const MUCH_LAG_SECONDS: u64 = 60;

/// A smaller part of all calls that are told than this is worth a look.
const LEAST_SUCCESS: f64 = 0.9;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// Which endpoint; none: it is about all of them.
    pub(super) endpoint: Option<String>,
    /// A stable name of the rule.
    pub(super) rule: &'static str,
    /// What was found.
    pub(super) what: String,
    /// What would be right, where something is wrong.
    pub(super) right: Option<String>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// Nothing is wrong.
    Ok,
    /// It works, and not as well as it should, or not for long.
    Warn,
    /// Calls fail, or are not made.
    Error,
}

/// Collects the findings about one endpoint.
struct Findings {
    endpoint: Option<String>,
    all: Vec<Finding>,
}

impl Findings {
    fn about(endpoint: Option<&str>) -> Self {
        Self { endpoint: endpoint.map(str::to_owned), all: Vec::new() }
    }

    fn ok(&mut self, rule: &'static str, what: impl Into<String>) {
        self.all.push(Finding {
            level: Level::Ok,
            endpoint: self.endpoint.clone(),
            rule,
            what: what.into(),
            right: None,
        });
    }

    fn wrong(&mut self, level: Level, rule: &'static str, what: impl Into<String>, right: impl Into<String>) {
        let right = Some(right.into());
        self.all.push(Finding { level, endpoint: self.endpoint.clone(), rule, what: what.into(), right });
    }

    fn warn(&mut self, rule: &'static str, what: impl Into<String>, right: impl Into<String>) {
        self.wrong(Level::Warn, rule, what, right);
    }

    fn error(&mut self, rule: &'static str, what: impl Into<String>, right: impl Into<String>) {
        self.wrong(Level::Error, rule, what, right);
    }
}

/// What is said once, whatever the endpoints are.
pub(super) fn judge_all(endpoints: usize, server: &ServerSeen) -> Vec<Finding> {
    let mut found = Findings::about(None);
    if endpoints == 0 {
        let right = "an [[endpoint]] with name, dialect, url and commands; `ringback config` shows one";
        found.error("no_endpoint", "no endpoint is configured: nobody is called back", right);
    }
    match server {
        ServerSeen::Away(words) => found.warn(
            "server",
            format!("no running server was asked how the endpoints stand: {words}"),
            "a running server, or --server with its URL",
        ),
        ServerSeen::Refuses(words) => found.error(
            "server",
            format!("the running server does not say how the endpoints stand: {words}"),
            "the --config and --data-dir that `ringback serve` was given",
        ),
        ServerSeen::Runs { time, now } => {
            let skew = time.map_or(0, |time| time.millis() - now.millis());
            if skew.abs() > MOST_SKEW_MILLIS {
                let what = format!("the running server's clock is {} this machine's", apart(skew));
                found.warn("clock", what, "both clocks set by NTP");
            } else {
                found.ok("server", "the running server answers");
            }
        }
    }
    found.all
}

/// All findings about one endpoint, in the order in which a call meets them.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = Findings::about(Some(&facts.name));
    subscription(facts, &mut found);
    network(facts, &mut found);
    for called in &facts.calls {
        answer(facts, called, &mut found);
    }
    match &facts.standing {
        Standing::Unknown => {}
        Standing::Missing => found.error(
            "unknown_to_server",
            "the running server has no endpoint of this name",
            "a restart of the server, if the endpoint was configured after its start",
        ),
        Standing::Known(status) => standing(facts, status, &mut found),
    }
    found.all
}

fn subscription(facts: &Facts, found: &mut Findings) {
    let (produced, never): (Vec<_>, Vec<_>) = facts.commands.iter().partition(|command| command.is_produced);
    let names =
        |commands: &[&Command]| commands.iter().map(|command| command.name.as_str()).collect::<Vec<_>>().join(", ");
    if produced.is_empty() {
        let what = format!("it gets nothing: nothing in this version leads to {}", names(&never));
        return found.error(
            "never_subscribed",
            what,
            "commands = [\"*\"], or the commands that your backend waits for",
        );
    }
    // Whoever asks for everything knows that not everything is there.
    if !never.is_empty() && !facts.wants_all {
        let what = format!("nothing in this version leads to {}", names(&never));
        found.warn("never_produced", what, "to leave them out of `commands`, or to wait for a version that has them");
    }
    if produced.iter().all(|command| command.is_question) {
        let what = "it is asked before things happen, and never told what has happened";
        found.warn("only_asked", what, "an after-command in `commands`, unless that is what you want");
    }
    if let Some(why) = fits_nothing(&facts.filter, &facts.commands) {
        return found.error(
            "filter",
            format!("it gets nothing: its filter fits nothing, because {why}"),
            "another `only` or `except`",
        );
    }
    let told = produced.iter().filter(|command| !command.is_question).count();
    let asked = produced.len() - told;
    let filtered = if facts.filter.is_empty() { "" } else { ", as far as its filter lets them" };
    found.ok("subscribed", format!("subscribed: asked by {asked} commands, told by {told}{filtered}"));
}

/// Whether nothing could fit: everything that one part of `only` names, `except` names, too.
fn fits_nothing(filter: &Filter, commands: &[Command]) -> Option<String> {
    let (only, except) = (&filter.only, &filter.except);
    let within = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.is_subset(other);
    let has_places = !(only.conversations.is_empty() && only.groups.is_empty() && only.receivers.is_empty());
    let places_excluded = within(&only.conversations, &except.conversations)
        && within(&only.groups, &except.groups)
        && within(&only.receivers, &except.receivers);
    if has_places && places_excluded {
        return Some("`except` names every conversation, group and receiver that `only` names".to_owned());
    }
    let parts = [
        ("sender", &only.senders, &except.senders),
        ("group type", &only.group_types, &except.group_types),
        ("content type", &only.content_types, &except.content_types),
    ];
    for (what, wanted, excluded) in parts {
        if !wanted.is_empty() && within(wanted, excluded) {
            return Some(format!("`except` names every {what} that `only` names"));
        }
    }
    let only_groups = !only.groups.is_empty() && only.receivers.is_empty() && only.conversations.is_empty();
    let needs_groups = only_groups || !only.group_types.is_empty();
    let has_none = !commands.is_empty() && commands.iter().all(|command| command.is_of_groups == Some(false));
    (needs_groups && has_none)
        .then(|| "`only` names groups or their types, and none of its commands is about groups".to_owned())
}

fn network(facts: &Facts, found: &mut Findings) {
    let url = &facts.url;
    let through = if facts.has_proxy { " through the proxy of callbacks.proxy" } else { "" };
    // An http call is handed to the proxy whole: what is behind it was not connected to.
    let only_proxy = facts.has_proxy && url.starts_with("http:");
    match &facts.reached {
        Reached::Yes(took) if *took * 2 > facts.timeout => {
            let to = if only_proxy { "the proxy of callbacks.proxy".to_owned() } else { format!("{url}{through}") };
            let what = format!("connecting to {to} took {} of the {} that a call has", ms(*took), ms(facts.timeout));
            found.warn("slow", what, "a shorter way, or a longer `timeout`");
        }
        Reached::Yes(took) if only_proxy => found.ok(
            "reachable",
            format!(
                "the proxy of callbacks.proxy can be connected to ({}); only a call (--call) shows whether {url} can",
                ms(*took)
            ),
        ),
        Reached::Yes(took) => found.ok("reachable", format!("{url} can be connected to{through} ({})", ms(*took))),
        Reached::TooLate => {
            let what = format!(
                "no connection to {url}{through} within {} (timeout): nothing answers there",
                ms(facts.timeout)
            );
            found.error("connect", what, "a host that runs, and a firewall that lets this machine through");
        }
        Reached::No(NotReached { stage, detail }) => {
            let (rule, right) = match stage {
                Stage::Name => ("name", "a host name that this machine can resolve"),
                Stage::Guard => ("refused", "a public address, or its range in callbacks.allow"),
                Stage::Proxy => ("proxy", "a proxy that runs and lets this server through (callbacks.proxy)"),
                Stage::Connect => {
                    ("connect", "the host and port at which your backend listens, with the backend running")
                }
                Stage::Tls => {
                    ("tls", "a valid certificate for this host, from an authority of the system or of ca_file")
                }
            };
            found.error(rule, format!("{url} cannot be connected to{through}: {detail}"), right);
        }
    }
}

fn answer(facts: &Facts, called: &Called, found: &mut Findings) {
    let tested = &called.tested;
    let (command, took) = (tested.command, Duration::from_secs_f64(tested.took_millis / 1000.0));
    let said = if tested.answer.is_empty() { String::new() } else { format!(" ({})", tested.answer) };
    match tested.status {
        None => {
            let what = format!("a sample of {command} got no answer: {}", tested.detail);
            found.error("no_answer", what, "an answer within `timeout`");
        }
        Some(status @ (401 | 403)) => {
            let what =
                format!("it refuses who calls: HTTP {status} to a sample of {command}{said}; wrong secret or token?");
            found.error("refuses_caller", what, "`secret`, `token` and `headers` as the receiver has them");
        }
        Some(status @ (404 | 405)) => {
            let what = format!("nobody takes calls there: HTTP {status} to a sample of {command}");
            found.error("path", what, format!("the path that your backend serves by POST; url leads to {}", facts.url));
        }
        Some(status @ 300..=399) => {
            let what = format!("it redirects (HTTP {status}), which is never followed");
            found.error("redirect", what, "the URL that it redirects to, in `url`");
        }
        Some(410) => {
            let what = "it answers 410, which says to call no more: it would be paused";
            found.error("gone", what, "a backend that takes calls at this URL");
        }
        Some(status @ (429 | 503)) => {
            let what = format!("it says that it has too much to do: HTTP {status}{said}");
            found.warn("busy", what, "a backend that has time, or a `rate_limit`");
        }
        Some(status) if !(200..300).contains(&status) => {
            let what = format!("it failed on a sample of {command}: HTTP {status}{said}");
            found.error("bad_status", what, "any 2xx");
        }
        Some(_) if !tested.is_fine => {
            let what = format!("its answer to a sample of {command} is not understood: {}{said}", tested.detail);
            found.error("bad_body", what, "the answer that the dialect's documents show");
        }
        Some(status) => {
            let deadline = Duration::from_millis(tested.deadline_millis);
            if took * 2 > deadline {
                let what = format!("it took {} of the {} that a call has ({command})", ms(took), ms(deadline));
                found.warn("slow", what, "a backend that answers first and works afterwards, or a longer `timeout`");
            }
            if tested.outcome == "reject" {
                let what = format!("it refuses a harmless sample of {command}: {}", tested.detail);
                found.warn("rejects", what, "to let what is harmless pass, unless samples are not");
            } else {
                let what = format!(
                    "answers a sample of {command} as it should: HTTP {status}, {} ({})",
                    tested.outcome,
                    ms(took)
                );
                found.ok("answers", what);
            }
        }
    }
    clock(facts, called, found);
}

fn clock(facts: &Facts, called: &Called, found: &mut Findings) {
    let Some(date) = called.date else { return };
    let skew = date.millis() - called.now.millis();
    // `Date` has whole seconds.
    if skew.abs() <= MOST_SKEW_MILLIS + 1000 {
        return;
    }
    let what = format!("its clock is {} ours", apart(skew));
    if facts.is_signed {
        found.error("clock", format!("{what}: it takes signatures for too old or too new"), "both clocks set by NTP");
    } else {
        found.warn("clock", what, "both clocks set by NTP");
    }
}

fn standing(facts: &Facts, status: &Status, found: &mut Findings) {
    let name = &facts.name;
    let before = found.all.len();
    match (status.state.as_str(), &status.pause) {
        ("paused", Some(pause)) => {
            let what = format!(
                "it is paused since {} ({}): {}; its events wait",
                moment::exact(pause.since),
                pause.reason,
                pause.detail
            );
            found.error("paused", what, format!("`ringback callbacks resume {name}`, when the reason is gone"));
        }
        ("paused", None) => found.error("paused", "it is paused", format!("`ringback callbacks resume {name}`")),
        ("down", _) => {
            let what = "it is down: nobody answers, or everything is refused; it is probed and its events wait";
            found.error("down", what, "a backend that answers 2xx; it is found within 15 s");
        }
        ("held", _) => {
            let what = "it asked to be left alone for a while (Retry-After, 429 or 503)";
            found.warn("held", what, "to wait, or a backend that has time");
        }
        ("full", _) => {
            let what = "it is full, and nothing new is accepted from anybody (when_full = \"refuse\")";
            found.error("full", what, format!("`ringback callbacks dead {name}`, and a backend that takes its events"));
        }
        _ => {}
    }
    if matches!(status.breaker.state.as_str(), "open" | "half_open") {
        let breaker = &status.breaker;
        let what = format!(
            "its breaker is open for {} after {} failures in a row: questions are answered by on_failure, not by it",
            moment::span(breaker.seconds),
            breaker.failures
        );
        found.error("breaker", what, "a backend that answers in time; a probe finds it within 15 s");
    }
    let (lag, most) = (status.lag_seconds, facts.max_age.as_secs());
    if lag * 2 > most && status.lag_events > 0 {
        let what = format!(
            "it is {} events behind, and the oldest waits for {}, of at most {} (max_age)",
            status.lag_events,
            moment::span(lag),
            moment::span(most)
        );
        found.error(
            "too_far_behind",
            what,
            "a backend that takes its events before then: it is paused, or the server is full",
        );
    } else if lag > MUCH_LAG_SECONDS && status.lag_events > 0 {
        let what = format!("it is {} events behind, and the oldest waits for {}", status.lag_events, moment::span(lag));
        found.warn("behind", what, format!("`ringback callbacks pending {name}` shows what it waits for"));
    }
    if status.failing > 0 {
        let what = format!("the next event of {} conversations, groups or accounts fails", status.failing);
        found.warn("failing", what, format!("`ringback callbacks pending {name}` shows which and why"));
    }
    if status.dead > 0 {
        let what = format!("{} events were given up (dead letters)", status.dead);
        found.warn("dead_letters", what, format!("`ringback callbacks dead {name}`, then `ringback callbacks replay`"));
    }
    if !status.gaps.is_empty() {
        let what = format!("{} times, events were removed before it was told of them", status.gaps.len());
        found.warn("gaps", what, format!("`ringback callbacks status {name}` shows when; they cannot be replayed"));
    }
    if status.calls > 0 && status.success.is_some_and(|success| success < LEAST_SUCCESS) {
        let percent = status.success.unwrap_or_default() * 100.0;
        let what = format!("only {percent:.0} % of its newest {} calls were told", status.calls);
        found.warn("success", what, "2xx to all");
    }
    if status.p99_millis * 2.0 > facts.timeout.as_secs_f64() * 1000.0 {
        let what = format!("one in a hundred calls takes {:.0} ms, of {}", status.p99_millis, ms(facts.timeout));
        found.warn("slow", what, "a backend that answers first and works afterwards, or a longer `timeout`");
    }
    if found.all.len() == before {
        found.ok("standing", "the running server calls it, and nothing waits");
    }
}

/// "3m behind", "2s ahead of".
fn apart(millis: i64) -> String {
    let span = moment::span(millis.unsigned_abs() / 1000);
    if millis < 0 { format!("{span} behind") } else { format!("{span} ahead of") }
}

fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

#[cfg(test)]
mod tests;
