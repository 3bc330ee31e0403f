//! Sessions, their refresh tokens, and their ends.

use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{query, query_as, query_scalar};
use uuid::Uuid;

use super::{audit, factors, turn};
use crate::ids::{FamilyId, PlayerId, SessionId};
use crate::live::Revocation;
use crate::store::rotation::{Verdict, judge};
use crate::store::rows::{self, PlayerRow, RevocationRow, SessionRow, generation, micros};
use crate::store::{
    Audit, Device, MOST_SESSIONS, Opened, Place, Player, Rotate, Rotated, Session, Which,
};

/// A session with its family and its account, in one row: a refresh is one question.
struct LiveRow {
    user_id: Uuid,
    session_id: Uuid,
    family_id: Uuid,
    client: String,
    device_hash: Option<Vec<u8>>,
    ip: String,
    bound_key: Option<String>,
    audiences: Vec<String>,
    methods: Vec<String>,
    session_created_at: i64,
    generation: i64,
    spent_at: Option<i64>,
    spent_by: Option<Vec<u8>>,
    expires_at: i64,
    lapses_at: i64,
    ended_at: Option<i64>,
    game_server: Option<String>,
    status: String,
    email: Option<Vec<u8>>,
    email_verified: bool,
    password_hash: Option<String>,
    credentials_epoch: i64,
    totp_secret: Option<Vec<u8>>,
    totp_confirmed: bool,
    totp_last_step: Option<i64>,
    guest: bool,
    roles: Vec<String>,
    data: serde_json::Value,
    created_at: i64,
}

impl LiveRow {
    fn split(self) -> sqlx::Result<(SessionRow, Player)> {
        let session = SessionRow {
            user_id: self.user_id,
            session_id: self.session_id,
            family_id: self.family_id,
            client: self.client,
            device_hash: self.device_hash,
            ip: self.ip,
            bound_key: self.bound_key,
            audiences: self.audiences,
            methods: self.methods,
            created_at: self.session_created_at,
            generation: self.generation,
            spent_at: self.spent_at,
            spent_by: self.spent_by,
            expires_at: self.expires_at,
            lapses_at: self.lapses_at,
            ended_at: self.ended_at,
            game_server: self.game_server,
        };
        let player = PlayerRow {
            user_id: self.user_id,
            status: self.status,
            email: self.email,
            email_verified: self.email_verified,
            password_hash: self.password_hash,
            credentials_epoch: self.credentials_epoch,
            totp_secret: self.totp_secret,
            totp_confirmed: self.totp_confirmed,
            totp_last_step: self.totp_last_step,
            guest: self.guest,
            roles: self.roles,
            data: self.data,
            created_at: self.created_at,
        };
        Ok((session, player.try_into()?))
    }
}

pub(super) async fn open(
    pool: &PgPool,
    session: &Session,
    credentials_epoch: i64,
    device: Option<&Device>,
    line: &Audit,
) -> sqlx::Result<Option<Opened>> {
    let mut transaction = pool.begin().await?;
    // Whoever disables the account or replaces its password waits for this, or this for them: no
    // session slips through.
    let turn = turn(&mut transaction, session.player).await?;
    if !turn.is_some_and(|turn| turn.admits(credentials_epoch)) {
        return Ok(None);
    }
    query!(
        "INSERT INTO sessions (user_id, session_id, client, device_hash, ip, bound_key, \
            audiences, methods, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        session.player.0,
        session.id.0,
        session.client,
        session.device.as_ref().map(|device| device.0.as_slice()),
        session.ip,
        session.key,
        &session.audiences,
        &session.methods,
        micros(session.created),
    )
    .execute(&mut *transaction)
    .await?;
    query!(
        "INSERT INTO refresh_families (user_id, family_id, session_id, expires_at, lapses_at) \
        VALUES ($1, $2, $3, $4, $5)",
        session.player.0,
        session.family.0,
        session.id.0,
        micros(session.expires),
        micros(session.lapses),
    )
    .execute(&mut *transaction)
    .await?;
    let is_new_device = match device {
        Some(device) => {
            factors::touch_device(&mut transaction, session.player, device, session.created).await?
        }
        None => false,
    };
    let ended = end_oldest(&mut transaction, session.player, session.created).await?;
    audit::write(&mut transaction, std::slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Some(Opened {
        is_new_device,
        ended,
    }))
}

