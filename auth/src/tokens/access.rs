//! Access tokens: five minutes of what a session may do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use access::claims::{Claims, Confirmation, LIFETIME};
use access::verify::MAX_TOKEN;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::error::Failure;
use crate::signing::Signing;
use crate::store::{Player, Session, Status};

/// Makes access tokens.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    signing: Arc<Signing>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// How long it is good for.
    pub lifetime: Duration,
    /// Bound to a key: `DPoP` instead of `Bearer`.
    pub is_bound: bool,
}

impl fmt::Debug for Issued {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Issued")
            .field("lifetime", &self.lifetime)
            .field("is_bound", &self.is_bound)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// Signs in the name of that issuer (`iss`).
    pub fn new(name: impl Into<String>, signing: Arc<Signing>) -> Self {
        Self {
            name: name.into(),
            signing,
        }
    }

    /// Makes a token for a live session; [`Failure::token`] when it is not. It is of the time that
    /// the store has noted for it: a revocation of everything of a player is no earlier than that.
    pub fn issue(
        &self,
        now: Timestamp,
        session: &Session,
        player: &Player,
    ) -> Result<Issued, Failure> {
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| Failure::internal())?;
        let jti = uuid::Builder::from_random_bytes(id).into_uuid();
        let claims =
            claims(session.used, &self.name, jti, session, player).ok_or_else(Failure::token)?;
        let token = self.signing.sign(now, &claims)?;
        if token.len() > MAX_TOKEN {
            tracing::error!(player = %player.id, "The player has too many roles for a token");
            return Err(Failure::internal());
        }
        Ok(Issued {
            token,
            lifetime: Duration::from_secs(claims.exp.abs_diff(claims.iat)),
            is_bound: claims.cnf.is_some(),
        })
    }
}

/// What a token of the session says that is made then. None when the session is over, or so nearly that no
/// second is left, or the account is disabled.
pub fn claims(
    now: Timestamp,
    issuer: &str,
    jti: Uuid,
    session: &Session,
    player: &Player,
) -> Option<Claims> {
    if session.player != player.id || session.revoked.is_some() || player.status == Status::Disabled
    {
        return None;
    }
    let lifetime = SignedDuration::try_from(LIFETIME).ok()?;
    let expires = now.checked_add(lifetime).ok()?.min(session.expires);
    // Both are rounded down: `exp` never beyond the session, `iat` never behind a revocation.
    let (iat, exp) = (now.as_second(), expires.as_second());
    (exp > iat).then(|| Claims {
        iss: issuer.to_owned(),
        sub: player.id,
        aud: session.audiences.clone(),
        exp,
        iat,
        jti,
        sid: session.id,
        cnf: session.key.clone().map(|jkt| Confirmation { jkt }),
        roles: player.roles.clone(),
    })
}

#[cfg(test)]
mod tests {
    use access::ids::{PlayerId, SessionId};

    use super::*;
    use crate::ids::FamilyId;

    const NOW: i64 = 1_700_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn player() -> Player {
        Player {
            id: PlayerId(Uuid::from_u128(1)),
            status: Status::Active,
            email: None,
            email_verified: false,
            password: None,
            credentials_epoch: 0,
            totp: None,
            guest: false,
            roles: vec!["player".to_owned()],
            data: serde_json::Value::Null,
            created: at(0),
        }
    }

    fn session() -> Session {
        Session {
            game_server: None,
            player: player().id,
            id: SessionId(Uuid::from_u128(2)),
            family: FamilyId(Uuid::from_u128(3)),
            client: String::new(),
            device: None,
            ip: String::new(),
            key: Some("thumbprint".to_owned()),
            audiences: vec!["game".to_owned()],
            methods: Vec::new(),
            created: at(0),
            used: at(0),
            expires: at(NOW + 1000),
            lapses: at(NOW + 1000),
            revoked: None,
        }
    }

    fn made(now: Timestamp, session: &Session, player: &Player) -> Option<Claims> {
        claims(now, "auth", Uuid::from_u128(4), session, player)
    }

    #[test]
    fn a_token_says_who_for_whom_and_until_when() {
        let expected = Claims {
            iss: "auth".to_owned(),
            sub: PlayerId(Uuid::from_u128(1)),
            aud: vec!["game".to_owned()],
            exp: NOW + 300,
            iat: NOW,
            jti: Uuid::from_u128(4),
            sid: SessionId(Uuid::from_u128(2)),
            cnf: Some(Confirmation {
                jkt: "thumbprint".to_owned(),
            }),
            roles: vec!["player".to_owned()],
        };
        assert_eq!(made(at(NOW), &session(), &player()), Some(expected));
    }

    #[test]
    fn a_token_never_outlives_its_session() {
        let exp = |now: Timestamp| made(now, &session(), &player()).map(|claims| claims.exp);
        assert_eq!(exp(at(NOW + 800)), Some(NOW + 1000));
        assert_eq!(exp(at(NOW + 999)), Some(NOW + 1000));
        assert_eq!(exp(at(NOW + 1000)), None);
        assert_eq!(exp(at(NOW + 2000)), None);
        let part = at(NOW) + SignedDuration::from_millis(900);
        assert_eq!(exp(part), Some(NOW + 300));
        assert_eq!(exp(Timestamp::MAX), None);
    }

    #[test]
    fn no_token_is_made_for_what_has_ended() {
        let revoked = Session {
            revoked: Some(at(NOW)),
            ..session()
        };
        assert_eq!(made(at(NOW), &revoked, &player()), None);
        let disabled = Player {
            status: Status::Disabled,
            ..player()
        };
        assert_eq!(made(at(NOW), &session(), &disabled), None);
        let other = Player {
            id: PlayerId(Uuid::from_u128(9)),
            ..player()
        };
        assert_eq!(made(at(NOW), &session(), &other), None);
    }
}
