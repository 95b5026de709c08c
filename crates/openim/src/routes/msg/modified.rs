//! `modify`: what the app's backend changed in a message, told to whoever sent it.

use chat::account::find::FindAccounts;
use chat::id::AccountId;
use chat::message::Message;
use chat::message::send::{Fate, Sent};
use serde_json::{Map, Value};

use super::draft::Draft;
use crate::call::Call;
use crate::error::ApiError;
use crate::msg_data::MsgData;

/// The changed fields, or nothing if none was.
pub(super) async fn fields(call: &Call, draft: &Draft, sent: &Sent) -> Result<Option<Map<String, Value>>, ApiError> {
    if sent.fate != (Fate::Sent { modified: true }) {
        return Ok(None);
    }
    let asked_for = as_asked_for(call, draft, &sent.message).await?;
    let fields = difference(&MsgData::of(&asked_for), &MsgData::of(&sent.message));
    Ok((!fields.is_empty()).then_some(fields))
}

/// The message as it was before the backend saw it.
async fn as_asked_for(call: &Call, draft: &Draft, sent: &Message) -> Result<Message, ApiError> {
    let mut message = Message {
        elements: draft.elements.clone(),
        custom_data: draft.custom_data.clone(),
        mentions: draft.mentions.clone(),
        carried: draft.carried.clone(),
        ..sent.clone()
    };
    let profile = profile_of(call, &draft.sender).await?;
    message.sender_name = draft.sender_name.clone().unwrap_or(profile.0);
    message.sender_face = draft.sender_face.clone().unwrap_or(profile.1);
    Ok(message)
}

/// The name and the avatar that stand in where the request says none.
async fn profile_of(call: &Call, sender: &AccountId) -> Result<(String, String), ApiError> {
    let account = call.run(FindAccounts(vec![sender.clone()])).await?.pop();
    Ok(account.map(|account| (account.name, account.face_url)).unwrap_or_default())
}

fn difference(before: &MsgData, after: &MsgData) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, changed: bool, value: Value| {
        if changed {
            fields.insert(name.to_owned(), value);
        }
    };
    // COMPAT: a string here, base64 where messages are pulled.
    put("content", before.content != after.content, after.content.clone().into());
    put("contentType", before.content_type != after.content_type, after.content_type.into());
    put("ex", before.ex != after.ex, after.ex.clone().into());
    put("atUserIDList", before.at_user_id_list != after.at_user_id_list, after.at_user_id_list.clone().into());
    put("senderNickname", before.sender_nickname != after.sender_nickname, after.sender_nickname.clone().into());
    put("senderFaceURL", before.sender_face_url != after.sender_face_url, after.sender_face_url.clone().into());
    put("attachedInfo", before.attached_info != after.attached_info, after.attached_info.clone().into());
    let options = after.options.iter().map(|(name, value)| (name.clone(), Value::from(*value))).collect();
    put("options", before.options != after.options, Value::Object(options));
    let push = serde_json::to_value(&after.offline_push_info).unwrap_or_default();
    put("offlinePushInfo", before.offline_push_info != after.offline_push_info, push);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let before = MsgData { content: r#"{"content":"a"}"#.into(), ex: "x".into(), ..MsgData::default() };
        assert!(difference(&before, &before).is_empty());
        let after = MsgData { content: r#"{"content":"b"}"#.into(), ..MsgData::default() };
        let fields = difference(&before, &after);
        assert_eq!(fields.len(), 2);
        assert_eq!(fields["content"], r#"{"content":"b"}"#);
        assert_eq!(fields["ex"], "");
    }
}
