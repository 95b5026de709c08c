//! `/msg/send_msg`: an admin sends a message in anybody's name.

use chat::id::AccountId;
use chat::message::send::Destination;
use serde::Serialize;
use serde_json::{Map, Value};

use super::draft::{Bound, Draft, Session};
use super::modified;
use crate::call::Call;
use crate::error::ApiError;
use crate::fields::missing;

/// A message that was sent, or looks sent: one that the backend had dropped is answered the same.
#[derive(Debug, Serialize)]
pub(crate) struct SentMessage {
    #[serde(rename = "serverMsgID")]
    server_msg_id: String,
    #[serde(rename = "clientMsgID")]
    client_msg_id: String,
    #[serde(rename = "sendTime")]
    send_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    modify: Option<Map<String, Value>>,
}

pub(crate) async fn handle(call: Call) -> Result<SentMessage, ApiError> {
    let bound = Bound::read(&call.body).map_err(ApiError::into_bad_request)?;
    call.caller.check_admin()?;
    let draft = Draft::read(&call.body, bound)?;
    let to = match draft.session {
        Session::Group => draft.to_group()?,
        Session::Single => match call.body.text("recvID")? {
            receiver if receiver.is_empty() => return Err(missing("recvID")),
            receiver => Destination::Account(AccountId::new(receiver)),
        },
    };
    let repeat = draft.client_id.as_ref().map(ToString::to_string);
    let sent = call.run(draft.command(to, repeat, &call.app.config.admins)).await?;
    let modify = modified::fields(&call, &draft, &sent).await?;
    Ok(SentMessage {
        server_msg_id: sent.message.id.to_string(),
        client_msg_id: sent.message.client_id.to_string(),
        send_time: sent.message.time.millis(),
        modify,
    })
}
