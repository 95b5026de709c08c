//! What may be changed in an answer to a question about groups, members and accounts.

use chat::account::import::NewAccount;
use std::num::NonZeroU64;

use chat::group::update::UpdateGroup;
use chat::id::{AccountId, GroupId, MAX_ID_BYTES, Timestamp};
use chat::member::Role as CoreRole;
use chat::question::account::Registration;
use chat::question::group::{GroupEdit, GroupUpdate};
use chat::question::member::{MemberEdit as CoreMemberEdit, MembersEdit as CoreMembersEdit};
use chat::question::{Edit, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value};
use webhook::codec::Unreadable;

use crate::group::Joining;

/// The ids of accounts, as a schema says it; it counts characters, and [`account_id`] bytes.
#[cfg(test)]
const ACCOUNT_IDS: &str = r"^[^\u0000-\u001f\u007f-\u009f]{1,128}$";
/// The same of groups: [`group_id`].
#[cfg(test)]
const GROUP_IDS: &str = "^[!-~]{1,128}$";

/// What is changed in a group that is to be made; what is left out stays as it is.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GroupCreatingEdit {
    /// Its id: visible ASCII.
    #[cfg_attr(test, schemars(regex(pattern = GROUP_IDS)))]
    id: Option<String>,
    /// Its name.
    name: Option<String>,
    /// What it is about.
    introduction: Option<String>,
    /// Its announcement.
    announcement: Option<String>,
    /// The URL of its avatar.
    face_url: Option<String>,
    /// The app's own data.
    custom_data: Option<String>,
    /// How one joins.
    joining: Option<Joining>,
    /// Whether an ordinary member's invitation needs approval.
    approves_invitations: Option<bool>,
    /// Whether members may not look at each other's profiles.
    hides_members: Option<bool>,
    /// Who does not become a member; the others do. The owner cannot be refused.
    #[cfg_attr(test, schemars(inner(regex(pattern = ACCOUNT_IDS))))]
    refused: Vec<String>,
    /// What is different about some of the others.
    members: Vec<MemberEdit>,
}

/// What is changed about those who are to become members.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MembersAddingEdit {
    /// Who does not become a member; the others do.
    #[cfg_attr(test, schemars(inner(regex(pattern = ACCOUNT_IDS))))]
    refused: Vec<String>,
    /// What is different about some of the others.
    members: Vec<MemberEdit>,
}

/// What is different about a new member; what is left out stays as it is.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct MemberEdit {
    /// Who. One who was not asked about is ignored.
    #[cfg_attr(test, schemars(regex(pattern = ACCOUNT_IDS)))]
    account: String,
    /// As what. Ownership is neither given nor taken.
    #[serde(default)]
    role: Option<NewRole>,
    /// Their name in this group.
    #[serde(default)]
    name_card: Option<String>,
    /// The URL of their avatar in this group.
    #[serde(default)]
    face_url: Option<String>,
    /// Until when they may not send, in milliseconds since 1970.
    #[serde(default)]
    muted_until: Option<i64>,
    /// The app's own data about them.
    #[serde(default)]
    custom_data: Option<String>,
}

/// What a new member may become by an answer.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum NewRole {
    /// An ordinary member.
    Member,
    /// Helps the owner.
    Admin,
}

/// What is changed about a change of a group; what is left out stays as it was asked about.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GroupChangingEdit {
    /// Its name.
    name: Option<String>,
    /// What it is about.
    introduction: Option<String>,
    /// Its announcement.
    announcement: Option<String>,
    /// The URL of its avatar.
    face_url: Option<String>,
    /// The app's own data.
    custom_data: Option<String>,
    /// Named fields to set, in place of all that were asked about; a null removes the field.
    custom_fields: Option<Map<String, Value>>,
    /// How one joins.
    joining: Option<Joining>,
    /// Whether only the owner and admins may send.
    muted: Option<bool>,
    /// Its member limit.
    member_limit: Option<NonZeroU64>,
    /// Whether members may not look at each other's profiles.
    hides_members: Option<bool>,
    /// Whether members may not befriend each other from here.
    forbids_befriending: Option<bool>,
    /// Whether an ordinary member's invitation needs approval.
    approves_invitations: Option<bool>,
}

/// The accounts that are to be made known, in place of those that were asked about: whoever is left out is not.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountsEdit {
    /// The accounts.
    accounts: Vec<AccountEdit>,
}

