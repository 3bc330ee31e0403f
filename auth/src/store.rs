//! What must not be lost: accounts, devices, sessions, token families, keys and the audit log.
//!
//! PostgreSQL in production, SQLite in the embedded mode; both pass the same tests. Each call is
//! one transaction: it is there wholly or not at all, and what it returns is durable. Times are
//! stored as microseconds since 1970.

pub mod postgres;
pub mod sqlite;

mod keys;
mod rotation;
mod rows;

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::ids::{FamilyId, IdentityHash, IdentityKind, PlayerId, SessionId};
use crate::live::Revocation;

pub use keys::{PinnedKey, SealedColumn, SealedValue, SigningKey};
pub use storage::sql::Error;

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Active,
    /// It may not, until somebody decides otherwise.
    Disabled,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// Who.
    pub id: PlayerId,
    /// May it be used.
    pub status: Status,
    /// The mail address, sealed ([`crate::crypto::column`]).
    pub email: Option<Vec<u8>>,
    /// Its owner proved to read its mail.
    pub email_verified: bool,
    /// The password's hash in PHC form.
    pub password: Option<String>,
    /// Counts the changes of what it signs in with: a sign-in that began before one opens no
    /// session after it.
    pub credentials_epoch: i64,
    /// The second factor.
    pub totp: Option<Totp>,
    /// Made by a device alone; nobody can prove to own it elsewhere.
    pub guest: bool,
    /// What it may do.
    pub roles: Vec<String>,
    /// What games know of it: a JSON object.
    pub data: serde_json::Value,
    /// When it was made.
    pub created: Timestamp,
}

/// The second factor of an account.
#[derive(Clone, PartialEq, Eq)]
pub struct Totp {
    /// The secret, sealed.
    pub secret: Vec<u8>,
    /// Set up by a first good code; asked for only then.
    pub confirmed: bool,
    /// The last time step whose code was used: neither it nor an earlier one is good again.
    pub last_step: i64,
}

impl fmt::Debug for Totp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Totp")
            .field("confirmed", &self.confirmed)
            .finish_non_exhaustive()
    }
}

/// An account that is to be made, with what its owner signs in with.
#[derive(Clone, Debug)]
pub struct NewPlayer {
    /// Who.
    pub id: PlayerId,
    /// What it signs in with first.
    pub identity: Identity,
    /// The mail address, sealed.
    pub email: Option<Vec<u8>>,
    /// The provider vouches for the address.
    pub email_verified: bool,
    /// The password's hash.
    pub password: Option<String>,
    /// Made by a device alone.
    pub guest: bool,
    /// When.
    pub at: Timestamp,
    /// What the audit log says of it.
    pub lines: Registration,
}

/// The lines of a registration, of which one is committed, so that both cases take as long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// If the account was made.
    pub made: Audit,
    /// If its identity is taken.
    pub taken: Audit,
}

impl Registration {
    /// The line that is so.
    pub const fn of(&self, made: bool) -> &Audit {
        if made { &self.made } else { &self.taken }
    }
}

/// A password that replaces another.
#[derive(Clone)]
pub struct NewPassword {
    /// Whose.
    pub player: PlayerId,
    /// Its hash in PHC form.
    pub hash: String,
    /// What allows it.
    pub right: Right,
    /// When.
    pub at: Timestamp,
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("NewPassword")
            .field("player", &self.player)
            .field("right", &self.right)
            .finish_non_exhaustive()
    }
}

/// What allows a password to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The former one, shown in a session, which alone goes on.
    Former {
        /// The account's, when the former one was checked.
        credentials_epoch: i64,
        /// Which session.
        session: SessionId,
    },
    /// The hash of a mailed secret, which is spent. The address is its owner's then, and no session
    /// goes on.
    Mailed([u8; 32]),
}

impl Right {
    /// The sessions that end with the former password.
    const fn ends(self) -> Which {
        match self {
            Self::Former { session, .. } => Which::AllBut(session),
            Self::Mailed(_) => Which::All,
        }
    }
}

