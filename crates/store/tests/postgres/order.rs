//! The order of the log when transactions end in another order than the one in which they took their places.
//!
//! A transaction is made to stand still when it has its position and before it can be seen. Meanwhile others are sent,
//! and a reader reads whatever there is; then the first one goes on, and so does the reader. A log whose positions come
//! from a sequence loses an event that way, for ever: [`a_log_with_positions_from_a_sequence_loses_an_event`] shows that
//! the trap works.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chat::conversation::ConversationId;
use chat::event::{Event, Position, Shard};
use chat::id::{GroupId, Seq};
use chat::message::Message;
use chat::port::{Log, Store, Write};
use store::Postgres;
use store::postgres::Settings;
use tokio_postgres::{Client, NoTls};

use crate::home::{Home, open};
use crate::{changes, import, message, plain, send_to};

cases! {
    nothing_is_missed_with_one_writer,
    nothing_is_missed_with_four_writers,
    nothing_is_missed_with_a_writer_for_each_shard,
    a_log_with_positions_from_a_sequence_loses_an_event,
}

const GROUPS: usize = 40;
const SHARDS: u16 = 16;

/// What the marked one says.
pub(crate) const MARK: &str = "stand still";

/// Whatever is marked in a table stands still, until this is opened.
pub(crate) struct Gate(Client);

impl Gate {
    pub(crate) async fn closed(home: &Home, table: &str) -> Self {
        let gate = home.connect().await;
        gate.batch_execute("SELECT pg_advisory_lock(hashtextextended(current_schema(), 0))").await.unwrap();
        let wait = "PERFORM pg_advisory_xact_lock_shared(hashtextextended(current_schema(), 0));";
        home.before_insert(table, &format!("NEW.data LIKE '%{MARK}%'"), wait).await;
        Self(gate)
    }

    pub(crate) async fn open(self) {
        self.0.batch_execute("SELECT pg_advisory_unlock(hashtextextended(current_schema(), 0))").await.unwrap();
    }
}

/// Reads on from where it is, like an endpoint's deliverer.
#[derive(Default)]
struct Reader {
    cursors: BTreeMap<Shard, Position>,
    seen: Vec<(ConversationId, Seq, String)>,
}

impl Reader {
    async fn read_on(&mut self, store: &Postgres) {
        for shard in store.shards() {
            let cursor = self.cursors.entry(shard).or_default();
            loop {
                let page = store.log_after(shard, *cursor, 3).await.unwrap();
                for entry in &page {
                    assert_eq!(entry.position, Position(cursor.0 + 1), "positions grow by one in {shard:?}");
                    *cursor = entry.position;
                    let Event::MessageSent(message) = &entry.event else { panic!("{entry:?}") };
                    let text = message.elements[0].readable().to_owned();
                    self.seen.push((message.conversation.clone(), message.seq, text));
                }
                if page.is_empty() {
                    break;
                }
            }
        }
    }

    fn has_seen(&self, text: &str) -> bool {
        self.seen.iter().any(|(.., seen)| seen == text)
    }
}

fn group(number: usize) -> ConversationId {
    ConversationId::Group(GroupId::new(format!("g{number}")))
}

/// Makes the groups, with a message in each; which shard each is in.
async fn has_groups(store: &Postgres) -> HashMap<ConversationId, Shard> {
    let mut writes = vec![import("a")];
    writes.extend((0..GROUPS).map(|number| Write::PutGroup(Box::new(plain::group(&format!("g{number}"))))));
    store.commit(changes(writes)).await.unwrap();
    for number in 0..GROUPS {
        send_to(store, group(number), &format!("first of {number}")).await.unwrap();
    }
    let mut places = HashMap::new();
    for shard in store.shards() {
        let entries = store.log_after(shard, Position(0), 1000).await.unwrap();
        for entry in entries {
            let Event::MessageSent(message) = entry.event else { panic!("{entry:?}") };
            places.insert(message.conversation, shard);
        }
    }
    places
}

