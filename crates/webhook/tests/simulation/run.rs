//! One run: the real engine in a simulated world, from the beginning until every endpoint that heals has got everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chat::command::{Actor, Origin};
use chat::conversation::ConversationId;
use chat::event::{EndpointPause, Event, GroupChange, NotSent, Position, Shard, Subject};
use chat::group::GroupKind;
use chat::id::EventId;
use chat::message::{Delivery, Message};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use webhook::asking::OnFailures;
use webhook::deliver::Parts;
use webhook::deliver::handle::State;
use webhook::deliver::settings::{Order, TellingSettings};
use webhook::endpoint::{Commands, EndpointSettings, OnFailure};
use webhook::filter::Filter;
use webhook::headers::CustomHeaders;
use webhook::keeper::Retention;
use webhook::ledger::{Ledger, Letter, LetterQuery, LetterState, Pause, PauseReason};
use webhook::sign::{SigningSecret, SigningSecrets};
use webhook::{Deliverer, Endpoint, Keeper};

use crate::codec::{PlainCodec, number_of};
use crate::judge::{Figures, Judge};
use crate::network::Wire;
use crate::plan::{EndpointPlan, Operation, Step};
use crate::store::{Store, Who};
use crate::world::{Life, World, lock};

/// After everything has healed, an endpoint that is owed something is told of something, or gives something up, at least
/// this often: an endpoint that is down is probed every 15 s, and the store is asked again after as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// How late an event in trouble may be after a restart, if the wall clock was set back meanwhile.
const LATE_BY: Duration = Duration::from_secs(25 * 60 * 60);

/// How often the judge looks at bounds while nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// An orderly stop takes no longer than a call and some saves.
const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ending {
    /// The promise that was broken, if one was.
    pub(crate) verdict: Option<String>,
    /// What happened, line by line, if somebody wanted to know.
    pub(crate) trace: String,
    pub(crate) figures: Figures,
}

/// Runs what a seed stands for.
pub(crate) fn run(seed: u64, is_traced: bool) -> Ending {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing");
    runtime.block_on(async {
        let world = Arc::new(World::new(seed, is_traced));
        describe(&world);
        let mut process = Process { world: world.clone(), up: None, lives: 0 };
        tokio::select! {
            biased;
            () = world.over.notified() => {}
            () = process.live_through() => {}
        }
        let (verdict, mut figures) = world.judge(|judge| (judge.verdict.clone(), judge.figures));
        figures.virtual_seconds = world.elapsed().as_secs();
        if let Some(verdict) = &verdict {
            world.note(|| format!("BROKEN PROMISE: {verdict}"));
        }
        Ending { verdict, trace: world.take_trace(), figures }
    })
}

/// The plan, at the head of the trace.
fn describe(world: &World) {
    let plan = &world.plan;
    world.note(|| format!("{} shards, {} subjects, store {:?}", plan.shards, plan.subjects.len(), plan.store));
    world.note(|| format!("everything heals after {:?}; dies in {}/1000 places", plan.length, plan.crash_share));
    for endpoint in &plan.endpoints {
        world.note(|| format!("{endpoint:?}"));
    }
}

/// The process that may die, and be started again.
struct Process {
    world: Arc<World>,
    up: Option<Up>,
    lives: u32,
}

