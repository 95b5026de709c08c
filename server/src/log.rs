//! Log lines on standard error: for a person on a terminal, as JSON for a machine otherwise.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Which lines are shown; the syntax is `info,ringback=debug`.
const FILTER: &str = "RUST_LOG";

/// What is shown if nobody says otherwise. Migrations are told of by us, in our own words.
pub(crate) const USUAL: &str = "info,refinery_core=warn";
/// The demo shows what happens in its own way; only trouble is shown beside it.
pub(crate) const QUIET: &str = "warn";

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
#[error(
    "{FILTER}: {0}; right would be a level (error, warn, info, debug, trace) or targets with levels, such as \"info,ringback=debug\""
)]
pub(crate) struct LogError(String);

/// Starts logging for the whole process; called once, before anything that logs.
pub(crate) fn init(default: &str) -> Result<(), LogError> {
    let filter = match std::env::var(FILTER) {
        Ok(filter) if !filter.trim().is_empty() => EnvFilter::try_new(filter),
        Ok(_) | Err(std::env::VarError::NotPresent) => EnvFilter::try_new(default),
        Err(error) => return Err(LogError(error.to_string())),
    };
    let filter = filter.map_err(|error| LogError(error.to_string()))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        lines.compact().with_ansi(has_colours(&std::io::stderr())).init();
    } else {
        lines.json().flatten_event(true).init();
    }
    Ok(())
}

/// Whether a stream is to be coloured: a terminal that can, and nobody objects (<https://no-color.org>).
pub(crate) fn has_colours(stream: &impl IsTerminal) -> bool {
    let objects = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !objects && !is_dumb
}
