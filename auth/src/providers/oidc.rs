//! OpenID Connect: authorization code with PKCE (S256) and nonce.
//!
//! What a provider can do comes from its discovery document; what it may do is decided here. The
//! ID token comes straight from the token endpoint, and is still verified by key: a check that is
//! always made cannot be forgotten where it counts.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::json;
use storage::Confidential;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use url::Url;
use zeroize::Zeroizing;

use super::cache::Cached;
use super::config::is_safe;
use super::http::Http;
use super::jwt::{ALGORITHMS, Audience, Header, Keys, SKEW, Seconds, WireKeys, check_times};
use super::{Begin, Credential, Email, Error, Provider, Refusal, Subject, jwt};
use crate::ids::IdentityKind;

/// A longer code is none.
const LONGEST_CODE: usize = 4096;

/// An ID token that is older was not made for the code that was just exchanged.
const OLDEST: SignedDuration = SignedDuration::from_mins(10);

/// How long a client secret that we sign is good: one call.
const ASSERTION: SignedDuration = SignedDuration::from_mins(5);

/// How we tell the provider that it is us.
#[derive(Debug)]
pub enum Authentication {
    /// Not at all: PKCE alone.
    Public,
    /// By a secret that the provider gave us.
    Confidential(Confidential),
    /// By a short-lived token that we sign, as Apple asks.
    Signed(SigningKey),
}

/// The key that Apple gave us.
pub struct SigningKey {
    team: String,
    id: String,
    key: EcdsaKeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("team", &self.team)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The key is not a private key of the curve P-256 in PEM (PKCS #8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a P-256 private key in PEM (PKCS #8)")]
pub struct NotAKey;

impl SigningKey {
    /// A key from the file that Apple lets one download once.
    pub fn new(team: String, id: String, pem: &Confidential) -> Result<Self, NotAKey> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes())
            .map_err(|_error| NotAKey)?;
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der())
                .map_err(|_error| NotAKey)?;
        Ok(Self { team, id, key })
    }

    /// A client secret for one call.
    fn assertion(&self, now: Timestamp, client: &str, issuer: &str) -> Result<Confidential, Error> {
        let expires = now.checked_add(ASSERTION).unwrap_or(Timestamp::MAX);
        let header = json!({"alg": "ES256", "kid": self.id});
        let claims = json!({
            "iss": self.team,
            "iat": now.as_second(),
            "exp": expires.as_second(),
            "aud": issuer,
            "sub": client,
        });
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_error| Error::Configuration("the client secret cannot be signed".into()))?;
        let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
        Ok(Confidential::new(format!("{signed}.{signature}")))
    }
}

/// What a provider is configured with.
#[derive(Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// What kind of identity it vouches for.
    pub kind: IdentityKind,
    /// The issuer, exactly as in its tokens.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// How we prove it.
    pub authentication: Authentication,
    /// Where the browser comes back, exactly as registered there.
    pub redirect_uri: String,
    /// What we ask for.
    pub scopes: Vec<String>,
    /// The browser comes back by POST: Apple insists when it is asked for the mail address.
    pub form_post: bool,
}

/// An OpenID provider.
#[derive(Debug)]
pub struct Oidc {
    settings: Settings,
    http: Http,
    discovery: Cached<Discovery>,
    keys: Cached<Keys>,
}

/// The parts of a discovery document that we need.
#[derive(Clone, Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    id_token_signing_alg_values_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Discovery {
    /// Refuses a document that is another issuer's, or leads where secrets must not go.
    fn check(self, settings: &Settings) -> Result<Self, Error> {
        if self.issuer != settings.issuer {
            return Err(Error::Answer("its discovery names another issuer".into()));
        }
        let secure = self.issuer.starts_with("https:");
        for (name, url) in [
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
            ("jwks_uri", &self.jwks_uri),
        ] {
            if !is_safe(url) || (secure && url.scheme() != "https") {
                return Err(Error::Answer(format!("its {name} is not https")));
            }
        }
        if self.algorithms().is_empty() {
            return Err(Error::Answer(
                "it signs by none of RS256, ES256 and EdDSA".into(),
            ));
        }
        Ok(self)
    }

    /// What it signs with, of what we verify.
    fn algorithms(&self) -> Vec<Algorithm> {
        let theirs = &self.id_token_signing_alg_values_supported;
        let is_theirs = |ours: &Algorithm| {
            let name = jsonwebtoken::jwk::KeyAlgorithm::from(*ours).to_string();
            theirs.contains(&name)
        };
        ALGORITHMS.into_iter().filter(is_theirs).collect()
    }

    /// Whether the secret goes in the body; otherwise in the header, which is the default of the
    /// standard.
    fn takes_secret_in_body(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref();
        let has = |name: &str| methods.is_some_and(|all| all.iter().any(|its| its == name));
        has("client_secret_post") && !has("client_secret_basic")
    }
}

