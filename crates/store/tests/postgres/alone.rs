//! What changes letters, and what trims, has its shard to itself: between looking and writing, nobody else's letter is
//! written or counted, and nothing is removed that a letter is about.

use std::sync::Arc;

use chat::event::{Position, Shard, Subject};
use chat::id::Timestamp;
use store::Postgres;
use tokio::task::JoinHandle;
use webhook::ledger::{Ledger, LetterCount, Progress};

use crate::home::Home;
use crate::ledger::letter;
use crate::until;

cases! {
    letters_are_written_alone_in_their_shards,
    letters_are_removed_alone_in_their_shards,
    letters_of_progress_are_written_alone_in_their_shards,
    the_log_is_trimmed_alone_in_its_shard,
}

/// Has `deed` done while somebody else has a shard: it waits for that, and is done then.
async fn waits_for<F>(shard: Shard, deed: impl FnOnce(Arc<Postgres>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let home = Home::new().await;
    let store = Arc::new(home.open().await);
    store.put_letters(vec![letter("app", Shard(1), 1), letter("app", Shard(2), 1)]).await.unwrap();
    let other = home.connect().await;
    other.batch_execute("BEGIN").await.unwrap();
    other.execute("SELECT 1 FROM log_shard WHERE shard = $1 FOR NO KEY UPDATE", &[&(shard.0 as i16)]).await.unwrap();
    let doing: JoinHandle<()> = tokio::spawn(deed(store.clone()));
    let looks = home.connect().await;
    until("it to wait", async || {
        assert!(!doing.is_finished(), "it did not wait");
        let waiting = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
             WHERE NOT l.granted AND a.query LIKE '%FROM log_shard WHERE shard = ANY%'
                AND pg_blocking_pids(pid) && ARRAY[$1::int4]";
        looks.query_one(waiting, &[&pid(&other).await]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
    other.batch_execute("COMMIT").await.unwrap();
    doing.await.unwrap();
}

async fn pid(db: &tokio_postgres::Client) -> i32 {
    db.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0)
}

async fn letters_are_written_alone_in_their_shards() {
    waits_for(Shard(2), async |store| {
        store.put_letters(vec![letter("app", Shard(1), 2), letter("app", Shard(2), 2)]).await.unwrap();
        assert_eq!(store.count_letters("app").await.unwrap(), LetterCount { dead: 4, replay: 0 });
    })
    .await;
}

async fn letters_are_removed_alone_in_their_shards() {
    waits_for(Shard(2), async |store| {
        let places = vec![(Shard(1), Position(1)), (Shard(2), Position(1))];
        store.remove_letters("app", places).await.unwrap();
        assert_eq!(store.count_letters("app").await.unwrap(), LetterCount::default());
    })
    .await;
}

async fn letters_of_progress_are_written_alone_in_their_shards() {
    waits_for(Shard(1), async |store| {
        let letters = vec![letter("app", Shard(1), 2)];
        let progress = Progress { cursor: Position(2), behind: vec![(Subject::App, None)], letters };
        store.save_progress("app", Shard(1), progress).await.unwrap();
        assert_eq!(store.count_letters("app").await.unwrap(), LetterCount { dead: 3, replay: 0 });
    })
    .await;
}

async fn the_log_is_trimmed_alone_in_its_shard() {
    waits_for(Shard(1), async |store| {
        store.trim(Shard(1), Position(0), Position(9), 9, Vec::new(), Timestamp::default()).await.unwrap();
    })
    .await;
}
