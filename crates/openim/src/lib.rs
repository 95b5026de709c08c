//! The OpenIM 3.8 dialect: REST routes, tokens, the wording of its webhooks, its error codes.
//!
//! An app backend that speaks to an OpenIM server changes its base URL, and nothing else. What OpenIM's own server gets
//! wrong is put right without changing the wire; `docs/QUIRKS-openim.md` lists it. Where the wire itself is odd, the
//! code says so in a line that begins with `COMPAT:`.
//!
//! # The way of a request
//! `router.rs` lists every path. `call.rs` reads the headers, the token (`auth.rs`, [`token`]) and the bounded body
//! (`fields.rs`); the route, one file in `routes/`, turns it into a command of `chat` and the reply into the answer's
//! `data`; `envelope.rs` wraps it, `error_map.rs` gives each refusal its code.
//!
//! # How to add a route
//! 1. Find it in `spec/openim/rest.jsonl`. Add `routes/<area>/<verb>.rs` with a `handle` function: read the fields, run
//!    a command, return a type that serialises to the answer's `data` (or `Empty`).
//! 2. List it in `router.rs`, as `signed` unless it works without a token.
//! 3. If a refusal gets a code here that it gets nowhere else, map it in the route with a `COMPAT:` line; else in
//!    `error_map.rs`.
//!
//! # How to add a webhook
//! Its name is already in `callback/commands.rs`. Word it in `callback/`, and say in [`codec`] which question or event
//! it belongs to.

mod auth;
mod call;
mod callback;
pub mod codec;
mod config;
mod content;
mod conversation_id;
mod cors;
mod envelope;
mod error;
mod error_map;
mod fields;
mod gateway;
mod group_info;
mod id_rules;
mod inbox;
mod mentions;
mod msg_data;
mod platform;
mod proto;
mod pull;
mod router;
mod routes;
mod sending;
pub mod token;
mod user_info;

pub use config::Config;
pub use router::OpenIm;
