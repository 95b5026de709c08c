//! Commits that touch many places: a store may keep accounts, groups and conversations apart, each with a log of its
//! own.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chat::account::import::NewAccount;
use chat::conversation::ConversationId;
use chat::event::{Event, Position};
use chat::id::{AccountId, GroupId, Seq};
use chat::message::Message;
use chat::port::{Assertion, CommitError, Write};

use crate::fixtures::{
    NOW, all_at_once, changes, direct, everyone, group, group_changed, ids, import, impossible, in_group, in_topic,
    members, message, put, send, topic,
};
use crate::fresh::Fresh;
use crate::seqs::is_gapless;

cases! {
    one_commit_may_touch_everything,
    one_that_fails_leaves_nothing_anywhere,
    an_assertion_in_one_place_guards_all_others,
    every_head_has_moved_by_the_answer,
    commits_of_many_conversations_at_once_are_exact,
    imports_of_the_same_accounts_at_once_are_each_whole,
}

const MANY: usize = 40;

/// Whatever takes longer than this is stuck.
const STUCK: Duration = Duration::from_secs(60);

fn account(number: usize) -> String {
    format!("a{number}")
}

fn conversations() -> Vec<ConversationId> {
    let of = |number: usize| match number % 3 {
        0 => in_group(&format!("g{number}")),
        1 => direct(&account(number), &account(number + 1)),
        _ => in_topic(&format!("g{number}"), "t"),
    };
    (0..MANY).map(of).collect()
}

/// Who may write to a conversation.
fn sender(conversation: &ConversationId) -> String {
    match conversation {
        ConversationId::Direct(a, _) => a.as_str().to_owned(),
        _ => account(0),
    }
}

fn send_to(conversation: &ConversationId) -> Write {
    send(message(&sender(conversation), conversation.clone()))
}

/// A hundred accounts, many groups with members and topics, blocks, and a message in each conversation.
fn everything() -> Vec<Write> {
    let accounts: Vec<String> = (0..100).map(account).collect();
    let names: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let mut writes: Vec<Write> = names.iter().map(|id| import(id)).collect();
    for number in 0..MANY {
        let id = format!("g{number}");
        writes.push(put(group(&id)));
        writes.push(Write::AddMembers(id.as_str().into(), members(&names[..number])));
        writes.push(Write::AddTopic(Box::new(topic(&id, "t"))));
        writes.push(Write::Append(Box::new(group_changed(&id))));
    }
    writes.push(Write::AddBlocks { owner: "a0".into(), targets: ids(&names), now: NOW });
    writes.extend(conversations().iter().map(send_to));
    writes
}

async fn one_commit_may_touch_everything(store: Fresh) {
    let receipt = store.write(everything()).await;
    assert_eq!(receipt.seqs, [1; MANY]);
    assert_eq!(receipt.added.len(), (0..MANY).sum::<usize>());
    let accounts: Vec<AccountId> = (0..100).map(|number| AccountId::new(account(number))).collect();
    assert_eq!(store.accounts(&accounts).await.unwrap().len(), 100);
    let groups: Vec<GroupId> = (0..MANY).map(|number| GroupId::new(format!("g{number}"))).collect();
    for (number, group) in store.groups(&groups).await.unwrap().iter().enumerate() {
        assert_eq!(group.member_count, number as u64);
        let members = store.members(&group.id, everyone()).await.unwrap();
        assert!(members.iter().map(|member| &member.account).eq(&accounts[..number]));
        assert!(store.topic(&group.id, &"t".into()).await.unwrap().is_some());
    }
    assert_eq!(store.blocks(&"a0".into(), &accounts).await.unwrap(), (accounts, 100));
    for conversation in conversations() {
        is_gapless(&store, &conversation, 1).await;
    }
    assert_eq!(store.log().await.len(), 2 * MANY);
    // And once more, over what is there.
    let again = conversations().iter().map(send_to).collect();
    assert_eq!(store.write(again).await.seqs, [2; MANY]);
}

async fn one_that_fails_leaves_nothing_anywhere(store: Fresh) {
    let mut writes = everything();
    writes.push(impossible());
    let result = store.commit(changes(Vec::new(), writes)).await;
    assert!(matches!(result, Err(CommitError::Fault(_))), "{result:?}");
    for number in 0..100 {
        assert!(store.holds(Assertion::NoAccount(account(number).as_str().into())).await);
    }
    for number in 0..MANY {
        assert!(store.holds(Assertion::NoGroup(format!("g{number}").as_str().into())).await);
    }
    assert_eq!(store.log().await, []);
    assert_eq!(store.write(everything()).await.seqs, [1; MANY]);
}