/// One way to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Of what kind.
    pub kind: IdentityKind,
    /// By what it is found.
    pub hash: IdentityHash,
    /// What its owner recognizes it by, sealed.
    pub label: Vec<u8>,
}

/// A passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The credential's id.
    pub credential: Vec<u8>,
    /// The library's record of it, as JSON.
    pub record: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used.
    pub used: Option<Timestamp>,
}

/// A device as it signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// By what it is found.
    pub hash: IdentityHash,
    /// Its id, sealed.
    pub sealed: Vec<u8>,
    /// The key that it proved to hold.
    pub key: Option<String>,
}

/// A session: one sign-in on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub player: PlayerId,
    /// Which.
    pub id: SessionId,
    /// The refresh tokens of it.
    pub family: FamilyId,
    /// What the client calls itself.
    pub client: String,
    /// The device, where the client named one.
    pub device: Option<IdentityHash>,
    /// Where it signed in from.
    pub ip: String,
    /// The key that its tokens are bound to (RFC 7638).
    pub key: Option<String>,
    /// Who may accept its tokens.
    pub audiences: Vec<String>,
    /// How the player proved who it is: "pwd", "otp", "hwk", ... (RFC 8176).
    pub methods: Vec<String>,
    /// When it began.
    pub created: Timestamp,
    /// When a token of it was last made.
    pub used: Timestamp,
    /// No token is made from then on, whatever is refreshed.
    pub expires: Timestamp,
    /// Its end if it is not refreshed any more; never after `expires`.
    pub lapses: Timestamp,
    /// When it was ended.
    pub revoked: Option<Timestamp>,
    /// Where its player plays: an address and a port.
    pub game_server: Option<String>,
}

impl Session {
    /// Whether it has neither ended nor lapsed.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.lapses
    }
}

/// What beginning a session changed beside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The account did not know the device.
    pub is_new_device: bool,
    /// The oldest sessions of an account that had as many as it may: they have ended.
    pub ended: Vec<Revocation>,
}

/// Which sessions of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// This one.
    One(SessionId),
    /// Every one.
    All,
    /// Every one but this.
    AllBut(SessionId),
    /// The one of these refresh tokens.
    Family(FamilyId),
}

/// Where a live session is used from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'session> {
    /// An address.
    Address(&'session str),
    /// A device.
    Device(&'session IdentityHash),
}

/// A refresh token that comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// Whose.
    pub player: PlayerId,
    /// Which family.
    pub family: FamilyId,
    /// Which of its tokens; the first is 0.
    pub generation: u32,
    /// By what a retry of the same client is recognized: the thumbprint of its DPoP key with the
    /// id of its request, or the id alone. Hashed. None: a retry cannot be told from a thief.
    pub client: Option<[u8; 32]>,
    /// Now.
    pub now: Timestamp,
    /// How long a retry may come after the first.
    pub grace: std::time::Duration,
    /// How long a token is good that nobody uses.
    pub idle: std::time::Duration,
    /// What the audit log says if it was spent before by somebody else.
    pub reuse: Audit,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// It was good and is spent; the family's next token has this generation.
    Next {
        /// Of the successor.
        generation: u32,
        /// The session.
        session: Box<Session>,
        /// The account.
        player: Box<Player>,
    },
    /// It was spent lately by this same client, which has not heard the answer: as `Next`.
    Again {
        /// Of the successor, which is the same as the first time.
        generation: u32,
        /// The session.
        session: Box<Session>,
        /// The account.
        player: Box<Player>,
    },
    /// It was spent before by somebody else: the family and its session have ended by this call.
    Reused(Vec<Revocation>),
    /// There is no such family, or it has ended or expired, or the account is disabled.
    Refused,
}

/// A secret that was mailed: good once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTime {
    /// Whose.
    pub player: PlayerId,
    /// For what.
    pub purpose: Purpose,
    /// Its hash.
    pub hash: [u8; 32],
    /// Void from then on.
    pub expires: Timestamp,
}

