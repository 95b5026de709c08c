//! Messages that wait for a verdict: what becomes of them, who is asked, what retries get.

use std::sync::Arc;
use std::time::Duration;

use chat::element::Element;
use chat::event::{Event, NotSent};
use chat::group::{GroupKind, GroupStatus};
use chat::id::{MessageId, Timestamp};
use chat::message::find_parked::{FindParked, ListParked};
use chat::message::park::{Deadline, DecidedBy, MOST_DECIDED, MOST_WAITING, Outcome, Parked, ParkedCount};
use chat::message::release::ReleaseParked;
use chat::message::send::{Fate, SendMessage};
use chat::message::settle::{SettleOverdue, Settled};
use chat::message::{Message, RepeatKey};
use chat::question::{MessageEdit, Otherwise, ParkTerms, Verdict};
use chat::{Actor, Error, Refusal};
use tokio::sync::Barrier;

use crate::stage::{NOW, Stage, all_at_once, as_account, direct, in_time, refusal, repeatable, text, to, to_group};

cases! {
    a_message_that_waits_is_nowhere_and_its_sender_is_told_so,
    once_allowed_it_is_sent_with_the_time_of_then,
    a_rejected_one_is_not_sent_and_a_retry_gets_the_rejection,
    a_discarded_one_looks_sent_to_a_retry,
    a_verdict_may_change_it,
    a_change_that_breaks_the_rules_is_no_verdict,
    without_a_verdict_the_deadline_rejects_it,
    without_a_verdict_the_deadline_allows_it,
    a_deadline_is_a_time_of_day,
    several_deadlines_are_settled_at_once,
    what_cannot_be_settled_is_passed_by,
    a_retry_while_it_waits_asks_nobody,
    a_retry_that_nobody_is_asked_about_waits_too,
    a_retry_of_what_the_rules_forbid_by_now,
    a_hundred_retries_at_once_are_one_that_waits,
    a_retry_that_is_allowed_while_the_first_one_begins_to_wait,
    a_retry_after_it_was_sent_is_the_first_message,
    decisions_are_forgotten_after_a_day,
    no_more_than_a_hundred_thousand_decisions_are_kept,
    a_window_counts_from_the_decision,
    of_a_hundred_verdicts_one_wins,
    a_verdict_just_before_the_commit_of_another,
    whoever_is_blocked_meanwhile_is_told_of,
    a_restricted_word_is_found_at_last,
    a_member_who_left_meanwhile,
    a_group_that_was_dissolved_meanwhile,
    a_group_that_is_dissolved_just_before_the_commit,
    others_are_asked_when_the_verdict_is_there,
    another_one_may_have_it_wait_again,
    another_one_that_cannot_be_asked_leaves_it_waiting_until_the_deadline,
    what_others_made_of_it_before_waits_with_it,
    it_waits_through_a_restart,
    only_the_app_decides,
    those_that_wait_are_listed_in_order,
    what_never_waited_is_not_found,
    no_more_than_a_hundred_thousand_wait,
}

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn later(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.millis() + millis)
}

fn terms(seconds: Option<u64>, otherwise: Option<Otherwise>) -> ParkTerms {
    ParkTerms { endpoint: "review".into(), ..ParkTerms::new(seconds.map(Duration::from_secs), otherwise) }
}

fn park(terms: ParkTerms) -> Verdict {
    Verdict::Park(Box::new(terms))
}

fn hi() -> SendMessage {
    repeatable(text("a", to("b"), "hi"))
}

fn no() -> Refusal {
    Refusal::Rejected { code: Some(120_001), info: "no".into(), detail: "never".into() }
}

/// Sends a message that the backend wants to wait; its id.
async fn waits(stage: &Stage, message: SendMessage) -> MessageId {
    waits_by(stage, message, terms(None, None)).await.0
}

async fn waits_by(stage: &Stage, message: SendMessage, terms: ParkTerms) -> (MessageId, Timestamp) {
    stage.backend.always(park(terms));
    match refusal(stage.app(message).await) {
        Refusal::Parked { id, until } => (id, until),
        other => panic!("it does not wait: {other:?}"),
    }
}

async fn decide(stage: &Stage, id: MessageId, verdict: Verdict) -> Result<Parked, Error> {
    stage.run(&Actor::System, ReleaseParked { id, round: None, verdict }).await
}

