//! Pulling: the messages of conversations by their seqs, over REST and through the gateway (`spec/openim/semantics.md`,
//! section 4).

use std::collections::BTreeMap;

use chat::Actor;
use chat::conversation::ConversationId;
use chat::id::{AccountId, Seq};
use chat::message::history::{History, MAX_PAGE, ReadHistory};
use chat::port::MessageQuery;

use crate::call::Call;
use crate::conversation_id;
use crate::error::{ApiError, Code};
use crate::msg_data::MsgData;
use crate::proto::{ConversationSeqs, PullMsgs, Pulled, SeqRange};

/// At most this many conversations are asked for at once.
pub(crate) const MAX_CONVERSATIONS: usize = 1000;

/// At most this many messages are answered over all conversations: 60 MB of the largest ordinary ones.
const MAX_MESSAGES: usize = 5 * MAX_PAGE;

/// Seqs that are asked for one by one are read together if no more than so many lie between them.
const NEAR: Seq = 32;

/// Among so many the newest that a user may see is looked for.
const NEWEST: usize = 50;

/// `order` ascending.
const ASCENDING: i32 = 0;

/// Ranges of conversations: of each the newest messages, and a placeholder for each seq that has none for this user.
pub(crate) async fn ranges<B>(
    call: &Call<B>,
    user: &AccountId,
    ranges: &[SeqRange],
    order: i32,
) -> Result<Pulled, ApiError> {
    let viewer = call.caller.as_account(user)?;
    check_count("seqRanges", ranges.len())?;
    let mut pulled = Pulled::default();
    let mut total = 0;
    for range in ranges {
        if let Some(page) = pull_range(call, &viewer, user, range, order).await? {
            total += page.msgs.len();
            check_total(total)?;
            pulled.msgs.insert(range.conversation_id.clone(), page);
        }
    }
    Ok(pulled)
}

/// Single seqs of conversations: for each a message or a placeholder.
pub(crate) async fn seqs<B>(
    call: &Call<B>,
    user: &AccountId,
    conversations: &[ConversationSeqs],
    order: i32,
) -> Result<Pulled, ApiError> {
    let viewer = call.caller.as_account(user)?;
    check_count("conversations", conversations.len())?;
    check_total(conversations.iter().map(|wanted| wanted.seqs.len()).sum())?;
    let mut pulled = Pulled::default();
    for wanted in conversations {
        let page = pull_seqs(call, &viewer, user, wanted, order).await?;
        let kind = match conversation_id::is_notification(&wanted.conversation_id) {
            true => &mut pulled.notification_msgs,
            false => &mut pulled.msgs,
        };
        kind.insert(wanted.conversation_id.clone(), page);
    }
    Ok(pulled)
}

fn check_count(name: &str, count: usize) -> Result<(), ApiError> {
    match count {
        0..=MAX_CONVERSATIONS => Ok(()),
        _ => Err(Code::Args.because(format!("{name} has more than {MAX_CONVERSATIONS} conversations"))),
    }
}

fn check_total(total: usize) -> Result<(), ApiError> {
    match total {
        0..=MAX_MESSAGES => Ok(()),
        _ => Err(Code::Args.because(format!("more than {MAX_MESSAGES} messages in one request"))),
    }
}

/// The newest message of each conversation that the user may see one of.
pub(crate) async fn newest<B>(
    call: &Call<B>,
    user: &AccountId,
    ids: &[String],
) -> Result<BTreeMap<String, MsgData>, ApiError> {
    let viewer = call.caller.as_account(user)?;
    check_count("conversationIDs", ids.len())?;
    let mut newest = BTreeMap::new();
    for id in ids {
        let Some(conversation) = conversation_of(id, user) else { continue };
        // The very newest may be one that was kept from this user.
        let query = MessageQuery::seqs(1, Seq::MAX, NEWEST, true);
        if let Some(history) = read(call, &viewer, user, conversation, query).await?
            && let Some(message) = history.messages.first()
        {
            newest.insert(id.clone(), MsgData::of(message));
        }
    }
    Ok(newest)
}

/// One conversation's part; nothing if there is nothing, or nothing for this user.
async fn pull_range<B>(
    call: &Call<B>,
    viewer: &Actor,
    user: &AccountId,
    range: &SeqRange,
    order: i32,
) -> Result<Option<PullMsgs>, ApiError> {
    let Some(conversation) = conversation_of(&range.conversation_id, user) else { return Ok(None) };
    let (from, to) = (positive(range.begin).max(1), positive(range.end));
    let limit = usize::try_from(range.num).unwrap_or_default().min(MAX_PAGE);
    if limit == 0 || from > to {
        return Ok(None);
    }
    let query = MessageQuery::seqs(from, to, limit, true);
    Ok(read(call, viewer, user, conversation, query).await?.and_then(|history| page(range, history, order)))
}

