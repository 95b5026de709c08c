//! Why a command fails: a closed set of refusals, and one opaque fault.
//!
//! A dialect maps each [`Refusal`] to its own codes in one place, its `error_map.rs`.

use std::fmt;
use std::sync::Arc;

use crate::id::{AccountId, GroupId, MessageId, Timestamp, TopicId};

/// A command was understood and will not be carried out. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The actor may not do this.
    #[error("the caller may not do this")]
    NotPermitted,
    /// A field breaks a rule that no other refusal names.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field, in the core's words.
        field: String,
        /// What is wrong with it, in words.
        problem: String,
    },
    /// More items than one command may carry.
    #[error("more than {limit} {what} in one request")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// The message is larger than `max_message_bytes`.
    #[error("the message has {bytes} bytes; at most {limit} are allowed")]
    MessageTooLarge {
        /// Its size.
        bytes: usize,
        /// The configured limit.
        limit: usize,
    },
    /// No such account.
    #[error("the account {0:?} does not exist")]
    NoAccount(AccountId),
    /// The account exists already.
    #[error("the account {0:?} exists already")]
    AccountExists(AccountId),
    /// No such group, or it is dissolved.
    #[error("the group {0:?} does not exist")]
    NoGroup(GroupId),
    /// The group was dissolved.
    #[error("the group {0:?} was dissolved")]
    GroupDissolved(GroupId),
    /// The group id is taken. `yours`: by a group of which the would-be owner is the owner.
    #[error("the group {id:?} exists already")]
    GroupExists {
        /// The id.
        id: GroupId,
        /// Whether the same owner has it.
        yours: bool,
    },
    /// The group's type does not allow this.
    #[error("groups of this type do not allow this: {0}")]
    GroupTypeForbids(&'static str),
    /// The group would have more members than it may.
    #[error("the group may have at most {limit} members")]
    GroupFull {
        /// Its member limit.
        limit: u64,
    },
    /// The account is not a member of the group.
    #[error("{account:?} is not a member of {group:?}")]
    NotMember {
        /// The group.
        group: GroupId,
        /// The account.
        account: AccountId,
    },
    /// No such topic in the group.
    #[error("the topic {0:?} does not exist")]
    NoTopic(TopicId),
    /// The topic id is taken.
    #[error("the topic {0:?} exists already")]
    TopicExists(TopicId),
    /// The sender is muted in the group.
    #[error("the sender is muted")]
    MemberMuted,
    /// Everybody but the group's owner and admins is muted.
    #[error("the group is muted")]
    GroupMuted,
    /// The recipient blocks the sender.
    #[error("the recipient has blocked the sender")]
    Blocked,
    /// The text contains a restricted word.
    #[error("the message contains a restricted word")]
    RestrictedWord,
    /// The app's backend said no.
    #[error("the app's backend refused: {info}")]
    Rejected {
        /// Its own code, if it gave one.
        code: Option<i64>,
        /// Its text for the caller.
        info: String,
        /// Its text for developers, where its dialect has one.
        detail: String,
    },
    /// The app's backend could not be asked, and its endpoint says `on_failure = "reject"`.
    #[error("the app's backend could not be asked: {0}")]
    BackendFailed(AskFailure),
    /// The app's backend wants more time: the message waits for its verdict. Nobody else knows of it yet.
    #[error("the message waits for review, as {id}, until {} (milliseconds since 1970) at the latest", until.millis())]
    Parked {
        /// The message's id.
        id: MessageId,
        /// When what was said for want of a verdict happens.
        until: Timestamp,
    },
    /// No message of this id waits for a verdict, nor has one lately.
    #[error("no message {0} waits for a verdict; those that were decided are forgotten after a day")]
    NotParked(MessageId),
    /// The verdict on the message is there already.
    #[error("the message {id} was decided already: {how}")]
    Decided {
        /// The message's id.
        id: MessageId,
        /// What was decided, and when, in words.
        how: String,
    },
    /// The store cannot take the write now (full disk, database away).
    #[error("the server cannot store anything at the moment")]
    StoreUnavailable,
    /// An endpoint cannot be told of any more for now, and its operator wants nothing new accepted then.
    #[error("the app's backend has too much still to be told")]
    BackendFull,
}

