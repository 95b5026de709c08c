//! The configuration as it is written, before its values are checked.
//!
//! What has a default has it on the printed page (`default.toml`), except an endpoint's keys:
//! endpoints are a list, and a list's items cannot be completed by a lower layer.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::secret::Secret;
use super::{Acknowledge, Dialect, OnFailure};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) server: Server,
    pub(super) store: Store,
    pub(super) cluster: Option<Cluster>,
    pub(super) tencent: Tencent,
    pub(super) openim: OpenIm,
    pub(super) policy: Policy,
    #[serde(default)]
    pub(super) endpoint: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) listen: String,
    pub(super) gateway: String,
    pub(super) data_dir: PathBuf,
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
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) dialect: Dialect,
    pub(super) url: String,
    pub(super) commands: Vec<String>,
    /// 2 s is what Tencent gives a callback.
    #[serde(default = "two_seconds", with = "humantime_serde")]
    pub(super) timeout: Duration,
    #[serde(default)]
    pub(super) on_failure: OnFailure,
    #[serde(default)]
    pub(super) acknowledge: Acknowledge,
    /// 64 calls of 10 ms are 6,400 a second: more than one receiver takes as a rule.
    #[serde(default = "sixty_four")]
    pub(super) concurrency: u16,
    pub(super) token: Option<Secret>,
    pub(super) secret: Option<Secret>,
}

fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

fn sixty_four() -> u16 {
    64
}
