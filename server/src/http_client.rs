//! The HTTP client of the commands that call somebody themselves: a running server, or a backend near by. Unlike the
//! server's own client it goes wherever it is told to: whoever runs the command names the place.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use webhook::tls::SEE_CA_FILE;

/// A host that does not take a connection by then is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Where a command finds an authority of one's own: what it calls is no endpoint, which would have a `ca_file`.
const SEE_SSL_CERT_FILE: &str = "; right would be SSL_CERT_FILE in the environment, with the path of its certificate";

/// Where a server or a backend is, without a path at its end: `http://127.0.0.1:10002`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    origin: String,
    /// Path and query, if there are any; begins with `/`.
    pub(crate) path: String,
}

/// One plain client. Over https it trusts the operating system's authorities, or those that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name, and nobody else needs them.
#[derive(Debug)]
pub(crate) enum Http {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// Why an answer could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// It is longer than it may be.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The connection ended in the middle, in words.
    #[error("the answer broke off: {0}")]
    Broken(String),
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

    /// The URL of a path and query on the same host; none, if it does not begin as a path does. Whatever else follows a host
    /// could lead to another one (`@other`, `.other`, `:1`).
    pub(crate) fn at(&self, path: &str) -> Option<String> {
        path.starts_with('/').then(|| format!("{}{path}", self.origin))
    }

    /// The root of a host at this address, over HTTP.
    pub(crate) fn of_address(address: SocketAddr) -> Self {
        Self { origin: format!("http://{address}"), path: "/".to_owned() }
    }

    /// The URL of a path below the base's own: the admin API may stand below one, behind a proxy.
    pub(crate) fn below(&self, path: &str) -> String {
        let own = self.path.split('?').next().unwrap_or_default();
        format!("{}{}{path}", self.origin, own.trim_end_matches('/'))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Whether what is sent there stays on this machine.
    pub(crate) fn is_local(&self) -> bool {
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
        result.map_err(|error| webhook::failure::words(&error).replace(SEE_CA_FILE, SEE_SSL_CERT_FILE))
    }
}

/// The whole body of an answer, which has at most so many bytes.
pub(crate) async fn read(body: Incoming, most: usize) -> Result<Bytes, Unread> {
    let body = Limited::new(body, most).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Unread::TooLong(most)
        } else {
            Unread::Broken(webhook::failure::words(&*error))
        }
    });
    Ok(body?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_an_http_url_without_a_password() {
        let base = Base::parse("http://localhost:8080/hook?x=1").unwrap();
        assert_eq!(
            (base.at("/admin").as_deref(), base.path.as_str()),
            (Some("http://localhost:8080/admin"), "/hook?x=1")
        );
        assert_eq!(Base::parse("https://chat.example.com").unwrap().path, "/");
        for wrong in ["localhost:8080", "ftp://x", "/x", "http://", "http://x#y", "http://x:", "http://me:hush@x/"] {
            let words = Base::parse(wrong).unwrap_err();
            assert!(words.contains("right would be") && !words.contains("hush"), "{wrong}: {words}");
        }
    }

    #[test]
    fn what_is_no_path_leads_nowhere() {
        let base = Base::parse("http://localhost:80").unwrap();
        for odd in ["@169.254.169.254/", "80@169.254.169.254/", ".example.com/", "", "?x", "#x", "http://x/"] {
            assert_eq!(base.at(odd), None, "{odd}");
        }
        assert_eq!(base.at("//169.254.169.254/").as_deref(), Some("http://localhost:80//169.254.169.254/"));
    }

    #[test]
    fn a_server_may_stand_below_a_path() {
        let below = |url| Base::parse(url).unwrap().below("/admin/callbacks");
        assert_eq!(below("http://127.0.0.1:10002/"), "http://127.0.0.1:10002/admin/callbacks");
        assert_eq!(below("https://chat.example.com/ringback"), "https://chat.example.com/ringback/admin/callbacks");
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
