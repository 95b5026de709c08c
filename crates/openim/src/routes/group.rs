//! `/group/…`: groups and their members.

pub(crate) mod create_group;
pub(crate) mod get_group_member_list;
pub(crate) mod get_groups_info;
pub(crate) mod invite_user_to_group;
pub(crate) mod set_group_info;
pub(crate) mod set_group_info_ex;
