//! `BlockAccounts`: an account refuses others. A block has a direction.

use async_trait::async_trait;

use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::id::AccountId;
use crate::port::{Changes, Write};
use crate::refusal::{Error, Refusal};

/// At most this many accounts are blocked by one command, and by one account in all
/// (`spec/tencent/rest.jsonl`, `black_list_add`).
pub const MAX_BLOCKS: usize = 1000;

/// Blocks accounts.
#[derive(Clone, Debug)]
pub struct BlockAccounts {
    /// Who blocks.
    pub owner: AccountId,
    /// Whom.
    pub targets: Vec<AccountId>,
}

/// What became of one of the targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// Blocked now.
    Added,
    /// Was blocked already.
    AlreadyThere,
    /// There is no such account.
    NoAccount,
    /// The owner's list is full.
    ListFull,
}

#[async_trait]
impl Command for BlockAccounts {
    /// One answer for each target, in order.
    type Reply = Vec<Blocking>;
    const NAME: &'static str = "block_accounts";

    async fn run(self, cx: &Context<'_>) -> Result<Self::Reply, Error> {
        if let Actor::Account(id) = cx.actor
            && *id != self.owner
        {
            return Err(Refusal::NotPermitted.into());
        }
        if self.targets.len() > MAX_BLOCKS {
            return Err(Refusal::TooMany { what: "accounts", limit: MAX_BLOCKS }.into());
        }
        cx.account(&self.owner).await?;
        let known = cx.store().accounts(&self.targets).await?;
        let (blocked, count) = cx.store().blocks(&self.owner, &self.targets).await?;
        let mut room = (MAX_BLOCKS as u64).saturating_sub(count);
        let mut new: Vec<AccountId> = Vec::new();
        let outcomes = self.targets.iter().map(|target| {
            if !known.iter().any(|account| account.id == *target) {
                return Blocking::NoAccount;
            }
            if blocked.contains(target) || new.contains(target) {
                return Blocking::AlreadyThere;
            }
            if room == 0 {
                return Blocking::ListFull;
            }
            room -= 1;
            new.push(target.clone());
            Blocking::Added
        });
        let outcomes = outcomes.collect();
        if !new.is_empty() {
            let write = Write::AddBlocks { owner: self.owner, targets: new, now: cx.now() };
            cx.commit(Changes { assertions: Vec::new(), writes: vec![write] }).await?;
        }
        Ok(outcomes)
    }
}
