//! Whether the API server would take the fleet's pods: asked once per template, so that a
//! mistake in the template is told on the Fleet and not only by servers that fail.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crds::{Fleet, GameServerSet, GameServerSetSpec};
use kube::ResourceExt as _;
use kube::core::ObjectMeta;

use super::status::Acceptance;
use crate::error::Error;
use crate::gameserver::{build, pod};
use crate::world::World;

/// Name of the server and pod that are tried and never made.
const TRIAL: &str = "muster-trial";

/// Answers by the uid of the fleet, with a hash of the template they are for.
#[derive(Debug, Default)]
pub(crate) struct Acceptances(Mutex<BTreeMap<String, (u64, Acceptance)>>);

impl Acceptances {
    fn of(&self, uid: &str, template: u64) -> Option<Acceptance> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(uid)
            .filter(|(of, _)| *of == template)
            .map(|(_, answer)| answer.clone())
    }

    fn remember(&self, uid: &str, template: u64, answer: Acceptance) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(uid.to_owned(), (template, answer));
    }

    /// Forgets a fleet that is gone.
    pub(crate) fn forget(&self, uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

/// Returns the API server's answer for the fleet as it is now.
pub(crate) async fn accept(world: &World, fleet: &Fleet) -> Result<Acceptance, Error> {
    let uid = fleet.uid().unwrap_or_default();
    // Not the generation: an autoscaler changes that with every step.
    let template = serde_json::to_vec(&(&fleet.spec.template, fleet.spec.scheduling));
    let template = crds::names::hash(&template.unwrap_or_default());
    if let Some(answer) = world.acceptances.of(&uid, template) {
        return Ok(answer);
    }
    if fleet.metadata.deletion_timestamp.is_some() {
        return Ok(Acceptance::Unknown);
    }
    let answer = ask(world, fleet).await?;
    if let Acceptance::Refused { reason, message } = &answer {
        world.events.warning(fleet, reason, message.clone()).await;
    }
    if answer != Acceptance::Unknown {
        world.acceptances.remember(&uid, template, answer.clone());
    }
    Ok(answer)
}

async fn ask(world: &World, fleet: &Fleet) -> Result<Acceptance, Error> {
    let mut set = GameServerSet::new(
        TRIAL,
        GameServerSetSpec {
            template: fleet.spec.template.clone(),
            scheduling: fleet.spec.scheduling,
            ..GameServerSetSpec::default()
        },
    );
    set.metadata = ObjectMeta {
        name: Some(TRIAL.to_owned()),
        namespace: fleet.namespace(),
        ..set.metadata
    };
    let mut server = build::game_server(&set, TRIAL, &[]);
    if server.dev_address().is_some() {
        return Ok(Acceptance::Accepted);
    }
    // Host ports are chosen per server, and 0 would be refused here: the trial has none.
    for port in server.spec.ports.iter_mut().flatten() {
        if crds::ports::needs_choice(port) {
            port.port_policy = crds::gameserver::PortPolicy::None;
            port.container_port.get_or_insert(1);
        }
    }
    let mut pod = match pod::build(&server, &world.config.sdk) {
        Ok(pod) => pod,
        Err(error) => {
            let message = error.to_string();
            return Ok(Acceptance::Refused {
                reason: "TemplateInvalid",
                message,
            });
        }
    };
    // The owner of the trial does not exist.
    pod.metadata.owner_references = None;
    match world.api.dry_run(&pod).await {
        Ok(()) => Ok(Acceptance::Accepted),
        Err(error) if error.is_rejected() => Ok(Acceptance::Refused {
            reason: "PodRefused",
            message: error.message(),
        }),
        // Whether the template is good is not known yet; servers are made all the same.
        Err(error) => {
            tracing::warn!(
                fleet = fleet.name_any(),
                error = runtime::service::chain(&error),
                "Template could not be tried"
            );
            Ok(Acceptance::Unknown)
        }
    }
}
