//! One app: a store of its own, a backend that answers what it is told to, a clock that stands still.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chat::account::import::{Existing, ImportAccounts, NewAccount};
use chat::command::{Actor, Command, Origin};
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::event::{Event, Position};
use chat::group::create::{CreateGroup, FirstMember, OtherRules};
use chat::group::{Group, GroupKind, GroupProfile};
use chat::id::{AccountId, Timestamp};
use chat::member::Role;
use chat::message::send::{Destination, SendMessage};
use chat::message::{Delivery, Message, RepeatKey};
use chat::policy::{Exempt, RestrictedWords};
use chat::port::{Callbacks, Changes, Clock, Log, MessageQuery, Store, Write};
use chat::question::{Question, Verdict};
use chat::{Chat, Error, Refusal, Settings};
use store::{Postgres, Sqlite, postgres};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

use crate::conflicts::Interposed;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

type Answer = Arc<dyn Fn(Question) -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync>;

/// Everything of one app. Cheap to clone into a task or a backend's answer.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) chat: Arc<Chat>,
    pub(crate) store: Arc<Interposed>,
    pub(crate) backend: Arc<Backend>,
    pub(crate) clock: Arc<Clockwork>,
    place: Arc<Place>,
}

/// Which store an app has.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// Where it is.
enum Place {
    /// A directory, which goes away when this is dropped.
    Directory(TempDir),
    /// The URL of a schema in the server that `RINGBACK_POSTGRES` names. It goes with the server, a throw-away one.
    Schema(String),
}

/// An app backend, asked before each message, or before everything.
#[derive(Default)]
pub(crate) struct Backend {
    interest: Mutex<Option<Interest>>,
    asked: Mutex<Vec<Question>>,
    /// What the endpoints say that come after one that had a message wait; nothing, if nobody says otherwise.
    afterwards: Mutex<Option<Answer>>,
    asked_after: Mutex<Vec<(Question, String)>>,
    is_full: AtomicBool,
}

/// What a backend wants to be asked, and what it answers.
struct Interest {
    in_messages_only: bool,
    answer: Answer,
}

/// A clock that moves when it is told to, and chance that counts.
pub(crate) struct Clockwork {
    now: AtomicI64,
    drawn: AtomicU64,
}

impl Stage {
    /// Has the accounts a, b and c, and a backend that is not interested.
    pub(crate) async fn new(kind: Kind) -> Self {
        let stage = Self::on(Arc::new(Place::new(kind).await)).await;
        let accounts = ["a", "b", "c"].map(|id| NewAccount::bare(id.into())).to_vec();
        stage.run(&Actor::System, ImportAccounts { accounts, existing: Existing::Refuse }).await.unwrap();
        stage
    }

    /// The app after a restart: nothing is known but what is stored. Nobody else may have a clone of it.
    pub(crate) async fn restarted(self) -> Self {
        let (place, now) = (self.place.clone(), self.clock.now.load(Ordering::SeqCst));
        drop(self);
        let stage = Self::on(place).await;
        stage.clock.set(now - NOW.millis());
        stage
    }

    async fn on(place: Arc<Place>) -> Self {
        let store = Arc::new(Interposed::new(place.open().await));
        let clock = Arc::new(Clockwork { now: AtomicI64::new(NOW.millis()), drawn: AtomicU64::new(0) });
        Self::of(store, clock, place)
    }

    fn of(store: Arc<Interposed>, clock: Arc<Clockwork>, place: Arc<Place>) -> Self {
        let backend = Arc::<Backend>::default();
        let words = RestrictedWords::new(&["forbidden".into()]).unwrap();
        let settings = Settings { restricted_words: words, max_message_bytes: 1000 };
        let chat = Arc::new(Chat::new(store.clone(), backend.clone(), clock.clone(), settings));
        Self { chat, store, backend, clock, place }
    }

    /// Another node of this app: of what goes on here it knows what is stored, and its backend says what it is told to.
    pub(crate) fn another_node(&self) -> Self {
        Self::of(self.store.clone(), self.clock.clone(), self.place.clone())
    }

    /// That of another app, over the same kind of store.
    pub(crate) async fn another(&self) -> Self {
        Self::new(self.place.kind()).await
    }

    /// Runs a command.
    pub(crate) async fn run<C: Command>(&self, actor: &Actor, command: C) -> Result<C::Reply, Error> {
        self.chat.run(actor, &Origin::default(), command).await
    }

    /// Runs a command on the app's authority.
    pub(crate) async fn app<C: Command>(&self, command: C) -> Result<C::Reply, Error> {
        self.run(&Actor::App("admin".into()), command).await
    }

    /// The group "g", of a, who owns it, and b.
    pub(crate) async fn has_group(&self, kind: GroupKind) -> Group {
        self.app(create_group("g", kind)).await.unwrap()
    }

    /// `owner` blocks `target`, without any command.
    pub(crate) async fn block(&self, owner: &str, target: &str) {
        let write = Write::AddBlocks { owner: owner.into(), targets: vec![target.into()], now: NOW };
        self.write(write).await;
    }

