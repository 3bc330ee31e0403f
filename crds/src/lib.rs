//! Every custom resource of Muster: types, schema, CEL rules, and the pure rules about them that
//! the operator, the allocator and the tests share.
//!
//! Field shapes follow Agones, so that a manifest migrates by replacing `agones.dev` with
//! `muster.dev`. This crate performs no I/O and reads no clock.
//!
//! Start reading at [`gameserver`], then [`state`].
#![expect(
    unreachable_pub,
    reason = "the KubeSchema derive repeats structs inside functions"
)]

pub mod allocation;
pub mod autoscaler;
pub mod definitions;
pub mod fleet;
pub mod gameserver;
pub mod gameserverset;
pub mod matches;
pub mod meta;
pub mod names;
pub mod ports;
pub mod scheduling;
pub mod state;
mod template;

pub use allocation::{MatchAllocation, MatchAllocationSpec, MatchAllocationStatus};
pub use autoscaler::{FleetAutoscaler, FleetAutoscalerSpec, FleetAutoscalerStatus};
pub use fleet::{Fleet, FleetSpec, FleetStatus};
pub use gameserver::{GameServer, GameServerSpec, GameServerStatus};
pub use gameserverset::{GameServerSet, GameServerSetSpec, GameServerSetStatus};
pub use state::State;
