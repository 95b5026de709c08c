//! `bench callbacks`: how fast a backlog of after-callbacks drains, beside the same POSTs from a bare client.
//!
//! In each round messages are sent while the endpoint refuses connections; then it comes up, and what
//! it accepts is timed from the first call to the last. The recorded requests are then sent again,
//! byte for byte, by a bare pooled client to a sink of the same kind. All that twice: with a receiver that
//! answers at once, and with one that takes a while.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;

use crate::bare_client::replay;
use crate::clock::{NEVER_RESTED, micros_each, process, wait_until_quiet};
use crate::load::Until;
use crate::machine::Machine;
use crate::report::{Report, Section};
use crate::server::{Endpoint, Server, USUAL_TIMEOUT};
use crate::side::{Side, Traffic, Usual};
use crate::sink::{OpenSink, Recording, Sink};
use crate::store::Kind;
use crate::tencent::random_bytes;
use crate::verify::verify;
use crate::{Common, Result, at_least};

/// Connections that make the backlog; they are not what is measured.
const SENDERS: usize = 64;
/// A dead endpoint is probed every 15 s at the latest; without a new call for four times that, none will come.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Events in the backlog of each round.
    #[arg(long, default_value_t = 20_000, value_parser = at_least::<10>)]
    events: usize,
    /// Calls in flight at once, for the endpoint and for the bare client.
    #[arg(long, default_value_t = 64, value_parser = at_least::<1>)]
    concurrency: usize,
    /// One-to-one conversations that the events are spread over; within one, calls go one after the other.
    #[arg(long, default_value_t = 400, value_parser = at_least::<1>)]
    conversations: usize,
    /// Milliseconds that the slower of the two receivers takes for an answer.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    late_ms: u64,
    #[command(flatten)]
    usual: Usual,
}

/// What one round found with one of the receivers.
struct Round {
    first_call_after: f64,
    rate: f64,
    steady_rate: f64,
    server_cpu: f64,
    store_cpu: f64,
    sink_cpu: f64,
    repeats: f64,
    backlog_rate: f64,
    bare_rate: f64,
    bare_cpu: f64,
    bare_sink_cpu: f64,
    request_bytes: f64,
    rested: bool,
}

/// What every round of a run uses.
struct Run<'a> {
    runtime: &'a Runtime,
    args: &'a Args,
    side: Side,
    /// What the server signs with.
    key: [u8; 32],
}

pub(crate) fn run(runtime: &Runtime, common: &Common, args: &Args) -> Result<Report> {
    let binary = Server::find(common)?;
    let machine = Machine::ask(&common.parent())?;
    let (key, sink) = (random_bytes()?, Sink::reserve()?);
    let endpoint = Endpoint {
        name: "sink".to_owned(),
        sink: sink.address(),
        concurrency: args.concurrency,
        key,
        timeout: USUAL_TIMEOUT,
    };
    let traffic =
        Traffic { connections: SENDERS, conversations: args.conversations, text_bytes: args.usual.text_bytes };
    let side = Side::start(runtime, common, &args.usual.store, traffic, &[endpoint])?;
    let mut run = Run { runtime, args, side, key };
    let [instant, late] = run.rounds(sink, common.rounds).map_err(|e| run.side.server.explain(e))?;

    let settings = json!({
        "events": args.events, "rounds": common.rounds, "concurrency": args.concurrency,
        "conversations": args.conversations, "text-bytes": args.usual.text_bytes, "late-ms": args.late_ms,
        "store": args.usual.store.in_words(),
    });
    let mut report = Report::new("callbacks", machine, binary.display().to_string(), settings);
    report.sections = sections(&instant, args.usual.store.store, "a receiver that answers at once");
    report.sections.extend(sections(&late, args.usual.store.store, &format!("one that takes {} ms", args.late_ms)));
    if !instant.iter().chain(&late).all(|round| round.rested) {
        report.cautions.push(NEVER_RESTED.to_owned());
    }
    Ok(report)
}

