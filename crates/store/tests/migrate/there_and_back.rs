//! What is seen through the ports is the same afterwards, and goes on from there.

use chat::conversation::ConversationId;
use chat::event::{EndpointPause, Event, LogEntry, Position, Shard, Subject};
use chat::id::Timestamp;
use chat::message::park::{DecidedBy, Decision, Outcome, Parked, ParkedQuery};
use chat::message::{Keeping, Message, RepeatKey};
use chat::port::{CommitError, Write};
use chat::question::Otherwise;
use webhook::ledger::{Behind, Letter, LetterQuery, LetterState, Pause, PauseReason, Progress, Trouble};

use crate::fixtures::{
    NEARLY_EQUAL, NOW, at, direct, dissolved, for_ever, group_changed, ids, in_group, in_topic, kept, members, message,
    not_sent, put, repeatable, send, topic, uncounted,
};
use crate::fresh::Fresh;
use crate::ledger::{Cursors, letter};
use crate::places::{Database, Owed, are_same, has_each_event_once, is_known_everywhere, move_all, owed, seen};
use crate::plain;

/// A bit of everything.
pub(crate) async fn populate(store: &Fresh) {
    store.has(&["a", "b", "c", "d"]).await;
    store.has(&NEARLY_EQUAL).await;
    store.has_group("g", &["b", "a"]).await;
    store.has_group("h", &["a"]).await;
    store
        .write(vec![
            Write::AddTopic(Box::new(topic("g", "t"))),
            Write::AddTopic(Box::new(topic("h", "u"))),
            Write::AddBlocks { owner: "a".into(), targets: ids(&["b", "c"]), now: NOW },
            Write::AddMembers("g".into(), members(&["d", "c"])),
            Write::Append(Box::new(not_sent(message("a", direct("a", "c"))))),
            Write::Append(Box::new(group_changed("h"))),
        ])
        .await;
    for (round, id) in NEARLY_EQUAL.iter().enumerate() {
        let time = |message| chat::message::Message { time: at(round as i64 * 10), ..message };
        store
            .write(vec![
                send(time(message("a", direct("a", "b")))),
                send(time(message("c", direct("c", "b")))),
                send(time(message(id, direct(id, "d")))),
                send(time(uncounted(message("a", direct("a", "a"))))),
                send(time(message("a", in_group("g")))),
                send(time(message("d", in_topic("g", "t")))),
                send(time(kept(Keeping::OnlineOnly, message("a", in_group("g"))))),
                send(time(kept(Keeping::Live, message("b", in_group("h"))))),
                Write::Append(Box::new(group_changed("g"))),
            ])
            .await;
    }
    store.send_reading(message("b", direct("a", "b"))).await;
    store.commit(repeatable(message("a", direct("a", "b")), for_ever("again"))).await.unwrap();
    store.write(parked().into_iter().map(|parked| Write::Park(Box::new(parked))).collect()).await;
    for endpoint in ["app", "idle"] {
        store.write(vec![put(dissolved("h")), Write::Append(Box::new(paused(endpoint)))]).await;
    }
}

/// One that waits, with a repeat key, and one that was decided.
fn parked() -> [Parked; 2] {
    let waiting = Parked {
        repeat: Some(for_ever("parked")),
        reads: true,
        otherwise: Otherwise::Allow,
        round: 2,
        ..plain::parked(message("a", in_group("g")))
    };
    let decision = Decision { time: at(5), by: DecidedBy::Deadline, outcome: Outcome::Discarded };
    let decided = message("c", direct("c", "b"));
    [waiting.clone(), Parked { message: decided, decision: Some(decision), ..waiting }]
}

fn paused(endpoint: &str) -> Event {
    Event::EndpointPaused(EndpointPause {
        id: message("a", direct("a", "b")).id,
        endpoint: endpoint.into(),
        time: NOW,
        reason: "gone".into(),
        detail: "410".into(),
    })
}

