//! The command line. Its help is where most people meet Ringback for the second time, so it teaches.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use humantime_serde::re::humantime;

use crate::config::{Dialect, Secret};
use crate::http_client::Base;
use crate::listen::Replacement;

mod callbacks;

pub(crate) use self::callbacks::{
    CallbacksArgs, CallbacksCommand, ParkedCommand, ParkedList, ParkedMessage, ReplayArgs,
};

/// A self-hosted chat server that calls your backend back.
///
/// It speaks the server side of Tencent Cloud Chat and of OpenIM 3.8: point your app at it by changing
/// a base URL. Before an event it asks your backend, after an event it tells it, and it never loses a call.
#[derive(Debug, Parser)]
#[command(name = "ringback", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server. Without arguments it works: SQLite in ./ringback-data, loopback only.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Place),
    /// Show what Ringback does: a server, a sample app backend, and the scenarios between them.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Be a sample app backend: answer the callbacks of all dialects and print each one.
    #[command(after_help = LISTEN_EXAMPLES)]
    Listen(ListenArgs),
    /// Say in words why endpoints would get nothing or fail: subscription, network, certificates, and how they stand.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Print a UserSig, which signs a user in to Tencent's dialect; no running server is needed.
    #[command(after_help = USERSIG_EXAMPLES)]
    Usersig(UsersigArgs),
    /// Print a token, which signs a user in to OpenIM's dialect; no running server is needed.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(TokenArgs),
    /// Move everything to another database: from SQLite to PostgreSQL, or back. No server may run meanwhile.
    #[command(after_help = MIGRATE_EXAMPLES)]
    Migrate(MigrateArgs),
    /// Look after the calls that a running server makes: what is told, what fails, what to tell again.
    #[command(after_help = callbacks::EXAMPLES)]
    Callbacks(CallbacksArgs),
    /// Print the default configuration: every key, what it is for, and its default.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config,
}

/// Which server is meant. `usersig` and `token` need the same two as `serve`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Place {
    /// Configuration in TOML; `ringback config` prints one to start from. Without it: defaults and environment
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the database and generated secrets are; wins over server.data_dir [default: ./ringback-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Exit after the scenarios, with 0 only if each did what it should
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ListenArgs {
    /// Where to listen; port 0 lets the system choose, and the address is printed on standard error
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    pub(crate) addr: SocketAddr,
    /// Refuse messages that contain TEXT, with a reason the sender sees (120001 one-to-one, 10100 group, 5001 OpenIM)
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reject: Vec<String>,
    /// Drop messages that contain TEXT, while the sender is told success (ErrorCode 2); OpenIM has no such answer: allowed there
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) discard: Vec<String>,
    /// Put B in place of A in the text of messages (OpenIM: where it asks callbackBeforeMsgModifyCommand)
    #[arg(long, value_name = "A=B", value_parser = replacement)]
    pub(crate) replace: Vec<Replacement>,
    /// Fail this part of all calls with HTTP 500, 0 to 1: 0.2 is every fifth on average
    #[arg(long, value_name = "P", default_value = "0", value_parser = probability)]
    pub(crate) fail_rate: f64,
    /// Wait this many milliseconds before each answer
    #[arg(long, value_name = "MS", default_value = "0", value_parser = milliseconds)]
    pub(crate) delay: Duration,
    /// Print one JSON object a line: time, method, path, query, headers, body, status, answer
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) forward: ForwardArgs,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ForwardArgs {
    /// Connect to a running server instead, and pass its calls on to your own backend at this URL; what it answers counts
    #[arg(long, value_name = "URL", value_parser = Base::parse,
        conflicts_with_all = ["addr", "reject", "discard", "replace", "fail_rate", "delay"])]
    pub(crate) forward: Option<Base>,
    /// With --forward: the server [default: where the configuration says that it listens]
    #[arg(long, value_name = "URL", value_parser = Base::parse, requires = "forward")]
    pub(crate) server: Option<Base>,
    /// With --forward: how your backend is spoken to
    #[arg(long, value_name = "DIALECT", default_value = "tencent", requires = "forward",
        value_parser = Dialect::NAMES)]
    pub(crate) dialect: String,
    /// With --forward: what it wants to be asked and told, with commas between; * is everything
    #[arg(long, value_name = "COMMANDS", default_value = "*", requires = "forward", value_delimiter = ',')]
    pub(crate) commands: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArgs {
    /// Only this one; without it, all that are configured
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// Also send it signed samples, as `ringback callbacks test` does, and look at what it answers: they reach the real backend
    #[arg(long)]
    pub(crate) call: bool,
    /// The running server to ask how they stand [default: where the configuration says that it listens]
    #[arg(long, value_name = "URL", value_parser = Base::parse)]
    pub(crate) server: Option<Base>,
    /// Print one JSON object: `findings`, each with level, endpoint, rule, what and right
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct UsersigArgs {
    /// Whom it signs in: a UserID. An admin's (default: administrator) opens the REST API
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) user: String,
    /// How long it is good: 90s, 12h, 180d, "1d 12h"; at most 10 years
    #[arg(long, value_name = "DURATION", default_value = "180d", value_parser = validity)]
    pub(crate) expire: Duration,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TokenArgs {
    /// Whom it signs in: a userID. An admin's (default: imAdmin) may act for others
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) user: String,
    /// On what: 1 iOS, 2 Android, 3 Windows, 4 macOS, 5 Web, 6 MiniWeb, 7 Linux, 8 Android pad, 9 iPad, 10 admin, 11 HarmonyOS
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=11))]
    pub(crate) platform: u8,
    /// How long it is good: 90s, 12h, 90d, "1d 12h"; at most 10 years
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = validity)]
    pub(crate) expire: Duration,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct MigrateArgs {
    /// Where everything is: sqlite:PATH or postgres://user:password@host:port/database
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(crate) from: Secret,
    /// Where it is to be: a database that is empty, or that an interrupted migration has begun to fill
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(crate) to: Secret,
    /// Into how many parts the log of a new PostgreSQL database is divided, 1 to 1024
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) shards: u16,
}

