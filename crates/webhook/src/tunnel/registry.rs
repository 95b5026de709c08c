//! The tunnels of a server: each is an endpoint while its client listens.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chat::Fault;
use chat::port::{Clock, Log};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::forget::Forgetful;
use super::wire::Line;
use super::{BEAT_EVERY, LONGEST_SILENCE, Lines, MAX_IN_FLIGHT, Tunnel, TunnelStatus};
use crate::asking::OnFailures;
use crate::codec::Codec;
use crate::deliver::schedule::Schedule;
use crate::deliver::settings::TellingSettings;
use crate::deliver::{self, Deliverer, Parts};
use crate::endpoint::{Commands, Endpoint, EndpointSettings, OnFailure, WrongCommand};
use crate::filter::Filter;
use crate::headers::CustomHeaders;
use crate::roster::Roster;

/// So many clients at once: developers of one team. Each reads the log on its own, which costs about as much as one more
/// configured endpoint.
pub const MAX_TUNNELS: usize = 16;

/// How long one call may take: as long as that of an endpoint whose operator says nothing about it.
const DEADLINE: Duration = Duration::from_secs(2);

/// The waits before each attempt to tell of an event that is refused, in seconds: long enough to restart a backend, short
/// enough that its conversation goes on while somebody is looking.
const RETRIES: [u64; 4] = [0, 1, 5, 15];

/// Opens tunnels, and has each told and asked until it is closed.
pub struct Tunnels {
    roster: Arc<Roster>,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    state: Mutex<State>,
    tasks: TaskTracker,
}

struct State {
    /// Names that no tunnel has now. They are used again, because metrics keep the name of every endpoint for ever.
    free: Vec<String>,
    open: HashMap<String, Arc<Tunnel>>,
}

/// Why there is no tunnel.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotOpened {
    /// There are as many as there may be.
    #[error("{MAX_TUNNELS} clients listen already, which is the most; end one of them first")]
    Full,
    /// The dialect has no such command.
    #[error("the dialect has no command {0:?}; see its documents for the names, or leave it out to get all")]
    UnknownCommand(String),
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
    /// The log could not be read.
    #[error("the log cannot be read now: {0}")]
    Unread(Fault),
}

impl Tunnels {
    /// None yet. Those that come are asked by way of the `roster`, told from the `log`, and closed at `stop`.
    pub fn new(roster: Arc<Roster>, log: Arc<dyn Log>, clock: Arc<dyn Clock>, stop: CancellationToken) -> Arc<Self> {
        let name = |_| format!("listen-{:08x}", clock.random() as u32);
        let free = (0..MAX_TUNNELS).map(name).collect();
        let state = Mutex::new(State { free, open: HashMap::new() });
        Arc::new(Self { roster, log, clock, stop, state, tasks: TaskTracker::new() })
    }

    /// Opens a tunnel for a client that speaks this dialect, and wants these commands.
    pub async fn open(self: &Arc<Self>, codec: Arc<dyn Codec>, commands: Commands) -> Result<Lines, NotOpened> {
        if self.stop.is_cancelled() {
            return Err(NotOpened::Stopping);
        }
        let (slot, lines) = self.take_slot()?;
        let tunnel = slot.tunnel.clone();
        let retries = Schedule::new(RETRIES.map(Duration::from_secs).to_vec());
        let telling = TellingSettings { schedule: retries.unwrap_or_default(), ..TellingSettings::default() };
        let settings = EndpointSettings {
            name: tunnel.name().to_owned(),
            commands,
            filter: Filter::default(),
            timeout: DEADLINE,
            // A laptop that sleeps must not keep anybody from chatting.
            on_failure: OnFailure::Allow,
            telling,
            on_failures: OnFailures::default(),
            by_command: BTreeMap::new(),
            // As many questions, and as many tellings.
            concurrency: MAX_IN_FLIGHT / 2,
            secret: None,
            headers: CustomHeaders::default(),
        };
        let endpoint = Endpoint::new(settings, codec, tunnel.clone()).map_err(|wrong| match wrong {
            WrongCommand::Unknown(command) | WrongCommand::NotAsked(command) => NotOpened::UnknownCommand(command),
        })?;
        let endpoint = Arc::new(endpoint);
        endpoint.asking.show();
        let (log, clock) = (self.log.clone(), self.clock.clone());
        let parts = Parts { log, ledger: Arc::new(Forgetful), clock, announcer: Arc::new(Forgetful) };
        let opened = Deliverer::open(endpoint.clone(), self.log.shards(), parts).await;
        let (deliverer, _) = opened.map_err(NotOpened::Unread)?;
        let opened = Line::Opened {
            id: tunnel.id().to_owned(),
            name: tunnel.name().to_owned(),
            beat: millis(BEAT_EVERY),
            deadline: millis(DEADLINE),
        };
        // It is empty, and has places for more than one.
        let _ = tunnel.lines.try_send(opened);
        self.roster.add(endpoint.clone());
        self.tasks.spawn(keep(self.clone(), slot, endpoint, deliverer));
        Ok(lines)
    }

