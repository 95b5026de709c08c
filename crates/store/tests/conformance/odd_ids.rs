//! Ids that no account, group or topic has, or that nearly another has. The dialects refuse odd ids where something is
//! made; they ask about any.

use chat::conversation::ConversationId;
use chat::event::Position;
use chat::id::{AccountId, GroupId, Seq};
use chat::port::{ConversationState, Log, MessageQuery, Write};

use crate::fixtures::{
    NEARLY_EQUAL, NOW, direct, everyone, for_ever, ids, in_group, in_topic, members, message, put, repeatable, topic,
};
use crate::fresh::Fresh;

cases! {
    what_cannot_be_an_id_is_not_there,
    every_two_have_a_conversation_of_their_own,
    groups_and_members_of_nearly_equal_ids_do_not_mix,
}

/// With a NUL, which not every database can keep; empty; longer than any.
fn impossible() -> Vec<String> {
    let long = "a".repeat(100_000);
    ["\0", "a\0", "\0a", "a\0b", "g\0", "", &long].map(str::to_owned).to_vec()
}

async fn what_cannot_be_an_id_is_not_there(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a"]).await;
    store.write(vec![Write::AddTopic(Box::new(topic("g", "t")))]).await;
    store.write(vec![Write::AddBlocks { owner: "a".into(), targets: ids(&["b"]), now: NOW }]).await;
    for conversation in [direct("a", "b"), in_group("g"), in_topic("g", "t")] {
        store.commit(repeatable(message("a", conversation), for_ever("k"))).await.unwrap();
    }
    for odd in impossible() {
        let odd = odd.as_str();
        let (account, group) = (AccountId::new(odd), GroupId::new(odd));
        let shown = odd.get(..10).unwrap_or(odd);
        let found = store.accounts(&[account.clone(), "a".into(), account.clone()]).await.unwrap();
        assert_eq!(found.into_iter().map(|account| account.id).collect::<Vec<_>>(), ids(&["a"]), "{shown:?}");
        let found = store.groups(&[group.clone(), "g".into()]).await.unwrap();
        assert_eq!(found.into_iter().map(|group| group.id).collect::<Vec<_>>(), ["g".into()], "{shown:?}");
        assert!(!store.is_blocked(&account, &"a".into()).await.unwrap());
        assert!(!store.is_blocked(&"a".into(), &account).await.unwrap());
        assert_eq!(store.blocks(&account, &ids(&["a", odd])).await.unwrap(), (vec![], 0));
        assert_eq!(store.blocks(&"a".into(), &ids(&[odd, "b", odd])).await.unwrap(), (ids(&["b"]), 1));
        assert_eq!(store.topic(&group, &"t".into()).await.unwrap(), None);
        assert_eq!(store.topic(&"g".into(), &odd.into()).await.unwrap(), None);
        assert_eq!(store.member(&group, &"a".into()).await.unwrap(), None);
        assert_eq!(store.member(&"g".into(), &account).await.unwrap(), None);
        assert_eq!(store.members(&group, everyone()).await.unwrap(), []);
        assert_eq!(store.inbox(&account).await.unwrap(), []);
        assert_eq!(store.groups_of(&account).await.unwrap(), []);
        assert_eq!(store.unread_direct(&account, None).await.unwrap(), 0);
        assert_eq!(store.unread_direct(&account, Some(&"a".into())).await.unwrap(), 0);
        assert_eq!(store.unread_direct(&"b".into(), Some(&account)).await.unwrap(), 0);
        assert_eq!(store.repeat_of(&direct("a", "b"), &account, &for_ever("k"), NOW).await.unwrap(), None);
        for conversation in [direct("a", odd), direct(odd, odd), in_group(odd), in_topic(odd, "t"), in_topic("g", odd)]
        {
            assert_eq!(store.conversation(&conversation).await.unwrap(), ConversationState::default());
            assert_eq!(store.messages(&conversation, MessageQuery::seqs(0, u64::MAX, 9, false)).await.unwrap(), []);
            let log =
                Log::log_of(&*store, &conversation.clone().into(), Position(0), Position(u64::MAX), 9).await.unwrap();
            assert_eq!(log, [], "{shown:?}");
            let repeat = store.repeat_of(&conversation, &"a".into(), &for_ever("k"), NOW).await.unwrap();
            assert_eq!(repeat, None, "{shown:?}");
        }
    }
}

