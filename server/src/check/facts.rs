//! What is known about an endpoint when it is judged: plain values, so that every rule can be tried in a table.

use std::time::Duration;

use chat::id::Timestamp;
use serde::Deserialize;
use webhook::failure::NotReached;
use webhook::filter::Filter;
use webhook::operator::Tested;

/// Everything about one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) name: String,
    /// Its URL without a query, which may hold a secret.
    pub(super) url: String,
    pub(super) timeout: Duration,
    pub(super) max_age: Duration,
    /// Whether anything proves to the receiver who calls, and when.
    pub(super) is_signed: bool,
    /// What it subscribes to; everything that its dialect has, if it asks for everything.
    pub(super) commands: Vec<Command>,
    /// It asks for everything that its dialect has.
    pub(super) wants_all: bool,
    pub(super) filter: Filter,
    /// Calls go through a proxy.
    pub(super) has_proxy: bool,
    /// What became of connecting.
    pub(super) reached: Reached,
    /// What became of samples, if any were sent.
    pub(super) calls: Vec<Called>,
    /// How the running server says that it stands.
    pub(super) standing: Standing,
}

/// A command that an endpoint subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) name: String,
    /// Something is asked by it, and not told.
    pub(super) is_question: bool,
    /// Something in this version leads to it.
    pub(super) is_produced: bool,
    /// Whether it is about groups, if its name says so.
    pub(super) is_of_groups: Option<bool>,
}

/// What became of connecting to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reached {
    /// It took so long, TLS included.
    Yes(Duration),
    No(NotReached),
    /// Its whole deadline was over.
    TooLate,
}

/// One sample that was sent.
#[derive(Debug, Clone)]
pub(super) struct Called {
    pub(super) tested: Tested,
    /// What time it is there (`Date`), if it says so,
    pub(super) date: Option<Timestamp>,
    /// ... and here.
    pub(super) now: Timestamp,
}

/// What the running server says of an endpoint.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// No server was reached, or none answered; said once for all endpoints.
    Unknown,
    /// It has no endpoint of this name.
    Missing,
    Known(Box<Status>),
}

/// One endpoint as `GET /admin/callbacks` shows it; only what is judged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) endpoint: String,
    /// `up`, `down`, `held`, `paused`, `full`.
    pub(super) state: String,
    pub(super) pause: Option<Pause>,
    pub(super) lag_events: u64,
    pub(super) lag_seconds: u64,
    pub(super) failing: u64,
    /// The next three are said of so many calls.
    pub(super) calls: u64,
    pub(super) success: Option<f64>,
    pub(super) p99_millis: f64,
    pub(super) dead: u64,
    pub(super) gaps: Vec<serde_json::Value>,
    pub(super) breaker: Breaker,
}

/// Why it is not called.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pause {
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) since: Timestamp,
}

/// Whether it is asked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Breaker {
    /// `closed`, `half_open`, `open`.
    pub(super) state: String,
    pub(super) seconds: u64,
    pub(super) failures: u64,
}

/// What became of asking the running server.
#[derive(Debug, Clone)]
pub(super) enum ServerSeen {
    /// Nobody is there, in words.
    Away(String),
    /// It does not answer us, in words.
    Refuses(String),
    /// It answered: what time it is there, and here. How its endpoints stand is each one's [`Standing`].
    Runs { time: Option<Timestamp>, now: Timestamp },
}
