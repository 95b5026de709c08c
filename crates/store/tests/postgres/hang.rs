//! A database that does not answer: everything is given up in its time, and works again when it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat::event::{Position, Shard};
use chat::port::CommitError;
use store::Durable;
use store::postgres::Settings;

use crate::home::{Home, one_writer, open};
use crate::ledger::Cursors;
use crate::proxy::{Deed, Proxy, Seen};
use crate::{has_two, head, look, says, send, texts, timed, unavailable, unreadable, until, within};

cases! {
    a_database_that_hangs_is_away_until_new_connections_work,
    old_connections_that_lead_nowhere_are_not_tried_again,
    a_read_that_nobody_waits_for_any_more_leaves_no_connection_behind,
    a_database_that_accepts_connections_and_says_nothing_is_away,
    late_answers_are_not_mistaken_for_others,
    a_commit_that_hangs_is_answered_as_what_it_came_to,
    a_commit_that_hangs_for_good_is_there_once_after_a_retry,
    a_shard_that_somebody_holds_is_waited_for_and_then_not,
}

/// A commit has 5 s before its `COMMIT`, a read 10 s; the rest is for a slow machine.
const COMMIT: Duration = Duration::from_secs(7);
const READ: Duration = Duration::from_secs(12);

/// Nothing passes any more, in old connections and in new ones. Then new ones work; the old ones never do.
async fn a_database_that_hangs_is_away_until_new_connections_work() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    send(&store, "before").await.unwrap();
    proxy.freeze();
    let (commit, read) =
        tokio::join!(within(COMMIT, "a commit", send(&store, "lost")), within(READ, "a read", head(&store)),);
    says(&unavailable(commit), &["is away", "did not answer within 5s"]);
    unreadable(read);
    // From the first failure on nobody waits.
    let at_once = async {
        says(&unavailable(send(&store, "lost").await), &["is away"]);
        says(&unreadable(head(&store).await), &["is away"]);
        says(&unreadable(store.told("app", Shard(0)).await), &["is away"]);
        says(&unreadable(store.ready().await), &["is away"]);
    };
    let (time, ()) = timed(at_once).await;
    assert!(time < Duration::from_millis(100), "{time:?}");

    proxy.thaw_new_ones();
    until("the store works again", async || store.ready().await.is_ok()).await;
    assert_eq!(send(&store, "after").await.unwrap(), 2);
    assert_eq!(texts(&store).await, ["before", "after"]);
}

/// Old connections lead nowhere any more, as when an address was given to another machine; new ones work. Readers do
/// not try the old ones one after the other.
async fn old_connections_that_lead_nowhere_are_not_tried_again() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = open(&Settings { connections: 8, ..one_writer(home.url_through(&proxy)) }).await;
    has_two(&store).await;
    let read_all = async || {
        let reads = [(); 8].map(|()| head(&store));
        let [a, b, c, d, e, f, g, h] = reads;
        tokio::join!(a, b, c, d, e, f, g, h)
    };
    read_all().await.7.unwrap();
    proxy.freeze();
    unavailable(within(COMMIT, "a commit", send(&store, "lost")).await);
    proxy.thaw_new_ones();
    until("the store works again", async || store.ready().await.is_ok()).await;
    let (a, b, c, d, e, f, g, h) = within(Duration::from_secs(3), "reading", read_all()).await;
    for read in [a, b, c, d, e, f, g, h] {
        assert_eq!(read.unwrap(), 0);
    }
}

/// Whoever asked has hung up while the database did not answer. Its connection, with the answer still to come, is not given
/// to the next one. (The other one is for who follows the heads.)
async fn a_read_that_nobody_waits_for_any_more_leaves_no_connection_behind() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = open(&Settings { connections: 2, ..one_writer(home.url_through(&proxy)) }).await;
    has_two(&store).await;
    head(&store).await.unwrap();
    proxy.freeze();
    assert!(tokio::time::timeout(Duration::from_millis(100), head(&store)).await.is_err(), "nothing passes");
    proxy.thaw_new_ones();
    assert_eq!(within(Duration::from_secs(3), "the next read", head(&store)).await.unwrap(), 0);
}

