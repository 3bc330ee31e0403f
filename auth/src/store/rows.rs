//! What both databases share: values as columns hold them.

use jiff::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use crate::ids::{FamilyId, IdentityHash, PlayerId, SessionId};
use crate::live::Revocation;
use crate::store::rotation::Family;
use crate::store::{
    Audit, Device, Identity, Passkey, Player, Rotate, SealedColumn, SealedValue, Session,
    SigningKey, Status, Totp,
};

/// What a column holds that was never written.
#[derive(Debug, thiserror::Error)]
enum Corruption {
    #[error("{0} microseconds since 1970 are no time")]
    Time(i64),
    #[error("a hash of {0} bytes")]
    Hash(usize),
    #[error("the status {0:?}")]
    Status(String),
    #[error("the generation {0}")]
    Generation(i64),
    #[error("a second factor without its last step")]
    Totp,
}

impl From<Corruption> for sqlx::Error {
    fn from(corruption: Corruption) -> Self {
        Self::Decode(Box::new(corruption))
    }
}

/// [`crate::store::SOON`] as columns hold it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a day in microseconds, computed by the compiler"
)]
pub(super) const SOON: i64 = crate::store::SOON.as_micros() as i64;

/// How many rows these are.
pub(super) fn count<Row>(rows: &[Row]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

/// A time as columns hold it.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A time as it will be read again.
pub(super) fn timestamp(micros: i64) -> sqlx::Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|_| Corruption::Time(micros).into())
}

fn optional(micros: Option<i64>) -> sqlx::Result<Option<Timestamp>> {
    micros.map(timestamp).transpose()
}

/// A hash.
pub(super) fn hash(bytes: &[u8]) -> sqlx::Result<[u8; 32]> {
    bytes
        .try_into()
        .map_err(|_| Corruption::Hash(bytes.len()).into())
}

/// The number of a token.
pub(super) fn generation(number: i64) -> sqlx::Result<u32> {
    u32::try_from(number).map_err(|_| Corruption::Generation(number).into())
}

/// As in tables.
pub(super) const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Disabled => "disabled",
    }
}

/// A sealed value of any column.
#[derive(FromRow)]
pub(super) struct SealedRow {
    pub(super) name: String,
    pub(super) user_id: Uuid,
    pub(super) row_id: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl TryFrom<SealedRow> for SealedValue {
    type Error = sqlx::Error;

    fn try_from(row: SealedRow) -> sqlx::Result<Self> {
        let id = || hash(&row.row_id).map(IdentityHash);
        let column = match row.name.as_str() {
            "email" => SealedColumn::Email,
            "totp" => SealedColumn::Totp,
            "label" => SealedColumn::Label(id()?),
            "device label" => SealedColumn::DeviceLabel(id()?),
            _ => SealedColumn::Device(id()?),
        };
        Ok(Self {
            column,
            player: PlayerId(row.user_id),
            value: row.value,
        })
    }
}

/// A row of `users`.
#[derive(FromRow)]
pub(super) struct PlayerRow {
    pub(super) user_id: Uuid,
    pub(super) status: String,
    pub(super) email: Option<Vec<u8>>,
    pub(super) email_verified: bool,
    pub(super) password_hash: Option<String>,
    pub(super) credentials_epoch: i64,
    pub(super) totp_secret: Option<Vec<u8>>,
    pub(super) totp_confirmed: bool,
    pub(super) totp_last_step: Option<i64>,
    pub(super) guest: bool,
    #[sqlx(json)]
    pub(super) roles: Vec<String>,
    #[sqlx(json)]
    pub(super) data: serde_json::Value,
    pub(super) created_at: i64,
}

impl TryFrom<PlayerRow> for Player {
    type Error = sqlx::Error;

