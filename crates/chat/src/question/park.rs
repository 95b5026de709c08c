//! A verdict that comes later: what a backend says when it wants a message to wait for one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::MessageEdit;

/// So long a message waits if the backend does not say: a day, which a review by people takes at most.
pub const USUAL_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// No message waits longer than this: a week. What is older is no news to anybody, and takes up room.
pub const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How a message is to wait. The dialect reads the first two; whoever asks several endpoints fills in the others.
#[derive(Clone, Debug, PartialEq)]
pub struct ParkTerms {
    /// For how long at most; `None`: [`USUAL_WAIT`].
    pub within: Option<Duration>,
    /// What happens without a verdict by then; `None`: it is refused.
    pub otherwise: Option<Otherwise>,
    /// Which endpoint wants it. Those that come after it are asked when the verdict is there.
    pub endpoint: String,
    /// What the endpoints before it made of the message.
    pub edit: MessageEdit,
    /// What happens if no more messages can wait.
    pub when_full: Otherwise,
}

/// What happens without a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// It goes on.
    Allow,
    /// It is refused.
    Reject,
}

impl Otherwise {
    /// A stable name for JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Reject => "reject",
        }
    }
}

impl ParkTerms {
    /// As a dialect reads them.
    pub fn new(within: Option<Duration>, otherwise: Option<Otherwise>) -> Self {
        let (endpoint, edit) = (String::new(), MessageEdit::default());
        Self { within, otherwise, endpoint, edit, when_full: Otherwise::Reject }
    }
}
