//! The layers of a configuration, lowest first: the printed page, a file, the environment, `--data-dir`.

use std::path::{Path, PathBuf};

use figment::providers::Serialized;
use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider};
use toml::{Table, Value};

use super::error::{ConfigError, Problem};
use super::keys::{self, Kind, PREFIX, SEPARATOR};

/// The defaults: the page that `ringback config` prints. It is read and not repeated in code,
/// so that what it says is what happens.
pub(crate) const DEFAULT: &str = include_str!("../default.toml");

/// How the environment's layer is called inside; people are shown the variable instead.
pub(super) const ENVIRONMENT: &str = "environment";

/// Where a configuration is taken from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// `--config`; without it no file is read.
    pub(crate) file: Option<PathBuf>,
    /// `--data-dir`, which wins over everything.
    pub(crate) data_dir: Option<PathBuf>,
    /// Names and values of environment variables; others than ours are passed over.
    pub(crate) environment: Vec<(String, String)>,
}

impl Sources {
    /// What this process was started with.
    pub(crate) fn of_process(file: Option<PathBuf>, data_dir: Option<PathBuf>) -> Self {
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        Self { file, data_dir, environment }
    }

    /// All layers on top of each other.
    pub(super) fn stack(&self) -> Result<Figment, ConfigError> {
        let defaults = parse(DEFAULT, "the defaults")?;
        let mut file = self.file.as_deref().map(read).transpose()?.unwrap_or_default();
        let environment = environment(&self.environment, &mut file)?;
        let endpoints: Table = file.remove_entry("endpoint").into_iter().collect();
        let name = self.file.as_ref().map(|path| format!("in {}", path.display())).unwrap_or_default();
        let mut stack = Figment::from(Layer { name: "in the defaults".to_owned(), table: defaults })
            .merge(Layer { name: self.source_of_endpoints(&name), table: endpoints })
            .merge(Layer { name, table: file })
            .merge(Layer { name: ENVIRONMENT.to_owned(), table: environment });
        if let Some(data_dir) = &self.data_dir {
            let mut table = Table::new();
            let text = Value::String(data_dir.to_string_lossy().into_owned());
            put(&mut table, "server", "data_dir", text);
            stack = stack.merge(Layer { name: "from --data-dir".to_owned(), table });
        }
        Ok(stack)
    }

    /// Their list may come from the file, from variables, or from both together.
    fn source_of_endpoints(&self, file: &str) -> String {
        let prefix = keys::variable("endpoint.");
        let by_variable = self.environment.iter().any(|(name, _)| name.to_uppercase().starts_with(&prefix));
        match (file, by_variable) {
            (file, false) => file.to_owned(),
            ("", true) => format!("from {prefix}…"),
            (file, true) => format!("{file} or from {prefix}…"),
        }
    }
}

/// One layer as figment takes it.
struct Layer {
    /// Shown behind the key of a wrong value: "in ringback.toml".
    name: String,
    table: Table,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Serialized::defaults(&self.table).data()
    }
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Problem {
        key: "--config".to_owned(),
        from: Some(shown.clone()),
        words: format!("the file cannot be read: {error}; right would be the path of a TOML file"),
    })?;
    parse(&text, &shown)
}

/// The parser's own error would show the line, and with it perhaps a secret; the place must do.
fn parse(text: &str, name: &str) -> Result<Table, ConfigError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        let words = format!("this is not TOML: {}", error.message());
        Problem { key: format!("line {line}, column {column}"), from: Some(format!("in {name}")), words }.into()
    })
}

/// The environment's layer. Endpoints are completed or added in the file's list,
/// because a layer can only replace a list as a whole.
fn environment(variables: &[(String, String)], file: &mut Table) -> Result<Table, ConfigError> {
    let mut table = Table::new();
    let mut problems = Vec::new();
    for (variable, text) in variables {
        let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
        let set = match rest.split_once(SEPARATOR) {
            Some((section, rest)) if section.eq_ignore_ascii_case("endpoint") => endpoint(file, rest, text),
            Some((section, name)) => plain(&mut table, &section.to_lowercase(), &name.to_lowercase(), text),
            None => misspelt(rest),
        };
        if let Err(words) = set {
            problems.push(Problem { key: variable.clone(), from: None, words });
        }
    }
    if problems.is_empty() { Ok(table) } else { Err(ConfigError { problems }) }
}

