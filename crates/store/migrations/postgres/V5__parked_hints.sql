-- As for the other tables: statistics of the first messages that wait would say that a shard, or a state, finds one row.
ALTER TABLE parked ALTER COLUMN shard SET (n_distinct = 16);
ALTER TABLE parked ALTER COLUMN state SET (n_distinct = 2);
