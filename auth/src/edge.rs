//! Who calls, before anything else is known: its address, its proof of a key, and whether it is a
//! service of ours. The same for HTTP, WebSocket and gRPC.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use access::dpop::{self, Proof, Refusal};
use access::nonces::Nonces;
use futures::{Stream, StreamExt as _};
use http::{Extensions, HeaderMap};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Code, Failure};
use crate::limits::{Network, client_address};
use crate::secrets::Secrets;
use crate::secrets::keyring::Purpose;

/// Where proxies put whom they have a call from.
const FORWARDED: &str = "x-forwarded-for";

/// Where a client puts its proof.
const PROOF: &str = "dpop";

/// What services of ours are known by: secrets whose names begin so.
const SERVICES: &str = "service.";

/// The longest token of a service that is looked at.
const LONGEST_TOKEN: usize = 512;

/// A caller's end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Of the client, not of a proxy.
    pub address: IpAddr,
    /// It showed a certificate of the CA for services.
    pub is_certified: bool,
}

/// What is known of callers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Edge {
    /// `scheme://host` that clients reach the service by: what proofs are made for.
    pub origin: Arc<str>,
    /// The proxies that tell the truth about addresses.
    pub proxies: Arc<[Network]>,
    /// Where tokens of services and the key of DPoP nonces are.
    pub secrets: Arc<Secrets>,
    /// Whether proofs must carry a nonce of ours.
    pub nonces: bool,
    /// Ends what would go on forever.
    pub stop: CancellationToken,
    /// WebSockets: they outlive the connections that they came by.
    pub sockets: TaskTracker,
}

impl Edge {
    /// The other end of a connection.
    pub fn peer(&self, extensions: &Extensions, headers: &HeaderMap) -> Peer {
        let peer = extensions.get::<runtime::serve::Peer>();
        // Without a connection, as in tests of the router, the caller is nobody special.
        let connected = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip());
        let forwarded = headers
            .get_all(FORWARDED)
            .iter()
            .filter_map(|line| line.to_str().ok());
        Peer {
            address: client_address(connected, forwarded, &self.proxies),
            is_certified: peer.is_some_and(|peer| peer.is_certified),
        }
    }

    /// The proof of a call, if it has one; refused if it does not fit the call.
    pub fn proof(
        &self,
        headers: &HeaderMap,
        method: &str,
        path: &str,
        access_token: Option<&str>,
    ) -> Result<Option<Proof>, Failure> {
        let mut values = headers.get_all(PROOF).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let refused = |message: &'static str| Failure::new(Code::InvalidDpopProof, message);
        if values.next().is_some() {
            return Err(refused("one DPoP proof"));
        }
        let text = value
            .to_str()
            .map_err(|_| refused("the DPoP proof is not a JWT"))?;
        let uri = format!("{}{path}", self.origin);
        let nonces = self.nonces.then(|| self.own_nonces());
        let expected = dpop::Expected {
            method,
            uri: &uri,
            access_token,
            nonces: nonces.as_ref(),
        };
        let now = runtime::clock::now();
        match dpop::verify(text, &expected, now) {
            Ok(proof) => Ok(Some(proof)),
            Err(Refusal::Nonce) => Err(Failure {
                nonce: nonces.map(|nonces| nonces.issue(now)),
                ..Failure::new(
                    Code::UseDpopNonce,
                    "send a proof with the nonce of the header DPoP-Nonce",
                )
            }),
            Err(refusal) => {
                tracing::debug!(%refusal, "DPoP proof refused");
                Err(refused("the DPoP proof does not fit the call"))
            }
        }
    }

    fn own_nonces(&self) -> Nonces {
        let secrets = self.secrets.current();
        let ring = &secrets.keys;
        let (current, key) = ring.current_key(Purpose::DpopNonces);
        // A replica may have the next key already, or not yet.
        let other = ring
            .versions()
            .filter(|version| *version != current)
            .last()
            .and_then(|version| ring.key(Purpose::DpopNonces, version));
        Nonces::new(
            key.expose(),
            other.map(crate::secrets::keyring::Key::expose),
        )
    }

    /// Refuses whoever is not a service of ours: by its certificate, or by its token.
    pub fn service(&self, extensions: &Extensions, headers: &HeaderMap) -> Result<Peer, Failure> {
        let peer = self.peer(extensions, headers);
        if peer.is_certified {
            return Ok(peer);
        }
        let shown = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .filter(|token| token.len() <= LONGEST_TOKEN);
        let secrets = self.secrets.current();
        let is_known = shown.is_some_and(|shown| {
            // Every one is compared, and by hashes: the time tells nothing.
            let shown = crate::crypto::hash(shown.as_bytes());
            secrets.texts(SERVICES).fold(false, |found, token| {
                found | crate::crypto::equal(&crate::crypto::hash(token.as_bytes()), &shown)
            })
        });
        if is_known {
            return Ok(peer);
        }
        Err(Failure::new(
            Code::Forbidden,
            "for services alone: show a certificate or a service token",
        ))
    }

    /// A stream that ends when the service does.
    pub fn until_stop<S: Stream>(&self, stream: S) -> impl Stream<Item = S::Item> + use<S> {
        let stop = self.stop.clone();
        stream.take_until(stop.cancelled_owned())
    }
}
