//! `openim/sendmsg`: a one-to-one message by an admin, from anyone to anyone.

use chat::element::Carried;
use chat::id::AccountId;
use chat::message::send::{Destination, Fate, SendMessage};
use chat::message::{Keeping, RepeatKey};
use chat::policy::Exempt;
use chat::refusal::Refusal;

use super::message_options::{self, Codes, Options};
use crate::DIALECT;
use crate::body::{Fields, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;
use crate::message_key::Numbers;

/// A repeat is recognised for five minutes.
pub(super) const REPEAT_WINDOW_MILLIS: i64 = 5 * 60 * 1000;

const CODES: Codes = Codes { field: 90010, push_info: 90043, body: None };

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let recipient = body.account("To_Account", 90003)?;
    let sender = body.optional_account("From_Account", 90008)?.unwrap_or_else(|| call.caller.clone());
    let random = body.uint32("MsgRandom", 90005)?.ok_or_else(|| missing("MsgRandom", 90005))?;
    let seq = body.uint32("MsgSeq", 90004)?;
    // COMPAT: only the older documents have it; the server's own time counts.
    body.integer("MsgTimeStamp", 90006)?;
    let life_time = body.integer("MsgLifeTime", 90044)?;
    if life_time.is_some_and(|seconds| seconds < 0) {
        return Err(Failure::new(90044, "MsgLifeTime must not be negative").into());
    }
    let sync = body.integer("SyncOtherMachine", 90031)?;
    if !matches!(sync, None | Some(1 | 2)) {
        return Err(Failure::new(90031, "SyncOtherMachine must be 1 or 2").into());
    }
    let Options { elements, custom_data, mut delivery, mut carried, asks } = message_options::read(&mut body, CODES)?;
    if life_time == Some(0) {
        delivery.keeping = Keeping::OnlineOnly;
    }
    delivery.not_to_sender = sync == Some(2);

    // Without a MsgSeq the server chooses one, and a retry is recognised by its MsgRandom alone.
    let chosen = seq.unwrap_or_else(|| call.tencent.chat.clock().random() as u32);
    Numbers::carry(Some(chosen), random, &mut carried);
    let key = match seq {
        Some(seq) => format!("c2c {seq} {random} {recipient}"),
        None => format!("c2c - {random} {recipient}"),
    };
    let send = SendMessage {
        sender,
        to: Destination::Account(recipient.clone()),
        client_id: None,
        repeat: Some(RepeatKey { key, window_millis: Some(REPEAT_WINDOW_MILLIS) }),
        time: None,
        created: None,
        sender_name: None,
        sender_face: None,
        elements,
        custom_data,
        mentions: Vec::new(),
        delivery,
        carried: Carried::of(DIALECT, carried),
        // An admin's send is not checked for blocks and mutes (`spec/tencent/rest.jsonl`, `sendmsg`).
        exempt: Exempt { blocks: true, membership: true, mutes: true },
        reads: false,
        asks,
    };
    let sent = call.run(send).await.map_err(|error| unknown_recipient(error, &recipient))?;
    let numbers = Numbers::of(&sent.message);
    tracing::debug!(key = numbers.key(), discarded = sent.fate == Fate::Discarded, "sendmsg");
    Ok(Reply::new().with("MsgTime", numbers.time).with("MsgKey", numbers.key()))
}

/// An unknown recipient has a code of its own.
fn unknown_recipient(error: chat::Error, recipient: &AccountId) -> Error {
    match error {
        chat::Error::Refused(Refusal::NoAccount(id)) if id == *recipient => {
            Failure::new(90012, format!("To_Account {id:?} is not registered")).into()
        }
        other => other.into(),
    }
}
