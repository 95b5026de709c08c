//! `FindAccounts`: which of these accounts exist, and their profiles.

use async_trait::async_trait;

use super::Account;
use crate::chat::Context;
use crate::command::Command;
use crate::id::AccountId;
use crate::refusal::{Error, Refusal};

/// At most this many accounts are looked up at once.
pub const MAX_FIND: usize = 1000;

/// Looks accounts up; anyone may.
#[derive(Clone, Debug)]
pub struct FindAccounts(pub Vec<AccountId>);

#[async_trait]
impl Command for FindAccounts {
    /// Those that exist, in the order of the question.
    type Reply = Vec<Account>;
    const NAME: &'static str = "find_accounts";

    async fn run(self, cx: &Context<'_>) -> Result<Vec<Account>, Error> {
        if self.0.len() > MAX_FIND {
            return Err(Refusal::TooMany { what: "accounts", limit: MAX_FIND }.into());
        }
        Ok(cx.store().accounts(&self.0).await?)
    }
}
