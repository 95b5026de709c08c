//! Writers: each gathers what waits for its shards and commits it in one transaction, over a connection of its own.
//!
//! As with SQLite's writer, batching is the design: while one batch is being committed, the next one gathers. Changes go
//! to the writer of their first shard; those that touch several writers' shards are kept apart by the locks on the shards' rows,
//! as the changes of other nodes are.
//!
//! Whether a commit came through is never guessed. Each transaction notes its number in the writer's row of `writer`. A writer
//! that lost its connection while it committed locks the shards again (the old transaction has ended by then, one way or
//! the other) and looks at the number.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chat::Fault;
use chat::event::{Position, Shard};
use chat::id::AccountId;
use chat::port::{Changes, CommitError, Committed};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use webhook::ledger::Progress;

use super::availability::Availability;
use super::batch::Batch;
use super::connect::Connector;
use super::last_commit::LastCommit;
use super::needs::Needs;
use super::{Db, Error, Heads, Result, trouble};
use crate::attempt::pg as attempt;
use crate::commit::{self, Applied, Prepared};
use crate::cursor::pg as cursor;
use crate::event::pg as event;
use crate::gap::pg as gap;
use crate::letter::pg as letter;
use crate::milestone::pg as milestone;
use crate::note::{Note, Noted};
use crate::pause::pg as pause;
use crate::shard::Shards;

/// How many jobs may wait in a writer. A sender beyond that waits to get in, which slows it down and nobody else.
const QUEUE: usize = 4096;

/// How many jobs one transaction takes at most: it holds its shards for so long.
const MAX_BATCH: usize = 1024;

/// About how many rows one transaction writes at most (one job may have more): a few hundred milliseconds of work, which is
/// well within [`ATTEMPT_WITHIN`].
const MAX_ROWS: usize = 8192;

/// Before `COMMIT`, a transaction that takes longer is given up: somebody holds its shards, or the database hangs.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(5);

/// How long it may take to learn whether a commit came through before its senders are told that it is not known.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// Between two attempts to learn it.
const RESOLVE_EVERY: Duration = Duration::from_millis(100);

/// How often a transaction is tried that failed in passing: a conflict, a connection that turned out to be dead.
const MOST_ATTEMPTS: u32 = 4;

/// So many accounts that exist are remembered per writer, some 10 MB; then all are forgotten, and looked up again.
const MOST_KNOWN: usize = 100_000;

/// All writers of this process.
pub(super) struct Writers {
    queues: Vec<mpsc::Sender<Job>>,
    shards: Shards,
    availability: Arc<Availability>,
}

enum Job {
    Commit {
        prepared: Box<Prepared>,
        reply: oneshot::Sender<Result<Committed, CommitError>>,
    },
    Note {
        note: Note,
        reply: oneshot::Sender<Result<Noted, Fault>>,
    },
    /// Writes nothing but the writer's number.
    Probe {
        reply: oneshot::Sender<Result<(), Fault>>,
    },
}

impl Writers {
    /// Starts the writers. They end when this is dropped and their queues are empty.
    pub(super) async fn start(
        connector: &Connector,
        writers: u16,
        shards: Shards,
        heads: &Arc<Heads>,
        availability: &Arc<Availability>,
    ) -> Result<Self> {
        let mut queues = Vec::new();
        // A writer writes the shards that have its number modulo their count.
        for first in shards.all().take(usize::from(writers.max(1))) {
            let db = connector.connect().await?;
            let writer = Writer {
                connector: connector.clone(),
                last_commit: LastCommit::register(&db, first).await?,
                db: Some(db),
                connected: Instant::now(),
                number: 0,
                shards,
                heads: heads.clone(),
                availability: availability.clone(),
                known: HashSet::new(),
            };
            let (sender, queue) = mpsc::channel(QUEUE);
            tokio::spawn(writer.run(queue));
            queues.push(sender);
        }
        Ok(Self { queues, shards, availability: availability.clone() })
    }

    pub(super) async fn commit(&self, changes: Changes) -> Result<Committed, CommitError> {
        self.availability.check().map_err(CommitError::Unavailable)?;
        // Serialising is the caller's work.
        let prepared = Prepared::new(changes).map_err(|error| CommitError::Fault(Fault::new(error)))?;
        let mut needs = Needs::default();
        needs.add(&prepared, self.shards);
        let shard = needs.shards(self.shards).first().copied().unwrap_or_default();
        let (reply, answer) = oneshot::channel();
        let job = Job::Commit { prepared: Box::new(prepared), reply };
        self.queue(shard).send(job).await.map_err(|_| CommitError::Fault(stopped()))?;
        answer.await.unwrap_or_else(|_| Err(CommitError::Fault(stopped())))
    }

