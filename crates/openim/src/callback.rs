//! The wording of webhooks: what goes out, and how answers are read (`spec/openim/webhooks.jsonl`).

pub(crate) mod answer;
pub(crate) mod commands;
pub(crate) mod modify;
pub(crate) mod request;
pub(crate) mod url;
