//! What cases are made of.

use std::sync::atomic::{AtomicU64, Ordering};

use chat::account::import::NewAccount;
use chat::command::{Actor, Origin};
use chat::conversation::ConversationId;
use chat::event::{Event, GroupChange, LogEntry, NotSent, Position, Subject};
use chat::group::{Group, GroupKind, GroupProfile, GroupStatus, Topic};
use chat::id::{AccountId, ClientMessageId, GroupId, MessageId, Seq, Timestamp, TopicId};
use chat::member::{Member, Role};
use chat::message::{Delivery, Keeping, Message, RepeatKey};
use chat::port::{Assertion, Changes, CommitError, Committed, MemberQuery, MessageQuery, Write};
use tokio::task::JoinSet;

use crate::fresh::Fresh;
use crate::ledger::Cursors;
use crate::plain;

/// When most of it happens.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// The accounts, groups and topics that [`Fresh::picture`] looks at.
const ACCOUNTS: [&str; 4] = ["a", "b", "c", "d"];
const GROUPS: [&str; 2] = ["g", "h"];
const TOPICS: [&str; 2] = ["t", "u"];

/// Ids that only a comparison as bytes keeps apart, and in this order: upper and lower case, accents (one code point, or
/// two), quotes, spaces, line breaks, wild cards, other scripts, the astral plane.
pub(crate) const NEARLY_EQUAL: [&str; 22] = [
    " a",
    "%",
    "'; DROP TABLE account; --",
    "A",
    "E\u{301}",
    "_",
    "a",
    "a\n",
    "a\r\n",
    "a ",
    "a\"b",
    "a'b",
    "a\\b",
    "a_",
    "aa",
    "e\u{301}",
    "ss",
    "\u{c9}",
    "\u{df}",
    "\u{e9}",
    "\u{ff41}",
    "\u{1d41a}",
];

pub(crate) fn at(millis_later: i64) -> Timestamp {
    Timestamp::from_millis(NOW.millis() + millis_later)
}

pub(crate) fn ids(ids: &[&str]) -> Vec<AccountId> {
    ids.iter().copied().map(AccountId::new).collect()
}

pub(crate) fn direct(one: &str, other: &str) -> ConversationId {
    ConversationId::direct(one.into(), other.into())
}

pub(crate) fn in_group(group: &str) -> ConversationId {
    ConversationId::Group(group.into())
}

pub(crate) fn in_topic(group: &str, topic: &str) -> ConversationId {
    ConversationId::Topic(group.into(), topic.into())
}

/// A message that nothing is special about.
pub(crate) fn message(sender: &str, conversation: ConversationId) -> Message {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Message {
        id: MessageId::new(NOW, number.into()),
        client_id: ClientMessageId::new(format!("client-{number}")),
        time: NOW,
        created: NOW,
        ..plain::text(sender, conversation, &format!("message {number}"))
    }
}

/// ... that is kept in another way.
pub(crate) fn kept(keeping: Keeping, message: Message) -> Message {
    Message { delivery: Delivery { keeping, ..message.delivery.clone() }, ..message }
}

/// ... that does not count as unread.
pub(crate) fn uncounted(message: Message) -> Message {
    Message { delivery: Delivery { no_unread: true, ..message.delivery.clone() }, ..message }
}

/// A group that nothing is special about.
pub(crate) fn group(id: &str) -> Group {
    Group { has_topics: true, created: NOW, updated: NOW, ..plain::group(id) }
}

pub(crate) fn dissolved(id: &str) -> Group {
    Group { status: GroupStatus::Dissolved, ..group(id) }
}

pub(crate) fn topic(group: &str, id: &str) -> Topic {
    Topic { id: id.into(), group: group.into(), profile: GroupProfile::default(), creator: None, created: NOW }
}

pub(crate) fn members(ids: &[&str]) -> Vec<Member> {
    ids.iter().map(|id| Member::new(AccountId::new(*id), Role::Member, NOW)).collect()
}

