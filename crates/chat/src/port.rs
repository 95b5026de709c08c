//! What the heart needs from outside: a store, the app's backends, and time.
//!
//! Each port has two implementations at least; `store/tests` holds the suite that every [`Store`] passes.

use async_trait::async_trait;
use tokio::sync::watch;

use crate::account::Account;
use crate::account::import::NewAccount;
use crate::conversation::ConversationId;
use crate::event::{Event, LogEntry, Position, Shard, Subject};
use crate::group::{Group, GroupKind, Topic};
use crate::id::{AccountId, GroupId, MessageId, Seq, Timestamp, TopicId};
use crate::member::{Member, Role};
use crate::message::park::{Parked, ParkedCount, ParkedQuery};
use crate::message::{Message, RepeatKey};
use crate::question::{Question, Verdict};
use crate::refusal::Fault;

/// Durable truth. Writes go through [`Store::commit`] and nothing else.
///
/// Reads see every commit that was answered before them.
#[async_trait]
pub trait Store: Log {
    /// Carries out `changes` in one transaction: all of them or none. Returns after they are durable.
    async fn commit(&self, changes: Changes) -> Result<Committed, CommitError>;

    /// Those of `ids` that exist, in the order asked for; one that is asked for twice is there twice.
    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, Fault>;

    /// Whether `owner` has blocked `target`.
    async fn is_blocked(&self, owner: &AccountId, target: &AccountId) -> Result<bool, Fault>;

    /// Those of `targets` that `owner` has blocked, and how many `owner` has blocked in all.
    async fn blocks(&self, owner: &AccountId, targets: &[AccountId]) -> Result<(Vec<AccountId>, u64), Fault>;

    /// Those of `ids` that exist (dissolved ones too), in the order asked for.
    async fn groups(&self, ids: &[GroupId]) -> Result<Vec<Group>, Fault>;

    /// How many living groups of that kind `owner` is the owning member of. Live rooms store no members, and count as none.
    async fn groups_owned(&self, owner: &AccountId, kind: GroupKind) -> Result<u64, Fault>;

    /// A topic of a group.
    async fn topic(&self, group: &GroupId, topic: &TopicId) -> Result<Option<Topic>, Fault>;

    /// One membership.
    async fn member(&self, group: &GroupId, account: &AccountId) -> Result<Option<Member>, Fault>;

    /// A page of a group's members, by role (owner first), then by when they joined, then as they came.
    async fn members(&self, group: &GroupId, query: MemberQuery) -> Result<Vec<Member>, Fault>;

    /// The state of a conversation; the empty state if nothing was ever sent in it.
    async fn conversation(&self, id: &ConversationId) -> Result<ConversationState, Fault>;

    /// Every conversation of an account that has a message, as the account stands in it, in any order. Groups count while
    /// the account is a member; topics are reached through their group.
    async fn inbox(&self, account: &AccountId) -> Result<Vec<InboxEntry>, Fault>;

    /// The groups that an account is a member of, in any order.
    async fn groups_of(&self, account: &AccountId) -> Result<Vec<GroupId>, Fault>;

    /// Messages of a conversation.
    async fn messages(&self, conversation: &ConversationId, query: MessageQuery) -> Result<Vec<Message>, Fault>;

    /// The message that `sender` sent before in a conversation with this key, if it is still within the key's window at
    /// `now`.
    async fn repeat_of(
        &self,
        conversation: &ConversationId,
        sender: &AccountId,
        key: &RepeatKey,
        now: Timestamp,
    ) -> Result<Option<Message>, Fault>;

    /// How many unread one-to-one messages `account` has in the conversation with `peer`; with all if `None`.
    async fn unread_direct(&self, account: &AccountId, peer: Option<&AccountId>) -> Result<u64, Fault>;

    /// The message of that id that waits for a verdict, or was decided and is not forgotten yet.
    async fn parked(&self, id: MessageId) -> Result<Option<Parked>, Fault>;

