//! Asking before: one question, one deadline, one verdict; and a declared answer for when there is none.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use chat::Refusal;
use chat::id::EventId;
use chat::port::{Callbacks, Clock};
use chat::question::{Edit, MessageEdit, Otherwise, ParkTerms, Question, Verdict};
use chat::refusal::AskFailure;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::asking::{Gate, Policy, Probe};
use crate::breaker::{Death, Outcome};
use crate::endpoint::{Endpoint, OnFailure};
use crate::request::{self, Envelope};
use crate::roster::Roster;
use crate::transport::CallFailure;

/// Asks every endpoint that wants to be asked, in configured order. The first rejection wins; a later endpoint sees
/// what an earlier one changed.
pub struct Asker {
    roster: Arc<Roster>,
    clock: Arc<dyn Clock>,
    /// Calls: no more than the endpoints have places. Each goes on when its sender has gone away, up to its deadline: what
    /// becomes of it says whether the endpoint is alive, which an impatient sender does not.
    calls: TaskTracker,
    stop: CancellationToken,
}

/// A question without a verdict.
#[derive(Debug)]
struct Unasked {
    failure: AskFailure,
    /// In words for the operator.
    detail: String,
    /// What happens now.
    then: OnFailure,
}

/// What became of a question.
struct Asked {
    /// The HTTP status, if there was an answer.
    status: Option<u16>,
    result: Result<Verdict, Unasked>,
}

/// What became of one call.
struct Called {
    outcome: Outcome,
    /// The HTTP status, if there was an answer.
    status: Option<u16>,
    result: Result<Verdict, CallFailure>,
}

impl Asker {
    /// An asker of these endpoints, and of those that come later.
    pub fn new(endpoints: Vec<Arc<Endpoint>>, clock: Arc<dyn Clock>) -> Self {
        endpoints.iter().for_each(|endpoint| endpoint.asking.show());
        let roster = Arc::new(Roster::new(endpoints));
        Self { roster, clock, calls: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// Whom it asks: others may be added and removed while it does.
    pub fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    /// Gives up the calls that are on their way, and waits for their end. Whoever asks from now on gets the policy's answer.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.calls.close();
        self.calls.wait().await;
    }

    async fn ask_one(&self, endpoint: &Arc<Endpoint>, command: &'static str, question: &Arc<Question>) -> Verdict {
        let started = Instant::now();
        let asked = self.try_ask(endpoint, command, question).await;
        record(endpoint, command, question.id(), &asked, started.elapsed());
        match asked.result {
            Ok(verdict) => verdict,
            Err(unasked) => match unasked.then {
                OnFailure::Allow => Verdict::Allow,
                OnFailure::Reject => Verdict::Reject(Refusal::BackendFailed(unasked.failure)),
            },
        }
    }

    async fn try_ask(&self, endpoint: &Arc<Endpoint>, command: &'static str, question: &Arc<Question>) -> Asked {
        let policy = endpoint.asking.policy(command);
        let waiting = match endpoint.asking.enter() {
            Gate::Ask(waiting) => waiting,
            Gate::Shut(death) => return Asked::of_dead(policy, death),
            Gate::Probe(death, probe) => {
                self.probe(probe, endpoint.clone(), command, question.clone());
                return Asked::of_dead(policy, death);
            }
        };
        // The wait for the place has the deadline that the answer has: a sender waits that long twice at worst.
        let place = tokio::select! {
            biased;
            place = endpoint.asking.place(policy.timeout) => place,
            death = waiting.dead() => return Asked::of_dead(policy, death),
        };
        let Some(place) = place else {
            // Those that have the places will show whether it is alive.
            let detail = format!("all {} places were taken for too long", endpoint.concurrency);
            return Asked::failed(policy, CallFailure::new(AskFailure::Busy, detail));
        };
        let stopping = || CallFailure::new(AskFailure::Unreachable, "the server is stopping");
        let (endpoint, question) = (endpoint.clone(), question.clone());
        let (clock, stop) = (self.clock.clone(), self.stop.clone());
        let asked = self.calls.spawn(async move {
            let _place = place;
            let policy = endpoint.asking.policy(command);
            let called = tokio::select! {
                biased;
                called = call(&endpoint, command, &question, policy.timeout, &*clock) => called,
                // Nobody waits out a long deadline for an endpoint that is known to be dead.
                death = waiting.dead() => return Asked::of_dead(policy, death),
                () = stop.cancelled() => return Asked::failed(policy, stopping()),
            };
            waiting.end(called.outcome);
            let Called { status, result, .. } = called;
            match result {
                Ok(verdict) => Asked { status, result: Ok(verdict) },
                Err(failure) => Asked { status, ..Asked::failed(policy, failure) },
            }
        });
        match asked.await {
            Ok(asked) => asked,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Its runtime ends.
            Err(_) => Asked::failed(policy, stopping()),
        }
    }

    /// Asks in the background whether the endpoint is back. What it decides is of no account: the sender is not kept
    /// waiting, and has the policy's answer by then.
    fn probe(&self, probe: Probe, endpoint: Arc<Endpoint>, command: &'static str, question: Arc<Question>) {
        let (clock, stop) = (self.clock.clone(), self.stop.clone());
        self.calls.spawn(async move {
            let timeout = endpoint.asking.policy(command).timeout;
            let called = async {
                let _place = endpoint.asking.place(timeout).await?;
                Some(call(&endpoint, command, &question, timeout, &*clock).await)
            };
            let called = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                called = called => called,
            };
            // Without a place it is given up: those that have the places will show whether it is alive.
            let Some(called) = called else { return };
            if let Err(failure) = &called.result {
                tracing::debug!(endpoint = endpoint.name, command, why = %failure, "a probe failed");
            }
            probe.end(called.outcome);
        });
    }
}

