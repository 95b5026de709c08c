//! What a commit costs on PostgreSQL beside the bare insert of the same rows, in the same run.
//!
//! `RINGBACK_POSTGRES=… cargo bench -p store --bench commit [-- SENDERS WRITERS SECONDS ROUNDS]`: that many tasks each commit a
//! message, wait for its receipt, and commit the next, in 2,000 one-to-one conversations picked at random. Then as many
//! rows of the same size go into the same table of another schema by UNNEST, 128 a transaction over one connection: the
//! raw limit. CPU is that of all processes of that PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chat::account::import::NewAccount;
use chat::command::{Actor, Origin};
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::id::{AccountId, ClientMessageId, MessageId, Timestamp};
use chat::message::{Delivery, Message, RepeatKey};
use chat::port::{Changes, Store, Write};
use store::{Postgres, postgres};
use tokio_postgres::{Client, NoTls};

const CONVERSATIONS: u64 = 2000;
const RAW_BATCH: usize = 128;
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |place: usize, default| numbers.get(place).copied().unwrap_or(default);
    let (senders, writers, seconds, rounds) = (number(0, 256), number(1, 4), number(2, 4), number(3, 3));
    let server = std::env::var("RINGBACK_POSTGRES").expect("RINGBACK_POSTGRES names a PostgreSQL server");
    println!("{senders} senders, {writers} writers, {seconds} s, {CONVERSATIONS} conversations");
    println!(
        "| round | commits/s | PostgreSQL µs each | events a transaction | bare rows/s | PostgreSQL µs each | rate | CPU |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for round in 1..=rounds {
        let (rate, cpu, batch, data) =
            committed(&server, senders, writers as u16, Duration::from_secs(seconds), round).await;
        let rows = (rate * seconds as f64) as usize;
        let (raw_rate, raw_cpu) = inserted(&server, rows, data, round).await;
        println!(
            "| {round} | {rate:.0} | {cpu:.1} | {batch:.1} | {raw_rate:.0} | {raw_cpu:.1} | {:.2} | {:.2} |",
            rate / raw_rate,
            raw_cpu / cpu
        );
    }
}

