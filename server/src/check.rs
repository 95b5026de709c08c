//! `ringback check`: says in words why an endpoint would get nothing or fail.
//!
//! Facts are gathered ([`gather`]) and then judged ([`rules`]): the rules know no network, and are tried in a table.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::json;

use self::facts::{ServerSeen, Standing};
use self::rules::{Finding, Level};
use crate::cli::CheckArgs;
use crate::clock::SystemClock;
use crate::config::{Config, Sources};
use crate::failure::Failure;
use crate::log::has_colours;
use crate::outgoing::Outgoing;
use crate::remote::Remote;
use crate::terminal::{Tone, paint, printable};

mod facts;
mod gather;
mod rules;

/// Checks what was asked for, and prints what was found. Fails if anything is wrong.
pub(crate) async fn run(args: CheckArgs) -> Result<(), Failure> {
    let config = Config::load(&Sources::of_process(args.place.config, args.place.data_dir))?;
    let endpoints: Vec<_> = match &args.endpoint {
        None => config.endpoints.iter().collect(),
        Some(name) => match config.endpoints.iter().find(|endpoint| endpoint.name == *name) {
            Some(endpoint) => vec![endpoint],
            None => return Err(unknown(name, &config)),
        },
    };
    let outgoing = Outgoing::new(&config, Arc::new(SystemClock))?;
    let (seen, statuses) = gather::server(Remote::new(args.server.as_ref(), &config)).await;
    let mut findings = rules::judge_all(config.endpoints.len(), &seen);
    for endpoint in endpoints {
        let mut facts = gather::endpoint(&config, &outgoing, endpoint, args.call).await?;
        let status = statuses.iter().find(|status| status.endpoint == endpoint.name).cloned();
        facts.standing = match (status, &seen) {
            (Some(status), _) => Standing::Known(Box::new(status)),
            (None, ServerSeen::Runs { .. }) => Standing::Missing,
            (None, _) => Standing::Unknown,
        };
        findings.extend(rules::judge(&facts));
    }
    let text = if args.json {
        json!({ "findings": findings }).to_string()
    } else {
        findings.iter().map(|finding| shown(finding, has_colours(&std::io::stdout()))).collect()
    };
    crate::print_line(text.trim_end())?;
    match findings.iter().filter(|finding| finding.level == Level::Error).count() {
        0 => Ok(()),
        1 => Err(Failure::work("one thing is wrong")),
        many => Err(Failure::work(format!("{many} things are wrong"))),
    }
}

fn unknown(name: &str, config: &Config) -> Failure {
    let names: Vec<_> = config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    Failure::usage(match names.is_empty() {
        true => format!("there is no endpoint {name:?}: none is configured"),
        false => format!("there is no endpoint {name:?}; right would be one of {}", names.join(", ")),
    })
}

/// One line of each finding, ended.
fn shown(finding: &Finding, colours: bool) -> String {
    let (word, tone) = match finding.level {
        Level::Ok => ("ok   ", Tone::Good),
        Level::Warn => ("warn ", Tone::Warning),
        Level::Error => ("error", Tone::Bad),
    };
    let mut line = match &finding.endpoint {
        Some(endpoint) => format!("{endpoint}: {}", finding.what),
        None => finding.what.clone(),
    };
    if let Some(right) = &finding.right {
        let _ = write!(line, "; right would be {right}");
    }
    format!("{}  {}\n", paint(colours, tone, word), printable(&line))
}