/// One call, by whoever has a place for it.
async fn call(
    endpoint: &Endpoint,
    command: &'static str,
    question: &Question,
    deadline: Duration,
    clock: &dyn Clock,
) -> Called {
    let call = endpoint.codec.question(command, question);
    let id = format!("{}.{}.{command}", question.id(), endpoint.name);
    let envelope = Envelope { id, headers: vec![("traceparent", request::traceparent(question.id()))] };
    let started = Instant::now();
    let answer = request::post(endpoint, &call, &envelope, clock.now(), deadline).await;
    let took = started.elapsed();
    let status = answer.as_ref().ok().map(|answer| answer.status.as_u16());
    match answer {
        Ok(answer) if answer.status.is_success() => {
            let verdict = endpoint.codec.verdict(command, question, &answer.body);
            let result = verdict.map_err(|unreadable| CallFailure::new(AskFailure::Unreadable, unreadable.to_string()));
            Called { outcome: Outcome::Answered(took), status, result }
        }
        Ok(answer) => {
            let is_broken = answer.status.is_server_error();
            let outcome = if is_broken { Outcome::ServerError(took) } else { Outcome::Answered(took) };
            let detail = format!("HTTP {}", answer.status);
            Called { outcome, status, result: Err(CallFailure::new(AskFailure::BadStatus, detail)) }
        }
        Err(failure) => {
            let outcome = match failure.kind {
                // It came, and was too long.
                AskFailure::Unreadable | AskFailure::BadStatus => Outcome::Answered(took),
                AskFailure::Timeout => Outcome::TimedOut,
                AskFailure::Unreachable => Outcome::Unreachable,
                AskFailure::Busy | AskFailure::BreakerOpen | AskFailure::NoRoomToWait => Outcome::GivenUp,
            };
            Called { outcome, status, result: Err(failure) }
        }
    }
}

impl Asked {
    fn of_dead(policy: &Policy, death: Death) -> Self {
        Self::unasked(policy.on(AskFailure::BreakerOpen, Some(death)))
    }

    fn failed(policy: &Policy, CallFailure { kind, detail }: CallFailure) -> Self {
        Self { status: None, result: Err(Unasked { failure: kind, detail, then: policy.on(kind, None) }) }
    }

    /// The breaker is open.
    fn unasked(then: OnFailure) -> Self {
        let failure = AskFailure::BreakerOpen;
        Self { status: None, result: Err(Unasked { failure, detail: failure.to_string(), then }) }
    }
}

#[async_trait]
impl Callbacks for Asker {
    fn asks(&self, question: &Question) -> bool {
        let endpoints = self.roster.now();
        let wanted = || {
            let of = |endpoint| Endpoint::asks(endpoint, question).map(move |command| (endpoint, command));
            endpoints.iter().map(|endpoint| &**endpoint).flat_map(of)
        };
        let is_asked = wanted().any(|(endpoint, command)| !endpoint.asking.lets_pass(command));
        if !is_asked {
            // The caller spares itself what it does around a question: a dead backend costs as much as none.
            for (endpoint, command) in wanted() {
                record(endpoint, command, question.id(), &Asked::unasked(OnFailure::Allow), Duration::ZERO);
            }
        }
        is_asked
    }

