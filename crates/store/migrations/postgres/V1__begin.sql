-- Everything that belongs to one conversation, group or account is in one shard (src/shard.rs), and `shard` is the first
-- column of every key: whoever holds the row of a shard is its only writer, and the tables can be distributed by it.
-- Ids compare as bytes, whatever the database's own collation is.

CREATE TABLE log_shard (
    shard         SMALLINT PRIMARY KEY,
    head          BIGINT NOT NULL DEFAULT 0,     -- the newest position
    conversations BIGINT NOT NULL DEFAULT 0      -- the newest conversation key
) WITH (fillfactor = 10);

-- Which of its transactions each writer of a process has committed last: how one that lost its connection learns whether its
-- commit came through.
CREATE TABLE writer (
    shard SMALLINT NOT NULL,                     -- the first that the writer writes
    id    BIGINT GENERATED ALWAYS AS IDENTITY,
    batch BIGINT NOT NULL DEFAULT 0,
    seen  TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, id)
) WITH (fillfactor = 10);

CREATE TABLE account (
    shard   SMALLINT NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL,                     -- ms
    data    TEXT NOT NULL,                       -- the account as JSON; the columns above win
    PRIMARY KEY (shard, id)
);

-- In the shard of the two accounts' conversation, because a send looks at it.
CREATE TABLE block (
    shard   SMALLINT NOT NULL,
    owner   TEXT COLLATE "C" NOT NULL,
    target  TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL,                     -- ms
    PRIMARY KEY (shard, owner, target)
);
CREATE INDEX block_of ON block (owner, target);

CREATE TABLE chat_group (
    shard        SMALLINT NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    is_open      BOOLEAN NOT NULL,
    version      BIGINT NOT NULL,
    member_count BIGINT NOT NULL,
    arrivals     BIGINT NOT NULL,                -- how many members ever came in
    data         TEXT NOT NULL,                  -- the group as JSON; the columns above win
    PRIMARY KEY (shard, id)
) WITH (fillfactor = 80);

CREATE TABLE topic (
    shard    SMALLINT NOT NULL,
    group_id TEXT COLLATE "C" NOT NULL,
    id       TEXT COLLATE "C" NOT NULL,
    data     TEXT NOT NULL,                      -- the topic as JSON
    PRIMARY KEY (shard, group_id, id)
);

CREATE TABLE member (
    shard       SMALLINT NOT NULL,
    group_id    TEXT COLLATE "C" NOT NULL,
    account     TEXT COLLATE "C" NOT NULL,
    role        SMALLINT NOT NULL,               -- 0 member, 1 admin, 2 owner
    joined      BIGINT NOT NULL,                 -- ms
    arrival     BIGINT NOT NULL,                 -- 1, 2, 3 … in the order in which they came in
    muted_until BIGINT NOT NULL,                 -- ms, 0: not muted
    read_seq    BIGINT NOT NULL,
    last_sent   BIGINT NOT NULL,                 -- ms, 0: never
    data        TEXT NOT NULL,                   -- the rest as JSON
    PRIMARY KEY (shard, group_id, account)
) WITH (fillfactor = 80);
-- Every row is in this one; it is partial so that no look-up of one member is planned by way of the whole group.
CREATE INDEX member_in_order ON member (shard, group_id, role DESC, joined, arrival) WHERE role >= 0;
CREATE INDEX member_of ON member (account, group_id);

-- One row per thread. For a direct one, `a` and `b` are its accounts (the lesser id first), with their read marks and
-- unread counts. For a group's, `a` is the group; for a topic's, `b` the topic.
CREATE TABLE conversation (
    shard     SMALLINT NOT NULL,
    key       BIGINT NOT NULL,                   -- 1, 2, 3 … in its shard: what the log knows it by
    kind      SMALLINT NOT NULL,                 -- 0 direct, 1 group, 2 topic
    a         TEXT COLLATE "C" NOT NULL,
    b         TEXT COLLATE "C" NOT NULL,
    head      BIGINT NOT NULL,                   -- highest seq
    last_time BIGINT NOT NULL,                   -- ms
    read_a    BIGINT NOT NULL,
    read_b    BIGINT NOT NULL,
    unread_a  BIGINT NOT NULL,
    unread_b  BIGINT NOT NULL,
    PRIMARY KEY (shard, kind, a, b)
) WITH (fillfactor = 70);
CREATE INDEX conversation_of_a ON conversation (a) WHERE kind = 0;
CREATE INDEX conversation_of_b ON conversation (b) WHERE kind = 0;

-- What an account has unread in the direct conversations of each shard. The sum over shards is what it has unread in all.
CREATE TABLE unread (
    account TEXT COLLATE "C" NOT NULL,
    shard   SMALLINT NOT NULL,
    total   BIGINT NOT NULL,
    PRIMARY KEY (account, shard)
) WITH (fillfactor = 70);

-- The log. Append-only: a message is its own event, `position` is its place in its shard. Positions are taken under the
-- shard's row, so none becomes visible after a later one. Rows without a seq are events that are not in the history.
CREATE TABLE event (
    shard        SMALLINT NOT NULL,
    position     BIGINT NOT NULL,
    conversation BIGINT NOT NULL,
    seq          BIGINT,
    time         BIGINT NOT NULL,                -- ms
    unread       BIGINT,                         -- direct: how many the recipient has unread after this, in all
    repeat       BIGINT,                         -- hash of the repeat key
    data         TEXT NOT NULL,                  -- the event as JSON; seq 0 in there, the column wins
    PRIMARY KEY (shard, position)
);
CREATE UNIQUE INDEX event_by_seq ON event (shard, conversation, seq) WHERE seq IS NOT NULL;
CREATE INDEX event_without_seq ON event (shard, conversation, position) WHERE seq IS NULL;
CREATE INDEX event_by_repeat ON event (shard, repeat) WHERE repeat IS NOT NULL;

-- How far each endpoint has been told, but for what `behind` says.
CREATE TABLE cursor (
    shard    SMALLINT NOT NULL,
    endpoint TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (shard, endpoint)
) WITH (fillfactor = 50);

-- Conversations that lag behind an endpoint's cursor, because their calls are refused or are many.
CREATE TABLE behind (
    shard        SMALLINT NOT NULL,
    endpoint     TEXT COLLATE "C" NOT NULL,
    conversation TEXT COLLATE "C" NOT NULL,      -- its id as JSON
    position     BIGINT NOT NULL,                -- up to here it is told
    PRIMARY KEY (shard, endpoint, conversation)
);
