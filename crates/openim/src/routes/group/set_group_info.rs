//! `/group/set_group_info`: changes what is not empty.

use chat::group::update::{Naming, UpdateGroup};
use chat::id::GroupId;

use crate::call::Call;
use crate::envelope::Empty;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::group_info::{Verification, forbids};

pub(crate) async fn handle(call: Call) -> Result<Empty, ApiError> {
    let info = Fields::new(call.body.required_object("groupInfoForSet")?);
    // COMPAT: an empty string means 'unchanged' here, so these four cannot be cleared by this route.
    let unless_empty = |name: &str| -> Result<Option<String>, ApiError> {
        Ok(info.optional_text(name)?.filter(|text| !text.is_empty()))
    };
    let update = UpdateGroup {
        group: Some(GroupId::new(info.required_text("groupID")?)),
        name: unless_empty("groupName")?,
        introduction: unless_empty("introduction")?,
        announcement: unless_empty("notification")?,
        face_url: unless_empty("faceURL")?,
        naming: Naming::Filled,
        ..optional_rules(&info)?
    };
    call.run(update).await?;
    Ok(Empty)
}

/// The fields whose absence can be told from their zero value, in both routes.
pub(super) fn optional_rules(info: &Fields) -> Result<UpdateGroup, ApiError> {
    let verification = info.optional_int("needVerification")?.map(Verification::of).transpose()?;
    let rule = |name: &str| info.optional_int(name)?.map(|number| forbids(name, number)).transpose();
    Ok(UpdateGroup {
        custom_data: info.optional_text("ex")?,
        joining: verification.map(|verification| verification.joining),
        approves_invitations: verification.map(|verification| verification.approves_invitations),
        hides_members: rule("lookMemberInfo")?,
        forbids_befriending: rule("applyMemberFriend")?,
        ..UpdateGroup::default()
    })
}
