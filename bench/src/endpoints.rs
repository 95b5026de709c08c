//! `bench endpoints`: what some dead endpoints among many do to senders, and to the endpoints that are there.
//!
//! Two servers run side by side: one with the healthy endpoints only, one with the dead ones as well. Half of those refuse
//! connections, the other half never answers. In each round both are driven, first at a steady rate that leaves the
//! machine room, which shows how late events are; then with a burst, which shows how fast sends are answered meanwhile,
//! and how fast it all drains.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::callbacks::wait_until_drained;
use crate::clock::{NEVER_RESTED, micros_each, process, wait_until_quiet};
use crate::load::{STAMP_DIGITS, Until, stamped};
use crate::machine::Machine;
use crate::report::{Report, Section, percentile_millis};
use crate::send::seconds;
use crate::server::{Endpoint, Server, USUAL_TIMEOUT};
use crate::side::{Side, Traffic};
use crate::sink::{Call, OpenSink, Sink};
use crate::store;
use crate::tencent::random_bytes;
use crate::verify::verify;
use crate::{Common, Result, at_least};

/// Longer than any call to one that never answers.
const NEVER: Duration = Duration::from_secs(3_600);
/// Connections of a sender.
const SENDERS: usize = 64;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Endpoints, dead and healthy.
    #[arg(long, default_value_t = 100, value_parser = at_least::<2>)]
    endpoints: usize,
    /// How many of them are dead.
    #[arg(long, default_value_t = 10, value_parser = at_least::<1>)]
    dead: usize,
    /// Messages a second while events are timed; each is an event for every endpoint.
    #[arg(long, default_value_t = 50.0, value_parser = rate)]
    rate: f64,
    /// How long to send at that rate in each round.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Messages that are then sent as fast as they are answered.
    #[arg(long, default_value_t = 500, value_parser = at_least::<1>)]
    burst: usize,
    /// Calls in flight at once for each endpoint; with more, connections would exceed the usual limit of open files.
    #[arg(long, default_value_t = 4, value_parser = at_least::<1>)]
    concurrency: usize,
    /// One-to-one conversations that messages are spread over.
    #[arg(long, default_value_t = 200, value_parser = at_least::<1>)]
    conversations: usize,
    /// Bytes of text in a message.
    #[arg(long, default_value_t = 250, value_parser = at_least::<STAMP_DIGITS>)]
    text_bytes: usize,
    #[command(flatten)]
    store: store::Choice,
}

/// A server, and its healthy endpoints' receiver.
struct Told {
    side: Side,
    sink: OpenSink,
    /// Calls, without repeats, that its healthy endpoints got so far.
    told: usize,
}

/// What one round found of one server.
struct Round {
    send_rate: f64,
    send_p99: f64,
    drain_rate: f64,
    cpu: f64,
    steady_send_p99: f64,
    lag_p50: f64,
    lag_p99: f64,
    lag_max: f64,
    repeats: f64,
    rested: bool,
}

/// What every round of a run uses.
struct Run<'a> {
    runtime: &'a Runtime,
    args: &'a Args,
    key: [u8; 32],
    /// Texts are stamped with the time since then.
    since: Instant,
}

/// Dead receivers, for as long as they are kept.
struct Dead {
    /// Nobody listens at these.
    refusing: Vec<Sink>,
    hanging: Vec<(std::net::SocketAddr, OpenSink)>,
}

/// Of a callback, when it was sent.
#[derive(Deserialize)]
struct Sent {
    #[serde(rename = "MsgBody")]
    body: Vec<Element>,
}

#[derive(Deserialize)]
struct Element {
    #[serde(rename = "MsgContent")]
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "Text")]
    text: String,
}