/// Ends the oldest sessions of a player who has more than there may be.
async fn end_oldest(
    connection: &mut PgConnection,
    player: PlayerId,
    at: Timestamp,
) -> sqlx::Result<Vec<Revocation>> {
    let ended = query_scalar!(
        "UPDATE refresh_families AS oldest SET ended_at = $2 \
        WHERE oldest.user_id = $1 AND oldest.session_id IN ( \
            SELECT session.session_id FROM sessions AS session \
                JOIN refresh_families AS family ON family.user_id = session.user_id \
                    AND family.session_id = session.session_id \
            WHERE session.user_id = $1 AND family.ended_at IS NULL AND family.lapses_at > $2 \
            ORDER BY session.created_at DESC, session.session_id DESC OFFSET $3) \
        RETURNING oldest.session_id",
        player.0,
        micros(at),
        i64::from(MOST_SESSIONS),
    )
    .fetch_all(&mut *connection)
    .await?;
    note_ends(connection, player, ended, at).await
}

pub(super) async fn get(
    pool: &PgPool,
    player: PlayerId,
    session: SessionId,
) -> sqlx::Result<Option<(Session, Player)>> {
    let Some(row) = find(pool, player, Some(session), None).await? else {
        return Ok(None);
    };
    let (session, player) = row.split()?;
    Ok(Some((session.try_into()?, player)))
}

/// A session by its id or by that of its family.
async fn find(
    pool: &PgPool,
    player: PlayerId,
    session: Option<SessionId>,
    family: Option<FamilyId>,
) -> sqlx::Result<Option<LiveRow>> {
    query_as!(
        LiveRow,
        "SELECT session.user_id, session.session_id, family.family_id, session.client, \
            session.device_hash, session.ip, session.bound_key, session.audiences, \
            session.methods, session.created_at AS session_created_at, family.generation, \
            family.spent_at, family.spent_by, family.expires_at, family.lapses_at, \
            family.ended_at, family.game_server, player.status, \
            player.email, player.email_verified, player.password_hash, \
            player.credentials_epoch, player.totp_secret, player.totp_confirmed, \
            player.totp_last_step, player.guest, player.roles, \
            player.data, player.created_at \
        FROM sessions AS session \
            JOIN refresh_families AS family \
                ON family.user_id = session.user_id AND family.session_id = session.session_id \
            JOIN users AS player ON player.user_id = session.user_id \
        WHERE session.user_id = $1 AND (session.session_id = $2 OR family.family_id = $3)",
        player.0,
        session.map(|session| session.0),
        family.map(|family| family.0),
    )
    .fetch_optional(pool)
    .await
}

