//! `bench hang`: what a receiver that hangs on every after-callback does to sends.
//!
//! Three servers run side by side: without callbacks, with an endpoint whose receiver takes 30 s for every answer, and
//! once more without callbacks. They are driven in short turns, so that whatever else happens on the machine happens to
//! all of them. How far the two without callbacks are apart is what the comparison can tell at best.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;

use crate::clock::{NEVER_RESTED, micros_each, process, wait_until_quiet};
use crate::load::Until;
use crate::machine::Machine;
use crate::report::{Report, Section, median, percentile_millis};
use crate::send::seconds;
use crate::server::{Endpoint, Server};
use crate::side::{Side, Traffic, Usual};
use crate::sink::{OpenSink, Sink};
use crate::tencent::random_bytes;
use crate::{Common, Result, at_least};

/// Longer than the receiver hangs, so that its calls keep their places all that time. The server allows no more.
const TIMEOUT_SECONDS: u32 = 60;

/// One in so many places may be between two calls.
const BETWEEN: usize = 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Turns of each server in a round.
    #[arg(long, default_value_t = 12, value_parser = at_least::<1>)]
    turns: usize,
    /// How long a turn is.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// How long the receiver hangs before it answers, in seconds; less than a call may take.
    #[arg(long, default_value_t = 30.0, value_parser = hangs)]
    hangs: f64,
    /// Calls in flight at once; the receiver holds them all.
    #[arg(long, default_value_t = 64, value_parser = at_least::<1>)]
    concurrency: usize,
    /// Keep-alive connections, each with one send in flight.
    #[arg(long, default_value_t = 64, value_parser = at_least::<1>)]
    connections: usize,
    /// One-to-one conversations, picked at random for each send.
    #[arg(long, default_value_t = 2_000, value_parser = at_least::<1>)]
    conversations: usize,
    #[command(flatten)]
    usual: Usual,
}

/// What one round found of one server.
#[derive(Default)]
struct Round {
    latencies: Vec<Duration>,
    elapsed: Duration,
    cpu: Duration,
    /// The 99th percentile of each turn.
    p99s: Vec<f64>,
}

/// By the order in which they have their first turns.
const WITHOUT: usize = 0;
const HANGING: usize = 1;
const CONTROL: usize = 2;

pub(crate) fn run(runtime: &Runtime, common: &Common, args: &Args) -> Result<Report> {
    let binary = Server::find(common)?;
    let machine = Machine::ask(&common.parent())?;
    let sink = Sink::reserve()?;
    let endpoint = Endpoint {
        name: "sink".to_owned(),
        sink: sink.address(),
        concurrency: args.concurrency,
        key: random_bytes()?,
        timeout: TIMEOUT_SECONDS,
    };
    let sink = sink.open_late(true, Duration::from_secs_f64(args.hangs))?;
    let traffic =
        Traffic { connections: args.connections, conversations: args.conversations, text_bytes: args.usual.text_bytes };
    let start = |endpoints: &[Endpoint]| Side::start(runtime, common, &args.usual.store, traffic, endpoints);
    let mut sides = [start(&[])?, start(&[endpoint])?, start(&[])?];
    let settings = json!({
        "rounds": common.rounds, "turns": args.turns, "seconds": args.seconds, "hangs": args.hangs,
        "concurrency": args.concurrency, "connections": args.connections, "conversations": args.conversations,
        "text-bytes": args.usual.text_bytes, "store": args.usual.store.in_words(),
    });
    let mut report = Report::new("hang", machine, binary.display().to_string(), settings);

    // Not measured: the first message of every conversation, which creates it.
    for side in &mut sides {
        side.drive(runtime, Until::Sent(args.conversations))?;
    }
    let mut rounds = Vec::new();
    let mut rested = true;
    for number in 1..=common.rounds {
        eprintln!("round {number} of {}", common.rounds);
        let mut round = [Round::default(), Round::default(), Round::default()];
        for turn in 0..args.turns {
            for place in 0..sides.len() {
                // Each comes first, second and third equally often.
                let which = (place + turn) % sides.len();
                rested &= drive(&mut sides[which], runtime, args, &mut round[which])?;
            }
        }
        round.iter_mut().for_each(|round| round.latencies.sort_unstable());
        rounds.push(round);
    }
    let calls = check(sink, args)?;

    report.sections = sections(&rounds, calls);
    if !rested {
        report.cautions.push(NEVER_RESTED.to_owned());
    }
    Ok(report)
}

