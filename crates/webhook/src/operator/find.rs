//! From an id to the event that it means, by way of the letters, or of the time that every event's id begins with.

use std::time::Duration;

use chat::Fault;
use chat::event::{LogEntry, Position, Shard};
use chat::id::{EventId, Timestamp};

use super::{Operator, OperatorError};
use crate::ledger::LetterQuery;

/// An event is in the log after the time in its id: it is asked about first, and waits for its commit. Later by the sum of all
/// deadlines at most, and this is that with room to spare. A message that waited for a verdict is in the log after it was
/// decided about, which is asked for ([`crate::ledger::Ledger::decided_at`]).
const LATER: Duration = Duration::from_secs(15 * 60);

/// Commands overtake each other while they are asked about, so times in the log are not in order; but by less than this
/// in any case that the search must find.
const DISORDER: Duration = Duration::from_secs(2 * 60);

/// So many events are looked at: about a second of reading.
const MOST: usize = 100_000;

/// ... a page at a time.
const PAGE: usize = 1000;

/// What an id means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) reference: Reference,
    /// The endpoint that it names, too.
    pub(super) endpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Event(EventId),
    Place(Shard, Position),
}

impl Operator {
    /// Reads `<event>`, `<event>.<endpoint>` (a `webhook-id`; that of a batch or of a question, too) or `<shard>:<position>`.
    pub(super) fn read_id(&self, text: &str) -> Result<Id, OperatorError> {
        if let Some((shard, position)) = text.split_once(':')
            && let (Ok(shard), Ok(position)) = (shard.parse(), position.parse())
        {
            return Ok(Id { reference: Reference::Place(Shard(shard), Position(position)), endpoint: None });
        }
        if text.starts_with("test-") {
            let words = format!("{text:?} was a test: nothing of it is in the log");
            return Err(OperatorError::NotFound(words));
        }
        let (event, rest) = match text.split_once('.') {
            Some((event, rest)) => (event, Some(rest)),
            None => (text, None),
        };
        let Some(event) = EventId::parse(event) else {
            let words = format!(
                "id: found {text:?}; right would be a webhook-id, an event's id (32 hex digits) or <shard>:<position>"
            );
            return Err(OperatorError::Invalid(words));
        };
        let endpoint = rest.map(|rest| self.named_in(rest)).transpose()?;
        Ok(Id { reference: Reference::Event(event), endpoint })
    }

    /// The endpoint in what follows an event's id: alone, before `+<more events>` of a batch, or before the command of a
    /// question.
    fn named_in(&self, rest: &str) -> Result<String, OperatorError> {
        let names = self.handles.iter().map(|handle| &handle.endpoint().name);
        let is_named = |name: &&String| {
            rest.strip_prefix(name.as_str()).is_some_and(|after| after.is_empty() || after.starts_with(['+', '.']))
        };
        // Of `app` and `app.eu` the longer is meant.
        let longest = names.filter(is_named).max_by_key(|name| name.len());
        longest.cloned().ok_or_else(|| OperatorError::NotFound(self.no_endpoint(rest)))
    }

    /// The event, where it is in the log.
    pub(super) async fn find(&self, id: &Id) -> Result<LogEntry, OperatorError> {
        match id.reference {
            Reference::Place(shard, position) => self.find_at(shard, position).await,
            Reference::Event(event) => self.find_event(event).await,
        }
    }

    async fn entry_at(&self, shard: Shard, position: Position) -> Result<Option<LogEntry>, Fault> {
        let before = Position(position.0.saturating_sub(1));
        let entry = self.parts.log.log_after(shard, before, 1).await?.pop();
        Ok(entry.filter(|entry| entry.position == position))
    }

