//! The judge: sees every commit, call and save of a run, and says which promise was broken.
//!
//! It knows nothing of how the engine works. An endpoint is *owed* an event until it has accepted it (and the process lived
//! to see that), or until the event has left its subject's order as a letter on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chat::event::{Event, LogEntry, Position, Shard, Subject};
use chat::id::EventId;
use webhook::deliver::settings::{Order, WhenFull};
use webhook::ledger::{Gap, Letter, LetterState, PauseReason};

use crate::codec::{Said, Told, command_of, is_every, number_of};
use crate::plan::{EndpointPlan, Plan};
use crate::store::{Rows, Who, name_of};

/// What an answer says is minded after this time: when it comes, a call may be on its way for which the log is read, three
/// times at most, of which each takes up to 120 ms.
const LEARNS_WITHIN: Duration = Duration::from_millis(400);

/// After so many failures without a success the endpoint may count as down: then it is probed with anything, and when it is
/// back everything goes on, whatever was asked for of one event.
const MAY_BE_DOWN_AFTER: u32 = 8;

/// What is asked about ages is known within the 10 s at which times are noted, and asked every 10 s.
const AGE_WITHIN: Duration = Duration::from_secs(20);

/// ... and what follows from it is saved, or seen, within this: as often as somebody looks, and as long as saves take.
const DONE_WITHIN: Duration = Duration::from_secs(10);

/// For so long after a start, or after it is resumed, an endpoint may catch up without being too far behind.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// Where an event is.
type Place = (Shard, Position);

/// See the module.
#[derive(Debug)]
pub(crate) struct Judge {
    plan: Arc<Plan>,
    facts: BTreeMap<Place, Fact>,
    watched: Vec<Watched>,
    /// Which telling a `webhook-id` belongs to.
    ids: BTreeMap<String, (usize, Place)>,
    next_call: u64,
    /// What was trimmed was there.
    trimmed_places: BTreeSet<Place>,
    /// Pauses that are in the log, until they end: of whom, and why.
    announced: BTreeSet<(String, String)>,
    /// Up to where anything may have been, as it was said before it was done.
    may_be_trimmed: BTreeMap<Shard, Position>,
    /// Repeats, but for those of events that are letters and, because of a death, wait for their turn as well.
    pub(crate) repeated: u64,
    /// The first promise that was broken.
    pub(crate) verdict: Option<String>,
    pub(crate) figures: Figures,
}

/// What has happened, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) events: u64,
    pub(crate) calls: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unanswered: u64,
    pub(crate) repeats: u64,
    pub(crate) saves: u64,
    pub(crate) dead: u64,
    pub(crate) trimmed: u64,
    /// Tellings in gaps.
    pub(crate) lost: u64,
    pub(crate) replayed: u64,
    pub(crate) pauses: u64,
    pub(crate) deaths: u64,
    pub(crate) virtual_seconds: u64,
}

/// An event that was committed.
#[derive(Clone, Debug)]
struct Fact {
    event: EventId,
    subject: Subject,
    command: Option<&'static str>,
    /// When it was committed.
    time: Duration,
}

/// What is known about an endpoint.
#[derive(Debug, Default)]
struct Watched {
    /// Where its cursors began, once they are on the disk.
    started: BTreeMap<Shard, Position>,
    owed: BTreeMap<Shard, BTreeMap<Subject, BTreeSet<Position>>>,
    /// Letters that are to be told.
    replay: BTreeSet<Place>,
    tellings: BTreeMap<Place, Telling>,
    /// What the events are about that it was told of.
    subjects: BTreeMap<Place, Subject>,
    /// Events that are owed, and the first later one of the subject that it was told of before: they are given up, and may
    /// only be told apart from the subject's order.
    passed: BTreeMap<Place, (Position, u32)>,
    /// In which life of the process an event became a letter on the disk, first.
    lettered: BTreeMap<Place, u32>,
    /// The wall clock jumps: a letter, which is due at a time of day, may come early.
    has_jumps: bool,
    /// A save that failed may have been carried out: a letter that was told meanwhile is written once more.
    is_doubtful: bool,
    calls: BTreeMap<u64, Vec<Place>>,
    /// In which life of the process it is now, and what that found on the disk.
    life: u32,
    cursors: BTreeMap<Shard, Position>,
    behind: BTreeMap<(Shard, Subject), Position>,
    /// No call may begin after this.
    quiet_from: Option<Duration>,
    /// No call may begin after the first and before the second: it asked for that.
    held: Option<(Duration, Duration)>,
    /// Calls that failed since one was accepted.
    failures: u32,
    /// From when on its age is held against it: it may catch up until then.
    strict_from: Option<Duration>,
    /// Since when it has too many dead letters, as far as somebody looked.
    too_many_since: Option<Duration>,
    /// Since when nothing new is accepted for its sake without a reason, as far as somebody looked.
    refuses_since: Option<Duration>,
}

