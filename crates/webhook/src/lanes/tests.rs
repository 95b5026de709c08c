use std::time::Duration;

use chat::conversation::ConversationId;
use chat::id::GroupId;

use super::*;

fn lane(name: &str) -> Subject {
    ConversationId::Group(GroupId::new(name)).into()
}

fn empty(read_to: u64) -> Lanes<u64> {
    Lanes::new(Position(read_to), Vec::new(), 1)
}

fn push(lanes: &mut Lanes<u64>, name: &str, position: u64) {
    lanes.push(lane(name), Position(position), position);
}

/// The next event to tell; a lane that must be read is a surprise.
fn take(lanes: &mut Lanes<u64>) -> Option<(Subject, u64)> {
    match lanes.next()? {
        Next::Tell(subject, work) => Some((subject, *work)),
        Next::Read(subject, after, _) => panic!("{subject:?} is to be read after {after:?}"),
    }
}

#[test]
fn one_call_per_lane_in_order_and_lanes_do_not_wait() {
    let mut lanes = empty(10);
    push(&mut lanes, "a", 11);
    push(&mut lanes, "a", 12);
    push(&mut lanes, "b", 13);
    lanes.skip(Position(14));
    assert_eq!(take(&mut lanes), Some((lane("a"), 11)));
    assert_eq!(take(&mut lanes), Some((lane("b"), 13)));
    assert_eq!(take(&mut lanes), None);
    lanes.told(lane("b"));
    assert_eq!(lanes.cursor(), Position(10), "11 is not told yet");
    lanes.told(lane("a"));
    assert_eq!(lanes.cursor(), Position(11));
    assert_eq!(take(&mut lanes), Some((lane("a"), 12)));
    lanes.told(lane("a"));
    assert_eq!((lanes.cursor(), lanes.len(), lanes.untold()), (Position(14), 0, 0));
    assert_eq!(lanes.take_unsaved(), []);
}

#[test]
fn an_unanswered_lane_rests_and_holds_the_cursor() {
    let now = Instant::now();
    let mut lanes = empty(0);
    push(&mut lanes, "a", 1);
    push(&mut lanes, "a", 2);
    take(&mut lanes);
    lanes.rest(lane("a"), now + Duration::from_secs(1), false);
    assert_eq!((take(&mut lanes), lanes.failures(&lane("a"))), (None, 1));
    lanes.wake(now);
    assert_eq!(take(&mut lanes), None, "it is not rested yet");
    lanes.wake(now + Duration::from_secs(1));
    assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
    assert_eq!(lanes.cursor(), Position(0));
    lanes.told(lane("a"));
    assert_eq!((lanes.failures(&lane("a")), lanes.cursor()), (0, Position(1)));
}

#[test]
fn a_refused_lane_falls_behind_and_holds_nothing_up() {
    let now = Instant::now();
    let mut lanes = empty(0);
    for position in 1..=3 {
        push(&mut lanes, "a", position);
    }
    take(&mut lanes);
    lanes.rest(lane("a"), now, true);
    assert_eq!((lanes.cursor(), lanes.untold()), (Position(3), 0));
    assert_eq!(lanes.take_unsaved(), [(lane("a"), Some(Position(0)))]);
    push(&mut lanes, "a", 4);
    push(&mut lanes, "b", 5);
    assert_eq!(take(&mut lanes), Some((lane("b"), 5)));
    lanes.told(lane("b"));
    assert_eq!(lanes.cursor(), Position(5));

    // It is back: the rest of it comes from the log.
    lanes.wake(now);
    assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
    lanes.told(lane("a"));
    assert_eq!(lanes.take_unsaved(), [(lane("a"), Some(Position(1)))]);
    assert!(matches!(lanes.next(), Some(Next::Read(conversation, Position(1), _)) if conversation == lane("a")));
    lanes.refill(lane("a"), vec![(Position(2), 2), (Position(3), 3)], Some(Position(3)), true);
    for position in [2, 3] {
        assert_eq!(take(&mut lanes), Some((lane("a"), position)));
        lanes.told(lane("a"));
    }
    assert!(matches!(lanes.next(), Some(Next::Read(_, Position(3), _))));
    lanes.refill(lane("a"), vec![(Position(4), 4)], Some(Position(4)), false);
    push(&mut lanes, "a", 6);
    for position in [4, 6] {
        assert_eq!(take(&mut lanes), Some((lane("a"), position)));
        lanes.told(lane("a"));
    }
    assert_eq!(lanes.take_unsaved(), [(lane("a"), None)], "it lags no longer");
    assert_eq!((lanes.len(), lanes.cursor()), (0, Position(6)));
}

