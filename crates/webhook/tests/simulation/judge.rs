//! The judge: sees every commit, call and save of a run, and says which promise was broken.
//!
//! It knows nothing of how the engine works. *Settled* means that an endpoint is owed an event no longer: it has accepted
//! it (and the process lived to see that), or the event is a dead letter on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chat::event::{LogEntry, Position, Shard, Subject};
use chat::id::EventId;
use webhook::ledger::Cursor;

use crate::codec::{Told, command_of};
use crate::plan::Plan;
use crate::store::{Rows, name_of};

/// See the module.
#[derive(Debug)]
pub(crate) struct Judge {
    facts: BTreeMap<(Shard, Position), Fact>,
    watched: Vec<Watched>,
    /// Which telling a `webhook-id` belongs to.
    ids: BTreeMap<String, (usize, Shard, Position)>,
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
    pub(crate) repeats: u64,
    pub(crate) saves: u64,
    pub(crate) deaths: u64,
    pub(crate) virtual_seconds: u64,
}

/// An event that was committed.
#[derive(Clone, Debug)]
struct Fact {
    event: EventId,
    number: usize,
    subject: Subject,
    command: Option<&'static str>,
}

/// What is known about an endpoint.
#[derive(Debug)]
struct Watched {
    name: String,
    commands: Option<Vec<&'static str>>,
    concurrency: usize,
    /// Where its cursors began, once they are on the disk.
    started: BTreeMap<Shard, Position>,
    /// What it is still owed.
    owed: BTreeMap<Shard, BTreeMap<Subject, BTreeSet<Position>>>,
    tellings: BTreeMap<(Shard, Position), Telling>,
    in_flight: BTreeMap<Subject, Position>,
    /// In which life of the process it is now, and what that found on the disk.
    life: u32,
    cursors: BTreeMap<Shard, Cursor>,
    behind: BTreeMap<(Shard, Subject), Position>,
}

/// What is known about telling one endpoint of one event.
#[derive(Debug, Default)]
struct Telling {
    id: Option<String>,
    attempts: u32,
    refusals: u32,
    accepted_in: Option<u32>,
}

/// How a call ended, as far as the process learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Refused,
    Nothing,
}

/// What a call is about, for traces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) number: usize,
    pub(crate) subject: String,
    pub(crate) attempts: u32,
}

impl Judge {
    pub(crate) fn new(plan: &Plan) -> Self {
        let watched = plan.endpoints.iter().map(|endpoint| Watched {
            name: endpoint.name.clone(),
            commands: endpoint.commands.clone(),
            concurrency: endpoint.concurrency,
            started: BTreeMap::new(),
            owed: BTreeMap::new(),
            tellings: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            life: 0,
            cursors: BTreeMap::new(),
            behind: BTreeMap::new(),
        });
        Self {
            facts: BTreeMap::new(),
            watched: watched.collect(),
            ids: BTreeMap::new(),
            verdict: None,
            figures: Figures::default(),
        }
    }

    /// A promise was broken. The first counts: what comes later may follow from it.
    pub(crate) fn complain(&mut self, what: String) {
        self.verdict.get_or_insert(what);
    }

    /// An event was committed.
    pub(crate) fn committed(&mut self, entry: &LogEntry, number: usize) {
        self.figures.events += 1;
        let place = (entry.shard, entry.position);
        let fact = Fact {
            event: entry.event.id(),
            number,
            subject: entry.event.subject(),
            command: command_of(&entry.event),
        };
        for watched in &mut self.watched {
            watched.owe(place, &fact);
        }
        self.facts.insert(place, fact);
    }

    /// A life of the process begins for an endpoint, with this on the disk.
    pub(crate) fn opened(&mut self, endpoint: usize, life: u32, rows: &Rows) {
        let watched = &mut self.watched[endpoint];
        let name = &watched.name;
        watched.life = life;
        watched.in_flight.clear();
        let cursors = rows.cursors.iter().filter(|((of, _), _)| of == name);
        watched.cursors = cursors.map(|((_, shard), cursor)| (*shard, *cursor)).collect();
        let behind = rows.behind.iter().filter(|((of, _), _)| of == name);
        watched.behind = behind
            .flat_map(|((_, shard), rows)| rows.iter().map(|(subject, row)| ((*shard, subject.clone()), row.told)))
            .collect();
    }