/// What is known about telling one endpoint of one event.
#[derive(Debug, Default)]
struct Telling {
    id: Option<String>,
    attempts: u32,
    /// Failures since it was last made a letter by the operator, or ever.
    failures: u32,
    failed_first: Option<Duration>,
    accepted_in: Option<u32>,
    is_skipped: bool,
    was_replayed: bool,
    not_before: Option<Duration>,
}

/// How a call ended, as far as the process learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Refused,
    /// It refused, and asked to be left alone for so long.
    Busy(Duration),
    /// It refused, and asked not to be told of that again before so long.
    Later(Duration),
    /// It answered that it wants no more calls.
    Gone,
    Nothing,
}

impl Judge {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let (is_doubtful, has_jumps) = (plan.is_doubtful(), plan.has_jumps());
        Self {
            facts: BTreeMap::new(),
            watched: plan.endpoints.iter().map(|_| Watched { is_doubtful, has_jumps, ..Watched::default() }).collect(),
            ids: BTreeMap::new(),
            next_call: 0,
            announced: BTreeSet::new(),
            may_be_trimmed: BTreeMap::new(),
            trimmed_places: BTreeSet::new(),
            repeated: 0,
            verdict: None,
            figures: Figures::default(),
            plan,
        }
    }

    /// A promise was broken. The first counts: what comes later may follow from it.
    pub(crate) fn complain(&mut self, what: String) {
        self.verdict.get_or_insert(what);
    }

    /// What an event is called in traces.
    pub(crate) fn name(&self, told: Told) -> String {
        let subject = self.facts.get(&(told.shard, told.position)).map(|fact| name_of(&fact.subject));
        format!("#{} of {}", number_of(told.event), subject.unwrap_or_default())
    }

    fn endpoint(&self, name: &str) -> Option<usize> {
        self.plan.endpoints.iter().position(|endpoint| endpoint.name == name)
    }

    /// An event was committed.
    pub(crate) fn committed(&mut self, entry: &LogEntry, time: Duration) {
        self.figures.events += 1;
        if let Event::EndpointPaused(pause) = &entry.event {
            self.announced.insert((pause.endpoint.clone(), pause.reason.clone()));
        }
        let place = (entry.shard, entry.position);
        let (event, subject) = (entry.event.id(), entry.event.subject());
        let fact = Fact { event, subject, command: command_of(&entry.event), time };
        for (plan, watched) in self.plan.endpoints.iter().zip(&mut self.watched) {
            watched.owe(plan, place, &fact);
        }
        self.facts.insert(place, fact);
    }

    /// A life of the process begins for an endpoint, with this on the disk.
    pub(crate) fn opened(&mut self, endpoint: usize, life: u32, rows: &Rows, now: Duration) {
        let (plan, watched) = (&self.plan.endpoints[endpoint], &mut self.watched[endpoint]);
        let name = &plan.name;
        watched.life = life;
        watched.calls.clear();
        let cursors = rows.cursors.iter().filter(|((of, _), _)| of == name);
        watched.cursors = cursors.map(|((_, shard), cursor)| (*shard, cursor.position)).collect();
        let behind = rows.behind.iter().filter(|((of, _), _)| of == name);
        watched.behind = behind
            .flat_map(|((_, shard), rows)| rows.iter().map(|(subject, row)| ((*shard, subject.clone()), row.told)))
            .collect();
        watched.quiet_from = rows.pauses.contains_key(name).then_some(now);
        watched.strict_from = Some(now + plan.telling.max_age.min(GRACE));
        (watched.too_many_since, watched.refuses_since) = (None, None);
        watched.held = None;
        watched.tellings.values_mut().for_each(|telling| telling.not_before = None);
    }

    /// An endpoint is called. Returns the number of the call.
    pub(crate) fn called(&mut self, endpoint: usize, life: u32, said: &[Said], now: Duration) -> u64 {
        self.figures.calls += 1;
        self.next_call += 1;
        let plan = self.plan.clone();
        let plan = &plan.endpoints[endpoint];
        let name = &plan.name;
        if let Some(complaint) = self.watched[endpoint].may_call(plan, life, said.len(), now) {
            self.complain(format!("{name} is called {complaint}"));
        }
        let mut places = Vec::new();
        for said in said {
            let place = (said.told.shard, said.told.position);
            let Some(fact) = self.facts.get(&place).filter(|fact| fact.event == said.told.event).cloned() else {
                self.complain(format!("{name} is told of an event that was never committed: {:?}", said.told));
                continue;
            };
            let (before, previous) = self.previous(endpoint, place, &fact.subject);
            // Nothing is said of what was before if anything between may have been trimmed.
            let may_be_silent = self.may_be_trimmed.get(&place.0).is_some_and(|trimmed| before <= *trimmed);
            let previous = (previous, may_be_silent);
            let attempts = self.watched[endpoint].tellings.get(&place).map_or(0, |telling| telling.attempts);
            self.figures.repeats += u64::from(attempts > 0);
            self.repeated += u64::from(attempts > 0 && !self.watched[endpoint].is_both(place));
            if let Some(complaint) = self.watched[endpoint].told(plan, said, &fact, previous, &places, now) {
                self.complain(format!("{name} is told of {} {complaint}", self.name(said.told)));
            }
            if is_every(self.plan.unwordable, number_of(fact.event)) {
                self.complain(format!("{name} is told of {}, for which there are no words", self.name(said.told)));
            }
            if let Some(id) = &said.id {
                let owner = self.ids.entry(id.clone()).or_insert((endpoint, place));
                if *owner != (endpoint, place) {
                    self.complain(format!("{name}: {} has the webhook-id of another telling", self.name(said.told)));
                }
            }
            places.push(place);
        }
        self.watched[endpoint].calls.insert(self.next_call, places);
        self.next_call
    }

    /// The `webhook-id` of the event of the same subject that an endpoint is owed before another, and where that is; empty,
    /// and where the endpoint began, if there is none.
    fn previous(&self, endpoint: usize, (shard, position): Place, subject: &Subject) -> (Position, String) {
        let (plan, watched) = (&self.plan.endpoints[endpoint], &self.watched[endpoint]);
        let start = watched.started.get(&shard).copied().unwrap_or_default();
        let earlier = self.facts.range((shard, Position(start.0 + 1))..(shard, position)).rev();
        let mut owed = earlier.filter(|(_, fact)| fact.subject == *subject && subscribes(plan, fact.command));
        let named = owed.next().map(|((_, place), fact)| (*place, format!("{}.{}", fact.event, plan.name)));
        named.unwrap_or((start, String::new()))
    }

    /// A call is over.
    pub(crate) fn call_ended(&mut self, endpoint: usize, call: u64, outcome: Outcome, now: Duration) {
        let watched = &mut self.watched[endpoint];
        // One of an earlier life is nobody's business any more.
        let Some(places) = watched.calls.remove(&call) else { return };
        match outcome {
            Outcome::Accepted => self.figures.accepted += 1,
            Outcome::Refused | Outcome::Busy(_) | Outcome::Later(_) | Outcome::Gone => self.figures.refused += 1,
            Outcome::Nothing => self.figures.unanswered += 1,
        }
        match outcome {
            Outcome::Gone => {
                self.figures.pauses += 1;
                watched.quiet_from = watched.quiet_from.or(Some(now));
            }
            Outcome::Busy(after) => {
                let until = now + after;
                watched.held = Some(watched.held.map_or((now, until), |(_, before)| (now, until.max(before))));
            }
            _ => {}
        }
        watched.failures = if outcome == Outcome::Accepted { 0 } else { watched.failures + 1 };
        if watched.failures == MAY_BE_DOWN_AFTER {
            watched.tellings.values_mut().for_each(|telling| telling.not_before = None);
        }
        for place in places {
            let telling = watched.tellings.entry(place).or_default();
            if outcome == Outcome::Accepted {
                telling.accepted_in = Some(watched.life);
                if let Some(fact) = self.facts.get(&place) {
                    watched.settle(place, &fact.subject);
                }
            } else {
                if let Outcome::Later(after) = outcome
                    && watched.failures < MAY_BE_DOWN_AFTER
                {
                    telling.not_before = Some(now + after);
                }
                telling.failures += 1;
                telling.failed_first.get_or_insert(now);
            }
        }
    }

    /// The engine has made an event a letter, or changed one, and that is on the disk.
    pub(crate) fn lettered(&mut self, letter: &Letter, now: Duration) {
        let Some(endpoint) = self.endpoint(&letter.endpoint) else { return };
        let place = (letter.shard, letter.position);
        let Some(fact) = self.facts.get(&place).cloned() else {
            return self.complain(format!("there is a letter about nothing: {letter:?}"));
        };
        let plan = self.plan.clone();
        let schedule = &plan.endpoints[endpoint].telling.schedule;
        let watched = &mut self.watched[endpoint];
        watched.settle(place, &fact.subject);
        watched.lettered.entry(place).or_insert(watched.life);
        let telling = watched.tellings.entry(place).or_default();
        let is_unwordable = is_every(plan.unwordable, number_of(fact.event));
        if letter.state == LetterState::Replay {
            watched.replay.insert(place);
            return;
        }
        watched.replay.remove(&place);
        self.figures.dead += 1;
        // What was trimmed before the operator had it told again, or while a paused endpoint kept it in memory, is in a gap
        // or was told, and cannot be told again.
        if is_unwordable || telling.is_skipped || self.trimmed_places.contains(&place) {
            return;
        }
        let (failures, attempts) = (telling.failures, schedule.attempts());
        let waited = telling.failed_first.map_or(Duration::ZERO, |first| now.saturating_sub(first));
        let name = format!("{}: #{} of {}", letter.endpoint, number_of(fact.event), name_of(&fact.subject));
        // The operator may have had it replayed before a save that failed, and was carried out, is repeated.
        if watched.is_doubtful && telling.was_replayed {
            return;
        }
        if telling.accepted_in.is_some() && failures == 0 {
            self.complain(format!("{name} was accepted, and is a dead letter"));
        } else if (failures as usize) < attempts {
            self.complain(format!("{name} is dead after {failures} failures; its schedule has {attempts} attempts"));
        } else if waited < schedule.span() && !plan.has_jumps() {
            self.complain(format!("{name} is dead after {waited:?}; its schedule takes {:?}", schedule.span()));
        }
    }

    /// The operator has an event told again.
    pub(crate) fn replayed(&mut self, letter: &Letter) {
        self.figures.replayed += 1;
        let Some(endpoint) = self.endpoint(&letter.endpoint) else { return };
        let (watched, place) = (&mut self.watched[endpoint], (letter.shard, letter.position));
        watched.replay.insert(place);
        let telling = watched.tellings.entry(place).or_default();
        let (id, attempts) = (telling.id.take(), telling.attempts);
        *telling = Telling { id, attempts, was_replayed: true, ..Telling::default() };
    }

    /// A letter was removed: by the engine, because it was told, or by the operator.
    pub(crate) fn letter_removed(&mut self, endpoint: &str, place: Place, who: Who) {
        let Some(endpoint) = self.endpoint(endpoint) else { return };
        let watched = &mut self.watched[endpoint];
        watched.replay.remove(&place);
        let was_told = watched.tellings.get(&place).is_some_and(|telling| telling.accepted_in.is_some());
        if who == Who::Engine && !was_told {
            self.complain(format!("a letter about {place:?} was removed, and nobody was told"));
        }
    }

    /// The operator gives up an event.
    pub(crate) fn skipped(&mut self, endpoint: usize, event: EventId) {
        let place = self.facts.iter().find(|(_, fact)| fact.event == event).map(|(place, _)| *place);
        let Some(place) = place else { return };
        let watched = &mut self.watched[endpoint];
        watched.tellings.entry(place).or_default().is_skipped = true;
        // The rest of its subject goes on at once, whatever was asked for.
        let subject = watched.subjects.get(&place).cloned();
        for (place, telling) in &mut watched.tellings {
            if watched.subjects.get(place) == subject.as_ref() {
                telling.not_before = None;
            }
        }
    }

    /// The deliverer of an endpoint begins: it may have taken a while until the store could be read.
    pub(crate) fn began(&mut self, endpoint: usize, now: Duration) {
        let (plan, watched) = (&self.plan.endpoints[endpoint], &mut self.watched[endpoint]);
        watched.strict_from = Some(now + plan.telling.max_age.min(GRACE));
    }

    /// The operator wants no more calls, and that is on the disk; or wants calls again.
    pub(crate) fn is_to_be_quiet(&mut self, endpoint: usize, from: Option<Duration>, now: Duration) {
        let (plan, watched) = (&self.plan.endpoints[endpoint], &mut self.watched[endpoint]);
        watched.quiet_from = from;
        if from.is_none() {
            watched.strict_from = Some(now + plan.telling.max_age.min(GRACE));
            watched.too_many_since = None;
            watched.held = None;
            watched.tellings.values_mut().for_each(|telling| telling.not_before = None);
        }
    }

    /// A pause is on the disk, or is no longer. One that nobody asked for is in the log before.
    pub(crate) fn paused(&mut self, name: &str, reason: Option<PauseReason>) {
        match reason {
            None => self.announced.retain(|(of, _)| of != name),
            Some(PauseReason::Operator) => {}
            Some(reason) => {
                if !self.announced.contains(&(name.to_owned(), reason.name().to_owned())) {
                    self.complain(format!("{name} is paused ({}), and no event says so", reason.name()));
                }
            }
        }
    }

    /// Somebody looks whether an endpoint that is too far behind, or has too many dead letters, is paused, or `refuses` what
    /// is new, as it is configured; and that it refuses nothing otherwise. `is_sure`: neither the clock nor the store is to
    /// blame if not.
    pub(crate) fn look_at_bounds(&mut self, endpoint: usize, rows: &Rows, refuses: bool, is_sure: bool, now: Duration) {
        let (plan, watched) = (&self.plan.endpoints[endpoint], &mut self.watched[endpoint]);
        let of_it = |key: &&(String, Shard, Position)| key.0 == plan.name;
        let dead = rows.letters.iter().filter(|(key, letter)| of_it(key) && letter.state == LetterState::Dead).count();
        let has_too_many = dead as u64 >= plan.telling.max_dead;
        let places = watched.owed.iter().flat_map(|(shard, subjects)| {
            subjects.values().filter_map(|positions| Some((*shard, *positions.first()?)))
        });
        let oldest = places.filter_map(|place| self.facts.get(&place)).map(|fact| fact.time).min();
        let too_old_at = oldest.map(|oldest| oldest + plan.telling.max_age);
        let strict_at = too_old_at.and_then(|at| Some(at.max(watched.strict_from?)));
        let refuses_if = plan.telling.when_full == WhenFull::Refuse;
        if !is_sure {
            (watched.too_many_since, watched.refuses_since) = (None, None);
            return;
        }
        let too_many_since = *watched.too_many_since.get_or_insert(now);
        if !has_too_many {
            watched.too_many_since = None;
        }
        let is_long = |since: Duration, within: Duration| now > since + within;
        let must_be_full = strict_at.is_some_and(|at| is_long(at, AGE_WITHIN + DONE_WITHIN))
            || has_too_many && is_long(too_many_since, DONE_WITHIN);
        let is_it = if refuses_if { refuses } else { rows.pauses.contains_key(&plan.name) };
        // What it was told of in this life and did not save, or what it tells again after a death, is as old to it.
        let may_be_full = has_too_many || too_old_at.is_some() || watched.life > 1;
        let refuses_since = *watched.refuses_since.get_or_insert(now);
        if !refuses || may_be_full {
            watched.refuses_since = None;
        }
        let name = plan.name.clone();
        if must_be_full && !is_it {
            self.complain(format!(
                "{name} has {dead} dead letters, its oldest event is of {oldest:?}, and it is neither paused nor full"
            ));
        } else if refuses && !may_be_full && is_long(refuses_since, AGE_WITHIN + DONE_WITHIN) {
            self.complain(format!("{name} is full, with {dead} dead letters, and owed nothing"));
        }
    }

    /// Progress of an endpoint is on the disk.
    pub(crate) fn saved(&mut self, name: &str, shard: Shard, rows: &Rows, end: Position) {
        self.figures.saves += 1;
        let key = (name.to_owned(), shard);
        let Some(cursor) = rows.cursors.get(&key) else { return };
        if name == "log/trimmed" {
            self.may_be_trimmed.insert(shard, cursor.position);
            return;
        }
        let Some(endpoint) = self.endpoint(name) else {
            return self.complain(format!("there is no endpoint {name}"));
        };
        let (plan, watched) = (&self.plan.endpoints[endpoint], &mut self.watched[endpoint]);
        if cursor.position > end {
            let (position, end) = (cursor.position.0, end.0);
            return self.complain(format!("{name}: a cursor stands at {position}, and the log ends at {end}"));
        }
        if watched.started.insert(shard, cursor.started).is_none() {
            for (place, fact) in self.facts.range((shard, Position(0))..=(shard, Position(u64::MAX))) {
                watched.owe(plan, *place, fact);
            }
        }
        let behind = rows.behind.get(&key);
        let owed = watched.owed.get(&shard).into_iter().flatten();
        let mut first = owed.filter_map(|(subject, positions)| Some((subject, *positions.first()?)));
        let passed = first.find(|(subject, first)| {
            let told = behind.and_then(|rows| rows.get(*subject)).map_or(cursor.position, |row| row.told);
            told >= *first
        });
        if let Some((_, position)) = passed {
            let what =
                self.facts.get(&(shard, position)).map(|fact| self.name(Told { shard, position, event: fact.event }));
            self.complain(format!("{name}: {} is saved as told, and is not", what.unwrap_or_default()));
        }
    }

    /// Events were removed from the log. Whoever is owed one of them must have a gap there.
    pub(crate) fn trimmed(&mut self, shard: Shard, places: &[Position], rows: &Rows) {
        self.figures.trimmed += places.len() as u64;
        let said = self.may_be_trimmed.get(&shard).copied().unwrap_or_default();
        if let Some(position) = places.iter().find(|position| **position > said) {
            let words = format!("{} of shard {} is trimmed, although it was not said before", position.0, shard.0);
            self.complain(words);
        }
        for endpoint in 0..self.watched.len() {
            let name = self.plan.endpoints[endpoint].name.clone();
            for position in places {
                let Some(fact) = self.facts.get(&(shard, *position)).cloned() else { continue };
                self.trimmed_places.insert((shard, *position));
                let watched = &mut self.watched[endpoint];
                let owed = watched.owed.get(&shard).and_then(|subjects| subjects.get(&fact.subject));
                if !owed.is_some_and(|owed| owed.contains(position)) {
                    continue;
                }
                let is_it = |gap: &&Gap| gap.endpoint == name && gap.shard == shard;
                let mut gaps = rows.gaps.iter().filter(is_it);
                if gaps.any(|gap| gap.after < *position && *position <= gap.up_to) {
                    self.figures.lost += 1;
                    watched.settle((shard, *position), &fact.subject);
                } else {
                    let what = self.name(Told { shard, position: *position, event: fact.event });
                    self.complain(format!("{name} was owed {what}, which was trimmed without a gap"));
                }
            }
        }
    }

    /// Whether an endpoint is owed nothing any more.
    pub(crate) fn is_content(&self, endpoint: usize) -> bool {
        let watched = &self.watched[endpoint];
        watched.replay.is_empty() && watched.owed.values().all(BTreeMap::is_empty)
    }

    /// Whether this life of the process has nothing left to tell an endpoint: an orderly stop must then save that all is
    /// told. What an earlier life was told of, and did not save, this one tells again.
    pub(crate) fn is_done(&self, endpoint: usize) -> bool {
        let (plan, watched) = (&self.plan.endpoints[endpoint], &self.watched[endpoint]);
        self.facts.iter().all(|(place, fact)| {
            let is_after_start = watched.started.get(&place.0).is_some_and(|started| place.1 > *started);
            let accepted_in = watched.tellings.get(place).and_then(|telling| telling.accepted_in);
            !is_after_start
                || !subscribes(plan, fact.command)
                || watched.was_saved(*place, &fact.subject)
                || watched.lettered.contains_key(place)
                || accepted_in == Some(watched.life)
        })
    }

    /// Whether an endpoint is owed nothing but letters.
    pub(crate) fn owes_letters_only(&self, endpoint: usize) -> bool {
        self.watched[endpoint].owed.values().all(BTreeMap::is_empty)
    }

    /// Whether an endpoint will refuse for ever whatever it can be told of next. It then looks like one that is down, and
    /// its events wait.
    pub(crate) fn is_poisoned(&self, endpoint: usize) -> bool {
        let (plan, watched) = (&self.plan.endpoints[endpoint], &self.watched[endpoint]);
        let is_poison =
            |place: Place| self.facts.get(&place).is_some_and(|fact| is_every(plan.poison, number_of(fact.event)));
        let firsts = watched.owed.iter().flat_map(|(shard, subjects)| {
            subjects.values().filter_map(|positions| Some((*shard, *positions.first()?)))
        });
        let (poison, others): (Vec<Place>, Vec<Place>) =
            firsts.chain(watched.replay.iter().copied()).partition(|place| is_poison(*place));
        // Eight refusals in a row are what makes it look so.
        !plan.poison_heals && (others.is_empty() || poison.len() >= 8)
    }

    /// What an endpoint is still owed, in words.
    pub(crate) fn owed(&self, endpoint: usize) -> String {
        let watched = &self.watched[endpoint];
        let owed = watched
            .owed
            .iter()
            .flat_map(|(shard, subjects)| subjects.values().flatten().map(|position| (*shard, *position)));
        let name = |place: Place| {
            self.facts.get(&place).map(|fact| format!("#{} of {}", number_of(fact.event), name_of(&fact.subject)))
        };
        let (owed, letters): (Vec<_>, Vec<_>) =
            (owed.filter_map(name).collect(), watched.replay.iter().copied().filter_map(name).collect());
        let some = |names: &[String]| names[..names.len().min(10)].join(", ");
        let (first, first_letters) = (some(&owed), some(&letters));
        let (count, count_letters) = (owed.len(), letters.len());
        let endpoint = &self.plan.endpoints[endpoint].name;
        format!("{endpoint} is still owed {count} events ({first}) and {count_letters} letters ({first_letters})")
    }

    /// Grows as long as something is settled.
    pub(crate) fn settled(&self) -> u64 {
        self.figures.accepted + self.figures.dead
    }

    /// Events that an endpoint has accepted, and that this life found saved as told, for the operator to choose from.
    pub(crate) fn accepted(&self, endpoint: usize) -> Vec<(Place, EventId, Subject)> {
        let watched = &self.watched[endpoint];
        let is_saved =
            |place: Place| self.facts.get(&place).is_some_and(|fact| watched.was_saved(place, &fact.subject));
        let told = watched.tellings.iter().filter(|(place, telling)| {
            telling.accepted_in.is_some() && is_saved(**place) && !watched.replay.contains(place)
        });
        told.filter_map(|(place, _)| self.facts.get(place).map(|fact| (*place, fact.event, fact.subject.clone())))
            .collect()
    }
}

