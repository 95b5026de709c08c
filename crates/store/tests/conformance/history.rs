//! History: `Store::messages`.

use std::net::IpAddr;

use chat::command::{Actor, Origin, Platform};
use chat::conversation::ConversationId;
use chat::element::{Carried, Content, Custom, Element, File, Image, Location, Picture, Video};
use chat::group::GroupKind;
use chat::id::{Seq, Timestamp};
use chat::message::{Delivery, Keeping, Mention, Message};
use chat::port::{MessageQuery, Write};
use serde_json::json;

use crate::fixtures::{
    NEARLY_EQUAL, at, direct, group_changed, in_group, in_topic, kept, message, not_sent, topic, uncounted,
};
use crate::fresh::Fresh;

cases! {
    there_is_none_at_first,
    everything_in_a_message_is_kept,
    numbers_with_a_fraction_are_kept_exactly,
    text_is_kept_exactly,
    the_store_numbers_messages_itself,
    both_ends_of_a_range_belong_to_it,
    a_limit_keeps_the_end_that_comes_first,
    both_ends_of_a_time_belong_to_it,
    a_range_a_time_and_a_limit_hold_together,
    only_kept_messages_are_in_the_history,
    conversations_do_not_mix,
    ids_compare_as_bytes,
}

const FAR: i64 = i64::MAX;

async fn seqs(store: &Fresh, query: MessageQuery) -> Vec<Seq> {
    let messages = store.messages(&direct("a", "b"), query).await.unwrap();
    messages.iter().map(|message| message.seq).collect()
}

/// Ten messages from a to b, a millisecond apart.
async fn has_ten(store: &Fresh) {
    store.has(&["a", "b"]).await;
    for number in 1..=10 {
        store.send(Message { time: at(number), ..message("a", direct("a", "b")) }).await;
    }
}

async fn there_is_none_at_first(store: Fresh) {
    let conversations = [direct("a", "b"), in_group("g"), in_topic("g", "t")];
    for conversation in &conversations {
        assert_eq!(store.history(conversation).await, [], "of nobody");
    }
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a", "b"]).await;
    store.write(vec![Write::AddTopic(Box::new(topic("g", "t")))]).await;
    for conversation in &conversations {
        assert_eq!(store.history(conversation).await, []);
        let newest = MessageQuery::seqs(1, Seq::MAX, 1, true);
        assert_eq!(store.messages(conversation, newest).await.unwrap(), []);
    }
}

/// One message of which no field is as usual.
fn full() -> Message {
    let carried = |fields: serde_json::Value| Carried::of("tencent", fields.as_object().unwrap().clone());
    let picture = Picture { url: Some("https://p".into()), size: Some(1), width: Some(0), height: None };
    let mut elements: Vec<Element> = vec![
        Element::text("text"),
        Content::Location(Location { description: None, latitude: Some(-0.1), longitude: Some(180.0) }).into(),
        Content::Custom(Custom { data: Some("{\"a\":1}".into()), ..Custom::default() }).into(),
        Content::Image(Image { format: Some(255), large: Some(picture), ..Image::default() }).into(),
        Content::Video(Video { seconds: Some(i64::MAX), ..Video::default() }).into(),
        Content::File(File { name: Some("näme.txt".into()), ..File::default() }).into(),
    ];
    elements[0].carried = carried(json!({"MsgType": {"deep": [1, "2", null]}}));
    Message {
        group_kind: Some(GroupKind::Meeting),
        actor: Actor::App("admin".into()),
        origin: Origin {
            platform: Platform::Harmony,
            ip: Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
            operation: "operation".into(),
        },
        created: at(-86_400_000),
        sender_name: "Ann".into(),
        sender_face: "https://faces/a".into(),
        elements,
        custom_data: Some(String::new()),
        mentions: vec![Mention::All, Mention::Account("b".into())],
        delivery: Delivery {
            keeping: Keeping::Stored,
            no_unread: true,
            no_last_message: true,
            not_to_sender: true,
            no_push: true,
            no_after_callback: true,
            only_to: vec!["b".into(), "nobody".into()],
        },
        carried: carried(json!({"MsgSeq": u32::MAX, "MsgRandom": u64::MAX, "negative": i64::MIN})),
        ..message("a", direct("a", "b"))
    }
}

async fn everything_in_a_message_is_kept(store: Fresh) {
    store.has(&["a", "b"]).await;
    let sent = store.send(full()).await;
    assert_eq!(store.history(&direct("a", "b")).await, [sent]);
}

