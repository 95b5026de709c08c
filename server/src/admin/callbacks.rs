//! `/admin/callbacks…`: the endpoints, their events and letters. Every path is in [`routes`], and in docs/OPERATING.md.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::{get, post};
use chat::id::Timestamp;
use chat::port::Clock;
use serde_json::json;
use webhook::operator::{MAX_PAGE, Operator, OperatorError, Replay, Selection};
use webhook::tunnel::Tunnels;

use super::fields::{Body, Fields, MAX_BODY_BYTES, Name, Parameters, USUAL_PAGE, bytes, path, query};
use super::{Problem, answer};

/// An operator's reason for a pause is shown in tables and logs.
const MAX_WHY_BYTES: usize = 500;

type Answer = Result<Response, Problem>;

/// What the routes work with.
#[derive(Clone)]
struct Desk {
    operator: Arc<Operator>,
    tunnels: Arc<Tunnels>,
    clock: Arc<dyn Clock>,
}

/// The routes, to be put behind the token.
pub(crate) fn routes(operator: Arc<Operator>, tunnels: Arc<Tunnels>, clock: Arc<dyn Clock>) -> Router {
    Router::new()
        .route("/callbacks", get(status))
        .route("/callbacks/endpoints/{endpoint}", get(status_of))
        .route("/callbacks/endpoints/{endpoint}/pending", get(pending))
        .route("/callbacks/endpoints/{endpoint}/pause", post(pause))
        .route("/callbacks/endpoints/{endpoint}/resume", post(resume))
        .route("/callbacks/endpoints/{endpoint}/test", post(test))
        .route("/callbacks/dead", get(dead))
        .route("/callbacks/events/{id}", get(show))
        .route("/callbacks/events/{id}/skip", post(skip))
        .route("/callbacks/replay", post(replay))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Desk { operator, tunnels, clock })
}

async fn status(State(desk): State<Desk>, parameters: Parameters) -> Answer {
    query(parameters, &[])?;
    let endpoints = desk.operator.status(None).await?;
    Ok(answer(&json!({ "time": desk.clock.now(), "endpoints": endpoints, "tunnels": desk.tunnels.list() })))
}

async fn status_of(State(desk): State<Desk>, name: Name, parameters: Parameters) -> Answer {
    query(parameters, &[])?;
    let endpoints = desk.operator.status(Some(&path(name)?)).await?;
    Ok(answer(&json!({ "time": desk.clock.now(), "endpoints": endpoints })))
}

async fn pending(State(desk): State<Desk>, name: Name, parameters: Parameters) -> Answer {
    let limit = query(parameters, &["limit"])?.number("limit", MAX_PAGE)?.unwrap_or(USUAL_PAGE);
    Ok(answer(&desk.operator.pending(&path(name)?, limit).await?))
}

async fn dead(State(desk): State<Desk>, parameters: Parameters) -> Answer {
    let mut fields = query(parameters, &["endpoint", "after", "limit"])?;
    let limit = fields.number("limit", MAX_PAGE)?.unwrap_or(USUAL_PAGE);
    let (endpoint, after) = (fields.text("endpoint")?, fields.text("after")?);
    Ok(answer(&desk.operator.dead(endpoint.as_deref(), after.as_deref(), limit).await?))
}

async fn show(State(desk): State<Desk>, id: Name, parameters: Parameters) -> Answer {
    query(parameters, &[])?;
    Ok(answer(&desk.operator.show(&path(id)?).await?))
}

async fn skip(State(desk): State<Desk>, id: Name, parameters: Parameters, body: Body) -> Answer {
    query(parameters, &[])?;
    let endpoints = fields(body, &["endpoints"])?.texts("endpoints")?.unwrap_or_default();
    let (event, skipped) = desk.operator.skip(&path(id)?, &endpoints).await?;
    Ok(answer(&json!({ "event": event, "skipped": skipped })))
}

async fn pause(State(desk): State<Desk>, name: Name, parameters: Parameters, body: Body) -> Answer {
    query(parameters, &[])?;
    let why = fields(body, &["why"])?.text("why")?.unwrap_or_else(|| "paused by the operator".to_owned());
    if why.len() > MAX_WHY_BYTES || why.chars().any(char::is_control) {
        let words = format!("why: right would be one line of at most {MAX_WHY_BYTES} bytes");
        return Err(Problem::bad(words));
    }
    let endpoint = path(name)?;
    let pause = desk.operator.pause(&endpoint, why).await?;
    Ok(answer(&json!({ "endpoint": endpoint, "pause": pause })))
}

async fn resume(State(desk): State<Desk>, name: Name, parameters: Parameters, body: Body) -> Answer {
    query(parameters, &[])?;
    fields(body, &[])?;
    let endpoint = path(name)?;
    let ended = desk.operator.resume(&endpoint).await?;
    Ok(answer(&json!({ "endpoint": endpoint, "ended": ended })))
}

async fn test(State(desk): State<Desk>, name: Name, parameters: Parameters, body: Body) -> Answer {
    query(parameters, &[])?;
    let command = fields(body, &["command"])?.text("command")?;
    let command = command.ok_or_else(|| Problem::bad("command: is missing; right would be a callback command"))?;
    Ok(answer(&desk.operator.test(&path(name)?, &command).await?))
}

