//! `SendMessage` as far as nobody is asked: rights, rules, failed deliveries.

use chat::command::{Actor, Origin};
use chat::element::Element;
use chat::event::{Event, NotSent};
use chat::group::create_topic::CreateTopic;
use chat::group::{GroupKind, GroupProfile, GroupStatus};
use chat::id::Timestamp;
use chat::message::send::{Destination, Fate, SendMessage};
use chat::message::{Delivery, Keeping, Message};
use chat::{Error, Refusal};

use crate::stage::{NOW, Stage, as_account, direct, refusal, text, to, to_group};

cases! {
    a_message_is_answered_as_it_is_stored_and_told,
    an_id_says_when_a_message_entered_and_not_when_it_was_sent,
    an_account_speaks_for_itself_and_the_app_for_all,
    whoever_and_whatever_does_not_exist,
    a_message_has_content_and_not_too_much,
    a_block_is_a_failed_delivery,
    a_restricted_word_is_a_failed_delivery,
    a_block_comes_before_a_restricted_word,
    mutes_are_no_failed_delivery,
    nobody_sends_to_a_dissolved_group,
    a_topic_is_a_conversation_of_its_own,
    a_live_room_keeps_no_history,
    an_online_message_is_told_and_not_kept,
}

/// Sends on the sender's own authority.
async fn send(stage: &Stage, message: SendMessage) -> Result<Message, Error> {
    let actor = Actor::Account(message.sender.clone());
    let sent = stage.run(&actor, message).await?;
    assert_eq!(sent.fate, Fate::Sent { modified: false });
    Ok(sent.message)
}

async fn a_message_is_answered_as_it_is_stored_and_told(stage: Stage) {
    stage.clock.set(5);
    let origin = Origin { operation: "op".into(), ..Origin::default() };
    let command = SendMessage { sender_name: Some("Ann".into()), ..text("a", to("b"), "hi") };
    let sent = stage.chat.run(&as_account("a"), &origin, command).await.unwrap();
    assert_eq!(sent.fate, Fate::Sent { modified: false });
    let message = sent.message;
    assert_eq!((message.seq, message.time.millis()), (1, NOW.millis() + 5));
    assert_eq!((message.created, message.sender_name.as_str()), (message.time, "Ann"));
    assert_eq!((&message.actor, &message.origin), (&as_account("a"), &origin));
    assert_eq!(message.client_id.as_str(), message.id.to_string(), "the server's id stands in");
    assert_eq!(stage.history(&direct()).await, std::slice::from_ref(&message));
    assert_eq!(stage.events().await, [Event::MessageSent(message)]);
}

/// So that ids sort as the log does. What the wire shows of time is the message's own.
async fn an_id_says_when_a_message_entered_and_not_when_it_was_sent(stage: Stage) {
    let mut ids = Vec::new();
    for (later, sent) in [(0, 60_000), (1, 0), (2, -86_400_000)] {
        stage.clock.set(later);
        let time = Timestamp::from_millis(NOW.millis() + sent);
        let message = stage.app(SendMessage { time: Some(time), ..text("a", to("b"), "") }).await.unwrap().message;
        assert_eq!((message.time, message.created), (time, time));
        let entered = format!("{:012x}", NOW.millis() + later);
        assert!(message.id.to_string().starts_with(&entered), "{:?}", message.id);
        ids.push(message.id);
    }
    let logged: Vec<_> = stage.events().await.iter().map(Event::id).collect();
    assert_eq!(logged, ids);
    assert!(ids.is_sorted(), "{ids:?}");
}

async fn an_account_speaks_for_itself_and_the_app_for_all(stage: Stage) {
    for (actor, command, may) in [
        (as_account("b"), text("a", to("b"), ""), false),
        (as_account("a"), SendMessage { time: Some(NOW), ..text("a", to("b"), "") }, false),
        (as_account("a"), text("a", to("b"), ""), true),
        (Actor::App("admin".into()), SendMessage { time: Some(NOW), ..text("a", to("b"), "") }, true),
        (Actor::System, text("a", to("b"), ""), true),
    ] {
        let result = stage.run(&actor, command).await;
        match result {
            Ok(_) => assert!(may, "{actor:?}"),
            Err(_) => assert_eq!((refusal(result), may), (Refusal::NotPermitted, false), "{actor:?}"),
        }
    }
    assert_eq!(stage.events().await.len(), 3);
}

async fn whoever_and_whatever_does_not_exist(stage: Stage) {
    stage.has_group(GroupKind::Community).await;
    let no_topic = Destination::Topic("g".into(), "t".into());
    for (command, expected) in [
        (text("nobody", to("b"), ""), Refusal::NoAccount("nobody".into())),
        (text("a", to("nobody"), ""), Refusal::NoAccount("nobody".into())),
        (text("a", Destination::Group("none".into()), ""), Refusal::NoGroup("none".into())),
        (text("a", Destination::Topic("none".into(), "t".into()), ""), Refusal::NoGroup("none".into())),
        (text("a", no_topic, ""), Refusal::NoTopic("t".into())),
        (text("c", to_group(), ""), Refusal::NotMember { group: "g".into(), account: "c".into() }),
    ] {
        assert_eq!(refusal(send(&stage, command).await), expected);
    }
    assert_eq!(stage.events().await, []);
}

