//! Noted times: `Ledger::{note_time, position_at, time_of, forget}`.

use std::collections::BTreeMap;

use chat::event::{Position, Shard};
use chat::id::Timestamp;

use crate::fixtures::{all_at_once, at};
use crate::fresh::Fresh;

cases! {
    there_are_none_at_first,
    what_was_noted_is_found,
    a_shard_that_stands_still_has_one_note,
    shards_have_their_own,
    any_time_and_any_position_may_be_asked,
    what_a_later_note_takes_back_is_not_said_any_more,
    clocks_may_jump_and_nodes_may_be_late,
    those_before_a_time_are_forgotten,
    many_are_forgotten,
}

async fn position(store: &Fresh, time: i64) -> u64 {
    store.position_at(store.shards()[0], at(time)).await.unwrap().0
}

async fn time(store: &Fresh, position: u64) -> Option<Timestamp> {
    store.time_of(store.shards()[0], Position(position)).await.unwrap()
}

async fn note(store: &Fresh, time: i64, position: u64) {
    store.note_time(at(time), vec![(store.shards()[0], Position(position))]).await.unwrap();
}

async fn there_are_none_at_first(store: Fresh) {
    assert_eq!((position(&store, 0).await, time(&store, 10).await), (0, None));
    store.note_time(at(0), Vec::new()).await.unwrap();
    store.forget(at(0), at(0), 0).await.unwrap();
    assert_eq!((position(&store, 0).await, time(&store, 10).await), (0, None));
}

async fn what_was_noted_is_found(store: Fresh) {
    for (time, position) in [(10, 0), (20, 5), (30, 9)] {
        note(&store, time, position).await;
    }
    let store = store.reopen().await;
    for (time, found) in [(9, 0), (10, 0), (19, 0), (20, 5), (29, 5), (30, 9), (1000, 9)] {
        assert_eq!(position(&store, time).await, found, "at {time}");
    }
    for (position, found) in [(0, 10), (4, 10), (5, 20), (8, 20), (9, 30), (1000, 30)] {
        assert_eq!(time(&store, position).await, Some(at(found)), "of {position}");
    }
}

/// It is of the latest time: until then the log had come just there.
async fn a_shard_that_stands_still_has_one_note(store: Fresh) {
    for (time, position) in [(10, 3), (20, 7), (30, 7), (40, 7), (35, 7)] {
        note(&store, time, position).await;
    }
    assert_eq!((position(&store, 39).await, position(&store, 40).await), (3, 7));
    assert_eq!(
        (time(&store, 3).await, time(&store, 6).await, time(&store, 7).await),
        (Some(at(10)), Some(at(10)), Some(at(40)))
    );
}

async fn shards_have_their_own(store: Fresh) {
    let shards = [Shard(0), Shard(1), Shard(5)];
    store.note_time(at(10), vec![(shards[0], Position(3)), (shards[1], Position(8))]).await.unwrap();
    store.note_time(at(20), vec![(shards[1], Position(9)), (shards[0], Position(3))]).await.unwrap();
    let found = async |shard, time| store.position_at(shard, at(time)).await.unwrap().0;
    assert_eq!([found(shards[0], 10).await, found(shards[0], 20).await], [0, 3]);
    assert_eq!([found(shards[1], 10).await, found(shards[1], 20).await], [8, 9]);
    assert_eq!(found(shards[2], 20).await, 0);
    assert_eq!(store.time_of(shards[1], Position(8)).await.unwrap(), Some(at(10)));
    assert_eq!(store.time_of(shards[2], Position(8)).await.unwrap(), None);
}

async fn any_time_and_any_position_may_be_asked(store: Fresh) {
    let shard = store.shards()[0];
    note(&store, 10, 5).await;
    for (millis, found) in [(i64::MIN, 0), (i64::MAX, 5)] {
        assert_eq!(store.position_at(shard, Timestamp::from_millis(millis)).await.unwrap(), Position(found));
    }
    assert_eq!((time(&store, 4).await, time(&store, u64::MAX).await), (Some(at(10)), Some(at(10))));
    store.note_time(Timestamp::from_millis(i64::MIN), vec![(shard, Position(6))]).await.unwrap();
    assert_eq!(store.position_at(shard, Timestamp::from_millis(i64::MIN)).await.unwrap(), Position(6));
}

