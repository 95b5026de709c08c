//! All or nothing: what `Store::commit` does with a whole `Changes`, and with its neighbours.

use std::task::{Context, Waker};

use chat::group::Group;
use chat::id::Timestamp;
use chat::message::Message;
use chat::port::{Assertion, Changes, CommitError, Committed, Write};

use crate::fixtures::{
    all_at_once, changes, direct, dissolved, for_ever, group, group_changed, ids, import, impossible, in_group,
    in_topic, members, message, put, repeatable, send, topic,
};
use crate::fresh::Fresh;

cases! {
    no_changes_are_no_trouble,
    writes_see_those_before_them,
    every_kind_of_write_is_undone_by_one_that_fails,
    what_a_failed_commit_made_is_forgotten,
    a_broken_assertion_keeps_everything_from_being_written,
    the_first_broken_assertion_is_reported,
    all_assertions_must_hold,
    an_assertion_sees_what_was_committed_before_it,
    an_assertion_does_not_see_its_own_changes,
    neighbours_of_a_failure_are_unharmed,
    neighbours_of_a_broken_assertion_are_unharmed,
    each_of_a_batch_sees_those_before_it,
    whoever_gives_up_waiting_leaves_no_half,
}

/// One of every kind of write, all possible in a store with the accounts a, b and c, and the group g.
fn one_of_each() -> Vec<Write> {
    vec![
        import("d"),
        put(group("h")),
        Write::AddMembers("g".into(), members(&["a", "d"])),
        Write::AddTopic(Box::new(topic("g", "t"))),
        Write::AddBlocks { owner: "a".into(), targets: ids(&["b"]), now: Timestamp::default() },
        send(message("a", in_group("g"))),
        send(message("a", direct("a", "b"))),
        Write::Append(Box::new(group_changed("h"))),
    ]
}

async fn has_some(store: &Fresh) {
    store.has(&["a", "b", "c"]).await;
    store.has_group("g", &["c"]).await;
    store.send(message("c", in_group("g"))).await;
}

async fn no_changes_are_no_trouble(store: Fresh) {
    assert_eq!(store.commit(Changes::default()).await.unwrap(), Committed::default());
    assert!(store.holds(Assertion::NoGroup("g".into())).await);
}

async fn writes_see_those_before_them(store: Fresh) {
    let receipt = store
        .write(vec![
            import("a"),
            put(group("g")),
            Write::AddMembers("g".into(), members(&["a"])),
            Write::AddTopic(Box::new(topic("g", "t"))),
            send(message("a", in_topic("g", "t"))),
            import("b"),
            send(message("b", direct("b", "a"))),
        ])
        .await;
    assert_eq!(receipt, Committed { seqs: vec![1, 1], added: ids(&["a"]) });
}

async fn every_kind_of_write_is_undone_by_one_that_fails(store: Fresh) {
    has_some(&store).await;
    let before = store.picture().await;
    let mut writes = one_of_each();
    writes.push(impossible());
    let result = store.commit(changes(Vec::new(), writes)).await;
    assert!(matches!(result, Err(CommitError::Fault(_))), "{result:?}");
    assert_eq!(store.picture().await, before);

    store.write(one_of_each()).await;
    assert_ne!(store.picture().await, before, "without it they succeed");
}

/// Whatever stood for it inside the store may stand for something else next.
async fn what_a_failed_commit_made_is_forgotten(store: Fresh) {
    store.has(&["a"]).await;
    for _ in 0..2 {
        let made = vec![
            import("b"),
            put(group("g")),
            Write::AddTopic(Box::new(topic("g", "t"))),
            send(message("b", direct("a", "b"))),
            send(message("b", in_group("g"))),
            send(message("b", in_topic("g", "t"))),
            impossible(),
        ];
        store.commit(changes(Vec::new(), made)).await.unwrap_err();
    }
    store.write(vec![import("c"), put(group("h")), Write::AddTopic(Box::new(topic("h", "u")))]).await;
    for (sender, conversation) in [("b", direct("a", "b")), ("c", in_group("g")), ("c", in_topic("g", "t"))] {
        let result = store.commit(changes(Vec::new(), vec![send(message(sender, conversation))])).await;
        assert!(matches!(result, Err(CommitError::Fault(_))), "{result:?}");
    }
    for conversation in [direct("a", "c"), in_group("h"), in_topic("h", "u")] {
        let sent = store.send(message("c", conversation.clone())).await;
        assert_eq!(sent.seq, 1);
        assert_eq!(store.history(&conversation).await, [sent]);
    }
    assert_eq!(store.unread_direct(&"a".into(), None).await.unwrap(), 1);
    assert_eq!(store.log().await.len(), 3);
}