const EXAMPLES: &str = "\
Try it:
  ringback demo                                       see the callbacks happen
  ringback serve                                      start the server
  ringback listen --reject \"red packet\"               be the app backend, in a second terminal
  ringback usersig administrator                      call the REST API as Tencent's
  ringback token imAdmin --platform 10                call the REST API as OpenIM's
  ringback callbacks status                           see what is told, and what fails

Log lines go to standard error; RUST_LOG=debug shows more, NO_COLOR=1 shows them without colours.
Exit codes: 0 fine, 1 failed at work, 2 wrong usage or configuration.";

const SERVE_EXAMPLES: &str = "\
Examples:
  ringback serve
  ringback serve --config ringback.toml
  RINGBACK_SERVER__LISTEN=0.0.0.0:10002 ringback serve --data-dir /var/lib/ringback

The least configuration that calls a backend back:
  [[endpoint]]
  name = \"app\"
  dialect = \"tencent\"                           # or \"openim\", \"standard\"
  url = \"http://127.0.0.1:9000/callback\"
  commands = [\"*\"]

Secrets that are not configured are made once and kept in <data_dir>/secrets.toml.
SIGTERM or Ctrl-C stops it in order. The answer of GET /health/ready tells whether it serves.";

const DEMO_EXAMPLES: &str = "\
Examples:
  ringback demo             play the scenarios, then keep serving for you to try
  ringback demo --once      play them and exit: a check that this machine can run Ringback

It uses a temporary data directory and free ports on loopback, and leaves nothing behind.";

const LISTEN_EXAMPLES: &str = "\
Examples:
  ringback listen
  ringback listen --reject \"red packet\" --replace lunch=dinner
  ringback listen --fail-rate 0.2 --delay 300         what does a flaky backend do to chatting?
  ringback listen --json | jq -c '[.time, .path, .body]'

  ringback listen --forward http://localhost:3000/callback --server https://chat.example.com
  ringback listen --forward http://localhost:3000 --dialect openim --commands callbackAfterSendSingleMsgCommand

Have it called: an [[endpoint]] whose url is http://127.0.0.1:9000/callback.
With --forward nobody needs to reach you: it connects to the server, with the admin token of --config, --data-dir or
RINGBACK_SERVER__ADMIN_TOKEN. Your backend is told from then on, and asked after the configured endpoints; if it
does not answer, everything goes on without it.
--reject, --discard and --replace may be given several times; the first that fits decides, in this order.";

const CHECK_EXAMPLES: &str = "\
Examples:
  ringback check --config ringback.toml
  ringback check app --call                           also send it samples, and look at its answers
  ringback check --json | jq -r '.findings[] | select(.level == \"error\") | .what'

It needs no running server; if one runs, it is asked how its endpoints stand. Without --call nothing is sent to an
endpoint: it is only connected to.
Exit codes: 0 nothing is wrong (warnings may be), 1 something is, 2 wrong usage or configuration.";

const USERSIG_EXAMPLES: &str = "\
Examples:
  ringback usersig jared
  SIG=$(ringback usersig administrator --expire 1h)
  curl \"http://127.0.0.1:10002/v4/im_open_login_svc/account_import?sdkappid=1400000000&identifier=administrator&usersig=$SIG&random=1&contenttype=json\" -d '{\"UserID\":\"jared\"}'

It signs with the server's key: give the --config and --data-dir that `ringback serve` was given.";

const TOKEN_EXAMPLES: &str = "\
Examples:
  ringback token alice --platform 5
  TOKEN=$(ringback token imAdmin --platform 10 --expire 1h)
  curl http://127.0.0.1:10002/user/get_users_info -H \"token: $TOKEN\" -H 'operationID: 1' -d '{\"userIDs\":[\"alice\"]}'

It signs with the server's secret: give the --config and --data-dir that `ringback serve` was given.";

const MIGRATE_EXAMPLES: &str = "\
Examples:
  ringback migrate --from sqlite:ringback-data/ringback.db --to postgres://ringback:secret@db.internal/ringback
  ringback migrate --from postgres://ringback:secret@db.internal/ringback --to sqlite:ringback-data/back.db

Offline: stop the server first. Both databases are taken while it runs: one that is served, or is being served
elsewhere, is refused.
Everything moves: accounts, groups, history, read marks, and what each endpoint has still to be told.
It may be interrupted; the same command goes on where it stopped. Until it has ended, and has compared both
sides, nobody can serve the target. The source stays as it is.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  ringback config > ringback.toml
  ringback serve --config ringback.toml";

/// A URL may hold a password, which no error shows.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

fn replacement(text: &str) -> Result<Replacement, String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() => Ok(Replacement { from: from.to_owned(), to: to.to_owned() }),
        _ => Err("right would be A=B, such as lunch=dinner".to_owned()),
    }
}