/// Connections are lost, and new ones are accepted by somebody who says nothing.
async fn a_database_that_accepts_connections_and_says_nothing_is_away() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    proxy.judge(|seen| if let Seen::Connection = seen { Deed::Hang } else { Deed::Pass });
    proxy.cut();
    let (commit, read, ready) = tokio::join!(
        within(COMMIT, "a commit", send(&store, "lost")),
        within(READ, "a read", head(&store)),
        within(COMMIT, "whether it is ready", store.ready()),
    );
    says(&unavailable(commit), &["is away"]);
    unreadable(read);
    unreadable(ready);

    proxy.pass();
    until("the store works again", async || store.ready().await.is_ok()).await;
    assert_eq!(send(&store, "text").await.unwrap(), 1);
}

/// The answer comes late, after it was given up: it is nobody else's.
async fn late_answers_are_not_mistaken_for_others() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    send(&store, "before").await.unwrap();
    proxy.freeze();
    unavailable(within(COMMIT, "a commit", send(&store, "text")).await);
    proxy.thaw();
    until("the store works again", async || store.ready().await.is_ok()).await;
    assert_eq!(send(&store, "text").await.unwrap(), 2, "it was never committed");
    assert_eq!(texts(&store).await, ["before", "text"]);
}

/// Of the `COMMIT` or of its answer nothing is heard any more, and the connection stays.
async fn is_resolved(is_done: bool) {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    send(&store, "before").await.unwrap();
    let hangs = Arc::new(AtomicBool::new(false));
    let told = hangs.clone();
    proxy.judge(move |seen| {
        let is_it = match seen {
            Seen::FromServer(message) => is_done && message.is_done("COMMIT"),
            Seen::FromStore(message) => !is_done && message.is_statement("COMMIT"),
            Seen::Connection => false,
        };
        if is_it && !told.swap(true, Ordering::SeqCst) { Deed::Hang } else { Deed::Pass }
    });
    // 5 s for the `COMMIT`, and then it is looked at.
    assert_eq!(within(Duration::from_secs(10), "a commit", send(&store, "text")).await.unwrap(), 2);
    assert!(hangs.load(Ordering::SeqCst));
    assert_eq!(send(&store, "after").await.unwrap(), 3);
    assert_eq!(texts(&store).await, ["before", "text", "after"]);
}

async fn a_commit_that_hangs_is_answered_as_what_it_came_to() {
    tokio::join!(is_resolved(true), is_resolved(false));
}

/// ... and nothing can be learnt about it, because new connections hang as well.
async fn a_commit_that_hangs_for_good_is_there_once_after_a_retry() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let store = home.open_through(&proxy).await;
    has_two(&store).await;
    let mut hangs = false;
    proxy.judge(move |seen| match seen {
        Seen::FromServer(message) if message.is_done("COMMIT") => {
            hangs = true;
            Deed::Hang
        }
        Seen::Connection if hangs => Deed::Hang,
        _ => Deed::Pass,
    });
    let result = within(Duration::from_secs(12), "a commit", send(&store, "text")).await;
    says(&unavailable(result), &["not known"]);
    proxy.pass();
    until("the store works again", async || store.ready().await.is_ok()).await;
    match send(&store, "text").await {
        Err(CommitError::Repeat(first)) => assert_eq!(first.seq, 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(texts(&store).await, ["text"]);
}

/// A process that was stopped in the middle of a transaction, say. Others do not wait for ever, and nothing is lost.
async fn a_shard_that_somebody_holds_is_waited_for_and_then_not() {
    let home = Home::new().await;
    let store = home.open().await;
    has_two(&store).await;
    let holder = home.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM log_shard FOR UPDATE").await.unwrap();
    let (commit, read) =
        tokio::join!(within(COMMIT, "a commit", send(&store, "text")), within(COMMIT, "a read", head(&store)),);
    says(&unavailable(commit), &["lock timeout"]);
    // Nobody is left waiting in the server.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))";
    assert_eq!(holder.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(read.unwrap(), 0, "reading waits for nobody");
    holder.batch_execute("COMMIT").await.unwrap();
    until("the store works again", async || look(&store).await.is_ok()).await;
    assert_eq!(send(&store, "text").await.unwrap(), 1);
    store.save_cursor("app", Shard(0), Position(1)).await.unwrap();
}
