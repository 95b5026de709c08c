//! What is opened, and what is refused in words that help an operator.

use chat::port::{Log, Store};
use store::postgres::Settings;
use store::{OpenError, Postgres};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::home::{Home, one_writer, open, refusal};
use crate::{conversation, has_two, says, send, texts};

cases! {
    a_server_that_is_not_there_may_come,
    a_database_that_is_not_there_is_refused,
    a_schema_that_is_not_there_is_refused,
    a_user_who_may_not_log_in_is_refused,
    a_wrong_password_is_refused,
    a_user_who_may_make_no_tables_is_refused_and_one_who_may_is_enough,
    a_server_that_takes_no_writes_is_refused,
    a_server_without_tls_is_refused_where_tls_is_asked_for,
    of_several_hosts_the_one_that_is_there_is_used,
    a_schema_with_tables_of_others_is_refused_and_left_alone,
    a_schema_of_a_newer_version_is_refused_and_left_alone,
    a_schema_that_was_made_in_another_way_is_refused,
    a_schema_of_which_a_part_is_missing_is_refused,
    many_who_open_an_empty_schema_at_the_same_time_all_succeed,
    the_number_of_shards_is_that_of_the_beginning,
    the_most_and_the_fewest_shards_and_writers_work,
    a_schema_may_have_any_name,
}

/// A refusal that the operator has to do something about, or not. It names the place and says all of this, and no
/// secret.
fn is_unusable(error: &OpenError, is_final: bool, words: &[&str]) {
    let text = error.to_string();
    assert!(matches!(error, OpenError::Unusable { .. }), "{error:?}");
    assert_eq!(error.is_final(), is_final, "{text}");
    says(&text, &["cannot open PostgreSQL at ", "database "]);
    says(&text, words);
    assert!(!text.contains("hush"), "{text}");
}

fn is_foreign(error: &OpenError, words: &[&str]) {
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert!(error.is_final());
    says(&error.to_string(), &["does not fit this version of ringback"]);
    says(&error.to_string(), words);
}

async fn tables(home: &Home) -> Vec<String> {
    let names = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1";
    home.connect().await.query(names, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn a_server_that_is_not_there_may_come() {
    let home = Home::new().await;
    // Bound, and then free again: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = home.url_of(&format!("user:hush@127.0.0.1:{port}/db"));
    let error = refusal(&one_writer(url)).await;
    is_unusable(&error, false, &[&format!("127.0.0.1:{port}, database \"db\""), "refused"]);
}

async fn a_database_that_is_not_there_is_refused() {
    let home = Home::new().await;
    let url = home.url().replace(&format!("/{}?", home.database()), "/nothing_of_this_name?");
    is_unusable(&refusal(&one_writer(url)).await, true, &["\"nothing_of_this_name\" does not exist"]);
}

async fn a_schema_that_is_not_there_is_refused() {
    let home = Home::new().await;
    home.sql(&format!("DROP SCHEMA {}", home.name)).await;
    is_unusable(&refusal(&one_writer(home.url())).await, true, &["no schema"]);
}

async fn a_user_who_may_not_log_in_is_refused() {
    let home = Home::new().await;
    let user = home.make_user("ALL").await;
    home.sql(&format!("ALTER ROLE {user} NOLOGIN")).await;
    is_unusable(&refusal(&one_writer(home.url_as(&user))).await, true, &["not permitted to log in"]);
}

/// The server of the tests trusts everybody, so this is one that says what a stricter one would.
async fn a_wrong_password_is_refused() {
    let home = Home::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u32().await.unwrap();
        stream.read_exact(&mut vec![0; length as usize - 4]).await.unwrap();
        let fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"u\"\0\0";
        stream.write_u8(b'E').await.unwrap();
        stream.write_u32(fields.len() as u32 + 4).await.unwrap();
        stream.write_all(fields).await.unwrap();
        _ = stream.read_u8().await;
    });
    let url = home.url_of(&format!("u:hush@127.0.0.1:{port}/db"));
    is_unusable(&refusal(&one_writer(url)).await, true, &["password authentication failed for user \"u\""]);
}

async fn a_user_who_may_make_no_tables_is_refused_and_one_who_may_is_enough() {
    let home = Home::new().await;
    let user = home.make_user("USAGE").await;
    let error = refusal(&one_writer(home.url_as(&user))).await;
    is_unusable(&error, true, &["permission denied for schema"]);
    assert_eq!(tables(&home).await, Vec::<String>::new());
    home.sql(&format!("GRANT CREATE ON SCHEMA {} TO {user}", home.name)).await;
    let mut store = open(&one_writer(home.url_as(&user))).await;
    store.claim().await.unwrap();
    has_two(&store).await;
    send(&store, "text").await.unwrap();
}

async fn a_server_that_takes_no_writes_is_refused() {
    let home = Home::new().await;
    let url = format!("{}%20-cdefault_transaction_read_only%3Don", home.url());
    is_unusable(&refusal(&one_writer(url)).await, true, &["does not allow writes"]);
}

