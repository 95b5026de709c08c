//! Plans are made once, perhaps while there is hardly a row, and must do when there are many.

use chat::conversation::ConversationId;
use chat::event::{Position, Shard, Subject};
use chat::id::{EventId, MessageId, Timestamp};
use chat::member::{Member, Role};
use chat::message::park::{Deadline, DecidedBy, Decision, Outcome, Parked, ParkedQuery};
use chat::message::{Message, RepeatKey};
use chat::port::{Assertion, Changes, Log, Store, Write};
use store::Postgres;
use tokio_postgres::Client;
use webhook::ledger::{Attempt, Ledger, Letter, LetterQuery, LetterState};

use crate::home::Home;
use crate::ledger::letter;
use crate::{changes, conversation, has_two, plain, send, send_to, until};

cases! {
    plans_that_were_made_of_tiny_tables_do_for_large_ones,
    what_is_asked_of_the_ledger_reads_few_rows,
    what_is_asked_of_messages_that_wait_reads_few_rows,
}

const ROWS: i64 = 20_000;

async fn plans_that_were_made_of_tiny_tables_do_for_large_ones() {
    let home = Home::new().await;
    let store = home.open().await;
    has_two(&store).await;
    let member = Member::new("a".into(), Role::Member, Timestamp::default());
    let writes = vec![Write::PutGroup(Box::new(plain::group("g"))), Write::AddMembers("g".into(), vec![member])];
    store.commit(changes(writes)).await.unwrap();
    let in_group = || ConversationId::Group("g".into());
    send(&store, "first").await.unwrap();
    send_to(&store, in_group(), "first").await.unwrap();
    drop(store);
    for table in ["account", "conversation", "event", "member", "unread", "chat_group"] {
        // Nobody makes the plans better behind our back.
        home.sql(&format!("ALTER TABLE {table} SET (autovacuum_enabled = off)")).await;
        home.sql(&format!("VACUUM ANALYZE {table}")).await;
    }

    // Planned now.
    let store = home.open().await;
    send(&store, "second").await.unwrap();
    send_to(&store, in_group(), "second").await.unwrap();
    store.accounts(&["a".into()]).await.unwrap();
    store.member(&"g".into(), &"a".into()).await.unwrap();
    home.sql(&format!(
        "INSERT INTO account SELECT n % 4, 'x' || n, 0, '{{}}' FROM generate_series(1, {ROWS}) n;
         INSERT INTO conversation SELECT n % 4, 1000 + n, 0, 'x' || n, 'y' || n, 1, 0, 0, 0, 0, 0 FROM generate_series(1, {ROWS}) n;
         INSERT INTO unread SELECT 'x' || n, n % 4, 1 FROM generate_series(1, {ROWS}) n;
         INSERT INTO member SELECT shard, 'g', 'x' || n, 0, 0, 100 + n, 0, 0, 0, '{{}}'
            FROM (SELECT shard FROM member LIMIT 1) m, generate_series(1, {ROWS}) n;
         INSERT INTO event SELECT n % 4, 1000000 + n, 1000 + n, 1, 0, 0, n, '{{}}' FROM generate_series(1, {ROWS}) n;"
    ))
    .await;
    let db = home.connect().await;
    until("the server to know of the rows", async || counted(&db, "n_tup_ins", "event").await >= ROWS).await;

    let read = async || counted(&db, "idx_tup_fetch + seq_tup_read", "%").await + entries_read(&db).await;
    let (before, sent_before) = (read().await, counted(&db, "n_tup_ins", "event").await);
    // The server counts with a delay, and only of connections that go on working.
    let mut sent = 0;
    until("the server to know of the sends", async || {
        sent += 1;
        send(&store, &format!("later {sent}")).await.unwrap();
        send_to(&store, in_group(), &format!("later {sent}")).await.unwrap();
        store.accounts(&["a".into()]).await.unwrap();
        store.member(&"g".into(), &"a".into()).await.unwrap();
        counted(&db, "n_tup_ins", "event").await > sent_before
    })
    .await;
    let each = (read().await - before) / sent;
    assert!(each < 500, "two sends and two look-ups read {each} rows and index entries together");
}

