//! The store: a log and a ledger in memory. What is on its *disk* survives the process; a write that was under way when
//! the process died may be there or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat::Fault;
use chat::event::{EndpointPause, Event, LogEntry, Position, Shard, Subject};
use chat::id::{EventId, Timestamp};
use chat::port::Log;
use tokio::sync::watch;
use webhook::deliver::Announcer;
use webhook::ledger::{
    Attempt, Behind, Cursor, Gap, Ledger, Letter, LetterCount, LetterQuery, LetterState, Pause, Progress, Trimmed,
};

use crate::world::{Life, World, lock};

/// What a process that starts finds.
pub(crate) struct Disk {
    log: BTreeMap<Shard, BTreeMap<Position, LogEntry>>,
    by_subject: BTreeMap<Subject, BTreeSet<Position>>,
    ends: BTreeMap<Shard, Position>,
    /// A channel per reader, because those of one channel are woken in an order that no seed decides.
    heads: Vec<(Shard, watch::Sender<Position>)>,
    pub(crate) rows: Rows,
    under_way: BTreeMap<u64, Change>,
    next_write: u64,
}

/// What is remembered about endpoints.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) cursors: BTreeMap<(String, Shard), Cursor>,
    pub(crate) behind: BTreeMap<(String, Shard), BTreeMap<Subject, Behind>>,
    pub(crate) pauses: BTreeMap<String, Pause>,
    pub(crate) letters: BTreeMap<(String, Shard, Position), Letter>,
    pub(crate) gaps: Vec<Gap>,
    attempts: Vec<Attempt>,
    /// When the log had come just there, last.
    times: BTreeMap<(Shard, Position), Timestamp>,
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Engine,
    Operator,
}

/// One write.
#[derive(Clone, Debug)]
enum Change {
    Progress(String, Shard, Progress),
    Pause(String, Option<Pause>),
    PutLetters(Vec<Letter>, Who),
    RemoveLetters(String, Vec<(Shard, Position)>, Who),
    Attempts(Vec<Attempt>),
    Time(Timestamp, Vec<(Shard, Position)>),
    Forget(Timestamp, Timestamp, u64),
}

impl Disk {
    pub(crate) fn new(shards: u16) -> Self {
        let shards = || (0..shards).map(Shard);
        Self {
            log: shards().map(|shard| (shard, BTreeMap::new())).collect(),
            by_subject: BTreeMap::new(),
            ends: shards().map(|shard| (shard, Position(0))).collect(),
            heads: Vec::new(),
            rows: Rows::default(),
            under_way: BTreeMap::new(),
            next_write: 0,
        }
    }

    pub(crate) fn shards(&self) -> Vec<Shard> {
        self.ends.keys().copied().collect()
    }

    pub(crate) fn end(&self, shard: Shard) -> Position {
        self.ends.get(&shard).copied().unwrap_or_default()
    }

    /// Where the next event of a shard will be.
    pub(crate) fn next(&self, shard: Shard) -> Position {
        Position(self.end(shard).0 + 1)
    }

    /// Commits an event. Readers learn of it by [`Self::show_heads`].
    pub(crate) fn append(&mut self, entry: LogEntry) {
        self.ends.insert(entry.shard, entry.position);
        self.by_subject.entry(entry.event.subject()).or_default().insert(entry.position);
        self.log.entry(entry.shard).or_default().insert(entry.position, entry);
    }

    /// Tells the readers how far the log goes.
    pub(crate) fn show_heads(&mut self) {
        self.heads.retain(|(_, head)| !head.is_closed());
        for (shard, head) in &self.heads {
            let end = self.end(*shard);
            head.send_if_modified(|known| std::mem::replace(known, end) != end);
        }
    }

    /// Decides what became of the writes that were under way: the first of them may have been carried out.
    pub(crate) fn settle(&mut self, world: &World) {
        let under_way = std::mem::take(&mut self.under_way);
        let kept = under_way.into_values().take_while(|_| world.is_kept()).collect::<Vec<_>>();
        for change in kept {
            world.note(|| format!("disk: {} was saved after all", change.name()));
            self.carry_out(world, change);
        }
    }

