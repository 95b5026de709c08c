//! `group_open_http_svc/send_group_msg`: a message to a group by an admin, from anyone.

use chat::element::Carried;
use chat::group::GroupKind;
use chat::id::{AccountId, TopicId};
use chat::message::send::{Destination, Fate, SendMessage, Sent};
use chat::message::{Keeping, Mention, RepeatKey};
use chat::policy::Exempt;

use super::group_profile::group_id;
use super::message_options::{self, Codes, Options};
use super::sendmsg::REPEAT_WINDOW_MILLIS;
use crate::DIALECT;
use crate::body::{Fields, as_string, missing};
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;
use crate::message_key::Numbers;

const CODES: Codes = Codes { field: 10004, push_info: 10004, body: Some(10004) };
const MAX_RECEIVERS: usize = 50;
const MAX_MENTIONS: usize = 30;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let group = group_id(&mut body)?;
    let random = body.uint32("Random", 10004)?.ok_or_else(|| missing("Random", 10004))?;
    let sender = body.optional_account("From_Account", 10004)?.unwrap_or_else(|| call.caller.clone());
    let topic = body.string("TopicId", 10004)?.filter(|topic| !topic.is_empty()).map(TopicId::new);
    // COMPAT: the Chinese site's name of the same field.
    if let Some(flag) = body.take_either("OnlineOnlyFlag", "MsgOnlineOnlyFlag") {
        body.put("OnlineOnlyFlag", flag);
    }
    let online_only = body.flag("OnlineOnlyFlag", 10004)?;
    let has_controls = body.has_items("SendMsgControl");
    let Options { elements, custom_data, mut delivery, mut carried, asks } = message_options::read(&mut body, CODES)?;
    if online_only {
        if has_controls {
            return Err(Failure::new(10004, "SendMsgControl cannot be used with OnlineOnlyFlag 1").into());
        }
        delivery.keeping = Keeping::OnlineOnly;
    }
    if let Some(priority) = as_string(body.take("MsgPriority"), "MsgPriority", 10004)? {
        if !matches!(priority.as_str(), "High" | "Normal" | "Low") {
            return Err(Failure::new(10004, "MsgPriority must be High, Normal or Low").into());
        }
        carried.insert("MsgPriority".into(), priority.into());
    }
    if let Some(receivers) = body.strings("To_Account", 10004)?.filter(|receivers| !receivers.is_empty()) {
        delivery.only_to = only_to(call, &group, receivers).await?;
        delivery.no_unread = true;
    }
    let mentions = mentions(&mut body)?;
    Numbers::carry(None, random, &mut carried);
    let key = match &topic {
        Some(topic) => format!("topic {random} {topic}"),
        None => format!("group {random} {group}"),
    };
    let is_admin = call.tencent.config.admins.contains(&sender);
    let send = SendMessage {
        sender,
        to: match topic {
            Some(topic) => Destination::Topic(group, topic),
            None => Destination::Group(group),
        },
        client_id: None,
        repeat: Some(RepeatKey { key, window_millis: Some(REPEAT_WINDOW_MILLIS) }),
        time: None,
        created: None,
        sender_name: None,
        sender_face: None,
        elements,
        custom_data,
        mentions,
        delivery,
        carried: Carried::of(DIALECT, carried),
        // The sender need not be a member; a muted one is refused (10017), unless it is an admin of the app.
        exempt: Exempt { blocks: true, membership: true, mutes: is_admin },
        reads: false,
        asks,
    };
    let sent = call.run(send).await?;
    let seq = shown_seq(call, &sent).await?;
    Ok(Reply::new().with("MsgTime", sent.message.time.seconds()).with("MsgSeq", seq))
}

/// A discarded message looks sent: it shows the seq that it would have had.
async fn shown_seq(call: &Call<'_>, sent: &Sent) -> Result<u64, Error> {
    if sent.fate != Fate::Discarded || sent.message.delivery.keeping == Keeping::OnlineOnly {
        return Ok(sent.message.seq);
    }
    let query = chat::port::MessageQuery::seqs(1, 0, 0, true);
    let conversation = sent.message.conversation.clone();
    let history = call.run(chat::message::history::ReadHistory { conversation, viewer: None, query }).await?;
    Ok(history.state.head + 1)
}

/// A directed message reaches only these members, in groups that know their members well enough.
async fn only_to(call: &Call<'_>, group: &chat::id::GroupId, receivers: Vec<String>) -> Result<Vec<AccountId>, Error> {
    if receivers.len() > MAX_RECEIVERS {
        return Err(Failure::new(10004, format!("To_Account may have at most {MAX_RECEIVERS} entries")).into());
    }
    let found = call.run(chat::group::find::FindGroups(vec![group.clone()])).await?;
    if let Some((group, _)) = found.first()
        && matches!(group.kind, GroupKind::Live | GroupKind::Community)
    {
        return Err(Failure::new(10007, "groups of this type do not support To_Account").into());
    }
    Ok(receivers.into_iter().map(AccountId::new).collect())
}

fn mentions(body: &mut Fields) -> Result<Vec<Mention>, Failure> {
    let items = body.objects("GroupAtInfo", 10004)?.unwrap_or_default();
    if items.len() > MAX_MENTIONS {
        return Err(Failure::new(10053, format!("GroupAtInfo may have at most {MAX_MENTIONS} entries")));
    }
    let mention = |mut item: Fields| {
        if item.flag("GroupAtAllFlag", 10004)? {
            Ok(Mention::All)
        } else {
            item.account("GroupAt_Account", 10004).map(Mention::Account)
        }
    };
    items.into_iter().map(mention).collect()
}
