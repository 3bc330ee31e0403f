-- Accounts, sessions, keys and the audit log of the embedded mode. What each column means is said
-- in ../postgres. Ids are 16 bytes, lists and objects are JSON. There is one database and no
-- distribution, so an identity is one row of one table.

CREATE TABLE users (
    user_id BLOB PRIMARY KEY NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'disabled')),
    email BLOB,
    email_verified INTEGER NOT NULL,
    password_hash TEXT,
    credentials_epoch INTEGER NOT NULL DEFAULT 0,
    totp_secret BLOB,
    totp_confirmed INTEGER NOT NULL DEFAULT 0,
    totp_last_step INTEGER,
    guest INTEGER NOT NULL,
    roles TEXT NOT NULL DEFAULT '[]',
    data TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL,
    returned INTEGER NOT NULL DEFAULT 0,
    CHECK ((totp_secret IS NULL) = (totp_last_step IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX users_unreturned ON users (created_at)
    WHERE NOT returned AND (guest OR (password_hash IS NOT NULL AND NOT email_verified));

CREATE TABLE identities (
    identity_hash BLOB PRIMARY KEY NOT NULL CHECK (length(identity_hash) = 32),
    user_id BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    kind TEXT NOT NULL,
    label BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX identities_by_user ON identities (user_id);

CREATE TABLE devices (
    user_id BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    device_hash BLOB NOT NULL CHECK (length(device_hash) = 32),
    device_id BLOB NOT NULL,
    bound_key TEXT,
    created_at INTEGER NOT NULL,
    last_login INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE passkeys (
    user_id BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    credential_id BLOB NOT NULL,
    record TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (user_id, credential_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
    user_id BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    code_hash BLOB NOT NULL CHECK (length(code_hash) = 32),
    used_at INTEGER,
    PRIMARY KEY (user_id, code_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    user_id BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    session_id BLOB NOT NULL,
    client TEXT NOT NULL,
    device_hash BLOB,
    ip TEXT NOT NULL,
    bound_key TEXT,
    audiences TEXT NOT NULL,
    methods TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, session_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE refresh_families (
    user_id BLOB NOT NULL,
    family_id BLOB NOT NULL,
    session_id BLOB NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 4294967295),
    spent_at INTEGER,
    spent_by BLOB,
    expires_at INTEGER NOT NULL,
    lapses_at INTEGER NOT NULL CHECK (lapses_at <= expires_at),
    ended_at INTEGER,
    game_server TEXT,
    seen_ip TEXT,
    seen_device BLOB,
    PRIMARY KEY (user_id, family_id),
    UNIQUE (user_id, session_id),
    FOREIGN KEY (user_id, session_id) REFERENCES sessions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_families_by_end
    ON refresh_families (min(expires_at, coalesce(ended_at, expires_at)));

CREATE TABLE one_time_secrets (
    user_id BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    purpose TEXT NOT NULL,
    secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, purpose)
) STRICT, WITHOUT ROWID;

CREATE INDEX one_time_secrets_by_end ON one_time_secrets (expires_at);

CREATE TABLE revocations (
    user_id BLOB NOT NULL,
    revocation_id BLOB PRIMARY KEY NOT NULL,
    session_id BLOB,
    revoked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revocations_by_time ON revocations (revoked_at, revocation_id);

CREATE TABLE audit_log (
    user_id BLOB NOT NULL,
    audit_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    outcome TEXT NOT NULL,
    ip TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (user_id, audit_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX audit_log_by_time ON audit_log (at);

CREATE TABLE signing_keys (
    key_id TEXT PRIMARY KEY NOT NULL,
    public_key BLOB NOT NULL,
    private_key BLOB NOT NULL,
    published_at INTEGER NOT NULL,
    activates_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE pinned_keys (
    name TEXT PRIMARY KEY NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32)
) STRICT, WITHOUT ROWID;
