//! `ImportAccounts`: make accounts known, once. Importing a known account changes nothing and is no error.

use async_trait::async_trait;

use super::Account;
use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::id::AccountId;
use crate::port::{Assertion, Changes, Write};
use crate::refusal::{Error, Refusal};

/// At most this many accounts are imported by one command; a dialect may allow fewer.
pub const MAX_IMPORT: usize = 1000;

/// Makes accounts known.
#[derive(Clone, Debug)]
pub struct ImportAccounts {
    /// The accounts; `created` is set by the server.
    pub accounts: Vec<NewAccount>,
    /// What happens to accounts that exist.
    pub existing: Existing,
}

/// An account as its importer describes it. `None` leaves a known account's field as it is.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// Its display name.
    pub name: Option<String>,
    /// Its avatar.
    pub face_url: Option<String>,
    /// The app's own data.
    pub custom_data: Option<String>,
}

impl NewAccount {
    /// An account without a profile.
    pub fn bare(id: AccountId) -> Self {
        Self { id, name: None, face_url: None, custom_data: None }
    }
}

/// What importing does about accounts that exist already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Keeps them, and takes over the profile fields that were given (Tencent `account_import`).
    Update,
    /// Refuses the whole command with [`Refusal::AccountExists`] (OpenIM `user_register`).
    Refuse,
}

#[async_trait]
impl Command for ImportAccounts {
    type Reply = ();
    const NAME: &'static str = "import_accounts";

    async fn run(self, cx: &Context<'_>) -> Result<(), Error> {
        if !matches!(cx.actor, Actor::App(_) | Actor::System) {
            return Err(Refusal::NotPermitted.into());
        }
        if self.accounts.len() > MAX_IMPORT {
            return Err(Refusal::TooMany { what: "accounts", limit: MAX_IMPORT }.into());
        }
        let now = cx.now();
        let mut changes = Changes::default();
        for new in self.accounts {
            if self.existing == Existing::Refuse {
                changes.assertions.push(Assertion::NoAccount(new.id.clone()));
            }
            changes.writes.push(Write::ImportAccount { new, now });
        }
        cx.commit(changes).await?;
        Ok(())
    }
}

impl NewAccount {
    /// The account that importing `self` leads to, given what is stored already.
    pub fn over(self, known: Option<Account>, now: crate::id::Timestamp) -> Account {
        let blank = Account {
            id: self.id.clone(),
            name: String::new(),
            face_url: String::new(),
            custom_data: String::new(),
            created: now,
        };
        let mut account = known.unwrap_or(blank);
        if let Some(name) = self.name {
            account.name = name;
        }
        if let Some(face_url) = self.face_url {
            account.face_url = face_url;
        }
        if let Some(custom_data) = self.custom_data {
            account.custom_data = custom_data;
        }
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Timestamp;

    #[test]
    fn what_is_given_goes_over_what_is_known() {
        let at = Timestamp::from_millis;
        let blank = NewAccount::bare("a".into()).over(None, at(1));
        assert_eq!((blank.id.as_str(), blank.name.as_str(), blank.created), ("a", "", at(1)));
        let new =
            NewAccount { name: Some("Ann".into()), custom_data: Some("{}".into()), ..NewAccount::bare("a".into()) };
        let named = new.over(Some(blank.clone()), at(2));
        assert_eq!(named, Account { name: "Ann".into(), custom_data: "{}".into(), ..blank.clone() });
        assert_eq!(NewAccount::bare("a".into()).over(Some(named.clone()), at(3)), named);
        let cleared = NewAccount { name: Some(String::new()), ..NewAccount::bare("a".into()) };
        assert_eq!(cleared.over(Some(named), at(4)), Account { custom_data: "{}".into(), ..blank });
    }
}
