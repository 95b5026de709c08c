//! Topics: `Store::topic`, `Write::AddTopic`, `Assertion::NoTopic`.

use chat::group::{GroupProfile, Topic};
use chat::port::{Assertion, CommitError, Write};
use serde_json::json;

use crate::fixtures::{NEARLY_EQUAL, at, changes, group, put, topic};
use crate::fresh::Fresh;

cases! {
    there_are_none_at_first,
    everything_in_a_topic_is_kept,
    groups_may_have_topics_of_the_same_id,
    ids_compare_as_bytes,
    a_topic_is_not_added_twice,
    a_topic_needs_its_group,
    no_topic_holds_until_there_is_one,
}

fn add(topic: Topic) -> Write {
    Write::AddTopic(Box::new(topic))
}

async fn find(store: &Fresh, group: &str, id: &str) -> Option<Topic> {
    store.topic(&group.into(), &id.into()).await.unwrap()
}

async fn there_are_none_at_first(store: Fresh) {
    assert_eq!(find(&store, "g", "t").await, None);
    store.write(vec![put(group("g"))]).await;
    assert_eq!(find(&store, "g", "t").await, None);
}

async fn everything_in_a_topic_is_kept(store: Fresh) {
    let full = Topic {
        profile: GroupProfile {
            name: "n'ame".into(),
            introduction: "intro\u{0}duction".into(),
            announcement: "announcement\r\n".into(),
            face_url: "face".into(),
            custom_data: "data".into(),
            custom_fields: json!({"k": {"deep": [true]}}).as_object().unwrap().clone(),
        },
        creator: Some("a".into()),
        created: at(5),
        ..topic("g", "t")
    };
    store.write(vec![put(group("g")), add(full.clone())]).await;
    assert_eq!(find(&store, "g", "t").await, Some(full));
}

async fn groups_may_have_topics_of_the_same_id(store: Fresh) {
    let [one, other] = ["g", "h"].map(|group| Topic { creator: Some(group.into()), ..topic(group, "t") });
    store.write(vec![put(group("g")), put(group("h")), add(one.clone()), add(other.clone())]).await;
    assert_eq!(find(&store, "g", "t").await, Some(one));
    assert_eq!(find(&store, "h", "t").await, Some(other));
}

async fn ids_compare_as_bytes(store: Fresh) {
    store.write(vec![put(group("g"))]).await;
    for id in NEARLY_EQUAL {
        assert_eq!(find(&store, "g", id).await, None, "before {id:?}");
        store.write(vec![add(topic("g", id))]).await;
        assert_eq!(find(&store, "g", id).await, Some(topic("g", id)));
    }
}

async fn a_topic_is_not_added_twice(store: Fresh) {
    store.write(vec![put(group("g")), add(topic("g", "t"))]).await;
    let second = Topic { creator: Some("a".into()), ..topic("g", "t") };
    let result = store.commit(changes(Vec::new(), vec![add(second)])).await;
    assert!(matches!(result, Err(CommitError::Fault(_))), "{result:?}");
    assert_eq!(find(&store, "g", "t").await, Some(topic("g", "t")));
}

async fn a_topic_needs_its_group(store: Fresh) {
    let result = store.commit(changes(Vec::new(), vec![add(topic("g", "t"))])).await;
    assert!(matches!(result, Err(CommitError::Fault(_))), "{result:?}");
    store.write(vec![put(group("g"))]).await;
    assert_eq!(find(&store, "g", "t").await, None);
}

async fn no_topic_holds_until_there_is_one(store: Fresh) {
    let no_topic = |group: &str, topic: &str| Assertion::NoTopic(group.into(), topic.into());
    assert!(store.holds(no_topic("g", "t")).await, "nor has a group that does not exist");
    store.write(vec![put(group("g")), put(group("h"))]).await;
    assert!(store.holds(no_topic("g", "t")).await);
    store.write(vec![add(topic("g", "t"))]).await;
    assert!(!store.holds(no_topic("g", "t")).await);
    assert!(store.holds(no_topic("g", "T")).await);
    assert!(store.holds(no_topic("h", "t")).await);
}
