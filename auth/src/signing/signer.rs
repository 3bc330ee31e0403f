//! One private key, opened: signs the claims of access tokens.

use std::fmt;

use access::claims::{Claims, TYPE};
use access::jwk::PublicKey;
use access::jws;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Serialize;
use zeroize::Zeroizing;

/// What goes wrong with a private key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine has no randomness.
    #[error("no key can be made")]
    Generate,
    /// The bytes are no private key.
    #[error("the private key is malformed")]
    Rejected,
    /// The key does not sign.
    #[error("the key does not sign")]
    Sign,
    /// The claims cannot be written.
    #[error("the claims cannot be written")]
    Write(#[from] serde_json::Error),
}

/// The header of every access token.
#[derive(Serialize)]
struct Header<'a> {
    typ: &'a str,
    alg: &'a str,
    kid: &'a str,
}

/// A private key with its name. The key is erased by its library when it is dropped.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Signer")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// Makes a private key (PKCS 8).
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, Error> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| Error::Generate)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Opens a private key (PKCS 8).
    pub fn from_pkcs8(private: &[u8]) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_pkcs8(private).map_err(|_| Error::Rejected)?;
        let public = PublicKey::ed25519(pair.public_key().as_ref()).map_err(|_| Error::Rejected)?;
        Ok(Self { pair, public })
    }

    /// The key's thumbprint (RFC 7638).
    pub fn id(&self) -> &str {
        self.public.thumbprint()
    }

    /// The public half, 32 bytes.
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Signs an access token.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        let header = Header {
            typ: TYPE,
            alg: "EdDSA",
            kid: self.id(),
        };
        jws::encode(&header, claims, |message| {
            let signature = self.pair.try_sign(message).map_err(|_| Error::Sign)?;
            signature.as_ref().try_into().map_err(|_| Error::Sign)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_opened_again_and_never_shown() {
        let private = Signer::generate().unwrap();
        let signer = Signer::from_pkcs8(&private).unwrap();
        let again = Signer::from_pkcs8(&private).unwrap();
        assert_eq!(signer.id(), again.id());
        assert_eq!(
            signer.id(),
            PublicKey::ed25519(signer.public()).unwrap().thumbprint()
        );
        assert_eq!(
            format!("{signer:?}"),
            format!("Signer {{ id: {:?}, .. }}", signer.id())
        );
        assert!(Signer::from_pkcs8(&private[1..]).is_err());
        let other = Signer::from_pkcs8(&Signer::generate().unwrap()).unwrap();
        assert_ne!(signer.id(), other.id());
    }
}
