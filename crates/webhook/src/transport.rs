//! How a call gets out, and what comes back: the port between deciding to call and the network.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chat::id::Timestamp;
use chat::refusal::AskFailure;
use http_body_util::Full;
use hyper::{Request, StatusCode};

/// An answer is read up to this size; more than that is [`AskFailure::Unreadable`]. Real answers are a few hundred
/// bytes; a modified message is at most `max_message_bytes` (1 MiB), escaped.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Carries calls to one endpoint. The caller watches the clock: a call that takes too long is dropped.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Posts a request, and reads the whole answer, whatever its status.
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, CallFailure>;
}

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its HTTP status.
    pub status: StatusCode,
    /// How long it asks us to leave it alone (`Retry-After`), if it does.
    pub retry_after: Option<Duration>,
    /// What time it says that it is (`Date`), if it does, in whole seconds.
    pub date: Option<Timestamp>,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no complete answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct CallFailure {
    /// The class that it belongs to.
    pub kind: AskFailure,
    /// What went wrong, in words for the operator. Holds no secret.
    pub detail: String,
}

impl CallFailure {
    /// The answer is longer than [`MAX_ANSWER_BYTES`].
    pub(crate) fn too_long() -> Self {
        Self::new(AskFailure::Unreadable, format!("the answer is longer than {MAX_ANSWER_BYTES} bytes"))
    }

    /// A failure of a class, in words.
    pub fn new(kind: AskFailure, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}
