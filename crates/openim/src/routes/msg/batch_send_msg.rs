//! `/msg/batch_send_msg`: the same message to many users, one after another. One that fails stops nobody else's.

use chat::id::{AccountId, ClientMessageId, MessageId};
use chat::message::send::Destination;
use serde::Serialize;
use serde_json::{Map, Value};

use super::draft::{Bound, Draft, Session};
use super::modified;
use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::fields::missing;

/// At most this many receivers: each may cost a question to the backend, and the caller waits for all of them.
const MAX_RECEIVERS: usize = 1000;

#[derive(Debug, Serialize)]
pub(crate) struct Batch {
    /// Null, not empty, when nobody got it.
    results: Option<Vec<One>>,
    #[serde(rename = "failedUserIDs")]
    failed_user_ids: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct One {
    #[serde(rename = "serverMsgID")]
    server_msg_id: String,
    #[serde(rename = "clientMsgID")]
    client_msg_id: String,
    #[serde(rename = "sendTime")]
    send_time: i64,
    #[serde(rename = "recvID")]
    recv_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    modify: Option<Map<String, Value>>,
}

pub(crate) async fn handle(call: Call) -> Result<Batch, ApiError> {
    let bound = bind(&call).map_err(ApiError::into_bad_request)?;
    call.caller.check_admin()?;
    let receivers = receivers(&call)?;
    let mut draft = Draft::read(&call.body, bound)?;
    if draft.session == Session::Group {
        return Err(Code::Args.because("a batch goes to users: sessionType must be 1"));
    }
    let is_named = draft.client_id.is_some();
    // The same clientMsgID for every receiver, whoever made it.
    let generated = || ClientMessageId::new(MessageId::new(call.app.now(), call.app.chat.clock().random()).to_string());
    let client_id = draft.client_id.get_or_insert_with(generated).clone();

    let (mut results, mut failed) = (Vec::new(), Vec::new());
    for receiver in receivers {
        let repeat = is_named.then(|| format!("{client_id} to {receiver}"));
        match send(&call, &draft, &receiver, repeat).await {
            Ok(one) => results.push(one),
            Err(_) => failed.push(receiver),
        }
    }
    Ok(Batch {
        results: (!results.is_empty()).then_some(results),
        failed_user_ids: (!failed.is_empty()).then_some(failed),
    })
}

fn bind(call: &Call) -> Result<Bound, ApiError> {
    let bound = Bound::read(&call.body)?;
    // May be empty, but must be there.
    if call.body.has("recvIDs") { Ok(bound) } else { Err(missing("recvIDs")) }
}

fn receivers(call: &Call) -> Result<Vec<String>, ApiError> {
    if call.body.flag("isSendAll")? {
        return Err(Code::Args.because("isSendAll is not supported yet: name the receivers in recvIDs"));
    }
    let receivers = call.body.texts("recvIDs")?;
    if receivers.len() > MAX_RECEIVERS {
        return Err(Code::Args.because(format!("recvIDs has more than {MAX_RECEIVERS} ids")));
    }
    Ok(receivers)
}

async fn send(call: &Call, draft: &Draft, receiver: &str, repeat: Option<String>) -> Result<One, ApiError> {
    let to = Destination::Account(AccountId::from(receiver));
    let sent = call.run(draft.command(to, repeat, &call.app.config.admins)).await?;
    let modify = modified::fields(call, draft, &sent).await?;
    Ok(One {
        server_msg_id: sent.message.id.to_string(),
        client_msg_id: sent.message.client_id.to_string(),
        send_time: sent.message.time.millis(),
        recv_id: receiver.to_owned(),
        modify,
    })
}
