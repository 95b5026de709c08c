//! The rows of a batch of commits: looked up together, changed in memory, written together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chat::account::Account;
use chat::account::import::NewAccount;
use chat::conversation::ConversationId;
use chat::event::{Position, Shard, Subject};
use chat::group::{Group, GroupStatus, Topic};
use chat::id::{AccountId, GroupId, MessageId, Timestamp, TopicId};
use chat::member::Member;
use chat::message::Message;
use chat::message::park::Parked;
use tokio::try_join;

use super::needs::Needs;
use super::{Db, Error, Result, int, nat};
use crate::account::pg as account;
use crate::block::pg as block;
use crate::commit::{MemberSent, NewEvent, Rows};
use crate::conversation::Counts;
use crate::conversation::pg as conversation;
use crate::event::pg::{self as event, Placed};
use crate::group::GroupState;
use crate::group::pg as group;
use crate::member::pg::{self as member, Arriving, Marks};
use crate::parked::pg as parked;
use crate::parked::{Columns, Standing};
use crate::repeat::Repeat;
use crate::shard::{Shards, SmallInt};
use crate::topic::pg as topic;

/// Whatever the database prefers: what is read under a lock has to be as new as the lock.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Locks shards until the transaction ends, in their order, so that nobody waits for each other in a circle. What is read
/// after that, nobody changes.
pub(super) const LOCK: &str = "SELECT shard, head, conversations FROM log_shard WHERE shard = ANY($1) ORDER BY shard
     FOR NO KEY UPDATE";

/// A row that is looked up, or is not there, and may change.
#[derive(Debug)]
struct Entry<T> {
    row: Option<T>,
    is_new: bool,
    is_changed: bool,
}

impl<T> Entry<T> {
    fn absent() -> Self {
        Self { row: None, is_new: false, is_changed: false }
    }

    fn found(row: T) -> Self {
        Self { row: Some(row), is_new: false, is_changed: false }
    }

    fn put(&mut self, row: T) {
        self.is_new |= self.row.is_none();
        self.is_changed = true;
        self.row = Some(row);
    }
}

/// What a shard's row says: its newest position and conversation key.
#[derive(Clone, Copy, Debug)]
struct Head {
    position: Position,
    conversations: i64,
    is_changed: bool,
}

/// A group, with what is put in its place.
#[derive(Debug)]
struct GroupRow<'a> {
    state: GroupState,
    put: Option<&'a Group>,
}

/// A member, with what comes in.
#[derive(Debug)]
struct MemberRow<'a> {
    marks: Marks,
    arriving: Option<(&'a Member, u64)>,
}

/// A message that a later one may repeat.
#[derive(Debug)]
enum Sent {
    Before(Position, Box<Message>),
    /// In this batch: which of its events.
    Now(usize),
}

/// A message that waits for a verdict or was decided, with what is put in its place.
#[derive(Debug)]
struct ParkedRow<'a> {
    standing: Standing,
    put: Option<(&'a Parked, &'a str)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    shards: Shards,
    /// Accounts that exist.
    existing: HashSet<AccountId>,
    accounts: BTreeMap<AccountId, Entry<Account>>,
    groups: BTreeMap<GroupId, Entry<GroupRow<'a>>>,
    topics: BTreeMap<(GroupId, TopicId), Entry<Option<&'a Topic>>>,
    members: BTreeMap<(GroupId, AccountId), Entry<MemberRow<'a>>>,
    blocks: BTreeMap<(AccountId, AccountId), Entry<Option<Timestamp>>>,
    subjects: HashMap<Subject, Entry<conversation::Found>>,
    /// What accounts have unread in each shard.
    unread: HashMap<AccountId, BTreeMap<Shard, i64>>,
    unread_changed: BTreeSet<(AccountId, Shard)>,
    sent: HashMap<i64, Vec<Sent>>,
    parked: BTreeMap<(Shard, MessageId), Entry<ParkedRow<'a>>>,
    /// Which messages wait, by the hashes of their repeat keys.
    waiting: HashMap<i64, BTreeSet<MessageId>>,
    heads: BTreeMap<Shard, Head>,
    events: Vec<Placed<'a>>,
}