/// A mail address that an account is to sign in with from now on.
#[derive(Clone)]
pub struct NewAddress {
    /// The way in.
    pub identity: Identity,
    /// The address, sealed.
    pub email: Vec<u8>,
    /// The password's hash.
    pub password: String,
    /// The hash of the mailed secret that proves it.
    pub secret: [u8; 32],
    /// When.
    pub at: Timestamp,
}

impl fmt::Debug for NewAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("NewAddress").finish_non_exhaustive()
    }
}

/// What became of an address that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// It signs in from now on.
    Done,
    /// It is somebody's, or the account has one; the secret is not spent.
    Taken,
    /// The secret is unknown, spent or expired, or there is no such account.
    Void,
}

/// What became of a way in that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Done,
    /// There was none.
    Missing,
    /// It stays: there is no other.
    Last,
}

/// What a mailed secret is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To prove that a mail address is read.
    VerifyEmail,
    /// To choose a new password.
    ResetPassword,
    /// To add a mail address to an account.
    LinkEmail,
}

impl Purpose {
    /// As in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::LinkEmail => "link_email",
        }
    }
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Its own id: of version 7, so that ids are in order of time.
    pub id: Uuid,
    /// Whose; the nil id when no account is known.
    pub player: PlayerId,
    /// When.
    pub at: Timestamp,
    /// What: "login", "refresh_reuse", ...
    pub event: String,
    /// How it ended: "success", "failure" or "suspicious".
    pub outcome: String,
    /// From where.
    pub ip: String,
    /// More: a JSON object without secrets.
    pub detail: serde_json::Value,
}

/// How many rows a purge removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Sessions with their families.
    pub sessions: u64,
    /// Mailed secrets.
    pub one_time: u64,
    /// Revocations.
    pub revocations: u64,
    /// Lines of the audit log.
    pub audit: u64,
    /// Signing keys.
    pub signing_keys: u64,
}

impl Purged {
    /// The most rows of one kind.
    pub fn most(&self) -> u64 {
        let Self {
            sessions,
            one_time,
            revocations,
            audit,
            signing_keys,
        } = *self;
        [sessions, one_time, revocations, audit, signing_keys]
            .into_iter()
            .max()
            .unwrap_or_default()
    }
}

/// Whoever uses an account later than this after it was made came back to it.
pub const SOON: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// The most live sessions of an account: the oldest end for a new one.
pub const MOST_SESSIONS: u32 = 100;

/// The most devices that an account knows, beside those that it signs in with: the ones that were
/// away for longest are forgotten for a new one.
pub const MOST_DEVICES: u32 = 100;

/// What a player may do, and what games know of it.
pub type RolesAndData = (Vec<String>, serde_json::Value);