fn sections(rounds: &[Round], store: Kind, receiver: &str) -> Vec<Section> {
    let of = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let mut drain = Section::new(format!("Ringback: a backlog drains to {receiver}"))
        .metric("events, first call to last", "events/s", of(|r| r.rate))
        .metric("events, the middle 80 %", "events/s", of(|r| r.steady_rate))
        .metric("server CPU", "µs/event", of(|r| r.server_cpu));
    if store == Kind::Postgres {
        drain = drain.metric("PostgreSQL CPU", "µs/event", of(|r| r.store_cpu));
    }
    vec![
        drain
            .metric("sink CPU", "µs/event", of(|r| r.sink_cpu))
            .metric("first call after the endpoint came up", "s", of(|r| r.first_call_after))
            .metric("calls beyond one per event", "", of(|r| r.repeats))
            .metric("sends while the endpoint was down", "msg/s", of(|r| r.backlog_rate)),
        Section::new("Raw limit: the same POSTs from a bare client to its like")
            .metric("calls", "calls/s", of(|r| r.bare_rate))
            .metric("client CPU", "µs/call", of(|r| r.bare_cpu))
            .metric("sink CPU", "µs/call", of(|r| r.bare_sink_cpu))
            .metric("body of a call", "B", of(|r| r.request_bytes)),
        Section::new("Ratios")
            .metric("events/s ÷ bare calls/s", "", of(|r| r.rate / r.bare_rate))
            .aim("at least 0.5")
            .metric("middle 80 % ÷ bare calls/s", "", of(|r| r.steady_rate / r.bare_rate))
            .metric("server CPU ÷ bare client CPU", "", of(|r| r.server_cpu / r.bare_cpu)),
    ]
}

impl Run<'_> {
    /// Those with the receiver that answers at once, and those with the other.
    fn rounds(&mut self, mut sink: Sink, count: u32) -> Result<[Vec<Round>; 2]> {
        let address = sink.address();
        let mut rounds = [Vec::new(), Vec::new()];
        for number in 1..=count {
            eprintln!("round {number} of {count}");
            for (rounds, late_ms) in rounds.iter_mut().zip([0, self.args.late_ms]) {
                rounds.push(self.round(sink, Duration::from_millis(late_ms))?);
                sink = Sink::reserve_at(address)?;
            }
        }
        Ok(rounds)
    }

    fn round(&mut self, sink: Sink, late: Duration) -> Result<Round> {
        let events = self.args.events;
        let backlog = self.side.load.drive(self.runtime, Until::Sent(events))?;

        self.side.store.settle(self.runtime)?;

        let (up, cpu, store_cpu) = (Instant::now(), process(self.side.server.pid())?, self.side.store.cpu()?);
        let sink = sink.open_late(true, late)?;
        wait_until_drained(&sink, events)?;
        // The last answers are still on their way, and so might repeats be.
        let rested = wait_until_quiet(|| process(self.side.server.pid()))?;
        let (cpu, store_cpu) =
            (process(self.side.server.pid())? - cpu, self.side.store.cpu()?.saturating_sub(store_cpu));
        let Recording { calls, cpu: sink_cpu } = sink.close()?;
        let drain = verify(&calls, events, &self.key)?;

        let bare_sink = Sink::reserve()?;
        let bare_address = bare_sink.address();
        let bare_sink = bare_sink.open_late(true, late)?;
        let requests: Vec<_> = calls.into_iter().map(|call| call.request).collect();
        let (count, bytes) = (requests.len(), requests.iter().map(|r| r.body().len()).sum::<usize>());
        let bare = replay(self.runtime, requests, bare_address, self.args.concurrency)?;
        let bare_sink_cpu = bare_sink.close()?.cpu;

        let rate =
            |from: usize, to: usize| (to - from) as f64 / (drain.arrivals[to] - drain.arrivals[from]).as_secs_f64();
        Ok(Round {
            first_call_after: (drain.arrivals[0] - up).as_secs_f64(),
            rate: rate(0, events - 1),
            steady_rate: rate(events / 10, events - 1 - events / 10),
            server_cpu: micros_each(cpu, events),
            store_cpu: micros_each(store_cpu, events),
            sink_cpu: micros_each(sink_cpu, events),
            repeats: drain.repeats as f64,
            backlog_rate: events as f64 / backlog.elapsed.as_secs_f64(),
            bare_rate: count as f64 / bare.elapsed.as_secs_f64(),
            bare_cpu: micros_each(bare.cpu, count),
            bare_sink_cpu: micros_each(bare_sink_cpu, count),
            request_bytes: bytes as f64 / count as f64,
            rested,
        })
    }
}

/// Waits for the last event; gives up when no new one has come for a while.
pub(crate) fn wait_until_drained(sink: &OpenSink, events: usize) -> Result<()> {
    let (mut arrived, mut since) = (0, Instant::now());
    while arrived < events {
        std::thread::sleep(Duration::from_millis(5));
        let now = sink.distinct();
        if now > arrived {
            (arrived, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Err(format!("{arrived} of {events} events were called back, then none for {PATIENCE:?}").into());
        }
    }
    Ok(())
}
