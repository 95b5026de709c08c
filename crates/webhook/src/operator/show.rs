//! One event as its endpoints get it: the request as it is sent, every attempt, and what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chat::Fault;
use chat::event::{LogEntry, Position, Shard, Subject};
use chat::id::{EventId, Timestamp};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use serde::Serialize;
use serde_json::Value;

use super::{ALL_FAILING, MAX_PAGE, Operator, OperatorError};
use crate::deliver::handle::{Handle, State};
use crate::deliver::telling::{self, Telling};
use crate::ledger::{Attempt, Letter, LetterQuery, LetterState};
use crate::request;

/// What is shown in place of a secret.
const BLANK: &str = "…";

/// A query parameter proves something if one of these is a word of its name, in lower case: Tencent's `Sign`, and what people
/// and clouds put into URLs (`X-Amz-Signature`, `api-key`, `code`).
const SECRET_WORDS: [&str; 14] = [
    "apikey",
    "auth",
    "authorization",
    "code",
    "hmac",
    "key",
    "passwd",
    "password",
    "pwd",
    "secret",
    "sig",
    "sign",
    "signature",
    "token",
];

/// ... or if it ends with one of these: `accesstoken`. Not with `key`, because of `monkey`.
const SECRET_ENDS: [&str; 5] = ["apikey", "password", "secret", "signature", "token"];

/// The outcomes of attempts in which the endpoint answered, and did not want the event.
const REFUSALS: [&str; 3] = ["bad_status", "busy", "not_acknowledged"];

/// An event, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The event.
    pub event: ShownEvent,
    /// For each endpoint, or the one that was asked about.
    pub endpoints: Vec<ShownEndpoint>,
}

/// An event in its place.
#[derive(Clone, Debug, Serialize)]
pub struct ShownEvent {
    /// Its id.
    pub id: EventId,
    /// Where it is in the log.
    pub shard: Shard,
    /// Where it is in the log.
    pub position: Position,
    /// When it happened.
    pub time: Timestamp,
    /// What has happened: a stable name.
    pub kind: &'static str,
    /// What it is about.
    pub subject: Subject,
}

/// What became of an event at one endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct ShownEndpoint {
    /// Its name.
    pub endpoint: String,
    /// The callback command; none if it is not owed the event.
    pub command: Option<&'static str>,
    /// Whether it is owed, and what became of that.
    pub state: Owed,
    /// The same in words.
    pub why: String,
    /// When it is told (again), if that is known.
    pub due: Option<Timestamp>,
    /// How often it was refused: of what is told, by the attempts that are remembered; else by the schedule.
    pub refused: u32,
    /// The request as it would be sent now.
    pub request: Option<ShownRequest>,
    /// Every attempt that is remembered, oldest first: failed ones for days, others as long as they are among the newest.
    pub attempts: Vec<ShownAttempt>,
}

/// What became of an event at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owed {
    /// It accepted it.
    Told,
    /// It is going to be told.
    Pending,
    /// It is going to be told again, or on its own.
    Replay,
    /// Its schedule is spent, or it was skipped.
    Dead,
    /// It is none of its events.
    NotOwed,
}

/// A request as it is sent, without what proves who we are.
#[derive(Clone, Debug, Serialize)]
pub struct ShownRequest {
    /// Always POST.
    pub method: String,
    /// With secrets in the query blanked.
    pub url: String,
    /// In order; with secrets blanked.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Value,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShownAttempt {
    /// When it began.
    pub time: Timestamp,
    /// How long it took, in milliseconds.
    pub took_millis: f64,
    /// `told`, or the class of the failure.
    pub outcome: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The first bytes of the answer, or what went wrong, in words.
    pub detail: String,
}

/// What became of an event, before it is put into words.
struct Fate {
    state: Owed,
    why: String,
    due: Option<Timestamp>,
    refused: u32,
}

impl Fate {
    fn new(state: Owed, why: impl Into<String>) -> Self {
        Self { state, why: why.into(), due: None, refused: 0 }
    }
}

