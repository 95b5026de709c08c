//! What the operator has a deliverer do.

use std::collections::BTreeSet;

use chat::Fault;
use chat::event::Position;
use chat::id::EventId;
use tokio::time::Instant;

use super::handle::{Failing, Instruction, Skipped};
use super::reader::Reader;
use super::{Deliverer, GRACE};
use crate::lanes::{Failed, LaneKey};
use crate::ledger::LetterState;

/// So many lanes are read from the log to find what is to be skipped: about a second of reading, in which nothing is told.
const MOST_READ_TO_SKIP: usize = 1000;

impl Deliverer {
    pub(super) async fn obey(&mut self, instruction: Instruction) {
        let ledger = self.parts.ledger.clone();
        // Whoever asked and does not wait for the answer does not want it.
        match instruction {
            Instruction::Pause(_, reply) | Instruction::Resume(reply) if !self.is_announced => {
                let _ = reply.send(Err(Fault::unavailable("the endpoint is being paused; ask again in a moment")));
            }
            Instruction::Pause(pause, reply) => {
                let result = ledger.set_pause(&self.endpoint.name, Some(pause.clone())).await;
                if result.is_ok() {
                    tracing::warn!(endpoint = self.endpoint.name, detail = pause.detail, "paused by the operator");
                    (self.pause, self.is_announced) = (Some(pause), true);
                }
                let _ = reply.send(result);
            }
            Instruction::Resume(reply) => {
                // By the count of before the operator looked after them it would be paused again at once.
                let result = match self.letters.count_anew(&self.endpoint, &*ledger).await {
                    Ok(()) => ledger.set_pause(&self.endpoint.name, None).await,
                    Err(fault) => Err(fault),
                };
                if result.is_ok() {
                    tracing::info!(endpoint = self.endpoint.name, "resumed by the operator");
                    (self.pause, self.is_announced) = (None, true);
                    self.health.forget();
                    self.readers.iter_mut().for_each(|reader| reader.lanes.wake_waiting());
                    self.letters.look_again();
                    self.lenient_until = Instant::now() + self.endpoint.telling.max_age.min(GRACE);
                    self.is_too_old = false;
                }
                let _ = reply.send(result);
            }
            Instruction::Skip(event, reply) => {
                let skipped = match self.skip(event) {
                    // After a restart lanes that fail are known before their events are.
                    Skipped::NotFailing if !self.read_failing(event).await => Skipped::Calling,
                    Skipped::NotFailing => self.skip(event),
                    skipped => skipped,
                };
                let _ = reply.send(skipped);
            }
            Instruction::Failing(limit, reply) => {
                let _ = reply.send(self.failing(limit));
            }
            Instruction::LettersChanged => {
                // Those that were written just now are due by this time, whatever the wall clock does next.
                self.letters.now(self.parts.clock.now());
                self.letters.look_again();
                if let Err(fault) = self.letters.count_anew(&self.endpoint, &*ledger).await
                    && !fault.is_unavailable()
                {
                    tracing::warn!(endpoint = self.endpoint.name, %fault, "letters could not be counted; they are soon");
                }
                self.check_dead();
            }
        }
        self.show();
        self.changed();
    }

    /// Reads the events of failing lanes that are not in memory, until it has found one. Returns whether there may be no
    /// more of them: if so many are left that this would take long, somebody asks again.
    async fn read_failing(&mut self, event: EventId) -> bool {
        let mut reads = 0;
        for reader in &mut self.readers {
            let unread = reader.lanes.failing().filter(|(_, _, first)| first.is_none()).map(|(key, ..)| key.clone());
            for key in unread.collect::<BTreeSet<LaneKey>>() {
                if reads >= MOST_READ_TO_SKIP {
                    return false;
                }
                reads += 1;
                if reader.read_first(&self.endpoint, &*self.parts.log, &key).await == Some(event) {
                    return true;
                }
            }
        }
        true
    }

    pub(super) fn skip(&mut self, event: EventId) -> Skipped {
        if self.letters.is_busy(event) {
            return Skipped::Calling;
        }
        for reader in 0..self.readers.len() {
            let lanes = &self.readers[reader].lanes;
            let failing = lanes.failing().map(|(key, failed, _)| (key.clone(), failed));
            let is_it =
                |(key, _): &(LaneKey, Failed)| lanes.first(key).is_some_and(|(_, first)| first.event() == event);
            let Some((key, failed)) = failing.into_iter().find(is_it) else { continue };
            if lanes.is_calling(&key) {
                return Skipped::Calling;
            }
            let attempts = failed.trouble.map_or(0, |(trouble, _)| trouble.attempts);
            let (now, why) = (self.parts.clock.now(), "skipped by the operator".to_owned());
            self.make_letter(reader, &key, LetterState::Dead, why, attempts, now);
            return Skipped::Done;
        }
        // Whoever asked looks for it among the letters next: it must not be told meanwhile.
        self.letters.put_aside(event);
        Skipped::NotFailing
    }

    pub(super) fn failing(&self, limit: usize) -> Vec<Failing> {
        let of_reader = |reader: &Reader| {
            let describe = |(key, failed, first): (&LaneKey, Failed, Option<Position>)| {
                let telling = reader.lanes.first(key).map(|(_, telling)| telling);
                Failing {
                    subject: key.subject.clone(),
                    place: first.map(|position| (reader.shard, position)),
                    event: telling.as_ref().map(|telling| telling.event()),
                    command: telling.map(|telling| telling.command.to_owned()),
                    times: failed.times,
                    trouble: failed.trouble.map(|(trouble, _)| trouble),
                }
            };
            reader.lanes.failing().map(describe).collect::<Vec<_>>()
        };
        let mut failing: Vec<_> = self.readers.iter().flat_map(of_reader).collect();
        failing.sort_by(|one, other| {
            let due = |failing: &Failing| failing.trouble.map_or(i64::MAX, |trouble| trouble.since.millis());
            let places = one.place.cmp(&other.place);
            due(one).cmp(&due(other)).then_with(|| one.subject.cmp(&other.subject)).then(places)
        });
        failing.truncate(limit);
        failing
    }
}
