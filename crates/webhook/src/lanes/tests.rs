use std::time::Duration;

use chat::conversation::ConversationId;
use chat::id::{GroupId, Timestamp};

use super::*;

fn subject(name: &str) -> Subject {
    ConversationId::Group(GroupId::new(name)).into()
}

fn lane(name: &str) -> LaneKey {
    subject(name).into()
}

fn empty(read_to: u64) -> Lanes<u64> {
    behind(read_to, Vec::new())
}

/// Lanes that were behind when they were saved.
fn behind(read_to: u64, lanes: Vec<(&str, u64)>) -> Lanes<u64> {
    let lanes = lanes.into_iter().map(|(name, told)| (subject(name), up_to(told))).collect();
    Lanes::new(Position(read_to), lanes, 1, |_| unreachable!("none of them is in trouble"))
}

fn up_to(told: u64) -> Behind {
    Behind { told: Position(told), trouble: None }
}

/// The first event of a lane was not told.
fn rest(lanes: &mut Lanes<u64>, name: &str, until: Instant, lags: bool) {
    let times = lanes.failed(&lane(name)).times + 1;
    lanes.rest(&lane(name), until, Failed { times, ..Failed::default() }, lags);
}

fn push(lanes: &mut Lanes<u64>, name: &str, position: u64) {
    lanes.push(lane(name), Position(position), position);
}

