//! Messages that wait for a verdict: a backend has asked for more time, for a review by people perhaps.
//!
//! Such a message is stored, and nothing else: it has no seq, nobody is told of it, and it stands in no history. A verdict
//! sends it or not ([`super::release`]); without one, its deadline decides ([`super::settle`]). What was decided is kept for a
//! day, so that a retry of the message gets the same answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::send::{Fate, SendMessage, Sent};
use super::{Message, RepeatKey};
use crate::chat::{Context, commit_refused};
use crate::id::{MessageId, Timestamp};
use crate::policy::Exempt;
use crate::port::{Assertion, Changes, CommitError, Write};
use crate::question::park::{LONGEST_WAIT, Otherwise, ParkTerms, USUAL_WAIT};
use crate::refusal::{Error, Refusal};

/// At most about so many messages wait: some 20 KB each, 2 GB. Each node counts what it parks beside what it found at the last
/// count, a second ago at most; several nodes may so be over it by what they park in that second.
pub const MOST_WAITING: u64 = 100_000;

/// So many decisions are kept, some 20 KB each: 2 GB. It is what is decided in a day where one message a second waits, and the
/// oldest go first: a retry comes soon if at all, and of what was sent the log knows for ever.
pub const MOST_DECIDED: u64 = 100_000;

/// So long a decision is kept: longer than any client retries.
pub const DECISION_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A message that waits for a verdict, or what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// The message as it would be sent: what the endpoints that were asked made of it. Its time is when it was wanted.
    pub message: Message,
    /// What recognises a repeat of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<RepeatKey>,
    /// See [`SendMessage::exempt`].
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub exempt: Exempt,
    /// See [`SendMessage::reads`].
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub reads: bool,
    /// Whether a backend has changed it already.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub modified: bool,
    /// Which endpoint wants it to wait.
    pub endpoint: String,
    /// Since when it waits.
    pub since: Timestamp,
    /// When what is said next happens.
    pub until: Timestamp,
    /// What happens without a verdict.
    pub otherwise: Otherwise,
    /// For the so many-th time, from 1: once it is released, the next endpoint may have it wait again.
    pub round: u32,
    /// What was decided; none while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// What was decided about a message that waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub time: Timestamp,
    /// By whom.
    pub by: DecidedBy,
    /// What became of the message.
    pub outcome: Outcome,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// Somebody gave a verdict.
    Verdict,
    /// Nobody did in time.
    Deadline,
}

/// What became of a message that waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// It was sent.
    Sent {
        /// Whether a backend or the verdict changed it.
        modified: bool,
    },
    /// A backend said no, or nobody said anything.
    Rejected {
        /// The app's own code.
        code: Option<i64>,
        /// Words for the caller.
        info: String,
        /// Words for developers.
        detail: String,
    },
    /// It was dropped, and looks sent.
    Discarded,
    /// It was allowed, and the rules do not: things have changed.
    Refused {
        /// [`Refusal::name`].
        name: String,
        /// The refusal in words.
        why: String,
    },
}

/// The deadline of a message, in the order in which deadlines come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// When it is.
    pub time: Timestamp,
    /// Whose it is.
    pub id: MessageId,
}

/// Which messages are to be listed, and in what order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkedQuery {
    /// Those that wait, by id, which is by when they were wanted.
    Waiting {
        /// Only those after this one.
        after: Option<MessageId>,
        /// At most so many.
        limit: usize,
    },
    /// Those that wait and whose deadline is at this time or before, the earliest first.
    Overdue {
        /// The time.
        now: Timestamp,
        /// Only those after this one.
        after: Option<Deadline>,
        /// At most so many.
        limit: usize,
    },
    /// Those that were decided at this time or before, the earliest first.
    Decided {
        /// The time.
        up_to: Timestamp,
        /// At most so many.
        limit: usize,
    },
}

/// How many messages are kept beside the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkedCount {
    /// Those that wait.
    pub waiting: u64,
    /// Those that were decided.
    pub decided: u64,
}

/// What this node knows of messages that wait.
#[derive(Debug, Default)]
pub(crate) struct Parking(Mutex<Known>);

