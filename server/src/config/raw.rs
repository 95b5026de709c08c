//! The configuration as it is written, before its values are checked.
//!
//! What has a default has it on the printed page (`default.toml`), except an endpoint's keys:
//! endpoints are a list, and a list's items cannot be completed by a lower layer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Dialect;
use super::secret::{Secret, Secrets};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) server: Server,
    pub(super) store: Store,
    pub(super) cluster: Option<Cluster>,
    pub(super) tencent: Tencent,
    pub(super) openim: OpenIm,
    pub(super) policy: Policy,
    pub(super) callbacks: Callbacks,
    #[serde(default)]
    pub(super) endpoint: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) listen: String,
    pub(super) gateway: String,
    pub(super) data_dir: PathBuf,
    pub(super) admin_token: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    /// Secret, because it may hold a password.
    pub(super) url: Option<Secret>,
    pub(super) connections: u16,
    pub(super) writers: u16,
    pub(super) shards: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    #[serde(rename = "nats")]
    _nats: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tencent {
    pub(super) sdkappid: u32,
    pub(super) key: Option<Secret>,
    pub(super) admins: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenIm {
    pub(super) secret: Option<Secret>,
    pub(super) admins: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) restricted_words: Vec<String>,
    pub(super) max_message_bytes: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Callbacks {
    pub(super) allow: Vec<String>,
    #[serde(with = "humantime_serde")]
    pub(super) keep_events: Duration,
    #[serde(with = "humantime_serde")]
    pub(super) keep_attempts: Duration,
    pub(super) max_attempts: u64,
    /// Secret, because it may hold a password.
    pub(super) proxy: Option<Secret>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) dialect: Dialect,
    pub(super) url: String,
    pub(super) commands: Vec<String>,
    #[serde(default)]
    pub(super) only: Criteria,
    #[serde(default)]
    pub(super) except: Criteria,
    /// 2 s is what Tencent gives a callback.
    #[serde(default = "two_seconds", with = "humantime_serde")]
    pub(super) timeout: Duration,
    #[serde(default)]
    pub(super) on_failure: OnFailure,
    pub(super) on_timeout: Option<OnFailure>,
    pub(super) on_connection_error: Option<OnFailure>,
    pub(super) on_bad_status: Option<OnFailure>,
    pub(super) on_bad_body: Option<OnFailure>,
    #[serde(default)]
    pub(super) command: BTreeMap<String, Command>,
    #[serde(default)]
    pub(super) acknowledge: Acknowledge,
    /// 64 calls of 10 ms are 6,400 a second: more than one receiver takes as a rule.
    #[serde(default = "sixty_four")]
    pub(super) concurrency: u16,
    #[serde(default)]
    pub(super) order: Order,
    /// As durations in words; none: the default schedule.
    pub(super) retry_schedule: Option<Vec<String>>,
    #[serde(default = "seven_days", with = "humantime_serde")]
    pub(super) max_age: Duration,
    #[serde(default = "hundred_thousand")]
    pub(super) max_dead_letters: u64,
    #[serde(default)]
    pub(super) when_full: WhenFull,
    pub(super) rate_limit: Option<u32>,
    #[serde(default = "one")]
    pub(super) batch: u16,
    #[serde(default = "eight_mebibytes")]
    pub(super) max_body_bytes: u32,
    pub(super) token: Option<Secret>,
    pub(super) secret: Option<Secrets>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Secret>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_cert_file: Option<PathBuf>,
    pub(super) client_key_file: Option<PathBuf>,
}

/// What one command of an endpoint has of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    #[serde(default, with = "humantime_serde")]
    pub(super) timeout: Option<Duration>,
    pub(super) on_failure: Option<OnFailure>,
    pub(super) on_timeout: Option<OnFailure>,
    pub(super) on_connection_error: Option<OnFailure>,
    pub(super) on_bad_status: Option<OnFailure>,
    pub(super) on_bad_body: Option<OnFailure>,
}

/// What it means when a before-callback gets no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnFailure {
    #[default]
    Allow,
    Reject,
}

impl From<OnFailure> for webhook::endpoint::OnFailure {
    fn from(written: OnFailure) -> Self {
        match written {
            OnFailure::Allow => Self::Allow,
            OnFailure::Reject => Self::Reject,
        }
    }
}

/// When an after-callback counts as told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Acknowledge {
    #[default]
    Status,
    Body,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    #[default]
    Ordered,
    Unordered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WhenFull {
    #[default]
    Pause,
    Refuse,
}

/// Three days of retries, and four to notice.
fn seven_days() -> Duration {
    Duration::from_secs(7 * 24 * 60 * 60)
}

fn hundred_thousand() -> u64 {
    100_000
}

fn one() -> u16 {
    1
}

/// A message of the largest size that may be configured, escaped.
fn eight_mebibytes() -> u32 {
    8 << 20
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Criteria {
    #[serde(default)]
    pub(super) conversations: BTreeSet<String>,
    #[serde(default)]
    pub(super) groups: BTreeSet<String>,
    #[serde(default)]
    pub(super) receivers: BTreeSet<String>,
    #[serde(default)]
    pub(super) senders: BTreeSet<String>,
    #[serde(default)]
    pub(super) group_types: BTreeSet<String>,
    #[serde(default)]
    pub(super) content_types: BTreeSet<String>,
}

fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

fn sixty_four() -> u16 {
    64
}