fn probability(text: &str) -> Result<f64, String> {
    let part: Option<f64> = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
    part.ok_or_else(|| "right would be a number from 0 to 1, such as 0.2".to_owned())
}

/// Ten minutes are longer than any caller waits.
fn milliseconds(text: &str) -> Result<Duration, String> {
    let number: Option<u64> = text.parse().ok().filter(|number| *number <= 600_000);
    number.map(Duration::from_millis).ok_or_else(|| "right would be milliseconds from 0 to 600000".to_owned())
}

/// Both dialects count in whole seconds; ten years stand for "for ever" and still fit their fields.
fn validity(text: &str) -> Result<Duration, String> {
    let range = Duration::from_secs(1)..=Duration::from_secs(3653 * 86_400);
    let duration = humantime::parse_duration(text).ok().filter(|duration| range.contains(duration));
    duration.ok_or_else(|| "right would be a duration from 1s to 10 years, such as 12h or 180d".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_after_help().is_some(), "{}", command.get_name());
            for command in command.get_subcommands() {
                assert!(command.get_after_help().is_some(), "{}", command.get_name());
            }
        }
    }

    #[test]
    fn defaults() {
        let Command::Usersig(args) = parse("ringback usersig jared").unwrap().command else { panic!() };
        assert_eq!(args.expire.as_secs(), 15_552_000);
        let Command::Token(args) = parse("ringback token jared --platform 5").unwrap().command else { panic!() };
        assert_eq!((args.platform, args.expire.as_secs()), (5, 7_776_000));
        let Command::Listen(args) = parse("ringback listen --replace a=b=c").unwrap().command else { panic!() };
        assert_eq!(args.addr.to_string(), "127.0.0.1:9000");
        assert_eq!(args.replace, [Replacement { from: "a".to_owned(), to: "b=c".to_owned() }]);
        let Command::Callbacks(args) = parse("ringback callbacks replay --since -10m --dead --json").unwrap().command
        else {
            panic!()
        };
        let CallbacksCommand::Replay(replay) = args.command else { panic!() };
        assert_eq!((replay.since.as_deref(), replay.dead, args.json), (Some("-10m"), true, true));
    }

    #[test]
    fn wrong_usage_is_refused_with_exit_code_2() {
        for line in [
            "ringback",
            "ringback chat",
            "ringback token jared",
            "ringback token jared --platform 0",
            "ringback token jared --platform 12",
            "ringback usersig",
            "ringback usersig jared --expire 0s",
            "ringback usersig jared --expire soon",
            "ringback usersig jared --expire 11years",
            "ringback listen --fail-rate 1.1",
            "ringback listen --fail-rate NaN",
            "ringback listen --delay -1",
            "ringback listen --replace ab",
            "ringback listen --replace =b",
            "ringback listen --addr nowhere",
            "ringback callbacks",
            "ringback callbacks show",
            "ringback callbacks replay",
            "ringback callbacks replay 0:1 --dead",
            "ringback callbacks replay --until now",
            "ringback callbacks replay --since soon",
            "ringback callbacks dead --limit 0",
            "ringback callbacks dead --limit 1001",
            "ringback callbacks pending --limit many",
            "ringback callbacks test app",
            "ringback callbacks parked allow",
            "ringback callbacks parked --limit 101",
            "ringback callbacks parked reject 0 --code no",
            "ringback migrate --from sqlite:a",
            "ringback migrate --to sqlite:a",
            "ringback migrate --from sqlite:a --to postgres://u@h/d --shards 0",
            "ringback migrate --from sqlite:a --to postgres://u@h/d --shards 1025",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
