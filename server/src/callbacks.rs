//! `ringback callbacks`: what an operator asks a running server, and has it do, about the calls that it makes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::{CallbacksArgs, CallbacksCommand, ParkedCommand, ParkedList, ParkedMessage, ReplayArgs};
use crate::clock::SystemClock;
use crate::config::{Config, Sources};
use crate::failure::Failure;
use crate::log::has_colours;
use crate::remote::{Remote, RemoteError, percent};

mod show;
mod table;

/// The longest that takes is a replay of a million letters: a minute or two.
const PATIENCE: Duration = Duration::from_secs(300);

/// Carries out one command.
pub(crate) async fn run(args: CallbacksArgs) -> Result<(), Failure> {
    let CallbacksArgs { command, server, json, place } = args;
    let config = Config::load(&Sources::of_process(place.config, place.data_dir))?;
    let remote = Remote::new(server.as_ref(), &config)?.waiting(PATIENCE);
    let answer = ask(&remote, &command).await?;
    let text = if json {
        answer.to_string()
    } else {
        let style = show::Style::now(has_colours(&std::io::stdout()), &SystemClock);
        shown(&style, &command, &answer)
    };
    crate::print_line(text.trim_end())?;
    match command {
        // For scripts: a test that went wrong is a command that failed.
        CallbacksCommand::Test { endpoint, .. } if answer["is_fine"] != true => {
            Err(Failure::work(format!("{endpoint} did not answer as it should")))
        }
        _ => Ok(()),
    }
}

async fn ask(remote: &Remote, command: &CallbacksCommand) -> Result<Value, RemoteError> {
    let of = |endpoint: &str, rest: &str| format!("/admin/callbacks/endpoints/{}{rest}", percent(endpoint));
    match command {
        CallbacksCommand::Status { endpoint: None } => remote.get("/admin/callbacks").await,
        CallbacksCommand::Status { endpoint: Some(endpoint) } => remote.get(&of(endpoint, "")).await,
        CallbacksCommand::Pending { endpoint, limit } => {
            let names = match endpoint {
                Some(name) => vec![name.clone()],
                None => names(&remote.get("/admin/callbacks").await?),
            };
            let mut all = Vec::new();
            for name in names {
                all.push(remote.get(&of(&name, &format!("/pending?limit={limit}"))).await?);
            }
            Ok(json!({ "endpoints": all }))
        }
        CallbacksCommand::Dead { endpoint, limit, after } => {
            let mut path = format!("/admin/callbacks/dead?limit={limit}");
            for (name, value) in [("endpoint", endpoint), ("after", after)] {
                if let Some(value) = value {
                    path.push_str(&format!("&{name}={}", percent(value)));
                }
            }
            remote.get(&path).await
        }
        CallbacksCommand::Show { event } => remote.get(&format!("/admin/callbacks/events/{}", percent(event))).await,
        CallbacksCommand::Replay(replay) => remote.post("/admin/callbacks/replay", &wanted(replay)).await,
        CallbacksCommand::Skip { event, endpoint } => {
            let path = format!("/admin/callbacks/events/{}/skip", percent(event));
            remote.post(&path, &json!({ "endpoints": endpoint })).await
        }
        CallbacksCommand::Pause { endpoint, why } => remote.post(&of(endpoint, "/pause"), &json!({ "why": why })).await,
        CallbacksCommand::Resume { endpoint } => remote.post(&of(endpoint, "/resume"), &json!({})).await,
        CallbacksCommand::Parked { command, list } => match command {
            None => remote.get(&page(list)).await,
            Some(ParkedCommand::List(list)) => remote.get(&page(list)).await,
            Some(ParkedCommand::Allow { message }) => decide(remote, message, json!({ "verdict": "allow" })).await,
            Some(ParkedCommand::Discard { message }) => decide(remote, message, json!({ "verdict": "discard" })).await,
            Some(ParkedCommand::Reject { message, code, info }) => {
                decide(remote, message, json!({ "verdict": "reject", "code": code, "info": info })).await
            }
        },
        CallbacksCommand::Test { endpoint, command } => {
            remote.post(&of(endpoint, "/test"), &json!({ "command": command })).await
        }
    }
}

fn page(list: &ParkedList) -> String {
    let after = list.after.as_deref().map_or_else(String::new, |after| format!("&after={}", percent(after)));
    format!("/admin/parked?limit={}{after}", list.limit)
}

async fn decide(remote: &Remote, message: &ParkedMessage, mut verdict: Value) -> Result<Value, RemoteError> {
    if let Some(round) = message.round {
        verdict["round"] = json!(round);
    }
    remote.post(&format!("/admin/parked/{}", percent(&message.id)), &verdict).await
}

fn names(status: &Value) -> Vec<String> {
    let endpoints = status["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    endpoints.iter().filter_map(|endpoint| endpoint["endpoint"].as_str().map(str::to_owned)).collect()
}

fn wanted(replay: &ReplayArgs) -> Value {
    let mut body = json!({ "endpoints": replay.endpoint, "dead": replay.dead, "dry_run": replay.dry_run });
    if !replay.events.is_empty() {
        body["events"] = json!(replay.events);
    }
    for (name, moment) in [("since", &replay.since), ("until", &replay.until)] {
        // As it was written: the server's clock decides what is ten minutes ago.
        if let Some(moment) = moment {
            body[name] = json!(moment);
        }
    }
    body
}

fn shown(style: &show::Style, command: &CallbacksCommand, answer: &Value) -> String {
    match command {
        CallbacksCommand::Status { .. } => style.status(answer),
        CallbacksCommand::Pending { .. } => style.pending(answer),
        CallbacksCommand::Dead { .. } => style.dead(answer),
        CallbacksCommand::Show { .. } => style.event(answer),
        CallbacksCommand::Replay(_) => style.replayed(answer),
        CallbacksCommand::Skip { .. } => style.skipped(answer),
        CallbacksCommand::Pause { .. } => style.paused(answer),
        CallbacksCommand::Resume { .. } => style.resumed(answer),
        CallbacksCommand::Parked { .. } if answer["parked"].is_array() => style.parked(answer),
        CallbacksCommand::Parked { .. } => style.decided(answer),
        CallbacksCommand::Test { .. } => style.tested(answer),
    }
}