impl<'a> Batch<'a> {
    /// Begins the transaction, locks the shards, and looks up what is needed: one trip to the database, since each
    /// statement begins when the one before it has ended, and sees what was committed by then.
    pub(super) async fn begin(db: &Db, shards: Shards, needs: &Needs, known: &HashSet<AccountId>) -> Result<Self> {
        let places: Vec<_> = needs.shards(shards).into_iter().map(SmallInt::int).collect();
        let accounts: Vec<_> = needs.accounts.iter().collect();
        let existing: Vec<_> = needs.existing.iter().filter(|id| !known.contains(*id)).collect();
        let groups: Vec<_> = needs.groups.iter().collect();
        let topics: Vec<_> = needs.topics.iter().map(|(group, id)| (group, id)).collect();
        let members: Vec<_> = needs.members.iter().map(|(group, id)| (group, id)).collect();
        let blocks: Vec<_> = needs.blocks.iter().map(|(owner, target)| (owner, target)).collect();
        let subjects: Vec<_> = needs.subjects.iter().collect();
        let parked: Vec<_> = needs.parked.iter().copied().collect();
        let parties: BTreeSet<_> = needs.subjects.iter().flat_map(parties).collect();
        let parties: Vec<_> = parties.into_iter().collect();

        // Prepared first: a statement that is prepared at its first use would begin later than those after it.
        let lock = db.prepare_cached(LOCK).await?;
        let begin = async { Ok(db.batch_execute(BEGIN).await?) };
        let heads = async {
            match places.is_empty() {
                true => Ok(Vec::new()),
                false => Ok(db.query(&lock, &[&places]).await?),
            }
        };
        let (
            (),
            heads,
            accounts_found,
            existing_found,
            groups_found,
            topics_found,
            members_found,
            blocks_found,
            subjects_found,
            unread_found,
            sent_found,
            parked_found,
            waiting_found,
        ) = try_join!(
            biased;
            begin,
            heads,
            unless_empty(&accounts, |ids| account::find(db, shards, ids)),
            unless_empty(&existing, |ids| account::find(db, shards, ids)),
            unless_empty(&groups, |ids| group::states(db, shards, ids)),
            unless_empty(&topics, |ids| topic::exist(db, shards, ids)),
            unless_empty(&members, |ids| member::marks(db, shards, ids)),
            unless_empty(&blocks, |pairs| block::find(db, shards, pairs)),
            unless_empty(&subjects, |ids| conversation::find(db, shards, ids)),
            unless_empty(&parties, |ids| conversation::unread(db, ids)),
            unless_empty(&needs.repeats, |repeats| event::sent_before(db, repeats)),
            unless_empty(&parked, |places| parked::standings(db, places)),
            unless_empty(&needs.waiting, |repeats| parked::waiting(db, repeats)),
        )?;

        let mut batch = Self {
            shards,
            existing: needs.existing.iter().filter(|id| known.contains(*id)).cloned().collect(),
            accounts: absent(&needs.accounts),
            groups: absent(&needs.groups),
            topics: absent(&needs.topics),
            members: absent(&needs.members),
            blocks: absent(&needs.blocks),
            subjects: needs.subjects.iter().map(|id| (id.clone(), Entry::absent())).collect(),
            unread: HashMap::new(),
            unread_changed: BTreeSet::new(),
            sent: HashMap::new(),
            parked: absent(&needs.parked),
            waiting: HashMap::new(),
            heads: heads.iter().map(read_head).collect(),
            events: Vec::new(),
        };
        batch.existing.extend(existing_found.into_iter().map(|(place, _)| existing[place].clone()));
        for (place, account) in accounts_found {
            batch.existing.insert(account.id.clone());
            batch.accounts.insert(accounts[place].clone(), Entry::found(account));
        }
        for (place, state) in groups_found {
            batch.groups.insert(groups[place].clone(), Entry::found(GroupRow { state, put: None }));
        }
        for place in topics_found {
            let (group, id) = topics[place];
            batch.topics.insert((group.clone(), id.clone()), Entry::found(None));
        }
        for (place, marks) in members_found {
            let (group, id) = members[place];
            batch.members.insert((group.clone(), id.clone()), Entry::found(MemberRow { marks, arriving: None }));
        }
        for place in blocks_found {
            let (owner, target) = blocks[place];
            batch.blocks.insert((owner.clone(), target.clone()), Entry::found(None));
        }
        for (place, found) in subjects_found {
            batch.subjects.insert(subjects[place].clone(), Entry::found(found));
        }
        for (account, shard, total) in unread_found {
            batch.unread.entry(account).or_default().insert(shard, total);
        }
        for (place, position, message) in sent_found {
            let (_, repeat) = needs.repeats[place];
            batch.sent.entry(repeat.hash).or_default().push(Sent::Before(position, Box::new(message)));
        }
        for (place, standing) in parked_found {
            batch.parked.insert(parked[place], Entry::found(ParkedRow { standing, put: None }));
        }
        for (hash, id) in waiting_found {
            batch.waiting.entry(hash).or_default().insert(id);
        }
        // The newest last.
        batch.sent.values_mut().for_each(|sent| {
            sent.sort_by_key(|sent| match sent {
                Sent::Before(position, _) => *position,
                Sent::Now(_) => Position(u64::MAX),
            })
        });
        Ok(batch)
    }