impl Operator {
    /// An event by a `webhook-id`, its own id, or `<shard>:<position>`; for all endpoints, or the one that the id names.
    pub async fn show(&self, id: &str) -> Result<Shown, OperatorError> {
        let id = self.read_id(id)?;
        let entry = self.find(&id).await?;
        let attempts = self.parts.ledger.attempts(entry.event.id()).await?;
        // Endpoints that are configured no more have letters, too: there are not so many of them.
        let query = LetterQuery { event: Some(entry.event.id()), limit: MAX_PAGE, ..LetterQuery::default() };
        let letters = self.parts.ledger.letters(&query).await?;
        let is_meant = |name: &str| id.endpoint.as_ref().is_none_or(|own| own == name);
        let mut endpoints = Vec::new();
        for handle in self.handles.iter().filter(|handle| is_meant(&handle.endpoint().name)) {
            let name = &handle.endpoint().name;
            let letter = letters.iter().find(|letter| letter.endpoint == *name);
            let noted = attempts.iter().filter(|attempt| attempt.endpoint == *name);
            endpoints.push(self.show_at(handle, &entry, letter, noted).await?);
        }
        let event = ShownEvent {
            id: entry.event.id(),
            shard: entry.shard,
            position: entry.position,
            time: entry.event.time(),
            kind: entry.event.name(),
            subject: entry.event.subject(),
        };
        Ok(Shown { event, endpoints })
    }

    async fn show_at(
        &self,
        handle: &Handle,
        entry: &LogEntry,
        letter: Option<&Letter>,
        noted: impl Iterator<Item = &Attempt>,
    ) -> Result<ShownEndpoint, OperatorError> {
        let endpoint = handle.endpoint();
        let attempts = all_attempts(handle, entry.event.id(), noted);
        let fate = self.fate(handle, entry, letter, &attempts).await?;
        // A letter was owed it when it was written, whatever is configured now.
        let command = match letter {
            Some(_) => endpoint.codec.tells(&entry.event),
            None => endpoint.tells(&entry.event).filter(|_| fate.state != Owed::NotOwed),
        };
        let (request, why) = match command {
            Some(command) => match self.request_of(handle, entry, command).await? {
                Ok(request) => (Some(request), fate.why),
                Err(unsendable) => (None, format!("{}; {unsendable}", fate.why)),
            },
            None => (None, fate.why),
        };
        let (endpoint, state) = (endpoint.name.clone(), fate.state);
        let (due, refused) = (fate.due, fate.refused);
        Ok(ShownEndpoint { endpoint, command, state, why, due, refused, request, attempts })
    }

    async fn fate(
        &self,
        handle: &Handle,
        entry: &LogEntry,
        letter: Option<&Letter>,
        attempts: &[ShownAttempt],
    ) -> Result<Fate, OperatorError> {
        let endpoint = handle.endpoint();
        if let Some(letter) = letter {
            let (state, due) = match letter.state {
                LetterState::Dead => (Owed::Dead, None),
                LetterState::Replay => (Owed::Replay, Some(letter.at)),
            };
            return Ok(Fate { state, why: letter.why.clone(), due, refused: letter.attempts });
        }
        let Some(command) = endpoint.codec.tells(&entry.event) else {
            return Ok(Fate::new(Owed::NotOwed, "its dialect has no callback for this event"));
        };
        if endpoint.tells(&entry.event).is_none() {
            let why = match endpoint.subscribes_to(command) {
                false => format!("it does not subscribe to {command} (commands)"),
                true => "its filter does not want it (only, except)".to_owned(),
            };
            return Ok(Fate::new(Owed::NotOwed, why));
        }
        let Some(told) = self.told(&endpoint.name, entry.shard).await? else {
            return Ok(Fate::new(Owed::NotOwed, "it has never been called yet"));
        };
        if entry.position <= told.cursor.started {
            let why = format!("it is newer than the event: it is owed what came after {}", told.cursor.started.0);
            return Ok(Fate::new(Owed::NotOwed, why));
        }
        if let Some(last) = attempts.iter().rposition(|attempt| attempt.outcome == "told") {
            // An attempt that nobody answered, and one that was accepted before a replay, refused nothing.
            let refused =
                attempts[..last].iter().filter(|attempt| REFUSALS.contains(&attempt.outcome.as_str())).count();
            let refused = u32::try_from(refused).unwrap_or(u32::MAX);
            return Ok(Fate { refused, ..Fate::new(Owed::Told, "it accepted it") });
        }
        if told.is_told(entry) {
            return Ok(Fate::new(Owed::Told, "it accepted it; that attempt is no longer remembered"));
        }
        self.why_pending(handle, entry).await
    }

