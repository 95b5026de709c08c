-- Accounts, groups and topics have a text id on the wire and an integer key in here: every other table is narrow.
-- Ids compare as bytes (SQLite's default collation).

CREATE TABLE account (
    key         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    face_url    TEXT    NOT NULL,
    custom_data TEXT    NOT NULL,
    created     INTEGER NOT NULL                 -- ms
) STRICT;

CREATE TABLE block (
    owner   INTEGER NOT NULL REFERENCES account (key),
    target  INTEGER NOT NULL REFERENCES account (key),
    created INTEGER NOT NULL,                    -- ms
    PRIMARY KEY (owner, target)
) STRICT, WITHOUT ROWID;

CREATE TABLE chat_group (
    key          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    is_open      INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    member_count INTEGER NOT NULL,
    arrivals     INTEGER NOT NULL DEFAULT 0,     -- how many members ever came in
    data         TEXT    NOT NULL                -- the group as JSON; the columns above win
) STRICT;

CREATE TABLE topic (
    key      INTEGER PRIMARY KEY,
    group_key INTEGER NOT NULL REFERENCES chat_group (key),
    id       TEXT    NOT NULL,
    data     TEXT    NOT NULL,                   -- the topic as JSON
    UNIQUE (group_key, id)
) STRICT;

CREATE TABLE member (
    group_key   INTEGER NOT NULL REFERENCES chat_group (key),
    account     INTEGER NOT NULL REFERENCES account (key),
    role        INTEGER NOT NULL,                -- 0 member, 1 admin, 2 owner
    joined      INTEGER NOT NULL,                -- ms
    arrival     INTEGER NOT NULL,                -- 1, 2, 3 … in the order in which they came in
    muted_until INTEGER NOT NULL,                -- ms, 0: not muted
    read_seq    INTEGER NOT NULL,
    last_sent   INTEGER NOT NULL,                -- ms, 0: never
    data        TEXT    NOT NULL,                -- the rest as JSON
    PRIMARY KEY (group_key, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_in_order ON member (group_key, role DESC, joined, arrival);
CREATE INDEX member_of ON member (account, group_key);

-- One row per thread. For a direct one, `a` and `b` are its accounts (the lesser id first), and their read marks and
-- unread counts stand here, so that a send touches one row. For a group's, `a` is the group; for a topic's, `b` the topic.
CREATE TABLE conversation (
    key           INTEGER PRIMARY KEY,
    kind          INTEGER NOT NULL,              -- 0 direct, 1 group, 2 topic
    a             INTEGER NOT NULL,
    b             INTEGER NOT NULL,
    head          INTEGER NOT NULL DEFAULT 0,    -- highest seq
    last_time     INTEGER NOT NULL DEFAULT 0,    -- ms
    read_a        INTEGER NOT NULL DEFAULT 0,
    read_b        INTEGER NOT NULL DEFAULT 0,
    unread_a      INTEGER NOT NULL DEFAULT 0,
    unread_b      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, a, b)
) STRICT;
CREATE INDEX conversation_of_b ON conversation (b) WHERE kind = 0;

-- The log. Append-only: a message is its own event, `position` is its place. Rows without a seq are events that are not
-- in the history; they may be trimmed once every reader has passed them.
CREATE TABLE event (
    position     INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    seq          INTEGER,
    sender       INTEGER,                        -- account key, of messages
    time         INTEGER NOT NULL,               -- ms
    unread       INTEGER,                        -- direct: how many the recipient has unread after this, in all
    repeat       INTEGER,                        -- hash of the repeat key
    data         TEXT    NOT NULL                -- the event as JSON; seq 0 in there, the column wins
) STRICT;
CREATE UNIQUE INDEX event_by_seq ON event (conversation, seq) WHERE seq IS NOT NULL;
CREATE INDEX event_without_seq ON event (conversation, position) WHERE seq IS NULL;
CREATE INDEX event_by_repeat ON event (repeat) WHERE repeat IS NOT NULL;

-- How far each endpoint has been told, but for what `behind` says.
CREATE TABLE cursor (
    endpoint TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (endpoint, shard)
) STRICT, WITHOUT ROWID;

-- Conversations that lag behind an endpoint's cursor, because their calls are refused or are many.
CREATE TABLE behind (
    endpoint     TEXT    NOT NULL,
    shard        INTEGER NOT NULL,
    conversation TEXT    NOT NULL,               -- its id as JSON
    position     INTEGER NOT NULL,               -- up to here it is told
    PRIMARY KEY (endpoint, shard, conversation)
) STRICT, WITHOUT ROWID;
