//! Records the match that the tests play back, after a change that is meant to break old logs:
//! `cargo run -p simulation --features world --example record_match > simulation/tests/data/match.log`
#![expect(clippy::unwrap_used, reason = "a tool that may fail loudly")]

use std::io::Write as _;

#[path = "../tests/script/recording.rs"]
mod recording;
#[path = "../tests/script/mod.rs"]
mod script;

fn main() -> std::io::Result<()> {
    let (log, _) = recording::record(2_026);
    std::io::stdout().write_all(&log)
}
