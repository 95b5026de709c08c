//! Large messages, and many.

use std::time::Instant;

use chat::element::Element;
use chat::event::Position;
use chat::message::Message;
use chat::port::{Changes, Write};
use webhook::ledger::Progress;

use crate::fixtures::{at, direct, for_ever, import, in_group, message, put, send};
use crate::ledger::lags;
use crate::places::{Database, move_all, owed, seen};

/// Pages are bounded by bytes, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages() {
    let (one, other, back) = (Database::sqlite(), Database::postgres(3).await, Database::sqlite());
    let store = one.open().await;
    store.has(&["a", "b", "c"]).await;
    for number in 0..40 {
        let text = "lorem ipsum é ".repeat(70_000);
        let sent = message("a", direct("a", if number % 2 == 0 { "b" } else { "c" }));
        store.write(vec![send(Message { elements: vec![Element::text(text)], ..sent })]).await;
        store.send(message("b", direct("a", "b"))).await;
    }
    let before = seen(&store).await;
    drop(store);
    move_all(&one, &other).await;
    move_all(&other, &back).await;
    assert!(seen(&back.open().await).await == before);
}

/// `RINGBACK_MESSAGES=1000000 cargo test --release -p store --test migrate -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; it takes minutes"]
async fn many_messages() {
    let messages: u64 = std::env::var("RINGBACK_MESSAGES").map_or(100_000, |count| count.parse().unwrap());
    let (one, other, back) = (Database::sqlite(), Database::postgres(16).await, Database::sqlite());
    let store = one.open().await;
    let accounts: Vec<String> = (0..10_000).map(|number| format!("user-{number:05}")).collect();
    for page in accounts.chunks(1000) {
        store.write(page.iter().map(|id| import(id)).collect()).await;
    }
    let groups: Vec<String> = (0..100).map(|number| format!("group-{number}")).collect();
    for group in &groups {
        store.write(vec![put(crate::fixtures::group(group))]).await;
        let ids: Vec<&str> = accounts.iter().step_by(100).map(String::as_str).collect();
        store.write(vec![Write::AddMembers(group.as_str().into(), crate::fixtures::members(&ids))]).await;
    }
    let mut number = 0;
    while number < messages {
        let mut writes = Vec::new();
        for _ in 0..1000 {
            number += 1;
            let sender = &accounts[(number * 7919 % 10_000) as usize];
            let conversation = match number % 4 {
                0 => in_group(&groups[(number * 31 % 100) as usize]),
                _ => direct(sender, &accounts[((number * 7919 + number % 10) % 10_000) as usize]),
            };
            let message = Message {
                time: at(number as i64),
                elements: vec![Element::text(format!("the quick brown fox jumps over the lazy dog, time {number}"))],
                ..message(sender, conversation)
            };
            let repeat = Some(for_ever(&number.to_string()));
            writes.push(Write::Send { message: Box::new(message), repeat, reads: false });
        }
        store.commit(Changes { assertions: Vec::new(), writes }).await.unwrap();
    }
    let cursor = Position(messages - messages / 10);
    for shard in store.shards() {
        let progress =
            Progress { cursor, behind: vec![(in_group(&groups[0]).into(), lags(messages / 2))], letters: Vec::new() };
        store.save_progress("app", shard, progress).await.unwrap();
    }
    let before = owed(&store, &["app"]).await;
    drop(store);
    for (words, from, to) in [("to PostgreSQL", &one, &other), ("and back", &other, &back)] {
        let begun = Instant::now();
        let summary = move_all(from, to).await;
        let took = begun.elapsed().as_secs_f64();
        println!("{words}: {messages} messages in {took:.1} s, {:.0}/s; {:?}", messages as f64 / took, summary.counts);
    }
    assert!(owed(&back.open().await, &["app"]).await == before);
}
