//! What sending means in this dialect, whichever way a message comes: over REST or through the gateway.

use std::collections::BTreeSet;

use chat::id::AccountId;
use chat::message::RepeatKey;
use chat::policy::Exempt;

/// At most this many are called by name in one message.
pub(crate) const MAX_MENTIONS: usize = 1000;

/// What recognises a repeat of a send, for ever. Kept apart from the keys of the other dialect, whose senders are the same
/// accounts.
pub(crate) fn repeat_key(id: &str) -> RepeatKey {
    RepeatKey { key: format!("openim:{id}"), window_millis: None }
}

/// A system account gets through everywhere (`spec/openim/semantics.md`, section 5); whom it speaks for does not.
pub(crate) fn exemptions(admins: &BTreeSet<AccountId>, sender: &AccountId) -> Exempt {
    let is_admin = admins.contains(sender);
    Exempt { blocks: is_admin, membership: is_admin, mutes: is_admin }
}
