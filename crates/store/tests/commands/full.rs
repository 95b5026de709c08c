//! An endpoint that cannot be told of any more, and whose operator wants nothing new accepted then (`when_full = "refuse"`).

use std::time::Duration;

use chat::account::find::FindAccounts;
use chat::account::import::{Existing, ImportAccounts, NewAccount};
use chat::group::GroupKind;
use chat::group::add_members::{AddMembers, Strangers};
use chat::group::create_topic::CreateTopic;
use chat::group::find::FindGroups;
use chat::group::update::UpdateGroup;
use chat::message::RepeatKey;
use chat::message::find_parked::FindParked;
use chat::message::release::ReleaseParked;
use chat::message::send::{Fate, SendMessage};
use chat::port::Store;
use chat::question::{ParkTerms, Verdict};
use chat::relation::block::BlockAccounts;
use chat::{Command, Refusal};

use crate::stage::{Stage, create_group, direct, refusal, repeatable, text, to, to_group};

cases! {
    nothing_new_is_accepted,
    nothing_new_is_accepted_that_is_asked_about,
    a_retry_gets_its_first_answer,
    what_changes_nothing_is_no_matter,
    a_rejection_of_what_waits_is_no_matter,
}

fn hi() -> SendMessage {
    repeatable(text("a", to("b"), "hi"))
}

fn other_key(message: SendMessage) -> SendMessage {
    SendMessage { repeat: Some(RepeatKey { key: "other".into(), window_millis: None }), ..message }
}

/// Has it wait for a verdict.
async fn waits(stage: &Stage, message: SendMessage) -> chat::id::MessageId {
    stage.backend.always(Verdict::Park(Box::new(ParkTerms::new(Some(Duration::from_secs(60)), None))));
    match refusal(stage.app(message).await) {
        Refusal::Parked { id, .. } => id,
        other => panic!("it does not wait: {other:?}"),
    }
}

async fn is_refused<C: Command>(stage: &Stage, command: C)
where
    C::Reply: std::fmt::Debug,
{
    assert_eq!(refusal(stage.app(command).await), Refusal::BackendFull, "{}", C::NAME);
}

async fn everything_is_refused(stage: &Stage) {
    let events = stage.events().await;
    let before = (stage.group().await, stage.store.count_parked().await.unwrap());
    is_refused(stage, hi()).await;
    is_refused(stage, text("b", to_group(), "hi")).await;
    // A failed delivery would be told of, too.
    is_refused(stage, text("a", to("b"), "forbidden")).await;
    is_refused(stage, create_group("h", GroupKind::Public)).await;
    is_refused(stage, UpdateGroup { group: Some("g".into()), name: Some("new".into()), ..UpdateGroup::default() })
        .await;
    let add = AddMembers {
        group: "g".into(),
        accounts: vec!["c".into()],
        reason: String::new(),
        strangers: Strangers::RefuseAll,
    };
    is_refused(stage, add).await;
    is_refused(stage, CreateTopic { group: "g".into(), id: "t".into(), profile: Default::default() }).await;
    is_refused(stage, BlockAccounts { owner: "a".into(), targets: vec!["b".into()] }).await;
    for existing in [Existing::Update, Existing::Refuse] {
        is_refused(stage, ImportAccounts { accounts: vec![NewAccount::bare("d".into())], existing }).await;
    }
    assert_eq!(stage.events().await, events);
    assert_eq!((stage.group().await, stage.store.count_parked().await.unwrap()), before);
    assert_eq!(stage.store.groups(&["h".into()]).await.unwrap(), []);
    assert_eq!(stage.store.accounts(&["d".into()]).await.unwrap(), []);
    assert_eq!(stage.store.blocks(&"a".into(), &["b".into()]).await.unwrap().1, 0);
}

async fn nothing_new_is_accepted(stage: Stage) {
    stage.has_group(GroupKind::Community).await;
    stage.backend.set_full(true);
    everything_is_refused(&stage).await;
    stage.backend.set_full(false);
    assert_eq!(stage.app(hi()).await.unwrap().message.seq, 1, "until there is room again");
}

async fn nothing_new_is_accepted_that_is_asked_about(stage: Stage) {
    stage.has_group(GroupKind::Community).await;
    let id = waits(&stage, other_key(hi())).await;
    stage.backend.answers_everything(|_| std::future::ready(Verdict::Allow));
    stage.backend.set_full(true);
    everything_is_refused(&stage).await;
    is_refused(&stage, ReleaseParked { id, round: None, verdict: Verdict::Allow }).await;
    assert_eq!(stage.app(FindParked { id }).await.unwrap().decision, None);
}

async fn a_retry_gets_its_first_answer(stage: Stage) {
    let first = stage.app(hi()).await.unwrap();
    let id = waits(&stage, other_key(hi())).await;
    stage.backend.set_full(true);
    let retry = stage.app(hi()).await.unwrap();
    assert_eq!((retry.fate, retry.message), (Fate::Repeated, first.message));
    assert!(matches!(refusal(stage.app(other_key(hi())).await), Refusal::Parked { id: known, .. } if known == id));
    assert_eq!(stage.history(&direct()).await.len(), 1);
}

async fn what_changes_nothing_is_no_matter(stage: Stage) {
    let group = stage.has_group(GroupKind::Public).await;
    stage.backend.set_full(true);
    let update = UpdateGroup { group: Some("g".into()), name: Some(group.profile.name.clone()), ..Default::default() };
    assert_eq!(stage.app(update).await.unwrap(), group);
    let exists = Refusal::GroupExists { id: "g".into(), yours: true };
    assert_eq!(refusal(stage.app(create_group("g", GroupKind::Public)).await), exists);
    assert_eq!(stage.app(FindGroups(vec!["g".into()])).await.unwrap().len(), 1);
    assert_eq!(stage.app(FindAccounts(vec!["a".into()])).await.unwrap().len(), 1);
}

async fn a_rejection_of_what_waits_is_no_matter(stage: Stage) {
    let id = waits(&stage, hi()).await;
    stage.backend.set_full(true);
    let verdict = Verdict::Reject(Refusal::Rejected { code: None, info: "no".into(), detail: String::new() });
    let parked = stage.app(ReleaseParked { id, round: None, verdict }).await.unwrap();
    assert_eq!(parked.decision.unwrap().outcome.name(), "rejected");
    assert_eq!(stage.events().await, []);
}
