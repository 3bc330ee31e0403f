-- Matches, ratings, chat and the audit log.
--
-- One PostgreSQL is meant. Should it not be enough one day, each table says by which column it would
-- be spread: that column is in every unique key, is never updated, and no foreign key joins rows
-- that would live apart.
--
-- Times are microseconds since 1970: what the program compares is exactly what is stored.

-- How good players are in each queue. Spread by `player_id`.
CREATE TABLE ratings (
    player_id uuid NOT NULL,
    queue text NOT NULL,
    mean double precision NOT NULL,
    deviation double precision NOT NULL,
    volatility double precision NOT NULL,
    -- How many matches made it.
    matches bigint NOT NULL,
    PRIMARY KEY (player_id, queue)
);

-- Spread by `match_id`. Never deleted: they are what players did.
CREATE TABLE matches (
    -- Of version 7: in order of time.
    match_id uuid PRIMARY KEY,
    queue text NOT NULL,
    region text NOT NULL,
    -- Of the allocation, with the name and the address of its server.
    namespace text NOT NULL,
    server text NOT NULL,
    endpoint text NOT NULL,
    -- Whether its result counts for ratings.
    is_rated boolean NOT NULL,
    -- 'lost' is without a result: the server is gone.
    status text NOT NULL CHECK (status IN ('started', 'ended', 'lost')),
    made_at bigint NOT NULL,
    ended_at bigint,
    -- As the game server reported it. Not jsonb, which refuses U+0000.
    result json,
    CHECK ((status = 'started') = (ended_at IS NULL))
);

-- Those that somebody must watch.
CREATE INDEX matches_open ON matches (match_id) WHERE status = 'started';

-- Who is in which match. Spread by `player_id`, for that a player is in one open match at most is
-- a rule about players; the seats of a match would be asked of every database then.
CREATE TABLE seats (
    player_id uuid NOT NULL,
    match_id uuid NOT NULL,
    -- The player's when the match was made: what game servers know the player by.
    session_id uuid NOT NULL,
    team integer NOT NULL,
    -- Where in the list of the match's seats.
    place bigint NOT NULL,
    -- Whether the match has not ended; changes in one transaction with its status.
    is_open boolean NOT NULL,
    -- 1 for the best.
    rank integer,
    -- The means of the player's ratings.
    rating_before double precision,
    rating_after double precision,
    PRIMARY KEY (player_id, match_id),
    CHECK ((rating_before IS NULL) = (rating_after IS NULL))
);

-- A player is in one open match at most.
CREATE UNIQUE INDEX seats_open ON seats (player_id) WHERE is_open;

CREATE INDEX seats_by_match ON seats (match_id);

-- Counts the lines of each channel. Who adds a line holds the channel's row until the line is
-- there: numbers have no gaps, and whoever sees a number sees all before it. Spread by `channel`.
CREATE TABLE channels (
    channel text PRIMARY KEY,
    last bigint NOT NULL
) WITH (fillfactor = 50);

-- Spread by `channel`.
CREATE TABLE chat_lines (
    channel text NOT NULL,
    number bigint NOT NULL,
    player_id uuid NOT NULL,
    -- Empty when it was deleted.
    text text NOT NULL,
    sent_at bigint NOT NULL,
    edited_at bigint,
    is_deleted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (channel, number)
);

CREATE INDEX chat_lines_by_time ON chat_lines (sent_at);

-- Outlive their lines. Spread by `channel`.
CREATE TABLE chat_reports (
    channel text NOT NULL,
    number bigint NOT NULL,
    reporter_id uuid NOT NULL,
    reason text NOT NULL,
    at bigint NOT NULL,
    -- The lines around it as they were then.
    evidence json NOT NULL,
    PRIMARY KEY (channel, number, reporter_id)
);

-- One for each player who was ever muted: the last one. Spread by `player_id`.
CREATE TABLE mutes (
    player_id uuid PRIMARY KEY,
    muted_until bigint NOT NULL,
    -- None when rules did it.
    moderator_id uuid,
    reason text NOT NULL
);

-- Spread by `audit_id`.
CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    -- Who did it, to whom; none is the lobby, or nobody.
    actor_id uuid,
    subject_id uuid,
    event text NOT NULL,
    detail json NOT NULL
);

CREATE INDEX audit_log_by_time ON audit_log (at);
