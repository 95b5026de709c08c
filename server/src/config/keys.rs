//! Every key of the configuration: how it is written in the environment, and what a right value is.
//!
//! One table, because three readers need the same facts: the environment layer (is this text a list?),
//! the errors (what would be right?), and the tests (does the printed page name every key?).

/// How the text of an environment variable becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Taken as it stands, even if it looks like a number: secrets may.
    Text,
    /// The same, and never shown.
    Secret,
    /// One secret, or `a,b`, or a TOML list of them.
    Secrets,
    /// A TOML table of secrets by name: `{ X-Key = "…" }`.
    SecretTable,
    /// A whole number.
    Number,
    /// `a,b` or a TOML list.
    List,
    /// A TOML table in one line.
    Table,
}

impl Kind {
    /// Whether what is found there may not be shown.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Secrets | Self::SecretTable)
    }
}

/// One key, and what to tell someone whose value for it is wrong.
#[derive(Debug)]
pub(crate) struct Key {
    /// Section and key; those of an endpoint are under `endpoint`.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    /// Completes the sentence "right would be …".
    pub(crate) right: &'static str,
}

const fn key(path: &'static str, kind: Kind, right: &'static str) -> Key {
    Key { path, kind, right }
}

const ADDRESS: &str = "an address and a port, such as \"127.0.0.1:10002\" (port 0: the system chooses)";

const CRITERIA: &str = "a table of lists: conversations, groups, receivers, senders, group_types, content_types; such as { groups = [\"lobby\"] }";
const FAILURE: &str = "\"allow\" or \"reject\"";

const COMMANDS: &str = "the settings of a before-callback that it subscribes to, such as { \"C2C.CallbackBeforeSendMsg\" = { timeout = \"5s\" } }";

/// What a command of an endpoint may have of its own; each means what the endpoint's key of that name means.
pub(crate) const OF_A_COMMAND: [&str; 6] =
    ["timeout", "on_failure", "on_timeout", "on_connection_error", "on_bad_status", "on_bad_body"];
const SECRET: &str = "\"whsec_\" and the Base64 of 24 to 64 random bytes, or \"whsk_\" and the Base64 of an Ed25519 key; \
    or a list of 1 to 4 such texts";

