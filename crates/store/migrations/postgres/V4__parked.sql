-- Messages that wait for a verdict of the app's backend, and for a day what was decided about them. None of them is in the log
-- before it is sent. In the shard of their conversation, and written under the lock on its row.
CREATE TABLE parked (
    shard  SMALLINT NOT NULL,
    id     TEXT COLLATE "C" NOT NULL,            -- the message's id
    state  SMALLINT NOT NULL,                    -- 0 waits, 1 decided
    at     BIGINT NOT NULL,                      -- ms; waits: until when; decided: since when
    round  BIGINT NOT NULL,                      -- waits for the so many-th time
    repeat BIGINT,                               -- hash of what recognises a repeat of it
    data   TEXT NOT NULL,                        -- JSON
    PRIMARY KEY (shard, id)
);
-- Whoever has a verdict knows the id alone.
CREATE INDEX parked_by_id ON parked (id);
CREATE INDEX parked_in_state ON parked (state, id);
CREATE INDEX parked_by_time ON parked (state, at, id);
CREATE INDEX parked_repeat ON parked (shard, repeat) WHERE repeat IS NOT NULL;
