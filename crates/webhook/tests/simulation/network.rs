//! The network, and the receivers at its ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chat::refusal::AskFailure;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use webhook::Transport;
use webhook::transport::{Answer, CallFailure};

use crate::codec::{OK_BODY, Told};
use crate::judge::Outcome;
use crate::plan::Mood;
use crate::world::{Life, lock};

/// The way to one receiver, in one life of the process.
pub(crate) struct Wire {
    pub(crate) life: Arc<Life>,
    /// Which endpoint's.
    pub(crate) endpoint: usize,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// An answer with this status, and `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// 200, with a body that does not say OK.
    Grumble,
    /// Nothing ever comes back.
    Silence,
    /// No connection.
    NoConnection,
    /// The connection breaks in the middle of the answer.
    HalfBody,
    /// More of an answer than anybody reads.
    TooLong,
}

/// Says that a call is over, also if the caller has given up on it.
struct Flight<'a> {
    wire: &'a Wire,
    told: Told,
    outcome: Outcome,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let Life { world, number, .. } = &*self.wire.life;
        if self.wire.life.is_dead() {
            return;
        }
        let (endpoint, at) = (self.wire.endpoint, world.elapsed());
        world.judge(|judge| judge.call_ended(endpoint, *number, self.told, self.outcome, at));
    }
}

impl Wire {
    /// What becomes of a call about an event, and when.
    fn fate(&self, number: usize) -> (Fate, Duration) {
        let world = &self.life.world;
        let plan = &world.plan.endpoints[self.endpoint];
        let mut chance = lock(&world.network);
        let (mut mood, mut is_poison) = (Mood::Well, false);
        if !world.is_calm() || !plan.heals {
            let now = world.elapsed();
            mood = plan.moods.iter().rfind(|(from, _)| *from <= now).map_or(Mood::Well, |(_, mood)| *mood);
            is_poison = plan.poison.is_some_and(|divisor| number.is_multiple_of(divisor));
        }
        let quick = chance.millis(0..=20);
        let timeout = u64::try_from(plan.timeout.as_millis()).unwrap_or(u64::MAX);
        let fate = match mood {
            Mood::Well => Fate::Status(200, None),
            Mood::Slow => {
                let latency = chance.millis(timeout / 4..=timeout * 5 / 4);
                return (Fate::Status(204, None), latency);
            }
            Mood::Hanging => Fate::Silence,
            Mood::Gone => Fate::NoConnection,
            Mood::Failing => Fate::Status(chance.pick(&[500, 502, 400, 302]), None),
            Mood::Breaking => Fate::HalfBody,
            Mood::Busy => Fate::Status(chance.pick(&[429, 503]), Some(chance.from(0..=10))),
            Mood::Removed => Fate::Status(410, None),
            Mood::Mixed => chance.pick(&[
                Fate::Status(200, None),
                Fate::Status(200, None),
                Fate::Status(200, None),
                Fate::Status(500, None),
                Fate::Grumble,
                Fate::Silence,
                Fate::NoConnection,
                Fate::HalfBody,
                Fate::TooLong,
            ]),
        };
        let fate = match fate {
            Fate::Status(200..300, _) if is_poison => Fate::Status(422, None),
            other => other,
        };
        (fate, quick)
    }
}

#[async_trait]
impl Transport for Wire {
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, CallFailure> {
        self.life.place("it calls").await;
        let Life { world, number: life, .. } = &*self.life;
        let plan = &world.plan.endpoints[self.endpoint];
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let id = header("webhook-id");
        let Ok(told) = serde_json::from_slice::<Told>(&body.to_bytes()) else {
            world.judge(|judge| judge.complain(format!("{} was told something that the codec never said", plan.name)));
            return Err(CallFailure::new(AskFailure::Unreadable, "not a call"));
        };
        let now = world.elapsed();
        let known = world.judge(|judge| judge.called(self.endpoint, *life, told, id.as_deref(), now));
        let mut flight = Flight { wire: self, told, outcome: Outcome::Nothing };
        let (fate, latency) = self.fate(known.number);
        world.note(|| {
            let attempt = if known.attempts > 1 { format!(", attempt {}", known.attempts) } else { String::new() };
            format!("→ {}: #{} of {}{attempt}", plan.name, known.number, known.subject)
        });
        if fate == Fate::Silence {
            std::future::pending::<()>().await;
        }
        self.life.wait(latency).await;
        self.life.place("an answer comes").await;
        world.note(|| format!("← {}: #{} of {}: {fate:?}", plan.name, known.number, known.subject));
        let answer = |status: u16, seconds: Option<u64>, body: &'static [u8]| Answer {
            status: StatusCode::from_u16(status).expect("the fates know statuses"),
            retry_after: seconds.map(Duration::from_secs),
            body: Bytes::from_static(body),
        };
        let (outcome, result) = match fate {
            Fate::Status(status @ 200..300, _) => (Outcome::Accepted, Ok(answer(status, None, OK_BODY))),
            Fate::Status(status, seconds) => (Outcome::Refused, Ok(answer(status, seconds, b"no"))),
            Fate::Grumble if !plan.is_body_wanted => (Outcome::Accepted, Ok(answer(200, None, b"hm"))),
            Fate::Grumble => (Outcome::Refused, Ok(answer(200, None, b"hm"))),
            Fate::TooLong => (Outcome::Refused, Err(CallFailure::new(AskFailure::Unreadable, "too long"))),
            Fate::NoConnection => (Outcome::Nothing, Err(CallFailure::new(AskFailure::Unreachable, "refused"))),
            Fate::HalfBody | Fate::Silence => {
                (Outcome::Nothing, Err(CallFailure::new(AskFailure::Unreachable, "it broke")))
            }
        };
        flight.outcome = outcome;
        result
    }
}
