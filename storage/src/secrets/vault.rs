//! Secrets in Vault: one path of a key-value engine of version 2, a field for each secret.
//!
//! The token is read from its file for each look, since Vault's agent replaces it there. Nothing
//! comes from the environment: every setting that the client library would look up there is given.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;
use vaultrs::client::{VaultClient, VaultClientSettings};
use vaultrs::error::ClientError;
use zeroize::Zeroizing;

use super::{Entries, Error, MAX_BYTES, MAX_ENTRIES, Secret, Source, files};

/// How often Vault is asked.
const INTERVAL: Duration = Duration::from_secs(30);

/// Where in Vault, and with which token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The server: `https://vault.example.com:8200`.
    pub address: Url,
    /// The engine's mount: `secret`.
    pub mount: String,
    /// The secret's path under it: `muster/auth`.
    pub path: String,
    /// The file with the token.
    pub token_file: PathBuf,
    /// The certificate authority of the server (PEM), where the system's do not have it.
    pub ca_file: Option<PathBuf>,
    /// The namespace, where there are any.
    pub namespace: Option<String>,
    /// How long one look may take.
    pub timeout: Duration,
}

/// A path of Vault.
#[derive(Clone, Debug)]
pub struct Vault {
    config: Config,
}

impl Vault {
    /// Secrets of this path.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    fn client(&self) -> Result<VaultClient, Error> {
        let config = &self.config;
        let token = files::read_file(&config.token_file)?;
        let unusable = |place: String, problem: &str| Error::Unusable {
            place,
            problem: problem.to_owned(),
        };
        let token = token
            .text()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| {
                unusable(
                    config.token_file.display().to_string(),
                    "want Vault's token",
                )
            })?;
        let ca_certs = config
            .ca_file
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        VaultClient::new(VaultClientSettings {
            address: config.address.clone(),
            ca_certs,
            identity: None,
            timeout: Some(config.timeout),
            token: token.to_owned(),
            verify: true,
            version: 1,
            wrapping: false,
            namespace: config.namespace.clone(),
            proxy: None,
        })
        .map_err(|error| unusable(config.address.to_string(), &error.to_string()))
    }

    fn path(&self) -> String {
        format!(
            "{} of {}",
            self.config
                .address
                .join(&format!("{}/{}", self.config.mount, self.config.path))
                .map_or_else(|_| self.config.path.clone(), |url| url.path().to_owned()),
            self.config.address.host_str().unwrap_or("Vault"),
        )
    }

    fn explain(&self, error: &ClientError) -> String {
        match error {
            ClientError::APIError { code: 403, .. } => format!(
                "the token in {} may not read it, or is over",
                self.config.token_file.display()
            ),
            ClientError::APIError { code: 404, .. } => {
                "there is no such secret; is the engine of version 2?".to_owned()
            }
            ClientError::APIError { code, errors } => {
                format!("Vault answers {code}: {}", errors.join("; "))
            }
            // Its message may quote what it could not parse, which is a secret.
            ClientError::JsonParseError { .. } => "every field must be a text".to_owned(),
            ClientError::RestClientError { source } => format!("Vault does not answer: {source}"),
            other => other.to_string(),
        }
    }
}

#[async_trait]
impl Source for Vault {
    async fn read(&self) -> Result<Entries, Error> {
        let client = self.client()?;
        let read = vaultrs::kv2::read(&client, &self.config.mount, &self.config.path);
        let fields: BTreeMap<String, Zeroizing<String>> =
            tokio::time::timeout(self.config.timeout, read)
                .await
                .map_err(|_| format!("no answer within {:?}", self.config.timeout))
                .and_then(|read| read.map_err(|error| self.explain(&error)))
                .map_err(|problem| Error::Read {
                    place: self.path(),
                    problem,
                })?;
        if fields.len() > MAX_ENTRIES || fields.values().any(|text| text.len() > MAX_BYTES) {
            return Err(Error::Unusable {
                place: self.path(),
                problem: format!("holds more than {MAX_ENTRIES} fields of {MAX_BYTES} bytes"),
            });
        }
        Ok(fields
            .into_iter()
            .map(|(name, text)| (name, Secret::new(text.as_bytes().to_vec())))
            .collect())
    }

