//! Where each conversation goes: its shard in the target, and its key there.
//!
//! Keys are 1, 2, 3 … in each of the target's shards, in the order in which the source has its conversations. So they
//! follow from the source alone, and a resumed run gives the same ones.

use chat::event::Shard;

use crate::conversation::ConversationRow;
use crate::shard::Shards;

/// See the module. 36 bytes for each conversation.
#[derive(Debug)]
pub(super) struct Homes {
    shards: Shards,
    /// Shard and key in the source, ascending.
    from: Vec<(Shard, i64)>,
    /// ... and in the target.
    to: Vec<(Shard, i64)>,
    /// For each shard and key of the target, which conversation it is.
    at: Vec<Vec<u32>>,
}

impl Homes {
    /// None yet.
    pub(super) fn new(shards: Shards) -> Self {
        Self { shards, from: Vec::new(), to: Vec::new(), at: vec![Vec::new(); shards.all().count()] }
    }

    /// The next conversation of the source.
    pub(super) fn add(&mut self, row: &ConversationRow) {
        let shard = self.shards.of_subject(&row.id);
        let keys = &mut self.at[usize::from(shard.0)];
        keys.push(self.to.len() as u32);
        self.to.push((shard, keys.len() as i64));
        self.from.push((row.shard, row.key));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.to.len()
    }

    /// Which conversation has this key in the source.
    pub(super) fn of_source(&self, shard: Shard, key: i64) -> Option<usize> {
        self.from.binary_search(&(shard, key)).ok()
    }

    /// Which conversation has this key in the target.
    pub(super) fn of_target(&self, shard: Shard, key: i64) -> Option<usize> {
        let place = usize::try_from(key).ok()?.checked_sub(1)?;
        Some(*self.at.get(usize::from(shard.0))?.get(place)? as usize)
    }

    /// Its shard and key in the target.
    pub(super) fn home(&self, conversation: usize) -> (Shard, i64) {
        self.to[conversation]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_conversation_is_found_on_either_side() {
        let mut homes = Homes::new(Shards::new(4));
        // With gaps, as a source may have them.
        for number in 1..=100 {
            homes.add(&ConversationRow::empty(Shard(number as u16 / 40), 3 * number, &format!("g{number}")));
        }
        for conversation in 0..homes.len() {
            let number = conversation as i64 + 1;
            assert_eq!(homes.of_source(Shard(number as u16 / 40), 3 * number), Some(conversation));
            let (shard, key) = homes.home(conversation);
            assert_eq!(homes.of_target(shard, key), Some(conversation));
        }
        assert_eq!(homes.of_source(Shard(0), 4), None);
        assert_eq!(homes.of_target(Shard(0), 0), None);
        assert_eq!(homes.of_target(Shard(3), 101), None);
        assert_eq!(homes.of_target(Shard(4), 1), None);
    }
}
