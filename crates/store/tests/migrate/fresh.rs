//! A store that is open.

use std::ops::Deref;
use std::sync::Arc;

use chat::port::Store;
use webhook::ledger::Ledger;

/// Both ports that a store stands behind.
pub(crate) trait StoreAndLedger: Store + Ledger {}

impl<T: Store + Ledger> StoreAndLedger for T {}

/// See the module. What the fixtures of the conformance suite are written for.
pub(crate) struct Fresh(Arc<dyn StoreAndLedger>);

impl Fresh {
    pub(crate) fn new(store: impl StoreAndLedger + 'static) -> Self {
        Self(Arc::new(store))
    }
}

impl Deref for Fresh {
    type Target = dyn StoreAndLedger;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
