//! The guard, with real connections: the usual tricks, and nobody connected to who must not be.

use std::sync::Arc;
use std::time::Duration;

use webhook::Network;
use webhook::connect::{Names, SystemNames};
use webhook::egress::Guard;

use crate::peer::{FakeNames, Peer, Still, client, local, post, why_not};

const CLOSE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Only 127.0.0.1 may be called, no other address of loopback.
fn only_one(names: Arc<dyn Names>) -> Network {
    let guard = Guard::new(vec!["127.0.0.1/32".parse().unwrap()], false);
    Network { names, ..Network::new(guard, Arc::new(Still)) }
}

/// The name has a good address when it is checked, and a bad one for whoever asks again.
#[tokio::test]
async fn a_name_that_changes_its_mind_leads_nowhere_else() {
    let good = Peer::answering(CLOSE).await;
    let bad = Peer::at(&format!("127.0.0.2:{}", good.port()), None, CLOSE).await;
    let names = FakeNames::of("rebind.example", &[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = client(&only_one(names.clone()));
    let url = format!("http://rebind.example:{}/", good.port());

    post(&client, &url).await.unwrap();
    assert_eq!((names.asked().len(), good.heads().len()), (1, 1), "one connection, one question");

    let why = why_not(&client, &url).await;
    let is = r#""rebind.example" leads to 127.0.0.2, which is loopback and not in callbacks.allow"#;
    assert_eq!(why, format!("refused by the egress guard: {is}"));
    assert_eq!((names.asked().len(), good.heads().len(), bad.heads().len()), (2, 1, 0));
}

#[tokio::test]
async fn a_kept_connection_needs_no_name() {
    let peer = Peer::start().await;
    let names = FakeNames::of("backend.example", &[&["127.0.0.1"]]);
    let client = client(&only_one(names.clone()));
    let url = format!("http://backend.example:{}/", peer.port());
    for calls in 1..=3 {
        post(&client, &url).await.unwrap();
        assert_eq!((names.asked().len(), peer.heads().len()), (1, calls));
    }
}

#[tokio::test]
async fn of_good_and_bad_addresses_only_the_good_one_is_called() {
    let good = Peer::answering(CLOSE).await;
    let bad = Peer::at(&format!("127.0.0.2:{}", good.port()), None, CLOSE).await;
    for order in [&["127.0.0.2", "127.0.0.1"], &["127.0.0.1", "127.0.0.2"]] {
        let client = client(&only_one(FakeNames::of("mixed.example", &[order])));
        post(&client, &format!("http://mixed.example:{}/", good.port())).await.unwrap();
    }
    assert_eq!((good.heads().len(), bad.heads().len()), (2, 0));
}

/// Whatever the system's resolver makes of a number: what comes out is judged.
#[tokio::test]
async fn numbers_lead_only_to_what_they_were_checked_as() {
    let peer = Peer::answering(CLOSE).await;
    let strict = client(&Network::new(Guard::new(Vec::new(), false), Arc::new(Still)));
    let allowed = client(&only_one(Arc::new(SystemNames)));
    for host in ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", peer.port());
        let before = peer.heads().len();
        let why = why_not(&strict, &url).await;
        assert!(why.contains("refused by the egress guard") && why.contains("loopback"), "{why}");
        assert_eq!(peer.heads().len(), before, "{host}");
        // The other way round: it is an address that the resolver knows, so the refusal above was not for want of one.
        post(&allowed, &url).await.unwrap();
        assert_eq!(peer.heads().len(), before + 1, "{host}");
    }
}

/// The check of what comes out holds without the check of what is written.
#[tokio::test]
async fn numbers_are_addresses_to_the_systems_resolver() {
    for host in ["2130706433", "0177.0.0.1", "127.1", "localhost"] {
        let addresses = SystemNames.addresses(host).await.unwrap();
        assert!(addresses.iter().all(|address| address.is_loopback()) && !addresses.is_empty(), "{host}");
        Guard::new(Vec::new(), false).filter(host, addresses).expect_err(host);
    }
}

#[tokio::test]
async fn what_is_never_called_is_not_even_tried() {
    let network = local("backend.example");
    let client = client(&network);
    for (host, what) in [
        ("169.254.169.254", "link-local"),
        ("[::ffff:a9fe:a9fe]", "link-local"),
        ("[fd00:ec2::254]", "Amazon"),
        ("100.100.100.200", "Alibaba"),
        ("0.0.0.0", "unspecified"),
        ("0", "unspecified"),
        ("[::]", "unspecified"),
        ("255.255.255.255", "broadcast"),
    ] {
        // With a packet on its way, this would wait for an answer.
        let url = format!("http://{host}/");
        let tried = tokio::time::timeout(Duration::from_secs(20), why_not(&client, &url));
        let why = tried.await.unwrap_or_else(|_| panic!("{host} was tried"));
        assert!(why.contains("refused by the egress guard") && why.contains(what), "{why}");
        assert!(why.ends_with("never called"), "{why}");
    }
    let metadata = FakeNames::of("backend.example", &[&["169.254.169.254"]]);
    let client = crate::peer::client(&Network { names: metadata, ..network });
    let why = why_not(&client, "http://backend.example/").await;
    assert!(why.ends_with("link-local and never called"), "{why}");
}

#[tokio::test]
async fn redirects_are_answers() {
    let elsewhere = Peer::start().await;
    let answer = format!("HTTP/1.1 307 Away\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let peer = Peer::answering(answer.leak()).await;
    let answer = post(&client(&local("x")), &format!("http://{}/", peer.address)).await.unwrap();
    assert_eq!((answer.status.as_u16(), elsewhere.heads().len()), (307, 0));
}

#[tokio::test]
async fn a_date_to_come_back_at_is_a_wait() {
    let answer = "HTTP/1.1 503 Later\r\nretry-after: Sun, 06 Nov 1994 08:50:37 GMT\r\ncontent-length: 0\r\n\r\n";
    let peer = Peer::answering(answer).await;
    let answer = post(&client(&local("x")), &format!("http://{}/", peer.address)).await.unwrap();
    assert_eq!(answer.retry_after, Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn names_without_an_address_are_named() {
    let client = client(&only_one(FakeNames::of("empty.example", &[&[]])));
    let why = why_not(&client, "http://empty.example/").await;
    assert!(why.contains("\"empty.example\" has no address"), "{why}");
    let why = why_not(&client, "http://other.example/").await;
    assert_eq!(why, "the name \"other.example\" cannot be resolved: nobody knows other.example");
}
