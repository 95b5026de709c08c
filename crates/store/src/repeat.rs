//! Repeats: how a message that is sent again is recognised.

use chat::conversation::ConversationId;
use chat::id::Timestamp;
use chat::message::{Message, RepeatKey};
use sha2::{Digest, Sha256};

/// What a repeat of a message would be found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeat {
    /// What stands in the `repeat` column of the log.
    pub(crate) hash: i64,
    /// The earliest time of a message that this one may repeat, in ms.
    pub(crate) earliest: i64,
}

/// What `message` repeats, if there is a message of this key.
pub(crate) fn of(message: &Message, key: &RepeatKey) -> Repeat {
    within(&message.conversation, message.sender.as_str(), key, message.time)
}

/// What a message of `sender` with this key would repeat at `now`.
pub(crate) fn within(conversation: &ConversationId, sender: &str, key: &RepeatKey, now: Timestamp) -> Repeat {
    let earliest = key.window_millis.map_or(i64::MIN, |window| now.millis().saturating_sub(window));
    Repeat { hash: hash(conversation, sender, &key.key), earliest }
}

/// What a message of `sender` with this key would repeat, however long ago that was.
pub(crate) fn of_any_time(conversation: &ConversationId, sender: &str, key: &RepeatKey) -> Repeat {
    Repeat { hash: hash(conversation, sender, &key.key), earliest: i64::MIN }
}

/// 64 bits of SHA-256 over conversation, sender and key: two different keys of one conversation meet by chance once in
/// 10¹⁹ pairs. The conversation is part of it because a store may keep conversations in different places; what is sent to
/// somebody else is no repeat.
fn hash(conversation: &ConversationId, sender: &str, key: &str) -> i64 {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        // Lengths first, so that parts do not run into each other.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    match conversation {
        ConversationId::Direct(a, b) => [a.as_str(), b.as_str(), "direct"].map(&mut part),
        ConversationId::Group(group) => [group.as_str(), "", "group"].map(&mut part),
        ConversationId::Topic(group, topic) => [group.as_str(), topic.as_str(), "topic"].map(&mut part),
    };
    [sender, key].into_iter().for_each(part);
    let bytes = hash.finalize();
    i64::from_be_bytes(bytes[..8].try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(a: &str, b: &str) -> ConversationId {
        ConversationId::direct(a.into(), b.into())
    }

    /// It is stored: a change would make every message before an upgrade unknown to the retries after it.
    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash(&direct("", ""), "", ""), -3_366_055_362_573_817_471);
        assert_eq!(hash(&direct("alice", "bob"), "alice", "1_2"), 7_904_205_564_483_766_620);
        assert_eq!(hash(&ConversationId::Group("g".into()), "alice", "1_2"), -884_743_245_848_738_515);
        assert_eq!(hash(&ConversationId::Topic("g".into(), "t".into()), "alice", "1_2"), 3_996_187_013_774_872_707);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash(&direct("a", "b"), "ab", "c"), hash(&direct("a", "b"), "a", "bc"));
        assert_ne!(hash(&direct("a", "b"), "a", ""), hash(&direct("a", "b"), "", "a"));
        assert_ne!(hash(&direct("a", "b"), "a", "k"), hash(&direct("a", "c"), "a", "k"));
        assert_ne!(hash(&direct("g", ""), "a", "k"), hash(&ConversationId::Group("g".into()), "a", "k"));
    }

    #[test]
    fn a_window_ends_where_time_does() {
        let key = |window_millis| RepeatKey { key: "k".into(), window_millis };
        let earliest = |window, now| within(&direct("a", "b"), "a", &key(window), Timestamp::from_millis(now)).earliest;
        assert_eq!(earliest(None, 5), i64::MIN);
        assert_eq!(earliest(Some(10), 5), -5);
        assert_eq!(earliest(Some(i64::MAX), -5), i64::MIN);
    }
}
