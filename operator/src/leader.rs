//! Who runs the controllers: reads and writes the lease that [`runtime::lease`] decides about.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use runtime::lease::{Action, Observation, Record, Timing};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A candidate for the lease.
pub(crate) struct Candidate {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) lease_name: String,
    pub(crate) identity: String,
    pub(crate) timing: Timing,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Candidate")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl Candidate {
    /// Leads whenever it can, until `stop`. `lead` is called with a token that is cancelled when
    /// leadership is lost; it must end soon after.
    pub(crate) async fn run<Leading: Future<Output = ()>>(
        &self,
        stop: CancellationToken,
        lead: impl Fn(CancellationToken) -> Leading,
    ) {
        let mut seen = Observation::default();
        while !stop.is_cancelled() {
            if self.try_hold(&mut seen).await != Some(true) {
                stop.run_until_cancelled(tokio::time::sleep(self.timing.retry))
                    .await;
                continue;
            }
            tracing::info!(lease = self.lease_name, "Became leader");
            let lost = stop.child_token();
            let keep = self.keep(&mut seen, lost.clone());
            tokio::join!(keep, lead(lost.clone()));
            if stop.is_cancelled() {
                self.release().await;
            } else {
                tracing::warn!(lease = self.lease_name, "Lost leadership");
            }
        }
    }

    /// Renews until `lost` is cancelled from outside, or cancels it when the deadline passed.
    async fn keep(&self, seen: &mut Observation, lost: CancellationToken) {
        let mut renewed = Instant::now();
        loop {
            if lost
                .run_until_cancelled(tokio::time::sleep(self.timing.retry))
                .await
                .is_none()
            {
                return;
            }
            let deadline = renewed + self.timing.renew_deadline;
            match tokio::time::timeout_at(deadline, self.try_hold(seen)).await {
                Ok(Some(true)) => renewed = Instant::now(),
                // Not known: there is time until the deadline.
                Ok(None) if Instant::now() < deadline => {}
                // Held by another, or the deadline has passed.
                Ok(Some(false) | None) | Err(_) => {
                    lost.cancel();
                    return;
                }
            }
        }
    }

    /// Reads the lease, and writes it if it is ours or free. Returns whether it is ours now; none
    /// if that is not known.
    async fn try_hold(&self, seen: &mut Observation) -> Option<bool> {
        let attempt = self.hold(seen);
        match tokio::time::timeout(self.timing.retry * 2, attempt).await {
            Ok(Ok(held)) => held,
            Ok(Err(error)) => {
                let error = runtime::service::chain(&error);
                tracing::warn!(
                    lease = self.lease_name,
                    error,
                    "Lease could not be read or written"
                );
                None
            }
            Err(_) => {
                tracing::warn!(lease = self.lease_name, "Lease call took too long");
                None
            }
        }
    }

    async fn hold(&self, seen: &mut Observation) -> kube::Result<Option<bool>> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let current = api.get_opt(&self.lease_name).await?;
        let record = current.as_ref().map(|lease| Record {
            holder: lease
                .spec
                .as_ref()
                .and_then(|spec| spec.holder_identity.clone())
                .unwrap_or_default(),
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
        });
        let action = seen.decide(Instant::now(), &self.timing, &self.identity, record);
        if action == Action::Wait {
            return Ok(Some(false));
        }
        let written = self.write(&api, current, action).await;
        match written {
            Ok(()) => Ok(Some(true)),
            // Another candidate was faster, or an own write was answered too late to be known.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(
        &self,
        api: &Api<Lease>,
        current: Option<Lease>,
        action: Action,
    ) -> kube::Result<()> {
        let now = Some(MicroTime(runtime::clock::now()));
        let exists = current.is_some();
        let mut lease = current.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.lease_name.clone()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if action == Action::Acquire {
            spec.acquire_time.clone_from(&now);
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.renew_time = now;
        spec.lease_duration_seconds = i32::try_from(self.timing.duration.as_secs()).ok();
        let params = PostParams::default();
        if exists {
            // Guarded by the resource version that was read.
            api.replace(&self.lease_name, &params, &lease).await?;
        } else {
            api.create(&params, &lease).await?;
        }
        Ok(())
    }

    /// Gives the lease up, so that another replica need not wait for its expiry.
    async fn release(&self) {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let release = async {
            let mut lease = api.get(&self.lease_name).await?;
            let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
            if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            api.replace(&self.lease_name, &PostParams::default(), &lease)
                .await
                .map(drop)
        };
        match tokio::time::timeout(self.timing.retry, release).await {
            Ok(Ok(())) => tracing::info!(lease = self.lease_name, "Released the lease"),
            Ok(Err(error)) => {
                let error = runtime::service::chain(&error);
                tracing::warn!(lease = self.lease_name, error, "Lease was not released");
            }
            Err(_) => tracing::warn!(lease = self.lease_name, "Lease was not released in time"),
        }
    }
}
