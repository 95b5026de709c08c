//! What is remembered: saved beside everything else, some times a second.

use chat::Fault;
use tokio::task;
use tokio::time::Instant;

use super::{AGAIN_AFTER, Deliverer, Doing, Done, letters};

impl Deliverer {
    /// Starts saving what has changed, beside everything else: it waits for a commit. Returns whether there was anything.
    pub(super) fn save(&mut self) -> bool {
        let mut is_any = false;
        for (place, reader) in self.readers.iter_mut().enumerate() {
            if let Some(progress) = reader.unsaved() {
                is_any = true;
                let (ledger, endpoint, shard) = (self.parts.ledger.clone(), self.endpoint.clone(), reader.shard);
                let task = self.background.spawn(async move {
                    Done::Progress(place, ledger.save_progress(&endpoint.name, shard, progress).await)
                });
                self.doing.insert(task.id(), Doing::Progress(place));
            }
        }
        if let Some(changes) = self.letters.unsaved() {
            is_any = true;
            let (ledger, endpoint) = (self.parts.ledger.clone(), self.endpoint.clone());
            let kept = changes.clone();
            let task =
                self.background.spawn(async move { Done::Letters(letters::save(&endpoint, &*ledger, &changes).await) });
            self.doing.insert(task.id(), Doing::Letters(kept));
        }
        if !self.attempts.is_empty() && !self.is_noting {
            self.is_noting = true;
            let (ledger, attempts) = (self.parts.ledger.clone(), std::mem::take(&mut self.attempts));
            let task = self.background.spawn(async move { Done::Attempts(ledger.note_attempts(attempts).await) });
            self.doing.insert(task.id(), Doing::Attempts);
        }
        is_any
    }

    pub(super) fn done(&mut self, done: Result<(task::Id, Done), task::JoinError>) {
        let endpoint = self.endpoint.name.as_str();
        let id = done.as_ref().map_or_else(task::JoinError::id, |(id, _)| *id);
        let doing = self.doing.remove(&id);
        let done = done.map(|(_, done)| done);
        let say = |what: &str, fault: &Fault| {
            // A store that is away has said so itself.
            if !fault.is_unavailable() {
                tracing::warn!(endpoint, %fault, "{what}");
            }
        };
        match done {
            Ok(Done::Progress(place, result)) => {
                if self.readers[place].saved(endpoint, result) {
                    self.letters.news();
                }
            }
            Ok(Done::Letters(result)) => {
                if let Err(fault) = &result {
                    say("letters could not be saved", fault);
                }
                if let Some(Doing::Letters(changes)) = doing {
                    self.letters.saved(changes, result);
                }
            }
            Ok(Done::Attempts(result)) => {
                self.is_noting = false;
                if let Err(fault) = result {
                    say("attempts could not be noted", &fault);
                }
            }
            Ok(Done::Pause(result)) => {
                self.is_pausing = false;
                self.announce_at = Instant::now() + AGAIN_AFTER;
                match result {
                    Ok(()) => self.is_announced = true,
                    Err(fault) => say("a pause could not be saved", &fault),
                }
            }
            Ok(Done::Age(result)) => {
                self.is_looking = false;
                match result {
                    Ok(since) => self.judge_age(since),
                    Err(fault) => say("the age of the oldest event could not be read", &fault),
                }
            }
            Err(error) => {
                tracing::error!(endpoint, %error, "saving broke off");
                // Neither known to be saved nor not: it is saved again.
                let broken = || Err(Fault::new("saving broke off"));
                match doing {
                    Some(Doing::Progress(place)) => drop(self.readers[place].saved(endpoint, broken())),
                    Some(Doing::Letters(changes)) => self.letters.saved(changes, broken()),
                    Some(Doing::Attempts) => self.is_noting = false,
                    Some(Doing::Pause) => {
                        self.is_pausing = false;
                        self.announce_at = Instant::now() + AGAIN_AFTER;
                    }
                    Some(Doing::Age) => self.is_looking = false,
                    None => {}
                }
            }
        }
        self.changed();
    }
}
