//! `FindParked` and `ListParked`: the messages that wait for a verdict, for whoever gives it.

use async_trait::async_trait;

use super::park::{Parked, ParkedQuery};
use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::id::MessageId;
use crate::refusal::{Error, Refusal};

/// One message, also if it was decided within the last day.
#[derive(Clone, Copy, Debug)]
pub struct FindParked {
    /// Its id.
    pub id: MessageId,
}

/// A page of those that wait, the longest first.
#[derive(Clone, Copy, Debug)]
pub struct ListParked {
    /// Only those after this one.
    pub after: Option<MessageId>,
    /// At most so many.
    pub limit: usize,
}

#[async_trait]
impl Command for FindParked {
    type Reply = Parked;
    const NAME: &'static str = "find_parked";

    async fn run(self, cx: &Context<'_>) -> Result<Parked, Error> {
        check_rights(cx.actor)?;
        Ok(cx.store().parked(self.id).await?.ok_or(Refusal::NotParked(self.id))?)
    }
}

#[async_trait]
impl Command for ListParked {
    type Reply = Vec<Parked>;
    const NAME: &'static str = "list_parked";

    async fn run(self, cx: &Context<'_>) -> Result<Vec<Parked>, Error> {
        check_rights(cx.actor)?;
        Ok(cx.store().list_parked(ParkedQuery::Waiting { after: self.after, limit: self.limit }).await?)
    }
}

/// What waits is nobody's to read but the app's.
fn check_rights(actor: &Actor) -> Result<(), Refusal> {
    if matches!(actor, Actor::App(_) | Actor::System) { Ok(()) } else { Err(Refusal::NotPermitted) }
}