/// Drives a server for one turn, and waits until it has done what it put off. Says whether it came to rest.
fn drive(side: &mut Side, runtime: &Runtime, args: &Args, round: &mut Round) -> Result<bool> {
    let cpu = process(side.server.pid())?;
    let tally = side.drive(runtime, Until::Elapsed(Duration::from_secs_f64(args.seconds)))?;
    let rested = wait_until_quiet(|| process(side.server.pid()))? && side.store.settle(runtime)?;
    round.cpu += process(side.server.pid())? - cpu;
    round.elapsed += tally.elapsed;
    round.p99s.push(percentile_millis(&tally.latencies, 0.99));
    round.latencies.extend(tally.latencies);
    Ok(rested)
}

/// The receiver hung: it holds the calls that it may get, give or take those places that are between two calls. Gives how
/// many it got in all.
fn check(sink: OpenSink, args: &Args) -> Result<usize> {
    let now = Instant::now();
    let since: Vec<_> = sink.close()?.calls.iter().map(|call| now - call.arrived).collect();
    held(&since, args).map(|()| since.len())
}

/// `since`: how long ago each call came.
fn held(since: &[Duration], args: &Args) -> Result<()> {
    let held = since.iter().filter(|since| since.as_secs_f64() < args.hangs).count();
    // One conversation has one call at a time.
    let most = args.concurrency.min(args.conversations);
    if held >= most - most / BETWEEN {
        return Ok(());
    }
    let calls = since.len();
    Err(format!("it did not hang: of {calls} calls at the receiver it held {held} at the end, and may hold {most}")
        .into())
}

fn sections(rounds: &[[Round; 3]], calls: usize) -> Vec<Section> {
    let of = |side: usize, value: fn(&Round) -> f64| rounds.iter().map(|round| value(&round[side])).collect::<Vec<_>>();
    let ratio = |side: usize, value: fn(&Round) -> f64| {
        rounds.iter().map(|round| value(&round[side]) / value(&round[WITHOUT])).collect::<Vec<_>>()
    };
    let rate = |round: &Round| round.latencies.len() as f64 / round.elapsed.as_secs_f64();
    let p50 = |round: &Round| percentile_millis(&round.latencies, 0.5);
    let p99 = |round: &Round| percentile_millis(&round.latencies, 0.99);
    let middle = |round: &Round| median(&round.p99s);
    let cpu = |round: &Round| micros_each(round.cpu, round.latencies.len());
    let side = |title: &str, side: usize| {
        Section::new(title)
            .metric("acknowledged", "msg/s", of(side, rate))
            .metric("latency, median", "ms", of(side, p50))
            .metric("latency, 99 %", "ms", of(side, p99))
            .metric("latency, 99 %, the middle one of the turns", "ms", of(side, middle))
            .metric("server CPU", "µs/msg", of(side, cpu))
    };
    vec![
        side("Without callbacks", WITHOUT),
        side("With a receiver that hangs on every call", HANGING).metric(
            "calls that it got, all rounds",
            "",
            vec![calls as f64],
        ),
        side("Once more without callbacks", CONTROL),
        Section::new("Ratios, to the first without callbacks")
            .metric("hanging: 99 % latency", "", ratio(HANGING, p99))
            .aim("at most 1.05")
            .metric("hanging: 99 % latency, the middle turn", "", ratio(HANGING, middle))
            .metric("hanging: msg/s", "", ratio(HANGING, rate))
            .metric("once more without: 99 % latency", "", ratio(CONTROL, p99))
            .aim("1, or nothing is told")
            .metric("once more without: 99 %, the middle turn", "", ratio(CONTROL, middle))
            .metric("once more without: msg/s", "", ratio(CONTROL, rate)),
    ]
}

/// Within what a call may take: else it ends before the receiver answers.
fn hangs(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..f64::from(TIMEOUT_SECONDS)).contains(&seconds) => Ok(seconds),
        _ => Err(format!("from 0.1 to less than {TIMEOUT_SECONDS}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn calls_that_were_answered_are_not_held() {
        let since = |held: usize, answered: usize| {
            let held = vec![Duration::from_secs(29); held];
            held.into_iter().chain(vec![Duration::from_secs(31); answered]).collect::<Vec<_>>()
        };
        for (words, calls, is_fine) in [
            ("hang", since(64, 0), true),
            ("hang", since(58, 64), true),
            ("hang", since(57, 64), false),
            ("hang", since(0, 64), false),
            ("hang --concurrency 1", since(1, 0), true),
            ("hang --concurrency 1", since(0, 1), false),
            ("hang --conversations 10", since(9, 0), true),
        ] {
            let Line { args } = Line::parse_from(words.split(' '));
            assert_eq!(held(&calls, &args).is_ok(), is_fine, "{words}: {} calls", calls.len());
        }
    }
}
