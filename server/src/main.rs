//! `ringback`: reads what is asked and what is configured, and starts the parts. No rules of chat are here.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, Place};
use crate::config::{Config, Sources};
use crate::failure::Failure;
use crate::secrets::Secrets;

mod admin;
mod app;
mod callbacks;
mod check;
mod cli;
mod clock;
mod config;
mod credentials;
mod demo;
mod failure;
mod health;
mod http;
mod http_client;
mod listen;
mod log;
mod migrate;
mod moment;
mod outgoing;
mod parked;
mod remote;
mod secrets;
mod serve;
mod terminal;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ringback: {failure}");
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    log::init(
        if matches!(command, Command::Demo(_) | Command::Migrate(_) | Command::Callbacks(_) | Command::Check(_)) {
            log::QUIET
        } else {
            log::USUAL
        },
    )?;
    match command {
        Command::Serve(place) => {
            let (config, secrets) = open(place)?;
            block_on(serve::run(config, secrets))
        }
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Listen(args) => block_on(listen::run(args)),
        Command::Check(args) => block_on(check::run(args)),
        Command::Usersig(args) => {
            let (config, secrets) = open(args.place.clone())?;
            print_line(&credentials::usersig(&config, &secrets, &args))
        }
        Command::Token(args) => {
            let (_, secrets) = open(args.place.clone())?;
            print_line(&credentials::token(&secrets, &args))
        }
        Command::Migrate(args) => block_on(migrate::run(args)),
        Command::Callbacks(args) => block_on(callbacks::run(args)),
        Command::Config => print_line(config::DEFAULT.trim_end()),
    }
}

/// What every command that belongs to a server needs first.
fn open(place: Place) -> Result<(Config, Secrets), Failure> {
    let config = Config::load(&Sources::of_process(place.config, place.data_dir))?;
    let secrets = Secrets::resolve(&config).map_err(Failure::work)?;
    if let secrets::Origin::Made(path) = &secrets.origin {
        // Said plainly, and not only logged: whoever asked for a credential in the wrong directory must notice.
        eprintln!("ringback: made new secrets in {}", path.display());
    }
    Ok((config, secrets))
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::work)?;
    runtime.block_on(work)
}

/// The answer of a command, alone on standard output, so that `$(ringback …)` is just that.
fn print_line(line: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        // Whoever closed the pipe (`ringback config | head`) has seen enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::work(error)),
        _ => Ok(()),
    }
}
