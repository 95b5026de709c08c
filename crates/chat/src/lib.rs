//! The heart of Ringback: the nouns and verbs of chat, and the rules between them.
//!
//! Nothing here knows HTTP, SQL or a dialect's JSON. What the heart needs from outside it asks for through the ports in
//! [`port`]; everything that is asked of it goes through one door, [`Chat::run`].
//!
//! # The path of a message
//! A dialect decodes a request into [`message::send::SendMessage`] and calls [`Chat::run`]. The command, in
//! `message/send.rs`, reads top to bottom: facts → rules ([`policy`]) → ask ([`port::Callbacks`]) → commit
//! ([`port::Store`]) → reply. Whatever follows a commit reads the log of [`event::Event`]s; no command sends anything.
//!
//! # How to add a command
//! 1. Find its noun's folder (`group/`, `message/`, …) and add a file named by the verb.
//! 2. Write the struct in the imperative and `impl Command` for it: facts, rules, changes, commit, reply.
//! 3. If it changes state, say so in [`port::Write`]; if something must still be true at commit, in
//!    [`port::Assertion`]. The conformance suite in `store/tests` gets a case for each.
//! 4. If backends are asked before it, add a [`question::Question`]; ask with no turn held, and look at facts and rules once
//!    more before the commit.
//! 5. If it is told to backends, add an [`event::Event`]; the compiler then shows every codec that must handle it.

pub mod account;
pub mod chat;
pub mod command;
pub mod conversation;
pub mod element;
pub mod endpoint;
pub mod event;
pub mod fan_out;
pub mod group;
pub mod id;
pub mod member;
pub mod message;
pub mod online;
pub mod policy;
pub mod port;
pub mod question;
pub mod refusal;
pub mod relation;
#[cfg(feature = "samples")]
pub mod sample;
mod turns;

pub use chat::{Chat, Settings};
pub use command::{Actor, Command, Origin, Platform};
pub use refusal::{Error, Fault, Refusal};
