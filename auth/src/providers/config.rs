//! The section of the configuration file that names the providers.
//!
//! Secrets are named, never written here: the names are entries of the source of secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use storage::Confidential;
use url::{Host, Url};

use super::http::Http;
use super::oidc::{self, Authentication, Oidc, SigningKey};
use super::steam::{self, Policy, Steam};
use super::xbox::{self, Xbox};
use super::{Provider, Providers};
use crate::ids::IdentityKind;

/// The section.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Where browsers may be sent after a sign-in, each exactly as the client will name it.
    #[serde(default)]
    pub return_to: Vec<String>,
    /// By name: `a-z`, `0-9` and `-`, at most 32 characters. The name of an `oidc` provider is
    /// part of its players' identities: never rename it.
    #[serde(default)]
    pub providers: BTreeMap<String, Entry>,
}

/// One provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub enum Entry {
    /// Google.
    Google(Google),
    /// Apple.
    Apple(Apple),
    /// Any other OpenID provider.
    Oidc(Generic),
    /// Steam.
    Steam(SteamEntry),
    /// Xbox.
    Xbox(XboxEntry),
}

/// Google.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Google {
    /// Who we are there.
    pub client_id: String,
    /// The name of the client secret.
    pub client_secret: String,
    /// Where browsers come back.
    pub redirect_uri: String,
    /// Another issuer, for tests.
    pub issuer: Option<String>,
}

/// Apple.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Apple {
    /// Who we are there: the services id.
    pub client_id: String,
    /// The team's id.
    pub team: String,
    /// The key's id.
    pub key_id: String,
    /// The name of the secret with the private key (`.p8`).
    pub key: String,
    /// Where browsers come back, by POST.
    pub redirect_uri: String,
    /// Another issuer, for tests.
    pub issuer: Option<String>,
}

/// Any OpenID provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Generic {
    /// The issuer, exactly as in its tokens.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// The name of the client secret; none for a public client.
    pub client_secret: Option<String>,
    /// Where browsers come back.
    pub redirect_uri: String,
    /// What we ask for; `openid` and `email` by default.
    pub scopes: Option<Vec<String>>,
}

/// Steam.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SteamEntry {
    /// The game.
    pub app_id: u32,
    /// What the game client passes to `GetAuthTicketForWebApi`.
    pub identity: String,
    /// The name of the secret with the publisher's Web API key.
    pub key: String,
    /// Players who borrow the game; refused by default.
    #[serde(default)]
    pub borrowed: Policy,
    /// Players whom VAC banned; refused by default.
    #[serde(default)]
    pub vac_banned: Policy,
    /// Another address, for tests.
    pub url: Option<String>,
}

/// Xbox.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct XboxEntry {
    /// Who makes the tokens, exactly as in them.
    pub issuer: String,
    /// Where its public keys are.
    pub keys: String,
    /// Who we are, exactly as in the tokens.
    pub relying_party: String,
    /// The claim that is a user's id; `ptx`, the pairwise id, by default.
    pub subject_claim: Option<String>,
}

/// What is wrong with the section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `providers.google.clientId`.
    pub path: String,
    /// What.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// Whether secrets may go there: by TLS, or on this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Domain(name))) => name == "localhost",
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        _ => false,
    }
}