/// An account that is to be made known.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct AccountEdit {
    /// Its id.
    #[cfg_attr(test, schemars(regex(pattern = ACCOUNT_IDS)))]
    account: String,
    /// Its display name.
    #[serde(default)]
    name: Option<String>,
    /// The URL of its avatar.
    #[serde(default)]
    face_url: Option<String>,
    /// The app's own data.
    #[serde(default)]
    custom_data: Option<String>,
}

impl GroupCreatingEdit {
    pub(crate) fn read(self) -> Result<Verdict, Unreadable> {
        let edit = GroupEdit {
            id: self.id.map(|id| group_id("id", id)).transpose()?,
            name: self.name,
            introduction: self.introduction,
            announcement: self.announcement,
            face_url: self.face_url,
            custom_data: self.custom_data,
            joining: self.joining.map(Into::into),
            approves_invitations: self.approves_invitations,
            hides_members: self.hides_members,
            members: members(self.refused, self.members)?,
        };
        Ok(verdict(edit.into()))
    }
}

impl MembersAddingEdit {
    pub(crate) fn read(self) -> Result<Verdict, Unreadable> {
        Ok(verdict(members(self.refused, self.members)?.into()))
    }
}

impl GroupChangingEdit {
    pub(crate) fn read(self, question: &GroupUpdate) -> Verdict {
        let old = question.update.clone();
        let update = UpdateGroup {
            name: self.name.or(old.name),
            introduction: self.introduction.or(old.introduction),
            announcement: self.announcement.or(old.announcement),
            face_url: self.face_url.or(old.face_url),
            custom_data: self.custom_data.or(old.custom_data),
            custom_fields: self.custom_fields.unwrap_or(old.custom_fields),
            joining: self.joining.map(Into::into).or(old.joining),
            muted: self.muted.or(old.muted),
            member_limit: self.member_limit.map(NonZeroU64::get).or(old.member_limit),
            hides_members: self.hides_members.or(old.hides_members),
            forbids_befriending: self.forbids_befriending.or(old.forbids_befriending),
            approves_invitations: self.approves_invitations.or(old.approves_invitations),
            group: old.group,
            naming: old.naming,
        };
        if update == question.update { Verdict::Allow } else { Verdict::Modify(update.into()) }
    }
}

impl AccountsEdit {
    pub(crate) fn read(self, question: &Registration) -> Result<Verdict, Unreadable> {
        let account = |edit: AccountEdit| {
            let AccountEdit { account, name, face_url, custom_data } = edit;
            Ok(NewAccount { id: account_id("account", account)?, name, face_url, custom_data })
        };
        let accounts: Vec<_> = self.accounts.into_iter().map(account).collect::<Result<_, Unreadable>>()?;
        Ok(if accounts == question.accounts { Verdict::Allow } else { Verdict::Modify(Edit::Accounts(accounts)) })
    }
}

fn verdict(edit: Edit) -> Verdict {
    if edit.is_empty() { Verdict::Allow } else { Verdict::Modify(edit) }
}

fn members(refused: Vec<String>, changed: Vec<MemberEdit>) -> Result<CoreMembersEdit, Unreadable> {
    let refused = refused.into_iter().map(|account| account_id("refused", account));
    let changed = changed.into_iter().map(|edit| {
        let MemberEdit { account, role, name_card, face_url, muted_until, custom_data } = edit;
        let (role, muted_until) = (role.map(CoreRole::from), muted_until.map(Timestamp::from_millis));
        let edit = CoreMemberEdit { role, name_card, face_url, muted_until, custom_data };
        Ok((account_id("account", account)?, edit))
    });
    Ok(CoreMembersEdit {
        refused: refused.collect::<Result<_, _>>()?,
        changed: changed.collect::<Result<_, Unreadable>>()?,
    })
}

/// A group's id, which both vendors' dialects must be able to name: visible ASCII.
fn group_id(field: &str, id: String) -> Result<GroupId, Unreadable> {
    let is_legal = id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_legal && (1..=MAX_ID_BYTES).contains(&id.len()) {
        return Ok(GroupId::new(id));
    }
    Err(Unreadable(format!("{field}: a group's id must have 1 to {MAX_ID_BYTES} visible ASCII characters")))
}

