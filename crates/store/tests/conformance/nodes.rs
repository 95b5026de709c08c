//! Two nodes that have the same store open at the same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat::conversation::ConversationId;
use chat::event::{Event, Position, Shard};
use chat::group::Group;
use chat::id::{EventId, Seq};
use chat::message::Message;
use chat::port::{Assertion, CommitError, Write};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::fixtures::{
    all_at_once, at, changes, direct, everyone, for_ever, group, group_changed, ids, import, in_group, in_topic,
    members, message, not_sent, put, repeatable, send, topic,
};
use crate::fresh::{Fresh, StoreAndLedger};
use crate::ledger::Cursors;
use crate::seqs::is_gapless;

cases! {
    each_sees_what_the_other_has_committed,
    what_did_not_exist_a_moment_ago_does,
    commits_interleave_without_a_gap,
    the_same_message_at_both_is_sent_once,
    a_retry_at_the_other_is_a_repeat,
    of_many_changes_of_one_version_one_succeeds_whoever_makes_it,
    a_group_does_not_get_fuller_than_it_may,
    commits_of_many_conversations_are_exact,
    what_is_unread_is_counted_exactly_at_each_moment,
    the_farthest_cursor_stays,
    a_reader_who_follows_the_head_of_the_other_misses_nothing,
    a_reader_sees_no_hole_at_any_moment,
    one_ends_while_the_other_goes_on,
}

/// Longer than it takes a node to notice what the other one has committed.
const NOTICED: Duration = Duration::from_secs(20);

async fn two(store: Fresh) -> [Fresh; 2] {
    let second = store.second_node().await;
    [store, second]
}

fn conversations() -> Vec<ConversationId> {
    vec![direct("a", "b"), direct("a", "a"), in_group("g"), in_group("h"), in_topic("g", "t")]
}

async fn has_some(store: &Fresh) {
    store.has(&["a", "b", "c"]).await;
    store.has_group("g", &["a", "b"]).await;
    store.has_group("h", &["a"]).await;
    store.write(vec![Write::AddTopic(Box::new(topic("g", "t")))]).await;
}

async fn each_sees_what_the_other_has_committed(store: Fresh) {
    let nodes = two(store).await;
    has_some(&nodes[0]).await;
    for round in 0..10_u64 {
        let (here, there) = (&nodes[round as usize % 2], &nodes[(round as usize + 1) % 2]);
        for conversation in conversations() {
            let sent = here.send(message("a", conversation.clone())).await;
            assert_eq!(sent.seq, round + 1);
            assert_eq!(there.conversation(&conversation).await.unwrap().head, sent.seq);
            assert_eq!(there.history(&conversation).await.last(), Some(&sent));
        }
        assert_eq!(here.picture_without_heads().await, there.picture_without_heads().await);
    }
}

/// What a node has looked up, it may remember only as long as it stays true.
async fn what_did_not_exist_a_moment_ago_does(store: Fresh) {
    let [one, other] = two(store).await;
    let does_not_exist = async |node: &Fresh, sender: &str, conversation: ConversationId| {
        let result = node.commit(changes(Vec::new(), vec![send(message(sender, conversation))])).await;
        assert!(matches!(result, Err(CommitError::Fault(_))), "{result:?}");
    };
    does_not_exist(&one, "a", direct("a", "b")).await;
    other.has(&["a", "b"]).await;
    assert_eq!(one.send(message("a", direct("a", "b"))).await.seq, 1);
    does_not_exist(&other, "a", in_group("g")).await;
    one.has_group("g", &["a"]).await;
    assert_eq!(other.send(message("a", in_group("g"))).await.seq, 1);
    does_not_exist(&one, "a", in_topic("g", "t")).await;
    other.write(vec![Write::AddTopic(Box::new(topic("g", "t")))]).await;
    assert_eq!(one.send(message("a", in_topic("g", "t"))).await.seq, 1);

    assert!(!other.holds(Assertion::IsMember("g".into(), "b".into())).await);
    assert_eq!(one.write(vec![Write::AddMembers("g".into(), members(&["b"]))]).await.added, ids(&["b"]));
    assert!(other.holds(Assertion::IsMember("g".into(), "b".into())).await);
    assert_eq!(other.write(vec![Write::AddMembers("g".into(), members(&["a", "b"]))]).await.added, []);
    assert!(one.holds(Assertion::NotBlocked("a".into(), "b".into())).await);
    other.write(vec![Write::AddBlocks { owner: "a".into(), targets: ids(&["b"]), now: at(0) }]).await;
    assert!(!one.holds(Assertion::NotBlocked("a".into(), "b".into())).await);
    assert_eq!(one.members(&"g".into(), everyone()).await.unwrap().len(), 2);
    assert_eq!(other.groups(&["g".into()]).await.unwrap()[0].member_count, 2);
}