/// How asking the app's backend failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskFailure {
    /// No connection, or it broke.
    Unreachable,
    /// No complete answer within the endpoint's deadline.
    Timeout,
    /// An HTTP status other than 2xx (a redirect is one).
    BadStatus,
    /// An answer that is too large, or not what the dialect expects.
    Unreadable,
    /// Too many questions are waiting for this endpoint already.
    Busy,
    /// It was found dead, and is not asked until it answers again.
    BreakerOpen,
    /// It wants the message to wait for a verdict, and too many do already.
    NoRoomToWait,
}

impl AskFailure {
    /// A stable name for metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::BadStatus => "bad_status",
            Self::Unreadable => "unreadable",
            Self::Busy => "busy",
            Self::BreakerOpen => "breaker_open",
            Self::NoRoomToWait => "no_room_to_wait",
        }
    }
}

impl fmt::Display for AskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it cannot be reached",
            Self::Timeout => "it did not answer in time",
            Self::BadStatus => "it answered with an HTTP error",
            Self::Unreadable => "its answer was not understood",
            Self::Busy => "too many questions are waiting for it",
            Self::BreakerOpen => "it does not answer, and is not asked until it does",
            Self::NoRoomToWait => "it wants the message to wait, and too many do already",
        })
    }
}

impl Refusal {
    /// A refusal of one field.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), problem: problem.into() }
    }

    /// The app's backend said no, and neither why nor with which code.
    pub fn rejected() -> Self {
        Self::Rejected { code: None, info: String::new(), detail: String::new() }
    }

    /// A stable name for metrics and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotPermitted => "not_permitted",
            Self::Invalid { .. } => "invalid",
            Self::TooMany { .. } => "too_many",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::NoAccount(_) => "no_account",
            Self::AccountExists(_) => "account_exists",
            Self::NoGroup(_) => "no_group",
            Self::GroupDissolved(_) => "group_dissolved",
            Self::GroupExists { .. } => "group_exists",
            Self::GroupTypeForbids(_) => "group_type_forbids",
            Self::GroupFull { .. } => "group_full",
            Self::NotMember { .. } => "not_member",
            Self::NoTopic(_) => "no_topic",
            Self::TopicExists(_) => "topic_exists",
            Self::MemberMuted => "member_muted",
            Self::GroupMuted => "group_muted",
            Self::Blocked => "blocked",
            Self::RestrictedWord => "restricted_word",
            Self::Rejected { .. } => "rejected",
            Self::BackendFailed(_) => "backend_failed",
            Self::Parked { .. } => "parked",
            Self::NotParked(_) => "not_parked",
            Self::Decided { .. } => "decided",
            Self::StoreUnavailable => "store_unavailable",
            Self::BackendFull => "backend_full",
        }
    }
}

/// Our own failure. Logged once, by the door; a dialect shows it as its 'internal error' without details.
#[derive(Clone, Debug)]
pub struct Fault {
    source: Arc<dyn std::error::Error + Send + Sync>,
    is_unavailable: bool,
}

impl Fault {
    /// Wraps whatever went wrong.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Arc::from(source.into()), is_unavailable: false }
    }

    /// ... that is known to be passing and not ours: the database is away. The caller is told to try again.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: Arc::from(source.into()), is_unavailable: true }
    }

    /// Whether it is passing: whoever made it has said so in the log, once.
    pub fn is_unavailable(&self) -> bool {
        self.is_unavailable
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

/// Why a command did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It was refused; the caller is told why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// We failed; the caller is told only that.
    #[error(transparent)]
    Fault(Fault),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        // The store itself says once that it is away; each request needs no line of its own.
        if fault.is_unavailable { Refusal::StoreUnavailable.into() } else { Self::Fault(fault) }
    }
}
