//! Events that a person acts on. One recorder per process, so that repeats are counted on one
//! object.

use std::time::Duration;

use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Work goes on without an event that takes longer than this.
const LIMIT: Duration = Duration::from_secs(5);

/// Records events; failures are logged and never stop the work.
#[derive(Clone)]
pub(crate) struct Events(Recorder);

impl std::fmt::Debug for Events {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) fn new(client: kube::Client, instance: &str) -> Self {
        let reporter = Reporter {
            controller: "muster.dev/operator".to_owned(),
            instance: Some(instance.to_owned()),
        };
        Self(Recorder::new(client, reporter))
    }

    /// Records something that happened as it should.
    pub(crate) async fn normal<K>(&self, object: &K, reason: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.record(object, EventType::Normal, reason, note).await;
    }

    /// Records something that a person should look at.
    pub(crate) async fn warning<K>(&self, object: &K, reason: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        self.record(object, EventType::Warning, reason, note).await;
    }

    async fn record<K>(&self, object: &K, type_: EventType, reason: &str, note: String)
    where
        K: Resource<DynamicType = ()>,
    {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: reason.to_owned(),
            secondary: None,
        };
        let regarding = object.object_ref(&());
        let publish = self.0.publish(&event, &regarding);
        let Ok(published) = tokio::time::timeout(LIMIT, publish).await else {
            tracing::warn!(reason, "Event was not recorded in time");
            return;
        };
        if let Err(error) = published {
            tracing::warn!(
                reason,
                error = runtime::service::chain(&error),
                "Event was not recorded"
            );
        }
    }
}