async fn nothing_is_missed(writers: u16) {
    let home = Home::new().await;
    let settings = Settings { writers, connections: 4, shards: SHARDS, ..Settings::new(home.url()) };
    let [one, other] = [Arc::new(open(&settings).await), Arc::new(open(&settings).await)];
    let places = has_groups(&one).await;
    let mut expected: BTreeSet<String> = (0..GROUPS).map(|number| format!("first of {number}")).collect();
    let mut spawn = |store: &Arc<Postgres>, to: &ConversationId, text: String| {
        expected.insert(text.clone());
        let (store, to) = (store.clone(), to.clone());
        tokio::spawn(async move { send_to(&store, to, &text).await.unwrap() })
    };
    let mut reader = Reader::default();
    reader.read_on(&other).await;

    // One stands still: it has its position, and nobody can see it. In the last shard: others can be locked before.
    let (still, shard) = places.iter().max_by_key(|(_, shard)| **shard).unwrap();
    let writer = |shard: Shard| shard.0 % writers;
    let gate = Gate::closed(&home, "event").await;
    let mut sent = vec![spawn(&one, still, MARK.to_owned())];
    home.until_waiting(&["advisory"], 1).await;
    // The other node's of that shard stands still behind it.
    sent.push(spawn(&other, still, "behind it".to_owned()));
    home.until_waiting(&["transactionid"], 1).await;

    // In every conversation, from both nodes. What is in another writer comes through; the rest waits in line.
    let mut coming_through = Vec::new();
    for (conversation, place) in &places {
        for (name, node) in [("one", &one), ("other", &other)] {
            let text = format!("{name} to {conversation:?}");
            let sending = spawn(node, conversation, text.clone());
            if writer(*place) == writer(*shard) { sent.push(sending) } else { coming_through.push((text, sending)) }
        }
    }
    let mut through = Vec::new();
    for (text, sending) in coming_through {
        sending.await.unwrap();
        through.push(text);
    }
    // One that needs two shards has locked the first and waits for the second.
    let elsewhere = places.iter().find(|(_, place)| writer(**place) != writer(*shard));
    if let Some((elsewhere, _)) = elsewhere {
        let both = [(elsewhere, "both: elsewhere"), (still, "both: behind it")];
        expected.extend(both.map(|(_, text)| text.to_owned()));
        let writes = both.map(|(to, text)| Write::Send {
            message: Box::new(Message { conversation: to.clone(), ..message(text) }),
            repeat: None,
            reads: false,
        });
        let other = other.clone();
        sent.push(tokio::spawn(async move { other.commit(changes(writes.to_vec())).await.unwrap().seqs[0] }));
        home.until_waiting(&["transactionid", "tuple"], 2).await;
    }

    // The reader reads whatever there is.
    let before = reader.seen.len();
    reader.read_on(&one).await;
    assert_eq!(reader.seen.len() - before, through.len());
    assert!(through.iter().all(|text| reader.has_seen(text)));
    assert!(sent.iter().all(|sending| !sending.is_finished()));

    gate.open().await;
    for sending in sent {
        sending.await.unwrap();
    }
    reader.read_on(&other).await;
    reader.read_on(&one).await;
    assert_eq!(reader.seen.len(), expected.len());
    assert_eq!(reader.seen.iter().map(|(.., text)| text.clone()).collect::<BTreeSet<_>>(), expected);
    let mut newest: HashMap<ConversationId, Seq> = HashMap::new();
    for (conversation, seq, text) in reader.seen {
        let newest = newest.entry(conversation).or_default();
        *newest += 1;
        assert_eq!(seq, *newest, "{text}");
    }
}

async fn nothing_is_missed_with_one_writer() {
    nothing_is_missed(1).await;
}

async fn nothing_is_missed_with_four_writers() {
    nothing_is_missed(4).await;
}

async fn nothing_is_missed_with_a_writer_for_each_shard() {
    nothing_is_missed(SHARDS).await;
}

/// The counterproof: the same trap, and a reader who does the same, before a log as one would write it first.
async fn a_log_with_positions_from_a_sequence_loses_an_event() {
    let home = Home::new().await;
    home.sql("CREATE TABLE naive_log (position BIGSERIAL PRIMARY KEY, data TEXT NOT NULL)").await;
    let gate = Gate::closed(&home, "naive_log").await;
    let append = |text: String| {
        let url = home.url();
        tokio::spawn(async move {
            let (db, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            db.execute("INSERT INTO naive_log (data) VALUES ($1)", &[&text]).await.unwrap()
        })
    };
    let db = home.connect().await;
    let (mut cursor, mut seen) = (0, Vec::new());
    let mut read_on = async || {
        let rows = "SELECT position, data FROM naive_log WHERE position > $1 ORDER BY position";
        for row in db.query(rows, &[&cursor]).await.unwrap() {
            cursor = row.get::<_, i64>(0);
            seen.push(row.get::<_, String>(1));
        }
        seen.clone()
    };

    let still = append(MARK.to_owned());
    home.until_waiting(&["advisory"], 1).await;
    for number in 0..3 {
        append(number.to_string()).await.unwrap();
    }
    assert_eq!(read_on().await, ["0", "1", "2"]);
    gate.open().await;
    still.await.unwrap();
    assert_eq!(read_on().await, ["0", "1", "2"], "it was committed, and the reader never sees it");
    let count: i64 = db.query_one("SELECT count(*) FROM naive_log", &[]).await.unwrap().get(0);
    assert_eq!(count, 4);
}
