//! A guest's account: made by the id of a device, as a phone's first start does.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::Error;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The largest answer.
const LARGEST: usize = 64 * 1024;

/// Who somebody is to the lobby. The token is a secret.
#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) access_token: String,
    pub(super) player_id: String,
}

/// Calls auth for many players.
#[derive(Clone, Debug)]
pub(super) struct Auth {
    client: reqwest::Client,
    base: Url,
}

impl Auth {
    pub(super) fn new(base: Url) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .build()
            .map_err(Error::Http)?;
        Ok(Self { client, base })
    }

    /// Makes an account for a device, or signs it in.
    pub(super) async fn register(&self, device: &str) -> Result<Account, Error> {
        let url = self
            .base
            .join("register")
            .map_err(|_| Error::Url(self.base.clone()))?;
        let body =
            json!({ "device_id": device, "client": { "name": "bot", "audiences": ["lobby"] } });
        let answer = self.client.post(url).json(&body).send().await;
        let answer = answer.map_err(Error::Http)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(Error::Http)?;
        if !status.is_success() || bytes.len() > LARGEST {
            let text = String::from_utf8_lossy(&bytes);
            return Err(Error::Auth(
                status.as_u16(),
                text.chars().take(300).collect(),
            ));
        }
        serde_json::from_slice(&bytes).map_err(Error::Answer)
    }
}
