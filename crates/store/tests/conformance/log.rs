//! The log: `Store::{shards, log_after, log_of}`, `Write::Append`.

use std::collections::{HashMap, HashSet};

use chat::conversation::ConversationId;
use chat::event::{EndpointPause, Event, GroupChange, LogEntry, NotSent, Position, Shard, Subject};
use chat::id::EventId;
use chat::message::{Keeping, Message};
use chat::port::{Log, Write};

use crate::fixtures::{
    NOW, all_at_once, append, changes, direct, group_changed, in_group, in_topic, kept, message, not_sent, send, topic,
};
use crate::fresh::Fresh;
use crate::ledger::Cursors;

cases! {
    it_is_empty_at_first,
    there_are_shards_and_each_once,
    every_kind_of_event_is_kept,
    events_of_one_commit_are_in_its_order,
    a_message_carries_its_seq,
    positions_grow,
    pages_follow_one_another,
    every_event_is_in_one_shard_and_those_of_a_conversation_in_the_same,
    what_is_no_event_is_not_logged,
    a_reader_who_follows_the_head_misses_nothing,
    a_conversation_is_read_alone_and_in_pages,
    a_conversation_without_events_reads_as_empty,
    bounds_may_be_larger_than_any_position,
    the_newest_come_first_before_a_position,
    the_app_and_accounts_are_subjects_of_their_own,
}

fn conversations() -> Vec<ConversationId> {
    vec![direct("a", "b"), direct("a", "a"), direct("b", "c"), in_group("g"), in_group("h"), in_topic("g", "t")]
}

async fn has_some(store: &Fresh) {
    store.has(&["a", "b", "c"]).await;
    store.has_group("g", &["a"]).await;
    store.has_group("h", &["a"]).await;
    store.write(vec![Write::AddTopic(Box::new(topic("g", "t")))]).await;
}

async fn page(store: &Fresh, shard: Shard, after: u64, limit: usize) -> Vec<LogEntry> {
    store.log_after(shard, Position(after), limit).await.unwrap()
}

async fn it_is_empty_at_first(store: Fresh) {
    for shard in store.shards() {
        for after in [0, 1, u64::MAX] {
            assert_eq!(page(&store, shard, after, 10).await, []);
        }
    }
}

async fn there_are_shards_and_each_once(store: Fresh) {
    let shards = store.shards();
    assert!(!shards.is_empty());
    assert_eq!(shards.iter().collect::<HashSet<_>>().len(), shards.len());
    assert_eq!(store.shards(), shards);
}

async fn every_kind_of_event_is_kept(store: Fresh) {
    has_some(&store).await;
    let change = |name: Option<&str>, introduction: Option<&str>| match group_changed("g") {
        Event::GroupChanged(change) => Event::GroupChanged(GroupChange {
            name: name.map(Into::into),
            introduction: introduction.map(Into::into),
            announcement: Some("line\nbreak '\"\u{0}".into()),
            face_url: Some(String::new()),
            ..change
        }),
        other => other,
    };
    let not_sent = |reason| Event::MessageNotSent { message: message("a", direct("a", "b")), reason };
    for event in [
        change(None, None),
        change(Some("name"), Some("introduction")),
        group_changed("h"),
        not_sent(NotSent::Blocked),
        not_sent(NotSent::RestrictedWord),
        paused("app"),
        Event::MessageNotSent { message: message("a", in_topic("g", "t")), reason: NotSent::RestrictedWord },
    ] {
        store.write(vec![append(event.clone())]).await;
        let log = store.log_of_subject(&event.subject()).await;
        assert_eq!(log.last().unwrap().event, event);
    }
}

async fn events_of_one_commit_are_in_its_order(store: Fresh) {
    has_some(&store).await;
    let sent = |seq| Message { seq, ..message("a", in_group("g")) };
    let online = kept(Keeping::OnlineOnly, message("a", in_group("g")));
    let events = [
        group_changed("g"),
        Event::MessageSent(sent(1)),
        not_sent(message("a", in_group("g"))),
        Event::MessageSent(online),
        Event::MessageSent(sent(2)),
        group_changed("g"),
    ];
    let writes = events.iter().cloned().map(|event| match event {
        Event::MessageSent(message) => send(Message { seq: 0, ..message }),
        other => append(other),
    });
    assert_eq!(store.write(writes.collect()).await.seqs, [1, 0, 2]);
    let log: Vec<Event> = store.log_of(&in_group("g")).await.into_iter().map(|entry| entry.event).collect();
    assert_eq!(log, events);
}