async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let home = Home::new().await;
    let url = format!("{}&sslmode=require", home.url());
    let error = refusal(&one_writer(url)).await;
    says(&error.to_string(), &["TLS"]);
}

async fn of_several_hosts_the_one_that_is_there_is_used() {
    let home = Home::new().await;
    let (host, port) = home.address();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = home.url().replace(&format!("@{host}:{port}/"), &format!("@127.0.0.1:{nobody},{host}:{port}/"));
    let store = open(&one_writer(url)).await;
    has_two(&store).await;
    assert_eq!(send(&store, "text").await.unwrap(), 1);
}

async fn a_schema_with_tables_of_others_is_refused_and_left_alone() {
    let home = Home::new().await;
    home.sql("CREATE TABLE thing (id INT); CREATE TABLE other_thing (id INT)").await;
    is_foreign(&refusal(&one_writer(home.url())).await, &["belongs to something else", "the table other_thing"]);
    assert_eq!(tables(&home).await, ["other_thing", "thing"]);
}

async fn a_schema_of_a_newer_version_is_refused_and_left_alone() {
    let home = Home::new().await;
    drop(home.open().await);
    let before = tables(&home).await;
    home.sql(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
         VALUES (999, 'hence', '2100-01-01T00:00:00Z', '1')",
    )
    .await;
    is_foreign(&refusal(&one_writer(home.url())).await, &["newer version of ringback", "V999__hence"]);
    assert_eq!(tables(&home).await, before);
}

async fn a_schema_that_was_made_in_another_way_is_refused() {
    let home = Home::new().await;
    drop(home.open().await);
    home.sql("UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1").await;
    is_foreign(
        &refusal(&one_writer(home.url())).await,
        &["another version of ringback", "V1__begin", "in another way"],
    );
}

async fn a_schema_of_which_a_part_is_missing_is_refused() {
    let home = Home::new().await;
    drop(home.open().await);
    // Every table that the migrations make is one that is looked for.
    let tables = tables(&home).await;
    let ours = tables.iter().filter(|table| *table != "refinery_schema_history");
    assert!(ours.clone().count() >= 20, "{tables:?}");
    for table in ours {
        home.sql(&format!("ALTER TABLE {table} RENAME TO elsewhere")).await;
        let missing = format!("the table {table} is not there");
        is_foreign(&refusal(&one_writer(home.url())).await, &["half migrated", &missing]);
        home.sql(&format!("ALTER TABLE elsewhere RENAME TO {table}")).await;
    }
    drop(home.open().await);
}

/// The migrations are made once, whoever comes first.
async fn many_who_open_an_empty_schema_at_the_same_time_all_succeed() {
    let home = Home::new().await;
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..6 {
        // They do not even agree on the number of shards.
        let settings = Settings { shards: 3 + number, ..one_writer(home.url()) };
        opening.spawn(async move { open(&settings).await });
    }
    let stores: Vec<Postgres> = opening.join_all().await;
    let history = "SELECT count(*), count(DISTINCT version) FROM refinery_schema_history";
    let row = home.connect().await.query_one(history, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), row.get::<_, i64>(1));
    assert!(stores.iter().all(|store| store.shards() == stores[0].shards()));
    has_two(&stores[0]).await;
    for (number, store) in stores.iter().enumerate() {
        assert_eq!(send(store, &number.to_string()).await.unwrap(), number as u64 + 1);
    }
    assert_eq!(texts(&stores[0]).await.len(), stores.len());
}

async fn the_number_of_shards_is_that_of_the_beginning() {
    let home = Home::new().await;
    let store = open(&Settings { shards: 7, ..one_writer(home.url()) }).await;
    has_two(&store).await;
    send(&store, "text").await.unwrap();
    drop(store);
    for (shards, writers) in [(1, 1), (16, 16), (1024, 1024)] {
        let store = open(&Settings { shards, writers, ..one_writer(home.url()) }).await;
        assert_eq!(store.shards().len(), 7);
        assert_eq!(texts(&store).await, ["text"]);
    }
}

async fn the_most_and_the_fewest_shards_and_writers_work() {
    for (shards, writers) in [(1, 1), (1, 9), (1024, 1)] {
        let home = Home::new().await;
        let store = open(&Settings { shards, writers, ..one_writer(home.url()) }).await;
        has_two(&store).await;
        assert_eq!(send(&store, "text").await.unwrap(), 1);
        assert_eq!(store.conversation(&conversation()).await.unwrap().head, 1);
    }
}

async fn a_schema_may_have_any_name() {
    let home = Home::new().await;
    let odd = format!("Odd-{}.é", home.name);
    home.sql(&format!("CREATE SCHEMA \"{odd}\"")).await;
    let url = home.url().replace(&format!("search_path%3D{}", home.name), &format!("search_path%3D%22{odd}%22"));
    let mut store = open(&one_writer(url.clone())).await;
    store.claim().await.unwrap();
    has_two(&store).await;
    send(&store, "text").await.unwrap();
    assert_eq!(tables(&home).await, Vec::<String>::new());
    assert_eq!(texts(&open(&one_writer(url)).await).await, ["text"]);
}
