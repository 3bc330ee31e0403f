//! Tokens of service accounts: JWTs as the API server makes them, signed with the key of this
//! instance, and valid only as long as what they are bound to.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Error;
use super::credentials::Credentials;
use super::user::User;
use crate::object::Object;
use crate::objects::Objects;

/// How far clocks may be apart, and how long a token outlives what it is bound to.
const LEEWAY_SECONDS: i64 = 60;

/// What a token says. Fields are in the order of their names, as in the real ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    pub(super) aud: Vec<String>,
    pub(super) exp: i64,
    pub(super) iat: i64,
    pub(super) iss: String,
    #[serde(default)]
    pub(super) jti: String,
    #[serde(rename = "kubernetes.io")]
    pub(super) kubernetes: Bound,
    pub(super) nbf: i64,
    pub(super) sub: String,
}

/// Whose token it is, and what it is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bound {
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Reference>,
    #[serde(default)]
    pub(super) serviceaccount: Reference,
    /// Seconds since the epoch from which on clients should have renewed the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) warnafter: Option<i64>,
}

/// An object by name and uid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) uid: String,
}

impl Reference {
    pub(super) fn to(object: &Object) -> Self {
        Self {
            name: object.meta("name").to_owned(),
            uid: object.meta("uid").to_owned(),
        }
    }
}

/// Why a token is no good. Shown to who asks for a review, never to who presents the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Not a token of this instance at all.
    Unknown,
    /// A token in our name that does not hold.
    Broken(String),
}

impl Flaw {
    /// As the API server words it in a review.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Unknown => "invalid bearer token".to_owned(),
            Self::Broken(why) => format!("[invalid bearer token, {why}]"),
        }
    }
}

/// Signs and checks the tokens of service accounts.
pub(super) struct Tokens {
    issuer: String,
    key_id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// The public key as a JSON Web Key.
    public: Value,
}

