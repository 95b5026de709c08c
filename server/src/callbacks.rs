//! `ringback callbacks`: what an operator asks a running server, and has it do, about the calls that it makes.

use serde_json::{Value, json};

use self::client::{Client, percent};
use crate::cli::{CallbacksArgs, CallbacksCommand, ParkedCommand, ParkedList, ReplayArgs};
use crate::clock::SystemClock;
use crate::config::{Config, Sources};
use crate::failure::Failure;
use crate::log::has_colours;

mod client;
mod show;
mod table;

/// Carries out one command.
pub(crate) async fn run(args: CallbacksArgs) -> Result<(), Failure> {
    let CallbacksArgs { command, server, json, place } = args;
    let config = Config::load(&Sources::of_process(place.config, place.data_dir))?;
    let client = Client::of(&config, server.as_deref())?;
    let answer = ask(&client, &command).await?;
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

async fn ask(client: &Client, command: &CallbacksCommand) -> Result<Value, Failure> {
    let of = |endpoint: &str, rest: &str| format!("/callbacks/endpoints/{}{rest}", percent(endpoint));
    match command {
        CallbacksCommand::Status { endpoint: None } => client.get("/callbacks").await,
        CallbacksCommand::Status { endpoint: Some(endpoint) } => client.get(&of(endpoint, "")).await,
        CallbacksCommand::Pending { endpoint, limit } => {
            let names = match endpoint {
                Some(name) => vec![name.clone()],
                None => names(&client.get("/callbacks").await?),
            };
            let mut all = Vec::new();
            for name in names {
                all.push(client.get(&of(&name, &format!("/pending?limit={limit}"))).await?);
            }
            Ok(json!({ "endpoints": all }))
        }
        CallbacksCommand::Dead { endpoint, limit, after } => {
            let mut path = format!("/callbacks/dead?limit={limit}");
            for (name, value) in [("endpoint", endpoint), ("after", after)] {
                if let Some(value) = value {
                    path.push_str(&format!("&{name}={}", percent(value)));
                }
            }
            client.get(&path).await
        }
        CallbacksCommand::Show { event } => client.get(&format!("/callbacks/events/{}", percent(event))).await,
        CallbacksCommand::Replay(replay) => client.post("/callbacks/replay", &wanted(replay)).await,
        CallbacksCommand::Skip { event, endpoint } => {
            let path = format!("/callbacks/events/{}/skip", percent(event));
            client.post(&path, &json!({ "endpoints": endpoint })).await
        }
        CallbacksCommand::Pause { endpoint, why } => client.post(&of(endpoint, "/pause"), &json!({ "why": why })).await,
        CallbacksCommand::Resume { endpoint } => client.post(&of(endpoint, "/resume"), &json!({})).await,
        CallbacksCommand::Parked { command, list } => match command {
            None => client.get(&page(list)).await,
            Some(ParkedCommand::List(list)) => client.get(&page(list)).await,
            Some(ParkedCommand::Allow { id }) => decide(client, id, json!({ "verdict": "allow" })).await,
            Some(ParkedCommand::Discard { id }) => decide(client, id, json!({ "verdict": "discard" })).await,
            Some(ParkedCommand::Reject { id, code, info }) => {
                decide(client, id, json!({ "verdict": "reject", "code": code, "info": info })).await
            }
        },
        CallbacksCommand::Test { endpoint, command } => {
            client.post(&of(endpoint, "/test"), &json!({ "command": command })).await
        }
    }
}

fn page(list: &ParkedList) -> String {
    let after = list.after.as_deref().map_or_else(String::new, |after| format!("&after={}", percent(after)));
    format!("/parked?limit={}{after}", list.limit)
}

async fn decide(client: &Client, id: &str, verdict: Value) -> Result<Value, Failure> {
    client.post(&format!("/parked/{}", percent(id)), &verdict).await
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