    /// Whether anything is to be written.
    pub(super) fn has_changed(&self) -> bool {
        let accounts = self.accounts.values().any(|entry| entry.is_changed);
        let groups = self.groups.values().any(|entry| entry.is_changed);
        let topics = self.topics.values().any(|entry| entry.is_changed);
        let members = self.members.values().any(|entry| entry.is_changed);
        let blocks = self.blocks.values().any(|entry| entry.is_changed);
        let subjects = self.subjects.values().any(|entry| entry.is_changed);
        let parked = self.parked.values().any(|entry| entry.is_changed);
        accounts || groups || topics || members || blocks || subjects || parked || !self.events.is_empty()
    }

    /// Writes what has changed: one trip to the database again, and one statement for each kind of row.
    pub(super) async fn write(&self, db: &Db) -> Result<()> {
        let shards = self.shards;
        let accounts: Vec<_> = changed(&self.accounts).map(|(_, account)| account).collect();
        let mut put = Vec::new();
        let mut counted = Vec::new();
        for (id, row) in changed(&self.groups) {
            match row.put {
                Some(group) => put.push((group, row.state)),
                None => counted.push((id, row.state)),
            }
        }
        let topics: Vec<_> = changed(&self.topics).filter_map(|(_, topic)| *topic).collect();
        let mut arriving = Vec::new();
        let mut marked = Vec::new();
        for ((group, account), row) in changed(&self.members) {
            match row.arriving {
                Some((member, arrival)) => arriving.push(Arriving { group, member, arrival, marks: row.marks }),
                None => marked.push((group, account, row.marks)),
            }
        }
        let blocks = changed(&self.blocks).filter_map(|((owner, target), since)| Some((owner, target, (*since)?)));
        let blocks: Vec<_> = blocks.collect();
        let moved = |is_new: bool| {
            let entries = self.subjects.iter().filter(move |(_, entry)| entry.is_changed && entry.is_new == is_new);
            entries.filter_map(|(id, entry)| Some((id, entry.row.as_ref()?))).collect::<Vec<_>>()
        };
        let (made, advanced) = (moved(true), moved(false));
        let unread: Vec<_> = self
            .unread_changed
            .iter()
            .map(|(account, shard)| {
                (account, *shard, self.unread.get(account).and_then(|totals| totals.get(shard)).copied().unwrap_or(0))
            })
            .collect();
        let parked: Vec<_> = changed(&self.parked).filter_map(|(_, row)| row.put).collect();
        let forgotten = self.parked.iter().filter(|(_, entry)| entry.is_changed && entry.row.is_none());
        let forgotten: Vec<_> = forgotten.map(|(place, _)| *place).collect();
        let heads: Vec<_> = self.heads.iter().filter(|(_, head)| head.is_changed).collect();
        // In this order, so that of several errors the first one is the cause of the others.
        try_join!(
            biased;
            unless_empty(&accounts, |rows| account::put(db, shards, rows)),
            unless_empty(&put, |rows| group::put(db, shards, rows)),
            unless_empty(&counted, |rows| group::count(db, shards, rows)),
            unless_empty(&topics, |rows| topic::add(db, shards, rows)),
            unless_empty(&arriving, |rows| member::add(db, shards, rows)),
            unless_empty(&marked, |rows| member::put_marks(db, shards, rows)),
            unless_empty(&blocks, |rows| block::add(db, shards, rows)),
            unless_empty(&made, |rows| conversation::add(db, shards, rows)),
            unless_empty(&advanced, |rows| conversation::advance(db, shards, rows)),
            unless_empty(&unread, |rows| conversation::put_unread(db, rows)),
            unless_empty(&self.events, |rows| event::append(db, rows)),
            unless_empty(&parked, |rows| parked::put(db, shards, rows)),
            unless_empty(&forgotten, |rows| parked::forget(db, rows)),
            unless_empty(&heads, |rows| put_heads(db, rows)),
        )?;
        Ok(())
    }