pub(crate) fn run(runtime: &Runtime, common: &Common, args: &Args) -> Result<Report> {
    if args.dead >= args.endpoints {
        return Err("all endpoints are dead: --dead must be less than --endpoints".into());
    }
    let binary = Server::find(common)?;
    let machine = Machine::ask(&common.parent())?;
    let run = Run { runtime, args, key: random_bytes()?, since: Instant::now() };
    let dead = Dead::start(args.dead)?;
    let traffic = Traffic { connections: SENDERS, conversations: args.conversations, text_bytes: args.text_bytes };
    let start = |dead: Vec<Endpoint>| -> Result<Told> {
        let sink = Sink::reserve()?;
        let healthy = (0..run.healthy()).map(|n| run.endpoint(format!("healthy{n}"), sink.address()));
        let endpoints: Vec<_> = dead.into_iter().chain(healthy).collect();
        let sink = sink.open(true)?;
        let mut side = Side::start(runtime, common, &args.store, traffic, &endpoints)?;
        side.load.stamp(run.since);
        Ok(Told { side, sink, told: 0 })
    };
    let mut sides = [start(Vec::new())?, start(dead.endpoints(&run))?];
    let settings = json!({
        "rounds": common.rounds, "endpoints": args.endpoints, "dead": args.dead, "rate": args.rate,
        "seconds": args.seconds, "burst": args.burst, "concurrency": args.concurrency,
        "conversations": args.conversations, "text-bytes": args.text_bytes, "store": args.store.in_words(),
    });
    let mut report = Report::new("endpoints", machine, binary.display().to_string(), settings);

    // Not measured: the first message of every conversation, which creates it.
    for told in &mut sides {
        run.stretch(told, Until::Sent(args.conversations)).map_err(|e| told.side.server.explain(e))?;
        wait_until_quiet(|| process(told.side.server.pid()))?;
    }
    let mut rounds = [Vec::new(), Vec::new()];
    for number in 1..=common.rounds {
        eprintln!("round {number} of {}", common.rounds);
        for place in 0..sides.len() {
            let which = (place + number as usize) % sides.len();
            let told = &mut sides[which];
            rounds[which].push(run.round(told).map_err(|e| told.side.server.explain(e))?);
        }
    }

    dead.were_called()?;

    let [without, with] = &rounds;
    report.sections = sections(without, with, args);
    if !without.iter().chain(with).all(|round| round.rested) {
        report.cautions.push(NEVER_RESTED.to_owned());
    }
    Ok(report)
}

impl Dead {
    /// Half of them of each kind; one more that refuses, if they are odd.
    fn start(count: usize) -> Result<Self> {
        let refusing = (0..count.div_ceil(2)).map(|_| Sink::reserve()).collect::<Result<_>>()?;
        let hang = |_| {
            let sink = Sink::reserve()?;
            Ok((sink.address(), sink.open_late(true, NEVER)?))
        };
        Ok(Self { refusing, hanging: (0..count / 2).map(hang).collect::<Result<_>>()? })
    }

    fn endpoints(&self, run: &Run) -> Vec<Endpoint> {
        let refusing = self.refusing.iter().map(Sink::address);
        let addresses = refusing.chain(self.hanging.iter().map(|(address, _)| *address));
        addresses.enumerate().map(|(n, address)| run.endpoint(format!("dead{n}"), address)).collect()
    }

    /// Those that never answer were called: what they do to the others is felt.
    fn were_called(&self) -> Result<()> {
        let called = self.hanging.iter().filter(|(_, sink)| sink.distinct() > 0).count();
        if called == self.hanging.len() {
            return Ok(());
        }
        Err(format!("only {called} of {} receivers that never answer were called", self.hanging.len()).into())
    }
}

impl Run<'_> {
    fn healthy(&self) -> usize {
        self.args.endpoints - self.args.dead
    }

    fn endpoint(&self, name: String, sink: std::net::SocketAddr) -> Endpoint {
        // Those that never answer are found dead by it.
        Endpoint { name, sink, concurrency: self.args.concurrency, key: self.key, timeout: USUAL_TIMEOUT }
    }

    /// Sends, waits until the healthy endpoints have it all, and checks it. Gives the latencies of the sends and how long
    /// they took; how long all took; and of each event how late it was, ascending, with the number of repeats.
    fn stretch(&self, told: &mut Told, until: Until) -> Result<Stretch> {
        let start = Instant::now();
        let tally = told.side.load.drive(self.runtime, until)?;
        let messages = tally.latencies.len();
        told.told += messages * self.healthy();
        wait_until_drained(&told.sink, told.told)?;
        let drained = start.elapsed();
        // A repeat may be on its way yet.
        let rested = wait_until_quiet(|| process(told.side.server.pid()))?;
        let calls = told.sink.take();

        let mut lags = Vec::with_capacity(calls.len());
        let mut ids = HashSet::new();
        for call in &calls {
            if ids.insert(call.request.headers().get("webhook-id")) {
                lags.push((call.arrived - self.since).saturating_sub(sent_at(call)?));
            }
        }
        lags.sort_unstable();
        drop(ids);
        let mut repeats = 0;
        let mut by_endpoint: HashMap<String, Vec<Call>> = HashMap::new();
        for call in calls {
            by_endpoint.entry(call.request.uri().path().to_owned()).or_default().push(call);
        }
        if by_endpoint.len() != self.healthy() {
            return Err(format!("{} of {} endpoints were told", by_endpoint.len(), self.healthy()).into());
        }
        for (endpoint, calls) in by_endpoint {
            repeats += verify(&calls, messages, &self.key).map_err(|e| format!("{endpoint}: {e}"))?.repeats;
        }
        Ok(Stretch { latencies: tally.latencies, sent_in: tally.elapsed, drained, lags, repeats, rested })
    }

    fn round(&self, told: &mut Told) -> Result<Round> {
        told.side.store.settle(self.runtime)?;
        let cpu = process(told.side.server.pid())?;
        let count = (self.args.rate * self.args.seconds).ceil() as usize;
        let steady = self.stretch(told, Until::Paced(count, self.args.rate))?;
        let burst = self.stretch(told, Until::Sent(self.args.burst))?;
        let cpu = process(told.side.server.pid())? - cpu;
        let events = |stretch: &Stretch| stretch.lags.len();
        Ok(Round {
            send_rate: burst.latencies.len() as f64 / burst.sent_in.as_secs_f64(),
            send_p99: percentile_millis(&burst.latencies, 0.99),
            drain_rate: events(&burst) as f64 / burst.drained.as_secs_f64(),
            cpu: micros_each(cpu, events(&steady) + events(&burst)),
            steady_send_p99: percentile_millis(&steady.latencies, 0.99),
            lag_p50: percentile_millis(&steady.lags, 0.5),
            lag_p99: percentile_millis(&steady.lags, 0.99),
            lag_max: percentile_millis(&steady.lags, 1.0),
            repeats: (steady.repeats + burst.repeats) as f64,
            rested: steady.rested && burst.rested,
        })
    }
}

