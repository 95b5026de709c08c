//! `BlockAccounts`: an account refuses others. A block has a direction.

use async_trait::async_trait;

use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::id::AccountId;
use crate::port::{Changes, Write};
use crate::question::Question;
use crate::question::account::WantedBlock;
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
    /// The app's backend said no, or could not be asked.
    Refused(Refusal),
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
        // Facts, and the rules that they decide.
        cx.account(&self.owner).await?;
        let mut outcomes = self.judge(cx).await?;

        // Ask about each that would be blocked. No transaction is open.
        let wanted: Vec<usize> = (0..outcomes.len()).filter(|index| outcomes[*index] == Blocking::Added).collect();
        let questions = wanted.iter().map(|index| self.question(cx, &self.targets[*index]));
        let (asked, questions): (Vec<usize>, Vec<Question>) =
            wanted.iter().copied().zip(questions).filter(|(_, question)| cx.is_asked(question)).unzip();
        if !asked.is_empty() {
            for (index, answer) in asked.into_iter().zip(cx.ask_each(questions).await) {
                if let Err(refusal) = answer {
                    outcomes[index] = Blocking::Refused(refusal);
                }
            }
            // Much can have happened while we waited.
            self.judge_again(cx, &mut outcomes).await?;
        }

        let is_new = |(target, outcome): (&AccountId, &Blocking)| (*outcome == Blocking::Added).then(|| target.clone());
        let new: Vec<AccountId> = self.targets.iter().zip(&outcomes).filter_map(is_new).collect();
        if !new.is_empty() {
            let write = Write::AddBlocks { owner: self.owner, targets: new, now: cx.now() };
            cx.commit(Changes { assertions: Vec::new(), writes: vec![write] }).await?;
        }
        Ok(outcomes)
    }
}

impl BlockAccounts {
    /// What would become of each target, if no backend minded.
    async fn judge(&self, cx: &Context<'_>) -> Result<Vec<Blocking>, Error> {
        let known = cx.store().accounts(&self.targets).await?;
        let (blocked, count) = cx.store().blocks(&self.owner, &self.targets).await?;
        let mut room = (MAX_BLOCKS as u64).saturating_sub(count);
        let mut new: Vec<&AccountId> = Vec::new();
        let outcomes = self.targets.iter().map(|target| {
            if !known.iter().any(|account| account.id == *target) {
                return Blocking::NoAccount;
            }
            if blocked.contains(target) || new.contains(&target) {
                return Blocking::AlreadyThere;
            }
            if room == 0 {
                return Blocking::ListFull;
            }
            room -= 1;
            new.push(target);
            Blocking::Added
        });
        Ok(outcomes.collect())
    }

    /// Looks once more at those who are to be blocked still. Nobody else is added: they were not asked about.
    async fn judge_again(&self, cx: &Context<'_>, outcomes: &mut [Blocking]) -> Result<(), Error> {
        let (blocked, count) = cx.store().blocks(&self.owner, &self.targets).await?;
        let mut room = (MAX_BLOCKS as u64).saturating_sub(count);
        for (target, outcome) in self.targets.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Blocking::Added) {
            if blocked.contains(target) {
                *outcome = Blocking::AlreadyThere;
            } else if room == 0 {
                *outcome = Blocking::ListFull;
            } else {
                room -= 1;
            }
        }
        Ok(())
    }

    fn question(&self, cx: &Context<'_>, target: &AccountId) -> Question {
        let block = WantedBlock { occasion: cx.occasion(), owner: self.owner.clone(), target: target.clone() };
        Question::BeforeBlock(Box::new(block))
    }
}
