//! `sns/black_list_add`: an account blocks others; each is answered for itself.

use chat::id::AccountId;
use chat::relation::block::{BlockAccounts, Blocking, MAX_BLOCKS};
use serde_json::{Value, json};

use crate::body::{Fields, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::error_map;
use crate::gate::{Call, Service};

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let owner = body.account("From_Account", 30001)?;
    let names = body.strings("To_Account", 30001)?.ok_or_else(|| missing("To_Account", 30001))?;
    if names.is_empty() || names.len() > MAX_BLOCKS {
        return Err(Failure::new(30001, format!("To_Account must have 1 to {MAX_BLOCKS} entries")).into());
    }
    let targets = names.iter().map(|name| AccountId::new(name.as_str())).collect();
    let outcomes = call.run(BlockAccounts { owner, targets }).await?;
    let mut failed = Vec::new();
    let mut items = Vec::new();
    for (name, outcome) in names.iter().zip(outcomes) {
        let Failure { code, info } = match outcome {
            Blocking::Added => Failure::new(0, ""),
            // As in the vendor's sample: an entry that is there already is a failure of its item.
            Blocking::AlreadyThere => Failure::new(30001, "is on the blocklist already"),
            Blocking::NoAccount => Failure::new(30003, "the account does not exist"),
            Blocking::ListFull => Failure::new(30013, "the blocklist is full"),
            Blocking::Refused(refusal) => error_map::refused(Service::Sns, &refusal),
        };
        if code != 0 {
            failed.push(Value::from(name.as_str()));
        }
        items.push(json!({ "To_Account": name, "ResultCode": code, "ResultInfo": info }));
    }
    let reply = Reply::new().with("ErrorDisplay", "").with("ResultItem", items);
    Ok(if failed.is_empty() { reply } else { reply.with("Fail_Account", failed) })
}