/// Each of the look-ups that callbacks live on, once.
async fn ask(store: &Postgres, head: Position) {
    let (shard, event) = (Shard(1), EventId::new(Timestamp::from_millis(10_001), 10_001));
    let query = LetterQuery { endpoint: Some("app".into()), limit: 10, ..LetterQuery::default() };
    let after = Some(("app".to_owned(), shard, Position(10_000)));
    assert_eq!(store.letters(&LetterQuery { after: after.clone(), ..query.clone() }).await.unwrap().len(), 10);
    let replay = LetterQuery { state: Some(LetterState::Replay), ..query.clone() };
    assert_eq!(store.letters(&replay).await.unwrap().len(), 1);
    let due = LetterQuery { due_by: Some(Timestamp::from_millis(5)), ..replay };
    assert_eq!(store.letters(&due).await.unwrap().len(), 1);
    assert_eq!(store.letters(&LetterQuery { after, endpoint: None, ..query.clone() }).await.unwrap().len(), 10);
    assert_eq!(store.letters(&LetterQuery { event: Some(event), ..query }).await.unwrap().len(), 1);
    assert!(store.count_letters("app").await.unwrap().dead >= 1);
    assert_eq!(store.attempts(event).await.unwrap().len(), 1);
    let subject = Subject::from(ConversationId::direct("a".into(), "b".into()));
    assert_eq!(store.log_before(&subject, head, 10).await.unwrap().len(), 10);
    // All that is there is in the history.
    let trimmed =
        store.trim(store.shard_of(&subject), Position(0), head, 10, Vec::new(), Timestamp::default()).await.unwrap();
    assert_eq!(trimmed.events, 0);
    assert_eq!(store.position_at(shard, Timestamp::from_millis(10_000)).await.unwrap(), Position(10_000));
    assert!(store.time_of(shard, Position(10_000)).await.unwrap().is_some());
}

async fn what_is_asked_of_the_ledger_reads_few_rows() {
    let home = Home::new().await;
    let store = home.open().await;
    has_two(&store).await;
    send(&store, "first").await.unwrap();
    let shard = Shard(1);
    let event = EventId::new(Timestamp::from_millis(1), 1);
    store.put_letters(vec![Letter { event, ..letter("app", shard, 1) }]).await.unwrap();
    let attempt = |number: u64| Attempt {
        endpoint: "app".into(),
        event: EventId::new(Timestamp::from_millis(number as i64), number.into()),
        command: "C2C.CallbackAfterSendMsg".into(),
        time: Timestamp::from_millis(number as i64),
        took: 1,
        outcome: "timeout".into(),
        status: None,
        detail: String::new(),
    };
    store.note_attempts(vec![attempt(1)]).await.unwrap();
    store.note_time(Timestamp::from_millis(1), vec![(shard, Position(1))]).await.unwrap();
    store.trim(shard, Position(0), Position(1), 10, Vec::new(), Timestamp::default()).await.unwrap();
    drop(store);
    for table in ["letter", "letter_count", "attempt", "milestone", "event", "conversation", "log_shard"] {
        home.sql(&format!("ALTER TABLE {table} SET (autovacuum_enabled = off)")).await;
        home.sql(&format!("VACUUM ANALYZE {table}")).await;
    }

    // Planned now, at the first use.
    let store = home.open().await;
    let work = async |number: u64| {
        store.note_attempts(vec![attempt(number)]).await.unwrap();
        store
            .note_time(Timestamp::from_millis(1_000_000 + number as i64), vec![(shard, Position(500_000 + number))])
            .await
            .unwrap();
        store.put_letters(vec![letter("audit", shard, number)]).await.unwrap();
        store.remove_letters("audit", vec![(shard, Position(number))]).await.unwrap();
        store.trim(shard, Position(0), Position(2), 10, Vec::new(), Timestamp::default()).await.unwrap();
    };
    work(2).await;
    let subject = Subject::from(ConversationId::direct("a".into(), "b".into()));
    let place = store.log_before(&subject, Position(u64::MAX), 10).await.unwrap().remove(0);
    store.letters(&LetterQuery::default()).await.unwrap();
    store.attempts(event).await.unwrap();
    // The newest letters of `app` are about events that each have an id of their own; one of them is to be told again.
    home.sql(&format!(
        "INSERT INTO letter SELECT 'app', 1, n, '\"app\"', lpad(to_hex(n), 12, '0') || lpad(to_hex(n), 20, '0'), 'c',
            CASE n WHEN 15000 THEN 1 ELSE 0 END, '', 1, n % 7 FROM generate_series(2, {ROWS}) n;
         INSERT INTO letter SELECT 'x' || n, 1, n, '\"app\"', 'none', 'c', 0, '', 1, 1 FROM generate_series(1, {ROWS}) n;
         UPDATE letter SET at = 5 WHERE state = 1;
         INSERT INTO attempt (endpoint, event, command, time, took, outcome, detail)
            SELECT 'app', lpad(to_hex(n), 12, '0') || lpad(to_hex(n), 20, '0'), 'c', n, 1, 'timeout', ''
            FROM generate_series(10, {ROWS}) n;
         INSERT INTO milestone SELECT 1, n, n, n, n FROM generate_series(10, {ROWS}) n;
         INSERT INTO event SELECT e.shard, e.position + n, e.conversation, e.seq + n, 0, 0, NULL, e.data
            FROM event e, generate_series(1, {ROWS}) n WHERE e.shard = {} AND e.position = {};
         INSERT INTO event SELECT 1, 1000000 + n, 1, NULL, 0, NULL, NULL, '{{}}' FROM generate_series(1, {ROWS}) n;",
        place.shard.0, place.position.0
    ))
    .await;
    let head = Position(place.position.0 + ROWS as u64 / 2);
    let late = home.open().await;
    // Not by the connections that have planned already: by new ones, too, while nobody has looked at the tables again.
    let db = home.connect().await;
    until("the server to know of the rows", async || counted(&db, "n_tup_ins", "attempt").await >= ROWS - 10).await;

    let read = async || counted(&db, "idx_tup_fetch + seq_tup_read", "%").await + entries_read(&db).await;
    let noted = async || counted(&db, "n_tup_ins", "attempt").await;
    let (before, noted_before, found_before) = (read().await, noted().await, found_attempts(&db).await);
    // The writer's connection and the readers' are counted each in its time: until most of both is.
    let mut asked = 0;
    until("the server to know of most notes and look-ups", async || {
        asked += 1;
        ask(&store, head).await;
        ask(&late, head).await;
        work(100_000 + asked as u64).await;
        asked >= 20 && noted().await - noted_before > asked / 2 && found_attempts(&db).await - found_before > asked
    })
    .await;
    let each = (read().await - before) / asked;
    let by = most_read(&db).await;
    assert!(each < 500, "a round of look-ups and notes reads {each} rows and index entries; in {asked} rounds {by}");
}

