//! `/auth/parse_token`: what a token says, if it is good.

use serde::Serialize;

use crate::call::OpenCall;
use crate::error::ApiError;
use crate::token;

#[derive(Debug, Serialize)]
pub(crate) struct Parsed {
    #[serde(rename = "userID")]
    user_id: String,
    #[serde(rename = "platformID")]
    platform_id: u8,
    // COMPAT: a point in time here, where the routes that issue tokens mean a duration.
    #[serde(rename = "expireTimeSeconds")]
    expire_time_seconds: i64,
}

pub(crate) async fn handle(call: OpenCall) -> Result<Parsed, ApiError> {
    let claims = token::verify(&call.app.config.secret, &call.body.text("token")?, call.app.now())?;
    Ok(Parsed { user_id: claims.user.to_string(), platform_id: claims.platform, expire_time_seconds: claims.expires })
}