/// See [`Parking`]. Held for a few instructions each time.
#[derive(Debug, Default)]
struct Known {
    /// What the last count found; none before the first one.
    counted: Option<ParkedCount>,
    /// How many were parked here before it.
    before: u64,
    /// How many were ever parked here.
    ever: u64,
}

/// How many were parked here when a count began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountBegan(u64);

impl Parking {
    /// A count begins now: whatever is parked from here on may be missing in it.
    pub(crate) fn begin_count(&self) -> CountBegan {
        CountBegan(self.known().ever)
    }

    /// The count that has begun then has found so many.
    pub(crate) fn counted(&self, count: ParkedCount, CountBegan(before): CountBegan) {
        let mut known = self.known();
        known.counted = Some(count);
        known.before = before;
    }

    /// Whether there may be any, waiting or decided. Most apps never have one, and then no send looks for them. Another node
    /// may have parked the first one just now; a retry that comes here within a second of that is asked about once more, and
    /// then found to wait by the commit.
    pub(super) fn has_any(&self) -> bool {
        let known = self.known();
        known.ever > known.before || known.counted.is_none_or(|count| count.waiting + count.decided > 0)
    }

    fn has_room(&self) -> bool {
        let known = self.known();
        known.counted.unwrap_or_default().waiting + (known.ever - known.before) < MOST_WAITING
    }

    fn one_more(&self) {
        self.known().ever += 1;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DecidedBy {
    /// A stable name for metrics, logs and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Deadline => "deadline",
        }
    }
}

impl Outcome {
    /// A stable name for metrics, logs and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Rejected { .. } => "rejected",
            Self::Discarded => "discarded",
            Self::Refused { .. } => "refused",
        }
    }
}

impl From<&Refusal> for Outcome {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Rejected { code, info, detail } => {
                Self::Rejected { code: *code, info: info.clone(), detail: detail.clone() }
            }
            other => Self::Refused { name: other.name().to_owned(), why: other.to_string() },
        }
    }
}

impl Parked {
    /// When what is said next happens, if there is no verdict.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline { time: self.until, id: self.message.id }
    }

    /// The refusal of a verdict that was given for this round; none if the message waits in it.
    pub(super) fn not_in(&self, round: u32) -> Option<Refusal> {
        let how = match &self.decision {
            Some(Decision { time, by, outcome }) => {
                let by = match by {
                    DecidedBy::Verdict => "a verdict",
                    DecidedBy::Deadline => "its deadline",
                };
                format!("{}, by {by}, at {} (milliseconds since 1970)", outcome.name(), time.millis())
            }
            None if round == self.round => return None,
            None if round > self.round => {
                let problem = format!("found {round}; the message waits in round {} yet", self.round);
                return Some(Refusal::invalid("round", problem));
            }
            None => {
                let Self { endpoint, round: now, .. } = self;
                format!(
                    "round {round} is over: it was released, and now waits for the endpoint {endpoint}, in round {now}"
                )
            }
        };
        Some(Refusal::Decided { id: self.message.id, how })
    }
}

/// For so long a message waits.
pub(super) fn wait(terms: &ParkTerms) -> Duration {
    terms.within.unwrap_or(USUAL_WAIT).min(LONGEST_WAIT)
}

impl SendMessage {
    /// Has a message wait, and refuses it with that. None if no more can wait.
    pub(super) async fn park(
        &self,
        cx: &Context<'_>,
        message: &Message,
        modified: bool,
        terms: &ParkTerms,
    ) -> Option<Result<Sent, Error>> {
        if !cx.parking().has_room() {
            tracing::warn!(
                endpoint = terms.endpoint,
                message.id = %message.id,
                most = MOST_WAITING,
                "a message cannot wait for a verdict, because too many do; what the endpoint says of bad answers holds"
            );
            return None;
        }
        let since = cx.now();
        let parked = Parked {
            message: message.clone(),
            repeat: self.repeat.clone(),
            exempt: self.exempt,
            reads: self.reads,
            modified,
            endpoint: terms.endpoint.clone(),
            since,
            until: since.later(wait(terms)),
            otherwise: terms.otherwise.unwrap_or(Otherwise::Reject),
            round: 1,
            decision: None,
        };
        let until = parked.until;
        let assertions = self.nothing_parked(message).into_iter().collect();
        let changes = Changes { assertions, writes: vec![Write::Park(Box::new(parked))] };
        Some(match cx.store().commit(changes).await {
            Ok(_) => {
                cx.parking().one_more();
                metrics::counter!("ringback_parked_total").increment(1);
                Err(Refusal::Parked { id: message.id, until }.into())
            }
            Err(CommitError::Repeat(first)) => Ok(Sent { message: *first, fate: Fate::Repeated }),
            // Another node was asked about the same message, and had it wait first.
            Err(CommitError::Broken(_)) => match self.look_up_parked(cx, message).await {
                Ok(Some(answer)) => answer,
                // It was decided between the two, in a way that a retry is asked about anew.
                Ok(None) => Err(Refusal::StoreUnavailable.into()),
                Err(error) => Err(error),
            },
            Err(error) => Err(commit_refused(error)),
        })
    }

