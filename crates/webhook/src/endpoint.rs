//! Endpoints: where an app's backend listens, and how it wants to be called.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chat::event::Event;
use chat::question::Question;

use crate::asking::{Asking, CommandSettings, OnFailures};
use crate::breaker;
use crate::codec::Codec;
use crate::deliver::settings::TellingSettings;
use crate::filter::Filter;
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
    /// Which of that.
    pub filter: Filter,
    /// How long one call may take, from connecting to the last byte of the answer.
    pub timeout: Duration,
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
    /// Nothing new is accepted while it is: see [`WhenFull::Refuse`](crate::deliver::settings::WhenFull).
    pub(crate) is_full: AtomicBool,
    pub(crate) asking: Arc<Asking>,
}

/// What an endpoint subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commands {
    /// Everything that its dialect has.
    All,
    /// Only these.
    Only(BTreeSet<String>),
}

impl Commands {
    /// As they are written: `*` among them is everything.
    pub fn of(written: &[String]) -> Self {
        match written.iter().any(|command| command == "*") {
            true => Self::All,
            false => Self::Only(written.iter().cloned().collect()),
        }
    }
}

/// What happens to a command when an endpoint could not be asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on.
    Allow,
    /// It is refused.
    Reject,
}

/// A command that an endpoint's settings cannot name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrongCommand {
    /// Its dialect does not have it.
    Unknown(String),
    /// Nothing is asked by it, so there is no answer to wait for.
    NotAsked(String),
}

/// How an endpoint is described by its operator.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// See [`Endpoint::name`].
    pub name: String,
    /// See [`Endpoint::commands`].
    pub commands: Commands,
    /// See [`Endpoint::filter`].
    pub filter: Filter,
    /// See [`Endpoint::timeout`].
    pub timeout: Duration,
    /// What happens to a command when asking fails, unless one of the next two says otherwise.
    pub on_failure: OnFailure,
    /// See [`Endpoint::telling`].
    pub telling: TellingSettings,
    /// ... by kind of failure,
    pub on_failures: OnFailures,
    /// ... and for single commands, all of which are questions.
    pub by_command: BTreeMap<String, CommandSettings>,
    /// See [`Endpoint::concurrency`].
    pub concurrency: usize,
    /// See [`Endpoint::secret`].
    pub secret: Option<SigningSecrets>,
    /// See [`Endpoint::headers`].
    pub headers: CustomHeaders,
}

impl Endpoint {
    /// Puts an endpoint together. Fails with the first command that its dialect does not have, or that is not a question
    /// and has settings of one.
    pub fn new(
        settings: EndpointSettings,
        codec: Arc<dyn Codec>,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, WrongCommand> {
        if let Commands::Only(commands) = &settings.commands
            && let Some(unknown) = commands.iter().find(|command| !codec.knows(command))
        {
            return Err(WrongCommand::Unknown(unknown.clone()));
        }
        for command in settings.by_command.keys() {
            if !codec.knows(command) {
                return Err(WrongCommand::Unknown(command.clone()));
            }
            if !codec.is_question(command) {
                return Err(WrongCommand::NotAsked(command.clone()));
            }
        }
        let asking = Arc::new(Asking::new(&settings));
        Ok(Self {
            name: settings.name,
            codec,
            commands: settings.commands,
            filter: settings.filter,
            timeout: settings.timeout,
            telling: settings.telling,
            is_full: AtomicBool::new(false),
            concurrency: settings.concurrency,
            secret: settings.secret,
            headers: settings.headers,
            transport,
            asking,
        })
    }

    /// What there is to see of its breaker: whether it is asked at all.
    pub fn breaker(&self) -> breaker::View {
        self.asking.view()
    }

    /// Whether nothing new is to be accepted from anybody, because it can take no more and is configured so.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// The commands by which it wants to be asked this.
    pub(crate) fn asks<'a>(&'a self, question: &Question) -> impl Iterator<Item = &'static str> + use<'a> {
        let commands = match self.filter.wants_question(question, &*self.codec) {
            true => self.codec.asks(question),
            false => &[],
        };
        commands.iter().copied().filter(|command| self.subscribes_to(command))
    }

    /// The command by which it wants to be told of this.
    pub(crate) fn tells(&self, event: &Event) -> Option<&'static str> {
        let command = self.codec.tells(event).filter(|command| self.subscribes_to(command))?;
        self.filter.wants(event, &*self.codec).then_some(command)
    }

    pub(crate) fn subscribes_to(&self, command: &str) -> bool {
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
