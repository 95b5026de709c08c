//! One command's changes against the rows of a store: assertions first, then writes. The rules are the same for every
//! store; a store says how its [`Rows`] are read and written.

use std::borrow::Cow;

use chat::account::import::NewAccount;
use chat::conversation::ConversationId;
use chat::event::{Event, Subject};
use chat::group::{Group, Topic};
use chat::id::{AccountId, GroupId, MessageId, Seq, Timestamp, TopicId};
use chat::member::Member;
use chat::message::park::Parked;
use chat::message::{Keeping, Message};
use chat::port::{Assertion, Changes, Committed, Write};

use crate::conversation::{Counts, Party};
use crate::group::GroupState;
use crate::parked::Standing;
use crate::repeat::{self, Repeat};

/// Changes whose events are serialised already: that is the caller's work, so that a writer only writes.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) assertions: Vec<Assertion>,
    pub(crate) writes: Vec<Prepare>,
}

/// A write, with its event or message as JSON if it writes one, and what recognises a repeat of it.
#[derive(Debug)]
pub(crate) struct Prepare {
    pub(crate) write: Write,
    data: String,
    /// What the event is about; the app, if it appends none.
    subject: Subject,
    pub(crate) repeat: Option<Repeat>,
}

impl Prepared {
    pub(crate) fn new(changes: Changes) -> serde_json::Result<Self> {
        let writes = changes.writes.into_iter().map(Prepare::new).collect::<Result<_, _>>()?;
        Ok(Self { assertions: changes.assertions, writes })
    }

    /// About how many rows it writes.
    pub(crate) fn rows(&self) -> usize {
        let of_write = |prepare: &Prepare| match &prepare.write {
            Write::AddMembers(_, members) => members.len(),
            Write::AddBlocks { targets, .. } => targets.len(),
            _ => 1,
        };
        self.writes.iter().map(of_write).sum()
    }
}

impl Prepare {
    fn new(write: Write) -> serde_json::Result<Self> {
        Ok(match write {
            Write::Send { message, repeat, reads } => {
                let found_by = repeat.as_ref().map(|key| repeat::of(&message, key));
                // The message moves into its event and out again: it is not copied.
                let event = Event::MessageSent(*message);
                let data = serde_json::to_string(&event)?;
                let subject = event.subject();
                let Event::MessageSent(message) = event else { unreachable!("it is what it was made as") };
                let write = Write::Send { message: Box::new(message), repeat, reads };
                Self { write, data, subject, repeat: found_by }
            }
            Write::Append(event) => {
                let data = serde_json::to_string(&event)?;
                let subject = event.subject();
                Self { write: Write::Append(event), data, subject, repeat: None }
            }
            Write::Park(parked) => {
                let data = serde_json::to_string(&parked)?;
                let found_by = parked.repeat.as_ref().map(|key| repeat::of(&parked.message, key));
                Self { write: Write::Park(parked), data, subject: Subject::App, repeat: found_by }
            }
            write => Self { write, data: String::new(), subject: Subject::App, repeat: None },
        })
    }
}

impl Prepare {
    /// The message that must not have been sent before. What was decided about a message stands in the same commit as the
    /// message.
    pub(crate) fn first_of_its_kind(&self) -> Option<&Message> {
        match &self.write {
            Write::Send { message, .. } => Some(message),
            Write::Park(parked) if parked.decision.is_none() => Some(&parked.message),
            _ => None,
        }
    }
}

/// What became of a command's changes. Only `Done` has written anything.
#[derive(Debug)]
pub(crate) enum Applied {
    Done(Committed),
    Broken(Assertion),
    Repeat(Box<Message>),
}

