//! Tokens of a session: opening, refreshing, ending, listing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Code, Failure};
use crate::ids::{FamilyId, PlayerId, SessionId};
use crate::limits::{What, Who};
use crate::live::{Cached, News, Revocation};
use crate::secrets::keyring::Purpose;
use crate::service::audit::{Event, Outcome, short};
use crate::service::caller::{Caller, Terms};
use crate::service::{AUDIENCE, Service, now};
use crate::store::{Place, Player, Rotate, Rotated, Session, Status, Which};
use crate::tokens::refresh::RefreshToken;

/// How long a session is believed to be live without asking again.
const CACHED: Duration = Duration::from_secs(1);

/// How many sessions are remembered for that long.
const MOST_CACHED: u64 = 100_000;

/// How long Valkey keeps a session before the store is asked again.
///
/// No longer than revocations are remembered: what is cached too late is known to have ended.
const LIVE_SESSION: Duration = Duration::from_mins(5);

/// The longest id of a request.
const LONGEST_REQUEST_ID: usize = 64;

/// What a player gets who signed in.
#[derive(Clone)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// How long it is good.
    pub access_lifetime: Duration,
    /// The refresh token: good for one use.
    pub refresh: String,
    /// How long it is good.
    pub refresh_lifetime: Duration,
    /// Whose.
    pub player: PlayerId,
    /// Of which session.
    pub session: SessionId,
    /// They are good with a proof of the caller's key alone.
    pub bound: bool,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tokens")
            .field("player", &self.player)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// A live session as validation needs it, cached in Valkey and in the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSession {
    /// Whose.
    pub player_id: PlayerId,
    /// Where it signed in from.
    pub ip: String,
    /// The device's hash, in base64url.
    pub device: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// No longer live from then on.
    pub expires_at: Timestamp,
    /// Where the player plays.
    pub game_server: Option<String>,
    /// What the player may do.
    pub roles: Vec<String>,
    /// What games know of the player.
    pub player_data: serde_json::Value,
}

impl LiveSession {
    fn of(session: &Session, player: &Player) -> Self {
        Self {
            player_id: player.id,
            ip: session.ip.clone(),
            device: session
                .device
                .map(|device| URL_SAFE_NO_PAD.encode(device.0)),
            created_at: session.created,
            expires_at: session.expires,
            game_server: session.game_server.clone(),
            roles: player.roles.clone(),
            player_data: player.data.clone(),
        }
    }
}

/// Sessions asked for within the last second; absent ones too, so that a bad token that comes
/// again and again costs nothing.
#[derive(Debug)]
pub(super) struct SessionCache(
    moka::future::Cache<(PlayerId, SessionId), Option<Arc<LiveSession>>>,
);

impl Default for SessionCache {
    fn default() -> Self {
        Self(
            moka::future::Cache::builder()
                .max_capacity(MOST_CACHED)
                .time_to_live(CACHED)
                .support_invalidation_closures()
                .build(),
        )
    }
}

impl SessionCache {
    /// Forgets one session, or all of a player's.
    pub(super) async fn forget(&self, player: PlayerId, session: Option<SessionId>) {
        let Some(session) = session else {
            let all = self
                .0
                .invalidate_entries_if(move |(owner, _), _| *owner == player);
            if let Err(error) = all {
                tracing::error!(%error, "The session cache cannot forget a player");
                self.0.invalidate_all();
            }
            return;
        };
        self.0.invalidate(&(player, session)).await;
    }
}