    fn carry_out(&mut self, world: &World, change: Change) {
        let now = world.elapsed();
        world.judge(|judge| match &change {
            Change::Progress(_, _, Progress { letters, .. }) | Change::PutLetters(letters, Who::Engine) => {
                letters.iter().for_each(|letter| judge.lettered(letter, now));
            }
            Change::PutLetters(letters, Who::Operator) => letters.iter().for_each(|letter| judge.replayed(letter)),
            Change::RemoveLetters(endpoint, places, who) => {
                let gone =
                    places.iter().filter(|place| self.rows.letters.contains_key(&(endpoint.clone(), place.0, place.1)));
                gone.for_each(|place| judge.letter_removed(endpoint, *place, *who));
            }
            Change::Pause(endpoint, pause) => judge.paused(endpoint, pause.as_ref().map(|pause| pause.reason)),
            _ => {}
        });
        let saved = match &change {
            Change::Progress(endpoint, shard, _) => Some((endpoint.clone(), *shard)),
            _ => None,
        };
        self.rows.apply(change);
        if let Some((endpoint, shard)) = saved {
            let end = self.end(shard);
            world.judge(|judge| judge.saved(&endpoint, shard, &self.rows, end));
        }
    }
}

impl Rows {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Progress(endpoint, shard, progress) => self.apply_progress(endpoint, shard, progress),
            Change::Pause(endpoint, Some(pause)) => {
                self.pauses.insert(endpoint, pause);
            }
            Change::Pause(endpoint, None) => {
                self.pauses.remove(&endpoint);
            }
            Change::PutLetters(letters, _) => self.put_letters(letters),
            Change::RemoveLetters(endpoint, places, _) => {
                for (shard, position) in places {
                    self.letters.remove(&(endpoint.clone(), shard, position));
                }
            }
            Change::Attempts(attempts) => self.attempts.extend(attempts),
            Change::Time(now, heads) => {
                for place in heads {
                    let time = self.times.entry(place).or_insert(now);
                    *time = now.max(*time);
                }
            }
            Change::Forget(before, times_before, most) => {
                let mut last = BTreeMap::new();
                for ((shard, position), _) in self.times.iter().filter(|(_, time)| **time < times_before) {
                    last.insert(*shard, *position);
                }
                self.times.retain(|(shard, position), time| *time >= times_before || last.get(shard) == Some(position));
                self.attempts.retain(|attempt| attempt.time >= before);
                let mut left: BTreeMap<String, u64> = BTreeMap::new();
                let mut newest: Vec<Attempt> = std::mem::take(&mut self.attempts).into_iter().rev().collect();
                newest.retain(|attempt| {
                    let count = left.entry(attempt.endpoint.clone()).or_default();
                    *count += 1;
                    *count <= most
                });
                self.attempts = newest.into_iter().rev().collect();
            }
        }
    }

    fn times_of(&self, shard: Shard) -> impl Iterator<Item = (Position, Timestamp)> {
        let noted = self.times.iter().filter(move |((of, _), _)| *of == shard);
        noted.map(|((_, position), time)| (*position, *time))
    }

    fn apply_progress(&mut self, endpoint: String, shard: Shard, progress: Progress) {
        let key = (endpoint, shard);
        let new = Cursor { position: progress.cursor, started: progress.cursor };
        let cursor = self.cursors.entry(key.clone()).or_insert(new);
        cursor.position = cursor.position.max(progress.cursor);
        let behind = self.behind.entry(key).or_default();
        for (subject, standing) in progress.behind {
            match standing {
                Some(standing) => behind.insert(subject, standing),
                None => behind.remove(&subject),
            };
        }
        self.put_letters(progress.letters);
    }

    fn put_letters(&mut self, letters: Vec<Letter>) {
        for letter in letters {
            self.letters.insert((letter.endpoint.clone(), letter.shard, letter.position), letter);
        }
    }
}

