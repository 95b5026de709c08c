//! Conversations: `Store::{conversation, inbox, groups_of}`.

use chat::conversation::ConversationId;
use chat::id::Seq;
use chat::message::{Keeping, Message};
use chat::port::{ConversationState, Write};

use crate::fixtures::{
    NEARLY_EQUAL, at, direct, dissolved, group_changed, in_group, in_topic, kept, message, not_sent, put, topic,
};
use crate::fresh::Fresh;

cases! {
    a_conversation_is_empty_at_first,
    each_message_moves_the_state_on,
    two_accounts_share_one_conversation,
    what_is_not_kept_does_not_move_the_state_on,
    a_live_message_moves_the_state_on,
    conversations_of_nobody_are_none,
    an_account_has_each_of_its_conversations_once,
    only_conversations_with_a_message_are_listed,
    a_group_is_listed_for_its_members,
    ids_compare_as_bytes,
    an_inbox_says_when_and_how_far_it_is_read,
    groups_are_listed_for_their_members,
}

async fn state(store: &Fresh, conversation: ConversationId) -> ConversationState {
    store.conversation(&conversation).await.unwrap()
}

/// In a fixed order; the port promises none.
async fn conversations_of(store: &Fresh, account: &str) -> Vec<(ConversationId, Seq)> {
    let inbox = store.inbox(&account.into()).await.unwrap();
    let mut conversations: Vec<_> = inbox.into_iter().map(|entry| (entry.conversation, entry.head)).collect();
    conversations.sort();
    conversations
}

fn some() -> Vec<ConversationId> {
    vec![direct("a", "b"), direct("a", "a"), in_group("g"), in_topic("g", "t")]
}

async fn has_some(store: &Fresh) {
    store.has(&["a", "b", "c"]).await;
    store.has_group("g", &["a", "b"]).await;
    store.write(vec![Write::AddTopic(Box::new(topic("g", "t")))]).await;
}

async fn a_conversation_is_empty_at_first(store: Fresh) {
    for conversation in some() {
        assert_eq!(state(&store, conversation).await, ConversationState::default(), "of nobody");
    }
    has_some(&store).await;
    for conversation in some() {
        assert_eq!(state(&store, conversation).await, ConversationState::default());
    }
}

async fn each_message_moves_the_state_on(store: Fresh) {
    has_some(&store).await;
    for conversation in some() {
        for (head, time) in [(1, at(5)), (2, at(9)), (3, at(2))] {
            store.send(Message { time, ..message("a", conversation.clone()) }).await;
            assert_eq!(state(&store, conversation.clone()).await, ConversationState { head, last_time: time });
        }
    }
}

async fn two_accounts_share_one_conversation(store: Fresh) {
    has_some(&store).await;
    store.send(message("b", direct("b", "a"))).await;
    store.send(message("a", direct("a", "b"))).await;
    assert_eq!(state(&store, direct("a", "b")).await.head, 2);
    assert_eq!(state(&store, direct("a", "c")).await.head, 0);
}

async fn what_is_not_kept_does_not_move_the_state_on(store: Fresh) {
    has_some(&store).await;
    for conversation in some() {
        store.send(message("a", conversation.clone())).await;
        let before = state(&store, conversation.clone()).await;
        let later = Message { time: at(9), ..message("a", conversation.clone()) };
        let event = Write::Append(Box::new(not_sent(later.clone())));
        store.write(vec![event, Write::Append(Box::new(group_changed("g")))]).await;
        store.send(kept(Keeping::OnlineOnly, later)).await;
        assert_eq!(state(&store, conversation).await, before);
    }
}

async fn a_live_message_moves_the_state_on(store: Fresh) {
    has_some(&store).await;
    store.send(kept(Keeping::Live, Message { time: at(9), ..message("a", in_group("g")) })).await;
    assert_eq!(state(&store, in_group("g")).await, ConversationState { head: 1, last_time: at(9) });
}

async fn conversations_of_nobody_are_none(store: Fresh) {
    assert_eq!(conversations_of(&store, "nobody").await, []);
    store.has(&["a"]).await;
    assert_eq!(conversations_of(&store, "a").await, []);
}

