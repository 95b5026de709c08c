//! `/auth/…`: tokens.

pub(crate) mod get_admin_token;
pub(crate) mod get_user_token;
pub(crate) mod parse_token;

use serde::Serialize;

use crate::call::App;

/// A new token.
#[derive(Debug, Serialize)]
pub(crate) struct NewToken {
    token: String,
    /// How long it is valid, from now.
    #[serde(rename = "expireTimeSeconds")]
    expire_time_seconds: u64,
}

impl NewToken {
    fn issue(app: &App, user: &chat::id::AccountId, platform: u8) -> Self {
        let lifetime = app.config.token_lifetime;
        let token = crate::token::issue(&app.config.secret, user, platform, app.now(), lifetime);
        Self { token, expire_time_seconds: lifetime.as_secs() }
    }
}
