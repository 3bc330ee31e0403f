//! An authenticator behind a browser, for tests: it answers `navigator.credentials.create` and `get`
//! as Web Authentication Level 3 (W3C) says, and does not look at what it is told to refuse.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

/// Flags of authenticator data (section 6.1).
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const HAS_CREDENTIAL: u8 = 0x40;

/// Holds one passkey, whose key never leaves it.
pub(crate) struct Authenticator {
    key: EcdsaKeyPair,
    credential: [u8; 16],
    /// The handle of the account, given at the creation.
    user: Value,
    signatures: u32,
    /// Whether it sees a finger or a PIN.
    verifies: bool,
}

impl Authenticator {
    pub(crate) fn new(verifies: bool) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let mut credential = [0; 16];
        aws_lc_rs::rand::fill(&mut credential).unwrap();
        Self {
            key,
            credential,
            user: Value::Null,
            signatures: 0,
            verifies,
        }
    }

    /// What a page at `origin` gets from `navigator.credentials.create(options)`, by `toJSON`.
    pub(crate) fn create(&mut self, origin: &str, options: &Value) -> Value {
        let options = &options["publicKey"];
        self.user = options["user"]["id"].clone();
        let client = client_data("webauthn.create", origin, options);
        let data = self.data(text(&options["rp"]["id"]), true);
        self.answer(&json!({
            "clientDataJSON": BASE64URL.encode(client),
            "attestationObject": BASE64URL.encode(attestation(&data)),
            "transports": ["internal"],
        }))
    }

    /// What a page at `origin` gets from `navigator.credentials.get(options)`, by `toJSON`.
    pub(crate) fn get(&mut self, origin: &str, options: &Value) -> Value {
        let options = &options["publicKey"];
        let client = client_data("webauthn.get", origin, options);
        let data = self.data(text(&options["rpId"]), false);
        let signed = [&data, digest(&SHA256, &client).as_ref()].concat();
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        self.answer(&json!({
            "clientDataJSON": BASE64URL.encode(client),
            "authenticatorData": BASE64URL.encode(data),
            "signature": BASE64URL.encode(signature),
            "userHandle": self.user,
        }))
    }

    fn answer(&self, response: &Value) -> Value {
        let id = BASE64URL.encode(self.credential);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "platform",
            "clientExtensionResults": {}, "response": response,
        })
    }

    /// Authenticator data (section 6.1), with the credential where it is new.
    fn data(&mut self, relying_party: &str, is_new: bool) -> Vec<u8> {
        self.signatures += 1;
        let mut flags = USER_PRESENT;
        if self.verifies {
            flags |= USER_VERIFIED;
        }
        if is_new {
            flags |= HAS_CREDENTIAL;
        }
        let mut data = digest(&SHA256, relying_party.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.signatures.to_be_bytes());
        if is_new {
            // The model of the authenticator, which it keeps to itself.
            data.extend([0; 16]);
            data.extend(u16::try_from(self.credential.len()).unwrap().to_be_bytes());
            data.extend(self.credential);
            data.extend(self.cose_key());
        }
        data
    }

    /// The public key in COSE (RFC 9053): `{1: 2, 3: -7, -1: 1, -2: x, -3: y}` in CBOR.
    fn cose_key(&self) -> Vec<u8> {
        // An uncompressed point: 4, then x and y.
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        let mut key = vec![0xA5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01];
        key.extend([0x21, 0x58, 32]);
        key.extend(x);
        key.extend([0x22, 0x58, 32]);
        key.extend(y);
        key
    }
}

/// The attestation object of an authenticator that says nothing of its maker (section 8.7):
/// `{"fmt": "none", "attStmt": {}, "authData": data}` in CBOR.
fn attestation(data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    let mut object = vec![0xA3];
    object.extend(b"\x63fmt\x64none");
    object.extend(b"\x67attStmt\xA0");
    object.extend(b"\x68authData\x58");
    object.push(length);
    object.extend(data);
    object
}

fn client_data(kind: &str, origin: &str, options: &Value) -> Vec<u8> {
    json!({
        "type": kind, "challenge": options["challenge"], "origin": origin, "crossOrigin": false,
    })
    .to_string()
    .into_bytes()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
