//! Members: `Store::{member, members}`, `Write::AddMembers`, `Assertion::{IsMember, MembersAtMost}`.

use chat::id::{AccountId, Timestamp};
use chat::member::{JoinSource, Member, Role};
use chat::port::{Assertion, CommitError, MemberQuery, Write};
use serde_json::json;

use crate::fixtures::{
    NEARLY_EQUAL, NOW, all_at_once, at, changes, everyone, group, ids, in_group, in_topic, members, message, put, topic,
};
use crate::fresh::Fresh;

cases! {
    there_are_none_at_first,
    everything_in_a_member_is_kept,
    adding_reports_only_who_is_new,
    a_member_who_is_added_again_stays_as_they_are,
    members_who_do_not_exist_are_not_added,
    members_are_in_one_group_only,
    the_order_is_by_role_then_joining_then_coming,
    roles_are_filtered,
    pages_follow_one_another,
    ids_compare_as_bytes,
    is_member_holds_for_members,
    members_at_most_holds_up_to_that_many,
    of_many_who_join_only_so_many_get_in,
    sending_is_noted_and_reads_what_is_read,
    sending_in_a_topic_is_not_noted_in_the_group,
}

fn add(group: &str, ids: &[&str]) -> Write {
    Write::AddMembers(group.into(), members(ids))
}

fn ranked(id: &str, role: Role, joined: Timestamp) -> Member {
    Member::new(id.into(), role, joined)
}

async fn find(store: &Fresh, group: &str, id: &str) -> Option<Member> {
    store.member(&group.into(), &id.into()).await.unwrap()
}

async fn list(store: &Fresh, query: MemberQuery) -> Vec<AccountId> {
    store.members(&"g".into(), query).await.unwrap().into_iter().map(|member| member.account).collect()
}

async fn count(store: &Fresh, id: &str) -> u64 {
    store.groups(&[id.into()]).await.unwrap()[0].member_count
}

async fn there_are_none_at_first(store: Fresh) {
    assert_eq!(find(&store, "g", "a").await, None);
    assert_eq!(list(&store, everyone()).await, []);
    store.has(&["a"]).await;
    store.has_group("g", &[]).await;
    assert_eq!(find(&store, "g", "a").await, None);
    assert_eq!(list(&store, everyone()).await, []);
    assert_eq!(count(&store, "g").await, 0);
}

async fn everything_in_a_member_is_kept(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &[]).await;
    let full = Member {
        account: "a".into(),
        role: Role::Admin,
        joined: at(-5),
        source: JoinSource::Scanned,
        inviter: Some("not an account".into()),
        name_card: "card's".into(),
        face_url: "https://faces/a?b='c'".into(),
        muted_until: Timestamp::from_millis(i64::MAX),
        custom_fields: json!({"k": [1.5, "\u{0}"]}).as_object().unwrap().clone(),
        custom_data: "{\"\u{0}\":1}".into(),
        read_seq: i64::MAX.unsigned_abs(),
        last_sent: at(7),
    };
    store.write(vec![Write::AddMembers("g".into(), vec![full.clone()])]).await;
    assert_eq!(find(&store, "g", "a").await, Some(full.clone()));
    assert_eq!(store.members(&"g".into(), everyone()).await.unwrap(), [full]);
    for source in [JoinSource::Imported, JoinSource::Invited, JoinSource::Searched] {
        store.write(vec![put(group("h"))]).await;
        let member = Member { source, ..ranked("b", Role::Owner, NOW) };
        let id = format!("{source:?}");
        store.write(vec![put(group(&id)), Write::AddMembers(id.as_str().into(), vec![member.clone()])]).await;
        assert_eq!(find(&store, &id, "b").await, Some(member));
    }
}

async fn adding_reports_only_who_is_new(store: Fresh) {
    store.has(&["a", "b", "c", "d"]).await;
    store.write(vec![put(group("g")), put(group("h"))]).await;
    assert_eq!(store.write(vec![add("g", &["b", "a"])]).await.added, ids(&["b", "a"]));
    assert_eq!(store.write(vec![add("g", &["a", "c", "b", "c"])]).await.added, ids(&["c"]));
    assert_eq!(count(&store, "g").await, 3);
    assert_eq!(store.write(vec![add("g", &["a"]), add("g", &[])]).await.added, []);
    let both = store.write(vec![add("g", &["d", "a"]), add("h", &["a", "d"]), add("h", &["a"])]).await;
    assert_eq!(both.added, ids(&["d", "a", "d"]));
    assert_eq!((count(&store, "g").await, count(&store, "h").await), (4, 2));
}

