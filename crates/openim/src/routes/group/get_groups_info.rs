//! `/group/get_groups_info`: groups, for anybody with a token. Unknown ids are left out.

use chat::group::find::FindGroups;
use chat::id::GroupId;
use serde::Serialize;

use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::group_info::GroupInfo;

#[derive(Debug, Serialize)]
pub(crate) struct Groups {
    /// Null, not empty, when nothing was found.
    #[serde(rename = "groupInfos")]
    group_infos: Option<Vec<GroupInfo>>,
}

pub(crate) async fn handle(call: Call) -> Result<Groups, ApiError> {
    let ids: Vec<GroupId> = call.body.texts("groupIDs")?.into_iter().map(GroupId::new).collect();
    if ids.is_empty() {
        return Err(Code::Args.because("groupIDs is empty"));
    }
    let found = call.run(FindGroups(ids)).await?;
    let groups: Vec<GroupInfo> = found.into_iter().map(|(group, _)| GroupInfo::of(group)).collect();
    Ok(Groups { group_infos: (!groups.is_empty()).then_some(groups) })
}
