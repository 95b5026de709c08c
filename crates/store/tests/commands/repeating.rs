//! `SendMessage`, sent again: the same message, the same answer, nothing told twice.

use chat::Refusal;
use chat::event::Event;
use chat::group::{GroupKind, GroupStatus};
use chat::message::RepeatKey;
use chat::message::send::{Fate, SendMessage, Sent};
use chat::question::Verdict;

use crate::stage::{Stage, all_at_once, as_account, direct, in_time, refusal, repeatable, text, to, to_group};

cases! {
    the_repeat_is_the_first_message,
    after_the_window_it_is_another_message,
    the_rules_of_today_do_not_undo_what_was_sent_yesterday,
    the_rules_of_today_do_not_undo_what_was_sent_while_the_backend_was_asked,
    a_repeat_is_not_asked_about,
    a_hundred_retries_at_once_ask_once,
    a_hundred_retries_at_once_that_nobody_asks_about,
    a_hundred_retries_at_once_are_all_refused,
    only_retries_wait_for_one_another,
    giving_up_while_asked,
}

fn hi() -> SendMessage {
    repeatable(text("a", to("b"), "hi"))
}

fn in_group() -> SendMessage {
    repeatable(text("b", to_group(), "hi"))
}

async fn sent(stage: &Stage, message: SendMessage) -> Sent {
    stage.app(message).await.unwrap()
}

/// Sends it again, and it is the first one, and nothing is told or asked.
async fn is_still(stage: &Stage, first: &Sent, message: SendMessage) {
    let (events, asked) = (stage.events().await, stage.backend.asked().len());
    let again = sent(stage, message).await;
    assert_eq!((again.fate, &again.message), (Fate::Repeated, &first.message));
    assert_eq!(stage.events().await, events);
    assert_eq!(stage.backend.asked().len(), asked);
}

async fn the_repeat_is_the_first_message(stage: Stage) {
    let first = sent(&stage, hi()).await;
    stage.clock.set(1_000_000);
    is_still(&stage, &first, hi()).await;
    is_still(&stage, &first, repeatable(text("a", to("b"), "another text"))).await;
}

async fn after_the_window_it_is_another_message(stage: Stage) {
    let windowed = |text_of: &str| SendMessage {
        repeat: Some(RepeatKey { key: "key".into(), window_millis: Some(300_000) }),
        ..text("a", to("b"), text_of)
    };
    let first = sent(&stage, windowed("hi")).await;
    for (millis, expected) in [(300_000, Fate::Repeated), (-5_000, Fate::Repeated), (300_001, first.fate)] {
        stage.clock.set(millis);
        assert_eq!(sent(&stage, windowed("hi")).await.fate, expected, "{millis} ms later");
    }
    assert_eq!(stage.history(&direct()).await.len(), 2);
}

/// The retry of a client whose first answer got lost, after things have changed.
async fn the_rules_of_today_do_not_undo_what_was_sent_yesterday(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let (first, first_in_group) = (sent(&stage, hi()).await, sent(&stage, in_group()).await);

    stage.block("b", "a").await;
    is_still(&stage, &first, hi()).await;
    is_still(&stage, &first, repeatable(text("a", to("b"), "forbidden"))).await;
    stage.change_group(|group| group.rules.muted = true).await;
    is_still(&stage, &first_in_group, in_group()).await;
    stage.remove_b().await;
    is_still(&stage, &first_in_group, in_group()).await;
    stage.change_group(|group| group.status = GroupStatus::Dissolved).await;
    is_still(&stage, &first_in_group, in_group()).await;

    // What was never sent is refused by them.
    let new = SendMessage { repeat: None, ..hi() };
    assert_eq!(refusal(stage.app(new).await), Refusal::Blocked);
}

async fn the_rules_of_today_do_not_undo_what_was_sent_while_the_backend_was_asked(stage: Stage) {
    let behind = stage.clone();
    stage.backend.answers(move |_| {
        let stage = behind.clone();
        async move {
            sent(&stage, SendMessage { asks: false, ..hi() }).await;
            stage.block("b", "a").await;
            Verdict::Allow
        }
    });
    let result = sent(&stage, hi()).await;
    assert_eq!((result.fate, result.message.seq), (Fate::Repeated, 1));
    assert_eq!(stage.events().await, [Event::MessageSent(result.message)]);
}

async fn a_repeat_is_not_asked_about(stage: Stage) {
    stage.backend.always(Verdict::Allow);
    let first = sent(&stage, hi()).await;
    assert_eq!(stage.backend.asked().len(), 1);
    stage.backend.always(Verdict::Discard);
    is_still(&stage, &first, hi()).await;
}

