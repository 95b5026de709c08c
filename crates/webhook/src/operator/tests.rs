//! Finding, showing and replaying over a log and a ledger in memory. No deliverer runs: what it would do is done by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chat::Fault;
use chat::conversation::ConversationId;
use chat::event::{Event, LogEntry};
use chat::id::{GroupId, Timestamp};
use chat::message::Message;
use chat::port::{Clock, Log};
use chat::question::{Question, Verdict};
use http_body_util::Full;
use hyper::Request;
use tokio::sync::{Semaphore, watch};

use super::*;
use crate::asking::CommandSettings;
use crate::codec::{Call, Codec, Unreadable};
use crate::deliver::{Announcer, Deliverer};
use crate::endpoint::{Endpoint, EndpointSettings, OnFailure};
use crate::ledger::{Attempt, Behind, Cursor, Ledger, LetterCount, Progress, Trimmed};
use crate::plain::{Nobody, Noon, Plain};
use crate::transport::{Answer, CallFailure, Transport};

const HOUR: i64 = 3_600_000;
/// Now; events are older.
const NOW: i64 = 1_795_255_200_000;
const SHARDS: [Shard; 2] = [Shard(0), Shard(1)];

/// A log and a ledger.
#[derive(Default)]
struct World {
    log: Mutex<BTreeMap<(Shard, Position), LogEntry>>,
    /// How many events were read.
    read: Mutex<usize>,
    notes: Mutex<Vec<(Timestamp, Shard, Position)>>,
    letters: Mutex<BTreeMap<(String, Shard, Position), Letter>>,
    /// Written in how many transactions.
    puts: Mutex<Vec<usize>>,
    cursors: Mutex<BTreeMap<(String, Shard), Cursor>>,
    behind: Mutex<Vec<(chat::event::Subject, Behind)>>,
    gaps: Mutex<Vec<Gap>>,
    attempts: Mutex<Vec<Attempt>>,
    /// Messages that waited for a verdict, and when that came.
    decided: Mutex<BTreeMap<EventId, Timestamp>>,
    /// Letters that are counted and not there.
    claimed: Mutex<u64>,
    /// Writing letters fails from this time on, counted from 1.
    fails_from: Mutex<Option<usize>>,
    /// Writing letters waits for a permit of this.
    gate: Mutex<Option<Arc<Semaphore>>>,
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

impl World {
    /// Appends a message to a group, sent then.
    fn say(&self, shard: Shard, group: &str, time: i64, number: u128) -> LogEntry {
        self.say_with(shard, group, time, EventId::new(at(time), number))
    }

    fn say_with(&self, shard: Shard, group: &str, time: i64, id: EventId) -> LogEntry {
        let mut log = self.log.lock().unwrap();
        let last = log.range((shard, Position(0))..=(shard, Position(u64::MAX))).next_back();
        let position = Position(last.map_or(1, |((_, position), _)| position.0 + 1));
        let conversation = ConversationId::Group(GroupId::from(group));
        let message = Message {
            id,
            seq: position.0,
            time: at(time),
            created: at(time),
            ..Message::sample("alice", conversation)
        };
        let entry = LogEntry { shard, position, event: Event::MessageSent(message), unread: None };
        log.insert((shard, position), entry.clone());
        entry
    }

    fn note(&self, time: i64, shard: Shard, position: u64) {
        self.notes.lock().unwrap().push((at(time), shard, Position(position)));
    }

    /// An endpoint is told up to there, and was there from the beginning.
    fn told(&self, endpoint: &str, shard: Shard, position: u64) {
        let cursor = Cursor { position: Position(position), started: Position(0) };
        self.cursors.lock().unwrap().insert((endpoint.to_owned(), shard), cursor);
    }

    fn states(&self) -> Vec<(String, u64, LetterState)> {
        let letters = self.letters.lock().unwrap();
        letters.values().map(|letter| (letter.endpoint.clone(), letter.position.0, letter.state)).collect()
    }
}

#[async_trait]
impl Log for World {
    fn shards(&self) -> Vec<Shard> {
        SHARDS.to_vec()
    }

    fn shard_of(&self, _: &chat::event::Subject) -> Shard {
        SHARDS[0]
    }

    async fn log_after(&self, shard: Shard, after: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        let log = self.log.lock().unwrap();
        let range = log.range((shard, Position(after.0 + 1))..=(shard, Position(u64::MAX)));
        let found: Vec<_> = range.map(|(_, entry)| entry.clone()).take(limit).collect();
        *self.read.lock().unwrap() += found.len();
        Ok(found)
    }