impl Change {
    fn name(&self) -> String {
        match self {
            Self::Progress(endpoint, shard, progress) => {
                let mut text = format!("progress of {endpoint} in shard {}: {}", shard.0, progress.cursor.0);
                for (subject, behind) in &progress.behind {
                    let told =
                        behind.map_or("no longer behind".into(), |behind| format!("behind at {}", behind.told.0));
                    text.push_str(&format!(", {} {told}", name_of(subject)));
                }
                for letter in &progress.letters {
                    text.push_str(&format!(", {:?} letter: {}", letter.state, letter.position.0));
                }
                text
            }
            Self::Pause(endpoint, Some(pause)) => format!("pause of {endpoint}: {}", pause.reason.name()),
            Self::Pause(endpoint, None) => format!("no pause of {endpoint}"),
            Self::PutLetters(letters, who) => {
                let letters: Vec<String> =
                    letters.iter().map(|letter| format!("{:?} letter: {}", letter.state, letter.position.0)).collect();
                format!("{who:?}: {}", letters.join(", "))
            }
            Self::RemoveLetters(endpoint, places, _) => {
                let places: Vec<u64> = places.iter().map(|(_, position)| position.0).collect();
                format!("no letters of {endpoint}: {places:?}")
            }
            Self::Attempts(attempts) => format!("{} attempts", attempts.len()),
            Self::Time(..) => "the time".into(),
            Self::Forget(..) => "what is forgotten".into(),
        }
    }
}

/// A subject in few letters, for traces.
pub(crate) fn name_of(subject: &Subject) -> String {
    use chat::conversation::ConversationId::{Direct, Group, Topic};
    match subject {
        Subject::App => "the app".into(),
        Subject::Account(account) => account.to_string(),
        Subject::Conversation(Direct(one, other)) => format!("{one}+{other}"),
        Subject::Conversation(Group(group)) => group.to_string(),
        Subject::Conversation(Topic(group, topic)) => format!("{group}/{topic}"),
    }
}

/// The shard of a subject: any rule will do that never changes.
pub(crate) fn shard_of(subject: &Subject, shards: u16) -> Shard {
    let sum: usize = name_of(subject).bytes().map(usize::from).sum();
    Shard(u16::try_from(sum % usize::from(shards)).unwrap_or_default())
}

/// The store as one life of the process has it.
pub(crate) struct Store(pub(crate) Arc<Life>, pub(crate) Who);

/// Says what became of a write, also if nobody waits for it any more.
struct UnderWay<'a> {
    store: &'a Store,
    number: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let life = &self.store.0;
        // What a death leaves under way is settled when the process has gone.
        if life.is_dead() {
            return;
        }
        let mut disk = lock(&life.world.disk);
        if let Some(change) = disk.under_way.remove(&self.number)
            && life.world.is_kept()
        {
            disk.carry_out(&life.world, change);
        }
    }
}

impl Store {
    async fn read<T>(&self, what: &str, look: impl FnOnce(&Disk) -> T + Send) -> Result<T, Fault> {
        let Life { world, .. } = &*self.0;
        self.0.place(what).await;
        self.0.wait(world.store_latency()).await;
        if world.store_fails() {
            world.note(|| format!("store: {what} failed"));
            return Err(Fault::new("the disk says no"));
        }
        let seen = look(&lock(&world.disk));
        self.0.wait(world.store_latency()).await;
        self.0.place(what).await;
        Ok(seen)
    }

    /// A write that is carried out at once, or not at all: as a whole, before a death or after it.
    async fn write_by(&self, name: String, act: impl FnOnce(&mut Disk, &World) + Send) -> Result<(), Fault> {
        let Life { world, .. } = &*self.0;
        self.0.place("it begins to save").await;
        self.0.wait(world.store_latency()).await;
        if world.store_fails() {
            world.note(|| format!("disk: {name}: not saved"));
            return Err(Fault::new("the disk says no"));
        }
        act(&mut lock(&world.disk), world);
        self.0.wait(world.store_latency()).await;
        self.0.place("it has saved").await;
        Ok(())
    }

