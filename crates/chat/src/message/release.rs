//! `ReleaseParked`: the verdict on a message that waits for one.
//!
//! Much may have happened while it waited, so that facts and rules are judged anew, and the endpoints after the one that
//! wanted it to wait are asked now. Then one commit sends the message and says that it was decided. That it still waits is
//! asserted: of several verdicts, on whatever node, exactly one wins.

use async_trait::async_trait;

use super::park::{DecidedBy, Decision, Outcome, Parked, wait};
use super::{Message, scene};
use crate::chat::{Context, commit_refused};
use crate::command::{Actor, Command};
use crate::event::Event;
use crate::id::MessageId;
use crate::policy;
use crate::port::{Assertion, Changes, CommitError, Write};
use crate::question::{Edit, Otherwise, Question, Verdict};
use crate::refusal::{Error, Refusal};
use crate::turns::Affair;

/// How often the commit is tried again when a fact changed between the rules and it.
const MAX_CONFLICTS: usize = 3;

/// Gives the verdict. An edit that names nothing is as good as allowing.
#[derive(Clone, Debug)]
pub struct ReleaseParked {
    /// Which message.
    pub id: MessageId,
    /// The round ([`Parked::round`]) that the verdict was given for; none: the first. A verdict on an earlier round than that
    /// in which the message waits comes too late: it is another endpoint's turn to agree.
    pub round: Option<u32>,
    /// Anything but waiting longer.
    pub verdict: Verdict,
}

#[async_trait]
impl Command for ReleaseParked {
    /// The message with what was decided, and its seq if it was sent; without a decision if another endpoint has it wait
    /// again.
    type Reply = Parked;
    const NAME: &'static str = "release_parked";

    async fn run(self, cx: &Context<'_>) -> Result<Parked, Error> {
        if !matches!(cx.actor, Actor::App(_) | Actor::System) {
            return Err(Refusal::NotPermitted.into());
        }
        release(cx, self.id, self.round.unwrap_or(1), self.verdict, DecidedBy::Verdict).await
    }
}

/// Carries out a verdict on a message that waits in this round.
pub(super) async fn release(
    cx: &Context<'_>,
    id: MessageId,
    round: u32,
    verdict: Verdict,
    by: DecidedBy,
) -> Result<Parked, Error> {
    // One verdict after another: those that come too late ask nobody.
    let _turn = cx.turns().wait(Affair::Release(id)).await;
    let parked = cx.store().parked(id).await?.ok_or(Refusal::NotParked(id))?;
    if let Some(refusal) = parked.not_in(round) {
        return Err(refusal.into());
    }
    let release = Release { cx, parked, by };
    let released = release.run(verdict).await?;
    let decision = released.decision.as_ref().map_or("waits_again", |decision| decision.outcome.name());
    let by = by.name();
    metrics::counter!("ringback_parked_decisions_total", "decision" => decision, "by" => by).increment(1);
    tracing::info!(message.id = %released.message.id, decision, by, endpoint = released.endpoint, "a message that waited");
    Ok(released)
}

/// One message on its way out.
struct Release<'a, 'c> {
    cx: &'a Context<'c>,
    parked: Parked,
    by: DecidedBy,
}

impl Release<'_, '_> {
    async fn run(mut self, verdict: Verdict) -> Result<Parked, Error> {
        match verdict {
            Verdict::Allow => {}
            Verdict::Modify(edit) => self.modify(edit)?,
            Verdict::Reject(refusal) => return self.decide((&refusal).into()).await,
            Verdict::Discard => return self.decide(Outcome::Discarded).await,
            Verdict::Park(_) => return Err(Refusal::invalid("verdict", "it waits already").into()),
        }
        self.cx.check_room()?;

        // Facts and rules as they are now, before anybody is asked and after.
        if let Some(refusal) = self.judge().await? {
            return self.refuse(refusal).await;
        }
        let question = Question::BeforeSend(Box::new(self.parked.message.clone()));
        match self.cx.callbacks().ask_after(question, &self.parked.endpoint).await {
            Verdict::Allow => {}
            Verdict::Modify(edit) => {
                if let Err(refusal) = self.modify(edit) {
                    return self.refuse(refusal).await;
                }
            }
            // Whoever gives the verdict may do so again when the other backend is back; after the deadline nobody does.
            Verdict::Reject(refusal @ Refusal::BackendFailed(_)) if self.by == DecidedBy::Verdict => {
                return Err(refusal.into());
            }
            Verdict::Reject(refusal) => return self.decide((&refusal).into()).await,
            Verdict::Discard => return self.decide(Outcome::Discarded).await,
            Verdict::Park(terms) => {
                if let Err(refusal) = self.modify(Edit::Message(terms.edit.clone())) {
                    return self.refuse(refusal).await;
                }
                let since = self.cx.now();
                let asked_again = Parked {
                    endpoint: terms.endpoint.clone(),
                    since,
                    until: since.later(wait(&terms)),
                    otherwise: terms.otherwise.unwrap_or(Otherwise::Reject),
                    round: self.parked.round + 1,
                    ..self.parked.clone()
                };
                return self.put(asked_again, Vec::new(), Vec::new()).await.map_err(commit_refused);
            }
        }
        if let Some(refusal) = self.judge().await? {
            return self.refuse(refusal).await;
        }
        if policy::has_restricted_word(&self.parked.message, &self.cx.settings().restricted_words) {
            return self.refuse(Refusal::RestrictedWord).await;
        }
        self.send().await
    }

