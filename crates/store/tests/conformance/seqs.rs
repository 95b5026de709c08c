//! Seqs: `Write::Send` and what `Committed::seqs` says.

use std::collections::HashMap;

use chat::conversation::ConversationId;
use chat::event::Event;
use chat::id::Seq;
use chat::message::Keeping;
use chat::port::{Assertion, CommitError, Write};

use crate::fixtures::{
    all_at_once, changes, direct, for_ever, group_changed, impossible, in_group, in_topic, kept, message, repeatable,
    send, topic,
};
use crate::fresh::Fresh;

cases! {
    the_first_is_one,
    each_conversation_counts_for_itself,
    several_sends_in_one_commit_are_numbered_in_order,
    online_only_messages_have_none_and_leave_no_gap,
    live_messages_are_numbered,
    a_sender_must_exist,
    a_conversation_must_exist,
    many_writers_leave_no_gap,
    many_writers_who_often_fail_leave_no_gap,
}

fn some() -> Vec<ConversationId> {
    vec![direct("a", "b"), direct("a", "a"), in_group("g"), in_topic("g", "t"), in_topic("g", "u"), in_group("h")]
}

async fn has_some(store: &Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a", "b"]).await;
    store.has_group("h", &["a", "b"]).await;
    store.write(["t", "u"].map(|id| Write::AddTopic(Box::new(topic("g", id)))).to_vec()).await;
}

/// Every seq of a conversation is there once, from 1 on, and the log has them in that order.
pub(crate) async fn is_gapless(store: &Fresh, conversation: &ConversationId, count: Seq) {
    let expected: Vec<Seq> = (1..=count).collect();
    let history: Vec<Seq> = store.history(conversation).await.iter().map(|message| message.seq).collect();
    assert_eq!(history, expected, "{conversation:?}");
    let log = store.log_of(conversation).await;
    let log = log.iter().filter_map(|entry| match &entry.event {
        Event::MessageSent(message) => Some(message.seq),
        _ => None,
    });
    assert_eq!(log.collect::<Vec<_>>(), expected, "the log of {conversation:?}");
    assert_eq!(store.conversation(conversation).await.unwrap().head, count);
}

async fn the_first_is_one(store: Fresh) {
    has_some(&store).await;
    for conversation in some() {
        for seq in 1..=3 {
            assert_eq!(store.send(message("a", conversation.clone())).await.seq, seq);
        }
        is_gapless(&store, &conversation, 3).await;
    }
}

async fn each_conversation_counts_for_itself(store: Fresh) {
    has_some(&store).await;
    for seq in 1..=3 {
        for conversation in some() {
            assert_eq!(store.send(message("a", conversation)).await.seq, seq);
        }
    }
}

async fn several_sends_in_one_commit_are_numbered_in_order(store: Fresh) {
    has_some(&store).await;
    let [one, other] = [direct("a", "b"), in_group("g")];
    let sends = [&one, &other, &one, &one].map(|conversation| send(message("a", conversation.clone())));
    let mut writes = sends.to_vec();
    writes.insert(1, Write::Append(Box::new(group_changed("g"))));
    assert_eq!(store.write(writes).await.seqs, [1, 1, 2, 3]);
    is_gapless(&store, &one, 3).await;
    is_gapless(&store, &other, 1).await;
}

async fn online_only_messages_have_none_and_leave_no_gap(store: Fresh) {
    has_some(&store).await;
    for conversation in some() {
        let one = || send(message("a", conversation.clone()));
        let online = || send(kept(Keeping::OnlineOnly, message("a", conversation.clone())));
        assert_eq!(store.write(vec![online()]).await.seqs, [0]);
        assert_eq!(store.write(vec![one(), online(), one()]).await.seqs, [1, 0, 2]);
        assert_eq!(store.write(vec![online(), one()]).await.seqs, [0, 3]);
        let log = store.log_of(&conversation).await;
        let logged = log.iter().map(|entry| match &entry.event {
            Event::MessageSent(message) => message.seq,
            other => panic!("{other:?}"),
        });
        assert_eq!(logged.collect::<Vec<_>>(), [0, 1, 0, 2, 0, 3]);
    }
}

