//! `/group/get_group_member_list`: a page of members, owner and admins first.

use std::collections::HashMap;

use chat::account::Account;
use chat::account::find::{FindAccounts, MAX_FIND};
use chat::group::find::{ListMembers, MAX_MEMBERS};
use chat::id::{AccountId, GroupId};
use chat::member::Member;
use chat::port::MemberQuery;
use serde::Serialize;

use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::fields::Fields;
use crate::group_info::{GroupMemberFullInfo, shown_name};

#[derive(Debug, Serialize)]
pub(crate) struct Page {
    total: u64,
    /// Null, not empty, when the page is.
    members: Option<Vec<GroupMemberFullInfo>>,
}

pub(crate) async fn handle(call: Call) -> Result<Page, ApiError> {
    let id = call.body.required_text("groupID")?;
    let (offset, limit) = bounds(&Fields::new(call.body.required_object("pagination")?))?;
    let keyword = call.body.text("keyword")?;
    // COMPAT: `filter` is checked and otherwise ignored, as in OpenIM's own server.
    if !(0..=5).contains(&call.body.int("filter")?) {
        return Err(Code::Args.because("filter must be 0 to 5"));
    }

    let group = GroupId::new(id.as_str());
    // A search looks through the first members that one command lists; larger groups are searched no further.
    let query = match keyword.as_str() {
        "" => MemberQuery { roles: Vec::new(), offset, limit },
        _ => MemberQuery { roles: Vec::new(), offset: 0, limit: MAX_MEMBERS },
    };
    let (group, members) = call.run(ListMembers { group, query }).await?;
    let accounts = accounts_of(&call, &members).await?;
    let shown = |member: &Member| GroupMemberFullInfo::of(&id, member, accounts.get(&member.account), &call.app.config);
    let (total, page): (u64, Vec<_>) = if keyword.is_empty() {
        (group.member_count, members.iter().map(shown).collect())
    } else {
        let is_match = |member: &&Member| shown_name(member, accounts.get(&member.account)).contains(&keyword);
        let found: Vec<&Member> = members.iter().filter(is_match).collect();
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        let take = usize::try_from(limit).unwrap_or(usize::MAX);
        (found.len() as u64, found.into_iter().skip(skip).take(take).map(shown).collect())
    };
    check_complete(total, offset, limit)?;
    Ok(Page { total, members: (!page.is_empty()).then_some(page) })
}

/// `{pageNumber, showNumber}`, both from 1, as offset and limit.
fn bounds(pagination: &Fields) -> Result<(u64, u64), ApiError> {
    let read = |name: &str| -> Result<u64, ApiError> {
        let number = u64::try_from(pagination.int(name)?).unwrap_or_default();
        if number == 0 { Err(Code::Args.because(format!("{name} must be at least 1"))) } else { Ok(number) }
    };
    let (page, show) = (read("pageNumber")?, read("showNumber")?);
    Ok(((page - 1) * show, show))
}

/// A page larger than what one command lists is fine as long as nothing is missing from it.
fn check_complete(total: u64, offset: u64, limit: u64) -> Result<(), ApiError> {
    if limit > MAX_MEMBERS && total > offset + MAX_MEMBERS {
        return Err(Code::Args.because(format!("showNumber must be at most {MAX_MEMBERS} in a group of this size")));
    }
    Ok(())
}

async fn accounts_of(call: &Call, members: &[Member]) -> Result<HashMap<AccountId, Account>, ApiError> {
    let mut accounts = HashMap::new();
    for chunk in members.chunks(MAX_FIND) {
        let ids = chunk.iter().map(|member| member.account.clone()).collect();
        let found = call.run(FindAccounts(ids)).await?;
        accounts.extend(found.into_iter().map(|account| (account.id.clone(), account)));
    }
    Ok(accounts)
}
