//! The ways of giving positions to events, as SQL: what a transaction locks, how it inserts, how a reader follows.

use crate::event_table;

/// Rows that a reader takes at once.
pub(crate) const PAGE: usize = 2_048;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scheme {
    /// A sequence, and nothing else.
    Sequence,
    /// A sequence; the reader waits until all transactions are over that began before or beside a row's.
    Horizon,
    /// The same, read in the order of transactions.
    HorizonByTransaction,
    /// A sequence, under one advisory lock until the end of the transaction.
    AdvisoryLock,
    /// One row with the head of the log.
    OneHead,
    /// A row with the head of each shard; every writer has shards of its own.
    OwnShards,
    /// The same; every writer writes to any shard.
    AnyShard,
    /// No heads: a writer goes on from the last position that it sees, and of two the primary key lets one through.
    /// Every writer has shards of its own, as the other of two has to do all its work again.
    PrimaryKey,
}

impl Scheme {
    pub(crate) const ALL: [Self; 8] = [
        Self::Sequence,
        Self::Horizon,
        Self::HorizonByTransaction,
        Self::AdvisoryLock,
        Self::OneHead,
        Self::OwnShards,
        Self::AnyShard,
        Self::PrimaryKey,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sequence => "sequence",
            Self::Horizon => "horizon, by position",
            Self::HorizonByTransaction => "horizon, by transaction",
            Self::AdvisoryLock => "advisory lock",
            Self::OneHead => "one head row",
            Self::OwnShards => "16 heads, own shards",
            Self::AnyShard => "16 heads, any shard",
            Self::PrimaryKey => "no heads, own shards",
        }
    }

    pub(crate) fn is_sharded(self) -> bool {
        matches!(self, Self::OwnShards | Self::AnyShard | Self::PrimaryKey)
    }

    /// Whether every writer keeps to shards of its own.
    pub(crate) fn has_owners(self) -> bool {
        matches!(self, Self::OwnShards | Self::PrimaryKey)
    }

    /// Whether the process assigns positions, after those that the first statement answers.
    pub(crate) fn counts_itself(self) -> bool {
        self.is_sharded() || self == Self::OneHead
    }

    /// Whether there are rows with heads, to be moved.
    pub(crate) fn has_heads(self) -> bool {
        matches!(self, Self::OneHead | Self::OwnShards | Self::AnyShard)
    }

    /// Everything afresh, as if nothing had ever been written.
    pub(crate) fn create(self) -> String {
        let table = match self {
            Self::Horizon => event_table::create("xid XID8 NOT NULL,", "shard, position"),
            Self::HorizonByTransaction => event_table::create("xid XID8 NOT NULL,", "shard, xid, position"),
            _ => event_table::create("", "shard, position"),
        };
        let last = event_table::SHARDS - 1;
        format!(
            "DROP TABLE IF EXISTS event, log_shard, conversation;
             DROP SEQUENCE IF EXISTS event_position;
             CREATE SEQUENCE event_position;
             CREATE TABLE log_shard (shard SMALLINT PRIMARY KEY, head BIGINT NOT NULL);
             INSERT INTO log_shard SELECT shard, 0 FROM generate_series(0, {last}) AS shard;
             CREATE TABLE conversation (key BIGINT PRIMARY KEY, head BIGINT NOT NULL);
             INSERT INTO conversation VALUES (1, 0), (2, 0);
             {table}"
        )
    }

    /// The first statement of a transaction, with the batch's shards as its parameter; answers (shard, head).
    /// A scheme that locks nothing reads the same, as every send has to read something.
    pub(crate) fn lock(self) -> &'static str {
        match self {
            Self::Sequence | Self::Horizon | Self::HorizonByTransaction => {
                "SELECT shard, head FROM log_shard WHERE shard = ANY($1::smallint[])"
            }
            Self::AdvisoryLock => {
                "SELECT shard, head FROM pg_advisory_xact_lock(1), log_shard WHERE shard = ANY($1::smallint[])"
            }
            Self::OneHead | Self::OwnShards | Self::AnyShard => {
                "SELECT shard, head FROM log_shard WHERE shard = ANY($1::smallint[]) ORDER BY shard FOR NO KEY UPDATE"
            }
            Self::PrimaryKey => {
                "SELECT s.shard, coalesce((SELECT max(position) FROM event WHERE event.shard = s.shard), 0)
                 FROM unnest($1::smallint[]) AS s (shard)"
            }
        }
    }

    /// Parameters: the columns of `event_table::Rows`, in their order.
    pub(crate) fn insert(self) -> String {
        let (columns, values) = match self {
            Self::OneHead | Self::OwnShards | Self::AnyShard | Self::PrimaryKey => {
                return event_table::INSERT.to_owned();
            }
            Self::Sequence | Self::AdvisoryLock => ("", ""),
            Self::Horizon | Self::HorizonByTransaction => (", xid", ", pg_current_xact_id()"),
        };
        format!(
            "INSERT INTO event (shard, position, conversation, seq, time, unread, repeat, data{columns})
             SELECT r.shard, nextval('event_position'), r.conversation, r.seq, r.time, r.unread, r.repeat, r.data{values}
             FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[])
                 AS r (shard, position, conversation, seq, time, unread, repeat, data)"
        )
    }

    /// Moves the heads that were locked.
    pub(crate) const MOVE_HEADS: &str = "UPDATE log_shard SET head = u.head
         FROM unnest($1::smallint[], $2::bigint[]) AS u (shard, head) WHERE log_shard.shard = u.shard";

    /// A page of what comes after the cursor: shard, transaction, position, time, seq.
    /// Parameters: shards and positions for sharded schemes; transaction and position for the others.
    pub(crate) fn follow(self) -> String {
        let settled = "xid < pg_snapshot_xmin(pg_current_snapshot())";
        let one = |columns: &str, after: &str, order: &str| {
            format!("SELECT {columns} FROM event WHERE shard = 0 AND {after} ORDER BY {order} LIMIT {PAGE}")
        };
        let plain = "shard, $1::bigint, position, time, seq";
        let with_xid = "shard, xid::text::bigint, position, time, seq";
        match self {
            Self::Sequence | Self::AdvisoryLock | Self::OneHead => one(plain, "position > $2::bigint", "position"),
            Self::Horizon => {
                one(with_xid, &format!("position > $2::bigint AND {settled} AND $1::bigint >= 0"), "position")
            }
            Self::HorizonByTransaction => one(
                with_xid,
                &format!("(xid, position) > ($1::bigint::text::xid8, $2::bigint) AND {settled}"),
                // `xid` alone would be what is selected, as a number, which no index has.
                "event.xid, position",
            ),
            Self::OwnShards | Self::AnyShard | Self::PrimaryKey => format!(
                "SELECT e.shard, 0::bigint, e.position, e.time, e.seq
                 FROM unnest($1::smallint[], $2::bigint[]) AS c (shard, position), LATERAL (
                     SELECT shard, position, time, seq FROM event
                     WHERE event.shard = c.shard AND event.position > c.position ORDER BY position LIMIT {PAGE}
                 ) AS e"
            ),
        }
    }
}
