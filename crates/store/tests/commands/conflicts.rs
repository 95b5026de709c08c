//! Facts that change between the rules and the commit, as another node can change them at any moment.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chat::account::Account;
use chat::conversation::ConversationId;
use chat::event::{Event, LogEntry, NotSent, Position, Shard, Subject};
use chat::group::update::UpdateGroup;
use chat::group::{Group, GroupKind, GroupStatus, Topic};
use chat::id::{AccountId, GroupId, MessageId, Timestamp, TopicId};
use chat::member::Member;
use chat::message::park::{Parked, ParkedCount, ParkedQuery};
use chat::message::send::Fate;
use chat::message::{Message, RepeatKey};
use chat::port::{
    Changes, CommitError, Committed, ConversationState, InboxEntry, Log, MemberQuery, MessageQuery, Store,
};
use chat::{Fault, Refusal};
use tokio::sync::watch;

use crate::stage::{Stage, as_account, refusal, repeatable, text, to, to_group};

cases! {
    a_recipient_who_blocks_just_before_the_commit,
    a_block_that_does_not_matter_is_no_conflict,
    a_member_who_is_removed_just_before_the_commit,
    a_group_that_is_dissolved_just_before_the_commit,
    a_group_that_is_renamed_just_before_the_commit_still_gets_the_message,
    a_retry_that_comes_first_by_another_way,
    an_update_that_another_one_precedes_is_applied_to_it,
    an_update_of_a_group_that_is_dissolved_just_before,
}

type Deed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The store, and something that happens right before the next commit reaches it.
pub(crate) struct Interposed {
    pub(crate) inner: Arc<dyn Store>,
    before_commit: Mutex<Option<Deed>>,
}

impl Interposed {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, before_commit: Mutex::default() }
    }

    /// Has something done right before the next commit, and only that.
    pub(crate) fn before_commit(&self, deed: impl Future<Output = ()> + Send + 'static) {
        *self.before_commit.lock().unwrap() = Some(Box::pin(deed));
    }
}

#[async_trait]
impl Store for Interposed {
    async fn commit(&self, changes: Changes) -> Result<Committed, CommitError> {
        let deed = self.before_commit.lock().unwrap().take();
        if let Some(deed) = deed {
            deed.await;
        }
        self.inner.commit(changes).await
    }

    async fn accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, Fault> {
        self.inner.accounts(ids).await
    }

    async fn is_blocked(&self, owner: &AccountId, target: &AccountId) -> Result<bool, Fault> {
        self.inner.is_blocked(owner, target).await
    }

    async fn blocks(&self, owner: &AccountId, targets: &[AccountId]) -> Result<(Vec<AccountId>, u64), Fault> {
        self.inner.blocks(owner, targets).await
    }

    async fn groups(&self, ids: &[GroupId]) -> Result<Vec<Group>, Fault> {
        self.inner.groups(ids).await
    }

    async fn groups_owned(&self, owner: &AccountId, kind: GroupKind) -> Result<u64, Fault> {
        self.inner.groups_owned(owner, kind).await
    }

    async fn topic(&self, group: &GroupId, topic: &TopicId) -> Result<Option<Topic>, Fault> {
        self.inner.topic(group, topic).await
    }

    async fn member(&self, group: &GroupId, account: &AccountId) -> Result<Option<Member>, Fault> {
        self.inner.member(group, account).await
    }

    async fn members(&self, group: &GroupId, query: MemberQuery) -> Result<Vec<Member>, Fault> {
        self.inner.members(group, query).await
    }

    async fn conversation(&self, id: &ConversationId) -> Result<ConversationState, Fault> {
        self.inner.conversation(id).await
    }

    async fn inbox(&self, account: &AccountId) -> Result<Vec<InboxEntry>, Fault> {
        self.inner.inbox(account).await
    }

    async fn groups_of(&self, account: &AccountId) -> Result<Vec<GroupId>, Fault> {
        self.inner.groups_of(account).await
    }

    async fn messages(&self, conversation: &ConversationId, query: MessageQuery) -> Result<Vec<Message>, Fault> {
        self.inner.messages(conversation, query).await
    }

    async fn repeat_of(
        &self,
        conversation: &ConversationId,
        sender: &AccountId,
        key: &RepeatKey,
        now: Timestamp,
    ) -> Result<Option<Message>, Fault> {
        self.inner.repeat_of(conversation, sender, key, now).await
    }

    async fn unread_direct(&self, account: &AccountId, peer: Option<&AccountId>) -> Result<u64, Fault> {
        self.inner.unread_direct(account, peer).await
    }

    async fn parked(&self, id: MessageId) -> Result<Option<Parked>, Fault> {
        self.inner.parked(id).await
    }

    async fn parked_repeat(
        &self,
        conversation: &ConversationId,
        sender: &AccountId,
        key: &RepeatKey,
        now: Timestamp,
    ) -> Result<Option<Parked>, Fault> {
        self.inner.parked_repeat(conversation, sender, key, now).await
    }