async fn decided(stage: &Stage, id: MessageId, verdict: Verdict) -> (Parked, Outcome) {
    let parked = decide(stage, id, verdict).await.unwrap();
    let decision = parked.decision.clone().expect("it is decided");
    assert_eq!(decision.by, DecidedBy::Verdict);
    (parked, decision.outcome)
}

async fn settle(stage: &Stage) -> Settled {
    settle_after(stage, None, 100).await
}

async fn settle_after(stage: &Stage, after: Option<Deadline>, limit: usize) -> Settled {
    stage.run(&Actor::System, SettleOverdue { limit, after }).await.unwrap()
}

async fn find(stage: &Stage, id: MessageId) -> Parked {
    stage.run(&Actor::System, FindParked { id }).await.unwrap()
}

async fn is_waiting(stage: &Stage, id: MessageId) -> bool {
    find(stage, id).await.decision.is_none()
}

/// Nothing was told, and nothing can be read.
async fn nothing_happened(stage: &Stage) {
    assert_eq!(stage.events().await, []);
    assert_eq!(stage.history(&direct()).await, []);
}

fn sent(messages: &[Message]) -> Vec<Event> {
    messages.iter().cloned().map(Event::MessageSent).collect()
}

fn refused(refusal: &Refusal) -> Outcome {
    Outcome::Refused { name: refusal.name().to_owned(), why: refusal.to_string() }
}

async fn a_message_that_waits_is_nowhere_and_its_sender_is_told_so(stage: Stage) {
    let (id, until) = waits_by(&stage, hi(), terms(None, None)).await;
    assert_eq!(until, later(DAY), "a day, if nobody says");
    nothing_happened(&stage).await;
    let parked = find(&stage, id).await;
    assert_eq!(parked.message, stage.backend.asked().remove(0));
    assert_eq!((parked.since, parked.until, parked.otherwise), (NOW, until, Otherwise::Reject));
    assert_eq!((parked.endpoint.as_str(), parked.round, parked.decision), ("review", 1, None));

    let (_, until) = waits_by(&stage, text("a", to("c"), "hi"), terms(Some(60), Some(Otherwise::Allow))).await;
    assert_eq!(until, later(60_000));
    let week = 7 * 24 * 60 * 60;
    let (_, until) = waits_by(&stage, text("a", to("c"), "hi"), terms(Some(week * 2), None)).await;
    assert_eq!(until, later(7 * DAY), "a week at most");
    assert_eq!(settle(&stage).await.left, ParkedCount { waiting: 3, decided: 0 });
}

async fn once_allowed_it_is_sent_with_the_time_of_then(stage: Stage) {
    let id = waits(&stage, hi()).await;
    stage.backend.always(Verdict::Allow);
    let before = stage.app(text("b", to("a"), "well?")).await.unwrap();
    stage.clock.set(HOUR);
    let (parked, outcome) = decided(&stage, id, Verdict::Allow).await;
    assert_eq!(outcome, Outcome::Sent { modified: false });
    let message = parked.message;
    assert_eq!((message.id, message.seq, message.time, message.created), (id, 2, later(HOUR), NOW));
    assert_eq!(stage.history(&direct()).await, [before.message.clone(), message.clone()]);
    assert_eq!(stage.events().await, sent(&[before.message, message]));
    assert_eq!(settle(&stage).await.left, ParkedCount { waiting: 0, decided: 1 });
}

async fn a_rejected_one_is_not_sent_and_a_retry_gets_the_rejection(stage: Stage) {
    let id = waits(&stage, hi()).await;
    let (_, outcome) = decided(&stage, id, Verdict::Reject(no())).await;
    assert_eq!(outcome, Outcome::Rejected { code: Some(120_001), info: "no".into(), detail: "never".into() });
    let asked = stage.backend.asked().len();
    assert_eq!(refusal(stage.app(hi()).await), no());
    assert_eq!(stage.backend.asked().len(), asked, "nobody is asked again");
    nothing_happened(&stage).await;
}

async fn a_discarded_one_looks_sent_to_a_retry(stage: Stage) {
    let id = waits(&stage, hi()).await;
    assert_eq!(decided(&stage, id, Verdict::Discard).await.1, Outcome::Discarded);
    let retry = stage.app(hi()).await.unwrap();
    assert_eq!((retry.fate, retry.message.id), (Fate::Discarded, id));
    assert_eq!(stage.backend.asked().len(), 1);
    nothing_happened(&stage).await;
}

