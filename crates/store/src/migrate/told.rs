//! What endpoints have been told, and how to say it of other positions.
//!
//! A cursor says: everything up to here is told, but of the conversations that are behind, each only up to its own
//! position. So of each conversation the first events are told and the others are not. The target has the same events in
//! another order across conversations and the same order in each. There, an endpoint's cursor of a shard is the place of
//! the last event in it that was told; a conversation of which an event up to there was not told is behind, at the place of
//! its last event that was.

use std::collections::{BTreeMap, HashMap};

use chat::event::{Position, Shard};

use super::Result;
use super::side::Side;
use crate::cursor::{BehindRow, CursorRow};

/// What every endpoint has been told. Conversations are numbers of `homes.rs`. 24 bytes for each that is behind.
#[derive(Debug, Default)]
pub(super) struct Told {
    endpoints: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Default)]
struct Endpoint {
    cursors: HashMap<Shard, Position>,
    behind: HashMap<u32, Position>,
}

impl Told {
    /// Up to here.
    pub(super) fn up_to(&mut self, cursor: CursorRow) {
        self.endpoints.entry(cursor.endpoint).or_default().cursors.insert(cursor.shard, cursor.position);
    }

    /// ... but of this conversation only up to here.
    pub(super) fn but(&mut self, endpoint: String, conversation: usize, position: Position) {
        self.endpoints.entry(endpoint).or_default().behind.insert(conversation as u32, position);
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
            let cursor = endpoint.behind.get(&(conversation as u32)).or_else(|| endpoint.cursors.get(&shard));
            cursor.is_none_or(|cursor| position <= *cursor)
        })
    }

    /// Whether everybody was told of everything, up to the heads of the shards.
    pub(super) fn is_everything(&self, heads: &[Position]) -> bool {
        self.endpoints.values().all(|endpoint| {
            let mut cursors = endpoint.cursors.iter();
            endpoint.behind.is_empty()
                && cursors.all(|(shard, position)| heads.get(usize::from(shard.0)).is_none_or(|head| position >= head))
        })
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
                told.but(row.endpoint, conversation, row.position);
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
    /// The place of the newest event so far, of each conversation.
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
    pub(super) cursors: Vec<Position>,
    /// In the order of their numbers.
    pub(super) behind: BTreeMap<usize, Position>,
}

impl<'a> Retelling<'a> {
    /// Nothing was shown yet.
    pub(super) fn new(told: &'a Told, conversations: usize, shards: usize) -> Self {
        let retold = |endpoint: &str| Retold {
            endpoint: endpoint.to_owned(),
            cursors: vec![Position(0); shards],
            behind: BTreeMap::new(),
        };
        Self {
            told,
            newest: vec![0; conversations],
            endpoints: told.endpoints().map(retold).collect(),
            owed: vec![HashMap::new(); told.len()],
        }
    }

    /// The next event: where it was, and where it is now.
    pub(super) fn event(&mut self, conversation: usize, was: (Shard, Position), is: (Shard, Position)) {
        let newest = &mut self.newest[conversation];
        let each = self.told.each(was.0, conversation, was.1);
        for (is_told, (endpoint, owed)) in each.zip(self.endpoints.iter_mut().zip(&mut self.owed)) {
            if is_told {
                endpoint.cursors[usize::from(is.0.0)] = is.1;
            } else {
                owed.entry(conversation as u32).or_insert(Owed { told: *newest, first: is.1.0 });
            }
        }
        *newest = is.1.0;
    }

    /// What it comes to. `shard` says where a conversation is now.
    pub(super) fn end(self, shard: impl Fn(usize) -> Shard) -> Vec<Retold> {
        let mut endpoints = self.endpoints;
        for (endpoint, owed) in endpoints.iter_mut().zip(self.owed) {
            let cursor = |conversation| endpoint.cursors[usize::from(shard(conversation).0)];
            let owed = owed.into_iter().map(|(conversation, owed)| (conversation as usize, owed));
            let behind = owed.filter(|(conversation, owed)| owed.first <= cursor(*conversation).0);
            endpoint.behind = behind.map(|(conversation, owed)| (conversation, Position(owed.told))).collect();
        }
        endpoints
    }
}

#[cfg(test)]
mod tests;