impl Tokens {
    pub(super) fn new(issuer: &str, credentials: &Credentials) -> Result<Self, Error> {
        let key = credentials.key()?;
        let key_id = URL_SAFE_NO_PAD.encode(digest(&SHA256, &key.info));
        // A point on P-256 is one byte of form and two coordinates of 32 bytes.
        let (Some(x), Some(y)) = (key.public.get(1..33), key.public.get(33..65)) else {
            return Err(Error::Key);
        };
        let public = json!({
            "use": "sig",
            "kty": "EC",
            "kid": key_id,
            "crv": "P-256",
            "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        });
        Ok(Self {
            issuer: issuer.to_owned(),
            encoding: EncodingKey::from_ec_der(&key.private),
            decoding: DecodingKey::from_ec_der(&key.public),
            key_id,
            public,
        })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `/.well-known/openid-configuration`.
    pub(super) fn configuration(&self, keys_url: &str) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": keys_url,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// `/openid/v1/jwks`.
    pub(super) fn keys(&self) -> Value {
        json!({ "keys": [self.public] })
    }

    /// The token that says this.
    pub(super) fn sign(&self, claims: &Claims) -> Result<String, Error> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = None;
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(|_| Error::Key)
    }

    /// What a token says, if this instance signed it.
    fn read(&self, token: &str) -> Result<Claims, Flaw> {
        if unverified_issuer(token).as_deref() != Some(self.issuer.as_str()) {
            return Err(Flaw::Unknown);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Flaw::Unknown)?;
        if header.kid.as_ref().is_some_and(|id| *id != self.key_id) {
            return Err(Flaw::Broken("invalid signature, no keys found".to_owned()));
        }
        // Times and audiences are compared below: with our clock, and in the order and words of
        // the API server.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map(|data| data.claims)
            .map_err(|_| {
                Flaw::Broken("go-jose/go-jose: error in cryptographic primitive".to_owned())
            })
    }

    /// Whose token it is, and for which of the wanted audiences.
    pub(super) fn check(
        &self,
        objects: &dyn Objects,
        now: Timestamp,
        token: &str,
        wanted: &[String],
    ) -> Result<(User, Vec<String>), Flaw> {
        let claims = self.read(token)?;
        let audiences: Vec<String> = claims
            .aud
            .iter()
            .filter(|audience| wanted.contains(audience))
            .cloned()
            .collect();
        if audiences.is_empty() {
            return Err(Flaw::Broken(format!(
                "token audiences {} is invalid for the target audiences {}",
                quoted(&claims.aud),
                quoted(wanted)
            )));
        }
        check_times(&claims, now)?;
        check_bound(objects, &claims.kubernetes, now)?;
        Ok((user(claims), audiences))
    }
}

/// A list as the API server prints it in messages: `["a" "b"]`.
fn quoted(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|item| format!("{item:?}")).collect();
    format!("[{}]", items.join(" "))
}

/// The issuer that a text names, if it has the form of a token.
fn unverified_issuer(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    Some(claims.get("iss")?.as_str()?.to_owned())
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), Flaw> {
    let now = now.as_second();
    let flaw = if now.saturating_add(LEEWAY_SECONDS) < claims.nbf {
        "service account token is not valid yet"
    } else if now.saturating_sub(LEEWAY_SECONDS) > claims.exp {
        "service account token has expired"
    } else if now.saturating_add(LEEWAY_SECONDS) < claims.iat {
        "service account token is issued in the future"
    } else {
        return Ok(());
    };
    Err(Flaw::Broken(flaw.to_owned()))
}

/// Whether everything that the token is bound to is still there.
fn check_bound(objects: &dyn Objects, bound: &Bound, now: Timestamp) -> Result<(), Flaw> {
    let invalidated = || Flaw::Broken("service account token has been invalidated".to_owned());
    let namespace = bound.namespace.as_str();
    let account = &bound.serviceaccount;
    let found = find(objects, "serviceaccounts", namespace, &account.name)
        .ok_or_else(|| Flaw::Broken(format!("serviceaccounts \"{}\" not found", account.name)))?;
    if found.meta("uid") != account.uid {
        return Err(Flaw::Broken(format!(
            "service account UID ({}) does not match claim ({})",
            found.meta("uid"),
            account.uid
        )));
    }
    if is_deleted(&found, now) {
        return Err(Flaw::Broken(format!(
            "service account {namespace}/{} has been deleted",
            account.name
        )));
    }
    // A node in a token that is bound to a pod only tells where the pod was.
    let node = bound.node.as_ref().filter(|_| bound.pod.is_none());
    for (resource, namespace, reference, title) in [
        ("secrets", namespace, bound.secret.as_ref(), "secret"),
        ("pods", namespace, bound.pod.as_ref(), "pod"),
        ("nodes", "", node, "node"),
    ] {
        let Some(reference) = reference else {
            continue;
        };
        let found = find(objects, resource, namespace, &reference.name).ok_or_else(invalidated)?;
        if found.meta("uid") != reference.uid {
            return Err(Flaw::Broken(format!(
                "{title} UID ({}) does not match service account {title} ref claim ({})",
                found.meta("uid"),
                reference.uid
            )));
        }
        if is_deleted(&found, now) {
            return Err(invalidated());
        }
    }
    Ok(())
}

fn find(
    objects: &dyn Objects,
    resource: &str,
    namespace: &str,
    name: &str,
) -> Option<std::sync::Arc<Object>> {
    let kinds = objects.kinds();
    objects.get(kinds.resource("", resource)?, namespace, name)
}

/// Whether an object should have been gone for longer than clocks may differ.
fn is_deleted(object: &Object, now: Timestamp) -> bool {
    object
        .meta("deletionTimestamp")
        .parse::<Timestamp>()
        .is_ok_and(|at| at.as_second() < now.as_second().saturating_sub(LEEWAY_SECONDS))
}

fn user(claims: Claims) -> User {
    let bound = claims.kubernetes;
    let mut user = User {
        name: claims.sub,
        uid: bound.serviceaccount.uid,
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", bound.namespace),
        ],
        ..User::default()
    };
    user.join_authenticated();
    let mut tell = |key: &str, value: String| {
        if !value.is_empty() {
            user.extra
                .insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
        }
    };
    if !claims.jti.is_empty() {
        tell("credential-id", format!("JTI={}", claims.jti));
    }
    if let Some(pod) = bound.pod {
        tell("pod-name", pod.name);
        tell("pod-uid", pod.uid);
    }
    if let Some(node) = bound.node {
        tell("node-name", node.name);
        tell("node-uid", node.uid);
    }
    user
}