async fn commits_interleave_without_a_gap(store: Fresh) {
    const EACH: usize = 10;
    let nodes = two(store).await;
    has_some(&nodes[0]).await;
    let sent = all_at_once(32, |writer| {
        let store = nodes[writer % 2].share();
        async move {
            let mut sent = Vec::new();
            for round in 0..EACH {
                let conversation = conversations().swap_remove((writer + round) % conversations().len());
                let receipt = store.commit(changes(Vec::new(), vec![send(message("a", conversation.clone()))])).await;
                sent.push((conversation, receipt.unwrap().seqs[0]));
            }
            sent
        }
    });
    let mut seqs: HashMap<ConversationId, Vec<Seq>> = HashMap::new();
    for (conversation, seq) in sent.await.into_iter().flatten() {
        seqs.entry(conversation).or_default().push(seq);
    }
    assert_eq!(seqs.values().map(Vec::len).sum::<usize>(), 32 * EACH);
    for (conversation, mut seqs) in seqs {
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=seqs.len() as Seq).collect::<Vec<_>>(), "{conversation:?}");
        for node in &nodes {
            is_gapless(node, &conversation, seqs.len() as Seq).await;
        }
    }
}

async fn the_same_message_at_both_is_sent_once(store: Fresh) {
    let nodes = two(store).await;
    has_some(&nodes[0]).await;
    for (round, conversation) in conversations().into_iter().enumerate() {
        let results = all_at_once(40, |number| {
            let (store, mine) = (nodes[number % 2].share(), message("a", conversation.clone()));
            async move { (mine.clone(), store.commit(repeatable(mine, for_ever(&round.to_string()))).await) }
        });
        let (sent, repeats): (Vec<_>, Vec<_>) = results.await.into_iter().partition(|(_, result)| result.is_ok());
        assert_eq!((sent.len(), repeats.len()), (1, 39));
        let first = Message { seq: 1, ..sent[0].0.clone() };
        for (_, result) in repeats {
            assert!(matches!(&result, Err(CommitError::Repeat(found)) if **found == first), "{result:?}");
        }
        assert_eq!(nodes[round % 2].history(&conversation).await, [first]);
    }
}

async fn a_retry_at_the_other_is_a_repeat(store: Fresh) {
    let nodes = two(store).await;
    has_some(&nodes[0]).await;
    for number in 0..10 {
        let (key, first) = (for_ever(&number.to_string()), message("a", direct("a", "b")));
        nodes[number % 2].commit(repeatable(first.clone(), key.clone())).await.unwrap();
        let there = &nodes[(number + 1) % 2];
        let found = there.repeat_of(&direct("a", "b"), &"a".into(), &key, at(1)).await.unwrap().unwrap();
        assert_eq!(found.id, first.id);
        match there.commit(repeatable(message("a", direct("a", "b")), key)).await {
            Err(CommitError::Repeat(found)) => assert_eq!((found.id, found.seq), (first.id, number as Seq + 1)),
            other => panic!("{other:?}"),
        }
    }
}

async fn of_many_changes_of_one_version_one_succeeds_whoever_makes_it(store: Fresh) {
    let nodes = two(store).await;
    nodes[0].write(vec![put(group("g"))]).await;
    for version in 1..=5 {
        let made = all_at_once(32, |number| {
            let store = nodes[number % 2].share();
            async move {
                let mut new = Group { version: version + 1, ..group("g") };
                new.profile.name = number.to_string();
                let assertions = vec![Assertion::GroupVersion("g".into(), version)];
                let result = store.commit(changes(assertions, vec![put(new), send_change()])).await;
                assert!(matches!(result, Ok(_) | Err(CommitError::Broken(_))), "{result:?}");
                result.is_ok()
            }
        });
        let made = made.await;
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "of version {version}");
        let winner = made.iter().position(|made| *made).unwrap().to_string();
        for node in &nodes {
            let found = node.groups(&["g".into()]).await.unwrap().remove(0);
            assert_eq!((found.version, &found.profile.name), (version + 1, &winner));
        }
    }
    assert_eq!(nodes[0].log().await.len(), 5);
}

