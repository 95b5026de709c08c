//! Where a user's conversations stand, over REST and through the gateway (`spec/openim/semantics.md`, section 4).

use std::collections::BTreeSet;

use chat::id::AccountId;
use chat::message::inbox::ListInbox;
use chat::port::InboxEntry;

use crate::call::Call;
use crate::conversation_id;
use crate::error::ApiError;
use crate::proto::{HasReadAndMaxSeqs, MaxSeqs, Seqs};

/// The highest seq of each conversation.
pub(crate) async fn max_seqs<B>(call: &Call<B>, user: AccountId) -> Result<MaxSeqs, ApiError> {
    let max_seqs = shown(call, user).await?.map(|(id, entry)| (id, entry.head.cast_signed())).collect();
    Ok(MaxSeqs { max_seqs, ..MaxSeqs::default() })
}

/// That, and how far the user has read; of these conversations, or of all if none is named.
pub(crate) async fn has_read_and_max_seqs<B>(
    call: &Call<B>,
    user: AccountId,
    wanted: Vec<String>,
) -> Result<HasReadAndMaxSeqs, ApiError> {
    let wanted: BTreeSet<String> = wanted.into_iter().collect();
    let seqs = |entry: InboxEntry| Seqs {
        max_seq: entry.head.cast_signed(),
        has_read_seq: entry.read.cast_signed(),
        max_seq_time: entry.last_time.millis(),
    };
    let shown = shown(call, user).await?.filter(|(id, _)| wanted.is_empty() || wanted.contains(id));
    let seqs = shown.map(|(id, entry)| (id, seqs(entry))).collect();
    Ok(HasReadAndMaxSeqs { seqs, ..HasReadAndMaxSeqs::default() })
}

/// The conversations that OpenIM has, by their ids on the wire.
async fn shown<B>(call: &Call<B>, user: AccountId) -> Result<impl Iterator<Item = (String, InboxEntry)>, ApiError> {
    let viewer = call.caller.as_account(&user)?;
    let inbox = call.run_as(&viewer, ListInbox(user)).await?;
    Ok(inbox.into_iter().filter_map(|entry| Some((conversation_id::show(&entry.conversation)?, entry))))
}
