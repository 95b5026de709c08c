//! Deliverers that do not run: each step is taken by hand, over a log and letters in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use chat::conversation::ConversationId;
use chat::event::{Event, GroupChange, LogEntry, Position, Subject};
use chat::group::GroupKind;
use chat::id::{EventId, GroupId};
use chat::message::Message;
use chat::{Actor, Origin};
use tokio::sync::watch;

use super::handle::Skipped;
use super::settings::{Order, TellingSettings, WhenFull};
use super::telling::Outcome;
use super::*;
use crate::endpoint::{Commands, EndpointSettings, OnFailure};
use crate::filter::{Criteria, Filter};
use crate::ledger::{
    Behind, Cursor, Gap, Letter, LetterCount, LetterQuery, LetterState, PauseReason, Progress, Trimmed, Trouble,
};
use crate::plain::{NOW, Nobody, Noon, Plain};
use crate::tunnel::forget::Forgetful;

const SHARD: Shard = Shard(0);

#[derive(Default)]
struct World {
    log: Mutex<Vec<LogEntry>>,
    letters: Mutex<BTreeMap<(Shard, Position), Letter>>,
    behind: Mutex<Vec<(Subject, Behind)>>,
    /// Where the cursor stands; none: at the beginning.
    cursor: Mutex<Position>,
}

fn subject(name: &str) -> Subject {
    ConversationId::Group(GroupId::from(name)).into()
}

impl World {
    /// Appends a message to a group.
    fn say(&self, group: &str) -> LogEntry {
        let mut log = self.log.lock().unwrap();
        let position = Position(log.len() as u64 + 1);
        let id = EventId::new(NOW, u128::from(position.0));
        let conversation = ConversationId::Group(GroupId::from(group));
        let message =
            Message { id, seq: position.0, time: NOW, created: NOW, ..Message::sample("alice", conversation) };
        let entry = LogEntry { shard: SHARD, position, event: Event::MessageSent(message), unread: None };
        log.push(entry.clone());
        entry
    }

    /// Makes an event a letter.
    fn write(&self, entry: &LogEntry, state: LetterState) -> Letter {
        let letter = Letter {
            endpoint: "app".into(),
            shard: entry.shard,
            position: entry.position,
            subject: entry.event.subject(),
            event: entry.event.id(),
            command: "Sent".into(),
            state,
            why: String::new(),
            attempts: 0,
            at: NOW,
        };
        self.letters.lock().unwrap().insert((letter.shard, letter.position), letter.clone());
        letter
    }
}

#[async_trait]
impl Log for World {
    fn shards(&self) -> Vec<Shard> {
        vec![SHARD]
    }

    fn shard_of(&self, _: &Subject) -> Shard {
        SHARD
    }

    async fn log_after(&self, _: Shard, after: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        let log = self.log.lock().unwrap();
        Ok(log.iter().filter(|entry| entry.position > after).take(limit).cloned().collect())
    }

    async fn log_of(
        &self,
        subject: &Subject,
        after: Position,
        up_to: Position,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        let log = self.log.lock().unwrap();
        let wanted =
            |entry: &&LogEntry| entry.position > after && entry.position <= up_to && entry.event.subject() == *subject;
        Ok(log.iter().filter(wanted).take(limit).cloned().collect())
    }

    async fn log_before(&self, subject: &Subject, before: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        let log = self.log.lock().unwrap();
        let wanted = |entry: &&LogEntry| entry.position < before && entry.event.subject() == *subject;
        Ok(log.iter().rev().filter(wanted).take(limit).cloned().collect())
    }

    fn head(&self, _: Shard) -> watch::Receiver<Position> {
        watch::channel(Position(self.log.lock().unwrap().len() as u64)).1
    }
}

#[async_trait]
impl Ledger for World {
    async fn cursor(&self, name: &str, _: Shard) -> Result<Option<Cursor>, Fault> {
        let cursor = Cursor { position: *self.cursor.lock().unwrap(), started: Position(0) };
        Ok((name == "app").then_some(cursor))
    }

    async fn behind(&self, _: &str, _: Shard) -> Result<Vec<(Subject, Behind)>, Fault> {
        Ok(self.behind.lock().unwrap().clone())
    }