async fn a_verdict_may_change_it(stage: Stage) {
    let id = waits(&stage, hi()).await;
    let edit = MessageEdit { elements: Some(vec![Element::text("hello")]), ..MessageEdit::default() };
    let (parked, outcome) = decided(&stage, id, Verdict::Modify(edit.into())).await;
    assert_eq!(outcome, Outcome::Sent { modified: true });
    assert_eq!(parked.message.elements, [Element::text("hello")]);
    assert_eq!(stage.history(&direct()).await, [parked.message]);
}

async fn a_change_that_breaks_the_rules_is_no_verdict(stage: Stage) {
    let id = waits(&stage, hi()).await;
    let edit = MessageEdit { elements: Some(vec![Element::text("x".repeat(1000))]), ..MessageEdit::default() };
    let result = refusal(decide(&stage, id, Verdict::Modify(edit.into())).await);
    assert!(matches!(result, Refusal::MessageTooLarge { .. }), "{result:?}");
    let again = refusal(decide(&stage, id, park(terms(None, None))).await);
    assert!(matches!(again, Refusal::Invalid { .. }), "{again:?}");
    assert!(is_waiting(&stage, id).await);
    nothing_happened(&stage).await;
}

async fn without_a_verdict_the_deadline_rejects_it(stage: Stage) {
    let (id, _) = waits_by(&stage, hi(), terms(Some(60), None)).await;
    stage.clock.set(59_999);
    assert_eq!(settle(&stage).await.settled, 0);
    stage.clock.set(60_000);
    assert_eq!(settle(&stage).await.settled, 1);
    assert_eq!(settle(&stage).await.settled, 0, "once");
    let decision = find(&stage, id).await.decision.unwrap();
    assert_eq!((decision.by, decision.time), (DecidedBy::Deadline, later(60_000)));
    assert!(matches!(decision.outcome, Outcome::Rejected { code: None, .. }), "{decision:?}");
    let retry = refusal(stage.app(hi()).await);
    assert!(matches!(retry, Refusal::Rejected { code: None, .. }), "{retry:?}");
    let late = refusal(decide(&stage, id, Verdict::Allow).await);
    assert!(matches!(&late, Refusal::Decided { how, .. } if how.starts_with("rejected, by its deadline")), "{late:?}");
    nothing_happened(&stage).await;
}

async fn without_a_verdict_the_deadline_allows_it(stage: Stage) {
    let (id, _) = waits_by(&stage, hi(), terms(Some(60), Some(Otherwise::Allow))).await;
    stage.clock.set(61_000);
    let settled = settle(&stage).await;
    assert_eq!((settled.settled, settled.left), (1, ParkedCount { waiting: 0, decided: 1 }));
    let history = stage.history(&direct()).await;
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].id, history[0].time), (id, later(61_000)));
    assert_eq!(stage.events().await, sent(&history));
}

/// A clock that jumps moves deadlines, and harms nothing.
async fn a_deadline_is_a_time_of_day(stage: Stage) {
    let (id, _) = waits_by(&stage, hi(), terms(Some(60), Some(Otherwise::Allow))).await;
    stage.clock.set(-HOUR);
    assert_eq!(settle(&stage).await.settled, 0);
    assert!(is_waiting(&stage, id).await);
    stage.clock.set(1000 * DAY);
    assert_eq!(settle(&stage).await.settled, 1);
    stage.clock.set(0);
    let settled = settle(&stage).await;
    assert_eq!((settled.settled, settled.forgotten), (0, 0));
    assert_eq!(stage.history(&direct()).await.len(), 1);
}

/// Each of the next endpoints answers when it was asked about all.
async fn several_deadlines_are_settled_at_once(stage: Stage) {
    for _ in 0..8 {
        waits_by(&stage, text("a", to("b"), "hi"), terms(Some(60), Some(Otherwise::Allow))).await;
    }
    let all = Arc::new(Barrier::new(8));
    stage.backend.answers_afterwards(move |_| {
        let all = all.clone();
        async move {
            all.wait().await;
            Verdict::Allow
        }
    });
    stage.clock.set(60_000);
    let settled = in_time(settle(&stage)).await;
    assert_eq!((settled.settled, settled.left), (8, ParkedCount { waiting: 0, decided: 8 }));
    assert_eq!(stage.history(&direct()).await.len(), 8);
}

