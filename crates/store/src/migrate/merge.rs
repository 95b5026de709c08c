//! One order of events out of the source's shards: each shard's own order is kept, and of those that are first in their
//! shards the one with the least time comes next. It depends on nothing else, so a resumed run goes on in the same order.

use std::collections::{BTreeSet, VecDeque};

use chat::event::{Position, Shard};
use tokio::sync::mpsc;

use super::side::Side;
use super::{PAGE_BYTES, PAGE_ROWS, Result};
use crate::event::EventRow;

/// Events with the shards that they are from.
pub(super) type Page = Vec<(Shard, EventRow)>;

/// At least so many bytes of a shard are read at once, however many shards there are: 64 MB for a thousand.
const LEAST_BYTES: usize = 64 << 10;

/// The events that come next in each shard.
#[derive(Debug, Default)]
pub(super) struct Fronts {
    queues: Vec<VecDeque<EventRow>>,
    /// The first of each, by time.
    first: BTreeSet<(i64, Shard)>,
}

impl Fronts {
    /// Nothing, of so many shards.
    pub(super) fn new(shards: usize) -> Self {
        Self { queues: vec![VecDeque::new(); shards], first: BTreeSet::new() }
    }

    /// What comes next in a shard of which nothing is left here.
    pub(super) fn fill(&mut self, shard: Shard, rows: Vec<EventRow>) {
        let queue = &mut self.queues[usize::from(shard.0)];
        queue.extend(rows);
        self.first.extend(queue.front().map(|row| (row.time, shard)));
    }

    /// The next event; after that, [`Self::is_drained`] may be true of its shard.
    pub(super) fn pop(&mut self) -> Option<(Shard, EventRow)> {
        let (_, shard) = self.first.pop_first()?;
        let queue = &mut self.queues[usize::from(shard.0)];
        let row = queue.pop_front()?;
        self.first.extend(queue.front().map(|row| (row.time, shard)));
        Some((shard, row))
    }

    /// Whether more has to be read of a shard.
    pub(super) fn is_drained(&self, shard: Shard) -> bool {
        self.queues[usize::from(shard.0)].is_empty()
    }
}

/// Reads the log of a side in that order, after a position in each shard. Without `data` the events are only placed.
pub(super) fn read(side: &Side, after: Vec<Position>, with_data: bool) -> mpsc::Receiver<Result<Page>> {
    let (pages, receiver) = mpsc::channel(2);
    let side = side.clone();
    tokio::spawn(async move {
        if let Err(error) = send(&side, after, with_data, &pages).await {
            // Nobody is there to hear it if that fails.
            drop(pages.send(Err(error)).await);
        }
    });
    receiver
}

async fn send(
    side: &Side,
    mut after: Vec<Position>,
    with_data: bool,
    pages: &mpsc::Sender<Result<Page>>,
) -> Result<()> {
    let count = after.len().max(1);
    let rows = (8 * PAGE_ROWS / count).clamp(16, PAGE_ROWS);
    let bytes = (PAGE_BYTES / count).max(LEAST_BYTES);
    let mut fronts = Fronts::new(after.len());
    for shard in side.shards().all() {
        fronts.fill(shard, side.events(shard, after[usize::from(shard.0)], rows, bytes, with_data).await?);
    }
    let (mut page, mut size) = (Page::new(), 0);
    while let Some((shard, row)) = fronts.pop() {
        after[usize::from(shard.0)] = row.position;
        size += row.data.len();
        page.push((shard, row));
        if page.len() >= PAGE_ROWS || size >= PAGE_BYTES {
            size = 0;
            if pages.send(Ok(std::mem::take(&mut page))).await.is_err() {
                return Ok(());
            }
        }
        if fronts.is_drained(shard) {
            fronts.fill(shard, side.events(shard, after[usize::from(shard.0)], rows, bytes, with_data).await?);
        }
    }
    if !page.is_empty() {
        drop(pages.send(Ok(page)).await);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(position: u64, time: i64) -> EventRow {
        EventRow { position: Position(position), time, ..EventRow::default() }
    }

    #[test]
    fn each_shard_keeps_its_order_and_the_least_time_comes_first() {
        let mut fronts = Fronts::new(3);
        fronts.fill(Shard(0), vec![row(1, 10), row(2, 5), row(3, 30)]);
        fronts.fill(Shard(1), vec![row(1, 10), row(2, 20)]);
        fronts.fill(Shard(2), Vec::new());
        let mut order = Vec::new();
        while let Some((shard, row)) = fronts.pop() {
            order.push((shard.0, row.position.0));
            if fronts.is_drained(shard) && shard == Shard(1) && row.position == Position(2) {
                fronts.fill(shard, vec![super::tests::row(3, 1)]);
            }
        }
        assert_eq!(order, [(0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (0, 3)]);
    }
}
