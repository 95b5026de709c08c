//! A group's profile on the wire: what creating and modifying read, and what getting writes.

use chat::group::{Group, GroupKind};
use chat::id::{AccountId, GroupId};
use chat::port::ConversationState;
use serde_json::{Map, Value, json};

use crate::body::{Fields, is_printable_ascii, missing};
use crate::envelope::Failure;
use crate::group_type;

/// Limits in bytes of UTF-8 (`spec/tencent/rules.md`, section 6).
pub(super) const MAX_NAME: usize = 30;
pub(super) const MAX_INTRODUCTION: usize = 240;
pub(super) const MAX_NOTIFICATION: usize = 300;
pub(super) const MAX_FACE_URL: usize = 100;
const MAX_GROUP_ID: usize = 48;
const MAX_FIELDS: usize = 10;
const MAX_FIELD_KEY: usize = 16;
const MAX_FIELD_VALUE: usize = 512;

/// Reads `GroupId` of a group that should exist.
pub(super) fn group_id(body: &mut Fields) -> Result<GroupId, Failure> {
    let text = body.needed_string("GroupId", 10004)?;
    if text.is_empty() || text.len() > chat::id::MAX_ID_BYTES || !is_printable_ascii(&text) {
        return Err(Failure::new(10015, "GroupId is malformed"));
    }
    Ok(GroupId::new(text))
}

/// Checks the id that a new group's maker chose.
pub(super) fn new_group_id(text: String, kind: GroupKind) -> Result<GroupId, Failure> {
    let wrong = |problem: &str| Err(Failure::new(10015, format!("GroupId {problem}")));
    if text.is_empty() || text.len() > MAX_GROUP_ID || !is_printable_ascii(&text) {
        return wrong("must be 1 to 48 bytes of printable ASCII");
    }
    match kind {
        GroupKind::Community if !text.starts_with("@TGS#_") => wrong("of a community must begin with @TGS#_"),
        GroupKind::Community => Ok(GroupId::new(text)),
        _ if text.starts_with("@TGS#") => wrong("must not begin with @TGS#"),
        _ => Ok(GroupId::new(text)),
    }
}

/// Makes up an id like the vendor's.
pub(super) fn generate_group_id(kind: GroupKind, random: u128) -> GroupId {
    let letter = group_type::id_letter(kind);
    let tail = opaque(random);
    match kind {
        GroupKind::Community => GroupId::new(format!("@TGS#_@TGS#{letter}{tail}")),
        _ => GroupId::new(format!("@TGS#{letter}{tail}")),
    }
}

/// Twelve characters of 60 random bits.
pub(super) fn opaque(random: u128) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    (0..12).map(|index| char::from(ALPHABET[(random >> (5 * index)) as usize % 32])).collect()
}

/// Reads `AppDefinedData`; an empty value removes a field.
pub(super) fn app_defined_data(body: &mut Fields, name: &str, max_value: usize) -> Result<Map<String, Value>, Failure> {
    let mut fields = Map::new();
    for mut entry in body.objects(name, 10004)?.unwrap_or_default() {
        let key = entry.needed_string("Key", 10004)?;
        let value = entry.needed_string("Value", 10004)?;
        let is_key = (1..=MAX_FIELD_KEY).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_key {
            return Err(Failure::new(10004, format!("{name}: a Key is 1 to {MAX_FIELD_KEY} letters, digits or _")));
        }
        if value.len() > max_value {
            return Err(Failure::new(10004, format!("{name}: the Value of {key} may have at most {max_value} bytes")));
        }
        fields.insert(key, if value.is_empty() { Value::Null } else { Value::from(value) });
    }
    if fields.len() > MAX_FIELDS {
        return Err(Failure::new(10004, format!("{name} may have at most {MAX_FIELDS} entries")));
    }
    Ok(fields)
}

/// Reads the group's own fields.
pub(super) fn group_fields(body: &mut Fields) -> Result<Map<String, Value>, Failure> {
    app_defined_data(body, "AppDefinedData", MAX_FIELD_VALUE)
}

/// Reads a positive member limit.
pub(super) fn member_limit(body: &mut Fields, name: &str) -> Result<Option<u64>, Failure> {
    match body.integer(name, 10004)? {
        None => Ok(None),
        Some(limit) if limit >= 1 => Ok(Some(limit.unsigned_abs())),
        Some(_) => Err(Failure::new(10004, format!("{name} must be at least 1"))),
    }
}

/// Reads `Type`.
pub(super) fn kind(body: &mut Fields) -> Result<GroupKind, Failure> {
    let name = body.string("Type", 10004)?.ok_or_else(|| missing("Type", 10004))?;
    group_type::parse(&name).ok_or_else(|| Failure::new(10004, format!("the Type {name:?} is unknown")))
}

/// All base fields of a group.
pub(super) fn word(group: &Group, state: ConversationState, sdkappid: u32) -> Map<String, Value> {
    let on_off = if group.rules.muted { "On" } else { "Off" };
    let fields = json!({
        "GroupId": group.id.as_str(),
        "Type": group_type::name(group.kind),
        "Name": group.profile.name,
        "Appid": sdkappid,
        "Introduction": group.profile.introduction,
        "Notification": group.profile.announcement,
        "FaceUrl": group.profile.face_url,
        "Owner_Account": group.owner.as_ref().map(AccountId::as_str).unwrap_or_default(),
        "CreateTime": group.created.seconds(),
        "InfoSeq": group.version,
        "LastInfoTime": group.updated.seconds(),
        "LastMsgTime": state.last_time.seconds(),
        "NextMsgSeq": state.head + 1,
        "MemberNum": group.member_count,
        "MaxMemberNum": group.rules.member_limit,
        "ApplyJoinOption": group_type::joining_name(group.rules.joining),
        "MuteAllMember": on_off,
        // COMPAT: the same under the Chinese site's name.
        "ShutUpAllMember": on_off,
        "SupportTopic": i64::from(group.has_topics),
        "AppDefinedData": key_values(&group.profile.custom_fields),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Named fields as a list of `Key` and `Value`.
pub(super) fn key_values(fields: &Map<String, Value>) -> Vec<Value> {
    fields.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}
