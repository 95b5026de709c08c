//! The command line. Its help is where most people meet Ringback for the second time, so it teaches.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chat::port::Clock;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use humantime_serde::re::humantime;
use webhook::operator::MAX_PAGE;

use crate::clock::SystemClock;
use crate::config::Secret;
use crate::listen::Replacement;
use crate::moment;
use crate::remote::Base;

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
    #[command(after_help = CALLBACKS_EXAMPLES)]
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
        value_parser = ["tencent", "openim", "standard"])]
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

#[derive(Debug, Clone, Args)]
pub(crate) struct CallbacksArgs {
    #[command(subcommand)]
    pub(crate) command: CallbacksCommand,
    /// The running server [default: where server.listen says, on this machine]
    #[arg(long, global = true, value_name = "URL", value_parser = Base::parse)]
    pub(crate) server: Option<Base>,
    /// Print the admin API's answer as it is: one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum CallbacksCommand {
    /// How each endpoint stands: state, lag, rate, success, latency, letters, breaker
    #[command(after_help = CALLBACKS_STATUS_EXAMPLES)]
    Status {
        /// One endpoint only
        endpoint: Option<String>,
    },
    /// What waits out of turn: conversations whose next event fails, and events that are to be told again
    #[command(after_help = CALLBACKS_PENDING_EXAMPLES)]
    Pending {
        /// One endpoint only
        endpoint: Option<String>,
        /// At most so many of each kind, 1 to 1000
        #[arg(long, value_name = "N", default_value = "20", value_parser = page)]
        limit: usize,
    },
    /// The dead letters: events that were given up, and wait for you
    #[command(after_help = CALLBACKS_DEAD_EXAMPLES)]
    Dead {
        /// One endpoint only
        endpoint: Option<String>,
        /// At most so many, 1 to 1000
        #[arg(long, value_name = "N", default_value = "20", value_parser = page)]
        limit: usize,
        /// Go on where the page before has ended
        #[arg(long, value_name = "PLACE")]
        after: Option<String>,
    },
    /// One event: the request as it is sent, every attempt, and what became of it at each endpoint
    #[command(after_help = CALLBACKS_SHOW_EXAMPLES)]
    Show {
        /// A webhook-id, an event's id, or SHARD:POSITION
        event: String,
    },
    /// Tell events again
    #[command(after_help = CALLBACKS_REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Give up an event that fails, so that its conversation goes on; it becomes a dead letter
    #[command(after_help = CALLBACKS_SKIP_EXAMPLES)]
    Skip {
        /// A webhook-id, an event's id, or SHARD:POSITION
        event: String,
        /// For this endpoint only; may be given several times
        #[arg(long, value_name = "NAME")]
        endpoint: Vec<String>,
    },
    /// Call an endpoint no more; its events wait
    #[command(after_help = CALLBACKS_PAUSE_EXAMPLES)]
    Pause {
        /// Its name
        endpoint: String,
        /// Why, for whoever looks at the status
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// Call a paused endpoint again, or try one that is down at once
    #[command(after_help = CALLBACKS_RESUME_EXAMPLES)]
    Resume {
        /// Its name
        endpoint: String,
    },
    /// Messages that wait for a verdict: list them, or give it
    #[command(after_help = CALLBACKS_PARKED_EXAMPLES, args_conflicts_with_subcommands = true)]
    Parked {
        #[command(subcommand)]
        command: Option<ParkedCommand>,
        #[command(flatten)]
        list: ParkedList,
    },
    /// Send a signed sample of a command now, and show what the endpoint answers; exits with 1 if it fails
    #[command(after_help = CALLBACKS_TEST_EXAMPLES)]
    Test {
        /// Its name
        endpoint: String,
        /// A callback command of its dialect
        command: String,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ParkedList {
    /// At most so many, 1 to 100
    #[arg(long, value_name = "N", default_value = "20", value_parser = parked_page)]
    pub(crate) limit: usize,
    /// Go on where the page before has ended
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ParkedCommand {
    /// Those that wait, the longest first; also what `parked` alone does
    #[command(after_help = CALLBACKS_PARKED_EXAMPLES)]
    List(ParkedList),
    /// Send it
    #[command(after_help = CALLBACKS_PARKED_EXAMPLES)]
    Allow {
        #[command(flatten)]
        message: ParkedMessage,
    },
    /// Refuse it; its sender gets that if they send it again
    #[command(after_help = CALLBACKS_PARKED_EXAMPLES)]
    Reject {
        #[command(flatten)]
        message: ParkedMessage,
        /// The app's own code for the sender
        #[arg(long, value_name = "N", allow_hyphen_values = true)]
        code: Option<i64>,
        /// Words for the sender
        #[arg(long, value_name = "TEXT")]
        info: Option<String>,
    },
    /// Drop it; it looks sent if it is sent again
    #[command(after_help = CALLBACKS_PARKED_EXAMPLES)]
    Discard {
        #[command(flatten)]
        message: ParkedMessage,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ParkedMessage {
    /// The message's id
    pub(crate) id: String,
    /// The round that was looked at, as `parked list` shows it; too late if it is over [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) round: Option<u32>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ReplayArgs {
    /// These events: webhook-ids, ids, or SHARD:POSITION
    #[arg(value_name = "EVENT", conflicts_with_all = ["since", "until", "dead"], required_unless_present_any = ["since", "dead"])]
    pub(crate) events: Vec<String>,
    /// To this endpoint only; may be given several times [default: to all]
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Vec<String>,
    /// All events from this moment on: 2026-11-21T10:00:00Z, "10m ago", -10m
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = written_moment)]
    pub(crate) since: Option<String>,
    /// ... up to this one [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = written_moment)]
    pub(crate) until: Option<String>,
    /// Only those that are dead letters
    #[arg(long)]
    pub(crate) dead: bool,
    /// Only say what would be told again
    #[arg(long)]
    pub(crate) dry_run: bool,
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
  dialect = \"tencent\"                           # or \"openim\"
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

const CALLBACKS_EXAMPLES: &str = "\
Examples:
  ringback callbacks status
  ringback callbacks dead app
  ringback callbacks replay --dead --endpoint app
  ringback callbacks status --server https://chat.example.com --json | jq '.endpoints[].lag_seconds'

It talks to a running server, and shows it the admin token: give the --config and --data-dir that `ringback serve`
was given, or the token in RINGBACK_SERVER__ADMIN_TOKEN.
Exit codes: 0 fine, 1 it failed or is not there, 2 wrong usage, configuration or token.";

const CALLBACKS_STATUS_EXAMPLES: &str = "\
Examples:
  ringback callbacks status
  watch -n 2 ringback callbacks status

LAG is events in the log that the endpoint is not past yet, AGE how old the oldest of them is. RATE, OK, P50 and P99 are
those of its newest 1,024 calls at most. States: up; down (it answers nobody, and is probed); held (it asked to be left
alone); paused; full (nothing new is accepted, see when_full).";

const CALLBACKS_PENDING_EXAMPLES: &str = "\
Examples:
  ringback callbacks pending
  ringback callbacks pending app --limit 100";

const CALLBACKS_DEAD_EXAMPLES: &str = "\
Examples:
  ringback callbacks dead
  ringback callbacks dead app --limit 1000 --json | jq -r '.letters[].event'";

const CALLBACKS_SHOW_EXAMPLES: &str = "\
Examples:
  ringback callbacks show 019aa5c1d2e37f0a8f54c1b2d3e4f506.app      what the receiver saw as webhook-id
  ringback callbacks show 019aa5c1d2e37f0a8f54c1b2d3e4f506
  ringback callbacks show 0:1234";

const CALLBACKS_REPLAY_EXAMPLES: &str = "\
Examples:
  ringback callbacks replay 019aa5c1d2e37f0a8f54c1b2d3e4f506.app
  ringback callbacks replay --endpoint app --since '2h ago' --until -30m --dry-run
  ringback callbacks replay --dead
  ringback callbacks replay --dead --endpoint app --since 2026-11-21T10:00:00Z

Events are told again under the webhook-id that they had, beside what is new. What is not told yet comes anyway, and
is left alone. Replaying twice is replaying once. An endpoint has at most 1,000,000 letters.";

const CALLBACKS_SKIP_EXAMPLES: &str = "\
Examples:
  ringback callbacks pending app
  ringback callbacks skip 019aa5c1d2e37f0a8f54c1b2d3e4f506.app
  ringback callbacks replay 019aa5c1d2e37f0a8f54c1b2d3e4f506.app      when the receiver is mended";

const CALLBACKS_PAUSE_EXAMPLES: &str = "\
Examples:
  ringback callbacks pause app --why 'database maintenance until 14:00'

Calls under way are finished. Before-callbacks are still asked.";

const CALLBACKS_RESUME_EXAMPLES: &str = "\
Examples:
  ringback callbacks resume app";

const CALLBACKS_PARKED_EXAMPLES: &str = "\
Examples:
  ringback callbacks parked
  ringback callbacks parked allow 019aa5c1d2e37f0a8f54c1b2d3e4f506
  ringback callbacks parked reject 019aa5c1d2e37f0a8f54c1b2d3e4f506 --code 120001 --info 'be kind'
  ringback callbacks parked allow 019aa5c1d2e37f0a8f54c1b2d3e4f506 --round 2
  ringback callbacks parked --limit 100 --json | jq -r '.parked[].message.elements[].text'

A message waits when an endpoint of the standard dialect answers {\"verdict\": \"pending\"}. Without a verdict its deadline
decides. POST /admin/parked/ID does the same, and can change the message.";

const CALLBACKS_TEST_EXAMPLES: &str = "\
Examples:
  ringback callbacks test app C2C.CallbackBeforeSendMsg
  ringback callbacks test hooks callbackAfterSendGroupMsgCommand

The call is about sample-alice, sample-bob and sample-group, whom nobody knows; its webhook-id begins with test-.";

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

fn page(text: &str) -> Result<usize, String> {
    let number: Option<usize> = text.parse().ok().filter(|number| (1..=MAX_PAGE).contains(number));
    number.ok_or_else(|| format!("right would be a whole number from 1 to {MAX_PAGE}"))
}

/// Messages are longer than what else is listed.
fn parked_page(text: &str) -> Result<usize, String> {
    let number: Option<usize> = text.parse().ok().filter(|number| (1..=100).contains(number));
    number.ok_or_else(|| "right would be a whole number from 1 to 100".to_owned())
}

/// The server reads it by its own clock; what it would not understand is refused here.
fn written_moment(text: &str) -> Result<String, String> {
    match moment::parse(text, SystemClock.now()) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("right would be {}", moment::RIGHT)),
    }
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
        let Command::Callbacks(args) = parse("ringback callbacks replay --since -10m --dead --json").unwrap().command
        else {
            panic!()
        };
        let CallbacksCommand::Replay(replay) = args.command else { panic!() };
        assert_eq!((replay.since.as_deref(), replay.dead, args.json), (Some("-10m"), true, true));
        let Command::Listen(args) = parse("ringback listen --replace a=b=c").unwrap().command else { panic!() };
        assert_eq!(args.replace, [Replacement { from: "a".to_owned(), to: "b=c".to_owned() }]);
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