    fn place(&self, name: &str) -> String {
        format!("{name} in {}", self.path())
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::get;
    use serde_json::json;

    use super::*;
    use crate::secrets::Secrets;

    /// What the fake Vault does with the next requests.
    #[derive(Clone)]
    enum Mood {
        Serves(serde_json::Value),
        Sealed,
        Standby,
        Hangs,
    }

    type Shared = Arc<Mutex<Mood>>;

    /// Answers as Vault does, by its HTTP API.
    async fn answer(State(mood): State<Shared>, headers: HeaderMap) -> Response {
        let mood = mood.lock().unwrap().clone();
        let errors = |status: StatusCode, text: &str| {
            (status, axum::Json(json!({ "errors": [text] }))).into_response()
        };
        match mood {
            Mood::Sealed => errors(StatusCode::SERVICE_UNAVAILABLE, "Vault is sealed"),
            Mood::Standby => errors(StatusCode::TOO_MANY_REQUESTS, "standby"),
            Mood::Hangs => std::future::pending().await,
            Mood::Serves(_)
                if headers
                    .get("x-vault-token")
                    .is_none_or(|token| token != "hvs.good") =>
            {
                errors(StatusCode::FORBIDDEN, "permission denied")
            }
            Mood::Serves(data) => axum::Json(json!({
                "request_id": "1b1b1b1b-0000-4000-8000-000000000000",
                "lease_id": "", "renewable": false, "lease_duration": 0,
                "data": { "data": data, "metadata": {
                    "created_time": "2026-01-01T00:00:00.000000000Z", "custom_metadata": null,
                    "deletion_time": "", "destroyed": false, "version": 3 } },
                "wrap_info": null, "warnings": null, "auth": null,
            }))
            .into_response(),
        }
    }

    async fn vault(mood: Mood, token: &str, name: &str) -> (Vault, Shared, PathBuf) {
        let mood = Arc::new(Mutex::new(mood));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/secret/data/muster/auth", get(answer))
            .with_state(Arc::clone(&mood));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let token_file =
            std::env::temp_dir().join(format!("muster-vault-{name}-{}", std::process::id()));
        std::fs::write(&token_file, token).unwrap();
        let vault = Vault::new(Config {
            address: address.parse().unwrap(),
            mount: "secret".to_owned(),
            path: "muster/auth".to_owned(),
            token_file: token_file.clone(),
            ca_file: None,
            namespace: None,
            timeout: Duration::from_mins(1),
        });
        (vault, mood, token_file)
    }

    fn fields() -> serde_json::Value {
        json!({ "master.v1": "AAEC", "smtp.password": "s3cret\n" })
    }

    #[tokio::test]
    async fn secrets_are_read_from_vault() {
        let (vault, _, file) = vault(Mood::Serves(fields()), "hvs.good\n", "good").await;
        let secrets: Secrets = Secrets::load(Arc::new(vault)).await.unwrap();
        assert_eq!(secrets.current().text("master.v1"), Some("AAEC"));
        assert_eq!(secrets.current().text("smtp.password"), Some("s3cret"));
        std::fs::remove_file(file).unwrap();
    }

    #[tokio::test]
    async fn a_new_token_is_taken_from_its_file() {
        let (vault, _, file) = vault(Mood::Serves(fields()), "hvs.over", "token").await;
        let error = vault.read().await.unwrap_err().to_string();
        assert!(
            error.contains("/secret/muster/auth of 127.0.0.1: the token in"),
            "{error}"
        );
        assert!(!error.contains("hvs."), "{error}");
        std::fs::write(&file, "hvs.good").unwrap();
        assert_eq!(vault.read().await.unwrap().len(), 2);
        std::fs::remove_file(&file).unwrap();
        let error = vault.read().await.unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }

    #[tokio::test]
    async fn a_vault_that_cannot_serve_is_told_apart() {
        let (mut vault, mood, file) = vault(Mood::Sealed, "hvs.good", "moods").await;
        for (next, expected) in [
            (Mood::Sealed, "Vault answers 503: Vault is sealed"),
            (Mood::Standby, "Vault answers 429: standby"),
            (
                Mood::Serves(json!({ "master.v1": 7 })),
                "every field must be a text",
            ),
        ] {
            *mood.lock().unwrap() = next;
            let error = vault.read().await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let mut elsewhere = vault.clone();
        elsewhere.config.path = "muster/other".to_owned();
        let error = elsewhere.read().await.unwrap_err().to_string();
        assert!(
            error.contains("does not answer") || error.contains("no such secret"),
            "{error}"
        );

        *mood.lock().unwrap() = Mood::Hangs;
        vault.config.timeout = Duration::from_millis(50);
        // The client library may notice the limit first, in its own words.
        let error = vault.read().await.unwrap_err().to_string();
        assert!(error.contains("answer"), "{error}");
        std::fs::remove_file(file).unwrap();
    }
}