fn subscribes(plan: &EndpointPlan, command: Option<&'static str>) -> bool {
    let Some(command) = command else { return false };
    plan.commands.as_ref().is_none_or(|commands| commands.contains(&command))
}

impl Watched {
    fn owe(&mut self, plan: &EndpointPlan, (shard, position): Place, fact: &Fact) {
        let is_after_start = self.started.get(&shard).is_some_and(|started| position > *started);
        if is_after_start && subscribes(plan, fact.command) {
            self.owed.entry(shard).or_default().entry(fact.subject.clone()).or_default().insert(position);
        }
    }

    fn settle(&mut self, (shard, position): Place, subject: &Subject) {
        let subjects = self.owed.entry(shard).or_default();
        if let Some(positions) = subjects.get_mut(subject) {
            positions.remove(&position);
            if positions.is_empty() {
                subjects.remove(subject);
            }
        }
    }

    /// Whether what this life found on the disk said that an event is told.
    fn was_saved(&self, (shard, position): Place, subject: &Subject) -> bool {
        let cursor = self.behind.get(&(shard, subject.clone())).or_else(|| self.cursors.get(&shard));
        cursor.is_some_and(|told| position <= *told)
    }

    /// Why no call may begin now, if so.
    fn may_call(&self, plan: &EndpointPlan, life: u32, events: usize, now: Duration) -> Option<String> {
        if life != self.life {
            Some("by a process that is no more".into())
        } else if self.quiet_from.is_some_and(|from| now > from + LEARNS_WITHIN) {
            Some("while it is paused".into())
        } else if self.held.is_some_and(|(from, until)| now > from + LEARNS_WITHIN && now < until) {
            Some("although it asked to be left alone".into())
        } else if self.calls.len() >= plan.concurrency {
            Some(format!("while {} calls are in flight already", self.calls.len()))
        } else if events > plan.telling.batch {
            Some(format!("about {events} events at once"))
        } else {
            None
        }
    }

