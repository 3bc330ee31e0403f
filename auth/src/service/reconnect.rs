//! Coming back to a game server after a loss: a token of 30 seconds, good once.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use storage::Confidential;
use zeroize::Zeroizing;

use crate::error::{Code, Failure};
use crate::ids::{PlayerId, SessionId};
use crate::limits::{What, Who};
use crate::live::Key;
use crate::secrets::keyring::Purpose;
use crate::service::audit::{Event, Outcome};
use crate::service::caller::Caller;
use crate::service::{Service, now};
use crate::tokens::reconnection::{self, Issued, Keys, Record, Refusal, Token};

/// A session that was found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconnected {
    /// Whose.
    pub player: PlayerId,
    /// Which.
    pub session: SessionId,
    /// Where it plays.
    pub game_server: String,
}

impl Service {
    /// Makes a token by which the player of a live session comes back to `game_server`.
    pub async fn issue_reconnection(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: &str,
    ) -> Result<(Confidential, Duration), Failure> {
        if game_server.parse::<std::net::SocketAddr>().is_err() {
            return Err(Failure::field(
                "game_server",
                "an address and a port: 203.0.113.7:7012",
            ));
        }
        if self.live_session(player, session).await?.is_none() {
            return Err(Failure::new(Code::NotFound, "no such live session"));
        }
        let now = now();
        let token = Token::new(
            self.0.replica,
            player,
            &Zeroizing::new(crate::crypto::random()),
        );
        let text = token
            .seal(&self.reconnection_keys())
            .ok_or_else(Failure::internal)?;
        let record = token
            .record(session, game_server.to_owned(), now)
            .encode()
            .map_err(|error| Failure::defect("a reconnection cannot be written", &error))?;
        let key = Key::Reconnection(player, token.id);
        // Noted first: a token that is out must not be refused by the filter.
        self.issued().note(&token, now);
        self.parts()
            .live
            .put(&key, &record, reconnection::RECORD_LIFETIME)
            .await?;
        Ok((Confidential::new(text.as_str()), reconnection::LIFETIME))
    }

    /// The session behind a reconnection token; the token is spent.
    pub async fn reconnect(&self, caller: &Caller, token: &str) -> Result<Reconnected, Failure> {
        let began = std::time::Instant::now();
        let found = self.find_again(caller, token).await;
        self.metrics().reconnected(found.is_ok(), began.elapsed());
        found
    }

    /// The keys of reconnection tokens: those of the ring as it is now.
    fn reconnection_keys(&self) -> Keys {
        let secrets = self.parts().secrets.current();
        let ring = &secrets.keys;
        let (current, key) = ring.current_key(Purpose::ReconnectionTokens);
        let earlier = ring.versions().filter_map(|version| {
            let key = ring.key(Purpose::ReconnectionTokens, version)?;
            Some((version, key.expose()))
        });
        Keys::new((current, key.expose()), earlier)
    }

    fn issued(&self) -> MutexGuard<'_, Issued> {
        self.0.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find_again(&self, caller: &Caller, token: &str) -> Result<Reconnected, Failure> {
        // In this order (R04, C11): a forgery costs a MAC, a token that this replica knows it never
        // made costs a look into a filter, and only then anything leaves the process.
        let token = Token::open(token, &self.reconnection_keys()).map_err(|_| Failure::token())?;
        let gone = || Failure::new(Code::Expired, "the token is good no more");
        if !self.issued().may_be(&token) {
            return Err(gone());
        }
        self.limit(What::Reconnect, Who::Address(caller.address))
            .await?;
        let key = Key::Reconnection(token.player, token.id);
        let bytes = self.parts().live.take(&key).await?.ok_or_else(gone)?;
        let record = Record::decode(&bytes)
            .map_err(|error| Failure::defect("a reconnection cannot be read", &error))?;
        record
            .admits(&token, now())
            .map_err(|refusal| match refusal {
                Refusal::Expired => gone(),
                Refusal::Different => Failure::token(),
            })?;
        let live = self.live_session(record.player, record.session).await?;
        if live.is_none() {
            return Err(Failure::token());
        }
        self.note(
            Event::Reconnect,
            Outcome::Success,
            record.player,
            &caller.address.to_string(),
            &serde_json::json!({ "session": record.session, "reconnection": token.id }),
        );
        Ok(Reconnected {
            player: record.player,
            session: record.session,
            game_server: record.game_server,
        })
    }
}
