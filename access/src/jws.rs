//! The compact form of a signed token (RFC 7515): `header.payload.signature` in base64url.
//!
//! Knows no keys and trusts nothing: it only takes apart and puts together.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

/// Both of our algorithms sign with 64 bytes.
pub const SIGNATURE_LENGTH: usize = 64;

/// A token in parts.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// What is signed: the first two parts as they came.
    pub(crate) message: &'a [u8],
    /// The header as JSON.
    pub(crate) header: Vec<u8>,
    /// The payload.
    pub(crate) payload: Vec<u8>,
    /// The signature.
    pub(crate) signature: [u8; SIGNATURE_LENGTH],
}

/// Takes a token apart; none unless it has three parts of strict base64url, without padding, line
/// breaks or stray bits, and the signature has its length.
pub(crate) fn split(token: &str) -> Option<Parts<'_>> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    // A fourth part would be left in the payload, whose alphabet has no dot.
    Some(Parts {
        message: message.as_bytes(),
        header: decode(header)?,
        payload: decode(payload)?,
        signature: decode(signature)?.try_into().ok()?,
    })
}

/// Puts a token together. `sign` gets what is to be signed.
pub fn encode<Failure: From<serde_json::Error>>(
    header: &impl Serialize,
    payload: &impl Serialize,
    sign: impl FnOnce(&[u8]) -> Result<[u8; SIGNATURE_LENGTH], Failure>,
) -> Result<String, Failure> {
    let mut token = String::with_capacity(512);
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(header)?, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(payload)?, &mut token);
    let signature = sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// Reads base64url without padding.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Writes base64url without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_strict_parts_are_a_token() {
        let signature = base64url([7; SIGNATURE_LENGTH]);
        let parts = |token: String| split(&token).is_some();
        assert!(parts(format!("e30.e30.{signature}")));
        assert!(parts(format!("..{signature}")));
        for token in [
            String::new(),
            signature.clone(),
            format!("e30.{signature}"),
            format!("e30.e30.e30.{signature}"),
            format!("e30.e30.e30.e30.{signature}"),
            format!("e30.e30.{}", base64url([7; 63])),
            format!("e30.e30.{}", base64url([7; 65])),
            format!("e30.e30.{signature}="),
            format!("e30.e30.{signature}\n"),
            format!("e3 0.e30.{signature}"),
            format!("e30=.e30.{signature}"),
            // The last letter has bits that mean nothing.
            format!("e31.e30.{signature}"),
            format!("e30.e+8.{signature}"),
        ] {
            assert!(!parts(token.clone()), "{token}");
        }
    }
}