    fn try_from(row: PlayerRow) -> sqlx::Result<Self> {
        let totp = match (row.totp_secret, row.totp_last_step) {
            (Some(secret), Some(last_step)) => Some(Totp {
                secret,
                confirmed: row.totp_confirmed,
                last_step,
            }),
            (None, None) => None,
            _ => return Err(Corruption::Totp.into()),
        };
        Ok(Self {
            id: PlayerId(row.user_id),
            status: match row.status.as_str() {
                "active" => Status::Active,
                "disabled" => Status::Disabled,
                _ => return Err(Corruption::Status(row.status).into()),
            },
            email: row.email,
            email_verified: row.email_verified,
            password: row.password_hash,
            credentials_epoch: row.credentials_epoch,
            totp,
            guest: row.guest,
            roles: row.roles,
            data: row.data,
            created: timestamp(row.created_at)?,
        })
    }
}

/// A row of `sessions` with that of its family.
#[derive(FromRow)]
pub(super) struct SessionRow {
    pub(super) user_id: Uuid,
    pub(super) session_id: Uuid,
    pub(super) family_id: Uuid,
    pub(super) client: String,
    pub(super) device_hash: Option<Vec<u8>>,
    pub(super) ip: String,
    pub(super) bound_key: Option<String>,
    #[sqlx(json)]
    pub(super) audiences: Vec<String>,
    #[sqlx(json)]
    pub(super) methods: Vec<String>,
    pub(super) created_at: i64,
    pub(super) generation: i64,
    pub(super) spent_at: Option<i64>,
    pub(super) spent_by: Option<Vec<u8>>,
    pub(super) expires_at: i64,
    pub(super) lapses_at: i64,
    pub(super) ended_at: Option<i64>,
    pub(super) game_server: Option<String>,
}

impl SessionRow {
    /// The family as the token finds it.
    pub(super) fn family(&self, player: Status, rotate: &Rotate) -> sqlx::Result<Family> {
        Ok(Family {
            generation: generation(self.generation)?,
            spent_at: optional(self.spent_at)?,
            spent_by: self.spent_by.as_deref().map(hash).transpose()?,
            is_live: player == Status::Active
                && self.ended_at.is_none()
                && self.lapses_at > micros(rotate.now),
        })
    }
}

impl TryFrom<SessionRow> for Session {
    type Error = sqlx::Error;

    fn try_from(row: SessionRow) -> sqlx::Result<Self> {
        let device = row.device_hash.as_deref().map(hash).transpose()?;
        Ok(Self {
            player: PlayerId(row.user_id),
            id: SessionId(row.session_id),
            family: FamilyId(row.family_id),
            client: row.client,
            device: device.map(IdentityHash),
            ip: row.ip,
            key: row.bound_key,
            audiences: row.audiences,
            methods: row.methods,
            created: timestamp(row.created_at)?,
            // A token is made at the sign-in and at every refresh, and at no other time.
            used: timestamp(row.spent_at.unwrap_or(row.created_at))?,
            expires: timestamp(row.expires_at)?,
            lapses: timestamp(row.lapses_at)?,
            revoked: optional(row.ended_at)?,
            game_server: row.game_server,
        })
    }
}

/// A way to sign in.
#[derive(FromRow)]
pub(super) struct IdentityRow {
    pub(super) identity_hash: Vec<u8>,
    pub(super) kind: String,
    pub(super) label: Vec<u8>,
}

impl TryFrom<IdentityRow> for Identity {
    type Error = sqlx::Error;

    fn try_from(row: IdentityRow) -> sqlx::Result<Self> {
        let kind = row.kind.parse();
        Ok(Self {
            kind: kind.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            hash: IdentityHash(hash(&row.identity_hash)?),
            label: row.label,
        })
    }
}

/// A row of `devices`.
#[derive(FromRow)]
pub(super) struct DeviceRow {
    pub(super) device_hash: Vec<u8>,
    pub(super) device_id: Vec<u8>,
    pub(super) bound_key: Option<String>,
}

impl TryFrom<DeviceRow> for Device {
    type Error = sqlx::Error;

