//! How an endpoint is asked: its deadlines, what its failures mean, how many questions it takes at once, and its breaker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat::refusal::AskFailure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::breaker::{Breaker, Death, Entry, LEAST_PATIENCE, Outcome, State, View};
use crate::endpoint::{EndpointSettings, OnFailure};

/// A question waits for a free place while places become free: this part of its deadline may pass without any. All of them
/// may be held by questions whose receiver waits for this very one (it has called us back). Those that hold the places
/// have the rest of their own deadline to answer in, even if their receiver calls us back two or three times in turn.
const STALL_PART: u32 = 4;

/// ... and not longer than this: a quarter of what makes an endpoint look dead, for the same reason.
const LONGEST_STALL: Duration = Duration::from_secs(2);

/// What happens to a command, by kind of failure. None: as `on_failure` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnFailures {
    /// No answer within the deadline, too many questions waiting, or dead by either.
    pub timeout: Option<OnFailure>,
    /// No connection, or it broke; also while the endpoint is dead and was not found dead by its silence.
    pub connection_error: Option<OnFailure>,
    /// An HTTP status other than 2xx.
    pub bad_status: Option<OnFailure>,
    /// A body that the dialect does not understand, or that is too large, or that wants a message to wait when too many do.
    pub bad_body: Option<OnFailure>,
}

/// What one command has of its own. None: as the endpoint says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandSettings {
    /// How long a call may take.
    pub timeout: Option<Duration>,
    /// What happens when it fails, before anything that the endpoint says.
    pub on_failure: Option<OnFailure>,
    /// ... by kind of failure.
    pub on_failures: OnFailures,
}

/// How one command is asked, with all defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a call may take.
    pub timeout: Duration,
    /// See [`OnFailures::timeout`].
    pub on_timeout: OnFailure,
    /// See [`OnFailures::connection_error`].
    pub on_connection_error: OnFailure,
    /// See [`OnFailures::bad_status`].
    pub on_bad_status: OnFailure,
    /// See [`OnFailures::bad_body`].
    pub on_bad_body: OnFailure,
}

/// The asking side of an endpoint.
#[derive(Debug)]
pub(crate) struct Asking {
    endpoint: String,
    policy: Policy,
    by_command: BTreeMap<String, Policy>,
    places: Arc<Semaphore>,
    watched: Mutex<Watched>,
}

#[derive(Debug)]
struct Watched {
    breaker: Breaker,
    /// Cancelled when the breaker opens; a new one when it closes.
    opened: CancellationToken,
    /// When a place became free last.
    freed: Instant,
    /// Nobody is to see it any more.
    is_hidden: bool,
}

/// Whether a question may be asked.
#[derive(Debug)]
pub(crate) enum Gate {
    Ask(Waiting),
    Shut(Death),
    /// It may not, but the endpoint is to be asked in the background whether it is back.
    Probe(Death, Probe),
}

/// A question on its way. Dropped before it has ended, it was given up.
#[derive(Debug)]
pub(crate) struct Waiting {
    asking: Arc<Asking>,
    asked: Instant,
    opened: CancellationToken,
    outcome: Outcome,
}

/// A probe on its way. Dropped before it has ended, it was given up.
#[derive(Debug)]
pub(crate) struct Probe {
    asking: Arc<Asking>,
    outcome: Outcome,
}

/// Held by a question while it is in flight.
#[derive(Debug)]
pub(crate) struct Place {
    asking: Arc<Asking>,
    _permit: OwnedSemaphorePermit,
}

// === impl Policy ===

impl Policy {
    /// The endpoint's own.
    fn of(settings: &EndpointSettings) -> Self {
        let all = settings.on_failure;
        Self {
            timeout: settings.timeout,
            on_timeout: all,
            on_connection_error: all,
            on_bad_status: all,
            on_bad_body: all,
        }
        .with(settings.on_failures)
    }

    /// What a command says wins over what its endpoint says, be it ever so exact.
    fn of_command(self, command: &CommandSettings) -> Self {
        let own = match command.on_failure {
            Some(all) => {
                Self { on_timeout: all, on_connection_error: all, on_bad_status: all, on_bad_body: all, ..self }
            }
            None => self,
        };
        Self { timeout: command.timeout.unwrap_or(self.timeout), ..own.with(command.on_failures) }
    }

    fn with(self, exact: OnFailures) -> Self {
        Self {
            timeout: self.timeout,
            on_timeout: exact.timeout.unwrap_or(self.on_timeout),
            on_connection_error: exact.connection_error.unwrap_or(self.on_connection_error),
            on_bad_status: exact.bad_status.unwrap_or(self.on_bad_status),
            on_bad_body: exact.bad_body.unwrap_or(self.on_bad_body),
        }
    }

    /// What happens to a question that failed so. Of a dead endpoint `death` says how it was found dead.
    pub(crate) fn on(&self, failure: AskFailure, death: Option<Death>) -> OnFailure {
        match (failure, death) {
            (AskFailure::Timeout | AskFailure::Busy, _) | (AskFailure::BreakerOpen, Some(Death::Silent)) => {
                self.on_timeout
            }
            (AskFailure::Unreachable | AskFailure::BreakerOpen, _) => self.on_connection_error,
            (AskFailure::BadStatus, _) => self.on_bad_status,
            (AskFailure::Unreadable | AskFailure::NoRoomToWait, _) => self.on_bad_body,
        }
    }
}

// === impl Asking ===

