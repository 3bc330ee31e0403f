//! Who calls, before anything else is known: its address, its proof of a key, and whether it is a
//! service of ours. The same for HTTP, WebSocket and gRPC.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use access::dpop::{self, Proof};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{Stream, StreamExt as _};
use http::{Extensions, HeaderMap};
use tokio_util::sync::CancellationToken;

use crate::error::{Code, Failure};
use crate::limits::ClientAddress;
use crate::secrets::Keyring;

/// Where a client puts its proof.
const PROOF: &str = "dpop";

/// The longest proof that is looked at.
const LONGEST_PROOF: usize = 4096;

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
    /// Which proxies tell the truth about addresses.
    pub addresses: Arc<ClientAddress>,
    /// Where tokens of services and the key of DPoP nonces are.
    pub keyring: Keyring,
    /// Whether proofs must carry a nonce of ours.
    pub nonces: bool,
    /// Ends what would go on forever.
    pub stop: CancellationToken,
}

impl Edge {
    /// The other end of a connection.
    pub fn peer(&self, extensions: &Extensions, headers: &HeaderMap) -> Peer {
        let peer = extensions.get::<runtime::serve::Peer>();
        // Without a connection, as in tests of the router, the caller is nobody special.
        let connected = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.address.ip());
        Peer {
            address: self.addresses.resolve(connected, headers),
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
        if values.next().is_some() || value.len() > LONGEST_PROOF {
            return Err(refused("one DPoP proof of at most 4096 bytes"));
        }
        let text = value
            .to_str()
            .map_err(|_| refused("the DPoP proof is not a JWT"))?;
        let keys = self.keyring.current();
        let url = format!("{}{path}", self.origin);
        let expected = dpop::Expected {
            method,
            url: &url,
            access_token,
        };
        let now = runtime::clock::now();
        let proof = dpop::verify(text, &expected, now).map_err(|refusal| {
            tracing::debug!(%refusal, "DPoP proof refused");
            refused("the DPoP proof does not fit the call")
        })?;
        if self.nonces {
            let fresh = proof
                .nonce
                .as_deref()
                .is_some_and(|nonce| keys.dpop_nonces().accepts(nonce, now));
            if !fresh {
                return Err(Failure::new(
                    Code::UseDpopNonce,
                    "send a proof with the nonce of the header DPoP-Nonce",
                ));
            }
        }
        Ok(Some(proof))
    }

    /// Refuses whoever is not a service of ours: by its certificate, or by its token.
    pub fn service(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<Peer, Failure> {
        let peer = self.peer(extensions, headers);
        if peer.is_certified {
            return Ok(peer);
        }
        let shown = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| URL_SAFE_NO_PAD.decode(token).ok());
        match shown {
            Some(token) if self.keyring.current().is_service(&token) => Ok(peer),
            _ => Err(Failure::new(
                Code::Forbidden,
                "for services alone: show a certificate or a service token",
            )),
        }
    }

    /// A stream that ends when the service does.
    pub fn until_stop<S: Stream>(&self, stream: S) -> impl Stream<Item = S::Item> + use<S> {
        let stop = self.stop.clone();
        stream.take_until(stop.cancelled_owned())
    }
}
