//! The wording of webhooks: what goes out, and how answers are read (`spec/openim/webhooks.jsonl`).

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod commands;
pub(crate) mod group;
pub(crate) mod member;
pub(crate) mod modify;
pub(crate) mod request;
#[cfg(test)]
mod schema;
pub(crate) mod update;
pub(crate) mod url;