async fn a_message_has_content_and_not_too_much(stage: Stage) {
    let empty = SendMessage { elements: Vec::new(), ..text("a", to("b"), "") };
    assert!(matches!(refusal(send(&stage, empty).await), Refusal::Invalid { .. }));
    let long = "x".repeat(1000);
    let too_large = refusal(send(&stage, text("a", to("b"), &long)).await);
    assert!(matches!(too_large, Refusal::MessageTooLarge { limit: 1000, .. }), "{too_large:?}");
    assert_eq!(stage.events().await, []);
}

async fn a_block_is_a_failed_delivery(stage: Stage) {
    stage.block("b", "a").await;
    assert_eq!(refusal(send(&stage, text("a", to("b"), "hi")).await), Refusal::Blocked);
    assert_eq!(stage.history(&direct()).await, []);
    let events = stage.events().await;
    let [Event::MessageNotSent { message, reason: NotSent::Blocked }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((message.seq, &message.elements), (0, &vec![Element::text("hi")]));

    send(&stage, text("b", to("a"), "but so")).await.unwrap();
    let mut exempt = text("a", to("b"), "and so");
    exempt.exempt.blocks = true;
    assert_eq!(send(&stage, exempt).await.unwrap().seq, 2);
}

async fn a_restricted_word_is_a_failed_delivery(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    for to in [to("b"), to_group()] {
        let result = send(&stage, text("a", to, "what is ForBidden")).await;
        assert_eq!(refusal(result), Refusal::RestrictedWord);
    }
    let events = stage.events().await;
    assert_eq!(events.len(), 2);
    for event in events {
        assert!(matches!(event, Event::MessageNotSent { reason: NotSent::RestrictedWord, .. }), "{event:?}");
    }
    assert_eq!(send(&stage, text("a", to("b"), "what is for-bidden")).await.unwrap().seq, 1);
}

async fn a_block_comes_before_a_restricted_word(stage: Stage) {
    stage.block("b", "a").await;
    assert_eq!(refusal(send(&stage, text("a", to("b"), "forbidden")).await), Refusal::Blocked);
    assert_eq!(stage.events().await.len(), 1, "told once");
}

async fn mutes_are_no_failed_delivery(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    stage.change_group(|group| group.rules.muted = true).await;
    assert_eq!(refusal(send(&stage, text("b", to_group(), "")).await), Refusal::GroupMuted);
    send(&stage, text("a", to_group(), "from the owner")).await.unwrap();

    stage.change_group(|group| group.rules.muted = false).await;
    stage.mute_b(Timestamp::from_millis(NOW.millis() + 1000)).await;
    assert_eq!(refusal(send(&stage, text("b", to_group(), "")).await), Refusal::MemberMuted);
    stage.clock.set(1000);
    send(&stage, text("b", to_group(), "it is over")).await.unwrap();
    assert_eq!(stage.events().await.len(), 2);
}

async fn nobody_sends_to_a_dissolved_group(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    stage.change_group(|group| group.status = GroupStatus::Dissolved).await;
    let mut exempt = text("a", to_group(), "");
    exempt.exempt.membership = true;
    for command in [text("a", to_group(), ""), exempt] {
        assert_eq!(refusal(stage.app(command).await), Refusal::GroupDissolved("g".into()));
    }
    assert_eq!(stage.events().await, []);
}

async fn a_topic_is_a_conversation_of_its_own(stage: Stage) {
    stage.has_group(GroupKind::Community).await;
    let topic = CreateTopic { group: "g".into(), id: "t".into(), profile: GroupProfile::default() };
    stage.run(&as_account("a"), topic).await.unwrap();
    let in_topic = Destination::Topic("g".into(), "t".into());
    assert_eq!(send(&stage, text("b", to_group(), "")).await.unwrap().seq, 1);
    let message = send(&stage, text("b", in_topic.clone(), "")).await.unwrap();
    assert_eq!((message.seq, message.group_kind), (1, Some(GroupKind::Community)));
    let stranger = refusal(send(&stage, text("c", in_topic, "")).await);
    assert_eq!(stranger, Refusal::NotMember { group: "g".into(), account: "c".into() });
}

async fn a_live_room_keeps_no_history(stage: Stage) {
    stage.has_group(GroupKind::Live).await;
    let mut command = text("c", to_group(), "");
    command.exempt.membership = true;
    let message = send(&stage, command).await.unwrap();
    assert_eq!((message.seq, message.delivery.keeping), (1, Keeping::Live));
    assert_eq!(stage.history(&message.conversation).await, []);
    assert_eq!(stage.events().await, [Event::MessageSent(message)]);
}

async fn an_online_message_is_told_and_not_kept(stage: Stage) {
    let delivery = Delivery { keeping: Keeping::OnlineOnly, ..Delivery::default() };
    let message = send(&stage, SendMessage { delivery, ..text("a", to("b"), "") }).await.unwrap();
    assert_eq!(message.seq, 0);
    assert_eq!(stage.history(&direct()).await, []);
    assert_eq!(stage.events().await, [Event::MessageSent(message)]);
}