async fn a_member_who_is_added_again_stays_as_they_are(store: Fresh) {
    store.has(&["a"]).await;
    store.has_group("g", &[]).await;
    let first = ranked("a", Role::Owner, NOW);
    store.write(vec![Write::AddMembers("g".into(), vec![first.clone()])]).await;
    store.write(vec![Write::AddMembers("g".into(), vec![ranked("a", Role::Member, at(1))])]).await;
    assert_eq!(find(&store, "g", "a").await, Some(first));
    assert_eq!(count(&store, "g").await, 1);
}

async fn members_who_do_not_exist_are_not_added(store: Fresh) {
    store.has(&["a"]).await;
    store.has_group("g", &[]).await;
    for impossible in [add("g", &["a", "nobody"]), add("nowhere", &["a"])] {
        let result = store.commit(changes(Vec::new(), vec![impossible])).await;
        assert!(matches!(result, Err(CommitError::Fault(_))), "{result:?}");
    }
    assert_eq!(list(&store, everyone()).await, []);
    assert_eq!(count(&store, "g").await, 0);
}

async fn members_are_in_one_group_only(store: Fresh) {
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a"]).await;
    store.has_group("h", &["b"]).await;
    assert_eq!(find(&store, "g", "b").await, None);
    assert_eq!(find(&store, "h", "a").await, None);
    assert_eq!(list(&store, everyone()).await, ids(&["a"]));
}

/// Accounts are imported in another order than they come into the group.
async fn the_order_is_by_role_then_joining_then_coming(store: Fresh) {
    store.has(&["h", "g", "f", "e", "d", "c", "b", "a"]).await;
    store.has_group("g", &[]).await;
    let come = [
        vec![ranked("e", Role::Member, at(1)), ranked("f", Role::Member, at(1)), ranked("g", Role::Member, at(0))],
        vec![ranked("b", Role::Admin, at(9)), ranked("c", Role::Admin, at(8))],
        vec![ranked("a", Role::Owner, at(9)), ranked("d", Role::Member, at(1)), ranked("h", Role::Member, at(-1))],
    ];
    for members in come {
        store.write(vec![Write::AddMembers("g".into(), members)]).await;
    }
    assert_eq!(list(&store, everyone()).await, ids(&["a", "c", "b", "h", "g", "e", "f", "d"]));
}

async fn roles_are_filtered(store: Fresh) {
    store.has(&["a", "b", "c", "d"]).await;
    store.has_group("g", &[]).await;
    let all = [("a", Role::Member), ("b", Role::Admin), ("c", Role::Owner), ("d", Role::Admin)];
    let all = all.map(|(id, role)| ranked(id, role, NOW)).to_vec();
    store.write(vec![Write::AddMembers("g".into(), all)]).await;
    for (roles, expected) in [
        (vec![], vec!["c", "b", "d", "a"]),
        (vec![Role::Member], vec!["a"]),
        (vec![Role::Admin], vec!["b", "d"]),
        (vec![Role::Owner], vec!["c"]),
        (vec![Role::Member, Role::Owner], vec!["c", "a"]),
        (vec![Role::Member, Role::Admin, Role::Admin], vec!["b", "d", "a"]),
        (vec![Role::Member, Role::Admin, Role::Owner], vec!["c", "b", "d", "a"]),
    ] {
        assert_eq!(list(&store, MemberQuery { roles: roles.clone(), ..everyone() }).await, ids(&expected), "{roles:?}");
    }
    let second_admin = MemberQuery { roles: vec![Role::Admin], offset: 1, limit: 5 };
    assert_eq!(list(&store, second_admin).await, ids(&["d"]));
}

