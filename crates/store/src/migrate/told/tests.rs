//! Random logs, random cursors: there and back, the same events are told.

use chat::id::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::event::EventRow;
use crate::migrate::merge::Fronts;

const CONVERSATIONS: usize = 6;
const ENDPOINTS: usize = 3;

/// A log: of each shard its events, as position, conversation, time.
type Log = Vec<Vec<(u64, usize, i64)>>;

/// Into which shard each conversation goes.
type Shards = Vec<u16>;

/// Of each endpoint and conversation, how many of its events are told.
fn counts(log: &Log, told: &Told) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; CONVERSATIONS]; told.len()];
    for (shard, events) in log.iter().enumerate() {
        for (position, conversation, _) in events {
            let each = told.each(Shard(shard as u16), *conversation, Position(*position));
            each.enumerate().for_each(|(endpoint, told)| counts[endpoint][*conversation] += usize::from(told));
        }
    }
    counts
}

/// Of each conversation its events in their order, by their times.
fn orders(log: &Log) -> Vec<Vec<i64>> {
    let mut orders = vec![Vec::new(); CONVERSATIONS];
    log.iter().flatten().for_each(|(_, conversation, time)| orders[*conversation].push(*time));
    orders
}

/// Moves a log as a migration does.
fn migrate(log: &Log, told: &Told, to: &Shards, shards: usize) -> (Log, Vec<Retold>) {
    let mut fronts = Fronts::new(log.len());
    for (shard, events) in log.iter().enumerate() {
        let row = |(position, conversation, time): &(u64, usize, i64)| EventRow {
            position: Position(*position),
            conversation: *conversation as i64,
            time: *time,
            ..EventRow::default()
        };
        fronts.fill(Shard(shard as u16), events.iter().map(row).collect());
    }
    let mut target: Log = vec![Vec::new(); shards];
    let mut retelling = Retelling::new(told, CONVERSATIONS, shards);
    while let Some((was, row)) = fronts.pop() {
        let conversation = row.conversation as usize;
        let shard = to[conversation];
        let events = &mut target[usize::from(shard)];
        let position = events.len() as u64 + 1;
        events.push((position, conversation, row.time));
        retelling.event(conversation, (was, row.position), (Shard(shard), Position(position)));
    }
    (target, retelling.end(|conversation| Shard(to[conversation])))
}

fn as_told(retold: &[Retold]) -> Told {
    let mut told = Told::default();
    for Retold { endpoint, cursors, behind } in retold {
        for (shard, Cursor { position, started }) in cursors.iter().copied().enumerate() {
            told.up_to(CursorRow { endpoint: endpoint.clone(), shard: Shard(shard as u16), position, started });
        }
        for (conversation, behind) in behind {
            told.but(endpoint.clone(), *conversation, *behind);
        }
    }
    told
}

/// Of each endpoint and conversation, how many of its events the endpoint is owed nothing of, because it was new later.
fn started(log: &Log, told: &Told) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; CONVERSATIONS]; told.len()];
    for (shard, events) in log.iter().enumerate() {
        for (position, conversation, _) in events {
            let each = told.each_started_after(Shard(shard as u16), Position(*position));
            each.enumerate().for_each(|(endpoint, is_new)| counts[endpoint][*conversation] += usize::from(is_new));
        }
    }
    counts
}

/// Of each endpoint and conversation, its trouble with the next event, if there is one.
fn troubles(log: &Log, told: &Told) -> Vec<Vec<Option<Trouble>>> {
    let (counts, orders) = (counts(log, told), orders(log));
    let mut troubles = vec![vec![None; CONVERSATIONS]; told.len()];
    for conversation in 0..CONVERSATIONS {
        for (endpoint, trouble) in told.each_trouble(conversation).enumerate() {
            let is_owed = counts[endpoint][conversation] < orders[conversation].len();
            troubles[endpoint][conversation] = trouble.filter(|_| is_owed);
        }
    }
    troubles
}

