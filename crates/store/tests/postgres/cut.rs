//! Connections that end at the worst moment: a commit is done once, or not at all, and its sender is told which.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat::event::{Position, Shard};
use chat::port::{CommitError, Log, Store};
use store::{Durable, Postgres};

use crate::home::Home;
use crate::ledger::Cursors;
use crate::proxy::{Deed, Message, Proxy, Seen};
use crate::{has_two, head, look, says, send, texts, timed, unavailable, unreadable, until, within};

cases! {
    a_commit_is_done_once_whichever_of_its_messages_is_the_last,
    a_commit_is_done_once_whichever_of_the_answers_is_the_last,
    a_commit_that_prepares_its_statements_is_done_once_too,
    a_commit_that_is_cut_is_answered_as_what_it_came_to,
    a_commit_that_is_cut_is_answered_when_the_database_is_back,
    a_writer_whose_row_is_gone_still_learns_what_became_of_a_commit,
    a_commit_of_which_nothing_can_be_learnt_is_there_once_after_a_retry,
    a_transaction_that_is_cut_each_time_is_given_up,
    reads_and_commits_after_all_connections_were_cut_go_on_at_once,
    a_read_that_is_cut_is_done_again,
    while_the_database_is_away_everybody_is_refused_at_once,
    the_heads_are_followed_again_when_the_database_is_back,
}

/// Whose messages are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Store,
    Server,
}

/// Cuts a connection at the so-manieth message after it began a transaction, once. Says whether there were so many.
fn cut_at(proxy: &Proxy, from: From, count: usize) -> Arc<AtomicBool> {
    let has_cut = Arc::new(AtomicBool::new(false));
    let (told, mut begun, mut passed) = (has_cut.clone(), None, 0);
    proxy.judge(move |seen| {
        let (message, sender) = match seen {
            Seen::Connection => return Deed::Pass,
            Seen::FromStore(message) => (message, From::Store),
            Seen::FromServer(message) => (message, From::Server),
        };
        if sender == From::Store && begun.is_none() && message.is_statement("BEGIN") {
            begun = Some(message.connection);
        }
        if begun != Some(message.connection) || sender != from {
            return Deed::Pass;
        }
        passed += 1;
        if passed != count {
            return Deed::Pass;
        }
        told.store(true, Ordering::SeqCst);
        Deed::Cut
    });
    has_cut
}

/// Cuts at the first, the second, the third message of a transaction, until none is left to cut at.
async fn cut_at_each(from: From, is_warm: bool) {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    let mut sent = Vec::new();
    for count in 1.. {
        if is_warm {
            // All statements are prepared by then.
            proxy.pass();
            sent.push(format!("before {count}"));
            assert_eq!(send(&store, sent.last().unwrap()).await.unwrap(), sent.len() as u64);
        }
        let has_cut = cut_at(&proxy, from, count);
        sent.push(count.to_string());
        assert_eq!(send(&store, &count.to_string()).await.unwrap(), sent.len() as u64, "cut at message {count}");
        if !has_cut.load(Ordering::SeqCst) {
            assert!(count > 10, "a transaction has more messages than {count}");
            break;
        }
    }
    assert_eq!(texts(&store).await, sent);
}

async fn a_commit_is_done_once_whichever_of_its_messages_is_the_last() {
    cut_at_each(From::Store, true).await;
}

async fn a_commit_is_done_once_whichever_of_the_answers_is_the_last() {
    cut_at_each(From::Server, true).await;
}

async fn a_commit_that_prepares_its_statements_is_done_once_too() {
    cut_at_each(From::Store, false).await;
}

/// What becomes of a `COMMIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It never gets to PostgreSQL.
    Lost,
    /// It is done, and the answer never gets to the store.
    Done,
    /// It is on its way when the connection ends.
    OnItsWay,
}

impl Fate {
    /// What is to be done with a message, if this is the fate of a `COMMIT`.
    fn of(self, seen: Seen<'_>) -> Option<Deed> {
        match seen {
            Seen::FromStore(message) if self == Self::Lost && message.is_statement("COMMIT") => Some(Deed::Cut),
            Seen::FromStore(message) if self == Self::OnItsWay && message.is_statement("COMMIT") => {
                Some(Deed::CutAfter)
            }
            Seen::FromServer(message) if self == Self::Done && message.is_done("COMMIT") => Some(Deed::Cut),
            _ => None,
        }
    }

    /// Has it happen to the first `COMMIT`, once.
    fn first(self, has_happened: &AtomicBool, seen: Seen<'_>) -> Deed {
        match self.of(seen) {
            Some(deed) if !has_happened.swap(true, Ordering::SeqCst) => deed,
            _ => Deed::Pass,
        }
    }
}

const FATES: [Fate; 3] = [Fate::Lost, Fate::Done, Fate::OnItsWay];