    async fn write(&self, change: Change) -> Result<(), Fault> {
        let Life { world, .. } = &*self.0;
        let name = change.name();
        self.0.place("it begins to save").await;
        self.0.wait(world.store_latency()).await;
        let fails = world.store_fails();
        if fails && !world.is_doubtful() {
            world.note(|| format!("disk: {name}: not saved"));
            return Err(Fault::new("the disk says no"));
        }
        let under_way = {
            let mut disk = lock(&world.disk);
            let number = disk.next_write;
            disk.next_write += 1;
            disk.under_way.insert(number, change);
            UnderWay { store: self, number }
        };
        self.0.wait(world.store_latency()).await;
        self.0.place("it saves").await;
        {
            let mut disk = lock(&world.disk);
            if let Some(change) = disk.under_way.remove(&under_way.number) {
                disk.carry_out(world, change);
            }
        }
        self.0.wait(world.store_latency()).await;
        self.0.place("it has saved").await;
        world.note(|| format!("disk: {name}{}", if fails { ": saved, but it said no" } else { "" }));
        if fails { Err(Fault::unavailable("the connection is gone")) } else { Ok(()) }
    }
}

#[async_trait]
impl Announcer for Store {
    async fn announce(&self, endpoint: &str, pause: &Pause) -> Result<(), Fault> {
        let Life { world, .. } = &*self.0;
        self.0.place("it announces a pause").await;
        self.0.wait(world.store_latency()).await;
        if world.store_fails() {
            return Err(Fault::unavailable("the disk says no"));
        }
        let (endpoint, time) = (endpoint.to_owned(), world.now());
        let (reason, detail) = (pause.reason.name().to_owned(), pause.detail.clone());
        world.append(&Subject::App, |id| Event::EndpointPaused(EndpointPause { id, endpoint, time, reason, detail }));
        self.0.wait(world.store_latency()).await;
        self.0.place("it has announced a pause").await;
        Ok(())
    }
}

#[async_trait]
impl Log for Store {
    fn shards(&self) -> Vec<Shard> {
        lock(&self.0.world.disk).shards()
    }

    fn shard_of(&self, subject: &Subject) -> Shard {
        shard_of(subject, self.0.world.plan.shards)
    }

    async fn log_after(&self, shard: Shard, after: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        let look = |disk: &Disk| {
            let entries = disk.log.get(&shard).into_iter().flat_map(|log| log.range(Position(after.0 + 1)..));
            entries.take(limit).map(|(_, entry)| entry.clone()).collect()
        };
        self.read("reading the log", look).await
    }

    async fn log_of(
        &self,
        subject: &Subject,
        after: Position,
        up_to: Position,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        let look = |disk: &Disk| {
            let Some(log) = disk.log.get(&self.shard_of(subject)) else { return Vec::new() };
            let places = disk.by_subject.get(subject).into_iter().flatten();
            let wanted = places.filter(|position| **position > after && **position <= up_to);
            wanted.filter_map(|position| log.get(position).cloned()).take(limit).collect()
        };
        self.read("reading the log of a subject", look).await
    }

    async fn log_before(&self, subject: &Subject, before: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        let look = |disk: &Disk| {
            let Some(log) = disk.log.get(&self.shard_of(subject)) else { return Vec::new() };
            let places = disk.by_subject.get(subject).into_iter().flatten().rev();
            let wanted = places.filter(|position| **position < before);
            wanted.filter_map(|position| log.get(position).cloned()).take(limit).collect()
        };
        self.read("reading the log backwards", look).await
    }

    fn head(&self, shard: Shard) -> watch::Receiver<Position> {
        let disk = &mut *lock(&self.0.world.disk);
        let (head, reader) = watch::channel(disk.end(shard));
        disk.heads.push((shard, head));
        reader
    }
}