async fn a_broken_assertion_keeps_everything_from_being_written(store: Fresh) {
    has_some(&store).await;
    let before = store.picture().await;
    for assertion in [
        Assertion::NoAccount("a".into()),
        Assertion::NoGroup("g".into()),
        Assertion::GroupVersion("g".into(), 2),
        Assertion::GroupOpen("h".into()),
        Assertion::MembersAtMost("g".into(), 0),
        Assertion::IsMember("g".into(), "a".into()),
    ] {
        let result = store.commit(changes(vec![assertion.clone()], one_of_each())).await;
        assert!(matches!(&result, Err(CommitError::Broken(broken)) if *broken == assertion), "{result:?}");
        assert_eq!(store.picture().await, before, "{assertion:?}");
    }
    store.write(one_of_each()).await;
    let before = store.picture().await;
    for assertion in [
        Assertion::NotBlocked("a".into(), "b".into()),
        Assertion::NoTopic("g".into(), "t".into()),
        Assertion::NoAccount("d".into()),
        Assertion::NoGroup("h".into()),
    ] {
        let writes = vec![import("e"), send(message("a", in_group("g"))), put(group("i"))];
        let result = store.commit(changes(vec![assertion.clone()], writes)).await;
        assert!(matches!(&result, Err(CommitError::Broken(broken)) if *broken == assertion), "{result:?}");
        assert_eq!(store.picture().await, before, "{assertion:?}");
    }
}

async fn the_first_broken_assertion_is_reported(store: Fresh) {
    let [first, second] = [Assertion::GroupOpen("g".into()), Assertion::GroupOpen("h".into())];
    let held = Assertion::NoGroup("g".into());
    let result = store.commit(changes(vec![held, first.clone(), second], vec![import("a")])).await;
    assert!(matches!(&result, Err(CommitError::Broken(broken)) if *broken == first), "{result:?}");
}

async fn all_assertions_must_hold(store: Fresh) {
    has_some(&store).await;
    let all = vec![
        Assertion::NoAccount("d".into()),
        Assertion::NoGroup("h".into()),
        Assertion::GroupVersion("g".into(), 1),
        Assertion::GroupOpen("g".into()),
        Assertion::MembersAtMost("g".into(), 1),
        Assertion::IsMember("g".into(), "c".into()),
        Assertion::NotBlocked("a".into(), "b".into()),
        Assertion::NoTopic("g".into(), "t".into()),
    ];
    let before = store.picture().await;
    for index in 0..all.len() {
        let mut one_broken = all.clone();
        one_broken.insert(index, Assertion::GroupOpen("none".into()));
        assert!(store.commit(changes(one_broken, one_of_each())).await.is_err());
        assert_eq!(store.picture().await, before);
    }
    store.commit(changes(all, one_of_each())).await.unwrap();
    assert_ne!(store.picture().await, before);
}

async fn an_assertion_sees_what_was_committed_before_it(store: Fresh) {
    let made = all_at_once(64, |number| {
        let store = store.share();
        async move {
            let mut mine = group("g");
            mine.owner = Some(number.to_string().as_str().into());
            store.commit(changes(vec![Assertion::NoGroup("g".into())], vec![put(mine)])).await.is_ok()
        }
    });
    let made = made.await;
    let winner = made.iter().position(|made| *made).unwrap();
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    assert_eq!(store.groups(&["g".into()]).await.unwrap()[0].owner, Some(winner.to_string().as_str().into()));
}

async fn an_assertion_does_not_see_its_own_changes(store: Fresh) {
    store.commit(changes(vec![Assertion::NoAccount("a".into())], vec![import("a")])).await.unwrap();
    let own = changes(vec![Assertion::GroupOpen("g".into())], vec![put(group("g"))]);
    assert!(matches!(store.commit(own).await, Err(CommitError::Broken(_))));
}

/// Commits 40 messages, and between them the same number of `others`; those come to nothing.
async fn is_unharmed_by(store: &Fresh, other: impl Fn() -> Changes + Clone + Send + 'static) {
    store.has(&["x", "y"]).await;
    let results = all_at_once(81, |number| {
        let (store, other) = (store.share(), other.clone());
        async move {
            let changes = match number {
                // Keeps the writer busy, so that the rest comes together in a batch.
                0 => changes(Vec::new(), (0..2000).map(|number| import(&number.to_string())).collect()),
                number if number % 2 == 0 => other(),
                _ => changes(Vec::new(), vec![send(message("x", direct("x", "y")))]),
            };
            store.commit(changes).await
        }
    });
    let mut seqs = Vec::new();
    for (number, result) in results.await.into_iter().enumerate() {
        match result {
            Ok(receipt) if number % 2 == 1 => seqs.extend(receipt.seqs),
            Ok(receipt) => assert_eq!((number, receipt), (0, Committed::default())),
            Err(CommitError::Fault(_) | CommitError::Broken(_)) if number % 2 == 0 && number > 0 => {}
            Err(error) => panic!("job {number}: {error:?}"),
        }
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=40).collect::<Vec<_>>());
    let history: Vec<u64> = store.history(&direct("x", "y")).await.iter().map(|message| message.seq).collect();
    assert_eq!(history, seqs);
    assert_eq!(store.log_of(&direct("x", "y")).await.len(), 40);
}

async fn neighbours_of_a_failure_are_unharmed(store: Fresh) {
    has_some(&store).await;
    let before = store.picture().await.len();
    is_unharmed_by(&store, || changes(Vec::new(), vec![send(message("a", in_group("nowhere")))])).await;
    assert_eq!(store.picture().await.len(), before + 40);
}

