//! Gathers the facts: what is configured, how far a connection comes, what samples are answered, what the server says.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chat::id::{EventId, Timestamp};
use chat::port::Clock;
use http_body_util::Full;
use hyper::{Request, Uri};
use tokio::time::Instant;
use webhook::Client;
use webhook::codec::Codec;
use webhook::endpoint::Commands;
use webhook::operator::{sample, test};
use webhook::transport::{Answer, CallFailure, Transport};

use super::facts::{Called, Command, Facts, Reached, ServerSeen, Standing, Status};
use crate::app;
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::outgoing::Outgoing;
use crate::remote::{Remote, RemoteError};

/// The facts about one endpoint, but for its standing.
pub(super) async fn endpoint(
    config: &Config,
    outgoing: &Outgoing,
    endpoint: &config::Endpoint,
    is_called: bool,
) -> Result<Facts, Failure> {
    let client = outgoing.client(endpoint)?;
    let codec = app::codec(config, endpoint.dialect, &endpoint.url, endpoint.token.as_ref());
    let watching = Arc::new(Watching { client: client.clone(), date: Mutex::default() });
    // Also the look at its commands that `serve` has.
    let built = app::endpoint_over(config, endpoint, watching.clone())?;
    let (commands, wants_all) = commands(&*codec, endpoint);
    let reached = reach(&client, endpoint).await;
    let mut calls = Vec::new();
    if is_called && matches!(reached, Reached::Yes(_)) {
        // One that asks and one that tells say as much as all of them.
        let of = |is_question| move |command: &&Command| command.is_produced && command.is_question == is_question;
        for command in [commands.iter().find(of(true)), commands.iter().find(of(false))].into_iter().flatten() {
            let tested = test(&built, &SystemClock, &command.name).await.map_err(Failure::work)?;
            calls.push(Called { tested, date: watching.take_date(), now: SystemClock.now() });
        }
    }
    Ok(Facts {
        name: endpoint.name.clone(),
        url: endpoint.url.split('?').next().unwrap_or_default().to_owned(),
        timeout: endpoint.timeout,
        max_age: endpoint.telling.max_age,
        is_signed: endpoint.secret.is_some() || endpoint.token.is_some(),
        commands,
        wants_all,
        filter: endpoint.filter.clone(),
        has_proxy: config.callbacks.proxy.is_some(),
        reached,
        calls,
        standing: Standing::Unknown,
    })
}

/// What an endpoint subscribes to, and whether that is everything.
fn commands(codec: &dyn Codec, endpoint: &config::Endpoint) -> (Vec<Command>, bool) {
    let wanted = Commands::of(&endpoint.commands);
    let (names, wants_all): (Vec<&str>, _) = match &wanted {
        Commands::All => (codec.commands(), true),
        Commands::Only(names) => (names.iter().map(String::as_str).collect(), false),
    };
    let now = SystemClock.now();
    let id = EventId::new(now, SystemClock.random());
    let command = |name: &str| Command {
        name: name.to_owned(),
        is_question: codec.is_question(name),
        is_produced: sample(codec, name, id, now).is_some(),
        is_of_groups: is_of_groups(endpoint.dialect, name),
    };
    (names.into_iter().map(command).collect(), wants_all)
}

/// What the names of the dialects say.
fn is_of_groups(dialect: config::Dialect, command: &str) -> Option<bool> {
    match dialect {
        config::Dialect::Tencent if command.starts_with("Group.") => Some(true),
        config::Dialect::Tencent => Some(false),
        config::Dialect::OpenIm if command.contains("Group") => Some(true),
        config::Dialect::OpenIm if command.contains("Single") => Some(false),
        config::Dialect::OpenIm | config::Dialect::Standard => None,
    }
}

async fn reach(client: &Client, endpoint: &config::Endpoint) -> Reached {
    // The configuration was checked: it is a URL.
    let url: Uri = endpoint.url.parse().unwrap_or_default();
    let started = Instant::now();
    match tokio::time::timeout(endpoint.timeout, client.reach(&url)).await {
        Ok(Ok(())) => Reached::Yes(started.elapsed()),
        Ok(Err(not_reached)) => Reached::No(not_reached),
        Err(_) => Reached::TooLate,
    }
}

/// Asks the running server how its endpoints stand.
pub(super) async fn server(remote: Result<Remote, Failure>) -> (ServerSeen, Vec<Status>) {
    let remote = match remote {
        Ok(remote) => remote,
        Err(failure) => return (ServerSeen::Away(failure.to_string()), Vec::new()),
    };
    let answer = match remote.get("/admin/callbacks").await {
        Ok(answer) => answer,
        Err(error @ RemoteError::Unreachable(_)) => return (ServerSeen::Away(error.to_string()), Vec::new()),
        Err(error) => return (ServerSeen::Refuses(error.to_string()), Vec::new()),
    };
    let time = serde_json::from_value(answer["time"].clone()).ok();
    match serde_json::from_value(answer["endpoints"].clone()) {
        Ok(endpoints) => (ServerSeen::Runs { time, now: SystemClock.now() }, endpoints),
        Err(_) => {
            let words = "its answer is not understood; is it as new as this command?".to_owned();
            (ServerSeen::Refuses(words), Vec::new())
        }
    }
}

/// Makes an endpoint's calls, and keeps what its answer's head says of the time.
struct Watching {
    client: Arc<Client>,
    date: Mutex<Option<Timestamp>>,
}

impl Watching {
    fn take_date(&self) -> Option<Timestamp> {
        self.date.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl Transport for Watching {
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, CallFailure> {
        let answer = self.client.exchange(request).await?;
        *self.date.lock().unwrap_or_else(PoisonError::into_inner) = answer.date;
        Ok(answer)
    }
}
