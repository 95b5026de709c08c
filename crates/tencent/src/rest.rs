//! The REST commands, on one screen.

mod account_check;
mod account_import;
mod add_group_member;
mod admin_getroammsg;
mod black_list_add;
mod create_group;
mod create_topic;
mod get_c2c_unread_msg_num;
mod get_group_info;
mod get_group_member_info;
mod group_msg_get_simple;
mod group_profile;
mod member_profile;
mod message_options;
mod modify_group_base_info;
mod multiaccount_import;
mod send_group_msg;
mod sendmsg;

use crate::body::Fields;
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;

/// Runs the command that a path names.
pub(crate) async fn run(call: &Call<'_>, service: &str, command: &str, body: Fields) -> Result<Reply, Error> {
    match (service, command) {
        ("im_open_login_svc", "account_import") => account_import::run(call, body).await,
        ("im_open_login_svc", "multiaccount_import") => multiaccount_import::run(call, body).await,
        ("im_open_login_svc", "account_check") => account_check::run(call, body).await,

        ("openim", "sendmsg") => sendmsg::run(call, body).await,
        ("openim", "admin_getroammsg") => admin_getroammsg::run(call, body).await,
        ("openim", "get_c2c_unread_msg_num") => get_c2c_unread_msg_num::run(call, body).await,

        ("group_open_http_svc", "create_group") => create_group::run(call, body).await,
        ("group_open_http_svc", "get_group_info") => get_group_info::run(call, body).await,
        ("group_open_http_svc", "add_group_member") => add_group_member::run(call, body).await,
        ("group_open_http_svc", "get_group_member_info") => get_group_member_info::run(call, body).await,
        ("group_open_http_svc", "modify_group_base_info") => modify_group_base_info::run(call, body).await,
        ("group_open_http_svc", "send_group_msg") => send_group_msg::run(call, body).await,
        ("group_open_http_svc", "group_msg_get_simple") => group_msg_get_simple::run(call, body).await,
        ("million_group_open_http_svc", "create_topic") => create_topic::run(call, body).await,

        ("sns", "black_list_add") => black_list_add::run(call, body).await,

        _ => Err(unknown(service, command).into()),
    }
}

/// The group service has a code of its own for a command that it does not know.
fn unknown(service: &str, command: &str) -> Failure {
    let is_group = matches!(service, "group_open_http_svc" | "million_group_open_http_svc");
    Failure::new(if is_group { 10003 } else { 60009 }, format!("there is no command {service}/{command}"))
}
