//! The fault lab's suites; `docs/fault-lab.md` tells how to read a failure.
//!
//! - `LAB_SCHEDULES=20000` runs more random schedules, as at night.
//! - `LAB_SEED=17` runs the schedule of one seed alone.
//! - `LAB_UPDATE=1` writes the states in which the scenarios end without faults.

#[path = "lab/calm.rs"]
mod calm;
#[path = "lab/crash_matrix.rs"]
mod crash_matrix;
#[path = "lab/random_schedules.rs"]
mod random_schedules;
#[path = "lab/regressions.rs"]
mod regressions;
