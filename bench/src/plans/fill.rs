//! Makes a small database big, in the way in which it would have grown.

use tokio_postgres::Client;

use crate::Result;

/// Rows of people and conversations that nobody asks about.
const OTHERS: &str = "
    INSERT INTO account (shard, id, created, data) SELECT n % 16, 'other' || n, 0, '{}' FROM generate_series(1, 200000) AS n;
    INSERT INTO conversation (shard, key, kind, a, b, head, last_time, read_a, read_b, unread_a, unread_b)
        SELECT n % 16, 1000000 + n, 0, 'other' || n, 'other' || n + n % 7 + 1, 1, 0, 0, 0, 0, 1
        FROM generate_series(1, 1000000) AS n;
    INSERT INTO unread (account, shard, total) SELECT 'other' || n, s, 1
        FROM generate_series(1, 200000) AS n, generate_series(0, 3) AS s;";

/// The first event of each conversation, and where those that follow it go: the conversations of a shard take turns.
const FIRSTS: &str = "
    CREATE TEMPORARY TABLE first AS
        SELECT e.shard, e.conversation, e.seq, e.time, e.data, s.head,
            row_number() OVER (PARTITION BY e.shard ORDER BY e.position) AS turn,
            count(*) OVER (PARTITION BY e.shard) AS turns
        FROM event e JOIN log_shard s ON s.shard = e.shard WHERE e.seq = 1;
    ANALYZE first;";

/// Adds `each` events to every conversation that has any.
pub(super) async fn fill(admin: &Client, each: usize) -> Result<()> {
    admin.batch_execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'").await?;
    admin.batch_execute(OTHERS).await?;
    admin.batch_execute(FIRSTS).await?;
    let indexes = "SELECT indexdef, indexname FROM pg_indexes WHERE tablename = 'event' AND indexname <> 'event_pkey'";
    let indexes = admin.query(indexes, &[]).await?;
    for index in &indexes {
        admin.batch_execute(&format!("DROP INDEX {}", index.get::<_, String>(1))).await?;
    }
    admin
        .batch_execute(&format!(
            "DO $$ BEGIN
                 FOR n IN 1..{each} LOOP
                     INSERT INTO event (shard, position, conversation, seq, time, unread, repeat, data)
                     SELECT shard, head + (n - 1) * turns + turn, conversation, seq + n, time + n, 1,
                         hashint8extended(head + (n - 1) * turns + turn, shard), data
                     FROM first ORDER BY turn;
                 END LOOP;
             END $$;
             UPDATE log_shard SET head = log_shard.head + {each} * first.turns FROM first WHERE first.shard = log_shard.shard;
             UPDATE conversation SET head = conversation.head + {each}
                 FROM first WHERE first.shard = conversation.shard AND first.conversation = conversation.key;"
        ))
        .await?;
    for index in &indexes {
        admin.batch_execute(&index.get::<_, String>(0)).await?;
    }
    // As autovacuum would have done by then.
    admin.batch_execute("VACUUM ANALYZE").await?;
    admin.batch_execute("CHECKPOINT").await?;
    Ok(())
}
