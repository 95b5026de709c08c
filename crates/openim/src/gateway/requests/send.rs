//! 1003: a client sends a message (`spec/openim/semantics.md`, section 5).

use std::collections::BTreeMap;

use chat::element::Carried;
use chat::id::{AccountId, ClientMessageId, GroupId, Timestamp};
use chat::message::send::{Destination, Fate, SendMessage};
use chat::message::{Delivery, Keeping};
use serde_json::{Map, Value};

use crate::call::Call;
use crate::content::{self, Shown, TYPING};
use crate::error::{ApiError, Code};
use crate::fields::missing;
use crate::msg_data::MsgData;
use crate::proto::SentMessage;
use crate::sending::{MAX_MENTIONS, exemptions, repeat_key};
use crate::{id_rules, mentions};

/// Options are names that both sides know: there are twelve.
const MAX_OPTIONS: usize = 64;

pub(super) async fn send(call: &Call<&[u8]>) -> Result<SentMessage, ApiError> {
    let sent = call.run(command(call, call.data()?)?).await?;
    let modify = (sent.fate == Fate::Sent { modified: true }).then(|| MsgData::of(&sent.message));
    Ok(SentMessage {
        server_msg_id: sent.message.id.to_string(),
        client_msg_id: sent.message.client_id.to_string(),
        send_time: sent.message.time.millis(),
        modify,
    })
}

fn command(call: &Call<&[u8]>, message: MsgData) -> Result<SendMessage, ApiError> {
    let sender = AccountId::new(&*message.send_id);
    if call.caller.actor.account() != Some(&sender) {
        return Err(Code::NoPermission.because("sendID is not the user of this connection"));
    }
    let to = destination(&message)?;
    id_rules::check_client_message(&message.client_msg_id)?;
    if message.at_user_id_list.len() > MAX_MENTIONS {
        return Err(Code::Args.because(format!("atUserIDList has more than {MAX_MENTIONS} ids")));
    }
    if message.options.len() > MAX_OPTIONS {
        return Err(Code::Args.because(format!("more than {MAX_OPTIONS} options")));
    }
    let mentions = mentions::read(&message.at_user_id_list);
    let object: Map<String, Value> = serde_json::from_str(&message.content)
        .map_err(|_| Code::Args.because("content must be the text of a JSON object"))?;
    let shown = Shown { content_type: message.content_type, object };
    let not_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let exempt = exemptions(&call.app.config.admins, &sender);
    Ok(SendMessage {
        sender,
        to,
        client_id: not_empty(&message.client_msg_id).map(ClientMessageId::new),
        repeat: not_empty(&message.client_msg_id).as_deref().map(repeat_key),
        time: None,
        created: (message.create_time > 0).then(|| Timestamp::from_millis(message.create_time)),
        sender_name: not_empty(&message.sender_nickname),
        sender_face: not_empty(&message.sender_face_url),
        elements: vec![content::decode(shown, &mentions)],
        custom_data: not_empty(&message.ex),
        mentions,
        delivery: delivery(message.content_type, &message.options),
        carried: carried(&message),
        exempt,
        reads: true,
        asks: true,
    })
}

fn destination(message: &MsgData) -> Result<Destination, ApiError> {
    match message.session_type {
        1 if message.recv_id.is_empty() => Err(missing("recvID")),
        1 => Ok(Destination::Account(AccountId::new(&*message.recv_id))),
        3 if message.group_id.is_empty() => Err(missing("groupID")),
        3 => Ok(Destination::Group(GroupId::new(&*message.group_id))),
        other => Err(Code::Args.because(format!("sessionType {other} is not one that clients send"))),
    }
}

/// What the options say; what is not there is on. That somebody types is for those who are here.
fn delivery(content_type: i32, options: &BTreeMap<String, bool>) -> Delivery {
    let is_off = |name: &str| options.get(name) == Some(&false);
    let is_live = content_type == TYPING || is_off("history");
    Delivery {
        keeping: if is_live { Keeping::OnlineOnly } else { Keeping::Stored },
        no_unread: is_off("unreadCount"),
        no_last_message: is_off("conversationUpdate"),
        not_to_sender: content_type == TYPING || is_off("senderSync"),
        no_push: content_type == TYPING || is_off("offlinePush"),
        ..Delivery::default()
    }
}

/// What only OpenIM's clients look at.
fn carried(message: &MsgData) -> Option<Carried> {
    let mut fields = Map::new();
    if !message.options.is_empty() {
        let options = message.options.iter().map(|(name, value)| (name.clone(), Value::from(*value)));
        fields.insert("options".into(), Value::Object(options.collect()));
    }
    if let Some(info) = &message.offline_push_info {
        // Strings and a flag always serialise.
        fields.insert("offlinePushInfo".into(), serde_json::to_value(info).unwrap_or_default());
    }
    if !message.attached_info.is_empty() {
        fields.insert("attachedInfo".into(), (&*message.attached_info).into());
    }
    Carried::of(content::DIALECT, fields)
}
