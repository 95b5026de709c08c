//! What a command is, and on whose authority it runs.

use std::net::IpAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::chat::Context;
use crate::id::AccountId;
use crate::refusal::Error;

/// A request in the imperative. One verb is one command and one file; [`crate::Chat::run`] is the only way to run one.
#[async_trait]
pub trait Command: Send {
    /// What the caller gets.
    type Reply: Send;
    /// A stable name for logs and metrics.
    const NAME: &'static str;
    /// Carries it out: facts, rules, ask, changes, commit, reply.
    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply, Error>;
}

/// On whose authority a command runs. Dialects establish it from a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The app itself, through one of its configured admins.
    App(AccountId),
    /// A signed-in account.
    Account(AccountId),
    /// Ringback itself.
    System,
}

impl Actor {
    /// The account behind the actor, if any.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Self::App(id) | Self::Account(id) => Some(id),
            Self::System => None,
        }
    }

    /// Whether the app itself is acting.
    pub fn is_app(&self) -> bool {
        matches!(self, Self::App(_))
    }
}

/// Where a command came from; passed on to callbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The class of client.
    pub platform: Platform,
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The caller's own id of this request, for tracing. OpenIM `operationID`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operation: String,
}

/// The class of client that a command came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// A backend, over a REST API.
    #[default]
    Rest,
    /// iPhone.
    Ios,
    /// Android phone.
    Android,
    /// Windows.
    Windows,
    /// macOS.
    MacOs,
    /// Browser.
    Web,
    /// Mini program inside another app.
    MiniWeb,
    /// Linux.
    Linux,
    /// Android tablet.
    AndroidPad,
    /// iPad.
    IPad,
    /// HarmonyOS.
    Harmony,
}
