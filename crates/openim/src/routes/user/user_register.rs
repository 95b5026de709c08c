//! `/user/user_register`: an admin makes accounts known; all of them or none.

use chat::account::import::{Existing, ImportAccounts, NewAccount};
use chat::id::AccountId;

use crate::call::Call;
use crate::envelope::Empty;
use crate::error::{ApiError, Code};
use crate::fields::Fields;
use crate::id_rules;

pub(crate) async fn handle(call: Call) -> Result<Empty, ApiError> {
    call.caller.check_admin()?;
    let users = call.body.objects("users")?;
    if users.is_empty() {
        return Err(Code::Args.because("users is empty"));
    }
    let accounts = users.iter().map(account).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<String> = accounts.iter().map(|account| account.id.to_string()).collect();
    id_rules::check_unique("users", &ids)?;
    call.run(ImportAccounts { accounts, existing: Existing::Refuse }).await?;
    Ok(Empty)
}

/// `createTime` and `appMangerLevel` are the server's to say; what the request says of them is not looked at.
fn account(user: &Fields) -> Result<NewAccount, ApiError> {
    let id = user.text("userID")?;
    id_rules::check_new_account(&id)?;
    Ok(NewAccount {
        id: AccountId::new(id),
        name: Some(user.required_text("nickname")?),
        face_url: Some(user.text("faceURL")?),
        custom_data: Some(user.text("ex")?),
    })
}
