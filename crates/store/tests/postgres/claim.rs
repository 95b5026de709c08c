//! One serving process per database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use store::{Durable, OpenError};

use crate::home::{Home, one_writer, open};
use crate::proxy::{Deed, Proxy, Seen};
use crate::{has_two, says, send, timed, unreadable, until};

cases! {
    a_second_claim_is_refused_until_the_first_is_dropped,
    schemas_are_claimed_apart,
    whoever_has_lost_the_claim_is_not_ready,
}

async fn a_second_claim_is_refused_until_the_first_is_dropped() {
    let home = Home::new().await;
    let (mut one, mut other) = (home.open().await, home.open().await);
    one.claim().await.unwrap();
    let error = other.claim().await.unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error:?}");
    assert!(!error.is_final());
    says(&error.to_string(), &["served by another ringback process", home.database()]);
    one.ready().await.unwrap();
    // Both may still write: a claim is about who calls the endpoints.
    has_two(&other).await;
    send(&one, "one").await.unwrap();
    send(&other, "other").await.unwrap();

    drop(one);
    let (time, claimed) = timed(other.claim()).await;
    claimed.unwrap();
    assert!(time < Duration::from_secs(1), "{time:?}");
    other.ready().await.unwrap();
}

async fn schemas_are_claimed_apart() {
    let homes = [Home::new().await, Home::new().await];
    let [mut one, mut other] = [homes[0].open().await, homes[1].open().await];
    let (time, ()) = timed(async {
        one.claim().await.unwrap();
        other.claim().await.unwrap();
    })
    .await;
    assert!(time < Duration::from_secs(1), "{time:?}");
    one.ready().await.unwrap();
    other.ready().await.unwrap();
}

/// The connection that held it is lost, and somebody else is faster.
async fn whoever_has_lost_the_claim_is_not_ready() {
    let home = Home::new().await;
    let proxy = Proxy::to(&home).await;
    let mut one = home.open_through(&proxy).await;
    one.claim().await.unwrap();
    let is_open = Arc::new(AtomicBool::new(false));
    let may_connect = is_open.clone();
    proxy.judge(move |seen| match seen {
        Seen::Connection if !may_connect.load(Ordering::SeqCst) => Deed::Cut,
        _ => Deed::Pass,
    });
    proxy.cut();
    let mut other = open(&one_writer(home.url())).await;
    other.claim().await.unwrap();
    is_open.store(true, Ordering::SeqCst);
    until("the loss is noticed", async || {
        one.ready().await.is_err_and(|fault| fault.to_string().contains("served by another ringback process"))
    })
    .await;
    unreadable(one.ready().await);
    other.ready().await.unwrap();

    drop(other);
    until("it is taken again", async || one.ready().await.is_ok()).await;
    let mut third = home.open().await;
    third.claim().await.unwrap_err();
}
