//! The writer: one thread drains a queue and commits what waits in one transaction.
//!
//! Batching is the design: while one batch is being synced to disk, the next one gathers. Nobody waits for a timer.

use std::io;
use std::thread::{self, JoinHandle};

use chat::Fault;
use chat::event::Position;
use chat::port::{Changes, CommitError, Committed};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::known::Known;
use super::rows::SqliteRows;
use crate::attempt::lite as attempt;
use crate::commit::{self, Applied, Prepared};
use crate::cursor::lite as cursor;
use crate::event::lite as event;
use crate::gap::lite as gap;
use crate::letter::lite as letter;
use crate::milestone::lite as milestone;
use crate::note::{Note, Noted};
use crate::pause::lite as pause;

/// How many jobs may wait. A sender beyond that waits to get into the queue, which slows it down and nobody else.
const QUEUE: usize = 4096;

/// How many jobs one transaction takes at most: at 1,024 a commit takes some 10 ms (measured in `bench`), and more would
/// make the last in line wait longer without more throughput.
const MAX_BATCH: usize = 1024;

/// The writer thread. Dropping this lets it finish what is in its queue and waits for that: whoever opens the file next
/// has it for itself.
#[derive(Debug)]
pub(super) struct Writer {
    // Dropped in this order: the thread ends when it can get no more jobs.
    jobs: mpsc::Sender<Job>,
    _thread: Joined,
}

/// A thread that is waited for.
#[derive(Debug)]
struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        // A writer that panicked has shown that already.
        drop(self.0.take().map(JoinHandle::join));
    }
}

enum Job {
    Commit { prepared: Box<Prepared>, reply: oneshot::Sender<Result<Committed, CommitError>> },
    Note { note: Note, reply: oneshot::Sender<Result<Noted, Fault>> },
}

impl Writer {
    /// Starts the thread; `head` announces the newest position after each commit.
    pub(super) fn start(db: Connection, head: watch::Sender<Position>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new().name("sqlite-writer".into());
        let thread = thread.spawn(move || Loop { db, known: Known::default(), head }.run(queue))?;
        Ok(Self { jobs, _thread: Joined(Some(thread)) })
    }

    pub(super) async fn commit(&self, changes: Changes) -> Result<Committed, CommitError> {
        // Serialising is the caller's work: the one writer only writes.
        let prepared = Box::new(Prepared::new(changes).map_err(|error| CommitError::Fault(Fault::new(error)))?);
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Commit { prepared, reply }).await.map_err(|_| CommitError::Fault(stopped()))?;
        answer.await.unwrap_or_else(|_| Err(CommitError::Fault(stopped())))
    }

    pub(super) async fn note(&self, note: Note) -> Result<Noted, Fault> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Note { note, reply }).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> Fault {
    Fault::new("the store's writer has stopped")
}

struct Loop {
    db: Connection,
    known: Known,
    head: watch::Sender<Position>,
}

/// What a job leads to, once the transaction that it is in is durable.
enum Outcome {
    Commit(Result<Committed, CommitError>),
    Noted(Noted),
}

impl Loop {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while let Some(job) = queue.blocking_recv() {
            batch.push(job);
            while batch.len() < MAX_BATCH
                && let Ok(job) = queue.try_recv()
            {
                batch.push(job);
            }
            metrics::histogram!("ringback_commit_batch").record(batch.len() as f64);
            match self.transact(&batch) {
                Ok(outcomes) => {
                    for (job, outcome) in batch.drain(..).zip(outcomes) {
                        job.answer(outcome);
                    }
                }
                // One job may have spoilt it for all: each gets a transaction of its own.
                Err(error) if batch.len() > 1 && !is_unavailable(&error) => {
                    tracing::warn!(%error, jobs = batch.len(), "a batch failed and is done one by one");
                    for job in batch.drain(..) {
                        self.alone(job);
                    }
                }
                Err(error) => {
                    for job in batch.drain(..) {
                        job.fail(&error);
                    }
                }
            }
        }
    }

    fn alone(&mut self, job: Job) {
        match self.transact(std::slice::from_ref(&job)) {
            Ok(mut outcomes) => {
                if let Some(outcome) = outcomes.pop() {
                    job.answer(outcome);
                }
            }
            Err(error) => job.fail(&error),
        }
    }

    /// Carries out jobs in one transaction. An error means that nothing of it happened.
    fn transact(&mut self, jobs: &[Job]) -> rusqlite::Result<Vec<Outcome>> {
        let before = *self.head.borrow();
        let mut position = before;
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = &mut self.known;
        let outcomes: rusqlite::Result<Vec<Outcome>> =
            jobs.iter().map(|job| carry_out(&tx, known, job, &mut position)).collect();
        let outcomes = outcomes.and_then(|outcomes| tx.commit().map(|()| outcomes));
        match &outcomes {
            Ok(_) if position != before => drop(self.head.send_replace(position)),
            Ok(_) => {}
            // What the transaction taught has not come true.
            Err(_) => self.known.forget(),
        }
        outcomes
    }
}