/// Collects problems below one provider.
struct Check<'a> {
    prefix: String,
    secrets: &'a dyn Fn(&str) -> Option<Confidential>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, field: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            path: format!("{}.{field}", self.prefix),
            message: message.into(),
        });
    }

    fn text(&mut self, field: &str, text: &str) -> String {
        if text.trim().is_empty() {
            self.problem(field, "must not be empty");
        }
        text.to_owned()
    }

    fn url(&mut self, field: &str, text: &str) -> Option<Url> {
        match Url::parse(text) {
            Ok(url) if !is_safe(&url) => {
                self.problem(field, "must be https, or http on the loopback address");
                None
            }
            Ok(url) if url.fragment().is_some() || !url.username().is_empty() => {
                self.problem(field, "must have no fragment and no user");
                None
            }
            Ok(url) => Some(url),
            Err(error) => {
                self.problem(field, format!("is no URL: {error}"));
                None
            }
        }
    }

    /// As written: issuers and redirect addresses are compared letter by letter.
    fn url_text(&mut self, field: &str, text: &str) -> String {
        self.url(field, text);
        text.to_owned()
    }

    fn secret(&mut self, field: &str, name: &str) -> Confidential {
        let secret = (self.secrets)(name).filter(|secret| !secret.expose().trim().is_empty());
        secret.unwrap_or_else(|| {
            self.problem(field, format!("there is no secret {name:?}"));
            Confidential::new("")
        })
    }
}

impl Config {
    /// The names of the secrets that the providers use.
    pub fn secrets(&self) -> Vec<&str> {
        self.providers
            .values()
            .filter_map(|entry| match entry {
                Entry::Google(google) => Some(&*google.client_secret),
                Entry::Apple(apple) => Some(&*apple.key),
                Entry::Oidc(generic) => generic.client_secret.as_deref(),
                Entry::Steam(steam) => Some(&*steam.key),
                Entry::Xbox(_) => None,
            })
            .collect()
    }

    /// The providers, or everything that is wrong. `secrets` gives a secret by its name.
    pub fn build(
        &self,
        http: &Http,
        secrets: &dyn Fn(&str) -> Option<Confidential>,
    ) -> Result<Providers, Vec<Problem>> {
        let mut problems = Vec::new();
        for (index, to) in self.return_to.iter().enumerate() {
            if Url::parse(to).is_err() {
                problems.push(Problem {
                    path: format!("returnTo[{index}]"),
                    message: "is no URL".into(),
                });
            }
        }
        let mut by_name = BTreeMap::new();
        let mut once = BTreeMap::new();
        for (name, entry) in &self.providers {
            let mut check = Check {
                prefix: format!("providers.{name}"),
                secrets,
                problems: Vec::new(),
            };
            let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            if name.is_empty() || name.len() > 32 || !name.bytes().all(is_name) {
                check.problem("name", "must be 1 to 32 of a-z, 0-9 and -");
            }
            let provider = entry.build(name, http, &mut check);
            // Their subjects differ from team to team, and their identities do not say of which.
            if matches!(entry, Entry::Apple(_) | Entry::Xbox(_))
                && let Some(provider) = &provider
                && let Some(other) = once.insert(provider.kind(), name)
            {
                check.problem("kind", format!("{other} is of this kind already"));
            }
            problems.append(&mut check.problems);
            if let Some(provider) = provider {
                by_name.insert(name.clone(), provider);
            }
        }
        if problems.is_empty() {
            Ok(Providers::new(by_name, self.return_to.clone()))
        } else {
            Err(problems)
        }
    }
}

