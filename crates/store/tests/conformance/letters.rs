//! Letters: `Ledger::{letters, count_letters, put_letters, remove_letters}`, and those that come with progress.

use std::collections::BTreeMap;

use chat::event::{Position, Shard, Subject};
use chat::id::Timestamp;
use webhook::ledger::{Letter, LetterCount, LetterQuery, LetterState, Progress};

use crate::fixtures::{NEARLY_EQUAL, NOW, all_at_once, at, direct, in_group};
use crate::fresh::Fresh;
use crate::ledger::{Cursors, lags, letter};

cases! {
    there_are_none_at_first,
    every_part_of_a_letter_is_kept,
    one_that_is_there_is_replaced,
    one_that_is_twice_in_a_save_is_as_it_was_said_last,
    what_is_not_there_can_be_removed,
    they_come_in_order_and_in_pages,
    a_page_may_begin_after_what_is_gone_and_with_another_endpoint,
    they_are_found_by_state_event_and_time,
    what_is_due_is_found_among_few_and_many,
    the_count_is_that_of_the_letters,
    many_are_written_and_removed_at_once,
    they_come_with_the_progress_that_leaves_them_behind,
    progress_that_fails_leaves_no_letter,
    they_are_kept,
    those_who_count_at_the_same_time_count_all,
}

/// All of a query, in pages of this size.
async fn pages(store: &Fresh, query: &LetterQuery, size: usize) -> Vec<Letter> {
    let mut query = LetterQuery { limit: size, ..query.clone() };
    let mut letters: Vec<Letter> = Vec::new();
    loop {
        let page = store.letters(&query).await.unwrap();
        assert!(page.len() <= size);
        let Some(last) = page.last() else { return letters };
        let next = Some((last.endpoint.clone(), last.shard, last.position));
        assert!(query.after < next, "it goes on");
        query.after = next;
        letters.extend(page);
    }
}

async fn all(store: &Fresh) -> Vec<Letter> {
    pages(store, &LetterQuery::default(), 10_000).await
}

fn of(endpoint: &str) -> LetterQuery {
    LetterQuery { endpoint: Some(endpoint.to_owned()), ..LetterQuery::default() }
}

async fn count(store: &Fresh, endpoint: &str) -> (u64, u64) {
    let LetterCount { dead, replay } = store.count_letters(endpoint).await.unwrap();
    (dead, replay)
}

fn again(letter: Letter) -> Letter {
    Letter { state: LetterState::Replay, ..letter }
}

async fn there_are_none_at_first(store: Fresh) {
    assert_eq!(all(&store).await, []);
    assert_eq!(count(&store, "app").await, (0, 0));
    store.put_letters(Vec::new()).await.unwrap();
    store.remove_letters("app", Vec::new()).await.unwrap();
    assert_eq!(all(&store).await, []);
}

async fn every_part_of_a_letter_is_kept(store: Fresh) {
    let shard = store.shards()[0];
    let subjects = [
        Subject::App,
        Subject::Account("a\"b".into()),
        direct("a", "b\n").into(),
        in_group("\u{1d41a}").into(),
        Subject::Conversation(crate::fixtures::in_topic("g", "t")),
    ];
    let mut written = Vec::new();
    for (number, subject) in subjects.into_iter().enumerate() {
        written.push(Letter {
            subject,
            state: if number % 2 == 0 { LetterState::Dead } else { LetterState::Replay },
            why: format!("why {number} \u{e9} '\""),
            attempts: [0, 1, u32::MAX][number % 3],
            at: [Timestamp::from_millis(0), NOW, Timestamp::from_millis(-1)][number % 3],
            command: format!("command {number}"),
            ..letter("app", shard, [0, 1, 2, i64::MAX.unsigned_abs() - 1, i64::MAX.unsigned_abs()][number])
        });
    }
    store.put_letters(written.clone()).await.unwrap();
    assert_eq!(all(&store).await, written);
}

async fn one_that_is_there_is_replaced(store: Fresh) {
    let shard = store.shards()[0];
    store.put_letters(vec![letter("app", shard, 7), letter("audit", shard, 7)]).await.unwrap();
    let changed = Letter { why: "the operator".into(), attempts: 0, ..again(letter("app", shard, 7)) };
    store.put_letters(vec![changed.clone()]).await.unwrap();
    assert_eq!(all(&store).await, [changed, letter("audit", shard, 7)]);
    assert_eq!((count(&store, "app").await, count(&store, "audit").await), ((0, 1), (1, 0)));
}

