-- Accounts, sessions, keys and the audit log.
--
-- The tables may be spread over many databases by Citus (../citus.sql). A distribution column can
-- never be updated, every unique key must contain it, and a foreign key may only join rows that
-- live together. So whatever belongs to a player is distributed by `user_id`, and what a player is
-- found by has a table of its own, distributed by its hash. A test holds the schema to this.
--
-- Times are microseconds since 1970: what the program compares is exactly what is stored.

-- Whose is it? Asked at every sign-in, when nothing is known but the identity. The row cannot
-- refer to `users`, which is distributed otherwise; both are written in one transaction.
CREATE TABLE identities (
    -- A keyed hash of kind and value: unique, can be looked up, and tells nothing without the key.
    identity_hash bytea PRIMARY KEY CHECK (octet_length(identity_hash) = 32),
    user_id uuid NOT NULL
);

CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('active', 'disabled')),
    -- Sealed by the program, as are all the addresses, labels, device ids and secrets below.
    email bytea,
    email_verified boolean NOT NULL,
    password_hash text,
    -- Counts the changes of what the account signs in with: a sign-in that began before one ends.
    credentials_epoch bigint NOT NULL DEFAULT 0,
    totp_secret bytea,
    totp_confirmed boolean NOT NULL DEFAULT false,
    -- The last time step whose code was used: neither it nor an earlier one is good again.
    totp_last_step bigint,
    guest boolean NOT NULL,
    roles text[] NOT NULL DEFAULT '{}',
    -- Not jsonb, which refuses U+0000: what may be stored must not depend on what a name holds.
    data json NOT NULL DEFAULT '{}',
    created_at bigint NOT NULL,
    -- Somebody used it on another day than that on which it was made; known when its sessions are
    -- cleared away.
    returned boolean NOT NULL DEFAULT false,
    CHECK ((totp_secret IS NULL) = (totp_last_step IS NULL))
);

-- Those that may be removed when nobody came back.
CREATE INDEX users_unreturned ON users (created_at)
    WHERE NOT returned AND (guest OR (password_hash IS NOT NULL AND NOT email_verified));

-- The ways to sign in of an account, for its owner to see.
CREATE TABLE user_identities (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    identity_hash bytea NOT NULL,
    kind text NOT NULL,
    label bytea NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (user_id, identity_hash)
);

CREATE TABLE devices (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    device_hash bytea NOT NULL CHECK (octet_length(device_hash) = 32),
    device_id bytea NOT NULL,
    bound_key text,
    created_at bigint NOT NULL,
    last_login bigint NOT NULL,
    PRIMARY KEY (user_id, device_hash)
);

CREATE TABLE passkeys (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    credential_id bytea NOT NULL,
    record text NOT NULL,
    name text NOT NULL,
    created_at bigint NOT NULL,
    used_at bigint,
    PRIMARY KEY (user_id, credential_id)
);

CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    used_at bigint,
    PRIMARY KEY (user_id, code_hash)
);

-- What a sign-in was. Never updated: what changes with every refresh is in `refresh_families`.
CREATE TABLE sessions (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    session_id uuid NOT NULL,
    client text NOT NULL,
    device_hash bytea,
    ip text NOT NULL,
    bound_key text,
    audiences text[] NOT NULL,
    methods text[] NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (user_id, session_id)
);

-- The refresh tokens of a session, and whether it is live. One narrow row, so that a refresh
-- rewrites little; half of each page is left free and no index holds what a refresh changes, so
-- that the new version stays on its page and no index grows.
CREATE TABLE refresh_families (
    user_id uuid NOT NULL,
    family_id uuid NOT NULL,
    session_id uuid NOT NULL,
    -- The one token that is good; every smaller number is spent.
    generation bigint NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 4294967295),
    spent_at bigint,
    -- By what a retry of the client that spent the token before is recognized.
    spent_by bytea,
    -- The end of the session, however often it is refreshed.
    expires_at bigint NOT NULL,
    -- Its end if it is not refreshed any more. A session is live that has not ended and has not
    -- lapsed: no statement asks for anything else. A refresh changes it, so it is in no index, and
    -- the rows of what has lapsed stay until the session expires.
    lapses_at bigint NOT NULL CHECK (lapses_at <= expires_at),
    ended_at bigint,
    -- Where the player plays.
    game_server text,
    -- Where it was last used from, other than where it was begun: each move is told once.
    seen_ip text,
    seen_device bytea,
    PRIMARY KEY (user_id, family_id),
    UNIQUE (user_id, session_id),
    FOREIGN KEY (user_id, session_id) REFERENCES sessions ON DELETE CASCADE
) WITH (fillfactor = 50);

CREATE INDEX refresh_families_by_end ON refresh_families (least(expires_at, ended_at));

-- One for each purpose: a new secret voids the one before it.
CREATE TABLE one_time_secrets (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    purpose text NOT NULL,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    expires_at bigint NOT NULL,
    PRIMARY KEY (user_id, purpose)
);

CREATE INDEX one_time_secrets_by_end ON one_time_secrets (expires_at);

-- Outlives its account: tokens of a removed account must be refused as well.
CREATE TABLE revocations (
    user_id uuid NOT NULL,
    revocation_id uuid NOT NULL,
    -- Every session when null.
    session_id uuid,
    revoked_at bigint NOT NULL,
    PRIMARY KEY (user_id, revocation_id)
);

CREATE INDEX revocations_by_time ON revocations (revoked_at, revocation_id);

-- Outlives its account too. Lines of nobody carry the nil id.
CREATE TABLE audit_log (
    user_id uuid NOT NULL,
    -- Of version 7: in order of time.
    audit_id uuid NOT NULL,
    at bigint NOT NULL,
    event text NOT NULL,
    outcome text NOT NULL,
    ip text NOT NULL,
    detail json NOT NULL,
    PRIMARY KEY (user_id, audit_id)
);

CREATE INDEX audit_log_by_time ON audit_log (at);

-- A handful of rows that every database needs whole.
CREATE TABLE signing_keys (
    key_id text PRIMARY KEY,
    public_key bytea NOT NULL,
    private_key bytea NOT NULL,
    published_at bigint NOT NULL,
    activates_at bigint NOT NULL,
    revoked_at bigint
);

-- By what the keys among the secrets are known again: with others nothing here can be found or
-- opened.
CREATE TABLE pinned_keys (
    name text PRIMARY KEY,
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32)
);