/// As long as an endpoint is full nothing is sent; what is to be rejected waits for nobody.
async fn what_cannot_be_settled_is_passed_by(stage: Stage) {
    let mut allowed = Vec::new();
    for second in [60, 61, 61, 62] {
        let terms = terms(Some(second), Some(Otherwise::Allow));
        allowed.push(waits_by(&stage, text("a", to("b"), "hi"), terms).await);
    }
    let (rejected, _) = waits_by(&stage, text("a", to("b"), "hi"), terms(Some(63), None)).await;
    stage.backend.set_full(true);
    stage.clock.set(63_000);
    let first = settle_after(&stage, None, 2).await;
    assert_eq!((first.settled, first.failed), (0, 2));
    let passed = allowed[..2].iter().map(|&(id, time)| Deadline { time, id }).next_back();
    assert_eq!(first.next, passed);
    let second = settle_after(&stage, first.next, 2).await;
    assert_eq!((second.settled, second.failed), (0, 2));
    let last = settle_after(&stage, second.next, 2).await;
    assert_eq!((last.settled, last.failed, last.next), (1, 0, None));
    assert_eq!(find(&stage, rejected).await.decision.unwrap().by, DecidedBy::Deadline);
    assert_eq!(last.left, ParkedCount { waiting: 4, decided: 1 });
    nothing_happened(&stage).await;

    stage.backend.set_full(false);
    assert_eq!(settle(&stage).await.settled, 4);
    assert_eq!(stage.history(&direct()).await.len(), 4);
}

async fn a_retry_while_it_waits_asks_nobody(stage: Stage) {
    let (id, until) = waits_by(&stage, hi(), terms(Some(600), None)).await;
    for millis in [0, 1000, 599_000] {
        stage.clock.set(millis);
        assert_eq!(refusal(stage.app(hi()).await), Refusal::Parked { id, until });
    }
    assert_eq!(stage.backend.asked().len(), 1);
    assert_eq!(settle(&stage).await.left, ParkedCount { waiting: 1, decided: 0 });
    // Another message is another one.
    stage.backend.always(Verdict::Allow);
    let other = SendMessage { repeat: Some(RepeatKey { key: "other".into(), window_millis: None }), ..hi() };
    assert_eq!(stage.app(other).await.unwrap().message.seq, 1);
}

/// The endpoint may be dead by now, and let pass what it cannot be asked about.
async fn a_retry_that_nobody_is_asked_about_waits_too(stage: Stage) {
    let (id, until) = waits_by(&stage, hi(), terms(None, None)).await;
    let unasked = SendMessage { asks: false, ..hi() };
    assert_eq!(refusal(stage.app(unasked.clone()).await), Refusal::Parked { id, until });
    decided(&stage, id, Verdict::Reject(no())).await;
    assert_eq!(refusal(stage.app(unasked).await), no());
    nothing_happened(&stage).await;
}

async fn a_retry_of_what_the_rules_forbid_by_now(stage: Stage) {
    let (id, until) = waits_by(&stage, hi(), terms(None, None)).await;
    stage.block("b", "a").await;
    assert_eq!(refusal(stage.app(hi()).await), Refusal::Parked { id, until }, "a retry gets the first answer");
    nothing_happened(&stage).await;
}

async fn a_hundred_retries_at_once_are_one_that_waits(stage: Stage) {
    stage.backend.always(park(terms(None, None)));
    let behind = stage.clone();
    let answers = all_at_once(100, move |_| {
        let stage = behind.clone();
        async move { refusal(stage.app(hi()).await) }
    })
    .await;
    assert_eq!(stage.backend.asked().len(), 1);
    let first = answers[0].clone();
    assert!(matches!(first, Refusal::Parked { .. }), "{first:?}");
    assert!(answers.iter().all(|answer| *answer == first), "{answers:?}");
    assert_eq!(settle(&stage).await.left, ParkedCount { waiting: 1, decided: 0 });
}