/// What is said is said in the fewest words: a cursor is the place of an event that was told, and whoever is behind is owed
/// something up to there.
fn is_plain(log: &Log, told: &Told, retold: &[Retold]) {
    for (endpoint, retold) in retold.iter().enumerate() {
        for (shard, cursor) in retold.cursors.iter().enumerate() {
            let is_told = |(position, conversation, _): &&(u64, usize, i64)| {
                let mut each = told.each(Shard(shard as u16), *conversation, Position(*position));
                each.nth(endpoint).unwrap()
            };
            let last = log[shard].iter().rev().find(is_told).map_or(0, |(position, ..)| *position);
            assert_eq!(cursor.position.0, last);
        }
        for (conversation, behind) in retold.behind.iter().filter(|(_, behind)| behind.trouble.is_none()) {
            let owed = log.iter().zip(&retold.cursors).any(|(events, cursor)| {
                events
                    .iter()
                    .any(|event| event.1 == *conversation && event.0 > behind.told.0 && event.0 <= cursor.position.0)
            });
            assert!(owed, "{conversation} is behind for nothing");
        }
    }
}

prop_compose! {
    /// Where conversations are, in up to four shards.
    fn places()(shards in 1..5_usize)(places in vec(0..shards as u16, CONVERSATIONS), shards in Just(shards)) -> (Shards, usize) {
        (places, shards)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn there_and_back_the_same_is_told(
        (here, here_shards) in places(),
        (there, there_shards) in places(),
        // Conversation, step to the next position, time: clocks jump.
        events in vec((0..CONVERSATIONS, 1..3_u64, 0..40_i64), 0..60),
        cursors in vec(vec(option::weighted(0.9, 0..70_u64), 4), ENDPOINTS),
        behind in vec(vec(option::weighted(0.4, (0..70_u64, option::of(0..9_u32))), CONVERSATIONS), ENDPOINTS),
        begun in vec(vec(0..30_u64, 4), ENDPOINTS),
    ) {
        let mut log: Log = vec![Vec::new(); here_shards];
        for (conversation, step, time) in events {
            let events = &mut log[usize::from(here[conversation])];
            let position = events.last().map_or(0, |(position, ..)| *position) + step;
            events.push((position, conversation, time));
        }
        let mut told = Told::default();
        for endpoint in 0..ENDPOINTS {
            let name = format!("endpoint-{endpoint}");
            for (shard, position) in cursors[endpoint].iter().take(here_shards).enumerate() {
                let row = |position| CursorRow {
                    endpoint: name.clone(),
                    shard: Shard(shard as u16),
                    position: Position(position),
                    started: Position(begun[endpoint][shard].min(position)),
                };
                if let Some(cursor) = position.map(row) {
                    told.up_to(cursor);
                }
            }
            for (conversation, behind) in behind[endpoint].iter().enumerate() {
                if let Some((position, attempts)) = behind {
                    let time = Timestamp::from_millis(*position as i64);
                    let trouble = attempts.map(|attempts| Trouble { attempts, since: time, due: time });
                    told.but(name.clone(), conversation, Behind { told: Position(*position), trouble });
                }
            }
        }

        let (moved, retold) = migrate(&log, &told, &there, there_shards);
        let now = as_told(&retold);
        prop_assert_eq!(orders(&moved), orders(&log));
        prop_assert_eq!(counts(&moved, &now), counts(&log, &told));
        prop_assert_eq!(troubles(&moved, &now), troubles(&log, &told));
        // Of no event more, and if it was one log that is divided, of none less.
        let (before, after) = (started(&log, &told), started(&moved, &now));
        let mut each = before.iter().flatten().zip(after.iter().flatten());
        prop_assert!(each.all(|(before, after)| after <= before && (here_shards > 1 || after == before)));
        is_plain(&moved, &now, &retold);
        prop_assert!(retold.iter().all(|endpoint| endpoint.cursors.len() == there_shards));

        let (back, retold) = migrate(&moved, &now, &here, here_shards);
        let again = as_told(&retold);
        prop_assert_eq!(orders(&back), orders(&log));
        prop_assert_eq!(counts(&back, &again), counts(&log, &told));
        prop_assert_eq!(troubles(&back, &again), troubles(&log, &told));
        is_plain(&back, &again, &retold);
        prop_assert!(again.endpoints().eq(told.endpoints()));
    }
}