/// Commits a second, CPU of PostgreSQL each, events a transaction, and the bytes of an event.
async fn committed(server: &str, senders: u64, writers: u16, time: Duration, round: u64) -> (f64, f64, f64, String) {
    let schema = schema(server, &format!("bench_commit_{}_{round}", std::process::id())).await;
    let settings = postgres::Settings { writers, ..postgres::Settings::new(&schema.url) };
    let store = Arc::new(Postgres::open(&settings).await.unwrap());
    let accounts: Vec<_> = (0..2 * CONVERSATIONS).map(|n| AccountId::new(format!("account-{n:06}"))).collect();
    for accounts in accounts.chunks(500) {
        let import = |id: &AccountId| Write::ImportAccount { new: NewAccount::bare(id.clone()), now: NOW };
        store.commit(Changes { assertions: Vec::new(), writes: accounts.iter().map(import).collect() }).await.unwrap();
    }
    let (accounts, number) = (Arc::new(accounts), Arc::new(AtomicU64::new(0)));
    schema.db.batch_execute("CHECKPOINT").await.unwrap();
    let (before, start) = (schema.cpu().await, Instant::now());
    let transactions = schema.transactions().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..senders {
        let (store, accounts, number) = (store.clone(), accounts.clone(), number.clone());
        tasks.spawn(async move {
            while start.elapsed() < time {
                let n = number.fetch_add(1, Ordering::Relaxed);
                store.commit(send(&accounts, n)).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let elapsed = start.elapsed();
    let count = number.load(Ordering::Relaxed);
    let cpu = (schema.cpu().await - before).as_secs_f64() * 1e6 / count as f64;
    let transactions = schema.transactions().await - transactions;
    let data: String = schema.db.query_one("SELECT data FROM event LIMIT 1", &[]).await.unwrap().get(0);
    (count as f64 / elapsed.as_secs_f64(), cpu, count as f64 / transactions.max(1) as f64, data)
}

fn send(accounts: &[AccountId], n: u64) -> Changes {
    // A cheap hash for a random conversation.
    let pair = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % CONVERSATIONS;
    let (sender, other) = (accounts[2 * pair as usize].clone(), accounts[2 * pair as usize + 1].clone());
    let message = Message {
        id: MessageId::new(NOW, n.into()),
        conversation: ConversationId::direct(sender.clone(), other),
        group_kind: None,
        seq: 0,
        actor: Actor::Account(sender.clone()),
        sender,
        origin: Origin::default(),
        client_id: ClientMessageId::new(format!("client-{n}")),
        time: NOW,
        created: NOW,
        sender_name: String::new(),
        sender_face: String::new(),
        elements: vec![Element::text("x".repeat(250))],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
    };
    let repeat = Some(RepeatKey { key: n.to_string(), window_millis: Some(300_000) });
    Changes { assertions: Vec::new(), writes: vec![Write::Send { message: Box::new(message), repeat, reads: false }] }
}

/// Bare rows a second, and CPU of PostgreSQL each.
async fn inserted(server: &str, rows: usize, data: String, round: u64) -> (f64, f64) {
    let schema = schema(server, &format!("bench_bare_{}_{round}", std::process::id())).await;
    // The store makes its own schema: the table is the same.
    drop(Postgres::open(&postgres::Settings { writers: 1, ..postgres::Settings::new(&schema.url) }).await.unwrap());
    let insert = "INSERT INTO event (shard, position, conversation, seq, time, unread, repeat, data)
         SELECT * FROM unnest($1::int2[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::text[])";
    let insert = schema.db.prepare(insert).await.unwrap();
    schema.db.batch_execute("CHECKPOINT").await.unwrap();
    let (before, start) = (schema.cpu().await, Instant::now());
    let mut seqs = vec![0_i64; CONVERSATIONS as usize];
    let mut done = 0;
    while done < rows {
        let count = RAW_BATCH.min(rows - done);
        let numbers: Vec<u64> = (done..done + count).map(|n| n as u64).collect();
        let pairs: Vec<usize> =
            numbers.iter().map(|n| ((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % CONVERSATIONS) as usize).collect();
        let shards: Vec<i16> = pairs.iter().map(|pair| (pair % 16) as i16).collect();
        let positions: Vec<i64> = numbers.iter().map(|n| *n as i64).collect();
        let conversations: Vec<i64> = pairs.iter().map(|pair| *pair as i64).collect();
        let mut next = |pair: &usize| {
            seqs[*pair] += 1;
            seqs[*pair]
        };
        let seqs: Vec<i64> = pairs.iter().map(&mut next).collect();
        let times = vec![NOW.millis(); count];
        let unread = vec![1_i64; count];
        let repeats: Vec<i64> = numbers.iter().map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).cast_signed()).collect();
        let data = vec![data.as_str(); count];
        schema
            .db
            .execute(&insert, &[&shards, &positions, &conversations, &seqs, &times, &unread, &repeats, &data])
            .await
            .unwrap();
        done += count;
    }
    let elapsed = start.elapsed().as_secs_f64();
    (rows as f64 / elapsed, (schema.cpu().await - before).as_secs_f64() * 1e6 / rows as f64)
}

struct Schema {
    url: String,
    db: Client,
}

impl Schema {
    /// User and system time of the processes of this PostgreSQL, to the 10 ms of the kernel's clock tick.
    async fn cpu(&self) -> Duration {
        let pids = self.db.query("SELECT pid FROM pg_stat_activity", &[]).await.unwrap();
        let ticks = pids.iter().filter_map(|row| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", row.get::<_, i32>(0))).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            // Fields 14 and 15 of the whole line.
            Some(fields[11..13].iter().filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
        });
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    /// Transactions that the store's writers have committed.
    async fn transactions(&self) -> i64 {
        let query = "SELECT sum(batch)::int8 FROM writer";
        self.db.query_one(query, &[]).await.unwrap().get::<_, Option<i64>>(0).unwrap_or(0)
    }
}

async fn schema(server: &str, name: &str) -> Schema {
    let url = format!("{server}?options=-csearch_path%3D{name}");
    let (db, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    db.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
    Schema { url, db }
}
