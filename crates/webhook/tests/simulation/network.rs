//! The network, and the receivers at its ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chat::refusal::AskFailure;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use webhook::Transport;
use webhook::deliver::settings::Acknowledge;
use webhook::transport::{Answer, CallFailure};

use crate::codec::{OK_BODY, Said, Told, is_every, number_of};
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
    call: u64,
    outcome: Outcome,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let Life { world, .. } = &*self.wire.life;
        // Of a process that is dead nobody learns anything.
        if self.wire.life.is_dead() {
            return;
        }
        let (endpoint, at) = (self.wire.endpoint, world.elapsed());
        world.judge(|judge| judge.call_ended(endpoint, self.call, self.outcome, at));
    }
}

impl Wire {
    /// What becomes of a call about some events, and when.
    fn fate(&self, said: &[Said]) -> (Fate, Duration) {
        let world = &self.life.world;
        let plan = &world.plan.endpoints[self.endpoint];
        let mut chance = lock(&world.network);
        let is_well = world.is_calm() && plan.heals;
        let now = world.elapsed();
        let mood = plan.moods.iter().rfind(|(from, _)| *from <= now).map_or(Mood::Well, |(_, mood)| *mood);
        let mood = if is_well { Mood::Well } else { mood };
        let is_poisonous = !(is_well && plan.poison_heals);
        let is_poison = is_poisonous && said.iter().any(|said| is_every(plan.poison, number_of(said.told.event)));
        let mut latency = chance.millis(0..=20);
        let timeout = u64::try_from(plan.timeout.as_millis()).unwrap_or(u64::MAX);
        let fate = match mood {
            Mood::Well => Fate::Status(200, None),
            Mood::Slow => {
                latency = chance.millis(timeout / 4..=timeout * 5 / 4);
                Fate::Status(204, None)
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
            Fate::Status(200..300, _) | Fate::Grumble if is_poison => Fate::Status(422, None),
            other => other,
        };
        (fate, latency)
    }
}

/// What a call says: about one event, or about several.
fn read(request: &Request<()>, body: &[u8]) -> Option<Vec<Said>> {
    if body.starts_with(b"[") {
        return serde_json::from_slice(body).ok();
    }
    let told: Told = serde_json::from_slice(body).ok()?;
    let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
    let (sequence, previous) = (header("ringback-sequence"), header("ringback-previous"));
    Some(vec![Said { told, id: header("webhook-id"), sequence, previous }])
}

#[async_trait]
impl Transport for Wire {
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, CallFailure> {
        self.life.place("it calls").await;
        let Life { world, number: life, .. } = &*self.life;
        let plan = &world.plan.endpoints[self.endpoint];
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let Some(said) = read(&Request::from_parts(head, ()), &body.to_bytes()) else {
            world.judge(|judge| judge.complain(format!("{} was told something that the codec never said", plan.name)));
            return Err(CallFailure::new(AskFailure::Unreadable, "not a call"));
        };
        let about = || {
            let names: Vec<String> = said.iter().map(|said| world.judge(|judge| judge.name(said.told))).collect();
            names.join(", ")
        };
        world.note(|| format!("→ {}: {}", plan.name, about()));
        let now = world.elapsed();
        let call = world.judge(|judge| judge.called(self.endpoint, *life, &said, now));
        let mut flight = Flight { wire: self, call, outcome: Outcome::Nothing };
        let (fate, latency) = self.fate(&said);
        if fate == Fate::Silence {
            std::future::pending::<()>().await;
        }
        self.life.wait(latency).await;
        self.life.place("an answer comes").await;
        world.note(|| format!("← {}: {}: {fate:?}", plan.name, about()));
        let answer = |status: u16, seconds: Option<u64>, body: &'static [u8]| Answer {
            status: StatusCode::from_u16(status).expect("the fates know statuses"),
            retry_after: seconds.map(Duration::from_secs),
            date: None,
            body: Bytes::from_static(body),
        };
        let is_body_wanted = plan.telling.acknowledge == Acknowledge::Body;
        let (outcome, result) = match fate {
            Fate::Status(status @ 200..300, _) => (Outcome::Accepted, Ok(answer(status, None, OK_BODY))),
            Fate::Status(410, _) => (Outcome::Gone, Ok(answer(410, None, b"no"))),
            Fate::Status(status, seconds) => {
                let after = Duration::from_secs(seconds.unwrap_or_default());
                let outcome = match status {
                    429 => Outcome::Busy(after),
                    503 => Outcome::Later(after),
                    _ => Outcome::Refused,
                };
                (outcome, Ok(answer(status, seconds, b"no")))
            }
            Fate::Grumble if !is_body_wanted => (Outcome::Accepted, Ok(answer(200, None, b"hm"))),
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
