//! A running server, from outside: its admin API, as the commands that look at it or listen to it see it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::Value;

use crate::config::{Config, Secret};
use crate::failure::Failure;
use crate::secrets;

/// A server that does not take a connection by then is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The head of an answer comes by then: the slowest of them reads a page of the log.
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

/// Where a server or a backend is, without a path at its end: `http://127.0.0.1:10002`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    origin: String,
    /// Path and query, if there are any; begins with `/`.
    pub(crate) path: String,
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

impl Base {
    /// Reads an http or https URL. The error does not show a password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let right = "right would be an http or https URL, such as http://127.0.0.1:10002";
        let uri: Uri = text.parse().map_err(|_| format!("this is not a URL; {right}"))?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(right.to_owned());
        };
        if authority.as_str().contains('@') {
            return Err(format!("there is a user or a password in it, which is not sent; {right}"));
        }
        if text.contains('#') || authority.host().is_empty() || authority.as_str().ends_with(':') {
            return Err(right.to_owned());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { origin: format!("{scheme}://{authority}"), path })
    }

    /// The URL of a path on the same host.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The URL of a path below the base's own: the admin API may stand below one, behind a proxy.
    fn below(&self, path: &str) -> String {
        let own = self.path.split('?').next().unwrap_or_default();
        format!("{}{}{path}", self.origin, own.trim_end_matches('/'))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Whether what is sent there stays on this machine.
    fn is_local(&self) -> bool {
        let uri: Option<Uri> = self.origin.parse().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
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
        self.read(self.send(Method::GET, path, Bytes::new()).await?).await
    }

    /// Sends something, and reads what became of it.
    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, RemoteError> {
        self.read(self.open(path, body).await?).await
    }

    /// Sends something, and leaves the answer's body to the caller.
    pub(crate) async fn open(&self, path: &str, body: &impl Serialize) -> Result<Response<Incoming>, RemoteError> {
        // What this program sends can be written.
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.send(Method::POST, path, body.into()).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, RemoteError> {
        let request = Request::builder()
            .method(method)
            .uri(self.base.below(path))
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            // The path or the token hold what cannot be sent; neither is shown.
            .map_err(|_| RemoteError::Strange("the request could not be built".to_owned()))?;
        let response = match tokio::time::timeout(self.patience, self.http.request(request)).await {
            Ok(response) => response.map_err(|words| RemoteError::Unreachable(format!("{}: {words}", self.base)))?,
            Err(_) => {
                let words = format!("{} did not answer within {} s", self.base, self.patience.as_secs());
                return Err(RemoteError::Unreachable(words));
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = read(response.into_body()).await?;
        let body: Option<Value> = serde_json::from_slice(&body).ok();
        let words = body.as_ref().and_then(|body| body["error"].as_str()).map(str::to_owned);
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
}

impl Remote {
    /// The JSON of an answer; none for an answer that says nothing.
    async fn read(&self, response: Response<Incoming>) -> Result<Value, RemoteError> {
        let body = read(response.into_body()).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| RemoteError::Strange(format!("{} answered no JSON", self.base)))
    }
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
    Ok(Base { origin: format!("http://{address}"), path: "/".to_owned() })
}

async fn read(body: Incoming) -> Result<Bytes, RemoteError> {
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    Ok(body.map_err(|error| RemoteError::Unreachable(format!("the answer broke off: {error}")))?.to_bytes())
}

/// One plain client. Over https, it trusts the operating system's certificates, which nobody needs otherwise.
#[derive(Debug)]
pub(crate) enum Http {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Http {
    pub(crate) fn new(is_https: bool) -> std::io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        let builder = Client::builder(TokioExecutor::new());
        if !is_https {
            return Ok(Self::Plain(builder.build(tcp)));
        }
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().wrap_connector(tcp);
        Ok(Self::Tls(builder.build(tls)))
    }

    /// The error is the innermost reason, in words.
    pub(crate) async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        let result = match self {
            Self::Plain(client) => client.request(request).await,
            Self::Tls(client) => client.request(request).await,
        };
        result.map_err(|error| webhook::failure::words(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_an_http_url_without_a_password() {
        let base = Base::parse("http://localhost:8080/hook?x=1").unwrap();
        assert_eq!((base.at("/admin"), base.path.as_str()), ("http://localhost:8080/admin".to_owned(), "/hook?x=1"));
        assert_eq!(Base::parse("https://chat.example.com").unwrap().path, "/");
        for wrong in ["localhost:8080", "ftp://x", "/x", "http://", "http://x#y", "http://x:", "http://me:hush@x/"] {
            let words = Base::parse(wrong).unwrap_err();
            assert!(words.contains("right would be") && !words.contains("hush"), "{wrong}: {words}");
        }
    }

    #[test]
    fn a_server_may_stand_below_a_path() {
        let below = |url| Base::parse(url).unwrap().below("/admin/callbacks");
        assert_eq!(below("http://127.0.0.1:10002/"), "http://127.0.0.1:10002/admin/callbacks");
        assert_eq!(below("https://chat.example.com/ringback"), "https://chat.example.com/ringback/admin/callbacks");
    }

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(percent("a/../b?c&d=é"), "a%2F..%2Fb%3Fc%26d%3D%C3%A9");
    }

    #[test]
    fn what_stays_on_this_machine_is_local() {
        for (url, local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.2:1", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(Base::parse(url).unwrap().is_local(), local, "{url}");
        }
    }
}