    async fn log_of(
        &self,
        _: &chat::event::Subject,
        _: Position,
        _: Position,
        _: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        Ok(Vec::new())
    }

    async fn log_before(&self, _: &chat::event::Subject, _: Position, _: usize) -> Result<Vec<LogEntry>, Fault> {
        Ok(Vec::new())
    }

    fn head(&self, shard: Shard) -> watch::Receiver<Position> {
        let log = self.log.lock().unwrap();
        let last = log.range((shard, Position(0))..=(shard, Position(u64::MAX))).next_back();
        watch::channel(last.map(|((_, position), _)| *position).unwrap_or_default()).1
    }
}

#[async_trait]
impl Ledger for World {
    async fn decided_at(&self, event: EventId) -> Result<Option<Timestamp>, Fault> {
        Ok(self.decided.lock().unwrap().get(&event).copied())
    }

    async fn cursor(&self, endpoint: &str, shard: Shard) -> Result<Option<Cursor>, Fault> {
        Ok(self.cursors.lock().unwrap().get(&(endpoint.to_owned(), shard)).copied())
    }

    async fn behind(&self, _: &str, _: Shard) -> Result<Vec<(chat::event::Subject, Behind)>, Fault> {
        Ok(self.behind.lock().unwrap().clone())
    }

    async fn save_progress(&self, endpoint: &str, shard: Shard, progress: Progress) -> Result<(), Fault> {
        let cursor = Cursor { position: progress.cursor, started: progress.cursor };
        self.cursors.lock().unwrap().entry((endpoint.to_owned(), shard)).or_insert(cursor);
        Ok(())
    }

    async fn pause(&self, _: &str) -> Result<Option<Pause>, Fault> {
        Ok(None)
    }

    async fn set_pause(&self, _: &str, _: Option<Pause>) -> Result<(), Fault> {
        Ok(())
    }

    async fn letters(&self, query: &LetterQuery) -> Result<Vec<Letter>, Fault> {
        let letters = self.letters.lock().unwrap();
        let wanted = |letter: &&Letter| {
            query.endpoint.as_ref().is_none_or(|own| *own == letter.endpoint)
                && query.state.is_none_or(|own| own == letter.state)
                && query.event.is_none_or(|own| own == letter.event)
        };
        let is_after = |key: &(String, Shard, Position)| query.after.as_ref().is_none_or(|after| key > after);
        let after = letters.iter().filter(|(key, _)| is_after(key)).map(|(_, letter)| letter);
        Ok(after.filter(wanted).take(query.limit).cloned().collect())
    }

    async fn count_letters(&self, endpoint: &str) -> Result<LetterCount, Fault> {
        let letters = self.letters.lock().unwrap();
        let of = |state| letters.values().filter(|one| one.endpoint == endpoint && one.state == state).count() as u64;
        let claimed = *self.claimed.lock().unwrap();
        Ok(LetterCount { dead: of(LetterState::Dead) + claimed, replay: of(LetterState::Replay) })
    }

    async fn put_letters(&self, letters: Vec<Letter>) -> Result<(), Fault> {
        self.puts.lock().unwrap().push(letters.len());
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        let puts = self.puts.lock().unwrap().len();
        if self.fails_from.lock().unwrap().is_some_and(|from| puts >= from) {
            return Err(Fault::unavailable("the database is away"));
        }
        let mut there = self.letters.lock().unwrap();
        there.extend(letters.into_iter().map(|one| ((one.endpoint.clone(), one.shard, one.position), one)));
        Ok(())
    }

    async fn remove_letters(&self, _: &str, _: Vec<(Shard, Position)>) -> Result<(), Fault> {
        Ok(())
    }

    async fn note_attempts(&self, _: Vec<Attempt>) -> Result<(), Fault> {
        Ok(())
    }

    async fn attempts(&self, event: EventId) -> Result<Vec<Attempt>, Fault> {
        Ok(self.attempts.lock().unwrap().iter().filter(|attempt| attempt.event == event).cloned().collect())
    }

    async fn note_time(&self, _: Timestamp, _: Vec<(Shard, Position)>) -> Result<(), Fault> {
        Ok(())
    }

