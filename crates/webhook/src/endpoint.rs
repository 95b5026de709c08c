//! Endpoints: where an app's backend listens, and how it wants to be called.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chat::event::Event;
use chat::question::Question;
use tokio::sync::Semaphore;

use crate::codec::Codec;
use crate::deliver::settings::TellingSettings;
use crate::headers::CustomHeaders;
use crate::sign::SigningSecrets;
use crate::transport::Transport;

/// A registered callback URL.
pub struct Endpoint {
    /// Its name: unique, and the identity of its cursors. A new name starts at the newest event.
    pub name: String,
    /// Its dialect's wording; also knows the URL.
    pub codec: Arc<dyn Codec>,
    /// What it subscribes to.
    pub commands: Commands,
    /// How long one call may take, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// What happens to a command when asking fails.
    pub on_failure: OnFailure,
    /// How it wants to be told.
    pub telling: TellingSettings,
    /// At most this many questions, and as many tellings, are in flight at once.
    pub concurrency: usize,
    /// These sign each call by Standard Webhooks.
    pub secret: Option<SigningSecrets>,
    /// Sent with each call, beside our own.
    pub headers: CustomHeaders,
    /// How calls get there.
    pub transport: Arc<dyn Transport>,
    pub(crate) asking: Semaphore,
    /// Nothing new is accepted while it is: see [`WhenFull::Refuse`](crate::deliver::settings::WhenFull).
    pub(crate) is_full: AtomicBool,
}

/// What an endpoint subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commands {
    /// Everything that its dialect has.
    All,
    /// Only these.
    Only(BTreeSet<String>),
}

/// What happens to a command when an endpoint could not be asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on.
    Allow,
    /// It is refused.
    Reject,
}

/// How an endpoint is described by its operator.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// See [`Endpoint::name`].
    pub name: String,
    /// See [`Endpoint::commands`].
    pub commands: Commands,
    /// See [`Endpoint::timeout`].
    pub timeout: Duration,
    /// See [`Endpoint::on_failure`].
    pub on_failure: OnFailure,
    /// See [`Endpoint::telling`].
    pub telling: TellingSettings,
    /// See [`Endpoint::concurrency`].
    pub concurrency: usize,
    /// See [`Endpoint::secret`].
    pub secret: Option<SigningSecrets>,
    /// See [`Endpoint::headers`].
    pub headers: CustomHeaders,
}

impl Endpoint {
    /// Puts an endpoint together. Fails with the first subscribed command that its dialect does not have.
    pub fn new(
        settings: EndpointSettings,
        codec: Arc<dyn Codec>,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, String> {
        if let Commands::Only(commands) = &settings.commands
            && let Some(unknown) = commands.iter().find(|command| !codec.knows(command))
        {
            return Err(unknown.clone());
        }
        Ok(Self {
            name: settings.name,
            codec,
            commands: settings.commands,
            timeout: settings.timeout,
            on_failure: settings.on_failure,
            telling: settings.telling,
            concurrency: settings.concurrency,
            secret: settings.secret,
            headers: settings.headers,
            transport,
            asking: Semaphore::new(settings.concurrency),
            is_full: AtomicBool::new(false),
        })
    }

    /// The commands by which it wants to be asked this.
    pub(crate) fn asks<'a>(&'a self, question: &Question) -> impl Iterator<Item = &'static str> + use<'a> {
        self.codec.asks(question).iter().copied().filter(|command| self.subscribes_to(command))
    }

    /// The command by which it wants to be told of this.
    pub(crate) fn tells(&self, event: &Event) -> Option<&'static str> {
        self.codec.tells(event).filter(|command| self.subscribes_to(command))
    }

    fn subscribes_to(&self, command: &str) -> bool {
        match &self.commands {
            Commands::All => true,
            Commands::Only(commands) => commands.contains(command),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.name).field("commands", &self.commands).finish_non_exhaustive()
    }
}
