//! One scheme for a while: some connections write, one follows, and what it was told is compared with what was written.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio::try_join;
use tokio_postgres::Client;

use super::DATABASE;
use super::reader::Reader;
use super::scheme::{PAGE, Scheme};
use super::writer::Writer;
use crate::event_table::{Rows, SHARDS, next_random, shard_of};
use crate::postgres::Postgres;
use crate::{Result, clock};

/// Conversations that are written to, at random.
const CONVERSATIONS: usize = 2_000;
/// Unmeasured transactions of each writer at the start, which warm up its process.
const WARM_UP: usize = 10;
/// How long the reader rests when it has read all there is; every scheme's lateness has this in it.
const READER_RESTS: Duration = Duration::from_millis(2);
/// The transaction aside begins after this share of a turn.
const ASIDE_AFTER: f64 = 0.25;
/// Beyond a turn's own time, for a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is written, by how many, for how long.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) writers: usize,
    /// Rows of a transaction.
    pub(crate) batch: usize,
    pub(crate) time: Duration,
    /// How long each transaction stays open once it has written, as with a slower disk.
    pub(crate) hold: Duration,
    /// How long a transaction in another database of the cluster stays open, which wrote something once.
    pub(crate) aside: Duration,
    /// What each row carries.
    pub(crate) data: Arc<str>,
}

/// What came of it.
pub(crate) struct Outcome {
    /// Committed while it was measured.
    pub(crate) rows: usize,
    pub(crate) elapsed: Duration,
    /// Of all processes of PostgreSQL but the reader's.
    pub(crate) cpu: Duration,
    pub(crate) reader_cpu: Duration,
    /// From the begin of each transaction to the answer to its commit, ascending.
    pub(crate) latencies: Vec<Duration>,
    /// From the answer to a row's commit until the reader had it, ascending; without those it never had.
    pub(crate) late: Vec<Duration>,
    /// Rows that were committed and that the reader has passed over.
    pub(crate) missed: usize,
    /// Cores kept busy by neither PostgreSQL nor this program.
    pub(crate) other_cores: f64,
}

/// A writer, its rows, and what it takes to fill them.
struct Lane {
    writer: Writer,
    number: usize,
    scheme: Scheme,
    load: Load,
    rows: Rows,
    batches: usize,
    random: u64,
    /// The batches that are measured, with the moment when each was answered.
    committed: Vec<(i64, Instant)>,
    latencies: Vec<Duration>,
}

/// Makes the tables anew, and runs.
pub(crate) async fn run(postgres: &Postgres, admin: &Client, scheme: Scheme, load: &Load) -> Result<Outcome> {
    admin.batch_execute(&scheme.create()).await?;
    admin.batch_execute("CHECKPOINT").await?;
    let mut lanes = Vec::new();
    for number in 0..load.writers {
        let mut lane = Lane::open(postgres, number, scheme, load).await?;
        for _ in 0..WARM_UP {
            lane.transact().await?;
        }
        lanes.push(lane);
    }
    let mut reader = Reader::open(postgres, DATABASE, scheme).await?;
    let reader_process = Pid::from_raw(reader.process_id().await?);
    let aside = postgres.connect("postgres").await?;

    let (all_before, reader_before) = (postgres.cpu()?, clock::process(reader_process)?);
    let (start, machine, own) = (Instant::now(), clock::machine_busy()?, clock::this_thread()?);
    let done = AtomicBool::new(false);
    let write = async {
        let (lanes, ()) = try_join!(drive(lanes, start), stay_open(&aside, load))?;
        done.store(true, Ordering::Relaxed);
        Ok(lanes)
    };
    let both = async { try_join!(write, follow(&mut reader, &done)) };
    let limit = load.time + load.aside + PATIENCE;
    let ((lanes, elapsed), seen) =
        timeout(limit, both).await.map_err(|_| format!("'{}' was not done within {limit:?}", scheme.name()))??;
    let reader_cpu = clock::process(reader_process)? - reader_before;
    let all_cpu = postgres.cpu()?.saturating_sub(all_before);
    let other_cores = clock::other_cores(start, machine, all_cpu + clock::this_thread()? - own)?;
    let cpu = all_cpu.saturating_sub(reader_cpu);

    let written = lanes.iter().map(|lane| lane.batches * load.batch).sum::<usize>();
    let missed = written.checked_sub(seen.len()).ok_or("the reader saw more than was written")?;
    let committed: HashMap<_, _> = lanes.iter().flat_map(|lane| lane.committed.iter().copied()).collect();
    // The reader may have a row before its writer has the answer: that is not late.
    let late = seen.iter().filter_map(|(batch, at)| Some(at.saturating_duration_since(*committed.get(batch)?)));
    let latencies = lanes.iter().flat_map(|lane| lane.latencies.iter().copied());
    Ok(Outcome {
        rows: committed.len() * load.batch,
        elapsed,
        cpu,
        reader_cpu,
        latencies: ascending(latencies),
        late: ascending(late),
        missed,
        other_cores,
    })
}

