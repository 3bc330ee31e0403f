//! Whether a token or a session is good.

use std::net::IpAddr;
use std::sync::Arc;

use access::Refusal;
use access::claims::Claims;
use access::dpop::Proof;

use crate::error::{Code, Failure};
use crate::ids::{PlayerId, SessionId};
use crate::limits::{What, Who};
use crate::service::{Service, now};

/// A session as a game server may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPlayer {
    /// Who.
    pub player: PlayerId,
    /// What it may do.
    pub roles: Vec<String>,
    /// What games know of it.
    pub data: serde_json::Value,
}

impl Service {
    /// The claims of an access token whose session is live. It must be for `audience`; without one
    /// whoever asks looks at the claims. A token that is bound to a key is good
    /// with a `proof` of it alone, unless a service asks, which has checked the proof itself.
    pub async fn validate(
        &self,
        token: &str,
        audience: Option<&str>,
        holder: Holder<'_>,
    ) -> Result<Arc<Claims>, Failure> {
        let began = std::time::Instant::now();
        let claims = self.checked(token, audience, holder).await;
        self.metrics().validated(claims.is_ok(), began.elapsed());
        claims
    }

    /// As [`Service::validate`], for whoever asks from `address`: at the rate of its network, and
    /// the proof of a bound token is spent.
    pub async fn validate_for(
        &self,
        address: IpAddr,
        token: &str,
        audience: Option<&str>,
        proof: Option<&Proof>,
    ) -> Result<Arc<Claims>, Failure> {
        self.limit(What::Validate, Who::Address(address)).await?;
        let claims = self
            .validate(token, audience, Holder::Player(proof))
            .await?;
        if let (Some(proof), Some(_)) = (proof, &claims.cnf) {
            self.spend_proof(proof).await?;
        }
        Ok(claims)
    }

    async fn checked(
        &self,
        token: &str,
        audience: Option<&str>,
        holder: Holder<'_>,
    ) -> Result<Arc<Claims>, Failure> {
        let verifier = self.0.news.verifier();
        let check = || verifier.check_for(now(), token, audience);
        let mut checked = check();
        if checked == Err(Refusal::UnknownKey) {
            self.learn_keys().await;
            checked = check();
        }
        let claims = checked.map_err(|refusal| {
            tracing::debug!(%refusal, "Token refused");
            Failure::token()
        })?;
        if let (Some(confirmation), Holder::Player(proof)) = (&claims.cnf, holder)
            && proof.is_none_or(|proof| proof.thumbprint != confirmation.jkt)
        {
            return Err(Failure::new(
                Code::InvalidDpopProof,
                "the token needs a proof of the key that it is bound to",
            ));
        }
        match self.live_session(claims.sub, claims.sid).await {
            Ok(Some(_)) => Ok(claims),
            Ok(None) => Err(Failure::token()),
            // Keys and revocations at hand decide while database and Valkey are away: a match must
            // be joined although a service is down.
            Err(failure) if failure.code == Code::Unavailable => Ok(claims),
            Err(failure) => Err(failure),
        }
    }

    /// A session that plays on `game_server`.
    pub async fn validate_session(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: &str,
    ) -> Result<KnownPlayer, Failure> {
        let live = self
            .live_session(player, session)
            .await?
            .ok_or_else(Failure::token)?;
        if live.game_server.as_deref() != Some(game_server) {
            return Err(Failure::token());
        }
        Ok(KnownPlayer {
            player,
            roles: live.roles.clone(),
            data: live.player_data.clone(),
        })
    }
}

/// Who holds the token that is validated.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'proof> {
    /// The player itself calls, perhaps with a proof of its key.
    Player(Option<&'proof Proof>),
    /// A service asks about a token that it was shown, and checks proofs itself.
    Service,
}
