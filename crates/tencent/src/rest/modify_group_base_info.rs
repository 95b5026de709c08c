//! `group_open_http_svc/modify_group_base_info`: only what is given changes.

use chat::group::update::UpdateGroup;

use super::group_profile as profile;
use crate::body::{Fields, as_string};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;
use crate::group_type;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let joining = match body.string("ApplyJoinOption", 10004)? {
        Some(name) => Some(group_type::parse_joining(&name).ok_or_else(|| {
            Failure::new(10004, "ApplyJoinOption must be FreeAccess, NeedPermission or DisableApply")
        })?),
        None => None,
    };
    // COMPAT: the Chinese site's name of the same field.
    let muted =
        match as_string(body.take_either("MuteAllMember", "ShutUpAllMember"), "MuteAllMember", 10004)?.as_deref() {
            None => None,
            Some("On") => Some(true),
            Some("Off") => Some(false),
            Some(_) => return Err(Failure::new(10004, "MuteAllMember must be On or Off").into()),
        };
    let name = body.bounded_string("Name", profile::MAX_NAME, 10004)?;
    if name.as_deref() == Some("") {
        return Err(Failure::new(10004, "Name must not be empty").into());
    }
    let command = UpdateGroup {
        group: Some(profile::group_id(&mut body)?),
        name,
        introduction: body.bounded_string("Introduction", profile::MAX_INTRODUCTION, 10004)?,
        announcement: body.bounded_string("Notification", profile::MAX_NOTIFICATION, 10004)?,
        face_url: body.bounded_string("FaceUrl", profile::MAX_FACE_URL, 10004)?,
        custom_fields: profile::group_fields(&mut body)?,
        joining,
        muted,
        member_limit: profile::member_limit(&mut body, "MaxMemberNum")?,
        ..UpdateGroup::default()
    };
    call.run(command).await?;
    Ok(Reply::new())
}
