//! The stage on which Ringback's scenarios are played.
//!
//! Everything here goes through the public surface: the real `ringback` binary, real HTTP, its own
//! signatures. No crate of ours is linked in, so a scenario can only see what a customer can see.
//!
//! A scenario is one test in `tests/tests/<subject>.rs` and reads like a script:
//!
//! ```ignore
//! let stage = Stage::tencent().await;                                   // a server, a backend, four accounts
//! stage.backend.answers("C2C.CallbackBeforeSendMsg", json!({"ErrorCode": 1, ..}));
//! let code = stage.tencent.refused("openim/sendmsg", c2c("alice", "bob", "hi")).await;
//! assert_eq!(code, 20006);                                              // alice is refused,
//! assert_eq!(stage.tencent.history("alice", "bob").await, []);          // bob has nothing.
//! ```
//!
//! Who is who, one file each:
//! - [`server`]: the binary under test: its configuration, its life, its log.
//! - [`receiver`]: the app's backend: what it answers, what it was told and in which order.
//! - [`rogue`]: backends that misbehave below HTTP.
//! - [`tencent`], [`openim`]: the app's side of the two dialects; [`usersig`]: an independent signer.
//! - [`gateway`]: a connected client of OpenIM's.
//! - [`store`]: where it keeps its data: every scenario is played over SQLite and over PostgreSQL.
//! - [`postgres`]: a PostgreSQL server to be killed, frozen and replaced.
//! - [`disk`]: a disk that can be full.
//! - [`traffic`]: many who send while things die; [`audit`]: whether what they were promised is true;
//!   [`follower`]: whether the headers alone prove that nothing was missed.
//! - [`stage`]: the usual cast, ready to play.
//! - [`wire`]: what a body looks like: its shape, its steady part, the seed documents' samples.
//! - [`admin`]: the admin API; [`cli`]: the binary as a command; [`http`]: one plain HTTP client; [`wait`]: deadlines.
//!
//! Two rules. Nothing sleeps until something "has probably happened": wait for the thing itself, with a
//! generous deadline. And to prove that something did *not* happen, let something happen after it on the
//! same ordered path (a marker message in the same conversation), wait for that, then look.

use std::io::Write;

pub mod admin;
pub mod audit;
pub mod cli;
pub mod disk;
pub mod follower;
pub mod gateway;
pub mod http;
pub mod openim;
pub mod postgres;
pub mod receiver;
pub mod rogue;
pub mod server;
pub mod stage;
pub mod store;
pub mod tencent;
pub mod traffic;
pub mod usersig;
pub mod wait;
pub mod wire;

pub use admin::Admin;
pub use disk::{Disk, Kind};
pub use follower::Follower;
pub use gateway::Client;
pub use openim::OpenIm;
pub use postgres::Cluster;
pub use receiver::{Answer, Call, Gate, Receiver};
pub use rogue::{Manner, Rogue};
pub use server::{Endpoint, Server, Setup};
pub use stage::Stage;
pub use store::Store;
pub use tencent::{Tencent, c2c, group_text, text};
pub use usersig::UserSig;

/// Tells the person who runs the tests, past the capture of the test harness: meant to be read when all is well, too.
pub fn say(words: &str) {
    writeln!(std::io::stderr().lock(), "{words}").expect("standard error");
}