/// Coordinates go in and out of the store as text: every double has to come back as itself.
async fn numbers_with_a_fraction_are_kept_exactly(store: Fresh) {
    store.has(&["a", "b"]).await;
    // Weyl's sequence: well spread numbers without a random generator.
    let spread = (1..=5000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) as f64 / u64::MAX as f64);
    let extremes = [0.0, -0.0, 0.1 + 0.2, f64::MIN_POSITIVE, f64::MAX, f64::EPSILON, 1e23, 5e-324];
    let elements = spread.map(|number| number * 360.0 - 180.0).chain(extremes).map(|number| {
        Content::Location(Location { description: None, latitude: Some(number), longitude: Some(-number) }).into()
    });
    let sent = store.send(Message { elements: elements.collect(), ..message("a", direct("a", "b")) }).await;
    assert!(store.history(&direct("a", "b")).await == [sent]);
}

async fn text_is_kept_exactly(store: Fresh) {
    store.has(&["a", "b"]).await;
    let every_kind = "\u{0}\u{1}\u{8}\t\n\r\u{1f} \"'\\/\u{7f}\u{80}\u{2028}\u{feff}\u{fffd}\u{ffff}👩‍👩‍👧🏽\u{10ffff}";
    let mut elements = vec![Element::text(""), Element::text(every_kind), Element::text("x".repeat(100_000))];
    elements.extend(NEARLY_EQUAL.map(Element::text));
    let sent = Message {
        elements,
        sender_name: every_kind.into(),
        client_id: every_kind.into(),
        custom_data: Some(every_kind.into()),
        ..message("a", direct("a", "b"))
    };
    let sent = store.send(sent).await;
    assert_eq!(store.history(&direct("a", "b")).await, [sent]);
}

async fn the_store_numbers_messages_itself(store: Fresh) {
    store.has(&["a", "b"]).await;
    let sent = store.send(Message { seq: 77, ..message("a", direct("a", "b")) }).await;
    assert_eq!(sent.seq, 1);
    assert_eq!(store.history(&direct("a", "b")).await, [sent]);
}

async fn both_ends_of_a_range_belong_to_it(store: Fresh) {
    has_ten(&store).await;
    let largest = FAR.unsigned_abs();
    for (from, to, expected) in [
        (0, 0, 0..0),
        (0, 1, 1..2),
        (1, 1, 1..2),
        (1, 10, 1..11),
        (3, 5, 3..6),
        (10, 10, 10..11),
        (10, 11, 10..11),
        (11, 11, 0..0),
        (5, 3, 0..0),
        (0, Seq::MAX, 1..11),
        (0, largest, 1..11),
        (10, largest + 1, 10..11),
        (largest, largest, 0..0),
        (largest + 1, Seq::MAX, 0..0),
        (Seq::MAX, Seq::MAX, 0..0),
        (Seq::MAX, 0, 0..0),
    ] {
        let ascending: Vec<Seq> = expected.collect();
        let found = seqs(&store, MessageQuery::seqs(from, to, 100, false)).await;
        assert_eq!(found, ascending, "{from} to {to}");
        let descending: Vec<Seq> = ascending.into_iter().rev().collect();
        let found = seqs(&store, MessageQuery::seqs(from, to, 100, true)).await;
        assert_eq!(found, descending, "{to} down to {from}");
    }
}

async fn a_limit_keeps_the_end_that_comes_first(store: Fresh) {
    has_ten(&store).await;
    for (limit, oldest, newest) in [
        (0, vec![], vec![]),
        (1, vec![2], vec![9]),
        (3, vec![2, 3, 4], vec![9, 8, 7]),
        (8, vec![2, 3, 4, 5, 6, 7, 8, 9], vec![9, 8, 7, 6, 5, 4, 3, 2]),
        (9, vec![2, 3, 4, 5, 6, 7, 8, 9], vec![9, 8, 7, 6, 5, 4, 3, 2]),
        (usize::MAX, vec![2, 3, 4, 5, 6, 7, 8, 9], vec![9, 8, 7, 6, 5, 4, 3, 2]),
    ] {
        assert_eq!(seqs(&store, MessageQuery::seqs(2, 9, limit, false)).await, oldest, "the oldest {limit}");
        assert_eq!(seqs(&store, MessageQuery::seqs(2, 9, limit, true)).await, newest, "the newest {limit}");
    }
}

