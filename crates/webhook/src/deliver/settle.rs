//! What became of a call: who is to blame, and what happens next.

use std::borrow::Cow;
use std::time::Duration;

use chat::id::{EventId, Timestamp};
use tokio::task;
use tokio::time::Instant;

use super::health::pause_after;
use super::letters::Place;
use super::recent::RecentCall;
use super::settings::Order;
use super::telling::{Attempted, Outcome};
use super::{AGAIN_AFTER, Deliverer, Flight, Item, LAGS_AFTER, LONGEST_RETRY_AFTER, UNNOTED};
use crate::lanes::{Failed, LaneKey};
use crate::ledger::{Attempt, Letter, LetterState, PauseReason, Trouble};

impl Deliverer {
    pub(super) fn finish(&mut self, finished: Result<(task::Id, Attempted), task::JoinError>) {
        self.changed();
        let (id, attempted) = match finished {
            Ok(finished) => finished,
            // A panic is a bug of ours, and the event's as far as we know: it is refused.
            Err(error) => {
                tracing::error!(endpoint = self.endpoint.name, %error, "a call broke off");
                (error.id(), Attempted::broken(self.parts.clock.now(), error.to_string()))
            }
        };
        match self.calling.remove(&id) {
            Some(Flight::Lanes(items)) => {
                for telling in items.iter().flat_map(|item| &item.tellings) {
                    self.note(&attempted, telling.event(), Cow::Borrowed(telling.command));
                }
                let events: usize = items.iter().map(|item| item.tellings.len()).sum();
                self.metrics.count(attempted.outcome, events as u64);
                self.metrics.seconds.record(attempted.took.as_secs_f64());
                let is_batch = events > 1;
                // The endpoint first: what is said of it decides whether the event is blamed.
                let was_down = self.health.is_down();
                self.judge_endpoint(&items[0].key, &attempted);
                for item in items {
                    self.settle(item, &attempted, is_batch, was_down);
                }
            }
            Some(Flight::Letter(place)) => self.settle_letter(place, &attempted),
            None => {}
        }
    }

    /// What a call says about the endpoint.
    fn judge_endpoint(&mut self, key: &LaneKey, attempted: &Attempted) {
        let (now, random) = (Instant::now(), self.parts.clock.random());
        let is_down_now = match attempted.outcome {
            Outcome::Told => {
                if let Some(streak) = self.health.accepted() {
                    self.is_back(streak);
                }
                false
            }
            Outcome::Refused => self.health.refused(key, now, random),
            Outcome::Later(after) => {
                let is_down_now = self.health.refused(key, now, random);
                // Of an endpoint that is up it says something about that event only.
                if self.health.is_down() {
                    self.health.hold(now + after.min(LONGEST_RETRY_AFTER));
                }
                is_down_now
            }
            Outcome::Busy(after) => {
                self.health.hold(now + after.min(LONGEST_RETRY_AFTER));
                self.health.refused(key, now, random)
            }
            Outcome::Unanswered => self.health.unanswered(now, random),
            Outcome::Gone => {
                let detail = "the endpoint answered 410 Gone: it wants no more calls".to_owned();
                self.start_pausing(PauseReason::Gone, detail);
                false
            }
            Outcome::Unsendable | Outcome::Unread => false,
        };
        if is_down_now {
            tracing::warn!(
                endpoint = self.endpoint.name,
                why = attempted.name,
                "the endpoint is down; its events wait"
            );
        }
    }

    /// Everything that waited for it goes on at once.
    fn is_back(&mut self, streak: u64) {
        let waiting: usize = self.readers.iter().map(|reader| reader.lanes.len()).sum();
        tracing::info!(endpoint = self.endpoint.name, waiting, "the endpoint is back");
        self.readers.iter_mut().for_each(|reader| reader.lanes.wake_streak(streak));
    }