    /// The shards that are locked, with their heads.
    pub(super) fn locked(&self) -> impl Iterator<Item = (Shard, Position)> {
        self.heads.iter().map(|(shard, head)| (*shard, head.position))
    }

    /// The heads of the shards in which something was appended.
    pub(super) fn heads(&self) -> impl Iterator<Item = (Shard, Position)> {
        self.heads.iter().filter(|(_, head)| head.is_changed).map(|(shard, head)| (*shard, head.position))
    }

    /// Accounts that exist once this is committed.
    pub(super) fn existing(&self) -> impl Iterator<Item = &AccountId> {
        self.existing.iter()
    }

    fn head(&mut self, shard: Shard) -> Result<&mut Head> {
        let head = self.heads.get_mut(&shard).ok_or_else(|| Error::Missing(format!("shard {} of the log", shard.0)))?;
        head.is_changed = true;
        Ok(head)
    }

    /// Makes sure that those whom a subject is of exist.
    fn check_parties(&self, id: &Subject) -> Result<()> {
        let exist = match id {
            Subject::Conversation(ConversationId::Direct(a, b)) => {
                self.existing.contains(a) && self.existing.contains(b)
            }
            Subject::Conversation(ConversationId::Group(group)) => is_there(&self.groups, group),
            Subject::Conversation(ConversationId::Topic(group, topic)) => {
                is_there(&self.topics, &(group.clone(), topic.clone()))
            }
            Subject::Account(account) => self.existing.contains(account),
            Subject::App => true,
        };
        if exist { Ok(()) } else { Err(Error::Missing(format!("whom {id:?} is of"))) }
    }
}

