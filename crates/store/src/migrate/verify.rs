//! Whether both sides hold the same: everything is read again, on either side.
//!
//! Of each conversation one hash goes over its row and, in their order, over its events: seq, time, unread, repeat, data,
//! to which endpoints the event was told, what trouble those have that were not, and who has a letter about it.

use chat::account::Account;
use chat::event::{Position, Shard, Subject};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use webhook::ledger::Trouble;

use super::digest::{self, Digests};
use super::homes::Homes;
use super::side::Side;
use super::told;
use super::{MigrateError, Moves, PAGE_BYTES, PAGE_ROWS, Phase, Progress, Result};
use crate::block::BlockRow;
use crate::conversation::ConversationRow;
use crate::event::EventRow;
use crate::group::GroupRow;
use crate::letter::LetterRow;
use crate::member::MemberRow;
use crate::parked::ParkedRow;
use crate::pause::PauseRow;
use crate::topic::TopicRow;

/// A conversation's hash so far: 16 bytes for each, on either side.
type Hash = [u8; 16];

/// Which conversation has a key.
type Find<'a> = dyn Fn(Shard, i64) -> Option<usize> + Send + Sync + 'a;

/// Fails if the sides differ; else says how many events there are, and how many endpoints.
pub(super) async fn run(
    source: &Side,
    target: &Side,
    homes: &Homes,
    digests: &Digests,
    progress: &watch::Sender<Progress>,
) -> Result<(u64, u64)> {
    digest::begin(progress, Phase::Verifying, 0, digests.rows() + 2 * digests.events());
    table::<Account>(target, digests, progress).await?;
    table::<BlockRow>(target, digests, progress).await?;
    table::<GroupRow>(target, digests, progress).await?;
    table::<TopicRow>(target, digests, progress).await?;
    table::<MemberRow>(target, digests, progress).await?;
    table::<PauseRow>(target, digests, progress).await?;
    table::<ParkedRow>(target, digests, progress).await?;
    table::<LetterRow>(target, digests, progress).await?;
    target.check_letters().await?;
    target.check_unread().await?;
    let source_key = |shard, key| homes.of_source(shard, key);
    let target_key = |shard, key| homes.of_target(shard, key);
    let (before, after) =
        tokio::try_join!(read(source, &source_key, homes, progress), read(target, &target_key, homes, progress))?;
    if before.endpoints != after.endpoints {
        let names = |side: &Read| side.endpoints.join(", ");
        let words = format!("cursors of the endpoints {} and of {}", names(&before), names(&after));
        return Err(MigrateError::Differs(words));
    }
    if let Some(conversation) = (0..homes.len()).find(|number| before.hashes[*number] != after.hashes[*number]) {
        return Err(MigrateError::Differs(name(source, conversation).await?));
    }
    let more = before.owed_nothing.iter().zip(&after.owed_nothing).position(|(before, after)| after > before);
    if let Some(endpoint) = more {
        let words = format!("what {:?} is owed nothing of, because it was new later", before.endpoints[endpoint]);
        return Err(MigrateError::Differs(words));
    }
    if before.events != after.events {
        let words = format!("{} events here, {} there", before.events, after.events);
        return Err(MigrateError::Differs(words));
    }
    Ok((after.events, after.endpoints.len() as u64))
}

/// Compares the rows of a table with those that the source had.
async fn table<T: Moves>(target: &Side, digests: &Digests, progress: &watch::Sender<Progress>) -> Result<()> {
    let (before, after) = (digests.get::<T>(), digest::digest::<T>(target, |_| (), progress).await?);
    let name = T::NAME;
    if before.count != after.count {
        return Err(MigrateError::Differs(format!("{} {name} here, {} there", before.count, after.count)));
    }
    if before != after {
        return Err(MigrateError::Differs(format!("as many {name}, and they are not the same")));
    }
    Ok(())
}

/// What one side holds.
struct Read {
    endpoints: Vec<String>,
    hashes: Vec<Hash>,
    /// Of how many events each endpoint is owed nothing, because it was new later.
    owed_nothing: Vec<u64>,
    events: u64,
}