fn carry_out(tx: &Transaction<'_>, known: &mut Known, job: &Job, position: &mut Position) -> rusqlite::Result<Outcome> {
    match job {
        Job::Commit { prepared, .. } => {
            Ok(Outcome::Commit(match commit::apply(&mut SqliteRows { db: tx, known, position }, prepared)? {
                Applied::Done(receipt) => Ok(receipt),
                Applied::Broken(assertion) => Err(CommitError::Broken(assertion)),
                Applied::Repeat(message) => Err(CommitError::Repeat(message)),
            }))
        }
        Job::Note { note, .. } => write(tx, note).map(Outcome::Noted),
    }
}

fn write(tx: &Transaction<'_>, note: &Note) -> rusqlite::Result<Noted> {
    match note {
        Note::Progress { endpoint, shard, progress } => cursor::save(tx, endpoint, *shard, progress)?,
        Note::Pause { endpoint, pause } => pause::set(tx, endpoint, pause.as_ref())?,
        Note::Letters(letters) => letter::put(tx, letters)?,
        Note::NoLetters { endpoint, places } => letter::remove(tx, endpoint, places)?,
        Note::Attempts(attempts) => attempt::add(tx, attempts)?,
        Note::Time { now, heads } => milestone::note(tx, *now, heads)?,
        Note::Trim { shard, from, up_to, limit, let_go, now } => {
            let trimmed = event::trim(tx, *from, *up_to, *limit)?;
            gap::note(tx, *shard, trimmed, let_go, *now)?;
            return Ok(Noted::Trimmed(trimmed));
        }
        Note::NoAttempts { endpoint, up_to } => return attempt::remove(tx, endpoint, *up_to).map(Noted::Removed),
        Note::NoTimes { before } => return milestone::remove(tx, *before).map(Noted::Removed),
    }
    Ok(Noted::Done)
}

impl Job {
    /// Whoever asked may have given up waiting; that is no concern of ours.
    fn answer(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Commit { reply, .. }, Outcome::Commit(result)) => drop(reply.send(result)),
            (Self::Note { reply, .. }, Outcome::Noted(noted)) => drop(reply.send(Ok(noted))),
            (job, _) => job.fail(&rusqlite::Error::InvalidQuery),
        }
    }

    fn fail(self, error: &rusqlite::Error) {
        let fault = Fault::new(error.to_string());
        match self {
            Self::Commit { reply, .. } => {
                let error =
                    if is_unavailable(error) { CommitError::Unavailable(fault) } else { CommitError::Fault(fault) };
                drop(reply.send(Err(error)));
            }
            Self::Note { reply, .. } => drop(reply.send(Err(fault))),
        }
    }
}

/// Whether the disk, rather than a statement, is the trouble.
fn is_unavailable(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, ReadOnly, SystemIoFailure};
    let code = error.sqlite_error_code();
    let passing = [DiskFull, SystemIoFailure, ReadOnly, CannotOpen, DatabaseBusy, DatabaseLocked, OutOfMemory];
    code.is_some_and(|code| passing.contains(&code))
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn error(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn what_the_operator_can_mend_is_unavailable_and_what_we_did_wrong_is_not() {
        let passing = [
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_BUSY_SNAPSHOT,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_NOMEM,
        ];
        for code in passing {
            assert!(is_unavailable(&error(code)), "{code}");
        }
        for code in [ffi::SQLITE_ERROR, ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CORRUPT, ffi::SQLITE_TOOBIG] {
            assert!(!is_unavailable(&error(code)), "{code}");
        }
        assert!(!is_unavailable(&rusqlite::Error::QueryReturnedNoRows));
    }
}
