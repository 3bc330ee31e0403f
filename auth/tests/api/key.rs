//! A client's key and its DPoP proofs.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::world::ISSUER;

/// A key.
pub(crate) struct Key {
    pair: Ed25519KeyPair,
    proofs: AtomicU32,
}

impl Key {
    pub(crate) fn new() -> Self {
        Self {
            pair: Ed25519KeyPair::generate().unwrap(),
            proofs: AtomicU32::new(0),
        }
    }

    /// A proof for a call, as no other.
    pub(crate) fn proof(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        nonce: Option<&str>,
    ) -> String {
        let number = self.proofs.fetch_add(1, Ordering::Relaxed);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let header = json!({
            "typ": "dpop+jwt",
            "alg": "EdDSA",
            "jwk": {"kty": "OKP", "crv": "Ed25519", "x": encode(self.pair.public_key().as_ref())},
        });
        let mut claims = json!({
            "jti": format!("proof-{number}"),
            "htm": method,
            "htu": format!("{ISSUER}{path}"),
            "iat": runtime::clock::now().as_second(),
        });
        if let Some(token) = token {
            claims["ath"] = encode(digest(&SHA256, token.as_bytes()).as_ref()).into();
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature.as_ref()))
    }
}
