//! `ringback migrate`: moves everything to another database, and shows how far it is.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use store::migrate::{self, Place, Progress, Summary};
use tokio::sync::watch;

use crate::cli::MigrateArgs;
use crate::config::Secret;
use crate::failure::Failure;

mod show;

/// How often a terminal shows how far it is, ...
const ON_TERMINAL: Duration = Duration::from_millis(200);
/// ... and how often anything else gets a line.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Moves everything from `args.from` to `args.to`.
pub(crate) async fn run(args: MigrateArgs) -> Result<(), Failure> {
    let from = place("--from", &args.from, args.shards)?;
    let to = place("--to", &args.to, args.shards)?;
    let begun = Instant::now();
    let (progress, watched) = watch::channel(Progress::default());
    let shower = tokio::spawn(show_progress(watched));
    let moved = tokio::select! {
        moved = migrate::run(&from, &to, &progress) => moved.map_err(|error| {
            if error.is_refusal() { Failure::usage(error) } else { Failure::work(error) }
        }),
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::work("interrupted; run the same command again to go on where this stopped"))
        }
    };
    drop(progress);
    // It ends with the sender, and leaves the terminal's line empty.
    let _ = shower.await;
    crate::print_line(&summary(&moved?, begun.elapsed(), &args.to))
}

/// A place as it is named on the command line. What is shown of one that is wrong holds no password.
fn place(option: &str, text: &Secret, shards: u16) -> Result<Place, Failure> {
    let text = text.expose();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(Place::Postgres { url: text.to_owned(), shards });
    }
    let right = "right would be sqlite:PATH or postgres://user:password@host:port/database";
    let Some(path) = text.strip_prefix("sqlite:") else {
        let scheme = text.split_once(':').map_or("no scheme".to_owned(), |(scheme, _)| format!("{scheme:?}"));
        return Err(Failure::usage(format!("{option}: found {scheme}; {right}")));
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    // As in `store.url`.
    if path.is_empty() || path.starts_with(':') || path.contains('?') {
        return Err(Failure::usage(format!("{option}: found {text:?}; {right}")));
    }
    Ok(Place::Sqlite(PathBuf::from(path)))
}

/// Shows how far it is until the sender is gone: on a terminal in one line that is written anew, else in a line now and
/// then.
async fn show_progress(mut watched: watch::Receiver<Progress>) {
    let is_terminal = std::io::stderr().is_terminal();
    let mut pace = show::Pace::new(Instant::now());
    let mut tick = tokio::time::interval(if is_terminal { ON_TERMINAL } else { ELSEWHERE });
    // The first is at once, when there is nothing to tell.
    tick.tick().await;
    loop {
        tokio::select! {
            changed = watched.changed() => {
                if changed.is_err() {
                    break;
                }
                let progress = *watched.borrow_and_update();
                pace.note(progress, Instant::now());
            }
            _ = tick.tick() => {
                let line = pace.line(Instant::now());
                // Whoever closed standard error does not want to see it.
                let _ = match is_terminal {
                    true => write!(std::io::stderr(), "\r\x1b[K{line}"),
                    false => writeln!(std::io::stderr(), "{line}"),
                };
            }
        }
    }
    if is_terminal {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}

/// What was done, and what to do now.
fn summary(summary: &Summary, took: Duration, to: &Secret) -> String {
    let Summary { from, to: place, counts, is_resumed } = summary;
    let rows: u64 = counts.iter().map(|(_, count)| count).sum();
    let width = counts.iter().map(|(_, count)| show::number(*count).len()).max().unwrap_or(0);
    let counts = counts.iter().map(|(name, count)| format!("  {:>width$} {name}\n", show::number(*count)));
    let counts: String = counts.collect();
    let took = match is_resumed {
        true => format!("{}, going on with what was interrupted", show::duration(took)),
        false => {
            let rate = rows as f64 / took.as_secs_f64().max(0.001);
            format!("{}, {} rows/s", show::duration(took), show::number(rate as u64))
        }
    };
    let url = show::without_password(to.expose());
    format!(
        "moved {from}\n   to {place}\n{counts}verified: both sides were read again, and are the same\n\
         took {took}\n\nTo serve from there, have this in the configuration (with the password, if there is one):\n\
         [store]\nurl = \"{url}\"\n\nThe source is as it was. Serve only one of them."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Place, String> {
        place("--to", &Secret::new(text), 16).map_err(|failure| failure.to_string())
    }

    #[test]
    fn places() {
        for (text, path) in [("sqlite:a/b.db", "a/b.db"), ("sqlite:///a/b.db", "/a/b.db"), ("sqlite://b.db", "b.db")] {
            let Ok(Place::Sqlite(found)) = parsed(text) else { panic!("{text}") };
            assert_eq!(found, PathBuf::from(path));
        }
        assert!(matches!(parsed("postgres://u@h/d"), Ok(Place::Postgres { shards: 16, .. })));
        assert!(matches!(parsed("postgresql://u@h/d"), Ok(Place::Postgres { .. })));
    }

    #[test]
    fn what_is_no_place_is_refused_without_its_password() {
        for (text, found) in [
            ("mysql://u:hush@h/d", "\"mysql\""),
            ("ringback.db", "no scheme"),
            ("sqlite:", "sqlite:"),
            ("sqlite::memory:", "memory"),
        ] {
            let words = parsed(text).unwrap_err();
            assert!(words.contains(found) && words.contains("--to") && !words.contains("hush"), "{words}");
        }
    }
}
