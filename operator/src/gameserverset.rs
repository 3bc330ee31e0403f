//! Temporary.
use std::sync::Arc;
use crds::GameServerSet;
use crate::controller::{Outcome, Reconciled};
use crate::world::World;
pub(crate) async fn reconcile(_: Arc<World>, _: Arc<GameServerSet>) -> Reconciled { Ok((Outcome::Unchanged, None)) }