pub(crate) fn append(event: Event) -> Write {
    Write::Append(Box::new(event))
}

pub(crate) fn not_sent(message: Message) -> Event {
    Event::MessageNotSent { message, reason: NotSent::Blocked }
}

pub(crate) fn group_changed(group: &str) -> Event {
    Event::GroupChanged(GroupChange {
        id: message("x", in_group(group)).id,
        group: group.into(),
        kind: GroupKind::Public,
        actor: Actor::System,
        origin: Origin::default(),
        time: NOW,
        name: Some("new".into()),
        introduction: None,
        announcement: None,
        face_url: None,
    })
}

pub(crate) fn for_ever(key: &str) -> RepeatKey {
    RepeatKey { key: key.into(), window_millis: None }
}

pub(crate) fn put(group: Group) -> Write {
    Write::PutGroup(Box::new(group))
}

pub(crate) fn import(id: &str) -> Write {
    Write::ImportAccount { new: NewAccount::bare(id.into()), now: NOW }
}

pub(crate) fn send(message: Message) -> Write {
    Write::Send { message: Box::new(message), repeat: None, reads: false }
}

pub(crate) fn changes(assertions: Vec<Assertion>, writes: Vec<Write>) -> Changes {
    Changes { assertions, writes }
}

/// A message that may have been sent before.
pub(crate) fn repeatable(message: Message, repeat: RepeatKey) -> Changes {
    let write = Write::Send { message: Box::new(message), repeat: Some(repeat), reads: false };
    changes(Vec::new(), vec![write])
}

/// Writes that SQL refuses: a member of a group that does not exist.
pub(crate) fn impossible() -> Write {
    Write::AddMembers("nowhere".into(), members(&["a"]))
}

/// All members.
pub(crate) fn everyone() -> MemberQuery {
    MemberQuery { roles: Vec::new(), offset: 0, limit: 1000 }
}

impl Fresh {
    /// Commits writes that nothing is in the way of.
    pub(crate) async fn write(&self, writes: Vec<Write>) -> Committed {
        self.commit(changes(Vec::new(), writes)).await.expect("nothing is in the way of this commit")
    }

    /// Imports accounts.
    pub(crate) async fn has(&self, accounts: &[&str]) {
        self.write(accounts.iter().map(|id| import(id)).collect()).await;
    }

    /// Makes a group of accounts that exist.
    pub(crate) async fn has_group(&self, id: &str, accounts: &[&str]) {
        self.write(vec![put(group(id)), Write::AddMembers(id.into(), members(accounts))]).await;
    }

    /// Sends a message; it comes back as it is stored.
    pub(crate) async fn send(&self, message: Message) -> Message {
        let receipt = self.write(vec![send(message.clone())]).await;
        let [seq] = receipt.seqs[..] else { panic!("one send, and the seqs {:?}", receipt.seqs) };
        Message { seq, ..message }
    }

    /// Has so many events in each of these groups, by turns: every other one is a message that is in the history, the others
    /// are of every other kind. The last is none that is in the history, if it is an even number.
    pub(crate) async fn has_mixed(&self, groups: &[&str], count: usize) {
        for (number, group) in (0..count).flat_map(|number| groups.iter().map(move |group| (number, group))) {
            let message = message("a", in_group(group));
            let write = match number % 8 {
                1 => append(group_changed(group)),
                3 => append(not_sent(message)),
                5 => send(kept(Keeping::OnlineOnly, message)),
                7 => send(kept(Keeping::Live, message)),
                _ => send(message),
            };
            self.write(vec![write]).await;
        }
    }

    /// Sends a message that its sender reads the conversation by.
    pub(crate) async fn send_reading(&self, message: Message) -> Seq {
        let write = Write::Send { message: Box::new(message), repeat: None, reads: true };
        self.write(vec![write]).await.seqs[0]
    }

