//! The Tencent Cloud Chat dialect, server side: REST `/v4/…`, UserSig, third-party callbacks.
//!
//! Everything that would change if Tencent's wire changed is in here, and nothing else. `COMPAT:` marks what is only done
//! because the wire is as it is.
//!
//! # How to add a REST command
//! 1. Add a file in `rest/` named like the command, with one function `run`: read fields, run a `chat` command, answer.
//! 2. Add its line to the table in `rest.rs`.
//! 3. If it meets a new [`chat::Refusal`], map it in `error_map.rs`, per service.
//! 4. Add its scenario to `tests/`.

mod body;
pub mod callback;
mod element;
mod envelope;
mod error_map;
mod gate;
mod group_type;
mod message_key;
mod rest;
pub mod usersig;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use chat::Chat;
use chat::id::AccountId;

/// The dialect's name, on carried fields and in the configuration.
pub const DIALECT: &str = "tencent";

/// What the operator configures.
#[derive(Clone)]
pub struct Config {
    /// The app's id: `sdkappid`.
    pub sdkappid: u32,
    /// Signs and verifies UserSig.
    pub key: String,
    /// The accounts that may call the REST API.
    pub admins: BTreeSet<AccountId>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("sdkappid", &self.sdkappid).field("admins", &self.admins).finish_non_exhaustive()
    }
}

/// The dialect at work.
#[derive(Debug)]
pub(crate) struct Tencent {
    pub(crate) chat: Arc<Chat>,
    pub(crate) config: Config,
    pub(crate) verified: usersig::Verified,
}

/// The dialect's routes.
pub fn router(chat: Arc<Chat>, config: Config) -> Router {
    let tencent = Arc::new(Tencent { chat, config, verified: usersig::Verified::default() });
    Router::new()
        .route("/v4", any(gate::unknown))
        .route("/v4/", any(gate::unknown))
        .route("/v4/{*command}", any(gate::handle))
        .with_state(tencent)
}
