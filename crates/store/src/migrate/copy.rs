//! Copying: each page of rows in one transaction, together with how far it got.

use std::collections::BTreeMap;

use chat::account::Account;
use chat::event::{Position, Shard};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use webhook::ledger::Cursor;

use super::digest::{self, Digests};
use super::homes::Homes;
use super::merge::{self, Page};
use super::places::Places;
use super::side::Side;
use super::told::{self, Retelling, Retold, Told};
use super::{MigrateError, Moves, PAGE_ROWS, Phase, Progress, Result};
use crate::block::BlockRow;
use crate::conversation::ConversationRow;
use crate::cursor::{BehindRow, CursorRow};
use crate::event::EventRow;
use crate::group::GroupRow;
use crate::letter::LetterRow;
use crate::member::MemberRow;
use crate::parked::ParkedRow;
use crate::pause::PauseRow;
use crate::topic::TopicRow;

/// How far the copying got.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Steps {
    /// How many rows of each kind, in the order in which the source has them.
    rows: BTreeMap<String, u64>,
    /// Up to which position of each of the source's shards.
    log: BTreeMap<u16, u64>,
    /// What endpoints have been told is said.
    cursors: bool,
}

impl Steps {
    /// As they were noted.
    pub(super) fn read(noted: &str) -> Result<Self> {
        serde_json::from_str(noted).map_err(|error| MigrateError::Failed(format!("unreadable progress: {error}")))
    }

    /// As they are noted.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// See the module.
pub(super) struct Copy<'a> {
    pub(super) source: &'a Side,
    pub(super) target: &'a Side,
    pub(super) homes: &'a Homes,
    pub(super) digests: &'a Digests,
    pub(super) steps: Steps,
    pub(super) progress: &'a watch::Sender<Progress>,
}

