//! Pauses that nobody asked for: made at once, and then announced and saved.

use tokio::time::Instant;

use super::{Deliverer, Doing, Done};
use crate::ledger::{Pause, PauseReason};

impl Deliverer {
    /// Makes no more calls from now on, and remembers that.
    pub(super) fn start_pausing(&mut self, reason: PauseReason, detail: String) {
        // Until it is saved, it is the same pause.
        if self.is_pausing || !self.is_announced {
            return;
        }
        tracing::error!(
            endpoint = self.endpoint.name,
            reason = reason.name(),
            detail,
            "paused; its events wait until somebody has it resumed"
        );
        let labels = [("endpoint", self.endpoint.name.clone()), ("reason", reason.name().to_owned())];
        metrics::counter!("ringback_endpoint_pauses_total", &labels).increment(1);
        let pause = Pause { reason, detail, since: self.parts.clock.now() };
        self.pause = Some(pause);
        self.is_announced = false;
        self.announce();
    }

    /// Saves and announces a pause, until that has succeeded.
    pub(super) fn announce(&mut self) {
        let is_due = !self.is_announced && !self.is_pausing && self.announce_at <= Instant::now();
        let Some(pause) = self.pause.clone().filter(|_| is_due) else { return };
        self.is_pausing = true;
        let (parts, name) = (self.parts.clone(), self.endpoint.name.clone());
        let task = self.background.spawn(async move {
            let result = match parts.announcer.announce(&name, &pause).await {
                Ok(()) => parts.ledger.set_pause(&name, Some(pause)).await,
                Err(fault) => Err(fault),
            };
            Done::Pause(result)
        });
        self.doing.insert(task.id(), Doing::Pause);
    }
}