    async fn save_progress(&self, _: &str, _: Shard, progress: Progress) -> Result<(), Fault> {
        let mut cursor = self.cursor.lock().unwrap();
        *cursor = progress.cursor.max(*cursor);
        let mut letters = self.letters.lock().unwrap();
        letters.extend(progress.letters.into_iter().map(|letter| ((letter.shard, letter.position), letter)));
        Ok(())
    }

    async fn pause(&self, endpoint: &str) -> Result<Option<Pause>, Fault> {
        Forgetful.pause(endpoint).await
    }

    async fn set_pause(&self, endpoint: &str, pause: Option<Pause>) -> Result<(), Fault> {
        Forgetful.set_pause(endpoint, pause).await
    }

    async fn letters(&self, query: &LetterQuery) -> Result<Vec<Letter>, Fault> {
        let letters = self.letters.lock().unwrap();
        let wanted = |letter: &&Letter| {
            query.state.is_none_or(|state| state == letter.state)
                && query.due_by.is_none_or(|time| letter.at <= time)
                && query
                    .after
                    .as_ref()
                    .is_none_or(|(_, shard, place)| (letter.shard, letter.position) > (*shard, *place))
        };
        Ok(letters.values().filter(wanted).take(query.limit).cloned().collect())
    }

    async fn count_letters(&self, _: &str) -> Result<LetterCount, Fault> {
        let letters = self.letters.lock().unwrap();
        let of = |state| letters.values().filter(|letter| letter.state == state).count() as u64;
        Ok(LetterCount { dead: of(LetterState::Dead), replay: of(LetterState::Replay) })
    }

    async fn put_letters(&self, letters: Vec<Letter>) -> Result<(), Fault> {
        let mut there = self.letters.lock().unwrap();
        there.extend(letters.into_iter().map(|letter| ((letter.shard, letter.position), letter)));
        Ok(())
    }

    async fn remove_letters(&self, _: &str, places: Vec<(Shard, Position)>) -> Result<(), Fault> {
        self.letters.lock().unwrap().retain(|place, _| !places.contains(place));
        Ok(())
    }

    async fn note_attempts(&self, attempts: Vec<Attempt>) -> Result<(), Fault> {
        Forgetful.note_attempts(attempts).await
    }

    async fn attempts(&self, event: EventId) -> Result<Vec<Attempt>, Fault> {
        Forgetful.attempts(event).await
    }

    async fn note_time(&self, now: Timestamp, heads: Vec<(Shard, Position)>) -> Result<(), Fault> {
        Forgetful.note_time(now, heads).await
    }

    async fn position_at(&self, shard: Shard, time: Timestamp) -> Result<Position, Fault> {
        Forgetful.position_at(shard, time).await
    }

    async fn time_of(&self, shard: Shard, position: Position) -> Result<Option<Timestamp>, Fault> {
        Forgetful.time_of(shard, position).await
    }

    async fn trim(
        &self,
        _: Shard,
        _: Position,
        _: Position,
        _: usize,
        _: Vec<(String, Position)>,
        _: Timestamp,
    ) -> Result<Trimmed, Fault> {
        Ok(Trimmed::default())
    }

    async fn gaps(&self, endpoint: &str) -> Result<Vec<Gap>, Fault> {
        Forgetful.gaps(endpoint).await
    }

