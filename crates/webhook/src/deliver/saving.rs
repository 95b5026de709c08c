//! What is remembered: saved beside everything else, some times a second.

use chat::Fault;
use tokio::task;
use tokio::time::Instant;

use super::{AGAIN_AFTER, Deliverer, Done, letters};

impl Deliverer {
    /// Starts saving what has changed, beside everything else: it waits for a commit. Returns whether there was anything.
    pub(super) fn save(&mut self) -> bool {
        let mut is_any = false;
        for (place, reader) in self.readers.iter_mut().enumerate() {
            if let Some(progress) = reader.unsaved() {
                is_any = true;
                let (ledger, endpoint, shard) = (self.parts.ledger.clone(), self.endpoint.clone(), reader.shard);
                self.background.spawn(async move {
                    Done::Progress(place, ledger.save_progress(&endpoint.name, shard, progress).await)
                });
            }
        }
        if let Some(changes) = self.letters.unsaved() {
            is_any = true;
            let (ledger, endpoint) = (self.parts.ledger.clone(), self.endpoint.clone());
            self.background.spawn(async move {
                let result = letters::save(&endpoint, &*ledger, &changes).await;
                Done::Letters(changes, result)
            });
        }
        if !self.attempts.is_empty() && !self.is_noting {
            self.is_noting = true;
            let (ledger, attempts) = (self.parts.ledger.clone(), std::mem::take(&mut self.attempts));
            self.background.spawn(async move { Done::Attempts(ledger.note_attempts(attempts).await) });
        }
        is_any
    }

    pub(super) fn done(&mut self, done: Result<Done, task::JoinError>) {
        let endpoint = self.endpoint.name.as_str();
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
            Ok(Done::Letters(changes, result)) => {
                if let Err(fault) = &result {
                    say("letters could not be saved", fault);
                }
                self.letters.saved(changes, result);
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
            Ok(Done::Age(result)) => match result {
                Ok(since) => self.judge_age(since),
                Err(fault) => say("the age of the oldest event could not be read", &fault),
            },
            Err(error) => {
                tracing::error!(endpoint, %error, "saving broke off");
                self.readers.iter_mut().for_each(|reader| reader.save_broke_off(endpoint));
                self.letters.save_broke_off();
                (self.is_noting, self.is_pausing) = (false, false);
            }
        }
        self.changed();
    }
}