/// Lets all lanes write at once; hands them back with the time that the last one took.
async fn drive(lanes: Vec<Lane>, start: Instant) -> Result<(Vec<Lane>, Duration)> {
    let mut tasks = JoinSet::new();
    for mut lane in lanes {
        tasks.spawn(async move { lane.write_until(start + lane.load.time).await.map(|()| lane) });
    }
    let mut lanes = Vec::new();
    while let Some(lane) = tasks.join_next().await {
        lanes.push(lane??);
    }
    Ok((lanes, start.elapsed()))
}

/// A transaction that has nothing to do with events, and takes its time.
async fn stay_open(aside: &Client, load: &Load) -> Result<()> {
    if !load.aside.is_zero() {
        sleep(load.time.mul_f64(ASIDE_AFTER)).await;
        aside.batch_execute("BEGIN; SELECT pg_current_xact_id()").await?;
        sleep(load.aside).await;
        aside.batch_execute("COMMIT").await?;
    }
    Ok(())
}

/// Reads on until all is written and nothing more comes; says of each row its batch and when it came.
async fn follow(reader: &mut Reader, done: &AtomicBool) -> Result<Vec<(i64, Instant)>> {
    let mut seen = Vec::new();
    loop {
        let last = done.load(Ordering::Relaxed);
        let page = reader.next().await?;
        let now = Instant::now();
        seen.extend(page.iter().map(|event| (event.time, now)));
        if last && page.is_empty() {
            return Ok(seen);
        }
        if page.len() < PAGE {
            sleep(READER_RESTS).await;
        }
    }
}

impl Lane {
    async fn open(postgres: &Postgres, number: usize, scheme: Scheme, load: &Load) -> Result<Self> {
        Ok(Self {
            writer: Writer::open(postgres, DATABASE, scheme).await?,
            number,
            scheme,
            load: load.clone(),
            rows: Rows::new(load.batch, &load.data),
            batches: 0,
            random: 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(number as u64 + 1),
            committed: Vec::new(),
            latencies: Vec::new(),
        })
    }

    async fn write_until(&mut self, deadline: Instant) -> Result<()> {
        let mut now = Instant::now();
        while now < deadline {
            let batch = self.transact().await?;
            let answered = Instant::now();
            self.committed.push((batch, answered));
            self.latencies.push(answered - now);
            now = answered;
        }
        Ok(())
    }

    /// Commits one batch, and says which.
    async fn transact(&mut self) -> Result<i64> {
        let batch = (self.batches * self.load.writers + self.number) as i64;
        self.batches += 1;
        for i in 0..self.rows.len() {
            let random = next_random(&mut self.random);
            let conversation = self.pick(random as usize % CONVERSATIONS);
            self.rows.pick(i, conversation, batch * self.rows.len() as i64 + i as i64, random);
            self.rows.times[i] = batch;
            if !self.scheme.is_sharded() {
                self.rows.shards[i] = 0;
            }
        }
        self.writer.transact(&mut self.rows, self.load.hold).await?;
        Ok(batch)
    }

    /// A conversation of one of this writer's own shards, if it has such.
    fn pick(&self, conversation: usize) -> usize {
        if !self.scheme.has_owners() {
            return conversation;
        }
        let foreign = shard_of(conversation) as usize % self.load.writers;
        (conversation + SHARDS + self.number - foreign) % (CONVERSATIONS / SHARDS * SHARDS)
    }
}

fn ascending(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}
