//! Xbox: `XBL3.0 x=<uhs>;<token>`, an XSTS token for our relying party.
//!
//! The token is a JWT that XSTS signed; its keys come from a configured address. A relying party
//! may be registered for encrypted tokens (JWE) instead: those are refused with a text that says
//! so, because no decryption key can be configured.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::cache::Cached;
use super::http::Http;
use super::jwt::{ALGORITHMS, Audience, Header, Keys, Seconds, WireKeys, check_times};
use super::{Begin, Credential, Error, Provider, Refusal, Subject, jwt};
use crate::ids::IdentityKind;

/// What Xbox is configured with.
#[derive(Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// Who makes the tokens, exactly as in them.
    pub issuer: String,
    /// Where its public keys are.
    pub keys: Url,
    /// Who we are, exactly as in the tokens.
    pub relying_party: String,
    /// The claim of a user that is its id here: the pairwise id, unless told otherwise.
    pub subject_claim: String,
}

/// Xbox.
#[derive(Debug)]
pub struct Xbox {
    settings: Settings,
    http: Http,
    keys: Cached<Keys>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: Seconds,
    nbf: Option<Seconds>,
    /// The users who are signed in on the console.
    xui: Vec<Map<String, Value>>,
}

/// The parts of a header: the user's hash and the token.
fn parts(header: &str) -> Option<(&str, &str)> {
    let (hash, token) = header.strip_prefix("XBL3.0 x=")?.split_once(';')?;
    let is_hash = !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_hash.then_some((hash, token))
}

impl Xbox {
    /// Xbox; nothing is asked of it yet.
    pub fn new(settings: Settings, http: Http) -> Self {
        Self {
            settings,
            http,
            keys: Cached::new(),
        }
    }

    /// The id of the user whose hash it is.
    fn subject(&self, claims: &Claims, hash: &str) -> Result<String, jwt::Refusal> {
        if claims.iss != self.settings.issuer {
            return Err(jwt::Refusal::Issuer);
        }
        if claims.aud.all() != [self.settings.relying_party.as_str()] {
            return Err(jwt::Refusal::Audience);
        }
        check_times(runtime::clock::now(), claims.exp, claims.nbf)?;
        let is_theirs =
            |user: &&Map<String, Value>| user.get("uhs").and_then(Value::as_str) == Some(hash);
        let user = claims
            .xui
            .iter()
            .find(is_theirs)
            .ok_or(jwt::Refusal::UserHash)?;
        user.get(&self.settings.subject_claim)
            .and_then(Value::as_str)
            .filter(|id| !id.is_empty() && id.len() <= 255 && id.is_ascii())
            .map(str::to_owned)
            .ok_or(jwt::Refusal::Subject)
    }
}

#[async_trait]
impl Provider for Xbox {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn kind(&self) -> IdentityKind {
        IdentityKind::Xbox
    }

    async fn begin(&self, _begin: Begin<'_>) -> Result<Url, Error> {
        Err(Error::WrongCredential(self.settings.name.clone()))
    }

    async fn finish(&self, credential: &Credential) -> Result<Subject, Error> {
        let Credential::Ticket(ticket) = credential else {
            return Err(Error::WrongCredential(self.settings.name.clone()));
        };
        let (hash, token) = parts(ticket.expose()).ok_or(Error::Refused(Refusal::Malformed(
            "it does not have the form XBL3.0 x=<hash>;<token>",
        )))?;
        let refused = |refusal: jwt::Refusal| Error::Refused(refusal.into());
        let header = Header::parse(token, &ALGORITHMS).map_err(refused)?;
        let fetch = async || {
            let (keys, fresh) = self
                .http
                .document::<WireKeys>(self.settings.keys.clone())
                .await?;
            Ok((Keys::from(keys), fresh))
        };
        let keys = self
            .keys
            .get(|keys: &Keys| keys.has(&header), fetch)
            .await?;
        let claims: Claims = keys.verify(token, &header).map_err(refused)?;
        let subject = self.subject(&claims, hash).map_err(refused)?;
        Ok(Subject {
            provider: self.settings.name.clone(),
            kind: IdentityKind::Xbox,
            subject,
            email: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_one_form() {
        assert_eq!(parts("XBL3.0 x=123;a.b.c"), Some(("123", "a.b.c")));
        for header in [
            "",
            "XBL3.0 x=;a",
            "XBL2.0 x=1;a",
            "XBL3.0 x=1",
            "XBL3.0 x=1 2;a",
            "1;a",
        ] {
            assert_eq!(parts(header), None, "{header}");
        }
    }
}