async fn a_message_carries_its_seq(store: Fresh) {
    has_some(&store).await;
    for conversation in conversations() {
        let mut sent = Vec::new();
        for _ in 0..3 {
            let sender = if conversation == direct("b", "c") { "b" } else { "a" };
            sent.push(Event::MessageSent(store.send(message(sender, conversation.clone())).await));
        }
        let log: Vec<Event> = store.log_of(&conversation).await.into_iter().map(|entry| entry.event).collect();
        assert_eq!(log, sent);
    }
}

async fn positions_grow(store: Fresh) {
    has_some(&store).await;
    for round in 0..3 {
        for conversation in conversations() {
            let message = message("b", conversation);
            let second = if round == 1 { append(not_sent(message.clone())) } else { send(message.clone()) };
            store.write(vec![send(message), second]).await;
        }
    }
    let mut newest: HashMap<Shard, Position> = HashMap::new();
    let log = store.log().await;
    assert_eq!(log.len(), 3 * 2 * conversations().len());
    for entry in log {
        let before = newest.insert(entry.shard, entry.position);
        assert!(before.unwrap_or_default() < entry.position, "{before:?} is followed by {:?}", entry.position);
    }
}

async fn pages_follow_one_another(store: Fresh) {
    has_some(&store).await;
    for _ in 0..10 {
        store.send(message("a", direct("a", "b"))).await;
    }
    let all = store.log_of(&direct("a", "b")).await;
    let shard = all[0].shard;
    let positions: Vec<u64> = all.iter().map(|entry| entry.position.0).collect();
    assert_eq!(page(&store, shard, 0, 0).await, []);
    assert_eq!(page(&store, shard, 0, 1).await, all[..1]);
    assert_eq!(page(&store, shard, 0, 10).await, all);
    assert_eq!(page(&store, shard, 0, 11).await, all);
    assert_eq!(page(&store, shard, 0, usize::MAX).await, all);
    assert_eq!(page(&store, shard, positions[0] - 1, 3).await, all[..3]);
    assert_eq!(page(&store, shard, positions[0], 3).await, all[1..4]);
    assert_eq!(page(&store, shard, positions[8], 3).await, all[9..]);
    assert_eq!(page(&store, shard, positions[9], 3).await, []);
    for beyond in [positions[9] + 1, i64::MAX.unsigned_abs(), i64::MAX.unsigned_abs() + 1, u64::MAX] {
        assert_eq!(page(&store, shard, beyond, 3).await, [], "after {beyond}");
    }
    for size in 1..=10 {
        let (mut read, mut after) = (Vec::new(), 0);
        loop {
            let entries = page(&store, shard, after, size).await;
            let Some(last) = entries.last() else { break };
            after = last.position.0;
            read.extend(entries);
        }
        assert_eq!(read, all, "in pages of {size}");
    }
}

async fn every_event_is_in_one_shard_and_those_of_a_conversation_in_the_same(store: Fresh) {
    has_some(&store).await;
    for _ in 0..3 {
        for conversation in conversations() {
            store.write(vec![send(message("b", conversation.clone()))]).await;
            store.write(vec![append(not_sent(message("b", conversation)))]).await;
        }
        store.write(vec![append(group_changed("g")), append(group_changed("h"))]).await;
    }
    let mut shards: HashMap<Subject, Shard> = HashMap::new();
    let mut places = HashSet::new();
    let mut events = HashSet::new();
    for shard in store.shards() {
        for entry in page(&store, shard, 0, 1000).await {
            assert_eq!(entry.shard, shard);
            assert_eq!(*shards.entry(entry.event.subject()).or_insert(shard), shard, "{entry:?}");
            assert!(places.insert((shard, entry.position)));
            assert!(events.insert(entry.event.id()));
        }
    }
    assert_eq!(events.len(), 3 * (2 * conversations().len() + 2));
}