/// What the token endpoint answers.
#[derive(Deserialize)]
struct Tokens {
    id_token: Zeroizing<String>,
    access_token: Option<Zeroizing<String>>,
}

/// What the token endpoint answers when it refuses (RFC 6749, section 5.2).
#[derive(Deserialize)]
struct TokenError {
    error: String,
}

/// The claims of an ID token.
#[derive(Clone, Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: Seconds,
    iat: Seconds,
    nbf: Option<Seconds>,
    nonce: Option<String>,
    at_hash: Option<String>,
    email: Option<String>,
    email_verified: Option<Verified>,
}

/// Apple writes a string.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Verified {
    Bool(bool),
    Text(String),
}

/// What an ID token must say.
#[derive(Clone, Copy)]
struct Expected<'a> {
    issuer: &'a str,
    client_id: &'a str,
    nonce: &'a str,
    algorithm: Algorithm,
    access_token: Option<&'a str>,
}

/// The left half of the hash of the access token, by the hash of the signature's algorithm.
fn at_hash(algorithm: Algorithm, access_token: &str) -> String {
    let hash = match algorithm {
        // Ed25519 hashes with SHA-512.
        Algorithm::EdDSA => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let hash = digest::digest(hash, access_token.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

/// Checks the claims of a token whose signature is good (OpenID Connect Core, 3.1.3.7).
fn check(now: Timestamp, claims: &Claims, expected: &Expected<'_>) -> Result<(), jwt::Refusal> {
    if claims.iss != expected.issuer {
        return Err(jwt::Refusal::Issuer);
    }
    let audiences = claims.aud.all();
    let ours = audiences.iter().any(|its| its == expected.client_id);
    let party = claims.azp.as_deref();
    let is_party = party.map_or(audiences.len() == 1, |its| its == expected.client_id);
    if !ours || !is_party {
        return Err(jwt::Refusal::Audience);
    }
    check_times(now, claims.exp, claims.nbf)?;
    let issued = claims.iat.time().ok_or(jwt::Refusal::Claims)?;
    let age = now.duration_since(issued);
    if age < -SKEW || age > OLDEST + SKEW {
        return Err(jwt::Refusal::IssuedAt);
    }
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    verify_slices_are_equal(nonce.as_bytes(), expected.nonce.as_bytes())
        .map_err(|_error| jwt::Refusal::Nonce)?;
    if let Some(hash) = &claims.at_hash {
        let is_its = expected
            .access_token
            .is_some_and(|token| at_hash(expected.algorithm, token) == *hash);
        if !is_its {
            return Err(jwt::Refusal::AccessToken);
        }
    }
    // At most 255 ASCII characters, says the standard.
    if claims.sub.is_empty() || claims.sub.len() > 255 || !claims.sub.is_ascii() {
        return Err(jwt::Refusal::Subject);
    }
    Ok(())
}

/// The mail address, if it can be one.
fn email(claims: &Claims) -> Option<Email> {
    let address = claims.email.clone()?;
    let (local, domain) = address.rsplit_once('@')?;
    if local.is_empty() || domain.is_empty() || address.len() > 254 {
        return None;
    }
    let verified = match &claims.email_verified {
        Some(Verified::Bool(verified)) => *verified,
        Some(Verified::Text(text)) => text == "true",
        None => false,
    };
    Some(Email { address, verified })
}

impl Oidc {
    /// A provider; nothing is asked of it yet.
    pub fn new(settings: Settings, http: Http) -> Self {
        Self {
            settings,
            http,
            discovery: Cached::new(),
            keys: Cached::new(),
        }
    }

    async fn discovery(&self) -> Result<Arc<Discovery>, Error> {
        let fetch = async || {
            let issuer = self.settings.issuer.trim_end_matches('/');
            let url = format!("{issuer}/.well-known/openid-configuration");
            let url = Url::parse(&url)
                .map_err(|_error| Error::Configuration("its issuer is no URL".into()))?;
            let (document, fresh) = self.http.document::<Discovery>(url).await?;
            Ok((document.check(&self.settings)?, fresh))
        };
        self.discovery.get(|_| true, fetch).await
    }

    /// Exchanges the code.
    async fn exchange(
        &self,
        discovery: &Discovery,
        code: &Confidential,
        verifier: &Confidential,
    ) -> Result<Tokens, Error> {
        let settings = &self.settings;
        let secret = match &settings.authentication {
            Authentication::Public => None,
            Authentication::Confidential(secret) => Some(secret.clone()),
            Authentication::Signed(key) => {
                let now = runtime::clock::now();
                Some(key.assertion(now, &settings.client_id, &settings.issuer)?)
            }
        };
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", settings.redirect_uri.as_str()),
            ("code_verifier", verifier.expose()),
        ];
        let basic = match &secret {
            Some(secret) if !discovery.takes_secret_in_body() => {
                Some(basic(&settings.client_id, secret))
            }
            Some(secret) => {
                form.push(("client_id", settings.client_id.as_str()));
                form.push(("client_secret", secret.expose()));
                None
            }
            None => {
                form.push(("client_id", settings.client_id.as_str()));
                None
            }
        };
        let mut request = self.http.post(discovery.token_endpoint.clone(), &form);
        if let Some(basic) = basic {
            request = request.header(AUTHORIZATION, basic.expose());
        }
        let answer = self.http.ask(request).await?;
        match answer.status {
            StatusCode::OK => answer.json(),
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let refused: TokenError = answer.json()?;
                match refused.error.as_str() {
                    "invalid_grant" => Err(Error::Refused(Refusal::Provider(refused.error))),
                    "invalid_client"
                    | "unauthorized_client"
                    | "invalid_request"
                    | "unsupported_grant_type"
                    | "invalid_scope" => Err(Error::Configuration(refused.error)),
                    _ => Err(Error::Answer(
                        "an unknown error of the token endpoint".into(),
                    )),
                }
            }
            status => Err(Error::Answer(format!("status {status}"))),
        }
    }
}

/// The header of a client with a secret; both are form-encoded first (RFC 6749, section 2.3.1).
fn basic(client: &str, secret: &Confidential) -> Confidential {
    let encode = |text: &str| {
        Zeroizing::new(url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>())
    };
    let pair = Zeroizing::new(format!("{}:{}", *encode(client), *encode(secret.expose())));
    Confidential::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

#[async_trait]
impl Provider for Oidc {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn kind(&self) -> IdentityKind {
        self.settings.kind
    }

    async fn begin(&self, begin: Begin<'_>) -> Result<Url, Error> {
        let discovery = self.discovery().await?;
        let mut url = discovery.authorization_endpoint.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &self.settings.client_id)
                .append_pair("redirect_uri", &self.settings.redirect_uri)
                .append_pair("scope", &self.settings.scopes.join(" "))
                .append_pair("state", begin.state)
                .append_pair("nonce", begin.nonce)
                .append_pair("code_challenge", begin.challenge)
                .append_pair("code_challenge_method", "S256");
            if self.settings.form_post {
                query.append_pair("response_mode", "form_post");
            }
        }
        Ok(url)
    }

    async fn finish(&self, credential: &Credential) -> Result<Subject, Error> {
        let Credential::Code {
            code,
            nonce,
            verifier,
            issuer,
        } = credential
        else {
            return Err(Error::WrongCredential(self.settings.name.clone()));
        };
        if code.expose().is_empty() || code.expose().len() > LONGEST_CODE {
            return Err(Error::Refused(Refusal::Malformed("its length")));
        }
        let discovery = self.discovery().await?;
        // RFC 9207: a code that another provider made must not be shown to this one.
        let is_its = match issuer {
            Some(issuer) => *issuer == self.settings.issuer,
            None => !discovery.authorization_response_iss_parameter_supported,
        };
        if !is_its {
            return Err(Error::Refused(jwt::Refusal::Issuer.into()));
        }
        let tokens = self.exchange(&discovery, code, verifier).await?;
        let refused = |refusal: jwt::Refusal| Error::Refused(refusal.into());
        let header = Header::parse(&tokens.id_token, &discovery.algorithms()).map_err(refused)?;
        let fetch = async || {
            let (keys, fresh) = self
                .http
                .document::<WireKeys>(discovery.jwks_uri.clone())
                .await?;
            Ok((Keys::from(keys), fresh))
        };
        let keys = self
            .keys
            .get(|keys: &Keys| keys.has(&header), fetch)
            .await?;
        let claims: Claims = keys.verify(&tokens.id_token, &header).map_err(refused)?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: nonce.expose(),
            algorithm: header.algorithm,
            access_token: tokens.access_token.as_ref().map(|token| token.as_str()),
        };
        check(runtime::clock::now(), &claims, &expected).map_err(refused)?;
        Ok(Subject {
            provider: self.settings.name.clone(),
            kind: self.settings.kind,
            email: email(&claims),
            subject: claims.sub,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn checked(change: &serde_json::Value) -> Result<(), jwt::Refusal> {
        let mut claims = json!({
            "iss": "https://id.example",
            "sub": "1",
            "aud": "us",
            "exp": NOW + 300,
            "iat": NOW,
            "nonce": "n",
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let claims = serde_json::from_value(claims).map_err(|_error| jwt::Refusal::Claims)?;
        let expected = Expected {
            issuer: "https://id.example",
            client_id: "us",
            nonce: "n",
            algorithm: Algorithm::RS256,
            access_token: Some("token"),
        };
        check(Timestamp::from_second(NOW).unwrap(), &claims, &expected)
    }

    #[test]
    fn every_claim_is_checked() {
        use jwt::Refusal as No;
        let hash = at_hash(Algorithm::RS256, "token");
        let other = at_hash(Algorithm::RS256, "other");
        for (change, expected) in [
            (json!({}), Ok(())),
            (json!({"iss": "https://id.example/"}), Err(No::Issuer)),
            (json!({"iss": null}), Err(No::Claims)),
            (json!({"aud": "them"}), Err(No::Audience)),
            (json!({"aud": []}), Err(No::Audience)),
            (json!({"aud": ["us"]}), Ok(())),
            (json!({"aud": ["us", "them"]}), Err(No::Audience)),
            (json!({"aud": ["us", "them"], "azp": "us"}), Ok(())),
            (
                json!({"aud": ["us", "them"], "azp": "them"}),
                Err(No::Audience),
            ),
            (json!({"azp": "them"}), Err(No::Audience)),
            (json!({"aud": "them", "azp": "us"}), Err(No::Audience)),
            (json!({"exp": NOW - 59}), Ok(())),
            (json!({"exp": NOW - 60}), Err(No::Expired)),
            (json!({"exp": "tomorrow"}), Err(No::Claims)),
            (json!({"iat": NOW + 60}), Ok(())),
            (json!({"iat": NOW + 61}), Err(No::IssuedAt)),
            (json!({"iat": NOW - 660}), Ok(())),
            (json!({"iat": NOW - 661}), Err(No::IssuedAt)),
            (json!({"iat": null}), Err(No::Claims)),
            (json!({"nbf": NOW + 100}), Err(No::IssuedAt)),
            (json!({"nonce": "m"}), Err(No::Nonce)),
            (json!({"nonce": null}), Err(No::Nonce)),
            (json!({"at_hash": hash}), Ok(())),
            (json!({"at_hash": other}), Err(No::AccessToken)),
            (json!({"sub": ""}), Err(No::Subject)),
            (json!({"sub": "é"}), Err(No::Subject)),
            (json!({"sub": "x".repeat(256)}), Err(No::Subject)),
        ] {
            assert_eq!(checked(&change), expected, "{change}");
        }
    }

    #[test]
    fn at_hash_is_that_of_the_standard() {
        // OpenID Connect Core, appendix A.3.
        assert_eq!(
            at_hash(
                Algorithm::RS256,
                "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
            ),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
        assert_eq!(at_hash(Algorithm::EdDSA, "token").len(), 43);
    }

    #[test]
    fn an_address_is_verified_only_if_the_provider_says_so() {
        for (claims, expected) in [
            (json!({}), None),
            (json!({"email": "a@b.example"}), Some(false)),
            (
                json!({"email": "a@b.example", "email_verified": true}),
                Some(true),
            ),
            (
                json!({"email": "a@b.example", "email_verified": "true"}),
                Some(true),
            ),
            (
                json!({"email": "a@b.example", "email_verified": "false"}),
                Some(false),
            ),
            (
                json!({"email": "a@b.example", "email_verified": "TRUE"}),
                Some(false),
            ),
            (json!({"email": "@b.example", "email_verified": true}), None),
            (json!({"email": "a@", "email_verified": true}), None),
            (json!({"email": "a", "email_verified": true}), None),
        ] {
            let mut all = json!({"iss": "", "sub": "", "aud": "", "exp": 0, "iat": 0});
            for (name, value) in claims.as_object().unwrap() {
                all[name] = value.clone();
            }
            let all = serde_json::from_value(all).unwrap();
            assert_eq!(
                email(&all).map(|email| email.verified),
                expected,
                "{claims}"
            );
        }
    }

    #[test]
    fn a_secret_in_the_header_is_encoded_as_the_standard_says() {
        let header = basic("a client", &Confidential::new("p:s%&"));
        let encoded = header.expose().strip_prefix("Basic ").unwrap();
        let decoded = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        assert_eq!(decoded, "a+client:p%3As%25%26");
    }
}
