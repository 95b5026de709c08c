//! The door: every command of every dialect goes through [`Chat::run`].

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::command::{Actor, Command, Origin};
use crate::id::{AccountId, EventId, Timestamp};
use crate::message::park::Parking;
use crate::policy::RestrictedWords;
use crate::port::{Assertion, Callbacks, Changes, Clock, CommitError, Committed, Store};
use crate::question::{Edit, Occasion, Question, Verdict};
use crate::refusal::{AskFailure, Error, Refusal};
use crate::turns::Turns;

/// So many questions of one command are asked at once: a thousand of them must not take a thousand times as long as one,
/// nor take every place that an endpoint has for questions (`concurrency`) from everybody else.
pub(crate) const ASKED_AT_ONCE: usize = 8;

/// One app: its accounts, groups and messages, behind one door.
pub struct Chat {
    store: Arc<dyn Store>,
    callbacks: Arc<dyn Callbacks>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    pub(crate) turns: Turns,
    pub(crate) parking: Parking,
}

/// The operator's rules.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Words that no message may contain.
    pub restricted_words: RestrictedWords,
    /// At most this many bytes of elements and custom data in one message.
    pub max_message_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // 12 KB: the newest documented limit of Tencent (`spec/tencent/messages.md`, 'Size limits').
        Self { restricted_words: RestrictedWords::default(), max_message_bytes: 12_288 }
    }
}

/// What a command sees while it runs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// On whose authority it runs.
    pub actor: &'a Actor,
    /// Where it came from.
    pub origin: &'a Origin,
    chat: &'a Chat,
}

// === impl Chat ===

impl Chat {
    /// Puts an app together.
    pub fn new(
        store: Arc<dyn Store>,
        callbacks: Arc<dyn Callbacks>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self { store, callbacks, clock, settings, turns: Turns::default(), parking: Parking::default() }
    }

    /// Runs a command. This is the only door: each command is counted here, and each fault is logged here, once.
    pub async fn run<C: Command>(&self, actor: &Actor, origin: &Origin, command: C) -> Result<C::Reply, Error> {
        let result = command.run(&Context { actor, origin, chat: self }).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(Error::Refused(refusal)) => refusal.name(),
            Err(Error::Fault(_)) => "fault",
        };
        metrics::counter!("ringback_commands_total", "command" => C::NAME, "outcome" => outcome).increment(1);
        match &result {
            Ok(_) => tracing::debug!(command = C::NAME, operation.id = origin.operation, "done"),
            Err(Error::Refused(refusal)) => {
                tracing::info!(command = C::NAME, operation.id = origin.operation, refusal = refusal.name(), why = %refusal, "refused");
            }
            Err(Error::Fault(fault)) => {
                tracing::error!(command = C::NAME, operation.id = origin.operation, %fault, "failed");
            }
        }
        result
    }

    /// The app's clock and source of chance.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat").field("settings", &self.settings).finish_non_exhaustive()
    }
}

// === impl Context ===

