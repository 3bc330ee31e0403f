-- Matches, ratings, chat and the audit log of the embedded mode. What each column means is said in
-- ../postgres. Ids are 16 bytes, objects are JSON. There is one database and no distribution.

CREATE TABLE ratings (
    player_id BLOB NOT NULL,
    queue TEXT NOT NULL,
    mean REAL NOT NULL,
    deviation REAL NOT NULL,
    volatility REAL NOT NULL,
    matches INTEGER NOT NULL,
    PRIMARY KEY (player_id, queue)
) STRICT, WITHOUT ROWID;

CREATE TABLE matches (
    match_id BLOB PRIMARY KEY NOT NULL,
    queue TEXT NOT NULL,
    region TEXT NOT NULL,
    namespace TEXT NOT NULL,
    server TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    is_rated INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('started', 'ended', 'lost')),
    made_at INTEGER NOT NULL,
    ended_at INTEGER,
    result TEXT,
    CHECK ((status = 'started') = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX matches_open ON matches (match_id) WHERE status = 'started';

CREATE TABLE seats (
    player_id BLOB NOT NULL,
    match_id BLOB NOT NULL REFERENCES matches,
    session_id BLOB NOT NULL,
    team INTEGER NOT NULL,
    place INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    rank INTEGER,
    rating_before REAL,
    rating_after REAL,
    PRIMARY KEY (player_id, match_id),
    CHECK ((rating_before IS NULL) = (rating_after IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX seats_open ON seats (player_id) WHERE is_open;

CREATE INDEX seats_by_match ON seats (match_id);

CREATE TABLE channels (
    channel TEXT PRIMARY KEY NOT NULL,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE chat_lines (
    channel TEXT NOT NULL,
    number INTEGER NOT NULL,
    player_id BLOB NOT NULL,
    text TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    edited_at INTEGER,
    is_deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX chat_lines_by_time ON chat_lines (sent_at);

CREATE TABLE chat_reports (
    channel TEXT NOT NULL,
    number INTEGER NOT NULL,
    reporter_id BLOB NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (channel, number, reporter_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE mutes (
    player_id BLOB PRIMARY KEY NOT NULL,
    muted_until INTEGER NOT NULL,
    moderator_id BLOB,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    audit_id INTEGER PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL,
    actor_id BLOB,
    subject_id BLOB,
    event TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX audit_log_by_time ON audit_log (at);
