//! Reading: `ReadHistory`, `ListInbox`, `CountUnread`, `FindGroups`, `ListGroupsOf`.

use chat::Refusal;
use chat::conversation::ConversationId;
use chat::group::GroupKind;
use chat::group::find::{FindGroups, ListGroupsOf};
use chat::message::Delivery;
use chat::message::history::{MAX_PAGE, ReadHistory};
use chat::message::inbox::ListInbox;
use chat::message::send::SendMessage;
use chat::message::unread::CountUnread;
use chat::port::MessageQuery;

use crate::stage::{Stage, as_account, direct, refusal, text, to, to_group};

cases! {
    a_page_says_whether_there_are_more,
    one_reads_ones_own_conversations,
    a_viewer_does_not_see_what_was_kept_from_them,
    what_is_unread_and_where_conversations_stand,
}

fn read(conversation: ConversationId, query: MessageQuery) -> ReadHistory {
    ReadHistory { conversation, viewer: None, query }
}

async fn a_page_says_whether_there_are_more(stage: Stage) {
    for _ in 0..3 {
        stage.app(text("a", to("b"), "hi")).await.unwrap();
    }
    for (from, limit, newest_first, expected, has_more) in [
        (0, 2, false, vec![1, 2], true),
        (0, 3, false, vec![1, 2, 3], false),
        (0, 2, true, vec![3, 2], true),
        (2, 2, true, vec![3, 2], false),
        (0, 0, true, vec![], true),
        (4, 0, true, vec![], false),
        (0, MAX_PAGE, false, vec![1, 2, 3], false),
    ] {
        let query = MessageQuery::seqs(from, u64::MAX, limit, newest_first);
        let history = stage.run(&as_account("a"), read(direct(), query)).await.unwrap();
        let seqs: Vec<u64> = history.messages.iter().map(|message| message.seq).collect();
        assert_eq!((seqs, history.has_more, history.state.head), (expected, has_more, 3), "{query:?}");
    }
    let too_many = stage.app(read(direct(), MessageQuery::seqs(0, 1, MAX_PAGE + 1, false))).await;
    assert_eq!(refusal(too_many), Refusal::TooMany { what: "messages", limit: MAX_PAGE });
}

async fn one_reads_ones_own_conversations(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let query = MessageQuery::seqs(0, u64::MAX, 10, false);
    for conversation in [direct(), ConversationId::Group("g".into())] {
        for account in ["a", "b"] {
            stage.run(&as_account(account), read(conversation.clone(), query)).await.unwrap();
        }
        assert_eq!(
            refusal(stage.run(&as_account("c"), read(conversation.clone(), query)).await),
            Refusal::NotPermitted
        );
        stage.app(read(conversation, query)).await.unwrap();
    }
    let unread = |account: &str| CountUnread { account: account.into(), peer: None };
    assert_eq!(refusal(stage.run(&as_account("c"), unread("a")).await), Refusal::NotPermitted);
    assert_eq!(refusal(stage.run(&as_account("c"), ListInbox("a".into())).await), Refusal::NotPermitted);
    assert_eq!(refusal(stage.run(&as_account("c"), ListGroupsOf("a".into())).await), Refusal::NotPermitted);
    assert_eq!(refusal(stage.app(unread("nobody")).await), Refusal::NoAccount("nobody".into()));
}

async fn a_viewer_does_not_see_what_was_kept_from_them(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let only_b = Delivery { only_to: vec!["b".into()], ..Delivery::default() };
    let not_back = Delivery { not_to_sender: true, ..Delivery::default() };
    for delivery in [Delivery::default(), only_b, not_back] {
        stage.app(SendMessage { delivery, ..text("a", to_group(), "hi") }).await.unwrap();
    }
    for (viewer, expected) in
        [(None, vec![1, 2, 3]), (Some("a"), vec![1, 2]), (Some("b"), vec![1, 2, 3]), (Some("c"), vec![1, 3])]
    {
        let query = MessageQuery::seqs(0, u64::MAX, 10, false);
        let viewer = viewer.map(Into::into);
        let command = ReadHistory { conversation: ConversationId::Group("g".into()), viewer, query };
        let history = stage.app(command.clone()).await.unwrap();
        assert_eq!(history.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), expected, "{command:?}");
    }
}

async fn what_is_unread_and_where_conversations_stand(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    for destination in [to("b"), to("b"), to_group()] {
        stage.app(text("a", destination, "hi")).await.unwrap();
    }
    stage.app(SendMessage { reads: true, ..text("b", to("a"), "hi") }).await.unwrap();
    stage.app(text("c", to("b"), "hi")).await.unwrap();
    let unread = async |account: &str, peer: Option<&str>| {
        let command = CountUnread { account: account.into(), peer: peer.map(Into::into) };
        stage.app(command).await.unwrap()
    };
    assert_eq!((unread("b", None).await, unread("b", Some("a")).await, unread("b", Some("c")).await), (1, 0, 1));
    assert_eq!((unread("a", None).await, unread("c", None).await), (1, 0));

    let mut inbox = stage.run(&as_account("b"), ListInbox("b".into())).await.unwrap();
    inbox.sort();
    let heads: Vec<_> = inbox.into_iter().map(|entry| (entry.conversation, entry.head)).collect();
    let with_c = ConversationId::direct("b".into(), "c".into());
    assert_eq!(heads, [(direct(), 3), (with_c, 1), (ConversationId::Group("g".into()), 1)]);
    let groups = stage.app(FindGroups(vec!["none".into(), "g".into()])).await.unwrap();
    let [(group, state)] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((group.id.as_str(), group.member_count, state.head), ("g", 2, 1));
}