/// `app` was told of about the half, but for two conversations, one of which has trouble; `new` has a cursor and was told of
/// nothing; `idle` of all, and is paused. There are letters about some events of any kind.
pub(crate) async fn tell(store: &Fresh) {
    for shard in store.shards() {
        let head = *store.head(shard).borrow();
        let log = store.log_after(shard, Position(0), 10_000).await.unwrap();
        let behind = [direct("a", "b"), in_group("g")];
        let half = Position(head.0 / 2);
        let told = |conversation: ConversationId| {
            let mut events = log.iter().filter(|entry| entry.event.subject() == Subject::from(conversation.clone()));
            let trouble = Trouble { attempts: 5, since: at(7), due: at(1000) };
            let trouble = matches!(conversation, ConversationId::Group(_)).then_some(trouble);
            events.nth(2).map(|entry| (conversation.into(), Some(Behind { told: entry.position, trouble })))
        };
        let behind: Vec<_> = behind.into_iter().filter_map(told).collect();
        store.save_progress("app", shard, Progress { cursor: half, behind, letters: Vec::new() }).await.unwrap();
        store.save_cursor("new", shard, Position(0)).await.unwrap();
        let of = |endpoint: &str, number: usize, entry: &LogEntry| Letter {
            subject: entry.event.subject(),
            event: entry.event.id(),
            state: if number.is_multiple_of(2) { LetterState::Dead } else { LetterState::Replay },
            at: at(number as i64),
            why: format!("why {number}"),
            ..letter(endpoint, shard, entry.position.0)
        };
        let about = log.iter().enumerate().filter(|(number, _)| number.is_multiple_of(3));
        let letters = about.flat_map(|(number, entry)| [of("app", number, entry), of("idle", number + 1, entry)]);
        store.put_letters(letters.collect()).await.unwrap();
        store.save_cursor("idle", shard, head).await.unwrap();
    }
    let pause = Pause { reason: PauseReason::TooManyDead, detail: "too many".into(), since: at(3) };
    store.set_pause("idle", Some(pause)).await.unwrap();
}

/// What is noted of endpoints that is no database's own.
async fn noted(store: &Fresh) -> Vec<String> {
    let mut lines = Vec::new();
    for endpoint in ENDPOINTS {
        lines.push(format!("{endpoint} {:?}", store.pause(endpoint).await.unwrap()));
        lines.push(format!("{endpoint} {:?}", store.count_letters(endpoint).await.unwrap()));
        for shard in store.shards() {
            let troubled = store.behind(endpoint, shard).await.unwrap().into_iter();
            let troubled = troubled.filter_map(|(subject, behind)| Some((subject, behind.trouble?)));
            lines.extend(troubled.map(|(subject, trouble)| format!("{endpoint} {subject:?} {trouble:?}")));
        }
    }
    let mut all = store.list_parked(ParkedQuery::Waiting { after: None, limit: 10 }).await.unwrap();
    all.extend(store.list_parked(ParkedQuery::Decided { up_to: at(1_000_000), limit: 10 }).await.unwrap());
    for one in all {
        let Message { conversation, sender, .. } = &one.message;
        lines.push(format!("{one:?}"));
        let found = store.parked_repeat(conversation, sender, &for_ever("parked"), NOW).await.unwrap();
        assert_eq!(found, Some(one), "it is in its conversation's shard, and found by its key");
    }
    lines.push(format!("{:?}", store.count_parked().await.unwrap()));
    let query = LetterQuery { limit: 10_000, ..LetterQuery::default() };
    for letter in store.letters(&query).await.unwrap() {
        // It is where its event is.
        let before = Position(letter.position.0 - 1);
        let entry = store.log_after(letter.shard, before, 1).await.unwrap().remove(0);
        assert_eq!((entry.position, entry.event.id()), (letter.position, letter.event));
        lines.push(format!("{:?}", Letter { shard: Shard(0), position: Position(0), ..letter }));
    }
    lines.sort();
    lines
}

const ENDPOINTS: [&str; 3] = ["app", "new", "idle"];

async fn look(store: &Fresh) -> (Vec<String>, Owed) {
    for endpoint in ENDPOINTS {
        assert!(is_known_everywhere(store, endpoint).await);
    }
    assert!(!is_known_everywhere(store, "nobody").await);
    has_each_event_once(store).await;
    let mut lines = seen(store).await;
    lines.extend(noted(store).await);
    (lines, owed(store, &ENDPOINTS).await)
}

