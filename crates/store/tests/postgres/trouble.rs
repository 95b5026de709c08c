//! Trouble in the server itself, made with its own means.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chat::conversation::ConversationId;
use chat::group::GroupStatus;
use chat::id::Seq;
use chat::port::{Assertion, Changes, CommitError, Store, Write};
use store::postgres::Settings;
use store::{Durable, Postgres};

use crate::home::{Home, one_writer, open};
use crate::order::{Gate, MARK};
use crate::proxy::{Deed, Proxy, Seen};
use crate::{
    changes, has_two, head, import, look, message, plain, says, send, texts, timed, unavailable, unreadable, until,
    within,
};

cases! {
    all_connections_are_ended_again_and_again_under_load,
    a_conflict_is_tried_again_and_in_the_end_given_up,
    a_commit_that_fails_at_its_end_is_tried_again_or_given_up,
    a_full_disk_is_said_and_passes,
    a_database_that_became_read_only_is_away_until_it_takes_writes,
    transactions_that_became_read_only_are_refused_until_they_are_not,
    a_transaction_that_idles_too_long_is_ended_and_tried_again,
    the_isolation_that_a_database_prefers_does_not_matter,
    commits_are_durable_whatever_a_user_is_set_to,
    a_log_that_has_gone_back_is_not_used_until_a_restart,
    what_postgresql_refuses_is_refused_alone,
    a_server_with_too_many_connections_is_said,
    whoever_gets_no_connection_for_reading_is_told_so,
}

