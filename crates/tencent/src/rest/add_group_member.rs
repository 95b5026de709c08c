//! `group_open_http_svc/add_group_member`: members at once, each with its own result.

use chat::group::add_members::{AddMembers, Adding, Strangers};
use chat::refusal::Refusal;
use serde_json::{Value, json};

use super::group_profile::group_id;
use crate::body::{Fields, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;

/// The greater of the two documented limits (`spec/tencent/rules.md`, section 9).
const MAX_MEMBERS: usize = 300;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let group = group_id(&mut body)?;
    // Nobody is notified yet of new members, so silence changes nothing.
    body.flag("Silence", 10004)?;
    let items = body.objects("MemberList", 10004)?.ok_or_else(|| missing("MemberList", 10004))?;
    if items.is_empty() {
        return Err(missing("MemberList", 10004).into());
    }
    if items.len() > MAX_MEMBERS {
        return Err(Failure::new(10005, format!("MemberList may have at most {MAX_MEMBERS} entries")).into());
    }
    let accounts =
        items.into_iter().map(|mut item| item.account("Member_Account", 10004)).collect::<Result<Vec<_>, _>>()?;
    let command = AddMembers { group, accounts: accounts.clone(), reason: String::new(), strangers: Strangers::Skip };
    let outcomes = call.run(command).await?;
    if outcomes.iter().all(|outcome| *outcome == Adding::NoAccount) {
        return Err(chat::Error::Refused(Refusal::NoAccount(accounts[0].clone())).into());
    }
    let results: Vec<Value> = accounts
        .iter()
        .zip(outcomes)
        .map(|(account, outcome)| {
            let result = match outcome {
                Adding::NoAccount | Adding::Refused => 0,
                Adding::Added => 1,
                Adding::AlreadyMember => 2,
            };
            json!({ "Member_Account": account.as_str(), "Result": result })
        })
        .collect();
    Ok(Reply::new().with("MemberList", results))
}
