//! `/msg/pull_msg_by_seq`: messages of conversations, by ranges of seqs (`spec/openim/semantics.md`, section 4).

use chat::id::AccountId;

use crate::call::Call;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::proto::{Pulled, SeqRange};
use crate::pull;

pub(crate) async fn handle(call: Call) -> Result<Pulled, ApiError> {
    let user = AccountId::new(call.body.required_text("userID")?);
    let order = call.body.int("order")?;
    let ranges = call.body.objects("seqRanges")?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    pull::ranges(&call, &user, &ranges, order).await
}

fn read(fields: &Fields) -> Result<SeqRange, ApiError> {
    Ok(SeqRange {
        conversation_id: fields.text("conversationID")?,
        begin: fields.integer("begin")?,
        end: fields.integer("end")?,
        num: fields.integer("num")?,
    })
}