async fn pull_seqs<B>(
    call: &Call<B>,
    viewer: &Actor,
    user: &AccountId,
    wanted: &ConversationSeqs,
    order: i32,
) -> Result<PullMsgs, ApiError> {
    let mut seqs: Vec<Seq> = wanted.seqs.iter().map(|seq| positive(*seq)).filter(|seq| *seq > 0).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let mut page = PullMsgs::default();
    let Some(conversation) = conversation_of(&wanted.conversation_id, user) else { return Ok(page) };
    let mut found = BTreeMap::new();
    let mut head = None;
    for (from, to) in runs(&seqs) {
        let query = MessageQuery::seqs(from, to, MAX_PAGE, false);
        // A conversation that the user lacks has nothing.
        let Some(history) = read(call, viewer, user, conversation.clone(), query).await? else { return Ok(page) };
        head = Some(history.state.head);
        let wanted = history.messages.iter().filter(|message| seqs.binary_search(&message.seq).is_ok());
        found.extend(wanted.map(|message| (message.seq, MsgData::of(message))));
    }
    let Some(head) = head else { return Ok(page) };
    // What lies beyond is the end; whoever pages backwards comes to none, as there is a message 1.
    if order == ASCENDING && seqs.last().is_some_and(|last| *last > head) {
        (page.is_end, page.end_seq) = (true, head.cast_signed());
    }
    let within = seqs.into_iter().filter(|seq| *seq <= head);
    page.msgs = within.map(|seq| found.remove(&seq).unwrap_or_else(|| MsgData::placeholder(seq))).collect();
    Ok(page)
}

/// Sorted seqs as ranges that hold them, each at most a page long.
fn runs(seqs: &[Seq]) -> Vec<(Seq, Seq)> {
    let mut runs: Vec<(Seq, Seq)> = Vec::new();
    for seq in seqs {
        match runs.last_mut() {
            Some((from, to)) if *seq - *to <= NEAR && *seq - *from < MAX_PAGE as Seq => *to = *seq,
            _ => runs.push((*seq, *seq)),
        }
    }
    runs
}

/// The conversation of that id; none for notifications, which are not stored yet.
fn conversation_of(id: &str, user: &AccountId) -> Option<ConversationId> {
    if conversation_id::is_notification(id) { None } else { conversation_id::parse(id, user) }
}

async fn read<B>(
    call: &Call<B>,
    viewer: &Actor,
    user: &AccountId,
    conversation: ConversationId,
    query: MessageQuery,
) -> Result<Option<History>, ApiError> {
    let command = ReadHistory { conversation, viewer: Some(user.clone()), query };
    match call.app.chat.run(viewer, &call.origin, command).await {
        Ok(history) => Ok(Some(history)),
        // A conversation that the user lacks is left out without a word.
        Err(chat::Error::Refused(_)) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

/// A seq from the wire; there is none below 1.
fn positive(number: i64) -> Seq {
    u64::try_from(number).unwrap_or_default()
}

/// The seqs to answer, given the conversation's head: at most `num`, and at most a page, the newest of the range.
fn clamp(range: &SeqRange, head: Seq) -> Option<(Seq, Seq)> {
    let last = positive(range.end).min(head);
    let count = positive(range.num).min(MAX_PAGE as u64);
    let first = positive(range.begin).max(1).max((last + 1).saturating_sub(count));
    (count > 0 && first <= last).then_some((first, last))
}

/// The messages in the order of their seqs.
fn page(range: &SeqRange, history: History, order: i32) -> Option<PullMsgs> {
    let (first, last) = clamp(range, history.state.head)?;
    let mut found: BTreeMap<Seq, MsgData> =
        history.messages.iter().map(|message| (message.seq, MsgData::of(message))).collect();
    let msgs = (first..=last).map(|seq| found.remove(&seq).unwrap_or_else(|| MsgData::placeholder(seq))).collect();
    let is_end = if order == ASCENDING {
        i64::try_from(history.state.head).is_ok_and(|head| head <= range.end)
    } else {
        range.begin <= 1
    };
    Some(PullMsgs { msgs, is_end, end_seq: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_there_is_and_to_its_newest() {
        let clamp = |begin, end, num, head| clamp(&SeqRange { conversation_id: String::new(), begin, end, num }, head);
        assert_eq!(clamp(1, 10, 100, 5), Some((1, 5)));
        assert_eq!(clamp(0, 10, 3, 5), Some((3, 5)));
        assert_eq!(clamp(4, 4, 1, 5), Some((4, 4)));
        assert_eq!(clamp(1, i64::MAX, i64::MAX, 5000), Some((4001, 5000)));
        for (begin, end, num, head) in
            [(6, 10, 5, 5), (3, 2, 5, 5), (1, 5, 0, 5), (1, 5, -1, 5), (1, 5, 5, 0), (-3, -1, 5, 5)]
        {
            assert_eq!(clamp(begin, end, num, head), None);
        }
    }

    #[test]
    fn seqs_are_read_in_runs() {
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[1, 2, 3, 35, 100]), [(1, 35), (100, 100)]);
        let all: Vec<Seq> = (1..=2500).collect();
        assert_eq!(runs(&all), [(1, 1000), (1001, 2000), (2001, 2500)]);
    }
}