impl<'a> Rows<'a> for Batch<'a> {
    type Error = Error;

    fn has_account(&mut self, id: &AccountId) -> Result<bool> {
        Ok(self.existing.contains(id))
    }

    fn group(&mut self, id: &GroupId) -> Result<Option<GroupState>> {
        Ok(self.groups.get(id).and_then(|entry| entry.row.as_ref()).map(|row| row.state))
    }

    fn has_topic(&mut self, group: &GroupId, id: &TopicId) -> Result<bool> {
        Ok(is_there(&self.topics, &(group.clone(), id.clone())))
    }

    fn has_member(&mut self, group: &GroupId, id: &AccountId) -> Result<bool> {
        Ok(is_there(&self.members, &(group.clone(), id.clone())))
    }

    fn has_block(&mut self, owner: &AccountId, target: &AccountId) -> Result<bool> {
        Ok(is_there(&self.blocks, &(owner.clone(), target.clone())))
    }

    fn sent_before(&mut self, message: &Message, repeat: &Repeat) -> Result<Option<Message>> {
        let sent = self.sent.get(&repeat.hash).into_iter().flatten().rev();
        for sent in sent {
            let (first, seq) = match sent {
                Sent::Before(_, first) => (&**first, first.seq),
                Sent::Now(place) => {
                    let event = &self.events[*place].event;
                    let Some(first) = event.message else { continue };
                    (first, event.number)
                }
            };
            if first.sender == message.sender && first.time.millis() >= repeat.earliest {
                return Ok(Some(Message { seq, ..first.clone() }));
            }
        }
        Ok(None)
    }

    fn parked(&mut self, conversation: &ConversationId, id: MessageId) -> Result<Option<Standing>> {
        let entry = self.parked.get(&(self.shards.of(conversation), id));
        Ok(entry.and_then(|entry| entry.row.as_ref()).map(|row| row.standing))
    }

    fn waits(&mut self, repeat: &Repeat) -> Result<bool> {
        Ok(self.waiting.get(&repeat.hash).is_some_and(|ids| !ids.is_empty()))
    }

    fn import(&mut self, new: &'a NewAccount, now: Timestamp) -> Result<()> {
        let entry = self.accounts.entry(new.id.clone()).or_insert_with(Entry::absent);
        let account = new.clone().over(entry.row.take(), now);
        entry.put(account);
        self.existing.insert(new.id.clone());
        Ok(())
    }

    fn put_group(&mut self, group: &'a Group) -> Result<()> {
        let entry = self.groups.entry(group.id.clone()).or_insert_with(Entry::absent);
        let before = entry.row.as_ref().map(|row| row.state);
        let state = GroupState {
            version: group.version,
            is_open: group.status == GroupStatus::Open,
            member_count: before.map_or(0, |state| state.member_count),
            arrivals: before.map_or(0, |state| state.arrivals),
        };
        entry.put(GroupRow { state, put: Some(group) });
        Ok(())
    }

    fn add_members(&mut self, group: &'a GroupId, members: &'a [Member]) -> Result<Vec<AccountId>> {
        let missing = || Error::Missing(format!("the group {group:?}"));
        let entry = self.groups.get_mut(group).ok_or_else(missing)?;
        let row = entry.row.as_mut().ok_or_else(missing)?;
        let mut added = Vec::new();
        for member in members {
            if !self.existing.contains(&member.account) {
                return Err(Error::Missing(format!("the account {:?}", member.account)));
            }
            let place = (group.clone(), member.account.clone());
            let entry = self.members.entry(place).or_insert_with(Entry::absent);
            if entry.row.is_some() {
                continue;
            }
            row.state.arrivals += 1;
            row.state.member_count += 1;
            let marks = Marks { read_seq: member.read_seq, last_sent: member.last_sent };
            entry.put(MemberRow { marks, arriving: Some((member, row.state.arrivals)) });
            added.push(member.account.clone());
        }
        entry.is_changed |= !added.is_empty();
        Ok(added)
    }

    fn add_topic(&mut self, topic: &'a Topic) -> Result<()> {
        if !is_there(&self.groups, &topic.group) {
            return Err(Error::Missing(format!("the group {:?}", topic.group)));
        }
        let place = (topic.group.clone(), topic.id.clone());
        let entry = self.topics.entry(place).or_insert_with(Entry::absent);
        if entry.row.is_some() {
            return Err(Error::Missing(format!("a free place for the topic {:?}", topic.id)));
        }
        entry.put(Some(topic));
        Ok(())
    }

    fn add_blocks(&mut self, owner: &'a AccountId, targets: &'a [AccountId], now: Timestamp) -> Result<()> {
        if !self.existing.contains(owner) {
            return Ok(());
        }
        for target in targets.iter().filter(|target| self.existing.contains(*target)) {
            let entry = self.blocks.entry((owner.clone(), target.clone())).or_insert_with(Entry::absent);
            if entry.row.is_none() {
                entry.put(Some(now));
            }
        }
        Ok(())
    }

    fn put_parked(&mut self, parked: &'a Parked, data: &'a str) -> Result<()> {
        let columns = Columns::of(parked);
        let (waits, round, repeat) = (columns.waits(), columns.round, columns.repeat);
        let id = parked.message.id;
        if let Some(hash) = repeat {
            let waiting = self.waiting.entry(hash).or_default();
            let _ = if waits { waiting.insert(id) } else { waiting.remove(&id) };
        }
        let place = (self.shards.of(&parked.message.conversation), id);
        let entry = self.parked.entry(place).or_insert_with(Entry::absent);
        entry.put(ParkedRow { standing: Standing { waits, round }, put: Some((parked, data)) });
        Ok(())
    }

    fn forget_parked(&mut self, conversation: &'a ConversationId, id: MessageId) -> Result<()> {
        if let Some(entry) = self.parked.get_mut(&(self.shards.of(conversation), id))
            && entry.row.as_ref().is_some_and(|row| !row.standing.waits)
        {
            entry.row = None;
            entry.is_changed = true;
        }
        Ok(())
    }

    fn counts(&mut self, id: &Subject) -> Result<Counts> {
        if let Some(found) = self.subjects.get(id).and_then(|entry| entry.row.as_ref()) {
            return Ok(found.counts);
        }
        self.check_parties(id)?;
        let head = self.head(self.shards.of_subject(id))?;
        head.conversations += 1;
        let found =
            conversation::Found { key: head.conversations, counts: Counts::default(), last_time: Timestamp::default() };
        self.subjects.entry(id.clone()).or_insert_with(Entry::absent).put(found);
        Ok(found.counts)
    }

    fn add_unread(&mut self, account: &AccountId, id: &ConversationId, more: i64) -> Result<u64> {
        let shard = self.shards.of(id);
        let totals = match self.unread.get_mut(account) {
            Some(totals) => totals,
            None => self.unread.entry(account.clone()).or_default(),
        };
        if more != 0 {
            *totals.entry(shard).or_default() += more;
            self.unread_changed.insert((account.clone(), shard));
        }
        Ok(nat(totals.values().sum()))
    }

    fn advance(&mut self, id: &Subject, counts: Counts, time: Timestamp) -> Result<()> {
        let entry = self.subjects.get_mut(id);
        let missing = || Error::Missing(format!("{id:?}"));
        let entry = entry.ok_or_else(missing)?;
        let found = entry.row.as_mut().ok_or_else(missing)?;
        found.counts = counts;
        found.last_time = time;
        entry.is_changed = true;
        Ok(())
    }

    fn member_sent(&mut self, id: &Subject, sent: MemberSent<'_>) -> Result<()> {
        let Subject::Conversation(ConversationId::Group(group)) = id else { return Ok(()) };
        if let Some(entry) = self.members.get_mut(&(group.clone(), sent.account.clone()))
            && let Some(row) = &mut entry.row
        {
            row.marks.sent(sent);
            entry.is_changed = true;
        }
        Ok(())
    }

    fn append(&mut self, event: NewEvent<'a>) -> Result<()> {
        let found = self.subjects.get(event.subject).and_then(|entry| entry.row.as_ref());
        let key = found.ok_or_else(|| Error::Missing(format!("{:?}", event.subject)))?.key;
        if let Some(message) = event.message
            && !self.existing.contains(&message.sender)
        {
            return Err(Error::Missing(format!("the account {:?}", message.sender)));
        }
        if let Some(hash) = event.repeat {
            self.sent.entry(hash).or_default().push(Sent::Now(self.events.len()));
        }
        let shard = self.shards.of_subject(event.subject);
        let head = self.head(shard)?;
        head.position.0 += 1;
        let position = head.position;
        self.events.push(Placed { shard, position, conversation: key, event });
        Ok(())
    }
}