impl Asking {
    pub(crate) fn new(settings: &EndpointSettings) -> Self {
        let policy = Policy::of(settings);
        let by_command = settings.by_command.iter().map(|(name, command)| (name.clone(), policy.of_command(command)));
        let now = Instant::now();
        Self {
            endpoint: settings.name.clone(),
            policy,
            by_command: by_command.collect(),
            places: Arc::new(Semaphore::new(settings.concurrency)),
            watched: Mutex::new(Watched {
                breaker: Breaker::new(now),
                opened: CancellationToken::new(),
                freed: now,
                is_hidden: false,
            }),
        }
    }

    pub(crate) fn policy(&self, command: &str) -> &Policy {
        self.by_command.get(command).unwrap_or(&self.policy)
    }

    pub(crate) fn view(&self) -> View {
        self.watched().breaker.view(Instant::now())
    }

    /// Shows the breaker's state in the metrics.
    pub(crate) fn show(&self) {
        gauge(&self.endpoint, self.watched().breaker.state());
    }

    /// Shows it no more, as of an endpoint that is gone: its name may be another's from now on.
    pub(crate) fn hide(&self) {
        self.watched().is_hidden = true;
        gauge(&self.endpoint, State::Closed);
    }

    /// Whether the question may as well not be put: the endpoint is dead, lets it pass, and it is not time for a probe.
    pub(crate) fn lets_pass(&self, command: &str) -> bool {
        let death = self.watched().breaker.shut(Instant::now());
        death.is_some_and(|death| self.policy(command).on(AskFailure::BreakerOpen, Some(death)) == OnFailure::Allow)
    }

    /// A question comes.
    pub(crate) fn enter(self: &Arc<Self>) -> Gate {
        let mut watched = self.watched();
        let now = Instant::now();
        match self.change(&mut watched, |breaker| breaker.enter(now)) {
            Entry::Ask => Gate::Ask(Waiting {
                asking: self.clone(),
                asked: now,
                opened: watched.opened.clone(),
                outcome: Outcome::GivenUp,
            }),
            Entry::Shut(death) => Gate::Shut(death),
            Entry::Probe(death) => Gate::Probe(death, Probe { asking: self.clone(), outcome: Outcome::GivenUp }),
        }
    }

    /// Waits for a place; none if the endpoint is too busy for a question with this deadline.
    pub(crate) async fn place(self: &Arc<Self>, deadline: Duration) -> Option<Place> {
        // Does not overtake those that wait already: what becomes free is theirs.
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            return Some(Place { asking: self.clone(), _permit: permit });
        }
        let came = Instant::now();
        let stall = (deadline / STALL_PART).min(LONGEST_STALL);
        let mut permit = std::pin::pin!(self.places.clone().acquire_owned());
        loop {
            let give_up_at = (self.watched().freed.max(came) + stall).min(came + deadline);
            if give_up_at <= Instant::now() {
                return None;
            }
            tokio::select! {
                biased;
                permit = &mut permit => return Some(Place { asking: self.clone(), _permit: permit.ok()? }),
                () = tokio::time::sleep_until(give_up_at) => {}
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets something happen to the breaker, and says so if that changes what it does.
    fn change<T>(&self, watched: &mut Watched, happens: impl FnOnce(&mut Breaker) -> T) -> T {
        let before = watched.breaker.state();
        let result = happens(&mut watched.breaker);
        let view = watched.breaker.view(Instant::now());
        if view.state == before {
            return result;
        }
        match view.state {
            State::Open => watched.opened.cancel(),
            State::Closed => watched.opened = CancellationToken::new(),
            State::HalfOpen => {}
        }
        if !watched.is_hidden {
            gauge(&self.endpoint, view.state);
        }
        let endpoint = self.endpoint.as_str();
        let (state, failures) = (view.state.name(), view.failures);
        let probe_millis = view.next_probe.map(|pause| pause.as_millis());
        match (before, view.state) {
            (_, State::Closed) => tracing::info!(endpoint, state, "the endpoint answers again, and is asked"),
            (_, State::HalfOpen) => {
                tracing::info!(endpoint, state, failures, "the endpoint is probed by one question")
            }
            (State::Closed, State::Open) => {
                let death = watched.breaker.death().map(Death::name);
                tracing::warn!(
                    endpoint,
                    state,
                    failures,
                    death,
                    probe_in.ms = probe_millis,
                    "the endpoint is dead: it is not asked, and questions get the answers of its policy at once"
                );
            }
            (_, State::Open) => {
                tracing::info!(endpoint, state, failures, probe_in.ms = probe_millis, "the endpoint is still dead");
            }
        }
        result
    }
}

fn gauge(endpoint: &str, state: State) {
    metrics::gauge!("ringback_breaker_state", "endpoint" => endpoint.to_owned()).set(f64::from(state.number()));
}

// === impl Waiting ===

impl Waiting {
    /// Waits until the endpoint is found dead.
    pub(crate) async fn dead(&self) -> Death {
        loop {
            // An answer moves the moment to look, mostly away.
            let latest = Instant::now() + LEAST_PATIENCE;
            let look_at = self.asking.watched().breaker.look_at().map_or(latest, |at| at.min(latest));
            tokio::select! {
                biased;
                () = self.opened.cancelled() => return self.asking.watched().breaker.death().unwrap_or(Death::Silent),
                () = tokio::time::sleep_until(look_at) => {
                    let now = Instant::now();
                    self.asking.change(&mut self.asking.watched(), |breaker| breaker.look(now));
                }
            }
        }
    }

    /// It is over.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let now = Instant::now();
        let (asked, outcome) = (self.asked, self.outcome);
        self.asking.change(&mut self.asking.watched(), |breaker| breaker.leave(asked, outcome, now));
    }
}

// === impl Probe ===

impl Probe {
    /// It is over.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let now = Instant::now();
        let outcome = self.outcome;
        self.asking.change(&mut self.asking.watched(), |breaker| breaker.probed(outcome, now));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.asking.watched().freed = Instant::now();
    }
}