    pub(super) async fn note(&self, note: Note) -> Result<Noted, Fault> {
        self.availability.check()?;
        let (reply, answer) = oneshot::channel();
        let queue = self.queue(note.shard());
        queue.send(Job::Note { note, reply }).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Whether a write gets through, in every writer.
    pub(super) async fn probe(&self) -> Result<(), Fault> {
        let mut answers = Vec::with_capacity(self.queues.len());
        for queue in &self.queues {
            let (reply, answer) = oneshot::channel();
            queue.send(Job::Probe { reply }).await.map_err(|_| stopped())?;
            answers.push(answer);
        }
        for answer in answers {
            answer.await.unwrap_or_else(|_| Err(stopped()))?;
        }
        Ok(())
    }

    fn queue(&self, shard: Shard) -> &mpsc::Sender<Job> {
        &self.queues[usize::from(shard.0) % self.queues.len()]
    }
}

fn stopped() -> Fault {
    Fault::new("the store has stopped")
}

struct Writer {
    connector: Connector,
    db: Option<Db>,
    /// When that was made.
    connected: Instant,
    last_commit: LastCommit,
    /// Of the newest transaction that was begun.
    number: i64,
    shards: Shards,
    heads: Arc<Heads>,
    availability: Arc<Availability>,
    /// Accounts that exist: they do for ever.
    known: HashSet<AccountId>,
}

/// What a job leads to, once the transaction that it is in is durable.
enum Outcome {
    Commit(Result<Committed, CommitError>),
    Noted(Noted),
    Done,
}

/// A transaction that is not known to have come through.
enum Trouble {
    /// There is no connection.
    Away(Error),
    /// Nothing of it happened.
    Failed(Error),
    /// The connection was lost while it was being committed.
    Doubt { outcomes: Vec<Outcome>, shards: BTreeSet<Shard>, heads: Vec<(Shard, Position)>, error: Error },
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::new();
        while queue.recv_many(&mut jobs, MAX_BATCH).await > 0 {
            let mut waiting = std::mem::take(&mut jobs).into_iter().peekable();
            while let Some(first) = waiting.next() {
                let mut rows = first.rows();
                let mut batch = vec![first];
                while let Some(next) = waiting.next_if(|next| rows + next.rows() <= MAX_ROWS) {
                    rows += next.rows();
                    batch.push(next);
                }
                metrics::histogram!("ringback_commit_batch").record(batch.len() as f64);
                self.carry_out(batch).await;
            }
        }
    }

    /// Commits jobs together and answers them; if one may have spoilt it for all, each in a transaction of its own.
    async fn carry_out(&mut self, jobs: Vec<Job>) {
        // Who waited while it was found to be away is refused like those who come now.
        if let Err(fault) = self.availability.check() {
            return jobs.into_iter().for_each(|job| job.fail(&fault, true));
        }
        let Err((error, jobs)) = self.together(jobs).await else { return };
        tracing::warn!(%error, jobs = jobs.len(), "a batch failed and is done one by one");
        for job in jobs {
            if let Err(fault) = self.availability.check() {
                job.fail(&fault, true);
            } else if let Err((error, jobs)) = self.together(vec![job]).await {
                jobs.into_iter().for_each(|job| job.fail(&Fault::new(error.to_string()), false));
            }
        }
    }

