//! What the writer knows without looking: keys of accounts, which never change, and conversations and unread counts, which
//! nobody else moves on. It saves most of a send's statements.

use std::collections::HashMap;

use chat::event::Subject;
use chat::id::AccountId;
use rusqlite::{Connection, Result};

use crate::account::lite as account;
use crate::conversation::lite::{self as conversation, Found};

/// So many entries of each kind are kept, some 30 MB; then all are forgotten, and looked up again when needed.
const MOST: usize = 100_000;

/// See the module. What a transaction taught is only true if it commits: after a rollback, [`Known::forget`].
#[derive(Debug, Default)]
pub(super) struct Known {
    accounts: HashMap<AccountId, i64>,
    subjects: HashMap<Subject, Found>,
    /// Unread one-to-one messages of an account in all conversations.
    unread: HashMap<AccountId, u64>,
}

impl Known {
    /// The key of an account.
    pub(super) fn account(&mut self, db: &Connection, id: &AccountId) -> Result<Option<i64>> {
        if let Some(key) = self.accounts.get(id) {
            return Ok(Some(*key));
        }
        let key = account::key(db, id)?;
        if let Some(key) = key {
            if self.accounts.len() >= MOST {
                self.accounts.clear();
            }
            self.accounts.insert(id.clone(), key);
        }
        Ok(key)
    }

    /// The row of a subject; makes it if it is not there. Whoever moves its head says so in what is returned.
    pub(super) fn subject(&mut self, db: &Connection, id: &Subject) -> Result<&mut Found> {
        if !self.subjects.contains_key(id) {
            let found = conversation::find_or_make(db, id)?;
            if self.subjects.len() >= MOST {
                self.subjects.clear();
            }
            self.subjects.insert(id.clone(), found);
        }
        self.subjects.get_mut(id).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// How many unread one-to-one messages an account has. Asked for before a send changes it; whoever does says so in
    /// what is returned.
    pub(super) fn unread(&mut self, db: &Connection, id: &AccountId) -> Result<&mut u64> {
        if !self.unread.contains_key(id) {
            let key = self.account(db, id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            let count = conversation::unread_in_all(db, key)?;
            if self.unread.len() >= MOST {
                self.unread.clear();
            }
            self.unread.insert(id.clone(), count);
        }
        self.unread.get_mut(id).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