    /// Of the messages that `sender` wanted to send in a conversation with this key: the one that waits for a verdict, else
    /// the newest that was decided, if at `now` that was no longer ago than the key's window.
    async fn parked_repeat(
        &self,
        conversation: &ConversationId,
        sender: &AccountId,
        key: &RepeatKey,
        now: Timestamp,
    ) -> Result<Option<Parked>, Fault>;

    /// A page of messages that wait for a verdict, or that were decided.
    async fn list_parked(&self, query: ParkedQuery) -> Result<Vec<Parked>, Fault>;

    /// How many there are. Counts them one by one: for whoever asks once a second, not for each message.
    async fn count_parked(&self) -> Result<ParkedCount, Fault>;
}

/// The log, for its readers: everything that follows a commit. Each reader has a position of its own in each shard.
#[async_trait]
pub trait Log: Send + Sync {
    /// The shards of the log.
    fn shards(&self) -> Vec<Shard>;

    /// The shard that all events of a subject are in.
    fn shard_of(&self, subject: &Subject) -> Shard;

    /// Up to `limit` events of a shard after a position, in order.
    async fn log_after(&self, shard: Shard, after: Position, limit: usize) -> Result<Vec<LogEntry>, Fault>;

    /// Up to `limit` events of one subject after a position and up to another, in order.
    async fn log_of(
        &self,
        subject: &Subject,
        after: Position,
        up_to: Position,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault>;

    /// Up to `limit` events of one subject before a position, newest first.
    async fn log_before(&self, subject: &Subject, before: Position, limit: usize) -> Result<Vec<LogEntry>, Fault>;

    /// The position of a shard's newest event; changes with each commit that appends one.
    fn head(&self, shard: Shard) -> watch::Receiver<Position>;
}

/// What a command wants stored; not yet true.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// What must be true at commit. The first that is not makes the whole commit fail, with nothing written.
    pub assertions: Vec<Assertion>,
    /// What to write, in this order.
    pub writes: Vec<Write>,
}

/// Something that a command found to be true and that must still be.
#[derive(Clone, Debug, PartialEq)]
pub enum Assertion {
    /// The account does not exist.
    NoAccount(AccountId),
    /// The group does not exist.
    NoGroup(GroupId),
    /// The group is at this version, and alive.
    GroupVersion(GroupId, u64),
    /// The group exists and is alive.
    GroupOpen(GroupId),
    /// The group has at most this many members.
    MembersAtMost(GroupId, u64),
    /// The account is a member.
    IsMember(GroupId, AccountId),
    /// The first has not blocked the second.
    NotBlocked(AccountId, AccountId),
    /// The topic does not exist.
    NoTopic(GroupId, TopicId),
    /// No message of this sender and with this key waits for a verdict in the conversation.
    NothingParked {
        /// Where it would be sent.
        conversation: Box<ConversationId>,
        /// By whom.
        sender: AccountId,
        /// What recognises it.
        key: RepeatKey,
    },
    /// The message waits for a verdict, for the so many-th time.
    StillParked {
        /// Where it would be sent.
        conversation: ConversationId,
        /// Its id.
        id: MessageId,
        /// [`Parked::round`].
        round: u32,
    },
}

