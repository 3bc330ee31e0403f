//! One public key as JSON (RFC 7517): Ed25519 (RFC 8037) or P-256 (RFC 7518).
//!
//! Its name is its thumbprint (RFC 7638): two services that never met call a key the same.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::jws::{SIGNATURE_LENGTH, base64url, decode, sha256};
use crate::strict::Present;

/// The algorithms that we verify, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// By its name in headers and keys.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "EdDSA" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// A key as it is written: the members that we read; others are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// The kind of key.
    pub kty: String,
    /// The curve.
    #[serde(default)]
    pub crv: String,
    /// The public key, or its first coordinate.
    #[serde(default)]
    pub x: String,
    /// The second coordinate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// What it is for.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// With what it signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// A private key has this member.
    #[serde(default, skip_serializing)]
    d: Present,
    /// A secret has this member.
    #[serde(default, skip_serializing)]
    k: Present,
}

/// Why a key is not one of ours to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Another kind, curve, algorithm or use.
    #[error("the key is of a kind that is not used here")]
    Kind,
    /// It holds its private half: whoever reads it can sign.
    #[error("the key is not public")]
    Private,
    /// Its bytes are no point of the curve, or one that proves nothing.
    #[error("the key is malformed")]
    Malformed,
    /// Its name is not its thumbprint.
    #[error("the key's name is not its thumbprint")]
    Name,
}

/// A key that can verify.
#[derive(Clone, Debug)]
pub struct PublicKey {
    algorithm: Algorithm,
    thumbprint: String,
    x: String,
    key: ParsedPublicKey,
}

impl PublicKey {
    /// An Ed25519 key by its 32 bytes.
    pub fn ed25519(bytes: &[u8]) -> Result<Self, Unusable> {
        if bytes.len() != 32 || is_of_small_order(bytes) {
            return Err(Unusable::Malformed);
        }
        let x = base64url(bytes);
        let members = BTreeMap::from([("crv", "Ed25519"), ("kty", "OKP"), ("x", x.as_str())]);
        Ok(Self {
            algorithm: Algorithm::EdDsa,
            thumbprint: thumbprint(&members),
            key: ParsedPublicKey::new(&ED25519, bytes).map_err(|_| Unusable::Malformed)?,
            x,
        })
    }

    /// A key as it was read.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, Unusable> {
        if jwk.d.0 || jwk.k.0 {
            return Err(Unusable::Private);
        }
        if jwk.usage.as_ref().is_some_and(|usage| usage != "sig") {
            return Err(Unusable::Kind);
        }
        let key = match (jwk.kty.as_str(), jwk.crv.as_str()) {
            ("OKP", "Ed25519") => Self::ed25519(&decode(&jwk.x).ok_or(Unusable::Malformed)?)?,
            ("EC", "P-256") => Self::p256(&jwk.x, jwk.y.as_deref().unwrap_or_default())?,
            _ => return Err(Unusable::Kind),
        };
        if let Some(name) = &jwk.alg
            && Algorithm::from_name(name) != Some(key.algorithm)
        {
            return Err(Unusable::Kind);
        }
        if jwk.kid.as_ref().is_some_and(|kid| *kid != key.thumbprint) {
            return Err(Unusable::Name);
        }
        Ok(key)
    }

    /// A P-256 key by its coordinates.
    fn p256(x: &str, y: &str) -> Result<Self, Unusable> {
        let coordinate = |text: &str| decode(text).filter(|bytes| bytes.len() == 32);
        let (Some(first), Some(second)) = (coordinate(x), coordinate(y)) else {
            return Err(Unusable::Malformed);
        };
        // The uncompressed form of a point; whether it lies on the curve is checked by the parser.
        let point = [&[4], first.as_slice(), &second].concat();
        let members = BTreeMap::from([("crv", "P-256"), ("kty", "EC"), ("x", x), ("y", y)]);
        Ok(Self {
            algorithm: Algorithm::Es256,
            thumbprint: thumbprint(&members),
            x: x.to_owned(),
            key: ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .map_err(|_| Unusable::Malformed)?,
        })
    }

    /// With what it verifies.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name: SHA-256 of its members (RFC 7638) in base64url.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Whether the owner of the key signed the message. A signature has one form: Ed25519 in
    /// which S is not below the group's order is refused.
    pub(crate) fn is_signed(&self, message: &[u8], signature: &[u8; SIGNATURE_LENGTH]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// As it is published, for an Ed25519 key.
    pub(crate) fn to_jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: self.x.clone(),
            kid: Some(self.thumbprint.clone()),
            usage: Some("sig".to_owned()),
            alg: Some("EdDSA".to_owned()),
            ..Jwk::default()
        }
    }
}

