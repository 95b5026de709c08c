//! `bench send`: durable sends over REST, beside the database alone and beside HTTP alone.
//!
//! In each round the server is driven for a while; then exactly as many rows as it acknowledged go
//! straight into the same kind of database, so that both grow alike; then the same requests go to a server
//! that stores nothing. What the server costs beyond the two is ours to explain.

use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;

use crate::clock::{Mark, NEVER_RESTED, micros_each, process, this_thread, wait_until_quiet};
use crate::load::{Load, Plan, Until};
use crate::machine::Machine;
use crate::raw_postgres::{self, RawPostgres};
use crate::raw_sqlite::{BATCH, Inserted, RawSqlite};
use crate::report::{Report, Section, percentile_millis};
use crate::server::{Server, disk_bytes};
use crate::side::Usual;
use crate::sink::Sink;
use crate::store::{self, Store};
use crate::tencent::App;
use crate::{Common, Result, at_least};

/// Busy cores beyond server and client, above which something else disturbs the run. The kernel's flushing needs less.
pub(crate) const DISTURBED: f64 = 0.3;
/// Bare HTTP is steady; this long is enough.
const HTTP_SECONDS: f64 = 2.0;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long to send in each round.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Keep-alive connections, each with one send in flight.
    #[arg(long, default_value_t = 64, value_parser = at_least::<1>)]
    connections: usize,
    /// One-to-one conversations, picked at random for each send.
    #[arg(long, default_value_t = 2_000, value_parser = at_least::<1>)]
    conversations: usize,
    /// Bytes of body in a raw row [default: those of the request].
    #[arg(long)]
    row_bytes: Option<usize>,
    #[command(flatten)]
    usual: Usual,
}

/// What one round found; CPU in µs per message.
struct Round {
    messages: usize,
    rate: f64,
    p50: f64,
    p99: f64,
    max: f64,
    server_cpu: f64,
    store_cpu: f64,
    client_cpu: f64,
    other_cores: f64,
    rested: bool,
    memory_mib: f64,
    raw_rate: f64,
    raw_cpu: f64,
    bare: BareHttp,
}

/// What HTTP costs by itself.
struct BareHttp {
    rate: f64,
    server_cpu: f64,
    client_cpu: f64,
}

/// What every round of a run uses.
struct Run<'a> {
    runtime: &'a Runtime,
    args: &'a Args,
    app: &'a App,
    plan: Plan,
    // The server ends before its store does.
    server: Server,
    store: Store,
    load: Load,
    raw: Raw,
}

/// The database alone.
enum Raw {
    Sqlite(RawSqlite),
    Postgres(Box<RawPostgres>),
}

pub(crate) fn run(runtime: &Runtime, common: &Common, args: &Args) -> Result<Report> {
    let binary = Server::find(common)?;
    let machine = Machine::ask(&common.parent())?;
    let app = App::invent()?;
    let store = Store::start(runtime, &common.parent(), &args.usual.store)?;
    let server = Server::start(&binary, &common.parent(), &store, &app, &[])?;
    let plan = Plan {
        server: server.http,
        connections: args.connections,
        conversations: args.conversations,
        text_bytes: args.usual.text_bytes,
    };
    let row = args.row_bytes.map_or_else(|| plan.sample_body(), |bytes| vec![b'x'; bytes]);
    let raw = match store.postgres() {
        None => Raw::Sqlite(RawSqlite::create(&common.parent(), args.conversations, row)?),
        Some(postgres) => {
            let create = RawPostgres::create(postgres, args.conversations, String::from_utf8(row)?);
            Raw::Postgres(Box::new(runtime.block_on(create)?))
        }
    };
    let load = Load::prepare(runtime, &plan, &app).map_err(|e| server.explain(e))?;
    let settings = json!({
        "seconds": args.seconds, "rounds": common.rounds, "connections": args.connections,
        "conversations": args.conversations, "text-bytes": args.usual.text_bytes, "store": args.usual.store.in_words(),
    });
    let mut report = Report::new("send", machine, binary.display().to_string(), settings);
    let mut run = Run { runtime, args, app: &app, plan, server, store, load, raw };
    run.measure(&mut report, common.rounds).map_err(|e| run.server.explain(e))?;
    Ok(report)
}