    fn try_from(row: DeviceRow) -> sqlx::Result<Self> {
        Ok(Self {
            hash: IdentityHash(hash(&row.device_hash)?),
            sealed: row.device_id,
            key: row.bound_key,
        })
    }
}

/// A row of `passkeys`.
#[derive(FromRow)]
pub(super) struct PasskeyRow {
    pub(super) credential_id: Vec<u8>,
    pub(super) record: String,
    pub(super) name: String,
    pub(super) created_at: i64,
    pub(super) used_at: Option<i64>,
}

impl TryFrom<PasskeyRow> for Passkey {
    type Error = sqlx::Error;

    fn try_from(row: PasskeyRow) -> sqlx::Result<Self> {
        Ok(Self {
            credential: row.credential_id,
            record: row.record,
            name: row.name,
            created: timestamp(row.created_at)?,
            used: optional(row.used_at)?,
        })
    }
}

/// A row of `revocations`.
#[derive(FromRow)]
pub(super) struct RevocationRow {
    pub(super) user_id: Uuid,
    pub(super) revocation_id: Uuid,
    pub(super) session_id: Option<Uuid>,
    pub(super) revoked_at: i64,
}

impl TryFrom<RevocationRow> for Revocation {
    type Error = sqlx::Error;

    fn try_from(row: RevocationRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.revocation_id,
            player: PlayerId(row.user_id),
            session: row.session_id.map(SessionId),
            at: timestamp(row.revoked_at)?,
        })
    }
}

/// A new revocation, with its time as it will be read again.
pub(super) fn revocation(
    player: PlayerId,
    session: Option<SessionId>,
    at: Timestamp,
) -> sqlx::Result<Revocation> {
    Ok(Revocation {
        id: Uuid::new_v4(),
        player,
        session,
        at: timestamp(micros(at))?,
    })
}

/// A new revocation of everything of a player. The last token of the player's may be of a replica
/// whose clock is ahead: the revocation is no earlier, or whoever compares them would let it pass.
pub(super) fn revocation_of_all(
    player: PlayerId,
    at: Timestamp,
    last: Option<i64>,
) -> sqlx::Result<Revocation> {
    let last = optional(last)?;
    revocation(player, None, last.map_or(at, |last| last.max(at)))
}

/// A row of `signing_keys`.
#[derive(FromRow)]
pub(super) struct KeyRow {
    pub(super) key_id: String,
    pub(super) public_key: Vec<u8>,
    pub(super) private_key: Vec<u8>,
    pub(super) published_at: i64,
    pub(super) activates_at: i64,
    pub(super) revoked_at: Option<i64>,
}

impl TryFrom<KeyRow> for SigningKey {
    type Error = sqlx::Error;

    fn try_from(row: KeyRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.key_id,
            public: row.public_key,
            private: row.private_key,
            published: timestamp(row.published_at)?,
            activates: timestamp(row.activates_at)?,
            revoked: optional(row.revoked_at)?,
        })
    }
}

/// A row of `audit_log`.
#[derive(FromRow)]
pub(super) struct AuditRow {
    pub(super) user_id: Uuid,
    pub(super) audit_id: Uuid,
    pub(super) at: i64,
    pub(super) event: String,
    pub(super) outcome: String,
    pub(super) ip: String,
    #[sqlx(json)]
    pub(super) detail: serde_json::Value,
}

impl TryFrom<AuditRow> for Audit {
    type Error = sqlx::Error;

    fn try_from(row: AuditRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.audit_id,
            player: PlayerId(row.user_id),
            at: timestamp(row.at)?,
            event: row.event,
            outcome: row.outcome,
            ip: row.ip,
            detail: row.detail,
        })
    }
}

/// The lines of a call that has one, or none.
pub(super) fn lines(line: Option<&Audit>) -> &[Audit] {
    line.map_or(&[], std::slice::from_ref)
}

/// Reads rows.
pub(super) fn all<Row, Value>(rows: Vec<Row>) -> sqlx::Result<Vec<Value>>
where
    Value: TryFrom<Row, Error = sqlx::Error>,
{
    rows.into_iter().map(Value::try_from).collect()
}