    /// Notes that an endpoint is told of an event. `call`: what comes before it in the same call. Returns what is wrong with
    /// that, if anything.
    fn told(
        &mut self,
        plan: &EndpointPlan,
        said: &Said,
        fact: &Fact,
        (previous, may_be_silent): (String, bool),
        call: &[Place],
        now: Duration,
    ) -> Option<String> {
        let (place, life) = ((said.told.shard, said.told.position), self.life);
        let is_letter = self.replay.contains(&place);
        let is_ordered = plan.order_in(life) == Order::Ordered && !is_letter;
        let owed = self.owed.get(&place.0).and_then(|subjects| subjects.get(&fact.subject));
        let skipped = owed
            .into_iter()
            .flatten()
            .filter(|earlier| **earlier < place.1 && is_ordered && !call.contains(&(place.0, **earlier)));
        let skipped: Vec<Position> = skipped.copied().collect();
        let in_flight: Vec<Place> = self.calls.values().flatten().copied().collect();
        let is_alone =
            !in_flight.iter().any(|other| *other == place || is_ordered && self.is_of(*other, &fact.subject));
        let passed_by = self.passed.get(&place).copied().filter(|_| is_ordered);
        let is_both = self.is_both(place);
        let may_be_early = is_letter && self.has_jumps;
        let was_saved = self.was_saved(place, &fact.subject) && !is_letter;
        let is_after_start = self.started.get(&place.0).is_some_and(|started| place.1 > *started);
        let telling = self.tellings.entry(place).or_default();
        telling.attempts += 1;
        let complaint = if !subscribes(plan, fact.command) {
            Some("and does not subscribe to that".into())
        } else if !is_after_start {
            Some("which came before it".into())
        } else if telling.accepted_in == Some(life) && !is_both {
            Some("again, which it had accepted, and the process knew".into())
        } else if was_saved {
            Some("although that was saved as told".into())
        } else if let Some((later, _)) = passed_by.filter(|_| telling.accepted_in.is_none()) {
            Some(format!("after a later one of the subject, at {}", later.0))
        } else if telling.not_before.take().is_some_and(|until| now < until) && !is_both && !may_be_early {
            Some("although it asked for that to come later".into())
        } else if said.id.is_none() {
            Some("without a webhook-id".into())
        } else if telling.id.is_some() && telling.id != said.id {
            Some("with another webhook-id than before".into())
        } else if said.sequence.as_ref().is_none_or(|sequence| *sequence != place.1.0.to_string()) {
            Some(format!("with the sequence {:?}", said.sequence))
        } else if said.previous.as_ref().map_or(!may_be_silent, |said| *said != previous) {
            Some(format!("with {:?} as the one before, which is {previous:?}", said.previous))
        } else if !is_alone && !is_both {
            Some("while another call of the subject is in flight".into())
        } else {
            None
        };
        telling.id.clone_from(&said.id);
        for earlier in skipped {
            self.passed.insert((place.0, earlier), (place.1, life));
        }
        self.subjects.insert(place, fact.subject.clone());
        complaint
    }

