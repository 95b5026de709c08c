//! `/msg/pull_msg_by_seq`: messages of conversations, by ranges of seqs (`spec/openim/semantics.md`, section 4).

use std::collections::BTreeMap;

use chat::Actor;
use chat::id::{AccountId, Seq};
use chat::message::history::{History, MAX_PAGE, ReadHistory};
use chat::port::MessageQuery;
use serde::Serialize;

use crate::call::Call;
use crate::conversation_id;
use crate::error::{ApiError, Code};
use crate::fields::Fields;
use crate::msg_data::MsgData;

/// At most this many conversations are asked for at once.
const MAX_RANGES: usize = 1000;

/// At most this many messages are answered over all ranges: 60 MB of the largest ordinary ones.
const MAX_MESSAGES: usize = 5 * MAX_PAGE;

/// `order` ascending.
const ASCENDING: i32 = 0;

#[derive(Debug, Serialize)]
pub(crate) struct Pulled {
    msgs: BTreeMap<String, PullMsgs>,
    /// Empty: notifications are not stored yet.
    #[serde(rename = "notificationMsgs")]
    notification_msgs: BTreeMap<String, PullMsgs>,
}

/// COMPAT: `Msgs` is capital on the wire; `endSeq` is not filled by this route.
#[derive(Debug, Serialize)]
struct PullMsgs {
    #[serde(rename = "Msgs")]
    msgs: Vec<MsgData>,
    #[serde(rename = "isEnd")]
    is_end: bool,
    #[serde(rename = "endSeq")]
    end_seq: i64,
}

#[derive(Debug)]
struct Range {
    id: String,
    begin: i64,
    end: i64,
    num: i64,
}

pub(crate) async fn handle(call: Call) -> Result<Pulled, ApiError> {
    let user = AccountId::new(call.body.required_text("userID")?);
    let viewer = call.caller.as_account(&user)?;
    let order = call.body.int("order")?;
    let ranges = call.body.objects("seqRanges")?;
    if ranges.len() > MAX_RANGES {
        return Err(Code::Args.because(format!("seqRanges has more than {MAX_RANGES} ranges")));
    }
    let mut pulled = Pulled { msgs: BTreeMap::new(), notification_msgs: BTreeMap::new() };
    let mut total = 0;
    for range in &ranges {
        let range = Range::read(range)?;
        if let Some(page) = pull(&call, &viewer, &user, &range, order).await? {
            total += page.msgs.len();
            if total > MAX_MESSAGES {
                return Err(Code::Args.because(format!("more than {MAX_MESSAGES} messages in one request")));
            }
            pulled.msgs.insert(range.id, page);
        }
    }
    Ok(pulled)
}

impl Range {
    fn read(fields: &Fields) -> Result<Self, ApiError> {
        Ok(Self {
            id: fields.text("conversationID")?,
            begin: fields.integer("begin")?,
            end: fields.integer("end")?,
            num: fields.integer("num")?,
        })
    }

    /// The seqs to answer, given the conversation's head: at most `num`, and at most a page, the newest of the range.
    fn clamp(&self, head: Seq) -> Option<(Seq, Seq)> {
        let last = positive(self.end).min(head);
        let count = positive(self.num).min(MAX_PAGE as u64);
        let first = positive(self.begin).max(1).max((last + 1).saturating_sub(count));
        (count > 0 && first <= last).then_some((first, last))
    }
}

/// One conversation's part; nothing if there is nothing, or nothing for this user.
async fn pull(
    call: &Call,
    viewer: &Actor,
    user: &AccountId,
    range: &Range,
    order: i32,
) -> Result<Option<PullMsgs>, ApiError> {
    if conversation_id::is_notification(&range.id) {
        return Ok(None);
    }
    let Some(conversation) = conversation_id::parse(&range.id, user) else { return Ok(None) };
    let (from, to) = (positive(range.begin).max(1), positive(range.end));
    let limit = usize::try_from(range.num).unwrap_or_default().min(MAX_PAGE);
    if limit == 0 || from > to {
        return Ok(None);
    }
    let query = MessageQuery::seqs(from, to, limit, true);
    let command = ReadHistory { conversation, viewer: Some(user.clone()), query };
    match call.app.chat.run(viewer, &call.origin, command).await {
        Ok(history) => Ok(page(range, history, order)),
        // A conversation that the user lacks is left out without a word.
        Err(chat::Error::Refused(_)) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

/// A seq from the wire; there is none below 1.
fn positive(number: i64) -> Seq {
    u64::try_from(number).unwrap_or_default()
}

/// The messages in the order of their seqs, and a placeholder for each seq that has none for this user.
fn page(range: &Range, history: History, order: i32) -> Option<PullMsgs> {
    let (first, last) = range.clamp(history.state.head)?;
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

    fn clamp(begin: i64, end: i64, num: i64, head: Seq) -> Option<(Seq, Seq)> {
        Range { id: String::new(), begin, end, num }.clamp(head)
    }

    #[test]
    fn a_range_is_cut_to_what_there_is_and_to_its_newest() {
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
}