/// An account's id: any text without control characters. A NUL is none that PostgreSQL could keep, and the others look like
/// nothing, or break a log line.
fn account_id(field: &str, id: String) -> Result<AccountId, Unreadable> {
    if !id.contains(char::is_control) && (1..=MAX_ID_BYTES).contains(&id.len()) {
        return Ok(AccountId::new(id));
    }
    let rule = format!("an account's id must have 1 to {MAX_ID_BYTES} bytes, and no control characters");
    Err(Unreadable(format!("{field}: {rule}")))
}

impl From<NewRole> for CoreRole {
    fn from(role: NewRole) -> Self {
        match role {
            NewRole::Member => Self::Member,
            NewRole::Admin => Self::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chat::group::Joining as CoreJoining;
    use chat::member::Role as CoreRole;
    use chat::question::Question;
    use serde_json::json;

    use super::*;
    use crate::{answer, sample};

    fn read(question: &Question, answer: Value) -> Result<Verdict, Unreadable> {
        answer::verdict(question, answer.to_string().as_bytes())
    }

    fn bob_as_admin() -> CoreMembersEdit {
        let edit = CoreMemberEdit {
            role: Some(CoreRole::Admin),
            muted_until: Some(Timestamp::from_millis(7)),
            ..CoreMemberEdit::default()
        };
        CoreMembersEdit { refused: ["carol".into()].into(), changed: BTreeMap::from([("bob".into(), edit)]) }
    }

    #[test]
    fn members_are_refused_and_changed_one_by_one() {
        let [_, create_group, _, add_members, ..] = sample::questions();
        let members = json!([{"account": "bob", "role": "admin", "muted_until": 7}]);
        let answer = json!({"verdict": "modify", "refused": ["carol"], "members": members});
        assert_eq!(read(&add_members, answer), Ok(Verdict::Modify(bob_as_admin().into())));
        let answer = json!({
            "verdict": "modify", "id": "g2", "joining": "closed", "refused": ["carol"], "members": members,
        });
        let edit = GroupEdit {
            id: Some("g2".into()),
            joining: Some(CoreJoining::Closed),
            members: bob_as_admin(),
            ..GroupEdit::default()
        };
        assert_eq!(read(&create_group, answer), Ok(Verdict::Modify(edit.into())));
        for question in [&create_group, &add_members] {
            assert_eq!(read(question, json!({"verdict": "modify"})), Ok(Verdict::Allow));
            for wrong in [json!(""), json!("x".repeat(MAX_ID_BYTES + 1)), json!("a\0b"), json!("a\u{85}")] {
                assert!(read(question, json!({"verdict": "modify", "refused": [wrong]})).is_err());
                assert!(read(question, json!({"verdict": "modify", "members": [{"account": wrong}]})).is_err());
            }
        }
        for wrong in ["", "a\0b", "a b", "клуб", &"x".repeat(MAX_ID_BYTES + 1)] {
            assert!(read(&create_group, json!({"verdict": "modify", "id": wrong})).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_change_stays_as_it_was_but_for_what_is_named() {
        let [.., question, _, _] = sample::questions();
        let Question::BeforeUpdateGroup(asked) = &question else { panic!("{question:?}") };
        let answer = json!({"verdict": "modify", "name": "C.", "muted": false, "custom_fields": {}});
        let update = UpdateGroup {
            name: Some("C.".into()),
            muted: Some(false),
            custom_fields: Map::new(),
            ..asked.update.clone()
        };
        assert_eq!(read(&question, answer), Ok(Verdict::Modify(update.into())));
        let same = json!({"verdict": "modify", "name": "Climbers!", "muted": true});
        assert_eq!(read(&question, same), Ok(Verdict::Allow));
    }

    #[test]
    fn accounts_are_replaced_as_a_whole() {
        let [.., question] = sample::questions();
        let answer = json!({"verdict": "modify", "accounts": [{"account": "dave"}]});
        let only_dave = Edit::Accounts(vec![NewAccount::bare("dave".into())]);
        assert_eq!(read(&question, answer), Ok(Verdict::Modify(only_dave)));
        let nobody = json!({"verdict": "modify", "accounts": []});
        assert_eq!(read(&question, nobody), Ok(Verdict::Modify(Edit::Accounts(Vec::new()))));
        assert!(read(&question, json!({"verdict": "modify"})).is_err(), "the list must be there");
        for wrong in ["", "a\0b", "a\nb"] {
            let answer = json!({"verdict": "modify", "accounts": [{"account": wrong}]});
            assert!(read(&question, answer).is_err(), "{wrong:?}");
        }
    }
}