#[test]
fn a_long_lane_is_kept_in_the_log() {
    let mut lanes = empty(0);
    let length = LANE_LENGTH as u64;
    for position in 1..=length + 10 {
        push(&mut lanes, "a", position);
    }
    push(&mut lanes, "b", length + 11);
    assert_eq!((lanes.untold(), lanes.kept), (1, 1), "only b holds the cursor, and a keeps one event");
    assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
    lanes.told(lane("a"));
    assert_eq!(take(&mut lanes), Some((lane("b"), length + 11)));
    assert!(matches!(lanes.next(), Some(Next::Read(_, Position(1), LANE_LENGTH))));
}

#[test]
fn lanes_that_are_behind_share_what_is_kept() {
    let now = Instant::now();
    let mut lanes = empty(0);
    let count = KEPT_BEHIND / LANE_LENGTH + 2;
    for number in 0..count {
        push(&mut lanes, &number.to_string(), number as u64 + 1);
        take(&mut lanes);
        lanes.rest(lane(&number.to_string()), now, true);
        push(&mut lanes, &number.to_string(), 1000 + number as u64);
    }
    assert_eq!(lanes.kept, count, "one each while they rest");
    lanes.wake(now);
    for _ in 0..count {
        let (name, _) = take(&mut lanes).unwrap();
        lanes.told(name);
    }
    for _ in 0..count {
        let Some(Next::Read(name, after, room)) = lanes.next() else { panic!("it is to be read") };
        let events: Vec<_> = (1..=room as u64).map(|number| (Position(after.0 + number), number)).collect();
        let read = events.last().map(|(position, _)| *position);
        lanes.refill(name, events, read, true);
        take(&mut lanes);
    }
    assert_eq!(lanes.kept, KEPT_BEHIND + 2, "and at least one each");
}

#[test]
fn a_page_of_nothing_moves_a_lane_on_behind_the_others() {
    let mut lanes: Lanes<u64> = Lanes::new(Position(900), vec![(lane("a"), Position(3)), (lane("b"), Position(4))], 1);
    let Some(Next::Read(first, after, _)) = lanes.next() else { panic!("it is to be read") };
    lanes.refill(first.clone(), Vec::new(), Some(Position(after.0 + 300)), true);
    assert_eq!(lanes.take_unsaved(), [(first.clone(), Some(Position(after.0 + 300)))]);
    assert!(matches!(lanes.next(), Some(Next::Read(second, ..)) if second != first));
    assert!(matches!(lanes.next(), Some(Next::Read(again, Position(on), _)) if again == first && on == after.0 + 300));
}

#[test]
fn lanes_that_were_behind_go_on_where_they_were() {
    let mut lanes: Lanes<u64> = Lanes::new(Position(9), vec![(lane("a"), Position(3))], 1);
    push(&mut lanes, "a", 10);
    assert!(matches!(lanes.next(), Some(Next::Read(_, Position(3), _))));
    lanes.refill(lane("a"), Vec::new(), None, false);
    assert_eq!((lanes.take_unsaved(), lanes.len()), (vec![(lane("a"), None)], 0));
}

#[test]
fn what_could_not_be_saved_is_saved_later() {
    let now = Instant::now();
    let mut lanes = empty(0);
    push(&mut lanes, "a", 1);
    take(&mut lanes);
    lanes.rest(lane("a"), now, true);
    let changes = lanes.take_unsaved();
    assert_eq!(lanes.take_unsaved(), []);
    lanes.not_saved(changes.iter().map(|(subject, _)| subject.clone()));
    assert_eq!(lanes.take_unsaved(), changes);
}

#[test]
fn waking_all_does_not_start_a_lane_twice() {
    let now = Instant::now();
    let mut lanes = empty(0);
    push(&mut lanes, "a", 1);
    take(&mut lanes);
    lanes.rest(lane("a"), now + Duration::from_secs(1), false);
    lanes.wake_all();
    assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
    lanes.wake(now + Duration::from_secs(2));
    assert_eq!(take(&mut lanes), None);
}
