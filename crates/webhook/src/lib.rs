//! Calling the app's backends: asking before ([`ask`]), telling after ([`deliver`]).
//!
//! This crate knows endpoints, deadlines, retries and signatures. It does not know what a dialect's callback looks like:
//! a [`codec::Codec`] of the endpoint's dialect turns questions and events into bytes, and answers into verdicts.
//!
//! # How to add a dialect
//! Implement [`codec::Codec`] in the dialect's crate, and let `server` build endpoints with it. Nothing here changes.

pub mod ask;
pub mod asking;
pub mod breaker;
pub mod client;
pub mod codec;
pub mod connect;
pub mod deliver;
pub mod egress;
pub mod endpoint;
pub mod failure;
pub mod filter;
pub mod headers;
pub mod keeper;
mod lanes;
pub mod ledger;
pub mod operator;
#[cfg(test)]
mod plain;
pub mod proxy;
pub mod request;
pub mod retry_after;
pub mod roster;
pub mod sign;
pub mod tls;
pub mod transport;
pub mod tunnel;
pub mod way;

pub use ask::Asker;
pub use client::{Client, Network};
pub use deliver::Deliverer;
pub use endpoint::Endpoint;
pub use keeper::Keeper;
pub use operator::Operator;
pub use transport::Transport;