    async fn list_parked(&self, query: ParkedQuery) -> Result<Vec<Parked>, Fault> {
        self.inner.list_parked(query).await
    }

    async fn count_parked(&self) -> Result<ParkedCount, Fault> {
        self.inner.count_parked().await
    }
}

#[async_trait]
impl Log for Interposed {
    fn shards(&self) -> Vec<Shard> {
        self.inner.shards()
    }

    fn shard_of(&self, subject: &Subject) -> Shard {
        self.inner.shard_of(subject)
    }

    async fn log_after(&self, shard: Shard, after: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        self.inner.log_after(shard, after, limit).await
    }

    async fn log_of(
        &self,
        subject: &Subject,
        after: Position,
        up_to: Position,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        self.inner.log_of(subject, after, up_to, limit).await
    }

    async fn log_before(&self, subject: &Subject, before: Position, limit: usize) -> Result<Vec<LogEntry>, Fault> {
        self.inner.log_before(subject, before, limit).await
    }

    fn head(&self, shard: Shard) -> watch::Receiver<Position> {
        self.inner.head(shard)
    }
}

/// Has `deed` done with the stage right before the next commit.
fn before_commit<F>(stage: &Stage, deed: impl FnOnce(Stage) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    stage.store.before_commit(deed(stage.clone()));
}

async fn a_recipient_who_blocks_just_before_the_commit(stage: Stage) {
    before_commit(&stage, async |stage: Stage| stage.block("b", "a").await);
    let result = stage.run(&as_account("a"), text("a", to("b"), "hi")).await;
    assert_eq!(refusal(result), Refusal::Blocked);
    let events = stage.events().await;
    assert!(matches!(&events[..], [Event::MessageNotSent { reason: NotSent::Blocked, .. }]), "{events:?}");
}

async fn a_block_that_does_not_matter_is_no_conflict(stage: Stage) {
    before_commit(&stage, async |stage: Stage| stage.block("b", "a").await);
    let mut message = text("a", to("b"), "hi");
    message.exempt.blocks = true;
    assert_eq!(stage.app(message).await.unwrap().fate, Fate::Sent { modified: false });
}

async fn a_member_who_is_removed_just_before_the_commit(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    before_commit(&stage, async |stage: Stage| stage.remove_b().await);
    let result = stage.run(&as_account("b"), text("b", to_group(), "hi")).await;
    assert_eq!(refusal(result), Refusal::NotMember { group: "g".into(), account: "b".into() });
    assert_eq!(stage.events().await, []);
}

async fn a_group_that_is_dissolved_just_before_the_commit(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let dissolve = async |stage: Stage| stage.change_group(|group| group.status = GroupStatus::Dissolved).await;
    before_commit(&stage, dissolve);
    let result = stage.run(&as_account("b"), text("b", to_group(), "hi")).await;
    assert_eq!(refusal(result), Refusal::GroupDissolved("g".into()));
    assert_eq!(stage.events().await, []);
}

async fn a_group_that_is_renamed_just_before_the_commit_still_gets_the_message(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    before_commit(&stage, async |stage: Stage| stage.change_group(|group| group.profile.name = "new".into()).await);
    let sent = stage.run(&as_account("b"), text("b", to_group(), "hi")).await.unwrap();
    assert_eq!((sent.fate, sent.message.seq), (Fate::Sent { modified: false }, 1));
}

/// The same message through another node, just before.
async fn a_retry_that_comes_first_by_another_way(stage: Stage) {
    let message = repeatable(text("a", to("b"), "hi"));
    let again = message.clone();
    before_commit(&stage, async |stage: Stage| {
        stage.run(&as_account("a"), again).await.unwrap();
        stage.block("b", "a").await;
    });
    let sent = stage.run(&as_account("a"), message).await.unwrap();
    assert_eq!((sent.fate, sent.message.seq), (Fate::Repeated, 1), "although the recipient blocks by now");
    assert_eq!(stage.events().await, [Event::MessageSent(sent.message)]);
}

async fn an_update_that_another_one_precedes_is_applied_to_it(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    before_commit(&stage, async |stage: Stage| {
        stage.change_group(|group| group.profile.introduction = "theirs".into()).await;
    });
    let command = UpdateGroup { group: Some("g".into()), name: Some("ours".into()), ..UpdateGroup::default() };
    let group = stage.app(command).await.unwrap();
    assert_eq!((group.profile.name.as_str(), group.profile.introduction.as_str()), ("ours", "theirs"));
    assert_eq!(group, stage.group().await);
    assert_eq!(group.version, 3);
}

async fn an_update_of_a_group_that_is_dissolved_just_before(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let dissolve = async |stage: Stage| stage.change_group(|group| group.status = GroupStatus::Dissolved).await;
    before_commit(&stage, dissolve);
    let command = UpdateGroup { group: Some("g".into()), name: Some("ours".into()), ..UpdateGroup::default() };
    assert_eq!(refusal(stage.app(command).await), Refusal::GroupDissolved("g".into()));
    assert_eq!(stage.events().await, []);
}
