//! A lobby with its sockets, and tokens for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::claims::{Claims, Confirmation};
use access::jwk::PublicKey;
use access::jws::{base64url, sha256};
use access::{PlayerId, SessionId};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use clap::Parser as _;
use lobby::accounts::none::NoAccounts;
use lobby::args::Args;
use lobby::assemble::Assembled;
use lobby::chat::moderation::Moderator;
use lobby::config::Config;
use lobby::live::Live;
use lobby::live::memory::Memory;
use lobby::metrics::Metrics;
use lobby::run::Error;
use lobby::servers::none::NoServers;
use lobby::service::{Parts, Service};
use lobby::sessions::Sessions;
use lobby::store::sqlite::Sqlite;
use runtime::admin::Admin;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Where clients believe the lobby to be.
pub(crate) const ORIGIN: &str = "http://lobby.example.com";

/// Who makes tokens.
const ISSUER: &str = "http://auth.example.com";

/// For what must happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A lobby.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) service: Service,
    pub(crate) admin: Admin,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), Error>>,
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> PublicKey {
    PublicKey::ed25519(pair(seed).public_key().as_ref()).unwrap()
}

fn sign(seed: u8, header: &Value, payload: &impl serde::Serialize) -> String {
    access::jws::encode(header, payload, |message| {
        let signature = pair(seed).sign(message);
        Ok::<_, serde_json::Error>(signature.as_ref().try_into().unwrap())
    })
    .unwrap()
}

/// What a token of a player says.
pub(crate) fn claims(player: u128) -> Claims {
    let now = jiff::Timestamp::now().as_second();
    Claims {
        iss: ISSUER.to_owned(),
        sub: PlayerId(Uuid::from_u128(player)),
        aud: vec!["lobby".to_owned()],
        exp: now + 300,
        iat: now,
        jti: Uuid::new_v4(),
        sid: SessionId(Uuid::from_u128(player << 64)),
        cnf: None,
        roles: Vec::new(),
    }
}

/// Signs as auth does.
pub(crate) fn token_of(claims: &Claims) -> String {
    let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": public(1).thumbprint()});
    sign(1, &header, claims)
}

/// A token of a player.
pub(crate) fn token(player: u128) -> String {
    token_of(&claims(player))
}

/// A token of a player that is bound to the key of [`proof`].
pub(crate) fn bound_token(player: u128) -> String {
    let jkt = public(2).thumbprint().to_owned();
    token_of(&Claims {
        cnf: Some(Confirmation { jkt }),
        ..claims(player)
    })
}

/// A proof of that key for a call with a token.
pub(crate) fn proof(token: &str, method: &str, path: &str) -> String {
    let x = base64url(pair(2).public_key().as_ref());
    let header = json!({
        "typ": "dpop+jwt", "alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": x},
    });
    let payload = json!({
        "jti": Uuid::new_v4(), "htm": method, "htu": format!("{ORIGIN}{path}"),
        "iat": jiff::Timestamp::now().as_second(), "ath": base64url(sha256(token.as_bytes())),
    });
    sign(2, &header, &payload)
}

/// The player of that number.
pub(crate) fn player(number: u128) -> PlayerId {
    PlayerId(Uuid::from_u128(number))
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With another configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::beside(Arc::new(Memory::new(100_000)), change).await
    }

    /// Over a live state that other lobbies have, too.
    pub(crate) async fn beside(live: Arc<dyn Live>, change: impl FnOnce(&mut Config)) -> Self {
        let args = Args::try_parse_from([
            "lobby",
            "--url",
            ORIGIN,
            "--issuer",
            ISSUER,
            // Nobody is there.
            "--auth",
            "http://127.0.0.1:1",
            "--shutdown-delay-seconds",
            "0",
            "--drain-timeout-seconds",
            "2",
        ]);
        let mut config = Config::try_from(args.unwrap()).unwrap();
        change(&mut config);
        let admin = Admin::default();
        let service = Service::new(Parts {
            replica: Uuid::new_v4(),
            settings: config.settings.clone(),
            queues: config.queues.clone(),
            verifier: Arc::new(access::Verifier::new(ISSUER, "lobby")),
            store: Arc::new(Sqlite::in_memory().await.unwrap()),
            sessions: Sessions::new(Arc::clone(&live)),
            live,
            servers: Arc::new(NoServers),
            accounts: Arc::new(NoAccounts),
            moderator: Moderator::new(&config.settings.lists).unwrap(),
            metrics: Metrics::register(admin.registry()).unwrap(),
        });
        let keys = [public(1)].into_iter().collect();
        service.parts().verifier.set_keys(keys);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let assembled = Assembled {
            service: service.clone(),
            databases: None,
        };
        let host_stop = stop.clone();
        let host_admin = admin.clone();
        let serving = tokio::spawn(async move {
            lobby::run::host(config, assembled, host_admin, listener, host_stop).await
        });
        Self {
            address,
            service,
            admin,
            stop,
            serving,
        }
    }

    /// Tells it to end.
    pub(crate) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Ends it, and waits for the end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(SOON, self.serving).await;
        ended.unwrap().unwrap().unwrap();
    }

    /// What a metric counts.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.admin.registry().gather())
            .unwrap();
        let found = text.lines().find_map(|found| found.strip_prefix(line));
        found.map_or(0.0, |value| value.trim().parse().unwrap())
    }
}
