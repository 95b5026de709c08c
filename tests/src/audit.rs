//! What was promised to [`crate::traffic`], compared with what is stored and with what the backend was told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::openim::content_of;
use crate::tencent::text_of;
use crate::traffic::{Ack, Dialect, GROUPS, PAIRS, direct_conversation, group_conversation};
use crate::{Call, OpenIm, Receiver, Tencent};

/// All that is stored, as OpenIM shows it: without gaps, and nothing twice.
#[derive(Debug)]
pub struct Stored {
    /// The words of each conversation, in its order.
    order: BTreeMap<String, Vec<String>>,
    /// Each message by its words, with its conversation.
    messages: BTreeMap<String, (String, Value)>,
}

impl Stored {
    pub async fn read(openim: &OpenIm) -> Self {
        let mut order: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut stored = BTreeMap::new();
        let groups = GROUPS.iter().map(|group| ("alice", group_conversation(group)));
        let pairs = PAIRS.iter().map(|(one, other)| (*one, direct_conversation(one, other)));
        for (user, conversation) in groups.chain(pairs) {
            let messages = openim.pull(user, &conversation).await;
            let seqs: Vec<_> = messages.iter().map(|message| message["seq"].as_i64().expect("seq")).collect();
            assert_eq!(seqs, (1..=messages.len() as i64).collect::<Vec<_>>(), "{conversation} has a gap");
            for message in messages {
                let words = message["content"]["content"].as_str().expect("a text").to_owned();
                order.entry(conversation.clone()).or_default().push(words.clone());
                let twice = stored.insert(words, (conversation.clone(), message));
                assert!(twice.is_none(), "stored twice: {twice:?}");
            }
        }
        Self { order, messages: stored }
    }

    pub fn count(&self) -> usize {
        self.messages.len()
    }

    /// How many messages each conversation has, if any; ascending.
    pub fn lengths(&self) -> Vec<usize> {
        let mut lengths: Vec<_> = self.order.values().map(Vec::len).collect();
        lengths.sort_unstable();
        lengths
    }

    /// Exactly what was acked is stored, as it was acked.
    pub fn is_exactly(&self, acked: &BTreeMap<String, Ack>) {
        for (words, ack) in acked {
            let (conversation, message) =
                self.messages.get(words).unwrap_or_else(|| panic!("{words} was acked and is lost: {ack:?}"));
            assert_eq!(*conversation, ack.conversation, "{words}");
            for (promised, kept) in [
                ("serverMsgID", &message["serverMsgID"]),
                ("sendTime", &message["sendTime"]),
                ("MsgSeq", &message["seq"]),
            ] {
                assert!(
                    ack.answer["data"].get(promised).or(ack.answer.get(promised)).is_none_or(|value| value == kept),
                    "{words}: {ack:?} but {message}"
                );
            }
        }
        assert_eq!(self.count(), acked.len(), "something is stored that nobody was told of");
    }

    /// Tencent shows the same, under the keys that it promised.
    pub async fn is_shown_by(&self, tencent: &Tencent, acked: &BTreeMap<String, Ack>) {
        for group in GROUPS {
            let shown = tencent.group_history(group).await;
            let words: Vec<_> = shown.iter().map(text_of).collect();
            assert_eq!(words, self.words(&group_conversation(group)), "{group}");
        }
        for (one, other) in PAIRS {
            let conversation = direct_conversation(one, other);
            let shown = tencent.history(one, other).await;
            for message in &shown {
                let promised = &acked[&text_of(message)].answer["MsgKey"];
                assert!(promised.is_null() || *promised == message["MsgKey"], "{promised} became {message}");
            }
            let words: BTreeSet<_> = shown.iter().map(text_of).collect();
            assert_eq!(words, self.words(&conversation).iter().cloned().collect(), "{conversation}");
            assert_eq!(words.len(), shown.len(), "{conversation}");
        }
    }

    /// Every message reaches both endpoints, first arrivals are in the order of the conversation, and nothing else is
    /// told. Gives the calls up to the last that had to come, and how many of them told something again; more may come.
    pub async fn is_told_to(&self, backend: &Receiver) -> (Vec<Call>, usize) {
        let mut read = 0;
        let mut arrived: BTreeMap<(bool, String), Vec<String>> = BTreeMap::new();
        let mut firsts = BTreeSet::new();
        let expected = 2 * self.count();
        backend
            .watch("every message at both endpoints", |calls| {
                for call in &calls[read..] {
                    let (dialect, conversation, words, seq) = heard(call);
                    if let (Some(seq), Some((_, message))) = (seq, self.messages.get(&words)) {
                        assert_eq!(message["seq"], seq, "{words} was told with another seq");
                    }
                    let is_tencent = dialect == Dialect::Tencent;
                    if firsts.insert((is_tencent, words.clone())) {
                        arrived.entry((is_tencent, conversation)).or_default().push(words);
                    }
                }
                read = calls.len();
                firsts.len() >= expected
            })
            .await;
        for ((is_tencent, conversation), words) in &arrived {
            assert_eq!(
                words,
                self.words(conversation),
                "{conversation} arrived in another order (Tencent's endpoint: {is_tencent})"
            );
        }
        assert_eq!(firsts.len(), expected, "something was told that is not stored");
        let mut calls = backend.calls();
        calls.truncate(read);
        (calls, read - expected)
    }

    fn words(&self, conversation: &str) -> &[String] {
        self.order.get(conversation).map_or(&[], Vec::as_slice)
    }
}

/// What an endpoint heard: in which conversation, which words, under which seq (where its dialect tells).
fn heard(call: &Call) -> (Dialect, String, String, Option<i64>) {
    let body = &call.body;
    let name = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}"));
    let openim = || content_of(body)["content"].as_str().expect("a text").to_owned();
    match call.command.as_str() {
        "C2C.CallbackAfterSendMsg" => {
            (Dialect::Tencent, direct_conversation(name("From_Account"), name("To_Account")), text_of(body), None)
        }
        "Group.CallbackAfterSendMsg" => {
            (Dialect::Tencent, group_conversation(name("GroupId")), text_of(body), body["MsgSeq"].as_i64())
        }
        "callbackAfterSendSingleMsgCommand" => {
            (Dialect::OpenIm, direct_conversation(name("sendID"), name("recvID")), openim(), body["seq"].as_i64())
        }
        "callbackAfterSendGroupMsgCommand" => {
            (Dialect::OpenIm, group_conversation(name("groupID")), openim(), body["seq"].as_i64())
        }
        other => panic!("nobody asked for {other}"),
    }
}