fn plain(table: &mut Table, section: &str, name: &str, text: &str) -> Result<(), String> {
    let key = known(section, name)?;
    put(table, section, name, value(key.kind, text)?);
    Ok(())
}

/// `APP__TOKEN` sets the token of the endpoint that is called `app`, `App` or `APP`.
fn endpoint(file: &mut Table, rest: &str, text: &str) -> Result<(), String> {
    let (of, name) = rest
        .rsplit_once(SEPARATOR)
        .ok_or_else(|| format!("this names no endpoint; right would be {}", keys::variable("endpoint.<name>.url")))?;
    let key = known("endpoint", &name.to_lowercase())?;
    let value = value(key.kind, text)?;
    let list = file.entry("endpoint").or_insert_with(|| Value::Array(Vec::new()));
    // A file with something else than a list there gets its own error from the whole configuration.
    let Some(list) = list.as_array_mut() else { return Ok(()) };
    let is_meant = |item: &Value| {
        item.get("name").and_then(Value::as_str).is_some_and(|name| as_variable(name) == of.to_uppercase())
    };
    let index = list.iter().position(is_meant).unwrap_or_else(|| {
        list.push(Value::Table(Table::from_iter([("name".to_owned(), Value::String(of.to_lowercase()))])));
        list.len() - 1
    });
    if let Some(item) = list.get_mut(index).and_then(Value::as_table_mut) {
        item.insert(name.to_lowercase(), value);
    }
    Ok(())
}

/// An endpoint's name as it can stand in a variable's: `my-app` is `MY_APP`.
fn as_variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Variables without a section are not ours (Kubernetes sets RINGBACK_SERVICE_HOST for a service
/// of our name), unless one underscore is all that is missing.
fn misspelt(rest: &str) -> Result<(), String> {
    let meant = keys::KEYS.iter().find(|key| key.path.replace('.', "_").eq_ignore_ascii_case(rest));
    match meant {
        Some(key) => Err(format!("there is no such key; right would be {}", keys::variable(key.path))),
        None => Ok(()),
    }
}

fn known(section: &str, name: &str) -> Result<&'static keys::Key, String> {
    let path = format!("{section}.{name}");
    keys::find(&path).ok_or_else(|| Problem::unknown(path).words)
}

fn value(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text | Kind::Secret => Ok(Value::String(text.to_owned())),
        // What is no number stays text: the error then names the key and shows it.
        Kind::Number => Ok(text.trim().parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)),
        Kind::Table => toml_value(text).filter(Value::is_table).ok_or_else(|| {
            format!("found {text:?}; right would be a TOML table in one line, such as {{ \"a\" = {{ b = 1 }} }}")
        }),
        Kind::List if text.trim_start().starts_with('[') => toml_list(text),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        // What is not as it should be stays text: the error then names the key, and shows nothing.
        Kind::Secrets if text.trim_start().starts_with('[') => Ok(toml_value(text).unwrap_or_else(|| text.into())),
        Kind::Secrets if text.contains(',') => {
            Ok(Value::Array(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect()))
        }
        Kind::Secrets => Ok(text.into()),
        Kind::SecretTable => Ok(toml_value(text).unwrap_or_else(|| text.into())),
    }
}

fn toml_list(text: &str) -> Result<Value, String> {
    toml_value(text).ok_or_else(|| format!("found {text:?}; right would be a,b or a TOML list, such as [\"a\", \"b\"]"))
}

fn toml_value(text: &str) -> Option<Value> {
    let table: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    table.and_then(|mut table| table.remove("value"))
}

fn put(table: &mut Table, section: &str, name: &str, value: Value) {
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Some(section) = section.as_table_mut() {
        section.insert(name.to_owned(), value);
    }
}
