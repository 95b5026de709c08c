//! Groups: `Store::groups`, `Write::PutGroup`, `Assertion::{NoGroup, GroupVersion, GroupOpen}`.

use chat::group::{Group, GroupKind, GroupProfile, GroupRules, GroupStatus, Joining};
use chat::id::GroupId;
use chat::member::{Member, Role};
use chat::port::{Assertion, Write};
use serde_json::json;

use crate::fixtures::{NEARLY_EQUAL, NOW, all_at_once, at, changes, dissolved, group, members, put};
use crate::fresh::Fresh;

cases! {
    there_are_none_at_first,
    everything_in_a_group_is_kept,
    a_group_is_replaced_but_for_its_member_count,
    a_dissolved_group_is_still_found,
    answers_come_in_the_order_asked,
    ids_compare_as_bytes,
    a_group_may_be_named_like_an_account,
    an_owner_has_so_many_of_a_kind,
    no_group_holds_until_there_is_one,
    group_open_holds_while_it_is,
    group_version_holds_at_that_version_only,
    of_many_who_change_one_version_one_succeeds,
}

async fn find(store: &Fresh, id: &str) -> Option<Group> {
    let mut found = store.groups(&[id.into()]).await.unwrap();
    assert!(found.len() <= 1);
    found.pop()
}

fn version(id: &str, version: u64) -> Assertion {
    Assertion::GroupVersion(id.into(), version)
}

async fn there_are_none_at_first(store: Fresh) {
    assert_eq!(store.groups(&[]).await.unwrap(), []);
    assert_eq!(find(&store, "g").await, None);
}

async fn everything_in_a_group_is_kept(store: Fresh) {
    let custom_fields = json!({"a": [1, null, "x"], "": {"b": 0.1}, "big": u64::MAX, "small": i64::MIN});
    let full = Group {
        kind: GroupKind::Community,
        owner: Some("o'wner".into()),
        creator: Some("creator\"".into()),
        profile: GroupProfile {
            name: "name\n".into(),
            introduction: "intro\u{0}duction".into(),
            announcement: "📣".into(),
            face_url: "https://faces/g".into(),
            custom_data: "{\"data\":1}".into(),
            custom_fields: custom_fields.as_object().unwrap().clone(),
        },
        rules: GroupRules {
            joining: Joining::Approval,
            muted: true,
            member_limit: u64::MAX,
            hides_members: true,
            forbids_befriending: true,
            approves_invitations: true,
        },
        created: at(-1),
        updated: at(1),
        version: i64::MAX.unsigned_abs(),
        announced: Some((at(2), "creator\"".into())),
        ..group("g")
    };
    store.write(vec![put(full.clone())]).await;
    assert_eq!(find(&store, "g").await, Some(full));
    for kind in [GroupKind::Work, GroupKind::Public, GroupKind::Meeting, GroupKind::Live, GroupKind::Community] {
        store.write(vec![put(Group { kind, ..group("g") })]).await;
        assert_eq!(find(&store, "g").await, Some(Group { kind, ..group("g") }));
    }
}

async fn a_group_is_replaced_but_for_its_member_count(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.write(vec![put(Group { member_count: 99, ..group("g") })]).await;
    assert_eq!(find(&store, "g").await.unwrap().member_count, 0);
    store.write(vec![Write::AddMembers("g".into(), members(&["a", "b"]))]).await;
    let new = Group { version: 2, updated: at(1), has_topics: false, member_count: 0, ..group("g") };
    store.write(vec![put(new.clone())]).await;
    assert_eq!(find(&store, "g").await, Some(Group { member_count: 2, ..new }));
}

async fn a_dissolved_group_is_still_found(store: Fresh) {
    store.has(&["a"]).await;
    store.has_group("g", &["a"]).await;
    store.write(vec![put(dissolved("g"))]).await;
    assert_eq!(find(&store, "g").await, Some(Group { member_count: 1, ..dissolved("g") }));
    assert!(store.member(&"g".into(), &"a".into()).await.unwrap().is_some());
}

async fn answers_come_in_the_order_asked(store: Fresh) {
    store.write(["g", "h", "i"].map(|id| put(group(id))).to_vec()).await;
    let asked = ["none", "i", "g", "", "h", "g"].map(GroupId::new);
    let found: Vec<GroupId> = store.groups(&asked).await.unwrap().into_iter().map(|group| group.id).collect();
    assert_eq!(found, ["i", "g", "h", "g"].map(GroupId::new));
}

