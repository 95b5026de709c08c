//! `bench positions`: what it costs, in PostgreSQL, that a reader which follows the log never passes an event over.
//!
//! A sequence hands out positions before the commit, so a reader can see 8 and go on, and then 7 is committed. Each way
//! out of that runs against the same PostgreSQL in turn, and the reader's account is compared with the writers'.

mod pair;
mod reader;
mod scheme;
mod turn;
mod writer;

use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio_postgres::Client;

use self::pair::Verdict;
use self::scheme::Scheme;
use self::turn::{Load, Outcome};
use crate::clock::micros_each;
use crate::event_table::SHARDS;
use crate::load::text;
use crate::machine::Machine;
use crate::postgres::{self, Postgres};
use crate::report::{Metric, Report, Table, percentile_millis};
use crate::send::DISTURBED;
use crate::{Common, Result, at_least};

const DATABASE: &str = "positions";
/// What a slower disk or network would add to a commit.
const HOLD: Duration = Duration::from_millis(2);
/// How long a transaction that has nothing to do with events stays open.
const ASIDE: Duration = Duration::from_secs(1);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long each scheme writes, for each number of writers and rows, in each round.
    #[arg(long, default_value_t = 2.0, value_parser = crate::send::seconds)]
    seconds: f64,
    /// Connections that write.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16], value_parser = writers)]
    writers: Vec<usize>,
    /// Rows of a transaction.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 128], value_parser = at_least::<1>)]
    batches: Vec<usize>,
    /// Bytes of data in a row; about a request's.
    #[arg(long, default_value_t = 370)]
    row_bytes: usize,
}

/// A line of a table: one scheme under one load, with what each round found.
struct Line {
    scheme: Scheme,
    load: Load,
    rounds: Vec<Outcome>,
}

pub(crate) fn run(runtime: &Runtime, common: &Common, args: &Args) -> Result<Report> {
    let machine = Machine::ask(&common.parent())?;
    // Tables live for seconds here: what autovacuum did to one of them would be somebody's bad luck.
    let postgres = Postgres::start(&common.parent(), &["autovacuum=off"])?;
    let settings = json!({ "seconds": args.seconds, "rounds": common.rounds, "row-bytes": args.row_bytes });
    let measured = runtime.block_on(async {
        let admin = postgres.create_database(DATABASE).await?;
        let mut report = Report::new("positions", machine, postgres::version(&admin).await?, settings);
        report.tables.push(judge_pairs(&postgres, &admin).await?);
        let [mut plain, mut held, mut beside] = loads(args).map(lines);
        for number in 1..=common.rounds {
            eprintln!("round {number} of {}", common.rounds);
            for lines in [&mut plain, &mut held, &mut beside] {
                measure(&postgres, &admin, lines, number as usize).await?;
            }
        }
        let turns = || [&plain, &held, &beside].into_iter().flatten().flat_map(|line| &line.rounds);
        let disturbed = turns().filter(|turn| turn.other_cores > DISTURBED).count();
        if disturbed > 0 {
            let all = turns().count();
            let caution = format!("something else kept more than {DISTURBED} cores busy in {disturbed} of {all} turns");
            report.cautions.push(caution);
        }
        let tables = [
            ("As fast as they can", plain),
            ("Each transaction open for 2 ms before its commit, as on a slower disk", held),
            ("A transaction in another database of the cluster stays open for 1 s", beside),
        ];
        report.tables.extend(tables.map(|(title, lines)| table(title, &lines)));
        Ok(report)
    });
    measured.map_err(|failure| postgres.explain(failure))
}

/// The loads of the three tables.
fn loads(args: &Args) -> [Vec<Load>; 3] {
    let load = |writers, batch| Load {
        writers,
        batch,
        time: Duration::from_secs_f64(args.seconds),
        hold: Duration::ZERO,
        aside: Duration::ZERO,
        data: text(args.row_bytes).into(),
    };
    let plain = args.batches.iter().flat_map(|batch| args.writers.iter().map(|writers| load(*writers, *batch)));
    let middle = args.batches[args.batches.len() / 2];
    let held = args.writers.iter().map(|writers| Load { hold: HOLD, ..load(*writers, middle) });
    let beside = Load { aside: ASIDE, ..load(args.writers[args.writers.len() / 2], middle) };
    [plain.collect(), held.collect(), vec![beside]]
}

fn lines(loads: Vec<Load>) -> Vec<Line> {
    let each = |load: Load| Scheme::ALL.map(|scheme| Line { scheme, load: load.clone(), rounds: Vec::new() });
    loads.into_iter().flat_map(each).collect()
}

/// One round: all schemes of a load one after the other, each time beginning with another.
async fn measure(postgres: &Postgres, admin: &Client, lines: &mut [Line], round: usize) -> Result<()> {
    for same_load in lines.chunks_mut(Scheme::ALL.len()) {
        let count = same_load.len();
        for i in 0..count {
            let Line { scheme, load, rounds } = &mut same_load[(i + round) % count];
            rounds.push(turn::run(postgres, admin, *scheme, load).await?);
        }
    }
    Ok(())
}

async fn judge_pairs(postgres: &Postgres, admin: &Client) -> Result<Table> {
    let labels = ["scheme", "passed over, of 2 rows", "a conversation read backwards"];
    let mut table = Table::new("Two transactions in an order that hurts", &labels);
    for scheme in Scheme::ALL {
        let Verdict { missed, in_order } = pair::judge(postgres, admin, scheme).await?;
        let backwards = if in_order { "no" } else { "yes" };
        table.row(vec![scheme.name().to_owned(), missed.to_string(), backwards.to_owned()], Vec::new());
    }
    Ok(table)
}

fn table(title: &str, lines: &[Line]) -> Table {
    let mut table = Table::new(title, &["rows a commit", "writers", "scheme"]);
    for Line { scheme, load, rounds } in lines {
        let of = |value: fn(&Outcome) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
        let metrics = vec![
            Metric::new("rows/s", "", of(|o| o.rows as f64 / o.elapsed.as_secs_f64())).ranged(),
            Metric::new("PostgreSQL CPU", "µs/row", of(|o| micros_each(o.cpu, o.rows))),
            Metric::new("reader's", "µs/row", of(|o| micros_each(o.reader_cpu, o.rows))),
            Metric::new("commit p50", "ms", of(|o| percentile_millis(&o.latencies, 0.5))),
            Metric::new("p99", "ms", of(|o| percentile_millis(&o.latencies, 0.99))),
            Metric::new("seen after p50", "ms", of(|o| percentile_millis(&o.late, 0.5))),
            Metric::new("p99", "ms", of(|o| percentile_millis(&o.late, 0.99))),
            Metric::new("never seen", "of 100,000", of(|o| o.missed as f64 * 1e5 / o.rows as f64)).ranged(),
        ];
        table.row(vec![load.batch.to_string(), load.writers.to_string(), scheme.name().to_owned()], metrics);
    }
    table
}

/// With more writers than shards, some would have none of their own.
fn writers(text: &str) -> std::result::Result<usize, String> {
    let fits = |count: &usize| (1..=SHARDS).contains(count);
    text.parse().ok().filter(fits).ok_or_else(|| format!("a whole number from 1 to {SHARDS}"))
}