async fn live_messages_are_numbered(store: Fresh) {
    has_some(&store).await;
    let mut sent = Vec::new();
    for seq in 1..=3 {
        sent.push(store.send(kept(Keeping::Live, message("a", in_group("g")))).await);
        assert_eq!(sent.last().unwrap().seq, seq);
    }
    assert_eq!(store.history(&in_group("g")).await, []);
    let log: Vec<Event> = store.log_of(&in_group("g")).await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(log, sent.into_iter().map(Event::MessageSent).collect::<Vec<_>>());
    assert_eq!(store.conversation(&in_group("g")).await.unwrap().head, 3);
}

async fn a_sender_must_exist(store: Fresh) {
    has_some(&store).await;
    for conversation in [in_group("g"), in_topic("g", "t"), direct("nobody", "a"), direct("nobody", "nobody")] {
        let result = store.commit(changes(Vec::new(), vec![send(message("nobody", conversation.clone()))])).await;
        assert!(matches!(result, Err(CommitError::Fault(_))), "{result:?}");
        assert_eq!(store.conversation(&conversation).await.unwrap().head, 0);
    }
    assert_eq!(store.log().await, []);
}

async fn a_conversation_must_exist(store: Fresh) {
    has_some(&store).await;
    let nowhere = [direct("a", "nobody"), in_group("nowhere"), in_topic("g", "nothing"), in_topic("nowhere", "t")];
    for conversation in nowhere {
        let result = store.commit(changes(Vec::new(), vec![send(message("a", conversation))])).await;
        assert!(matches!(result, Err(CommitError::Fault(_))), "{result:?}");
    }
    assert_eq!(store.log().await, []);
}

async fn many_writers_leave_no_gap(store: Fresh) {
    has_some(&store).await;
    const EACH: usize = 20;
    let sent = all_at_once(64, |writer| {
        let store = store.share();
        async move {
            let mut sent = Vec::new();
            for round in 0..EACH {
                let conversation = some().swap_remove((writer + round) % some().len());
                let receipt = store.commit(changes(Vec::new(), vec![send(message("a", conversation.clone()))])).await;
                let seq = receipt.unwrap().seqs[0];
                assert!(store.conversation(&conversation).await.unwrap().head >= seq, "reads see what was answered");
                sent.push((conversation, seq));
            }
            sent
        }
    });
    let mut counts: HashMap<ConversationId, Vec<Seq>> = HashMap::new();
    for (conversation, seq) in sent.await.into_iter().flatten() {
        counts.entry(conversation).or_default().push(seq);
    }
    assert_eq!(counts.len(), some().len());
    for (conversation, mut seqs) in counts {
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=seqs.len() as Seq).collect::<Vec<_>>(), "{conversation:?}");
        is_gapless(&store, &conversation, seqs.len() as Seq).await;
    }
}

/// Three of four fail, each for another reason, after their message was numbered or before.
async fn many_writers_who_often_fail_leave_no_gap(store: Fresh) {
    has_some(&store).await;
    let conversation = in_group("g");
    store.commit(repeatable(message("a", conversation.clone()), for_ever("first"))).await.unwrap();
    let done = all_at_once(64, |writer| {
        let (store, message) = (store.share(), message("a", in_group("g")));
        async move {
            let changes = match writer % 4 {
                0 => changes(Vec::new(), vec![send(message)]),
                1 => changes(vec![Assertion::NoGroup("g".into())], vec![send(message)]),
                2 => repeatable(message, for_ever("first")),
                _ => changes(Vec::new(), vec![send(message), impossible()]),
            };
            let result = store.commit(changes).await;
            assert_eq!(result.is_ok(), writer % 4 == 0, "{result:?}");
            result.is_ok()
        }
    });
    assert_eq!(done.await.into_iter().filter(|done| *done).count(), 16);
    is_gapless(&store, &conversation, 17).await;
}