async fn ids_compare_as_bytes(store: Fresh) {
    for id in NEARLY_EQUAL {
        assert!(find(&store, id).await.is_none(), "before {id:?}");
        assert!(store.holds(Assertion::NoGroup(id.into())).await);
        store.write(vec![put(group(id))]).await;
        assert!(!store.holds(Assertion::NoGroup(id.into())).await);
    }
    let found = store.groups(&NEARLY_EQUAL.map(GroupId::new)).await.unwrap();
    assert_eq!(found, NEARLY_EQUAL.map(group));
}

async fn a_group_may_be_named_like_an_account(store: Fresh) {
    store.has(&["x"]).await;
    assert!(store.holds(Assertion::NoGroup("x".into())).await);
    store.write(vec![put(group("x")), put(group("y"))]).await;
    assert!(store.holds(Assertion::NoAccount("y".into())).await);
    assert_eq!(store.accounts(&["y".into()]).await.unwrap(), []);
}

async fn an_owner_has_so_many_of_a_kind(store: Fresh) {
    store.has(&["a", "b"]).await;
    assert_eq!(store.groups_owned(&"a".into(), GroupKind::Public).await.unwrap(), 0);
    let of_a_kind = |id: &str, kind| put(Group { kind, ..group(id) });
    for (id, kind) in [("g", GroupKind::Public), ("h", GroupKind::Public), ("w", GroupKind::Work)] {
        let owner = Member::new("a".into(), Role::Owner, NOW);
        let admin = Member::new("b".into(), Role::Admin, NOW);
        store.write(vec![of_a_kind(id, kind), Write::AddMembers(id.into(), vec![owner, admin])]).await;
    }
    store.write(vec![of_a_kind("ownerless", GroupKind::Public)]).await;
    let owned = async |owner: &str, kind| store.groups_owned(&owner.into(), kind).await.unwrap();
    assert_eq!((owned("a", GroupKind::Public).await, owned("a", GroupKind::Work).await), (2, 1));
    assert_eq!((owned("a", GroupKind::Meeting).await, owned("b", GroupKind::Public).await), (0, 0));
    assert_eq!(owned("nobody", GroupKind::Public).await, 0);
    store.write(vec![put(dissolved("h"))]).await;
    assert_eq!(owned("a", GroupKind::Public).await, 1, "a dissolved group is nobody's");
}

async fn no_group_holds_until_there_is_one(store: Fresh) {
    assert!(store.holds(Assertion::NoGroup("g".into())).await);
    store.write(vec![put(group("g"))]).await;
    assert!(!store.holds(Assertion::NoGroup("g".into())).await);
    store.write(vec![put(dissolved("g"))]).await;
    assert!(!store.holds(Assertion::NoGroup("g".into())).await, "a dissolved group keeps its id");
}

async fn group_open_holds_while_it_is(store: Fresh) {
    assert!(!store.holds(Assertion::GroupOpen("g".into())).await);
    store.write(vec![put(group("g"))]).await;
    assert!(store.holds(Assertion::GroupOpen("g".into())).await);
    store.write(vec![put(dissolved("g"))]).await;
    assert!(!store.holds(Assertion::GroupOpen("g".into())).await);
}

async fn group_version_holds_at_that_version_only(store: Fresh) {
    assert!(!store.holds(version("g", 0)).await);
    assert!(!store.holds(version("g", 1)).await);
    store.write(vec![put(Group { version: 7, ..group("g") })]).await;
    assert!(store.holds(version("g", 7)).await);
    for other in [0, 6, 8, u64::MAX] {
        assert!(!store.holds(version("g", other)).await, "{other}");
    }
    store.write(vec![put(Group { version: 7, status: GroupStatus::Dissolved, ..group("g") })]).await;
    assert!(!store.holds(version("g", 7)).await, "a dissolved group is at no version");
}

async fn of_many_who_change_one_version_one_succeeds(store: Fresh) {
    store.write(vec![put(group("g"))]).await;
    let changed = all_at_once(64, |number| {
        let store = store.share();
        async move {
            let mut new = Group { version: 2, ..group("g") };
            new.profile.name = number.to_string();
            let result = store.commit(changes(vec![version("g", 1)], vec![put(new)])).await;
            result.is_ok().then(|| number.to_string())
        }
    });
    let changed: Vec<String> = changed.await.into_iter().flatten().collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(find(&store, "g").await.unwrap().profile.name, changed[0]);
    assert_eq!(find(&store, "g").await.unwrap().created, NOW);
}
