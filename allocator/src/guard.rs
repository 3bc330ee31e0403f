//! The guard of a request id: a Lease in Muster's own namespace, so that of all calls with one
//! request id, to whichever replica, one at a time may write, and every later one knows what the
//! earlier ones may have done.
//!
//! The Lease says which version of which server its holder is about to write: the *intent*. It is
//! changed only after that write is known to have failed for good, and every change is guarded by
//! the resource version of the Lease. So whoever takes over knows the one server that could carry
//! the request, whatever is still on its way to the API server; no clock is needed for that. The
//! time in it only says how long others wait before they take over.
//!
//! A Lease that has done its work says so (`isDone`): a request whose server has ended gets no
//! other one. While a request has its server, its Lease is renewed; a Lease without a server is
//! removed an hour after its time ([`Sweep`]), which is at least 20 minutes after the server's end.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;

use crate::call::{Answer, Failure, Limits, answer};
use crate::ids;
use crate::matches::Matches;
use crate::metrics::Metrics;
use crate::servers::Servers;

/// Annotation of the Lease: the rest of what it says, a [`Record`] as JSON.
const RECORD_ANNOTATION: &str = "muster.dev/request";

/// Label of the Lease, to tell it from others.
const KIND_LABEL: (&str, &str) = ("muster.dev/lease", "request");

/// How long after its time the guard of a request stays when there is no server of it any more.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// How old the time of a guard may become while its request has a server. Most matches are shorter,
/// and cost no write for it.
const RENEWED: SignedDuration = SignedDuration::from_mins(30);

/// How often old guards are looked for, and the least time of it that another replica waits.
const SWEEP: Duration = Duration::from_mins(10);

/// Time between two writes of a sweep: many old guards must not press on the API server, and yet go
/// as fast as new ones come, up to 50 per second.
const PACE: Duration = Duration::from_millis(20);

/// Guards per page of a list.
const PAGE: u32 = 500;

/// A request: what must be had once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Namespace of the server.
    pub namespace: String,
    /// The request id.
    pub request_id: String,
}

/// The server that the holder is about to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Its name.
    pub game_server: String,
    /// The version of it that was chosen.
    pub version: u64,
}

/// What the Lease says beyond holder and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(flatten)]
    claim: Claim,
    #[serde(flatten)]
    intent: Intent,
    #[serde(default)]
    is_done: bool,
}

/// A guard as it was read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    claim: Claim,
    /// Version of the Lease.
    version: String,
    uid: String,
    holder: String,
    /// The write that the holder is about to make, or has made.
    pub intent: Intent,
    /// The server of the intent was allocated, or the request released before: it gets no other.
    pub is_done: bool,
    /// When others may take over.
    pub until: Timestamp,
}

/// A guard could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server does not let us, or the Lease is not what we write.
    #[error("the API server refused the guard of request {request_id}: {message}")]
    Refused {
        /// The request.
        request_id: String,
        /// What the API server said.
        message: String,
    },
    /// The API server did not answer, or could not.
    #[error("the API server was not available to guard request {request_id}")]
    Unavailable {
        /// The request.
        request_id: String,
        /// What the last call ended with.
        #[source]
        source: Failure,
    },
}

/// Reads and writes guards.
#[derive(Clone)]
pub struct Guards {
    leases: Api<Lease>,
    limits: Limits,
}

impl std::fmt::Debug for Guards {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Guards").finish_non_exhaustive()
    }
}