/// Notes as the port describes them.
#[derive(Default)]
struct Model(BTreeMap<u64, i64>);

impl Model {
    fn note(&mut self, time: i64, position: u64) {
        let latest = self.0.entry(position).or_insert(time);
        *latest = time.max(*latest);
    }

    fn position_at(&self, time: i64) -> u64 {
        self.0.iter().filter(|(_, noted)| **noted <= time).map(|(position, _)| *position).max().unwrap_or(0)
    }

    fn time_of(&self, position: u64) -> Option<i64> {
        let earlier = self.0.range(..=position).map(|(_, time)| *time).max();
        earlier.or(self.0.first_key_value().map(|(_, time)| *time))
    }

    /// The last of what was before stays.
    fn forget(&mut self, before: i64) {
        let last = self.position_at(before - 1);
        self.0.retain(|position, time| *time >= before || *position == last);
    }
}

async fn is_as(store: &Fresh, model: &Model, words: &str) {
    for time in -1..=31 {
        assert_eq!(position(store, time).await, model.position_at(time), "at {time} {words} {:?}", model.0);
    }
    for position in 0..=21 {
        let noted = model.time_of(position).map(at);
        assert_eq!(time(store, position).await, noted, "of {position} {words} {:?}", model.0);
    }
}

/// The clock was back, so that an early time was noted of a late position; then it is noted of a later time.
async fn what_a_later_note_takes_back_is_not_said_any_more(store: Fresh) {
    let mut model = Model::default();
    for (time, position) in [(18, 3), (20, 5), (22, 6), (10, 8), (19, 8), (21, 8), (30, 8)] {
        note(&store, time, position).await;
        model.note(time, position);
        is_as(&store, &model, &format!("after {position} at {time}")).await;
    }
}

/// Any order of times and positions; some notes are forgotten meanwhile.
async fn clocks_may_jump_and_nodes_may_be_late(store: Fresh) {
    let mut seed = 3_u64;
    let mut roll = |sides: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    let mut model = Model::default();
    for round in 0..50 {
        let (time, position) = (roll(30) as i64, 1 + roll(20));
        note(&store, time, position).await;
        model.note(time, position);
        if round % 2 == 0 {
            is_as(&store, &model, &format!("after {position} at {time}")).await;
        }
        if round % 10 == 9 {
            let before = roll(15) as i64;
            store.forget(at(0), at(before), 0).await.unwrap();
            model.forget(before);
            is_as(&store, &model, &format!("without what was before {before}")).await;
        }
    }
}

async fn those_before_a_time_are_forgotten(store: Fresh) {
    let mut model = Model::default();
    for (time, position) in [(10, 1), (12, 2), (3, 4), (14, 5), (15, 7), (4, 9), (20, 11)] {
        note(&store, time, position).await;
        model.note(time, position);
    }
    is_as(&store, &model, "at first").await;
    for before in [3, 4, 12, 15, 21] {
        store.forget(at(0), at(before), 0).await.unwrap();
        model.forget(before);
        is_as(&store, &model, &format!("without what was before {before}")).await;
    }
    assert_eq!(model.0.len(), 1, "the last one stays, however long ago it was");
}

/// More than one transaction removes.
async fn many_are_forgotten(store: Fresh) {
    let shards = store.shards();
    all_at_once(2300, |round| {
        let (store, shards) = (store.share(), shards.clone());
        let heads = shards.into_iter().take(2).map(move |shard| (shard, Position(round as u64 + 1)));
        async move { store.note_time(at(round as i64), heads.collect()).await.unwrap() }
    })
    .await;
    store.forget(at(0), at(2298), 0).await.unwrap();
    for shard in shards.into_iter().take(2) {
        assert_eq!(store.position_at(shard, at(2296)).await.unwrap(), Position(0));
        assert_eq!(store.position_at(shard, at(2297)).await.unwrap(), Position(2298));
        assert_eq!(store.time_of(shard, Position(1)).await.unwrap(), Some(at(2297)));
        assert_eq!(store.position_at(shard, at(2298)).await.unwrap(), Position(2299));
        assert_eq!(store.time_of(shard, Position(2300)).await.unwrap(), Some(at(2299)));
    }
}
