-- What goes wrong between us and endpoints: calls that are refused, events that are given up, endpoints that are not called.
-- `conversation` holds the other subjects that events are about, too: kind 3 is an account (`a`), kind 4 the app as a whole.

ALTER TABLE cursor ADD COLUMN started BIGINT NOT NULL DEFAULT 0;  -- nothing is owed up to here: the endpoint was new then

-- Of the subject's next event, if it was refused already; else null.
ALTER TABLE behind ADD COLUMN attempts BIGINT;   -- how often
ALTER TABLE behind ADD COLUMN since    BIGINT;   -- ms, when first
ALTER TABLE behind ADD COLUMN due      BIGINT;   -- ms, when it is due again

-- Events apart from their subject's order: given up, or to be told again. Written under the lock on their shard's row. They are
-- read endpoint by endpoint, so that is the first column of the key.
CREATE TABLE letter (
    endpoint TEXT COLLATE "C" NOT NULL,
    shard    SMALLINT NOT NULL,
    position BIGINT NOT NULL,                    -- where its event is
    subject  TEXT NOT NULL,                      -- of the event, as JSON
    event    TEXT COLLATE "C" NOT NULL,          -- the event's id
    command  TEXT NOT NULL,
    state    SMALLINT NOT NULL,                  -- 0 dead, 1 to be told again
    why      TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    at       BIGINT NOT NULL,                    -- ms; dead: since when; to be told again: when it is due
    PRIMARY KEY (endpoint, shard, position)
);
CREATE INDEX letter_in_state ON letter (state, endpoint, shard, position);
CREATE INDEX letter_due ON letter (state, endpoint, at);
CREATE INDEX letter_of_event ON letter (event);
CREATE INDEX letter_at ON letter (shard, position);

-- How many letters there are: what is asked often is not counted each time.
CREATE TABLE letter_count (
    endpoint TEXT COLLATE "C" NOT NULL,
    shard    SMALLINT NOT NULL,
    dead     BIGINT NOT NULL,
    replay   BIGINT NOT NULL,
    PRIMARY KEY (endpoint, shard)
) WITH (fillfactor = 50);

-- Calls, for those who want to know what happened. Forgotten after a while.
CREATE TABLE attempt (
    id       BIGINT GENERATED ALWAYS AS IDENTITY,  -- as they were noted
    endpoint TEXT COLLATE "C" NOT NULL,
    event    TEXT COLLATE "C" NOT NULL,          -- the event's id
    command  TEXT NOT NULL,
    time     BIGINT NOT NULL,                    -- ms
    took     BIGINT NOT NULL,                    -- ms
    outcome  TEXT NOT NULL,
    status   INTEGER,                            -- HTTP
    detail   TEXT NOT NULL,
    PRIMARY KEY (endpoint, time, id)
);
CREATE INDEX attempt_of_event ON attempt (event, time, id);

-- Endpoints that are not called.
CREATE TABLE pause (
    endpoint TEXT COLLATE "C" PRIMARY KEY,
    reason   TEXT NOT NULL,
    detail   TEXT NOT NULL,
    since    BIGINT NOT NULL                     -- ms
);

-- Noted times: when the log had come just so far. The other two times follow from those of the shard's other rows, and only
-- grow with the position, whatever the clock did (src/milestone.rs).
CREATE TABLE milestone (
    shard    SMALLINT NOT NULL,
    position BIGINT NOT NULL,
    time     BIGINT NOT NULL,                    -- ms
    earliest BIGINT NOT NULL,                    -- ms, the least time of this position and later ones
    latest   BIGINT NOT NULL,                    -- ms, the greatest time of this position and earlier ones
    PRIMARY KEY (shard, position)
) WITH (fillfactor = 80);
CREATE INDEX milestone_by_time ON milestone (shard, earliest, position);

-- Events that were removed although an endpoint was still owed them.
CREATE TABLE gap (
    id       BIGINT GENERATED ALWAYS AS IDENTITY,  -- as they began
    endpoint TEXT COLLATE "C" NOT NULL,
    shard    SMALLINT NOT NULL,
    after    BIGINT NOT NULL,                    -- they were after this position, up to which it was told
    up_to    BIGINT NOT NULL,                    -- and up to this one
    time     BIGINT NOT NULL,                    -- ms, when the last of them were removed
    PRIMARY KEY (endpoint, shard, after)
);
CREATE INDEX gap_of ON gap (endpoint, id);

-- What may be trimmed. No position is below 0: that is said so that no other look-up is planned by way of this index.
CREATE INDEX event_to_trim ON event (shard, position) WHERE seq IS NULL AND position >= 0;

-- Of a table with one row, statistics would say that every value is there once, and so that a shard, an endpoint or a state finds
-- a row as well as the whole key does. A connection that plans by that, when the table has grown and nobody has looked again,
-- would read all of a shard for one row.
ALTER TABLE event ALTER COLUMN shard SET (n_distinct = 16);
ALTER TABLE letter ALTER COLUMN endpoint SET (n_distinct = 8);
ALTER TABLE letter ALTER COLUMN shard SET (n_distinct = 16);
ALTER TABLE letter ALTER COLUMN state SET (n_distinct = 2);
ALTER TABLE attempt ALTER COLUMN endpoint SET (n_distinct = 8);
ALTER TABLE milestone ALTER COLUMN shard SET (n_distinct = 16);
