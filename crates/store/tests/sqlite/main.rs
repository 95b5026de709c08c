//! What is SQLite's own: opening and refusing to open, crashes, full disks.

mod crash;
mod full_disk;
#[path = "../support/ledger.rs"]
#[expect(dead_code, reason = "made for the other suites, too")]
mod ledger;
mod opening;
#[path = "../support/plain.rs"]
#[expect(dead_code, reason = "made for the other suites, too")]
mod plain;

use std::path::Path;

use chat::account::import::NewAccount;
use chat::conversation::ConversationId;
use chat::id::{Seq, Timestamp};
use chat::port::{Changes, CommitError, MessageQuery, Store, Write};
use store::Sqlite;

/// The conversation that all of these tests write to.
fn conversation() -> ConversationId {
    ConversationId::direct("a".into(), "b".into())
}

/// A store with its two accounts.
async fn open(path: &Path) -> Sqlite {
    let store = Sqlite::open(path).unwrap_or_else(|error| panic!("{error}"));
    let writes =
        ["a", "b"].map(|id| Write::ImportAccount { new: NewAccount::bare(id.into()), now: Timestamp::default() });
    store.commit(Changes { assertions: Vec::new(), writes: writes.to_vec() }).await.unwrap();
    store
}

/// Sends a text.
async fn send(store: &Sqlite, text: &str) -> Result<Seq, CommitError> {
    let message = plain::text("a", conversation(), text);
    let write = Write::Send { message: Box::new(message), repeat: None, reads: false };
    let receipt = store.commit(Changes { assertions: Vec::new(), writes: vec![write] }).await?;
    Ok(receipt.seqs[0])
}

/// The texts that were sent, after checking that nothing is missing between them.
async fn texts(store: &Sqlite) -> Vec<String> {
    let all = MessageQuery::seqs(0, Seq::MAX, 100_000, false);
    let messages = store.messages(&conversation(), all).await.unwrap();
    let seqs: Vec<Seq> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=messages.len() as Seq).collect::<Vec<_>>());
    messages.iter().map(|message| message.elements[0].readable().to_owned()).collect()
}