    /// What a retry of a message gets that waits, or that was decided; none if nothing of it is known, or if it was
    /// sent (the log knows it then).
    pub(super) async fn find_parked(
        &self,
        cx: &Context<'_>,
        message: &Message,
    ) -> Result<Option<Result<Sent, Error>>, Error> {
        if cx.parking().has_any() { self.look_up_parked(cx, message).await } else { Ok(None) }
    }

    /// That nothing which this message would repeat waits.
    pub(super) fn nothing_parked(&self, message: &Message) -> Option<Assertion> {
        let key = self.repeat.clone()?;
        let Message { conversation, sender, .. } = message;
        Some(Assertion::NothingParked { conversation: Box::new(conversation.clone()), sender: sender.clone(), key })
    }

    /// As [`Self::find_parked`], however little this node knows of messages that wait.
    pub(super) async fn look_up_parked(
        &self,
        cx: &Context<'_>,
        message: &Message,
    ) -> Result<Option<Result<Sent, Error>>, Error> {
        let Some(key) = &self.repeat else { return Ok(None) };
        let found = cx.store().parked_repeat(&message.conversation, &message.sender, key, cx.now()).await?;
        let Some(parked) = found else { return Ok(None) };
        Ok(match parked.decision.map(|decision| decision.outcome) {
            None => Some(Err(Refusal::Parked { id: parked.message.id, until: parked.until }.into())),
            Some(Outcome::Rejected { code, info, detail }) => {
                Some(Err(Refusal::Rejected { code, info, detail }.into()))
            }
            Some(Outcome::Discarded) => Some(Ok(Sent { message: parked.message, fate: Fate::Discarded })),
            // It may have been sent since the log was looked at.
            Some(Outcome::Sent { .. }) => {
                let first = self.find_first(cx, message).await?;
                first.map(|message| Ok(Sent { message, fate: Fate::Repeated }))
            }
            // As with any message that the rules refuse: a retry is judged by the rules of its own time.
            Some(Outcome::Refused { .. }) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: ParkedCount = ParkedCount { waiting: 0, decided: 0 };

    #[test]
    fn before_anybody_has_counted_there_may_be_any() {
        let parking = Parking::default();
        assert!(parking.has_any() && parking.has_room());
        parking.counted(NONE, parking.begin_count());
        assert!(!parking.has_any());
        parking.counted(ParkedCount { waiting: 0, decided: 1 }, parking.begin_count());
        assert!(parking.has_any(), "a retry of it is to be answered");
    }

    #[test]
    fn what_is_parked_while_it_is_counted_is_not_forgotten() {
        let parking = Parking::default();
        let began = parking.begin_count();
        parking.one_more();
        parking.counted(NONE, began);
        assert!(parking.has_any(), "the count has not seen it");
        parking.counted(NONE, parking.begin_count());
        assert!(!parking.has_any());
    }

    #[test]
    fn room_is_what_the_count_has_left_and_nobody_has_taken_since() {
        let parking = Parking::default();
        let began = parking.begin_count();
        parking.one_more();
        parking.counted(ParkedCount { waiting: MOST_WAITING - 2, decided: 0 }, began);
        assert!(parking.has_room());
        parking.one_more();
        assert!(!parking.has_room());
        parking.counted(ParkedCount { waiting: MOST_WAITING - 1, decided: 0 }, parking.begin_count());
        assert!(parking.has_room());
    }
}