    async fn forget(&self, _: Timestamp, _: Timestamp, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl Announcer for World {
    async fn announce(&self, _: &str, _: &Pause) -> Result<(), Fault> {
        Ok(())
    }
}

async fn open(world: &Arc<World>, telling: TellingSettings) -> Deliverer {
    let settings = EndpointSettings {
        name: "app".into(),
        commands: Commands::All,
        timeout: Duration::from_secs(1),
        on_failure: OnFailure::Allow,
        on_failures: Default::default(),
        by_command: BTreeMap::new(),
        telling,
        filter: Default::default(),
        headers: Default::default(),
        concurrency: 8,
        secret: None,
    };
    let endpoint = Arc::new(Endpoint::new(settings, Arc::new(Plain), Arc::new(Nobody)).unwrap());
    let parts = Parts { log: world.clone(), ledger: world.clone(), clock: Arc::new(Noon), announcer: world.clone() };
    Deliverer::open(endpoint, vec![SHARD], parts).await.unwrap().0
}

fn unordered() -> TellingSettings {
    TellingSettings { order: Order::Unordered, ..Default::default() }
}

fn attempted(outcome: Outcome) -> Attempted {
    Attempted { outcome, name: "test", time: NOW, took: Duration::ZERO, status: None, detail: String::new() }
}

/// What the next call is about.
fn next(deliverer: &mut Deliverer) -> Item {
    match deliverer.readers[0].lanes.next(1) {
        Some(Next::Tell(key, tellings)) => Item { reader: 0, key, tellings },
        other => panic!("there is nothing to tell: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_to_come_later_holds_no_cursor() {
    let later = attempted(Outcome::Later(Duration::from_secs(3600)));
    for telling in [TellingSettings::default(), unordered()] {
        let world = Arc::new(World::default());
        world.say("a");
        world.say("b");
        let is_ordered = telling.order == Order::Ordered;
        let mut deliverer = open(&world, telling).await;
        deliverer.read_ahead().await;
        for item in [next(&mut deliverer), next(&mut deliverer)] {
            deliverer.settle(item, &later, true, false);
        }
        let reader = &deliverer.readers[0];
        assert_eq!((reader.lanes.cursor(), reader.lanes.untold()), (Position(2), 0));
        let at = Timestamp::from_millis(NOW.millis() + 3_600_000);
        let letters: Vec<_> = reader.letters.iter().map(|letter| (letter.state, letter.at)).collect();
        assert_eq!(letters, if is_ordered { Vec::new() } else { vec![(LetterState::Replay, at); 2] });
    }
}

#[tokio::test(start_paused = true)]
async fn letters_are_counted_when_the_operator_changed_them() {
    let world = Arc::new(World::default());
    let place = {
        let letter = world.write(&world.say("a"), LetterState::Dead);
        (letter.shard, letter.position)
    };
    let telling = TellingSettings { max_dead: 1, when_full: WhenFull::Refuse, ..Default::default() };
    let mut deliverer = open(&world, telling).await;
    let pause = Pause { reason: PauseReason::Operator, detail: String::new(), since: NOW };
    deliverer.pause = Some(pause);
    deliverer.check_dead();
    assert!(deliverer.endpoint.is_full.load(std::sync::atomic::Ordering::Relaxed));
    world.remove_letters("app", vec![place]).await.unwrap();
    deliverer.obey(Instruction::LettersChanged).await;
    assert!(!deliverer.endpoint.is_full.load(std::sync::atomic::Ordering::Relaxed), "also while it is paused");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_resumed_is_not_paused_for_letters_that_are_gone() {
    let world = Arc::new(World::default());
    let letter = world.write(&world.say("a"), LetterState::Dead);
    let mut deliverer = open(&world, TellingSettings { max_dead: 1, ..Default::default() }).await;
    deliverer.check_dead();
    assert!(deliverer.pause.take().is_some());
    deliverer.is_announced = true;
    world.remove_letters("app", vec![(letter.shard, letter.position)]).await.unwrap();
    let (reply, answer) = tokio::sync::oneshot::channel();
    deliverer.is_pausing = false;
    deliverer.obey(Instruction::Resume(reply)).await;
    answer.await.unwrap().unwrap();
    deliverer.check_dead();
    assert_eq!(deliverer.pause, None);
}

#[tokio::test(start_paused = true)]
async fn the_log_is_read_a_page_at_a_time() {
    let world = Arc::new(World::default());
    (0..600).for_each(|number| drop(world.say(&number.to_string())));
    let mut deliverer = open(&world, TellingSettings::default()).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let ahead = deliverer.read_ahead().await;
        seen.push((ahead, deliverer.readers[0].lanes.untold()));
    }
    assert_eq!(
        seen,
        [(Ahead::HasMore, 256), (Ahead::HasMore, 512), (Ahead::HasMore, 600), (Ahead::CaughtUp, 600)],
        "calls may begin after each"
    );
}

#[tokio::test(start_paused = true)]
async fn refused_letters_of_one_subject_do_not_say_that_the_endpoint_is_down() {
    let refused = attempted(Outcome::Refused);
    for (groups, telling, is_down) in [
        (["a"; 8], TellingSettings::default(), false),
        (["a"; 8], unordered(), true),
        (["a", "b", "c", "d", "e", "f", "g", "h"], TellingSettings::default(), true),
    ] {
        let world = Arc::new(World::default());
        groups.iter().for_each(|group| drop(world.write(&world.say(group), LetterState::Replay)));
        *world.cursor.lock().unwrap() = Position(8);
        let order = telling.order;
        let mut deliverer = open(&world, telling).await;
        deliverer.letters.load(&deliverer.endpoint, &*world, NOW, &BTreeSet::new()).await;
        while let Some(letter) = deliverer.letters.next(order) {
            deliverer.settle_letter((letter.shard, letter.position), &refused);
        }
        assert_eq!(deliverer.health.is_down(), is_down, "{groups:?} {order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn letters_behind_a_page_of_refused_ones_are_tried_too() {
    let world = Arc::new(World::default());
    (0..300).for_each(|number| drop(world.write(&world.say(&number.to_string()), LetterState::Replay)));
    let deliverer = open(&world, TellingSettings::default()).await;
    let mut letters = deliverer.letters;
    let mut pages = Vec::new();
    for _ in 0..3 {
        letters.load(&deliverer.endpoint, &*world, NOW, &BTreeSet::new()).await;
        let mut places = Vec::new();
        while let Some(letter) = letters.next(Order::Ordered) {
            places.push(letter.position.0);
            letters.change((letter.shard, letter.position), |_| {});
        }
        pages.push((places[0], places.len()));
        let changes = letters.unsaved().unwrap();
        let result = letters::save(&deliverer.endpoint, &*world, &changes).await;
        letters.saved(changes, result);
        assert!(letters.is_due(Instant::now()), "the next page is read as soon as this one is saved");
    }
    assert_eq!(pages, [(1, 256), (257, 44), (1, 256)]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_wants_no_order_any_more_is_told_nothing_twice() {
    let world = Arc::new(World::default());
    (0..4).for_each(|_| drop(world.say("a")));
    *world.cursor.lock().unwrap() = Position(2);
    world.behind.lock().unwrap().push((subject("a"), Behind { told: Position(1), trouble: None }));
    let mut deliverer = open(&world, unordered()).await;
    deliverer.read_ahead().await;
    let mut told = Vec::new();
    while told.len() < 10 {
        let reader = &mut deliverer.readers[0];
        match reader.lanes.next(1) {
            Some(Next::Tell(key, tellings)) => {
                told.extend(tellings.iter().map(|telling| telling.entry.position.0));
                reader.lanes.done(&key, tellings.len());
            }
            Some(Next::Read(key, after, limit)) => {
                reader.read_lane(&deliverer.endpoint, &deliverer.parts, key, after, limit).await;
            }
            None => break,
        }
    }
    assert_eq!(told, [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_trouble_can_be_skipped_after_a_restart() {
    let world = Arc::new(World::default());
    let (first, second) = (world.say("a"), world.say("a"));
    *world.cursor.lock().unwrap() = Position(2);
    let due = Timestamp::from_millis(NOW.millis() + 1000);
    let trouble = Some(Trouble { attempts: 1, since: NOW, due });
    world.behind.lock().unwrap().push((subject("a"), Behind { told: Position(0), trouble }));
    let mut deliverer = open(&world, TellingSettings::default()).await;
    for (event, expected) in [
        (second.event.id(), Skipped::NotFailing),
        (first.event.id(), Skipped::Done),
        (first.event.id(), Skipped::NotFailing),
    ] {
        let (reply, answer) = tokio::sync::oneshot::channel();
        deliverer.obey(Instruction::Skip(event, reply)).await;
        assert_eq!(answer.await, Ok(expected));
    }
    let letters: Vec<_> = deliverer.readers[0].letters.iter().map(|letter| letter.position).collect();
    assert_eq!(letters, [Position(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_not_skipped_while_it_is_told_or_that_is_saved() {
    let world = Arc::new(World::default());
    let letter = world.write(&world.say("a"), LetterState::Replay);
    let mut deliverer = open(&world, TellingSettings::default()).await;
    deliverer.letters.load(&deliverer.endpoint, &*world, NOW, &BTreeSet::new()).await;
    assert_eq!(deliverer.skip(letter.event), Skipped::NotFailing);
    assert_eq!(deliverer.letters.next(Order::Ordered), None, "nor is it told while it is skipped");
    deliverer.letters.look_again();
    deliverer.letters.load(&deliverer.endpoint, &*world, NOW, &BTreeSet::new()).await;
    assert!(deliverer.letters.next(Order::Ordered).is_some());
    assert_eq!(deliverer.skip(letter.event), Skipped::Calling);
    deliverer.letters.change((letter.shard, letter.position), |_| {});
    assert_eq!(deliverer.skip(letter.event), Skipped::Calling);
    let changes = deliverer.letters.unsaved().unwrap();
    assert_eq!(deliverer.skip(letter.event), Skipped::Calling);
    deliverer.letters.saved(changes, Ok(()));
    assert_eq!(deliverer.skip(letter.event), Skipped::NotFailing);
}

#[tokio::test(start_paused = true)]
async fn a_save_that_breaks_off_is_no_other_save() {
    let world = Arc::new(World::default());
    world.say("a");
    let mut deliverer = open(&world, TellingSettings::default()).await;
    deliverer.read_ahead().await;
    let item = next(&mut deliverer);
    deliverer.make_letter(0, &item.key, LetterState::Dead, String::new(), 1, NOW);
    let broken = deliverer.background.spawn(async { panic!("a bug") });
    deliverer.doing.insert(broken.id(), Doing::Attempts);
    deliverer.is_noting = true;
    assert!(deliverer.save(), "there is a letter to save");
    assert_eq!(deliverer.background.len(), 2);
    while let Some(done) = deliverer.background.join_next_with_id().await {
        let was_broken = done.is_err();
        deliverer.done(done);
        if was_broken {
            assert!(!deliverer.is_noting);
            deliverer.readers[0].save_at_once();
            assert!(deliverer.readers[0].unsaved().is_none(), "the letter is not saved a second time");
        }
    }
    assert_eq!(world.letters.lock().unwrap().len(), 1);
    assert!(deliverer.doing.is_empty());
}

#[test]
fn what_a_group_changes_is_in_its_conversation() {
    let change = Event::GroupChanged(GroupChange {
        id: EventId::new(NOW, 1),
        group: GroupId::from("a"),
        kind: GroupKind::Public,
        actor: Actor::System,
        origin: Origin::default(),
        time: NOW,
        name: None,
        introduction: None,
        announcement: None,
        face_url: None,
    });
    let named = |name: &str| Criteria { conversations: [name.to_owned()].into(), ..Criteria::default() };
    let wants = |filter: Filter| filter.wants(&change, &Plain);
    assert!(wants(Filter { only: named("of a"), except: Criteria::default() }));
    assert!(!wants(Filter { only: named("of b"), except: Criteria::default() }));
    assert!(!wants(Filter { only: Criteria::default(), except: named("of a") }));
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_not_told_before_it_is_known_to_be_saved() {
    let world = Arc::new(World::default());
    let entry = world.say("a");
    let mut deliverer = open(&world, unordered()).await;
    deliverer.read_ahead().await;
    let item = next(&mut deliverer);
    deliverer.make_letter(0, &item.key, LetterState::Replay, String::new(), 1, NOW);
    // It is saved, and we do not know.
    world.write(&entry, LetterState::Replay);
    let progress = deliverer.readers[0].unsaved().unwrap();
    assert_eq!(progress.letters.len(), 1);
    for result in [Err(Fault::unavailable("the connection is gone")), Ok(())] {
        deliverer.letters.news();
        deliverer.start_calls().await;
        assert_eq!(deliverer.flights.len(), 0);
        deliverer.readers[0].saved("app", result);
        deliverer.readers[0].save_at_once();
        deliverer.readers[0].unsaved();
    }
    deliverer.letters.news();
    deliverer.start_calls().await;
    assert_eq!(deliverer.flights.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn time_does_not_go_back_for_letters() {
    let at = |seconds: i64| Timestamp::from_millis(NOW.millis() + 1000 * seconds);
    let mut letters = Letters::new(LetterCount::default());
    assert_eq!(letters.now(NOW), NOW);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(letters.now(at(-3600)), at(5), "the clock was set back");
    assert_eq!(letters.now(at(3600)), at(3600));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(letters.now(at(10)), at(3601));
}