/// The lesser id is first, as bytes: whatever a database would think of accents and capitals.
async fn every_two_have_a_conversation_of_their_own(store: Fresh) {
    store.has(&NEARLY_EQUAL).await;
    let pairs = || {
        let with_later = |(index, one)| NEARLY_EQUAL[index..].iter().map(move |other| (one, *other));
        NEARLY_EQUAL.into_iter().enumerate().flat_map(with_later)
    };
    let sends = pairs().map(|(one, other)| crate::fixtures::send(message(other, direct(other, one))));
    assert!(store.write(sends.collect()).await.seqs.into_iter().all(|seq| seq == 1));
    for (index, id) in NEARLY_EQUAL.into_iter().enumerate() {
        let mut conversations = heads(&store, id).await;
        conversations.sort();
        let mut expected = NEARLY_EQUAL.map(|other| (direct(id, other), 1));
        expected.sort();
        assert_eq!(conversations, expected, "{id:?}");
        assert!(conversations.iter().all(|(id, _)| matches!(id, ConversationId::Direct(a, b) if a <= b)));
        // Each one was written to by those after it.
        let unread = (NEARLY_EQUAL.len() - 1 - index) as u64;
        assert_eq!(store.unread_direct(&id.into(), None).await.unwrap(), unread, "{id:?}");
    }
    for (one, other) in pairs() {
        let history = store.history(&direct(one, other)).await;
        assert_eq!(history.len(), 1, "{one:?} and {other:?}");
        assert_eq!(history[0].sender, other.into());
        let unread = store.unread_direct(&one.into(), Some(&other.into())).await.unwrap();
        assert_eq!(unread, u64::from(one != other), "{one:?} and {other:?}");
    }
}

async fn groups_and_members_of_nearly_equal_ids_do_not_mix(store: Fresh) {
    store.has(&NEARLY_EQUAL).await;
    for (index, id) in NEARLY_EQUAL.into_iter().enumerate() {
        let first = &NEARLY_EQUAL[..=index];
        let mut writes = vec![put(crate::fixtures::group(id)), Write::AddMembers(id.into(), members(first))];
        writes.extend(first.iter().map(|id_of_topic| Write::AddTopic(Box::new(topic(id, id_of_topic)))));
        writes.extend(first.iter().map(|sender| crate::fixtures::send(message(sender, in_topic(id, sender)))));
        writes.extend(first.iter().map(|sender| crate::fixtures::send(message(sender, in_group(id)))));
        store.write(writes).await;
    }
    for (index, id) in NEARLY_EQUAL.into_iter().enumerate() {
        let of_group = store.members(&id.into(), everyone()).await.unwrap();
        let of_group: Vec<AccountId> = of_group.into_iter().map(|member| member.account).collect();
        assert_eq!(of_group, ids(&NEARLY_EQUAL[..=index]));
        let mut groups = heads(&store, id).await;
        groups.sort();
        let expected = (index..NEARLY_EQUAL.len()).map(|place| (in_group(NEARLY_EQUAL[place]), place as u64 + 1));
        assert_eq!(groups, expected.collect::<Vec<_>>(), "{id:?}");
        for (place, other) in NEARLY_EQUAL.into_iter().enumerate() {
            let is_there = place <= index;
            assert_eq!(store.topic(&id.into(), &other.into()).await.unwrap().is_some(), is_there);
            let senders: Vec<_> =
                store.history(&in_topic(id, other)).await.into_iter().map(|sent| sent.sender).collect();
            assert_eq!(senders, if is_there { ids(&[other]) } else { vec![] });
        }
    }
}

async fn heads(store: &Fresh, account: &str) -> Vec<(ConversationId, Seq)> {
    let inbox = store.inbox(&account.into()).await.unwrap();
    inbox.into_iter().map(|entry| (entry.conversation, entry.head)).collect()
}
