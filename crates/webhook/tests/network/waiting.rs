//! Connections that nobody waits for any more: they end, too.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use webhook::Client;
use webhook::way::LONGEST_CONNECT;

use crate::peer::{local, post, read_head};
use crate::tls::{Authority, server, trusting};

/// The first connection is a receiver's, which answers a call when it is let; the second is taken, and hears nothing.
async fn two_faced(listener: TcpListener, tls: TlsAcceptor, go_on: Arc<Semaphore>) -> TcpStream {
    let mut good = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
    tokio::spawn(async move {
        while let Some(_head) = read_head(&mut good).await.unwrap() {
            good.read_exact(&mut [0; 2]).await.unwrap();
            go_on.acquire().await.unwrap().forget();
            good.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    });
    listener.accept().await.unwrap().0
}

/// While a call is under way, another one begins to connect; then the first is answered, and the other has its connection.
/// What it began goes on in the background, with a peer that never says a word.
#[tokio::test]
async fn a_connection_that_is_not_needed_any_more_is_given_up() {
    let authority = Authority::new("ours");
    let tls = TlsAcceptor::from(Arc::new(server(&authority.issue("backend.example"))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://backend.example:{}/", listener.local_addr().unwrap().port());
    let client = Client::new(&local("backend.example"), &trusting(&authority)).unwrap();
    let go_on = Arc::new(Semaphore::new(0));
    let peer = tokio::spawn(two_faced(listener, tls, go_on.clone()));

    let call = || {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move { post(&client, &url).await })
    };
    // Either of them makes the first connection; the other one begins the second.
    let (first, second) = (call(), call());
    let mut silent = peer.await.unwrap();
    // Whichever has the connection is answered, and leaves it to the other.
    go_on.add_permits(2);
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!((first.unwrap().status.as_u16(), second.unwrap().status.as_u16()), (200, 200));

    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let mut hello = Vec::new();
    tokio::time::timeout(LONGEST_CONNECT * 2, silent.read_to_end(&mut hello)).await.expect("it is closed").unwrap();
    assert!(!hello.is_empty() && began.elapsed() <= LONGEST_CONNECT + LONGEST_CONNECT / 60, "{:?}", began.elapsed());
}