impl Run<'_> {
    fn measure(&mut self, report: &mut Report, count: u32) -> Result<()> {
        // Not measured: the first message of every conversation, which creates it.
        self.load.drive(self.runtime, Until::Sent(self.args.conversations))?;
        self.insert(self.args.conversations)?;
        wait_until_quiet(|| process(self.server.pid()))?;

        let disk_before = self.disk()?;
        let mut rounds = Vec::new();
        for number in 1..=count {
            eprintln!("round {number} of {count}");
            rounds.push(self.round()?);
        }
        let disk_after = self.disk()?;

        let sent = rounds.iter().map(|round| round.messages).sum::<usize>();
        let grown = |before: u64, after: u64| after.saturating_sub(before) as f64 / sent as f64;
        let grown = [0, 1].map(|i| grown(disk_before[i], disk_after[i]));
        report.sections = match &self.raw {
            Raw::Sqlite(raw) => sqlite_sections(&rounds, raw.row_bytes(), grown),
            Raw::Postgres(raw) => postgres_sections(&rounds, raw.row_bytes(), grown),
        };
        if rounds.iter().any(|round| round.other_cores > DISTURBED) {
            let caution = "something else kept more than DISTURBED cores busy during a round";
            report.cautions.push(caution.replace("DISTURBED", &DISTURBED.to_string()));
        }
        if !rounds.iter().all(|round| round.rested) {
            report.cautions.push(NEVER_RESTED.to_owned());
        }
        let (lines, loud) = self.server.log_lines()?;
        if loud > 0 || lines > sent {
            let caution = format!("the server logged {lines} lines, {loud} of them warnings or errors");
            report.cautions.push(caution);
        }
        Ok(())
    }

    /// Bytes on disk of the server and of the raw database.
    fn disk(&self) -> Result<[u64; 2]> {
        let in_store = |database| self.store.disk_bytes(self.runtime, database);
        let raw = match &self.raw {
            Raw::Sqlite(raw) => disk_bytes(raw.dir())?,
            Raw::Postgres(_) => in_store(raw_postgres::DATABASE)?,
        };
        Ok([self.server.disk_bytes()? + in_store(store::DATABASE)?, raw])
    }

    fn insert(&mut self, rows: usize) -> Result<Inserted> {
        match &mut self.raw {
            Raw::Sqlite(raw) => raw.insert(rows),
            Raw::Postgres(raw) => raw.insert(self.runtime, &self.store, rows),
        }
    }

    /// Server, database alone, bare HTTP, one after the other.
    fn round(&mut self) -> Result<Round> {
        let pid = self.server.pid();
        self.store.settle(self.runtime)?;
        let mark = Mark::now(pid, &self.store)?;
        let seconds = Duration::from_secs_f64(self.args.seconds);
        let tally = self.load.drive(self.runtime, Until::Elapsed(seconds))?;
        let driven = mark.until_now(pid, &self.store)?;
        // What server and store still do after the last answer is part of a message's price.
        let rested = wait_until_quiet(|| process(pid))? && self.store.settle(self.runtime)?;
        let settled = mark.until_now(pid, &self.store)?;
        let memory_mib = self.server.memory_mib()?;
        let messages = tally.latencies.len();
        if messages == 0 {
            return Err("no message was acknowledged in a whole round".into());
        }

        let inserted = self.insert(messages)?;
        let bare = self.bare_http()?;

        let millis = |share| percentile_millis(&tally.latencies, share);
        Ok(Round {
            messages,
            rate: messages as f64 / tally.elapsed.as_secs_f64(),
            p50: millis(0.5),
            p99: millis(0.99),
            max: millis(1.0),
            server_cpu: micros_each(settled.server, messages),
            store_cpu: micros_each(settled.store, messages),
            client_cpu: micros_each(driven.client, messages),
            other_cores: driven.other_cores,
            rested,
            memory_mib,
            raw_rate: messages as f64 / inserted.elapsed.as_secs_f64(),
            raw_cpu: micros_each(inserted.cpu, messages),
            bare,
        })
    }

    /// The same client and requests against a server that only answers.
    fn bare_http(&self) -> Result<BareHttp> {
        let sink = Sink::reserve()?;
        let plan = Plan { server: sink.address(), ..self.plan };
        let sink = sink.open(false)?;
        let mut load = Load::prepare(self.runtime, &plan, self.app)?;
        let cpu = this_thread()?;
        let seconds = Duration::from_secs_f64(self.args.seconds.min(HTTP_SECONDS));
        let tally = load.drive(self.runtime, Until::Elapsed(seconds))?;
        let (client_cpu, requests) = (this_thread()? - cpu, tally.latencies.len());
        Ok(BareHttp {
            rate: requests as f64 / tally.elapsed.as_secs_f64(),
            server_cpu: micros_each(sink.close()?.cpu, requests),
            client_cpu: micros_each(client_cpu, requests),
        })
    }
}

