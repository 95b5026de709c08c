//! `group_open_http_svc/get_group_member_info`: a page of members.

use chat::group::GroupKind;
use chat::group::find::{FindGroups, ListMembers, MAX_MEMBERS};
use chat::port::MemberQuery;
use serde_json::Value;

use super::group_profile::group_id;
use super::member_profile::MemberFilter;
use crate::body::Fields;
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;
use crate::group_type;

/// A community is paged by cursor, this many at a time.
const COMMUNITY_PAGE: u64 = 100;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let id = group_id(&mut body)?;
    let filter = MemberFilter::read(&mut body)?;
    let roles = body.strings("MemberRoleFilter", 10004)?.unwrap_or_default();
    let roles = roles.iter().map(|name| group_type::parse_role(name)).collect::<Option<Vec<_>>>();
    let roles = roles.ok_or_else(|| Failure::new(10004, "MemberRoleFilter may name Owner, Admin and Member"))?;
    let limit = natural(&mut body, "Limit")?;
    let offset = natural(&mut body, "Offset")?.unwrap_or_default();
    let next = body.string("Next", 10004)?;

    let is_community = call.run(FindGroups(vec![id.clone()])).await?.first().map(|(group, _)| group.kind)
        == Some(GroupKind::Community);
    let query = if is_community {
        let limit = limit.unwrap_or(COMMUNITY_PAGE).clamp(1, COMMUNITY_PAGE);
        MemberQuery { roles, offset: cursor(next.as_deref())?, limit }
    } else {
        MemberQuery { roles, offset, limit: limit.unwrap_or(MAX_MEMBERS).min(MAX_MEMBERS) }
    };
    let (offset, limit) = (query.offset, query.limit);
    let (group, members) = call.run(ListMembers { group: id, query }).await?;
    let is_last = (members.len() as u64) < limit;
    let members: Vec<Value> = members.iter().map(|member| filter.word(member)).collect();
    let reply = Reply::new().with("MemberNum", group.member_count).with("MemberList", members);
    Ok(if is_community {
        reply.with("Next", if is_last { String::new() } else { (offset + limit).to_string() })
    } else {
        reply
    })
}

/// The opaque cursor: how many members came before.
fn cursor(next: Option<&str>) -> Result<u64, Failure> {
    match next {
        None | Some("") => Ok(0),
        Some(text) => text.parse().map_err(|_| Failure::new(10004, "Next must be what the last page returned")),
    }
}

fn natural(body: &mut Fields, name: &str) -> Result<Option<u64>, Failure> {
    let wrong = || Failure::new(10004, format!("{name} must not be negative"));
    body.integer(name, 10004)?.map(|number| u64::try_from(number).map_err(|_| wrong())).transpose()
}
