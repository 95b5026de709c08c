//! `im_open_login_svc/account_import`: make one account known.

use chat::Refusal;
use chat::account::import::{Existing, ImportAccounts, Importing, NewAccount};
use chat::id::AccountId;

use crate::body::{Fields, as_string, is_user_id, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;

/// At most this many bytes of `Nick` and of `FaceUrl`.
const MAX_PROFILE_BYTES: usize = 500;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    // COMPAT: older clients write `Identifier`.
    let user = as_string(body.take_either("UserID", "Identifier"), "UserID", 60015)?;
    let user = user.ok_or_else(|| missing("UserID", 70402))?;
    if !is_user_id(&user) {
        return Err(Failure::new(70402, "UserID must be 1 to 32 bytes of printable ASCII").into());
    }
    let new = NewAccount {
        name: profile(&mut body, "Nick")?,
        face_url: profile(&mut body, "FaceUrl")?,
        ..NewAccount::bare(AccountId::new(user))
    };
    let outcomes = call.run(ImportAccounts { accounts: vec![new], existing: Existing::Update }).await?;
    if outcomes.contains(&Importing::Refused) {
        return Err(chat::Error::Refused(Refusal::rejected()).into());
    }
    Ok(Reply::new())
}

fn profile(body: &mut Fields, name: &str) -> Result<Option<String>, Failure> {
    let text = body.string(name, 70402)?;
    match &text {
        Some(text) if text.len() > MAX_PROFILE_BYTES => {
            Err(Failure::new(40601, format!("{name} may have at most {MAX_PROFILE_BYTES} bytes")))
        }
        _ => Ok(text),
    }
}