/// What must not be lost.
///
/// A call that changes an account takes the line that the audit log has of it, and commits both
/// together; it writes none when it changes nothing.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Makes an account; false when the identity is taken, and then nothing is made. The audit log
    /// has a line in both cases, and both ask the database the same.
    async fn create_player(&self, new: &NewPlayer) -> Result<bool, Error>;

    /// Whose identity it is.
    async fn player_by(&self, identity: &IdentityHash) -> Result<Option<PlayerId>, Error>;

    /// An account.
    async fn player(&self, id: PlayerId) -> Result<Option<Player>, Error>;

    /// Removes an account with everything of it but its audit log; its sessions end by one
    /// revocation for all of them, of a time no earlier than that of any token of theirs.
    async fn delete_player(
        &self,
        id: PlayerId,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error>;

    /// Gives an account one more way to sign in, so that it is no guest any more; false when it is
    /// taken by anybody.
    async fn add_identity(
        &self,
        player: PlayerId,
        identity: &Identity,
        at: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error>;

    /// Spends the mailed secret of an address, and gives it to an account that has none, with its
    /// password.
    async fn link_address(
        &self,
        player: PlayerId,
        new: &NewAddress,
        line: &Audit,
    ) -> Result<Linked, Error>;

    /// Takes a way to sign in, and with a mail address its password; never the last one.
    async fn remove_identity(
        &self,
        player: PlayerId,
        identity: &IdentityHash,
        line: &Audit,
    ) -> Result<Removed, Error>;

    /// The ways to sign in of an account.
    async fn identities(&self, player: PlayerId) -> Result<Vec<Identity>, Error>;

    /// Replaces the password's hash by another one of the same password, if it still is `expected`.
    async fn set_password(
        &self,
        player: PlayerId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<bool, Error>;

    /// Replaces the password and ends sessions; returns a revocation for each that was live. None
    /// when the right to it is not good or the account is not active, and then nothing is written.
    async fn replace_password(
        &self,
        new: &NewPassword,
        line: &Audit,
    ) -> Result<Option<Vec<Revocation>>, Error>;

    /// Spends a mailed secret and notes that the mail address is its owner's; false when the secret
    /// is unknown, spent or expired, or the account is not active, and then nothing is written.
    async fn verify_email(
        &self,
        player: PlayerId,
        secret: &[u8; 32],
        now: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error>;

    /// Allows or forbids the use of an account; its sessions end when it is disabled, by one
    /// revocation for all of them, of a time no earlier than that of any token of theirs.
    async fn set_status(
        &self,
        player: PlayerId,
        status: Status,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error>;

    /// Replaces roles, data or both; what they are then, or none when there is no such account.
    async fn set_data(
        &self,
        player: PlayerId,
        roles: Option<&[String]>,
        data: Option<&serde_json::Value>,
        line: &Audit,
    ) -> Result<Option<RolesAndData>, Error>;

    /// Replaces or removes the second factor; recovery codes go with it.
    async fn set_totp(
        &self,
        player: PlayerId,
        totp: Option<&Totp>,
        recovery: &[[u8; 32]],
        line: Option<&Audit>,
    ) -> Result<(), Error>;

    /// Notes that a code of this time step was used and confirms the factor, which is a change of
    /// what the account signs in with; false when it or a later one was used before.
    async fn spend_totp(
        &self,
        player: PlayerId,
        step: i64,
        line: Option<&Audit>,
    ) -> Result<bool, Error>;

    /// Spends a recovery code by its hash; false when it is not one or was used.
    async fn spend_recovery(
        &self,
        player: PlayerId,
        hash: &[u8; 32],
        at: Timestamp,
    ) -> Result<bool, Error>;

    /// Adds a passkey; false when it is there or the account is not.
    async fn add_passkey(
        &self,
        player: PlayerId,
        passkey: &Passkey,
        line: &Audit,
    ) -> Result<bool, Error>;

    /// Notes the use of a passkey; false when it was removed meanwhile.
    async fn touch_passkey(&self, player: PlayerId, passkey: &Passkey) -> Result<bool, Error>;

    /// The passkeys of an account.
    async fn passkeys(&self, player: PlayerId) -> Result<Vec<Passkey>, Error>;

    /// Removes a passkey; false when there was none.
    async fn remove_passkey(
        &self,
        player: PlayerId,
        credential: &[u8],
        line: &Audit,
    ) -> Result<bool, Error>;

    /// A device that the account knows.
    async fn device(
        &self,
        player: PlayerId,
        device: &IdentityHash,
    ) -> Result<Option<Device>, Error>;

    /// Begins a session and its family of refresh tokens (generation 0), and notes the device that
    /// signs in, which keeps the key that it had if it comes without. None when the account was
    /// removed or disabled meanwhile, or what it signs in with was changed since this
    /// `credentials_epoch`, and then nothing is written.
    async fn open_session(
        &self,
        session: &Session,
        credentials_epoch: i64,
        device: Option<&Device>,
        line: &Audit,
    ) -> Result<Option<Opened>, Error>;

    /// A session with its account, whether it is live or not.
    async fn session(
        &self,
        player: PlayerId,
        session: SessionId,
    ) -> Result<Option<(Session, Player)>, Error>;

    /// The live sessions of an account, newest first, at most [`MOST_SESSIONS`].
    async fn sessions(&self, player: PlayerId, now: Timestamp) -> Result<Vec<Session>, Error>;

    /// Ends sessions and their families; returns a revocation for each that was live.
    async fn end_sessions(
        &self,
        player: PlayerId,
        which: Which,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error>;

    /// Notes where the player of a live session plays; false when there is no such session.
    async fn assign_server(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, Error>;

    /// Notes that a session is used from another place than it was begun from; false, and nothing
    /// is written, when that was its last other place already.
    async fn moved(&self, session: &Session, place: Place<'_>, line: &Audit)
    -> Result<bool, Error>;

    /// Spends a refresh token. Of any number of calls at once for the same token, one gets `Next`.
    async fn rotate(&self, rotate: &Rotate) -> Result<Rotated, Error>;

    /// Remembers a mailed secret; those of the same purpose before it are void.
    async fn put_one_time(&self, secret: &OneTime) -> Result<(), Error>;

    /// Whether a mailed secret is good, without spending it.
    async fn knows_one_time(
        &self,
        player: PlayerId,
        purpose: Purpose,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, Error>;

    /// Revocations since then, by time and then by id, at most `limit`; of those of that very time
    /// the ones whose ids come after `after`. One may be committed a moment after its time: callers
    /// ask again for the last seconds and know them by their ids.
    async fn revocations_since(
        &self,
        since: Timestamp,
        after: Uuid,
        limit: u32,
    ) -> Result<Vec<Revocation>, Error>;

    /// Every signing key.
    async fn signing_keys(&self) -> Result<Vec<SigningKey>, Error>;

    /// Adds a signing key, unless the keys are no longer `expected` (sorted ids); false then.
    async fn add_signing_key(&self, key: &SigningKey, expected: &[String]) -> Result<bool, Error>;

    /// Revokes a signing key; false when there is none.
    async fn revoke_signing_key(&self, id: &str, at: Timestamp) -> Result<bool, Error>;

    /// Notes by what keys are known again, unless their names have one; returns all that are noted.
    async fn pin_keys(&self, keys: &[PinnedKey]) -> Result<Vec<PinnedKey>, Error>;

    /// Writes lines of the audit log.
    async fn audit(&self, lines: &[Audit]) -> Result<(), Error>;

    /// Lines of an account before an id, newest first.
    async fn audit_of(
        &self,
        player: PlayerId,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Audit>, Error>;

    /// Values that were sealed by a former version of the master key, at most `limit` of each column.
    async fn sealed_before(&self, version: u32, limit: u32) -> Result<Vec<SealedValue>, Error>;

    /// Replaces a value by another sealing of the same; false when it is no more as it was.
    async fn reseal(&self, value: &SealedValue, new: &[u8]) -> Result<bool, Error>;

    /// Removes what nothing can need any more, at most `limit` rows of each: sessions and mailed
    /// secrets that ended or expired before `before`, revocations and keys likewise, audit lines
    /// before `audit_before`.
    async fn purge(
        &self,
        before: Timestamp,
        audit_before: Timestamp,
        limit: u32,
    ) -> Result<Purged, Error>;

    /// Accounts that were made before `before` and that nobody came back to, at most `limit`:
    /// guests, and addresses that were never verified, without any session, and never used later
    /// than [`SOON`] after they were made.
    async fn abandoned(&self, before: Timestamp, limit: u32) -> Result<Vec<PlayerId>, Error>;

    /// Removes an account as [`Store::delete_player`] does, if it still is one of
    /// [`Store::abandoned`]; false when it is not.
    async fn delete_abandoned(
        &self,
        id: PlayerId,
        before: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error>;

    /// Whether it answers.
    async fn ping(&self) -> Result<(), Error>;
}
