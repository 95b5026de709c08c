//! `/admin/parked…`: messages that wait for a verdict. Every path is in [`routes`], and in docs/STANDARD.md.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::get;
use chat::id::MessageId;
use chat::message::find_parked::{FindParked, ListParked};
use chat::message::park::{Outcome, Parked};
use chat::message::release::ReleaseParked;
use chat::{Actor, Chat, Command, Error, Origin, Refusal};
use serde_json::{Map, Value, json};

use super::fields::{Body, MAX_BODY_BYTES, Name, Parameters, USUAL_PAGE, bytes, path, query};
use super::{Problem, answer};

/// So many messages in a page: some 20 KB each, 2 MB.
pub(crate) const MAX_PAGE: usize = 100;

type Answer = Result<Response, Problem>;

/// The routes, to be put behind the token.
pub(crate) fn routes(chat: Arc<Chat>) -> Router {
    Router::new()
        .route("/parked", get(list))
        .route("/parked/{id}", get(show).post(decide))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(chat)
}

async fn list(State(chat): State<Arc<Chat>>, parameters: Parameters) -> Answer {
    let mut fields = query(parameters, &["limit", "after"])?;
    let limit = fields.number("limit", MAX_PAGE)?.unwrap_or(USUAL_PAGE);
    let after = fields.text("after")?.map(|after| id(&after, "after")).transpose()?;
    let parked = run(&chat, ListParked { after, limit }).await?;
    // A page that is full may be the last one; then the next is empty.
    let next = parked.last().filter(|_| parked.len() == limit).map(|parked| parked.message.id.to_string());
    let parked: Vec<_> = parked.iter().map(shown).collect();
    Ok(answer(&json!({ "time": chat.clock().now(), "parked": parked, "next": next })))
}

async fn show(State(chat): State<Arc<Chat>>, name: Name, parameters: Parameters) -> Answer {
    query(parameters, &[])?;
    let parked = run(&chat, FindParked { id: id(&path(name)?, "id")? }).await?;
    Ok(answer(&shown(&parked)))
}

async fn decide(State(chat): State<Arc<Chat>>, name: Name, parameters: Parameters, body: Body) -> Answer {
    query(parameters, &[])?;
    let id = id(&path(name)?, "id")?;
    let mut body = bytes(body, MAX_BODY_BYTES)?.to_vec();
    let round = take_round(&mut body)?;
    let verdict = standard::read_late_verdict(&body).map_err(|unreadable| {
        Problem::bad(format!("the body is no verdict: {unreadable}; right would be {{\"verdict\": \"allow\"}}"))
    })?;
    let parked = run(&chat, ReleaseParked { id, round, verdict }).await?;
    Ok(answer(&shown(&parked)))
}

/// Takes the round out of a body; what is left is the dialect's to read. So is a body that is no JSON object.
fn take_round(body: &mut Vec<u8>) -> Result<Option<u32>, Problem> {
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(body) else { return Ok(None) };
    let Some(found) = fields.shift_remove("round") else { return Ok(None) };
    *body = Value::Object(fields).to_string().into_bytes();
    let round = found.as_u64().and_then(|round| u32::try_from(round).ok()).filter(|round| *round > 0);
    match round {
        None if !found.is_null() => {
            Err(Problem::bad(format!("round: found {found}; right would be a round of the message, from 1")))
        }
        round => Ok(round),
    }
}

/// Whoever has the admin token acts for the server.
async fn run<C: Command>(chat: &Chat, command: C) -> Result<C::Reply, Problem> {
    chat.run(&Actor::System, &Origin::default(), command).await.map_err(problem)
}

fn problem(error: Error) -> Problem {
    match error {
        Error::Refused(refusal) => {
            let words = refusal.to_string();
            match refusal {
                Refusal::NotParked(_) => Problem::not_found(words),
                Refusal::Decided { .. } => Problem::conflict(words),
                Refusal::StoreUnavailable | Refusal::BackendFull | Refusal::BackendFailed(_) => {
                    Problem::unavailable(format!("{words}; the message waits still"))
                }
                _ => Problem::bad(words),
            }
        }
        // The door has logged it.
        Error::Fault(_) => Problem::failed(),
    }
}

fn id(text: &str, field: &str) -> Result<MessageId, Problem> {
    let wrong = || Problem::bad(format!("{field}: right would be a message's id, 32 hex digits"));
    MessageId::parse(text).ok_or_else(wrong)
}

/// A message that waits, or what became of it. Times are milliseconds since 1970.
fn shown(parked: &Parked) -> Value {
    let Parked { message, endpoint, since, until, otherwise, round, decision, modified, .. } = parked;
    let mut shown = json!({
        "id": message.id.to_string(),
        "state": if decision.is_some() { "decided" } else { "waiting" },
        "endpoint": endpoint,
        "since": since,
        "until": until,
        "default": otherwise.name(),
        "round": round,
        "modified": modified,
        "message": standard::shown(message),
    });
    if let Some(decision) = decision {
        let mut decided =
            json!({ "outcome": decision.outcome.name(), "by": decision.by.name(), "time": decision.time });
        match &decision.outcome {
            Outcome::Sent { modified } => decided["modified"] = json!(modified),
            Outcome::Rejected { code, info, detail } => {
                decided["code"] = json!(code);
                decided["info"] = json!(info);
                decided["detail"] = json!(detail);
            }
            Outcome::Discarded => {}
            Outcome::Refused { name, why } => {
                decided["reason"] = json!(name);
                decided["why"] = json!(why);
            }
        }
        shown["decision"] = decided;
    }
    shown
}