async fn read(side: &Side, find: &Find<'_>, homes: &Homes, progress: &watch::Sender<Progress>) -> Result<Read> {
    let told = told::of(side, find).await?;
    let letters = letters(side).await?;
    let mut owed_nothing = vec![0; told.len()];
    let mut hashes = vec![Hash::default(); homes.len()];
    let mut pages = side.pages::<ConversationRow>();
    while let Some(page) = pages.recv().await {
        for row in page? {
            let conversation = find(row.shard, row.key);
            let conversation = conversation.ok_or_else(|| MigrateError::Differs(words(&row)))?;
            hashes[conversation] = digest::of_row(&row)?;
        }
    }
    let mut events = 0;
    for shard in side.shards().all() {
        let mut after = Position(0);
        loop {
            let rows = side.events(shard, after, PAGE_ROWS, PAGE_BYTES, true).await?;
            let Some(last) = rows.last() else { break };
            after = last.position;
            for row in &rows {
                let conversation = find(shard, row.conversation).ok_or_else(|| {
                    let (position, shard) = (row.position.0, shard.0);
                    MigrateError::Differs(format!("the event at {position} in shard {shard} is of no conversation"))
                })?;
                let hash = &mut hashes[conversation];
                let each = told.each(shard, conversation, row.position).zip(told.each_trouble(conversation));
                *hash = add(hash, row, each, of_event(&letters, (shard, row.position)));
                let each = owed_nothing.iter_mut().zip(told.each_started_after(shard, row.position));
                each.for_each(|(count, is_new)| *count += u64::from(is_new));
            }
            events += rows.len() as u64;
            progress.send_modify(|progress| progress.done += rows.len() as u64);
        }
    }
    Ok(Read { endpoints: told.endpoints().map(str::to_owned).collect(), hashes, owed_nothing, events })
}

/// Where the event of a letter is, and whose letter it is.
type Addressed = (Shard, Position, String);

/// All letters, in order.
async fn letters(side: &Side) -> Result<Vec<Addressed>> {
    let mut letters = Vec::new();
    let mut pages = side.pages::<LetterRow>();
    while let Some(page) = pages.recv().await {
        letters.extend(page?.into_iter().map(|letter| (letter.shard, letter.position, letter.endpoint)));
    }
    letters.sort_unstable();
    Ok(letters)
}

/// The letters about an event.
fn of_event(letters: &[Addressed], place: (Shard, Position)) -> impl Iterator<Item = &str> {
    let first = letters.partition_point(|(shard, position, _)| (*shard, *position) < place);
    let here = letters[first..].iter().take_while(move |(shard, position, _)| (*shard, *position) == place);
    here.map(|(.., endpoint)| endpoint.as_str())
}

/// The hash with the next event: whom it was told, what trouble they have who were not, and who has a letter about it.
fn add<'a>(
    hash: &Hash,
    row: &EventRow,
    told: impl Iterator<Item = (bool, Option<Trouble>)>,
    letters: impl Iterator<Item = &'a str>,
) -> Hash {
    let EventRow { seq, time, unread, repeat, data, .. } = row;
    let mut next = Sha256::new();
    next.update(hash);
    next.update(time.to_be_bytes());
    for number in [seq, unread, repeat] {
        match number {
            Some(number) => {
                next.update([1]);
                next.update(number.to_be_bytes());
            }
            None => next.update([0]),
        }
    }
    // As many as there are endpoints, which both sides have the same of.
    for told in told {
        match told {
            (true, _) => next.update([1]),
            (false, None) => next.update([0]),
            (false, Some(Trouble { attempts, since, due })) => {
                next.update([2]);
                next.update(attempts.to_be_bytes());
                next.update(since.millis().to_be_bytes());
                next.update(due.millis().to_be_bytes());
            }
        }
    }
    for endpoint in letters {
        // The length first, so that names do not run into each other.
        next.update((endpoint.len() as u64).to_be_bytes());
        next.update(endpoint);
    }
    next.update(data);
    digest::half(next.finalize().as_slice())
}

/// A conversation of the source by its number, in words.
async fn name(source: &Side, conversation: usize) -> Result<String> {
    let mut pages = source.pages::<ConversationRow>();
    let mut number = 0;
    while let Some(page) = pages.recv().await {
        let page = page?;
        if let Some(row) = page.get(conversation - number) {
            return Ok(words(row));
        }
        number += page.len();
    }
    Ok(format!("conversation {conversation}"))
}

fn words(row: &ConversationRow) -> String {
    use chat::conversation::ConversationId::{Direct, Group, Topic};
    let id = match &row.id {
        Subject::Conversation(id) => id,
        Subject::Account(account) => return format!("what happened to the account {account:?}"),
        Subject::App => return "what happened to the app as a whole".to_owned(),
    };
    match id {
        Direct(a, b) => format!("the conversation of {a:?} and {b:?}"),
        Group(group) => format!("the conversation of the group {group:?}"),
        Topic(group, topic) => format!("the conversation of the topic {topic:?} of the group {group:?}"),
    }
}
