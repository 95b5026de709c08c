//! A message, a group and a message that waits, of which nothing is special: what those of every suite are made of.

use chat::command::{Actor, Origin};
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::group::{Group, GroupKind, GroupProfile, GroupRules, GroupStatus, Joining};
use chat::id::{MessageId, Timestamp};
use chat::message::park::Parked;
use chat::message::{Delivery, Message};
use chat::policy::Exempt;
use chat::question::Otherwise;

pub(crate) fn text(sender: &str, conversation: ConversationId, text: &str) -> Message {
    Message {
        id: MessageId::new(Timestamp::default(), 0),
        conversation,
        group_kind: None,
        seq: 0,
        sender: sender.into(),
        actor: Actor::Account(sender.into()),
        origin: Origin::default(),
        client_id: "client".into(),
        time: Timestamp::default(),
        created: Timestamp::default(),
        sender_name: String::new(),
        sender_face: String::new(),
        elements: vec![Element::text(text)],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
    }
}

pub(crate) fn group(id: &str) -> Group {
    Group {
        id: id.into(),
        kind: GroupKind::Public,
        owner: None,
        creator: None,
        profile: GroupProfile::default(),
        rules: GroupRules {
            joining: Joining::Free,
            muted: false,
            member_limit: 6000,
            hides_members: false,
            forbids_befriending: false,
            approves_invitations: false,
        },
        status: GroupStatus::Open,
        has_topics: false,
        created: Timestamp::default(),
        updated: Timestamp::default(),
        version: 1,
        member_count: 0,
        announced: None,
    }
}

/// It waits for a second from when it was wanted, and is rejected then.
pub(crate) fn parked(message: Message) -> Parked {
    let since = message.time;
    Parked {
        message,
        repeat: None,
        exempt: Exempt::default(),
        reads: false,
        modified: false,
        endpoint: "review".into(),
        since,
        until: Timestamp::from_millis(since.millis() + 1000),
        otherwise: Otherwise::Reject,
        round: 1,
        decision: None,
    }
}