async fn neighbours_of_a_broken_assertion_are_unharmed(store: Fresh) {
    has_some(&store).await;
    let before = store.picture().await.len();
    is_unharmed_by(&store, || {
        let mut writes = one_of_each();
        writes.push(send(message("x", direct("x", "y"))));
        changes(vec![Assertion::NoGroup("g".into())], writes)
    })
    .await;
    assert_eq!(store.picture().await.len(), before + 40);
}

/// What comes in while another commit is under way may be committed together. Each is judged by what those before it
/// did.
async fn each_of_a_batch_sees_those_before_it(store: Fresh) {
    store.has(&["a", "b"]).await;
    let busy = (0..1000).map(|_| Write::Append(Box::new(group_changed("g"))));
    let busy = [put(group("g"))].into_iter().chain(busy).collect();
    let add = |id: &str| vec![Write::AddMembers("g".into(), members(&[id]))];
    let sends = |sender: &str| vec![send(message(sender, in_group("g")))];
    let renamed = |version| vec![put(Group { version, ..group("g") })];
    let version = |version| vec![Assertion::GroupVersion("g".into(), version)];
    let is_member = |id: &str| vec![Assertion::IsMember("g".into(), id.into())];
    let first = message("a", in_group("g"));
    let jobs = [
        (changes(vec![], busy), "[] []"),
        (changes(vec![Assertion::NoGroup("g".into())], renamed(1)), "broken"),
        (changes(is_member("a"), sends("a")), "broken"),
        (changes(vec![Assertion::MembersAtMost("g".into(), 0)], add("a")), "[] [\"a\"]"),
        (changes(vec![Assertion::MembersAtMost("g".into(), 0)], add("b")), "broken"),
        (changes(vec![], add("a")), "[] []"),
        (changes(is_member("a"), sends("a")), "[1] []"),
        (repeatable(first.clone(), for_ever("k")), "[2] []"),
        (repeatable(message("a", in_group("g")), for_ever("k")), "repeat of 2"),
        (changes(vec![], vec![send(message("a", in_group("g"))), impossible()]), "fault"),
        (changes(version(1), renamed(2)), "[] []"),
        (changes(version(1), sends("b")), "broken"),
        (changes(vec![Assertion::NoTopic("g".into(), "t".into())], vec![add_topic("g", "t")]), "[] []"),
        (changes(vec![Assertion::NoTopic("g".into(), "t".into())], sends("b")), "broken"),
        (changes(vec![], vec![send(message("b", in_topic("g", "t")))]), "[1] []"),
        (changes(version(2), vec![put(Group { version: 3, ..dissolved("g") })]), "[] []"),
        (changes(vec![Assertion::GroupOpen("g".into())], sends("b")), "broken"),
        (changes(vec![], sends("b")), "[3] []"),
    ];
    // Polled once in this order, they wait in this order.
    let mut waiting = Vec::new();
    for (job, expected) in jobs {
        let mut commit = Box::pin(store.commit(job));
        assert!(commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        waiting.push((commit, expected));
    }
    for (number, (commit, expected)) in waiting.into_iter().enumerate() {
        let outcome = match commit.await {
            Ok(Committed { seqs, added }) => format!("{seqs:?} {added:?}"),
            Err(CommitError::Broken(_)) => "broken".into(),
            Err(CommitError::Repeat(found)) => {
                assert_eq!(found.id, first.id);
                format!("repeat of {}", found.seq)
            }
            Err(CommitError::Fault(_)) => "fault".into(),
            Err(error) => panic!("{error:?}"),
        };
        assert_eq!(outcome, expected, "job {number}");
    }
    let senders: Vec<_> = store.history(&in_group("g")).await.into_iter().map(|message| message.sender).collect();
    assert_eq!(senders, ids(&["a", "a", "b"]));
    assert_eq!(store.groups(&["g".into()]).await.unwrap()[0].version, 3);
}

fn add_topic(group: &str, id: &str) -> Write {
    Write::AddTopic(Box::new(topic(group, id)))
}

/// A caller's future may be dropped at any moment: a client hangs up, a deadline passes.
async fn whoever_gives_up_waiting_leaves_no_half(store: Fresh) {
    store.has(&["a", "b"]).await;
    let pair = || -> [Message; 2] { [message("a", direct("a", "b")), message("b", direct("a", "b"))] };
    for _ in 0..100 {
        let given_up = store.commit(changes(Vec::new(), pair().map(send).to_vec()));
        let mut given_up = std::pin::pin!(given_up);
        _ = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    store.write(pair().map(send).to_vec()).await;
    let history = store.history(&direct("a", "b")).await;
    assert_eq!(history.len() % 2, 0);
    let seqs: Vec<u64> = history.iter().map(|message| message.seq).collect();
    assert_eq!(seqs, (1..=history.len() as u64).collect::<Vec<_>>());
    for both in history.chunks(2) {
        assert_eq!((both[0].sender.as_str(), both[1].sender.as_str()), ("a", "b"));
    }
}
