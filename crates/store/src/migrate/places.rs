//! Where the events are now that letters are about.

use chat::event::{Position, Shard};

use super::Result;
use super::side::Side;
use crate::letter::LetterRow;

type Place = (Shard, Position);

/// See the module. 48 bytes for each event that there is a letter about.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// In the source, ascending.
    was: Vec<Place>,
    /// ... and in the target.
    is: Vec<Option<Place>>,
}

impl Places {
    /// Those of all letters, and not found yet.
    pub(super) async fn of(side: &Side) -> Result<Self> {
        let mut was = Vec::new();
        let mut pages = side.pages::<LetterRow>();
        while let Some(page) = pages.recv().await {
            was.extend(page?.into_iter().map(|letter| (letter.shard, letter.position)));
        }
        Ok(Self::new(was))
    }

    fn new(mut was: Vec<Place>) -> Self {
        was.sort_unstable();
        was.dedup();
        Self { is: vec![None; was.len()], was }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.was.is_empty()
    }

    /// An event: where it was, and where it is now.
    pub(super) fn event(&mut self, was: Place, is: Place) {
        if let Ok(place) = self.was.binary_search(&was) {
            self.is[place] = Some(is);
        }
    }

    /// Where an event is now.
    pub(super) fn find(&self, was: Place) -> Option<Place> {
        self.is[self.was.binary_search(&was).ok()?]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_found() {
        let place = |shard, position| (Shard(shard), Position(position));
        let mut places = Places::new(vec![place(1, 2), place(0, 9), place(1, 2), place(0, 3)]);
        for (was, is) in [(place(0, 1), place(5, 1)), (place(0, 9), place(5, 2)), (place(1, 2), place(6, 1))] {
            places.event(was, is);
        }
        assert_eq!(places.find(place(0, 9)), Some(place(5, 2)));
        assert_eq!(places.find(place(1, 2)), Some(place(6, 1)));
        assert_eq!(places.find(place(0, 3)), None, "it is nowhere");
        assert_eq!(places.find(place(0, 1)), None, "nobody has a letter about it");
    }
}
