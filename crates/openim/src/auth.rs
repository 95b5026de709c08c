//! Who is calling: from the `token` header to an [`Actor`].

use chat::id::{AccountId, Timestamp};
use chat::{Actor, Platform};

use crate::config::Config;
use crate::error::{ApiError, Code};
use crate::{platform, token};

/// A caller whose token is good.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// On whose authority the request runs.
    pub(crate) actor: Actor,
    /// The class of client that the token was issued for.
    pub(crate) platform: Platform,
    /// The platform's number, as the token has it.
    pub(crate) number: i64,
}

impl Caller {
    /// Judges a token. Whether it was revoked will be asked here, once something revokes tokens.
    pub(crate) fn of(config: &Config, token: &str, now: Timestamp) -> Result<Self, ApiError> {
        let claims = token::verify(&config.secret, token, now)?;
        let number = i64::from(claims.platform);
        let platform = platform::of(number);
        let platform = platform.ok_or_else(|| Code::TokenMalformed.because("the token names no known platform"))?;
        // An admin's user id is what counts, whatever platform the token is for (semantics.md, section 2).
        if config.admins.contains(&claims.user) {
            Ok(Self { actor: Actor::App(claims.user), platform: Platform::Rest, number })
        } else {
            Ok(Self { actor: Actor::Account(claims.user), platform, number })
        }
    }

    /// Whether the token is this account's, for the platform of this number.
    pub(crate) fn is_for(&self, account: &AccountId, number: i64) -> bool {
        self.actor.account() == Some(account) && self.number == number
    }

    /// Only the app's admins go on.
    pub(crate) fn check_admin(&self) -> Result<(), ApiError> {
        if self.actor.is_app() {
            Ok(())
        } else {
            Err(Code::NoPermission.because("only an admin of the app may do this"))
        }
    }

    /// Only the account itself and the app's admins go on. The answer is on whose authority the account's own data may
    /// be read: the rules that hold for the account hold for an admin who looks through its eyes.
    pub(crate) fn as_account(&self, account: &AccountId) -> Result<Actor, ApiError> {
        match &self.actor {
            Actor::Account(id) if id != account => {
                Err(Code::NoPermission.because("only the user itself or an admin of the app may do this"))
            }
            _ => Ok(Actor::Account(account.clone())),
        }
    }
}