async fn one_that_is_twice_in_a_save_is_as_it_was_said_last(store: Fresh) {
    let shard = store.shards()[0];
    store.put_letters(vec![letter("app", shard, 7), again(letter("app", shard, 7))]).await.unwrap();
    assert_eq!(all(&store).await, [again(letter("app", shard, 7))]);
    assert_eq!(count(&store, "app").await, (0, 1));
}

async fn what_is_not_there_can_be_removed(store: Fresh) {
    let shard = store.shards()[0];
    store.put_letters(vec![letter("app", shard, 7), letter("app", shard, 8), letter("audit", shard, 7)]).await.unwrap();
    let places = [7, 7, 9, u64::MAX].map(|position| (shard, Position(position)));
    store.remove_letters("app", places.to_vec()).await.unwrap();
    store.remove_letters("app", vec![(Shard(shard.0 + 1), Position(8))]).await.unwrap();
    store.remove_letters("nobody", vec![(shard, Position(8))]).await.unwrap();
    assert_eq!(all(&store).await, [letter("app", shard, 8), letter("audit", shard, 7)]);
    assert_eq!(count(&store, "app").await, (1, 0));
}

/// By endpoint (as bytes), shard and position.
async fn they_come_in_order_and_in_pages(store: Fresh) {
    let shards = [Shard(0), Shard(1), Shard(9)];
    let mut written = Vec::new();
    for endpoint in NEARLY_EQUAL.into_iter().take(6).chain(["app", "audit"]) {
        for (shard, position) in shards.into_iter().zip([12, 3, 700]) {
            written.push(letter(endpoint, shard, position));
            written.push(again(letter(endpoint, shard, position + 1)));
        }
    }
    let mut shuffled = written.clone();
    shuffled.rotate_left(17);
    shuffled.reverse();
    store.put_letters(shuffled).await.unwrap();
    written.sort_by_key(|letter| (letter.endpoint.clone(), letter.shard, letter.position));
    let app: Vec<_> = written.iter().filter(|letter| letter.endpoint == "app").cloned().collect();
    let dead: Vec<_> = written.iter().filter(|letter| letter.state == LetterState::Dead).cloned().collect();
    for size in [1, 2, 5, 100, usize::MAX] {
        assert_eq!(pages(&store, &LetterQuery::default(), size).await, written, "{size}");
        assert_eq!(pages(&store, &of("app"), size).await, app, "{size}");
        let query = LetterQuery { state: Some(LetterState::Dead), ..LetterQuery::default() };
        assert_eq!(pages(&store, &query, size).await, dead, "{size}");
    }
    assert_eq!(store.letters(&LetterQuery::default()).await.unwrap(), [], "at most none");
}

async fn a_page_may_begin_after_what_is_gone_and_with_another_endpoint(store: Fresh) {
    let shard = Shard(1);
    let written = [letter("b", shard, 5), letter("b", shard, 9), letter("d", shard, 1)];
    store.put_letters(written.to_vec()).await.unwrap();
    let after = async |endpoint: Option<&str>, (name, shard, position): (&str, u16, u64)| {
        let after = Some((name.to_owned(), Shard(shard), Position(position)));
        let query = LetterQuery { endpoint: endpoint.map(Into::into), after, limit: 9, ..LetterQuery::default() };
        store.letters(&query).await.unwrap()
    };
    assert_eq!(after(None, ("b", 1, 6)).await, written[1..]);
    assert_eq!(after(None, ("b", 0, 100)).await, written);
    assert_eq!(after(None, ("b", 2, 0)).await, written[2..]);
    assert_eq!(after(None, ("c", 0, 0)).await, written[2..]);
    assert_eq!(after(None, ("e", 0, 0)).await, []);
    assert_eq!(after(Some("b"), ("b", 1, 5)).await, written[1..2]);
    assert_eq!(after(Some("b"), ("a", 7, 7)).await, written[..2]);
    assert_eq!(after(Some("b"), ("c", 0, 0)).await, []);
    assert_eq!(after(Some("b"), ("b", 1, u64::MAX)).await, []);
}

