//! One call that tells of an event, or of several: worded once, posted, and judged.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chat::Fault;
use chat::event::{LogEntry, Position};
use chat::id::{EventId, Timestamp};
use chat::port::Log;
use chat::refusal::AskFailure;
use tokio::time::Instant;

use super::Parts;
use super::settings::Acknowledge;
use crate::codec::{BatchItem, Call};
use crate::endpoint::Endpoint;
use crate::keeper;
use crate::ledger::Letter;
use crate::request::{self, Envelope};
use crate::transport::Answer;

/// How many earlier events of a subject are looked at, a page at a time, to find the one that was told before. Mostly that is
/// the very last, so the first page has only one.
const PREVIOUS_PAGE: usize = 64;
const PREVIOUS_PAGES: usize = 64;

/// The first bytes of an answer that are kept for the operator.
const EXCERPT_BYTES: usize = 256;

/// One event that the endpoint is owed.
#[derive(Debug)]
pub(crate) struct Telling {
    pub(crate) entry: LogEntry,
    pub(crate) command: &'static str,
    /// The endpoint is owed nothing of its shard up to here.
    started: Position,
    /// The event of the same subject that the endpoint was owed before; none: this is the first. Looked up at the first
    /// attempt, if nobody knows it.
    previous: OnceLock<Option<EventId>>,
    /// Worded at the first attempt, and the same at all others.
    call: OnceLock<Call>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Told,
    /// It answered, and did not accept.
    Refused,
    /// It answered that it cannot now: not before so long.
    Later(Duration),
    /// It answered that it has too much to do, and is to be left alone for so long.
    Busy(Duration),
    /// It answered that it wants no more calls.
    Gone,
    /// It did not answer.
    Unanswered,
    /// We could not even call, and never will.
    Unsendable,
    /// We could not even call: the log could not be read.
    Unread,
}

/// An attempt, as far as it is the same for all events of a call.
#[derive(Clone, Debug)]
pub(crate) struct Attempted {
    pub(crate) outcome: Outcome,
    /// A stable name of what became of it.
    pub(crate) name: &'static str,
    pub(crate) time: Timestamp,
    pub(crate) took: Duration,
    pub(crate) status: Option<u16>,
    /// What went wrong, in words, or as the answer says it.
    pub(crate) detail: String,
}

impl Telling {
    /// `previous`: the event of the same subject that the endpoint was owed before, if somebody knows.
    pub(crate) fn new(
        entry: LogEntry,
        command: &'static str,
        started: Position,
        previous: Option<Option<EventId>>,
    ) -> Self {
        let previous = previous.map_or_else(OnceLock::new, OnceLock::from);
        Self { entry, command, started, previous, call: OnceLock::new() }
    }

    pub(crate) fn event(&self) -> EventId {
        self.entry.event.id()
    }

    fn call(&self, endpoint: &Endpoint) -> Result<&Call, Fault> {
        if let Some(call) = self.call.get() {
            return Ok(call);
        }
        let call = endpoint.codec.telling(self.command, &self.entry)?;
        Ok(self.call.get_or_init(|| call))
    }

    /// What is said about it in headers.
    async fn envelope(&self, endpoint: &Endpoint, parts: &Parts) -> Result<Envelope, Fault> {
        let previous = match self.previous.get() {
            Some(previous) => Some(*previous),
            None => {
                let found = find_previous(&self.entry, endpoint, parts, self.started).await?;
                found.map(|found| *self.previous.get_or_init(|| found))
            }
        };
        let mut headers = vec![("ringback-sequence", self.entry.position.0.to_string())];
        if let Some(previous) = previous {
            let previous = previous.map(|id| webhook_id(id, endpoint)).unwrap_or_default();
            headers.push(("ringback-previous", previous));
        }
        headers.push(("traceparent", request::traceparent(self.event())));
        Ok(Envelope { id: webhook_id(self.event(), endpoint), headers })
    }
}

impl Attempted {
    /// A call that broke off in our own code.
    pub(super) fn broken(time: Timestamp, detail: String) -> Self {
        Self { outcome: Outcome::Refused, name: "broken", time, took: Duration::ZERO, status: None, detail }
    }

    /// What went wrong, in one line.
    pub(super) fn why(&self) -> String {
        match self.status {
            Some(status) => format!("{} {status}: {}", self.name, self.detail),
            None => format!("{}: {}", self.name, self.detail),
        }
    }
}

/// The same for ever, and of no other event or endpoint.
pub fn webhook_id(event: EventId, endpoint: &Endpoint) -> String {
    format!("{event}.{}", endpoint.name)
}

/// The event of the same subject that the endpoint was owed before this one. None if that is too far back to look for, or
/// if something between them may have been trimmed: to name another, or none, would hide a hole.
async fn find_previous(
    entry: &LogEntry,
    endpoint: &Endpoint,
    parts: &Parts,
    started: Position,
) -> Result<Option<Option<EventId>>, Fault> {
    let Some((place, previous)) = look_before(entry, endpoint, &*parts.log, started).await? else { return Ok(None) };
    // After the log was read: what is trimmed is said to be before it is.
    let trimmed = keeper::trimmed_up_to(&*parts.ledger, entry.shard).await?;
    Ok((place >= trimmed).then_some(previous))
}

