//! `/msg/…`: sending and reading messages.

pub(crate) mod batch_send_msg;
mod draft;
pub(crate) mod get_conversations_has_read_and_max_seq;
mod modified;
pub(crate) mod newest_seq;
pub(crate) mod pull_msg_by_seq;
mod required;
pub(crate) mod send_msg;