async fn pages_follow_one_another(store: Fresh) {
    let many: Vec<String> = (0..10).map(|number| format!("m{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    store.has(&many).await;
    store.has_group("g", &many).await;
    let many = ids(&many);
    for (offset, limit, expected) in [
        (0, 0, 0..0),
        (0, 1, 0..1),
        (0, 3, 0..3),
        (3, 3, 3..6),
        (9, 3, 9..10),
        (0, 10, 0..10),
        (0, 11, 0..10),
        (10, 3, 0..0),
        (11, 3, 0..0),
        (u64::MAX, 3, 0..0),
        (8, u64::MAX, 8..10),
        (u64::MAX, u64::MAX, 0..0),
    ] {
        let page = list(&store, MemberQuery { roles: Vec::new(), offset, limit }).await;
        assert_eq!(page, many[expected], "offset {offset}, limit {limit}");
    }
}

async fn ids_compare_as_bytes(store: Fresh) {
    store.has(&NEARLY_EQUAL).await;
    store.has_group("g", &[]).await;
    for id in NEARLY_EQUAL {
        assert!(find(&store, "g", id).await.is_none(), "before {id:?}");
        assert_eq!(store.write(vec![add("g", &[id])]).await.added, ids(&[id]));
    }
    assert_eq!(list(&store, everyone()).await, ids(&NEARLY_EQUAL));
    assert_eq!(count(&store, "g").await, NEARLY_EQUAL.len() as u64);
}

async fn is_member_holds_for_members(store: Fresh) {
    let is_member = |group: &str, account: &str| Assertion::IsMember(group.into(), account.into());
    assert!(!store.holds(is_member("g", "a")).await);
    store.has(&["a", "b"]).await;
    store.has_group("g", &["a"]).await;
    assert!(store.holds(is_member("g", "a")).await);
    assert!(!store.holds(is_member("g", "b")).await);
    assert!(!store.holds(is_member("g", "nobody")).await);
    assert!(!store.holds(is_member("h", "a")).await);
}

async fn members_at_most_holds_up_to_that_many(store: Fresh) {
    let at_most = |most| Assertion::MembersAtMost("g".into(), most);
    assert!(!store.holds(at_most(u64::MAX)).await, "there is no group");
    store.has(&["a", "b"]).await;
    store.has_group("g", &[]).await;
    assert!(store.holds(at_most(0)).await);
    store.write(vec![add("g", &["a", "b"])]).await;
    for (most, expected) in [(0, false), (1, false), (2, true), (3, true), (u64::MAX, true)] {
        assert_eq!(store.holds(at_most(most)).await, expected, "at most {most}");
    }
}

async fn of_many_who_join_only_so_many_get_in(store: Fresh) {
    let many: Vec<String> = (0..64).map(|number| format!("m{number}")).collect();
    store.has(&many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    store.has_group("g", &[]).await;
    let joined = all_at_once(many.len(), |number| {
        let (store, account) = (store.share(), many[number].clone());
        async move {
            let room_for_one = vec![Assertion::MembersAtMost("g".into(), 9)];
            store.commit(changes(room_for_one, vec![add("g", &[&account])])).await.is_ok()
        }
    });
    assert_eq!(joined.await.into_iter().filter(|joined| *joined).count(), 10);
    assert_eq!(count(&store, "g").await, 10);
    assert_eq!(list(&store, everyone()).await.len(), 10);
}

async fn sending_is_noted_and_reads_what_is_read(store: Fresh) {
    store.has(&["a", "b", "app"]).await;
    store.has_group("g", &["a", "b"]).await;
    let in_g = |sender: &str, time: Timestamp| chat::message::Message { time, ..message(sender, in_group("g")) };
    let marks = async || {
        let members = store.members(&"g".into(), everyone()).await.unwrap();
        members.iter().map(|member| (member.read_seq, member.last_sent)).collect::<Vec<_>>()
    };
    let never = Timestamp::default();

    store.send(in_g("a", at(1))).await;
    assert_eq!(marks().await, [(1, at(1)), (0, never)], "nothing was unread, so the sender has read all");
    store.send(in_g("b", at(2))).await;
    assert_eq!(marks().await, [(1, at(1)), (0, at(2))], "the first is still unread");
    store.send_reading(in_g("b", at(3))).await;
    assert_eq!(marks().await, [(1, at(1)), (3, at(3))], "this one says that all is read");
    store.send(in_g("b", at(0))).await;
    assert_eq!(marks().await, [(1, at(1)), (4, at(0))]);
    store.send_reading(in_g("app", at(5))).await;
    assert_eq!(marks().await, [(1, at(1)), (4, at(0))], "the sender is no member");
}

async fn sending_in_a_topic_is_not_noted_in_the_group(store: Fresh) {
    store.has(&["a"]).await;
    store.has_group("g", &["a"]).await;
    store.write(vec![Write::AddTopic(Box::new(topic("g", "t")))]).await;
    store.send_reading(message("a", in_topic("g", "t"))).await;
    let member = find(&store, "g", "a").await.unwrap();
    assert_eq!((member.read_seq, member.last_sent), (0, Timestamp::default()));
}
