-- The history of matches: one row per second of a match (gameserver/src/history/block.rs says what
-- a payload holds). Run once, when the table is not there; any number of servers may try at once.
--
-- How long rows are kept is the operator's decision, by a job that runs once a day. With TimescaleDB
-- it drops whole chunks, which costs next to nothing:
--     SELECT drop_chunks('arena_history', older_than => INTERVAL '30 days');
-- (its community edition can do that by itself: add_retention_policy). With PostgreSQL alone:
--     DELETE FROM arena_history WHERE taken_at < now() - INTERVAL '30 days';

BEGIN;

SELECT pg_advisory_xact_lock(5571187224186847585);

CREATE TABLE IF NOT EXISTS arena_history (
    match_id uuid NOT NULL,
    taken_at timestamptz NOT NULL,
    start_tick bigint NOT NULL,
    ticks smallint NOT NULL,
    format smallint NOT NULL,
    payload bytea NOT NULL,
    -- In the order in which a match is played back. The same block written twice is one row.
    PRIMARY KEY (match_id, taken_at, start_tick)
);

-- The payload is compressed already.
ALTER TABLE arena_history ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE INDEX IF NOT EXISTS arena_history_taken_at ON arena_history (taken_at DESC);

-- Where TimescaleDB was added to this database (CREATE EXTENSION timescaledb), in chunks of a day.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        PERFORM create_hypertable(
            'arena_history', 'taken_at',
            chunk_time_interval => INTERVAL '1 day',
            create_default_indexes => false,
            if_not_exists => true,
            migrate_data => true
        );
    END IF;
END
$$;

COMMIT;