#[async_trait]
impl Ledger for Store {
    async fn cursor(&self, endpoint: &str, shard: Shard) -> Result<Option<Cursor>, Fault> {
        let key = (endpoint.to_owned(), shard);
        self.read("reading a cursor", |disk| disk.rows.cursors.get(&key).copied()).await
    }

    async fn behind(&self, endpoint: &str, shard: Shard) -> Result<Vec<(Subject, Behind)>, Fault> {
        let key = (endpoint.to_owned(), shard);
        let look = |disk: &Disk| {
            let rows = disk.rows.behind.get(&key).into_iter().flatten();
            rows.map(|(subject, behind)| (subject.clone(), *behind)).collect()
        };
        self.read("reading what is behind", look).await
    }

    async fn save_progress(&self, endpoint: &str, shard: Shard, mut progress: Progress) -> Result<(), Fault> {
        // The order of what is saved at once means nothing, so that it is not shown.
        progress.behind.sort_by(|one, other| one.0.cmp(&other.0));
        self.write(Change::Progress(endpoint.to_owned(), shard, progress)).await
    }

    async fn pause(&self, endpoint: &str) -> Result<Option<Pause>, Fault> {
        self.read("reading a pause", |disk| disk.rows.pauses.get(endpoint).cloned()).await
    }

    async fn set_pause(&self, endpoint: &str, pause: Option<Pause>) -> Result<(), Fault> {
        self.write(Change::Pause(endpoint.to_owned(), pause)).await
    }

    async fn letters(&self, query: &LetterQuery) -> Result<Vec<Letter>, Fault> {
        let look = |disk: &Disk| {
            let wanted = |letter: &&Letter| {
                query.endpoint.as_ref().is_none_or(|endpoint| *endpoint == letter.endpoint)
                    && query.state.is_none_or(|state| state == letter.state)
                    && query.due_by.is_none_or(|time| letter.at <= time)
                    && query.event.is_none_or(|event| event == letter.event)
            };
            let is_after = |key: &(String, Shard, Position)| query.after.as_ref().is_none_or(|after| key > after);
            let letters = disk.rows.letters.iter().filter(|(key, _)| is_after(key)).map(|(_, letter)| letter);
            letters.filter(wanted).take(query.limit).cloned().collect()
        };
        self.read("reading letters", look).await
    }

    async fn count_letters(&self, endpoint: &str) -> Result<LetterCount, Fault> {
        let look = |disk: &Disk| {
            let mut count = LetterCount::default();
            for letter in disk.rows.letters.values().filter(|letter| letter.endpoint == endpoint) {
                match letter.state {
                    LetterState::Dead => count.dead += 1,
                    LetterState::Replay => count.replay += 1,
                }
            }
            count
        };
        self.read("counting letters", look).await
    }

    async fn put_letters(&self, letters: Vec<Letter>) -> Result<(), Fault> {
        self.write(Change::PutLetters(letters, self.1)).await
    }

    async fn remove_letters(&self, endpoint: &str, places: Vec<(Shard, Position)>) -> Result<(), Fault> {
        self.write(Change::RemoveLetters(endpoint.to_owned(), places, self.1)).await
    }

    async fn note_attempts(&self, attempts: Vec<Attempt>) -> Result<(), Fault> {
        self.write(Change::Attempts(attempts)).await
    }

    async fn attempts(&self, event: EventId) -> Result<Vec<Attempt>, Fault> {
        let look = |disk: &Disk| {
            let about: Vec<Attempt> =
                disk.rows.attempts.iter().filter(|attempt| attempt.event == event).cloned().collect();
            about[about.len().saturating_sub(1_000)..].to_vec()
        };
        self.read("reading attempts", look).await
    }

    async fn note_time(&self, now: Timestamp, heads: Vec<(Shard, Position)>) -> Result<(), Fault> {
        self.write(Change::Time(now, heads)).await
    }

    async fn position_at(&self, shard: Shard, time: Timestamp) -> Result<Position, Fault> {
        let look = |disk: &Disk| {
            let noted = disk.rows.times_of(shard).filter(|(_, noted)| *noted <= time);
            noted.map(|(position, _)| position).max().unwrap_or_default()
        };
        self.read("reading where the log was", look).await
    }