fn send_change() -> Write {
    Write::Append(Box::new(group_changed("g")))
}

async fn a_group_does_not_get_fuller_than_it_may(store: Fresh) {
    let nodes = two(store).await;
    let many: Vec<String> = (0..40).map(|number| format!("m{number}")).collect();
    nodes[0].write(many.iter().map(|id| import(id)).chain([put(group("g"))]).collect()).await;
    let joined = all_at_once(many.len(), |number| {
        let (store, account) = (nodes[number % 2].share(), many[number].clone());
        async move {
            let room_for_one = vec![Assertion::MembersAtMost("g".into(), 9)];
            let join = Write::AddMembers("g".into(), members(&[&account]));
            store.commit(changes(room_for_one, vec![join])).await.is_ok()
        }
    });
    assert_eq!(joined.await.into_iter().filter(|joined| *joined).count(), 10);
    for node in &nodes {
        assert_eq!(node.groups(&["g".into()]).await.unwrap()[0].member_count, 10);
        assert_eq!(node.members(&"g".into(), everyone()).await.unwrap().len(), 10);
    }
}

async fn commits_of_many_conversations_are_exact(store: Fresh) {
    crate::shards::exact(&two(store).await).await;
}

async fn what_is_unread_is_counted_exactly_at_each_moment(store: Fresh) {
    let nodes = two(store).await;
    has_some(&nodes[0]).await;
    all_at_once(16, |writer| {
        let store = nodes[writer % 2].share();
        async move {
            for round in 0..10 {
                let reads = (writer + round) % 7 == 0;
                let sender = if writer % 3 == 0 { "a" } else { "b" };
                let mut message = message(sender, direct("a", "b"));
                message.custom_data = reads.then(|| "reads".to_owned());
                let write = Write::Send { message: Box::new(message), repeat: None, reads };
                store.commit(changes(Vec::new(), vec![write])).await.unwrap();
            }
        }
    })
    .await;
    let mut unread = [0, 0];
    for entry in nodes[1].log_of(&direct("a", "b")).await {
        let Event::MessageSent(message) = entry.event else { panic!("{:?}", entry.event) };
        let sender = usize::from(message.sender == "b".into());
        if message.custom_data.is_some() {
            unread[sender] = 0;
        }
        unread[1 - sender] += 1;
        assert_eq!(entry.unread, Some(unread[1 - sender]), "at {:?}", entry.position);
    }
    for node in &nodes {
        assert_eq!(node.unread_direct(&"a".into(), None).await.unwrap(), unread[0]);
        assert_eq!(node.unread_direct(&"b".into(), Some(&"a".into())).await.unwrap(), unread[1]);
    }
}

async fn the_farthest_cursor_stays(store: Fresh) {
    let nodes = two(store).await;
    let shard = nodes[0].shards()[0];
    all_at_once(40, |number| {
        let store = nodes[number % 2].share();
        async move { store.save_cursor("app", shard, Position(number as u64 * 37 % 40)).await.unwrap() }
    })
    .await;
    for node in &nodes {
        assert_eq!(node.told("app", shard).await.unwrap(), Some(Position(39)));
    }
}

/// Reads a shard as far as its head is said to be, again and again, until it has seen what there will be. Checks that
/// positions grow by one.
fn follow(store: Arc<dyn StoreAndLedger>, shard: Shard, mut is_all: watch::Receiver<u64>) -> JoinHandle<Vec<EventId>> {
    tokio::spawn(async move {
        let (mut head, mut cursor, mut seen) = (store.head(shard), Position(0), Vec::new());
        loop {
            let newest = *head.borrow_and_update();
            loop {
                let page = store.log_after(shard, cursor, 7).await.unwrap();
                for entry in &page {
                    assert_eq!(entry.position.0, cursor.0 + 1, "in {shard:?}");
                    cursor = entry.position;
                    seen.push(entry.event.id());
                }
                if page.is_empty() {
                    break;
                }
            }
            assert!(cursor >= newest, "{shard:?} is said to be at {newest:?}, and can be read up to {cursor:?}");
            if *is_all.borrow_and_update() == cursor.0 {
                return seen;
            }
            tokio::select! {
                changed = head.changed() => changed.unwrap(),
                changed = is_all.changed() => changed.unwrap(),
            }
        }
    })
}

