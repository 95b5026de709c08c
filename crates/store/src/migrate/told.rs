//! What endpoints have been told, and how to say it of other positions.
//!
//! A cursor says: everything up to here is told, but of the conversations that are behind, each only up to its own
//! position. So of each conversation the first events are told and the others are not. The target has the same events in
//! another order across conversations and the same order in each. There, an endpoint's cursor of a shard is the place of
//! the last event in it that was told; a conversation of which an event up to there was not told is behind, at the place of
//! its last event that was. So is one whose next event was refused already, wherever that is: how often is noted there.
//!
//! An endpoint is owed nothing of what happened before it was new. In the target that is said of the events up to the first
//! that it does not hold of: of fewer perhaps, where logs are merged, and never of more.

use std::collections::{BTreeMap, HashMap};

use chat::event::{Position, Shard};
use webhook::ledger::{Behind, Cursor, Trouble};

use super::Result;
use super::side::Side;
use crate::cursor::{BehindRow, CursorRow};

/// What every endpoint has been told. Conversations are numbers of `homes.rs`. 24 bytes for each that is behind, and twice
/// that if its next event was refused.
#[derive(Debug, Default)]
pub(super) struct Told {
    endpoints: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Default)]
struct Endpoint {
    cursors: HashMap<Shard, Cursor>,
    behind: HashMap<u32, Position>,
    trouble: HashMap<u32, Trouble>,
}

impl Told {
    /// Up to here.
    pub(super) fn up_to(&mut self, cursor: CursorRow) {
        let CursorRow { endpoint, shard, position, started } = cursor;
        self.endpoints.entry(endpoint).or_default().cursors.insert(shard, Cursor { position, started });
    }

    /// ... but of this conversation only up to here.
    pub(super) fn but(&mut self, endpoint: String, conversation: usize, behind: Behind) {
        let endpoint = self.endpoints.entry(endpoint).or_default();
        endpoint.behind.insert(conversation as u32, behind.told);
        endpoint.trouble.extend(behind.trouble.map(|trouble| (conversation as u32, trouble)));
    }

    /// Who has a cursor, in an order that only depends on the names.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.endpoints.keys().map(String::as_str)
    }

    /// How many have one.
    pub(super) fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether each of them, in that order, was told of an event. An endpoint without a cursor in a shard would begin at
    /// its end: it is owed nothing of it.
    pub(super) fn each(&self, shard: Shard, conversation: usize, position: Position) -> impl Iterator<Item = bool> {
        self.endpoints.values().map(move |endpoint| {
            let behind = endpoint.behind.get(&(conversation as u32)).copied();
            let cursor = behind.or_else(|| endpoint.cursors.get(&shard).map(|cursor| cursor.position));
            cursor.is_none_or(|cursor| position <= cursor)
        })
    }

    /// Whether each of them, in that order, was new only after an event, so that it is owed nothing of it.
    pub(super) fn each_started_after(&self, shard: Shard, position: Position) -> impl Iterator<Item = bool> {
        self.endpoints
            .values()
            .map(move |endpoint| endpoint.cursors.get(&shard).is_none_or(|cursor| position <= cursor.started))
    }

    /// What trouble each of them, in that order, has with the next event of a conversation.
    pub(super) fn each_trouble(&self, conversation: usize) -> impl Iterator<Item = Option<Trouble>> {
        self.endpoints.values().map(move |endpoint| endpoint.trouble.get(&(conversation as u32)).copied())
    }

    /// If everybody was told of everything, up to the heads of the shards: whether each of them is owed nothing of all of it,
    /// because it was new only then, or never was. None if it is not so simple.
    pub(super) fn everything(&self, heads: &[Position]) -> Option<Vec<bool>> {
        let shards = || heads.iter().enumerate().map(|(shard, head)| (Shard(shard as u16), *head));
        let of = |endpoint: &Endpoint| {
            let cursor = |shard| endpoint.cursors.get(&shard);
            let is_told = shards().all(|(shard, head)| cursor(shard).is_none_or(|cursor| cursor.position >= head));
            let is_new = shards().all(|(shard, head)| cursor(shard).is_none_or(|cursor| cursor.started >= head));
            let is_old =
                shards().all(|(shard, head)| head.0 == 0 || cursor(shard).is_some_and(|cursor| cursor.started.0 == 0));
            (endpoint.behind.is_empty() && is_told && (is_new || is_old)).then_some(is_new)
        };
        self.endpoints.values().map(of).collect()
    }
}

