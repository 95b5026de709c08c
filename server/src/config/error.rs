//! What is wrong with a configuration, in words that lead to a right one.

use std::fmt;

use figment::error::{Actual, Kind as FigmentKind};
use figment::value::Value;

use super::keys;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The key, as a person would look for it: `server.listen`, `endpoint[app].url`.
    pub(crate) key: String,
    /// Where the value came from, if it came from somewhere.
    pub(crate) from: Option<String>,
    /// What was found, and what would be right.
    pub(crate) words: String,
}

/// Why the server cannot be configured; every problem that could be found at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct ConfigError {
    pub(crate) problems: Vec<Problem>,
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used")?;
        for problem in &self.problems {
            write!(f, "\n  {}", problem.key)?;
            if let Some(from) = &problem.from {
                write!(f, " ({from})")?;
            }
            write!(f, ": {}", problem.words)?;
        }
        f.write_str("\n`ringback config` prints every key with its default.")
    }
}

impl Problem {
    /// A value that was found wanting, with the words for a right one from the table.
    pub(crate) fn wrong(key: impl Into<String>, found: impl fmt::Display) -> Self {
        let key = key.into();
        let words = match keys::find(&without_place(&key)) {
            Some(known) => format!("{found}; right would be {}", known.right),
            None => found.to_string(),
        };
        Self { key, from: None, words }
    }

    /// A name that no key has.
    pub(crate) fn unknown(key: impl Into<String>) -> Self {
        let key = key.into();
        let path = without_place(&key);
        let section = path.rsplit_once('.').map_or("", |(section, _)| section);
        if key.contains(BEFORE_COMMAND) {
            let known = keys::OF_A_COMMAND.join(", ");
            return Self {
                key,
                from: None,
                words: format!("there is no such key; a command of an endpoint has {known}"),
            };
        }
        let known = keys::below(section).join(", ");
        let words = match (section, known.is_empty()) {
            (_, true) => "there is no such key".to_owned(),
            ("", _) => format!("there is no such section; there are {known}"),
            _ => format!("there is no such key; [{section}] has {known}"),
        };
        Self { key, from: None, words }
    }

    pub(crate) fn from(mut self, source: Option<impl Into<String>>) -> Self {
        self.from = source.map(Into::into);
        self
    }
}

/// Translates figment's errors; `endpoints` are the configured ones, so that an index becomes a name.
pub(crate) fn translate(error: figment::Error, endpoints: &[Value]) -> ConfigError {
    let problems = error.into_iter().map(|error| problem(&error, endpoints)).collect();
    ConfigError { problems }
}

fn problem(error: &figment::Error, endpoints: &[Value]) -> Problem {
    let at = |last: Option<&str>| place(&error.path, last, endpoints);
    let key = at(None);
    let source = error.metadata.as_ref().map(|metadata| source(&metadata.name, &key));
    let problem = match &error.kind {
        FigmentKind::UnknownField(name, _) => Problem::unknown(at(last_unless_there(&error.path, name))),
        // A missing key came from nowhere, so no source is named.
        FigmentKind::MissingField(name) => {
            return Problem::wrong(at(last_unless_there(&error.path, name)), "is missing");
        }
        FigmentKind::InvalidType(found, _) | FigmentKind::InvalidValue(found, _) => {
            let found = shown(&key, found);
            Problem::wrong(key, found)
        }
        FigmentKind::UnknownVariant(found, _) => Problem::wrong(key, format!("found {found:?}")),
        other => Problem::wrong(key, other),
    };
    problem.from(source)
}

/// Where a value came from: the layer, and for the environment the variable itself.
pub(crate) fn source(layer: &str, key: &str) -> String {
    if layer == super::layers::ENVIRONMENT { format!("from {}", keys::variable(key)) } else { layer.to_owned() }
}

/// Some errors have the field's name at the end of their path already, others do not.
fn last_unless_there<'a>(path: &[String], name: &'a str) -> Option<&'a str> {
    (path.last().map(String::as_str) != Some(name)).then_some(name)
}

/// What stands before the name of a command in a key: `endpoint[app].command[C2C.CallbackBeforeSendMsg].timeout`.
const BEFORE_COMMAND: &str = "].command[";

/// `["endpoint", "0", "url"]` as `endpoint[app].url`.
fn place(path: &[String], last: Option<&str>, endpoints: &[Value]) -> String {
    let mut shown = String::new();
    for part in path.iter().map(String::as_str).chain(last) {
        match part.parse::<usize>() {
            Ok(index) if shown == "endpoint" => {
                shown = endpoint_place(index, endpoints.get(index).and_then(|value| value.find_ref("name")?.as_str()));
            }
            _ if shown.is_empty() => shown.push_str(part),
            // An item of a list: the key of the list says where to look.
            Ok(_) => {}
            // Its own name has a dot.
            Err(_) if shown.starts_with("endpoint[") && shown.ends_with("].command") => {
                shown.push_str(&format!("[{part}]"));
            }
            Err(_) => {
                shown.push('.');
                shown.push_str(part);
            }
        }
    }
    shown
}

/// An endpoint by its name, or by its place among the sections, counted from 1.
pub(crate) fn endpoint_place(index: usize, name: Option<&str>) -> String {
    match name {
        Some(name) if !name.is_empty() => format!("endpoint[{name}]"),
        _ => format!("endpoint[no. {}]", index + 1),
    }
}

/// `endpoint[app].url` as the table of keys has it: `endpoint.url`. What a command has of its own is named and meant as
/// what its endpoint has.
fn without_place(key: &str) -> String {
    if key.contains(BEFORE_COMMAND) && key.ends_with(']') {
        return "endpoint.command".to_owned();
    }
    match (key.find('['), key.rfind(']')) {
        (Some(open), Some(close)) if open < close => format!("{}{}", &key[..open], &key[close + 1..]),
        _ => key.to_owned(),
    }
}

/// What was found, unless it may be a secret.
fn shown(key: &str, found: &Actual) -> String {
    let is_secret = keys::find(&without_place(key)).is_some_and(|key| key.kind.is_secret());
    match found {
        _ if is_secret => "found something that is not a text".to_owned(),
        Actual::Str(text) => format!("found {text:?}"),
        Actual::Unsigned(number) => format!("found {number}"),
        Actual::Signed(number) => format!("found {number}"),
        Actual::Float(number) => format!("found {number}"),
        Actual::Bool(truth) => format!("found {truth}"),
        Actual::Seq => "found a list".to_owned(),
        Actual::Map => "found a table".to_owned(),
        other => format!("found {other}"),
    }
}
