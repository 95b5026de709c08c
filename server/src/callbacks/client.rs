//! The admin API of a running server, from outside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode, Uri};
use serde_json::Value;
use webhook::Network;
use webhook::egress::Guard;
use webhook::tls::Tls;
use webhook::transport::Transport;

use crate::clock::SystemClock;
use crate::config::{Config, Secret};
use crate::failure::Failure;
use crate::secrets;

/// The longest that takes is a replay of a million letters: a minute or two.
const PATIENCE: Duration = Duration::from_secs(300);

/// One server, and what opens it.
#[derive(Debug)]
pub(crate) struct Client {
    base: String,
    token: Secret,
    http: webhook::Client,
}

impl Client {
    /// The server that is named, or the one that listens where the configuration says.
    pub(crate) fn of(config: &Config, server: Option<&str>) -> Result<Self, Failure> {
        let base = match server {
            Some(url) => base(url).map_err(Failure::usage)?,
            None => local(config.server.listen)?,
        };
        let token = secrets::known_admin_token(config).map_err(Failure::usage)?;
        // Where it goes is said by whoever runs the command.
        let network = Network::new(Guard::lenient(), Arc::new(SystemClock));
        let http = webhook::Client::new(&network, &Tls::default()).map_err(Failure::work)?;
        Ok(Self { base, token, http })
    }

    /// What stands at a path below `/admin`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// What became of a request.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, body.to_string().into()).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/admin{path}", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(Failure::usage)?;
        let answer = match tokio::time::timeout(PATIENCE, self.http.exchange(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => {
                let words = format!("no server answers at {} (is it running? --server): {failure}", self.base);
                return Err(Failure::work(words));
            }
            Err(_) => {
                let words = format!("{} has not answered within {} s", self.base, PATIENCE.as_secs());
                return Err(Failure::work(words));
            }
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let words = body["error"].as_str().map(str::to_owned);
        match answer.status {
            StatusCode::OK if !body.is_null() => Ok(body),
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED if words.is_some() => {
                Err(Failure::usage(words.unwrap_or_default()))
            }
            status => Err(Failure::work(words.unwrap_or_else(|| {
                format!("{} answered HTTP {status}: it is no Ringback server, or one of another version", self.base)
            }))),
        }
    }
}

/// The URL that paths are appended to.
fn base(url: &str) -> Result<String, String> {
    let wrong = || format!("--server: found {url:?}; right would be a URL such as http://127.0.0.1:10002");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_web || uri.host().is_none_or(str::is_empty) || uri.query().is_some() || url.contains(['#', '@']) {
        return Err(wrong());
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// A server on this machine, which may listen on all addresses.
fn local(listen: SocketAddr) -> Result<String, Failure> {
    if listen.port() == 0 {
        let words = "server.listen leaves the port to the system; right would be --server with the server's URL";
        return Err(Failure::usage(words));
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(format!("http://{}", SocketAddr::new(ip, listen.port())))
}

/// A text as one segment of a path, or one value of a query.
pub(crate) fn percent(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_where_it_is_said_to_be() {
        assert_eq!(base("http://127.0.0.1:10002/").unwrap(), "http://127.0.0.1:10002");
        assert_eq!(base("https://chat.example.com/ringback").unwrap(), "https://chat.example.com/ringback");
        for wrong in ["", "127.0.0.1:10002", "ftp://a", "http://", "http://a?b=c", "http://u:p@a"] {
            assert!(base(wrong).is_err(), "{wrong}");
        }
        for (listen, expected) in [
            ("127.0.0.1:10002", "http://127.0.0.1:10002"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("10.0.0.7:1", "http://10.0.0.7:1"),
        ] {
            assert_eq!(local(listen.parse().unwrap()).unwrap(), expected);
        }
        assert!(local("127.0.0.1:0".parse().unwrap()).is_err());
    }

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(percent("a/../b?c&d=é"), "a%2F..%2Fb%3Fc%26d%3D%C3%A9");
    }
}