async fn a_commit_that_is_cut_is_answered_as_what_it_came_to() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = Arc::new(home.open_through(&proxy).await);
    has_two(&store).await;
    for (round, fate) in FATES.into_iter().enumerate() {
        let has_cut = Arc::new(AtomicBool::new(false));
        let told = has_cut.clone();
        proxy.judge(move |seen| fate.first(&told, seen));
        // Several of them, in one transaction or two.
        let mut sending = tokio::task::JoinSet::new();
        for number in 0..10 {
            let store = store.clone();
            sending.spawn(async move { send(&store, &format!("{fate:?} {number}")).await.unwrap() });
        }
        let mut seqs = sending.join_all().await;
        seqs.sort_unstable();
        let first = round as u64 * 11 + 1;
        assert_eq!(seqs, (first..first + 10).collect::<Vec<_>>(), "{fate:?}");
        assert!(has_cut.load(Ordering::SeqCst));
        assert_eq!(send(&store, &format!("after {fate:?}")).await.unwrap(), first + 10);
        let head = *store.head(shard_of(&store).await).borrow();
        assert_eq!(head, Position(first + 10), "the head has moved on with what was cut");
    }
    assert_eq!(texts(&store).await.len(), 33);
}

async fn shard_of(store: &Postgres) -> Shard {
    let mut logs = Vec::new();
    for shard in store.shards() {
        logs.extend(store.log_after(shard, Position(0), 1).await.unwrap());
    }
    logs[0].shard
}

/// The connection comes back only after a while, and is lost while it is asked about the commit.
async fn a_commit_that_is_cut_is_answered_when_the_database_is_back() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    for (round, fate) in FATES.into_iter().enumerate() {
        let (is_cut, mut refused, mut asked) = (AtomicBool::new(false), 0, 0);
        proxy.judge(move |seen| {
            let is_over = is_cut.load(Ordering::SeqCst);
            match seen {
                Seen::Connection if is_over && refused < 5 => {
                    refused += 1;
                    Deed::Cut
                }
                Seen::FromStore(message) if is_over && asked < 3 && message.is_statement("BEGIN") => {
                    asked += 1;
                    Deed::Cut
                }
                seen => fate.first(&is_cut, seen),
            }
        });
        assert_eq!(send(&store, &format!("{fate:?}")).await.unwrap(), round as u64 + 1, "{fate:?}");
    }
    assert_eq!(texts(&store).await, ["Lost", "Done", "OnItsWay"]);
}

/// Rows of writers that have long been idle are nobody's any more, and are removed by whoever opens the store next.
async fn a_writer_whose_row_is_gone_still_learns_what_became_of_a_commit() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    for (round, fate) in FATES.into_iter().enumerate() {
        home.sql("DELETE FROM writer").await;
        let is_cut = AtomicBool::new(false);
        proxy.judge(move |seen| fate.first(&is_cut, seen));
        assert_eq!(send(&store, &format!("{fate:?}")).await.unwrap(), round as u64 + 1, "{fate:?}");
    }
    assert_eq!(texts(&store).await, ["Lost", "Done", "OnItsWay"]);
}

/// It cannot be learnt in time what became of it. The sender is told so, and sends it again: it is there once.
async fn is_not_known(fate: Fate) {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    send(&store, "before").await.unwrap();
    let is_cut = AtomicBool::new(false);
    proxy.judge(move |seen| match seen {
        Seen::Connection if is_cut.load(Ordering::SeqCst) => Deed::Cut,
        seen => fate.first(&is_cut, seen),
    });
    let (time, result) = timed(send(&store, "text")).await;
    says(&unavailable(result), &["lost during a commit", "not known", "send again with the same client id"]);
    assert!(time < Duration::from_secs(7), "{time:?}");
    let (time, result) = timed(send(&store, "text")).await;
    says(&unavailable(result), &["is away", &home.address().0]);
    assert!(time < Duration::from_millis(100), "{time:?}");

    proxy.pass();
    until("the store works again", async || store.ready().await.is_ok()).await;
    match (fate, send(&store, "text").await) {
        (Fate::Lost, Ok(seq)) => assert_eq!(seq, 2),
        (Fate::Done | Fate::OnItsWay, Err(CommitError::Repeat(first))) => {
            assert_eq!((first.seq, first.elements[0].readable()), (2, "text"));
        }
        (fate, result) => panic!("{fate:?}: {result:?}"),
    }
    assert_eq!(send(&store, "after").await.unwrap(), 3);
    assert_eq!(texts(&store).await, ["before", "text", "after"]);
}

async fn a_commit_of_which_nothing_can_be_learnt_is_there_once_after_a_retry() {
    tokio::join!(is_not_known(Fate::Lost), is_not_known(Fate::Done), is_not_known(Fate::OnItsWay));
}

