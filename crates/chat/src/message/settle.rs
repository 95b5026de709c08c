//! `SettleOverdue`: what happens to messages for which there was no verdict in time, and to decisions that are old.
//!
//! Any node may run it at any time: that a message still waits is asserted by the commit that decides about it. Deadlines are
//! times of day, so a clock that jumps moves them, and nothing else.

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::park::{DECISION_KEPT, Deadline, DecidedBy, MOST_DECIDED, Parked, ParkedCount, ParkedQuery};
use super::release::release;
use crate::chat::{ASKED_AT_ONCE, Context, commit_refused};
use crate::command::{Actor, Command};
use crate::id::Timestamp;
use crate::port::{Changes, Write};
use crate::question::{Otherwise, Verdict};
use crate::refusal::{Error, Refusal};

/// Settles messages whose deadline has passed, forgets decisions that are old, and counts what is left.
#[derive(Clone, Copy, Debug)]
pub struct SettleOverdue {
    /// At most so many of either; the next run goes on.
    pub limit: usize,
    /// Only deadlines after this one: where the run before has ended ([`Settled::next`]).
    pub after: Option<Deadline>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// So many deadlines were settled.
    pub settled: usize,
    /// So many could not be settled now, and are still to be.
    pub failed: usize,
    /// So many decisions were forgotten.
    pub forgotten: usize,
    /// How many messages there are now, but for what others did meanwhile.
    pub left: ParkedCount,
    /// Where the next run is to go on, if more deadlines may have passed.
    pub next: Option<Deadline>,
}

#[async_trait]
impl Command for SettleOverdue {
    type Reply = Settled;
    const NAME: &'static str = "settle_overdue";

    async fn run(self, cx: &Context<'_>) -> Result<Settled, Error> {
        if *cx.actor != Actor::System {
            return Err(Refusal::NotPermitted.into());
        }
        let began = cx.parking().begin_count();
        let left = cx.store().count_parked().await?;
        cx.parking().counted(left, began);
        let mut done = Settled { settled: 0, failed: 0, forgotten: 0, left, next: None };
        if left != ParkedCount::default() {
            let Self { limit, after } = self;
            let now = cx.now();
            let overdue = cx.store().list_parked(ParkedQuery::Overdue { now, after, limit }).await?;
            done.next = overdue.last().filter(|_| overdue.len() == limit).map(Parked::deadline);
            settle(cx, overdue, &mut done).await?;
            done.forgotten = forget(cx, now, done.left.decided, limit).await?;
            done.left.decided = done.left.decided.saturating_sub(done.forgotten as u64);
        }
        metrics::gauge!("ringback_parked_waiting").set(done.left.waiting as f64);
        metrics::gauge!("ringback_parked_decided").set(done.left.decided as f64);
        Ok(done)
    }
}

/// Settles deadlines, [`ASKED_AT_ONCE`] at a time: other endpoints may have to be asked, and take their time.
async fn settle(cx: &Context<'_>, overdue: Vec<Parked>, done: &mut Settled) -> Result<(), Error> {
    let mut overdue = overdue.into_iter();
    let mut settling = FuturesUnordered::new();
    let mut trouble = None;
    loop {
        while settling.len() < ASKED_AT_ONCE
            && let Some(parked) = overdue.next()
        {
            settling.push(settle_one(cx, parked));
        }
        match settling.next().await {
            None => break,
            Some(Ok(parked)) => {
                done.settled += 1;
                if parked.decision.is_some() {
                    done.left.waiting = done.left.waiting.saturating_sub(1);
                    done.left.decided += 1;
                }
            }
            // Another node, or a verdict at the last moment.
            Some(Err(Error::Refused(Refusal::Decided { .. } | Refusal::NotParked(_)))) => {}
            Some(Err(error @ Error::Refused(Refusal::StoreUnavailable))) => return Err(error),
            // One that cannot be settled now keeps none of the others from it.
            Some(Err(error)) => {
                done.failed += 1;
                trouble = Some(error);
            }
        }
    }
    if let Some(error) = trouble {
        tracing::warn!(%error, deadlines = done.failed, "messages wait beyond their deadlines; it is tried again");
    }
    Ok(())
}

async fn settle_one(cx: &Context<'_>, parked: Parked) -> Result<Parked, Error> {
    let verdict = match parked.otherwise {
        Otherwise::Allow => Verdict::Allow,
        Otherwise::Reject => Verdict::Reject(unanswered(&parked)),
    };
    release(cx, parked.message.id, parked.round, verdict, DecidedBy::Deadline).await
}

fn unanswered(parked: &Parked) -> Refusal {
    let detail = format!("{} gave no verdict by its deadline", parked.endpoint);
    Refusal::Rejected { code: None, info: "nobody has reviewed the message in time".to_owned(), detail }
}

/// Forgets decisions of long ago, and the oldest of those that are too many.
async fn forget(cx: &Context<'_>, now: Timestamp, decided: u64, limit: usize) -> Result<usize, Error> {
    let up_to = now.earlier(DECISION_KEPT);
    let mut old = cx.store().list_parked(ParkedQuery::Decided { up_to, limit }).await?;
    let too_many = usize::try_from(decided.saturating_sub(MOST_DECIDED)).unwrap_or(usize::MAX).min(limit);
    if old.len() < too_many {
        let any_time = Timestamp::from_millis(i64::MAX);
        old = cx.store().list_parked(ParkedQuery::Decided { up_to: any_time, limit: too_many }).await?;
    }
    let count = old.len();
    let forget = |parked: Parked| Write::ForgetParked(parked.message.conversation, parked.message.id);
    let changes = Changes { assertions: Vec::new(), writes: old.into_iter().map(forget).collect() };
    if count > 0 {
        // Not `cx.commit`: nothing is told of it, however full an endpoint is.
        cx.store().commit(changes).await.map_err(commit_refused)?;
    }
    Ok(count)
}
