//! `im_open_login_svc/multiaccount_import`: make many accounts known; bad names, and those that the
//! app's backend does not want, do not hold up the others.

use chat::account::import::{Existing, ImportAccounts, Importing, NewAccount};
use chat::id::AccountId;

use crate::body::{Fields, is_user_id, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;

const MAX_ACCOUNTS: usize = 100;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let names = body.strings("Accounts", 70402)?.ok_or_else(|| missing("Accounts", 70402))?;
    if names.is_empty() || names.len() > MAX_ACCOUNTS {
        return Err(Failure::new(70402, format!("Accounts must have 1 to {MAX_ACCOUNTS} entries")).into());
    }
    let (good, mut failed): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_user_id(name));
    let accounts = good.iter().map(|name| NewAccount::bare(AccountId::new(name.as_str()))).collect();
    let outcomes = call.run(ImportAccounts { accounts, existing: Existing::Update }).await?;
    let refused = good.into_iter().zip(outcomes).filter(|(_, outcome)| *outcome == Importing::Refused);
    failed.extend(refused.map(|(name, _)| name));
    Ok(Reply::new().with("FailAccounts", failed))
}