impl Service {
    /// Begins a session of a player who proved who it is by `methods`. The player is as it was when
    /// that was proved: nobody enters by what was replaced since.
    pub(super) async fn open_session(
        &self,
        caller: &Caller,
        terms: Terms,
        player: &Player,
        methods: &[&str],
    ) -> Result<Tokens, Failure> {
        let now = now();
        let device = self.device(caller)?;
        let ip = caller.address.to_string();
        let expires = now + self.settings().session_lifetime;
        let session = Session {
            player: player.id,
            id: SessionId(Uuid::new_v4()),
            family: FamilyId(Uuid::new_v4()),
            client: caller.client.name.clone(),
            device: device.as_ref().map(|device| device.hash),
            ip: ip.clone(),
            key: terms.key,
            audiences: terms.audiences,
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            created: now,
            used: now,
            expires,
            lapses: expires.min(now + self.settings().refresh_lifetime),
            revoked: None,
            game_server: None,
        };
        let audit = Self::line(
            Event::Login,
            Outcome::Success,
            player.id,
            &ip,
            &serde_json::json!({
                "session": session.id,
                "methods": methods,
                "client": session.client,
                "device": session.device.as_ref().map(short),
            }),
        );
        let opened = self
            .parts()
            .store
            .open_session(&session, player.credentials_epoch, device.as_ref(), &audit)
            .await?
            .ok_or_else(Failure::credentials)?;
        self.said(&audit);
        if opened.is_new_device {
            self.note(
                Event::NewDevice,
                Outcome::Success,
                player.id,
                &ip,
                &serde_json::Value::Null,
            );
        }
        self.tell(opened.ended).await;
        self.tokens(&session, player, 0)
    }

    /// Spends a refresh token.
    pub async fn refresh(
        &self,
        caller: &Caller,
        token: &str,
        request_id: Option<&str>,
    ) -> Result<Tokens, Failure> {
        self.limit(What::Refresh, Who::Address(caller.address))
            .await?;
        let is_for_account = asks_for_account(caller)?;
        let token = self.read_refresh(token)?;
        let client = retrying_client(caller, &token, request_id)?;
        if let Some(proof) = &caller.proof {
            self.spend_proof(proof).await?;
        }
        let rotate = Rotate {
            player: token.player,
            family: token.family,
            generation: token.generation,
            client,
            now: now(),
            grace: self.settings().refresh_grace,
            idle: self.settings().refresh_lifetime,
            reuse: Self::line(
                Event::RefreshReuse,
                Outcome::Suspicious,
                token.player,
                &caller.address.to_string(),
                &serde_json::json!({ "family": token.family }),
            ),
        };
        match self.parts().store.rotate(&rotate).await? {
            Rotated::Next {
                generation,
                session,
                player,
            } => {
                self.notice_change(caller, &session).await;
                self.tokens(&audience(*session, is_for_account), &player, generation)
            }
            Rotated::Again {
                generation,
                session,
                player,
            } => self.tokens(&audience(*session, is_for_account), &player, generation),
            Rotated::Reused(revocations) => {
                self.said(&rotate.reuse);
                self.tell(revocations).await;
                Err(Failure::token())
            }
            Rotated::Refused => Err(Failure::token()),
        }
    }

    /// Ends the session of a refresh token; returns how many were live.
    pub async fn logout_by_refresh(&self, address: IpAddr, token: &str) -> Result<u32, Failure> {
        // It costs what a refresh costs.
        self.limit(What::Refresh, Who::Address(address)).await?;
        let token = self.read_refresh(token)?;
        let which = Which::Family(token.family);
        self.end_sessions(token.player, which, &address.to_string())
            .await
    }

    /// Ends sessions of a player; returns how many were live.
    pub async fn end_sessions(
        &self,
        player: PlayerId,
        which: Which,
        ip: &str,
    ) -> Result<u32, Failure> {
        let detail = match which {
            Which::One(session) => serde_json::json!({ "session": session }),
            Which::Family(family) => serde_json::json!({ "family": family }),
            Which::All => serde_json::json!({ "sessions": "all" }),
            Which::AllBut(kept) => serde_json::json!({ "sessions": "all", "but": kept }),
        };
        let line = Self::line(Event::Logout, Outcome::Success, player, ip, &detail);
        let revocations = self
            .parts()
            .store
            .end_sessions(player, which, now(), &line)
            .await?;
        let ended = u32::try_from(revocations.len()).unwrap_or(u32::MAX);
        if ended > 0 {
            self.said(&line);
        }
        self.tell(revocations).await;
        Ok(ended)
    }

    /// The live sessions of a player, newest first.
    pub async fn sessions(&self, player: PlayerId) -> Result<Vec<Session>, Failure> {
        Ok(self.parts().store.sessions(player, now()).await?)
    }