/// Sends a text until it is sent, as a client with patience does. Its seq, and whether it was sent before.
async fn send_at_last(store: &Postgres, text: &str) -> Seq {
    loop {
        match send(store, text).await {
            Ok(seq) => return seq,
            Err(CommitError::Repeat(first)) => return first.seq,
            Err(CommitError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn all_connections_are_ended_again_and_again_under_load() {
    const SENDERS: usize = 8;
    const EACH: usize = 60;
    let home = Home::new().await;
    let store = Arc::new(open(&Settings { writers: 2, connections: 4, ..one_writer(home.url()) }).await);
    has_two(&store).await;
    let done = Arc::new(AtomicUsize::new(0));
    let mut sending = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let (store, done) = (store.clone(), done.clone());
        sending.spawn(async move {
            let mut seqs = HashMap::new();
            for number in 0..EACH {
                let text = format!("{sender}.{number}");
                seqs.insert(send_at_last(&store, &text).await, text);
                done.fetch_add(1, Ordering::SeqCst);
            }
            seqs
        });
    }
    for round in 1..8 {
        until("some are sent", async || done.load(Ordering::SeqCst) >= round * SENDERS * EACH / 8).await;
        until("there are connections to end", async || home.end_connections().await > 0).await;
    }
    let answered: HashMap<Seq, String> = sending.join_all().await.into_iter().flatten().collect();
    let texts = texts(&store).await;
    assert_eq!(texts.len(), SENDERS * EACH);
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(answered.get(&(index as Seq + 1)), Some(text));
    }
}

/// Raises an error at the first rows that come into the log: a sequence counts also what is rolled back.
async fn fails(home: &Home, code: &str, times: u32) {
    home.sql("DROP SEQUENCE IF EXISTS failures; CREATE SEQUENCE failures").await;
    let raise =
        format!("IF nextval('failures') <= {times} THEN RAISE 'made to fail' USING ERRCODE = '{code}'; END IF;");
    home.before_insert("event", "true", &raise).await;
}

async fn a_conflict_is_tried_again_and_in_the_end_given_up() {
    let home = Home::new().await;
    let store = home.open().await;
    has_two(&store).await;
    let mut sent = Vec::new();
    // A serialization failure, a deadlock. (A lock that was not to be had has been waited for.)
    for code in ["40001", "40P01"] {
        for times in 1..=3 {
            fails(&home, code, times).await;
            sent.push(format!("{code} {times}"));
            assert_eq!(send(&store, sent.last().unwrap()).await.unwrap(), sent.len() as Seq);
        }
        fails(&home, code, 1_000).await;
        let (time, refused) = timed(send(&store, "given up")).await;
        says(&unavailable(refused), &["made to fail", code]);
        assert!(time < Duration::from_secs(2), "{time:?}");
        store.accounts(&["a".into()]).await.unwrap();
        home.nothing_before_insert("event").await;
        sent.push(format!("after {code}"));
        assert_eq!(send(&store, sent.last().unwrap()).await.unwrap(), sent.len() as Seq);
    }
    assert_eq!(texts(&store).await, sent);
}

/// At `COMMIT` itself, where an error may leave open what happened.
async fn a_commit_that_fails_at_its_end_is_tried_again_or_given_up() {
    let home = Home::new().await;
    let store = home.open().await;
    has_two(&store).await;
    let fails = async |code: &str, times: u32| {
        home.sql(&format!(
            "DROP SEQUENCE IF EXISTS failures; CREATE SEQUENCE failures;
             CREATE OR REPLACE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('failures') <= {times} THEN RAISE 'made to fail' USING ERRCODE = '{code}'; END IF;
                RETURN NULL;
             END $$;
             DROP TRIGGER IF EXISTS at_commit ON event;
             CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION at_commit();"
        ))
        .await;
    };
    let mut sent = Vec::new();
    for code in ["40001", "XX000", "58030"] {
        fails(code, 2).await;
        sent.push(format!("{code} twice"));
        let sending = send(&store, sent.last().unwrap());
        assert_eq!(within(Duration::from_secs(5), code, sending).await.unwrap(), sent.len() as Seq);
        fails(code, 1_000_000).await;
        match within(Duration::from_secs(5), code, send(&store, "given up")).await {
            Err(CommitError::Unavailable(fault) | CommitError::Fault(fault)) => {
                says(&fault.to_string(), &["made to fail", code]);
            }
            other => panic!("{other:?}"),
        }
        home.sql("DROP TRIGGER at_commit ON event").await;
        sent.push(format!("after {code}"));
        assert_eq!(send_at_last(&store, sent.last().unwrap()).await, sent.len() as Seq);
    }
    assert_eq!(texts(&store).await, sent);
}

async fn a_full_disk_is_said_and_passes() {
    let home = Home::new().await;
    let store = home.open().await;
    has_two(&store).await;
    send(&store, "before").await.unwrap();
    home.before_insert("event", "true", "RAISE 'No space left on device' USING ERRCODE = '53100';").await;
    for _ in 0..3 {
        let (time, refused) = timed(send(&store, "text")).await;
        says(&unavailable(refused), &["No space left on device", "53100"]);
        assert!(time < Duration::from_secs(1), "{time:?}");
        assert_eq!(texts(&store).await, ["before"], "what was answered can be read");
        look(&store).await.unwrap();
    }
    home.nothing_before_insert("event").await;
    assert_eq!(send(&store, "text").await.unwrap(), 2);
}

/// As a failover leaves it, or an operator: those who are connected are sent away, and who comes may only read.
async fn a_database_that_became_read_only_is_away_until_it_takes_writes() {
    let home = Home::new().await;
    let user = home.make_user("ALL").await;
    let store = open(&one_writer(home.url_as(&user))).await;
    has_two(&store).await;
    send(&store, "before").await.unwrap();
    home.sql(&format!("ALTER ROLE {user} SET default_transaction_read_only = on")).await;
    home.end_connections().await;
    for _ in 0..3 {
        says(&unavailable(send(&store, "text").await), &["does not allow writes"]);
        says(&unreadable(store.ready().await), &["does not allow writes"]);
    }
    home.sql(&format!("ALTER ROLE {user} RESET default_transaction_read_only")).await;
    until("the store works again", async || store.ready().await.is_ok()).await;
    assert_eq!(send(&store, "text").await.unwrap(), 2);
}

/// ... and those who are connected stay.
async fn transactions_that_became_read_only_are_refused_until_they_are_not() {
    let home = Home::new().await;
    let store = home.open().await;
    has_two(&store).await;
    home.before_insert("event", "true", "RAISE 'cannot write now' USING ERRCODE = '25006';").await;
    says(&unavailable(send(&store, "text").await), &["cannot write now", "25006"]);
    store.accounts(&["a".into()]).await.unwrap();
    home.nothing_before_insert("event").await;
    assert_eq!(send(&store, "text").await.unwrap(), 1);
}

/// A writer whose process stands still in the middle of a transaction is sent away by the server; its commit is tried
/// again.
async fn a_transaction_that_idles_too_long_is_ended_and_tried_again() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let url = format!("{}%20-cidle_in_transaction_session_timeout%3D200ms", home.url_through(&proxy));
    let store = open(&one_writer(url)).await;
    has_two(&store).await;
    // The first `COMMIT` does not get through; PostgreSQL's farewell does.
    let mut is_first = true;
    let is_said = Arc::new(AtomicBool::new(false));
    let says = is_said.clone();
    proxy.judge(move |seen| match seen {
        Seen::FromStore(message) if is_first && message.is_statement("COMMIT") => {
            is_first = false;
            Deed::Hang
        }
        Seen::FromServer(message) if message.kind == 'E' => {
            assert!(message.body.windows(5).any(|code| code == b"25P03"));
            says.store(true, Ordering::SeqCst);
            Deed::Pass
        }
        _ => Deed::Pass,
    });
    assert_eq!(within(Duration::from_secs(3), "a commit", send(&store, "text")).await.unwrap(), 1);
    assert!(is_said.load(Ordering::SeqCst));
    assert_eq!(texts(&store).await, ["text"]);
}

/// Whatever the database's own ways are, what is read under a lock is as new as the lock.
async fn the_isolation_that_a_database_prefers_does_not_matter() {
    for isolation in ["repeatable read", "serializable"] {
        let home = Home::new().await;
        let user = home.make_user("ALL").await;
        home.sql(&format!("ALTER ROLE {user} SET default_transaction_isolation = '{isolation}'")).await;
        let store = Arc::new(open(&one_writer(home.url_as(&user))).await);
        let other = open(&one_writer(home.url_as(&user))).await;
        has_two(&store).await;
        let mut group = plain::group("g");
        store.commit(changes(vec![Write::PutGroup(Box::new(group.clone()))])).await.unwrap();

        // A group is dissolved, in a transaction that stands still. A message that asserts that it is open waits for it.
        let gate = Gate::closed(&home, "chat_group").await;
        group.status = GroupStatus::Dissolved;
        group.profile.name = MARK.into();
        let dissolving = tokio::spawn({
            let store = store.clone();
            async move { store.commit(changes(vec![Write::PutGroup(Box::new(group))])).await.unwrap() }
        });
        home.until_waiting(&["advisory"], 1).await;
        let mut late = message("too late");
        late.conversation = ConversationId::Group("g".into());
        let send = Write::Send { message: Box::new(late), repeat: None, reads: false };
        let assertions = vec![Assertion::GroupOpen("g".into())];
        let sending = tokio::spawn(async move { other.commit(Changes { assertions, writes: vec![send] }).await });
        home.until_waiting(&["transactionid"], 1).await;
        gate.open().await;
        dissolving.await.unwrap();
        let result = sending.await.unwrap();
        assert!(matches!(result, Err(CommitError::Broken(_))), "{isolation}: {result:?}");
    }
}

/// Acknowledged is on disk, also for a user or a database that is set to something faster.
async fn commits_are_durable_whatever_a_user_is_set_to() {
    let home = Home::new().await;
    let user = home.make_user("ALL").await;
    home.sql(&format!("ALTER ROLE {user} SET synchronous_commit = off")).await;
    let store = open(&one_writer(home.url_as(&user))).await;
    has_two(&store).await;
    let check = "IF current_setting('synchronous_commit') <> 'on' THEN RAISE 'it would not be durable'; END IF;";
    home.before_insert("event", "true", check).await;
    assert_eq!(send(&store, "text").await.unwrap(), 1);
}

/// A backup was restored, or a standby took over that did not have everything. Positions would be used a second time,
/// which readers have passed.
async fn a_log_that_has_gone_back_is_not_used_until_a_restart() {
    for is_commit_first in [true, false] {
        let home = Home::new().await;
        let store = home.open().await;
        has_two(&store).await;
        for text in ["1", "2", "3"] {
            send(&store, text).await.unwrap();
        }
        home.sql(
            "UPDATE log_shard SET head = head - 1 WHERE head > 0; UPDATE conversation SET head = head - 1;
             DELETE FROM event WHERE position = 3",
        )
        .await;
        if is_commit_first {
            says(&unavailable(send(&store, "4").await), &["has lost what was acknowledged", "restart"]);
        }
        // Whoever only reads notices it soon.
        until("it is noticed", async || store.ready().await.is_err()).await;
        says(&unreadable(store.ready().await), &["has lost what was acknowledged"]);
        says(&unreadable(store.accounts(&["a".into()]).await), &["has lost what was acknowledged"]);
        says(&unavailable(send(&store, "4").await), &["has lost what was acknowledged"]);
        drop(store);
        let store = home.open().await;
        assert_eq!(send(&store, "4").await.unwrap(), 3);
        assert_eq!(texts(&store).await, ["1", "2", "4"]);
    }
}

/// Ids with NUL are none in PostgreSQL. Whoever wants to store one harms nobody but himself.
async fn what_postgresql_refuses_is_refused_alone() {
    let home = Home::new().await;
    let store = Arc::new(home.open().await);
    has_two(&store).await;
    let holder = home.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM log_shard FOR UPDATE").await.unwrap();
    let first = tokio::spawn({
        let store = store.clone();
        async move { send(&store, "first").await.unwrap() }
    });
    home.until_waiting(&["transactionid"], 1).await;
    // These come together, in the next transaction.
    let mut together = tokio::task::JoinSet::new();
    for number in 0..20 {
        let store = store.clone();
        together.spawn(async move {
            match number % 4 {
                0 => store.commit(changes(vec![import(&format!("{number}\0"))])).await.is_ok(),
                _ => send(&store, &number.to_string()).await.is_ok(),
            }
        });
    }
    holder.batch_execute("COMMIT").await.unwrap();
    first.await.unwrap();
    let done = together.join_all().await.into_iter().filter(|done| *done).count();
    assert_eq!(done, 15);
    assert_eq!(texts(&store).await.len(), 16);
}

/// The server has no connection to spare: whoever needs a new one is refused, the rest goes on.
async fn a_server_with_too_many_connections_is_said() {
    let home = Home::new().await;
    let user = home.make_user("ALL").await;
    let store = open(&Settings { connections: 8, ..one_writer(home.url_as(&user)) }).await;
    has_two(&store).await;
    // One waits for a table, with a connection that it has; there is one more at most.
    let holder = home.connect().await;
    holder.batch_execute("BEGIN; LOCK TABLE conversation IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let store = Arc::new(store);
    let read = |store: &Arc<Postgres>| {
        let store = store.clone();
        async move { head(&store).await }
    };
    let first = tokio::spawn(read(&store));
    home.until_waiting(&["relation"], 1).await;
    home.sql(&format!("ALTER ROLE {user} CONNECTION LIMIT 0")).await;
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..7 {
        others.spawn(read(&store));
    }
    says(&unreadable(others.join_next().await.unwrap().unwrap()), &["too many connections"]);
    look(&store).await.unwrap();
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(first.await.unwrap().unwrap(), 0);
    home.sql(&format!("ALTER ROLE {user} CONNECTION LIMIT -1")).await;
    assert_eq!(store.accounts(&["a".into()]).await.unwrap().len(), 1);
    assert_eq!(send(&store, "text").await.unwrap(), 1);
}

/// Every connection for reading is taken by a read that waits for something.
async fn whoever_gets_no_connection_for_reading_is_told_so() {
    let home = Home::new().await;
    let store = Arc::new(home.open().await);
    has_two(&store).await;
    let holder = home.connect().await;
    holder.batch_execute("BEGIN; LOCK TABLE conversation IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let first = tokio::spawn({
        let store = store.clone();
        async move { head(&store).await }
    });
    home.until_waiting(&["relation"], 1).await;
    let (time, refused) = timed(store.accounts(&["a".into()])).await;
    says(&unreadable(refused), &["all 1 connections", "are taken", "store.connections"]);
    assert!(time < Duration::from_secs(4), "{time:?}");
    // The database is not away because of that.
    look(&store).await.unwrap();
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(first.await.unwrap().unwrap(), 0);
    assert_eq!(store.accounts(&["a".into()]).await.unwrap().len(), 1);
}
