//! The table of events as the store has it in PostgreSQL, and made-up rows for it, column by column for UNNEST.

use tokio_postgres::types::ToSql;

/// Shards of the log: each has positions of its own.
pub(crate) const SHARDS: usize = 16;

/// The table with its indexes; `more` is put in front of the primary key's columns.
pub(crate) fn create(more: &str, primary_key: &str) -> String {
    format!(
        "CREATE TABLE event (
             shard SMALLINT NOT NULL, position BIGINT NOT NULL, conversation BIGINT NOT NULL, seq BIGINT,
             time BIGINT NOT NULL, unread BIGINT, repeat BIGINT, data TEXT NOT NULL, {more}
             PRIMARY KEY ({primary_key})
         );
         CREATE UNIQUE INDEX event_by_seq ON event (shard, conversation, seq) WHERE seq IS NOT NULL;
         CREATE INDEX event_without_seq ON event (shard, conversation, position) WHERE seq IS NULL;
         CREATE INDEX event_by_repeat ON event (shard, repeat) WHERE repeat IS NOT NULL;"
    )
}

/// Inserts `Rows` as they are.
pub(crate) const INSERT: &str = "INSERT INTO event (shard, position, conversation, seq, time, unread, repeat, data)
     SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[])";

/// As many rows as one statement takes. All columns are of equal length.
pub(crate) struct Rows {
    pub(crate) shards: Vec<i16>,
    /// 0 until somebody assigns them.
    pub(crate) positions: Vec<i64>,
    pub(crate) conversations: Vec<i64>,
    pub(crate) seqs: Vec<i64>,
    pub(crate) times: Vec<i64>,
    pub(crate) unread: Vec<i64>,
    /// Spread as hashes are.
    pub(crate) repeats: Vec<i64>,
    pub(crate) data: Vec<String>,
}

impl Rows {
    /// Every row carries `data`; the rest is filled in by `pick`.
    pub(crate) fn new(count: usize, data: &str) -> Self {
        let zeros = || vec![0; count];
        Self {
            shards: vec![0; count],
            positions: zeros(),
            conversations: zeros(),
            seqs: zeros(),
            times: zeros(),
            unread: vec![1; count],
            repeats: zeros(),
            data: vec![data.to_owned(); count],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.len()
    }

    /// The parameters of `INSERT`.
    pub(crate) fn columns(&self) -> [&(dyn ToSql + Sync); 8] {
        let Self { shards, positions, conversations, seqs, times, unread, repeats, data } = self;
        [shards, positions, conversations, seqs, times, unread, repeats, data]
    }

    /// Takes a conversation for row `i`; its shard follows from it.
    pub(crate) fn pick(&mut self, i: usize, conversation: usize, seq: i64, random: u64) {
        self.conversations[i] = conversation as i64;
        self.shards[i] = shard_of(conversation);
        self.seqs[i] = seq;
        self.repeats[i] = random.cast_signed();
    }
}

pub(crate) fn shard_of(conversation: usize) -> i16 {
    (conversation % SHARDS) as i16
}

/// xorshift64: the same run twice picks the same rows.
pub(crate) fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
