//! Temporary.
use std::sync::Arc;
use crds::Fleet;
use crate::controller::{Outcome, Reconciled};
use crate::world::World;
pub(crate) async fn reconcile(_: Arc<World>, _: Arc<Fleet>) -> Reconciled { Ok((Outcome::Unchanged, None)) }