/// The readers are told of nothing: they see that the head moves.
async fn a_reader_who_follows_the_head_of_the_other_misses_nothing(store: Fresh) {
    const WRITERS: usize = 32;
    const EACH: usize = 10;
    let [one, other] = two(store).await;
    has_some(&other).await;
    let mut readers = HashMap::new();
    for shard in one.shards() {
        let (all, is_all) = watch::channel(u64::MAX);
        readers.insert(shard, (all, follow(one.share(), shard, is_all)));
    }
    let sent = all_at_once(WRITERS, |writer| {
        let store = other.share();
        async move {
            let mut sent = Vec::new();
            for round in 0..EACH {
                let conversation = conversations().swap_remove((writer + round) % conversations().len());
                let message = message("a", conversation);
                sent.push(message.id);
                let write = match round % 3 {
                    0 => Write::Append(Box::new(not_sent(message))),
                    _ => send(message),
                };
                store.commit(changes(Vec::new(), vec![write])).await.unwrap();
            }
            sent
        }
    });
    let mut sent: Vec<EventId> = sent.await.into_iter().flatten().collect();
    let mut seen = Vec::new();
    for (shard, (all, reader)) in readers {
        // Whoever commits knows at once where its shards end; the others have to see it.
        let newest = other.head(shard).borrow().0;
        let mut head = one.head(shard);
        let noticed = head.wait_for(|head| head.0 == newest);
        tokio::time::timeout(NOTICED, noticed).await.expect("it is never noticed").unwrap();
        all.send_replace(newest);
        seen.extend(tokio::time::timeout(NOTICED, reader).await.expect("it is never seen").unwrap());
    }
    sent.sort();
    seen.sort();
    assert_eq!(sent.len(), WRITERS * EACH);
    assert!(seen == sent, "{} were sent and {} seen", sent.len(), seen.len());
}

/// Both write to every shard, and readers at both read all the time.
async fn a_reader_sees_no_hole_at_any_moment(store: Fresh) {
    let nodes = two(store).await;
    has_some(&nodes[0]).await;
    let (done, is_done) = watch::channel(false);
    let mut readers = Vec::new();
    for node in &nodes {
        for shard in node.shards() {
            let (store, is_done) = (node.share(), is_done.clone());
            readers.push(tokio::spawn(async move {
                let mut seen = 0;
                loop {
                    let is_last = *is_done.borrow();
                    let page = store.log_after(shard, Position(seen), 5).await.unwrap();
                    for entry in &page {
                        assert_eq!(entry.position.0, seen + 1, "in {shard:?}");
                        seen += 1;
                    }
                    if is_last && page.is_empty() {
                        return seen;
                    }
                }
            }));
        }
    }
    all_at_once(16, |writer| {
        let store = nodes[writer % 2].share();
        async move {
            for round in 0..10 {
                let sends = [writer, round, writer + round].map(|place| {
                    let conversation = conversations().swap_remove(place % conversations().len());
                    send(message("a", conversation))
                });
                store.commit(changes(Vec::new(), sends.to_vec())).await.unwrap();
            }
        }
    })
    .await;
    done.send_replace(true);
    let mut seen = 0;
    for reader in readers {
        seen += reader.await.unwrap();
    }
    assert_eq!(seen, 2 * 16 * 10 * 3);
}

/// Without a farewell, while commits wait in line.
async fn one_ends_while_the_other_goes_on(store: Fresh) {
    let one = store;
    has_some(&one).await;
    for round in 1..=5 {
        let other = one.second_node().await;
        let going_on = one.share();
        let going_on = tokio::spawn(async move {
            for _ in 0..20 {
                going_on.commit(changes(Vec::new(), vec![send(message("a", in_group("g")))])).await.unwrap();
            }
        });
        for _ in 0..50 {
            let pair = [message("a", in_group("g")), message("b", in_group("g"))];
            let mut given_up = Box::pin(other.commit(changes(Vec::new(), pair.map(send).to_vec())));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            _ = given_up.as_mut().poll(&mut context);
        }
        drop(other);
        going_on.await.unwrap();
        // The last of it has come through, or never will, once somebody was behind it.
        one.send(message("c", in_group("g"))).await;
        let history = one.history(&in_group("g")).await;
        let seqs: Vec<Seq> = history.iter().map(|message| message.seq).collect();
        assert_eq!(seqs, (1..=seqs.len() as Seq).collect::<Vec<_>>(), "round {round}");
        let from = |sender: &str| history.iter().filter(|message| message.sender == sender.into()).count();
        assert_eq!(from("a") - 20 * round, from("b"), "both of a pair or none");
    }
}
