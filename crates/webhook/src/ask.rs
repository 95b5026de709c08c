//! Asking before: one question, one deadline, one verdict.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use chat::Refusal;
use chat::port::{Callbacks, Clock};
use chat::question::{MessageEdit, Question, Verdict};
use chat::refusal::AskFailure;
use tokio::time::Instant;

use crate::endpoint::{Endpoint, OnFailure};
use crate::request::{self, Envelope};
use crate::roster::Roster;

/// Asks every endpoint that wants to be asked, in configured order. The first rejection wins; a later endpoint sees
/// what an earlier one changed.
pub struct Asker {
    roster: Arc<Roster>,
    clock: Arc<dyn Clock>,
}

impl Asker {
    /// An asker of these endpoints, and of those that come later.
    pub fn new(endpoints: Vec<Arc<Endpoint>>, clock: Arc<dyn Clock>) -> Self {
        Self { roster: Arc::new(Roster::new(endpoints)), clock }
    }

    /// Whom it asks: others may be added and removed while it does.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    async fn ask_one(&self, endpoint: &Endpoint, command: &'static str, question: &Question) -> Verdict {
        let started = Instant::now();
        let result = self.try_ask(endpoint, command, question, started).await;
        record(endpoint, command, &result, started.elapsed());
        match result {
            Ok(verdict) => verdict,
            Err(failure) => match endpoint.on_failure {
                OnFailure::Allow => Verdict::Allow,
                OnFailure::Reject => Verdict::Reject(Refusal::BackendFailed(failure)),
            },
        }
    }

    async fn try_ask(
        &self,
        endpoint: &Endpoint,
        command: &'static str,
        question: &Question,
        started: Instant,
    ) -> Result<Verdict, AskFailure> {
        // The wait for a free place counts towards the deadline: a sender never waits longer than the endpoint's timeout
        // for the place, and once more for the answer.
        let place = tokio::time::timeout_at(started + endpoint.timeout, endpoint.asking.acquire());
        let _place = place.await.map_err(|_| AskFailure::Busy)?.map_err(|_| AskFailure::Busy)?;
        let call = endpoint.codec.question(command, question);
        let Question::BeforeSend(message) = question;
        let id = format!("{}.{}.{command}", message.id, endpoint.name);
        let envelope = Envelope { id, headers: Vec::new() };
        let answer = request::post(endpoint, &call, &envelope, self.clock.now(), endpoint.timeout).await;
        let answer = answer.map_err(|failure| failure.kind)?;
        if !answer.status.is_success() {
            return Err(AskFailure::BadStatus);
        }
        endpoint.codec.verdict(command, question, &answer.body).map_err(|unreadable| {
            tracing::debug!(endpoint = endpoint.name, command, %unreadable, "unreadable answer");
            AskFailure::Unreadable
        })
    }
}

#[async_trait]
impl Callbacks for Asker {
    fn asks(&self, question: &Question) -> bool {
        self.roster.now().iter().any(|endpoint| endpoint.asks(question).next().is_some())
    }

    fn is_full(&self) -> bool {
        self.roster.now().iter().any(|endpoint| endpoint.is_full.load(Ordering::Relaxed))
    }

    async fn ask(&self, mut question: Question) -> Verdict {
        let mut total = MessageEdit::default();
        for endpoint in self.roster.snapshot().iter() {
            for command in endpoint.asks(&question) {
                match self.ask_one(endpoint, command, &question).await {
                    Verdict::Allow => {}
                    Verdict::Modify(edit) => {
                        let Question::BeforeSend(message) = &mut question;
                        edit.clone().apply_to(message);
                        total = total.then(edit);
                    }
                    verdict @ (Verdict::Reject(_) | Verdict::Discard) => return verdict,
                }
            }
        }
        if total.is_empty() { Verdict::Allow } else { Verdict::Modify(total) }
    }
}

/// One wide line and the metrics of one question.
fn record(endpoint: &Endpoint, command: &'static str, result: &Result<Verdict, AskFailure>, took: Duration) {
    let outcome = match result {
        Ok(Verdict::Allow) => "allow",
        Ok(Verdict::Modify(_)) => "modify",
        Ok(Verdict::Reject(_)) => "reject",
        Ok(Verdict::Discard) => "discard",
        Err(failure) => failure.name(),
    };
    let labels = [("endpoint", endpoint.name.clone()), ("command", command.into()), ("outcome", outcome.into())];
    metrics::counter!("ringback_questions_total", &labels).increment(1);
    metrics::histogram!("ringback_question_seconds", "endpoint" => endpoint.name.clone()).record(took.as_secs_f64());
    let millis = took.as_millis();
    match result {
        Ok(_) => tracing::debug!(endpoint = endpoint.name, command, outcome, took.ms = millis, "asked"),
        Err(failure) => {
            let then = match endpoint.on_failure {
                OnFailure::Allow => "allowed",
                OnFailure::Reject => "rejected",
            };
            tracing::warn!(endpoint = endpoint.name, command, outcome, then, took.ms = millis, why = %failure, "could not ask");
        }
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("endpoints", &self.roster).finish_non_exhaustive()
    }
}
