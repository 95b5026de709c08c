//! `/group/set_group_info_ex`: changes what is not null.

use chat::group::update::UpdateGroup;
use chat::id::GroupId;

use super::set_group_info::optional_rules;
use crate::call::Call;
use crate::envelope::Empty;
use crate::error::ApiError;

pub(crate) async fn handle(call: Call) -> Result<Empty, ApiError> {
    let body = &call.body;
    let group = Some(GroupId::new(body.required_text("groupID")?));
    let name = body.optional_text("groupName")?;
    let update = UpdateGroup {
        group: group.clone(),
        introduction: body.optional_text("introduction")?,
        announcement: body.optional_text("notification")?,
        face_url: body.optional_text("faceURL")?,
        ..optional_rules(body)?
    };
    // COMPAT: a blank name makes the whole call succeed without changing anything; the group and the rights are looked
    // at all the same.
    let is_blank = name.as_ref().is_some_and(|name| name.trim().is_empty());
    let update =
        if is_blank { UpdateGroup { group, ..UpdateGroup::default() } } else { UpdateGroup { name, ..update } };
    call.run(update).await?;
    Ok(Empty)
}