    /// Whether `assertion` holds.
    pub(crate) async fn holds(&self, assertion: Assertion) -> bool {
        match self.commit(changes(vec![assertion.clone()], Vec::new())).await {
            Ok(_) => true,
            Err(CommitError::Broken(broken)) => {
                assert_eq!(broken, assertion);
                false
            }
            Err(error) => panic!("{assertion:?}: {error:?}"),
        }
    }

    /// The whole history of a conversation.
    pub(crate) async fn history(&self, conversation: &ConversationId) -> Vec<Message> {
        self.messages(conversation, MessageQuery::seqs(0, Seq::MAX, 10_000, false)).await.unwrap()
    }

    /// The whole log, shard by shard.
    pub(crate) async fn log(&self) -> Vec<LogEntry> {
        let mut entries = Vec::new();
        for shard in self.shards() {
            entries.extend(self.log_after(shard, Position(0), 10_000).await.unwrap());
        }
        entries
    }

    /// The part of the log that tells of a conversation.
    pub(crate) async fn log_of(&self, conversation: &ConversationId) -> Vec<LogEntry> {
        self.log_of_subject(&conversation.clone().into()).await
    }

    /// The part of the log that tells of a subject.
    pub(crate) async fn log_of_subject(&self, subject: &Subject) -> Vec<LogEntry> {
        let mut entries = self.log().await;
        entries.retain(|entry| entry.event.subject() == *subject);
        entries
    }

    /// Everything that can be seen through the ports of a few accounts, groups and topics. Two pictures are equal if
    /// nothing was written in between.
    pub(crate) async fn picture(&self) -> Vec<String> {
        let mut lines = self.picture_without_heads().await;
        for shard in self.shards() {
            lines.push(format!("{shard:?} at {:?}", *self.head(shard).borrow()));
        }
        lines
    }

    /// ... but for what a node need not know at once of what another one has committed.
    pub(crate) async fn picture_without_heads(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let accounts = ids(&ACCOUNTS);
        let groups: Vec<GroupId> = GROUPS.iter().copied().map(GroupId::new).collect();
        lines.push(format!("{:?}", self.accounts(&accounts).await.unwrap()));
        lines.push(format!("{:?}", self.groups(&groups).await.unwrap()));
        let mut conversations = Vec::new();
        for (index, account) in accounts.iter().enumerate() {
            lines.push(format!("{account} blocks {:?}", self.blocks(account, &accounts).await.unwrap()));
            lines.push(format!("{account} in {:?}", self.inbox(account).await.unwrap()));
            lines.push(format!("{account} has unread {}", self.unread_direct(account, None).await.unwrap()));
            conversations.extend(ACCOUNTS[index..].iter().map(|other| direct(ACCOUNTS[index], other)));
        }
        for group in &groups {
            lines.push(format!("{group} has {:?}", self.members(group, everyone()).await.unwrap()));
            conversations.push(ConversationId::Group(group.clone()));
            for topic in TOPICS.map(TopicId::new) {
                lines.push(format!("{:?}", self.topic(group, &topic).await.unwrap()));
                conversations.push(ConversationId::Topic(group.clone(), topic));
            }
        }
        for conversation in &conversations {
            let state = self.conversation(conversation).await.unwrap();
            lines.push(format!("{conversation:?} {state:?} {:?}", self.history(conversation).await));
        }
        for shard in self.shards() {
            let cursor = self.told("app", shard).await.unwrap();
            lines.push(format!("{shard:?}: app at {cursor:?}"));
        }
        lines.extend(self.log().await.iter().map(|entry| format!("{entry:?}")));
        lines
    }
}

/// Runs a task for each of `0..count`, all at the same time; what they return, in that order.
pub(crate) async fn all_at_once<F, T>(count: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let task = task(number);
        tasks.spawn(async move { (number, task.await) });
    }
    let mut results = tasks.join_all().await;
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}