/// What endpoints have been told of a side's log; `find` numbers its conversations.
pub(super) async fn of(side: &Side, find: impl Fn(Shard, i64) -> Option<usize>) -> Result<Told> {
    let mut told = Told::default();
    let mut pages = side.pages::<CursorRow>();
    while let Some(page) = pages.recv().await {
        page?.into_iter().for_each(|cursor| told.up_to(cursor));
    }
    let mut pages = side.pages::<BehindRow>();
    while let Some(page) = pages.recv().await {
        let page = page?;
        let keys = side.keys_of(page.iter().map(|row| row.subject.clone()).collect()).await?;
        for (row, key) in page.into_iter().zip(keys) {
            // Of a conversation in which nothing ever happened there is nothing to tell.
            let Some((shard, key)) = key else { continue };
            if let Some(conversation) = find(shard, key) {
                let (endpoint, (_, behind)) = (row.endpoint.clone(), row.into());
                told.but(endpoint, conversation, behind);
            }
        }
    }
    Ok(told)
}

/// Says anew what was told, while it is shown every event in the target's order. 8 bytes for each conversation, and 32 for
/// each in which an endpoint is owed something.
#[derive(Debug)]
pub(super) struct Retelling<'a> {
    told: &'a Told,
    /// The place of the newest event so far, of each shard.
    heads: Vec<Position>,
    /// ... and of each conversation.
    newest: Vec<u64>,
    endpoints: Vec<Retold>,
    owed: Vec<HashMap<u32, Owed>>,
}

/// Of a conversation of which not everything was told.
#[derive(Clone, Copy, Debug)]
struct Owed {
    /// The place of the last event that was.
    told: u64,
    /// The place of the first event that was not.
    first: u64,
}

/// What one endpoint was told, in the target's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Retold {
    pub(super) endpoint: String,
    /// Of every shard.
    pub(super) cursors: Vec<Cursor>,
    /// In the order of their numbers.
    pub(super) behind: BTreeMap<usize, Behind>,
}

impl<'a> Retelling<'a> {
    /// Nothing was shown yet.
    pub(super) fn new(told: &'a Told, conversations: usize, shards: usize) -> Self {
        let retold = |endpoint: &str| Retold {
            endpoint: endpoint.to_owned(),
            cursors: vec![Cursor { position: Position(0), started: Position(0) }; shards],
            behind: BTreeMap::new(),
        };
        Self {
            told,
            heads: vec![Position(0); shards],
            newest: vec![0; conversations],
            endpoints: told.endpoints().map(retold).collect(),
            owed: vec![HashMap::new(); told.len()],
        }
    }

    /// The next event: where it was, and where it is now.
    pub(super) fn event(&mut self, conversation: usize, was: (Shard, Position), is: (Shard, Position)) {
        let newest = &mut self.newest[conversation];
        let each = self.told.each(was.0, conversation, was.1);
        let each = each.zip(self.told.each_started_after(was.0, was.1));
        let head = &mut self.heads[usize::from(is.0.0)];
        for ((is_told, is_new), (endpoint, owed)) in each.zip(self.endpoints.iter_mut().zip(&mut self.owed)) {
            let cursor = &mut endpoint.cursors[usize::from(is.0.0)];
            if is_told {
                cursor.position = is.1;
            } else {
                owed.entry(conversation as u32).or_insert(Owed { told: *newest, first: is.1.0 });
            }
            // It holds of all so far.
            if is_new && cursor.started == *head {
                cursor.started = is.1;
            }
        }
        *newest = is.1.0;
        *head = is.1;
    }

    /// What it comes to. `shard` says where a conversation is now.
    pub(super) fn end(self, shard: impl Fn(usize) -> Shard) -> Vec<Retold> {
        let mut endpoints = self.endpoints;
        let told = endpoints.iter_mut().zip(self.told.endpoints.values()).zip(self.owed);
        for ((endpoint, told), owed) in told {
            let cursor = |conversation| endpoint.cursors[usize::from(shard(conversation).0)].position;
            let behind = owed.into_iter().filter_map(|(conversation, owed)| {
                let trouble = told.trouble.get(&conversation).copied();
                let conversation = conversation as usize;
                let lags = trouble.is_some() || owed.first <= cursor(conversation).0;
                lags.then_some((conversation, Behind { told: Position(owed.told), trouble }))
            });
            endpoint.behind = behind.collect();
        }
        endpoints
    }
}

#[cfg(test)]
mod tests;
