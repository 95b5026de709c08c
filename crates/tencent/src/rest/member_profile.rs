//! A member on the wire, and the filter that says which of its fields are wanted.

use chat::member::Member;
use serde_json::{Map, Value, json};

use super::group_profile::key_values;
use crate::body::Fields;
use crate::envelope::Failure;
use crate::group_type;

/// A member's fields that are wanted; `Member_Account` always is.
#[derive(Debug)]
pub(super) struct MemberFilter {
    fields: Option<Vec<String>>,
    custom_fields: Option<Vec<String>>,
}

impl MemberFilter {
    /// Reads `MemberInfoFilter` and `AppDefinedDataFilter_GroupMember`.
    pub(super) fn read(body: &mut Fields) -> Result<Self, Failure> {
        Ok(Self {
            fields: body.strings("MemberInfoFilter", 10004)?,
            custom_fields: body.strings("AppDefinedDataFilter_GroupMember", 10004)?,
        })
    }

    /// The member's wanted fields.
    pub(super) fn word(&self, member: &Member) -> Value {
        let muted_until = member.muted_until.seconds();
        let fields = json!({
            "Member_Account": member.account.as_str(),
            "Role": group_type::role_name(member.role),
            "JoinTime": member.joined.seconds(),
            "MsgSeq": member.read_seq,
            "MsgFlag": "AcceptAndNotify",
            "LastSendMsgTime": member.last_sent.seconds(),
            "MuteUntil": muted_until,
            // COMPAT: the same under the Chinese site's name.
            "ShutUpUntil": muted_until,
            "NameCard": member.name_card,
        });
        let Value::Object(mut fields) = fields else { return fields };
        if let Some(wanted) = &self.fields {
            fields.retain(|name, _| name == "Member_Account" || wanted.contains(name));
        }
        fields.insert("AppMemberDefinedData".into(), self.custom(member).into());
        Value::Object(fields)
    }

    fn custom(&self, member: &Member) -> Vec<Value> {
        match &self.custom_fields {
            None => key_values(&member.custom_fields),
            Some(wanted) => {
                let fields: Map<String, Value> =
                    member.custom_fields.clone().into_iter().filter(|(key, _)| wanted.contains(key)).collect();
                key_values(&fields)
            }
        }
    }
}