    /// What a call means for the events of one lane.
    pub(super) fn settle(&mut self, item: Item, attempted: &Attempted, is_batch: bool, was_down: bool) {
        let Item { reader, key, tellings } = item;
        let now = Instant::now();
        let lanes = &mut self.readers[reader].lanes;
        let failed = lanes.failed(&key);
        let is_down = was_down || self.health.is_down();
        // Until then it waits, and is not blamed.
        let again = |failed: Failed| now + pause_after(failed.times, self.parts.clock.random());
        let once_more = Failed { times: failed.times.saturating_add(1), streak: self.health.streak(), ..failed };
        match attempted.outcome {
            Outcome::Told => lanes.done(&key, tellings.len()),
            Outcome::Unread | Outcome::Gone => lanes.rest(&key, again(failed), failed, false),
            Outcome::Unanswered => {
                // Somebody got through since it failed last: it is the event's own.
                let is_own = !is_down && !is_batch && failed.times > 0 && failed.streak != self.health.streak();
                if is_own {
                    return self.blame(reader, &key, attempted, Duration::ZERO);
                }
                let lags = !is_down && once_more.times >= LAGS_AFTER;
                lanes.rest(&key, again(failed), once_more, lags);
            }
            // It may be long, so that nothing of it holds the cursor.
            Outcome::Later(after) if is_batch && key.event.is_some() => {
                let at = self.letters.now(self.parts.clock.now()).later(after.min(LONGEST_RETRY_AFTER));
                self.make_letter(reader, &key, LetterState::Replay, attempted.why(), 0, at);
            }
            Outcome::Later(after) if is_batch => {
                lanes.rest(&key, now + after.min(LONGEST_RETRY_AFTER), failed, true);
            }
            // Which of them it refuses will be seen when they are told one by one.
            _ if is_batch => lanes.retry_alone(&key),
            Outcome::Unsendable => self.give_up(reader, &key, failed, attempted),
            _ if is_down => lanes.rest(&key, again(failed), once_more, true),
            Outcome::Refused => self.blame(reader, &key, attempted, Duration::ZERO),
            Outcome::Later(after) | Outcome::Busy(after) => {
                self.blame(reader, &key, attempted, after.min(LONGEST_RETRY_AFTER));
            }
        }
    }

    /// A failure that is the event's own: it is tried again by its schedule, not before `at_least`, or given up.
    fn blame(&mut self, reader: usize, key: &LaneKey, attempted: &Attempted, at_least: Duration) {
        let (now, wall) = (Instant::now(), self.parts.clock.now());
        let lanes = &mut self.readers[reader].lanes;
        let failed = lanes.failed(key);
        let times = failed.times.saturating_add(1);
        let streak = self.health.streak();
        let (attempts, since) = match failed.trouble {
            // It was tried before it was due, because the endpoint was back: that does not count, but what it asks for does.
            Some((trouble, due)) if due > now => {
                let (asked, asked_wall) = (now + at_least, wall.later(at_least));
                let trouble = if asked > due { Trouble { due: asked_wall, ..trouble } } else { trouble };
                let due = due.max(asked);
                return lanes.rest(key, due, Failed { times, streak, trouble: Some((trouble, due)) }, true);
            }
            Some((trouble, _)) => (trouble.attempts + 1, trouble.since),
            None => (1, wall),
        };
        let Some(wait) = self.endpoint.telling.schedule.wait_after(attempts, self.parts.clock.random()) else {
            let trouble = Trouble { attempts, since, due: wall };
            let failed = Failed { times, streak, trouble: Some((trouble, now)) };
            return self.give_up(reader, key, failed, attempted);
        };
        let wait = wait.max(at_least);
        let trouble = Trouble { attempts, since, due: wall.later(wait) };
        if key.event.is_some() {
            let (state, at) = (LetterState::Replay, self.letters.now(wall).later(wait));
            return self.make_letter(reader, key, state, attempted.why(), attempts, at);
        }
        lanes.rest(key, now + wait, Failed { times, streak, trouble: Some((trouble, now + wait)) }, true);
    }

    /// The first event of a lane becomes a dead letter.
    fn give_up(&mut self, reader: usize, key: &LaneKey, failed: Failed, attempted: &Attempted) {
        let attempts = failed.trouble.map_or(1, |(trouble, _)| trouble.attempts);
        let now = self.parts.clock.now();
        self.make_letter(reader, key, LetterState::Dead, attempted.why(), attempts, now);
    }

