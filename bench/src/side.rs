//! A server under load: the server itself, the store below it, and those who send to it.

use tokio::runtime::Runtime;

use crate::load::{Load, Plan, Tally, Until};
use crate::server::{Endpoint, Server};
use crate::store::{self, Store};
use crate::tencent::App;
use crate::{Common, Result};

/// See the module.
pub(crate) struct Side {
    // The server ends before its store does.
    pub(crate) server: Server,
    pub(crate) store: Store,
    pub(crate) load: Load,
}

/// What is sent to a server: see [`Plan`].
#[derive(Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) connections: usize,
    pub(crate) conversations: usize,
    pub(crate) text_bytes: usize,
}

/// What most commands take.
#[derive(clap::Args)]
pub(crate) struct Usual {
    /// Bytes of text in a message.
    #[arg(long, default_value_t = 250)]
    pub(crate) text_bytes: usize,
    #[command(flatten)]
    pub(crate) store: store::Choice,
}

impl Side {
    /// Starts a server with an app of its own, and connects those who send.
    pub(crate) fn start(
        runtime: &Runtime,
        common: &Common,
        store: &store::Choice,
        traffic: Traffic,
        endpoints: &[Endpoint],
    ) -> Result<Self> {
        let app = App::invent()?;
        let store = Store::start(runtime, &common.parent(), store)?;
        let server = Server::start(&Server::find(common)?, &common.parent(), &store, &app, endpoints)?;
        let Traffic { connections, conversations, text_bytes } = traffic;
        let plan = Plan { server: server.http, connections, conversations, text_bytes };
        let load = Load::prepare(runtime, &plan, &app).map_err(|e| server.explain(e))?;
        Ok(Self { server, store, load })
    }

    /// Has those who send do so. A failure comes with the end of the server's log.
    pub(crate) fn drive(&mut self, runtime: &Runtime, until: Until) -> Result<Tally> {
        self.load.drive(runtime, until).map_err(|e| self.server.explain(e))
    }
}
