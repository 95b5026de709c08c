//! `bench`: measures Ringback over the wire, each figure beside a raw limit taken in the same run.
//!
//! A command is one file with `Args` and `run` (`send.rs`, `callbacks.rs`); `run` returns a `Report`.
//! What the commands share: `server.rs` starts the real binary, `store.rs` what it stores in, `load.rs` sends messages,
//! `side.rs` puts the three together, `sink.rs` receives callbacks, `clock.rs` reads CPU time, `report.rs` prints.
//! To add one (`connect`, `chat`, `fanout`): write its file, add it to `Command` below, explain it in `README.md`.

mod bare_client;
mod callbacks;
mod clock;
mod endpoints;
mod event_table;
mod hang;
mod http;
mod load;
mod machine;
mod plans;
mod positions;
mod postgres;
mod raw_postgres;
mod raw_sqlite;
mod report;
mod send;
mod server;
mod side;
mod sink;
mod store;
mod tencent;
mod verify;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// A measurement fails in words; nobody matches on the reason.
type Failure = Box<dyn Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

/// Measures Ringback over the wire, beside a raw limit in the same run.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    /// Durable sends over REST, beside the same rows put straight into the database.
    Send(send::Args),
    /// Delivery of a backlog of after-callbacks, beside the same POSTs from a bare HTTP client.
    Callbacks(callbacks::Args),
    /// Sends while a receiver hangs on every after-callback, beside sends without callbacks.
    Hang(hang::Args),
    /// Many endpoints of which some are dead, beside the same without the dead ones.
    Endpoints(endpoints::Args),
    /// How PostgreSQL runs the server's statements once there are millions of events.
    Plans(plans::Args),
    /// Ways of giving positions to events in PostgreSQL: what they cost, and whether a reader misses any.
    Positions(positions::Args),
}

/// What every command takes.
#[derive(Args)]
struct Common {
    /// The ringback binary [default: the one beside this program].
    #[arg(long, global = true, value_name = "PATH")]
    server: Option<PathBuf>,
    /// How often to repeat; the table shows the median and the range.
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Where to make the temporary data directories; must be the disk that is meant [default: the system's].
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Also write every round's values to this file, for plots.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Common {
    /// Where data directories are made.
    fn parent(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// Parses a count that is of no use below `MIN`.
fn at_least<const MIN: usize>(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|&count| count >= MIN).ok_or_else(|| format!("a whole number from {MIN}"))
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    // One thread, so that its CPU clock is the load generator's cost and the server keeps the other core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = match &cli.command {
        Command::Send(args) => send::run(&runtime, &cli.common, args)?,
        Command::Callbacks(args) => callbacks::run(&runtime, &cli.common, args)?,
        Command::Hang(args) => hang::run(&runtime, &cli.common, args)?,
        Command::Endpoints(args) => endpoints::run(&runtime, &cli.common, args)?,
        Command::Plans(args) => plans::run(&runtime, &cli.common, args)?,
        Command::Positions(args) => positions::run(&runtime, &cli.common, args)?,
    };
    print!("{report}");
    if let Some(file) = &cli.common.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(())
}
