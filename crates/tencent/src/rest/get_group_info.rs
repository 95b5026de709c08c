//! `group_open_http_svc/get_group_info`: profiles of groups, each with its own result.

use chat::group::Group;
use chat::group::find::{FindGroups, ListMembers, MAX_MEMBERS};
use chat::id::GroupId;
use chat::port::{ConversationState, MemberQuery};
use serde_json::{Map, Value, json};

use super::group_profile;
use super::member_profile::MemberFilter;
use crate::body::{Fields, is_printable_ascii, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;

const MAX_GROUPS: usize = 50;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let names = body.strings("GroupIdList", 10004)?.ok_or_else(|| missing("GroupIdList", 10004))?;
    if names.is_empty() || names.len() > MAX_GROUPS {
        return Err(Failure::new(10004, format!("GroupIdList must have 1 to {MAX_GROUPS} entries")).into());
    }
    let filter = Filter::read(&mut body)?;
    let ids: Vec<GroupId> = names.iter().map(|name| GroupId::new(name.as_str())).collect();
    let found = call.run(FindGroups(ids)).await?;
    let mut items = Vec::new();
    for name in names {
        let group = found.iter().find(|(group, _)| group.id.as_str() == name && group.is_open());
        items.push(match group {
            Some((group, state)) => filter.word(call, group, *state).await?,
            None if name.is_empty() || !is_printable_ascii(&name) => {
                json!({ "GroupId": name, "ErrorCode": 10015, "ErrorInfo": "the GroupId is malformed" })
            }
            None => json!({ "GroupId": name, "ErrorCode": 10010, "ErrorInfo": "the group does not exist" }),
        });
    }
    Ok(Reply::new().with("GroupInfo", items))
}

/// Which fields are wanted. A filter that is not given wants all.
struct Filter {
    base: Option<Vec<String>>,
    custom: Option<Vec<String>>,
    members: Option<MemberFilter>,
}

impl Filter {
    fn read(body: &mut Fields) -> Result<Self, Failure> {
        let Some(filter) = body.take("ResponseFilter") else {
            let members = Some(MemberFilter::read(&mut Fields::default())?);
            return Ok(Self { base: None, custom: None, members });
        };
        let wrong = || Failure::new(10004, "ResponseFilter must be an object");
        let mut filter = Fields::of(filter).ok_or_else(wrong)?;
        let base = filter.strings("GroupBaseInfoFilter", 10004)?;
        let custom = filter.strings("AppDefinedDataFilter_Group", 10004)?;
        // Members are many; with a filter they come only if they are asked for.
        let wants_members = filter.take("MemberInfoFilter").map(|wanted| (wanted, filter.clone()));
        let members = match wants_members {
            None => None,
            Some((wanted, mut filter)) => {
                filter.put("MemberInfoFilter", wanted);
                Some(MemberFilter::read(&mut filter)?)
            }
        };
        Ok(Self { base, custom, members })
    }

    async fn word(&self, call: &Call<'_>, group: &Group, state: ConversationState) -> Result<Value, Error> {
        let mut fields = group_profile::word(group, state, call.tencent.config.sdkappid);
        if let Some(wanted) = &self.base {
            let always = |name: &str| matches!(name, "GroupId" | "AppDefinedData");
            fields.retain(|name, _| always(name) || wanted.contains(name));
        }
        if let Some(wanted) = &self.custom {
            let own: Map<String, Value> =
                group.profile.custom_fields.clone().into_iter().filter(|(key, _)| wanted.contains(key)).collect();
            fields.insert("AppDefinedData".into(), group_profile::key_values(&own).into());
        }
        if let Some(filter) = self.members.as_ref().filter(|_| group.kind.has_members()) {
            let query = MemberQuery { limit: MAX_MEMBERS, ..MemberQuery::default() };
            let (_, members) = call.run(ListMembers { group: group.id.clone(), query }).await?;
            let members: Vec<Value> = members.iter().map(|member| filter.word(member)).collect();
            fields.insert("MemberList".into(), members.into());
        }
        fields.insert("ErrorCode".into(), 0.into());
        fields.insert("ErrorInfo".into(), "".into());
        Ok(Value::Object(fields))
    }
}