/// A message that waits, one of each key, in the same conversation as all others.
fn waiting(number: u64) -> Parked {
    let repeat = Some(RepeatKey { key: number.to_string(), window_millis: None });
    let id = MessageId::new(Timestamp::from_millis(number as i64), number.into());
    let message = Message { id, ..plain::text("a", conversation(), "hi") };
    Parked { repeat, until: Timestamp::from_millis(1_000_000 + number as i64), ..plain::parked(message) }
}

fn decided(number: u64) -> Parked {
    let time = Timestamp::from_millis(1_000_000 + number as i64);
    let decision = Decision { time, by: DecidedBy::Verdict, outcome: Outcome::Discarded };
    Parked { decision: Some(decision), ..waiting(number) }
}

async fn what_is_asked_of_messages_that_wait_reads_few_rows() {
    let home = Home::new().await;
    let store = home.open().await;
    has_two(&store).await;
    let put = async |store: &Postgres, parked: Parked| {
        let Message { conversation, sender, .. } = parked.message.clone();
        let key = parked.repeat.clone().unwrap();
        let nothing = Assertion::NothingParked { conversation: Box::new(conversation), sender, key };
        let assertions = if parked.decision.is_none() { vec![nothing] } else { Vec::new() };
        store.commit(Changes { assertions, writes: vec![Write::Park(Box::new(parked))] }).await.unwrap();
    };
    put(&store, waiting(1)).await;
    put(&store, decided(2)).await;
    drop(store);
    home.sql("ALTER TABLE parked SET (autovacuum_enabled = off)").await;
    home.sql("VACUUM ANALYZE parked").await;

    // Planned now, at the first use; and later by new connections, while nobody has looked at the table again.
    let store = home.open().await;
    let (now, far) = (Timestamp::from_millis(1_000_001), Timestamp::from_millis(9_000_000));
    let ask = async |store: &Postgres, number: u64| {
        let Message { id, conversation, sender, .. } = waiting(number).message;
        let key = waiting(number).repeat.unwrap();
        store.parked(id).await.unwrap();
        store.parked_repeat(&conversation, &sender, &key, now).await.unwrap();
        let mut found = Vec::new();
        for after in [None, Some(id)] {
            found.push(store.list_parked(ParkedQuery::Waiting { after, limit: 10 }).await.unwrap().len());
        }
        for after in [None, Some(Deadline { time: waiting(number).until, id })] {
            found.push(store.list_parked(ParkedQuery::Overdue { now: far, after, limit: 10 }).await.unwrap().len());
        }
        found.push(store.list_parked(ParkedQuery::Overdue { now, after: None, limit: 10 }).await.unwrap().len());
        found.push(store.list_parked(ParkedQuery::Decided { up_to: far, limit: 10 }).await.unwrap().len());
        found
    };
    let work = async |store: &Postgres, number: u64| {
        put(store, waiting(number)).await;
        put(store, decided(number)).await;
        let forget = Write::ForgetParked(conversation(), waiting(number).message.id);
        store.commit(changes(vec![forget])).await.unwrap();
    };
    ask(&store, 1).await;
    work(&store, 3).await;
    // All in the one shard, half of them decided.
    home.sql(&format!(
        "INSERT INTO parked SELECT shard, lpad(to_hex(n), 12, '0') || lpad(to_hex(n), 20, '0'), n % 2, 1000000 + n, 1, n, data
            FROM parked, generate_series(10, {ROWS}) n WHERE state = 0"
    ))
    .await;
    let late = home.open().await;
    let db = home.connect().await;
    let noted = async || counted(&db, "n_tup_ins", "parked").await;
    until("the server to know of the rows", async || noted().await >= ROWS - 10).await;

    let read = async || counted(&db, "idx_tup_fetch + seq_tup_read", "parked").await + entries_of_parked(&db).await;
    let scans = async || counted(&db, "idx_scan", "parked").await;
    let (before, noted_before, scans_before) = (read().await, noted().await, scans().await);
    let mut asked = 0;
    until("the server to know of most of it", async || {
        asked += 1;
        for store in [&store, &late] {
            assert_eq!(ask(store, ROWS as u64 / 2).await, [10, 10, 10, 10, 1, 10]);
        }
        work(&store, 100_000 + asked as u64).await;
        asked >= 20 && noted().await - noted_before > asked / 2 && scans().await - scans_before > asked * 8
    })
    .await;
    let each = (read().await - before) / asked;
    let by = most_read(&db).await;
    assert!(each < 500, "a round reads {each} rows and index entries; in {asked} rounds {by}");
}

