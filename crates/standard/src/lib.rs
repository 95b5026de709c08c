//! The standard dialect: callbacks in plain JSON, for backends that come from neither vendor.
//!
//! A dialect without a REST API: it words callbacks only. What it looks like is in `docs/STANDARD.md`, and exactly in
//! `docs/schemas/standard`. The envelope is what the Standard Webhooks specification recommends
//! (<https://www.standardwebhooks.com>, "Payload structure"); what is in it is in the core's own words, with fields of a
//! vendor's dialect as they came.
//!
//! The types in here are the wire's, not the core's: the core's serialised form is how things are stored, and may change.
//!
//! # How to add an event or a question
//! 1. Give it a name in `commands.rs`, and its `data` a struct in `event.rs` or `question.rs`.
//! 2. Say in `codec.rs` when it is told or asked (the compiler shows where), and in `answer.rs` what may be answered.
//! 3. List it in `schema.rs` with an example, write the files anew (`RINGBACK_UPDATE_SCHEMAS=1 cargo test -p standard`),
//!    and describe it in `docs/STANDARD.md`.

mod answer;
mod batch;
mod codec;
mod commands;
mod edit;
mod element;
mod event;
mod group;
mod message;
mod payload;
mod question;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod schema;

pub use answer::read_late_verdict;
pub use codec::StandardCodec;
pub use message::shown;
