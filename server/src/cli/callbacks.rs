//! `ringback callbacks …`: what can be asked of a running server about the calls that it makes.

use chat::port::Clock;
use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};
use webhook::operator::MAX_PAGE;

use super::Place;
use crate::admin::parked::MAX_PAGE as MAX_PARKED;
use crate::clock::SystemClock;
use crate::http_client::Base;
use crate::moment;

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
    #[command(after_help = STATUS_EXAMPLES)]
    Status {
        /// One endpoint only
        endpoint: Option<String>,
    },
    /// What waits out of turn: conversations whose next event fails, and events that are to be told again
    #[command(after_help = PENDING_EXAMPLES)]
    Pending {
        /// One endpoint only
        endpoint: Option<String>,
        /// At most so many of each kind, 1 to 1000
        #[arg(long, value_name = "N", default_value = "20", value_parser = up_to(MAX_PAGE))]
        limit: usize,
    },
    /// The dead letters: events that were given up, and wait for you
    #[command(after_help = DEAD_EXAMPLES)]
    Dead {
        /// One endpoint only
        endpoint: Option<String>,
        /// At most so many, 1 to 1000
        #[arg(long, value_name = "N", default_value = "20", value_parser = up_to(MAX_PAGE))]
        limit: usize,
        /// Go on where the page before has ended
        #[arg(long, value_name = "PLACE")]
        after: Option<String>,
    },
    /// One event: the request as it is sent, every attempt, and what became of it at each endpoint
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// A webhook-id, an event's id, or SHARD:POSITION
        event: String,
    },
    /// Tell events again
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Give up an event that fails, so that its conversation goes on; it becomes a dead letter
    #[command(after_help = SKIP_EXAMPLES)]
    Skip {
        /// A webhook-id, an event's id, or SHARD:POSITION
        event: String,
        /// For this endpoint only; may be given several times
        #[arg(long, value_name = "NAME")]
        endpoint: Vec<String>,
    },
    /// Call an endpoint no more; its events wait
    #[command(after_help = PAUSE_EXAMPLES)]
    Pause {
        /// Its name
        endpoint: String,
        /// Why, for whoever looks at the status
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
    /// Call a paused endpoint again, or try one that is down at once
    #[command(after_help = RESUME_EXAMPLES)]
    Resume {
        /// Its name
        endpoint: String,
    },
    /// Messages that wait for a verdict: list them, or give it
    #[command(after_help = PARKED_EXAMPLES, args_conflicts_with_subcommands = true)]
    Parked {
        #[command(subcommand)]
        command: Option<ParkedCommand>,
        #[command(flatten)]
        list: ParkedList,
    },
    /// Send a signed sample of a command now, and show what the endpoint answers; exits with 1 if it fails
    #[command(after_help = TEST_EXAMPLES)]
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
    #[arg(long, value_name = "N", default_value = "20", value_parser = up_to(MAX_PARKED))]
    pub(crate) limit: usize,
    /// Go on where the page before has ended
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ParkedCommand {
    /// Those that wait, the longest first; also what `parked` alone does
    #[command(after_help = PARKED_EXAMPLES)]
    List(ParkedList),
    /// Send it
    #[command(after_help = PARKED_EXAMPLES)]
    Allow {
        #[command(flatten)]
        message: ParkedMessage,
    },
    /// Refuse it; its sender gets that if they send it again
    #[command(after_help = PARKED_EXAMPLES)]
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
    #[command(after_help = PARKED_EXAMPLES)]
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

pub(super) const EXAMPLES: &str = "\
Examples:
  ringback callbacks status
  ringback callbacks dead app
  ringback callbacks replay --dead --endpoint app
  ringback callbacks status --server https://chat.example.com --json | jq '.endpoints[].lag_seconds'

It talks to a running server, and shows it the admin token: give the --config and --data-dir that `ringback serve`
was given, or the token in RINGBACK_SERVER__ADMIN_TOKEN.
Exit codes: 0 fine, 1 it failed or is not there, 2 wrong usage, configuration or token.";

const STATUS_EXAMPLES: &str = "\
Examples:
  ringback callbacks status
  watch -n 2 ringback callbacks status

LAG is events in the log that the endpoint is not past yet, AGE how old the oldest of them is, looked at every 10 s. RATE,
OK, P50 and P99 are those of its newest 1,024 calls at most. States: up; down (it answers nobody, and is probed); held (it asked to be left
alone); paused; full (nothing new is accepted, see when_full).";

const PENDING_EXAMPLES: &str = "\
Examples:
  ringback callbacks pending
  ringback callbacks pending app --limit 100";

const DEAD_EXAMPLES: &str = "\
Examples:
  ringback callbacks dead
  ringback callbacks dead app --limit 1000 --json | jq -r '.letters[].event'";

const SHOW_EXAMPLES: &str = "\
Examples:
  ringback callbacks show 019aa5c1d2e37f0a8f54c1b2d3e4f506.app      what the receiver saw as webhook-id
  ringback callbacks show 019aa5c1d2e37f0a8f54c1b2d3e4f506
  ringback callbacks show 0:1234";

const REPLAY_EXAMPLES: &str = "\
Examples:
  ringback callbacks replay 019aa5c1d2e37f0a8f54c1b2d3e4f506.app
  ringback callbacks replay --endpoint app --since '2h ago' --until -30m --dry-run
  ringback callbacks replay --dead
  ringback callbacks replay --dead --endpoint app --since 2026-11-21T10:00:00Z

Events are told again under the webhook-id that they had, beside what is new. What is not told yet comes anyway, and
is left alone. Replaying twice is replaying once. An endpoint has at most 1,000,000 letters.";

const SKIP_EXAMPLES: &str = "\
Examples:
  ringback callbacks pending app
  ringback callbacks skip 019aa5c1d2e37f0a8f54c1b2d3e4f506.app
  ringback callbacks replay 019aa5c1d2e37f0a8f54c1b2d3e4f506.app      when the receiver is mended";

const PAUSE_EXAMPLES: &str = "\
Examples:
  ringback callbacks pause app --why 'database maintenance until 14:00'

Calls under way are finished. Before-callbacks are still asked.";

const RESUME_EXAMPLES: &str = "\
Examples:
  ringback callbacks resume app";

const PARKED_EXAMPLES: &str = "\
Examples:
  ringback callbacks parked
  ringback callbacks parked allow 019aa5c1d2e37f0a8f54c1b2d3e4f506
  ringback callbacks parked reject 019aa5c1d2e37f0a8f54c1b2d3e4f506 --code 120001 --info 'be kind'
  ringback callbacks parked allow 019aa5c1d2e37f0a8f54c1b2d3e4f506 --round 2
  ringback callbacks parked --limit 100 --json | jq -r '.parked[].message.elements[].text'

A message waits when an endpoint of the standard dialect answers {\"verdict\": \"pending\"}. Without a verdict its deadline
decides. POST /admin/parked/ID does the same, and can change the message.";

const TEST_EXAMPLES: &str = "\
Examples:
  ringback callbacks test app C2C.CallbackBeforeSendMsg
  ringback callbacks test hooks callbackAfterSendGroupMsgCommand

The call is about sample-alice, sample-bob and sample-group, whom nobody knows; its webhook-id begins with test-.";

/// How many rows are wanted: those of one page at most.
fn up_to(most: usize) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most as u64)
}

/// The server reads it by its own clock; what it would not understand is refused here.
fn written_moment(text: &str) -> Result<String, String> {
    match moment::parse(text, SystemClock.now()) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("right would be {}", moment::RIGHT)),
    }
}
