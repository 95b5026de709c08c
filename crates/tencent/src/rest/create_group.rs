//! `group_open_http_svc/create_group`.

use chat::group::create::{CreateGroup, FirstMember, OtherRules};
use chat::group::{GroupKind, GroupProfile};
use chat::member::Role;

use super::group_profile as profile;
use crate::body::{Fields, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;
use crate::group_type;

const MAX_MEMBERS: usize = 100;
const MAX_MEMBER_FIELD: usize = 64;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let kind = profile::kind(&mut body)?;
    let owner = body.optional_account("Owner_Account", 10004)?;
    let chosen_id = body.string("GroupId", 10015)?.filter(|id| !id.is_empty());
    let id_is_made_up = chosen_id.is_none();
    let id = match chosen_id {
        Some(id) => profile::new_group_id(id, kind)?,
        None => profile::generate_group_id(kind, call.tencent.chat.clock().random()),
    };
    let name = body.bounded_string("Name", profile::MAX_NAME, 10004)?.filter(|name| !name.is_empty());
    let mut custom_fields = profile::group_fields(&mut body)?;
    custom_fields.retain(|_, value| !value.is_null());
    let group_profile = GroupProfile {
        name: name.ok_or_else(|| missing("Name", 10004))?,
        introduction: body.bounded_string("Introduction", profile::MAX_INTRODUCTION, 10004)?.unwrap_or_default(),
        announcement: body.bounded_string("Notification", profile::MAX_NOTIFICATION, 10004)?.unwrap_or_default(),
        face_url: body.bounded_string("FaceUrl", profile::MAX_FACE_URL, 10004)?.unwrap_or_default(),
        custom_data: String::new(),
        custom_fields,
    };
    let joining = match body.string("ApplyJoinOption", 10004)? {
        // COMPAT: ignored for a community, which is always joined freely.
        Some(_) if kind == GroupKind::Community => None,
        Some(name) => Some(group_type::parse_joining(&name).ok_or_else(|| {
            Failure::new(10004, "ApplyJoinOption must be FreeAccess, NeedPermission or DisableApply")
        })?),
        None => None,
    };
    let member_limit = profile::member_limit(&mut body, "MaxMemberCount")?;
    let has_topics = body.flag("SupportTopic", 10004)?;
    let members = members(&mut body)?;
    let command = CreateGroup {
        id,
        id_is_made_up,
        kind,
        owner,
        profile: group_profile,
        joining,
        member_limit,
        rules: OtherRules::default(),
        members,
        has_topics,
    };
    let group = call.run(command).await?;
    let reply = Reply::new().with("GroupId", group.id.as_str()).with("Type", group_type::name(group.kind));
    Ok(if has_topics { reply.with("HugeGroupFlag", 0) } else { reply })
}

fn members(body: &mut Fields) -> Result<Vec<FirstMember>, Failure> {
    let items = body.objects("MemberList", 10004)?.unwrap_or_default();
    if items.len() > MAX_MEMBERS {
        return Err(Failure::new(10005, format!("MemberList may have at most {MAX_MEMBERS} entries")));
    }
    let mut members = Vec::new();
    for mut item in items {
        let account = item.account("Member_Account", 10004)?;
        let role = match item.string("Role", 10004)?.as_deref() {
            None | Some("" | "Member") => Role::Member,
            Some("Admin") => Role::Admin,
            Some(_) => return Err(Failure::new(10004, "Role of a first member must be Admin, or absent")),
        };
        let mut custom_fields = profile::app_defined_data(&mut item, "AppMemberDefinedData", MAX_MEMBER_FIELD)?;
        custom_fields.retain(|_, value| !value.is_null());
        members.push(FirstMember { account, role, custom_fields });
    }
    Ok(members)
}
