-- Whose data this is, and whether it is all here: one row. While `ringback migrate` fills a database, nobody serves it.
CREATE TABLE dataset (
    id       TEXT NOT NULL,                      -- made with the database
    state    TEXT NOT NULL,                      -- 'ready', or 'arriving': a migration into it has not ended
    source   TEXT,                               -- the id of the database that it was filled from
    origin   TEXT,                               -- where that was, in words
    digest   TEXT,                               -- what that looked like when the migration began
    progress TEXT                                -- how far the migration got, as JSON
) WITH (fillfactor = 10);
INSERT INTO dataset (id, state) VALUES (replace(gen_random_uuid()::text, '-', ''), 'ready');