    /// Notes where the player of a session plays; nowhere when absent.
    pub async fn assign_server(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: Option<&str>,
    ) -> Result<(), Failure> {
        if game_server.is_some_and(|address| address.parse::<std::net::SocketAddr>().is_err()) {
            return Err(Failure::field(
                "game_server",
                "an address and a port: 203.0.113.7:7012",
            ));
        }
        let found = self
            .parts()
            .store
            .assign_server(player, session, game_server, now())
            .await?;
        if !found {
            return Err(Failure::new(Code::NotFound, "no such live session"));
        }
        // The server is part of what is cached: here, in Valkey, and for a second elsewhere.
        self.0.sessions.forget(player, Some(session)).await;
        let live = &self.parts().live;
        if let Err(error) = live.forget_sessions(player, Some(&[session])).await {
            tracing::warn!(%error, "A session stays cached with its former server for a while");
        }
        Ok(())
    }

    /// A live session: from this process, from Valkey, or from the store.
    pub(super) async fn live_session(
        &self,
        player: PlayerId,
        session: SessionId,
    ) -> Result<Option<Arc<LiveSession>>, Failure> {
        let found = self
            .0
            .sessions
            .0
            .try_get_with((player, session), self.find_session(player, session))
            .await
            .map_err(|failure: Arc<Failure>| Failure::clone(&failure))?;
        let verifier = self.0.news.verifier();
        Ok(found.filter(|found| {
            found.expires_at > now() && !verifier.has_ended(player, session, found.created_at)
        }))
    }

    async fn find_session(
        &self,
        player: PlayerId,
        session: SessionId,
    ) -> Result<Option<Arc<LiveSession>>, Failure> {
        let mark = match self.parts().live.session(player, session).await {
            Ok(Cached { value, mark }) => {
                match value
                    .map(|bytes| serde_json::from_slice(&bytes))
                    .transpose()
                {
                    Ok(Some(session)) => return Ok(Some(Arc::new(session))),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(%error, "Valkey holds a session that cannot be read");
                    }
                }
                Some(mark)
            }
            Err(error) => {
                tracing::warn!(%error, "Sessions are read from the database");
                None
            }
        };
        let Some((found, player)) = self.parts().store.session(player, session).await? else {
            return Ok(None);
        };
        let now = now();
        if !found.is_live(now) || player.status != Status::Active {
            return Ok(None);
        }
        let live = LiveSession::of(&found, &player);
        if let Some(mark) = mark {
            self.remember(now, &found, mark, &live).await;
        }
        Ok(Some(Arc::new(live)))
    }

    /// Puts a session where validation finds it, for no longer than it is live. Its loss costs a
    /// look into the store.
    ///
    /// Whoever changes a session or its player has it forgotten, and by that voids the `mark`: what
    /// was read before the change is not put after it. That may fail; revocations are therefore
    /// checked beside it ([`super::validate`]).
    async fn remember(&self, now: Timestamp, session: &Session, mark: u64, live: &LiveSession) {
        let Ok(bytes) = serde_json::to_vec(live) else {
            return;
        };
        let left = Duration::try_from(session.lapses.duration_since(now)).unwrap_or_default();
        let put = self
            .parts()
            .live
            .put_session(
                session.player,
                session.id,
                mark,
                &bytes,
                LIVE_SESSION.min(left),
            )
            .await;
        if let Err(error) = put {
            tracing::debug!(%error, "A session was not cached");
        }
    }

    fn read_refresh(&self, token: &str) -> Result<RefreshToken, Failure> {
        RefreshToken::read(token, |version| {
            self.mac_key(Purpose::RefreshTokens, version)
        })
        .map_err(|_| Failure::token())
    }

    /// Makes the tokens of a session.
    fn tokens(
        &self,
        session: &Session,
        player: &Player,
        generation: u32,
    ) -> Result<Tokens, Failure> {
        let now = now();
        let access = self.0.issuer.issue(now, session, player)?;
        let (version, key) = self.current_mac_key(Purpose::RefreshTokens);
        let refresh = RefreshToken {
            player: player.id,
            family: session.family,
            generation,
            binding: session.key.as_deref().map_or([0; 32], binding),
        }
        .write(version, &key);
        let left = Duration::try_from(session.expires.duration_since(now)).unwrap_or_default();
        Ok(Tokens {
            access: access.token,
            access_lifetime: access.lifetime,
            refresh,
            refresh_lifetime: self.settings().refresh_lifetime.min(left),
            player: player.id,
            session: session.id,
            bound: access.is_bound,
        })
    }

    /// Writes down that a live session is used from another place or device than it was begun
    /// from: once for each move.
    async fn notice_change(&self, caller: &Caller, session: &Session) {
        let ip = caller.address.to_string();
        if ip != session.ip {
            let detail = serde_json::json!({ "session": session.id, "began": session.ip });
            self.notice(
                Event::AddressChanged,
                session,
                Place::Address(&ip),
                &ip,
                &detail,
            )
            .await;
        }
        let Ok(Some(device)) = self.device(caller) else {
            return;
        };
        if session.device.is_some_and(|before| before != device.hash) {
            let detail = serde_json::json!({
                "session": session.id,
                "began": session.device.as_ref().map(short),
                "device": short(&device.hash),
            });
            self.notice(
                Event::DeviceChanged,
                session,
                Place::Device(&device.hash),
                &ip,
                &detail,
            )
            .await;
        }
    }

    async fn notice(
        &self,
        event: Event,
        session: &Session,
        place: Place<'_>,
        ip: &str,
        detail: &serde_json::Value,
    ) {
        let line = Self::line(event, Outcome::Suspicious, session.player, ip, detail);
        let moved = self.parts().store.moved(session, place, &line).await;
        match moved {
            Ok(true) => self.said(&line),
            Ok(false) => {}
            // The token is spent: its successor must not be lost for a line.
            Err(error) => tracing::warn!(%error, "A move of a session was not written down"),
        }
    }

    /// Makes ended sessions void everywhere: here at once, elsewhere by Valkey, and by the store
    /// for whoever misses that.
    pub(super) async fn tell(&self, revocations: Vec<Revocation>) {
        for revocation in revocations {
            let (player, session) = (revocation.player, revocation.session);
            self.hear(&News::Revoked(revocation.clone())).await;
            let sessions = session.map(|session| [session]);
            let forgotten = self
                .parts()
                .live
                .forget_sessions(player, sessions.as_ref().map(<[_; 1]>::as_slice))
                .await;
            let told = self.parts().live.publish(&News::Revoked(revocation)).await;
            if let Err(error) = forgotten.and(told) {
                tracing::warn!(%error, "Other replicas learn of a revocation from the database");
            }
        }
    }
}

