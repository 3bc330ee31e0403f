//! Players for tests and benchmarks: bots that verify what they see, over simulated links.

pub mod link;
pub mod profile;