async fn they_are_found_by_state_event_and_time(store: Fresh) {
    let shard = store.shards()[0];
    let due = |millis, letter: Letter| Letter { at: at(millis), ..letter };
    let written = [
        due(10, letter("app", shard, 1)),
        due(20, again(letter("app", shard, 2))),
        due(30, again(letter("app", shard, 3))),
        due(20, again(letter("audit", shard, 2))),
        due(5, letter("audit", shard, 3)),
    ];
    store.put_letters(written.to_vec()).await.unwrap();
    let find = async |query: LetterQuery| {
        let found = store.letters(&LetterQuery { limit: 9, ..query }).await.unwrap();
        found.iter().map(|letter| written.iter().position(|other| other == letter).unwrap()).collect::<Vec<_>>()
    };
    let state = |state| LetterQuery { state: Some(state), ..LetterQuery::default() };
    let event = |position| LetterQuery { event: Some(letter("", shard, position).event), ..LetterQuery::default() };
    let by = |millis, query| LetterQuery { due_by: Some(at(millis)), ..query };
    let app = |query| LetterQuery { endpoint: Some("app".into()), ..query };
    assert_eq!(find(state(LetterState::Dead)).await, [0, 4]);
    assert_eq!(find(state(LetterState::Replay)).await, [1, 2, 3]);
    assert_eq!(find(app(state(LetterState::Replay))).await, [1, 2]);
    assert_eq!(find(event(2)).await, [1, 3]);
    assert_eq!(find(event(3)).await, [2, 4]);
    assert_eq!(find(event(4)).await, [0; 0]);
    assert_eq!(find(app(event(2))).await, [1]);
    assert_eq!(find(LetterQuery { event: event(3).event, ..state(LetterState::Dead) }).await, [4]);
    assert_eq!(find(by(29, LetterQuery { event: event(3).event, ..state(LetterState::Replay) })).await, [0; 0]);
    assert_eq!(find(by(10, LetterQuery::default())).await, [0, 4]);
    assert_eq!(find(by(20, state(LetterState::Replay))).await, [1, 3]);
    assert_eq!(find(by(19, app(state(LetterState::Replay)))).await, [0; 0]);
    assert_eq!(find(by(20, app(state(LetterState::Replay)))).await, [1]);
    assert_eq!(find(by(30, app(state(LetterState::Replay)))).await, [1, 2]);
    assert_eq!(find(by(10, app(LetterQuery::default()))).await, [0]);
    let after = Some(("app".to_owned(), shard, Position(2)));
    assert_eq!(find(LetterQuery { after: after.clone(), ..by(30, app(state(LetterState::Replay))) }).await, [2]);
    assert_eq!(find(LetterQuery { after, ..event(2) }).await, [3]);
}

async fn what_is_due_is_found_among_few_and_many(store: Fresh) {
    let shard = store.shards()[0];
    // Those of every third position are due later.
    let due = |position: u64| at(if position.is_multiple_of(3) { 1000 } else { 0 });
    let letters = (1..=7000).map(|position| Letter { at: due(position), ..again(letter("app", shard, position)) });
    store.put_letters(letters.collect()).await.unwrap();
    for (now, first) in [(-1, vec![]), (0, vec![1, 2, 4, 5, 7]), (1000, vec![1, 2, 3, 4, 5])] {
        let query = LetterQuery { state: Some(LetterState::Replay), due_by: Some(at(now)), limit: 5, ..of("app") };
        let found = store.letters(&query).await.unwrap();
        assert_eq!(found.iter().map(|letter| letter.position.0).collect::<Vec<_>>(), first);
    }
}