/// The next event to tell; a lane that must be read is a surprise.
fn take(lanes: &mut Lanes<u64>) -> Option<(LaneKey, u64)> {
    match lanes.next(1)? {
        Next::Tell(key, work) => Some((key, *work[0])),
        Next::Read(key, after, _) => panic!("{key:?} is to be read after {after:?}"),
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
    lanes.done(&lane("b"), 1);
    assert_eq!(lanes.cursor(), Position(10), "11 is not told yet");
    lanes.done(&lane("a"), 1);
    assert_eq!(lanes.cursor(), Position(11));
    assert_eq!(take(&mut lanes), Some((lane("a"), 12)));
    lanes.done(&lane("a"), 1);
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
    rest(&mut lanes, "a", now + Duration::from_secs(1), false);
    assert_eq!((take(&mut lanes), lanes.failed(&lane("a")).times), (None, 1));
    lanes.wake(now);
    assert_eq!(take(&mut lanes), None, "it is not rested yet");
    lanes.wake(now + Duration::from_secs(1));
    assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
    assert_eq!(lanes.cursor(), Position(0));
    lanes.done(&lane("a"), 1);
    assert_eq!((lanes.failed(&lane("a")).times, lanes.cursor()), (0, Position(1)));
}

#[test]
fn a_refused_lane_falls_behind_and_holds_nothing_up() {
    let now = Instant::now();
    let mut lanes = empty(0);
    for position in 1..=3 {
        push(&mut lanes, "a", position);
    }
    take(&mut lanes);
    rest(&mut lanes, "a", now, true);
    assert_eq!((lanes.cursor(), lanes.untold()), (Position(3), 0));
    assert_eq!(lanes.take_unsaved(), [(subject("a"), Some(up_to(0)))]);
    push(&mut lanes, "a", 4);
    push(&mut lanes, "b", 5);
    assert_eq!(take(&mut lanes), Some((lane("b"), 5)));
    lanes.done(&lane("b"), 1);
    assert_eq!(lanes.cursor(), Position(5));

    // It is back: the rest of it comes from the log.
    lanes.wake(now);
    assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
    lanes.done(&lane("a"), 1);
    assert_eq!(lanes.take_unsaved(), [(subject("a"), Some(up_to(1)))]);
    assert!(matches!(lanes.next(1), Some(Next::Read(conversation, Position(1), _)) if conversation == lane("a")));
    lanes.refill(lane("a"), vec![(Position(2), 2), (Position(3), 3)], Some(Position(3)), true);
    for position in [2, 3] {
        assert_eq!(take(&mut lanes), Some((lane("a"), position)));
        lanes.done(&lane("a"), 1);
    }
    assert!(matches!(lanes.next(1), Some(Next::Read(_, Position(3), _))));
    lanes.refill(lane("a"), vec![(Position(4), 4)], Some(Position(4)), false);
    push(&mut lanes, "a", 6);
    for position in [4, 6] {
        assert_eq!(take(&mut lanes), Some((lane("a"), position)));
        lanes.done(&lane("a"), 1);
    }
    assert_eq!(lanes.take_unsaved(), [(subject("a"), None)], "it lags no longer");
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
    lanes.done(&lane("a"), 1);
    assert_eq!(take(&mut lanes), Some((lane("b"), length + 11)));
    assert!(matches!(lanes.next(1), Some(Next::Read(_, Position(1), LANE_LENGTH))));
}

#[test]
fn lanes_that_are_behind_share_what_is_kept() {
    let now = Instant::now();
    let mut lanes = empty(0);
    let count = KEPT_BEHIND / LANE_LENGTH + 2;
    for number in 0..count {
        push(&mut lanes, &number.to_string(), number as u64 + 1);
        take(&mut lanes);
        rest(&mut lanes, &number.to_string(), now, true);
        push(&mut lanes, &number.to_string(), 1000 + number as u64);
    }
    assert_eq!(lanes.kept, count, "one each while they rest");
    lanes.wake(now);
    for _ in 0..count {
        let (name, _) = take(&mut lanes).unwrap();
        lanes.done(&name, 1);
    }
    for _ in 0..count {
        let Some(Next::Read(name, after, room)) = lanes.next(1) else { panic!("it is to be read") };
        let events: Vec<_> = (1..=room as u64).map(|number| (Position(after.0 + number), number)).collect();
        let read = events.last().map(|(position, _)| *position);
        lanes.refill(name, events, read, true);
        take(&mut lanes);
    }
    assert_eq!(lanes.kept, KEPT_BEHIND + 2, "and at least one each");
}

#[test]
fn a_page_of_nothing_moves_a_lane_on_behind_the_others() {
    let mut lanes = behind(900, vec![("a", 3), ("b", 4)]);
    let Some(Next::Read(first, after, _)) = lanes.next(1) else { panic!("it is to be read") };
    lanes.refill(first.clone(), Vec::new(), Some(Position(after.0 + 300)), true);
    assert_eq!(lanes.take_unsaved(), [(first.subject.clone(), Some(up_to(after.0 + 300)))]);
    assert!(matches!(lanes.next(1), Some(Next::Read(second, ..)) if second != first));
    assert!(matches!(lanes.next(1), Some(Next::Read(again, Position(on), _)) if again == first && on == after.0 + 300));
}

#[test]
fn lanes_that_were_behind_go_on_where_they_were() {
    let mut lanes = behind(9, vec![("a", 3)]);
    push(&mut lanes, "a", 10);
    assert!(matches!(lanes.next(1), Some(Next::Read(_, Position(3), _))));
    lanes.refill(lane("a"), Vec::new(), None, false);
    assert_eq!((lanes.take_unsaved(), lanes.len()), (vec![(subject("a"), None)], 0));
}

#[test]
fn what_could_not_be_saved_is_saved_later() {
    let now = Instant::now();
    let mut lanes = empty(0);
    push(&mut lanes, "a", 1);
    take(&mut lanes);
    rest(&mut lanes, "a", now, true);
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
    rest(&mut lanes, "a", now + Duration::from_secs(1), false);
    lanes.wake_waiting();
    assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
    lanes.wake(now + Duration::from_secs(2));
    assert_eq!(take(&mut lanes), None);
}

/// On its own schedule since the beginning of time, due then.
fn trouble(due: Instant) -> (Trouble, Instant) {
    (Trouble { attempts: 1, since: Timestamp::default(), due: Timestamp::default() }, due)
}

#[test]
fn a_lane_on_its_own_schedule_is_not_woken_with_the_others() {
    let now = Instant::now();
    let later = now + Duration::from_secs(60);
    let mut lanes = empty(0);
    for (position, name) in [(1, "a"), (2, "b"), (3, "c")] {
        push(&mut lanes, name, position);
        take(&mut lanes);
        let trouble = (name != "a").then(|| trouble(later));
        let streak = if name == "c" { 7 } else { 6 };
        lanes.rest(&lane(name), later, Failed { times: 1, streak, trouble }, trouble.is_some());
    }
    lanes.wake_waiting();
    assert_eq!((take(&mut lanes), take(&mut lanes)), (Some((lane("a"), 1)), None));
    lanes.wake_streak(7);
    assert_eq!(
        (take(&mut lanes), take(&mut lanes)),
        (Some((lane("c"), 3)), None),
        "it failed while the endpoint was down"
    );
    lanes.wake(later);
    assert_eq!((take(&mut lanes), take(&mut lanes)), (Some((lane("b"), 2)), None));
}

#[test]
fn trouble_is_saved_and_outlives_a_restart() {
    let now = Instant::now();
    let mut lanes = empty(0);
    push(&mut lanes, "a", 1);
    take(&mut lanes);
    let trouble = trouble(now + Duration::from_secs(5));
    lanes.rest(&lane("a"), trouble.1, Failed { times: 1, streak: 0, trouble: Some(trouble) }, true);
    let saved = Behind { told: Position(0), trouble: Some(trouble.0) };
    assert_eq!(lanes.take_unsaved(), [(subject("a"), Some(saved))]);

    let mut lanes: Lanes<u64> = Lanes::new(Position(1), vec![(subject("a"), saved)], 1, |_| trouble.1);
    assert!(lanes.next(1).is_none(), "it rests on");
    lanes.wake(trouble.1);
    assert!(matches!(lanes.next(1), Some(Next::Read(key, Position(0), _)) if key == lane("a")));
    lanes.refill(lane("a"), vec![(Position(1), 1)], Some(Position(1)), false);
    assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
    assert_eq!(lanes.failed(&lane("a")).trouble, Some(trouble));
    lanes.done(&lane("a"), 1);
    assert_eq!((lanes.take_unsaved(), lanes.len(), lanes.behind()), (vec![(subject("a"), None)], 0, 0));
}

#[test]
fn a_batch_takes_what_is_in_the_lane_and_an_event_that_failed_goes_alone() {
    let mut lanes = empty(0);
    for position in 1..=5 {
        push(&mut lanes, "a", position);
    }
    let works = |next: Option<Next<u64>>| match next {
        Some(Next::Tell(_, works)) => works.iter().map(|work| **work).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(works(lanes.next(3)), [1, 2, 3]);
    lanes.retry_alone(&lane("a"));
    assert_eq!(works(lanes.next(3)), [1]);
    lanes.done(&lane("a"), 1);
    assert_eq!(works(lanes.next(3)), [2, 3, 4]);
    lanes.done(&lane("a"), 3);
    assert_eq!(lanes.cursor(), Position(4));
}

#[test]
fn what_is_in_a_call_stays_in_memory_when_its_lane_falls_behind() {
    let mut lanes = empty(0);
    let length = LANE_LENGTH as u64;
    (1..=length).for_each(|position| push(&mut lanes, "a", position));
    let Some(Next::Tell(_, works)) = lanes.next(10) else { panic!("there are events") };
    push(&mut lanes, "a", length + 1);
    assert_eq!((works.len(), lanes.kept), (10, 10));
    lanes.done(&lane("a"), 10);
    assert!(
        matches!(lanes.next(1), Some(Next::Read(_, Position(10), _))),
        "nothing is told twice, nothing is left out"
    );
}

#[test]
fn events_of_an_unordered_endpoint_do_not_wait_for_each_other() {
    let mut lanes = empty(0);
    for position in 1..=2 {
        let key = LaneKey { subject: subject("a"), event: Some(Position(position)) };
        lanes.push(key, Position(position), position);
    }
    let (first, second) = (take(&mut lanes).unwrap(), take(&mut lanes).unwrap());
    lanes.done(&second.0, 1);
    assert_eq!((second.1, lanes.cursor()), (2, Position(0)));
    lanes.done(&first.0, 1);
    assert_eq!((lanes.cursor(), lanes.all_told()), (Position(2), Position(2)));
}

#[test]
fn a_lane_that_was_told_further_than_the_log_is_read_is_told_nothing_twice() {
    let mut lanes = behind(65, vec![("a", 92), ("b", 70)]);
    assert!(lanes.next(1).is_none(), "there is nothing to read for them yet");
    for position in [70, 80, 92] {
        push(&mut lanes, "a", position);
    }
    assert_eq!((take(&mut lanes), lanes.len()), (None, 0), "all of that was told");
    assert_eq!(lanes.take_unsaved(), [(subject("a"), None), (subject("b"), None)]);
    push(&mut lanes, "a", 93);
    assert_eq!(take(&mut lanes), Some((lane("a"), 93)));

    let mut lanes = behind(65, vec![("a", 92)]);
    push(&mut lanes, "b", 91);
    push(&mut lanes, "a", 95);
    assert_eq!(take(&mut lanes), Some((lane("b"), 91)));
    assert_eq!(take(&mut lanes), Some((lane("a"), 95)), "and nothing is left out");
}

#[test]
fn a_lane_that_was_told_just_as_far_as_the_log_is_read_is_none() {
    let mut lanes = behind(65, vec![("a", 65)]);
    assert_eq!((lanes.len(), lanes.take_unsaved()), (0, vec![(subject("a"), None)]));
}

#[test]
fn a_lane_goes_on_when_what_left_it_is_saved() {
    let mut lanes = empty(0);
    for position in 1..=2 {
        push(&mut lanes, "a", position);
    }
    assert_eq!(take(&mut lanes), Some((lane("a"), 1)));
    lanes.take_out(&lane("a"));
    assert_eq!((take(&mut lanes), lanes.cursor()), (None, Position(1)));
    lanes.release(&lane("a"));
    assert_eq!(take(&mut lanes), Some((lane("a"), 2)));
    lanes.take_out(&lane("a"));
    push(&mut lanes, "a", 3);
    assert_eq!(take(&mut lanes), None, "nor does what comes later overtake it");
    lanes.release(&lane("a"));
    assert_eq!(take(&mut lanes), Some((lane("a"), 3)));
    lanes.take_out(&lane("a"));
    lanes.release(&lane("a"));
    assert_eq!((lanes.len(), lanes.cursor()), (0, Position(3)));
}

#[test]
fn at_the_end_no_lane_holds_the_cursor() {
    let mut lanes = empty(0);
    for (position, name) in [(1, "a"), (2, "b"), (3, "a")] {
        push(&mut lanes, name, position);
    }
    take(&mut lanes);
    assert_eq!(take(&mut lanes), Some((lane("b"), 2)));
    lanes.done(&lane("b"), 1);
    assert_eq!(lanes.cursor(), Position(0));
    lanes.let_cursor_go();
    assert_eq!((lanes.cursor(), lanes.take_unsaved()), (Position(3), vec![(subject("a"), Some(up_to(0)))]));
}

#[test]
fn an_event_alone_that_becomes_a_letter_leaves_nothing_in_memory() {
    let mut lanes = empty(0);
    let key = LaneKey { subject: subject("a"), event: Some(Position(1)) };
    lanes.push(key.clone(), Position(1), 1);
    assert_eq!(take(&mut lanes), Some((key.clone(), 1)));
    lanes.take_out(&key);
    assert_eq!((lanes.len(), lanes.cursor(), take(&mut lanes)), (0, Position(1), None));
}

#[test]
fn lanes_that_are_behind_do_not_grow_beyond_what_they_share() {
    let count = KEPT_BEHIND as u64 / 2;
    let names: Vec<_> = (0..count).map(|number| number.to_string()).collect();
    let mut lanes = behind(1, names.iter().map(|name| (name.as_str(), 0)).collect());
    while let Some(Next::Read(key, ..)) = lanes.next(1) {
        lanes.refill(key.clone(), vec![(Position(1), 1)], Some(Position(1)), false);
        take(&mut lanes);
    }
    for position in 2..2 + 4 * count {
        push(&mut lanes, &(position % count).to_string(), position);
    }
    assert_eq!(lanes.kept, KEPT_BEHIND);
    let key = lane("1");
    assert_eq!(lanes.first(&key).map(|(position, _)| position), Some(Position(1)));
    lanes.done(&key, 1);
    while let Some((key, position)) = lanes.next(1).and_then(|next| match next {
        Next::Tell(key, work) => Some((key, *work[0])),
        Next::Read(_, after, _) => {
            assert!(after.0 > 1, "it is read from where memory ends");
            None
        }
    }) {
        assert_eq!(key, lane("1"));
        assert!(position > 1);
        lanes.done(&key, 1);
    }
}
