//! The proxy that calls go through, if the operator's network has one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use url::Url;

/// An HTTP proxy. Calls to `http` URLs are handed to it whole; for `https` it is asked for a tunnel (`CONNECT`), inside
/// which TLS is spoken with the endpoint, so the proxy sees no content.
#[derive(Clone)]
pub struct Proxy {
    /// Where it listens: `http://host:port`.
    pub(crate) at: Uri,
    /// `Proxy-Authorization`, if it wants one.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads `http://proxy:3128` or `http://user:password@proxy:3128`, both percent-decoded. The error never shows the
    /// text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "is not a URL")?;
        if url.scheme() != "http" {
            return Err("must begin with http://: the proxy itself is spoken to without TLS");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("must end after the port");
        }
        let (Some(host), port) = (url.host_str(), url.port_or_known_default().unwrap_or(80)) else {
            return Err("must have a host");
        };
        if port == 0 {
            return Err("must have a port from 1 to 65535");
        }
        let at = format!("http://{host}:{port}/").parse().map_err(|_| "must have a host")?;
        let authorization = if url.username().is_empty() && url.password().is_none() {
            None
        } else {
            let [user, password] = [url.username(), url.password().unwrap_or_default()]
                .map(|part| percent_encoding::percent_decode_str(part).collect::<Vec<u8>>());
            if user.contains(&b':') {
                return Err("must have a user without a colon");
            }
            let basic = format!("Basic {}", STANDARD.encode([user, password].join(&b':')));
            let mut value = HeaderValue::from_str(&basic).map_err(|_| "must have a user and a password")?;
            value.set_sensitive(true);
            Some(value)
        };
        Ok(Self { at, authorization })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("at", &self.at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_place_and_credentials() {
        let proxy = Proxy::parse("http://proxy.example:3128").unwrap();
        assert_eq!((proxy.at.to_string().as_str(), proxy.authorization), ("http://proxy.example:3128/", None));
        let proxy = Proxy::parse("http://user:p%40ss%3A@[::1]/").unwrap();
        assert_eq!(proxy.at.to_string(), "http://[::1]:80/");
        assert_eq!(proxy.authorization.as_ref().unwrap(), &format!("Basic {}", STANDARD.encode("user:p@ss:")));
        assert_eq!(Proxy::parse("http://user@h").unwrap().authorization.unwrap(), "Basic dXNlcjo=");
        assert!(!format!("{:?}", Proxy::parse("http://u:hush@h").unwrap()).contains("hush"));
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for text in [
            "",
            "proxy:3128",
            "https://hush@h",
            "socks5://hush@h",
            "http://hush@h/x",
            "http://hush@h:0",
            "http://h?hush",
            "http://a%3Ahush:b@h",
        ] {
            let problem = Proxy::parse(text).unwrap_err();
            assert!(!problem.contains("hush"), "{problem}");
        }
    }
}
