//! Accounts: `Store::accounts`, `Write::ImportAccount`, `Assertion::NoAccount`.

use chat::account::Account;
use chat::account::import::NewAccount;
use chat::id::{AccountId, MAX_ID_BYTES, Timestamp};
use chat::port::{Assertion, Write};

use crate::fixtures::{NEARLY_EQUAL, NOW, all_at_once, at, changes, ids, import};
use crate::fresh::Fresh;

cases! {
    there_are_none_at_first,
    importing_makes_an_account,
    importing_again_changes_only_what_is_given,
    importing_twice_in_one_commit_is_importing_twice,
    answers_come_in_the_order_asked,
    an_account_asked_for_twice_is_answered_twice,
    ids_compare_as_bytes,
    an_id_may_be_as_long_as_any,
    a_profile_may_hold_any_text,
    a_thousand_are_imported_and_found_at_once,
    times_may_be_before_the_epoch,
    no_account_holds_until_there_is_one,
    of_many_who_make_the_same_account_one_succeeds,
}

fn named(id: &str, name: &str) -> Write {
    Write::ImportAccount { new: NewAccount { name: Some(name.into()), ..NewAccount::bare(id.into()) }, now: NOW }
}

async fn there_are_none_at_first(store: Fresh) {
    assert_eq!(store.accounts(&[]).await.unwrap(), []);
    assert_eq!(store.accounts(&ids(&["a", ""])).await.unwrap(), []);
}

async fn importing_makes_an_account(store: Fresh) {
    store.has(&["a"]).await;
    let blank = Account {
        id: "a".into(),
        name: String::new(),
        face_url: String::new(),
        custom_data: String::new(),
        created: NOW,
    };
    assert_eq!(store.accounts(&ids(&["a"])).await.unwrap(), [blank]);
}

async fn importing_again_changes_only_what_is_given(store: Fresh) {
    let full = NewAccount {
        id: "a".into(),
        name: Some("Ann".into()),
        face_url: Some("https://faces/a".into()),
        custom_data: Some("{}".into()),
    };
    store.write(vec![Write::ImportAccount { new: full, now: NOW }]).await;
    store.write(vec![Write::ImportAccount { new: NewAccount::bare("a".into()), now: at(1) }]).await;
    let again = NewAccount { name: Some("Anna".into()), face_url: Some(String::new()), ..NewAccount::bare("a".into()) };
    store.write(vec![Write::ImportAccount { new: again, now: at(2) }]).await;
    let expected = Account {
        id: "a".into(),
        name: "Anna".into(),
        face_url: String::new(),
        custom_data: "{}".into(),
        created: NOW,
    };
    assert_eq!(store.accounts(&ids(&["a"])).await.unwrap(), [expected]);
}

async fn importing_twice_in_one_commit_is_importing_twice(store: Fresh) {
    store.write(vec![named("a", "first"), import("a"), named("a", "last")]).await;
    let found = store.accounts(&ids(&["a"])).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].name, "last");
}

async fn answers_come_in_the_order_asked(store: Fresh) {
    store.has(&["a", "b", "c", "d"]).await;
    let asked = ids(&["nobody", "d", "b", "neither", "a", "c", ""]);
    let found: Vec<AccountId> = store.accounts(&asked).await.unwrap().into_iter().map(|account| account.id).collect();
    assert_eq!(found, ids(&["d", "b", "a", "c"]));
}

async fn an_account_asked_for_twice_is_answered_twice(store: Fresh) {
    store.has(&["a", "b"]).await;
    let found: Vec<AccountId> =
        store.accounts(&ids(&["a", "b", "a"])).await.unwrap().into_iter().map(|account| account.id).collect();
    assert_eq!(found, ids(&["a", "b", "a"]));
}

async fn ids_compare_as_bytes(store: Fresh) {
    for (index, id) in NEARLY_EQUAL.into_iter().enumerate() {
        assert_eq!(store.accounts(&ids(&NEARLY_EQUAL[index..])).await.unwrap(), [], "before {id:?}");
        store.write(vec![named(id, id)]).await;
    }
    let found = store.accounts(&ids(&NEARLY_EQUAL)).await.unwrap();
    let found: Vec<(&str, &str)> = found.iter().map(|account| (account.id.as_str(), account.name.as_str())).collect();
    assert_eq!(found, NEARLY_EQUAL.map(|id| (id, id)));
}

async fn an_id_may_be_as_long_as_any(store: Fresh) {
    let long = "x".repeat(MAX_ID_BYTES - 1);
    let [one, other] = [format!("{long}1"), format!("{long}2")];
    store.has(&[&one]).await;
    let found = store.accounts(&ids(&[&other, &one])).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id.as_str(), one);
}

async fn a_profile_may_hold_any_text(store: Fresh) {
    let text = format!("{}{}", NEARLY_EQUAL.concat(), "\u{0}\u{1}\u{7f}\u{feff}\u{202e}\u{10ffff}".repeat(1000));
    let new = NewAccount {
        id: "a".into(),
        name: Some(text.clone()),
        face_url: Some(text.clone()),
        custom_data: Some(text.clone()),
    };
    store.write(vec![Write::ImportAccount { new, now: NOW }]).await;
    let found = store.accounts(&ids(&["a"])).await.unwrap().remove(0);
    assert_eq!([found.name, found.face_url, found.custom_data], [text.clone(), text.clone(), text]);
}

async fn a_thousand_are_imported_and_found_at_once(store: Fresh) {
    let many: Vec<String> = (0..1000).map(|number| format!("account-{number}")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    store.has(&many).await;
    many.reverse();
    let found: Vec<AccountId> =
        store.accounts(&ids(&many)).await.unwrap().into_iter().map(|account| account.id).collect();
    assert_eq!(found, ids(&many));
}

async fn times_may_be_before_the_epoch(store: Fresh) {
    for (id, millis) in [("a", -1), ("b", 0), ("c", i64::MIN), ("d", i64::MAX)] {
        let now = Timestamp::from_millis(millis);
        store.write(vec![Write::ImportAccount { new: NewAccount::bare(id.into()), now }]).await;
        assert_eq!(store.accounts(&ids(&[id])).await.unwrap()[0].created, now);
    }
}

async fn no_account_holds_until_there_is_one(store: Fresh) {
    assert!(store.holds(Assertion::NoAccount("a".into())).await);
    store.has(&["a"]).await;
    assert!(!store.holds(Assertion::NoAccount("a".into())).await);
    assert!(store.holds(Assertion::NoAccount("A".into())).await);
}

async fn of_many_who_make_the_same_account_one_succeeds(store: Fresh) {
    let made = all_at_once(64, |number| {
        let store = store.share();
        async move {
            let new = changes(vec![Assertion::NoAccount("a".into())], vec![named("a", &number.to_string())]);
            store.commit(new).await.is_ok().then(|| number.to_string())
        }
    });
    let made: Vec<String> = made.await.into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    assert_eq!(store.accounts(&ids(&["a"])).await.unwrap()[0].name, made[0]);
}