    fn modify(&mut self, edit: Edit) -> Result<(), Refusal> {
        if let Edit::Message(edit) = edit
            && !edit.is_empty()
        {
            edit.apply_to(&mut self.parked.message);
            policy::check_shape(&self.parked.message, self.cx.settings().max_message_bytes)?;
            self.parked.modified = true;
        }
        Ok(())
    }

    /// What the rules say now.
    async fn judge(&self) -> Result<Option<Refusal>, Error> {
        let Parked { message, exempt, .. } = &self.parked;
        match scene::look(self.cx, &message.conversation, &message.sender, *exempt).await {
            Ok(scene) => Ok(policy::check_scene(message, &scene, *exempt, self.cx.now()).err()),
            // The group or topic is not there any more.
            Err(Error::Refused(refusal @ (Refusal::NoGroup(_) | Refusal::NoTopic(_)))) => Ok(Some(refusal)),
            Err(error) => Err(error),
        }
    }

    /// Sends it, with the time of now, so that times follow seqs.
    async fn send(&self) -> Result<Parked, Error> {
        for _ in 0..MAX_CONFLICTS {
            let message = self.message_of_now();
            let outcome = Outcome::Sent { modified: self.parked.modified };
            let decided = Parked { message: message.clone(), ..self.with(outcome.clone()) };
            let send = Write::Send {
                message: Box::new(message.clone()),
                repeat: self.parked.repeat.clone(),
                reads: self.parked.reads,
            };
            let assertions = scene::assertions(&message, self.parked.exempt);
            match self.put(decided, assertions, vec![send]).await {
                Ok(sent) => return Ok(sent),
                // It was sent meanwhile by another way: what was wanted has come true.
                Err(CommitError::Repeat(first)) => {
                    let decided = self.decide(outcome).await?;
                    return Ok(Parked { message: *first, ..decided });
                }
                Err(CommitError::Broken(Assertion::StillParked { .. })) => return Err(self.too_late().await),
                Err(CommitError::Broken(_)) => {
                    if let Some(refusal) = self.judge().await? {
                        return self.refuse(refusal).await;
                    }
                }
                Err(error) => return Err(commit_refused(error)),
            }
        }
        Err(Refusal::StoreUnavailable.into())
    }

    /// Decides that the rules forbid it now; a failed delivery is told of, as it always is.
    async fn refuse(&self, refusal: Refusal) -> Result<Parked, Error> {
        let message = self.message_of_now();
        let told = scene::failed_delivery(&refusal)
            .map(|reason| Write::Append(Box::new(Event::MessageNotSent { message, reason })));
        self.commit(self.with((&refusal).into()), told.into_iter().collect()).await
    }

    async fn decide(&self, outcome: Outcome) -> Result<Parked, Error> {
        self.commit(self.with(outcome), Vec::new()).await
    }

    async fn commit(&self, decided: Parked, writes: Vec<Write>) -> Result<Parked, Error> {
        match self.put(decided, Vec::new(), writes).await {
            Ok(decided) => Ok(decided),
            Err(CommitError::Broken(_)) => Err(self.too_late().await),
            Err(error) => Err(commit_refused(error)),
        }
    }

    /// Writes what became of it, if it still waits, and what follows from that.
    async fn put(
        &self,
        changed: Parked,
        mut assertions: Vec<Assertion>,
        mut writes: Vec<Write>,
    ) -> Result<Parked, CommitError> {
        let Parked { message: Message { conversation, id, .. }, round, .. } = &self.parked;
        let still = Assertion::StillParked { conversation: conversation.clone(), id: *id, round: *round };
        assertions.insert(0, still);
        writes.push(Write::Park(Box::new(changed.clone())));
        let committed = self.cx.store().commit(Changes { assertions, writes }).await?;
        let seq = committed.seqs.first().copied().unwrap_or(changed.message.seq);
        Ok(Parked { message: Message { seq, ..changed.message }, ..changed })
    }

    fn with(&self, outcome: Outcome) -> Parked {
        let decision = Decision { time: self.cx.now(), by: self.by, outcome };
        Parked { decision: Some(decision), ..self.parked.clone() }
    }

    fn message_of_now(&self) -> Message {
        Message { time: self.cx.now(), ..self.parked.message.clone() }
    }

    /// Somebody else was first: what they decided.
    async fn too_late(&self) -> Error {
        let id = self.parked.message.id;
        match self.cx.store().parked(id).await {
            Ok(parked) => {
                let refusal = parked.and_then(|parked| parked.not_in(self.parked.round));
                refusal.unwrap_or(Refusal::NotParked(id)).into()
            }
            Err(fault) => fault.into(),
        }
    }
}
