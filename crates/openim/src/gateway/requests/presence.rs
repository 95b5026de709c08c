//! 2005: watching who is online (`spec/openim/gateway.md`, section 7).

use std::sync::Arc;

use chat::id::{AccountId, MAX_ID_BYTES};
use chat::online::Connection;

use crate::call::Call;
use crate::error::{ApiError, Code};
use crate::gateway::push::presence_of;
use crate::proto::{Presences, WatchPresence};

/// At most this many accounts are named in one request.
const MAX_NAMED: usize = 1000;

/// At most this many accounts are watched by one connection: some 200 bytes each.
const MAX_WATCHED: usize = 10_000;

/// Begins and ends watching; the answer says where those are now who are watched from here on.
pub(super) fn watch(call: &Call<&[u8]>, connection: &Arc<Connection>) -> Result<Presences, ApiError> {
    let WatchPresence { subscribe_user_id, unsubscribe_user_id } = call.data()?;
    if subscribe_user_id.len() + unsubscribe_user_id.len() > MAX_NAMED {
        return Err(Code::Args.because(format!("more than {MAX_NAMED} users at once")));
    }
    let is_long = |id: &String| id.len() > MAX_ID_BYTES;
    if subscribe_user_id.iter().any(is_long) {
        return Err(Code::Args.because(format!("a user id has more than {MAX_ID_BYTES} bytes")));
    }
    let online = &call.app.online;
    for id in unsubscribe_user_id {
        online.unwatch(connection, &AccountId::new(id));
    }
    let mut subscribers = Vec::with_capacity(subscribe_user_id.len());
    for id in subscribe_user_id {
        let account = AccountId::new(id);
        if !online.watch(connection, account.clone(), MAX_WATCHED) {
            return Err(Code::Args.because(format!("a connection watches at most {MAX_WATCHED} users")));
        }
        subscribers.push(presence_of(&online.presence_of(&account)));
    }
    Ok(Presences { subscribers })
}