    fn is_full(&self) -> bool {
        self.roster.now().iter().any(|endpoint| endpoint.is_full.load(Ordering::Relaxed))
    }

    async fn ask(&self, question: Question) -> Verdict {
        ask_all(self, &self.roster.snapshot(), question).await
    }

    async fn ask_after(&self, question: Question, endpoint: &str) -> Verdict {
        let endpoints = self.roster.snapshot();
        let asked = endpoints.iter().position(|other| other.name == endpoint);
        ask_all(self, &endpoints[asked.map_or(0, |place| place + 1)..], question).await
    }
}

/// Asks these endpoints, one after the other.
async fn ask_all(asker: &Asker, endpoints: &[Arc<Endpoint>], question: Question) -> Verdict {
    let mut question = Arc::new(question);
    let mut total: Option<Edit> = None;
    for endpoint in endpoints {
        for command in endpoint.asks(&question) {
            // An earlier endpoint has let nobody in about whom this one could be asked.
            if question.is_settled() {
                continue;
            }
            match asker.ask_one(endpoint, command, &question).await {
                Verdict::Allow => {}
                Verdict::Modify(edit) => {
                    // Copied only while a call to somebody else is still on its way with it.
                    Arc::make_mut(&mut question).apply(edit.clone());
                    total = Some(match total {
                        Some(earlier) => earlier.then(edit),
                        None => edit,
                    });
                }
                verdict @ (Verdict::Reject(_) | Verdict::Discard) => return verdict,
                Verdict::Park(terms) => return Verdict::Park(Box::new(settled(endpoint, command, *terms, total))),
            }
        }
    }
    total.filter(|edit| !edit.is_empty()).map_or(Verdict::Allow, Verdict::Modify)
}

/// The terms with what the dialect does not know: who wants them, what was made of the message before, and what happens if
/// no more messages can wait, which is as good as an answer that is not understood.
fn settled(endpoint: &Endpoint, command: &'static str, terms: ParkTerms, total: Option<Edit>) -> ParkTerms {
    let edit = match total {
        Some(Edit::Message(edit)) => edit,
        _ => MessageEdit::default(),
    };
    let when_full = match endpoint.asking.policy(command).on(AskFailure::NoRoomToWait, None) {
        OnFailure::Allow => Otherwise::Allow,
        OnFailure::Reject => Otherwise::Reject,
    };
    ParkTerms { endpoint: endpoint.name.clone(), edit, when_full, ..terms }
}

/// One wide line and the metrics of one question.
fn record(endpoint: &Endpoint, command: &'static str, event: EventId, asked: &Asked, took: Duration) {
    let Asked { status, result } = asked;
    let outcome = match result {
        Ok(Verdict::Allow) => "allow",
        Ok(Verdict::Modify(_)) => "modify",
        Ok(Verdict::Reject(_)) => "reject",
        Ok(Verdict::Discard) => "discard",
        Ok(Verdict::Park(_)) => "pending",
        Err(unasked) => unasked.failure.name(),
    };
    let labels = [("endpoint", endpoint.name.clone()), ("command", command.into()), ("outcome", outcome.into())];
    metrics::counter!("ringback_questions_total", &labels).increment(1);
    metrics::histogram!("ringback_question_seconds", "endpoint" => endpoint.name.clone()).record(took.as_secs_f64());
    let (endpoint, trace) = (&endpoint.name, event);
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(_) => {
            tracing::debug!(endpoint, command, %event, trace.id = %trace, outcome, status, took.ms = millis, "asked");
        }
        Err(unasked) => {
            let then = match unasked.then {
                OnFailure::Allow => "allowed",
                OnFailure::Reject => "rejected",
            };
            let why = unasked.detail.as_str();
            // The breaker has said so once, for all of them.
            if unasked.failure == AskFailure::BreakerOpen {
                tracing::debug!(endpoint, command, %event, trace.id = %trace, outcome, then, took.ms = millis, "not asked");
            } else {
                tracing::warn!(endpoint, command, %event, trace.id = %trace, outcome, status, then, took.ms = millis, why, "could not ask");
            }
        }
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("endpoints", &self.roster).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