    async fn position_at(&self, shard: Shard, time: Timestamp) -> Result<Position, Fault> {
        let notes = self.notes.lock().unwrap();
        let early = notes.iter().filter(|(noted, of, _)| *noted <= time && *of == shard);
        Ok(early.map(|(.., position)| *position).max().unwrap_or_default())
    }

    async fn time_of(&self, _: Shard, _: Position) -> Result<Option<Timestamp>, Fault> {
        Ok(None)
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
        Ok(self.gaps.lock().unwrap().iter().filter(|gap| gap.endpoint == endpoint).cloned().collect())
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

/// Asks about messages.
struct Curious;

impl Codec for Curious {
    fn knows(&self, command: &str) -> bool {
        self.commands().contains(&command)
    }

    fn commands(&self) -> Vec<&'static str> {
        vec!["Ask", "Ask too"]
    }

    fn is_question(&self, _: &str) -> bool {
        true
    }

    fn asks(&self, _: &Question) -> &'static [&'static str] {
        &["Ask", "Ask too"]
    }

    fn question(&self, command: &'static str, question: &Question) -> Call {
        Plain.question(command, question)
    }

    fn verdict(&self, _: &'static str, _: &Question, _: &[u8]) -> Result<Verdict, Unreadable> {
        Ok(Verdict::Allow)
    }

    fn tells(&self, _: &Event) -> Option<&'static str> {
        None
    }

    fn telling(&self, command: &'static str, entry: &LogEntry) -> Result<Call, Fault> {
        Plain.telling(command, entry)
    }

    fn url(&self, call: &Call, now: Timestamp) -> String {
        Plain.url(call, now)
    }

    fn acknowledges(&self, _: &[u8]) -> bool {
        true
    }
}

/// Never answers.
struct Silence;

#[async_trait]
impl Transport for Silence {
    async fn exchange(&self, _: Request<Full<Bytes>>) -> Result<Answer, CallFailure> {
        std::future::pending().await
    }
}

fn settings(name: &str) -> EndpointSettings {
    EndpointSettings {
        name: name.to_owned(),
        commands: Commands::All,
        timeout: Duration::from_secs(1),
        on_failure: OnFailure::Allow,
        on_failures: Default::default(),
        by_command: BTreeMap::new(),
        telling: Default::default(),
        filter: Default::default(),
        headers: Default::default(),
        concurrency: 1,
        secret: None,
    }
}

/// Endpoints by these names, which were there before the first event, and the deliverers that do not run.
async fn operator(world: &Arc<World>, names: &[(&str, Commands)]) -> (Arc<Operator>, Vec<Deliverer>) {
    let clock: Arc<dyn Clock> = Arc::new(Noon);
    let parts = Parts { log: world.clone(), ledger: world.clone(), clock, announcer: world.clone() };
    let (mut handles, mut deliverers) = (Vec::new(), Vec::new());
    for (name, commands) in names {
        let settings = EndpointSettings { commands: commands.clone(), ..settings(name) };
        let endpoint = Arc::new(Endpoint::new(settings, Arc::new(Plain), Arc::new(Nobody)).unwrap());
        let (deliverer, handle) = Deliverer::open(endpoint, SHARDS.to_vec(), parts.clone()).await.unwrap();
        deliverers.push(deliverer);
        handles.push(handle);
    }
    (Arc::new(Operator::new(handles, parts)), deliverers)
}

async fn app(world: &Arc<World>) -> (Arc<Operator>, Vec<Deliverer>) {
    operator(world, &[("app", Commands::All)]).await
}

fn replay(selection: Selection) -> Replay {
    Replay { endpoints: Vec::new(), selection, dry_run: false }
}

fn letter(endpoint: &str, entry: &LogEntry, state: LetterState) -> Letter {
    Letter {
        endpoint: endpoint.to_owned(),
        shard: entry.shard,
        position: entry.position,
        subject: entry.event.subject(),
        event: entry.event.id(),
        command: "Sent".to_owned(),
        state,
        why: "bad_status 500: no".to_owned(),
        attempts: 10,
        at: at(NOW - HOUR),
    }
}

fn put(world: &World, letter: Letter) {
    let key = (letter.endpoint.clone(), letter.shard, letter.position);
    world.letters.lock().unwrap().insert(key, letter);
}

