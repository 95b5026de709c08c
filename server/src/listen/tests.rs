use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A running backend, and what its sink has seen.
async fn start(options: Options) -> (Running, Arc<Mutex<Vec<Exchange>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let seen = Arc::clone(&seen);
        Arc::new(move |exchange: &Exchange| seen.lock().unwrap().push(exchange.clone()))
    };
    let running = serve("127.0.0.1:0".parse().unwrap(), options, sink).await.unwrap();
    (running, seen)
}

/// Sends one request as it stands; returns the whole answer.
async fn send(address: SocketAddr, target: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nX-Id: 7\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A body that is too large is not read to its end.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn answers_and_shows_what_came() {
    let (running, seen) = start(Options::default()).await;
    assert_ne!(running.address.port(), 0);
    let target = "/callback?SdkAppid=1&CallbackCommand=C2C.CallbackBeforeSendMsg&ClientIP=%3A%3A1";
    let answer = send(running.address, target, "{\"MsgBody\":[]}").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}"#), "{answer}");
    let seen = seen.lock().unwrap().pop().unwrap();
    assert_eq!((seen.call.method.as_str(), seen.call.path.as_str()), ("POST", "/callback"));
    assert_eq!(seen.call.query[2], ("ClientIP".to_owned(), "::1".to_owned()));
    assert!(seen.call.headers.contains(&("x-id".to_owned(), "7".to_owned())));
    assert_eq!(seen.call.body, "{\"MsgBody\":[]}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_and_shown() {
    let (running, seen) = start(Options::default()).await;
    let answer = send(running.address, "/callbackAfterSendSingleMsgCommand", &"x".repeat(MOST_BODY_BYTES + 1)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let seen = seen.lock().unwrap().pop().unwrap();
    assert_eq!((seen.answer.status, seen.call.body.as_str()), (413, ""));
}

#[tokio::test]
async fn a_caller_that_does_not_wait_is_still_shown() {
    let (running, seen) = start(Options { delay: Duration::from_secs(600), ..Options::default() }).await;
    let call = send(running.address, "/callbackAfterSendSingleMsgCommand", "{}");
    assert!(tokio::time::timeout(Duration::from_millis(500), call).await.is_err(), "the answer is delayed");
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let (running, _) = start(Options::default()).await;
    assert!(serve(running.address, Options::default(), Arc::new(|_| ())).await.is_err());
}
