//! `/user/…`: accounts.

pub(crate) mod get_users_info;
pub(crate) mod user_register;