async fn is_as_before(store: &Fresh, before: &(Vec<String>, Owed)) {
    let now = look(store).await;
    are_same(&now.0, &before.0);
    assert_eq!(now.1, before.1);
}

/// Seqs and counts go on, a repeat is one, and who is a member already comes in no second time.
async fn goes_on(store: &Fresh) {
    let conversation = direct("a", "b");
    let before = store.conversation(&conversation).await.unwrap().head;
    let unread = store.unread_direct(&"b".into(), None).await.unwrap();
    match store.commit(repeatable(message("a", conversation.clone()), for_ever("again"))).await {
        Err(CommitError::Repeat(first)) => assert_eq!(first.seq, before),
        other => panic!("{other:?}"),
    }
    let key = RepeatKey { key: "again".into(), window_millis: None };
    assert!(
        store.repeat_of(&conversation, &"a".into(), &key, Timestamp::from_millis(i64::MAX)).await.unwrap().is_some()
    );
    assert_eq!(store.send(message("a", conversation.clone())).await.seq, before + 1);
    assert_eq!(store.unread_direct(&"b".into(), None).await.unwrap(), unread + 1);
    assert_eq!(store.send(message("b", direct("b", "d"))).await.seq, 1);
    let added = store.write(vec![Write::AddMembers("g".into(), members(&["a", "ss"]))]).await.added;
    assert_eq!(added, ids(&["ss"]));
    has_each_event_once(store).await;
    store.has_group("later", &["a"]).await;
    assert_eq!(store.send(message("a", in_group("later"))).await.seq, 1);
}

async fn there_and_back(one: Database, other: Database, back: Database) {
    let store = one.open().await;
    populate(&store).await;
    tell(&store).await;
    let before = look(&store).await;
    assert!(before.1.values().map(Vec::len).sum::<usize>() > 100, "there is much to tell");
    let count = |words: &str| before.0.iter().filter(|line| line.contains(words)).count();
    assert!(count("Letter {") > 100 && count("Trouble {") == 1 && count("TooManyDead") == 1 && count("Parked {") == 2);
    drop(store);

    let summary = move_all(&one, &other).await;
    assert!(!summary.is_resumed);
    assert!(summary.counts.contains(&("events", 8 * 22 + 22 + 4 + 2)), "{:?}", summary.counts);
    let store = other.open().await;
    is_as_before(&store, &before).await;
    drop(store);

    move_all(&other, &back).await;
    let store = back.open().await;
    is_as_before(&store, &before).await;
    goes_on(&store).await;
    drop(store);

    // What was left is as it was, and goes on by itself.
    for left in [one, other] {
        let store = left.open().await;
        is_as_before(&store, &before).await;
        goes_on(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_sqlite_to_postgres_and_back() {
    there_and_back(Database::sqlite(), Database::postgres(16).await, Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_postgres_to_sqlite_and_back() {
    there_and_back(Database::postgres(16).await, Database::sqlite(), Database::postgres(3).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_postgres_to_postgres_of_another_number_of_shards() {
    there_and_back(Database::postgres(5).await, Database::postgres(1).await, Database::postgres(64).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_sqlite_to_sqlite() {
    there_and_back(Database::sqlite(), Database::sqlite(), Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_at_all() {
    let (one, other, back) = (Database::sqlite(), Database::postgres(4).await, Database::sqlite());
    drop(one.open().await);
    move_all(&one, &other).await;
    are_same(&seen(&other.open().await).await, &seen(&one.open().await).await);
    move_all(&other, &back).await;
    let store = back.open().await;
    store.has(&["a", "b"]).await;
    assert_eq!(store.send(message("a", direct("a", "b"))).await.seq, 1);
}

/// What the data sets are called follows them nowhere: there and back ten times is as good as once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn again_and_again() {
    let mut here = Database::sqlite();
    let store = here.open().await;
    populate(&store).await;
    tell(&store).await;
    let before = look(&store).await;
    drop(store);
    for _ in 0..3 {
        for next in [Database::postgres(7).await, Database::sqlite()] {
            move_all(&here, &next).await;
            here = next;
        }
    }
    let store = here.open().await;
    is_as_before(&store, &before).await;
    goes_on(&store).await;
}
