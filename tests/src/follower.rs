//! A backend that looks at headers alone, and knows from them that it has missed nothing.
//!
//! `ringback-sequence` grows from one event of a subject to the next; `ringback-previous` is the `webhook-id` of the event
//! of the same subject that was told before, and empty for the first. So whoever knows the previous one of all that it has
//! has no hole, without a look into any body.

use std::collections::BTreeMap;

use crate::Call;

/// What is known of the events that were told. One follower may hear several endpoints: their ids differ.
#[derive(Debug, Default)]
pub struct Follower {
    /// By `webhook-id`.
    events: BTreeMap<String, Event>,
    /// How many events of each subject there are so far, by the last one's id.
    subjects: BTreeMap<String, usize>,
    repeats: usize,
}

#[derive(Debug, PartialEq)]
struct Event {
    sequence: u64,
    /// Empty: it is the first of its subject.
    previous: String,
}

impl Follower {
    /// Hears these calls in this order.
    pub fn of<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Self {
        let mut follower = Self::default();
        for call in calls {
            let header = |name: &str| call.headers.get(name).unwrap_or_else(|| panic!("no {name}: {call:?}")).as_str();
            let sequence = header("ringback-sequence").parse().expect("a number in ringback-sequence");
            follower.hear(header("webhook-id"), sequence, header("ringback-previous"));
        }
        follower
    }

    /// Hears one call, and fails if it shows a hole, or contradicts what was heard before.
    fn hear(&mut self, id: &str, sequence: u64, previous: &str) {
        let event = Event { sequence, previous: previous.to_owned() };
        if let Some(before) = self.events.get(id) {
            assert_eq!(*before, event, "{id} is told in other words than before");
            self.repeats += 1;
            return;
        }
        let mut length = 1;
        if !previous.is_empty() {
            // The last of its subject so far: what is unknown was missed, and what is not the last has a successor.
            let so_far = self.subjects.remove(previous);
            length += so_far.unwrap_or_else(|| panic!("{id} follows {previous}, which is not the last of any subject"));
            let before = self.events[previous].sequence;
            assert!(before < sequence, "{id} has the sequence {sequence} after {before}");
        }
        self.subjects.insert(id.to_owned(), length);
        self.events.insert(id.to_owned(), event);
    }

    /// How many events of each subject were told, without repeats; ascending.
    pub fn lengths(&self) -> Vec<usize> {
        let mut lengths: Vec<_> = self.subjects.values().copied().collect();
        lengths.sort_unstable();
        lengths
    }

    /// How many calls were about an event that was told already.
    pub fn repeats(&self) -> usize {
        self.repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(calls: &[(&str, u64, &str)]) -> Follower {
        let mut follower = Follower::default();
        calls.iter().for_each(|(id, sequence, previous)| follower.hear(id, *sequence, previous));
        follower
    }

    #[test]
    fn two_subjects_and_a_repeat() {
        let follower = follow(&[("a1", 1, ""), ("b1", 2, ""), ("a2", 3, "a1"), ("a1", 1, ""), ("a3", 7, "a2")]);
        assert_eq!((follower.lengths(), follower.repeats()), (vec![1, 3], 1));
    }

    #[test]
    #[should_panic(expected = "a3 follows a2")]
    fn a_hole() {
        follow(&[("a1", 1, ""), ("a3", 3, "a2")]);
    }

    #[test]
    #[should_panic(expected = "a3 follows a1")]
    fn one_that_was_passed_over_and_comes_late() {
        follow(&[("a1", 1, ""), ("a2", 2, "a1"), ("a3", 3, "a1")]);
    }

    #[test]
    #[should_panic(expected = "a2 has the sequence 1 after 1")]
    fn a_sequence_that_stands_still() {
        follow(&[("a1", 1, ""), ("a2", 1, "a1")]);
    }

    #[test]
    #[should_panic(expected = "in other words")]
    fn a_repeat_that_differs() {
        follow(&[("a1", 1, ""), ("a1", 2, "")]);
    }
}