#[tokio::test]
async fn an_id_means_an_event_and_perhaps_an_endpoint() {
    let world = Arc::new(World::default());
    let (operator, _kept) = operator(&world, &[("app", Commands::All), ("app.eu", Commands::All)]).await;
    let event = "019aa5c1d2e37f0a8f54c1b2d3e4f506";
    for (text, endpoint) in [
        (event.to_owned(), None),
        (format!("{event}.app"), Some("app")),
        (format!("{event}.app.eu"), Some("app.eu")),
        (format!("{event}.app+7"), Some("app")),
        (format!("{event}.app.eu.C2C.CallbackBeforeSendMsg"), Some("app.eu")),
        (format!("{event}.app.C2C.CallbackBeforeSendMsg"), Some("app")),
    ] {
        let id = operator.read_id(&text).unwrap();
        assert_eq!(id.reference, find::Reference::Event(EventId::parse(event).unwrap()), "{text}");
        assert_eq!(id.endpoint.as_deref(), endpoint, "{text}");
    }
    let place = operator.read_id("1:42").unwrap();
    assert_eq!(place.reference, find::Reference::Place(Shard(1), Position(42)));
    for (text, words) in [
        ("", "right would be a webhook-id"),
        ("1:x", "right would be a webhook-id"),
        ("019aa5c1d2e37f0a8f54c1b2d3e4f506.apps", "there is no endpoint \"apps\"; there is app, app.eu"),
        ("test-019aa5c1d2e37f0a8f54c1b2d3e4f506.app", "was a test"),
    ] {
        let error = operator.read_id(text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

/// The time in the id leads to it, by the notes or, where those are forgotten, by the events themselves.
#[tokio::test]
async fn an_event_is_found_by_the_time_in_its_id() {
    let world = Arc::new(World::default());
    let mut wanted = None;
    for number in 0..20_000_u32 {
        // One event a second; each third pair is in the wrong order, as if the first had been asked about for long.
        let late = if number % 3 == 1 { 30_000 } else { 0 };
        let entry = world.say(
            Shard((number % 2) as u16),
            "g",
            NOW - 20 * HOUR + i64::from(number) * 1000 - late,
            number.into(),
        );
        if number == 12_345 {
            wanted = Some(entry);
        }
    }
    let wanted = wanted.unwrap();
    let (operator, _kept) = app(&world).await;
    *world.read.lock().unwrap() = 0;
    let id = operator.read_id(&wanted.event.id().to_string()).unwrap();
    assert_eq!(operator.find(&id).await.unwrap(), wanted);
    let searched = std::mem::take(&mut *world.read.lock().unwrap());
    assert!(searched < 5_000, "{searched} of 20,000 events were read");

    // With notes less is read, and none before them.
    world.note(wanted.event.time().millis(), wanted.shard, wanted.position.0 - 5);
    world.note(wanted.event.time().millis(), Shard(1 - wanted.shard.0), wanted.position.0 - 5);
    assert_eq!(operator.find(&id).await.unwrap(), wanted);
    assert!(*world.read.lock().unwrap() <= 2_000);
    // A note from after it would be wrong to begin with.
    world.note(wanted.event.time().millis() + 1, wanted.shard, wanted.position.0);
    assert_eq!(operator.find(&id).await.unwrap(), wanted);
}

/// It kept its id, and got the time of its verdict.
#[tokio::test]
async fn a_message_that_waited_for_a_verdict_is_found_by_its_id() {
    let world = Arc::new(World::default());
    // More than a page of others, after that time and before the verdict.
    for number in 0..3_000_u32 {
        world.say(Shard(0), "g", NOW - 2 * HOUR, number.into());
    }
    let waited = world.say_with(Shard(0), "g", NOW - HOUR, EventId::new(at(NOW - 3 * HOUR), u128::MAX));
    world.say(Shard(0), "g", NOW, 1);
    let (operator, _kept) = app(&world).await;
    let id = operator.read_id(&waited.event.id().to_string()).unwrap();
    let error = operator.find(&id).await.unwrap_err().to_string();
    assert!(error.contains("waited for a verdict"), "{error}");
    world.decided.lock().unwrap().insert(waited.event.id(), at(NOW - HOUR));
    assert_eq!(operator.find(&id).await.unwrap(), waited);
}

#[tokio::test]
async fn what_is_not_found_is_said_in_words_and_after_a_bounded_search() {
    let world = Arc::new(World::default());
    for number in 0..101_500_u32 {
        world.say(Shard(0), "g", NOW - HOUR, number.into());
    }
    let (operator, _kept) = app(&world).await;
    *world.read.lock().unwrap() = 0;
    let unknown = EventId::new(at(NOW - HOUR), u128::MAX);
    let error = operator.show(&unknown.to_string()).await.unwrap_err();
    assert!(
        error.to_string().contains("among the 100000 events") && error.to_string().contains("<shard>:<position>"),
        "{error}"
    );
    assert!(*world.read.lock().unwrap() < 101_000);
    // Everything is later than this by more than a quarter of an hour.
    let early = EventId::new(at(NOW - 2 * HOUR), 1);
    let error = operator.show(&early.to_string()).await.unwrap_err().to_string();
    assert!(error.contains("not in the 15 minutes after"), "{error}");

    // By place: beyond the end, removed, removed before somebody was told.
    for (id, words) in [("0:101501", "goes from 1 to 101500"), ("0:0", "goes from 1"), ("7:1", "no shard 7")] {
        let error = operator.show(id).await.unwrap_err().to_string();
        assert!(error.contains(words), "{id}: {error}");
    }
    world.log.lock().unwrap().remove(&(Shard(0), Position(5)));
    world.log.lock().unwrap().remove(&(Shard(0), Position(9)));
    let gap =
        Gap { endpoint: "app".to_owned(), shard: Shard(0), after: Position(5), up_to: Position(9), time: at(NOW) };
    world.gaps.lock().unwrap().push(gap);
    let error = operator.show("0:5").await.unwrap_err().to_string();
    assert!(error.contains("no longer in the log") && !error.contains("gap"), "{error}");
    let error = operator.show("0:9").await.unwrap_err().to_string();
    assert!(error.contains("before app was told of it"), "{error}");
}

#[tokio::test]
async fn what_became_of_an_event_is_told_apart() {
    let world = Arc::new(World::default());
    let all: Vec<_> = (0..4).map(|number| world.say(Shard(0), "g", NOW - HOUR, number)).collect();
    let (operator, _kept) =
        operator(&world, &[("app", Commands::All), ("other", Commands::Only(BTreeSet::from(["Other".to_owned()])))])
            .await;
    let started = Cursor { position: Position(3), started: Position(1) };
    world.cursors.lock().unwrap().insert(("app".to_owned(), Shard(0)), started);
    put(&world, letter("app", &all[2], LetterState::Dead));
    let mut states = Vec::new();
    for entry in &all[..3] {
        let shown = operator.show(&entry.event.id().to_string()).await.unwrap();
        assert_eq!(shown.endpoints[1].state, Owed::NotOwed);
        assert!(shown.endpoints[1].why.contains("does not subscribe to Sent"), "{shown:?}");
        let request = shown.endpoints[0].request.as_ref().map(|request| request.url.clone());
        states.push((shown.endpoints[0].state, request));
    }
    let url = Some("http://receiver.test/?token=…".to_owned());
    assert_eq!(states, [(Owed::NotOwed, None), (Owed::Told, url.clone()), (Owed::Dead, url.clone())]);

    // A subject that lags behind the cursor is told only so far.
    let behind = Behind { told: Position(1), trouble: None };
    world.behind.lock().unwrap().push((all[1].event.subject(), behind));
    let told = operator.told("app", Shard(0)).await.unwrap().unwrap();
    assert!(!told.is_told(&all[1]) && told.is_told(&all[0]));
}

/// Its letter is shown, however many there are of endpoints that are not configured any more.
#[tokio::test]
async fn letters_of_forgotten_endpoints_hide_none() {
    let world = Arc::new(World::default());
    let entry = world.say(Shard(0), "g", NOW - HOUR, 1);
    let (operator, _kept) = app(&world).await;
    for name in ["a", "aa", "aaa", "app"] {
        put(&world, letter(name, &entry, LetterState::Dead));
    }
    let shown = operator.show(&entry.event.id().to_string()).await.unwrap();
    assert_eq!(shown.endpoints.len(), 1);
    assert_eq!((shown.endpoints[0].state, shown.endpoints[0].refused), (Owed::Dead, 10));
}

/// Refused is what was answered with a no: not what nobody answered, nor what was accepted and replayed.
#[tokio::test]
async fn what_was_never_refused_is_not_said_to_be() {
    let world = Arc::new(World::default());
    let entry = world.say(Shard(0), "g", NOW - HOUR, 1);
    let (operator, _kept) = app(&world).await;
    world.told("app", Shard(0), 1);
    let outcomes =
        ["unreachable", "timeout", "told", "bad_status", "not_acknowledged", "busy", "gone", "told", "bad_status"];
    let noted = outcomes.iter().zip(0..).map(|(outcome, second)| Attempt {
        endpoint: "app".to_owned(),
        event: entry.event.id(),
        command: "Sent".to_owned(),
        time: at(NOW - HOUR + second * 1000),
        took: 5,
        outcome: (*outcome).to_owned(),
        status: None,
        detail: String::new(),
    });
    *world.attempts.lock().unwrap() = noted.collect();
    for (known, refused) in [(9, 3), (8, 3), (3, 0)] {
        world.attempts.lock().unwrap().truncate(known);
        let shown = operator.show(&entry.event.id().to_string()).await.unwrap();
        assert_eq!((shown.endpoints[0].state, shown.endpoints[0].refused), (Owed::Told, refused), "{known}");
    }
}

/// A test waits as long as a question of that command would.
#[tokio::test(start_paused = true)]
async fn a_test_has_the_deadline_of_its_command() {
    let own = CommandSettings { timeout: Some(Duration::from_secs(7)), ..CommandSettings::default() };
    let settings = EndpointSettings { by_command: BTreeMap::from([("Ask".to_owned(), own)]), ..settings("app") };
    let endpoint = Endpoint::new(settings, Arc::new(Curious), Arc::new(Silence)).unwrap();
    for (command, seconds) in [("Ask", 7), ("Ask too", 1)] {
        let began = tokio::time::Instant::now();
        let tested = test(&endpoint, &Noon, command).await.unwrap();
        assert_eq!((tested.outcome, tested.deadline_millis), ("timeout", seconds * 1000), "{command}");
        assert_eq!(began.elapsed().as_secs(), seconds, "{command}");
    }
}

#[tokio::test]
async fn what_was_told_is_replayed_and_what_is_coming_is_not() {
    let world = Arc::new(World::default());
    let (operator, _kept) =
        operator(&world, &[("app", Commands::All), ("other", Commands::Only(BTreeSet::from(["Other".to_owned()])))])
            .await;
    let all: Vec<_> =
        (0..5_u8).map(|number| world.say(Shard(0), "g", NOW - HOUR + i64::from(number), number.into())).collect();
    world.told("app", Shard(0), 4);
    put(&world, letter("app", &all[1], LetterState::Dead));
    put(&world, letter("app", &all[2], LetterState::Replay));
    let hour = Selection::Times(at(NOW - HOUR), at(NOW));
    let expected =
        ReplayOf { endpoint: "app".to_owned(), letters: 4, from_dead: 1, already: 1, coming: 1, not_owed: 0 };

    let dry = operator.replay(&Replay { dry_run: true, ..replay(hour.clone()) }).await.unwrap();
    assert_eq!((dry.endpoints[0].clone(), dry.first.len(), dry.dry_run), (expected.clone(), 4, true));
    assert_eq!((dry.endpoints[1].letters, dry.endpoints[1].not_owed), (0, 5));
    assert!(world.puts.lock().unwrap().is_empty(), "nothing is written");

    let done = operator.replay(&replay(hour.clone())).await.unwrap();
    assert_eq!(done.endpoints[0], expected);
    let states: Vec<_> = (1..=4).map(|position| ("app".to_owned(), position, LetterState::Replay)).collect();
    assert_eq!(world.states(), states);
    let letters = world.letters.lock().unwrap().values().cloned().collect::<Vec<_>>();
    assert!(
        letters.iter().all(|one| one.attempts == 0 && one.at == at(NOW) && one.why.contains("replayed")),
        "{letters:?}"
    );

    // Once more is the same.
    let again = operator.replay(&replay(hour)).await.unwrap();
    assert_eq!((again.endpoints[0].letters, again.endpoints[0].already), (4, 4));
    assert_eq!(world.states(), states);
    // An endpoint that was not there yet is owed nothing.
    let newer = Cursor { position: Position(4), started: Position(4) };
    world.cursors.lock().unwrap().insert(("app".to_owned(), Shard(0)), newer);
    world.letters.lock().unwrap().clear();
    let none = operator.replay(&replay(Selection::Times(at(NOW - HOUR), at(NOW)))).await.unwrap();
    assert_eq!((none.endpoints[0].letters, none.endpoints[0].not_owed, none.endpoints[0].coming), (0, 4, 1));
    world.told("app", Shard(0), 4);
    // The range is exact.
    let one = Selection::Times(at(NOW - HOUR + 3), at(NOW - HOUR + 3));
    assert_eq!(operator.replay(&replay(one)).await.unwrap().endpoints[0].letters, 1);
}

#[tokio::test]
async fn single_events_are_replayed_to_whom_they_name() {
    let world = Arc::new(World::default());
    let (operator, _kept) = operator(&world, &[("one", Commands::All), ("two", Commands::All)]).await;
    let all: Vec<_> = (0..3_u8).map(|number| world.say(Shard(1), "g", NOW - HOUR, number.into())).collect();
    world.told("one", Shard(1), 3);
    world.told("two", Shard(1), 3);
    let ids = vec![format!("{}.two", all[0].event.id()), all[2].event.id().to_string(), "1:3".to_owned()];
    operator.replay(&replay(Selection::Events(ids.clone()))).await.unwrap();
    let places: Vec<_> = world.states().into_iter().map(|(endpoint, position, _)| (endpoint, position)).collect();
    assert_eq!(places, [("one".to_owned(), 3), ("two".to_owned(), 1), ("two".to_owned(), 3)]);

    let error = operator.replay(&Replay { endpoints: vec!["one".to_owned()], ..replay(Selection::Events(ids)) }).await;
    assert!(
        matches!(&error, Err(OperatorError::Invalid(words)) if words.contains("names the endpoint \"two\"")),
        "{error:?}"
    );
    let unknown = Selection::Events(vec!["1:4".to_owned()]);
    assert!(matches!(operator.replay(&replay(unknown)).await, Err(OperatorError::NotFound(_))));
    let many = Selection::Events(vec!["1:1".to_owned(); 1001]);
    assert!(matches!(operator.replay(&replay(many)).await, Err(OperatorError::Invalid(_))));
}

#[tokio::test]
async fn dead_letters_are_replayed_page_by_page() {
    let world = Arc::new(World::default());
    let (operator, _kept) = operator(&world, &[("app", Commands::All), ("other", Commands::All)]).await;
    for number in 0..2_500_u32 {
        let time = if number < 100 { NOW - 2 * HOUR } else { NOW - HOUR };
        let entry = world.say(Shard(0), "g", time, number.into());
        let state = if number % 2 == 0 { LetterState::Dead } else { LetterState::Replay };
        put(&world, letter("app", &entry, state));
        put(&world, letter("other", &entry, LetterState::Dead));
    }
    let dead = Replay { endpoints: vec!["app".to_owned()], ..replay(Selection::Dead(at(NOW - HOUR), at(NOW))) };
    let done = operator.replay(&dead).await.unwrap();
    assert_eq!((done.endpoints.len(), done.endpoints[0].letters, done.endpoints[0].from_dead), (1, 1_200, 1_200));
    assert!(world.puts.lock().unwrap().iter().all(|size| *size <= 1000));
    let left =
        world.states().into_iter().filter(|(endpoint, _, state)| endpoint == "app" && *state == LetterState::Dead);
    assert_eq!(left.count(), 50, "those that are older stay");
    assert_eq!(operator.dead(Some("app"), None, 1000).await.unwrap().letters.len(), 50);

    let first = operator.dead(None, None, 60).await.unwrap();
    let second = operator.dead(None, first.next.as_deref(), 60).await.unwrap();
    assert_eq!((first.letters.len(), first.letters[50].endpoint.as_str()), (60, "other"));
    assert_eq!(second.letters[0].position.0, first.letters[59].position.0 + 1);
    assert_eq!((first.dead["app"], first.dead["other"]), (50, 2_500));
}

/// More than an endpoint may have is refused before anything is written.
#[tokio::test]
async fn too_many_letters_are_refused_in_words() {
    let world = Arc::new(World::default());
    let (operator, _kept) = app(&world).await;
    for number in 0..3_u8 {
        world.say(Shard(0), "g", NOW - HOUR, number.into());
    }
    world.told("app", Shard(0), 3);
    let hour = replay(Selection::Times(at(NOW - HOUR), at(NOW)));
    *world.claimed.lock().unwrap() = MAX_LETTERS - 2;
    let refused = operator.replay(&hour).await;
    assert!(
        matches!(&refused, Err(OperatorError::Conflict(words)) if words.contains("1000001 letters")),
        "{refused:?}"
    );
    assert!(world.puts.lock().unwrap().is_empty());
    *world.claimed.lock().unwrap() = MAX_LETTERS - 3;
    assert_eq!(operator.replay(&hour).await.unwrap().endpoints[0].letters, 3);
    // Those that are there are not counted twice.
    assert_eq!(operator.replay(&hour).await.unwrap().endpoints[0].already, 3);
}

/// How many more instructions a deliverer that does not run takes.
async fn room(handle: &Handle) -> usize {
    let mut room = 0;
    while tokio::time::timeout(Duration::ZERO, handle.letters_changed()).await.is_ok() {
        room += 1;
    }
    room
}

/// What was written before the store failed is told at once, and not when somebody replays something else.
#[tokio::test(start_paused = true)]
async fn a_replay_that_breaks_off_is_told_of_to_the_deliverer() {
    let world = Arc::new(World::default());
    let (operator, _kept) = operator(&world, &[("app", Commands::All), ("other", Commands::All)]).await;
    for number in 0..1_500_u32 {
        put(&world, letter("app", &world.say(Shard(0), "g", NOW - HOUR, number.into()), LetterState::Dead));
    }
    let dead = replay(Selection::Dead(at(NOW - HOUR), at(NOW)));
    for (fails_from, written) in [(2, 1_000), (3, 1_000)] {
        *world.fails_from.lock().unwrap() = Some(fails_from);
        let failed = operator.replay(&dead).await;
        assert!(matches!(failed, Err(OperatorError::Fault(_))), "{failed:?}");
        let again = world.states().iter().filter(|(.., state)| *state == LetterState::Replay).count();
        assert_eq!(again, written);
    }
    // Twice: the second one wrote nothing, as far as it knows.
    assert_eq!(room(operator.handle("other").unwrap()).await - room(operator.handle("app").unwrap()).await, 2);
}

/// Whoever asked for it hangs up; and the next one counts what it has written.
#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_without_its_caller_and_the_next_waits_for_it() {
    let world = Arc::new(World::default());
    let (operator, _kept) = app(&world).await;
    let all: Vec<_> = (0..6_u8).map(|number| world.say(Shard(0), "g", NOW - HOUR, number.into())).collect();
    world.told("app", Shard(0), 6);
    *world.claimed.lock().unwrap() = MAX_LETTERS - 3;
    let gate = Arc::new(Semaphore::new(0));
    *world.gate.lock().unwrap() = Some(gate.clone());
    let of = |entries: &[LogEntry]| {
        replay(Selection::Events(entries.iter().map(|entry| entry.event.id().to_string()).collect()))
    };
    let (first, second) = (of(&all[..3]), of(&all[3..]));
    let hung_up = tokio::time::timeout(Duration::from_secs(1), operator.replay(&first)).await;
    assert!(hung_up.is_err() && world.puts.lock().unwrap().len() == 1, "{hung_up:?}");
    assert!(
        operator.replay(&Replay { dry_run: true, ..first.clone() }).await.unwrap().dry_run,
        "looking does not wait"
    );

    let open_later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.add_permits(10);
    };
    let (refused, ()) = tokio::join!(operator.replay(&second), open_later);
    assert!(
        matches!(&refused, Err(OperatorError::Conflict(words)) if words.contains("1000003 letters")),
        "{refused:?}"
    );
    assert_eq!(world.states().len(), 3);
}

#[test]
fn secrets_in_a_url_are_blanked() {
    for (url, expected) in [
        ("http://h/p", "http://h/p"),
        ("http://h/p?a=1&Sign=abc&RequestTime=7", "http://h/p?a=1&Sign=…&RequestTime=7"),
        ("http://h/p?TOKEN=x&key=y&monkey=z&token=", "http://h/p?TOKEN=…&key=…&monkey=z&token="),
        ("http://h/p?access_token=a=b&flag", "http://h/p?access_token=…&flag"),
        ("http://h/p?X-Amz-Signature=x&X-Amz-Date=y", "http://h/p?X-Amz-Signature=…&X-Amz-Date=y"),
        ("http://h/p?api-key=x&client_secret=y&sig.v1=z", "http://h/p?api-key=…&client_secret=…&sig.v1=…"),
        ("http://h/p?accessToken=x&secretKey=y&APIKEY=z", "http://h/p?accessToken=…&secretKey=…&APIKEY=…"),
        ("http://h/p?authtoken=x&webhooksecret=y&code=z", "http://h/p?authtoken=…&webhooksecret=…&code=…"),
        ("http://h/p?design=a&author=b&keys=c&zipcode=d", "http://h/p?design=a&author=b&keys=c&zipcode=d"),
    ] {
        assert_eq!(show::without_secrets(url), expected);
    }
}
