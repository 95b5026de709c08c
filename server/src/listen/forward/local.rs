//! The local backend: a call that came through the tunnel is made here, and what became of it is put into words for the
//! server, and for whoever watches.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::RETRY_AFTER;
use hyper::{Request, Response};
use serde_json::json;
use webhook::transport::MAX_ANSWER_BYTES;
use webhook::tunnel::wire::{AnswerLine, Body, CallLine, FailedKind, FailedLine, Said};

use super::super::backend::{Answer, Decision};
use super::super::call::Call;
use super::super::show::Exchange;
use super::super::{now, query};
use crate::http_client::{self, Base, Http, Unread};

/// A backend on this machine, or near it.
#[derive(Debug)]
pub(super) struct Local {
    base: Base,
    http: Http,
}

/// Why there is no answer.
struct Failed {
    kind: FailedKind,
    detail: String,
}

impl Local {
    pub(super) fn new(base: Base) -> std::io::Result<Self> {
        Ok(Self { http: Http::new(base.is_https())?, base })
    }

    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    /// Makes a call within its deadline.
    pub(super) async fn exchange(&self, line: CallLine, deadline: Duration) -> (Exchange, Said) {
        let (time, number) = (now(), line.call);
        let CallLine { method, path, headers, body, .. } = line;
        let body = body.bytes().unwrap_or_default();
        // A server is believed what it says to the backend, and not where the backend is.
        let url = self.base.at(&path).filter(|_| method == "POST");
        let call = Call {
            method,
            path: path.split_once('?').map_or(path.as_str(), |(path, _)| path).to_owned(),
            query: path.parse().map(|uri| query(&uri)).unwrap_or_default(),
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let answered = match tokio::time::timeout(deadline, self.call(&call, url, body)).await {
            Ok(answered) => answered,
            Err(_) => {
                let detail = format!("no answer within {} ms: the server has gone on", deadline.as_millis());
                Err(Failed { kind: FailedKind::Timeout, detail })
            }
        };
        let (answer, said) = match answered {
            Ok((status, retry_after, body)) => {
                let decision = Decision::of_answer(&call, status, &body);
                let answer = Answer { status, body: String::from_utf8_lossy(&body).into_owned(), decision };
                (answer, Said::Answer(AnswerLine { call: number, status, retry_after, body: Body::new(&body) }))
            }
            Err(Failed { kind, detail }) => {
                let body = json!({ "error": detail }).to_string();
                let answer = Answer { status: 0, body, decision: Decision::NoAnswer };
                (answer, Said::Failed(FailedLine { call: number, kind, detail }))
            }
        };
        (Exchange { time, call, answer }, said)
    }

    async fn call(&self, call: &Call, url: Option<String>, body: Bytes) -> Result<(u16, Option<u64>, Bytes), Failed> {
        let unreachable = |detail| Failed { kind: FailedKind::Unreachable, detail };
        let Some(url) = url else {
            let what = format!("{:?} to {:?}", call.method, call.path);
            return Err(unreachable(format!("the server wants {what}; right would be a POST to a path")));
        };
        let mut request = Request::builder().method(call.method.as_str()).uri(url);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body));
        let request = request.map_err(|error| unreachable(format!("the call cannot be made: {error}")))?;
        let response = self.http.request(request).await;
        let response = response.map_err(|words| {
            unreachable(format!("{} cannot be reached ({words}); does your backend run?", self.base))
        })?;
        let status = response.status().as_u16();
        let retry_after = retry_after(&response);
        let body = http_client::read(response.into_body(), MAX_ANSWER_BYTES).await.map_err(|unread| {
            let kind = match unread {
                Unread::TooLong(_) => FailedKind::Unreadable,
                Unread::Broken(_) => FailedKind::Unreachable,
            };
            Failed { kind, detail: unread.to_string() }
        })?;
        Ok((status, retry_after, body))
    }
}

fn retry_after(response: &Response<Incoming>) -> Option<u64> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The backend is where the one who listens says that it is, and gets what backends get.
    #[tokio::test]
    async fn a_server_cannot_choose_whom_to_call() {
        let here = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let local = Local::new(Base::of_address(here.local_addr().unwrap())).unwrap();
        let at_elsewhere = format!("@{elsewhere}/latest/meta-data/");
        for (method, path) in [
            ("POST", at_elsewhere.as_str()),
            ("POST", "latest"),
            ("POST", ""),
            ("GET", "/"),
            ("post", "/"),
            ("CONNECT", "/"),
            ("", "/"),
        ] {
            let line = CallLine {
                call: 7,
                method: method.to_owned(),
                path: path.to_owned(),
                headers: Vec::new(),
                body: Body::default(),
            };
            let (exchange, said) = local.exchange(line, Duration::from_secs(20)).await;
            let Said::Failed(failed) = said else { panic!("{said:?}") };
            let is_refused = failed.detail.starts_with("the server wants ");
            assert!(is_refused && failed.call == 7, "{method} {path}: {}", failed.detail);
            assert_eq!(exchange.answer.decision, Decision::NoAnswer);
        }
    }
}
