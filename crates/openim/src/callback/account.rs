//! `callbackBeforeUserRegisterCommand` and `callbackBeforeAddBlackCommand`: their bodies, and whom an answer registers
//! (`webhooks.jsonl`).

use bytes::Bytes;
use chat::account::import::NewAccount;
use chat::id::AccountId;
use chat::question::account::{Registration, WantedBlock};
use serde::Serialize;
use webhook::codec::Unreadable;

use super::answer::Answer;
use super::commands::{BEFORE_ADD_BLACK, BEFORE_USER_REGISTER};
use super::request::json;
use crate::id_rules;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Registering<'a> {
    #[serde(rename = "callbackCommand")]
    command: &'a str,
    users: Vec<User<'a>>,
}

#[derive(PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct User<'a> {
    #[serde(rename = "userID")]
    user_id: &'a str,
    nickname: &'a str,
    #[serde(rename = "faceURL")]
    face_url: &'a str,
    ex: &'a str,
    /// 0 until they are registered, as the three here.
    #[serde(rename = "createTime")]
    create_time: i64,
    // COMPAT: the spelling is the wire's.
    #[serde(rename = "appMangerLevel")]
    app_manager_level: i32,
    #[serde(rename = "globalRecvMsgOpt")]
    global_recv_msg_opt: i32,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Blocking<'a> {
    #[serde(rename = "callbackCommand")]
    command: &'a str,
    #[serde(rename = "ownerUserID")]
    owner_user_id: &'a str,
    #[serde(rename = "blackUserID")]
    black_user_id: &'a str,
}

/// The body of the question whether accounts may be registered.
pub(crate) fn registering(registration: &Registration) -> Bytes {
    json(&Registering { command: BEFORE_USER_REGISTER, users: registration.accounts.iter().map(User::of).collect() })
}

impl<'a> User<'a> {
    fn of(new: &'a NewAccount) -> Self {
        Self {
            user_id: new.id.as_str(),
            nickname: new.name.as_deref().unwrap_or_default(),
            face_url: new.face_url.as_deref().unwrap_or_default(),
            ex: new.custom_data.as_deref().unwrap_or_default(),
            create_time: 0,
            app_manager_level: 0,
            global_recv_msg_opt: 0,
        }
    }
}

/// The body of the question whether an account may block another.
pub(crate) fn blocking(block: &WantedBlock) -> Bytes {
    json(&Blocking {
        command: BEFORE_ADD_BLACK,
        owner_user_id: block.owner.as_str(),
        black_user_id: block.target.as_str(),
    })
}

/// Whom an allowing answer registers instead; nothing if it names the same or nobody.
pub(crate) fn replacement(answer: &Answer, registration: &Registration) -> Result<Option<Vec<NewAccount>>, Unreadable> {
    let asked = &registration.accounts;
    let mut accounts = Vec::new();
    for user in answer.objects("users")? {
        let id = AccountId::new(user.text("userID")?.unwrap_or_default());
        // The other dialect's ids may have letters that OpenIM's have not; those that were asked about are fine.
        if !asked.iter().any(|new| new.id == id) {
            id_rules::check_new_account(id.as_str()).map_err(|error| Unreadable(error.detail))?;
        }
        let text = |name: &str| Ok(Some(user.text(name)?.unwrap_or_default().to_owned()));
        accounts.push(NewAccount { id, name: text("nickname")?, face_url: text("faceURL")?, custom_data: text("ex")? });
    }
    let is_new = !accounts.is_empty() && !accounts.iter().map(User::of).eq(asked.iter().map(User::of));
    Ok(is_new.then_some(accounts))
}
