-- Messages that wait for a verdict of the app's backend, and for a day what was decided about them. None of them is in the log
-- before it is sent.
CREATE TABLE parked (
    id     TEXT    NOT NULL PRIMARY KEY,         -- the message's id
    state  INTEGER NOT NULL,                     -- 0 waits, 1 decided
    at     INTEGER NOT NULL,                     -- ms; waits: until when; decided: since when
    round  INTEGER NOT NULL,                     -- waits for the so many-th time
    repeat INTEGER,                              -- hash of what recognises a repeat of it
    data   TEXT    NOT NULL                      -- JSON
) STRICT;
CREATE INDEX parked_in_state ON parked (state, id);
CREATE INDEX parked_by_time ON parked (state, at, id);
CREATE INDEX parked_repeat ON parked (repeat) WHERE repeat IS NOT NULL;
