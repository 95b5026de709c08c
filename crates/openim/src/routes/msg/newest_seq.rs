//! `/msg/newest_seq`: the highest seq of each conversation of a user.

use chat::id::AccountId;

use crate::call::Call;
use crate::error::ApiError;
use crate::inbox;
use crate::proto::MaxSeqs;

pub(crate) async fn handle(call: Call) -> Result<MaxSeqs, ApiError> {
    let user = AccountId::new(call.body.required_text("userID")?);
    inbox::max_seqs(&call, user).await
}
