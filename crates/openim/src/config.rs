//! What the operator decides about this dialect.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chat::id::AccountId;

/// Settings of the OpenIM dialect.
#[derive(Clone)]
pub struct Config {
    /// Signs tokens, and buys admin tokens. OpenIM `share.secret`.
    pub secret: String,
    /// Who may act for the app. OpenIM `share.imAdminUserID`.
    pub admins: BTreeSet<AccountId>,
    /// How long a token is valid. OpenIM `tokenPolicy.expire`: 90 days unless configured.
    pub token_lifetime: Duration,
    /// So many connections may be open at once. OpenIM `websocketMaxConnNum`.
    pub max_connections: usize,
}

impl Config {
    /// How long tokens live where nobody says otherwise (`spec/openim/semantics.md`, section 2).
    pub const TOKEN_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

    /// How many connections there may be where nobody says otherwise (`spec/openim/gateway.md`, section 2).
    pub const MAX_CONNECTIONS: usize = 100_000;
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret is never shown.
        f.debug_struct("Config")
            .field("admins", &self.admins)
            .field("token_lifetime", &self.token_lifetime)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
