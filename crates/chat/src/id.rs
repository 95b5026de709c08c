//! The ids of the core. Each is its own type, so that a group id cannot be passed where an account id is meant.
//!
//! Ids compare and sort as bytes. What a *legal* new id looks like is a rule of each dialect; the core only bounds the
//! length, so that no id can be used to fill the disk.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// No id of any kind is longer than this many bytes. The longest documented one is Tencent's topic id (96 bytes).
pub const MAX_ID_BYTES: usize = 128;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps text that has been checked by the dialect it came from.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as it goes over the wire.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id! {
    /// An account: Tencent `UserID`, OpenIM `userID`.
    AccountId
}
text_id! {
    /// A group: Tencent `GroupId`, OpenIM `groupID`.
    GroupId
}
text_id! {
    /// A topic of a community. On Tencent's wire it contains its group's id.
    TopicId
}
text_id! {
    /// The sender's own id for a message. OpenIM `clientMsgID`. Where a dialect has none (Tencent numbers its messages,
    /// and carries the numbers), the server's id stands in.
    ClientMessageId
}

/// The server's id for a message: global, and sortable by time.
///
/// 48 bits of milliseconds, then 80 random bits. On both wires it is 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u128);

/// The server's id for an event. A message's event has the message's id.
pub type EventId = MessageId;

impl MessageId {
    /// Builds an id from a time and 80 random bits (the higher bits of `random` are dropped).
    pub fn new(time: Timestamp, random: u128) -> Self {
        let millis = u128::from(time.millis().max(0).unsigned_abs()) & ((1 << 48) - 1);
        Self(millis << 80 | random & ((1 << 80) - 1))
    }

    /// The time that it begins with.
    pub fn time(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> 80) as i64)
    }

    /// 64 of the random bits: what a dialect that numbers messages derives its numbers from.
    pub fn random_bits(self) -> u64 {
        (self.0 & u128::from(u64::MAX)) as u64
    }

    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for MessageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a message id"))
    }
}

/// A moment, in milliseconds since the UNIX epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch: OpenIM's unit.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch: Tencent's unit.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// So much later; at most the last moment that there is.
    pub fn later(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(by)))
    }

    /// So much earlier; at least the first moment that there is.
    pub fn earlier(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(by)))
    }
}

/// Whole milliseconds; those of 292 million years if it is longer.
fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A message's number in its conversation: 1, 2, 3 … without gaps, assigned at commit.
pub type Seq = u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_sort_by_time_and_survive_text() {
        let early = MessageId::new(Timestamp::from_millis(1), u128::MAX);
        let late = MessageId::new(Timestamp::from_millis(2), 0);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(MessageId::parse(&early.to_string()), Some(early));
        assert_eq!(MessageId::parse("+0000000000000000000000000000001"), None);
    }

    #[test]
    fn time_has_an_end_on_both_sides() {
        let at = Timestamp::from_millis;
        let second = Duration::from_secs(1);
        assert_eq!((at(5).later(second), at(5).earlier(second)), (at(1_005), at(-995)));
        assert_eq!((at(5).later(Duration::MAX), at(i64::MAX).later(second)), (at(i64::MAX), at(i64::MAX)));
        assert_eq!((at(-5).earlier(Duration::MAX), at(i64::MIN).earlier(second)), (at(i64::MIN), at(i64::MIN)));
    }
}
