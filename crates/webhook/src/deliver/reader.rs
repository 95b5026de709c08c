//! One shard of the log, as a deliverer reads it: what is read and not yet told, and how far that is saved.

use std::sync::{Arc, OnceLock};

use chat::Fault;
use chat::event::{LogEntry, Position, Shard, Subject};
use chat::port::Log;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{FIRST_PAUSE, MAX_PAUSE, Telling};
use crate::endpoint::Endpoint;
use crate::lanes::Lanes;
use crate::ledger::{Behind, Ledger, Progress};

/// How many events are read from the log at once.
const READ_BATCH: usize = 256;

/// See the module.
pub(super) struct Reader {
    pub(super) shard: Shard,
    pub(super) head: watch::Receiver<Position>,
    pub(super) lanes: Lanes<Telling>,
    saved: Position,
    is_saving: bool,
    /// After progress could not be saved: when to try again.
    save_again_at: Option<Instant>,
    /// After the log could not be read: when to try again.
    read_again_at: Option<Instant>,
}

/// What became of saving progress.
pub(super) struct Saved {
    pub(super) progress: Progress,
    pub(super) result: Result<(), Fault>,
}

impl Reader {
    /// Goes on where the endpoint's cursor stands, or at the newest event. `share`: how many readers share the bounds.
    pub(super) async fn open(
        endpoint: &str,
        shard: Shard,
        share: usize,
        log: &dyn Log,
        ledger: &dyn Ledger,
    ) -> Result<Self, Fault> {
        let head = log.head(shard);
        let cursor = match ledger.cursor(endpoint, shard).await? {
            Some(cursor) => cursor.position,
            None => {
                let newest = *head.borrow();
                let progress = Progress { cursor: newest, ..Progress::default() };
                ledger.save_progress(endpoint, shard, progress).await?;
                newest
            }
        };
        let behind = ledger.behind(endpoint, shard).await?;
        let behind = behind.into_iter().map(|(subject, behind)| (subject, behind.told)).collect();
        let lanes = Lanes::new(cursor, behind, share);
        Ok(Self { shard, head, lanes, saved: cursor, is_saving: false, save_again_at: None, read_again_at: None })
    }

    /// Events that are not told, as far as positions say.
    pub(super) fn lag(&self) -> u64 {
        self.head.borrow().0.saturating_sub(self.lanes.cursor().0)
    }

    /// Reads on in the log. Returns whether there was anything.
    pub(super) async fn read_ahead(&mut self, endpoint: &Endpoint, log: &dyn Log) -> bool {
        if self.read_again_at.is_some_and(|at| at > Instant::now()) || self.lanes.read_to() >= *self.head.borrow() {
            return false;
        }
        let entries = match log.log_after(self.shard, self.lanes.read_to(), READ_BATCH).await {
            Ok(entries) => entries,
            Err(fault) => {
                // Tried again at the first tick after the pause.
                self.unread(&endpoint.name, &fault);
                self.read_again_at = Some(Instant::now() + FIRST_PAUSE);
                return false;
            }
        };
        let is_any = !entries.is_empty();
        for entry in entries {
            match endpoint.tells(&entry.event) {
                Some(command) => {
                    let (subject, position) = (entry.event.subject(), entry.position);
                    self.lanes.push(subject, position, Telling { entry, command, call: OnceLock::new() });
                }
                None => self.lanes.skip(entry.position),
            }
        }
        is_any
    }

    /// Fills a lane that is behind from the log. Returns whether it could be read.
    pub(super) async fn read_lane(
        &mut self,
        endpoint: &Arc<Endpoint>,
        log: &dyn Log,
        subject: Subject,
        after: Position,
        limit: usize,
    ) -> bool {
        let up_to = self.lanes.read_to();
        match log.log_of(&subject, after, up_to, limit).await {
            Ok(entries) => {
                let has_more = entries.len() == limit;
                let read = entries.last().map(|entry| entry.position);
                let telling = |entry: LogEntry| {
                    let command = endpoint.tells(&entry.event)?;
                    Some((entry.position, Telling { entry, command, call: OnceLock::new() }))
                };
                let events = entries.into_iter().filter_map(telling).collect();
                self.lanes.refill(subject, events, read, has_more);
                true
            }
            Err(fault) => {
                self.unread(&endpoint.name, &fault);
                self.lanes.rest(subject, Instant::now() + MAX_PAUSE, false);
                false
            }
        }
    }

    /// A store that is away has said so itself.
    fn unread(&self, endpoint: &str, fault: &Fault) {
        if !fault.is_unavailable() {
            tracing::error!(endpoint, shard = self.shard.0, %fault, "the log could not be read");
        }
    }

    /// What has changed since it was saved; none while that is being saved, or soon after it could not be.
    pub(super) fn unsaved(&mut self) -> Option<Progress> {
        if self.is_saving || self.save_again_at.is_some_and(|at| at > Instant::now()) {
            return None;
        }
        let behind = self.lanes.take_unsaved().into_iter();
        let behind = behind.map(|(subject, told)| (subject, told.map(|told| Behind { told, trouble: None })));
        let progress = Progress { cursor: self.lanes.cursor(), behind: behind.collect(), dead: Vec::new() };
        self.is_saving = progress.cursor != self.saved || !progress.behind.is_empty();
        self.is_saving.then_some(progress)
    }

    pub(super) fn saved(&mut self, endpoint: &str, Saved { progress, result }: Saved) {
        self.is_saving = false;
        match result {
            Ok(()) => self.saved = progress.cursor,
            // Until it is, a crash would repeat more.
            Err(fault) => {
                self.lanes.not_saved(progress.behind.into_iter().map(|(subject, _)| subject));
                self.save_again_at = Some(Instant::now() + FIRST_PAUSE);
                if fault.is_unavailable() {
                    return;
                }
                tracing::warn!(endpoint, shard = self.shard.0, %fault, "progress could not be saved");
            }
        }
    }
}
