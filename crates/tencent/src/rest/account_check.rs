//! `im_open_login_svc/account_check`: which accounts are known.

use chat::account::find::FindAccounts;
use chat::id::AccountId;
use serde_json::{Value, json};

use crate::body::{Fields, as_string, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;

const MAX_ACCOUNTS: usize = 100;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let items = body.objects("CheckItem", 70402)?.ok_or_else(|| missing("CheckItem", 70402))?;
    if items.is_empty() || items.len() > MAX_ACCOUNTS {
        return Err(Failure::new(70402, format!("CheckItem must have 1 to {MAX_ACCOUNTS} entries")).into());
    }
    let mut ids = Vec::new();
    for mut item in items {
        // COMPAT: older clients write `Identifier`.
        let user = as_string(item.take_either("UserID", "Identifier"), "UserID", 60015)?;
        ids.push(AccountId::new(user.ok_or_else(|| missing("UserID", 70402))?));
    }
    let known = call.run(FindAccounts(ids.clone())).await?;
    let result = |id: &AccountId| {
        let is_known = known.iter().any(|account| account.id == *id);
        let status = if is_known { "Imported" } else { "NotImported" };
        json!({ "UserID": id.as_str(), "ResultCode": 0, "ResultInfo": "", "AccountStatus": status })
    };
    Ok(Reply::new().with("ResultItem", ids.iter().map(result).collect::<Vec<Value>>()))
}