async fn entries_of_parked(db: &Client) -> i64 {
    let query = "SELECT coalesce(sum(idx_tup_read), 0)::int8 FROM pg_stat_user_indexes
         WHERE schemaname = current_schema() AND relname = 'parked'";
    db.query_one(query, &[]).await.unwrap().get(0)
}

/// What the server has counted of the tables of this name.
async fn counted(db: &Client, what: &str, name: &str) -> i64 {
    let query = format!(
        "SELECT coalesce(sum({what}), 0)::int8 FROM pg_stat_user_tables
         WHERE schemaname = current_schema() AND relname LIKE $1 AND relname NOT IN ('log_shard', 'writer', 'dataset')"
    );
    db.query_one(&query, &[&name]).await.unwrap().get(0)
}

/// By what rows were read, and how many.
async fn most_read(db: &Client) -> String {
    let query = "SELECT string_agg(name || ': ' || rows, ', ' ORDER BY rows DESC) FROM (
            SELECT indexrelname AS name, idx_tup_read AS rows FROM pg_stat_user_indexes
                WHERE schemaname = current_schema() AND idx_tup_read > 1000
            UNION ALL SELECT relname, seq_tup_read FROM pg_stat_user_tables
                WHERE schemaname = current_schema() AND seq_tup_read > 1000) read";
    db.query_one(query, &[]).await.unwrap().get::<_, Option<String>>(0).unwrap_or_default()
}

/// How often attempts were looked up by their event.
async fn found_attempts(db: &Client) -> i64 {
    let query = "SELECT coalesce(sum(idx_scan), 0)::int8 FROM pg_stat_user_indexes
         WHERE schemaname = current_schema() AND indexrelname = 'attempt_of_event'";
    db.query_one(query, &[]).await.unwrap().get(0)
}

async fn entries_read(db: &Client) -> i64 {
    let query = "SELECT coalesce(sum(idx_tup_read), 0)::int8 FROM pg_stat_user_indexes
         WHERE schemaname = current_schema() AND relname NOT IN ('log_shard', 'writer', 'dataset')";
    db.query_one(query, &[]).await.unwrap().get(0)
}
