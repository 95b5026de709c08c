//! `/auth/get_user_token`: an admin gets a token for a user.

use chat::Refusal;
use chat::account::find::FindAccounts;
use chat::id::AccountId;

use super::NewToken;
use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::platform;

pub(crate) async fn handle(call: Call) -> Result<NewToken, ApiError> {
    call.caller.check_admin()?;
    let number = call.body.int("platformID")?;
    let user = AccountId::new(call.body.required_text("userID")?);
    let platform = u8::try_from(number).ok().filter(|number| platform::of((*number).into()).is_some());
    let platform = platform.ok_or_else(|| Code::Args.because("platformID must be 1 to 11"))?;
    if platform == platform::ADMIN {
        return Err(Code::NoPermission.because("admin tokens are issued by /auth/get_admin_token"));
    }
    if call.app.config.admins.contains(&user) {
        return Err(Code::NoPermission.because("userID is an admin of the app"));
    }
    let found = call.run(FindAccounts(vec![user.clone()])).await?;
    if found.is_empty() {
        return Err(Refusal::NoAccount(user).into());
    }
    Ok(NewToken::issue(&call.app, &user, platform))
}