/// Nothing is asked about nothing.
async fn unless_empty<'r, R, T, F>(rows: &'r [R], statement: impl FnOnce(&'r [R]) -> F) -> Result<T>
where
    T: Default,
    F: Future<Output = Result<T>>,
{
    if rows.is_empty() { Ok(T::default()) } else { statement(rows).await }
}

fn absent<K: Ord + Clone, T>(keys: &BTreeSet<K>) -> BTreeMap<K, Entry<T>> {
    keys.iter().map(|key| (key.clone(), Entry::absent())).collect()
}

fn is_there<K: Ord, T>(entries: &BTreeMap<K, Entry<T>>, key: &K) -> bool {
    entries.get(key).is_some_and(|entry| entry.row.is_some())
}

fn changed<K, T>(entries: &BTreeMap<K, Entry<T>>) -> impl Iterator<Item = (&K, &T)> {
    entries.iter().filter(|(_, entry)| entry.is_changed).filter_map(|(key, entry)| Some((key, entry.row.as_ref()?)))
}

fn parties(id: &Subject) -> impl Iterator<Item = &AccountId> {
    let parties = match id {
        Subject::Conversation(ConversationId::Direct(a, b)) => [Some(a), Some(b)],
        _ => [None, None],
    };
    parties.into_iter().flatten()
}

fn read_head(row: &tokio_postgres::Row) -> (Shard, Head) {
    let head = Head { position: Position(nat(row.get(1))), conversations: row.get(2), is_changed: false };
    (Shard(row.get::<_, i16>(0).cast_unsigned()), head)
}

async fn put_heads(db: &Db, heads: &[(&Shard, &Head)]) -> Result<()> {
    let put = db
        .prepare_cached(
            "UPDATE log_shard s SET head = u.head, conversations = u.conversations
             FROM unnest($1::int2[], $2::int8[], $3::int8[]) AS u (shard, head, conversations)
             WHERE s.shard = u.shard",
        )
        .await?;
    let shards: Vec<_> = heads.iter().map(|(shard, _)| shard.int()).collect();
    let positions: Vec<_> = heads.iter().map(|(_, head)| int(head.position.0)).collect();
    let conversations: Vec<_> = heads.iter().map(|(_, head)| head.conversations).collect();
    db.execute(&put, &[&shards, &positions, &conversations]).await?;
    Ok(())
}
