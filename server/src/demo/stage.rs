//! Where the scenarios play: a client of both dialects, and the backend's calls, shown as they happen.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::listen::Exchange;

/// A call that has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Stage {
    server: SocketAddr,
    usersig: String,
    openim_secret: String,
    openim_token: String,
    http: Client<HttpConnector, Full<Bytes>>,
    calls: mpsc::Receiver<Exchange>,
    colours: bool,
}

/// What happened in one act: the answer to the request, and the calls that the backend got because of it.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) answer: Value,
    pub(super) calls: Vec<Exchange>,
}

impl Stage {
    pub(super) fn new(
        server: SocketAddr,
        usersig: String,
        openim_secret: String,
        calls: mpsc::Receiver<Exchange>,
        colours: bool,
    ) -> Self {
        let http = Client::builder(TokioExecutor::new()).build_http();
        Self { server, usersig, openim_secret, openim_token: String::new(), http, calls, colours }
    }

    /// A Tencent request, and as many calls as it should cause.
    pub(super) async fn tencent(&mut self, command: &str, body: Value, calls: usize) -> Result<Act, Failure> {
        let path = format!("/v4/{command}");
        let query =
            format!("?sdkappid=1400000000&identifier=administrator&usersig={}&random=1&contenttype=json", self.usersig);
        self.act(&path, &query, body, calls).await
    }

    /// An OpenIM request, and as many calls as it should cause.
    pub(super) async fn openim(&mut self, path: &str, body: Value, calls: usize) -> Result<Act, Failure> {
        self.act(path, "", body, calls).await
    }

    /// A request that is only there to set the stage: not shown.
    pub(super) async fn prepare(&mut self, path: &str, body: Value) -> Result<Value, Failure> {
        let query = format!("?sdkappid=1400000000&identifier=administrator&usersig={}", self.usersig);
        let query = if path.starts_with("/v4/") { query } else { String::new() };
        let answer = self.post(&format!("{path}{query}"), &body).await;
        // What was asked about it is no part of any scenario.
        while self.calls.try_recv().is_ok() {}
        answer
    }

    /// Signs the OpenIM admin in.
    pub(super) async fn sign_in(&mut self) -> Result<(), Failure> {
        let body = json!({ "secret": self.openim_secret, "userID": "imAdmin" });
        let answer = self.prepare("/auth/get_admin_token", body).await?;
        self.openim_token = answer["data"]["token"].as_str().unwrap_or_default().to_owned();
        Ok(())
    }

    async fn act(&mut self, path: &str, query: &str, body: Value, expected: usize) -> Result<Act, Failure> {
        let shown_query = if query.is_empty() { "" } else { "?sdkappid=…&usersig=…" };
        self.show(&format!("POST {path}{shown_query}\n{}", self.dim(&body.to_string())));
        let answer = self.post(&format!("{path}{query}"), &body).await?;
        // Whatever was asked was asked before the answer came.
        let mut calls = Vec::new();
        while let Ok(call) = self.calls.try_recv() {
            self.show_call(&call);
            calls.push(call);
        }
        self.show(&format!("answer: {}", self.bold(&answer.to_string())));
        while calls.len() < expected {
            let Ok(Some(call)) = tokio::time::timeout(PATIENCE, self.calls.recv()).await else { break };
            self.show_call(&call);
            calls.push(call);
        }
        Ok(Act { answer, calls })
    }

    async fn post(&self, path_and_query: &str, body: &Value) -> Result<Value, Failure> {
        let request = Request::post(format!("http://{}{path_and_query}", self.server))
            .header("content-type", "application/json")
            .header("operationid", "demo")
            .header("token", &self.openim_token)
            .body(Full::from(body.to_string()))
            .map_err(Failure::work)?;
        let response = self.http.request(request).await.map_err(Failure::work)?;
        let body = response.into_body().collect().await.map_err(Failure::work)?.to_bytes();
        serde_json::from_slice(&body).map_err(Failure::work)
    }

    fn show_call(&self, call: &Exchange) {
        self.show(call.for_person(self.colours).trim_end());
    }

    /// A heading.
    pub(super) fn announce(&self, number: usize, title: &str) {
        write(&format!("\n{}\n", self.bold(&format!("{number}. {title}"))));
    }

    /// The end of a scenario.
    pub(super) fn conclude(&self, result: &Result<(), String>) {
        match result {
            Ok(()) => write(&format!("   {}\n", self.paint("32", "✓ as it should be"))),
            Err(problem) => write(&format!("   {}\n", self.paint("31", &format!("✗ {problem}")))),
        }
    }

    fn show(&self, text: &str) {
        for line in text.lines() {
            write(&format!("   {line}\n"));
        }
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whoever closed the pipe has seen enough; the scenarios go on, for their result.
fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Ctrl-C, or SIGTERM.
pub(super) async fn stop_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