/// Whether the access token of a refresh is to be for the player's own account. Nothing else can be
/// asked for: what the session is for was said when it began.
fn asks_for_account(caller: &Caller) -> Result<bool, Failure> {
    match caller.client.audiences.as_slice() {
        [] => Ok(false),
        [only] if only == AUDIENCE => Ok(true),
        _ => Err(Failure::field(
            "client.audiences",
            "none for those of the session, or \"auth\" alone",
        )),
    }
}

/// The session as the next access token is to say it.
fn audience(mut session: Session, is_for_account: bool) -> Session {
    if is_for_account {
        session.audiences = vec![AUDIENCE.to_owned()];
    }
    session
}

/// By what a retry of the same client is known: its key, or the id that it gave its request.
fn retrying_client(
    caller: &Caller,
    token: &RefreshToken,
    request_id: Option<&str>,
) -> Result<Option<[u8; 32]>, Failure> {
    if request_id.is_some_and(|id| id.is_empty() || id.len() > LONGEST_REQUEST_ID) {
        return Err(Failure::field("request_id", "1 to 64 characters"));
    }
    let proven = caller
        .proof
        .as_ref()
        .map(|proof| binding(&proof.thumbprint));
    let bound = token.binding != [0; 32];
    // Before the token is spent: a thief without the key must not be able to spend it.
    if bound && proven != Some(token.binding) {
        return Err(Failure::new(
            Code::InvalidDpopProof,
            "the token needs a proof of the key that it is bound to",
        ));
    }
    if bound {
        return Ok(Some(crate::crypto::named_hash("key", &token.binding)));
    }
    Ok(request_id.map(|id| crate::crypto::named_hash("request", id.as_bytes())))
}

/// The bytes of a thumbprint; of one that is none, a hash of it, which no key can have.
fn binding(thumbprint: &str) -> [u8; 32] {
    URL_SAFE_NO_PAD
        .decode(thumbprint)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap_or_else(|| crate::crypto::named_hash("thumbprint", thumbprint.as_bytes()))
}
