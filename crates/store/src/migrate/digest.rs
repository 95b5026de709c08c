//! What a database holds, in few words: how many rows of each kind, and a sum over them that does not depend on their
//! order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::side::Side;
use super::{MigrateError, Moves, Phase, Progress, Result};
use crate::block::BlockRow;
use crate::conversation::ConversationRow;
use crate::cursor::{BehindRow, CursorRow};
use crate::group::GroupRow;
use crate::letter::LetterRow;
use crate::member::MemberRow;
use crate::parked::ParkedRow;
use crate::pause::PauseRow;
use crate::topic::TopicRow;
use chat::account::Account;

/// Of one kind of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Digest {
    pub(super) count: u64,
    /// In hex: the sum of the first halves of their hashes, modulo 2¹²⁸.
    sum: String,
}

/// Of everything in a database that a migration was begun from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Digests {
    rows: BTreeMap<String, Digest>,
    /// The newest position of each shard: the log only grows.
    pub(super) heads: Vec<u64>,
}

impl Digests {
    /// Looks at everything but the log; `conversation` is shown each of them.
    pub(super) async fn of(
        side: &Side,
        mut conversation: impl FnMut(&ConversationRow),
        progress: &watch::Sender<Progress>,
    ) -> Result<Self> {
        let heads = side.heads().await?.into_iter().map(|head| head.0).collect();
        let mut digests = Self { rows: BTreeMap::new(), heads };
        digests.add::<Account>(side, |_| (), progress).await?;
        digests.add::<BlockRow>(side, |_| (), progress).await?;
        digests.add::<GroupRow>(side, |_| (), progress).await?;
        digests.add::<TopicRow>(side, |_| (), progress).await?;
        digests.add::<MemberRow>(side, |_| (), progress).await?;
        digests.add::<ConversationRow>(side, &mut conversation, progress).await?;
        digests.add::<CursorRow>(side, |_| (), progress).await?;
        digests.add::<BehindRow>(side, |_| (), progress).await?;
        digests.add::<PauseRow>(side, |_| (), progress).await?;
        digests.add::<ParkedRow>(side, |_| (), progress).await?;
        digests.add::<LetterRow>(side, |_| (), progress).await?;
        Ok(digests)
    }

    async fn add<T: Moves>(
        &mut self,
        side: &Side,
        show: impl FnMut(&T),
        progress: &watch::Sender<Progress>,
    ) -> Result<()> {
        let digest = digest(side, show, progress).await?;
        self.rows.insert(T::NAME.to_owned(), digest);
        Ok(())
    }

    /// Of rows of this kind.
    pub(super) fn get<T: Moves>(&self) -> Digest {
        self.rows.get(T::NAME).cloned().unwrap_or_default()
    }

    /// How many rows of each kind are copied, but for the log.
    pub(super) fn rows(&self) -> u64 {
        let copied = [Account::NAME, BlockRow::NAME, GroupRow::NAME, TopicRow::NAME, MemberRow::NAME];
        let copied = copied.into_iter().chain([PauseRow::NAME, ParkedRow::NAME, ConversationRow::NAME]);
        copied.filter_map(|name| self.rows.get(name)).map(|digest| digest.count).sum()
    }

    /// How many events there are at most.
    pub(super) fn events(&self) -> u64 {
        self.heads.iter().sum()
    }

    /// How many of what there are, for people.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        vec![
            (Account::NAME, self.get::<Account>().count),
            (BlockRow::NAME, self.get::<BlockRow>().count),
            (GroupRow::NAME, self.get::<GroupRow>().count),
            (TopicRow::NAME, self.get::<TopicRow>().count),
            (MemberRow::NAME, self.get::<MemberRow>().count),
            (ConversationRow::NAME, self.get::<ConversationRow>().count),
            (LetterRow::NAME, self.get::<LetterRow>().count),
            (ParkedRow::NAME, self.get::<ParkedRow>().count),
        ]
    }

    /// As it is noted.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Says what is not as it was noted.
    pub(super) fn check(&self, noted: &str) -> Result<(), String> {
        let before: Self = serde_json::from_str(noted).map_err(|_| "what was noted of it is unreadable".to_owned())?;
        if self.heads != before.heads {
            return Err("there are events in its log that were not".to_owned());
        }
        let changed = self.rows.iter().find(|(name, digest)| before.rows.get(*name) != Some(digest));
        changed.map_or(Ok(()), |(name, _)| Err(format!("its {name} are not what they were")))
    }
}

/// Reads all rows of a kind.
pub(super) async fn digest<T: Moves>(
    side: &Side,
    mut show: impl FnMut(&T),
    progress: &watch::Sender<Progress>,
) -> Result<Digest> {
    let (mut count, mut sum) = (0, 0_u128);
    let mut pages = side.pages::<T>();
    while let Some(page) = pages.recv().await {
        let page = page?;
        for row in &page {
            show(row);
            count += 1;
            sum = sum.wrapping_add(u128::from_be_bytes(of_row(row)?));
        }
        progress.send_modify(|progress| progress.done += page.len() as u64);
    }
    Ok(Digest { count, sum: format!("{sum:032x}") })
}

/// The first half of a row's SHA-256.
pub(super) fn of_row<T: Serialize>(row: &T) -> Result<[u8; 16]> {
    let text = serde_json::to_vec(row).map_err(|error| MigrateError::Failed(error.to_string()))?;
    Ok(half(Sha256::digest(text).as_slice()))
}

/// The first half of a hash.
pub(super) fn half(hash: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

/// Begins a phase.
pub(super) fn begin(progress: &watch::Sender<Progress>, phase: Phase, done: u64, total: u64) {
    progress.send_replace(Progress { phase, done, total });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_named() {
        let digest = |count| Digest { count, sum: String::new() };
        let mut digests = Digests { heads: vec![3, 4], ..Digests::default() };
        digests.rows.insert("accounts".into(), digest(1));
        let noted = digests.to_text();
        assert_eq!(digests.check(&noted), Ok(()));
        digests.rows.insert("accounts".into(), digest(2));
        assert!(digests.check(&noted).unwrap_err().contains("accounts"));
        digests.heads[1] = 5;
        assert!(digests.check(&noted).unwrap_err().contains("log"));
        assert!(digests.check("").unwrap_err().contains("unreadable"));
    }
}
