//! `openim/admin_getroammsg`: the history of a one-to-one conversation, from one party's side.
//!
//! Pages walk from newest to oldest; inside a page messages ascend.

use chat::conversation::ConversationId;
use chat::id::{AccountId, Seq, Timestamp};
use chat::message::Message;
use chat::message::history::{MAX_PAGE, ReadHistory};
use chat::port::MessageQuery;
use serde_json::{Value, json};

use crate::body::{Fields, as_string, missing};
use crate::element::encode_body;
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;
use crate::message_key::Numbers;

/// At most this many messages in a page; the vendor's are some 13 KB, which is a few dozen.
const MAX_COUNT: i64 = 100;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    // COMPAT: the older names of the parties.
    let viewer = party(&mut body, "Operator_Account", "From_Account", 90008)?;
    let peer = party(&mut body, "Peer_Account", "To_Account", 90003)?;
    let count = body.integer("MaxCnt", 90001)?.ok_or_else(|| missing("MaxCnt", 90001))?;
    let since = body.integer("MinTime", 90001)?.ok_or_else(|| missing("MinTime", 90001))?;
    let until = body.integer("MaxTime", 90001)?.ok_or_else(|| missing("MaxTime", 90001))?;
    let last_key = body.string("LastMsgKey", 90054)?.filter(|key| !key.is_empty());
    if count < 1 {
        return Err(Failure::new(90001, "MaxCnt must be at least 1").into());
    }
    let known = call.run(chat::account::find::FindAccounts(vec![viewer.clone(), peer.clone()])).await?;
    for (id, code) in [(&viewer, 90008), (&peer, 90003)] {
        if !known.iter().any(|account| account.id == *id) {
            return Err(Failure::new(code, format!("the account {id:?} does not exist")).into());
        }
    }
    let conversation = ConversationId::direct(viewer.clone(), peer.clone());
    let before = match &last_key {
        Some(key) => find_key(call, &conversation, key).await?,
        None => Seq::MAX,
    };
    let query = MessageQuery {
        from: 1,
        to: before.saturating_sub(1),
        since: Timestamp::from_millis(since.saturating_mul(1000)),
        until: Timestamp::from_millis(until.saturating_mul(1000).saturating_add(999)),
        limit: count.min(MAX_COUNT) as usize,
        newest_first: true,
    };
    let history = call.run(ReadHistory { conversation, viewer: Some(viewer.clone()), query }).await?;
    let mut messages: Vec<Value> = history.messages.iter().map(|message| word(message, &viewer, &peer)).collect();
    messages.reverse();
    let oldest = history.messages.last().map(Numbers::of);
    Ok(Reply::new()
        .with("Complete", i64::from(!history.has_more))
        .with("MsgCnt", messages.len())
        .with("LastMsgTime", oldest.map_or(0, |numbers| numbers.time))
        .with("LastMsgKey", oldest.map(Numbers::key).unwrap_or_default())
        .with("MsgList", messages))
}

fn party(body: &mut Fields, name: &str, alias: &str, code: i64) -> Result<AccountId, Failure> {
    let text = as_string(body.take_either(name, alias), name, code)?.filter(|text| !text.is_empty());
    text.map(AccountId::new).ok_or_else(|| missing(name, code))
}

/// The seq of the message with this key: it is in the key's second. A key does not name the sender, so both parties may
/// have used the same one in the same second: then the older counts, so that paging always gets on.
async fn find_key(call: &Call<'_>, conversation: &ConversationId, key: &str) -> Result<Seq, Error> {
    let unknown = || Failure::new(90054, format!("there is no message with the LastMsgKey {key:?}"));
    let wanted = Numbers::parse(key).ok_or_else(unknown)?;
    let (since, until) = wanted.second();
    let mut from = 1;
    loop {
        let query = MessageQuery { from, to: Seq::MAX, since, until, limit: MAX_PAGE, newest_first: false };
        let history = call.run(ReadHistory { conversation: conversation.clone(), viewer: None, query }).await?;
        if let Some(message) = history.messages.iter().find(|message| Numbers::of(message) == wanted) {
            return Ok(message.seq);
        }
        match history.messages.last() {
            Some(newest) if history.has_more => from = newest.seq + 1,
            _ => return Err(unknown().into()),
        }
    }
}

fn word(message: &Message, viewer: &AccountId, peer: &AccountId) -> Value {
    let numbers = Numbers::of(message);
    let to = if message.sender == *viewer { peer } else { viewer };
    let mut item = json!({
        "From_Account": message.sender.as_str(),
        "To_Account": to.as_str(),
        "MsgSeq": numbers.seq,
        "MsgRandom": numbers.random,
        "MsgTimeStamp": numbers.time,
        "MsgFlagBits": 0,
        "IsPeerRead": 0,
        "MsgKey": numbers.key(),
        "MsgBody": encode_body(&message.elements),
    });
    if let Some(custom_data) = &message.custom_data {
        item["CloudCustomData"] = Value::from(custom_data.as_str());
    }
    item
}
