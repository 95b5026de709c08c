//! The outgoing client over real sockets: where it connects, whom it trusts, and what it says when it does neither.

#[path = "network/egress.rs"]
mod egress;
#[path = "network/peer.rs"]
mod peer;
#[path = "network/proxy.rs"]
mod proxy;
#[path = "network/tls.rs"]
mod tls;
#[path = "network/waiting.rs"]
mod waiting;