async fn an_account_has_each_of_its_conversations_once(store: Fresh) {
    has_some(&store).await;
    for conversation in [direct("a", "b"), direct("a", "a"), in_group("g"), direct("b", "c"), direct("a", "b")] {
        store.send(message(if conversation == direct("b", "c") { "c" } else { "a" }, conversation)).await;
    }
    let of_a = vec![(direct("a", "a"), 1), (direct("a", "b"), 2), (in_group("g"), 1)];
    assert_eq!(conversations_of(&store, "a").await, of_a);
    let of_b = vec![(direct("a", "b"), 2), (direct("b", "c"), 1), (in_group("g"), 1)];
    assert_eq!(conversations_of(&store, "b").await, of_b);
    assert_eq!(conversations_of(&store, "c").await, [(direct("b", "c"), 1)]);
}

/// Topics are reached through their group.
async fn only_conversations_with_a_message_are_listed(store: Fresh) {
    has_some(&store).await;
    store.send(kept(Keeping::OnlineOnly, message("a", direct("a", "b")))).await;
    store.write(vec![Write::Append(Box::new(not_sent(message("a", direct("a", "c")))))]).await;
    store.write(vec![Write::Append(Box::new(group_changed("g")))]).await;
    store.send(message("a", in_topic("g", "t"))).await;
    for account in ["a", "b", "c"] {
        assert_eq!(conversations_of(&store, account).await, []);
    }
}

async fn a_group_is_listed_for_its_members(store: Fresh) {
    has_some(&store).await;
    store.send(message("c", in_group("g"))).await;
    assert_eq!(conversations_of(&store, "c").await, [], "no member, although it sent");
    store.write(vec![Write::AddMembers("g".into(), crate::fixtures::members(&["c"]))]).await;
    assert_eq!(conversations_of(&store, "c").await, [(in_group("g"), 1)]);
    store.write(vec![put(dissolved("g"))]).await;
    assert_eq!(conversations_of(&store, "c").await, [(in_group("g"), 1)], "the messages remain");
}

async fn ids_compare_as_bytes(store: Fresh) {
    store.has(&NEARLY_EQUAL).await;
    store.has(&["peer"]).await;
    for (index, id) in NEARLY_EQUAL.into_iter().enumerate() {
        let conversation = direct(id, "peer");
        assert_eq!(state(&store, conversation.clone()).await.head, 0, "before {id:?}");
        let time = at(index as i64);
        store.send(Message { time, ..message(id, conversation.clone()) }).await;
        assert_eq!(state(&store, conversation.clone()).await, ConversationState { head: 1, last_time: time });
        assert_eq!(conversations_of(&store, id).await, [(conversation, 1)]);
    }
    let mut expected = NEARLY_EQUAL.map(|id| (direct(id, "peer"), 1));
    expected.sort();
    assert_eq!(conversations_of(&store, "peer").await, expected);
}

async fn an_inbox_says_when_and_how_far_it_is_read(store: Fresh) {
    has_some(&store).await;
    let of = async |account: &str, conversation: ConversationId| {
        let inbox = store.inbox(&account.into()).await.unwrap();
        inbox.into_iter().find(|entry| entry.conversation == conversation).map(|entry| (entry.last_time, entry.read))
    };
    for conversation in [direct("a", "b"), in_group("g")] {
        for (sender, time, reads) in [("a", at(5), true), ("b", at(7), false), ("b", at(9), true), ("a", at(6), false)]
        {
            let message = Message { time, ..message(sender, conversation.clone()) };
            store.write(vec![Write::Send { message: Box::new(message), repeat: None, reads }]).await;
        }
        let newest = store.conversation(&conversation).await.unwrap().last_time;
        assert_eq!(of("a", conversation.clone()).await, Some((newest, 1)), "the others are unread: {conversation:?}");
        assert_eq!(of("b", conversation.clone()).await, Some((newest, 3)), "{conversation:?}");
    }
}

async fn groups_are_listed_for_their_members(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a", "b"]).await;
    store.has_group("h", &["b"]).await;
    let of = async |account: &str| {
        let mut groups = store.groups_of(&account.into()).await.unwrap();
        groups.sort();
        groups
    };
    assert_eq!(of("a").await, ["g".into()]);
    assert_eq!(of("b").await, ["g".into(), "h".into()]);
    assert_eq!(of("c").await, []);
}
