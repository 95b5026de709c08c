//! The operator's side of a server over HTTP: the admin API, with the token that the server made.

use hyper::Method;
use serde_json::Value;

use crate::Server;
use crate::http::{Http, Reply};

/// Below one path of the admin API. Whatever is asked there, no answer has a secret of the server's.
#[derive(Debug)]
pub struct Admin {
    pub http: Http,
    prefix: &'static str,
    token: String,
    secrets: Vec<String>,
}

impl Admin {
    /// `prefix` is what all paths begin with, such as `/admin/callbacks`.
    pub fn of(server: &Server, prefix: &'static str) -> Self {
        let token = server.admin_token().expect("a server that runs has made one");
        Self { http: Http::new(server.http()), prefix, token, secrets: server.secrets() }
    }

    /// The same, for somebody who has this token instead.
    pub fn with_token(self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self }
    }

    pub async fn send(&self, method: Method, path: &str, body: impl Into<bytes::Bytes>) -> Reply {
        let authorization = format!("Bearer {}", self.token);
        let path = format!("{}{path}", self.prefix);
        let reply = self.http.send(method, &path, &[("authorization", &authorization)], body).await;
        let reply = reply.expect("an answer of the admin API");
        without_secrets(&path, &reply.text(), &self.secrets);
        reply
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let reply = self.send(Method::GET, path, "").await;
        (reply.status, reply.json())
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let reply = self.send(Method::POST, path, body.to_string()).await;
        (reply.status, reply.json())
    }
}

/// Fails if one of the secrets is anywhere in what was shown.
pub(crate) fn without_secrets(what: &str, shown: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!shown.contains(secret.as_str()), "{what} shows the secret {secret}: {shown}");
    }
}
