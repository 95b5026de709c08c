-- What goes wrong between us and endpoints: calls that are refused, events that are given up, endpoints that are not called.
-- `conversation` holds the other subjects that events are about, too: kind 3 is an account (`a`), kind 4 the app as a whole.

ALTER TABLE cursor ADD COLUMN started INTEGER NOT NULL DEFAULT 0;  -- nothing is owed up to here: the endpoint was new then

-- Of the subject's next event, if it was refused already; else null.
ALTER TABLE behind ADD COLUMN attempts INTEGER;  -- how often
ALTER TABLE behind ADD COLUMN since    INTEGER;  -- ms, when first
ALTER TABLE behind ADD COLUMN due      INTEGER;  -- ms, when it is due again

-- Events apart from their subject's order: given up, or to be told again.
CREATE TABLE letter (
    endpoint TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    position INTEGER NOT NULL,                   -- where its event is
    subject  TEXT    NOT NULL,                   -- of the event, as JSON
    event    TEXT    NOT NULL,                   -- the event's id
    command  TEXT    NOT NULL,
    state    INTEGER NOT NULL,                   -- 0 dead, 1 to be told again
    why      TEXT    NOT NULL,
    attempts INTEGER NOT NULL,
    at       INTEGER NOT NULL,                   -- ms; dead: since when; to be told again: when it is due
    PRIMARY KEY (endpoint, shard, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX letter_in_state ON letter (state, endpoint, shard, position);
CREATE INDEX letter_due ON letter (state, endpoint, at);
CREATE INDEX letter_of_event ON letter (event);
CREATE INDEX letter_at ON letter (shard, position);

-- How many letters there are: what is asked often is not counted each time.
CREATE TABLE letter_count (
    endpoint TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    dead     INTEGER NOT NULL,
    replay   INTEGER NOT NULL,
    PRIMARY KEY (endpoint, shard)
) STRICT, WITHOUT ROWID;

-- Calls, for those who want to know what happened. Forgotten after a while.
CREATE TABLE attempt (
    id       INTEGER PRIMARY KEY,                -- 1, 2, 3 … as they were noted
    endpoint TEXT    NOT NULL,
    event    TEXT    NOT NULL,                   -- the event's id
    command  TEXT    NOT NULL,
    time     INTEGER NOT NULL,                   -- ms
    took     INTEGER NOT NULL,                   -- ms
    outcome  TEXT    NOT NULL,
    status   INTEGER,                            -- HTTP
    detail   TEXT    NOT NULL
) STRICT;
CREATE INDEX attempt_of_event ON attempt (event, time);
CREATE INDEX attempt_of_endpoint ON attempt (endpoint, time);

-- Endpoints that are not called.
CREATE TABLE pause (
    endpoint TEXT    NOT NULL PRIMARY KEY,
    reason   TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    since    INTEGER NOT NULL                    -- ms
) STRICT, WITHOUT ROWID;

-- Noted times: when the log had come just so far. The other two times follow from those of the shard's other rows, and only
-- grow with the position, whatever the clock did (src/milestone.rs).
CREATE TABLE milestone (
    shard    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    time     INTEGER NOT NULL,                   -- ms
    earliest INTEGER NOT NULL,                   -- ms, the least time of this position and later ones
    latest   INTEGER NOT NULL,                   -- ms, the greatest time of this position and earlier ones
    PRIMARY KEY (shard, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX milestone_by_time ON milestone (shard, earliest, position);

-- Events that were removed although an endpoint was still owed them.
CREATE TABLE gap (
    id       INTEGER PRIMARY KEY,                -- as they began
    endpoint TEXT    NOT NULL,
    shard    INTEGER NOT NULL,
    after    INTEGER NOT NULL,                   -- they were after this position, up to which it was told
    up_to    INTEGER NOT NULL,                   -- and up to this one
    time     INTEGER NOT NULL,                   -- ms, when the last of them were removed
    UNIQUE (endpoint, shard, after)
) STRICT;
CREATE INDEX gap_of ON gap (endpoint, id);

-- What may be trimmed.
CREATE INDEX event_to_trim ON event (position) WHERE seq IS NULL;
