//! Endpoints of the app's backends, as far as the heart cares: one can be paused, and that is an event.

use async_trait::async_trait;

use crate::chat::{Context, commit_refused};
use crate::command::{Actor, Command};
use crate::event::{EndpointPause, Event};
use crate::port::{Changes, Write};
use crate::refusal::{Error, Refusal};

/// Puts into the log that an endpoint was paused, so that whoever watches over endpoints is told.
#[derive(Clone, Debug)]
pub struct AnnouncePause {
    /// Which endpoint.
    pub endpoint: String,
    /// A stable name of the reason.
    pub reason: String,
    /// The reason in words.
    pub detail: String,
}

#[async_trait]
impl Command for AnnouncePause {
    type Reply = ();
    const NAME: &'static str = "announce_pause";

    async fn run(self, cx: &Context<'_>) -> Result<(), Error> {
        // Nobody else knows.
        if *cx.actor != Actor::System {
            return Err(Refusal::NotPermitted.into());
        }
        let Self { endpoint, reason, detail } = self;
        let time = cx.now();
        let event = Event::EndpointPaused(EndpointPause { id: cx.event_id(), endpoint, time, reason, detail });
        let changes = Changes { assertions: Vec::new(), writes: vec![Write::Append(Box::new(event))] };
        // Not `cx.commit`: an endpoint that is full must not keep this from being said.
        cx.store().commit(changes).await.map_err(commit_refused)?;
        Ok(())
    }
}
