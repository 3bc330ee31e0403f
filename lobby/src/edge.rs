//! Who calls, before anything else is known: its address, its token and its proof of a key. The
//! same for sockets and HTTP.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::dpop;
use http::{Extensions, HeaderMap};
use runtime::admin::Admin;
use runtime::serve::address::{Network, client_address};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Code, Failure};
use crate::ids::PlayerId;
use crate::live::Key;
use crate::rates::{self, Buckets, Rate};
use crate::service::{Caller, Service};

/// Where proxies put whom they have a call from.
const FORWARDED: &str = "x-forwarded-for";

/// How many addresses and players are counted at once, each.
const COUNTED: usize = 100_000;

/// What clients may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets at once.
    pub sockets: usize,
    /// Calls of one session, or of one player by HTTP.
    pub calls: Rate,
    /// New sockets and calls by HTTP of one address.
    pub address: Rate,
    /// Time for Hello.
    pub hello: Duration,
    /// Time for one call.
    pub call: Duration,
    /// Silence after which a client is asked whether it lives; after twice as much it counts as
    /// gone.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sockets: 20_000,
            calls: Rate::per_second(60, 20),
            address: Rate::per_second(400, 40),
            hello: Duration::from_secs(5),
            call: Duration::from_secs(15),
            silence: Duration::from_secs(15),
        }
    }
}

/// How sockets are told to go when the process ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    /// Where they should connect; the same address when empty.
    pub url: String,
    /// They are told so one after another over this time, so that the others are not overrun.
    pub spread: Duration,
}

/// What is known of callers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Edge {
    /// `scheme://host` that clients reach the lobby by: what proofs are made for.
    pub origin: Arc<str>,
    /// The proxies that tell the truth about addresses.
    pub proxies: Arc<[Network]>,
    /// What clients may do at most.
    pub limits: Limits,
    /// How sockets end.
    pub drain: Drain,
    /// Whether the process is ready.
    pub admin: Admin,
    /// Ends sockets.
    pub stop: CancellationToken,
    /// They outlive the connections that they came by.
    pub sockets: TaskTracker,
    /// One for each socket that there may be.
    pub places: Arc<Semaphore>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    addresses: Mutex<Buckets<IpAddr>>,
    players: Mutex<Buckets<PlayerId>>,
}

/// What a caller shows.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a token")]
pub struct Shown<'a> {
    /// The access token.
    pub token: &'a str,
    /// The proof of the key that it is bound to.
    pub proof: Option<&'a str>,
    /// The method of the call.
    pub method: &'static str,
    /// Its path.
    pub path: &'a str,
}

impl Edge {
    /// Of a lobby that is reached at `origin`; nobody drains until it says how.
    pub fn new(
        origin: &str,
        proxies: Vec<Network>,
        limits: Limits,
        drain: Drain,
        admin: Admin,
    ) -> Self {
        Self {
            origin: origin.trim_end_matches('/').into(),
            proxies: proxies.into(),
            limits,
            drain,
            admin,
            stop: CancellationToken::new(),
            sockets: TaskTracker::new(),
            places: Arc::new(Semaphore::new(limits.sockets)),
            counts: Arc::new(Counts {
                addresses: Mutex::new(Buckets::at_most(COUNTED, limits.address)),
                players: Mutex::new(Buckets::at_most(COUNTED, limits.calls)),
            }),
        }
    }

    /// The other end of a call, not a proxy's.
    pub fn address(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions.get::<runtime::serve::Peer>();
        // Without a connection, as in tests of the router, the caller is nobody special.
        let connected = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip());
        let forwarded = headers
            .get_all(FORWARDED)
            .iter()
            .filter_map(|line| line.to_str().ok());
        client_address(connected, forwarded, &self.proxies)
    }

    /// Counts a new socket or a call by HTTP.
    pub fn count_address(&self, address: IpAddr) -> Result<(), Failure> {
        let mut addresses = lock(&self.counts.addresses);
        addresses
            .take(runtime::clock::now(), rates::counted(address))
            .map_err(Failure::throttled)
    }

    /// Counts a call of a player by HTTP.
    pub fn count_player(&self, player: PlayerId) -> Result<(), Failure> {
        let mut players = lock(&self.counts.players);
        players
            .take(runtime::clock::now(), player)
            .map_err(Failure::throttled)
    }

    /// Who shows this token, and the proof that it is his.
    pub async fn caller(&self, service: &Service, shown: Shown<'_>) -> Result<Caller, Failure> {
        let now = runtime::clock::now();
        let uri = format!("{}{}", self.origin, shown.path);
        let proof = shown.proof.map(|proof| {
            let expected = dpop::Expected {
                method: shown.method,
                uri: &uri,
                access_token: Some(shown.token),
                nonces: None,
            };
            dpop::verify(proof, &expected, now)
        });
        let proof = proof.transpose().map_err(|refusal| {
            tracing::debug!(%refusal, "DPoP proof refused");
            Failure::new(Code::InvalidToken, "the DPoP proof does not fit the call")
        })?;
        let parts = service.parts();
        let claims = parts
            .verifier
            .verify(now, shown.token, proof.as_ref())
            .map_err(|refusal| {
                tracing::debug!(%refusal, "Access token refused");
                Failure::new(Code::InvalidToken, "the token is not valid")
            })?;
        if let Some(proof) = proof {
            // A proof is good once.
            let place = Key::Rate(proof.once());
            let spent = parts.live.throttle(&place, 1, dpop::REMEMBER).await?;
            if spent.is_some() {
                let message = "the DPoP proof was used before";
                return Err(Failure::new(Code::InvalidToken, message));
            }
        }
        Ok(Caller {
            player: claims.sub,
            session: claims.sid,
            roles: claims.roles.clone(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // No step that panics leaves a table half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
