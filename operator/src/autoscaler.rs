//! Temporary.
use std::sync::Arc;
use crds::FleetAutoscaler;
use crate::controller::{Outcome, Reconciled};
use crate::world::World;
pub(crate) async fn reconcile(_: Arc<World>, _: Arc<FleetAutoscaler>) -> Reconciled { Ok((Outcome::Unchanged, None)) }
