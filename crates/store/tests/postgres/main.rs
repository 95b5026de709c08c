//! What is PostgreSQL's own: opening and refusing to open, lost connections, trouble in the server, the order of the log.
//!
//! Each test has a schema of its own in the server that `RINGBACK_POSTGRES` names. Where something has to happen at a
//! certain moment, it is made to happen then ([`proxy`], locks that a test holds); nothing waits until it probably has.

mod claim;
mod cut;
mod hang;
mod home;
mod opening;
mod order;
mod proxy;
mod trouble;

use std::time::{Duration, Instant};

use chat::account::import::NewAccount;
use chat::command::{Actor, Origin};
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::id::{MessageId, Seq, Timestamp};
use chat::message::{Delivery, Message, RepeatKey};
use chat::port::{Assertion, Changes, CommitError, Committed, MessageQuery, Store, Write};
use chat::{Fault, Refusal};
use store::Postgres;

/// The conversation that most of these tests write to.
fn conversation() -> ConversationId {
    ConversationId::direct("a".into(), "b".into())
}

fn message(text: &str) -> Message {
    Message {
        id: MessageId::new(Timestamp::default(), 0),
        conversation: conversation(),
        group_kind: None,
        seq: 0,
        sender: "a".into(),
        actor: Actor::System,
        origin: Origin::default(),
        client_id: "client".into(),
        time: Timestamp::default(),
        created: Timestamp::default(),
        sender_name: String::new(),
        sender_face: String::new(),
        elements: vec![Element::text(text)],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
    }
}

fn import(id: &str) -> Write {
    Write::ImportAccount { new: NewAccount::bare(id.into()), now: Timestamp::default() }
}

fn changes(writes: Vec<Write>) -> Changes {
    Changes { assertions: Vec::new(), writes }
}

/// Makes the two accounts of the conversation.
async fn has_two(store: &Postgres) {
    store.commit(changes(["a", "b"].map(import).to_vec())).await.unwrap();
}

/// Sends a text, which is its own repeat key.
async fn send(store: &Postgres, text: &str) -> Result<Seq, CommitError> {
    send_to(store, conversation(), text).await
}

async fn send_to(store: &Postgres, conversation: ConversationId, text: &str) -> Result<Seq, CommitError> {
    let message = Box::new(Message { conversation, ..message(text) });
    let repeat = Some(RepeatKey { key: text.into(), window_millis: None });
    let receipt = store.commit(changes(vec![Write::Send { message, repeat, reads: false }])).await?;
    Ok(receipt.seqs[0])
}

/// The texts that were sent, after checking that nothing is missing between them.
async fn texts(store: &Postgres) -> Vec<String> {
    let all = MessageQuery::seqs(0, Seq::MAX, 100_000, false);
    let messages = store.messages(&conversation(), all).await.unwrap();
    let seqs: Vec<Seq> = messages.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=messages.len() as Seq).collect::<Vec<_>>());
    messages.iter().map(|message| message.elements[0].readable().to_owned()).collect()
}

/// A commit that looks at something and writes nothing.
async fn look(store: &Postgres) -> Result<Committed, CommitError> {
    let assertions = vec![Assertion::NoGroup("g".into())];
    store.commit(Changes { assertions, writes: Vec::new() }).await
}

/// The words of a refusal that tells the sender to try again.
fn unavailable<T: std::fmt::Debug>(result: Result<T, CommitError>) -> String {
    match result {
        Err(CommitError::Unavailable(fault)) => fault.to_string(),
        other => panic!("expected that the store is unavailable: {other:?}"),
    }
}

/// The words of a read that failed because the database is away, which callers are told as what it is.
fn unreadable<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    let fault = result.expect_err("the database is away");
    let told = chat::Error::from(fault.clone());
    assert!(matches!(told, chat::Error::Refused(Refusal::StoreUnavailable)), "{told:?}");
    fault.to_string()
}

/// It says all of this.
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

/// Fails instead of waiting for ever.
async fn within<F: Future>(most: Duration, what: &str, future: F) -> F::Output {
    match tokio::time::timeout(most, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} takes longer than {most:?}"),
    }
}

/// How long it takes, and what comes of it.
async fn timed<F: Future>(future: F) -> (Duration, F::Output) {
    let begin = Instant::now();
    let output = future.await;
    (begin.elapsed(), output)
}

/// Looks again and again until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(Duration::from_secs(20), what, looking).await;
}