/// The thumbprint of the members that make a key: a sorted map is written as RFC 7638 asks.
fn thumbprint(members: &BTreeMap<&str, &str>) -> String {
    // A map of strings is always written.
    let json = serde_json::to_vec(members).unwrap_or_default();
    base64url(sha256(&json))
}

/// Points of small order, without the sign bit: 0, 1, the two of order 8, and p - 1, p, p + 1.
/// Anybody can make signatures that fit such a key.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    first_and_last(1, 0, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    first_and_last(0xec, 0xff, 0x7f),
    first_and_last(0xed, 0xff, 0x7f),
    first_and_last(0xee, 0xff, 0x7f),
];

/// A point whose bytes are alike but for the first and the last.
const fn first_and_last(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

fn is_of_small_order(bytes: &[u8]) -> bool {
    SMALL_ORDER.iter().any(|point| {
        let (last, rest) = (bytes.last(), bytes.get(..31));
        rest == point.get(..31) && last.map(|byte| byte & 0x7f) == point.last().copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.2.
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn jwk(json: &str) -> Result<PublicKey, Unusable> {
        PublicKey::from_jwk(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn thumbprints_are_those_of_the_standards() {
        // RFC 8037, appendix A.3.
        let key = jwk(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}"#)).unwrap();
        assert_eq!(
            key.thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        assert_eq!(key.algorithm(), Algorithm::EdDsa);
        // RFC 7638, section 3.1.
        let members = BTreeMap::from([
            ("kty", "RSA"),
            (
                "n",
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR\
                 1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h\
                 4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91Cb\
                 OpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-cs\
                 FCur-kEgU8awapJzKnqDKgw",
            ),
            ("e", "AQAB"),
        ]);
        assert_eq!(
            thumbprint(&members),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn only_public_keys_of_our_kinds_are_used() {
        let with = |more: &str| {
            jwk(&format!(
                r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"{more}}}"#
            ))
            .err()
        };
        for (more, expected) in [
            ("", None),
            (r#","use":"sig","alg":"EdDSA","key_ops":["verify"]"#, None),
            (
                r#","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k""#,
                None,
            ),
            (r#","kid":"mine""#, Some(Unusable::Name)),
            (r#","use":"enc""#, Some(Unusable::Kind)),
            (r#","alg":"HS256""#, Some(Unusable::Kind)),
            (r#","alg":"ES256""#, Some(Unusable::Kind)),
            (
                r#","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#,
                Some(Unusable::Private),
            ),
            (r#","d":null"#, Some(Unusable::Private)),
            (r#","k":"AA""#, Some(Unusable::Private)),
        ] {
            assert_eq!(with(more), expected, "{more}");
        }
        for (json, expected) in [
            (r#"{"kty":"RSA","n":"AA","e":"AQAB"}"#, Unusable::Kind),
            (r#"{"kty":"oct","k":"AA"}"#, Unusable::Private),
            (r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#, Unusable::Kind),
            (
                r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#,
                Unusable::Malformed,
            ),
            (r#"{"kty":"EC","crv":"P-384"}"#, Unusable::Kind),
            (
                r#"{"kty":"EC","crv":"P-256","x":"AA"}"#,
                Unusable::Malformed,
            ),
        ] {
            assert_eq!(jwk(json).err(), Some(expected), "{json}");
        }
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let json = |x: &str| {
            format!(
                r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}}"#
            )
        };
        jwk(&json("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs")).unwrap();
        let moved = jwk(&json("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFA"));
        assert_eq!(moved.err(), Some(Unusable::Malformed));
    }

    #[test]
    fn keys_of_small_order_are_refused() {
        for point in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut bytes = point;
                bytes[31] |= sign;
                let key = PublicKey::ed25519(&bytes);
                assert_eq!(key.err(), Some(Unusable::Malformed), "{bytes:02x?}");
            }
        }
    }

    #[test]
    fn the_vector_of_the_standard_verifies_and_no_other_form_of_it() {
        // RFC 8037, appendix A.4 and A.5.
        let key = jwk(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}"#)).unwrap();
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let parts = crate::jws::split(token).unwrap();
        assert_eq!(parts.payload, b"Example of Ed25519 signing");
        assert!(key.is_signed(parts.message, &parts.signature));
        // S + L is the same number in the group, and another signature of the same message.
        let order = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10_u8,
        ];
        let mut other = parts.signature;
        let mut carry = 0;
        for (byte, more) in other[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(more) + carry;
            *byte = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        assert_ne!(other, parts.signature);
        assert!(!key.is_signed(parts.message, &other));
    }
}