/// The event before, and its place; or none, and the place after which there is none. None at all if it is too far back.
async fn look_before(
    entry: &LogEntry,
    endpoint: &Endpoint,
    log: &dyn Log,
    started: Position,
) -> Result<Option<(Position, Option<EventId>)>, Fault> {
    let subject = entry.event.subject();
    let mut before = entry.position;
    for number in 0..=PREVIOUS_PAGES {
        let limit = if number == 0 { 1 } else { PREVIOUS_PAGE };
        let page = log.log_before(&subject, before, limit).await?;
        for earlier in &page {
            if earlier.position <= started {
                return Ok(Some((started, None)));
            }
            if endpoint.tells(&earlier.event).is_some() {
                return Ok(Some((earlier.position, Some(earlier.event.id()))));
            }
        }
        match page.last() {
            Some(last) if page.len() == limit => before = last.position,
            _ => return Ok(Some((started, None))),
        }
    }
    Ok(None)
}

/// One attempt.
pub(super) async fn tell(endpoint: &Endpoint, parts: &Parts, tellings: &[Arc<Telling>]) -> Attempted {
    let (began, time) = (Instant::now(), parts.clock.now());
    let (outcome, name, status, detail) = match prepare(endpoint, parts, time, tellings).await {
        Ok((call, envelope)) => match request::post(endpoint, &call, &envelope, time, endpoint.timeout).await {
            Ok(answer) => judge(endpoint, &answer),
            Err(failure) if failure.kind == AskFailure::Unreadable => {
                (Outcome::Refused, failure.kind.name(), None, failure.detail)
            }
            Err(failure) => (Outcome::Unanswered, failure.kind.name(), None, failure.detail),
        },
        Err((outcome, name, detail)) => (outcome, name, None, detail),
    };
    Attempted { outcome, name, time, took: began.elapsed(), status, detail }
}

/// One attempt to tell of a letter's event, which is read from the log first.
pub(super) async fn tell_letter(endpoint: &Endpoint, parts: &Parts, started: Position, letter: &Letter) -> Attempted {
    let (began, time) = (Instant::now(), parts.clock.now());
    let failed = |outcome, name, detail| Attempted { outcome, name, time, took: began.elapsed(), status: None, detail };
    let entry = match parts.log.log_after(letter.shard, Position(letter.position.0.saturating_sub(1)), 1).await {
        Ok(mut entries) => entries.pop().filter(|entry| entry.position == letter.position),
        Err(fault) => return failed(Outcome::Unread, "unread", fault.to_string()),
    };
    let Some(entry) = entry else {
        return failed(Outcome::Unsendable, "trimmed", "its event is no longer in the log".to_owned());
    };
    match endpoint.codec.tells(&entry.event) {
        Some(command) => {
            let telling = Arc::new(Telling::new(entry, command, started, None));
            tell(endpoint, parts, &[telling]).await
        }
        None => failed(Outcome::Unsendable, "unworded", "the endpoint's dialect has no command for it".to_owned()),
    }
}

pub(crate) type Unprepared = (Outcome, &'static str, String);

/// The call about these events, and what is said beside it.
pub(crate) async fn prepare(
    endpoint: &Endpoint,
    parts: &Parts,
    time: Timestamp,
    tellings: &[Arc<Telling>],
) -> Result<(Call, Envelope), Unprepared> {
    let unworded = |fault: Fault| (Outcome::Unsendable, "unworded", fault.to_string());
    let unread = |fault: Fault| (Outcome::Unread, "unread", fault.to_string());
    let [first, ..] = tellings else { return Err(unworded(Fault::new("a call without an event"))) };
    let mut envelope = first.envelope(endpoint, parts).await.map_err(unread)?;
    let call = if tellings.len() == 1 {
        first.call(endpoint).map_err(unworded)?.clone()
    } else {
        let mut envelopes = Vec::with_capacity(tellings.len());
        let mut items = Vec::with_capacity(tellings.len());
        for telling in tellings {
            envelopes.push(telling.envelope(endpoint, parts).await.map_err(unread)?);
        }
        for (telling, envelope) in tellings.iter().zip(&envelopes) {
            items.push(BatchItem { envelope, call: telling.call(endpoint).map_err(unworded)? });
        }
        envelope.id = format!("{}+{}", envelope.id, tellings.len() - 1);
        envelope.headers.retain(|(name, _)| *name == "traceparent");
        let batch = endpoint.codec.batch(&items, time);
        batch.ok_or_else(|| unworded(Fault::new("this dialect has no batches")))?
    };
    let most = endpoint.telling.max_body_bytes;
    if call.body.len() > most {
        let detail = format!("its body has {} bytes; the endpoint takes {most}", call.body.len());
        return Err((Outcome::Unsendable, "too_large", detail));
    }
    Ok((call, envelope))
}

/// An outcome, its stable name, the HTTP status, and the beginning of the answer unless it was told.
pub(crate) type Judgement = (Outcome, &'static str, Option<u16>, String);

/// What an answer means.
pub(crate) fn judge(endpoint: &Endpoint, answer: &Answer) -> Judgement {
    let status = answer.status.as_u16();
    let (outcome, name) = match (status, answer.retry_after) {
        (200..=299, _) => match endpoint.telling.acknowledge {
            Acknowledge::Body if !endpoint.codec.acknowledges(&answer.body) => (Outcome::Refused, "not_acknowledged"),
            Acknowledge::Body | Acknowledge::Status => return (Outcome::Told, "told", Some(status), String::new()),
        },
        (410, _) => (Outcome::Gone, "gone"),
        (429, after) => (Outcome::Busy(after.unwrap_or(Duration::from_secs(1))), "busy"),
        (503, Some(after)) => (Outcome::Later(after), "busy"),
        _ => (Outcome::Refused, "bad_status"),
    };
    (outcome, name, Some(status), excerpt(&answer.body))
}

/// The beginning of an answer, as text on one line.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
