//! `/msg/get_conversations_has_read_and_max_seq`: where a user's conversations stand, and how far the user has read.

use chat::id::AccountId;

use crate::call::Call;
use crate::error::ApiError;
use crate::inbox;
use crate::proto::HasReadAndMaxSeqs;

pub(crate) async fn handle(call: Call) -> Result<HasReadAndMaxSeqs, ApiError> {
    let user = AccountId::new(call.body.required_text("userID")?);
    let wanted = call.body.texts("conversationIDs")?;
    inbox::has_read_and_max_seqs(&call, user, wanted).await
}