    pub(super) fn make_letter(
        &mut self,
        reader: usize,
        key: &LaneKey,
        state: LetterState,
        why: String,
        attempts: u32,
        at: Timestamp,
    ) {
        let reader = &mut self.readers[reader];
        let Some((position, telling)) = reader.lanes.first(key) else { return };
        let endpoint = self.endpoint.name.clone();
        let (event, command) = (telling.event(), telling.command.to_owned());
        if state == LetterState::Dead {
            tracing::error!(endpoint, command, %event, position = position.0, attempts, why, "given up; it is a dead letter");
            self.letters.count.dead += 1;
        } else {
            self.letters.count.replay += 1;
        }
        let subject = key.subject.clone();
        let shard = reader.shard;
        reader.letters.push(Letter { endpoint, shard, position, subject, event, command, state, why, attempts, at });
        reader.lanes.take_out(key);
    }

    pub(super) fn settle_letter(&mut self, place: Place, attempted: &Attempted) {
        let Some(letter) = self.letters.called(place) else { return };
        self.note(attempted, letter.event, Cow::Owned(letter.command.clone()));
        self.metrics.count(attempted.outcome, 1);
        let (subject, tried) = (letter.subject.clone(), letter.attempts);
        let was_down = self.health.is_down();
        // What is in one order says the same about the endpoint however often it is refused.
        let event = (self.endpoint.telling.order == Order::Unordered).then_some(place.1);
        self.judge_endpoint(&LaneKey { subject, event }, attempted);
        let wall = self.parts.clock.now();
        let now = self.letters.now(wall);
        let (attempts, wait) = match attempted.outcome {
            Outcome::Told => return self.letters.done(place),
            Outcome::Unsendable => (tried, None),
            Outcome::Unread | Outcome::Gone => (tried, Some(AGAIN_AFTER)),
            _ if was_down || self.health.is_down() => (tried, Some(AGAIN_AFTER)),
            Outcome::Unanswered | Outcome::Refused | Outcome::Later(_) | Outcome::Busy(_) => {
                let wait = self.endpoint.telling.schedule.wait_after(tried + 1, self.parts.clock.random());
                let at_least = match attempted.outcome {
                    Outcome::Later(after) | Outcome::Busy(after) => after.min(LONGEST_RETRY_AFTER),
                    _ => Duration::ZERO,
                };
                (tried + 1, wait.map(|wait| wait.max(at_least)))
            }
        };
        let why = attempted.why();
        if wait.is_none() {
            let (endpoint, event) = (&self.endpoint.name, letter.event);
            tracing::error!(endpoint, %event, position = place.1.0, attempts, why, "given up; it is a dead letter");
        }
        self.letters.change(place, |letter| {
            letter.attempts = attempts;
            letter.why = why;
            (letter.state, letter.at) = match wait {
                Some(wait) => (LetterState::Replay, now.later(wait)),
                None => (LetterState::Dead, wall),
            };
        });
    }

    /// One line of each call, its figures, and a row if it failed.
    fn note(&mut self, attempted: &Attempted, event: EventId, command: Cow<'static, str>) {
        let Attempted { time, took, status, name, .. } = *attempted;
        self.shown.recent.note(RecentCall { event, command: command.clone(), time, took, outcome: name, status });
        let (endpoint, millis) = (&self.endpoint.name, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let trace = event;
        if attempted.outcome == Outcome::Told {
            tracing::debug!(endpoint, %command, %event, trace.id = %trace, outcome = name, status, took.ms = millis, "told");
            return;
        }
        let why = attempted.detail.as_str();
        tracing::warn!(endpoint, %command, %event, trace.id = %trace, outcome = name, status, why, took.ms = millis, "not told; will be again");
        if self.attempts.len() >= UNNOTED {
            self.metrics.unnoted.increment(1);
            return;
        }
        self.attempts.push(Attempt {
            endpoint: endpoint.clone(),
            event,
            command: command.into_owned(),
            time,
            took: millis,
            outcome: name.to_owned(),
            status,
            detail: attempted.detail.clone(),
        });
    }
}
