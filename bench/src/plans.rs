//! `bench plans`: how PostgreSQL runs what the server asks of a database that has grown.
//!
//! A real server makes the tables and the first messages; SQL makes millions of them. Then the server sends and calls back
//! again, and PostgreSQL itself notes the plan of every statement (`auto_explain`): no statement is copied here. A plan
//! that reads a big table from end to end fails the run.

mod fill;
mod noted;

use serde_json::json;
use tokio::runtime::Runtime;

use self::noted::Statement;
use crate::callbacks::wait_until_drained;
use crate::clock::{process, wait_until_quiet};
use crate::load::{Load, Plan, Until};
use crate::machine::Machine;
use crate::postgres::{self, Postgres};
use crate::report::{Metric, Report, Table};
use crate::server::{Endpoint, Server, USUAL_TIMEOUT};
use crate::sink::Sink;
use crate::store::{DATABASE, Store};
use crate::tencent::{App, random_bytes};
use crate::{Common, Result, at_least};

/// Connections that send: enough to fill batches.
const SENDERS: usize = 64;
/// What notes plans, once it is told to.
const SETTINGS: [&str; 5] = [
    "shared_preload_libraries=auto_explain",
    "auto_explain.log_analyze=on",
    "auto_explain.log_buffers=on",
    "auto_explain.log_timing=off",
    "auto_explain.log_format=json",
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Events in the database.
    #[arg(long, default_value_t = 10_000_000, value_parser = at_least::<1>)]
    events: usize,
    /// One-to-one conversations that they are spread over.
    #[arg(long, default_value_t = 2_000, value_parser = at_least::<1>)]
    conversations: usize,
    /// Messages that are sent, and called back, while plans are noted.
    #[arg(long, default_value_t = 5_000, value_parser = at_least::<1>)]
    sends: usize,
    /// Bytes of text in a message.
    #[arg(long, default_value_t = 250)]
    text_bytes: usize,
}

pub(crate) fn run(runtime: &Runtime, common: &Common, args: &Args) -> Result<Report> {
    let binary = Server::find(common)?;
    let machine = Machine::ask(&common.parent())?;
    let postgres = Postgres::start(&common.parent(), &SETTINGS)?;
    let admin = runtime.block_on(postgres.create_database(DATABASE))?;
    let version = runtime.block_on(postgres::version(&admin))?;
    let settings = json!({
        "events": args.events, "conversations": args.conversations, "sends": args.sends, "text-bytes": args.text_bytes,
        "store": version,
    });
    let mut report = Report::new("plans", machine, binary.display().to_string(), settings);
    let (app, store) = (App::invent()?, Store::from(postgres));
    let start = |endpoints: &[Endpoint]| -> Result<(Server, Load)> {
        let server = Server::start(&binary, &common.parent(), &store, &app, endpoints)?;
        let plan = Plan {
            server: server.http,
            connections: SENDERS,
            conversations: args.conversations,
            text_bytes: args.text_bytes,
        };
        let load = Load::prepare(runtime, &plan, &app).map_err(|e| server.explain(e))?;
        Ok((server, load))
    };

    eprintln!("making tables and conversations");
    let (server, mut load) = start(&[])?;
    load.drive(runtime, Until::Sent(args.conversations)).map_err(|e| server.explain(e))?;
    drop((load, server));
    eprintln!("filling them with {} events", args.events);
    runtime.block_on(fill::fill(&admin, args.events.div_ceil(args.conversations)))?;

    eprintln!("sending and calling back");
    let sink = Sink::reserve()?;
    let (name, key) = ("sink".to_owned(), random_bytes()?);
    let endpoint = Endpoint { name, sink: sink.address(), concurrency: SENDERS, key, timeout: USUAL_TIMEOUT };
    let sink = sink.open(true)?;
    let (server, mut load) = start(&[endpoint])?;
    // The same messages as before, which are recognised: they warm up caches and prepared statements.
    load.drive(runtime, Until::Sent(args.conversations)).map_err(|e| server.explain(e))?;
    wait_until_quiet(|| process(server.pid()))?;
    let big = runtime.block_on(noted::big_tables(&admin))?;
    runtime.block_on(note_plans(&admin))?;
    load.drive(runtime, Until::Sent(args.sends)).map_err(|e| server.explain(e))?;
    wait_until_drained(&sink, args.sends).map_err(|e| server.explain(e))?;
    wait_until_quiet(|| process(server.pid()))?;
    drop((load, server));

    let log = store.postgres().map(Postgres::log).transpose()?.unwrap_or_default();
    let statements = noted::read(&log, &big)?;
    report.tables.push(table(&statements));
    report.notes.extend(statements.iter().map(|statement| format!("{}\n{}", statement.text, statement.plan)));
    match statements.iter().flat_map(|statement| &statement.reads_all_of).next() {
        None => Ok(report),
        Some(table) => Err(format!("{report}\na statement reads all of {table}, as its plan above says").into()),
    }
}

/// From now on, and in every process.
async fn note_plans(admin: &tokio_postgres::Client) -> Result<()> {
    admin.batch_execute("ALTER SYSTEM SET auto_explain.log_min_duration = 0").await?;
    admin.batch_execute("SELECT pg_reload_conf(), pg_sleep(0.5)").await?;
    Ok(())
}

fn table(statements: &[Statement]) -> Table {
    let mut table = Table::new("Statements, by what they took together", &["statement"]);
    for statement in statements {
        let metrics = vec![
            Metric::new("times", "", vec![statement.millis.len() as f64]),
            Metric::new("each", "ms", statement.millis.clone()).ranged(),
            Metric::new("blocks", "", statement.blocks.clone()).ranged(),
            Metric::new("of them from outside the cache", "", vec![statement.blocks_read]),
        ];
        table.row(vec![statement.text.chars().take(60).collect()], metrics);
    }
    table
}