/// The rows of a store, inside a transaction that nobody else's changes get into.
///
/// An error spoils the transaction; it is for what commands have made sure of before (an account, a group that is not
/// there), and for the store's own trouble.
pub(crate) trait Rows<'a> {
    type Error;

    fn has_account(&mut self, id: &AccountId) -> Result<bool, Self::Error>;
    fn group(&mut self, id: &GroupId) -> Result<Option<GroupState>, Self::Error>;
    fn has_topic(&mut self, group: &GroupId, id: &TopicId) -> Result<bool, Self::Error>;
    fn has_member(&mut self, group: &GroupId, id: &AccountId) -> Result<bool, Self::Error>;
    fn has_block(&mut self, owner: &AccountId, target: &AccountId) -> Result<bool, Self::Error>;
    fn sent_before(&mut self, message: &Message, repeat: &Repeat) -> Result<Option<Message>, Self::Error>;

    /// How it stands with a message that waits for a verdict.
    fn parked(&mut self, conversation: &ConversationId, id: MessageId) -> Result<Option<Standing>, Self::Error>;
    /// Whether a message that this would repeat waits for a verdict.
    fn waits(&mut self, repeat: &Repeat) -> Result<bool, Self::Error>;

    fn import(&mut self, new: &'a NewAccount, now: Timestamp) -> Result<(), Self::Error>;
    fn put_group(&mut self, group: &'a Group) -> Result<(), Self::Error>;
    /// Returns who was new.
    fn add_members(&mut self, group: &'a GroupId, members: &'a [Member]) -> Result<Vec<AccountId>, Self::Error>;
    fn add_topic(&mut self, topic: &'a Topic) -> Result<(), Self::Error>;
    fn add_blocks(&mut self, owner: &'a AccountId, targets: &'a [AccountId], now: Timestamp)
    -> Result<(), Self::Error>;

    fn put_parked(&mut self, parked: &'a Parked, data: &'a str) -> Result<(), Self::Error>;
    fn forget_parked(&mut self, conversation: &'a ConversationId, id: MessageId) -> Result<(), Self::Error>;

    /// The counts of a subject, whose row is made if it is not there. Its accounts or group must exist.
    fn counts(&mut self, id: &Subject) -> Result<Counts, Self::Error>;
    /// Adds to what an account has unread in a direct conversation, and so in all. Called before
    /// [`Rows::advance`]. Returns what it has unread in all now.
    fn add_unread(&mut self, account: &AccountId, id: &ConversationId, more: i64) -> Result<u64, Self::Error>;
    /// Moves a conversation on to a message.
    fn advance(&mut self, id: &Subject, counts: Counts, time: Timestamp) -> Result<(), Self::Error>;
    /// Notes that a member, if the sender is one, has sent a message in the group's own conversation.
    fn member_sent(&mut self, id: &Subject, sent: MemberSent<'_>) -> Result<(), Self::Error>;
    /// Appends to the log, at the next position.
    fn append(&mut self, event: NewEvent<'a>) -> Result<(), Self::Error>;
}

/// That a member has sent `seq`. Sending reads the conversation if it is meant to, or if nothing was unread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberSent<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) seq: Seq,
    pub(crate) time: Timestamp,
    pub(crate) reads: bool,
}

/// An event on its way into the log.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) subject: &'a Subject,
    /// The message of `MessageSent`.
    pub(crate) message: Option<&'a Message>,
    /// Of what is in the history.
    pub(crate) seq: Option<Seq>,
    /// What the sender was told as seq: a live room's messages are numbered, and not in the history.
    pub(crate) number: Seq,
    pub(crate) time: Timestamp,
    /// One-to-one: how many the recipient has unread after this, in all conversations.
    pub(crate) unread: Option<u64>,
    /// The hash of the repeat key.
    pub(crate) repeat: Option<i64>,
    /// The event as JSON.
    pub(crate) data: Cow<'a, str>,
}

/// Applies changes. Everything that can say no is looked at before the first write, so that a no leaves nothing behind
/// in the batch's transaction.
pub(crate) fn apply<'a, R: Rows<'a>>(rows: &mut R, prepared: &'a Prepared) -> Result<Applied, R::Error> {
    for assertion in &prepared.assertions {
        if !holds(rows, assertion)? {
            return Ok(Applied::Broken(assertion.clone()));
        }
    }
    for prepare in &prepared.writes {
        if let (Some(message), Some(repeat)) = (prepare.first_of_its_kind(), &prepare.repeat)
            && let Some(first) = rows.sent_before(message, repeat)?
        {
            return Ok(Applied::Repeat(Box::new(first)));
        }
    }
    let mut receipt = Committed::default();
    for prepare in &prepared.writes {
        write_one(rows, prepare, &mut receipt)?;
    }
    Ok(Applied::Done(receipt))
}

fn holds<'a, R: Rows<'a>>(rows: &mut R, assertion: &Assertion) -> Result<bool, R::Error> {
    Ok(match assertion {
        Assertion::NoAccount(id) => !rows.has_account(id)?,
        Assertion::NoGroup(id) => rows.group(id)?.is_none(),
        Assertion::GroupVersion(id, wanted) => {
            rows.group(id)?.is_some_and(|group| group.version == *wanted && group.is_open)
        }
        Assertion::GroupOpen(id) => rows.group(id)?.is_some_and(|group| group.is_open),
        Assertion::MembersAtMost(id, most) => rows.group(id)?.is_some_and(|group| group.member_count <= *most),
        Assertion::IsMember(id, account) => rows.has_member(id, account)?,
        Assertion::NotBlocked(owner, target) => !rows.has_block(owner, target)?,
        Assertion::NoTopic(id, topic) => !rows.has_topic(id, topic)?,
        Assertion::NothingParked { conversation, sender, key } => {
            !rows.waits(&repeat::of_any_time(conversation, sender.as_str(), key))?
        }
        Assertion::StillParked { conversation, id, round } => {
            rows.parked(conversation, *id)?.is_some_and(|parked| parked.waits && parked.round == *round)
        }
    })
}

fn write_one<'a, R: Rows<'a>>(rows: &mut R, prepare: &'a Prepare, receipt: &mut Committed) -> Result<(), R::Error> {
    match &prepare.write {
        Write::ImportAccount { new, now } => rows.import(new, *now),
        Write::PutGroup(group) => rows.put_group(group),
        Write::AddMembers(group, members) => {
            receipt.added.extend(rows.add_members(group, members)?);
            Ok(())
        }
        Write::AddTopic(topic) => rows.add_topic(topic),
        Write::AddBlocks { owner, targets, now } => rows.add_blocks(owner, targets, *now),
        Write::Send { message, reads, .. } => {
            receipt.seqs.push(send(rows, message, *reads, prepare)?);
            Ok(())
        }
        Write::Park(parked) => rows.put_parked(parked, &prepare.data),
        Write::ForgetParked(conversation, id) => rows.forget_parked(conversation, *id),
        Write::Append(event) => {
            let subject = &prepare.subject;
            // It is made if it is not there.
            rows.counts(subject)?;
            rows.append(NewEvent {
                subject,
                message: None,
                seq: None,
                number: 0,
                time: event.time(),
                unread: None,
                repeat: None,
                data: Cow::Borrowed(&prepare.data),
            })
        }
    }
}

/// Assigns the seq, moves the conversation on, and appends the message to the log.
fn send<'a, R: Rows<'a>>(
    rows: &mut R,
    message: &'a Message,
    reads: bool,
    prepare: &'a Prepare,
) -> Result<Seq, R::Error> {
    let keeping = message.delivery.keeping;
    let conversation = &message.conversation;
    let subject = &prepare.subject;
    let mut counts = rows.counts(subject)?;
    let seq = if keeping == Keeping::OnlineOnly { 0 } else { counts.head + 1 };
    let mut data = Cow::Borrowed(prepare.data.as_str());
    let mut unread = None;
    if let ConversationId::Direct(a, b) = conversation {
        unread = Some(count(rows, message, (a, b), &mut counts, seq, reads)?);
    }
    if seq > 0 {
        counts.head = seq;
        rows.advance(subject, counts, message.time)?;
        if let ConversationId::Group(_) = conversation {
            rows.member_sent(subject, MemberSent { account: &message.sender, seq, time: message.time, reads })?;
        }
        if keeping == Keeping::Live {
            let numbered = Event::MessageSent(Message { seq, ..message.clone() });
            data = Cow::Owned(serde_json::to_string(&numbered).expect("it was serialised before, with another number"));
        }
    }
    rows.append(NewEvent {
        subject,
        message: Some(message),
        seq: (keeping == Keeping::Stored).then_some(seq),
        number: seq,
        time: message.time,
        unread,
        repeat: prepare.repeat.map(|repeat| repeat.hash),
        data,
    })?;
    Ok(seq)
}

/// Counts a one-to-one message, in the conversation and for both parties. Returns what its recipient has unread now, in
/// all conversations.
fn count<'a, R: Rows<'a>>(
    rows: &mut R,
    message: &Message,
    (a, b): (&AccountId, &AccountId),
    counts: &mut Counts,
    seq: Seq,
    reads: bool,
) -> Result<u64, R::Error> {
    let before = counts.unread;
    let sender = if message.sender == *a { Party::A } else { Party::B };
    if seq > 0 {
        let adds = message.delivery.keeping == Keeping::Stored && !message.delivery.no_unread && a != b;
        counts.count(sender, seq, adds, reads);
    }
    let more = |after: u64, before: u64| after.cast_signed() - before.cast_signed();
    let of_a = rows.add_unread(a, &message.conversation, more(counts.unread.a, before.a))?;
    let of_b = match a == b {
        true => of_a,
        false => rows.add_unread(b, &message.conversation, more(counts.unread.b, before.b))?,
    };
    Ok(if sender == Party::A { of_b } else { of_a })
}