async fn what_is_no_event_is_not_logged(store: Fresh) {
    has_some(&store).await;
    store.write(vec![Write::AddBlocks { owner: "a".into(), targets: vec!["b".into()], now: Default::default() }]).await;
    let shard = store.shards()[0];
    store.save_cursor("app", shard, Position(1)).await.unwrap();
    assert_eq!(store.log().await, []);
}

/// The trap of databases that hand out positions before they commit: a reader who has seen position 8 never looks at 7
/// again, although 7 was committed later.
async fn a_reader_who_follows_the_head_misses_nothing(store: Fresh) {
    const WRITERS: usize = 64;
    const EACH: usize = 10;
    has_some(&store).await;
    let readers: Vec<_> = store.shards().into_iter().map(|shard| (shard, store.share())).collect();
    let (done, is_done) = tokio::sync::watch::channel(false);
    let readers: Vec<_> = readers
        .into_iter()
        .map(|(shard, store)| {
            let mut is_done = is_done.clone();
            tokio::spawn(async move {
                let (mut head, mut cursor, mut seen) = (store.head(shard), Position(0), Vec::<EventId>::new());
                loop {
                    head.borrow_and_update();
                    let is_last = *is_done.borrow_and_update();
                    while let Some(entries) =
                        store.log_after(shard, cursor, 7).await.ok().filter(|page| !page.is_empty())
                    {
                        cursor = entries.last().map_or(cursor, |entry| entry.position);
                        seen.extend(entries.iter().map(|entry| entry.event.id()));
                    }
                    if is_last {
                        return seen;
                    }
                    tokio::select! {
                        changed = head.changed() => changed.unwrap(),
                        changed = is_done.changed() => changed.unwrap(),
                    }
                }
            })
        })
        .collect();
    let sent = all_at_once(WRITERS, |writer| {
        let store = store.share();
        async move {
            let mut sent = Vec::new();
            for round in 0..EACH {
                let conversation = conversations().swap_remove((writer + round) % conversations().len());
                let message = message("b", conversation);
                sent.push(message.id);
                let write = if round % 3 == 0 { append(not_sent(message)) } else { send(message) };
                store.commit(changes(Vec::new(), vec![write])).await.unwrap();
            }
            sent
        }
    });
    let mut sent: Vec<EventId> = sent.await.into_iter().flatten().collect();
    done.send_replace(true);
    let mut seen = Vec::new();
    for reader in readers {
        seen.extend(reader.await.unwrap());
    }
    sent.sort();
    seen.sort();
    assert_eq!(sent.len(), WRITERS * EACH);
    assert!(seen == sent, "{} were sent and {} seen", sent.len(), seen.len());
}

async fn lane(store: &Fresh, conversation: &ConversationId, after: u64, up_to: u64, limit: usize) -> Vec<LogEntry> {
    Log::log_of(&**store, &conversation.clone().into(), Position(after), Position(up_to), limit).await.unwrap()
}

async fn a_conversation_is_read_alone_and_in_pages(store: Fresh) {
    has_some(&store).await;
    store.has_mixed(&["g", "h"], 40).await;
    let wanted = store.log_of(&in_group("g")).await;
    assert!(wanted.len() > 20);
    let last = wanted.last().unwrap().position.0;
    for limit in [1, 3, 7, 100] {
        let (mut read, mut after) = (Vec::new(), 0);
        loop {
            let page = lane(&store, &in_group("g"), after, last, limit).await;
            assert!(page.len() <= limit);
            let Some(entry) = page.last() else { break };
            after = entry.position.0;
            read.extend(page);
        }
        assert_eq!(read, wanted, "in pages of {limit}");
    }
    for (index, entry) in wanted.iter().enumerate() {
        let position = entry.position.0;
        assert_eq!(lane(&store, &in_group("g"), position, last, 100).await, wanted[index + 1..]);
        assert_eq!(lane(&store, &in_group("g"), 0, position, 100).await, wanted[..=index]);
        assert_eq!(lane(&store, &in_group("g"), position - 1, position, 100).await, wanted[index..=index]);
    }
}

async fn a_conversation_without_events_reads_as_empty(store: Fresh) {
    has_some(&store).await;
    for conversation in [in_group("g"), in_group("nobody's"), direct("a", "b"), direct("a", "nobody")] {
        assert_eq!(lane(&store, &conversation, 0, 1000, 10).await, []);
    }
}

