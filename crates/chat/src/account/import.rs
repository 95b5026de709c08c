//! `ImportAccounts`: make accounts known, once. Importing a known account changes nothing and is no error.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::Account;
use crate::chat::{Context, commit_refused};
use crate::command::{Actor, Command};
use crate::id::AccountId;
use crate::port::{Assertion, Changes, CommitError, Write};
use crate::question::account::Registration;
use crate::question::{Edit, Question};
use crate::refusal::{Error, Refusal};

/// At most this many accounts are imported by one command; a dialect may allow fewer.
pub const MAX_IMPORT: usize = 1000;

/// How often a commit is tried again when somebody else has made one of the accounts known between the facts and the
/// commit. Each try starts from fresh facts, so a second conflict in a row is already rare.
const MAX_CONFLICTS: usize = 3;

/// Makes accounts known.
#[derive(Clone, Debug)]
pub struct ImportAccounts {
    /// The accounts; `created` is set by the server.
    pub accounts: Vec<NewAccount>,
    /// What happens to accounts that exist.
    pub existing: Existing,
}

/// An account as its importer describes it. `None` leaves a known account's field as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Refuses the whole command with [`Refusal::AccountExists`] (OpenIM `user_register`). The command has one answer for
    /// all, so that it is refused as well if the app's backend leaves nobody.
    Refuse,
}

/// What became of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importing {
    /// It is known, now or still.
    Known,
    /// The app's backend did not want it.
    Refused,
}

#[async_trait]
impl Command for ImportAccounts {
    /// One answer for each account, in order.
    type Reply = Vec<Importing>;
    const NAME: &'static str = "import_accounts";

    async fn run(self, cx: &Context<'_>) -> Result<Vec<Importing>, Error> {
        if !matches!(cx.actor, Actor::App(_) | Actor::System) {
            return Err(Refusal::NotPermitted.into());
        }
        if self.accounts.len() > MAX_IMPORT {
            return Err(Refusal::TooMany { what: "accounts", limit: MAX_IMPORT }.into());
        }
        let registration = Registration { occasion: cx.occasion(), accounts: self.accounts.clone() };
        if cx.is_asked(&Question::BeforeRegister(Box::new(registration))) {
            return self.run_asked(cx).await;
        }
        let now = cx.now();
        let outcomes = vec![Importing::Known; self.accounts.len()];
        let mut changes = Changes::default();
        for new in self.accounts {
            if self.existing == Existing::Refuse {
                changes.assertions.push(Assertion::NoAccount(new.id.clone()));
            }
            changes.writes.push(Write::ImportAccount { new, now });
        }
        cx.commit(changes).await?;
        Ok(outcomes)
    }
}

impl ImportAccounts {
    /// The same, when a backend is to be asked about those who are not known yet.
    async fn run_asked(self, cx: &Context<'_>) -> Result<Vec<Importing>, Error> {
        // Facts, and the rules that they decide.
        let known = self.known(cx, &self.accounts).await?;
        let mut wanted: Vec<NewAccount> = Vec::new();
        for new in &self.accounts {
            if !known.contains(&new.id) && !wanted.iter().any(|other| other.id == new.id) {
                wanted.push(new.clone());
            }
        }

        cx.check_room()?;

        // Ask. No transaction is open.
        let mut registered = wanted.clone();
        if !wanted.is_empty() {
            let registration = Registration { occasion: cx.occasion(), accounts: wanted };
            if let Some(Edit::Accounts(accounts)) = cx.ask(Question::BeforeRegister(Box::new(registration))).await? {
                check_edited(&accounts)?;
                // Others in their place are what the backend wants; nobody at all is a refusal.
                if accounts.is_empty() && self.existing == Existing::Refuse {
                    return Err(Refusal::rejected().into());
                }
                registered = accounts;
            }
        }
        let outcomes = self.accounts.iter().map(|new| {
            let is_known = known.contains(&new.id) || registered.iter().any(|account| account.id == new.id);
            if is_known { Importing::Known } else { Importing::Refused }
        });
        let outcomes = outcomes.collect();

        // Facts and rules once more, then commit; that those who were asked about are still unknown is asserted.
        let mut all: Vec<NewAccount> = self.accounts.iter().filter(|new| known.contains(&new.id)).cloned().collect();
        all.extend(registered);
        for _ in 0..MAX_CONFLICTS {
            let known = self.known(cx, &all).await?;
            let now = cx.now();
            let mut changes = Changes::default();
            for new in all.iter().cloned() {
                if !known.contains(&new.id) {
                    changes.assertions.push(Assertion::NoAccount(new.id.clone()));
                }
                changes.writes.push(Write::ImportAccount { new, now });
            }
            match cx.store().commit(changes).await {
                Ok(_) => return Ok(outcomes),
                Err(CommitError::Broken(_)) => {}
                Err(error) => return Err(commit_refused(error)),
            }
        }
        Err(Refusal::StoreUnavailable.into())
    }

    /// Those of `accounts` that exist, if they may.
    async fn known(&self, cx: &Context<'_>, accounts: &[NewAccount]) -> Result<BTreeSet<AccountId>, Error> {
        let ids: Vec<AccountId> = accounts.iter().map(|new| new.id.clone()).collect();
        let known: BTreeSet<AccountId> = cx.store().accounts(&ids).await?.into_iter().map(|known| known.id).collect();
        match ids.iter().find(|id| known.contains(id)) {
            Some(id) if self.existing == Existing::Refuse => Err(Refusal::AccountExists(id.clone()).into()),
            _ => Ok(known),
        }
    }
}

/// The rules for a list that comes from a backend.
fn check_edited(accounts: &[NewAccount]) -> Result<(), Refusal> {
    if accounts.len() > MAX_IMPORT {
        return Err(Refusal::TooMany { what: "accounts", limit: MAX_IMPORT });
    }
    let mut named = BTreeSet::new();
    match accounts.iter().find(|new| !named.insert(&new.id)) {
        Some(twice) => Err(Refusal::invalid("accounts", format!("{:?} is named twice", twice.id))),
        None => Ok(()),
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
