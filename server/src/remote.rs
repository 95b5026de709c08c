//! A running server, from outside: its admin API, as the commands that look at it or listen to it see it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::config::{Config, Secret};
use crate::failure::Failure;
use crate::http_client::{self, Base, Http, Unread};
use crate::secrets;
use crate::terminal::printable;

/// The whole answer is there by then: the slowest of them reads a page of the log.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Answers are read up to this size: a page of a thousand rows is some 500 KB.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A server's admin API.
#[derive(Debug)]
pub(crate) struct Remote {
    base: Base,
    token: Secret,
    http: Http,
    patience: Duration,
}

/// Why there is no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// There is none at all, in words.
    #[error("{0}")]
    Unreachable(String),
    /// The server says no, in its words.
    #[error("{words}")]
    Refused { status: StatusCode, words: String },
    /// Whatever answered is not Ringback, or another version of it.
    #[error("{0}")]
    Strange(String),
}

impl Remote {
    /// The server that `--server` names, or the one that is configured; with the token that is configured or kept here.
    pub(crate) fn new(server: Option<&Base>, config: &Config) -> Result<Self, Failure> {
        let base = match server {
            Some(base) => base.clone(),
            None => of_config(config)?,
        };
        let token = secrets::known_admin_token(config).map_err(Failure::usage)?;
        if !base.is_https() && !base.is_local() {
            eprintln!("ringback: the admin token goes to {base} unencrypted; https would be better");
        }
        let http = Http::new(base.is_https()).map_err(Failure::work)?;
        Ok(Self { base, token, http, patience: ANSWER_WITHIN })
    }

    /// Waits longer for answers.
    pub(crate) fn waiting(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Reads something.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, RemoteError> {
        self.within(async { self.json(self.send(Method::GET, path, Bytes::new()).await?).await }).await
    }

    /// Sends something, and reads what became of it.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, RemoteError> {
        self.within(async { self.json(self.send(Method::POST, path, written(body)).await?).await }).await
    }

    /// Sends something, and leaves the body of a good answer to the caller: it may go on for ever.
    pub(crate) async fn open(&self, path: &str, body: &impl Serialize) -> Result<Response<Incoming>, RemoteError> {
        self.within(self.send(Method::POST, path, written(body))).await
    }

    /// As long as our patience lasts.
    async fn within<T>(&self, work: impl Future<Output = Result<T, RemoteError>>) -> Result<T, RemoteError> {
        tokio::time::timeout(self.patience, work).await.unwrap_or_else(|_| {
            let words = format!("{} did not answer within {} s", self.base, self.patience.as_secs_f64());
            Err(RemoteError::Unreachable(words))
        })
    }

    /// The head of a good answer; one that is not good is read to its end, for its words.
    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, RemoteError> {
        let request = Request::builder()
            .method(method)
            .uri(self.base.below(path))
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            // The path or the token hold what cannot be sent; neither is shown.
            .map_err(|_| RemoteError::Strange("the request could not be built".to_owned()))?;
        let response = self.http.request(request).await;
        let response = response.map_err(|words| RemoteError::Unreachable(format!("{}: {words}", self.base)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.read(response).await?;
        let body: Option<Value> = serde_json::from_slice(&body).ok();
        let words = body.as_ref().and_then(|body| body["error"].as_str()).map(printable);
        match words {
            Some(words) => Err(RemoteError::Refused { status, words }),
            None => {
                let words = format!(
                    "{} answered HTTP {status}, and not as Ringback's admin API does; is it the right server, and as new as this command?",
                    self.base
                );
                Err(RemoteError::Strange(words))
            }
        }
    }

    /// The JSON of an answer; none for an answer that says nothing.
    async fn json(&self, response: Response<Incoming>) -> Result<Value, RemoteError> {
        let body = self.read(response).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| RemoteError::Strange(format!("{} answered no JSON", self.base)))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, RemoteError> {
        http_client::read(response.into_body(), MAX_ANSWER_BYTES).await.map_err(|unread| {
            let words = format!("{}: {unread}", self.base);
            match unread {
                Unread::TooLong(_) => RemoteError::Strange(words),
                Unread::Broken(_) => RemoteError::Unreachable(words),
            }
        })
    }
}

/// What this program sends can be written.
fn written(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        match error {
            // A wrong request or token is the caller's to mend.
            RemoteError::Refused { status: StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED, words } => {
                Self::usage(words)
            }
            RemoteError::Unreachable(words) => {
                Self::work(format!("no server answers (is it running? --server): {words}"))
            }
            error => Self::work(error),
        }
    }
}

/// A text as one segment of a path, or one value of a query.
pub(crate) fn percent(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Where the configured server is, from this machine.
fn of_config(config: &Config) -> Result<Base, Failure> {
    let mut address = config.server.listen;
    if address.port() == 0 {
        return Err(Failure::usage(
            "server.listen leaves the port to the system; right would be --server http://127.0.0.1:PORT with the port that `ringback serve` says",
        ));
    }
    if address.ip().is_unspecified() {
        // Everywhere is also here.
        address.set_ip(match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(Base::of_address(address))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(percent("a/../b?c&d=é"), "a%2F..%2Fb%3Fc%26d%3D%C3%A9");
    }

    /// A server that says this much, and then nothing more.
    async fn stuck(answer: &'static str) -> Remote {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = Base::of_address(listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // An answer to what was not asked yet is none.
            stream.read_u8().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Whatever is asked is read and not answered, until the other side has enough of it.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
        });
        let (token, http) = (Secret::new("token"), Http::new(false).unwrap());
        Remote { base, token, http, patience: Duration::from_millis(100) }
    }

    /// How long a test waits for what must end by itself, after a tenth of a second.
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_none() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
            "HTTP/1.1 400 No\r\ncontent-length: 9\r\n\r\n{",
        ] {
            let get = async { stuck(answer).await.get("/").await };
            let post = async { stuck(answer).await.post("/", &7).await };
            for result in [tokio::time::timeout(LONG, get).await, tokio::time::timeout(LONG, post).await] {
                let words = result.unwrap_or_else(|_| panic!("it waits for ever: {answer:?}")).unwrap_err().to_string();
                assert!(words.ends_with(" did not answer within 0.1 s"), "{words}");
            }
        }
    }

    #[tokio::test]
    async fn only_a_good_answer_may_go_on() {
        let good = stuck("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n").await;
        let mut body = good.open("/", &7).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{");
        let refusal = stuck("HTTP/1.1 400 No\r\ncontent-length: 9\r\n\r\n{").await;
        let refused = tokio::time::timeout(LONG, refusal.open("/", &7)).await.expect("it waits for ever");
        assert!(matches!(refused, Err(RemoteError::Unreachable(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_server_does_not_steer_the_terminal() {
        let refusal = "HTTP/1.1 400 No\r\ncontent-length: 30\r\n\r\n{\"error\":\"a\\u001b[2Jb\\u000ac\"}";
        let words = stuck(refusal).await.get("/").await.unwrap_err().to_string();
        assert_eq!(words, "a [2Jb c");
    }
}