pub(crate) const KEYS: &[Key] = &[
    key("server.listen", Kind::Text, ADDRESS),
    key("server.gateway", Kind::Text, ADDRESS),
    key("server.data_dir", Kind::Text, "the path of a directory, such as \"ringback-data\""),
    key(
        "server.admin_token",
        Kind::Secret,
        "a random text of at least 32 letters and digits, or no such key at all: then one is generated",
    ),
    key("store.url", Kind::Secret, "\"sqlite:\" and the path of a file, or \"postgres://user:password@host/database\""),
    key("store.connections", Kind::Number, "a whole number from 1 to 1000, such as 16"),
    key("store.writers", Kind::Number, "a whole number from 1 to 1024, such as 2"),
    key("store.shards", Kind::Number, "a whole number from 1 to 1024, such as 16"),
    key("cluster.nats", Kind::Text, "to leave out the section [cluster]"),
    key("tencent.sdkappid", Kind::Number, "a whole number from 1 to 4294967295, such as 1400000000"),
    key("tencent.key", Kind::Secret, "a long random text, or no such key at all: then one is generated"),
    key("tencent.admins", Kind::List, "a list of at least one user id, such as [\"administrator\"]"),
    key("openim.secret", Kind::Secret, "a long random text, or no such key at all: then one is generated"),
    key("openim.admins", Kind::List, "a list of at least one user id, such as [\"imAdmin\"]"),
    key("policy.restricted_words", Kind::List, "a list of words, such as [\"casino\"], or []"),
    key("policy.max_message_bytes", Kind::Number, "a whole number of bytes from 1 to 1048576, such as 12288"),
    key(
        "callbacks.allow",
        Kind::List,
        "a list of addresses and networks, such as [\"10.0.0.0/8\", \"192.168.1.7\"], or []",
    ),
    key("callbacks.keep_events", Kind::Text, "a duration from \"1h\" to \"366d\", such as \"1d\""),
    key("callbacks.keep_attempts", Kind::Text, "a duration from \"1h\" to \"366d\", such as \"7d\""),
    key("callbacks.max_attempts", Kind::Number, "a whole number from 1 to 1000000, such as 10000"),
    key(
        "callbacks.proxy",
        Kind::Secret,
        "the URL of an HTTP proxy, such as \"http://user:password@proxy.example.com:3128\"",
    ),
    key("endpoint.name", Kind::Text, "1 to 64 of A–Z a–z 0–9 _ . - that no other endpoint has, such as \"app\""),
    key("endpoint.dialect", Kind::Text, "\"tencent\", \"openim\" or \"standard\""),
    key("endpoint.url", Kind::Text, "an http or https URL with a host, such as \"http://127.0.0.1:9000/callback\""),
    key("endpoint.commands", Kind::List, "a list of callback commands in the endpoint's dialect, or [\"*\"] for all"),
    key("endpoint.only", Kind::Table, CRITERIA),
    key("endpoint.except", Kind::Table, CRITERIA),
    key("endpoint.timeout", Kind::Text, "a duration from \"1ms\" to \"60s\", such as \"2s\""),
    key("endpoint.on_failure", Kind::Text, FAILURE),
    key("endpoint.on_timeout", Kind::Text, FAILURE),
    key("endpoint.on_connection_error", Kind::Text, FAILURE),
    key("endpoint.on_bad_status", Kind::Text, FAILURE),
    key("endpoint.on_bad_body", Kind::Text, FAILURE),
    key("endpoint.command", Kind::Table, COMMANDS),
    key("endpoint.acknowledge", Kind::Text, "\"status\" or \"body\""),
    key("endpoint.concurrency", Kind::Number, "a whole number from 1 to 1024, such as 64"),
    key("endpoint.order", Kind::Text, "\"ordered\" or \"unordered\""),
    key("endpoint.retry_schedule", Kind::List, "a list of 1 to 64 durations of at most 30d that begins with \"0s\""),
    key("endpoint.max_age", Kind::Text, "a duration from \"1h\" to \"366d\", such as \"7d\""),
    key("endpoint.max_dead_letters", Kind::Number, "a whole number from 1 to 10000000, such as 100000"),
    key("endpoint.when_full", Kind::Text, "\"pause\" or \"refuse\""),
    key("endpoint.rate_limit", Kind::Number, "a whole number of calls a second from 1 to 100000, or no such key"),
    key(
        "endpoint.batch",
        Kind::Number,
        "a whole number of events from 1 to 100; more than 1 in the dialect \"standard\" only",
    ),
    key("endpoint.max_body_bytes", Kind::Number, "a whole number of bytes from 1024 to 67108864"),
    key("endpoint.token", Kind::Secret, "the token that the receiver checks Sign with (dialect \"tencent\" only)"),
    key("endpoint.secret", Kind::Secrets, SECRET),
    key("endpoint.headers", Kind::SecretTable, "a table of headers that are not ours, such as { X-Api-Key = \"…\" }"),
    key("endpoint.ca_file", Kind::Text, "the path of a file with certificates in PEM (https only)"),
    key(
        "endpoint.client_cert_file",
        Kind::Text,
        "the path of a certificate in PEM, with `client_key_file` (https only)",
    ),
    key(
        "endpoint.client_key_file",
        Kind::Text,
        "the path of a private key in PEM, with `client_cert_file` (https only)",
    ),
];

/// The key at `path`, or the table that it is in, where an endpoint's place or name has been left out.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    let is_in = |key: &Key| path.strip_prefix(key.path).is_some_and(|rest| rest.starts_with('.'));
    KEYS.iter().find(|key| key.path == path || (key.kind == Kind::SecretTable && is_in(key)))
}

/// The names in a section, or the sections themselves for the empty path.
pub(crate) fn below(section: &str) -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for key in KEYS {
        let Some((of, name)) = key.path.split_once('.') else { continue };
        let shown = if section.is_empty() { of } else { name };
        if (section.is_empty() || of == section) && !names.contains(&shown) {
            names.push(shown);
        }
    }
    names
}

/// The environment variable of a key: `server.listen` is `RINGBACK_SERVER__LISTEN`.
pub(crate) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', SEPARATOR).to_uppercase())
}

/// What our environment variables begin with.
pub(crate) const PREFIX: &str = "RINGBACK_";
/// What stands for the dot of a key there: one underscore would be part of a name (`data_dir`).
pub(crate) const SEPARATOR: &str = "__";