struct Up {
    life: Arc<Life>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Process {
    async fn live_through(&mut self) {
        let world = self.world.clone();
        self.start();
        let mut steps = world.plan.steps.iter().peekable();
        let mut up_again_at = None;
        loop {
            let next_at = steps.peek().map_or(world.plan.length, |(at, _)| *at);
            tokio::select! {
                biased;
                () = died(self.up.as_ref()) => {
                    self.bury().await;
                    up_again_at = Some(Instant::now() + world.downtime());
                }
                () = sleep_until(up_again_at.unwrap_or_else(Instant::now)), if up_again_at.is_some() => {
                    up_again_at = None;
                    self.start();
                }
                () = tokio::time::sleep(LOOK_EVERY) => self.look_at_bounds(),
                () = sleep_until(world.at(next_at)) => match steps.next() {
                    None => break,
                    Some((_, Step::Append(subject, count))) => {
                        self.look_at_bounds();
                        self.append(*subject, *count);
                    }
                    Some((_, Step::ClockJump(millis))) => {
                        world.note(|| format!("the wall clock jumps by {millis} ms"));
                        world.jump(*millis);
                    }
                    Some((_, Step::Crash)) => if let Some(up) = &self.up {
                        world.note(|| "the process dies".into());
                        up.life.die();
                    }
                    Some((_, Step::Operate(endpoint, operation))) => self.operate(*endpoint, *operation),
                    Some((_, Step::Restart)) => if self.up.is_some() {
                        self.stop().await;
                        self.start();
                    }
                },
            }
        }
        world.note(|| "everything heals".into());
        world.calm_down();
        if self.up.as_ref().is_some_and(|up| up.life.is_dead()) {
            self.bury().await;
        }
        if self.up.is_none() {
            self.start();
        }
        self.wait_until_content().await;
        self.wait_until_empty().await;
        let numbers = 0..world.plan.endpoints.len();
        let is_done = world.judge(|judge| numbers.clone().all(|number| judge.is_done(number)));
        self.stop().await;
        // Nothing is told again after an orderly stop. (A pause that is announced only then is told, and may be refused.)
        let (repeated, events) = world.judge(|judge| (judge.repeated, judge.figures.events));
        // But for what was both a letter and waiting for its turn: the engine may be busy with the second.
        let lives = self.lives;
        let is_unordered =
            |endpoint: &EndpointPlan| (1..=lives).any(|life| endpoint.order_in(life) == Order::Unordered);
        let may_repeat = world.plan.endpoints.iter().any(is_unordered);
        let is_quiet = |judge: &mut Judge| {
            let are_content = (0..world.plan.endpoints.len()).all(|number| judge.is_content(number));
            are_content && !(may_repeat && lives > 1)
        };
        if is_done && world.judge(is_quiet) {
            self.start();
            tokio::time::sleep(Duration::from_secs(20)).await;
            world.judge(|judge| {
                if judge.repeated != repeated && judge.figures.events == events {
                    judge.complain("something is told again after an orderly stop".into());
                }
            });
            self.stop().await;
        }
    }

    fn start(&mut self) {
        self.lives += 1;
        let life = Life::new(self.world.clone(), self.lives);
        self.world.note(|| format!("life {} of the process begins", life.number));
        lock(&self.world.disk).show_heads();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for number in 0..self.world.plan.endpoints.len() {
            // Whatever chance said, in the end they are all there.
            if self.world.plan.endpoints[number].from_life <= self.lives || self.world.is_calm() {
                let now = self.world.elapsed();
                self.world.judge(|judge| judge.opened(number, life.number, &lock(&self.world.disk).rows, now));
                tasks.spawn(serve(life.clone(), number, stop.clone()));
            }
        }
        tasks.spawn(self.keeper(&life).run(stop.clone()));
        self.up = Some(Up { life, stop, tasks });
    }

    fn keeper(&self, life: &Arc<Life>) -> Keeper {
        let store = Arc::new(Store(life.clone(), Who::Engine));
        let parts = Parts { log: store.clone(), ledger: store.clone(), clock: life.clone(), announcer: store };
        let retention = Retention { events: Duration::ZERO, attempts: Duration::from_secs(600), most_attempts: 100 };
        let numbers = 0..self.world.plan.endpoints.len();
        let endpoints: Vec<_> = numbers.map(|number| Arc::new(endpoint(life, number))).collect();
        Keeper::new(&endpoints, parts, retention)
    }

    /// The process is gone, and what it left under way is settled.
    async fn bury(&mut self) {
        let Some(mut up) = self.up.take() else { return };
        self.world.judge(|judge| judge.figures.deaths += 1);
        up.tasks.abort_all();
        while let Some(ended) = up.tasks.join_next().await {
            self.look_for_panic(ended);
        }
        let mut disk = lock(&self.world.disk);
        disk.settle(&self.world);
    }

    async fn stop(&mut self) {
        let Some(mut up) = self.up.take() else { return };
        self.world.note(|| "the process is stopped in good order".into());
        up.stop.cancel();
        let deadline = Instant::now() + STOPS_WITHIN;
        loop {
            tokio::select! {
                biased;
                () = up.life.died.notified() => {
                    self.up = Some(up);
                    return self.bury().await;
                }
                ended = up.tasks.join_next() => match ended {
                    Some(ended) => self.look_for_panic(ended),
                    None => break,
                },
                () = sleep_until(deadline) => {
                    return self.world.judge(|judge| judge.complain("an orderly stop takes for ever".into()));
                }
            }
        }
        // Nothing is under way any more that the engine waits for.
        up.life.die();
        let mut disk = lock(&self.world.disk);
        disk.settle(&self.world);
    }

    fn look_for_panic(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            self.world.judge(|judge| judge.complain(format!("the engine panicked: {error}")));
        }
    }

