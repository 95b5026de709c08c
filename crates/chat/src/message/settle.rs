//! `SettleOverdue`: what happens to messages for which there was no verdict in time, and to decisions that are old.
//!
//! Any node may run it at any time: that a message still waits is asserted by the commit that decides about it. Deadlines are
//! times of day, so a clock that jumps moves them, and nothing else.

use async_trait::async_trait;

use super::park::{DECISION_KEPT, DecidedBy, Parked, ParkedCount, ParkedQuery};
use super::release::release;
use crate::chat::{Context, commit_refused};
use crate::command::{Actor, Command};
use crate::id::Timestamp;
use crate::port::{Changes, Write};
use crate::question::{Otherwise, Verdict};
use crate::refusal::{Error, Refusal};

/// Settles messages whose deadline has passed, forgets decisions that are a day old, and counts what is left.
#[derive(Clone, Copy, Debug)]
pub struct SettleOverdue {
    /// At most so many of either; the next run goes on.
    pub limit: usize,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// So many deadlines were settled.
    pub settled: usize,
    /// So many decisions were forgotten.
    pub forgotten: usize,
    /// How many messages there are now.
    pub left: ParkedCount,
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
        let before = cx.store().count_parked().await?;
        cx.parking().counted(before, began);
        if before == ParkedCount::default() {
            show(before);
            return Ok(Settled { settled: 0, forgotten: 0, left: before });
        }
        let (now, limit) = (cx.now(), self.limit);
        let mut settled = 0;
        let mut trouble = None;
        for parked in cx.store().list_parked(ParkedQuery::Overdue { now, limit }).await? {
            let (id, round) = (parked.message.id, parked.round);
            let verdict = match parked.otherwise {
                Otherwise::Allow => Verdict::Allow,
                Otherwise::Reject => Verdict::Reject(unanswered(&parked)),
            };
            match release(cx, id, round, verdict, DecidedBy::Deadline).await {
                Ok(_) => settled += 1,
                // Another node, or a verdict at the last moment.
                Err(Error::Refused(Refusal::Decided { .. } | Refusal::NotParked(_))) => {}
                Err(error @ Error::Refused(Refusal::StoreUnavailable)) => return Err(error),
                // One that cannot be settled now keeps none of the others from it. It is tried again by the next run.
                Err(error) => trouble = Some(error),
            }
        }
        let forgotten = forget(cx, now, limit).await?;
        let began = cx.parking().begin_count();
        let left = cx.store().count_parked().await?;
        cx.parking().counted(left, began);
        show(left);
        match trouble {
            Some(error) => Err(error),
            None => Ok(Settled { settled, forgotten, left }),
        }
    }
}

fn unanswered(parked: &Parked) -> Refusal {
    let detail = format!("{} gave no verdict by its deadline", parked.endpoint);
    Refusal::Rejected { code: None, info: "nobody has reviewed the message in time".to_owned(), detail }
}

/// Forgets decisions of long ago.
async fn forget(cx: &Context<'_>, now: Timestamp, limit: usize) -> Result<usize, Error> {
    let kept = i64::try_from(DECISION_KEPT.as_millis()).unwrap_or(i64::MAX);
    let up_to = Timestamp::from_millis(now.millis().saturating_sub(kept));
    let old = cx.store().list_parked(ParkedQuery::Decided { up_to, limit }).await?;
    let count = old.len();
    let forget = |parked: Parked| Write::ForgetParked(parked.message.conversation, parked.message.id);
    let changes = Changes { assertions: Vec::new(), writes: old.into_iter().map(forget).collect() };
    if count > 0 {
        // Not `cx.commit`: nothing is told of it, however full an endpoint is.
        cx.store().commit(changes).await.map_err(commit_refused)?;
    }
    Ok(count)
}

fn show(count: ParkedCount) {
    metrics::gauge!("ringback_parked_waiting").set(count.waiting as f64);
    metrics::gauge!("ringback_parked_decided").set(count.decided as f64);
}