    async fn find_at(&self, shard: Shard, position: Position) -> Result<LogEntry, OperatorError> {
        if !self.parts.log.shards().contains(&shard) {
            return Err(OperatorError::NotFound(format!("the log has no shard {}", shard.0)));
        }
        if let Some(entry) = self.entry_at(shard, position).await? {
            return Ok(entry);
        }
        let head = *self.parts.log.head(shard).borrow();
        if position > head || position == Position(0) {
            let words = match head.0 {
                0 => format!("shard {} has no events yet", shard.0),
                head => format!("shard {} goes from 1 to {head}: there is no event {}", shard.0, position.0),
            };
            return Err(OperatorError::NotFound(words));
        }
        let mut words = format!("the event {}:{} is no longer in the log", shard.0, position.0);
        for handle in &self.handles {
            let name = &handle.endpoint().name;
            let gaps = self.parts.ledger.gaps(name).await?;
            if gaps.iter().any(|gap| gap.shard == shard && gap.after < position && position <= gap.up_to) {
                words.push_str(&format!("; it was removed before {name} was told of it, if that was owed it (a gap)"));
            }
        }
        Err(OperatorError::NotFound(words))
    }

    async fn find_event(&self, event: EventId) -> Result<LogEntry, OperatorError> {
        // Letters know their places.
        let query = LetterQuery { event: Some(event), limit: 1, ..LetterQuery::default() };
        if let Some(letter) = self.parts.ledger.letters(&query).await?.pop()
            && let Some(entry) = self.entry_at(letter.shard, letter.position).await?
        {
            return Ok(entry);
        }
        let decided = self.parts.ledger.decided_at(event).await?;
        let from = decided.unwrap_or_else(|| event.time());
        let mut shards = Vec::new();
        for shard in self.parts.log.shards() {
            shards.push((shard, self.before(shard, from).await?));
        }
        let mut looked_at = 0;
        let last = from.later(LATER);
        // A page of each in turn, so that the bound is shared.
        while !shards.is_empty() && looked_at < MOST {
            let mut unfinished = Vec::new();
            for (shard, after) in shards {
                let page = self.parts.log.log_after(shard, after, PAGE).await?;
                looked_at += page.len();
                let end = page.last().map(|entry| (entry.position, entry.event.time()));
                let is_full = page.len() == PAGE;
                if let Some(found) = page.into_iter().find(|entry| entry.event.id() == event) {
                    return Ok(found);
                }
                match end {
                    Some((position, time)) if is_full && time <= last => unfinished.push((shard, position)),
                    _ => {}
                }
            }
            shards = unfinished;
        }
        let minutes = LATER.as_secs() / 60;
        let words = if shards.is_empty() {
            format!(
                "there is no event {event} in the log: not in the {minutes} minutes after the time that its id begins \
                 with; what was rejected or discarded has none, and what is not in the history is removed after a while; \
                 if it waited for a verdict that came more than a day ago, ask for <shard>:<position>"
            )
        } else {
            format!(
                "there is no event {event} among the {looked_at} events after the time that its id begins with; \
                 if you know its place, ask for <shard>:<position>"
            )
        };
        Err(OperatorError::NotFound(words))
    }

    /// A position that everything from `time` on comes after, as near to it as is known.
    pub(super) async fn before(&self, shard: Shard, time: Timestamp) -> Result<Position, Fault> {
        let noted = self.parts.ledger.position_at(shard, time).await?;
        // Nothing is noted of times that are forgotten: then what the events say themselves must do.
        if noted > Position(0) { Ok(noted) } else { self.search(shard, time.earlier(DISORDER)).await }
    }

    /// A position after which the first event from `time` on is, by halving. Times in the log are nearly in order.
    async fn search(&self, shard: Shard, time: Timestamp) -> Result<Position, Fault> {
        let (mut low, mut high) = (0, self.parts.log.head(shard).borrow().0);
        while low < high {
            let middle = low + (high - low) / 2;
            let next = self.parts.log.log_after(shard, Position(middle), 1).await?.pop();
            match next {
                Some(entry) if entry.event.time() < time => low = entry.position.0.max(middle + 1),
                _ => high = middle,
            }
        }
        Ok(Position(low))
    }
}

/// After a time that is asked for no event is looked for that is later than this.
pub(super) fn last_of(until: Timestamp) -> Timestamp {
    until.later(LATER)
}
