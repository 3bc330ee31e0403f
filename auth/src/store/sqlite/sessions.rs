//! Sessions, their refresh tokens, and their ends.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::types::Json;
use sqlx::{query, query_as, query_scalar};
use storage::sqlite::BEGIN;
use uuid::Uuid;

use super::{factors, players, system};
use crate::ids::{FamilyId, PlayerId, SessionId};
use crate::live::Revocation;
use crate::store::rotation::{Verdict, judge};
use crate::store::rows::{self, RevocationRow, SessionRow, generation, micros};
use crate::store::{
    Audit, Device, MOST_SESSIONS, Opened, Place, Player, Rotate, Rotated, Session, Which,
};

pub(super) async fn open(
    pool: &SqlitePool,
    session: &Session,
    credentials_epoch: i64,
    device: Option<&Device>,
    line: &Audit,
) -> sqlx::Result<Option<Opened>> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let player = players::active(&mut transaction, session.player).await?;
    if player.is_none_or(|player| player.credentials_epoch != credentials_epoch) {
        return Ok(None);
    }
    query(
        "INSERT INTO sessions (user_id, session_id, client, device_hash, ip, bound_key, \
            audiences, methods, created_at) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(session.player.0)
    .bind(session.id.0)
    .bind(&session.client)
    .bind(session.device.as_ref().map(|device| device.0.as_slice()))
    .bind(&session.ip)
    .bind(&session.key)
    .bind(Json(&session.audiences))
    .bind(Json(&session.methods))
    .bind(micros(session.created))
    .execute(&mut *transaction)
    .await?;
    query(
        "INSERT INTO refresh_families (user_id, family_id, session_id, expires_at, lapses_at) \
        VALUES (?, ?, ?, ?, ?)",
    )
    .bind(session.player.0)
    .bind(session.family.0)
    .bind(session.id.0)
    .bind(micros(session.expires))
    .bind(micros(session.lapses))
    .execute(&mut *transaction)
    .await?;
    let is_new_device = match device {
        Some(device) => {
            factors::touch_device(&mut transaction, session.player, device, session.created).await?
        }
        None => false,
    };
    let ended = end_oldest(&mut transaction, session.player, session.created).await?;
    system::write(&mut transaction, std::slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Some(Opened {
        is_new_device,
        ended,
    }))
}

/// Ends the oldest sessions of a player who has more than there may be.
async fn end_oldest(
    connection: &mut SqliteConnection,
    player: PlayerId,
    at: Timestamp,
) -> sqlx::Result<Vec<Revocation>> {
    let ended: Vec<Uuid> = query_scalar(
        "UPDATE refresh_families SET ended_at = ?2 \
        WHERE user_id = ?1 AND session_id IN ( \
            SELECT session_id FROM sessions JOIN refresh_families USING (user_id, session_id) \
            WHERE user_id = ?1 AND ended_at IS NULL AND lapses_at > ?2 \
            ORDER BY created_at DESC, session_id DESC LIMIT -1 OFFSET ?3) \
        RETURNING session_id",
    )
    .bind(player.0)
    .bind(micros(at))
    .bind(MOST_SESSIONS)
    .fetch_all(&mut *connection)
    .await?;
    note_ends(connection, player, ended, at).await
}

pub(super) async fn get(
    pool: &SqlitePool,
    player: PlayerId,
    session: SessionId,
) -> sqlx::Result<Option<(Session, Player)>> {
    let mut transaction = pool.begin().await?;
    let Some((session, player)) = find(&mut transaction, player, Some(session), None).await? else {
        return Ok(None);
    };
    Ok(Some((session.try_into()?, player)))
}

/// A session by its id or by that of its family.
async fn find(
    connection: &mut SqliteConnection,
    player: PlayerId,
    session: Option<SessionId>,
    family: Option<FamilyId>,
) -> sqlx::Result<Option<(SessionRow, Player)>> {
    let row: Option<SessionRow> = query_as(
        "SELECT * FROM sessions JOIN refresh_families USING (user_id, session_id) \
        WHERE user_id = ? AND (session_id = ? OR family_id = ?)",
    )
    .bind(player.0)
    .bind(session.map(|session| session.0))
    .bind(family.map(|family| family.0))
    .fetch_optional(&mut *connection)
    .await?;
    let player = players::find(connection, player).await?;
    Ok(row.zip(player))
}

pub(super) async fn live(
    pool: &SqlitePool,
    player: PlayerId,
    now: Timestamp,
) -> sqlx::Result<Vec<Session>> {
    let rows: Vec<SessionRow> = query_as(
        "SELECT * FROM sessions JOIN refresh_families USING (user_id, session_id) \
        WHERE user_id = ? AND ended_at IS NULL AND lapses_at > ? \
        ORDER BY created_at DESC, session_id DESC LIMIT ?",
    )
    .bind(player.0)
    .bind(micros(now))
    .bind(MOST_SESSIONS)
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn end(
    pool: &SqlitePool,
    player: PlayerId,
    which: Which,
    at: Timestamp,
    line: &Audit,
) -> sqlx::Result<Vec<Revocation>> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let revocations = end_with_line(&mut transaction, player, which, at, line).await?;
    transaction.commit().await?;
    Ok(revocations)
}

/// Ends sessions within a transaction, and writes a line if one was live.
async fn end_with_line(
    connection: &mut SqliteConnection,
    player: PlayerId,
    which: Which,
    at: Timestamp,
    line: &Audit,
) -> sqlx::Result<Vec<Revocation>> {
    let revocations = end_in(connection, player, which, at).await?;
    if !revocations.is_empty() {
        system::write(connection, std::slice::from_ref(line)).await?;
    }
    Ok(revocations)
}