async fn bounds_may_be_larger_than_any_position(store: Fresh) {
    has_some(&store).await;
    for _ in 0..3 {
        store.write(vec![send(message("a", in_group("g"))), append(group_changed("g"))]).await;
    }
    let all = store.log_of(&in_group("g")).await;
    let largest = i64::MAX.unsigned_abs();
    for far in [largest - 1, largest, largest + 1, u64::MAX] {
        assert_eq!(lane(&store, &in_group("g"), 0, far, 100).await, all, "up to {far}");
        assert_eq!(lane(&store, &in_group("g"), all[0].position.0, far, usize::MAX).await, all[1..], "up to {far}");
        assert_eq!(lane(&store, &in_group("g"), far, u64::MAX, 100).await, [], "after {far}");
        assert_eq!(lane(&store, &in_group("g"), far, 0, 100).await, [], "from {far} down");
    }
    assert_eq!(lane(&store, &in_group("g"), 0, u64::MAX, 0).await, []);
}

fn paused(endpoint: &str) -> Event {
    Event::EndpointPaused(EndpointPause {
        id: message("a", in_group("g")).id,
        endpoint: endpoint.into(),
        time: NOW,
        reason: "gone".into(),
        detail: "410 '\"".into(),
    })
}

async fn the_newest_come_first_before_a_position(store: Fresh) {
    has_some(&store).await;
    store.has_mixed(&["g", "h"], 40).await;
    let subject = in_group("g").into();
    let mut wanted = store.log_of(&in_group("g")).await;
    wanted.reverse();
    assert!(wanted.len() > 30);
    for limit in [1, 3, 7, 100] {
        let (mut read, mut before) = (Vec::new(), Position(u64::MAX));
        loop {
            let page = store.log_before(&subject, before, limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(entry) = page.last() else { break };
            assert!(entry.position < before, "it goes on");
            before = entry.position;
            read.extend(page);
        }
        assert_eq!(read, wanted, "in pages of {limit}");
    }
    for (index, entry) in wanted.iter().enumerate() {
        assert_eq!(store.log_before(&subject, entry.position, 100).await.unwrap(), wanted[index + 1..]);
        let next = Position(entry.position.0 + 1);
        assert_eq!(store.log_before(&subject, next, 2).await.unwrap()[0], *entry);
    }
    for (before, limit) in [(0, 100), (u64::MAX, 0)] {
        assert_eq!(store.log_before(&subject, Position(before), limit).await.unwrap(), []);
    }
    for subject in [in_group("nobody's"), direct("a", "b"), direct("a", "nobody")] {
        assert_eq!(store.log_before(&subject.into(), Position(u64::MAX), 10).await.unwrap(), []);
    }
}

async fn the_app_and_accounts_are_subjects_of_their_own(store: Fresh) {
    has_some(&store).await;
    for endpoint in ["one", "two", "three"] {
        store.write(vec![append(group_changed("g")), append(paused(endpoint))]).await;
    }
    let of = async |subject: &Subject| {
        let log = Log::log_of(&*store, subject, Position(0), Position(u64::MAX), 100).await.unwrap();
        let shard = store.shard_of(subject);
        assert!(store.shards().contains(&shard) && log.iter().all(|entry| entry.shard == shard));
        let mut newest_first = store.log_before(subject, Position(u64::MAX), 100).await.unwrap();
        newest_first.reverse();
        assert_eq!(newest_first, log);
        log
    };
    let app = of(&Subject::App).await;
    assert_eq!(app.len(), 3);
    assert_eq!(app, store.log_of_subject(&Subject::App).await);
    assert_eq!(of(&in_group("g").into()).await.len(), 3);
    // Of an account nothing has happened, nor of one that there is not; nor is it the group of that name.
    for account in ["a", "nobody", "g", ""] {
        assert_eq!(of(&Subject::Account(account.into())).await, []);
    }
    for (subject, account) in [(direct("a", "b"), "a"), (in_group("g"), "b")] {
        assert!(store.shards().contains(&store.shard_of(&subject.into())));
        assert!(store.shards().contains(&store.shard_of(&Subject::Account(account.into()))));
    }
}
