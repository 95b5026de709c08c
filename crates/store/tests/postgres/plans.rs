//! Plans are made once, perhaps while there is hardly a row, and must do when there are many.

use chat::conversation::ConversationId;
use chat::id::Timestamp;
use chat::member::{Member, Role};
use chat::port::{Store, Write};
use tokio_postgres::Client;

use crate::home::Home;
use crate::order::group_of;
use crate::{changes, has_two, send, send_to, until};

cases! {
    plans_that_were_made_of_tiny_tables_do_for_large_ones,
}

const ROWS: i64 = 20_000;

async fn plans_that_were_made_of_tiny_tables_do_for_large_ones() {
    let home = Home::new().await;
    let store = home.open().await;
    has_two(&store).await;
    let member = Member::new("a".into(), Role::Member, Timestamp::default());
    let writes = vec![Write::PutGroup(Box::new(group_of("g"))), Write::AddMembers("g".into(), vec![member])];
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

/// What the server has counted of the tables of this name.
async fn counted(db: &Client, what: &str, name: &str) -> i64 {
    let query = format!(
        "SELECT coalesce(sum({what}), 0)::int8 FROM pg_stat_user_tables
         WHERE schemaname = current_schema() AND relname LIKE $1 AND relname NOT IN ('log_shard', 'writer', 'dataset')"
    );
    db.query_one(&query, &[&name]).await.unwrap().get(0)
}

async fn entries_read(db: &Client) -> i64 {
    let query = "SELECT coalesce(sum(idx_tup_read), 0)::int8 FROM pg_stat_user_indexes
         WHERE schemaname = current_schema() AND relname NOT IN ('log_shard', 'writer', 'dataset')";
    db.query_one(query, &[]).await.unwrap().get(0)
}