impl Entry {
    /// A provider; what is wrong is in `check`, and then the provider is not to be used.
    fn build(&self, name: &str, http: &Http, check: &mut Check<'_>) -> Option<Arc<dyn Provider>> {
        let name = name.to_owned();
        let http = http.clone();
        match self {
            Self::Google(google) => {
                let issuer = google.issuer.as_deref();
                let settings = oidc::Settings {
                    name,
                    kind: IdentityKind::Google,
                    issuer: check
                        .url_text("issuer", issuer.unwrap_or("https://accounts.google.com")),
                    client_id: check.text("clientId", &google.client_id),
                    authentication: Authentication::Confidential(
                        check.secret("clientSecret", &google.client_secret),
                    ),
                    redirect_uri: check.url_text("redirectUri", &google.redirect_uri),
                    scopes: vec!["openid".into(), "email".into()],
                    form_post: false,
                };
                Some(Arc::new(Oidc::new(settings, http)))
            }
            Self::Apple(apple) => {
                let issuer = apple.issuer.as_deref();
                let team = check.text("team", &apple.team);
                let key_id = check.text("keyId", &apple.key_id);
                let pem = check.secret("key", &apple.key);
                let key = SigningKey::new(team, key_id, &pem);
                if let Err(error) = &key
                    && !pem.expose().is_empty()
                {
                    check.problem("key", format!("the secret {:?}: {error}", apple.key));
                }
                let issuer = issuer.unwrap_or("https://appleid.apple.com");
                let issuer = check.url_text("issuer", issuer);
                let client_id = check.text("clientId", &apple.client_id);
                let redirect_uri = check.url_text("redirectUri", &apple.redirect_uri);
                let settings = oidc::Settings {
                    name,
                    kind: IdentityKind::Apple,
                    issuer,
                    client_id,
                    authentication: Authentication::Signed(key.ok()?),
                    redirect_uri,
                    scopes: vec!["openid".into(), "email".into()],
                    form_post: true,
                };
                Some(Arc::new(Oidc::new(settings, http)))
            }
            Self::Oidc(generic) => {
                let default = || vec!["openid".to_owned(), "email".to_owned()];
                let scopes = generic.scopes.clone().unwrap_or_else(default);
                if !scopes.iter().any(|scope| scope == "openid") {
                    check.problem("scopes", "must have openid");
                }
                let authentication = match &generic.client_secret {
                    Some(secret) => {
                        Authentication::Confidential(check.secret("clientSecret", secret))
                    }
                    None => Authentication::Public,
                };
                let settings = oidc::Settings {
                    name,
                    kind: IdentityKind::Oidc,
                    issuer: check.url_text("issuer", &generic.issuer),
                    client_id: check.text("clientId", &generic.client_id),
                    authentication,
                    redirect_uri: check.url_text("redirectUri", &generic.redirect_uri),
                    scopes,
                    form_post: false,
                };
                Some(Arc::new(Oidc::new(settings, http)))
            }
            Self::Steam(steam) => {
                if steam.app_id == 0 {
                    check.problem("appId", "must not be 0");
                }
                let key = check.secret("key", &steam.key);
                let identity = check.text("identity", &steam.identity);
                let url = check.url("url", steam.url.as_deref().unwrap_or(steam::URL));
                let settings = steam::Settings {
                    name,
                    url: url?,
                    key,
                    app_id: steam.app_id,
                    identity,
                    borrowed: steam.borrowed,
                    vac_banned: steam.vac_banned,
                };
                Some(Arc::new(Steam::new(settings, http)))
            }
            Self::Xbox(xbox) => {
                let claim = xbox.subject_claim.as_deref().unwrap_or("ptx");
                let issuer = check.text("issuer", &xbox.issuer);
                let relying_party = check.text("relyingParty", &xbox.relying_party);
                let subject_claim = check.text("subjectClaim", claim);
                let settings = xbox::Settings {
                    name,
                    issuer,
                    keys: check.url("keys", &xbox.keys)?,
                    relying_party,
                    subject_claim,
                };
                Some(Arc::new(Xbox::new(settings, http)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::http::Limits;
    use super::*;

    fn build(config: serde_json::Value) -> Result<Vec<String>, Vec<String>> {
        let config: Config =
            serde_json::from_value(config).map_err(|error| vec![error.to_string()])?;
        let http = Http::new(Limits::default()).unwrap();
        let secrets =
            |name: &str| (name != "absent").then(|| Confidential::new(format!("<{name}>")));
        match config.build(&http, &secrets) {
            Ok(providers) => Ok(providers.names()),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn a_good_section_is_built() {
        let built = build(json!({
            "returnTo": ["https://game.example/in"],
            "providers": {
                "google": {
                    "kind": "google",
                    "clientId": "us",
                    "clientSecret": "google",
                    "redirectUri": "https://auth.example/oauth/google/callback",
                },
                "corp": {
                    "kind": "oidc",
                    "issuer": "https://id.example/realms/one",
                    "clientId": "us",
                    "redirectUri": "https://auth.example/oauth/corp/callback",
                },
                "steam": {"kind": "steam", "appId": 480, "identity": "muster", "key": "steam"},
                "xbox": {
                    "kind": "xbox",
                    "issuer": "xsts.auth.xboxlive.com",
                    "keys": "https://xsts.example/keys",
                    "relyingParty": "https://auth.example/",
                },
            },
        }));
        assert_eq!(built.unwrap(), ["corp", "google", "steam", "xbox"]);
        assert_eq!(build(json!({})).unwrap(), [""; 0]);
    }

    #[test]
    fn every_problem_is_told_with_its_path() {
        let problems = build(json!({
            "returnTo": ["game"],
            "providers": {
                "Google": {
                    "kind": "google",
                    "clientId": " ",
                    "clientSecret": "absent",
                    "redirectUri": "http://auth.example/callback",
                },
                "apple": {
                    "kind": "apple",
                    "clientId": "us",
                    "team": "",
                    "keyId": "K",
                    "key": "no key",
                    "redirectUri": "https://auth.example/callback#here",
                },
                "corp": {
                    "kind": "oidc",
                    "issuer": "corp",
                    "clientId": "us",
                    "redirectUri": "https://auth.example/callback",
                    "scopes": ["email"],
                },
                "steam": {"kind": "steam", "appId": 0, "identity": "", "key": "steam"},
                "xbox": {"kind": "xbox", "issuer": "", "keys": "ftp://x", "relyingParty": "us"},
            },
        }));
        expect_test::expect![[r#"
            returnTo[0]: is no URL
            providers.Google.name: must be 1 to 32 of a-z, 0-9 and -
            providers.Google.clientId: must not be empty
            providers.Google.clientSecret: there is no secret "absent"
            providers.Google.redirectUri: must be https, or http on the loopback address
            providers.apple.team: must not be empty
            providers.apple.key: the secret "no key": it is not a P-256 private key in PEM (PKCS #8)
            providers.apple.redirectUri: must have no fragment and no user
            providers.corp.scopes: must have openid
            providers.corp.issuer: is no URL: relative URL without a base
            providers.steam.appId: must not be 0
            providers.steam.identity: must not be empty
            providers.xbox.issuer: must not be empty
            providers.xbox.keys: must be https, or http on the loopback address
        "#]]
        .assert_eq(&(problems.unwrap_err().join("\n") + "\n"));
    }

    #[test]
    fn unknown_fields_and_kinds_are_refused() {
        let unknown = build(json!({"providers": {"a": {"kind": "psn"}}})).unwrap_err();
        assert!(unknown[0].contains("unknown variant `psn`"), "{unknown:?}");
        let misspelled =
            json!({"kind": "steam", "appId": 1, "identity": "i", "key": "k", "vac": 1});
        let misspelled = build(json!({"providers": {"a": misspelled}})).unwrap_err();
        assert!(
            misspelled[0].contains("unknown field `vac`"),
            "{misspelled:?}"
        );
    }

    #[test]
    fn one_xbox_is_enough() {
        let xbox =
            json!({"kind": "xbox", "issuer": "i", "keys": "https://x/", "relyingParty": "u"});
        let problems = build(json!({"providers": {"one": xbox, "two": xbox}})).unwrap_err();
        assert_eq!(
            problems,
            ["providers.two.kind: one is of this kind already"]
        );
    }

    #[test]
    fn secrets_go_by_tls_or_stay_on_the_machine() {
        for (url, safe) in [
            ("https://id.example", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]/", true),
            ("http://localhost/", true),
            ("http://localhost.example/", false),
            ("http://id.example", false),
            ("http://10.0.0.1", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_safe(&Url::parse(url).unwrap()), safe, "{url}");
        }
    }
}
