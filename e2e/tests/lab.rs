//! The fault lab's suites; `docs/fault-lab.md` tells how to read a failure.
//!
//! - `LAB_SCHEDULES=20000` runs more random schedules, as at night.
//! - `LAB_FIRST=2000` begins with another seed.
//! - `LAB_SEED=17` runs the schedule of one seed alone.
//! - `LAB_ALL=1` leaves out none of the combinations that one check need not run.
//! - `LAB_UPDATE=1` writes the states in which the scenarios end without faults.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]
#![expect(clippy::print_stdout, reason = "a suite tells how much it has run")]

#[path = "lab/calm.rs"]
mod calm;
#[path = "lab/crash_matrix.rs"]
mod crash_matrix;
#[path = "lab/random_schedules.rs"]
mod random_schedules;
#[path = "lab/regressions.rs"]
mod regressions;
#[path = "lab/stale_caches.rs"]
mod stale_caches;
#[path = "lab/stale_leader.rs"]
mod stale_leader;
