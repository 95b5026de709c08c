//! Questions about accounts.

use super::Occasion;
use crate::account::import::NewAccount;
use crate::id::AccountId;

/// Accounts are to be made known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Who wants it, and when.
    pub occasion: Occasion,
    /// The accounts. None of them is known; those that are keep what they have without being asked about.
    pub accounts: Vec<NewAccount>,
}

/// An account is to block another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedBlock {
    /// Who wants it, and when.
    pub occasion: Occasion,
    /// Who blocks.
    pub owner: AccountId,
    /// Whom.
    pub target: AccountId,
}
