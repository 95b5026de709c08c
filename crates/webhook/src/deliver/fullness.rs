//! An endpoint that is too far behind, or has too many dead letters.

use std::sync::atomic::Ordering;

use chat::id::Timestamp;
use tokio::time::Instant;

use super::settings::WhenFull;
use super::{Deliverer, Doing, Done};
use crate::ledger::PauseReason;

impl Deliverer {
    /// Finds out since when the oldest event waits.
    pub(super) fn look_at_age(&mut self) {
        let behind = self.readers.iter().filter(|reader| reader.lanes.all_told() < *reader.head.borrow());
        let places: Vec<_> = behind.map(|reader| (reader.shard, reader.lanes.all_told())).collect();
        if places.is_empty() {
            return self.judge_age(None);
        }
        // While the store hangs, one that waits for it is enough.
        if std::mem::replace(&mut self.is_looking, true) {
            return;
        }
        let ledger = self.parts.ledger.clone();
        let task = self.background.spawn(async move {
            let mut oldest: Option<Timestamp> = None;
            for (shard, told) in places {
                match ledger.time_of(shard, told).await {
                    Ok(Some(time)) => oldest = Some(oldest.map_or(time, |oldest| oldest.min(time))),
                    Ok(None) => {}
                    Err(fault) => return Done::Age(Err(fault)),
                }
            }
            Done::Age(Ok(oldest))
        });
        self.doing.insert(task.id(), Doing::Age);
    }

    pub(super) fn judge_age(&mut self, since: Option<Timestamp>) {
        self.lag_since = since;
        let age = since.map_or(0, |since| self.parts.clock.now().millis().saturating_sub(since.millis()));
        let most = self.endpoint.telling.max_age;
        let is_lenient = Instant::now() < self.lenient_until;
        self.is_too_old = !is_lenient && i128::from(age) > most.as_millis().cast_signed();
        let is_let_go = self.pause.as_ref().is_some_and(|pause| pause.reason == PauseReason::TooFarBehind);
        if self.is_too_old && !is_let_go && self.endpoint.telling.when_full == WhenFull::Pause {
            let detail = format!("its oldest event waits for longer than {} s (max_age)", most.as_secs());
            self.start_pausing(PauseReason::TooFarBehind, detail);
        }
    }

    pub(super) fn check_dead(&mut self) {
        let settings = &self.endpoint.telling;
        let has_too_many = self.letters.count.dead >= settings.max_dead;
        match settings.when_full {
            WhenFull::Pause if has_too_many && self.pause.is_none() => {
                let detail = format!("it has {} dead letters (max_dead_letters)", self.letters.count.dead);
                self.start_pausing(PauseReason::TooManyDead, detail);
            }
            WhenFull::Pause => {}
            WhenFull::Refuse => {
                let is_full = has_too_many || self.is_too_old;
                if self.endpoint.is_full.swap(is_full, Ordering::Relaxed) != is_full {
                    let (endpoint, dead) = (&self.endpoint.name, self.letters.count.dead);
                    match is_full {
                        true => tracing::error!(
                            endpoint,
                            dead,
                            is_too_old = self.is_too_old,
                            "nothing new is accepted: the endpoint is full (when_full)"
                        ),
                        false => tracing::info!(endpoint, "new work is accepted again"),
                    }
                }
            }
        }
    }
}
