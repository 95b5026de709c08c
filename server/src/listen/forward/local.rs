//! The local backend: a call that came through the tunnel is made here, and what became of it is put into words for the
//! server, and for whoever watches.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::RETRY_AFTER;
use hyper::{Request, Response};
use serde_json::json;
use webhook::tunnel::wire::{AnswerLine, Body, CallLine, FailedKind, FailedLine, Said};

use super::super::backend::{Answer, Decision};
use super::super::call::Call;
use super::super::show::Exchange;
use super::super::{now, query};
use crate::remote::{Base, Http};

/// More of an answer the server would not take.
const MAX_ANSWER_BYTES: usize = 4 << 20;

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
        let url = self.base.at(&path);
        let call = Call {
            method,
            path: path.split_once('?').map_or(path.as_str(), |(path, _)| path).to_owned(),
            query: path.parse().map(|uri| query(&uri)).unwrap_or_default(),
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let answered = match tokio::time::timeout(deadline, self.call(&call, &url, body)).await {
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

    async fn call(&self, call: &Call, url: &str, body: Bytes) -> Result<(u16, Option<u64>, Bytes), Failed> {
        let unreachable = |detail| Failed { kind: FailedKind::Unreachable, detail };
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
        let body = read(response.into_body()).await?;
        Ok((status, retry_after, body))
    }
}

fn retry_after(response: &Response<Incoming>) -> Option<u64> {
    response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

async fn read(mut body: Incoming) -> Result<Bytes, Failed> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failed {
            kind: FailedKind::Unreachable,
            detail: format!("the answer broke off: {}", webhook::failure::words(&error)),
        })?;
        let data = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > MAX_ANSWER_BYTES {
            let detail = format!("the answer is longer than {MAX_ANSWER_BYTES} bytes");
            return Err(Failed { kind: FailedKind::Unreadable, detail });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}
