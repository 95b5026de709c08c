//! What a deliverer shows, and what it counts, by the names under which that is shown.

use std::sync::PoisonError;

use chat::id::Timestamp;
use tokio::time::Instant;

use super::Deliverer;
use super::handle::{Standing, State};
use super::reader::Reader;
use super::telling::Outcome;

/// Looked up once: an event is told in some 40 µs, and looking up four metrics by their labels would be a tenth of it.
pub(super) struct Metrics {
    pub(super) told: metrics::Counter,
    pub(super) refused: metrics::Counter,
    pub(super) unanswered: metrics::Counter,
    pub(super) unsendable: metrics::Counter,
    pub(super) unnoted: metrics::Counter,
    pub(super) seconds: metrics::Histogram,
    pub(super) lag: metrics::Gauge,
    pub(super) lag_seconds: metrics::Gauge,
    pub(super) states: [(State, metrics::Gauge); 5],
    pub(super) lagging: metrics::Gauge,
    pub(super) failing: metrics::Gauge,
    pub(super) dead: metrics::Gauge,
    pub(super) replay: metrics::Gauge,
    pub(super) in_flight: metrics::Gauge,
    pub(super) window: metrics::Gauge,
    pub(super) lanes: metrics::Gauge,
}

/// Takes back what a deliverer has shown of an endpoint that is gone.
pub(crate) fn hide(endpoint: &str) {
    Metrics::of(endpoint).hide();
}

impl Metrics {
    pub(super) fn of(endpoint: &str) -> Self {
        let tellings = |outcome: &'static str| metrics::counter!("ringback_tellings_total", "endpoint" => endpoint.to_owned(), "outcome" => outcome);
        let gauge = |name: &'static str| metrics::gauge!(name, "endpoint" => endpoint.to_owned());
        let state = |state: State| {
            (
                state,
                metrics::gauge!("ringback_endpoint_state", "endpoint" => endpoint.to_owned(), "state" => state.name()),
            )
        };
        Self {
            told: tellings("told"),
            refused: tellings("refused"),
            unanswered: tellings("unanswered"),
            unsendable: tellings("unsendable"),
            unnoted: metrics::counter!("ringback_attempts_not_noted_total", "endpoint" => endpoint.to_owned()),
            seconds: metrics::histogram!("ringback_telling_seconds", "endpoint" => endpoint.to_owned()),
            lag: gauge("ringback_delivery_lag_events"),
            lag_seconds: gauge("ringback_delivery_lag_seconds"),
            states: [State::Up, State::Down, State::Held, State::Paused, State::Full].map(state),
            lagging: gauge("ringback_delivery_lagging_subjects"),
            failing: gauge("ringback_delivery_failing_subjects"),
            dead: gauge("ringback_delivery_dead_letters"),
            replay: gauge("ringback_delivery_replay_letters"),
            in_flight: gauge("ringback_delivery_in_flight"),
            window: gauge("ringback_delivery_window_events"),
            lanes: gauge("ringback_delivery_lanes"),
        }
    }

    /// Shows nothing any more: all that goes up and down is zero.
    fn hide(&self) {
        for gauge in [
            &self.lag,
            &self.lag_seconds,
            &self.lagging,
            &self.failing,
            &self.dead,
            &self.replay,
            &self.in_flight,
            &self.window,
            &self.lanes,
        ] {
            gauge.set(0.0);
        }
        self.states.iter().for_each(|(_, gauge)| gauge.set(0.0));
    }

    pub(super) fn count(&self, outcome: Outcome, events: u64) {
        match outcome {
            Outcome::Told => self.told.increment(events),
            Outcome::Refused | Outcome::Later(_) | Outcome::Busy(_) | Outcome::Gone => self.refused.increment(events),
            Outcome::Unanswered => self.unanswered.increment(events),
            Outcome::Unsendable => self.unsendable.increment(events),
            Outcome::Unread => {}
        }
    }

    pub(super) fn show(&self, standing: &Standing, now: Timestamp) {
        self.lag.set(standing.lag_events as f64);
        self.lag_seconds.set(standing.lag_seconds(now) as f64);
        self.lagging.set(standing.lagging as f64);
        self.failing.set(standing.failing as f64);
        self.lanes.set(standing.lanes as f64);
        self.dead.set(standing.letters.dead as f64);
        self.replay.set(standing.letters.replay as f64);
        self.in_flight.set(standing.calling as f64);
        for (state, gauge) in &self.states {
            gauge.set(if standing.state == *state { 1.0 } else { 0.0 });
        }
    }
}

impl Deliverer {
    pub(super) fn show(&self) {
        let now = Instant::now();
        let state = match &self.pause {
            Some(_) => State::Paused,
            None if self.endpoint.is_full() => State::Full,
            None if self.health.is_down() => State::Down,
            None if self.health.held_until(now).is_some() => State::Held,
            None => State::Up,
        };
        let standing = Standing {
            state,
            pause: self.pause.clone(),
            lag_events: self.readers.iter().map(Reader::lag).sum(),
            lag_since: self.lag_since,
            lagging: self.readers.iter().map(|reader| reader.lanes.behind()).sum(),
            failing: self.readers.iter().map(|reader| reader.lanes.failing().count()).sum(),
            lanes: self.readers.iter().map(|reader| reader.lanes.len()).sum(),
            calling: self.flights.len(),
            letters: self.letters.count,
        };
        self.metrics.show(&standing, self.parts.clock.now());
        let window: usize = self.readers.iter().map(|reader| reader.lanes.untold()).sum();
        self.metrics.window.set(window as f64);
        *self.shown.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}