    /// An endpoint is called.
    pub(crate) fn called(&mut self, endpoint: usize, life: u32, told: Told, id: Option<&str>, _: Duration) -> Known {
        self.figures.calls += 1;
        let place = (told.shard, told.position);
        let name = self.watched[endpoint].name.clone();
        let Some(fact) = self.facts.get(&place).filter(|fact| fact.event == told.event) else {
            self.complain(format!("{name} was told of an event that was never committed: {told:?}"));
            return Known::default();
        };
        let (number, subject) = (fact.number, fact.subject.clone());
        let (known, complaint) = self.watched[endpoint].called(life, place, fact, id);
        if let Some(complaint) = complaint {
            self.complain(format!("{name}: event #{number} of {}: {complaint}", name_of(&subject)));
        }
        if let Some(id) = id {
            let owner = self.ids.entry(id.to_owned()).or_insert((endpoint, told.shard, told.position));
            if *owner != (endpoint, told.shard, told.position) {
                self.complain(format!("{name}: event #{number} has the webhook-id {id} of another telling"));
            }
        }
        self.figures.repeats += u64::from(known.attempts > 1);
        known
    }

    /// A call is over.
    pub(crate) fn call_ended(&mut self, endpoint: usize, life: u32, told: Told, outcome: Outcome, _: Duration) {
        let Some(fact) = self.facts.get(&(told.shard, told.position)) else { return };
        let watched = &mut self.watched[endpoint];
        if watched.life != life {
            return;
        }
        watched.in_flight.remove(&fact.subject);
        let telling = watched.tellings.entry((told.shard, told.position)).or_default();
        match outcome {
            Outcome::Accepted => {
                self.figures.accepted += 1;
                telling.accepted_in = Some(life);
                watched.settle((told.shard, told.position), &fact.subject);
            }
            Outcome::Refused => {
                self.figures.refused += 1;
                telling.refusals += 1;
            }
            Outcome::Nothing => {}
        }
    }

    /// Progress of an endpoint is on the disk.
    pub(crate) fn saved(&mut self, endpoint: &str, shard: Shard, rows: &Rows, end: Position) {
        self.figures.saves += 1;
        let key = (endpoint.to_owned(), shard);
        let Some(cursor) = rows.cursors.get(&key) else { return };
        let Some(watched) = self.watched.iter_mut().find(|watched| watched.name == endpoint) else {
            return self.complain(format!("there is no endpoint {endpoint}"));
        };
        if cursor.position > end {
            return self.complain(format!("{endpoint}: a cursor stands at {}, and the log ends at {}", cursor.position.0, end.0));
        }
        if watched.started.insert(shard, cursor.started).is_none() {
            for (place, fact) in self.facts.range((shard, Position(0))..=(shard, Position(u64::MAX))) {
                watched.owe(*place, fact);
            }
        }
        let behind = rows.behind.get(&key);
        let owed = watched.owed.get(&shard).into_iter().flatten();
        let passed = owed.filter_map(|(subject, positions)| Some((subject, *positions.first()?))).find(|(subject, first)| {
            let told = behind.and_then(|rows| rows.get(*subject)).map_or(cursor.position, |row| row.told);
            told >= *first
        });
        if let Some((subject, position)) = passed {
            let number = self.facts.get(&(shard, position)).map_or(0, |fact| fact.number);
            let complaint = format!("{endpoint}: event #{number} of {} is saved as told, and is not", name_of(subject));
            self.complain(complaint);
        }
    }

    /// Whether an endpoint is owed nothing any more.
    pub(crate) fn is_content(&self, endpoint: usize) -> bool {
        let watched = &self.watched[endpoint];
        watched.owed.values().flat_map(BTreeMap::values).all(BTreeSet::is_empty)
    }