/// The backend answers when all hundred have been sent, which are then waiting for the first.
async fn a_hundred_retries_at_once_ask_once(stage: Stage) {
    let (all_sent, is_all_sent) = tokio::sync::watch::channel(0);
    stage.backend.answers(move |_| {
        let mut is_all_sent = is_all_sent.clone();
        async move {
            is_all_sent.wait_for(|sent| *sent == 100).await.unwrap();
            Verdict::Allow
        }
    });
    let results = all_at_once(100, |_| {
        let (stage, all_sent) = (stage.clone(), all_sent.clone());
        async move {
            let actor = as_account("a");
            let mut sending = std::pin::pin!(stage.run(&actor, hi()));
            // Polled once, it has got as far as it gets without the others.
            let mut counted = false;
            std::future::poll_fn(|context| {
                let poll = sending.as_mut().poll(context);
                if !std::mem::replace(&mut counted, true) {
                    all_sent.send_modify(|sent| *sent += 1);
                }
                poll
            })
            .await
            .unwrap()
        }
    });
    let results = results.await;
    let first = results.iter().find(|sent| sent.fate == Fate::Sent { modified: false }).unwrap();
    assert_eq!(results.iter().filter(|sent| sent.fate == Fate::Repeated).count(), 99);
    assert!(results.iter().all(|sent| sent.message == first.message && sent.message.seq == 1));
    assert_eq!(stage.backend.asked().len(), 1);
    assert_eq!(stage.events().await, [Event::MessageSent(first.message.clone())]);
}

async fn a_hundred_retries_at_once_that_nobody_asks_about(stage: Stage) {
    let results = all_at_once(100, |_| {
        let stage = stage.clone();
        async move { sent(&stage, hi()).await }
    });
    let results = results.await;
    assert_eq!(results.iter().filter(|sent| sent.fate == Fate::Repeated).count(), 99);
    assert!(results.iter().all(|sent| sent.message == results[0].message));
    assert_eq!(stage.events().await, [Event::MessageSent(results[0].message.clone())]);
}

/// As long as none was sent, each is a new attempt; none is answered as if it were a repeat.
async fn a_hundred_retries_at_once_are_all_refused(stage: Stage) {
    let no = Refusal::Rejected { code: Some(120_001), info: "no".into(), detail: String::new() };
    stage.backend.always(Verdict::Reject(no.clone()));
    let results = all_at_once(100, |_| {
        let stage = stage.clone();
        async move { refusal(stage.app(hi()).await) }
    });
    assert!(results.await.iter().all(|refusal| *refusal == no));
    assert_eq!(stage.events().await, []);
    stage.backend.always(Verdict::Allow);
    assert_eq!(sent(&stage, hi()).await.message.seq, 1);
}

/// Two different messages of one sender are asked about at the same time: each answer waits for the other question.
async fn only_retries_wait_for_one_another(stage: Stage) {
    let both = std::sync::Arc::new(tokio::sync::Barrier::new(3));
    stage.backend.answers(move |_| {
        let both = both.clone();
        async move {
            both.wait().await;
            Verdict::Allow
        }
    });
    let other_key = SendMessage { repeat: Some(RepeatKey { key: "other".into(), window_millis: None }), ..hi() };
    let other_sender = repeatable(text("b", to("a"), "hi"));
    let (one, other, third) =
        in_time(async { tokio::join!(stage.app(hi()), stage.app(other_key), stage.app(other_sender)) }).await;
    let mut seqs = [one, other, third].map(|sent| sent.unwrap().message.seq);
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 2, 3]);
}

/// Whoever hangs up while the backend is asked sends nothing, and is not in the way of the next attempt.
async fn giving_up_while_asked(stage: Stage) {
    stage.backend.answers(|_| std::future::pending());
    let actor = as_account("a");
    {
        let mut given_up = Box::pin(stage.run(&actor, hi()));
        let asked = std::future::poll_fn(|context| {
            assert!(given_up.as_mut().poll(context).is_pending());
            match stage.backend.asked().len() {
                0 => std::task::Poll::Pending,
                asked => std::task::Poll::Ready(asked),
            }
        });
        assert_eq!(in_time(asked).await, 1);
    }
    assert_eq!(stage.events().await, []);
    stage.backend.always(Verdict::Allow);
    assert_eq!(in_time(sent(&stage, hi())).await.fate, Fate::Sent { modified: false });
}