impl Guards {
    /// Guards in this namespace.
    pub fn new(client: Client, namespace: &str, limits: Limits) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            limits,
        }
    }

    /// The guard of a request as it is now; none if nobody holds one.
    pub async fn read(&self, claim: &Claim) -> Result<Option<Guard>, Error> {
        let name = name(claim);
        let mut failure = Failure::Unclear;
        for attempt in 0..self.limits.tries {
            self.pause(&name, attempt).await;
            failure = match answer(self.limits.call, self.leases.get(&name)).await {
                Answer::Object(lease) => return Guard::of(claim, &lease).map(Some),
                Answer::Missing => return Ok(None),
                Answer::Conflict => Failure::Unclear,
                Answer::Busy(cause) | Answer::Doubtful(cause) => cause,
                Answer::Refused { message, .. } => return Err(refused(claim, message)),
            };
        }
        Err(unavailable(claim, failure))
    }

    /// Becomes the first to guard a request; none if another one has been faster.
    pub async fn create(
        &self,
        claim: &Claim,
        holder: &str,
        intent: Intent,
        until: Timestamp,
    ) -> Result<Option<Guard>, Error> {
        let wanted = Guard {
            claim: claim.clone(),
            version: String::new(),
            uid: String::new(),
            holder: holder.to_owned(),
            intent,
            is_done: false,
            until,
        };
        self.write(wanted).await
    }

    /// Changes a guard; none if another one has changed it meanwhile.
    pub async fn change(
        &self,
        guard: &Guard,
        holder: &str,
        intent: Intent,
        until: Timestamp,
    ) -> Result<Option<Guard>, Error> {
        let wanted = Guard {
            holder: holder.to_owned(),
            intent,
            until,
            ..guard.clone()
        };
        self.write(wanted).await
    }

    /// Says that the request has had all that it will ever get, and that this was so now at the
    /// earliest. False if another one has changed the guard meanwhile.
    pub async fn finish(&self, guard: Guard) -> Result<bool, Error> {
        let wanted = Guard {
            is_done: true,
            ..guard
        };
        Ok(self.write(wanted).await?.is_some())
    }

    /// Gives up a guard of which it is known that no server was, or will be, allocated by it.
    pub async fn remove(&self, guard: Guard) {
        let request_id = &guard.claim.request_id;
        if let Err(error) = self.delete(&name(&guard.claim), &guard).await {
            // The next call takes it over when its time is up.
            let error = runtime::service::chain(&error);
            tracing::debug!(request_id, error, "Guard was not removed");
        }
    }

    async fn delete(&self, name: &str, guard: &Guard) -> Result<(), kube::Error> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: Some(guard.version.clone()),
                uid: Some(guard.uid.clone()),
            }),
            ..DeleteParams::default()
        };
        let call = self.leases.delete(name, &params);
        // What is not answered in time is looked at by the next sweep.
        match tokio::time::timeout(self.limits.call, call).await {
            Ok(result) => result.map(drop),
            Err(_) => Ok(()),
        }
    }

    async fn write(&self, wanted: Guard) -> Result<Option<Guard>, Error> {
        let claim = &wanted.claim;
        let name = name(claim);
        let lease = wanted
            .to_lease(&name)
            .map_err(|error| refused(claim, error.to_string()))?;
        let params = PostParams::default();
        let mut is_doubtful = false;
        let mut failure = Failure::Unclear;
        for attempt in 0..self.limits.tries {
            self.pause(&wanted.holder, attempt).await;
            if is_doubtful && let Some(found) = self.read(claim).await? {
                if found.says_as(&wanted) {
                    return Ok(Some(found));
                }
                if found.version != wanted.version {
                    return Ok(None);
                }
            }
            let answered = if wanted.version.is_empty() {
                answer(self.limits.call, self.leases.create(&params, &lease)).await
            } else {
                answer(
                    self.limits.call,
                    self.leases.replace(&name, &params, &lease),
                )
                .await
            };
            failure = match answered {
                Answer::Object(lease) => return Guard::of(claim, &lease).map(Some),
                // Our own earlier try may have come late.
                Answer::Conflict if is_doubtful => Failure::Unclear,
                Answer::Conflict | Answer::Missing => return Ok(None),
                Answer::Busy(cause) => cause,
                Answer::Doubtful(cause) => {
                    is_doubtful = true;
                    cause
                }
                Answer::Refused { message, .. } => return Err(refused(claim, message)),
            };
        }
        Err(unavailable(claim, failure))
    }

    async fn pause(&self, id: &str, attempt: u32) {
        if attempt > 0 {
            tokio::time::sleep(self.limits.pause(id, attempt - 1)).await;
        }
    }
}

impl Guard {
    fn of(claim: &Claim, lease: &Lease) -> Result<Self, Error> {
        let malformed = || refused(claim, "the Lease is not a guard of this request".to_owned());
        let record = record(lease).filter(|record| record.claim == *claim);
        let record = record.ok_or_else(malformed)?;
        let spec = lease.spec.clone().unwrap_or_default();
        let begin = spec.acquire_time.map_or(Timestamp::MIN, |time| time.0);
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        let lasts = SignedDuration::from_secs(seconds.into());
        Ok(Self {
            claim: record.claim,
            version: lease.resource_version().unwrap_or_default(),
            uid: lease.uid().unwrap_or_default(),
            holder: spec.holder_identity.unwrap_or_default(),
            intent: record.intent,
            is_done: record.is_done,
            until: begin.checked_add(lasts).unwrap_or(Timestamp::MAX),
        })
    }

    /// Whether it is what was meant to be written. A later write of the same holder is not.
    fn says_as(&self, wanted: &Self) -> bool {
        self.holder == wanted.holder
            && self.intent == wanted.intent
            && self.is_done == wanted.is_done
    }

    fn to_lease(&self, name: &str) -> Result<Lease, serde_json::Error> {
        let record = Record {
            claim: self.claim.clone(),
            intent: self.intent.clone(),
            is_done: self.is_done,
        };
        let now = runtime::clock::now();
        // Rounded up: others must not be too early.
        let seconds = self.until.duration_since(now).as_secs() + 1;
        let present = |text: &String| (!text.is_empty()).then(|| text.clone());
        let (label, kind) = KIND_LABEL;
        Ok(Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                resource_version: present(&self.version),
                uid: present(&self.uid),
                labels: Some([(label.to_owned(), kind.to_owned())].into()),
                annotations: Some(
                    [(
                        RECORD_ANNOTATION.to_owned(),
                        serde_json::to_string(&record)?,
                    )]
                    .into(),
                ),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.holder.clone()),
                acquire_time: Some(MicroTime(now)),
                // The API demands a positive number.
                lease_duration_seconds: i32::try_from(seconds.max(1)).ok(),
                ..LeaseSpec::default()
            }),
        })
    }
}