    fn is_both(&self, place: Place) -> bool {
        self.lettered.contains_key(&place) && self.is_doubtful
    }

    fn is_of(&self, place: Place, subject: &Subject) -> bool {
        self.subjects.get(&place) == Some(subject) && !self.replay.contains(&place)
    }
}

impl Figures {
    pub(crate) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.calls += other.calls;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.repeats += other.repeats;
        self.saves += other.saves;
        self.dead += other.dead;
        self.trimmed += other.trimmed;
        self.lost += other.lost;
        self.replayed += other.replayed;
        self.pauses += other.pauses;
        self.deaths += other.deaths;
        self.virtual_seconds += other.virtual_seconds;
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { events, calls, accepted, refused, unanswered, repeats, .. } = self;
        let Self { saves, dead, trimmed, lost, replayed, pauses, deaths, virtual_seconds, .. } = self;
        write!(
            f,
            "{events} events, {calls} calls ({accepted} accepted, {refused} refused, {unanswered} not answered; "
        )?;
        write!(f, "{repeats} tellings were repeats), {saves} saves, {dead} dead letters, {replayed} replays, ")?;
        write!(f, "{trimmed} events trimmed, {lost} tellings in gaps, ")?;
        write!(f, "{pauses} pauses, {deaths} deaths of the process, {} simulated hours", virtual_seconds / 3600)
    }
}