/// What one stretch of sending came to.
struct Stretch {
    /// Of the sends, ascending.
    latencies: Vec<Duration>,
    sent_in: Duration,
    /// From the first send to the last event at the last healthy endpoint.
    drained: Duration,
    /// Of each event at each healthy endpoint, from before it was sent until it had arrived; ascending.
    lags: Vec<Duration>,
    repeats: usize,
    rested: bool,
}

fn sections(without: &[Round], with: &[Round], args: &Args) -> Vec<Section> {
    let of = |rounds: &[Round], value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let ratio =
        |value: fn(&Round) -> f64| with.iter().zip(without).map(|(a, b)| value(a) / value(b)).collect::<Vec<_>>();
    let side = |title: String, rounds: &[Round]| {
        Section::new(title)
            .metric("burst: sends acknowledged", "msg/s", of(rounds, |r| r.send_rate))
            .metric("burst: send latency, 99 %", "ms", of(rounds, |r| r.send_p99))
            .metric("burst: events, until all are told", "events/s", of(rounds, |r| r.drain_rate))
            .metric("steady: send latency, 99 %", "ms", of(rounds, |r| r.steady_send_p99))
            .metric("steady: lag at the healthy, median", "ms", of(rounds, |r| r.lag_p50))
            .metric("steady: lag at the healthy, 99 %", "ms", of(rounds, |r| r.lag_p99))
            .metric("steady: lag at the healthy, worst", "ms", of(rounds, |r| r.lag_max))
            .metric("server CPU", "µs/event", of(rounds, |r| r.cpu))
            .metric("calls beyond one per event", "", of(rounds, |r| r.repeats))
    };
    let healthy = args.endpoints - args.dead;
    vec![
        side(format!("{healthy} healthy endpoints"), without),
        side(format!("{healthy} healthy endpoints and {} dead ones", args.dead), with),
        Section::new("Ratios: with the dead ones ÷ without")
            .metric("burst: sends acknowledged", "", ratio(|r| r.send_rate))
            .aim("1")
            .metric("burst: events, until all are told", "", ratio(|r| r.drain_rate))
            .metric("steady: send latency, 99 %", "", ratio(|r| r.steady_send_p99))
            .metric("steady: lag at the healthy, median", "", ratio(|r| r.lag_p50))
            .metric("steady: lag at the healthy, 99 %", "", ratio(|r| r.lag_p99))
            .aim("1")
            .metric("server CPU", "", ratio(|r| r.cpu)),
    ]
}

/// When the message of a callback was sent.
fn sent_at(call: &Call) -> Result<Duration> {
    let sent: Sent = serde_json::from_slice(call.request.body())?;
    let stamp = sent.body.first().and_then(|element| stamped(&element.content.text));
    stamp.ok_or_else(|| "a callback whose text does not begin with when it was sent".into())
}

fn rate(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(rate) if (1.0..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("from 1 to 100000".to_owned()),
    }
}
