//! `group_open_http_svc/group_msg_get_simple`: a group's history, newest first.

use chat::conversation::ConversationId;
use chat::element::Carried;
use chat::group::find::FindGroups;
use chat::id::{Seq, TopicId};
use chat::message::Message;
use chat::message::history::ReadHistory;
use chat::port::MessageQuery;
use serde_json::{Value, json};

use super::group_profile::group_id;
use crate::DIALECT;
use crate::body::{Fields, missing};
use crate::element::encode_body;
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;
use crate::message_key::Numbers;

const MAX_COUNT: i64 = 20;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let group = group_id(&mut body)?;
    let wanted = body.integer("ReqMsgNumber", 10004)?.ok_or_else(|| missing("ReqMsgNumber", 10004))?;
    if wanted < 1 {
        return Err(Failure::new(10004, "ReqMsgNumber must be at least 1").into());
    }
    let to = match body.integer("ReqMsgSeq", 10004)? {
        None => Seq::MAX,
        Some(seq) => u64::try_from(seq).map_err(|_| Failure::new(10004, "ReqMsgSeq must not be negative"))?,
    };
    body.flag("WithRecalledMsg", 10004)?;
    let topic = body.string("TopicId", 10004)?.filter(|topic| !topic.is_empty());

    let found = call.run(FindGroups(vec![group.clone()])).await?;
    match found.first() {
        Some((found, _)) if !found.is_open() => return Err(Failure::new(10010, "the group was dissolved").into()),
        Some((found, _)) if !found.kind.has_history() => {
            return Err(Failure::new(10007, "groups of this type have no history").into());
        }
        Some(_) => {}
        None => return Err(Failure::new(10010, "the group does not exist").into()),
    }
    let conversation = match topic {
        Some(topic) => ConversationId::Topic(group.clone(), TopicId::new(topic)),
        None => ConversationId::Group(group.clone()),
    };
    let query = MessageQuery::seqs(1, to, wanted.min(MAX_COUNT) as usize, true);
    let history = call.run(ReadHistory { conversation, viewer: None, query }).await?;
    let is_finished = wanted <= MAX_COUNT || !history.has_more;
    Ok(Reply::new()
        .with("GroupId", group.as_str())
        .with("IsFinished", i64::from(is_finished))
        .with("RspMsgList", history.messages.iter().map(word).collect::<Vec<Value>>()))
}

fn word(message: &Message) -> Value {
    let numbers = Numbers::of(message);
    let carried = Carried::for_dialect(&message.carried, DIALECT);
    let priority = match carried.and_then(|fields| fields.get("MsgPriority")).and_then(Value::as_str) {
        Some("High") => 1,
        Some("Low") => 3,
        _ => 2,
    };
    let mut item = json!({
        "From_Account": message.sender.as_str(),
        "IsPlaceMsg": 0,
        "MsgBody": encode_body(&message.elements),
        "MsgPriority": priority,
        "MsgRandom": numbers.random,
        "MsgSeq": message.seq,
        "MsgTimeStamp": numbers.time,
    });
    if let Some(custom_data) = &message.custom_data {
        item["CloudCustomData"] = Value::from(custom_data.as_str());
    }
    item
}