async fn replay(State(desk): State<Desk>, parameters: Parameters, body: Body) -> Answer {
    // `?dry_run=true` must not replay in earnest.
    query(parameters, &[])?;
    let mut fields = fields(body, &["endpoints", "events", "since", "until", "dead", "dry_run"])?;
    let now = desk.clock.now();
    let endpoints = fields.texts("endpoints")?.unwrap_or_default();
    let (since, until) = (fields.moment("since", now)?, fields.moment("until", now)?);
    let (dead, events) = (fields.flag("dead")?, fields.texts("events")?);
    let selection = match (events, dead, since) {
        (Some(_), true, _) => {
            return Err(Problem::bad("dead: `events` names the events already; right would be one of them"));
        }
        (Some(_), ..) if since.is_some() || until.is_some() => {
            return Err(Problem::bad("since, until: `events` names the events already; right would be one of them"));
        }
        (Some(events), ..) => Selection::Events(events),
        (None, true, since) => Selection::Dead(since.unwrap_or(Timestamp::from_millis(i64::MIN)), until.unwrap_or(now)),
        (None, false, Some(since)) => Selection::Times(since, until.unwrap_or(now)),
        (None, false, None) => {
            return Err(Problem::bad("it is not said what is to be replayed; right would be events, since, or dead"));
        }
    };
    let dry_run = fields.flag("dry_run")?;
    Ok(answer(&desk.operator.replay(&Replay { endpoints, selection, dry_run }).await?))
}

fn fields(body: Body, known: &[&str]) -> Result<Fields, Problem> {
    Fields::of_body(&bytes(body, MAX_BODY_BYTES)?, known)
}

impl From<OperatorError> for Problem {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::NotFound(words) => Self::not_found(words),
            OperatorError::Invalid(words) => Self::bad(words),
            OperatorError::Conflict(words) => Self::conflict(words),
            OperatorError::Fault(fault) if fault.is_unavailable() => Self::unavailable(fault.to_string()),
            OperatorError::Fault(fault) => {
                tracing::error!(%fault, "the admin API failed");
                Self::failed()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chat::id::EventId;
    use openim::codec::OpenImCodec;
    use standard::StandardCodec;
    use tencent::callback::TencentCodec;
    use webhook::codec::Codec;
    use webhook::operator::{Sample, sample};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_255_200_000);

    /// All that this version calls. The dialects' other commands are legal in a configuration, and nothing leads to them.
    const TENCENT: &[&str] = &[
        "C2C.CallbackAfterSendMsg",
        "C2C.CallbackBeforeSendMsg",
        "Group.CallbackAfterGroupInfoChanged",
        "Group.CallbackAfterSendMsg",
        "Group.CallbackBeforeCreateGroup",
        "Group.CallbackBeforeCreateTopic",
        "Group.CallbackBeforeInviteJoinGroup",
        "Group.CallbackBeforeSendMsg",
    ];
    const OPENIM: &[&str] = &[
        "callbackAfterSendGroupMsgCommand",
        "callbackAfterSendSingleMsgCommand",
        "callbackBeforeAddBlackCommand",
        "callbackBeforeCreateGroupCommand",
        "callbackBeforeInviteJoinGroupCommand",
        "callbackBeforeMembersJoinGroupCommand",
        "callbackBeforeMsgModifyCommand",
        "callbackBeforeSendGroupMsgCommand",
        "callbackBeforeSendSingleMsgCommand",
        "callbackBeforeSetGroupInfoCommand",
        "callbackBeforeSetGroupInfoExCommand",
        "callbackBeforeUserRegisterCommand",
    ];
    const STANDARD: &[&str] = &[
        "account.blocking",
        "accounts.registering",
        "endpoint.paused",
        "group.changed",
        "group.changing",
        "group.creating",
        "members.adding",
        "message.not_sent",
        "message.sending",
        "message.sent",
        "topic.creating",
    ];

    #[test]
    fn every_command_that_is_called_can_be_tested() {
        let codecs: [(Box<dyn Codec>, &[&str]); 3] = [
            (Box::new(TencentCodec::new("http://h/".to_owned(), 1, None)), TENCENT),
            (Box::new(OpenImCodec::new("http://h/", BTreeSet::new())), OPENIM),
            (Box::new(StandardCodec::new("http://h/")), STANDARD),
        ];
        for (codec, called) in codecs {
            let mut sampled = BTreeSet::new();
            for command in codec.commands() {
                let Some((own, sample)) = sample(&*codec, command, EventId::new(NOW, 7), NOW) else { continue };
                sampled.insert(command);
                assert_eq!(own, command);
                assert_eq!(codec.is_question(command), matches!(sample, Sample::Question(_)), "{command}");
                let call = sample.call(&*codec, own).unwrap();
                let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
                assert!(body.to_string().contains("sample-"), "{command}: {body}");
            }
            assert_eq!(sampled, called.iter().copied().collect());
        }
    }
}