fn of(rounds: &[Round], value: fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(value).collect()
}

fn sqlite_sections(rounds: &[Round], row_bytes: usize, [grown, raw_grown]: [f64; 2]) -> Vec<Section> {
    let of = |value| of(rounds, value);
    let beyond = |r: &Round| r.server_cpu - r.raw_cpu - r.bare.server_cpu;
    vec![
        server_section(rounds, grown, |section| section.aim("at most 60")),
        Section::new(format!("Raw limit: as many rows of {row_bytes} B into SQLite, {BATCH} a commit"))
            .metric("committed", "rows/s", of(|r| r.raw_rate))
            .metric("CPU", "µs/row", of(|r| r.raw_cpu))
            .metric("grown on disk, all rounds", "B/row", vec![raw_grown]),
        bare_section(rounds),
        Section::new("Ratios")
            .metric("msg/s ÷ raw rows/s", "", of(|r| r.rate / r.raw_rate))
            .metric("server CPU ÷ raw CPU", "", of(|r| r.server_cpu / r.raw_cpu))
            .metric("server CPU beyond raw SQLite + bare HTTP", "µs/msg", of(beyond)),
    ]
}

fn postgres_sections(rounds: &[Round], row_bytes: usize, [grown, raw_grown]: [f64; 2]) -> Vec<Section> {
    let of = |value| of(rounds, value);
    vec![
        server_section(rounds, grown, |s| s.metric("PostgreSQL CPU", "µs/msg", of(|r| r.store_cpu))),
        Section::new(format!("Raw limit: as many rows of {row_bytes} B into PostgreSQL, {BATCH} a commit"))
            .metric("committed", "rows/s", of(|r| r.raw_rate))
            .metric("PostgreSQL CPU", "µs/row", of(|r| r.raw_cpu))
            .metric("grown on disk, all rounds", "B/row", vec![raw_grown]),
        bare_section(rounds),
        Section::new("Ratios")
            .metric("msg/s ÷ raw rows/s", "", of(|r| r.rate / r.raw_rate))
            .metric("raw PostgreSQL CPU ÷ PostgreSQL CPU", "", of(|r| r.raw_cpu / r.store_cpu))
            .aim("at least 0.5")
            .metric("server CPU beyond bare HTTP", "µs/msg", of(|r| r.server_cpu - r.bare.server_cpu)),
    ]
}

/// What was seen of the server; `and` adds to its CPU.
fn server_section(rounds: &[Round], grown: f64, and: impl FnOnce(Section) -> Section) -> Section {
    let of = |value| of(rounds, value);
    let section = Section::new("Ringback: durable sendmsg over REST")
        .metric("acknowledged", "msg/s", of(|r| r.rate))
        .metric("latency, median", "ms", of(|r| r.p50))
        .metric("latency, 99 %", "ms", of(|r| r.p99))
        .metric("latency, worst", "ms", of(|r| r.max))
        .metric("server CPU", "µs/msg", of(|r| r.server_cpu));
    and(section)
        .metric("client CPU", "µs/msg", of(|r| r.client_cpu))
        .metric("everything else on the machine", "cores", of(|r| r.other_cores))
        .metric("server memory", "MiB", of(|r| r.memory_mib))
        .metric("grown on disk, all rounds", "B/msg", vec![grown])
}

fn bare_section(rounds: &[Round]) -> Section {
    let of = |value| of(rounds, value);
    Section::new("Bare HTTP: the same requests, nothing stored")
        .metric("answered", "req/s", of(|r| r.bare.rate))
        .metric("server CPU", "µs/req", of(|r| r.bare.server_cpu))
        .metric("client CPU", "µs/req", of(|r| r.bare.client_cpu))
}

pub(crate) fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("from 0.1 to 3600".to_owned()),
    }
}
