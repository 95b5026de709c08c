//! `UserInfo` on the wire (`types.jsonl`, `sdkws.UserInfo`).

use chat::account::Account;
use serde::Serialize;

use crate::config::Config;

/// An account as OpenIM shows it.
#[derive(Debug, Serialize)]
pub(crate) struct UserInfo {
    #[serde(rename = "userID")]
    user_id: String,
    nickname: String,
    #[serde(rename = "faceURL")]
    face_url: String,
    ex: String,
    #[serde(rename = "createTime")]
    create_time: i64,
    // COMPAT: the spelling is the wire's.
    #[serde(rename = "appMangerLevel")]
    app_manager_level: i32,
    #[serde(rename = "globalRecvMsgOpt")]
    global_recv_msg_opt: i32,
}

impl UserInfo {
    pub(crate) fn of(account: Account, config: &Config) -> Self {
        Self {
            app_manager_level: manager_level(config, &account),
            user_id: account.id.to_string(),
            nickname: account.name,
            face_url: account.face_url,
            ex: account.custom_data,
            create_time: account.created.millis(),
            global_recv_msg_opt: 0,
        }
    }
}

/// 1 ordinary, 2 admin of the app (`spec/openim/semantics.md`, section 2).
pub(crate) fn manager_level(config: &Config, account: &Account) -> i32 {
    if config.admins.contains(&account.id) { 2 } else { 1 }
}