/// Both were asked about, because the answers take longer than a turn is waited for.
async fn a_retry_that_is_allowed_while_the_first_one_begins_to_wait(stage: Stage) {
    stage.backend.always(Verdict::Allow);
    let node = stage.another_node();
    stage.store.before_commit(async move {
        waits(&node, hi()).await;
    });
    let retry = refusal(stage.app(hi()).await);
    let Refusal::Parked { id, .. } = retry else { panic!("{retry:?}") };
    nothing_happened(&stage).await;
    decided(&stage, id, Verdict::Reject(no())).await;
    assert_eq!(refusal(stage.app(hi()).await), no());
    nothing_happened(&stage).await;
    assert_eq!(stage.backend.asked().len(), 1);

    // So it is if this one is asked about by nobody, as long as anything waits.
    let (node, other) = (stage.another_node(), || SendMessage { to: to("c"), ..hi() });
    stage.store.before_commit(async move {
        waits(&node, other()).await;
    });
    let unasked = SendMessage { asks: false, ..other() };
    assert!(matches!(refusal(stage.app(unasked).await), Refusal::Parked { .. }));
    nothing_happened(&stage).await;
    // Another key is another message.
    let key = RepeatKey { key: "other".into(), window_millis: None };
    assert_eq!(
        stage.app(SendMessage { repeat: Some(key), ..other() }).await.unwrap().fate,
        Fate::Sent { modified: false }
    );
}

async fn a_retry_after_it_was_sent_is_the_first_message(stage: Stage) {
    let id = waits(&stage, hi()).await;
    let (parked, _) = decided(&stage, id, Verdict::Allow).await;
    let again = stage.app(hi()).await.unwrap();
    assert_eq!((again.fate, again.message), (Fate::Repeated, parked.message));
    assert_eq!((stage.backend.asked().len(), stage.events().await.len()), (1, 1));
}

async fn decisions_are_forgotten_after_a_day(stage: Stage) {
    let id = waits(&stage, hi()).await;
    decided(&stage, id, Verdict::Reject(no())).await;
    stage.clock.set(DAY - 1);
    assert_eq!(settle(&stage).await.forgotten, 0);
    assert_eq!(refusal(stage.app(hi()).await), no());
    stage.clock.set(DAY);
    let settled = settle(&stage).await;
    assert_eq!((settled.forgotten, settled.left), (1, ParkedCount::default()));
    assert_eq!(refusal(decide(&stage, id, Verdict::Allow).await), Refusal::NotParked(id));
    // So a retry is a new message.
    stage.backend.always(Verdict::Allow);
    assert_eq!(stage.app(hi()).await.unwrap().fate, Fate::Sent { modified: false });
}

/// The oldest go first, a few at a time.
async fn no_more_than_a_hundred_thousand_decisions_are_kept(stage: Stage) {
    let mut ids = Vec::new();
    for minute in 0..5 {
        stage.clock.set(minute * 60_000);
        let id = waits(&stage, text("a", to("b"), "hi")).await;
        decided(&stage, id, Verdict::Discard).await;
        ids.push(id);
    }
    stage.many_are_decided(MOST_DECIDED - 2).await;
    let first = settle_after(&stage, None, 2).await;
    assert_eq!((first.forgotten, first.left.decided), (2, MOST_DECIDED + 1));
    assert_eq!(settle_after(&stage, None, 2).await.forgotten, 1);
    let last = settle_after(&stage, None, 2).await;
    assert_eq!((last.forgotten, last.left.decided), (0, MOST_DECIDED));
    for id in &ids[..3] {
        assert_eq!(refusal(stage.run(&Actor::System, FindParked { id: *id }).await), Refusal::NotParked(*id));
    }
    for id in &ids[3..] {
        assert!(!is_waiting(&stage, *id).await);
    }
}

async fn a_window_counts_from_the_decision(stage: Stage) {
    let windowed =
        || SendMessage { repeat: Some(RepeatKey { key: "key".into(), window_millis: Some(300_000) }), ..hi() };
    let (id, until) = waits_by(&stage, windowed(), terms(None, None)).await;
    stage.clock.set(HOUR);
    assert_eq!(refusal(stage.app(windowed()).await), Refusal::Parked { id, until }, "as long as it waits");
    decided(&stage, id, Verdict::Reject(no())).await;
    stage.clock.set(HOUR + 300_000);
    assert_eq!(refusal(stage.app(windowed()).await), no());
    stage.clock.set(HOUR + 300_001);
    stage.backend.always(Verdict::Allow);
    assert_eq!(stage.app(windowed()).await.unwrap().fate, Fate::Sent { modified: false });
}

