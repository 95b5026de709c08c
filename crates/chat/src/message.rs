//! Messages: an envelope and a list of elements.

pub mod find_parked;
pub mod history;
pub mod inbox;
pub mod park;
pub mod release;
mod scene;
pub mod send;
pub mod settle;
pub mod unread;

use serde::{Deserialize, Serialize};

use crate::command::{Actor, Origin};
use crate::conversation::ConversationId;
use crate::element::{Carried, Element};
use crate::group::GroupKind;
use crate::id::{AccountId, ClientMessageId, MessageId, Seq, Timestamp};

/// A message as it is stored, delivered and called back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The server's id.
    pub id: MessageId,
    /// The thread.
    pub conversation: ConversationId,
    /// The kind of its group, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_kind: Option<GroupKind>,
    /// Its number in the thread; 0 until it is committed, and for ever if it is online-only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub seq: Seq,
    /// Whom it is from, as shown.
    pub sender: AccountId,
    /// On whose authority it was sent.
    pub actor: Actor,
    /// Where it was sent from.
    pub origin: Origin,
    /// The sender's own id of it.
    pub client_id: ClientMessageId,
    /// When the server accepted it.
    pub time: Timestamp,
    /// When the sender made it, by the sender's clock; `time` if unknown.
    pub created: Timestamp,
    /// The sender's display name at that time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sender_name: String,
    /// The sender's avatar at that time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sender_face: String,
    /// The content.
    pub elements: Vec<Element>,
    /// The app's own data beside the content. Tencent `CloudCustomData`, OpenIM `ex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_data: Option<String>,
    /// Who is called by name in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// How it is delivered.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delivery: Delivery,
    /// What its own dialect said beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
}

/// Somebody called by name in a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mention {
    /// Everybody in the group.
    All,
    /// One account.
    Account(AccountId),
}

/// How a message is delivered. The default is an ordinary message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// Whether it is kept.
    #[serde(skip_serializing_if = "is_default")]
    pub keeping: Keeping,
    /// Does not count as unread.
    #[serde(skip_serializing_if = "is_default")]
    pub no_unread: bool,
    /// Does not become the conversation's last message in lists.
    #[serde(skip_serializing_if = "is_default")]
    pub no_last_message: bool,
    /// The sender's own devices and history do not get it.
    #[serde(skip_serializing_if = "is_default")]
    pub not_to_sender: bool,
    /// No vendor push.
    #[serde(skip_serializing_if = "is_default")]
    pub no_push: bool,
    /// No after-callback.
    #[serde(skip_serializing_if = "is_default")]
    pub no_after_callback: bool,
    /// Only these members of the group get it; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_to: Vec<AccountId>,
}

/// Whether a message is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// In the history, with a seq.
    #[default]
    Stored,
    /// For whoever is online; no seq, no history.
    OnlineOnly,
    /// In a live room: numbered, but not in the history.
    Live,
}

/// What recognises a retried send: the conversation, the sender and this key, within the window.
///
/// The key is the dialect's (`DESIGN`, 'Settled questions'): it names everything that must be equal for two sends to be
/// the same message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatKey {
    /// Everything that must be equal, beside the conversation and the sender.
    pub key: String,
    /// For how many milliseconds; `None`: for ever.
    pub window_millis: Option<i64>,
}

impl Message {
    /// Whether it is one-to-one.
    pub fn is_direct(&self) -> bool {
        matches!(self.conversation, ConversationId::Direct(..))
    }

    /// Whether `account` gets to see it.
    pub fn is_visible_to(&self, account: &AccountId) -> bool {
        let is_sender = self.sender == *account;
        if is_sender {
            return !self.delivery.not_to_sender;
        }
        self.delivery.only_to.is_empty() || self.delivery.only_to.contains(account)
    }

    /// The other party, if it is one-to-one. A message to oneself has oneself as recipient.
    pub fn recipient(&self) -> Option<&AccountId> {
        self.conversation.peer_of(&self.sender)
    }
}

/// For `skip_serializing_if`: stored messages leave out what is as usual.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(any(test, feature = "samples"))]
impl Message {
    /// A text from `sender` that nothing is special about.
    pub fn sample(sender: &str, conversation: ConversationId) -> Self {
        let time = Timestamp::from_millis(1_700_000_000_000);
        Self {
            id: MessageId::new(time, 1),
            conversation,
            group_kind: None,
            seq: 0,
            sender: sender.into(),
            actor: Actor::Account(sender.into()),
            origin: Origin::default(),
            client_id: "client".into(),
            time,
            created: time,
            sender_name: String::new(),
            sender_face: String::new(),
            elements: vec![Element::text("text")],
            custom_data: None,
            mentions: Vec::new(),
            delivery: Delivery::default(),
            carried: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(one: &str, other: &str) -> ConversationId {
        ConversationId::direct(one.into(), other.into())
    }

    #[test]
    fn the_recipient_is_the_other_party() {
        assert_eq!(Message::sample("a", direct("a", "b")).recipient(), Some(&"b".into()));
        assert_eq!(Message::sample("b", direct("a", "b")).recipient(), Some(&"a".into()));
        assert_eq!(Message::sample("a", direct("a", "a")).recipient(), Some(&"a".into()));
        assert_eq!(Message::sample("a", ConversationId::Group("g".into())).recipient(), None);
    }

    #[test]
    fn an_ordinary_message_is_stored_without_what_is_as_usual() {
        let message = Message::sample("a", direct("a", "b"));
        let stored = serde_json::to_value(&message).unwrap();
        let mut keys: Vec<&str> = stored.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let needed = ["actor", "client_id", "conversation", "created", "elements", "id", "origin", "sender", "time"];
        assert_eq!(keys, needed);
        assert_eq!(serde_json::from_value::<Message>(stored).unwrap(), message);
    }

    #[test]
    fn who_sees_a_message() {
        let message = Message::sample("a", ConversationId::Group("g".into()));
        let delivered = |delivery| Message { delivery, ..message.clone() };
        let to_some = delivered(Delivery { only_to: vec!["b".into()], ..Delivery::default() });
        let not_back = delivered(Delivery { not_to_sender: true, ..Delivery::default() });
        for (message, viewers) in
            [(message, ["a", "b", "c"].as_slice()), (to_some, &["a", "b"]), (not_back, &["b", "c"])]
        {
            let seen: Vec<&str> =
                ["a", "b", "c"].into_iter().filter(|id| message.is_visible_to(&(*id).into())).collect();
            assert_eq!(seen, viewers);
        }
    }
}