/// Ends sessions within a transaction.
pub(super) async fn end_in(
    connection: &mut SqliteConnection,
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
    let ended: Vec<Uuid> = query_scalar(
        "UPDATE refresh_families SET ended_at = ?2 \
        WHERE user_id = ?1 AND ended_at IS NULL AND lapses_at > ?2 \
            AND (?3 IS NULL OR (session_id = ?3) = ?4) \
            AND (?5 IS NULL OR family_id = ?5) \
        RETURNING session_id",
    )
    .bind(player.0)
    .bind(micros(at))
    .bind(session)
    .bind(is_meant)
    .bind(family)
    .fetch_all(&mut *connection)
    .await?;
    note_ends(connection, player, ended, at).await
}

/// Ends every session of a player by one revocation.
pub(super) async fn end_all(
    connection: &mut SqliteConnection,
    player: PlayerId,
    at: Timestamp,
) -> sqlx::Result<Vec<Revocation>> {
    let last: Option<i64> = query_scalar(
        "SELECT max(coalesce(spent_at, created_at)) \
        FROM sessions JOIN refresh_families USING (user_id, session_id) \
        WHERE user_id = ?1 AND ended_at IS NULL AND lapses_at > ?2",
    )
    .bind(player.0)
    .bind(micros(at))
    .fetch_one(&mut *connection)
    .await?;
    query(
        "UPDATE refresh_families SET ended_at = ?2 \
        WHERE user_id = ?1 AND ended_at IS NULL AND lapses_at > ?2",
    )
    .bind(player.0)
    .bind(micros(at))
    .execute(&mut *connection)
    .await?;
    let revocations = vec![rows::revocation_of_all(player, at, last)?];
    revoke(connection, &revocations).await?;
    Ok(revocations)
}

/// Writes a revocation for each session that has ended.
async fn note_ends(
    connection: &mut SqliteConnection,
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
async fn revoke(connection: &mut SqliteConnection, revocations: &[Revocation]) -> sqlx::Result<()> {
    for revocation in revocations {
        query(
            "INSERT INTO revocations (user_id, revocation_id, session_id, revoked_at) \
            VALUES (?, ?, ?, ?)",
        )
        .bind(revocation.player.0)
        .bind(revocation.id)
        .bind(revocation.session.map(|session| session.0))
        .bind(micros(revocation.at))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn rotate(pool: &SqlitePool, rotate: &Rotate) -> sqlx::Result<Rotated> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let family = Some(rotate.family);
    let Some((row, player)) = find(&mut transaction, rotate.player, None, family).await? else {
        return Ok(Rotated::Refused);
    };
    let family = row.family(player.status, rotate)?;
    match judge(&family, rotate) {
        Verdict::Next => {
            let row = SessionRow {
                generation: row.generation + 1,
                spent_at: Some(micros(rotate.now)),
                spent_by: rotate.client.map(Vec::from),
                lapses_at: row.expires_at.min(micros(rotate.lapses())),
                ..row
            };
            query(
                "UPDATE refresh_families \
                SET generation = ?, spent_at = ?, spent_by = ?, lapses_at = ? \
                WHERE user_id = ? AND family_id = ?",
            )
            .bind(row.generation)
            .bind(row.spent_at)
            .bind(&row.spent_by)
            .bind(row.lapses_at)
            .bind(rotate.player.0)
            .bind(rotate.family.0)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(Rotated::Next {
                generation: generation(row.generation)?,
                session: Box::new(row.try_into()?),
                player: Box::new(player),
            })
        }
        Verdict::Again => Ok(Rotated::Again {
            generation: family.generation,
            session: Box::new(row.try_into()?),
            player: Box::new(player),
        }),
        Verdict::Reused => {
            let session = Which::One(SessionId(row.session_id));
            let (now, line) = (rotate.now, &rotate.reuse);
            let revocations =
                end_with_line(&mut transaction, rotate.player, session, now, line).await?;
            transaction.commit().await?;
            Ok(Rotated::Reused(revocations))
        }
        Verdict::Refused => Ok(Rotated::Refused),
    }
}

pub(super) async fn assign_server(
    pool: &SqlitePool,
    player: PlayerId,
    session: SessionId,
    game_server: Option<&str>,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = query(
        "UPDATE refresh_families SET game_server = ?3 \
        WHERE user_id = ?1 AND session_id = ?2 AND ended_at IS NULL AND lapses_at > ?4",
    )
    .bind(player.0)
    .bind(session.0)
    .bind(game_server)
    .bind(micros(now))
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn moved(
    pool: &SqlitePool,
    session: &Session,
    place: Place<'_>,
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let statement = match place {
        Place::Address(ip) => query(
            "UPDATE refresh_families SET seen_ip = ?1 \
            WHERE user_id = ?2 AND family_id = ?3 AND seen_ip IS NOT ?1",
        )
        .bind(ip),
        Place::Device(device) => query(
            "UPDATE refresh_families SET seen_device = ?1 \
            WHERE user_id = ?2 AND family_id = ?3 AND seen_device IS NOT ?1",
        )
        .bind(device.0.as_slice()),
    };
    let done = statement
        .bind(session.player.0)
        .bind(session.family.0)
        .execute(&mut *transaction)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    system::write(&mut transaction, std::slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn revocations_since(
    pool: &SqlitePool,
    since: Timestamp,
    after: Uuid,
    limit: u32,
) -> sqlx::Result<Vec<Revocation>> {
    let rows: Vec<RevocationRow> = query_as(
        "SELECT * FROM revocations WHERE (revoked_at, revocation_id) > (?, ?) \
        ORDER BY revoked_at, revocation_id LIMIT ?",
    )
    .bind(micros(since))
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}
