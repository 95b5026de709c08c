//! Requests of connected clients, by their number (`spec/openim/gateway.md`, section 5).

mod presence;
mod send;

use std::sync::Arc;

use chat::Origin;
use chat::group::find::ListGroupsOf;
use chat::id::AccountId;
use chat::online::Connection;
use prost::Message;

use super::frame::{Request, Response};
use crate::call::{Call, MAX_OPERATION_BYTES};
use crate::error::{ApiError, Code};
use crate::proto::{
    GetHasReadAndMaxSeq, GetLastMessage, GetMaxSeq, GetSeqMessage, LastMessages, LogOut, PullMessageBySeqs,
    SetBackground,
};
use crate::{inbox, pull};

const GET_MAX_SEQ: i32 = 1001;
const PULL_BY_SEQS: i32 = 1002;
const SEND: i32 = 1003;
const SIGNAL: i32 = 1004;
const GET_SEQ_MESSAGE: i32 = 1005;
const GET_HAS_READ_AND_MAX_SEQ: i32 = 1006;
const GET_LAST_MESSAGE: i32 = 1007;
const LOG_OUT: i32 = 2003;
const SET_BACKGROUND: i32 = 2004;
const WATCH_PRESENCE: i32 = 2005;

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    GoesOn,
    Ends,
}

/// Whether there is such a request. A connection that sends another is closed.
pub(super) fn is_known(identifier: i32) -> bool {
    matches!(identifier, GET_MAX_SEQ..=GET_LAST_MESSAGE | LOG_OUT..=WATCH_PRESENCE)
}

/// Tells the hub which groups a connection's account is a member of.
pub(super) async fn know_groups(call: &Call<()>, connection: &Connection) -> Result<(), ApiError> {
    let known = call.run(ListGroupsOf(connection.account.clone())).await;
    let (groups, outcome) = match known {
        Ok(groups) => (groups, Ok(())),
        // None are known, and none are being read any more.
        Err(error) => (Vec::new(), Err(error)),
    };
    call.app.online.know_groups(connection, groups);
    outcome
}

/// Answers a request, with the operation's id that it came with.
pub(super) async fn answer(call: &Call<()>, connection: &Arc<Connection>, request: Request) -> (Response, Answer) {
    let outcome = match request.operation.len() {
        0..=MAX_OPERATION_BYTES => {
            let origin = Origin { operation: request.operation.clone(), ..call.origin.clone() };
            let call = Call { app: call.app.clone(), caller: call.caller.clone(), origin, body: &*request.data };
            carry_out(&call, connection, request.identifier).await
        }
        _ => Err(Code::Args.because(format!("operationID has more than {MAX_OPERATION_BYTES} bytes"))),
    };
    let then = match &outcome {
        Ok(_) if request.identifier == LOG_OUT => Answer::Ends,
        _ => Answer::GoesOn,
    };
    (request.answer(outcome), then)
}

async fn carry_out(call: &Call<&[u8]>, connection: &Arc<Connection>, identifier: i32) -> Result<Vec<u8>, ApiError> {
    match identifier {
        GET_MAX_SEQ => {
            let GetMaxSeq { user_id } = call.data()?;
            Ok(inbox::max_seqs(call, AccountId::new(user_id)).await?.encode_to_vec())
        }
        PULL_BY_SEQS => {
            let PullMessageBySeqs { user_id, seq_ranges, order } = call.data()?;
            let pulled = pull::ranges(call, &AccountId::new(user_id), &seq_ranges, order).await?;
            Ok(pulled.encode_to_vec())
        }
        SEND => send::send(call).await.map(|answer| answer.encode_to_vec()),
        GET_SEQ_MESSAGE => {
            let GetSeqMessage { user_id, conversations, order } = call.data()?;
            let pulled = pull::seqs(call, &AccountId::new(user_id), &conversations, order).await?;
            Ok(pulled.encode_to_vec())
        }
        GET_HAS_READ_AND_MAX_SEQ => {
            let GetHasReadAndMaxSeq { user_id, conversation_ids, .. } = call.data()?;
            let seqs = inbox::has_read_and_max_seqs(call, AccountId::new(user_id), conversation_ids).await?;
            Ok(seqs.encode_to_vec())
        }
        GET_LAST_MESSAGE => {
            let GetLastMessage { user_id, conversation_ids } = call.data()?;
            let msgs = pull::newest(call, &AccountId::new(user_id), &conversation_ids).await?;
            Ok(LastMessages { msgs }.encode_to_vec())
        }
        LOG_OUT => {
            let LogOut { user_id, .. } = call.data()?;
            call.caller.as_account(&AccountId::new(user_id))?;
            Ok(Vec::new())
        }
        SET_BACKGROUND => {
            let SetBackground { is_background, .. } = call.data()?;
            connection.set_background(is_background);
            Ok(Vec::new())
        }
        WATCH_PRESENCE => presence::watch(call, connection).map(|answer| answer.encode_to_vec()),
        // COMPAT: calls were taken out of OpenIM's server, and their number always is an error.
        SIGNAL => Err(Code::Args.because("signalling is not part of this protocol any more")),
        other => Err(Code::Args.because(format!("there is no request {other}"))),
    }
}

impl Call<&[u8]> {
    /// What was asked.
    fn data<T: Message + Default>(&self) -> Result<T, ApiError> {
        T::decode(self.body).map_err(|error| Code::Args.because(format!("data is not what it should be: {error}")))
    }
}
