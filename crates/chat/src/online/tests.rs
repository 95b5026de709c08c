//! Who is given what.

use super::*;
use crate::conversation::ConversationId;
use crate::event::{Event, Position, Shard};
use crate::message::Message;

fn happening(number: u64) -> Arc<Happening> {
    let message = Message::sample("a", ConversationId::Group("g".into()));
    let (shard, position) = (Shard(0), Position(number));
    Arc::new(Happening::new(LogEntry { shard, position, event: Event::MessageSent(message), unread: None }))
}

fn connect(online: &Online, account: &str, platform: Platform) -> (Arc<Connection>, Outbox) {
    let (connection, outbox) = online.connect(account.into(), platform, String::new());
    online.know_groups(&connection, []);
    (connection, outbox)
}

/// The positions of what a connection was given, and what else.
fn given(outbox: &mut Outbox) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(given) = outbox.try_recv() {
        all.push(match given {
            Given::Happened(happening) => happening.entry.position.0.to_string(),
            Given::Presence(presence) => format!("{} {:?}", presence.account, presence.platforms),
            Given::Kicked => "kicked".to_owned(),
        });
    }
    all
}

#[test]
fn every_connection_of_an_account_is_given_the_same() {
    let online = Online::default();
    let (_one, mut first) = connect(&online, "a", Platform::Web);
    let (_other, mut second) = connect(&online, "a", Platform::Ios);
    let (_stranger, mut third) = connect(&online, "b", Platform::Web);
    online.give(&"a".into(), &happening(1));
    assert_eq!(
        (given(&mut first), given(&mut second), given(&mut third)),
        (vec!["1".into()], vec!["1".into()], vec![])
    );
}

#[test]
fn members_who_are_here_are_given_what_happens_in_a_group() {
    let online = Online::default();
    let (a, mut of_a) = online.connect("a".into(), Platform::Web, String::new());
    online.know_groups(&a, ["g".into(), "h".into()]);
    let (_b, mut of_b) = connect(&online, "b", Platform::Web);
    online.give_group(&"g".into(), &happening(1), |_| true);
    online.came(&"g".into(), &["b".into(), "elsewhere".into()]);
    online.give_group(&"g".into(), &happening(2), |_| true);
    online.give_group(&"g".into(), &happening(3), |member| member.as_str() == "a");
    online.left(&"g".into(), &["a".into()]);
    online.give_group(&"g".into(), &happening(4), |_| true);
    assert_eq!(given(&mut of_a), ["1", "2", "3"]);
    assert_eq!(given(&mut of_b), ["2", "4"]);
}

#[test]
fn who_leaves_while_the_groups_are_read_is_given_nothing_more() {
    let online = Online::default();
    let (connection, mut outbox) = online.connect("a".into(), Platform::Web, String::new());
    // What is read now still says that `a` is a member of `g`, of `h` again, and of `i`.
    online.left(&"g".into(), &["a".into()]);
    online.left(&"h".into(), &["a".into()]);
    online.came(&"h".into(), &["a".into()]);
    online.know_groups(&connection, ["g".into(), "h".into(), "i".into()]);
    for (number, group) in (1..).zip(["g", "h", "i"]) {
        online.give_group(&group.into(), &happening(number), |_| true);
    }
    assert_eq!(given(&mut outbox), ["2", "3"]);
    // Another connection may read it when `a` is back.
    online.came(&"g".into(), &["a".into()]);
    online.give_group(&"g".into(), &happening(4), |_| true);
    assert_eq!(given(&mut outbox), ["4"]);
}

#[tokio::test]
async fn one_that_does_not_keep_up_is_ended() {
    let online = Online::default();
    let (slow, mut outbox) = connect(&online, "a", Platform::Web);
    for number in 0..OUTBOX as u64 {
        online.give(&"a".into(), &happening(number));
    }
    assert!(tokio::time::timeout(std::time::Duration::ZERO, slow.ended()).await.is_err());
    online.give(&"a".into(), &happening(1000));
    tokio::time::timeout(std::time::Duration::from_secs(10), slow.ended()).await.expect("it is ended");
    assert_eq!(given(&mut outbox).len(), OUTBOX);
}

#[test]
fn watchers_hear_of_platforms_that_come_and_go() {
    let online = Online::default();
    let (watcher, mut outbox) = connect(&online, "w", Platform::Web);
    assert!(online.watch(&watcher, "a".into(), 1) && online.watch(&watcher, "a".into(), 1));
    assert!(!online.watch(&watcher, "b".into(), 1), "one is all that it may watch");
    let (first, _) = connect(&online, "a", Platform::Ios);
    let (second, _) = connect(&online, "a", Platform::Ios);
    let (third, _) = connect(&online, "a", Platform::Web);
    online.disconnect(&first);
    online.disconnect(&first);
    online.disconnect(&second);
    online.disconnect(&third);
    assert_eq!(given(&mut outbox), ["a [Ios]", "a [Ios, Web]", "a [Web]", "a []"]);
    online.unwatch(&watcher, &"a".into());
    connect(&online, "a", Platform::Ios);
    assert_eq!(given(&mut outbox), [""; 0]);
}

#[test]
fn nothing_is_left_of_those_who_are_gone() {
    let online = Online::default();
    let (a, _) = online.connect("a".into(), Platform::Web, String::new());
    online.know_groups(&a, ["g".into()]);
    let (b, _) = connect(&online, "b", Platform::Web);
    assert!(online.watch(&b, "a".into(), 1));
    assert_eq!(online.count(), 2);
    online.disconnect(&a);
    online.disconnect(&b);
    let state = online.read();
    assert!(state.accounts.is_empty() && state.groups.is_empty() && state.watchers.is_empty());
    assert_eq!(state.connections, 0);
}

#[test]
fn what_is_shown_is_made_once() {
    let happening = happening(1);
    let made = AtomicU64::new(0);
    let show = |entry: &LogEntry| {
        made.fetch_add(1, Ordering::Relaxed);
        entry.position.0
    };
    assert_eq!((*happening.shown(show), *happening.shown(show)), (1, 1));
    assert_eq!(made.into_inner(), 1);
    assert_eq!(&**happening.shown(|_| "another dialect's"), "another dialect's");
}