async fn of_a_hundred_verdicts_one_wins(stage: Stage) {
    let id = waits(&stage, hi()).await;
    let behind = stage.clone();
    let outcomes = all_at_once(100, move |number| {
        let stage = behind.clone();
        let verdict = if number % 2 == 0 { Verdict::Allow } else { Verdict::Reject(no()) };
        async move { decide(&stage, id, verdict).await }
    })
    .await;
    let (winners, losers): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(winners.len(), 1);
    let asked = stage.backend.asked_after().len();
    assert!(asked <= 1, "the endpoints that come next were asked {asked} times");
    let outcome = winners.into_iter().next().unwrap().unwrap().decision.unwrap().outcome;
    for loser in losers {
        let loser = refusal(loser);
        assert!(matches!(&loser, Refusal::Decided { how, .. } if how.starts_with(outcome.name())), "{loser:?}");
    }
    let expected = usize::from(matches!(outcome, Outcome::Sent { .. }));
    assert_eq!((stage.history(&direct()).await.len(), stage.events().await.len()), (expected, expected));
}

/// Another node decides between our look and our commit.
async fn a_verdict_just_before_the_commit_of_another(stage: Stage) {
    for (ours, theirs, sent) in [(Verdict::Allow, Verdict::Discard, 0), (Verdict::Reject(no()), Verdict::Allow, 1)] {
        let stage = stage.another().await;
        let id = waits(&stage, hi()).await;
        let (node, theirs) = (stage.another_node(), theirs.clone());
        stage.store.before_commit(async move { drop(decided(&node, id, theirs).await) });
        let late = refusal(decide(&stage, id, ours).await);
        assert!(matches!(late, Refusal::Decided { .. }), "{late:?}");
        assert_eq!(stage.events().await.len(), sent);
    }
}