impl<'a> Context<'a> {
    /// What is stored.
    pub fn store(&self) -> &'a dyn Store {
        &*self.chat.store
    }

    /// The app's backends.
    pub fn callbacks(&self) -> &'a dyn Callbacks {
        &*self.chat.callbacks
    }

    /// The operator's rules.
    pub fn settings(&self) -> &'a Settings {
        &self.chat.settings
    }

    pub(crate) fn turns(&self) -> &'a Turns {
        &self.chat.turns
    }

    pub(crate) fn parking(&self) -> &'a Parking {
        &self.chat.parking
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.chat.clock.now()
    }

    /// Unpredictable bits.
    pub fn random(&self) -> u128 {
        self.chat.clock.random()
    }

    /// A new event's id. It is made of the current time, whatever time the event itself names: ids sort by when they were
    /// made. That is not when the event enters the log, which may be days later if it is a message that waits for a verdict.
    pub fn event_id(&self) -> EventId {
        EventId::new(self.now(), self.random())
    }

    /// What a question about anything but a message says beside its subject.
    pub(crate) fn occasion(&self) -> Occasion {
        Occasion { id: self.event_id(), actor: self.actor.clone(), origin: self.origin.clone(), time: self.now() }
    }

    /// Whether anybody is to be asked this. What Ringback does by itself (its configured admins) is asked of nobody.
    pub(crate) fn is_asked(&self, question: &Question) -> bool {
        *self.actor != Actor::System && self.callbacks().asks(question)
    }

    /// Asks the app's backends about anything but a message. What they want changed, if anything.
    pub(crate) async fn ask(&self, question: Question) -> Result<Option<Edit>, Refusal> {
        allowed(self.callbacks().ask(question).await)
    }

    /// Asks several questions, [`ASKED_AT_ONCE`] of them at a time; the answers in the order of the questions.
    pub(crate) async fn ask_each(&self, questions: Vec<Question>) -> Vec<Result<Option<Edit>, Refusal>> {
        // Nothing counts as allowed before somebody has said so.
        let mut answers = vec![Err(Refusal::BackendFailed(AskFailure::Unreachable)); questions.len()];
        let mut questions = questions.into_iter().enumerate();
        // Whoever is still being asked when this is dropped is left alone.
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < ASKED_AT_ONCE
                && let Some((index, question)) = questions.next()
            {
                let callbacks = self.chat.callbacks.clone();
                asking.spawn(async move { (index, allowed(callbacks.ask(question).await)) });
            }
            match asking.join_next().await {
                None => return answers,
                Some(Ok((index, answer))) => answers[index] = answer,
                Some(Err(error)) => {
                    // If it did not panic, the whole process is being stopped.
                    if let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic);
                    }
                }
            }
        }
    }

    /// Commits, for commands whose commit cannot be a repeat; a broken assertion becomes the refusal it stands for.
    pub async fn commit(&self, changes: Changes) -> Result<Committed, Error> {
        self.check_room()?;
        match self.store().commit(changes).await {
            Ok(receipt) => Ok(receipt),
            Err(error) => Err(commit_refused(error)),
        }
    }

    /// Refuses what would be one event more than an endpoint can be told of.
    pub fn check_room(&self) -> Result<(), Refusal> {
        if self.callbacks().is_full() { Err(Refusal::BackendFull) } else { Ok(()) }
    }

    /// The account of that id.
    pub async fn account(&self, id: &AccountId) -> Result<crate::account::Account, Error> {
        let mut found = self.store().accounts(std::slice::from_ref(id)).await?;
        found.pop().ok_or_else(|| Refusal::NoAccount(id.clone()).into())
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("actor", self.actor).field("origin", self.origin).finish_non_exhaustive()
    }
}

/// A verdict on anything but a message. Only a message can look as if it had been sent.
fn allowed(verdict: Verdict) -> Result<Option<Edit>, Refusal> {
    match verdict {
        Verdict::Allow => Ok(None),
        Verdict::Modify(edit) => Ok(Some(edit)),
        Verdict::Reject(refusal) => Err(refusal),
        // Only a message can wait, too; a dialect does not read that of anything else.
        Verdict::Discard | Verdict::Park(_) => Err(Refusal::rejected()),
    }
}

/// What a commit that did not happen means for the caller.
pub(crate) fn commit_refused(error: CommitError) -> Error {
    match error {
        CommitError::Broken(assertion) => broken(assertion).into(),
        CommitError::Repeat(_) => Refusal::invalid("message", "sent before").into(),
        CommitError::Unavailable(fault) => {
            // Known to be passing: the caller gets a code that says 'retry'; the operator reads why.
            if !fault.is_unavailable() {
                tracing::warn!(%fault, "the store takes no writes");
            }
            Refusal::StoreUnavailable.into()
        }
        CommitError::Fault(fault) => fault.into(),
    }
}

fn broken(assertion: Assertion) -> Refusal {
    match assertion {
        Assertion::NoAccount(id) => Refusal::AccountExists(id),
        Assertion::NoGroup(id) => Refusal::GroupExists { id, yours: false },
        Assertion::GroupVersion(id, _) | Assertion::GroupOpen(id) => Refusal::NoGroup(id),
        Assertion::MembersAtMost(_, limit) => Refusal::GroupFull { limit },
        Assertion::IsMember(group, account) => Refusal::NotMember { group, account },
        Assertion::NotBlocked(..) => Refusal::Blocked,
        Assertion::NoTopic(_, topic) => Refusal::TopicExists(topic),
        Assertion::NothingParked { .. } => Refusal::invalid("message", "waits already"),
        Assertion::StillParked { id, .. } => Refusal::NotParked(id),
    }
}