    /// Why an event that is owed is not told yet.
    async fn why_pending(&self, handle: &Handle, entry: &LogEntry) -> Result<Fate, OperatorError> {
        let (event, subject) = (entry.event.id(), entry.event.subject());
        let failing = handle.failing(ALL_FAILING).await?;
        let own = failing.iter().find(|failing| failing.event == Some(event));
        let before = failing.iter().find(|failing| failing.subject == subject);
        let standing = handle.standing();
        let paused = standing.pause.as_ref().map(|pause| format!("the endpoint is paused: {}", pause.detail));
        let (due, refused) = match own.and_then(|own| own.trouble) {
            Some(trouble) => (Some(trouble.due), trouble.attempts),
            None => (None, 0),
        };
        let why = match (paused, own, before) {
            (Some(paused), ..) => paused,
            (None, Some(own), _) if own.trouble.is_some() => "the endpoint refuses it".to_owned(),
            (None, ..) if standing.state == State::Down => "the endpoint is down, and probed".to_owned(),
            (None, ..) if standing.state == State::Held => "the endpoint wants to be left alone for a while".to_owned(),
            (None, Some(own), _) => format!("it was not answered, {} times in a row", own.times),
            (None, None, Some(before)) => match before.event {
                Some(event) => format!("it waits behind {event}, which fails"),
                None => "it waits behind an event that fails".to_owned(),
            },
            (None, None, None) => "it is on its way".to_owned(),
        };
        Ok(Fate { due, refused, ..Fate::new(Owed::Pending, why) })
    }

    /// The request, or why there is none.
    async fn request_of(
        &self,
        handle: &Handle,
        entry: &LogEntry,
        command: &'static str,
    ) -> Result<Result<ShownRequest, String>, Fault> {
        let endpoint = handle.endpoint();
        let cursor = self.parts.ledger.cursor(&endpoint.name, entry.shard).await?;
        let started = cursor.map(|cursor| cursor.started).unwrap_or_default();
        let now = self.parts.clock.now();
        let telling = [Arc::new(Telling::new(entry.clone(), command, started, None))];
        let (call, envelope) = match telling::prepare(endpoint, &self.parts, now, &telling).await {
            Ok(prepared) => prepared,
            Err((_, _, detail)) => return Ok(Err(detail)),
        };
        let request = request::build(endpoint, &call, &envelope, now);
        Ok(request.map(|request| shown(&request, &call.body)).map_err(|failure| failure.detail))
    }
}

/// A request without its secrets.
pub(super) fn shown(request: &Request<Full<Bytes>>, body: &Bytes) -> ShownRequest {
    let headers = request.headers().iter().map(|(name, value)| {
        let is_secret = value.is_sensitive() || [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name);
        let value = if is_secret { BLANK.into() } else { String::from_utf8_lossy(value.as_bytes()) };
        (name.to_string(), value.into_owned())
    });
    ShownRequest {
        method: request.method().to_string(),
        url: without_secrets(&request.uri().to_string()),
        headers: headers.collect(),
        body: serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into()),
    }
}

/// A URL in which the values of parameters that prove something are blanked.
pub(super) fn without_secrets(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, value)) if !value.is_empty() && is_secret(name) => format!("{name}={BLANK}"),
        _ => parameter.to_owned(),
    });
    format!("{path}?{}", parameters.collect::<Vec<_>>().join("&"))
}

/// Whether a parameter of this name proves something.
fn is_secret(name: &str) -> bool {
    let mut words = String::new();
    let mut was_lower = false;
    for c in name.chars() {
        // `secretKey` is two words, too.
        if was_lower && c.is_ascii_uppercase() {
            words.push(' ');
        }
        was_lower = c.is_ascii_lowercase();
        words.push(c.to_ascii_lowercase());
    }
    let name = name.to_ascii_lowercase();
    SECRET_ENDS.iter().any(|end| name.ends_with(end))
        || words.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| SECRET_WORDS.contains(&word))
}

/// What the ledger has noted and what is in memory, each attempt once.
fn all_attempts<'a>(handle: &Handle, event: EventId, noted: impl Iterator<Item = &'a Attempt>) -> Vec<ShownAttempt> {
    let remembered = handle.recent(event).into_iter().map(|call| ShownAttempt {
        time: call.time,
        took_millis: call.took.as_secs_f64() * 1000.0,
        outcome: call.outcome.to_owned(),
        status: call.status,
        detail: String::new(),
    });
    let noted = noted.map(|attempt| ShownAttempt {
        time: attempt.time,
        took_millis: attempt.took as f64,
        outcome: attempt.outcome.clone(),
        status: attempt.status,
        detail: attempt.detail.clone(),
    });
    // Those that were noted come last and stay: they know the detail.
    let all: BTreeMap<(Timestamp, String), ShownAttempt> =
        remembered.chain(noted).map(|attempt| ((attempt.time, attempt.outcome.clone()), attempt)).collect();
    all.into_values().collect()
}
