//! Keeps the hub's certificates: reads and writes the Secret, signs this replica's own.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, ResourceExt as _};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

use super::ca::{self, Stored};
use crate::error::Error as ApiError;
use crate::world::World;

const SECRET: &str = "muster-hub-ca";

/// How often the Secret is looked at. Well below the time for which a new authority is published
/// before it signs, and below the life of a serving certificate.
const INTERVAL: Duration = Duration::from_hours(1);
/// The same after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// Why the certificates are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The Secret could not be read or written.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The Secret cannot be used.
    #[error("use Secret {SECRET}")]
    Ca(#[from] ca::Error),
}

/// This replica's serving certificate.
#[derive(Debug)]
pub(crate) struct Certificates(RwLock<Arc<ServerConfig>>);

impl Certificates {
    /// Reads or makes the authority and signs a first certificate, trying until it works.
    pub(crate) async fn obtain(world: &World, stop: &CancellationToken) -> Option<Arc<Self>> {
        loop {
            match current(world).await {
                Ok(config) => return Some(Arc::new(Self(RwLock::new(config)))),
                Err(error) => {
                    let error = runtime::service::chain(&error);
                    tracing::warn!(error, "Hub has no certificate yet");
                }
            }
            stop.run_until_cancelled(tokio::time::sleep(RETRY)).await?;
        }
    }

    /// The configuration for the next connection.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Signs anew from time to time, so that certificates never expire.
    pub(crate) async fn renew(self: Arc<Self>, world: Arc<World>, stop: CancellationToken) {
        let mut delay = INTERVAL;
        while stop
            .run_until_cancelled(tokio::time::sleep(delay))
            .await
            .is_some()
        {
            delay = match current(&world).await {
                Ok(config) => {
                    *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
                    INTERVAL
                }
                Err(error) => {
                    let error = runtime::service::chain(&error);
                    tracing::warn!(error, "Kept the hub's certificate: it could not be renewed");
                    RETRY
                }
            };
        }
    }
}

/// Rotates the authority and publishes its certificates; run by the leader alone.
pub(crate) async fn manage(world: Arc<World>, stop: CancellationToken) {
    let mut delay = Duration::ZERO;
    while stop
        .run_until_cancelled(tokio::time::sleep(delay))
        .await
        .is_some()
    {
        delay = match rotate(&world).await {
            Ok(()) => INTERVAL,
            Err(error) => {
                let error = runtime::service::chain(&error);
                tracing::warn!(error, "Hub's authority could not be looked after");
                RETRY
            }
        };
    }
}

async fn rotate(world: &World) -> Result<(), Error> {
    let (secret, stored) = read_or_make(world).await?;
    let mut stored = stored;
    if let Some(rotated) = stored.rotate(runtime::clock::now())? {
        let mut secret = secret;
        secret.data = Some(rotated.to_data());
        // Guarded by the resource version that was read.
        let api: Api<Secret> = Api::namespaced(world.api.client.clone(), &world.config.namespace);
        let params = PostParams::default();
        let replace = api.replace(SECRET, &params, &secret);
        world
            .api
            .call("replace", format!("Secret {SECRET}"), replace)
            .await?;
        tracing::info!("Rotated the hub's authority");
        stored = rotated;
    }
    world.namespaces.set_bundle(stored.bundle());
    // Wherever there are game servers, whoever furnished the place.
    let namespaces: BTreeSet<_> = world
        .servers
        .all()
        .iter()
        .filter_map(|server| server.namespace())
        .collect();
    for namespace in namespaces {
        if let Err(error) = world.namespaces.ensure(world, &namespace).await {
            let error = runtime::service::chain(&error);
            tracing::warn!(namespace, error, "Hub's certificates were not published");
        }
    }
    Ok(())
}

async fn current(world: &World) -> Result<Arc<ServerConfig>, Error> {
    let (_, stored) = read_or_make(world).await?;
    world.namespaces.set_bundle(stored.bundle());
    let names = server_names(&world.config.sdk.hub_endpoint);
    let (chain, key) = stored.current.serving(runtime::clock::now(), &names)?;
    Ok(Arc::new(server_config(&chain, &key)?))
}

async fn read_or_make(world: &World) -> Result<(Secret, Stored), Error> {
    let namespace = &world.config.namespace;
    let secret = match world.api.get::<Secret>(namespace, SECRET).await {
        Err(error) if error.is_not_found() => make(world).await?,
        other => other?,
    };
    let stored = Stored::from_data(&secret.data.clone().unwrap_or_default())?;
    Ok((secret, stored))
}

async fn make(world: &World) -> Result<Secret, Error> {
    let namespace = &world.config.namespace;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        data: Some(Stored::first(runtime::clock::now())?.to_data()),
        ..Secret::default()
    };
    // Another replica may be faster; its authority is as good as ours.
    Ok(world.api.create(&secret, |_| true).await?)
}

fn server_config(chain: &str, key: &str) -> Result<ServerConfig, ca::Error> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| ca::Error::Malformed("serving certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| ca::Error::Malformed("serving key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(ca::Error::Tls)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The host of the endpoint that SDK servers call.
fn server_names(endpoint: &str) -> Vec<String> {
    let host = endpoint.split("://").nth(1).unwrap_or(endpoint);
    let host = host.split(['/', '?']).next().unwrap_or(host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let mut names = vec![host.trim_matches(['[', ']']).to_owned()];
    if host.rsplit('.').next() == Some("svc") {
        names.push(format!("{host}.cluster.local"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_names_the_host_of_the_endpoint() {
        assert_eq!(
            server_names("https://muster-operator.muster-system.svc:9443"),
            [
                "muster-operator.muster-system.svc",
                "muster-operator.muster-system.svc.cluster.local"
            ]
        );
        assert_eq!(server_names("https://[::1]:9443/"), ["::1"]);
    }
}
