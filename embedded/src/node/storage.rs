//! The volumes of one pod on disk: made before its containers start, and kept up to date while
//! it lives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use kube::Api;
use kube::api::PostParams;

use super::run::Shared;
use super::volumes::{
    Contents, Files, TokenKey, contents, private_directory, publish, tokens, volumes,
};

/// A token that is in a file.
#[derive(Clone, Debug)]
struct Token {
    value: String,
    /// When it is time for the next one: at 80 % of its life.
    renew_at: Timestamp,
}

/// The volumes of a pod.
#[derive(Debug)]
pub(super) struct Storage {
    directory: PathBuf,
    tokens: BTreeMap<TokenKey, Token>,
    /// Where volumes are that are not below the directory.
    elsewhere: BTreeMap<String, PathBuf>,
    published: BTreeMap<String, Files>,
    /// Number of the last publication.
    number: u64,
}

impl Storage {
    /// Volumes below a directory.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            tokens: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            published: BTreeMap::new(),
            number: 0,
        }
    }

    /// Where a volume is.
    pub(super) fn place(&self, volume: &str) -> PathBuf {
        self.elsewhere
            .get(volume)
            .cloned()
            .unwrap_or_else(|| self.directory.join(volume))
    }

    /// Makes and updates all volumes of the pod. Gives the time at which a token is to be
    /// renewed, or why a volume cannot be made.
    pub(super) async fn refresh(
        &mut self,
        shared: &Arc<Shared>,
        pod: &Pod,
    ) -> Result<Option<Timestamp>, String> {
        let now = (shared.config.clock)();
        for (key, wanted) in tokens(pod) {
            if self
                .tokens
                .get(&key)
                .is_none_or(|token| token.renew_at <= now)
            {
                let token = issue(shared, pod, &wanted, now).await?;
                self.tokens.insert(key, token);
            }
        }
        let values = self
            .tokens
            .iter()
            .map(|(key, token)| (key.clone(), token.value.clone()))
            .collect();
        let sources = shared.sources(pod);
        for volume in volumes(pod) {
            let problem = |text: String| {
                format!(
                    "MountVolume.SetUp failed for volume {:?} : {text}",
                    volume.name
                )
            };
            let directory = self.directory.join(&volume.name);
            match contents(pod, volume, &sources, &values).map_err(problem)? {
                Contents::Empty => {
                    private_directory(&directory).map_err(|error| problem(error.to_string()))?;
                }
                Contents::Host(path) => {
                    self.elsewhere.insert(volume.name.clone(), path);
                }
                Contents::Files(files) => {
                    if self.published.get(&volume.name) != Some(&files) {
                        self.number = self.number.max(unique(now)) + 1;
                        publish(&directory, &files, self.number)
                            .map_err(|error| problem(error.to_string()))?;
                        self.published.insert(volume.name.clone(), files);
                    }
                }
            }
        }
        Ok(self.tokens.values().map(|token| token.renew_at).min())
    }
}

/// A number that no earlier run of the node used for a directory.
fn unique(now: Timestamp) -> u64 {
    u64::try_from(now.as_microsecond()).unwrap_or_default()
}

/// Asks for a token that is bound to the pod.
async fn issue(
    shared: &Arc<Shared>,
    pod: &Pod,
    wanted: &ServiceAccountTokenProjection,
    now: Timestamp,
) -> Result<Token, String> {
    let meta = &pod.metadata;
    let account = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.service_account_name.as_deref())
        .filter(|name| !name.is_empty())
        .unwrap_or("default");
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: wanted.audience.clone().map(|audience| vec![audience]),
            expiration_seconds: wanted.expiration_seconds,
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: meta.name.clone(),
                uid: meta.uid.clone(),
            }),
        }),
        ..TokenRequest::default()
    };
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let api: Api<ServiceAccount> = Api::namespaced(shared.config.client.clone(), namespace);
    let problem = |text: String| format!("failed to fetch token: {text}");
    let parameters = PostParams::default();
    let request = api.create_token_request(account, &parameters, &request);
    let answer = tokio::time::timeout(super::CALL_TIMEOUT, request)
        .await
        .map_err(|_| problem("timed out".to_owned()))?
        .map_err(|error| problem(super::words(&error)))?;
    let status = answer.status.unwrap_or_default();
    let (Some(value), Some(expiration)) = (status.token, status.expiration_timestamp) else {
        return Err(problem("the answer has no token".to_owned()));
    };
    let life = expiration.0.duration_since(now);
    Ok(Token {
        value,
        renew_at: super::pod::after(now, renewal(life)),
    })
}

/// When in its life a token is renewed.
fn renewal(life: SignedDuration) -> SignedDuration {
    (life / 5 * 4).max(SignedDuration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_before_they_expire() {
        let seconds = |life| renewal(SignedDuration::from_secs(life)).as_secs();
        assert_eq!(seconds(3600), 2880);
        assert_eq!(seconds(600), 480);
        assert_eq!(seconds(-5), 1);
    }
}
