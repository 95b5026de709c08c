//! `UpdateGroup`: what changed is told once, what did not is not, and none of many updates is lost.

use std::collections::HashSet;

use chat::Refusal;
use chat::command::Actor;
use chat::event::{Event, GroupChange};
use chat::group::update::UpdateGroup;
use chat::group::{GroupKind, GroupStatus, Joining};
use serde_json::{Value, json};

use crate::stage::{NOW, Stage, all_at_once, as_account, refusal};

cases! {
    each_update_is_one_event_of_what_changed,
    what_does_not_change_anything_is_not_told,
    what_backends_are_not_told_of_is_changed_in_silence,
    many_updates_at_once_all_land,
    many_equal_updates_at_once_are_one,
    a_group_that_is_not_there,
    who_may_change_what,
}

fn update() -> UpdateGroup {
    UpdateGroup { group: Some("g".into()), ..UpdateGroup::default() }
}

fn named(name: &str) -> UpdateGroup {
    UpdateGroup { name: Some(name.into()), ..update() }
}

async fn changes(stage: &Stage) -> Vec<GroupChange> {
    let events = stage.events().await.into_iter();
    let changes = events.map(|event| match event {
        Event::GroupChanged(change) => change,
        other => panic!("{other:?}"),
    });
    changes.collect()
}

async fn each_update_is_one_event_of_what_changed(stage: Stage) {
    let made = stage.has_group(GroupKind::Public).await;
    stage.clock.set(5);
    let command = UpdateGroup {
        name: Some("name".into()),
        introduction: Some(String::new()),
        announcement: Some("announcement".into()),
        muted: Some(true),
        ..update()
    };
    let group = stage.run(&as_account("a"), command).await.unwrap();
    assert_eq!(group, stage.group().await);
    assert_eq!((group.version, group.updated.millis()), (made.version + 1, NOW.millis() + 5));
    assert_eq!(group.announced, Some((group.updated, "a".into())));

    let changes = changes(&stage).await;
    let [change] = &changes[..] else { panic!("{changes:?}") };
    let expected = GroupChange {
        name: Some("name".into()),
        introduction: None,
        announcement: Some("announcement".into()),
        face_url: None,
        actor: as_account("a"),
        group: "g".into(),
        kind: GroupKind::Public,
        time: group.updated,
        ..change.clone()
    };
    assert_eq!(*change, expected);
}

async fn what_does_not_change_anything_is_not_told(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let first = stage.app(named("name")).await.unwrap();
    stage.clock.set(5);
    for command in [update(), named("name"), UpdateGroup { face_url: Some(String::new()), ..named("name") }] {
        assert_eq!(stage.app(command).await.unwrap(), first);
    }
    assert_eq!(stage.group().await, first, "not even its version or time");
    assert_eq!(changes(&stage).await.len(), 1);
}

async fn what_backends_are_not_told_of_is_changed_in_silence(stage: Stage) {
    let made = stage.has_group(GroupKind::Public).await;
    let command = UpdateGroup {
        custom_data: Some("data".into()),
        custom_fields: json!({"k": 1}).as_object().unwrap().clone(),
        joining: Some(Joining::Closed),
        member_limit: Some(7),
        ..update()
    };
    let group = stage.app(command).await.unwrap();
    assert_eq!((group.version, group.rules.member_limit), (made.version + 1, 7));
    assert_eq!(group, stage.group().await);
    assert_eq!(stage.events().await, []);
}

/// A hundred admins at once, or one impatient script: each update is applied to what the others have made of the group.
async fn many_updates_at_once_all_land(stage: Stage) {
    let made = stage.has_group(GroupKind::Public).await;
    let groups = all_at_once(100, |number| {
        let stage = stage.clone();
        async move {
            let custom_fields = json!({number.to_string(): number}).as_object().unwrap().clone();
            stage.app(UpdateGroup { custom_fields, ..named(&number.to_string()) }).await.unwrap()
        }
    });
    let versions: HashSet<u64> = groups.await.iter().map(|group| group.version).collect();
    assert_eq!(versions, (made.version + 1..=made.version + 100).collect(), "each saw a version of its own");

    let group = stage.group().await;
    assert_eq!(group.version, made.version + 100);
    let all: serde_json::Map<String, Value> = (0..100).map(|number| (number.to_string(), number.into())).collect();
    assert_eq!(group.profile.custom_fields, all);

    let changes = changes(&stage).await;
    let names: HashSet<&str> = changes.iter().filter_map(|change| change.name.as_deref()).collect();
    assert_eq!((changes.len(), names.len()), (100, 100));
    assert_eq!(changes.last().unwrap().name, Some(group.profile.name), "the last to be told is how it is now");
    assert!(changes.iter().all(|change| change.introduction.is_none() && change.face_url.is_none()));
}

async fn many_equal_updates_at_once_are_one(stage: Stage) {
    let made = stage.has_group(GroupKind::Public).await;
    let groups = all_at_once(30, |_| {
        let stage = stage.clone();
        async move { stage.app(named("same")).await.unwrap() }
    });
    assert!(groups.await.iter().all(|group| group.version == made.version + 1));
    assert_eq!(changes(&stage).await.len(), 1);
}

async fn a_group_that_is_not_there(stage: Stage) {
    let nameless = refusal(stage.app(UpdateGroup::default()).await);
    assert!(matches!(nameless, Refusal::Invalid { .. }), "{nameless:?}");
    assert_eq!(refusal(stage.app(named("x")).await), Refusal::NoGroup("g".into()));
    stage.has_group(GroupKind::Public).await;
    stage.change_group(|group| group.status = GroupStatus::Dissolved).await;
    assert_eq!(refusal(stage.app(named("x")).await), Refusal::GroupDissolved("g".into()));
    assert_eq!(stage.events().await, []);
}

/// a owns the group, b is a member, c is not; b becomes an admin in the third column.
async fn who_may_change_what(stage: Stage) {
    for (kind, member_profile, member_rules, admin_profile, admin_rules) in [
        (GroupKind::Work, true, false, true, false),
        (GroupKind::Public, false, false, true, true),
        (GroupKind::Meeting, false, false, false, false),
        (GroupKind::Community, false, false, true, true),
    ] {
        let stage = stage.another().await;
        stage.has_group(kind).await;
        let may = async |actor: Actor, command: UpdateGroup| match stage.run(&actor, command).await {
            Ok(_) => true,
            Err(chat::Error::Refused(Refusal::NotPermitted | Refusal::NotMember { .. })) => false,
            Err(error) => panic!("{error:?}"),
        };
        let mut number = 0;
        let mut profile = || {
            number += 1;
            named(&number.to_string())
        };
        let rules = || UpdateGroup { muted: Some(true), ..update() };

        assert_eq!(may(as_account("b"), profile()).await, member_profile, "{kind:?}: a member, the profile");
        assert_eq!(may(as_account("b"), rules()).await, member_rules, "{kind:?}: a member, the rules");
        stage.promote_b().await;
        assert_eq!(may(as_account("b"), profile()).await, admin_profile, "{kind:?}: an admin, the profile");
        assert_eq!(may(as_account("b"), rules()).await, admin_rules, "{kind:?}: an admin, the rules");
        for actor in [as_account("a"), Actor::App("admin".into()), Actor::System] {
            assert!(may(actor.clone(), profile()).await && may(actor.clone(), rules()).await, "{kind:?}: {actor:?}");
        }
        assert!(!may(as_account("c"), profile()).await, "{kind:?}: no member");
    }
}