    /// Commits jobs in one transaction and answers them. An error is of a statement, with nothing done and nobody
    /// answered.
    async fn together(&mut self, jobs: Vec<Job>) -> Result<(), (Error, Vec<Job>)> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let trouble = match self.transact(&jobs).await {
                Ok(outcomes) => {
                    answer(jobs, outcomes);
                    return Ok(());
                }
                Err(Trouble::Doubt { outcomes, shards, heads, error }) => {
                    tracing::warn!(%error, "the connection was lost during a commit");
                    match self.came_through(&shards).await {
                        Some(true) => {
                            heads.into_iter().for_each(|(shard, position)| self.heads.advance(shard, position));
                            answer(jobs, outcomes);
                            return Ok(());
                        }
                        Some(false) if attempt < MOST_ATTEMPTS => continue,
                        Some(false) => Trouble::Failed(error),
                        None => {
                            self.availability.lost(&error);
                            let words = "the connection to the database was lost during a commit, and it is not known yet \
                                 whether it came through; send again with the same client id";
                            jobs.into_iter().for_each(|job| job.fail(&Fault::unavailable(words), true));
                            return Ok(());
                        }
                    }
                }
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Failed(error) if trouble::is_passing(&error) && attempt < MOST_ATTEMPTS => {
                    tracing::info!(%error, attempt, "a transaction is tried again");
                }
                Trouble::Away(error) => {
                    let fault = self.availability.lost(&error);
                    jobs.into_iter().for_each(|job| job.fail(&fault, true));
                    return Ok(());
                }
                Trouble::Failed(error) if trouble::is_unavailable(&error) => {
                    let fault = match &error {
                        Error::WentBack(_) => self.availability.give_up(&error),
                        error if trouble::is_away(error) => self.availability.lost(error),
                        error => {
                            tracing::warn!(%error, jobs = jobs.len(), "the store takes no writes");
                            Fault::unavailable(error.to_string())
                        }
                    };
                    jobs.into_iter().for_each(|job| job.fail(&fault, true));
                    return Ok(());
                }
                Trouble::Failed(error) | Trouble::Doubt { error, .. } => return Err((error, jobs)),
            }
        }
    }

    /// Carries out jobs in one transaction.
    async fn transact(&mut self, jobs: &[Job]) -> Result<Vec<Outcome>, Trouble> {
        let db = self.connection().await.map_err(Trouble::Away)?;
        let mut needs = Needs::default();
        for job in jobs {
            match job {
                Job::Commit { prepared, .. } => needs.add(prepared, self.shards),
                Job::Note { note, .. } => needs.noted.extend(note.locks()),
                Job::Probe { .. } => {}
            }
        }
        self.number += 1;
        let attempt = async {
            let mut batch = Batch::begin(&db, self.shards, &needs, &self.known).await?;
            if !batch.locked().all(|(shard, position)| self.heads.is_known(shard, position)) {
                let before = self.heads.all();
                // If it is the connection that leads to the past, another one may do.
                let error = self.heads.have_gone_back(&self.connector, before).await?;
                return Err(error.unwrap_or(Error::Outdated));
            }
            let mut outcomes = jobs.iter().map(|job| apply(&mut batch, job)).collect::<Result<Vec<_>>>()?;
            let is_all_read = jobs.iter().all(|job| matches!(job, Job::Commit { .. })) && !batch.has_changed();
            if !is_all_read {
                batch.write(&db).await?;
                let notes = jobs.iter().zip(&mut outcomes).filter_map(|(job, outcome)| Some((job.note()?, outcome)));
                write(&db, notes.collect()).await?;
                self.last_commit.put(&db, self.number).await?;
            }
            Ok((batch, outcomes))
        };
        let (batch, outcomes) = match timeout(ATTEMPT_WITHIN, attempt).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => {
                // A connection that cannot even roll back is replaced.
                if !matches!(error, Error::Outdated)
                    && timeout(ATTEMPT_WITHIN, db.batch_execute("ROLLBACK")).await.is_ok_and(|result| result.is_ok())
                {
                    self.db = Some(db);
                }
                return Err(Trouble::Failed(error));
            }
            Err(_) => return Err(Trouble::Failed(Error::Slow(ATTEMPT_WITHIN))),
        };
        let committed = match timeout(RESOLVE_WITHIN, db.batch_execute("COMMIT")).await {
            Ok(result) => result.map_err(Error::from),
            Err(_) => Err(Error::Slow(RESOLVE_WITHIN)),
        };
        match committed {
            Ok(()) => {
                self.db = Some(db);
                batch.heads().for_each(|(shard, position)| self.heads.advance(shard, position));
                if self.known.len() >= MOST_KNOWN {
                    self.known.clear();
                }
                self.known.extend(batch.existing().cloned());
                Ok(outcomes)
            }
            Err(error) if trouble::leaves_doubt(&error) => {
                let heads = batch.heads().collect();
                Err(Trouble::Doubt { outcomes, shards: needs.shards(self.shards), heads, error })
            }
            Err(error) => Err(Trouble::Failed(error)),
        }
    }

    /// Whether the newest transaction came through; none if that cannot be learnt in time.
    async fn came_through(&mut self, shards: &BTreeSet<Shard>) -> Option<bool> {
        let deadline = Instant::now() + RESOLVE_WITHIN;
        loop {
            let look = async {
                let db = self.connection().await?;
                let number = self.last_commit.find(&db, shards).await?;
                self.db = Some(db);
                Ok::<_, Error>(number)
            };
            match timeout_at(deadline, look).await {
                Err(_) => return None,
                Ok(Ok(number)) => return Some(number == Some(self.number)),
                Ok(Err(error)) => tracing::debug!(%error, "whether a commit came through is not known yet"),
            }
            if Instant::now() + RESOLVE_EVERY >= deadline {
                return None;
            }
            tokio::time::sleep(RESOLVE_EVERY).await;
        }
    }

    /// The writer's connection, taken out: whoever is done with it and finds it good puts it back.
    async fn connection(&mut self) -> Result<Db> {
        match self.db.take() {
            Some(db) if !db.is_closed() && !self.availability.is_stale(self.connected) => Ok(db),
            _ => {
                self.connected = Instant::now();
                self.connector.connect().await
            }
        }
    }
}