async fn an_assertion_in_one_place_guards_all_others(store: Fresh) {
    store.write(everything()).await;
    let log = store.log().await;
    for number in 0..MANY {
        let broken = Assertion::NoGroup(format!("g{number}").as_str().into());
        let writes = conversations().iter().map(send_to).collect();
        let result = store.commit(changes(vec![broken.clone()], writes)).await;
        assert!(matches!(&result, Err(CommitError::Broken(which)) if *which == broken), "{result:?}");
    }
    assert_eq!(store.log().await, log);
}

async fn every_head_has_moved_by_the_answer(store: Fresh) {
    store.write(everything()).await;
    for shard in store.shards() {
        let log = store.log_after(shard, Position(0), 10_000).await.unwrap();
        let newest = log.last().map_or(Position(0), |entry| entry.position);
        assert_eq!(*store.head(shard).borrow(), newest);
    }
}

/// Each commit writes to several conversations, in any order. Nobody waits for each other in a circle, and for any two
/// commits that meet in several conversations, the same one is first in all of them.
async fn commits_of_many_conversations_at_once_are_exact(store: Fresh) {
    exact(&[store]).await;
}

/// ... through any of these nodes.
pub(crate) async fn exact(nodes: &[Fresh]) {
    const WRITERS: usize = 24;
    const EACH: usize = 8;
    nodes[0].write(everything()).await;
    let committing = all_at_once(WRITERS, |writer| {
        let store = nodes[writer % nodes.len()].share();
        async move {
            for round in 0..EACH {
                let commit = format!("{writer}.{round}");
                // Five that are spread over all, not in their order, and one of them twice.
                let places = (0..5).map(|step| (writer * 7 + round * 11 + step * (13 + writer)) % MANY);
                let sends = places.map(|place| {
                    let conversation = conversations().swap_remove(place);
                    let message = message(&sender(&conversation), conversation);
                    send(Message { custom_data: Some(commit.clone()), ..message })
                });
                assert_eq!(store.commit(changes(Vec::new(), sends.collect())).await.unwrap().seqs.len(), 5);
            }
        }
    });
    tokio::time::timeout(STUCK, committing).await.expect("everybody waits for each other");

    let mut places: HashMap<String, HashMap<ConversationId, Vec<Seq>>> = HashMap::new();
    for conversation in conversations() {
        let history = nodes[0].history(&conversation).await;
        is_gapless(&nodes[0], &conversation, history.len() as Seq).await;
        for message in history {
            if let Some(commit) = message.custom_data {
                places.entry(commit).or_default().entry(conversation.clone()).or_default().push(message.seq);
            }
        }
    }
    assert_eq!(places.len(), WRITERS * EACH);
    for (commit, seqs) in &places {
        assert_eq!(seqs.values().map(Vec::len).sum::<usize>(), 5, "{commit} is whole");
        for (other, others) in &places {
            let shared = seqs.keys().filter(|conversation| others.contains_key(*conversation));
            let is_first: HashSet<bool> =
                shared.map(|place| seqs[place].iter().max() < others[place].iter().min()).collect();
            assert!(commit == other || is_first.len() <= 1, "{commit} is before and after {other}");
        }
    }
}

/// Each names all of them, in an order of its own: in the end all have the name that the last one gave.
async fn imports_of_the_same_accounts_at_once_are_each_whole(store: Fresh) {
    let importing = all_at_once(16, |number| {
        let store = store.share();
        async move {
            let named = |id: usize| {
                let name = Some(number.to_string());
                let new = NewAccount { name, ..NewAccount::bare(account((id * 37 + number) % 100).as_str().into()) };
                Write::ImportAccount { new, now: NOW }
            };
            store.commit(changes(Vec::new(), (0..100).map(named).collect())).await.unwrap();
        }
    });
    tokio::time::timeout(STUCK, importing).await.expect("everybody waits for each other");
    let accounts: Vec<AccountId> = (0..100).map(|number| AccountId::new(account(number))).collect();
    let found = store.accounts(&accounts).await.unwrap();
    assert_eq!(found.len(), 100);
    assert!(found.iter().all(|account| account.name == found[0].name));
    assert!(store.log().await.iter().all(|entry| !matches!(entry.event, Event::MessageSent(_))));
}
