//! `/group/invite_user_to_group`: users become members at once. Who is a member already stays as they are.

use chat::Refusal;
use chat::group::add_members::{AddMembers, Adding, Strangers};
use chat::id::{AccountId, GroupId};

use crate::call::Call;
use crate::envelope::Empty;
use crate::error::{ApiError, Code};
use crate::id_rules;

pub(crate) async fn handle(call: Call) -> Result<Empty, ApiError> {
    let group = GroupId::new(call.body.required_text("groupID")?);
    let invited = call.body.texts("invitedUserIDs")?;
    let reason = call.body.text("reason")?;
    call.body.flag("sendMessage")?;
    if invited.is_empty() {
        return Err(Code::Args.because("invitedUserIDs is empty"));
    }
    id_rules::check_unique("invitedUserIDs", &invited)?;
    let accounts = invited.into_iter().map(AccountId::new).collect();
    let command = AddMembers { group, accounts, reason, strangers: Strangers::RefuseAll };
    match call.run(command).await {
        // There is no answer for each: only that nobody came in can be said.
        Ok(outcomes) if outcomes.contains(&Adding::Refused) && !outcomes.contains(&Adding::Added) => {
            Err(Refusal::rejected().into())
        }
        Ok(_) => Ok(Empty),
        // COMPAT: an unknown invitee is 1004 here, not 1101 (`rest.jsonl`).
        Err(error) if error.code == Code::UserNotFound as i64 => Err(Code::RecordNotFound.because(error.detail)),
        Err(error) => Err(error),
    }
}