/// One change. The store assigns seqs and positions.
#[derive(Clone, Debug)]
pub enum Write {
    /// Makes an account, or updates its profile with what is given.
    ImportAccount {
        /// The account as its importer describes it.
        new: NewAccount,
        /// When a new one counts as made.
        now: Timestamp,
    },
    /// Stores a group; replaces it if it exists. `member_count` is the store's own business.
    PutGroup(Box<Group>),
    /// Adds members; who is one already stays as they are. [`Committed::added`] says who was new.
    AddMembers(GroupId, Vec<Member>),
    /// Adds a topic.
    AddTopic(Box<Topic>),
    /// Adds blocks; existing ones stay.
    AddBlocks {
        /// Who blocks.
        owner: AccountId,
        /// Whom.
        targets: Vec<AccountId>,
        /// Since when.
        now: Timestamp,
    },
    /// Sends a message: assigns its seq, counts it, and appends [`Event::MessageSent`].
    Send {
        /// The message.
        message: Box<Message>,
        /// What recognises a repeat of it; a repeat fails the commit with [`CommitError::Repeat`].
        repeat: Option<RepeatKey>,
        /// Whether sending also marks the conversation as read by the sender.
        reads: bool,
    },
    /// Stores a message that waits for a verdict, or what was decided about it; replaces the one of that id. One that was
    /// sent before fails the commit with [`CommitError::Repeat`], if it is not decided.
    Park(Box<Parked>),
    /// Forgets a message that was decided; one that waits stays.
    ForgetParked(ConversationId, MessageId),
    /// Appends any other event.
    Append(Box<Event>),
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed {
    /// The seq of each [`Write::Send`], in order; 0 for an online-only message.
    pub seqs: Vec<Seq>,
    /// Who was added by [`Write::AddMembers`].
    pub added: Vec<AccountId>,
}

/// Why nothing was committed.
#[derive(Debug)]
pub enum CommitError {
    /// An assertion did not hold.
    Broken(Assertion),
    /// The message was sent before: this is it, as it was sent then.
    Repeat(Box<Message>),
    /// The store cannot take writes now, and says why: full disk, queue at its bound, database away.
    Unavailable(Fault),
    /// A failure of ours.
    Fault(Fault),
}

/// Which members.
#[derive(Clone, Debug, Default)]
pub struct MemberQuery {
    /// Only with one of these roles; empty: all.
    pub roles: Vec<Role>,
    /// Skip so many.
    pub offset: u64,
    /// At most so many.
    pub limit: u64,
}

/// Which messages of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct MessageQuery {
    /// The lowest seq wanted.
    pub from: Seq,
    /// The highest seq wanted.
    pub to: Seq,
    /// The earliest time wanted.
    pub since: Timestamp,
    /// The latest time wanted.
    pub until: Timestamp,
    /// At most so many: the newest of the range if `newest_first`, else the oldest.
    pub limit: usize,
    /// The order of the answer, and which end `limit` keeps.
    pub newest_first: bool,
}

impl MessageQuery {
    /// All seqs between two bounds, at any time.
    pub fn seqs(from: Seq, to: Seq, limit: usize, newest_first: bool) -> Self {
        Self {
            from,
            to,
            since: Timestamp::from_millis(i64::MIN),
            until: Timestamp::from_millis(i64::MAX),
            limit,
            newest_first,
        }
    }
}

/// The state of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConversationState {
    /// Its highest seq; 0 if nothing was sent.
    pub head: Seq,
    /// When its newest message was sent.
    pub last_time: Timestamp,
}

/// One account's view of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InboxEntry {
    /// Which.
    pub conversation: ConversationId,
    /// Its highest seq.
    pub head: Seq,
    /// When its newest message was sent.
    pub last_time: Timestamp,
    /// The highest seq that the account has read.
    pub read: Seq,
}

/// The app's backends, asked before something happens.
#[async_trait]
pub trait Callbacks: Send + Sync {
    /// Whether anybody would be asked. Most questions are asked of nobody, and then the path is shorter.
    fn asks(&self, question: &Question) -> bool;

    /// Whether an endpoint has so much still to be told that nothing new may happen.
    fn is_full(&self) -> bool {
        false
    }

    /// Asks every endpoint that subscribes to it, in configured order, until one refuses.
    async fn ask(&self, question: Question) -> Verdict;

    /// Asks those endpoints that come after the one of this name: what that one was asked is decided. If there is none of
    /// this name any more, all are asked: nobody who is to be asked is passed by.
    async fn ask_after(&self, question: Question, endpoint: &str) -> Verdict;
}

/// No backend: everything is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

#[async_trait]
impl Callbacks for Silent {
    fn asks(&self, _: &Question) -> bool {
        false
    }

    async fn ask(&self, _: Question) -> Verdict {
        Verdict::Allow
    }

    async fn ask_after(&self, _: Question, _: &str) -> Verdict {
        Verdict::Allow
    }
}

/// Time and chance. Nothing in the core or the dialects looks at the real ones.
pub trait Clock: Send + Sync {
    /// The time of day. It may jump, in either direction.
    fn now(&self) -> Timestamp;

    /// Unpredictable bits.
    fn random(&self) -> u128;
}