    /// Waits until every endpoint that heals is owed nothing. The operator resumes what was paused, now and then, and has
    /// once told again what was given up.
    async fn wait_until_content(&mut self) {
        let world = self.world.clone();
        let healing = || world.plan.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.heals);
        for (number, _) in healing().filter(|(_, endpoint)| endpoint.poison_heals) {
            if let Some(up) = &self.up {
                operate(up.life.clone(), number, Operation::ReplayDead).await;
            }
        }
        let (mut settled, mut settled_at) = (0, Instant::now());
        for round in 0_u64.. {
            let Some((number, _)) = healing().find(|(number, _)| !world.judge(|judge| judge.is_content(*number)))
            else {
                return;
            };
            let now_settled = world.judge(|judge| judge.settled());
            if now_settled != settled {
                (settled, settled_at) = (now_settled, Instant::now());
            }
            // A letter is due at a time of day: in another life of the process than wrote it, it is as late as the wall clock
            // was set back since.
            let may_be_late = world.plan.has_jumps() && self.lives > 1;
            let is_late = |judge: &Judge| may_be_late && judge.owes_letters_only(number);
            let may_wait = |judge: &mut Judge| judge.is_poisoned(number) || is_late(judge);
            if settled_at.elapsed() > PATIENCE && world.judge(may_wait) {
                return;
            }
            // So is an event that was refused before, but by no more than anybody may ask for.
            if settled_at.elapsed() > if may_be_late { LATE_BY } else { PATIENCE } {
                return world.judge(|judge| {
                    let owed = judge.owed(number);
                    judge.complain(format!("everything is well, nothing happens for long, and {owed}"));
                });
            }
            if round.is_multiple_of(50) {
                self.look_at_bounds();
                for (number, _) in healing() {
                    self.operate(number, Operation::Resume);
                }
            }
            let is_late = settled_at.elapsed() > PATIENCE;
            tokio::time::sleep(Duration::from_millis(if is_late { 10_000 } else { 100 })).await;
        }
    }

    /// Waits until no endpoint that is well, and is owed nothing, takes memory.
    async fn wait_until_empty(&self) {
        let world = &self.world;
        let since = Instant::now();
        loop {
            let Some(up) = &self.up else { return };
            let full = world.judge(|judge| {
                lock(&up.life.handles).iter().find_map(|(number, handle)| {
                    let standing = handle.standing();
                    let is_idle = standing.state == State::Up && judge.is_content(*number) && judge.is_done(*number);
                    (is_idle && standing.lanes > 0).then_some((*number, standing.lanes))
                })
            });
            let Some((number, lanes)) = full else { return };
            if since.elapsed() > PATIENCE {
                let name = &world.plan.endpoints[number].name;
                return world.judge(|judge| {
                    judge.complain(format!("{name} is owed nothing, and {lanes} lanes of it are in memory"));
                });
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Commits events of a subject.
    fn append(&self, place: usize, count: usize) {
        let subject = &self.world.plan.subjects[place];
        for _ in 0..count {
            self.world.append(subject, |id| event(&self.world, subject, id));
        }
    }

    /// Has the judge look whether those that are full are treated so.
    fn look_at_bounds(&self) {
        let (world, Some(up)) = (&self.world, &self.up) else { return };
        if up.life.is_dead() {
            return;
        }
        let now = world.elapsed();
        let is_sure = !world.plan.has_jumps() && !world.store_was_bad(Duration::from_secs(60));
        let disk = lock(&world.disk);
        for (number, handle) in lock(&up.life.handles).iter() {
            let is_full = handle.endpoint().is_full();
            world.judge(|judge| judge.look_at_bounds(*number, &disk.rows, is_full, is_sure, now));
        }
    }

    /// Has the operator do something, while the process goes on.
    fn operate(&mut self, endpoint: usize, operation: Operation) {
        if let Some(up) = &mut self.up {
            up.tasks.spawn(operate(up.life.clone(), endpoint, operation));
        }
    }
}

async fn died(up: Option<&Up>) {
    match up {
        Some(up) => up.life.died.notified().await,
        None => std::future::pending().await,
    }
}

/// What the server does for an endpoint: opens its deliverer, as often as it takes, and has it run.
async fn serve(life: Arc<Life>, number: usize, stop: CancellationToken) {
    let world = life.world.clone();
    let endpoint = Arc::new(endpoint(&life, number));
    let store = Arc::new(Store(life.clone(), Who::Engine));
    let parts = Parts { log: store.clone(), ledger: store.clone(), clock: life.clone(), announcer: store };
    loop {
        match Deliverer::open(endpoint.clone(), parts.log.shards(), parts.clone()).await {
            Ok((deliverer, handle)) => {
                lock(&life.handles).insert(number, handle);
                let now = world.elapsed();
                world.judge(|judge| judge.began(number, now));
                deliverer.run(stop.clone()).await;
                if !stop.is_cancelled() {
                    world.judge(|judge| judge.complain(format!("the deliverer of {} just ended", endpoint.name)));
                }
                return;
            }
            Err(_) if stop.is_cancelled() => return,
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// What the operator does. Whatever fails is not done, and not tried again.
async fn operate(life: Arc<Life>, number: usize, operation: Operation) {
    let world = life.world.clone();
    let name = world.plan.endpoints[number].name.as_str();
    let Some(handle) = lock(&life.handles).get(&number).cloned() else { return };
    let store = Store(life.clone(), Who::Operator);
    let note = |what: &str| world.note(|| format!("operator: {name}: {what}"));
    match operation {
        Operation::Pause => {
            let pause = Pause { reason: PauseReason::Operator, detail: "because".into(), since: world.now() };
            if handle.pause(pause).await.is_ok() {
                note("paused");
                let now = world.elapsed();
                world.judge(|judge| judge.is_to_be_quiet(number, Some(now), now));
            }
        }
        Operation::Resume => {
            if handle.standing().pause.is_none() {
                return;
            }
            if world.is_calm() {
                // Whoever has an endpoint go on that has too many dead letters must look after them first.
                let query = dead_letters(name);
                let Ok(dead) = store.letters(&query).await else { return };
                let places = dead.iter().map(|letter| (letter.shard, letter.position)).collect();
                if store.remove_letters(name, places).await.is_err() {
                    return;
                }
            }
            note("to be resumed");
            // From now on it may be called again, whether or not we learn of it.
            let now = world.elapsed();
            world.judge(|judge| judge.is_to_be_quiet(number, None, now));
            if handle.resume().await.is_ok() {
                note("resumed");
            }
        }
        Operation::Skip => {
            let Ok(failing) = handle.failing(1).await else { return };
            if let Some(event) = failing.first().and_then(|failing| failing.event) {
                world.judge(|judge| judge.skipped(number, event));
                if let Ok(skipped) = handle.skip(event).await {
                    note(&format!("skips #{}: {skipped:?}", number_of(event)));
                }
            }
        }
        Operation::ReplayDead => {
            let Ok(dead) = store.letters(&dead_letters(name)).await else { return };
            let again = |letter: Letter| Letter { state: LetterState::Replay, attempts: 0, at: world.now(), ..letter };
            if !dead.is_empty() && store.put_letters(dead.into_iter().map(again).collect()).await.is_ok() {
                note("dead letters are told again");
                handle.letters_changed().await;
            }
        }
        Operation::ReplayTold(from) => {
            let told = world.judge(|judge| judge.accepted(number));
            let letter = |((shard, position), event, subject): ((Shard, Position), EventId, Subject)| Letter {
                endpoint: name.to_owned(),
                shard,
                position,
                subject,
                event,
                command: "Sent".into(),
                state: LetterState::Replay,
                why: "the operator asked for it".into(),
                attempts: 0,
                at: world.now(),
            };
            let first = told.len() * from / 1_000;
            let letters: Vec<Letter> = told.into_iter().skip(first).take(5).map(letter).collect();
            if !letters.is_empty() && store.put_letters(letters).await.is_ok() {
                note("some are told again");
                handle.letters_changed().await;
            }
        }
    }
}

fn dead_letters(endpoint: &str) -> LetterQuery {
    let endpoint = Some(endpoint.to_owned());
    LetterQuery { endpoint, state: Some(LetterState::Dead), limit: 10_000, ..LetterQuery::default() }
}

fn endpoint(life: &Arc<Life>, number: usize) -> Endpoint {
    let plan: &EndpointPlan = &life.world.plan.endpoints[number];
    let commands = match &plan.commands {
        Some(commands) => Commands::Only(commands.iter().map(|command| (*command).to_owned()).collect()),
        None => Commands::All,
    };
    let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret of the right form");
    let secret = SigningSecrets::new(vec![secret]).expect("one is enough");
    let settings = EndpointSettings {
        name: plan.name.clone(),
        commands,
        timeout: plan.timeout,
        on_failure: OnFailure::Allow,
        telling: TellingSettings { order: plan.order_in(life.number), ..plan.telling.clone() },
        concurrency: plan.concurrency,
        secret: Some(secret),
        filter: Filter::default(),
        on_failures: OnFailures::default(),
        by_command: BTreeMap::new(),
        headers: CustomHeaders::default(),
    };
    let wire = Arc::new(Wire { life: life.clone(), endpoint: number });
    let codec = PlainCodec { unwordable: life.world.plan.unwordable };
    Endpoint::new(settings, Arc::new(codec), wire).expect("the plan subscribes to what there is")
}

/// An event of a subject, of a kind that its number decides.
fn event(world: &World, subject: &Subject, id: EventId) -> Event {
    let (time, number) = (world.now(), number_of(id));
    match subject {
        Subject::Conversation(ConversationId::Group(group)) if number.is_multiple_of(4) => {
            Event::GroupChanged(GroupChange {
                id,
                group: group.clone(),
                kind: GroupKind::Public,
                actor: Actor::System,
                origin: Origin::default(),
                time,
                name: Some("another name".into()),
                introduction: None,
                announcement: None,
                face_url: None,
            })
        }
        Subject::Conversation(conversation) => {
            let message = Message {
                id,
                conversation: conversation.clone(),
                group_kind: None,
                seq: number as u64,
                sender: "u".into(),
                actor: Actor::System,
                origin: Origin::default(),
                client_id: "client".into(),
                time,
                created: time,
                sender_name: String::new(),
                sender_face: String::new(),
                elements: Vec::new(),
                custom_data: None,
                mentions: Vec::new(),
                delivery: Delivery::default(),
                carried: None,
            };
            let is_not_sent = message.is_direct() && number.is_multiple_of(3);
            if is_not_sent {
                Event::MessageNotSent { message, reason: NotSent::Blocked }
            } else {
                Event::MessageSent(message)
            }
        }
        Subject::App | Subject::Account(_) => Event::EndpointPaused(EndpointPause {
            id,
            endpoint: "another".into(),
            time,
            reason: "operator".into(),
            detail: "it was asked for".into(),
        }),
    }
}
