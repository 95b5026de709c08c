//! One command's changes, inside the writer's transaction: assertions first, then writes.

use std::borrow::Cow;

use chat::event::{Event, Position};
use chat::id::Seq;
use chat::message::{Keeping, Message};
use chat::port::{Assertion, Changes, Committed, Write};
use rusqlite::{Connection, Result};

use super::known::Known;
use super::to_json;
use crate::conversation::{Found, Kind};
use crate::event::{NewRow, repeat_hash};
use crate::{account, block, conversation, event, group, member, topic};

/// Changes whose events are serialised already.
#[derive(Debug)]
pub(super) struct Prepared {
    assertions: Vec<Assertion>,
    writes: Vec<(Write, Option<String>)>,
}

impl Prepared {
    pub(super) fn new(changes: Changes) -> Result<Self> {
        let mut writes = Vec::with_capacity(changes.writes.len());
        for write in changes.writes {
            writes.push(match write {
                // The message moves into its event and out again: it is not copied.
                Write::Send { message, repeat, reads } => {
                    let event = Event::MessageSent(*message);
                    let data = to_json(&event)?;
                    let Event::MessageSent(message) = event else { continue };
                    (Write::Send { message: Box::new(message), repeat, reads }, Some(data))
                }
                Write::Append(event) => {
                    let data = to_json(&event)?;
                    (Write::Append(event), Some(data))
                }
                other => (other, None),
            });
        }
        Ok(Self { assertions: changes.assertions, writes })
    }
}

/// What became of a command's changes. Only `Done` has written anything.
#[derive(Debug)]
pub(super) enum Applied {
    Done(Committed),
    Broken(Assertion),
    Repeat(Box<Message>),
}

/// Applies changes. Everything that can say no is looked at before the first write, so that a no leaves nothing behind
/// in the batch's transaction.
pub(super) fn apply(
    db: &Connection,
    known: &mut Known,
    prepared: &Prepared,
    position: &mut Position,
) -> Result<Applied> {
    for assertion in &prepared.assertions {
        if !holds(db, assertion)? {
            return Ok(Applied::Broken(assertion.clone()));
        }
    }
    for (write, _) in &prepared.writes {
        if let Write::Send { message, repeat: Some(repeat), .. } = write
            && let Some(sender) = known.account(db, &message.sender)?
            && let Some(first) = event::repeat_of(db, sender, &message.sender, repeat, message.time)?
        {
            return Ok(Applied::Repeat(Box::new(first)));
        }
    }
    let mut receipt = Committed::default();
    for (write, data) in &prepared.writes {
        write_one(db, known, write, data.as_deref().unwrap_or_default(), position, &mut receipt)?;
    }
    Ok(Applied::Done(receipt))
}

fn holds(db: &Connection, assertion: &Assertion) -> Result<bool> {
    Ok(match assertion {
        Assertion::NoAccount(id) => account::key(db, id)?.is_none(),
        Assertion::NoGroup(id) => group::key(db, id)?.is_none(),
        Assertion::GroupVersion(id, wanted) => {
            group::state(db, id)?.is_some_and(|(version, is_open, _)| version == *wanted && is_open)
        }
        Assertion::GroupOpen(id) => group::state(db, id)?.is_some_and(|(_, is_open, _)| is_open),
        Assertion::MembersAtMost(id, most) => group::state(db, id)?.is_some_and(|(_, _, members)| members <= *most),
        Assertion::IsMember(id, account) => member::find(db, id, account)?.is_some(),
        Assertion::NotBlocked(owner, target) => !block::exists(db, owner, target)?,
        Assertion::NoTopic(id, topic) => topic::key(db, id, topic)?.is_none(),
    })
}

fn write_one(
    db: &Connection,
    known: &mut Known,
    write: &Write,
    data: &str,
    position: &mut Position,
    receipt: &mut Committed,
) -> Result<()> {
    match write {
        Write::ImportAccount { new, now } => account::import(db, new, *now),
        Write::PutGroup(group) => group::put(db, group),
        Write::AddMembers(group, members) => {
            receipt.added.extend(member::add(db, group, members)?);
            Ok(())
        }
        Write::AddTopic(topic) => topic::add(db, topic),
        Write::AddBlocks { owner, targets, now } => block::add(db, owner, targets, *now),
        Write::Send { message, repeat, reads } => {
            let repeat = repeat.as_ref().map(|repeat| repeat_hash(&message.sender, repeat));
            let sender = known.account(db, &message.sender)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            position.0 += 1;
            let sending = Sending { message, data, sender, repeat, reads: *reads };
            receipt.seqs.push(send(db, known, &sending, *position)?);
            Ok(())
        }
        Write::Append(event) => {
            let found = known.conversation(db, &event.conversation())?;
            position.0 += 1;
            append(db, found, event, data, *position)
        }
    }
}

/// A message on its way into the log.
struct Sending<'a> {
    message: &'a Message,
    /// Its event as JSON.
    data: &'a str,
    sender: i64,
    repeat: Option<i64>,
    reads: bool,
}

/// Assigns the seq, moves the conversation on, and appends the message to the log.
fn send(db: &Connection, known: &mut Known, sending: &Sending<'_>, position: Position) -> Result<Seq> {
    let Sending { message, data, sender, repeat, reads } = *sending;
    let keeping = message.delivery.keeping;
    let mut found = *known.conversation(db, &message.conversation)?;
    let seq = if keeping == Keeping::OnlineOnly { 0 } else { found.head + 1 };
    let mut data = Cow::Borrowed(data);
    let mut unread = None;
    if found.kind == Kind::Direct {
        let counts = keeping == Keeping::Stored && !message.delivery.no_unread;
        unread = Some(count(db, known, &mut found, sending, seq, counts)?);
    }
    if seq > 0 {
        conversation::advance(db, &mut found, seq, message.time)?;
        *known.conversation(db, &message.conversation)? = found;
        if found.kind == Kind::Group {
            member::sent(db, found.a, sender, seq, message.time, reads)?;
        }
        if keeping == Keeping::Live {
            data = to_json(&Event::MessageSent(Message { seq, ..message.clone() }))?.into();
        }
    }
    let row = NewRow {
        position,
        conversation: found.key,
        seq: (keeping == Keeping::Stored).then_some(seq),
        sender: Some(sender),
        time: message.time,
        unread,
        repeat,
        data: &data,
    };
    event::append(db, &row)?;
    Ok(seq)
}

/// Counts a one-to-one message, in the conversation and for both parties. Returns what its recipient has unread now, in
/// all conversations.
fn count(
    db: &Connection,
    known: &mut Known,
    found: &mut Found,
    sending: &Sending<'_>,
    seq: Seq,
    counts: bool,
) -> Result<u64> {
    let (a, b) = (found.a, found.b);
    let recipient = if sending.sender == a { b } else { a };
    // Looked up before the row changes.
    known.unread(db, a)?;
    known.unread(db, b)?;
    if seq > 0 {
        let before = found.unread;
        found.count(sending.sender, seq, counts, sending.reads);
        let of_a = known.unread(db, a)?;
        *of_a = *of_a + found.unread.a - before.a;
        let of_b = known.unread(db, b)?;
        *of_b = *of_b + found.unread.b - before.b;
    }
    known.unread(db, recipient).copied()
}

/// Appends an event that is not in the history.
fn append(db: &Connection, found: &Found, event: &Event, data: &str, position: Position) -> Result<()> {
    let row = NewRow {
        position,
        conversation: found.key,
        seq: None,
        sender: None,
        time: event.time(),
        unread: None,
        repeat: None,
        data,
    };
    event::append(db, &row)
}