async fn both_ends_of_a_time_belong_to_it(store: Fresh) {
    has_ten(&store).await;
    for (since, until, expected) in [
        (at(3), at(5), 3..6),
        (at(3), at(3), 3..4),
        (at(0), at(1), 1..2),
        (at(10), at(11), 10..11),
        (at(11), at(12), 0..0),
        (at(5), at(3), 0..0),
        (Timestamp::from_millis(i64::MIN), at(2), 1..3),
        (at(9), Timestamp::from_millis(FAR), 9..11),
        (Timestamp::from_millis(FAR), Timestamp::from_millis(i64::MIN), 0..0),
    ] {
        let query = MessageQuery { since, until, ..MessageQuery::seqs(0, Seq::MAX, 100, false) };
        assert_eq!(seqs(&store, query).await, expected.collect::<Vec<_>>(), "{since:?} to {until:?}");
    }
}

/// Times need not grow with seqs: clocks jump, and an app says itself when an imported message was sent.
async fn a_range_a_time_and_a_limit_hold_together(store: Fresh) {
    store.has(&["a", "b"]).await;
    for time in [5, 1, 9, 3, 5, 7, 2, 5] {
        store.send(Message { time: at(time), ..message("a", direct("a", "b")) }).await;
    }
    let query = |limit, newest_first| MessageQuery {
        since: at(3),
        until: at(5),
        ..MessageQuery::seqs(2, 8, limit, newest_first)
    };
    assert_eq!(seqs(&store, query(10, false)).await, [4, 5, 8]);
    assert_eq!(seqs(&store, query(2, false)).await, [4, 5]);
    assert_eq!(seqs(&store, query(2, true)).await, [8, 5]);
}

async fn only_kept_messages_are_in_the_history(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a", "b"]).await;
    for conversation in [direct("a", "b"), in_group("g")] {
        let first = store.send(message("a", conversation.clone())).await;
        store.send(kept(Keeping::OnlineOnly, message("a", conversation.clone()))).await;
        store.write(vec![Write::Append(Box::new(not_sent(message("a", conversation.clone()))))]).await;
        store.write(vec![Write::Append(Box::new(group_changed("g")))]).await;
        let second = store.send(uncounted(message("b", conversation.clone()))).await;
        assert_eq!((first.seq, second.seq), (1, 2));
        assert_eq!(store.history(&conversation).await, [first, second]);
    }
    let live = store.send(kept(Keeping::Live, message("a", in_group("g")))).await;
    assert_eq!(live.seq, 3);
    assert_eq!(store.history(&in_group("g")).await.len(), 2);
    let range = MessageQuery::seqs(3, 3, 1, true);
    assert_eq!(store.messages(&in_group("g"), range).await.unwrap(), []);
}

async fn conversations_do_not_mix(store: Fresh) {
    // The same names everywhere, and integers that stand for them in a store are likely the same, too.
    store.has(&["a", "b"]).await;
    store.has_group("a", &["a", "b"]).await;
    store.has_group("b", &["a", "b"]).await;
    for (group, id) in [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")] {
        store.write(vec![Write::AddTopic(Box::new(topic(group, id)))]).await;
    }
    let conversations = [
        direct("a", "a"),
        direct("a", "b"),
        direct("b", "b"),
        in_group("a"),
        in_group("b"),
        in_topic("a", "a"),
        in_topic("a", "b"),
        in_topic("b", "a"),
        in_topic("b", "b"),
    ];
    let mut sent = Vec::new();
    for conversation in &conversations {
        let sender = if *conversation == direct("b", "b") { "b" } else { "a" };
        sent.push(store.send(message(sender, conversation.clone())).await);
    }
    for (conversation, message) in conversations.iter().zip(sent) {
        assert_eq!(store.history(conversation).await, [message], "{conversation:?}");
    }
}

async fn ids_compare_as_bytes(store: Fresh) {
    store.has(&NEARLY_EQUAL).await;
    let mut sent = Vec::new();
    let conversations: Vec<ConversationId> = NEARLY_EQUAL.iter().map(|id| direct("a", id)).collect();
    for conversation in &conversations {
        sent.push(store.send(message("a", conversation.clone())).await);
    }
    for (conversation, message) in conversations.iter().zip(sent) {
        assert_eq!(message.seq, 1);
        assert_eq!(store.history(conversation).await, [message]);
    }
}