/// A failure that is there each time must not keep the senders waiting for ever.
async fn a_transaction_that_is_cut_each_time_is_given_up() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    // What says how far the writer is passes.
    let mut has_written = None;
    proxy.judge(move |seen| match seen {
        Seen::FromStore(message) if message.kind == 'P' && contains(message, b"INSERT INTO event") => {
            has_written = Some(message.connection);
            Deed::Pass
        }
        Seen::FromStore(message) if message.is_statement("COMMIT") && has_written == Some(message.connection) => {
            Deed::Cut
        }
        _ => Deed::Pass,
    });
    unavailable(within(Duration::from_secs(8), "a hopeless commit", send(&store, "text")).await);
    proxy.pass();
    until("the store works again", async || store.ready().await.is_ok()).await;
    assert_eq!(send(&store, "text").await.unwrap(), 1);
}

fn contains(message: Message<'_>, part: &[u8]) -> bool {
    message.body.windows(part.len()).any(|window| window == part)
}

async fn reads_and_commits_after_all_connections_were_cut_go_on_at_once() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    for round in 1..=3 {
        proxy.cut();
        assert_eq!(store.accounts(&["a".into(), "b".into()]).await.unwrap().len(), 2);
        proxy.cut();
        assert_eq!(send(&store, &round.to_string()).await.unwrap(), round);
        proxy.cut();
        store.save_cursor("app", Shard(0), Position(round)).await.unwrap();
        assert_eq!(store.told("app", Shard(0)).await.unwrap(), Some(Position(round)));
        proxy.cut();
        store.ready().await.unwrap();
    }
}

/// Reading twice does no harm: one cut is not noticed, wherever it is.
async fn a_read_that_is_cut_is_done_again() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    send(&store, "text").await.unwrap();
    for is_store in [true, false] {
        for count in 1.. {
            // There is a connection by then.
            proxy.pass();
            head(&store).await.unwrap();
            let has_cut = Arc::new(AtomicBool::new(false));
            let (told, mut connection, mut passed) = (has_cut.clone(), None, 0);
            proxy.judge(move |seen| {
                let (message, from_store) = match seen {
                    Seen::Connection => return Deed::Pass,
                    Seen::FromStore(message) => (message, true),
                    Seen::FromServer(message) => (message, false),
                };
                if from_store != is_store || *connection.get_or_insert(message.connection) != message.connection {
                    return Deed::Pass;
                }
                passed += 1;
                if passed != count {
                    return Deed::Pass;
                }
                told.store(true, Ordering::SeqCst);
                Deed::Cut
            });
            assert_eq!(head(&store).await.unwrap(), 1, "cut at message {count}");
            if !has_cut.load(Ordering::SeqCst) {
                assert!(count > 2);
                break;
            }
        }
    }
}

async fn while_the_database_is_away_everybody_is_refused_at_once() {
    let home = Home::new().await;
    let mut proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    let mut sent = Vec::new();
    for round in 0..2 {
        sent.push(format!("{round}: before"));
        send(&store, sent.last().unwrap()).await.unwrap();
        proxy.go_away().await;
        // Whoever notices it first: a commit or a read.
        match round {
            0 => says(&unavailable(send(&store, "lost").await), &["is away"]),
            _ => says(&unreadable(store.accounts(&["a".into()]).await), &["is away"]),
        }
        for _ in 0..20 {
            let at_once = async {
                says(&unavailable(send(&store, "lost").await), &["PostgreSQL at 127.0.0.1", "is away"]);
                says(&unavailable(look(&store).await), &["is away"]);
                says(&unreadable(store.accounts(&["a".into()]).await), &["is away"]);
                says(&unreadable(head(&store).await), &["is away"]);
                says(&unreadable(store.told("app", Shard(0)).await), &["is away"]);
                says(&unreadable(store.save_cursor("app", Shard(0), Position(1)).await), &["is away"]);
                says(&unreadable(store.ready().await), &["is away", "refused"]);
            };
            let (time, ()) = timed(at_once).await;
            assert!(time < Duration::from_millis(100), "{time:?}");
        }
        proxy.come_back().await;
        until("the store works again", async || store.ready().await.is_ok()).await;
        sent.push(format!("{round}: after"));
        send(&store, sent.last().unwrap()).await.unwrap();
        assert_eq!(texts(&store).await, sent);
    }
}

/// What others commit is seen again, too.
async fn the_heads_are_followed_again_when_the_database_is_back() {
    let home = Home::new().await;
    let mut proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    let other = home.open().await;
    has_two(&other).await;
    let heads: Vec<_> = store.shards().into_iter().map(|shard| store.head(shard)).collect();
    let moved = async |seq| {
        let positions = || heads.iter().map(|head| head.borrow().0).max().unwrap();
        until("the head moves", async || positions() == seq).await;
    };
    assert_eq!(send(&other, "1").await.unwrap(), 1);
    moved(1).await;
    proxy.go_away().await;
    unreadable(store.accounts(&["a".into()]).await);
    assert_eq!(send(&other, "2").await.unwrap(), 2);
    proxy.come_back().await;
    moved(2).await;
    assert_eq!(texts(&store).await, ["1", "2"]);
}
