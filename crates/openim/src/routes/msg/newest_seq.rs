//! `/msg/newest_seq`: the highest seq of each conversation of a user.

use std::collections::BTreeMap;

use chat::id::{AccountId, Seq};
use chat::message::heads::ListHeads;
use serde::Serialize;

use crate::call::Call;
use crate::conversation_id;
use crate::error::ApiError;

/// COMPAT: the spec's `minSeqs` is never filled by OpenIM's server, and absent here.
#[derive(Debug, Serialize)]
pub(crate) struct Heads {
    #[serde(rename = "maxSeqs")]
    max_seqs: BTreeMap<String, Seq>,
}

pub(crate) async fn handle(call: Call) -> Result<Heads, ApiError> {
    let user = AccountId::new(call.body.required_text("userID")?);
    let viewer = call.caller.as_account(&user)?;
    let heads = call.run_as(&viewer, ListHeads(user)).await?;
    let shown = heads.iter().filter(|(_, head)| *head > 0);
    let max_seqs = shown.filter_map(|(id, head)| Some((conversation_id::show(id)?, *head))).collect();
    Ok(Heads { max_seqs })
}