async fn the_count_is_that_of_the_letters(store: Fresh) {
    let mut model: BTreeMap<(&str, Shard, u64), LetterState> = BTreeMap::new();
    let shards = [Shard(0), Shard(1)];
    let mut seed = 7_u64;
    let mut roll = |sides: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    for round in 0..60 {
        let endpoint = ["app", "audit"][roll(2) as usize];
        let places: Vec<_> = (0..1 + roll(4)).map(|_| (shards[roll(2) as usize], roll(8))).collect();
        if roll(3) == 0 {
            model.retain(|(name, shard, position), _| *name != endpoint || !places.contains(&(*shard, *position)));
            let places = places.into_iter().map(|(shard, position)| (shard, Position(position))).collect();
            store.remove_letters(endpoint, places).await.unwrap();
        } else {
            let state = if roll(2) == 0 { LetterState::Dead } else { LetterState::Replay };
            let letters =
                places.iter().map(|(shard, position)| Letter { state, ..letter(endpoint, *shard, *position) });
            store.put_letters(letters.collect()).await.unwrap();
            model.extend(places.into_iter().map(|(shard, position)| ((endpoint, shard, position), state)));
        }
        for endpoint in ["app", "audit", "nobody"] {
            let of = |state| model.iter().filter(|((name, ..), found)| *name == endpoint && **found == state).count();
            let expected = (of(LetterState::Dead) as u64, of(LetterState::Replay) as u64);
            assert_eq!(count(&store, endpoint).await, expected, "{endpoint} in round {round}");
        }
        assert_eq!(all(&store).await.len(), model.len());
    }
}

async fn many_are_written_and_removed_at_once(store: Fresh) {
    let shard = store.shards()[0];
    store.put_letters((0..3500).map(|position| letter("app", shard, position)).collect()).await.unwrap();
    assert_eq!(count(&store, "app").await, (3500, 0));
    let places = (0..3499).map(|position| (shard, Position(position))).collect();
    store.remove_letters("app", places).await.unwrap();
    assert_eq!(count(&store, "app").await, (1, 0));
    assert_eq!(all(&store).await, [letter("app", shard, 3499)]);
}

async fn they_come_with_the_progress_that_leaves_them_behind(store: Fresh) {
    let shard = store.shards()[0];
    let subject = || Subject::from(in_group("g"));
    let progress = |cursor, behind, letters| Progress { cursor: Position(cursor), behind, letters };
    store.save_progress("app", shard, progress(9, vec![(subject(), lags(4))], Vec::new())).await.unwrap();
    let dead = vec![letter("app", shard, 5), letter("app", shard, 6)];
    store.save_progress("app", shard, progress(10, vec![(subject(), None)], dead.clone())).await.unwrap();
    assert_eq!(all(&store).await, dead);
    assert_eq!(count(&store, "app").await, (2, 0));
    assert_eq!(store.behind("app", shard).await.unwrap(), []);
    assert_eq!(store.told("app", shard).await.unwrap(), Some(Position(10)));
    // The same again, as after a crash.
    store.save_progress("app", shard, progress(10, vec![(subject(), None)], dead.clone())).await.unwrap();
    assert_eq!((all(&store).await, count(&store, "app").await), (dead, (2, 0)));
}

async fn progress_that_fails_leaves_no_letter(store: Fresh) {
    let shard = store.shards()[0];
    // SQLite has no place for such a position, and PostgreSQL none for such a name.
    let impossible = letter("nul\0", shard, u64::MAX);
    let letters = vec![letter("app", shard, 5), impossible];
    let behind = vec![(Subject::App, lags(3))];
    let progress = Progress { cursor: Position(9), behind, letters };
    assert!(store.save_progress("app", shard, progress).await.is_err());
    assert_eq!(all(&store).await, []);
    assert_eq!(count(&store, "app").await, (0, 0));
    assert_eq!(store.cursor("app", shard).await.unwrap(), None);
    assert_eq!(store.behind("app", shard).await.unwrap(), []);
}

async fn they_are_kept(store: Fresh) {
    let shard = store.shards()[0];
    let written = vec![letter("app", shard, 1), again(letter("app", shard, 2))];
    store.put_letters(written.clone()).await.unwrap();
    let store = store.reopen().await;
    assert_eq!(all(&store).await, written);
    assert_eq!(count(&store, "app").await, (1, 1));
}

async fn those_who_count_at_the_same_time_count_all(store: Fresh) {
    let shards = store.shards();
    all_at_once(24, |number| {
        let (store, shards) = (store.share(), shards.clone());
        async move {
            // Of several shards each, in different orders, and some the same as others write.
            let places = (0..12).map(|step| (shards[(number * 7 + step * 5) % shards.len()], step as u64));
            let letters: Vec<_> = places.map(|(shard, position)| letter("app", shard, position)).collect();
            store.put_letters(letters).await.unwrap();
        }
    })
    .await;
    assert_eq!(count(&store, "app").await, (all(&store).await.len() as u64, 0));
}
