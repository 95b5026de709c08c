//! What is PostgreSQL's own: opening and refusing to open, lost connections, trouble in the server, the order of the
//! log.
//!
//! Each test has a schema of its own in the server that `RINGBACK_POSTGRES` names. Where something has to happen at a
//! certain moment, it is made to happen then ([`proxy`], locks that a test holds); nothing waits until it probably has.
//!
//! `cargo test -p store --test postgres -- hang::` runs the cases of one file; the list at its top is what is run.

/// Lists async functions as cases, each under its own name.
macro_rules! cases {
    ($($case:ident,)*) => {
        pub(crate) const CASES: &[crate::Case] = &[$(crate::Case {
            name: concat!(module_path!(), "::", stringify!($case)),
            run: || Box::pin($case()),
        },)*];
    };
}

mod alone;
mod claim;
mod cut;
mod hang;
mod home;
#[path = "../support/ledger.rs"]
#[expect(dead_code, reason = "made for the other suites, too")]
mod ledger;
mod opening;
mod order;
#[path = "../support/plain.rs"]
mod plain;
mod plans;
mod proxy;
mod trouble;

use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chat::account::import::NewAccount;
use chat::conversation::ConversationId;
use chat::id::{Seq, Timestamp};
use chat::message::{Message, RepeatKey};
use chat::port::{Assertion, Changes, CommitError, Committed, MessageQuery, Store, Write};
use chat::{Fault, Refusal};
use libtest_mimic::{Arguments, Trial};
use store::Postgres;

/// Every file's cases.
const CASES: &[&[Case]] =
    &[alone::CASES, claim::CASES, cut::CASES, hang::CASES, opening::CASES, order::CASES, plans::CASES, trouble::CASES];

/// Many cases wait for something to be given up, so that more of them run at a time than there are processors.
const THREADS: usize = 6;

/// What an operator may rely on.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    run: fn() -> Pin<Box<dyn Future<Output = ()>>>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let trial = |case: &Case| {
        let run = case.run;
        Trial::test(case.name.trim_start_matches("postgres::"), move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(run());
            Ok(())
        })
    };
    libtest_mimic::run(&arguments, CASES.iter().copied().flatten().map(trial).collect()).exit_code()
}

/// The conversation that most of these tests write to.
fn conversation() -> ConversationId {
    ConversationId::direct("a".into(), "b".into())
}

fn message(text: &str) -> Message {
    plain::text("a", conversation(), text)
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

/// Reads how far the conversation is.
async fn head(store: &Postgres) -> Result<Seq, Fault> {
    Ok(store.conversation(&conversation()).await?.head)
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
