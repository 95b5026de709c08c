//! A message on the wire.

use std::net::IpAddr;

use chat::conversation::ConversationId;
use chat::element::Carried as CoreCarried;
use chat::group::GroupKind;
use chat::id::{AccountId, MAX_ID_BYTES};
use chat::message::{Delivery as CoreDelivery, Keeping as CoreKeeping, Mention as CoreMention, Message as CoreMessage};
use chat::{Actor as CoreActor, Origin as CoreOrigin, Platform as CorePlatform};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::element::{Carried, Element};

/// A message.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Message<'a> {
    /// The server's id: 32 hex digits that sort by time.
    id: String,
    /// Where it is.
    conversation: Conversation<'a>,
    /// Its number in the conversation: 1, 2, 3 … without gaps. Left out in questions, and where a message has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// Whom it is from.
    sender: &'a str,
    /// The sender's display name at that time.
    #[serde(skip_serializing_if = "str::is_empty")]
    sender_name: &'a str,
    /// The URL of the sender's avatar at that time.
    #[serde(skip_serializing_if = "str::is_empty")]
    sender_face: &'a str,
    /// Whom it is to, if it is one-to-one.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    /// On whose authority it was sent.
    actor: Actor<'a>,
    /// Where it was sent from.
    origin: Origin<'a>,
    /// The sender's own id of it; the server's, if the sender gave none.
    client_id: &'a str,
    /// When the server accepted it, in milliseconds since 1970.
    time: i64,
    /// When the sender made it by the sender's clock, in milliseconds since 1970; `time`, if unknown.
    created: i64,
    /// The content: at least one.
    elements: Vec<Element>,
    /// The app's own data beside the content. Tencent `CloudCustomData`, OpenIM `ex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_data: Option<&'a str>,
    /// Who is called by name in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<Mention>,
    /// How it is delivered; left out if nothing is special about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery<'a>>,
    /// What its dialect said beyond that.
    #[serde(skip_serializing_if = "Option::is_none")]
    carried: Option<Carried>,
}

/// An ordered thread of messages.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Conversation<'a> {
    /// Between two accounts.
    Direct {
        /// The two, in the order of their bytes; twice the same in a conversation with oneself.
        accounts: [&'a str; 2],
    },
    /// A group's.
    Group {
        /// The group's id.
        group: &'a str,
        /// The group's kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        group_kind: Option<Kind>,
    },
    /// A topic's, in a community.
    Topic {
        /// The group's id.
        group: &'a str,
        /// The group's kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        group_kind: Option<Kind>,
        /// The topic's id.
        topic: &'a str,
    },
}

/// The kind of a group.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A closed circle: members invite.
    Work,
    /// Joined by application.
    Public,
    /// Joined freely.
    Meeting,
    /// A live room: without history or stored members.
    Live,
    /// Very large, with topics.
    Community,
}

/// On whose authority something is done.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Actor<'a> {
    /// The app itself.
    App {
        /// The admin that it acted as.
        account: &'a str,
    },
    /// A signed-in account.
    Account {
        /// Which.
        account: &'a str,
    },
    /// The server itself.
    System,
}

/// Where something came from.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Origin<'a> {
    /// The class of client.
    platform: Platform,
    /// The address of whoever called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    ip: Option<IpAddr>,
    /// The caller's own id of the request. OpenIM `operationID`.
    #[serde(skip_serializing_if = "str::is_empty")]
    operation: &'a str,
}

/// The class of a client.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Platform {
    /// A backend, over a REST API.
    Rest,
    /// iPhone.
    Ios,
    /// Android phone.
    Android,
    /// Windows.
    Windows,
    /// macOS.
    MacOs,
    /// Browser.
    Web,
    /// Mini program inside another app.
    MiniWeb,
    /// Linux.
    Linux,
    /// Android tablet.
    AndroidPad,
    /// iPad.
    #[serde(rename = "ipad")]
    IPad,
    /// HarmonyOS.
    Harmony,
}

/// Somebody called by name.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Mention {
    /// Everybody in the group.
    All {},
    /// One account.
    Account {
        /// Which.
        account: String,
    },
}

/// How a message is delivered. What is left out is as usual: `stored`, false, everybody.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Delivery<'a> {
    /// Whether it is kept.
    keeping: Keeping,
    /// Does not count as unread.
    #[serde(skip_serializing_if = "is_false")]
    no_unread: bool,
    /// Does not become the conversation's last message in lists.
    #[serde(skip_serializing_if = "is_false")]
    no_last_message: bool,
    /// The sender's own devices and history do not get it.
    #[serde(skip_serializing_if = "is_false")]
    not_to_sender: bool,
    /// No vendor push.
    #[serde(skip_serializing_if = "is_false")]
    no_push: bool,
    /// No backend is told of it.
    #[serde(skip_serializing_if = "is_false")]
    no_after_callback: bool,
    /// Only these members of the group get it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    only_to: Vec<&'a str>,
}

/// Whether a message is kept.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
enum Keeping {
    /// In the history, with a seq.
    Stored,
    /// For whoever is online; no seq, no history.
    OnlineOnly,
    /// In a live room: numbered, but not in the history.
    Live,
}