    async fn time_of(&self, shard: Shard, position: Position) -> Result<Option<Timestamp>, Fault> {
        let look = |disk: &Disk| {
            let noted = disk.rows.times_of(shard).filter(|(noted, _)| *noted <= position);
            let first = disk.rows.times_of(shard).next();
            noted.map(|(_, time)| time).max().or(first.map(|(_, time)| time))
        };
        self.read("reading when the log was there", look).await
    }

    async fn trim(
        &self,
        shard: Shard,
        from: Position,
        up_to: Position,
        limit: usize,
        let_go: Vec<(String, Position)>,
        now: Timestamp,
    ) -> Result<Trimmed, Fault> {
        let trimmed = Mutex::new(Trimmed::default());
        self.write_by(format!("trimming of shard {}", shard.0), |disk, world| {
            *lock(&trimmed) = disk.trim(world, shard, (from, up_to), limit, &let_go, now);
        })
        .await?;
        Ok(trimmed.into_inner().unwrap_or_default())
    }

    async fn gaps(&self, endpoint: &str) -> Result<Vec<Gap>, Fault> {
        let look = |disk: &Disk| {
            let gaps: Vec<Gap> = disk.rows.gaps.iter().filter(|gap| gap.endpoint == endpoint).cloned().collect();
            gaps[gaps.len().saturating_sub(1_000)..].to_vec()
        };
        self.read("reading gaps", look).await
    }

    async fn forget(&self, attempts_before: Timestamp, times_before: Timestamp, most: u64) -> Result<(), Fault> {
        self.write(Change::Forget(attempts_before, times_before, most)).await
    }
}

impl Disk {
    /// What may be removed from a shard: all that no history shows, no letter is about, and is not the newest.
    fn removable(&self, shard: Shard, from: Position, up_to: Position, limit: usize) -> Vec<Position> {
        let Some(log) = self.log.get(&shard) else { return Vec::new() };
        let newest = log.keys().next_back();
        let is_kept = |position: &Position, entry: &LogEntry| {
            matches!(entry.event, Event::MessageSent(_))
                || Some(position) == newest
                || self.rows.letters.keys().any(|(_, of, at)| (of, at) == (&shard, position))
        };
        let old = log.range(..=up_to).filter(|(position, entry)| **position > from && !is_kept(position, entry));
        old.take(limit).map(|(position, _)| *position).collect()
    }

    fn trim(
        &mut self,
        world: &World,
        shard: Shard,
        (from, up_to): (Position, Position),
        limit: usize,
        let_go: &[(String, Position)],
        now: Timestamp,
    ) -> Trimmed {
        let places = self.removable(shard, from, up_to, limit);
        let (Some(first), Some(last)) = (places.first().copied(), places.last().copied()) else {
            return Trimmed::default();
        };
        world.note(|| format!("disk: shard {} is trimmed: {} to {}", shard.0, first.0, last.0));
        for position in &places {
            if let Some(entry) = self.log.get_mut(&shard).and_then(|log| log.remove(position))
                && let Some(index) = self.by_subject.get_mut(&entry.event.subject())
            {
                index.remove(position);
            }
        }
        for (endpoint, told) in let_go.iter().filter(|(_, told)| *told < last) {
            let is_it = |gap: &&mut Gap| gap.endpoint == *endpoint && gap.shard == shard && gap.after == *told;
            match self.rows.gaps.iter_mut().find(is_it) {
                Some(gap) => (gap.up_to, gap.time) = (last.max(gap.up_to), now),
                None => {
                    let endpoint = endpoint.clone();
                    self.rows.gaps.push(Gap { endpoint, shard, after: *told, up_to: last, time: now });
                }
            }
        }
        world.judge(|judge| judge.trimmed(shard, &places, &self.rows));
        Trimmed { events: places.len() as u64, first, last }
    }
}
