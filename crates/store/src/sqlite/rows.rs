//! The rows of a commit, read and written one by one inside the writer's transaction.

use chat::account::import::NewAccount;
use chat::conversation::ConversationId;
use chat::event::{Position, Subject};
use chat::group::{Group, Topic};
use chat::id::{AccountId, GroupId, MessageId, Timestamp, TopicId};
use chat::member::Member;
use chat::message::Message;
use chat::message::park::Parked;
use rusqlite::{Connection, Result};

use super::known::Known;
use crate::account::lite as account;
use crate::block::lite as block;
use crate::commit::{MemberSent, NewEvent, Rows};
use crate::conversation::{Counts, lite as conversation};
use crate::event::lite as event;
use crate::group::{GroupState, lite as group};
use crate::member::lite as member;
use crate::parked::{Standing, lite as parked};
use crate::repeat::Repeat;
use crate::topic::lite as topic;

/// See [`Rows`].
pub(super) struct SqliteRows<'t> {
    pub(super) db: &'t Connection,
    pub(super) known: &'t mut Known,
    /// Of the newest event.
    pub(super) position: &'t mut Position,
}

impl<'a> Rows<'a> for SqliteRows<'_> {
    type Error = rusqlite::Error;

    fn has_account(&mut self, id: &AccountId) -> Result<bool> {
        Ok(self.known.account(self.db, id)?.is_some())
    }

    fn group(&mut self, id: &GroupId) -> Result<Option<GroupState>> {
        group::state(self.db, id)
    }

    fn has_topic(&mut self, group: &GroupId, id: &TopicId) -> Result<bool> {
        Ok(topic::key(self.db, group, id)?.is_some())
    }

    fn has_member(&mut self, group: &GroupId, id: &AccountId) -> Result<bool> {
        Ok(member::find(self.db, group, id)?.is_some())
    }

    fn has_block(&mut self, owner: &AccountId, target: &AccountId) -> Result<bool> {
        block::exists(self.db, owner, target)
    }

    fn sent_before(&mut self, message: &Message, repeat: &Repeat) -> Result<Option<Message>> {
        match self.known.account(self.db, &message.sender)? {
            Some(sender) => event::sent_before(self.db, sender, repeat),
            None => Ok(None),
        }
    }

    fn parked(&mut self, _: &ConversationId, id: MessageId) -> Result<Option<Standing>> {
        parked::standing(self.db, id)
    }

    fn waits(&mut self, repeat: &Repeat) -> Result<bool> {
        parked::waits(self.db, repeat)
    }

    fn import(&mut self, new: &NewAccount, now: Timestamp) -> Result<()> {
        account::import(self.db, new, now)
    }

    fn put_group(&mut self, group: &Group) -> Result<()> {
        group::put(self.db, group)
    }

    fn add_members(&mut self, group: &GroupId, members: &[Member]) -> Result<Vec<AccountId>> {
        member::add(self.db, group, members)
    }

    fn add_topic(&mut self, topic: &Topic) -> Result<()> {
        topic::add(self.db, topic)
    }

    fn add_blocks(&mut self, owner: &AccountId, targets: &[AccountId], now: Timestamp) -> Result<()> {
        block::add(self.db, owner, targets, now)
    }

    fn put_parked(&mut self, parked: &Parked, data: &str) -> Result<()> {
        parked::put(self.db, parked, data)
    }

    fn forget_parked(&mut self, _: &ConversationId, id: MessageId) -> Result<()> {
        parked::forget(self.db, id)
    }

    fn counts(&mut self, id: &Subject) -> Result<Counts> {
        Ok(self.known.subject(self.db, id)?.counts)
    }

    fn add_unread(&mut self, account: &AccountId, _: &ConversationId, more: i64) -> Result<u64> {
        let unread = self.known.unread(self.db, account)?;
        *unread = unread.saturating_add_signed(more);
        Ok(*unread)
    }

    fn advance(&mut self, id: &Subject, counts: Counts, time: Timestamp) -> Result<()> {
        let found = self.known.subject(self.db, id)?;
        found.counts = counts;
        conversation::advance(self.db, found.key, counts, time)
    }

    fn member_sent(&mut self, id: &Subject, sent: MemberSent<'_>) -> Result<()> {
        let group = self.known.subject(self.db, id)?.a;
        let account = self.known.account(self.db, sent.account)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        member::sent(self.db, group, account, sent)
    }

    fn append(&mut self, event: NewEvent<'a>) -> Result<()> {
        let conversation = self.known.subject(self.db, event.subject)?.key;
        let sender = match event.message {
            Some(message) => {
                let key = self.known.account(self.db, &message.sender)?;
                Some(key.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
            }
            None => None,
        };
        self.position.0 += 1;
        event::append(self.db, *self.position, conversation, sender, &event)
    }
}