    /// Changes the group "g", without any command.
    pub(crate) async fn change_group(&self, change: impl FnOnce(&mut Group)) {
        let mut group = self.group().await;
        change(&mut group);
        group.version += 1;
        self.write(Write::PutGroup(Box::new(group))).await;
    }

    async fn write(&self, write: Write) {
        self.store.inner.commit(Changes { assertions: Vec::new(), writes: vec![write] }).await.unwrap();
    }

    /// b, the only plain member of "g", is muted until then. No command does this yet, nor what follows.
    pub(crate) async fn mute_b(&self, until: Timestamp) {
        self.place.sql(&format!("UPDATE member SET muted_until = {} WHERE role = 0", until.millis())).await;
    }

    /// So many messages wait, of which nobody knows anything.
    pub(crate) async fn many_wait(&self, count: u64) {
        self.many_are_there(0, count).await;
    }

    /// So many messages were decided, of which nobody knows anything, in thousands of years from now.
    pub(crate) async fn many_are_decided(&self, count: u64) {
        self.many_are_there(1, count).await;
    }

    async fn many_are_there(&self, state: u8, count: u64) {
        let row = format!("'x' || n, {state}, 9000000000000000, 1, NULL, ''");
        let statement = match self.place.kind() {
            Kind::Sqlite => format!(
                "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
                 INSERT INTO parked SELECT {row} FROM n"
            ),
            Kind::Postgres => format!("INSERT INTO parked SELECT 0, {row} FROM generate_series(1, {count}) n"),
        };
        assert_eq!(self.place.execute(&statement).await, count);
    }

    /// b is an admin of "g".
    pub(crate) async fn promote_b(&self) {
        self.place.sql("UPDATE member SET role = 1 WHERE role = 0").await;
    }

    /// b is no longer a member of "g".
    pub(crate) async fn remove_b(&self) {
        let statement = match self.place.kind() {
            Kind::Sqlite => "DELETE FROM member WHERE account = (SELECT key FROM account WHERE id = 'b')",
            Kind::Postgres => "DELETE FROM member WHERE account = 'b'",
        };
        self.place.sql(statement).await;
    }

    /// The group "g".
    pub(crate) async fn group(&self) -> Group {
        self.store.inner.groups(&["g".into()]).await.unwrap().remove(0)
    }

    /// Everything that was told to anybody; what is of one conversation in its order.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for shard in self.store.shards() {
            let log = self.store.log_after(shard, Position(0), 10_000).await.unwrap();
            events.extend(log.into_iter().map(|entry| entry.event));
        }
        events
    }

    /// The readable history of a conversation.
    pub(crate) async fn history(&self, conversation: &ConversationId) -> Vec<Message> {
        self.store.messages(conversation, MessageQuery::seqs(0, u64::MAX, 1000, false)).await.unwrap()
    }
}

// === impl Place ===

impl Place {
    async fn new(kind: Kind) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        match kind {
            Kind::Sqlite => Self::Directory(tempfile::tempdir().unwrap()),
            Kind::Postgres => {
                let server = std::env::var("RINGBACK_POSTGRES")
                    .expect("RINGBACK_POSTGRES names a PostgreSQL server: run ./scripts/test, or see scripts/postgres");
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let schema = format!("stage_{}_{number}", std::process::id());
                let place = Self::Schema(format!("{server}?options=-csearch_path%3D{schema}"));
                place.execute(&format!("CREATE SCHEMA {schema}")).await;
                place
            }
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Directory(_) => Kind::Sqlite,
            Self::Schema(_) => Kind::Postgres,
        }
    }

    async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Directory(dir) => Arc::new(Sqlite::open(&dir.path().join("ringback.db")).unwrap()),
            Self::Schema(url) => Arc::new(Postgres::open(&postgres::Settings::new(url)).await.unwrap()),
        }
    }

    /// Changes one row.
    async fn sql(&self, statement: &str) {
        assert_eq!(self.execute(statement).await, 1, "{statement}");
    }

    async fn execute(&self, statement: &str) -> u64 {
        match self {
            Self::Directory(dir) => {
                let db = rusqlite::Connection::open(dir.path().join("ringback.db")).unwrap();
                db.execute(statement, []).unwrap() as u64
            }
            Self::Schema(url) => {
                let (db, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
                tokio::spawn(connection);
                db.execute(statement, &[]).await.unwrap()
            }
        }
    }
}

// === impl Backend ===

impl Backend {
    /// From now on it is asked about messages, and answers like this.
    pub(crate) fn answers<F>(&self, answer: impl Fn(Message) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        self.is_interested(true, move |question| match question {
            Question::BeforeSend(message) => Box::pin(answer(*message)),
            other => panic!("it is asked about messages only: {other:?}"),
        });
    }

    /// From now on it always gives this answer about messages.
    pub(crate) fn always(&self, verdict: Verdict) {
        self.answers(move |_| std::future::ready(verdict.clone()));
    }

    /// From now on it is asked about everything, and answers like this.
    pub(crate) fn answers_everything<F>(&self, answer: impl Fn(Question) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        self.is_interested(false, move |question| Box::pin(answer(question)));
    }