impl Copy<'_> {
    /// Copies what is not copied yet. Whatever a row refers to is there before it.
    pub(super) async fn run(mut self) -> Result<()> {
        digest::begin(self.progress, Phase::Tables, self.steps.rows.values().sum(), self.digests.rows());
        self.table::<Account>(|_, _| ()).await?;
        self.table::<BlockRow>(|_, _| ()).await?;
        self.table::<GroupRow>(|_, _| ()).await?;
        self.table::<TopicRow>(|_, _| ()).await?;
        self.table::<MemberRow>(|_, _| ()).await?;
        self.table::<PauseRow>(|_, _| ()).await?;
        self.table::<ParkedRow>(|_, _| ()).await?;
        let homes = self.homes;
        self.table(|index, row: &mut ConversationRow| (row.shard, row.key) = homes.home(index)).await?;
        digest::begin(self.progress, Phase::Log, self.steps.log.values().sum(), self.digests.events());
        self.log().await?;
        if !self.steps.cursors {
            digest::begin(self.progress, Phase::Cursors, 0, self.digests.events());
            self.cursors().await?;
        }
        Ok(())
    }

    /// `settle` changes what is the target's own about a row, of which it is told the number.
    async fn table<T: Moves>(&mut self, settle: impl Fn(usize, &mut T)) -> Result<()> {
        let done = self.steps.rows.get(T::NAME).copied().unwrap_or(0);
        if done == self.digests.get::<T>().count {
            return Ok(());
        }
        let mut number = 0;
        let mut pages = self.source.pages::<T>();
        while let Some(page) = pages.recv().await {
            let mut page = page?;
            let first = number;
            number += page.len() as u64;
            if number <= done {
                continue;
            }
            page.drain(..done.saturating_sub(first) as usize);
            let count = page.len() as u64;
            for (place, row) in page.iter_mut().enumerate() {
                settle((number - count) as usize + place, row);
            }
            self.target.begin().await?;
            self.target.add(page).await?;
            self.steps.rows.insert(T::NAME.to_owned(), number);
            self.commit(count).await?;
        }
        Ok(())
    }

    async fn log(&mut self) -> Result<()> {
        let after: Vec<_> = self.source.shards().all().map(|shard| Position(self.copied(shard))).collect();
        let mut heads = self.target.heads().await?;
        let mut pages = merge::read(self.source, after, true);
        while let Some(page) = pages.recv().await {
            let page: Page = page?;
            let count = page.len() as u64;
            let mut moved = Page::with_capacity(page.len());
            for (was, row) in page {
                self.steps.log.insert(was.0, row.position.0);
                let Placed { conversation, shard, position } = next_place(self.homes, &mut heads, was, &row)?;
                let (_, conversation) = self.homes.home(conversation);
                moved.push((shard, EventRow { position, conversation, ..row }));
            }
            self.target.begin().await?;
            self.target.add_events(moved).await?;
            self.commit(count).await?;
        }
        Ok(())
    }

    fn copied(&self, shard: Shard) -> u64 {
        self.steps.log.get(&shard.0).copied().unwrap_or(0)
    }

    /// Says in the target's positions what endpoints have been told.
    async fn cursors(&mut self) -> Result<()> {
        let told = told::of(self.source, |shard, key| self.homes.of_source(shard, key)).await?;
        let mut places = Places::of(self.source).await?;
        let retold = match told.everything(&self.source.heads().await?) {
            Some(is_new) if places.is_empty() => everything(&told, &is_new, &self.target.heads().await?),
            _ => self.retell(&told, &mut places).await?,
        };
        self.target.begin().await?;
        self.target.count_unread().await?;
        self.target.clear_cursors().await?;
        for endpoint in &retold {
            let cursors = self.target.shards().all().zip(&endpoint.cursors);
            let row = |(shard, cursor): (Shard, &Cursor)| CursorRow {
                endpoint: endpoint.endpoint.clone(),
                shard,
                position: cursor.position,
                started: cursor.started,
            };
            self.target.add(cursors.map(row).collect::<Vec<_>>()).await?;
        }
        if retold.iter().any(|endpoint| !endpoint.behind.is_empty()) {
            self.behind(&retold).await?;
        }
        self.letters(&places).await?;
        self.steps.cursors = true;
        self.commit(0).await
    }

    /// Goes through the log once more, in the order in which it was copied.
    async fn retell(&self, told: &Told, places: &mut Places) -> Result<Vec<Retold>> {
        let shards = self.target.shards().all().count();
        let mut retelling = Retelling::new(told, self.homes.len(), shards);
        let mut heads = vec![Position(0); shards];
        let after = vec![Position(0); self.source.shards().all().count()];
        let mut pages = merge::read(self.source, after, false);
        while let Some(page) = pages.recv().await {
            let page = page?;
            for (was, row) in &page {
                let Placed { conversation, shard, position } = next_place(self.homes, &mut heads, *was, row)?;
                retelling.event(conversation, (*was, row.position), (shard, position));
                places.event((*was, row.position), (shard, position));
            }
            self.progress.send_modify(|progress| progress.done += page.len() as u64);
        }
        Ok(retelling.end(|conversation| self.homes.home(conversation).0))
    }

    /// Writes which conversations are behind; the source knows their ids.
    async fn behind(&self, retold: &[Retold]) -> Result<()> {
        let mut rows = Vec::new();
        let mut number = 0;
        let mut pages = self.source.pages::<ConversationRow>();
        while let Some(page) = pages.recv().await {
            for conversation in page? {
                let (shard, _) = self.homes.home(number);
                for Retold { endpoint, behind, .. } in retold {
                    rows.extend(behind.get(&number).map(|behind| BehindRow {
                        endpoint: endpoint.clone(),
                        shard,
                        subject: conversation.id.clone(),
                        position: behind.told,
                        trouble: behind.trouble.map(Into::into),
                    }));
                }
                number += 1;
            }
            if rows.len() >= PAGE_ROWS {
                self.target.add(std::mem::take(&mut rows)).await?;
            }
        }
        self.target.add(rows).await
    }

    /// Writes letters, with the places that their events have now.
    async fn letters(&self, places: &Places) -> Result<()> {
        let mut pages = self.source.pages::<LetterRow>();
        while let Some(page) = pages.recv().await {
            let mut page = page?;
            for letter in &mut page {
                (letter.shard, letter.position) = places.find((letter.shard, letter.position)).ok_or_else(|| {
                    let LetterRow { endpoint, event, .. } = letter;
                    MigrateError::Failed(format!("the letter of {endpoint:?} about {event} is of no event in the log"))
                })?;
            }
            self.target.add(page).await?;
        }
        Ok(())
    }

    /// Commits a page of so many rows, together with how far this got.
    async fn commit(&self, rows: u64) -> Result<()> {
        self.target.put_progress(self.steps.to_text()).await?;
        self.target.commit().await?;
        self.progress.send_modify(|progress| progress.done += rows);
        Ok(())
    }
}

/// Where an event of the source goes.
struct Placed {
    conversation: usize,
    shard: Shard,
    position: Position,
}

/// The next place in the target for an event of this shard of the source; `heads` are the newest so far.
fn next_place(homes: &Homes, heads: &mut [Position], was: Shard, row: &EventRow) -> Result<Placed> {
    let conversation = homes.of_source(was, row.conversation).ok_or_else(|| {
        let (position, shard) = (row.position.0, was.0);
        MigrateError::Failed(format!("the event at {position} in shard {shard} of the source is of no conversation"))
    })?;
    let (shard, _) = homes.home(conversation);
    let head = &mut heads[usize::from(shard.0)];
    head.0 += 1;
    Ok(Placed { conversation, shard, position: *head })
}

/// That everybody was told of everything.
fn everything(told: &Told, is_new: &[bool], heads: &[Position]) -> Vec<Retold> {
    let retold = |(endpoint, is_new): (&str, &bool)| {
        let cursor = |head: &Position| Cursor { position: *head, started: if *is_new { *head } else { Position(0) } };
        let cursors = heads.iter().map(cursor).collect();
        Retold { endpoint: endpoint.to_owned(), cursors, behind: BTreeMap::new() }
    };
    told.endpoints().zip(is_new).map(retold).collect()
}