fn answer(jobs: Vec<Job>, outcomes: Vec<Outcome>) {
    jobs.into_iter().zip(outcomes).for_each(|(job, outcome)| job.answer(outcome));
}

/// Writes notes in their order. Progress, of which there is most, is gathered.
async fn write(db: &Db, notes: Vec<(&Note, &mut Outcome)>) -> Result<()> {
    let mut progress = Vec::new();
    for (note, outcome) in notes {
        if let Note::Progress { endpoint, shard, progress: one } = note {
            progress.push((endpoint.as_str(), *shard, one));
            continue;
        }
        save(db, &mut progress).await?;
        *outcome = Outcome::Noted(write_one(db, note).await?);
    }
    save(db, &mut progress).await
}

async fn save(db: &Db, progress: &mut Vec<(&str, Shard, &Progress)>) -> Result<()> {
    if !progress.is_empty() {
        cursor::save(db, progress).await?;
        progress.clear();
    }
    Ok(())
}

async fn write_one(db: &Db, note: &Note) -> Result<Noted> {
    match note {
        Note::Progress { endpoint, shard, progress } => cursor::save(db, &[(endpoint, *shard, progress)]).await?,
        Note::Pause { endpoint, pause } => pause::set(db, endpoint, pause.as_ref()).await?,
        Note::Letters(letters) => letter::put(db, &letters.iter().collect::<Vec<_>>()).await?,
        Note::NoLetters { endpoint, places } => letter::remove(db, endpoint, places).await?,
        Note::Attempts(attempts) => attempt::add(db, attempts).await?,
        Note::Time { now, heads } => milestone::note(db, *now, heads).await?,
        Note::Trim { shard, from, up_to, limit, let_go, now } => {
            let trimmed = event::trim(db, *shard, *from, *up_to, *limit).await?;
            gap::note(db, *shard, trimmed, let_go, *now).await?;
            return Ok(Noted::Trimmed(trimmed));
        }
        Note::NoAttempts { endpoint, up_to } => {
            return attempt::remove(db, endpoint, *up_to).await.map(Noted::Removed);
        }
        Note::NoTimes { before } => return milestone::remove(db, *before).await.map(Noted::Removed),
    }
    Ok(Noted::Done)
}

fn apply<'a>(batch: &mut Batch<'a>, job: &'a Job) -> Result<Outcome> {
    let prepared = match job {
        Job::Commit { prepared, .. } => prepared,
        Job::Note { .. } => return Ok(Outcome::Noted(Noted::Done)),
        Job::Probe { .. } => return Ok(Outcome::Done),
    };
    Ok(Outcome::Commit(match commit::apply(batch, prepared)? {
        Applied::Done(receipt) => Ok(receipt),
        Applied::Broken(assertion) => Err(CommitError::Broken(assertion)),
        Applied::Repeat(message) => Err(CommitError::Repeat(message)),
    }))
}

impl Job {
    fn note(&self) -> Option<&Note> {
        match self {
            Self::Note { note, .. } => Some(note),
            Self::Commit { .. } | Self::Probe { .. } => None,
        }
    }

    /// About how many rows it writes.
    fn rows(&self) -> usize {
        match self {
            Self::Commit { prepared, .. } => prepared.rows(),
            Self::Note { note, .. } => note.rows(),
            Self::Probe { .. } => 1,
        }
    }

    /// Whoever asked may have given up waiting; that is no concern of ours.
    fn answer(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Commit { reply, .. }, Outcome::Commit(result)) => drop(reply.send(result)),
            (Self::Note { reply, .. }, Outcome::Noted(noted)) => drop(reply.send(Ok(noted))),
            (Self::Probe { reply }, Outcome::Done) => drop(reply.send(Ok(()))),
            (job, _) => job.fail(&Fault::new("a job was given another's outcome"), false),
        }
    }

    fn fail(self, fault: &Fault, is_unavailable: bool) {
        match self {
            Self::Commit { reply, .. } if is_unavailable => {
                drop(reply.send(Err(CommitError::Unavailable(fault.clone()))))
            }
            Self::Commit { reply, .. } => drop(reply.send(Err(CommitError::Fault(fault.clone())))),
            Self::Note { reply, .. } => drop(reply.send(Err(fault.clone()))),
            Self::Probe { reply } => drop(reply.send(Err(fault.clone()))),
        }
    }
}
