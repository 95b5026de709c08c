//! The numbers by which Tencent knows a message: `MsgSeq`, `MsgRandom`, `MsgTime`, and `MsgKey` made of them.

use chat::element::Carried;
use chat::id::Timestamp;
use chat::message::Message;
use serde_json::{Map, Value};

use crate::DIALECT;

/// The numbers of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// One-to-one: chosen by the sender. (A group's `MsgSeq` is the message's seq.)
    pub(crate) seq: u32,
    /// Chosen by the sender; `Random` in group calls.
    pub(crate) random: u32,
    /// Server seconds.
    pub(crate) time: i64,
}

impl Numbers {
    /// The numbers of a message. One that came through another dialect gets them from its id.
    pub(crate) fn of(message: &Message) -> Self {
        let carried = Carried::for_dialect(&message.carried, DIALECT);
        let number = |name: &str| u32::try_from(carried?.get(name)?.as_u64()?).ok();
        let bits = message.id.random_bits();
        Self {
            seq: number("MsgSeq").unwrap_or((bits >> 32) as u32),
            random: number("MsgRandom").unwrap_or(bits as u32),
            time: message.time.seconds(),
        }
    }

    /// Notes the numbers that the sender chose among a message's carried fields.
    pub(crate) fn carry(seq: Option<u32>, random: u32, fields: &mut Map<String, Value>) {
        if let Some(seq) = seq {
            fields.insert("MsgSeq".into(), seq.into());
        }
        fields.insert("MsgRandom".into(), random.into());
    }

    /// `MsgKey`: unique in a conversation.
    pub(crate) fn key(self) -> String {
        format!("{}_{}_{}", self.seq, self.random, self.time)
    }

    /// Reads a `MsgKey`.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let mut parts = key.splitn(3, '_');
        let numbers = Self {
            seq: parts.next()?.parse().ok()?,
            random: parts.next()?.parse().ok()?,
            time: parts.next()?.parse().ok()?,
        };
        Some(numbers)
    }

    /// The first and the last moment of its second.
    pub(crate) fn second(self) -> (Timestamp, Timestamp) {
        let first = self.time.saturating_mul(1000);
        (Timestamp::from_millis(first), Timestamp::from_millis(first.saturating_add(999)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_text() {
        let numbers = Numbers { seq: 48374, random: 2_837_546, time: 1_557_481_126 };
        assert_eq!(numbers.key(), "48374_2837546_1557481126");
        assert_eq!(Numbers::parse(&numbers.key()), Some(numbers));
        assert_eq!(Numbers::parse("1_2"), None);
        assert_eq!(Numbers::parse("1_4294967296_3"), None);
    }
}