/// A message as it stands in calls.
pub fn shown(message: &CoreMessage) -> Value {
    // Strings, numbers and JSON values always serialise.
    serde_json::to_value(Message::from(message)).unwrap_or_default()
}

impl<'a> From<&'a CoreMessage> for Message<'a> {
    fn from(message: &'a CoreMessage) -> Self {
        Self {
            id: message.id.to_string(),
            conversation: Conversation::of(&message.conversation, message.group_kind),
            seq: (message.seq > 0).then_some(message.seq),
            sender: message.sender.as_str(),
            sender_name: &message.sender_name,
            sender_face: &message.sender_face,
            recipient: message.recipient().map(AccountId::as_str),
            actor: Actor::from(&message.actor),
            origin: Origin::from(&message.origin),
            client_id: message.client_id.as_str(),
            time: message.time.millis(),
            created: message.created.millis(),
            elements: message.elements.iter().map(Element::from).collect(),
            custom_data: message.custom_data.as_deref(),
            mentions: message.mentions.iter().map(Mention::from).collect(),
            delivery: Delivery::of(&message.delivery),
            carried: message.carried.as_ref().map(|carried: &CoreCarried| carried.into()),
        }
    }
}

impl<'a> Conversation<'a> {
    fn of(id: &'a ConversationId, group_kind: Option<GroupKind>) -> Self {
        let group_kind = group_kind.map(Kind::from);
        match id {
            ConversationId::Direct(one, other) => Self::Direct { accounts: [one.as_str(), other.as_str()] },
            ConversationId::Group(group) => Self::Group { group: group.as_str(), group_kind },
            ConversationId::Topic(group, topic) => {
                Self::Topic { group: group.as_str(), group_kind, topic: topic.as_str() }
            }
        }
    }
}

impl Kind {
    /// As it stands in a call.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Public => "public",
            Self::Meeting => "meeting",
            Self::Live => "live",
            Self::Community => "community",
        }
    }
}

impl From<GroupKind> for Kind {
    fn from(kind: GroupKind) -> Self {
        match kind {
            GroupKind::Work => Self::Work,
            GroupKind::Public => Self::Public,
            GroupKind::Meeting => Self::Meeting,
            GroupKind::Live => Self::Live,
            GroupKind::Community => Self::Community,
        }
    }
}

impl<'a> From<&'a CoreActor> for Actor<'a> {
    fn from(actor: &'a CoreActor) -> Self {
        match actor {
            CoreActor::App(account) => Self::App { account: account.as_str() },
            CoreActor::Account(account) => Self::Account { account: account.as_str() },
            CoreActor::System => Self::System,
        }
    }
}

impl<'a> From<&'a CoreOrigin> for Origin<'a> {
    fn from(origin: &'a CoreOrigin) -> Self {
        let platform = match origin.platform {
            CorePlatform::Rest => Platform::Rest,
            CorePlatform::Ios => Platform::Ios,
            CorePlatform::Android => Platform::Android,
            CorePlatform::Windows => Platform::Windows,
            CorePlatform::MacOs => Platform::MacOs,
            CorePlatform::Web => Platform::Web,
            CorePlatform::MiniWeb => Platform::MiniWeb,
            CorePlatform::Linux => Platform::Linux,
            CorePlatform::AndroidPad => Platform::AndroidPad,
            CorePlatform::IPad => Platform::IPad,
            CorePlatform::Harmony => Platform::Harmony,
        };
        Self { platform, ip: origin.ip, operation: &origin.operation }
    }
}

impl From<&CoreMention> for Mention {
    fn from(mention: &CoreMention) -> Self {
        match mention {
            CoreMention::All => Self::All {},
            CoreMention::Account(account) => Self::Account { account: account.to_string() },
        }
    }
}

impl Mention {
    /// As the core has it; the words say what is wrong.
    pub(crate) fn read(self) -> Result<CoreMention, String> {
        match self {
            Self::All {} => Ok(CoreMention::All),
            Self::Account { account } if (1..=MAX_ID_BYTES).contains(&account.len()) => {
                Ok(CoreMention::Account(AccountId::new(account)))
            }
            Self::Account { .. } => Err(format!("the account of a mention must have 1 to {MAX_ID_BYTES} bytes")),
        }
    }
}

impl<'a> Delivery<'a> {
    fn of(delivery: &'a CoreDelivery) -> Option<Self> {
        if *delivery == CoreDelivery::default() {
            return None;
        }
        let CoreDelivery { keeping, no_unread, no_last_message, not_to_sender, no_push, no_after_callback, only_to } =
            delivery;
        let keeping = match keeping {
            CoreKeeping::Stored => Keeping::Stored,
            CoreKeeping::OnlineOnly => Keeping::OnlineOnly,
            CoreKeeping::Live => Keeping::Live,
        };
        Some(Self {
            keeping,
            no_unread: *no_unread,
            no_last_message: *no_last_message,
            not_to_sender: *not_to_sender,
            no_push: *no_push,
            no_after_callback: *no_after_callback,
            only_to: only_to.iter().map(AccountId::as_str).collect(),
        })
    }
}

/// For `skip_serializing_if`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
