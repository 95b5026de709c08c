//! How an endpoint wants to be told.

use std::time::Duration;

use super::schedule::Schedule;

/// Everything about telling an endpoint that its operator decides.
#[derive(Clone, Debug)]
pub struct TellingSettings {
    /// What counts as told.
    pub acknowledge: Acknowledge,
    /// Whether events of one subject are told one after the other.
    pub order: Order,
    /// When an event that is refused is tried again.
    pub schedule: Schedule,
    /// When its oldest event has waited for so long, the endpoint is too far behind.
    pub max_age: Duration,
    /// With so many dead letters it has too many.
    pub max_dead: u64,
    /// What happens when it is too far behind, or has too many dead letters.
    pub when_full: WhenFull,
    /// At most so many calls a second; none: as many as it takes.
    pub rate: Option<u32>,
    /// At most so many events in one call; 1: no batches.
    pub batch: usize,
    /// No call has a larger body, in bytes. A single event that has becomes a dead letter.
    pub max_body_bytes: usize,
}

impl Default for TellingSettings {
    fn default() -> Self {
        Self {
            acknowledge: Acknowledge::Status,
            order: Order::Ordered,
            schedule: Schedule::default(),
            max_age: Duration::from_secs(7 * 24 * 60 * 60),
            max_dead: 100_000,
            when_full: WhenFull::Pause,
            rate: None,
            batch: 1,
            // A message of the largest size that may be configured (1 MiB), escaped.
            max_body_bytes: 8 << 20,
        }
    }
}

/// What counts as told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// Any 2xx.
    Status,
    /// A 2xx whose body says OK in the dialect's words.
    Body,
}

/// Whether events of one subject wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, in the order of the log.
    Ordered,
    /// As they come: each event is tried on its own.
    Unordered,
}

/// What happens when an endpoint can take no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is paused, and chatting goes on.
    Pause,
    /// Nothing new is accepted from anybody, until it has caught up or somebody decides.
    Refuse,
}
