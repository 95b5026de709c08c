//! `/user/get_users_info`: profiles, for anybody with a token. Unknown ids are left out.

use chat::account::find::FindAccounts;
use chat::id::AccountId;
use serde::Serialize;

use crate::call::Call;
use crate::error::ApiError;
use crate::user_info::UserInfo;

#[derive(Debug, Serialize)]
pub(crate) struct Users {
    /// Null, not empty, when nobody was found.
    #[serde(rename = "usersInfo")]
    users_info: Option<Vec<UserInfo>>,
}

pub(crate) async fn handle(call: Call) -> Result<Users, ApiError> {
    let ids = call.body.texts("userIDs")?.into_iter().map(AccountId::new).collect();
    let found = call.run(FindAccounts(ids)).await?;
    let users: Vec<UserInfo> = found.into_iter().map(|account| UserInfo::of(account, &call.app.config)).collect();
    Ok(Users { users_info: (!users.is_empty()).then_some(users) })
}
