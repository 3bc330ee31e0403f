//! The fault lab: operator and allocator as in production, in one process, against the embedded
//! API server, under virtual time and scripted faults.
//!
//! A [`scenario::Scenario`] is what a user does. A [`schedule::Schedule`] is what goes wrong
//! meanwhile. After every single write the [`invariants`] are checked; in the end the state must
//! be that of the run without faults.
//!
//! Unlike the rest of this crate, the lab links to the services. Start reading at [`run::run`].

pub mod cluster;
pub mod invariants;
pub mod mirror;
pub mod node;
pub mod portrait;
pub mod random;
pub mod replicas;
pub mod run;
pub mod scenario;
pub mod schedule;