async fn whoever_is_blocked_meanwhile_is_told_of(stage: Stage) {
    let id = waits(&stage, hi()).await;
    stage.block("b", "a").await;
    stage.clock.set(HOUR);
    assert_eq!(decided(&stage, id, Verdict::Allow).await.1, refused(&Refusal::Blocked));
    let events = stage.events().await;
    let [Event::MessageNotSent { message, reason: NotSent::Blocked }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((message.id, message.time), (id, later(HOUR)));
    assert_eq!(stage.backend.asked_after(), []);
    assert_eq!(stage.history(&direct()).await, []);
}

async fn a_restricted_word_is_found_at_last(stage: Stage) {
    let id = waits(&stage, repeatable(text("a", to("b"), "forbidden"))).await;
    assert_eq!(decided(&stage, id, Verdict::Allow).await.1, refused(&Refusal::RestrictedWord));
    let events = stage.events().await;
    assert!(matches!(&events[..], [Event::MessageNotSent { reason: NotSent::RestrictedWord, .. }]), "{events:?}");
}

async fn a_member_who_left_meanwhile(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let id = waits(&stage, repeatable(text("b", to_group(), "hi"))).await;
    stage.remove_b().await;
    let gone = Refusal::NotMember { group: "g".into(), account: "b".into() };
    assert_eq!(decided(&stage, id, Verdict::Allow).await.1, refused(&gone));
    assert_eq!(stage.events().await, []);
}

async fn a_group_that_was_dissolved_meanwhile(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let (id, _) =
        waits_by(&stage, repeatable(text("b", to_group(), "hi")), terms(Some(60), Some(Otherwise::Allow))).await;
    stage.change_group(|group| group.status = GroupStatus::Dissolved).await;
    stage.clock.set(HOUR);
    assert_eq!(settle(&stage).await.settled, 1);
    let outcome = find(&stage, id).await.decision.unwrap().outcome;
    assert_eq!(outcome, refused(&Refusal::GroupDissolved("g".into())));
    assert_eq!(stage.events().await, []);
}

async fn a_group_that_is_dissolved_just_before_the_commit(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let id = waits(&stage, repeatable(text("b", to_group(), "hi"))).await;
    let behind = stage.clone();
    stage.store.before_commit(async move { behind.change_group(|group| group.status = GroupStatus::Dissolved).await });
    assert_eq!(decided(&stage, id, Verdict::Allow).await.1, refused(&Refusal::GroupDissolved("g".into())));
    assert_eq!(stage.events().await, []);
}

async fn others_are_asked_when_the_verdict_is_there(stage: Stage) {
    let id = waits(&stage, hi()).await;
    assert_eq!(stage.backend.asked_after(), [], "not before");
    let edit = |text: &str| MessageEdit { elements: Some(vec![Element::text(text)]), ..MessageEdit::default() };
    let second = edit("second");
    stage.backend.answers_afterwards(move |_| std::future::ready(Verdict::Modify(second.clone().into())));
    let (parked, _) = decided(&stage, id, Verdict::Modify(edit("first").into())).await;
    let asked = stage.backend.asked_after();
    let [(message, endpoint)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((endpoint.as_str(), &message.elements), ("review", &vec![Element::text("first")]));
    assert_eq!(parked.message.elements, [Element::text("second")]);

    for (verdict, expected) in [(Verdict::Discard, Outcome::Discarded), (Verdict::Reject(no()), Outcome::from(&no()))] {
        let id = waits(&stage, text("a", to("c"), "hi")).await;
        stage.backend.answers_afterwards(move |_| std::future::ready(verdict.clone()));
        assert_eq!(decided(&stage, id, Verdict::Allow).await.1, expected);
    }
    assert_eq!(stage.events().await.len(), 1);
}

async fn another_one_may_have_it_wait_again(stage: Stage) {
    let (id, _) = waits_by(&stage, hi(), terms(Some(60), None)).await;
    let second = ParkTerms { endpoint: "second".into(), ..terms(Some(600), Some(Otherwise::Allow)) };
    stage.backend.answers_afterwards(move |_| std::future::ready(park(second.clone())));
    stage.clock.set(50_000);
    let again = decide(&stage, id, Verdict::Allow).await.unwrap();
    assert_eq!((again.decision, again.endpoint.as_str(), again.round), (None, "second", 2));
    let until = later(650_000);
    assert_eq!(again.until, until);
    assert_eq!(refusal(stage.app(hi()).await), Refusal::Parked { id, until });
    stage.clock.set(70_000);
    assert_eq!(settle(&stage).await.settled, 0, "its first deadline is no more");

    // The verdict of the first one, given again because its answer got lost, or on its way meanwhile, comes too late.
    stage.backend.answers_afterwards(|_| std::future::ready(Verdict::Allow));
    for (round, verdict) in [(None, Verdict::Allow), (Some(1), Verdict::Allow), (Some(1), Verdict::Discard)] {
        let late = refusal(stage.run(&Actor::System, ReleaseParked { id, round, verdict }).await);
        assert!(
            matches!(&late, Refusal::Decided { how, .. } if how.ends_with("endpoint second, in round 2")),
            "{late:?}"
        );
    }
    let early = ReleaseParked { id, round: Some(3), verdict: Verdict::Allow };
    let early = refusal(stage.run(&Actor::System, early).await);
    assert!(matches!(&early, Refusal::Invalid { field, .. } if field == "round"), "{early:?}");
    assert_eq!(stage.backend.asked_after().len(), 1, "nobody was asked for nothing");
    nothing_happened(&stage).await;

    let second = ReleaseParked { id, round: Some(2), verdict: Verdict::Allow };
    let sent = stage.run(&Actor::System, second).await.unwrap();
    assert_eq!(sent.decision.unwrap().outcome, Outcome::Sent { modified: false });
    assert_eq!(stage.backend.asked_after().last().unwrap().1, "second");
    assert_eq!(stage.history(&direct()).await.len(), 1);
}

async fn another_one_that_cannot_be_asked_leaves_it_waiting_until_the_deadline(stage: Stage) {
    let (id, _) = waits_by(&stage, hi(), terms(Some(60), Some(Otherwise::Allow))).await;
    let dead = Refusal::BackendFailed(chat::refusal::AskFailure::Timeout);
    let answer = Verdict::Reject(dead.clone());
    stage.backend.answers_afterwards(move |_| std::future::ready(answer.clone()));
    assert_eq!(refusal(decide(&stage, id, Verdict::Allow).await), dead);
    assert!(is_waiting(&stage, id).await);
    stage.clock.set(60_000);
    assert_eq!(settle(&stage).await.settled, 1);
    assert_eq!(find(&stage, id).await.decision.unwrap().outcome, refused(&dead));
    nothing_happened(&stage).await;
}

async fn what_others_made_of_it_before_waits_with_it(stage: Stage) {
    let edit = MessageEdit { custom_data: Some("seen".into()), ..MessageEdit::default() };
    let (id, _) = waits_by(&stage, hi(), ParkTerms { edit, ..terms(None, None) }).await;
    let (parked, outcome) = decided(&stage, id, Verdict::Allow).await;
    assert_eq!(outcome, Outcome::Sent { modified: true });
    assert_eq!(parked.message.custom_data.as_deref(), Some("seen"));
}

async fn it_waits_through_a_restart(stage: Stage) {
    let (id, until) = waits_by(&stage, hi(), terms(None, None)).await;
    let other = waits(&stage, text("a", to("c"), "hi")).await;
    let stage = stage.restarted().await;
    assert_eq!(refusal(stage.app(hi()).await), Refusal::Parked { id, until });
    decided(&stage, other, Verdict::Reject(no())).await;
    let stage = stage.restarted().await;
    stage.clock.set(HOUR);
    let (parked, _) = decided(&stage, id, Verdict::Allow).await;
    let stage = stage.restarted().await;
    let again = stage.app(hi()).await.unwrap();
    assert_eq!((again.fate, again.message), (Fate::Repeated, parked.message));
    assert!(!is_waiting(&stage, other).await);
    assert_eq!(settle(&stage).await.left, ParkedCount { waiting: 0, decided: 2 });
}

async fn only_the_app_decides(stage: Stage) {
    let id = waits(&stage, hi()).await;
    for account in ["a", "b"] {
        let actor = as_account(account);
        let verdict = Verdict::Allow;
        assert_eq!(refusal(stage.run(&actor, ReleaseParked { id, round: None, verdict }).await), Refusal::NotPermitted);
        assert_eq!(refusal(stage.run(&actor, FindParked { id }).await), Refusal::NotPermitted);
        let list = ListParked { after: None, limit: 10 };
        assert_eq!(refusal(stage.run(&actor, list).await), Refusal::NotPermitted);
    }
    assert_eq!(refusal(stage.app(SettleOverdue { limit: 1, after: None }).await), Refusal::NotPermitted);
    stage.app(ReleaseParked { id, round: None, verdict: Verdict::Allow }).await.unwrap();
}

async fn those_that_wait_are_listed_in_order(stage: Stage) {
    let mut ids = Vec::new();
    for number in 0..5 {
        stage.clock.set(number * 1000);
        ids.push(waits(&stage, text("a", to(if number % 2 == 0 { "b" } else { "c" }), "hi")).await);
    }
    decided(&stage, ids.remove(2), Verdict::Discard).await;
    let list = async |after, limit| {
        let page = stage.app(ListParked { after, limit }).await.unwrap();
        page.into_iter().map(|parked| parked.message.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10).await, ids);
    assert_eq!(list(None, 2).await, ids[..2]);
    assert_eq!(list(Some(ids[1]), 10).await, ids[2..]);
    assert_eq!(list(Some(ids[3]), 10).await, []);
}

async fn what_never_waited_is_not_found(stage: Stage) {
    stage.backend.always(Verdict::Allow);
    let id = stage.app(hi()).await.unwrap().message.id;
    assert_eq!(refusal(decide(&stage, id, Verdict::Allow).await), Refusal::NotParked(id));
    assert_eq!(refusal(stage.run(&Actor::System, FindParked { id }).await), Refusal::NotParked(id));
    let nothing = Settled { settled: 0, failed: 0, forgotten: 0, left: ParkedCount::default(), next: None };
    assert_eq!(settle(&stage).await, nothing);
}

/// What is beyond the bound is as good as an answer that was not understood.
async fn no_more_than_a_hundred_thousand_wait(stage: Stage) {
    stage.many_wait(MOST_WAITING - 1).await;
    assert_eq!(settle(&stage).await.left.waiting, MOST_WAITING - 1);
    waits(&stage, hi()).await;
    let message = || text("a", to("c"), "hi");
    let full = |when_full| park(ParkTerms { when_full, ..terms(None, None) });
    stage.backend.always(full(Otherwise::Reject));
    let no_room = Refusal::BackendFailed(chat::refusal::AskFailure::NoRoomToWait);
    assert_eq!(refusal(stage.app(message()).await), no_room);
    assert_eq!(stage.events().await, []);
    // If the endpoint lets such messages pass, those after it are asked.
    stage.backend.always(full(Otherwise::Allow));
    assert_eq!(stage.app(message()).await.unwrap().message.seq, 1);
    assert_eq!(stage.backend.asked_after().len(), 1);
    stage.backend.answers_afterwards(|_| std::future::ready(Verdict::Reject(no())));
    assert_eq!(refusal(stage.app(message()).await), no());
    assert_eq!(settle(&stage).await.left.waiting, MOST_WAITING);
}