    /// What an endpoint is still owed, in words.
    pub(crate) fn owed(&self, endpoint: usize) -> String {
        let watched = &self.watched[endpoint];
        let owed = watched.owed.iter().flat_map(|(shard, subjects)| {
            subjects.values().flatten().filter_map(|position| self.facts.get(&(*shard, *position)))
        });
        let owed: Vec<String> = owed.map(|fact| format!("#{} of {}", fact.number, name_of(&fact.subject))).collect();
        format!("{} is still owed {} events: {}", watched.name, owed.len(), owed[..owed.len().min(10)].join(", "))
    }
}

impl Watched {
    fn subscribes_to(&self, command: Option<&'static str>) -> bool {
        let Some(command) = command else { return false };
        self.commands.as_ref().is_none_or(|commands| commands.contains(&command))
    }

    fn owe(&mut self, (shard, position): (Shard, Position), fact: &Fact) {
        let is_after_start = self.started.get(&shard).is_some_and(|started| position > *started);
        if is_after_start && self.subscribes_to(fact.command) {
            self.owed.entry(shard).or_default().entry(fact.subject.clone()).or_default().insert(position);
        }
    }

    fn settle(&mut self, (shard, position): (Shard, Position), subject: &Subject) {
        let subjects = self.owed.entry(shard).or_default();
        if let Some(positions) = subjects.get_mut(subject) {
            positions.remove(&position);
            if positions.is_empty() {
                subjects.remove(subject);
            }
        }
    }

    /// Whether what this life found on the disk said that an event is told.
    fn was_saved(&self, (shard, position): (Shard, Position), subject: &Subject) -> bool {
        match self.behind.get(&(shard, subject.clone())) {
            Some(told) => position <= *told,
            None => self.cursors.get(&shard).is_some_and(|cursor| position <= cursor.position),
        }
    }

    fn called(&mut self, life: u32, place: (Shard, Position), fact: &Fact, id: Option<&str>) -> (Known, Option<String>) {
        let first_owed = self.owed.get(&place.0).and_then(|subjects| subjects.get(&fact.subject)?.first().copied());
        let was_saved = self.was_saved(place, &fact.subject);
        let is_subscribed = self.subscribes_to(fact.command);
        let is_after_start = self.started.get(&place.0).is_some_and(|started| place.1 > *started);
        let telling = self.tellings.entry(place).or_default();
        telling.attempts += 1;
        let known = Known { number: fact.number, subject: name_of(&fact.subject), attempts: telling.attempts };
        let complaint = if life != self.life {
            Some("called by a process that is no more".into())
        } else if !is_subscribed {
            Some("it does not subscribe to that".into())
        } else if !is_after_start {
            Some("it was told of what came before it".into())
        } else if telling.accepted_in == Some(life) {
            Some("it had accepted that, and the process knew".into())
        } else if telling.accepted_in.is_some() && was_saved {
            Some("it had accepted that, and it was saved".into())
        } else if was_saved {
            Some("told although it was saved as told".into())
        } else if first_owed.is_some_and(|first| first < place.1) {
            Some(format!("an earlier one of the subject is not told: position {}", first_owed.unwrap_or_default().0))
        } else if id.is_none() {
            Some("called without a webhook-id".into())
        } else if telling.id.as_deref().is_some_and(|before| Some(before) != id) {
            Some("called with another webhook-id than before".into())
        } else if self.in_flight.contains_key(&fact.subject) {
            Some("called while another call of the subject was in flight".into())
        } else if self.in_flight.len() >= self.concurrency {
            Some(format!("more than {} calls are in flight", self.concurrency))
        } else {
            None
        };
        telling.id = id.map(str::to_owned);
        self.in_flight.insert(fact.subject.clone(), place.1);
        (known, complaint)
    }
}

impl Figures {
    pub(crate) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.calls += other.calls;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.repeats += other.repeats;
        self.saves += other.saves;
        self.deaths += other.deaths;
        self.virtual_seconds += other.virtual_seconds;
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { events, calls, accepted, refused, repeats, saves, deaths, virtual_seconds } = self;
        write!(f, "{events} events, {calls} calls ({accepted} accepted, {refused} refused, {repeats} repeats), ")?;
        write!(f, "{saves} saves, {deaths} deaths of the process, {} simulated hours", virtual_seconds / 3600)
    }
}