fn record(lease: &Lease) -> Option<Record> {
    serde_json::from_str(lease.annotations().get(RECORD_ANNOTATION)?).ok()
}

/// The same for every call of a request; different for others.
fn name(claim: &Claim) -> String {
    let parts: [&[u8]; 2] = [claim.namespace.as_bytes(), claim.request_id.as_bytes()];
    let digest = ids::hash("request", &parts);
    let digits = digest.as_ref()[..16].iter();
    digits.fold("request-".to_owned(), |name, byte| {
        format!("{name}{byte:02x}")
    })
}

fn refused(claim: &Claim, message: String) -> Error {
    Error::Refused {
        request_id: claim.request_id.clone(),
        message,
    }
}

fn unavailable(claim: &Claim, source: Failure) -> Error {
    Error::Unavailable {
        request_id: claim.request_id.clone(),
        source,
    }
}

/// Looks after the guards of requests that are over, for as long as it is polled.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Where guards are kept.
    pub guards: Guards,
    /// Namespaces of game servers that are followed; empty for all. Nothing is known here of the
    /// servers in others, so their guards are left to the allocators that follow those.
    pub namespaces: Vec<String>,
    /// Which servers are known.
    pub servers: Servers,
    /// Which requests have a server.
    pub matches: Matches,
    /// Where guards are counted.
    pub metrics: Metrics,
}

impl Sweep {
    /// Sweeps again and again.
    ///
    /// Every replica does so, each at a time of its own, given by `share`; a guard that another one
    /// has removed or that is in use again is left alone by the preconditions.
    pub async fn run(self, share: f64) {
        let mut pause = SWEEP.mul_f64(share.clamp(0.1, 1.0));
        loop {
            tokio::time::sleep(pause).await;
            pause = SWEEP;
            // Without the servers every guard would look as if it had none.
            if !self.servers.is_synced() {
                continue;
            }
            if let Err(error) = self.once().await {
                let error = runtime::service::chain(&error);
                tracing::warn!(error, "Old guards of requests were not removed");
            }
        }
    }

    /// Sweeps once.
    pub(crate) async fn once(&self) -> Result<(), kube::Error> {
        // All pages first: the token of the next page would expire while many are written.
        let due = self.due().await?;
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for due in due {
            pace.tick().await;
            match due {
                Due::Live(guard) => {
                    // Who was faster has renewed it too.
                    if let Err(error) = self.guards.finish(guard).await {
                        let error = runtime::service::chain(&error);
                        tracing::warn!(error, "Guard of a request was not renewed");
                    }
                }
                Due::Old(guard) => match self.guards.delete(&name(&guard.claim), &guard).await {
                    Ok(()) => self.metrics.guard_removed(),
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 410) => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// What is to be done, and the number of guards as a metric.
    async fn due(&self) -> Result<Vec<Due>, kube::Error> {
        let now = runtime::clock::now();
        let (label, kind) = KIND_LABEL;
        let mut params = ListParams::default()
            .labels(&format!("{label}={kind}"))
            .limit(PAGE);
        let (mut due, mut seen) = (Vec::new(), 0);
        loop {
            let page = self.guards.leases.list(&params).await?;
            let guards = page.items.iter().filter_map(|lease| self.followed(lease));
            for guard in guards {
                seen += 1;
                due.extend(self.judge(guard, now));
            }
            match page.metadata.continue_ {
                Some(token) if !token.is_empty() => params = params.continue_token(&token),
                Some(_) | None => break,
            }
        }
        self.metrics.guards_seen(seen);
        Ok(due)
    }

    fn followed(&self, lease: &Lease) -> Option<Guard> {
        let claim = record(lease)?.claim;
        let is_followed = self.namespaces.is_empty() || self.namespaces.contains(&claim.namespace);
        Guard::of(&claim, lease).ok().filter(|_| is_followed)
    }

    fn judge(&self, guard: Guard, now: Timestamp) -> Option<Due> {
        let is_past =
            |time: SignedDuration| guard.until.checked_add(time).is_ok_and(|end| end < now);
        let claim = &guard.claim;
        match self.matches.find(&claim.namespace, &claim.request_id) {
            Some(known) => {
                let is_ours = *known.server.name == *guard.intent.game_server;
                let is_lost = !guard.is_done && is_past(SignedDuration::ZERO);
                (is_ours && (is_lost || is_past(RENEWED))).then_some(Due::Live(guard))
            }
            None => is_past(KEPT).then_some(Due::Old(guard)),
        }
    }
}

/// What a sweep does with a guard.
#[derive(Debug)]
enum Due {
    /// Its request has a server: it is written again, as done, with the time of now.
    Live(Guard),
    /// Its request has had none for long: it is removed.
    Old(Guard),
}

#[cfg(test)]
mod tests;