    /// The open ones, by name.
    pub fn list(&self) -> Vec<TunnelStatus> {
        let mut all: Vec<_> = self.state().open.values().map(|tunnel| tunnel.status()).collect();
        all.sort_unstable_by(|one, other| one.tunnel.cmp(&other.tunnel));
        all
    }

    /// The open tunnel of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Tunnel>> {
        self.state().open.get(id).cloned()
    }

    /// Waits for the end of all, after `stop`.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn take_slot(self: &Arc<Self>) -> Result<(Slot, Lines), NotOpened> {
        let id = format!("{:032x}", self.clock.random());
        let mut state = self.state();
        let name = state.free.pop().ok_or(NotOpened::Full)?;
        let (tunnel, lines) = Tunnel::new(id.clone(), name);
        state.open.insert(id, tunnel.clone());
        metrics::gauge!("ringback_tunnels").set(state.open.len() as f64);
        drop(state);
        Ok((Slot { tunnels: self.clone(), tunnel }, lines))
    }

    /// A panic while it was held left nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tunnel's place among the tunnels; free again when this is dropped.
struct Slot {
    tunnels: Arc<Tunnels>,
    tunnel: Arc<Tunnel>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.tunnels.state();
        state.open.remove(self.tunnel.id());
        state.free.push(self.tunnel.name().to_owned());
        metrics::gauge!("ringback_tunnels").set(state.open.len() as f64);
    }
}

/// Tells the client, until the tunnel is closed, or closes it.
async fn keep(tunnels: Arc<Tunnels>, slot: Slot, endpoint: Arc<Endpoint>, deliverer: Deliverer) {
    let tunnel = &slot.tunnel;
    tracing::info!(endpoint = tunnel.name(), "a client listens");
    let stop = CancellationToken::new();
    let mut telling = JoinSet::new();
    telling.spawn(deliverer.run(stop.clone()));
    let mut beats = tokio::time::interval(BEAT_EVERY);
    loop {
        tokio::select! {
            biased;
            () = tunnel.closed.cancelled() => break,
            () = tunnels.stop.cancelled() => tunnel.close("the server is stopping"),
            // It ends only when it is told to, or by a panic, which was said already.
            Some(_) = telling.join_next() => tunnel.close("the server cannot tell it any more; its log says why"),
            _ = beats.tick() => {
                if tunnel.silence() > LONGEST_SILENCE {
                    tunnel.close("nothing was heard of its client");
                }
                // A client that does not read needs no beat.
                let _ = tunnel.lines.try_send(Line::Beat);
            }
        }
    }
    // First, so that nobody is asked in vain.
    tunnels.roster.remove(&endpoint);
    stop.cancel();
    // It has no call in flight any more.
    let _ = telling.join_next().await;
    // Its name is shown until another tunnel has it, and nothing is wrong with it.
    endpoint.asking.hide();
    deliver::hide(tunnel.name());
    tracing::info!(endpoint = tunnel.name(), why = tunnel.why(), "a client listens no more");
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnels").field("open", &self.state().open.len()).finish_non_exhaustive()
    }
}
