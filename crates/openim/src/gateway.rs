//! The gateway: official SDKs, connected by WebSocket (`spec/openim/gateway.md`).
//!
//! # The way of a frame
//! [`accept`] reads who wants to connect ([`connect`]), and upgrades. From then on one task per connection, in
//! [`connection`], reads frames ([`frame`]), has them answered ([`requests`]) one after the other, and writes the answers
//! and what the connection is given meanwhile ([`push`]).
//!
//! # How to add a request
//! Its messages go to `proto.rs`, its number and its function to [`requests`].

mod connect;
mod connection;
mod frame;
mod gob;
mod handshake;
mod push;
mod requests;

pub(crate) use handshake::accept;