    fn is_interested(
        &self,
        in_messages_only: bool,
        answer: impl Fn(Question) -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync + 'static,
    ) {
        *self.interest.lock().unwrap() = Some(Interest { in_messages_only, answer: Arc::new(answer) });
    }

    /// From now on, those that come after the first one answer like this.
    pub(crate) fn answers_afterwards<F>(&self, answer: impl Fn(Message) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        let answer: Answer = Arc::new(move |question| match question {
            Question::BeforeSend(message) => Box::pin(answer(*message)),
            other => panic!("only messages wait: {other:?}"),
        });
        *self.afterwards.lock().unwrap() = Some(answer);
    }

    /// From now on it cannot be told of any more, and its operator wants nothing new accepted then; or it can.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    /// What those were asked that come after another one, and after which.
    pub(crate) fn asked_after(&self) -> Vec<(Message, String)> {
        let asked = self.asked_after.lock().unwrap().clone();
        let messages = asked.into_iter().filter_map(|(question, endpoint)| match question {
            Question::BeforeSend(message) => Some((*message, endpoint)),
            _ => None,
        });
        messages.collect()
    }

    /// Which messages it was asked about, in order.
    pub(crate) fn asked(&self) -> Vec<Message> {
        let messages = self.questions().into_iter().filter_map(|question| match question {
            Question::BeforeSend(message) => Some(*message),
            _ => None,
        });
        messages.collect()
    }

    /// What it was asked, in order.
    pub(crate) fn questions(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Callbacks for Backend {
    fn asks(&self, question: &Question) -> bool {
        let interest = self.interest.lock().unwrap();
        interest
            .as_ref()
            .is_some_and(|interest| !interest.in_messages_only || matches!(question, Question::BeforeSend(_)))
    }

    fn is_full(&self) -> bool {
        self.is_full.load(Ordering::SeqCst)
    }

    async fn ask(&self, question: Question) -> Verdict {
        self.asked.lock().unwrap().push(question.clone());
        let answer = self.interest.lock().unwrap().as_ref().expect("it asks only if it has an answer").answer.clone();
        answer(question).await
    }

    async fn ask_after(&self, question: Question, endpoint: &str) -> Verdict {
        self.asked_after.lock().unwrap().push((question.clone(), endpoint.to_owned()));
        let answer = self.afterwards.lock().unwrap().clone();
        match answer {
            Some(answer) => answer(question).await,
            None => Verdict::Allow,
        }
    }
}

// === impl Clockwork ===

impl Clockwork {
    /// Sets it to so many milliseconds after [`NOW`].
    pub(crate) fn set(&self, millis_later: i64) {
        self.now.store(NOW.millis() + millis_later, Ordering::SeqCst);
    }
}

impl Clock for Clockwork {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn random(&self) -> u128 {
        self.drawn.fetch_add(1, Ordering::SeqCst).into()
    }
}

/// A new group of a, who owns it, and b.
pub(crate) fn create_group(id: &str, kind: GroupKind) -> CreateGroup {
    let second = FirstMember { account: "b".into(), role: Role::Member, custom_fields: Default::default() };
    CreateGroup {
        id: id.into(),
        id_is_made_up: false,
        kind,
        owner: Some("a".into()),
        profile: GroupProfile::default(),
        joining: None,
        member_limit: None,
        rules: OtherRules::default(),
        members: if kind.has_members() { vec![second] } else { Vec::new() },
        has_topics: kind == GroupKind::Community,
    }
}

/// A text from `sender`, of which the backend is asked.
pub(crate) fn text(sender: &str, to: Destination, text: &str) -> SendMessage {
    SendMessage {
        sender: sender.into(),
        to,
        client_id: None,
        repeat: None,
        time: None,
        created: None,
        sender_name: None,
        sender_face: None,
        elements: vec![Element::text(text)],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
        exempt: Exempt::default(),
        reads: false,
        asks: true,
    }
}

/// ... that is recognised when it is sent again.
pub(crate) fn repeatable(message: SendMessage) -> SendMessage {
    SendMessage { repeat: Some(RepeatKey { key: "key".into(), window_millis: None }), ..message }
}

pub(crate) fn to(account: &str) -> Destination {
    Destination::Account(account.into())
}

pub(crate) fn to_group() -> Destination {
    Destination::Group("g".into())
}

pub(crate) fn direct() -> ConversationId {
    ConversationId::direct("a".into(), "b".into())
}

pub(crate) fn as_account(id: &str) -> Actor {
    Actor::Account(AccountId::new(id))
}

/// The refusal that a command ended with.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("expected a refusal: {other:?}"),
    }
}

/// Runs a task for each of `0..count`, all at the same time; what they return, in any order.
pub(crate) async fn all_at_once<F, T>(count: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut tasks = JoinSet::new();
    for number in 0..count {
        tasks.spawn(task(number));
    }
    in_time(tasks.join_all()).await
}

/// Fails instead of hanging for ever when everybody waits for each other.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("everybody waits for each other")
}