pub(super) async fn live(
    pool: &PgPool,
    player: PlayerId,
    now: Timestamp,
) -> sqlx::Result<Vec<Session>> {
    let rows = query_as!(
        SessionRow,
        "SELECT session.user_id, session.session_id, family.family_id, session.client, \
            session.device_hash, session.ip, session.bound_key, session.audiences, \
            session.methods, session.created_at, family.generation, family.spent_at, \
            family.spent_by, family.expires_at, family.lapses_at, family.ended_at, \
            family.game_server \
        FROM sessions AS session JOIN refresh_families AS family \
            ON family.user_id = session.user_id AND family.session_id = session.session_id \
        WHERE session.user_id = $1 AND family.ended_at IS NULL AND family.lapses_at > $2 \
        ORDER BY session.created_at DESC, session.session_id DESC LIMIT $3",
        player.0,
        micros(now),
        i64::from(MOST_SESSIONS),
    )
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn end(
    pool: &PgPool,
    player: PlayerId,
    which: Which,
    at: Timestamp,
    line: &Audit,
) -> sqlx::Result<Vec<Revocation>> {
    let mut transaction = pool.begin().await?;
    if turn(&mut transaction, player).await?.is_none() {
        return Ok(Vec::new());
    }
    let revocations = end_in(&mut transaction, player, which, at).await?;
    if !revocations.is_empty() {
        audit::write(&mut transaction, std::slice::from_ref(line)).await?;
    }
    transaction.commit().await?;
    Ok(revocations)
}

/// Ends sessions of a player whose turn it is.
pub(super) async fn end_in(
    connection: &mut PgConnection,
    player: PlayerId,
    which: Which,
    at: Timestamp,
) -> sqlx::Result<Vec<Revocation>> {
    let (session, is_meant) = match which {
        Which::One(session) => (Some(session.0), true),
        Which::All | Which::Family(_) => (None, true),
        Which::AllBut(session) => (Some(session.0), false),
    };
    let family = match which {
        Which::Family(family) => Some(family.0),
        Which::One(_) | Which::All | Which::AllBut(_) => None,
    };
    let ended = query_scalar!(
        "UPDATE refresh_families SET ended_at = $2 \
        WHERE user_id = $1 AND ended_at IS NULL AND lapses_at > $2 \
            AND ($3::uuid IS NULL OR (session_id = $3) = $4::boolean) \
            AND ($5::uuid IS NULL OR family_id = $5) \
        RETURNING session_id",
        player.0,
        micros(at),
        session,
        is_meant,
        family,
    )
    .fetch_all(&mut *connection)
    .await?;
    let revocations = note_ends(connection, player, ended, at).await?;
    Ok(revocations)
}

/// Ends every session of a player by one revocation.
pub(super) async fn end_all(
    connection: &mut PgConnection,
    player: PlayerId,
    at: Timestamp,
) -> sqlx::Result<Vec<Revocation>> {
    let last = query_scalar!(
        "UPDATE refresh_families AS family SET ended_at = $2 FROM sessions AS session \
        WHERE family.user_id = $1 AND family.ended_at IS NULL AND family.lapses_at > $2 \
            AND session.user_id = family.user_id AND session.session_id = family.session_id \
        RETURNING coalesce(family.spent_at, session.created_at)",
        player.0,
        micros(at),
    )
    .fetch_all(&mut *connection)
    .await?;
    let last = last.into_iter().flatten().max();
    let revocations = vec![rows::revocation_of_all(player, at, last)?];
    revoke(connection, &revocations).await?;
    Ok(revocations)
}

/// Writes a revocation for each session that has ended.
async fn note_ends(
    connection: &mut PgConnection,
    player: PlayerId,
    sessions: Vec<Uuid>,
    at: Timestamp,
) -> sqlx::Result<Vec<Revocation>> {
    let revocations: Vec<Revocation> = sessions
        .into_iter()
        .map(|session| rows::revocation(player, Some(SessionId(session)), at))
        .collect::<sqlx::Result<_>>()?;
    revoke(connection, &revocations).await?;
    Ok(revocations)
}

/// Writes revocations.
async fn revoke(connection: &mut PgConnection, revocations: &[Revocation]) -> sqlx::Result<()> {
    if revocations.is_empty() {
        return Ok(());
    }
    let mut ids = Vec::with_capacity(revocations.len());
    let mut players = Vec::with_capacity(revocations.len());
    let mut sessions = Vec::with_capacity(revocations.len());
    let mut times = Vec::with_capacity(revocations.len());
    for revocation in revocations {
        ids.push(revocation.id);
        players.push(revocation.player.0);
        sessions.push(revocation.session.map(|session| session.0));
        times.push(micros(revocation.at));
    }
    query!(
        "INSERT INTO revocations (user_id, revocation_id, session_id, revoked_at) \
        SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[])",
        &players,
        &ids,
        &sessions as &[Option<Uuid>],
        &times,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn rotate(pool: &PgPool, rotate: &Rotate) -> sqlx::Result<Rotated> {
    // Of two at once the second waits for the row, finds another generation there, and does
    // nothing. Whatever ends a session or disables an account changes this row, too.
    let next = query_as!(
        LiveRow,
        "UPDATE refresh_families AS family \
        SET generation = family.generation + 1, spent_at = $4, spent_by = $5, \
            lapses_at = least(family.expires_at, $6) \
        FROM sessions AS session, users AS player \
        WHERE family.user_id = $1 AND family.family_id = $2 AND family.generation = $3 \
            AND family.ended_at IS NULL AND family.lapses_at > $4 \
            AND session.user_id = family.user_id AND session.session_id = family.session_id \
            AND player.user_id = family.user_id AND player.status = 'active' \
        RETURNING session.user_id, session.session_id, family.family_id, session.client, \
            session.device_hash, session.ip, session.bound_key, session.audiences, \
            session.methods, session.created_at AS session_created_at, family.generation, \
            family.spent_at, family.spent_by, family.expires_at, family.lapses_at, \
            family.ended_at, family.game_server, player.status, \
            player.email, player.email_verified, player.password_hash, \
            player.credentials_epoch, player.totp_secret, player.totp_confirmed, \
            player.totp_last_step, player.guest, player.roles, \
            player.data, player.created_at",
        rotate.player.0,
        rotate.family.0,
        i64::from(rotate.generation),
        micros(rotate.now),
        rotate.client.as_ref().map(<[u8; 32]>::as_slice),
        micros(rotate.lapses()),
    )
    .fetch_optional(pool)
    .await?;
    if let Some(row) = next {
        let (session, player) = row.split()?;
        return Ok(Rotated::Next {
            generation: generation(session.generation)?,
            session: Box::new(session.try_into()?),
            player: Box::new(player),
        });
    }
    let Some(row) = find(pool, rotate.player, None, Some(rotate.family)).await? else {
        return Ok(Rotated::Refused);
    };
    let (session, player) = row.split()?;
    match judge(&session.family(player.status, rotate)?, rotate) {
        Verdict::Again => Ok(Rotated::Again {
            generation: generation(session.generation)?,
            session: Box::new(session.try_into()?),
            player: Box::new(player),
        }),
        Verdict::Reused => punish(pool, rotate, SessionId(session.session_id)).await,
        // The generation never goes back: one that is good now was good for the update.
        Verdict::Next | Verdict::Refused => Ok(Rotated::Refused),
    }
}

pub(super) async fn assign_server(
    pool: &PgPool,
    player: PlayerId,
    session: SessionId,
    game_server: Option<&str>,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = query!(
        "UPDATE refresh_families SET game_server = $3 \
        WHERE user_id = $1 AND session_id = $2 AND ended_at IS NULL AND lapses_at > $4",
        player.0,
        session.0,
        game_server,
        micros(now),
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn moved(
    pool: &PgPool,
    session: &Session,
    place: Place<'_>,
    line: &Audit,
) -> sqlx::Result<bool> {
    let (player, family) = (session.player.0, session.family.0);
    let mut transaction = pool.begin().await?;
    let done = match place {
        Place::Address(ip) => {
            query!(
                "UPDATE refresh_families SET seen_ip = $3 \
                WHERE user_id = $1 AND family_id = $2 AND seen_ip IS DISTINCT FROM $3",
                player,
                family,
                ip,
            )
            .execute(&mut *transaction)
            .await?
        }
        Place::Device(device) => {
            query!(
                "UPDATE refresh_families SET seen_device = $3 \
                WHERE user_id = $1 AND family_id = $2 AND seen_device IS DISTINCT FROM $3",
                player,
                family,
                device.0.as_slice(),
            )
            .execute(&mut *transaction)
            .await?
        }
    };
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    audit::write(&mut transaction, std::slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Ends a family of which a spent token came back. That it was spent does not change any more, so
/// nothing is to be asked again; but of any number of such tokens at once one ends the family.
async fn punish(pool: &PgPool, rotate: &Rotate, session: SessionId) -> sqlx::Result<Rotated> {
    let which = Which::One(session);
    let revocations = end(pool, rotate.player, which, rotate.now, &rotate.reuse).await?;
    if revocations.is_empty() {
        return Ok(Rotated::Refused);
    }
    Ok(Rotated::Reused(revocations))
}

pub(super) async fn revocations_since(
    pool: &PgPool,
    since: Timestamp,
    after: Uuid,
    limit: u32,
) -> sqlx::Result<Vec<Revocation>> {
    let rows = query_as!(
        RevocationRow,
        "SELECT user_id, revocation_id, session_id, revoked_at FROM revocations \
        WHERE (revoked_at, revocation_id) > ($1, $2) \
        ORDER BY revoked_at, revocation_id LIMIT $3",
        micros(since),
        after,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}
